//! Random histories of files, run through the follower on a model of a file system: every line is
//! recorded once, whenever the process ends and starts again.
//!
//! `DAYBOOK_SEEDS=0..100000` runs other histories; a failure names its seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::content::{Content, FileIdentity, FileVersion, Files, Scan, Sighting, is_compressed};
use super::follower::{Follower, Gap, Moment, Piece, Rules};
use super::state::FollowState;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Files exist while they have a name or are open. Their numbers are used again, the lowest first.
#[derive(Default)]
struct World {
    names: BTreeMap<PathBuf, Rc<Inode>>,
    inodes: BTreeMap<u64, Weak<Inode>>,
    clock: i64,
    has_birth_times: bool,
}

struct Inode {
    number: u64,
    born_ns: i64,
    held: RefCell<FileData>,
}

impl Inode {
    fn identity(&self) -> FileIdentity {
        FileIdentity { device: 0, inode: self.number, born_ns: self.born_ns }
    }
}

#[derive(Default)]
struct FileData {
    bytes: Vec<u8>,
    modified_ns: i64,
    /// A compressed file without its end.
    is_torn: bool,
}

#[derive(Clone, Default)]
struct Model(Rc<RefCell<World>>);

impl Model {
    fn create(&self, name: &str) {
        let mut world = self.0.borrow_mut();
        let number = (1..)
            .find(|number| world.inodes.get(number).is_none_or(|inode| inode.strong_count() == 0));
        let number = number.expect("numbers do not end");
        world.clock += 1;
        let born_ns = if world.has_birth_times { world.clock } else { 0 };
        let inode = Rc::new(Inode { number, born_ns, held: RefCell::default() });
        world.inodes.insert(number, Rc::downgrade(&inode));
        world.names.insert(name.into(), inode);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut FileData)) {
        let mut world = self.0.borrow_mut();
        world.clock += 1;
        let clock = world.clock;
        let mut held = world.names[Path::new(name)].held.borrow_mut();
        change(&mut held);
        held.modified_ns = clock;
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        self.change(name, |held| held.bytes.extend_from_slice(bytes));
    }

    fn rename(&self, from: &str, to: &str) {
        let mut world = self.0.borrow_mut();
        if let Some(inode) = world.names.remove(Path::new(from)) {
            world.names.insert(to.into(), inode);
        }
    }

    fn remove(&self, name: &str) {
        self.0.borrow_mut().names.remove(Path::new(name));
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.borrow().names[Path::new(name)].held.borrow().bytes.clone()
    }

    fn has(&self, name: &str) -> bool {
        self.0.borrow().names.contains_key(Path::new(name))
    }
}

struct ModelFile(Rc<Inode>);

