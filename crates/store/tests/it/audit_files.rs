//! Audit log files against a naive model of where a database's lines are cut, before and after the
//! log is opened again.

use std::sync::Arc;

use event::{Event, LOG_FILE, Service, Time, Trail};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{AUDIT_FILE_BYTES_MAX, AUDIT_FILE_SECONDS_MAX, AuditFile, Log, Settings, init};

use crate::{event, identity, request};

fn trail() -> Trail {
    Trail::new(Service::Database, "acme", "p1", "orders").unwrap()
}

/// A line of a database: minutes until it arrives, minutes from occurring to arriving, its log
/// file, its length.
#[derive(Debug, Clone)]
struct Line {
    after_min: i64,
    late_min: i64,
    log_file: u8,
    len_bytes: usize,
}

fn any_line() -> impl Strategy<Value = Line> {
    let log_file = prop_oneof![6 => Just(1u8), 1 => Just(2)];
    let len_bytes = prop_oneof![8 => 1usize..100, 1 => Just(8 << 20)];
    (0i64..40, 0i64..30, log_file, len_bytes).prop_map(
        |(after_min, late_min, log_file, len_bytes)| Line {
            after_min,
            late_min,
            log_file,
            len_bytes,
        },
    )
}

/// The events with their times of receipt.
fn received(lines: &[Line]) -> Vec<(Event, Time)> {
    let mut received_at = Time::from_unix_ns(1_000_000_000_000_000_000);
    let received = lines.iter().enumerate().map(|(number, line)| {
        received_at = received_at.plus_seconds(line.after_min * 60);
        let mut event = event("any", &number.to_string(), 0);
        event.trail = trail();
        event.occurred_at = received_at.plus_seconds(-line.late_min * 60);
        event.attributes.insert(LOG_FILE.to_owned(), line.log_file.to_string());
        event.raw = vec![b'a' + line.log_file; line.len_bytes];
        (event, received_at)
    });
    received.collect()
}

/// The lines of each file, finished or not.
fn cut(received: &[(Event, Time)]) -> Vec<Vec<&(Event, Time)>> {
    let mut files: Vec<Vec<&(Event, Time)>> = Vec::new();
    for one in received {
        let (event, received_at) = one;
        let fits = files.last().is_some_and(|file| {
            let (first, came) = file[0];
            let len_bytes: usize = file.iter().map(|(event, _)| event.raw.len() + 1).sum();
            len_bytes + event.raw.len() < AUDIT_FILE_BYTES_MAX as usize
                && *received_at < came.plus_seconds(AUDIT_FILE_SECONDS_MAX)
                && event.occurred_at < first.occurred_at.plus_seconds(AUDIT_FILE_SECONDS_MAX)
                && event.attributes == first.attributes
        });
        match files.last_mut() {
            Some(file) if fits => file.push(one),
            _ => files.push(vec![one]),
        }
    }
    files
}

fn assert_is(log: &Log, file: &AuditFile, lines: &[&(Event, Time)]) {
    let mut expected = Vec::new();
    for (event, _) in lines {
        expected.extend_from_slice(&event.raw);
        expected.push(b'\n');
    }
    let (mut bytes, mut line) = (Vec::new(), 0);
    while line < file.lines {
        let (some, next) = log.audit_file_lines(file, line, 1000).unwrap();
        bytes.extend(some);
        line = next;
    }
    assert!(bytes == expected, "file {}: other lines", file.ordinal);
    assert_eq!(file.len_bytes, expected.len() as u64);
    assert_eq!(file.sha256, <[u8; 32]>::from(Sha256::digest(&expected)));
    let times = || lines.iter().map(|(event, _)| event.occurred_at);
    assert_eq!((Some(file.begin), Some(file.end)), (times().min(), times().max()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn files_are_cut_as_the_model_cuts_them(lines in prop::collection::vec(any_line(), 1..40)) {
        let received = received(&lines);
        let model = cut(&received);
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
        init(&disk, &identity(), &[]).unwrap();
        let mut log = Log::open(Arc::clone(&disk), Settings::default()).unwrap();
        let append = |log: &Log, event: &Event, received_at| {
            let mut request = request(vec![event.clone()], &[]);
            request.received_at = received_at;
            log.append(request).unwrap().unwrap();
        };
        received.iter().for_each(|(event, received_at)| append(&log, event, *received_at));
        prop_assert_eq!(log.audit_files(&trail(), None).unwrap().0.len(), model.len() - 1);
        // Something else happens a second after the hour of the last file.
        let ended = model.last().unwrap()[0].1.plus_seconds(AUDIT_FILE_SECONDS_MAX);
        prop_assert_eq!(
            (log.audit_files_overdue(ended.plus_seconds(-1)), log.audit_files_overdue(ended)),
            (0, 1)
        );
        append(&log, &event("other", "other", 0), ended.plus_seconds(1));
        // An event that was on its way meanwhile, and arrived before by its sender's clock, is in
        // the next file.
        let mut late = Event { raw: b"late".to_vec(), ..received.last().unwrap().0.clone() };
        late.origin.key = Some("late".to_owned());
        append(&log, &late, ended.plus_seconds(-1));
        for is_reopened in [false, true] {
            if is_reopened {
                drop(log);
                log = Log::open(Arc::clone(&disk), Settings::default()).unwrap();
            }
            let (files, tree_size) = log.audit_files(&trail(), None).unwrap();
            prop_assert_eq!((files.len(), tree_size), (model.len(), received.len() as u64 + 2));
            for (ordinal, (file, lines)) in (1..).zip(files.iter().zip(&model)) {
                prop_assert_eq!(file.ordinal, ordinal);
                assert_is(&log, file, lines);
                prop_assert_eq!(log.audit_file(&file.id).unwrap(), Some(file.clone()));
                let beyond = log.audit_files_beyond(&[(trail(), ordinal)].into());
                prop_assert_eq!(&beyond[..], &files[usize::try_from(ordinal).unwrap()..]);
            }
            // The finished files as of each size of the log.
            for size in 0..=received.len() {
                let as_of = log.audit_files(&trail(), Some(size as u64)).unwrap().0;
                let finished = cut(&received[..size]).len().saturating_sub(1);
                prop_assert_eq!(&as_of[..], &files[..finished], "as of {}", size);
            }
        }
    }
}
