//! Re-derives everything in a data directory from its first bytes, without changing any.

use std::sync::Arc;

use event::Service;
use sha2::{Digest, Sha256};
use tlog::Hash;

use crate::durable::Disk;
use crate::journal::{self, FileTail};
use crate::layout::JOURNAL;
use crate::sequencer::{History, Replayed};
use crate::{Error, Identity, identity};

/// What a check found in a log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which log it is.
    pub identity: Identity,
    /// Journal files.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Batches, each made durable with one sync.
    pub batches: u64,
    /// Events; also the size of the tree.
    pub events: u64,
    /// Root of the tree over their digests.
    pub root: Hash,
    /// Trails that hold events.
    pub trails: usize,
    /// Events of each service that has any, in order of services.
    pub events_of: Vec<(Service, u64)>,
    /// Records set aside.
    pub set_aside: u64,
    /// What follows the last whole batch.
    pub torn_tail: Option<TornTail>,
}

/// Bytes at the journal's end that no one was answered for: the next open cuts them off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file, relative to the data directory.
    pub file: String,
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub len_bytes: u64,
}

impl TornTail {
    pub(crate) fn of(tail: FileTail) -> Option<TornTail> {
        match tail {
            FileTail::Clean => None,
            FileTail::Torn { file, offset, len_bytes } => Some(TornTail { file, offset, len_bytes }),
        }
    }
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub done_bytes: u64,
    /// Bytes to read.
    pub total_bytes: u64,
}

/// Checks the log on this disk: every frame's checksum, every entry's form and number, every raw's hash, every batch's
/// tree. Reads beside a process that may have the log open. Errs with the first thing that is wrong, by file and offset.
pub fn check(disk: &Arc<dyn Disk>, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
    let identity = identity::read(disk)?;
    let mut total_bytes = 0;
    for name in disk.list(JOURNAL).map_err(Error::io(format!("list {JOURNAL}")))? {
        let path = format!("{JOURNAL}/{name}");
        total_bytes +=
            disk.open(&path).and_then(|file| file.len_bytes()).map_err(Error::io(format!("open {path}")))?;
    }
    let mut done_bytes = 0;
    let mut history = History::default();
    let mut replay = |batch: &journal::Batch<'_>| {
        history.replay(batch, &mut |Replayed { entry, raw, .. }| {
            if Sha256::digest(raw)[..] == entry.raw_sha256 {
                Ok(())
            } else {
                Err("the raw bytes are not those the entry names")
            }
        })
    };
    let mut read = |bytes| {
        done_bytes += bytes;
        progress(Progress { done_bytes, total_bytes });
    };
    let (files, _, tail) = journal::scan_all(&**disk, &identity, &mut replay, &mut read)?;
    Ok(Report {
        identity,
        files: files.len(),
        bytes: done_bytes,
        batches: history.batches,
        events: history.tree.size(),
        root: history.tree.root(),
        trails: history.trails(),
        events_of: Service::ALL
            .into_iter()
            .map(|service| (service, history.events_of(service)))
            .filter(|(_, events)| *events > 0)
            .collect(),
        set_aside: history.set_aside,
        torn_tail: TornTail::of(tail),
    })
}