impl Content for ModelFile {
    fn len_bytes(&mut self) -> io::Result<u64> {
        Ok(self.0.held.borrow().bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let held = self.0.held.borrow();
        let rest =
            usize::try_from(offset).ok().and_then(|at| held.bytes.get(at..)).unwrap_or_default();
        if rest.is_empty() && held.is_torn {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

impl Files for Model {
    type Content = ModelFile;

    fn scan(&self) -> Scan {
        let world = self.0.borrow();
        let found = world.names.iter().map(|(path, inode)| {
            let held = inode.held.borrow();
            Sighting {
                path: path.clone(),
                identity: inode.identity(),
                version: FileVersion {
                    size: if is_compressed(path) {
                        held.bytes.len() as u64 / 3 + 1
                    } else {
                        held.bytes.len() as u64
                    },
                    modified_ns: held.modified_ns,
                },
                is_compressed: is_compressed(path),
            }
        });
        Scan { found: found.collect(), failed: Vec::new() }
    }

    fn open(&self, path: &Path, identity: FileIdentity, _: bool) -> io::Result<ModelFile> {
        let world = self.0.borrow();
        let inode = world.names.get(path).filter(|inode| inode.identity() == identity);
        inode.cloned().map(ModelFile).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A follower with a log and a stored state. It may crash at any moment.
struct Machine {
    world: Model,
    follower: Follower<Model>,
    durable: Option<FollowState>,
    /// Recorded lines by key.
    log: HashMap<String, Vec<u8>>,
    under_way: Vec<Piece>,
    gaps: Vec<Gap>,
    elapsed: Duration,
    crashes: u64,
}

fn rules(ids: u64, from_end: bool) -> Rules {
    let mut next = ids;
    Rules {
        format: "nginx-json".parse().expect("a format"),
        is_import: false,
        from_end,
        piece_bytes: 40,
        record_bytes_max: 160,
        new_id: Box::new(move || {
            next += 1;
            format!("f{next}")
        }),
        begins: Box::new(|_| None),
        go_on: Box::new(|| true),
    }
}

impl Machine {
    fn new(from_end: bool) -> Machine {
        let world = Model::default();
        let now = Moment { elapsed: Duration::ZERO, unix_s: 0 };
        Machine {
            follower: Follower::resume(world.clone(), rules(0, from_end), None, now),
            world,
            durable: None,
            log: HashMap::new(),
            under_way: Vec::new(),
            gaps: Vec::new(),
            elapsed: Duration::ZERO,
            crashes: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment { elapsed: self.elapsed, unix_s: self.elapsed.as_secs().cast_signed() }
    }

    fn write(&mut self) {
        self.gaps.extend(self.follower.take_gaps());
        self.durable = Some(FollowState::parse(&self.follower.state().render()).expect("our own"));
        self.follower.mark_durable();
    }

    /// Records the oldest piece.
    fn record_one(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let piece = self.under_way.remove(0);
        self.put(&piece);
        self.follower.mark_recorded(piece.ticket);
    }

    fn put(&mut self, piece: &Piece) {
        let mut at = piece.offset;
        for line in piece.bytes.split_inclusive(|&byte| byte == b'\n') {
            let before = self.log.insert(format!("{}:{at}", piece.file), line.to_vec());
            assert!(
                before.is_none_or(|before| before == line),
                "{} has two lines at {at}",
                piece.file
            );
            at += line.len() as u64;
        }
    }

    /// Reads at most this many pieces.
    fn read(&mut self, pieces: u64) {
        if self.follower.has_new() {
            self.write();
        }
        for _ in 0..pieces {
            let now = self.now();
            let Some(piece) = self.follower.next(now) else { break };
            if piece.bytes.is_empty() {
                self.follower.mark_recorded(piece.ticket);
            } else {
                self.under_way.push(piece);
            }
        }
    }

    /// Reads all that can be read now.
    fn pass(&mut self) {
        let now = self.now();
        self.follower.scan(now);
        self.read(u64::MAX);
        while !self.under_way.is_empty() {
            self.record_one();
        }
        self.write();
    }

    /// Crashes after the log recorded some of the pieces in flight.
    fn crash(&mut self, taken: usize) {
        for piece in std::mem::take(&mut self.under_way).into_iter().take(taken) {
            self.put(&piece);
        }
        self.crashes += 1;
        let (ids, now) = (1000 * self.crashes, self.now());
        self.follower =
            Follower::resume(self.world.clone(), rules(ids, false), self.durable.clone(), now);
    }

    /// Runs passes until no wait is left.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.elapsed += Duration::from_secs(20);
            self.pass();
        }
    }

    fn lines(&self) -> BTreeMap<String, u64> {
        let mut lines = BTreeMap::new();
        for line in self.log.values() {
            *lines.entry(String::from_utf8_lossy(line).trim_end().to_owned()).or_default() += 1;
        }
        lines
    }

    /// Whether all bytes of a file are known to be recorded.
    fn has_recorded(&self, name: &str) -> bool {
        let lines = self.lines();
        let bytes = self.world.bytes(name);
        bytes.ends_with(b"\n")
            && String::from_utf8_lossy(&bytes).lines().all(|line| lines.contains_key(line))
    }
}

/// A program that writes lines, and something that rotates its files.
struct Program {
    world: Model,
    active: String,
    written: u64,
    /// The part of a line not yet written.
    unwritten: Vec<u8>,
    /// Whether every file begins with the same line.
    has_headers: bool,
    files: u64,
    /// The copy that is being written, and how many bytes it has.
    copying: Option<(String, usize)>,
}

impl Program {
    fn begin(world: &Model, has_headers: bool) -> Program {
        let mut program = Program {
            world: world.clone(),
            active: "log".to_owned(),
            written: 0,
            unwritten: Vec::new(),
            has_headers,
            files: 0,
            copying: None,
        };
        program.create("log");
        program
    }

    fn create(&mut self, name: &str) {
        self.world.create(name);
        self.header(name);
    }

    fn header(&mut self, name: &str) {
        self.files += 1;
        if self.has_headers {
            self.world.append(name, b"#header\n");
        }
    }

    fn write(&mut self, random: &mut Random) {
        self.end_line();
        for _ in 0..random.below(4) {
            self.written += 1;
            let padding = "x".repeat(usize::try_from(random.below(30)).expect("small"));
            self.unwritten = format!("line {} {padding}\n", self.written).into_bytes();
            if random.one_in(4) {
                let len =
                    usize::try_from(random.below(self.unwritten.len() as u64)).expect("small");
                let rest = self.unwritten.split_off(len);
                self.end_line();
                self.unwritten = rest;
                return;
            }
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let rest = std::mem::take(&mut self.unwritten);
        if !rest.is_empty() {
            self.world.append(&self.active, &rest);
        }
    }

    fn shift(&mut self, ending: &str, machine: &Machine) -> bool {
        // The oldest file is removed only if nobody needs it.
        let oldest = format!("log.4{ending}");
        let is_needed = self.world.has(&oldest) && !machine.has_recorded(&oldest);
        if is_needed || self.world.has("log.2.gz") || self.copying.is_some() {
            return false;
        }
        for number in (1..4).rev() {
            self.world
                .rename(&format!("log.{number}{ending}"), &format!("log.{}{ending}", number + 1));
        }
        true
    }

    fn rotate_by_rename(&mut self, machine: &Machine) {
        self.end_line();
        if self.active == "log" && self.shift("", machine) {
            self.world.rename("log", "log.1");
            self.create("log");
        }
    }

    fn rotate_by_new_name(&mut self) {
        if self.copying.is_some() {
            return;
        }
        self.end_line();
        self.active = format!("log-{}", self.files);
        let name = self.active.clone();
        self.create(&name);
    }

    /// Begins or continues a copy with a part of the present bytes.
    fn copy(&mut self, machine: &Machine, part: u64) {
        if self.active != "log" {
            return;
        }
        if self.copying.is_none() {
            if !self.shift("", machine) {
                return;
            }
            self.world.create("log.1");
            self.copying = Some(("log.1".to_owned(), 0));
        }
        let all = self.world.bytes("log");
        if let Some((name, done)) = &mut self.copying {
            let rest = &all[*done..];
            let len = usize::try_from(rest.len() as u64 * part / 4).expect("small");
            self.world.append(name, &rest[..len]);
            *done += len;
        }
    }

    /// Completes the copy and empties the program's file.
    fn copy_truncate(&mut self, machine: &Machine) {
        self.end_line();
        if self.active != "log" || (self.copying.is_none() && !self.shift("", machine)) {
            return;
        }
        let all = self.world.bytes("log");
        // A copy in progress is completed.
        let begun =
            self.copying.take().filter(|(name, _)| self.world.has(name)).map_or(0, |(_, len)| len);
        if begun == 0 {
            self.world.create("log.1");
        }
        self.world.append("log.1", &all[begun..]);
        self.world.change("log", |held| held.bytes.clear());
        self.header("log");
    }

    /// The newest rotated file is compressed, in two steps.
    fn compress(&mut self, is_end: bool) {
        if !self.world.has("log.2") || self.active == "log.2" {
            return;
        }
        if !self.world.has("log.2.gz") {
            let bytes = self.world.bytes("log.2");
            let half = bytes.len() / 2;
            self.world.create("log.2.gz");
            self.world.change("log.2.gz", |held| {
                held.bytes = bytes[..half].to_vec();
                held.is_torn = true;
            });
        } else if is_end {
            let bytes = self.world.bytes("log.2");
            if !bytes.starts_with(&self.world.bytes("log.2.gz")) {
                return;
            }
            self.world.change("log.2.gz", |held| {
                held.bytes = bytes;
                held.is_torn = false;
            });
            self.world.remove("log.2");
            let name = format!("old-{}.gz", self.files);
            self.files += 1;
            self.world.rename("log.2.gz", &name);
        }
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let mut machine = Machine::new(false);
    let has_headers = random.one_in(2);
    // If only the inode distinguishes files, one that holds a header alone can be mistaken for
    // another.
    machine.world.0.borrow_mut().has_birth_times = has_headers || random.one_in(2);
    let mut program = Program::begin(&machine.world.clone(), has_headers);
    let may_compress = random.one_in(2);
    for _ in 0..10 + random.below(120) {
        machine.elapsed += Duration::from_millis(random.below(1500));
        match random.below(24) {
            0..7 => program.write(&mut random),
            7..11 => {
                let now = machine.now();
                machine.follower.scan(now);
                machine.read(random.below(4));
            }
            11..14 => machine.read(random.below(6)),
            14..17 => machine.record_one(),
            17 => machine.write(),
            // While only a header is durable, an emptied file cannot be distinguished from its
            // copy.
            18 if !has_headers => {
                let taken = usize::try_from(random.below(4)).expect("small");
                machine.crash(taken);
            }
            19 => machine.pass(),
            20 if random.one_in(2) => program.copy(&machine, random.below(5)),
            20 => program.rotate_by_rename(&machine),
            21 if random.one_in(2) => program.rotate_by_new_name(),
            21 | 22 => program.copy_truncate(&machine),
            _ if may_compress => program.compress(random.one_in(2)),
            _ => {}
        }
    }
    program.end_line();
    if program.world.has("log.2.gz") {
        program.compress(true);
    }
    machine.settle();
    let mut lines = machine.lines();
    lines.remove("#header");
    for number in 1..=program.written {
        let found: Vec<u64> = lines
            .iter()
            .filter(|(line, _)| line.trim_end_matches('x').trim_end() == format!("line {number}"))
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(found, [1], "seed {seed}: line {number} of {}", program.written);
    }
    assert_eq!(lines.len() as u64, program.written, "seed {seed}: {lines:?}");
    // A file recorded before a crash and gone after it cannot be known to be recorded.
    let finds_gaps = machine.crashes == 0 && !has_headers;
    assert!(!finds_gaps || machine.gaps.is_empty(), "seed {seed}: {:?}", machine.gaps);
}

/// A machine that has recorded these lines of `log`.
fn machine_with(bytes: &[u8]) -> Machine {
    let mut machine = Machine::new(false);
    machine.world.create("log");
    machine.world.append("log", bytes);
    machine.pass();
    machine
}

fn gaps_of(machine: &Machine) -> Vec<(u64, Option<u64>)> {
    machine.gaps.iter().map(|gap| (gap.from, gap.to)).collect()
}

#[test]
fn bytes_removed_before_they_were_read_are_reported_once() {
    // Read to its end: nothing is lost.
    let mut machine = machine_with(b"one\ntwo\n");
    machine.world.change("log", |held| held.bytes = b"three\n".to_vec());
    machine.settle();
    assert_eq!((gaps_of(&machine), machine.lines().len()), (vec![], 3));
    // The file held half a line that nobody ended.
    let mut machine = machine_with(b"one\ntwo");
    machine.world.change("log", |held| held.bytes = b"three\n".to_vec());
    machine.settle();
    assert_eq!((gaps_of(&machine), machine.lines().len()), (vec![(4, Some(7))], 2));
    machine.crash(0);
    machine.settle();
    assert_eq!(gaps_of(&machine), [(4, Some(7))], "once");
    // The end was cut off.
    let mut machine = machine_with(&[b"a line\n".repeat(1000), b"half".to_vec()].concat());
    machine.world.change("log", |held| held.bytes.truncate(7002));
    machine.settle();
    assert_eq!((gaps_of(&machine), machine.log.len()), (vec![(7002, Some(7004))], 1000));
    // Removed while nothing ran that could have it open.
    let mut machine = machine_with(b"one\ntwo");
    machine.crash(0);
    machine.world.remove("log");
    machine.settle();
    assert_eq!(gaps_of(&machine), [(4, Some(7))]);
    // Removed while it is open: it is read to its end.
    let mut machine = machine_with(b"one\ntwo");
    machine.world.remove("log");
    machine.settle();
    assert_eq!((gaps_of(&machine), machine.lines().len()), (vec![], 2));
}

#[test]
fn a_record_that_is_too_long_is_cut_at_the_limit() {
    let long = [b"one\n".to_vec(), vec![b'x'; 1000], b"\ntwo\n".to_vec()].concat();
    let mut machine = machine_with(&long);
    machine.settle();
    // A record may have 160 bytes: the rest of 1,000 bytes is reported as a gap.
    assert_eq!(gaps_of(&machine), [(164, Some(1004))]);
    let lines = machine.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines.contains_key("two") && lines.contains_key(&"x".repeat(160)), "{lines:?}");
    // A crash within the record changes nothing.
    for steps in 1..8 {
        let mut machine = Machine::new(false);
        machine.world.create("log");
        machine.world.append("log", &long);
        let now = machine.now();
        machine.follower.scan(now);
        machine.read(steps);
        while !machine.under_way.is_empty() {
            machine.record_one();
        }
        machine.write();
        machine.crash(0);
        machine.settle();
        assert_eq!(
            (machine.lines(), gaps_of(&machine)),
            (lines.clone(), vec![(164, Some(1004))]),
            "{steps}"
        );
    }
}

#[test]
fn holes_are_skipped_and_an_unfinished_line_is_taken_once_its_file_was_rotated() {
    let mut machine = machine_with(b"one\n");
    machine.world.append("log", &[0; 500]);
    machine.pass();
    machine.world.append("log", b"two\nthree");
    machine.pass();
    assert_eq!(machine.lines().len(), 2);
    machine.world.rename("log", "log.1");
    machine.world.create("log");
    machine.world.append("log", b"four\n");
    machine.settle();
    assert_eq!(machine.lines().into_keys().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
}

#[test]
fn from_the_end_only_later_lines_are_read() {
    let mut machine = Machine::new(true);
    machine.world.create("log");
    machine.world.append("log", b"old\nhalf");
    machine.pass();
    machine.world.append("log", b" a line\n");
    machine.world.create("log.new");
    machine.world.append("log.new", b"new\n");
    machine.settle();
    assert_eq!(machine.lines().into_keys().collect::<Vec<_>>(), ["half a line", "new"]);
}

#[test]
fn the_state_of_another_process_is_adopted() {
    let mut machine = machine_with(b"one\n");
    machine.world.create("other");
    machine.world.append("other", b"two\n");
    let now = machine.now();
    // Both processes find the file; the other was first, and has read it.
    machine.follower.scan(now);
    let mut theirs =
        Follower::resume(machine.world.clone(), rules(500, false), machine.durable.clone(), now);
    theirs.scan(now);
    theirs.mark_durable();
    let piece = theirs.next(now).expect("a piece");
    machine.put(&piece);
    theirs.mark_recorded(piece.ticket);
    machine.follower.adopt(theirs.state(), now);
    machine.settle();
    assert_eq!(machine.lines().into_values().sum::<u64>(), 2);
    assert!(machine.log.contains_key("f501:0"), "{:?}", machine.log);
}

#[test]
fn every_line_is_recorded_once_whatever_happens() {
    let seeds = std::env::var("DAYBOOK_SEEDS").unwrap_or("0..2000".to_owned());
    let (from, to) = seeds.split_once("..").expect("a range");
    for seed in from.parse().expect("a number")..to.parse().expect("a number") {
        assert!(std::panic::catch_unwind(|| history(seed)).is_ok(), "seed {seed}");
    }
}
