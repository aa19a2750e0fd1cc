//! One damaged segment does not stop the log: what needs it is an error, all else goes on.

use std::sync::Arc;

use event::Time;
use event::query::{Dimension, Query};
use store::durable::{Disk, read_file, write_file};
use store::simulated::SimulatedDisk;
use store::{Contents, Error, Log, Refusal, Settings, check, init};

use crate::{all, event, identity, open, request, trail};

/// The trails and times of the three segments; a fourth batch stays in the journal.
const SEGMENTS: [(&[&str], i64); 3] =
    [(&["old", "hub"], 1_000), (&["hub", "other"], 2_000), (&["hub"], 3_000)];

/// A log of three segments of ten events each and of ten events in the journal.
fn three_segments() -> (SimulatedDisk, Arc<dyn Disk>) {
    let simulated = SimulatedDisk::new(5);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = open(&disk);
    let batches = SEGMENTS.into_iter().chain([(&["hub"][..], 4_000)]);
    for (batch, (instances, from)) in batches.enumerate() {
        let event = |at: i64| {
            let instance = instances[at as usize % instances.len()];
            event(instance, &format!("b{batch}-{at}"), from + at)
        };
        log.append(request((0..10).map(event).collect(), &[])).unwrap().unwrap();
        if batch < SEGMENTS.len() {
            log.flush().unwrap();
        }
    }
    log.close().unwrap();
    simulated.restart();
    (simulated, disk)
}

/// The files of the segment at a position: index and table.
fn files(disk: &Arc<dyn Disk>, position: usize) -> [String; 2] {
    let names = disk.list("segments").unwrap();
    [0, 1].map(|file| format!("segments/{}", names[position * 2 + file]))
}

fn damage(disk: &Arc<dyn Disk>, path: &str) {
    let mut bytes = read_file(&**disk, path).unwrap();
    bytes.truncate(bytes.len() / 2);
    write_file(&**disk, path, &bytes).unwrap();
}

/// Between these times, in nanoseconds.
fn between(query: Query, from: i64, until: i64) -> Query {
    let at = |ns| Some(Time::from_unix_ns(ns));
    Query { from: at(from), until: at(until), ..query }
}

