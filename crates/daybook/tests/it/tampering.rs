//! Whoever owns the disk, knows the formats and can make every checksum right, but has not the key,
//! changes nothing of a signed log that `daybook verify` does not report.
//!
//! The forger here is Daybook itself: it builds a log of the same name and salt with other events,
//! whole in every byte, and its files are put in the place of the true ones, one class of files,
//! some, or all. `DAYBOOK_TAMPERINGS` sets how many times.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use event::RejectedRecord;
use event::query::{Dimension, Query, Top};
use event::{Event, OutcomeKind, Time, entry};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{
    Append, Contents, DeadLetter, Error, IncomingEvent, LOG_KEY, Log, OnConflict, Row, Settings,
    StoredEvent,
};
use tlog::{Checkpoint, Hash, Note, Signer, Tree};

use crate::evidence::{copy, covering, key_of, send};
use crate::harness::{Daybook, TestDir, daybook, text};
use crate::verify::{REFUTED, Random, VERIFIED, exits, verify};

const DAMAGED: i32 = 3;

/// An event, and when it was received.
type Recorded = (Event, Time);

fn disk(data: &Path) -> Arc<dyn Disk> {
    Arc::new(Local::open(data))
}

/// Every event of a log.
fn events(data: &Path) -> Vec<Recorded> {
    let log = Contents::read(&disk(data)).unwrap();
    (0..log.head().0)
        .map(|index| {
            let stored = log.stored_event(index).unwrap().unwrap();
            let decoded = entry::decode(&stored.entry).unwrap();
            (Event { raw: stored.raw, ..decoded.event }, decoded.received_at)
        })
        .collect()
}

/// Rejected records, beside events: some are flushed.
fn garbage() -> Vec<String> {
    (0..9).map(|number| format!("no notification {number}")).collect()
}

/// Makes a log of the same identity as that in `like`, of these events and rejected records; most
/// are flushed, in two segments.
fn build(like: &Path, to: &Path, events: &[Recorded], letters: &[String]) {
    let identity = Contents::read(&disk(like)).unwrap().identity().clone();
    let made: Arc<dyn Disk> = Arc::new(Local::create(to).unwrap());
    let key = fs::read(like.join(LOG_KEY)).unwrap();
    store::init(&made, &identity, &[(LOG_KEY, &key)]).unwrap();
    let log =
        Log::open(made, Settings { compaction_segments: 100, ..Settings::default() }).unwrap();
    for (group, some) in events.chunks(50).enumerate() {
        let append = Append {
            source: "forger".to_owned(),
            received_at: some.last().unwrap().1,
            events: some.iter().map(|(event, _)| IncomingEvent::new(event.clone())).collect(),
            rejected: letters.get(group).map(|text| rejected(text)).into_iter().collect(),
            on_conflict: OnConflict::DeadLetter,
            is_own: false,
        };
        log.append(append).unwrap().unwrap();
        if group == 4 || group == 8 {
            log.flush().unwrap();
        }
    }
    log.close().unwrap();
}

fn rejected(text: &str) -> RejectedRecord {
    RejectedRecord { reason: "it is no notification".to_owned(), raw: text.into() }
}

/// Everything that can be read of a log: by its tables and journal, by its indexes, by its tree.
#[derive(PartialEq)]
struct Everything {
    stored: Vec<Option<StoredEvent>>,
    rows: Vec<Row>,
    tops: Vec<Top>,
    hashes: Vec<Option<Vec<Hash>>>,
    dead_letters: Vec<DeadLetter>,
}

fn everything(data: &Path) -> Result<Everything, Error> {
    let log = Contents::read(&disk(data))?;
    let size = log.head().0;
    let all =
        Query { trails: log.trails(), limit: usize::MAX, ..Query::of(log.trails().remove(0)) };
    let hashes = |level| log.hashes(level, 0, (size >> (8 * level)) as usize);
    Ok(Everything {
        stored: (0..size).map(|index| log.stored_event(index)).collect::<Result<_, _>>()?,
        rows: log.query(&all)?.rows.into_iter().map(as_indexed).collect(),
        tops: log.tops(&all, &Dimension::ALL, 1000)?,
        hashes: (0..2).map(hashes).collect::<Result<_, _>>()?,
        dead_letters: store::dead_letters(&disk(data))?,
    })
}

