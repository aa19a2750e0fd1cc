//! `daybook config`: checks a configuration without serving it.

use clap::Subcommand;

use super::{Location, say, variables};
use net::tls;
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    location: Location,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the syntax, values, token files and certificate of a configuration.
    #[command(after_help = "docs/configuration.md lists the settings. Each can also be set by a \
                      variable: limits.connections_max by DAYBOOK_LIMITS_CONNECTIONS_MAX.\n\n\
                      Example:\n  \
                      daybook config check --config /etc/daybook.toml")]
    Check,
    /// List the variables that override the configuration file.
    Variables,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Check => check(&arguments.location),
        Command::Variables => {
            let names: Vec<String> =
                config::settings().filter_map(config::Setting::variable).collect();
            say(&format!("DAYBOOK_CONFIG\n{}\n", names.join("\n")))
        }
    }
}

fn check(location: &Location) -> Result<(), Failure> {
    let config = config::load(&location.flags(None, None), &variables()).map_err(|error| {
        match error.explanation() {
            Some(explanation) => Failure::usage(format!("{error}\n{explanation}")),
            None => error.into(),
        }
    })?;
    if let Some(tls) = &config.tls {
        tls::for_http(intake::sockets::pem_files(tls)).map_err(Failure::usage)?;
    }
    let data_dir =
        config.data_dir.as_ref().map_or("not set".to_owned(), |dir| dir.display().to_string());
    let mut text = format!(
        "valid\ndata directory: {data_dir}\nlisten: {}\ntls: {}\n",
        config.listen,
        if config.tls.is_some() { "yes" } else { "no" }
    );
    for source in &config.sources {
        text.push_str(&format!(
            "source: POST /intake/{} accepts {} for {}\n",
            source.name,
            source.format.as_str(),
            source.trail
        ));
    }
    for witness in &config.witnesses {
        text.push_str(&format!("witness: {} at {}\n", witness.key.name(), witness.url));
    }
    say(&text)
}
