//! Who may ask what.
//!
//! Domains, projects, users, access keys, tokens, app codes and grants live in `access.toml` of the
//! data directory ([`file`]), written by `daybook access` and, for tokens, by the server. The
//! server keeps them in memory and follows the file; a change is in force once the log has a record
//! of it. A caller may do to a trail what one of the user's grants covers; a trail without any
//! grant does not exist for that caller.

mod access;
pub mod attempts;
mod digest;
mod error;
pub mod file;
mod model;
pub mod password;
pub mod rights;
mod secrets;
pub mod signature;
mod snapshot;

pub use access::{Access, Changed, NotIssued};
pub use error::Error;
pub use model::{Caller, Domain, Project, Scope, Token, User};
pub use secrets::{SealingKey, Secret};
pub use snapshot::Snapshot;
