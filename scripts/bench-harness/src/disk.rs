//! What the disk itself can do: the limit of every log on it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

pub struct Limits {
    /// Appends of 4 KiB to a growing file, each synced.
    pub appends_s: f64,
    /// Writes of 4 KiB over what the file holds already, each synced.
    pub overwrites_s: f64,
    /// Written in sequence, then synced once.
    pub sequential_mb_s: f64,
}

const BLOCK_BYTES: usize = 4 << 10;
const SYNCING: Duration = Duration::from_secs(1);
const PIECE_BYTES: usize = 1 << 20;
const PIECES: usize = 512;

pub fn measure(folder: &Path) -> Result<Limits> {
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("file");
    // What others left to write would be written now, and counted as ours.
    std::process::Command::new("sync").status()?;
    Ok(Limits {
        appends_s: appends(&path)?,
        overwrites_s: overwrites(&path)?,
        sequential_mb_s: sequential(&path)?,
    })
}

fn appends(path: &Path) -> Result<f64> {
    let mut file = File::create(path)?;
    let block = random(BLOCK_BYTES);
    syncs_s(|_| {
        file.write_all(&block)?;
        Ok(file.sync_data()?)
    })
}

/// Goes on with the file that [`appends`] left.
fn overwrites(path: &Path) -> Result<f64> {
    let file = OpenOptions::new().write(true).open(path)?;
    let blocks = file.metadata()?.len() / BLOCK_BYTES as u64;
    let block = random(BLOCK_BYTES);
    syncs_s(|turn| {
        file.write_all_at(&block, turn % blocks * BLOCK_BYTES as u64)?;
        Ok(file.sync_data()?)
    })
}

fn syncs_s(mut sync: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let (began, mut turns) = (Instant::now(), 0);
    while began.elapsed() < SYNCING {
        sync(turns)?;
        turns += 1;
    }
    Ok(turns as f64 / began.elapsed().as_secs_f64())
}

fn sequential(path: &Path) -> Result<f64> {
    let mut file = File::create(path)?;
    let piece = random(PIECE_BYTES);
    let began = Instant::now();
    for _ in 0..PIECES {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok((PIECES * PIECE_BYTES) as f64 / 1e6 / began.elapsed().as_secs_f64())
}

/// Bytes that no disk compresses.
fn random(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(next).take(len).collect()
}