/// Answers leave some members of flushed events out.
fn as_indexed(mut row: Row) -> Row {
    (row.entry.event.origin.key, row.entry.raw_sha256) = (None, [0; 32]);
    row
}

/// Signs the log in a data directory.
fn sign(data: &Path) {
    let signer = Signer::parse(fs::read_to_string(data.join(LOG_KEY)).unwrap().trim_end()).unwrap();
    let (size, root) = Contents::read(&disk(data)).unwrap().head();
    let checkpoint = Checkpoint { origin: signer.verifier().name().to_owned(), size, root };
    let mut letters = Tree::new();
    store::dead_letters(&disk(data))
        .unwrap()
        .iter()
        .for_each(|record| letters.push(&record.digest()));
    let line = format!("set-aside {} {}\n", letters.size(), BASE64_STANDARD.encode(letters.root()));
    let mut note = Note::new(checkpoint.text() + &line).unwrap();
    note.add(signer.sign(note.text(), 0));
    fs::write(data.join("tree/checkpoint"), note.to_string()).unwrap();
}

/// Ways to change a history.
const CHANGES: usize = 14;

/// Changes the history in this way; says how.
fn change(
    events: &mut Vec<Recorded>,
    letters: &mut Vec<String>,
    way: usize,
    random: &mut Random,
) -> String {
    let len = events.len();
    // Mostly among those that are flushed.
    let (one, other) = (random.below(len * 3 / 4), random.below(len));
    let record = random.below(letters.len());
    let times: Vec<Time> = events.iter().map(|(_, at)| *at).collect();
    let event = &mut events[one].0;
    match way {
        0 => event.actor.name = Some("mallory".to_owned()),
        1 => event.description = Some("nothing to see".to_owned()),
        2 => event.resource.name = Some("library/other".to_owned()),
        3 => event.occurred_at = event.occurred_at.plus_seconds(60),
        4 => event.outcome.kind = OutcomeKind::Failure,
        5 => event.outcome.code = Some(404),
        6 => event.raw.push(b' '),
        _ => {}
    }
    let how = match way {
        0..=6 => format!("event {one} edited"),
        7 => {
            events.remove(one);
            format!("event {one} deleted")
        }
        8 => {
            events.swap(one, (one + 1 + other) % len);
            format!("event {one} swapped with another")
        }
        9 => {
            let end = (one + 2 + random.below(20)).min(len);
            events[one..end].rotate_left(1);
            format!("events {one} to {end} reordered")
        }
        10 => {
            let length = len - 1 - random.below(len / 2);
            events.truncate(length);
            format!("cut to {length} events")
        }
        11 => {
            let event = events[other].clone();
            events.insert(one, event);
            format!("event {other} inserted again at {one}")
        }
        12 => {
            letters[record].push('!');
            format!("record {record} edited")
        }
        _ => {
            letters.remove(record);
            format!("record {record} removed")
        }
    };
    // The times of receipt go on as they were, so that the log is one that could have been.
    for ((_, at), time) in events.iter_mut().zip(times) {
        *at = time;
    }
    how
}

/// Classes of files, by how their names begin and end.
const CLASSES: [(&str, &str); 8] = [
    ("set-aside/", ".aside"),
    ("journal/", ".journal"),
    ("segments/", ".parquet"),
    ("segments/", ".index"),
    ("tree/digests", ""),
    ("tree/level-", ""),
    ("manifest", ""),
    ("LOG", ""),
];

/// The files of a class in a data directory, in order.
fn files(data: &Path, (start, end): (&str, &str)) -> Vec<String> {
    let folder = start.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found: Vec<String> = fs::read_dir(data.join(folder))
        .into_iter()
        .flatten()
        .map(|entry| text(entry.unwrap().file_name().as_encoded_bytes()))
        .map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") })
        .filter(|name| name.starts_with(start) && name.ends_with(end) && !name.ends_with(".lock"))
        .collect();
    found.sort();
    found
}

