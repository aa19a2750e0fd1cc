//! What the disk itself can do: the limit of every log on it.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

pub struct Limits {
    pub syncs_s: f64,
    pub sequential_mb_s: f64,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} appends of 4 KiB with fdatasync a second; {:.0} MB/s written in sequence, then synced",
            self.syncs_s, self.sequential_mb_s
        )
    }
}

const SEQUENTIAL_MIB: usize = 512;
const SYNCING: Duration = Duration::from_secs(2);

pub fn measure(folder: &Path) -> Limits {
    let folder = tempfile::tempdir_in(folder).expect("the bench folder is writable");
    let mut file = File::create(folder.path().join("syncs")).expect("writable");
    let (began, mut syncs, block) = (Instant::now(), 0u32, random(4096));
    while began.elapsed() < SYNCING {
        file.write_all(&block).expect("room for a few MiB");
        file.sync_data().expect("a working disk");
        syncs += 1;
    }
    let syncs_s = f64::from(syncs) / began.elapsed().as_secs_f64();
    let mut file = File::create(folder.path().join("sequence")).expect("writable");
    let (began, block) = (Instant::now(), random(1 << 20));
    for _ in 0..SEQUENTIAL_MIB {
        file.write_all(&block).expect("room for 512 MiB");
    }
    file.sync_all().expect("a working disk");
    let sequential_mb_s = (SEQUENTIAL_MIB << 20) as f64 / 1e6 / began.elapsed().as_secs_f64();
    Limits { syncs_s, sequential_mb_s }
}

/// Bytes that no disk compresses.
fn random(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
