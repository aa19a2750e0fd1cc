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
    /// Directory to create. Its parent must exist; it may exist if it is empty.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Name of the log in checkpoints and proofs, a URL without scheme. It cannot be changed later.
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let origin = match &arguments.origin {
        Some(origin) => parse_origin(origin)?.to_owned(),
        None => format!("daybook.local/{}", system::random_hex::<8>()),
    };
    let dir = &arguments.dir;
    let local = Local::create(dir)
        .map_err(|error| Failure::new(format!("couldn't create {}: {error}", dir.display())))?;
    let disk: Arc<dyn Disk> = Arc::new(local);
    let identity = Identity { origin, created_at: system::now(), salt: system::random() };
    make(&disk, &identity)?;
    say(&format!("Created an empty log in {}\norigin: {}\n", dir.display(), identity.origin))
}

/// Creates an empty log with its own keys.
pub fn make(disk: &Arc<dyn Disk>, identity: &Identity) -> Result<(), Failure> {
    let log_key =
        evidence::keys::first(&identity.origin, &system::random()).map_err(Failure::new)?;
    let encryption_key = SecretsKey::file_of(system::random());
    Ok(store::init(disk, identity, &[(SECRETS_KEY, &encryption_key), (LOG_KEY, &log_key)])?)
}

/// Checks an origin. It is a whole line of a checkpoint (C2SP tlog-checkpoint), and there the name
/// of a key.
fn parse_origin(origin: &str) -> Result<&str, Failure> {
    let is_origin = (1..=255).contains(&origin.len())
        && origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if is_origin {
        Ok(origin)
    } else {
        Err(Failure::usage("an origin has 1 to 255 visible ASCII characters without '+'"))
    }
}