fn total(log: &Contents, query: &Query) -> Option<u64> {
    match log.query(query) {
        Ok(page) => Some(page.total),
        Err(Error::Damage { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_damaged_index_hides_its_own_trails_and_times_alone() {
    let (_, disk) = three_segments();
    let [index, _] = files(&disk, 0);
    damage(&disk, &index);
    let log = open(&disk);
    for contents in [log.contents(), &Contents::read(&disk).unwrap()] {
        let found = contents.damaged_files();
        assert_eq!((&found[0].file, found[0].events.clone()), (&index, Some(0..10)));
        assert_eq!(total(contents, &all(&["old"])), None);
        assert_eq!(total(contents, &all(&["hub"])), None, "a part of it is damaged");
        assert_eq!(total(contents, &all(&["other"])), Some(5));
        assert_eq!(total(contents, &between(all(&["hub"]), 1_500, 9_000)), Some(25));
        assert_eq!(total(contents, &between(all(&["hub", "old"]), 0, 1_005)), None);
        let hub = Query { as_of: Some(0), ..all(&["hub"]) };
        assert_eq!(total(contents, &hub), Some(0), "as of before the segment");
        let tops = contents.tops(&all(&["other"]), &[Dimension::ActorName], 9).unwrap();
        assert_eq!(tops[0].total, 5);
        assert!(contents.tops(&all(&["old"]), &[Dimension::ActorName], 9).is_err());
        assert!(contents.scan(&all(&["hub"])).is_err());
        assert!(contents.from_index(5, 10).is_err() && contents.entries_from(5, 10).is_err());
        assert_eq!(contents.from_index(10, 99).unwrap().len(), 30);
        assert!(contents.stored_event(3).is_err());
    }
    assert!(matches!(check(&disk, &mut |_| {}), Err(Error::Damage { file, .. }) if file == index));
}

#[test]
fn intake_goes_on_beside_a_damaged_segment_and_a_good_copy_makes_the_log_whole() {
    let (simulated, disk) = three_segments();
    let [index, table] = files(&disk, 0);
    let originals = [&index, &table].map(|path| read_file(&*disk, path).unwrap());
    for (damaged, recorded) in [&[&index][..], &[&table], &[&index, &table]].into_iter().zip(1..) {
        let knows_trails = damaged.len() < 2;
        damaged.iter().for_each(|path| damage(&disk, path));
        let log = open(&disk);
        let before = log.counts().events;
        let key = format!("after {damaged:?}");
        log.append(request(vec![event("hub", &key, 9_000)], &[])).unwrap().unwrap();
        assert_eq!(log.counts().events, before + 1);
        assert_eq!(total(log.contents(), &between(all(&["hub"]), 8_999, 9_001)), Some(recorded));
        // The number of the next event of this trail is known from the damaged segment alone.
        let old = log.append(request(vec![event("old", &key, 9_000)], &[])).unwrap();
        assert_eq!(old.is_ok(), knows_trails, "{damaged:?}: {old:?}");
        assert_eq!(log.contents().has_trail(&trail("nobody")), !knows_trails);
        log.flush().unwrap();
        log.compact().unwrap();
        log.close().unwrap();
        simulated.restart();
        for (path, bytes) in [&index, &table].into_iter().zip(&originals) {
            write_file(&*disk, path, bytes).unwrap();
        }
        check(&disk, &mut |_| {}).unwrap();
        simulated.restart();
        let log = open(&disk);
        assert!(log.damaged_files().is_empty());
        // It was not flushed into a segment of the damaged one's events meanwhile.
        assert!(disk.list("segments").unwrap().iter().any(|name| index.ends_with(name.as_str())));
        assert!(total(log.contents(), &all(&["hub", "old"])).is_some());
        log.close().unwrap();
        simulated.restart();
    }
}

#[test]
fn an_event_that_a_damaged_table_may_have_is_refused_alone() {
    let (_, disk) = three_segments();
    let [_, table] = files(&disk, 0);
    damage(&disk, &table);
    let log = open(&disk);
    let again = request(vec![event("old", "b0-0", 1_000)], &[]);
    assert!(matches!(log.append(again), Ok(Err(Refusal::Damaged { .. }))));
    let mut queued = request(vec![event("old", "b0-0", 1_000)], &[]);
    queued.on_conflict = store::OnConflict::DeadLetter;
    assert_eq!(log.append(queued).unwrap().unwrap().dead_letters, 1, "nothing is lost");
    let receipt = log.append(request(vec![event("hub", "new", 9_000)], &[])).unwrap().unwrap();
    assert_eq!((receipt.recorded, receipt.duplicates.len()), (1, 0));
    assert_eq!(log.damaged_files()[0].file, table);
}

#[test]
fn a_compaction_leaves_damaged_segments_as_they_are() {
    let (_, disk) = three_segments();
    let [_, table] = files(&disk, 1);
    damage(&disk, &table);
    let settings = Settings {
        compaction_segments: 2,
        compaction_every: std::time::Duration::MAX,
        ..Settings::default()
    };
    let log = Log::open(Arc::clone(&disk), settings).unwrap();
    log.compact().unwrap();
    assert_eq!(disk.list("segments").unwrap().len(), 6, "the damaged one is between the others");
    assert_eq!(log.damaged_files()[0].file, table);
    log.append(request(vec![event("hub", "new", 9_000)], &[])).unwrap().unwrap();
}

#[test]
fn entries_of_a_range_are_those_of_each_event() {
    let (_, disk) = three_segments();
    let log = open(&disk);
    let one = |index| log.stored_event(index).unwrap().unwrap().entry;
    for (first, count) in [(0, 40), (5, 10), (8, 1), (25, 99), (40, 9)] {
        let expected: Vec<Vec<u8>> = (first..40.min(first + count as u64)).map(one).collect();
        assert_eq!(log.entries_from(first, count).unwrap(), expected, "{count} from {first}");
    }
}
