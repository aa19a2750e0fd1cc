//! Data directories of earlier versions in `tests/data`, which every later version must read.
//!
//! `DAYBOOK_WRITE_FIXTURE=DIR` writes such a directory again, for a format that changed before its
//! release.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use event::named::Name;
use event::query::{Dimension, Filter, Query, Text};
use event::{Event, LOG_FILE, Service, Time, Trail};
use store::durable::{Disk, Local};
use store::{Log, check, init};

use crate::{all, event, identity, key_of, request, small_files};

/// The segments of the first lack the order by time.
const FIXTURES: [&str; 2] = ["format-1", "format-1-by-time"];
/// Root of the tree over its events, in hex.
const ROOT: &str = include_str!("../data/format-1.root");

fn orders() -> Trail {
    Trail::new(Service::Database, "acme", "p1", "orders").unwrap()
}

/// The events of each, in order: 120, of which 100 are flushed, 60 of them in a compacted segment.
fn events() -> Vec<Event> {
    (0..120)
        .map(|at: i64| {
            let mut event = event(
                ["hub", "mirror"][at as usize % 2],
                &format!("k{at}"),
                1_000_000 * (at * 37 % 100),
            );
            event.description = Some(format!("第{at}号 pushed by CI"));
            if at % 3 == 0 {
                event.trail = orders();
                event.attributes.insert(LOG_FILE.to_owned(), (at / 40).to_string());
            }
            event
        })
        .collect()
}

fn write(root: &Path) {
    let disk: Arc<dyn Disk> = Arc::new(Local::create(root).unwrap());
    init(&disk, &identity(), &[]).unwrap();
    let log = Log::open(Arc::clone(&disk), small_files()).unwrap();
    for (batch, events) in events().chunks(20).enumerate() {
        log.append(request(events.to_vec(), &[&format!("rejected {batch}")])).unwrap().unwrap();
        if batch < 5 {
            log.flush().unwrap();
        }
        if batch == 2 {
            log.compact().unwrap();
        }
    }
    log.close().unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_directory_of_each_earlier_version_is_read() {
    if let Some(root) = std::env::var_os("DAYBOOK_WRITE_FIXTURE") {
        write(Path::new(&root));
        return;
    }
    FIXTURES.into_iter().for_each(read);
}

/// Segments of earlier versions lack words of some texts, and the tokens of named texts.
fn words_of_every_text_are_found(log: &Log, everything: &Query, events: &[Event]) {
    let host = || Name::Attribute("host".to_owned());
    for filter in [
        Filter::Words(Text::Details, "pull".to_owned()),
        Filter::WordPrefix(Text::Details, "pu".to_owned()),
        Filter::Words(Text::Details, "none".to_owned()),
        Filter::Named(host(), "none".to_owned()),
        Filter::Not(Box::new(Filter::NamedPrefix(host(), String::new()))),
    ] {
        let expected = events.iter().filter(|event| filter.matches(event)).count() as u64;
        let filters = vec![filter];
        let found = log.query(&Query { filters, ..everything.clone() }).unwrap();
        assert_eq!(found.total, expected);
    }
}

fn read(fixture: &str) {
    println!("{fixture}");
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(fixture), &root);
    // Git does not store empty folders.
    fs::create_dir_all(root.join("keys")).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&root));
    let report = check(&disk, &mut |_| {}).unwrap();
    let hex: String = report.root.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((report.events, report.segments, report.dead_letters), (120, 3, 6));
    assert_eq!(hex, ROOT.trim());

    let log = Log::open(Arc::clone(&disk), small_files()).unwrap();
    let events = events();
    let mut everything = all(&["hub", "mirror"]);
    everything.trails.push(orders());
    let page = log.query(&everything).unwrap();
    let mut expected: Vec<(Time, u64)> =
        events.iter().map(|event| event.occurred_at).zip(0..).collect();
    expected.sort_unstable();
    assert_eq!(
        page.rows.iter().map(|row| row.index).collect::<Vec<_>>(),
        expected.iter().map(|(_, index)| *index).collect::<Vec<_>>()
    );
    for row in &page.rows {
        let event = &events[row.index as usize];
        assert_eq!(key_of(row), event.origin.key.clone().unwrap());
        assert_eq!(
            (&row.entry.event.description, &row.entry.event.trail),
            (&event.description, &event.trail)
        );
    }
    let word = Filter::Words(Text::Description, "77 号".to_owned());
    let found = log.query(&Query { filters: vec![word], ..everything.clone() }).unwrap();
    assert_eq!(found.rows.iter().map(key_of).collect::<Vec<_>>(), ["k77"]);
    let name = Filter::is(Dimension::ResourceName, "repo/k31");
    assert_eq!(log.query(&Query { filters: vec![name], ..everything.clone() }).unwrap().total, 1);
    words_of_every_text_are_found(&log, &everything, &events);
    let (files, _) = log.audit_files(&orders(), None).unwrap();
    let (lines, _) = log.audit_file_lines(&files[0], 0, usize::MAX).unwrap();
    assert_eq!((files.len(), files[0].lines), (2, 14));
    assert!(lines.starts_with(b"raw of k0\nraw of k3\n"));
    // The log goes on: old events stay known, and new ones are appended.
    let known = String::from_utf8(store::dead_letters(&disk).unwrap().remove(2).raw).unwrap();
    let again = log
        .append(request(vec![events[5].clone(), events[110].clone()], &[&known]))
        .unwrap()
        .unwrap();
    assert_eq!(
        (again.recorded, again.duplicates, again.dead_letters),
        (0, vec![(0, 5), (1, 110)], 0)
    );
    log.append(request(vec![event("hub", "new", 0)], &[])).unwrap().unwrap();
    log.flush().unwrap();
    log.compact().unwrap();
    assert_eq!(log.query(&all(&["hub", "mirror"])).unwrap().total, 81);
    everything.as_of = Some(120);
    words_of_every_text_are_found(&log, &everything, &events);
    log.close().unwrap();
    assert_eq!(check(&disk, &mut |_| {}).unwrap().events, 121);
}
