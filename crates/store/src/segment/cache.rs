//! The cache of blocks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Blocks that were read lately, of all index files together; decisions 0013 and 0018.
///
/// Every open file has a slot for each of its blocks, so that a block is found without a search. A
/// block that was read is on trial first: it stays when it is used again before many others came,
/// or soon after it went. What stays goes by second chance: the block that came first, unless it
/// was used since it came or was last looked at; then it is as if it came now.
pub(crate) struct Cache {
    bytes_max: u64,
    pub(super) state: Mutex<CacheState>,
    /// Blocks that were read.
    read: AtomicU64,
}

#[derive(Default)]
pub(super) struct CacheState {
    /// Bytes of all blocks, and of those on trial.
    pub bytes: u64,
    pub trial_bytes: u64,
    /// Both in order of their coming.
    pub trial: VecDeque<CacheEntry>,
    pub staying: VecDeque<CacheEntry>,
    /// Bytes that went from their trial.
    gone_bytes: u64,
}

/// A block that is state: whose slot it is in, at which position, and its bytes.
pub(super) type CacheEntry = (Weak<[Slot]>, u32, u64);

/// PostingsLocation a block is state.
#[derive(Default)]
pub(crate) struct Slot {
    block: Mutex<Option<Arc<[u8]>>>,
    pub was_used: AtomicBool,
    /// When the block last went from its trial, by [`CacheState::clock`]; 0 if it never did.
    went: AtomicU32,
}

/// About what is state for a block beside its bytes.
const ENTRY_OVERHEAD: u64 = 64;
/// One part in so many of a cache is for blocks on trial.
const TRIAL_SHARE: u64 = 8;
/// Bytes in which it is counted how long ago a block went.
const WENT_UNIT: u64 = 4096;

impl CacheState {
    /// Counts on as blocks go from their trial; never 0.
    fn clock(&self) -> u32 {
        (self.gone_bytes / WENT_UNIT) as u32 | 1
    }

    /// Whether a block went that lately that it would still be here, had it been allowed to stay.
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

    /// Takes out the block that is to go next, or gives it another place. `false` when there is
    /// none.
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

    /// Bytes that are state, and blocks that were read so far.
    pub fn metrics(&self) -> (u64, u64) {
        (self.state.lock().expect("no panic while entry").bytes, self.read.load(Ordering::Relaxed))
    }

    /// Keeps a block that was just read.
    pub fn insert(&self, slots: &Arc<[Slot]>, position: u32, block: &Arc<[u8]>) {
        self.read.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().expect("no panic while entry");
        let slot = &slots[position as usize];
        if slot.block().replace(Arc::clone(block)).is_some() {
            // Someone else read it meanwhile, and it has its place.
            return;
        }
        let bytes = block.len() as u64 + ENTRY_OVERHEAD;
        let stays = state.went_lately(slot, self.bytes_max);
        state.bytes += bytes;
        state.queue((Arc::downgrade(slots), position, bytes), stays);
        while state.bytes > self.bytes_max && state.make_room(self.bytes_max) {}
    }

    /// Gives up the room of a file's blocks.
    pub fn forget(&self, slots: &Arc<[Slot]>) {
        let mut state = self.state.lock().expect("no panic while entry");
        let CacheState { bytes, trial_bytes, trial, staying, .. } = &mut *state;
        let is_of_another =
            |entry: &CacheEntry| !std::ptr::eq(entry.0.as_ptr(), Arc::as_ptr(slots));
        trial.retain(|entry| {
            let is_kept = is_of_another(entry);
            *trial_bytes -= if is_kept { 0 } else { entry.2 };
            *bytes -= if is_kept { 0 } else { entry.2 };
            is_kept
        });
        staying.retain(|entry| {
            let is_kept = is_of_another(entry);
            *bytes -= if is_kept { 0 } else { entry.2 };
            is_kept
        });
    }
}

impl Slot {
    pub fn block(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.block.lock().expect("no panic while entry")
    }
}