/// Replaces the files of these classes by those of another directory.
fn replace(data: &Path, by: &Path, classes: &[(&str, &str)]) {
    for class in classes {
        for name in files(data, *class) {
            fs::remove_file(data.join(name)).unwrap();
        }
        for name in files(by, *class) {
            fs::copy(by.join(&name), data.join(name)).unwrap();
        }
    }
}

/// The classes of which two directories do not have the same files.
fn differing(data: &Path, other: &Path) -> Vec<&'static str> {
    let differs = |class: &&(&'static str, &'static str)| {
        let names = files(data, **class);
        let is_same = |name: &String| {
            fs::read(data.join(name)).unwrap() == fs::read(other.join(name)).unwrap()
        };
        names != files(other, **class) || !names.iter().all(is_same)
    };
    CLASSES.iter().filter(differs).map(|(name, _)| *name).collect()
}

/// Makes every checksum of segments right: in the indexes those of the tables, in the manifest
/// those of both (docs/format.md). Returns how many indexes have as many as their tables.
fn correct_checksums(data: &Path) -> usize {
    let mut corrected = 0;
    let Ok(mut manifest) = fs::read_to_string(data.join("manifest")) else { return corrected };
    let mut from = 0;
    for table in files(data, ("segments/", ".parquet")) {
        let table = data.join(table);
        let Ok(bytes) = fs::read(&table) else { continue };
        let index = table.with_extension("index");
        let Ok(mut indexed) = fs::read(&index) else { continue };
        let checksums: Vec<u8> = bytes
            .chunks(TABLE_CHUNK)
            .flat_map(|chunk| crc32c::crc32c(chunk).to_le_bytes())
            .collect();
        corrected += usize::from(replace_block(&mut indexed, TABLE_CHECKSUMS, &checksums));
        fs::write(&index, &indexed).unwrap();
        for (name, value) in [
            ("table_bytes", bytes.len().to_string()),
            ("index_bytes", indexed.len().to_string()),
            ("table_sha256", format!("\"{}\"", crate::harness::hex(&Sha256::digest(&bytes)))),
        ] {
            let name = format!("\"{name}\":");
            let Some(at) = manifest[from..].find(&name) else { return corrected };
            let start = from + at + name.len();
            let end = start + manifest[start..].find([',', '}']).unwrap();
            manifest.replace_range(start..end, &value);
            from = start;
        }
    }
    let at = manifest.rfind("\"crc32c\":").unwrap() + 9;
    manifest.replace_range(at.., "0}");
    let sum = crc32c::crc32c(manifest.as_bytes()).to_string();
    manifest.replace_range(at.., &format!("{sum}}}"));
    fs::write(data.join("manifest"), manifest).unwrap();
    corrected
}

const TABLE_CHUNK: usize = 16 << 10;
/// The section of an index that has the checksums of the table's chunks.
const TABLE_CHECKSUMS: u8 = 11;
const FOOT_BYTES: usize = 28;

/// Replaces the one block of a section by one of the same length; returns whether it has that.
fn replace_block(index: &mut [u8], section: u8, block: &[u8]) -> bool {
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    let foot = index.len() - FOOT_BYTES;
    let directory = number(&index[foot..]);
    let (mut at, mut offset, mut is_there) = (directory + 4, 16, false);
    for _ in 0..number(&index[directory..]) {
        let (this, blocks) = (index[at], number(&index[at + 1..]));
        at += 5;
        for _ in 0..blocks {
            let len = number(&index[at..]);
            if this == section && len == block.len() {
                is_there = true;
                index[offset..offset + len].copy_from_slice(block);
                index[at + 4..at + 8].copy_from_slice(&crc32c::crc32c(block).to_le_bytes());
            }
            offset += len;
            at += 8;
        }
    }
    let sum = crc32c::crc32c(&index[directory..foot]).to_le_bytes();
    index[foot + 16..foot + 20].copy_from_slice(&sum);
    is_there
}

