//! The names of files and folders in a data directory. `docs/format.md` describes each of them.

/// The identity of the log. `init` writes it last, so that a half-made directory is no log.
pub const LOG: &str = "LOG";
/// The lock of the one process that may write.
pub(crate) const LOCK: &str = "lock";
/// A file that holds nothing but room, which writes take when the disk is full.
pub const RESERVE: &str = "reserve";
/// The folder of journal files.
pub(crate) const JOURNAL: &str = "journal";
/// The folder of keys.
pub(crate) const KEYS: &str = "keys";
/// Users, projects, access keys and grants.
pub const ACCESS: &str = "access.toml";
/// The version of the access file that the log has a record of.
pub const ACCESS_RECORDED: &str = "access.recorded.toml";
/// The configuration that the log has a record of.
pub const CONFIG_RECORDED: &str = "config.recorded.toml";
/// The state of each source beside its events: the last numbers, and since when it is silent. The
/// name is that of format 1.
pub const SOURCE_STATES: &str = "sources.kept";
/// The dead letters that became events since. The name is that of format 1.
pub const DEAD_LETTERS_RETRIED: &str = "set-aside.retried";
/// The commands that read the data directory, until a server records them.
pub const COMMANDS: &str = "commands.ndjson";
/// The inode of the data directory that a server served; a copy has another.
pub const SERVED: &str = "served.inode";
/// The lock of a running server.
pub const SERVING: &str = "serving.lock";
/// The key that signs the log's checkpoints.
pub const LOG_KEY: &str = "keys/log.key";
/// The newest checkpoint that was signed.
pub const CHECKPOINT: &str = "tree/checkpoint";
/// The newest checkpoint that every witness cosigned.
pub const WITNESSED: &str = "tree/witnessed";
/// The state of the files that a source follows or imported.
pub fn follow_state(source: &str) -> String {
    format!("followed/{source}.json")
}
/// The key that encrypts access-key secrets at rest. The name is that of format 1.
pub const SECRETS_KEY: &str = "keys/sealing.key";

/// The folder of flushed events.
pub(crate) const SEGMENTS: &str = "segments";
/// The folder of the tree.
pub(crate) const TREE: &str = "tree";
/// Digests of all flushed entries, 32 bytes each, in order of their indexes.
pub(crate) const DIGESTS: &str = "tree/digests";
/// Hashes of the full tiles below this level of tiles, counted from 1, 32 bytes each, of the
/// flushed events.
pub(crate) fn level_file(level: u32) -> String {
    format!("{TREE}/level-{level}")
}
/// The folder of flushed dead letters. The name is that of format 1.
pub(crate) const DEAD_LETTERS: &str = "set-aside";

/// Suffix of a file that is being written. Files with it are void after a crash.
pub(crate) const UNFINISHED: &str = ".tmp";

/// The file of the dead letters from this number on that were flushed together.
pub(crate) fn dead_letter_file(first: u64) -> String {
    format!("{DEAD_LETTERS}/{first:020}.aside")
}

/// Twenty digits hold any `u64`, and make names sort as numbers do.
pub(crate) fn journal_file(first_batch: u64) -> String {
    format!("{JOURNAL}/{first_batch:020}.journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_format_1() {
        assert_eq!(
            [journal_file(7), dead_letter_file(12), level_file(2), follow_state("hub")],
            [
                "journal/00000000000000000007.journal",
                "set-aside/00000000000000000012.aside",
                "tree/level-2",
                "followed/hub.json",
            ]
        );
        assert_eq!(
            [SECRETS_KEY, SOURCE_STATES, DEAD_LETTERS_RETRIED],
            ["keys/sealing.key", "sources.kept", "set-aside.retried"]
        );
        assert!(journal_file(9) < journal_file(10) && journal_file(10) < journal_file(u64::MAX));
    }
}
