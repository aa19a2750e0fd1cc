//! `daybook key`: the keys that sign the log's checkpoints.

use super::{Location, say};
use server::evidence::keys;
use server::failure::Failure;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    location: Location,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the verifier keys, oldest first. Auditors need them to verify the log.
    #[command(
        after_help = "A key is NAME+HASH+KEY (C2SP signed-note): the log's origin, four bytes of a \
                      hash, and the public key. Store it where operators of the log cannot change \
                      it.\n\n\
                      Example:\n  \
                      daybook key show --data-dir /var/lib/daybook > log.vkey"
    )]
    Show,
    /// Add a key that signs from now on, beside the existing keys.
    #[command(
        after_help = "A running server uses the key within a second and records it; otherwise the \
                      next start does. Publish the new key, wait until every auditor has it, then \
                      retire the old one.\n\n\
                      Example:\n  \
                      daybook key rotate --data-dir /var/lib/daybook >> log.vkey"
    )]
    Rotate,
    /// Stop signing with a key, and delete its secret.
    #[command(
        after_help = "Its signatures remain valid. Auditors who have this key alone cannot verify \
                      newer checkpoints.\n\n\
                      Example:\n  \
                      daybook key retire 1f2e3d4c --data-dir /var/lib/daybook"
    )]
    Retire {
        /// Hash of the key: the eight hex digits in the middle of the verifier key.
        #[arg(value_name = "HASH")]
        hash: String,
    },
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let data_dir = arguments.location.data_dir()?;
    match &arguments.command {
        Command::Show => {
            let signers = keys::read(&data_dir).map_err(Failure::new)?;
            signers.iter().try_for_each(|signer| say(&format!("{}\n", signer.verifier())))
        }
        Command::Rotate => {
            let added = keys::rotate(&data_dir, &system::random()).map_err(Failure::new)?;
            say(&format!("{added}\n"))
        }
        Command::Retire { hash } => {
            let retired = keys::retire(&data_dir, hash).map_err(Failure::new)?;
            say(&format!("retired {retired}\n"))
        }
    }
}
