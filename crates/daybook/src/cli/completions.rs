//! `daybook completions`: completion scripts for shells.

use clap_complete::Shell;

use super::say;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
                  daybook completions bash >/etc/bash_completion.d/daybook\n  \
                  daybook completions zsh >~/.zfunc/_daybook\n  \
                  daybook completions fish >~/.config/fish/completions/daybook.fish")]
pub struct Arguments {
    /// Shell to complete for.
    shell: Shell,
}

pub fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "daybook", &mut script);
    say(&String::from_utf8_lossy(&script))
}
