//! The room on the disk: when events from outside are refused, and the reserve file.
//!
//! The disk is full below the low-water mark, while the reserve is not whole, or after a write that
//! found no room. What goes on then uses the room below the mark, and the reserve
//! ([`ReserveDisk`](super::durable::ReserveDisk)) if another program takes that too.
//!
//! - A full disk loses nothing: a write without room changes nothing, and its caller tries again.
//! - The disk is full no longer once [`Space::check`] finds the reserve whole and some more room
//!   than the mark, so that the state does not change with every event.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::disk::durable::{Disk, release_bytes};
use crate::disk::layout::RESERVE;

/// Room that a log leaves free. Zeros leave none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceLimits {
    /// Bytes of the reserve file.
    pub reserve_bytes: u64,
    /// Free bytes below which the disk is full.
    pub low_water_bytes: u64,
    /// The same as a share of the file system; the larger of the two counts.
    pub low_water_percent: u64,
}

/// Room on the disk as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceReport {
    /// Free bytes, without those of the reserve.
    pub free_bytes: u64,
    /// Bytes of the reserve.
    pub reserve_bytes: u64,
    /// Free bytes below which the disk is full.
    pub low_water_bytes: u64,
    /// Whether events from outside are refused.
    pub is_full: bool,
}

/// Files below which the disk is full: a flush makes about ten.
const FREE_FILES_MIN: u64 = 64;
/// The disk is full until there is more room than the low-water mark by one part in this many, and
/// by this many bytes.
const RESUME_SHARE: u64 = 16;
const RESUME_BYTES: u64 = 1 << 20;

/// The room on one disk.
pub struct Space {
    disk: Arc<dyn Disk>,
    limits: SpaceLimits,
    is_full: AtomicBool,
    /// Writes that found no room.
    refusals: AtomicU64,
    /// How many of them there were at the last check.
    checked_refusals: AtomicU64,
    newest: Mutex<Option<SpaceReport>>,
}

impl Space {
    /// A disk that is not full until the first check.
    pub(crate) fn new(disk: Arc<dyn Disk>, limits: SpaceLimits) -> Space {
        Space {
            disk,
            limits,
            is_full: AtomicBool::new(false),
            refusals: AtomicU64::new(0),
            checked_refusals: AtomicU64::new(0),
            newest: Mutex::default(),
        }
    }

    /// Whether events from outside are refused.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Notes that a write found no room.
    pub fn note_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// Measures the room, makes the reserve whole as far as there is room, and decides whether the
    /// disk is full. Call it every second.
    pub fn check(&self) -> io::Result<SpaceReport> {
        let mut reserve_bytes = self.reserve_bytes();
        let mut room = self.disk.room()?;
        let more = self.reserve_grows_by(reserve_bytes, room.free_bytes);
        if more > 0 {
            // It stays as it is if another program takes the room first.
            let _ = self.grow_reserve(reserve_bytes + more);
            reserve_bytes = self.reserve_bytes();
            room = self.disk.room()?;
        }
        let low_water_bytes = self.low_water_bytes(room.total_bytes);
        let refusals = self.refusals.load(Ordering::Relaxed);
        let is_refused = self.checked_refusals.swap(refusals, Ordering::Relaxed) != refusals;
        let enough_bytes = match self.is_full() {
            true => low_water_bytes + (low_water_bytes / RESUME_SHARE).max(RESUME_BYTES),
            false => low_water_bytes,
        };
        let is_full = is_refused
            || room.free_bytes < enough_bytes
            || room.free_files < FREE_FILES_MIN
            || reserve_bytes < self.limits.reserve_bytes;
        self.is_full.store(is_full, Ordering::Relaxed);
        let free_bytes = room.free_bytes;
        let report = SpaceReport { free_bytes, reserve_bytes, low_water_bytes, is_full };
        *self.newest.lock().expect("no panic while held") = Some(report);
        Ok(report)
    }

    /// The result of the newest check.
    pub fn report(&self) -> Option<SpaceReport> {
        *self.newest.lock().expect("no panic while held")
    }

