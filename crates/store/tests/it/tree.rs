//! Hashes of the tree equal those of the entries, in memory and in files.

use std::sync::Arc;

use event::entry::{self, Template};
use event::query::Query;
use store::durable::Disk;
use store::simulated::SimulatedDisk;
use store::{Contents, Error, Log, Settings, StoredEvent, check, init};
use tlog::{
    Hash, Nodes, TILE_WIDTH, Tile, Tree, leaf_hash, prove_consistency, prove_inclusion,
    subtree_hash, verify_consistency, verify_inclusion,
};

use crate::{event, identity, open, request, trail};

/// Compares every hash of the tree, and some proofs, with those computed from the entries of
/// queries.
fn compare(log: &Contents, size: u64) {
    let mut digests: Vec<Hash> = Vec::new();
    let mut tree = Tree::new();
    let mut roots = vec![tree.root()];
    let all = Query {
        limit: usize::MAX,
        order: event::query::Order::Ascending,
        ..Query::of(trail("hub"))
    };
    let mut rows = log.query(&all).unwrap().rows;
    rows.sort_by_key(|row| row.index);
    for (row, index) in rows.iter().zip(0u64..) {
        // The parts that rows of flushed events lack are known here.
        let event = event("hub", &format!("k{index}"), index.cast_signed());
        assert_eq!((row.index, &row.entry.event.id), (index, &event.id));
        let mut bytes = Vec::new();
        Template::new(&event).fill(row.entry.number, row.entry.received_at, &mut bytes);
        digests.push(entry::digest(&bytes));
        let stored_event =
            StoredEvent { trail: event.trail.clone(), entry: bytes, raw: event.raw.clone() };
        assert_eq!(log.stored_event(index).unwrap(), Some(stored_event));
        tree.push(&digests[index as usize]);
        roots.push(tree.root());
    }
    assert_eq!(log.head(), (size, tree.root()));
    assert_eq!(log.digests(0, digests.len()).unwrap().unwrap(), digests);
    assert!(log.digests(size, 1).unwrap().is_none() && log.digests(u64::MAX, 1).unwrap().is_none());
    for level in 0..9 {
        let count = size.checked_shr(8 * level).unwrap_or(0);
        for position in 0..=count / TILE_WIDTH {
            let width = (count - position * TILE_WIDTH).min(TILE_WIDTH) as u16;
            let tile = Tile { level, position, width };
            if width == 0 {
                continue;
            }
            assert!(tile.is_in(size));
            let hashes =
                log.hashes(level, position * TILE_WIDTH, usize::from(width)).unwrap().unwrap();
            for (hash, at) in hashes.iter().zip(position * TILE_WIDTH..) {
                let leaves = 1 << (8 * level);
                let mut tree = Tree::new();
                digests[at as usize * leaves..][..leaves]
                    .iter()
                    .for_each(|digest| tree.push(digest));
                assert_eq!(*hash, tree.root(), "hash {at} of level {level}");
            }
        }
        assert!(log.hashes(level, count, 1).unwrap().is_none(), "level {level}");
    }
    for at in (0..size).step_by((size / 5 + 1) as usize).chain([size - 1]) {
        let (root, leaf) = (&roots[size as usize], leaf_hash(&digests[at as usize]));
        let path = prove_inclusion(log, at, size).unwrap();
        assert!(verify_inclusion(&path, &leaf, at, size, root));
        let path = prove_consistency(log, at + 1, size).unwrap();
        assert!(verify_consistency(&path, at + 1, &roots[at as usize + 1], size, root));
        assert_eq!(subtree_hash(log, 0, at + 1).unwrap(), roots[at as usize + 1]);
    }
    assert!(log.node(40, 0).is_err());
    assert_eq!(log.stored_event(size).unwrap(), None);
}

fn append(log: &Log, first: u64, count: u64) {
    for at in (first..first + count).step_by(50) {
        let events = (at..(first + count).min(at + 50))
            .map(|at| event("hub", &format!("k{at}"), at.cast_signed()));
        log.append(request(events.collect(), &[])).unwrap().unwrap();
    }
}

