//! Settings of the room on the disk.

use crate::setting::{Max, Number, settings};

const PERCENT: Max = Max { value: 90, reason: "leaves room for events" };

settings! {
    /// Settings of the room on the disk of the data directory.
    #[derive(Copy)]
    pub struct Storage in "storage." {
        low_water_bytes: u64 = 1 << 30, Number::any("bytes"), No,
            "Free bytes on the disk of the data directory below which the disk is \
             [full](operations.md#a-full-disk): events from outside are refused with 503 \
             `storage_full`, everything else goes on. 0 disables it.";
        low_water_percent: u64 = 2, Number::any_up_to(PERCENT, "percent"), No,
            "The same as a share of the disk; the larger of the two counts.";
        reserve_bytes: u64 = 256 << 20, Number::any("bytes"), No,
            "Bytes of the file `reserve` in the data directory, which holds nothing but room for \
             what goes on when another program has filled the disk: Daybook's own record, and a \
             start. 0 makes none.";
    }
}