    /// Whether this many bytes can be written without filling the disk: for work that can wait.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        // A disk that cannot be measured is not known to be full.
        let Ok(room) = self.disk.room() else { return true };
        let low_water_bytes = self.low_water_bytes(room.total_bytes);
        !self.is_full() && room.free_bytes >= low_water_bytes.saturating_add(bytes)
    }

    /// Whether there are this many free bytes, the reserve left out: for work that gives room back.
    pub(crate) fn has_free(&self, bytes: u64) -> bool {
        self.disk.room().is_ok_and(|room| room.free_bytes >= bytes)
    }

    fn low_water_bytes(&self, total_bytes: u64) -> u64 {
        let share = total_bytes / 100 * self.limits.low_water_percent;
        self.limits.low_water_bytes.max(share)
    }

    fn reserve_bytes(&self) -> u64 {
        self.disk.open(RESERVE).and_then(|file| file.len_bytes()).unwrap_or(0)
    }

    /// Bytes by which the reserve grows now. Some room stays free beside it, so that small writes
    /// do not make it shrink each time.
    fn reserve_grows_by(&self, reserve_bytes: u64, free_bytes: u64) -> u64 {
        let missing = self.limits.reserve_bytes.saturating_sub(reserve_bytes);
        let beside = 2 * release_bytes(self.limits.reserve_bytes);
        missing.min(free_bytes.saturating_sub(beside))
    }

    fn grow_reserve(&self, len_bytes: u64) -> io::Result<()> {
        let file = match self.disk.open_for_writing(RESERVE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(RESERVE)?,
            file => file?,
        };
        // It need not be durable: it holds nothing, and is made again.
        file.allocate(len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::durable::{ReserveDisk, is_out_of_room, read_file};
    use crate::disk::simulated::SimulatedDisk;

    const MIB: u64 = 1 << 20;

    fn limits(reserve_bytes: u64, low_water_bytes: u64) -> SpaceLimits {
        SpaceLimits { reserve_bytes, low_water_bytes, low_water_percent: 0 }
    }

    fn fill(disk: &SimulatedDisk, name: &str, bytes: u64) {
        let file = disk.create(name).expect("room");
        file.allocate(bytes).expect("room");
    }

    #[test]
    fn a_disk_is_full_below_the_mark_and_until_there_is_more_room() {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity(Some(100 * MIB));
        let space = Space::new(Arc::new(disk.clone()), limits(0, 16 * MIB));
        let is_full = || space.check().expect("a disk").is_full;
        assert!(!is_full());
        fill(&disk, "a", 84 * MIB);
        assert!(!is_full(), "at the mark");
        fill(&disk, "b", 1);
        assert!(is_full() && space.is_full(), "below it");
        disk.remove("b").expect("there");
        assert!(is_full(), "at the mark again");
        fill(&disk, "a", 83 * MIB);
        assert!(!is_full(), "above it");
    }

    #[test]
    fn a_share_of_the_disk_counts_if_it_is_larger() {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity(Some(100 * MIB));
        for (percent, expected) in [(1, 5 * MIB), (7, 7 * MIB)] {
            let limits = SpaceLimits { low_water_percent: percent, ..limits(0, 5 * MIB) };
            let report = Space::new(Arc::new(disk.clone()), limits).check().expect("a disk");
            assert_eq!(report.low_water_bytes, expected);
        }
    }

    #[test]
    fn a_write_without_room_makes_the_disk_full_until_the_next_check() {
        let space = Space::new(Arc::new(SimulatedDisk::new(1)), SpaceLimits::default());
        space.note_refusal();
        assert!(space.is_full() && space.check().expect("a disk").is_full);
        assert!(!space.check().expect("a disk").is_full);
    }

    #[test]
    fn the_reserve_is_taken_by_writes_and_made_whole_again() {
        let simulated = SimulatedDisk::new(1);
        simulated.set_capacity(Some(32 * MIB));
        let disk: Arc<dyn Disk> = Arc::new(ReserveDisk::over(simulated.clone()));
        let space = Space::new(Arc::clone(&disk), limits(8 * MIB, 4 * MIB));
        let report = || space.check().expect("a disk");
        assert_eq!((report().reserve_bytes, report().is_full), (8 * MIB, false));
        // Another program takes the rest.
        fill(&simulated, "other", 24 * MIB);
        assert!(report().is_full);
        let file = disk.create("own").expect("a name");
        file.write_at(0, &[7; 3000]).expect("the reserve");
        assert_eq!(read_file(&*disk, "own").expect("there"), [7; 3000]);
        let left = report().reserve_bytes;
        assert!((5 * MIB..8 * MIB).contains(&left), "one piece of it: {left}");
        file.write_at(3000, &vec![7; 7 << 20]).expect("the rest of the reserve");
        let error = file
            .write_at(8 * MIB, &[7; 5000])
            .and_then(|()| file.write_at(9 * MIB, &vec![7; 2 << 20]));
        assert!(is_out_of_room(&error.expect_err("no more reserve")));
        assert!(report().is_full);
        simulated.remove("other").expect("there");
        assert_eq!((report().reserve_bytes, report().is_full), (8 * MIB, false));
    }

    #[test]
    fn a_reserve_grows_into_the_room_there_is_beside_it() {
        let simulated = SimulatedDisk::new(1);
        simulated.set_capacity(Some(10 * MIB));
        let space = Space::new(Arc::new(simulated.clone()), limits(8 * MIB, 0));
        let report = space.check().expect("a disk");
        assert_eq!((report.reserve_bytes, report.is_full), (6 * MIB, true));
        simulated.set_capacity(Some(12 * MIB));
        let report = space.check().expect("a disk");
        assert_eq!((report.reserve_bytes, report.is_full), (8 * MIB, false));
    }

    #[test]
    fn work_that_can_wait_leaves_room() {
        let disk = SimulatedDisk::new(1);
        disk.set_capacity(Some(10 * MIB));
        let space = Space::new(Arc::new(disk), limits(0, 4 * MIB));
        assert_eq!([6, 7].map(|mib| space.has_room_for(mib * MIB)), [true, false]);
        assert_eq!([10, 11].map(|mib| space.has_free(mib * MIB)), [true, false]);
        space.note_refusal();
        assert!(!space.has_room_for(1));
    }
}
