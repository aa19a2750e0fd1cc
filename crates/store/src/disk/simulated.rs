//! A disk that crashes: unsynced bytes and names are lost, torn or reordered.
//!
//! Beside the readers' view (the page cache), it stores the state after a power cut. The rules are
//! those of the worst file system that POSIX allows:
//! - a write reaches the disk at a sync of its file, or at any moment before, by sectors of 512
//!   bytes, in any order;
//! - a name that was made, changed or removed reaches the disk at a sync of its folder, or at any
//!   moment before, in any order; syncing a file does not make its name durable;
//! - after a failed sync the bytes still read back but count as clean: no later sync writes them.
//!
//! It may have a capacity; a write beyond fails after the part that has room.
//!
//! All randomness comes from the seed, so a failure is reproduced by its number.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::durable::{Disk, File, Room, Wait, parent, unknown_outcome};

const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

/// The fault that one operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops in the middle of the operation. It and everything after fail until
    /// [`SimulatedDisk::restart`].
    Crash,
    /// The operation fails with EIO. A write may be partial; a sync may have written any part, and
    /// will not write the rest.
    Eio,
    /// The operation fails with ENOSPC after a partial write, whatever room there is.
    NoSpace,
}

struct State {
    random: Random,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    locks: HashSet<String>,
    /// Number of restarts. Files opened before the last restart are closed.
    boot: u64,
    is_stopped: bool,
    operations: u64,
    fault: Option<(u64, Fault)>,
    /// Bytes that the files may have together.
    capacity: Option<u64>,
    ignores: IgnoredCalls,
}

/// Calls that the disk acknowledges without any effect, as faulty drives and file systems do.
#[derive(Default)]
struct IgnoredCalls {
    syncs: bool,
    dir_syncs: bool,
}

#[derive(Default, Clone)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// A change of a file's bytes.
#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

