//! `daybook init`: an empty log in a new or empty directory.

use std::path::PathBuf;
use std::sync::Arc;

use store::durable::{Disk, Local};
use store::{Identity, LOG_KEY, SECRETS_KEY};

use super::say;
use access::SecretsKey;
use server::evidence;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  daybook init /var/lib/daybook --origin audit.example.com/daybook"
)]
pub struct Arguments {
    /// The directory to make. Its parent must exist; it may exist if it is empty.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The log's name in checkpoints and proofs, a URL without scheme; cannot be changed later.
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let origin = match &arguments.origin {
        Some(origin) => checked_origin(origin)?.to_owned(),
        None => format!("daybook.local/{}", system::random_hex::<8>()),
    };
    let dir = &arguments.dir;
    let local = Local::create(dir)
        .map_err(|error| Failure::new(format!("couldn't make {}: {error}", dir.display())))?;
    let disk: Arc<dyn Disk> = Arc::new(local);
    let identity = Identity { origin, created_at: system::now(), salt: system::random() };
    make(&disk, &identity)?;
    say(&format!("Made an empty log in {}\norigin: {}\n", dir.display(), identity.origin))
}

/// Makes an empty log with keys of its own.
pub fn make(disk: &Arc<dyn Disk>, identity: &Identity) -> Result<(), Failure> {
    let log_key =
        evidence::keys::first(&identity.origin, &system::random()).map_err(Failure::new)?;
    let secrets_key = SecretsKey::file_of(system::random());
    Ok(store::init(disk, identity, &[(SECRETS_KEY, &secrets_key), (LOG_KEY, &log_key)])?)
}

/// An origin stands on a line of its own in a checkpoint (C2SP tlog-checkpoint), and names a key
/// there.
fn checked_origin(origin: &str) -> Result<&str, Failure> {
    let is_origin = (1..=255).contains(&origin.len())
        && origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if is_origin {
        Ok(origin)
    } else {
        Err(Failure::usage("an origin has 1 to 255 visible ASCII characters, and no '+'"))
    }
}
