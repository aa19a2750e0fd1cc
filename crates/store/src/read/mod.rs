//! Reading a log: by the process that has it open, beside that process, or from a read-only medium.

pub(crate) mod audit_files;
pub(crate) mod audit_lines;
pub(crate) mod contents;
pub(crate) mod dead_letters;
pub(crate) mod directory;
pub(crate) mod entries;
pub(crate) mod node_cache;
pub(crate) mod query;
pub(crate) mod room;
pub(crate) mod scan;
pub(crate) mod tree;
