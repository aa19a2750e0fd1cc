//! `access.toml`: its form, edits, differences and storage.

mod changes;
mod edits;
mod entries;
mod storage;

pub use changes::{Change, changes};
pub use edits::{TOKENS_PER_USER_MAX, TooManyTokens};
pub use entries::{
    AccessFile, AppCodeEntry, DomainEntry, GrantEntry, KeyEntry, ProjectEntry, TokenEntry,
    UserEntry,
};
pub use storage::{change, read, read_recorded, write_recorded};
