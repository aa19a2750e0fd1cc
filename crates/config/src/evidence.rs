//! Settings of the evidence: checkpoints, tiles, receipts and the guard.

use std::path::PathBuf;

use crate::setting::{Kind, settings};

settings! {
    /// Settings of the evidence.
    pub struct Evidence in "evidence." {
        public: bool = true, Kind::Flag, Yes,
            "Whether anyone may read [checkpoints and tiles](api/tlog.md). Otherwise callers need \
             `daybook:evidence:read` on Daybook's own trail. Checkpoints and tiles reveal the \
             number of events and nothing else.";
        receipts: bool = false, Kind::Flag, Yes,
            "Whether every response carries a [receipt](api/tlog.md#receipts) in the header \
             `X-Daybook-Receipt`. Otherwise only requests that send this header with `true` get \
             one.";
        guard: Option<PathBuf> = None, Kind::Text, No,
            "Folder of the [guard](security.md#the-guard), outside the data directory; relative to \
             this file. Without it the folder lies beside the data directory, named after it with \
             `.guard`.";
    }
}
