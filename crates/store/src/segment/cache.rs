//! The cache of blocks of index files.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Blocks read lately, of all index files together; decisions 0013 and 0018.
///
/// Every open file has a slot for each of its blocks, so that a block is found without a search. A
/// block is on trial at first: it stays when it is used again before many others came, or is read
/// again soon after it was dropped. Staying blocks go by second chance: the oldest block is
/// dropped, unless it was used since it came or was last looked at; then it counts as new.
pub(crate) struct Cache {
    bytes_max: u64,
    pub(super) state: Mutex<CacheState>,
    /// Number of blocks read.
    read: AtomicU64,
}

#[derive(Default)]
pub(super) struct CacheState {
    /// Bytes of all blocks, and of those on trial.
    pub bytes: u64,
    pub trial_bytes: u64,
    /// Both in order of arrival.
    pub trial: VecDeque<CacheEntry>,
    pub staying: VecDeque<CacheEntry>,
    /// Bytes dropped from the trial.
    gone_bytes: u64,
}

/// A cached block: the slots of its file, its position there, and its bytes.
pub(super) type CacheEntry = (Weak<[Slot]>, u32, u64);

/// Holds one block of a file, if it is cached.
#[derive(Default)]
pub(crate) struct Slot {
    block: Mutex<Option<Arc<[u8]>>>,
    pub was_used: AtomicBool,
    /// When the block was last dropped from its trial, by [`CacheState::clock`]; 0 if never.
    went: AtomicU32,
}

/// Approximate overhead of a cached block beside its bytes.
const ENTRY_OVERHEAD: u64 = 64;
/// The trial has one part in this many of the cache.
const TRIAL_SHARE: u64 = 8;
/// Unit of the clock, in bytes dropped from the trial.
const WENT_UNIT: u64 = 4096;

impl CacheState {
    /// A clock that advances as blocks are dropped from their trial; never 0.
    fn clock(&self) -> u32 {
        (self.gone_bytes / WENT_UNIT) as u32 | 1
    }

    /// Whether the block was dropped so lately that it would still be here, had it stayed.
    fn went_lately(&self, slot: &Slot, bytes_max: u64) -> bool {
        let went = slot.went.load(Ordering::Relaxed);
        went != 0 && u64::from(self.clock().wrapping_sub(went)) * WENT_UNIT < bytes_max
    }

    fn queue(&mut self, entry: CacheEntry, stays: bool) {
        if stays {
            self.staying.push_back(entry);
        } else {
            self.trial_bytes += entry.2;
            self.trial.push_back(entry);
        }
    }

    /// Drops the next block, or queues it again if it was used. `false` when the cache is empty.
    fn make_room(&mut self, bytes_max: u64) -> bool {
        let is_trial = self.trial_bytes > bytes_max / TRIAL_SHARE || self.staying.is_empty();
        let next = if is_trial { self.trial.pop_front() } else { self.staying.pop_front() };
        let Some(entry) = next else { return false };
        if is_trial {
            self.trial_bytes -= entry.2;
        }
        let of_file = entry.0.upgrade();
        let slot = of_file.as_ref().map(|slots| &slots[entry.1 as usize]);
        if slot.is_some_and(|slot| slot.was_used.swap(false, Ordering::Relaxed)) {
            self.queue(entry, true);
            return true;
        }
        self.bytes -= entry.2;
        if let Some(slot) = slot {
            slot.block().take();
            if is_trial {
                self.gone_bytes += entry.2;
                slot.went.store(self.clock(), Ordering::Relaxed);
            }
        }
        true
    }
}

impl Cache {
    /// A cache of at most this many bytes.
    pub fn new(bytes_max: u64) -> Cache {
        Cache { bytes_max, state: Mutex::default(), read: AtomicU64::default() }
    }

    /// Cached bytes, and number of blocks read so far.
    pub fn metrics(&self) -> (u64, u64) {
        (self.state.lock().expect("no panic while held").bytes, self.read.load(Ordering::Relaxed))
    }

    /// Stores a block that was just read.
    pub fn insert(&self, slots: &Arc<[Slot]>, position: u32, block: &Arc<[u8]>) {
        self.read.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().expect("no panic while held");
        let slot = &slots[position as usize];
        if slot.block().replace(Arc::clone(block)).is_some() {
            // Another reader stored it meanwhile, and counted it.
            return;
        }
        let bytes = block.len() as u64 + ENTRY_OVERHEAD;
        let stays = state.went_lately(slot, self.bytes_max);
        state.bytes += bytes;
        state.queue((Arc::downgrade(slots), position, bytes), stays);
        while state.bytes > self.bytes_max && state.make_room(self.bytes_max) {}
    }

    /// Drops the blocks of a file.
    pub fn forget(&self, slots: &Arc<[Slot]>) {
        let mut state = self.state.lock().expect("no panic while held");
        let CacheState { bytes, trial_bytes, trial, staying, .. } = &mut *state;
        let is_of_another =
            |entry: &CacheEntry| !std::ptr::eq(entry.0.as_ptr(), Arc::as_ptr(slots));
        trial.retain(|entry| {
            let stays = is_of_another(entry);
            *trial_bytes -= if stays { 0 } else { entry.2 };
            *bytes -= if stays { 0 } else { entry.2 };
            stays
        });
        staying.retain(|entry| {
            let stays = is_of_another(entry);
            *bytes -= if stays { 0 } else { entry.2 };
            stays
        });
    }
}

impl Slot {
    pub fn block(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.block.lock().expect("no panic while held")
    }
}