#[derive(Clone)]
enum NameChange {
    Set { path: String, inode: usize },
    Rename { from: String, to: String, inode: usize },
    Remove { path: String },
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimulatedDisk {
        let state = State {
            random: Random(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            locks: HashSet::new(),
            boot: 0,
            is_stopped: false,
            operations: 0,
            fault: None,
            capacity: None,
            ignores: IgnoredCalls::default(),
        };
        SimulatedDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Plans a fault: skips `operations` further operations that change the disk; the next one
    /// meets `fault`.
    pub fn plan(&self, operations: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Bytes that the files may have together from now on; files that have more stay.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that the files have together.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// Makes syncs of files do nothing and report success.
    pub fn ignore_syncs(&self) {
        self.state().ignores.syncs = true;
    }

    /// Makes syncs of folders do nothing and report success.
    pub fn ignore_dir_syncs(&self) {
        self.state().ignores.dir_syncs = true;
    }

    /// Ends every process that used the disk. The page cache stays.
    pub fn restart(&self) {
        let mut state = self.state();
        state.boot += 1;
        state.locks.clear();
        state.is_stopped = false;
        state.fault = None;
    }

    /// Cuts the power: unsynced changes may be lost, torn or reordered. Then restarts, as
    /// [`SimulatedDisk::restart`].
    pub fn power_cut(&self) {
        self.state().lose_unsynced();
        self.restart();
    }

    /// Flips one bit of a file, on disk and in memory.
    pub fn flip(&self, path: &str, offset: usize, bit: u8) {
        let mut state = self.state();
        let inode = state.names[path];
        state.inodes[inode].cached[offset] ^= 1 << bit;
        state.inodes[inode].durable = state.inodes[inode].cached.clone();
        state.inodes[inode].unsynced.clear();
    }

    /// A random number below `end`, from the disk's own seed.
    pub fn random_below(&self, end: u64) -> u64 {
        self.state().random.below(end)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

impl State {
    /// Counts an operation that changes the disk, and returns the fault it meets.
    fn operate(&mut self) -> io::Result<Option<Fault>> {
        self.check_running()?;
        self.operations += 1;
        match self.fault {
            Some((at, fault)) if self.operations > at => {
                self.fault = None;
                self.is_stopped = fault == Fault::Crash;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    fn check_running(&self) -> io::Result<()> {
        if self.is_stopped { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].cached.len() as u64).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    /// Writes, or changes nothing but a part of the bytes if there is no room for all.
    fn write(&mut self, inode: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let fault = self.operate()?;
        let grows_by = (offset + bytes.len()).saturating_sub(self.inodes[inode].cached.len());
        let lacks = (grows_by as u64).saturating_sub(self.free_bytes());
        let fault = fault.or((lacks > 0).then_some(Fault::NoSpace));
        let done = match fault {
            None => bytes.len(),
            Some(_) => {
                let fits = (bytes.len() as u64).saturating_sub(lacks);
                usize::try_from(self.random.below(fits + 1)).map_err(io::Error::other)?
            }
        };
        self.inodes[inode].write(offset, &bytes[..done]);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    /// Performs an operation on names, unless it meets a fault.
    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        match self.operate()? {
            // A crash may come just after the operation as well as just before.
            Some(Fault::Crash) if self.random.one_in(2) => {}
            Some(fault) => return Err(fault.error()),
            None => {}
        }
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        self.check_running()
    }

    fn lose_unsynced(&mut self) {
        let State { random, inodes, durable_names, unsynced_names, names, .. } = self;
        for inode in inodes.iter_mut() {
            inode.write_back_some(random);
            inode.cached.clone_from(&inode.durable);
        }
        for change in unsynced_names.drain(..) {
            if random.one_in(2) {
                change.apply(durable_names);
            }
        }
        names.clone_from(durable_names);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Set { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            NameChange::Remove { path } => {
                names.remove(path);
            }
        }
    }

    fn dir(&self) -> &str {
        match self {
            NameChange::Set { path, .. } | NameChange::Remove { path } => parent(path),
            NameChange::Rename { to, .. } => parent(to),
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_into(&mut self.cached, offset, bytes);
        if !bytes.is_empty() {
            self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
        }
    }

    fn cut(&mut self, len: usize) {
        self.cached.truncate(len);
        self.unsynced.push(Change::Cut { len });
    }

    fn write_back(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => write_into(&mut self.durable, offset, &bytes),
                Change::Cut { len } => self.durable.truncate(len),
            }
        }
    }

    /// Writes any part of the unsynced bytes, by sectors, and drops the rest.
    fn write_back_some(&mut self, random: &mut Random) {
        let likelihood = random.below(5);
        for change in self.unsynced.drain(..) {
            let (offset, bytes) = match change {
                Change::Write { offset, bytes } => (offset, bytes),
                Change::Cut { len } => {
                    if random.below(4) < likelihood {
                        self.durable.truncate(len);
                    }
                    continue;
                }
            };
            let mut start = 0;
            while start < bytes.len() {
                let sector_end =
                    (offset + start) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - offset;
                let end = sector_end.min(bytes.len());
                if random.below(4) < likelihood {
                    write_into(&mut self.durable, offset + start, &bytes[start..end]);
                }
                start = end;
            }
        }
    }
}

fn write_into(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[offset..end].copy_from_slice(bytes);
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Crash => io::Error::other("the machine has stopped"),
            Fault::Eio => io::Error::other("simulated EIO"),
            Fault::NoSpace => io::Error::from(io::ErrorKind::StorageFull),
        }
    }
}

struct Handle {
    disk: SimulatedDisk,
    inode: usize,
    boot: u64,
}

impl Handle {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.boot != self.boot {
            return Err(io::Error::other("the process that opened this file has ended"));
        }
        Ok(state)
    }
}

impl File for Handle {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.state()?.inodes[self.inode].cached.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        state.check_running()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = &state.inodes[self.inode].cached;
        let wanted = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(wanted);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.state()?.write(self.inode, offset, bytes)
    }

    fn cut(&self, len_bytes: u64) -> io::Result<()> {
        let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
        let mut state = self.state()?;
        match state.operate()? {
            // A crash may come just after the operation as well as just before.
            Some(Fault::Crash) if state.random.one_in(2) => {}
            Some(fault) => return Err(fault.error()),
            None => {}
        }
        state.inodes[self.inode].cut(len);
        state.check_running()
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let len = usize::try_from(len_bytes).map_err(io::Error::other)?;
        let mut state = self.state()?;
        let before = state.inodes[self.inode].cached.len();
        let zeros = vec![0; len.saturating_sub(before)];
        state.write(self.inode, before, &zeros)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        match state.operate()? {
            None if state.ignores.syncs => Ok(()),
            None => {
                state.inodes[self.inode].write_back();
                Ok(())
            }
            Some(Fault::Crash) => Err(Fault::Crash.error()),
            Some(fault) => {
                let State { random, inodes, .. } = &mut *state;
                inodes[self.inode].write_back_some(random);
                Err(unknown_outcome(fault.error()))
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn location(&self) -> String {
        "the simulated disk".to_owned()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.check_running()?;
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut names: Vec<String> = state
            .names
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix))
            .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        names.dedup();
        Ok(names)
    }

    /// Folders are durable at once here: only `init` makes them, and it syncs their parent before
    /// it returns.
    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        state.check_running()?;
        let marker = format!("{dir}/");
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(marker.clone(), inode);
        state.durable_names.insert(marker, inode);
        Ok(())
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_name(NameChange::Set { path: path.to_owned(), inode })?;
        Ok(Arc::new(Handle { disk: self.clone(), inode, boot: state.boot }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        state.check_running()?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle { disk: self.clone(), inode, boot: state.boot }))
    }

    fn open_for_writing(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Remove { path: path.to_owned() })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        if let Some(fault) = state.operate()? {
            return Err(unknown_outcome(fault.error()));
        }
        if state.ignores.dir_syncs {
            return Ok(());
        }
        let State { durable_names, unsynced_names, .. } = &mut *state;
        unsynced_names.retain(|change| {
            let is_elsewhere = change.dir() != dir;
            if !is_elsewhere {
                change.apply(durable_names);
            }
            is_elsewhere
        });
        Ok(())
    }

    fn lock(&self, path: &str, wait: Wait) -> io::Result<Box<dyn Send>> {
        let mut state = self.state();
        state.check_running()?;
        if !state.locks.insert(path.to_owned()) {
            assert_eq!(wait, Wait::No, "a simulated process would wait for ever");
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Guard { disk: self.clone(), path: path.to_owned(), boot: state.boot }))
    }

    fn room(&self) -> io::Result<Room> {
        let state = self.state();
        state.check_running()?;
        let total_bytes = state.capacity.unwrap_or(u64::MAX);
        Ok(Room { total_bytes, free_bytes: state.free_bytes(), free_files: u64::MAX })
    }
}

struct Guard {
    disk: SimulatedDisk,
    path: String,
    boot: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose faults.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes and syncs a file and its name, cuts the power, and reads it.
    fn after_power_cut(seed: u64, prepare: impl Fn(&SimulatedDisk)) -> Option<Vec<u8>> {
        let disk = SimulatedDisk::new(seed);
        prepare(&disk);
        let file = disk.create("a").expect("room");
        file.write_at(0, &[7; 3000]).expect("room");
        file.sync().expect("no fault");
        disk.sync_dir("").expect("no fault");
        disk.power_cut();
        let file = disk.open("a").ok()?;
        let mut bytes = vec![0; usize::try_from(file.len_bytes().expect("open")).expect("small")];
        file.read_at(0, &mut bytes).expect("there");
        Some(bytes)
    }