#[test]
fn hashes_are_the_same_in_memory_and_in_files() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    init(&disk, &identity(), &[]).unwrap();
    let mut log = open(&disk);
    assert_eq!(log.head(), (0, Tree::new().root()));
    let mut size = 0;
    for (step, count) in [3, 250, 3, 300, 1, 512, 700, 60].into_iter().enumerate() {
        append(&log, size, count);
        size += count;
        compare(log.contents(), size);
        compare(&Contents::read(&disk).unwrap(), size);
        if step % 2 == 1 {
            log.flush().unwrap();
            compare(log.contents(), size);
        }
        if step % 3 == 2 {
            log.close().unwrap();
            log = open(&disk);
            compare(log.contents(), size);
        }
    }
    let before = Contents::read(&disk).unwrap();
    log.compact().unwrap();
    compare(log.contents(), size);
    compare(&before, size);
    check(&disk, &mut |_| ()).unwrap();
}

#[test]
fn hashes_that_lead_to_another_root_are_never_given_out() {
    let simulated = SimulatedDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = open(&disk);
    append(&log, 0, 600);
    log.flush().unwrap();
    append(&log, 600, 100);
    let (size, root) = log.head();
    let contents = log.contents();
    let tiles = [(0, 0, 256), (0, 256, 256), (0, 512, 188), (1, 0, 2), (1, 0, 1)];
    let read = |(level, first, count)| contents.hashes_in(level, first, count, (size, &root));
    let expected = tiles.map(|tile| read(tile).unwrap());
    let digests = contents.digests_in(256, 256, (size, &root)).unwrap();
    let mut found = 0;
    let level_1 = disk.list("tree").unwrap().into_iter().find(|name| name != "digests").unwrap();
    for path in ["tree/digests".to_owned(), format!("tree/{level_1}")] {
        let len = disk.open(&path).unwrap().len_bytes().unwrap().min(64 * 32);
        for offset in (0..len as usize).step_by(37) {
            simulated.flip(&path, offset, 5);
            for (tile, right) in tiles.into_iter().zip(&expected) {
                match read(tile) {
                    Ok(hashes) => assert_eq!(hashes, *right, "{tile:?}, byte {offset} of {path}"),
                    Err(Error::Damage { .. }) => found += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            if let Ok(read) = contents.digests_in(256, 256, (size, &root)) {
                assert_eq!(read, digests);
            }
            simulated.flip(&path, offset, 5);
        }
    }
    assert!(found > 10, "{found}");
    assert!(!log.damaged_files().is_empty(), "it is known");
}

/// A tree of three levels of tiles, flushed within the first tile of the second.
#[test]
fn a_tree_of_three_levels() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    init(&disk, &identity(), &[]).unwrap();
    let log = Log::open(Arc::clone(&disk), Settings::default()).unwrap();
    append(&log, 0, 65_000);
    log.flush().unwrap();
    append(&log, 65_000, 1_000);
    let (size, root) = log.head();
    assert_eq!(
        log.contents().hashes(2, 0, 1).unwrap().unwrap(),
        [subtree_hash(log.contents(), 0, 65_536).unwrap()]
    );
    for at in [0, 64_999, 65_000, 65_535, 65_536, 65_999] {
        let digest = log.digests(at, 1).unwrap().unwrap()[0];
        let path = prove_inclusion(log.contents(), at, size).unwrap();
        assert!(verify_inclusion(&path, &leaf_hash(&digest), at, size, &root), "{at}");
    }
    log.close().unwrap();
    let log = Log::open(Arc::clone(&disk), Settings::default()).unwrap();
    assert_eq!(log.head(), (size, root));
    assert_eq!(subtree_hash(log.contents(), 0, size).unwrap(), root);
}

#[test]
fn a_flipped_bit_of_the_trees_files_is_found() {
    let simulated = SimulatedDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    init(&disk, &identity(), &[]).unwrap();
    let log = open(&disk);
    append(&log, 0, 600);
    log.flush().unwrap();
    log.close().unwrap();
    for (path, len) in [("tree/digests", 600 * 32), ("tree/level-1", 2 * 32)] {
        for offset in (0..len).step_by(len / 7) {
            simulated.flip(path, offset, 3);
            match check(&disk, &mut |_| ()) {
                Err(Error::Damage { file, .. }) => {
                    assert!(file == path || file.starts_with("segments/"), "{file}")
                }
                other => panic!("{path} at {offset}: {other:?}"),
            }
            simulated.flip(path, offset, 3);
        }
    }
    check(&disk, &mut |_| ()).unwrap();
}