#[test]
fn no_tampering_goes_unreported() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..560);
    covering(&server, &key_of(&test_dir), 560);
    assert_eq!(server.stop(), Some(0));
    let history = events(&test_dir.data());
    let (genuine, data) = (test_dir.path("genuine"), test_dir.path("tampered"));
    build(&test_dir.data(), &genuine, &history, &garbage());
    sign(&genuine);
    let newest = genuine.join("tree/checkpoint");
    let check = |since: bool| {
        let since = if since { vec!["--since", newest.to_str().unwrap()] } else { Vec::new() };
        verify(&test_dir, &[&[data.to_str().unwrap()][..], &since].concat())
    };
    let untouched = everything(&genuine).unwrap();
    assert_eq!(
        (untouched.stored.len(), untouched.dead_letters.len()),
        (history.len(), garbage().len())
    );
    copy(&genuine, &data);
    assert_eq!(correct_checksums(&data), 2);
    assert!(differing(&data, &genuine).is_empty(), "the checksums were right");
    exits(&check(true), VERIFIED);
    let count: usize =
        std::env::var("DAYBOOK_TAMPERINGS").map_or(300, |count| count.parse().unwrap());
    let mut random = Random(2026);
    let (mut reported, mut harmless, mut forged) = ([0; 2], 0, 0);
    while reported.iter().sum::<usize>() < count {
        let (mut changed, mut letters) = (history.clone(), garbage());
        // Each way in turn; 5 has no factor in common with their number.
        let how = change(&mut changed, &mut letters, (forged * 5 + 5) % CHANGES, &mut random);
        forged += 1;
        let forgery = test_dir.path(&format!("forgery-{forged}"));
        build(&test_dir.data(), &forgery, &changed, &letters);
        // Each class alone, then some at random, then all.
        let mut sets: Vec<Vec<(&str, &str)>> = CLASSES.iter().map(|class| vec![*class]).collect();
        for _ in 0..8 {
            sets.push(CLASSES.into_iter().filter(|_| random.below(2) == 0).collect());
        }
        sets.push(CLASSES.to_vec());
        for classes in sets {
            fs::remove_dir_all(&data).unwrap();
            copy(&genuine, &data);
            replace(&data, &forgery, &classes);
            correct_checksums(&data);
            let differing = differing(&data, &genuine);
            if differing.is_empty() {
                continue;
            }
            // The files of all classes, signed by the forger's own key.
            let is_signed = classes.len() == CLASSES.len() && random.below(2) == 0;
            if is_signed {
                let other = Signer::new("test.example/log", tlog::Kind::Note, &[7; 32]).unwrap();
                fs::write(data.join(LOG_KEY), format!("{}\n", other.private_text())).unwrap();
                sign(&data);
            }
            let output = check(false);
            let said = text(&output.stdout) + &text(&output.stderr);
            match output.status.code() {
                Some(DAMAGED) => reported[0] += 1,
                Some(REFUTED) => reported[1] += 1,
                // A journal may have what was flushed long since, which nobody reads any more;
                // and a manifest that names fewer segments changes nothing while the journal
                // still has their events.
                Some(VERIFIED) if everything(&data).is_ok_and(|all| all == untouched) => {
                    harmless += 1
                }
                code => panic!("{how}, files {differing:?}: {code:?} {said}"),
            }
        }
        // A directory of earlier, signed as it was then: only the holder of a checkpoint notices.
        let earlier = test_dir.path("earlier");
        let length = history.len() - 1 - random.below(history.len() / 2);
        build(&test_dir.data(), &earlier, &history[..length], &garbage());
        sign(&earlier);
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&earlier, &data).unwrap();
        exits(&check(false), VERIFIED);
        exits(&check(true), REFUTED);
        reported[1] += 1;
        fs::remove_dir_all(&forgery).unwrap();
    }
    println!(
        "{forged} forgeries; {} found damaged, {} refuted by what was signed; {harmless} changed nothing that is read",
        reported[0], reported[1]
    );
}

#[test]
fn a_forged_log_is_not_served() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..20);
    assert_eq!(server.stop(), Some(0));
    let mut changed = events(&test_dir.data());
    changed[12].0.actor.name = Some("mallory".to_owned());
    let forgery = test_dir.path("forgery");
    build(&test_dir.data(), &forgery, &changed, &[]);
    replace(&test_dir.data(), &forgery, &CLASSES);
    let mut command = test_dir.serve_command(daybook());
    match Daybook::try_spawn(&mut command) {
        Ok(_) => panic!("the log was served"),
        Err(said) => assert!(said.contains("events differ from those that were signed"), "{said}"),
    }
}