    #[test]
    fn synced_bytes_survive_a_power_cut() {
        for seed in 0..50 {
            assert_eq!(after_power_cut(seed, |_| {}), Some(vec![7; 3000]), "seed {seed}");
        }
    }

    #[test]
    fn ignored_syncs_lose_bytes_or_names() {
        let is_lost = |prepare: fn(&SimulatedDisk)| {
            (0..50).any(|seed| after_power_cut(seed, prepare) != Some(vec![7; 3000]))
        };
        assert!(is_lost(SimulatedDisk::ignore_syncs));
        assert!(is_lost(SimulatedDisk::ignore_dir_syncs));
    }

    #[test]
    fn a_full_disk_refuses_what_has_no_room_until_there_is_room() {
        let disk = SimulatedDisk::new(1);
        let file = disk.create("a").expect("room");
        file.write_at(0, &[1; 900]).expect("room");
        disk.set_capacity(Some(1000));
        let error = file.write_at(800, &[2; 300]).expect_err("100 bytes too many");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(disk.used_bytes() <= 1000);
        file.write_at(0, &[3; 900]).expect("it replaces");
        file.cut(500).expect("possible");
        file.write_at(500, &[4; 500]).expect("room");
        assert_eq!(disk.room().expect("running").free_bytes, 0);
        disk.remove("a").expect("there");
        assert_eq!(disk.room().expect("running").free_bytes, 1000);
    }

    #[test]
    fn a_cut_is_durable_once_synced() {
        for seed in 0..50 {
            let disk = SimulatedDisk::new(seed);
            let file = disk.create("a").expect("room");
            file.write_at(0, &[7; 3000]).expect("room");
            file.sync().expect("no fault");
            disk.sync_dir("").expect("no fault");
            file.cut(100).expect("no fault");
            file.sync().expect("no fault");
            disk.power_cut();
            assert_eq!(disk.open("a").expect("there").len_bytes().expect("open"), 100);
        }
    }

    #[test]
    fn a_planned_fault_is_met_once() {
        let disk = SimulatedDisk::new(1);
        disk.plan(1, Fault::NoSpace);
        let file = disk.create("a").expect("the first operation");
        let error = file.write_at(0, b"x").expect_err("the second");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        file.write_at(0, b"x").expect("the third");
    }
}
