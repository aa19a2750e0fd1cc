//! The disk: files, the names of what is in a data directory, small objects, and a simulated disk.

pub mod durable;
pub(crate) mod identity;
pub(crate) mod layout;
pub(crate) mod objects;
pub mod simulated;
pub(crate) mod space;
pub(crate) mod tree_files;
