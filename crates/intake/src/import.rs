//! The record of `daybook import`, made by the command itself or by the server that it sends to.

use event::Operation;

use crate::audit::{Act, Who};

/// Bytes of the names of files in the record: the most that an act holds.
pub const NAMES_BYTES_MAX: usize = 4096;

/// The act that precedes the import of a source's old files.
pub fn begun(source: &str, files: &str, who: Who) -> Act {
    let act = Act::new("source.import", Operation::Create, "Sources")
        .by(who)
        .on("source", source)
        .with("files", files);
    Act { description: Some("old files are imported on the command line".to_owned()), ..act }
}
