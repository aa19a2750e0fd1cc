//! `access.toml`: its form, edits, differences and storage.

mod changes;
mod edits;
mod entries;
mod facts;
mod storage;

pub use changes::{Change, EntryRecord, changes, changes_since, unchanged};
pub use edits::{TOKENS_PER_USER_MAX, TooManyTokens};
pub use entries::{
    AccessFile, AppCodeEntry, DomainEntry, GrantEntry, KeyEntry, ProjectEntry, TokenEntry,
    UserEntry,
};
pub(crate) use facts::DIGEST_KEY;
pub use facts::token_name;
pub(crate) use storage::write_recorded;
pub use storage::{Version, change, read, read_recorded, read_recorded_version, read_version};
