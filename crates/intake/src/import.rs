//! What is on record of `daybook import`, whoever records it: the command itself, or the server
//! that it sends to.

use event::Operation;

use crate::audit::{Act, Who};

/// Bytes of the names of files that are told of: as many as an act keeps.
pub const NAMES_BYTES_MAX: usize = 4096;

/// Old files of a source are about to be recorded.
pub fn begun(source: &str, files: &str, who: Who) -> Act {
    let act = Act::new("source.import", Operation::Create, "Sources")
        .by(who)
        .on("source", source)
        .with("files", files);
    Act { description: Some("old files are imported on the command line".to_owned()), ..act }
}
