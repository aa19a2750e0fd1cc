//! Access control: users, credentials and grants.
//!
//! Domains, projects, users, access keys, tokens, app codes and grants live in `access.toml` of the
//! data directory ([`mod@file`]). `daybook access` writes it, and the server adds tokens. The
//! server holds them in memory and follows the file; a change is in force once the log has recorded
//! it. A grant gives its user a permission on the trails that it covers; a trail without a grant
//! does not exist for the user.

mod access;
pub mod attempts;
mod author;
pub mod checksum;
mod digest;
mod error;
pub mod file;
mod local;
mod model;
pub mod password;
pub mod rights;
mod secrets;
pub mod signature;
mod snapshot;
mod token_uses;

pub use access::{Access, AccessLog, Anchor, Cause, IssueError, Revision};
pub use author::Author;
pub use error::Error;
pub use local::{LOCAL_HEADER, LocalKey};
pub use model::{Caller, Domain, LINK, Project, SESSION, Scope, Token, User};
pub use secrets::{Secret, SecretsKey, check_private};
pub use snapshot::Snapshot;
