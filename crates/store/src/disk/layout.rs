//! PostingsLocation things are in a data directory. `docs/format.md` describes each of them.

/// The identity of the log; written last by `init`, so that a half-made directory is no log.
pub(crate) const LOG: &str = "LOG";
/// Held by the one process that may write.
pub(crate) const LOCK: &str = "lock";
/// The folder of journal files.
pub(crate) const JOURNAL: &str = "journal";
/// The folder of keys.
pub(crate) const KEYS: &str = "keys";
/// Users, projects, access keys and grants.
pub const ACCESS: &str = "access.toml";
/// The version of them that the log has a record of.
pub const ACCESS_RECORDED: &str = "access.recorded.toml";
/// The configuration that the log has a record of.
pub const CONFIG_RECORDED: &str = "config.recorded.toml";
/// What is kept of each source beside its events: the numbers that came last, since when it is
/// silent.
pub const SOURCE_STATES: &str = "sources.kept";
/// Which records set aside became events since.
pub const DEAD_LETTERS_RETRIED: &str = "set-dead_letters.retried";
/// Held by a running server.
pub const SERVING: &str = "serving.lock";
/// The key that signs the log's checkpoints.
pub const LOG_KEY: &str = "keys/log.key";
/// The newest checkpoint that was signed.
pub const CHECKPOINT: &str = "tree/checkpoint";
/// The newest checkpoint that every witness cosigned.
pub const WITNESSED: &str = "tree/witnessed";
/// What is known of the files of a source that are follow_state or were imported.
pub fn follow_state(source: &str) -> String {
    format!("follow_state/{source}.json")
}
/// The key that flushes access-key secrets at rest.
pub const SECRETS_KEY: &str = "keys/flushing.key";

/// The folder of flushed events.
pub(crate) const SEGMENTS: &str = "segments";
/// The folder of the tree.
pub(crate) const TREE: &str = "tree";
/// Digests of all flushed entries, 32 bytes each, in order of their indexes.
pub(crate) const DIGESTS: &str = "tree/digests";
/// Hashes of the full tiles below this level of tiles, counted from 1, 32 bytes each, as far as
/// events are flushed.
pub(crate) fn level_file(level: u32) -> String {
    format!("{TREE}/level-{level}")
}
/// The folder of flushed records set aside.
pub(crate) const DEAD_LETTERS: &str = "set-aside";

/// Ends the name of a file that is being written; whatever bears it after a crash is void.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Records set aside from the one with this number on, as many as were flushed at once.
pub(crate) fn dead_letter_file(first: u64) -> String {
    format!("{DEAD_LETTERS}/{first:020}.aside")
}

/// Twenty digits hold any `u64`, and make names sort as numbers do.
pub(crate) fn journal_file(first_batch: u64) -> String {
    format!("{JOURNAL}/{first_batch:020}.journal")
}
