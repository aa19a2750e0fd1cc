//! Torn tails are cut; damage is reported and left as it is.

use std::sync::Arc;

use event::query::{Dimension, Top};
use event::{LOG_FILE, Service, Trail};
use store::durable::{Disk, read_file};
use store::simulated::SimulatedDisk;
use store::{Error, Log, Refusal, check, init};

use crate::{all, event, identity, open, request, small_files};

const JOURNAL: &str = "journal/00000000000000000000.journal";

/// End of a journal file's frames, where the room for further ones begins. The last frame is a
/// mark, whose batch number below 256 ends in seven zeros.
fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1 + 7
}

/// A log of three batches, closed in order.
fn three_batches() -> (SimulatedDisk, Arc<dyn Disk>) {
    let simulated = SimulatedDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = Log::open(Arc::clone(&disk), store::Settings::default()).unwrap();
    for batch in 0..3 {
        let rejected = format!("rejected {batch}");
        log.append(request(vec![event("hub", &format!("k{batch}"), batch)], &[&rejected]))
            .unwrap()
            .unwrap();
    }
    log.close().unwrap();
    simulated.restart();
    (simulated, disk)
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    let (simulated, disk) = three_batches();
    for path in ["LOG", JOURNAL] {
        let bytes = read_file(&*disk, path).unwrap();
        let len = if path == JOURNAL { data_end(&bytes) } else { bytes.len() };
        // Every byte with a meaning, and some of the room behind it.
        for offset in (0..len).chain((len..bytes.len()).step_by(40_009)) {
            if offset >= read_file(&*disk, path).unwrap().len() {
                break; // The open before took the room away.
            }
            let bit = (offset % 8) as u8;
            simulated.flip(path, offset, bit);
            let before = read_file(&*disk, path).unwrap();
            let checked = check(&disk, &mut |_| {}).map(|report| report.torn_tail.is_some());
            assert_eq!(read_file(&*disk, path).unwrap(), before, "a check changes nothing");
            let opened =
                Log::open(Arc::clone(&disk), small_files()).map(|log| log.torn_tail().is_some());
            for (what, found) in [("check", checked), ("open", opened)] {
                match found {
                    Err(Error::Damage { file, offset: named, .. }) => {
                        assert_eq!(file, path);
                        assert!(
                            named <= offset as u64,
                            "{what}: {path} flipped at {offset}, named {named}"
                        );
                    }
                    // The format number is read before the checksum, so that a newer format is
                    // distinguished from damage.
                    Err(Error::NotALog { .. }) if path == "LOG" => {}
                    // The mark of the last batch shows that it was acknowledged; without it the
                    // batch itself still stands.
                    Ok(true) if path == JOURNAL && offset >= len - 17 => {}
                    other => panic!("{what}: {path} flipped at {offset} of {len}: {other:?}"),
                }
            }
            if offset < len - 17 {
                assert_eq!(read_file(&*disk, path).unwrap(), before, "damage is left as it is");
            }
            if path == JOURNAL && offset >= len - 17 {
                // The open cut the mark off and wrote it again.
                simulated.restart();
                assert_eq!(check(&disk, &mut |_| {}).unwrap().events, 3);
                continue;
            }
            simulated.flip(path, offset, bit);
            simulated.restart();
        }
    }
}

