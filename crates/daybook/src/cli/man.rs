//! `daybook man`: a manual page for each command.

use std::path::PathBuf;

use server::failure::Failure;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  daybook man /usr/local/share/man/man1")]
pub struct Arguments {
    /// Folder for the pages; created if it is missing.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(arguments: &Arguments, command: clap::Command) -> Result<(), Failure> {
    let dir = &arguments.dir;
    std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)).map_err(
        |error| Failure::new(format!("couldn't write manual pages to {}: {error}", dir.display())),
    )
}