#[test]
fn a_journal_cut_short_anywhere_loses_only_what_was_cut() {
    let (_, disk) = three_batches();
    let mut whole = read_file(&*disk, JOURNAL).unwrap();
    whole.truncate(data_end(&whole));
    let mut last_events = 0;
    for len in 0..whole.len() {
        let cut = SimulatedDisk::new(2);
        let other: Arc<dyn Disk> = Arc::new(cut.clone());
        init(&other, &identity(), &[]).unwrap();
        other.create(JOURNAL).unwrap().write_at(0, &whole[..len]).unwrap();
        match Log::open(Arc::clone(&other), small_files()) {
            Ok(log) => {
                assert!(log.counts().events >= last_events);
                last_events = log.counts().events;
            }
            Err(Error::Damage { offset, .. }) => {
                assert_eq!(last_events, 0);
                assert!(
                    offset as usize == len && len < 48,
                    "only a header cut short is damage: {len}"
                );
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(last_events, 3);
}

#[test]
fn garbage_behind_the_last_batch_is_cut() {
    for garbage in [vec![0xff; 300_000], b"half a frame".to_vec()] {
        let (simulated, disk) = three_batches();
        let bytes = read_file(&*disk, JOURNAL).unwrap();
        let end = data_end(&bytes) as u64;
        disk.open(JOURNAL).unwrap().write_at(end, &garbage).unwrap();
        assert_eq!(check(&disk, &mut |_| {}).unwrap().torn_tail.map(|torn| torn.offset), Some(end));
        let log = open(&disk);
        let torn = log.torn_tail().unwrap();
        assert_eq!(
            (torn.offset, torn.len_bytes),
            (end, (bytes.len() as u64 - end).max(garbage.len() as u64))
        );
        assert_eq!(log.counts().events, 3);
        drop(log);
        simulated.restart();
        assert_eq!(check(&disk, &mut |_| {}).unwrap().torn_tail, None);
    }
}

#[test]
fn missing_foreign_and_unknown_files_are_damage() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = open(&disk);
    for batch in 0..30 {
        log.append(request(vec![event("hub", &format!("k{batch}"), batch)], &[])).unwrap().unwrap();
    }
    log.close().unwrap();
    simulated.restart();
    let files = disk.list("journal").unwrap();
    assert!(files.len() >= 3, "{files:?}");
    let middle = format!("journal/{}", files[1]);
    let bytes = read_file(&*disk, &middle).unwrap();
    let damage = |what: &str| match check(&disk, &mut |_| {}) {
        Err(Error::Damage { .. }) => {}
        other => panic!("{what}: {other:?}"),
    };

    disk.remove(&middle).unwrap();
    damage("a file is missing");
    disk.create(&middle).unwrap().write_at(0, &bytes[..data_end(&bytes) - 1]).unwrap();
    damage("a file that is not the last is cut short");
    let last = read_file(&*disk, &format!("journal/{}", files[2])).unwrap();
    disk.create(&middle).unwrap().write_at(0, &last).unwrap();
    damage("another file's bytes");
    disk.create(&middle).unwrap().write_at(0, &bytes).unwrap();
    assert_eq!(check(&disk, &mut |_| {}).unwrap().events, 30);
    disk.create("journal/notes.txt").unwrap();
    damage("a file that is no journal");
    disk.remove("journal/notes.txt").unwrap();
    for file in &files {
        disk.remove(&format!("journal/{file}")).unwrap();
    }
    damage("no file at all");
}

#[test]
fn a_frame_inside_an_event_is_not_taken_for_one() {
    // The raw bytes of an event hold a whole journal, marks and commits of later batches included.
    let (_, disk) = three_batches();
    let journal = read_file(&*disk, JOURNAL).unwrap();
    let simulated = SimulatedDisk::new(4);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &store::Identity { salt: [8; 16], ..identity() }, &[]).unwrap();
    let log = open(&disk);
    let mut hostile = event("hub", "k0", 0);
    hostile.raw = journal;
    log.append(request(vec![hostile], &[])).unwrap().unwrap();
    drop(log);
    simulated.restart();
    // Tear the batch: without the salt, the frames inside it would look like proof of a later
    // batch.
    let bytes = read_file(&*disk, JOURNAL).unwrap();
    disk.create(JOURNAL).unwrap().write_at(0, &bytes[..bytes.len() - 100]).unwrap();
    let log = open(&disk);
    assert_eq!(log.counts().events, 0);
    assert!(log.torn_tail().is_some());
}

#[test]
fn a_query_fails_rather_than_show_damaged_bytes() {
    let (simulated, disk) = three_batches();
    let log = open(&disk);
    let path = JOURNAL;
    let len = read_file(&*disk, path).unwrap().len();
    for offset in (48..len - 200).step_by(7) {
        simulated.flip(path, offset, 3);
        match log.query(&all(&["hub"])) {
            Err(Error::Damage { file, .. }) => assert_eq!(file, path),
            Ok(page) => {
                let keys: Vec<String> = page.rows.iter().map(crate::key_of).collect();
                assert_eq!(keys, ["k0", "k1", "k2"], "offset {offset}");
            }
            Err(error) => panic!("{error}"),
        }
        simulated.flip(path, offset, 3);
    }
}

/// A log of two segments without unflushed events, one of them compacted from three, with dead
/// letters; and the result of a query of everything.
fn two_segments() -> (SimulatedDisk, Arc<dyn Disk>, Vec<store::Row>) {
    let (simulated, disk) = three_batches();
    let log = Log::open(Arc::clone(&disk), small_files()).unwrap();
    for segment in 0..4 {
        let keys = (0..20).map(|number| format!("s{segment}-{number}"));
        let events = keys
            .enumerate()
            .map(|(at, key)| event(["hub", "mirror"][at % 2], &key, at as i64))
            .collect();
        log.append(request(events, &[&format!("rejected in {segment}")])).unwrap().unwrap();
        log.flush().unwrap();
        log.compact().unwrap();
    }
    let rows = log.query(&all(&["hub", "mirror"])).unwrap().rows;
    assert_eq!(rows.len(), 83);
    log.close().unwrap();
    simulated.restart();
    (simulated, disk, rows)
}

#[test]
fn a_flipped_bit_of_flushed_files_is_found_and_never_answers_wrongly() {
    let flips = std::env::var("DAYBOOK_FLIPS").map_or(300, |text| text.parse().unwrap());
    let (simulated, disk, rows) = two_segments();
    let mut paths = vec!["manifest".to_owned(), "tree/digests".to_owned()];
    for dir in ["segments", "set-aside"] {
        paths.extend(disk.list(dir).unwrap().iter().map(|name| format!("{dir}/{name}")));
    }
    assert_eq!(paths.len(), 10, "{paths:?}");
    for flip in 0..flips {
        let path = &paths[simulated.random_below(paths.len() as u64) as usize];
        let original = read_file(&*disk, path).unwrap();
        let offset = simulated.random_below(original.len() as u64) as usize;
        let bit = simulated.random_below(8) as u8;
        simulated.flip(path, offset, bit);
        match check(&disk, &mut |_| {}) {
            Err(Error::Damage { .. }) => {}
            other => panic!("flip {flip}: byte {offset} of {path}: {:?}", other.err()),
        }
        // An open may find it, or a query; otherwise the result is right.
        if let Ok(log) = Log::open(Arc::clone(&disk), small_files()) {
            match log.query(&all(&["hub", "mirror"])) {
                Ok(page) => assert_eq!(page.rows, rows, "flip {flip}: byte {offset} of {path}"),
                Err(Error::Damage { file, .. }) => assert_eq!(&file, path),
                Err(error) => panic!("flip {flip}: byte {offset} of {path}: {error}"),
            }
        }
        store::durable::write_file(&*disk, path, &original).unwrap();
    }
    check(&disk, &mut |_| {}).unwrap();
}

#[test]
fn columns_and_rows_with_another_bit_and_right_checksums_are_found() {
    let flips: usize = std::env::var("DAYBOOK_FLIPS").map_or(300, |text| text.parse().unwrap());
    let (simulated, disk, rows) = two_segments();
    let tops = |log: &Log| -> Result<Vec<Top>, Error> {
        let query = all(&["hub", "mirror"]);
        log.tops(&query, &Dimension::ALL, usize::MAX)
    };
    let expected = tops(&open(&disk)).unwrap();
    let indexes =
        disk.list("segments").unwrap().into_iter().filter(|name| name.ends_with(".index"));
    let mut found = 0;
    for path in indexes.map(|name| format!("segments/{name}")) {
        let original = read_file(&*disk, &path).unwrap();
        let index = Index::of(&original);
        // Times, indexes, rows, and the columns of the dimensions.
        let looked_at = |block: &&Block| {
            [2, 3, 6].contains(&block.section) || (16..64).contains(&block.section)
        };
        let blocks: Vec<&Block> = index.blocks.iter().filter(looked_at).collect();
        for flip in 0..flips {
            let block = blocks[simulated.random_below(blocks.len() as u64) as usize];
            let offset =
                block.location.start + simulated.random_below(block.location.len() as u64) as usize;
            let mut bytes = original.clone();
            bytes[offset] ^= 1 << simulated.random_below(8);
            index.write_checksums(&mut bytes, block);
            store::durable::write_file(&*disk, &path, &bytes).unwrap();
            match check(&disk, &mut |_| {}) {
                Err(Error::Damage { .. }) => found += 1,
                // The flip has no effect: the unit of a column with equal values, or bits behind
                // the last value.
                Ok(_) => {
                    let log = open(&disk);
                    let what = format!(
                        "flip {flip}: byte {offset}, in section {}, of {path}",
                        block.section
                    );
                    assert_eq!(log.query(&all(&["hub", "mirror"])).unwrap().rows, rows, "{what}");
                    assert_eq!(tops(&log).unwrap(), expected, "{what}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        store::durable::write_file(&*disk, &path, &original).unwrap();
    }
    assert!(found > flips / 2, "{found} of the flips mattered");
}

/// An index file, as `docs/format.md` describes it.
struct Index {
    directory: std::ops::Range<usize>,
    blocks: Vec<Block>,
}

struct Block {
    section: u8,
    location: std::ops::Range<usize>,
    /// Offset of its checksum in the file.
    crc_at: usize,
}

impl Index {
    fn of(bytes: &[u8]) -> Index {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let foot = bytes.len() - 28;
        let directory = number(foot)..foot;
        let (mut at, mut start) = (directory.start + 4, 16);
        let mut blocks = Vec::new();
        for _ in 0..number(directory.start) {
            let (section, count) = (bytes[at], number(at + 1));
            at += 5;
            for _ in 0..count {
                let end = start + number(at);
                blocks.push(Block { section, location: start..end, crc_at: at + 4 });
                (start, at) = (end, at + 8);
            }
        }
        Index { directory, blocks }
    }

    fn write_checksums(&self, bytes: &mut [u8], block: &Block) {
        let crc = crc32c::crc32c(&bytes[block.location.clone()]);
        bytes[block.crc_at..block.crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[self.directory.clone()]);
        bytes[self.directory.end + 16..self.directory.end + 20].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn a_flipped_bit_of_a_table_gives_no_other_lines_and_no_other_duplicates() {
    let simulated = SimulatedDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = open(&disk);
    let events: Vec<event::Event> = (0..60)
        .map(|at| {
            let mut event = event("any", &format!("k{at}"), at);
            event.trail = Trail::new(Service::Database, "acme", "p1", "orders").unwrap();
            event.attributes.insert(LOG_FILE.to_owned(), (at / 50).to_string());
            event
        })
        .collect();
    log.append(request(events.clone(), &[])).unwrap().unwrap();
    log.flush().unwrap();
    let (files, _) = log.audit_files(&events[0].trail, None).unwrap();
    let lines = log.audit_file_lines(&files[0], 0, usize::MAX).unwrap();
    assert_eq!((files.len(), lines.1), (1, 50));
    log.close().unwrap();
    simulated.restart();
    let name =
        disk.list("segments").unwrap().into_iter().find(|name| name.ends_with(".parquet")).unwrap();
    let path = format!("segments/{name}");
    let original = read_file(&*disk, &path).unwrap();
    let mut found = 0;
    for _ in 0..200 {
        let log = open(&disk);
        let offset = simulated.random_below(original.len() as u64) as usize;
        simulated.flip(&path, offset, simulated.random_below(8) as u8);
        match log.audit_file_lines(&files[0], 0, usize::MAX) {
            Ok(read) => assert_eq!(read, lines, "byte {offset}"),
            Err(Error::Damage { file, offset: named, .. }) => {
                assert!(file == path && named <= offset as u64, "byte {offset}: {file} at {named}");
                found += 1;
            }
            Err(error) => panic!("byte {offset}: {error}"),
        }
        // The event sent again is a duplicate, or the log reports damage.
        match log.append(request(vec![events[7].clone()], &[])) {
            Ok(Ok(receipt)) => {
                assert_eq!((receipt.recorded, receipt.duplicates), (0, vec![(0, 7)]))
            }
            Ok(Err(Refusal::Damaged { .. })) => {}
            other => panic!("byte {offset}: {:?}", other.map(|answer| answer.is_ok())),
        }
        drop(log);
        store::durable::write_file(&*disk, &path, &original).unwrap();
    }
    assert!(found > 10, "{found} of the flips mattered");
}
