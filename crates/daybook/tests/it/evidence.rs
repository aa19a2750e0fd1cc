//! What the log publishes of itself is signed, complete, and goes on from what was published
//! before.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use tlog::{
    Checkpoint, Hash, Note, Resource, TILE_WIDTH, Tile, Tiles, Verifier, leaf_hash,
    prove_consistency, subtree_hash, verify_consistency,
};

use crate::harness::{
    Answer, Daybook, OPERATOR_KEY, TestDir, becomes_true, notification, run, text,
};

/// The key that `daybook key show` prints.
pub fn key_of(test_dir: &TestDir) -> Verifier {
    let shown = run(&["key", "show", "--data-dir", test_dir.data().to_str().unwrap()]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    Verifier::parse(text(&shown.stdout).trim_end()).unwrap()
}

fn get(server: &Daybook, path: &str) -> Answer {
    server.request("GET", path, &[], b"")
}

/// The newest checkpoint, checked with the key.
pub fn checkpoint(server: &Daybook, key: &Verifier) -> Checkpoint {
    let answer = get(server, "/tlog/checkpoint");
    assert_eq!(answer.status, 200, "{}", answer.text());
    Checkpoint::open(&Note::parse(&answer.body).unwrap(), key).unwrap()
}

/// The newest checkpoint, once it covers so many events.
pub fn covering(server: &Daybook, key: &Verifier, events: u64) -> Checkpoint {
    becomes_true(|| checkpoint(server, key).size >= events);
    checkpoint(server, key)
}

fn hashes(server: &Daybook, tile: Tile) -> Result<Vec<Hash>, u16> {
    let answer = get(server, &format!("/tlog/{}", Resource::Tile(tile).path()));
    match answer.status {
        200 => {
            assert_eq!(answer.body.len(), usize::from(tile.width) * 32);
            Ok(answer.body.as_chunks().0.to_vec())
        }
        status => Err(status),
    }
}

pub fn send(server: &Daybook, keys: std::ops::Range<u32>) {
    for key in keys {
        let body = notification(
            &format!("k{key}"),
            "pull",
            &format!("sha256:{key:064x}"),
            "2026-11-20T17:00:00Z",
        );
        assert_eq!(server.send("hub", body).status, 200);
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn every_event_is_under_a_signed_root_that_its_tiles_make() {
    let test_dir = TestDir::new();
    let key = key_of(&test_dir);
    assert_eq!(key.name(), "test.example/log");
    let mut server = test_dir.serve();
    let mut seen: Vec<Checkpoint> = Vec::new();
    for (first, end) in [(0, 3), (3, 300), (300, 301), (301, 560)] {
        send(&server, first..end);
        let newest = covering(&server, &key, server.events());
        assert_eq!(
            get(&server, "/tlog/checkpoint").headers["content-type"],
            "text/plain; charset=utf-8"
        );
        let tiles = Tiles { size: newest.size, read: |tile| hashes(&server, tile) };
        assert_eq!(subtree_hash(&tiles, 0, newest.size), Ok(newest.root));
        for old in &seen {
            let path = prove_consistency(&tiles, old.size, newest.size).unwrap();
            assert!(verify_consistency(&path, old.size, &old.root, newest.size, &newest.root));
        }
        seen.push(newest);
        if first == 3 {
            assert_eq!(server.stop(), Some(0));
            server = test_dir.serve();
        }
    }
    // The entries are the digests whose hashes the tiles of level 0 have.
    let newest = covering(&server, &key, server.events());
    let last = Tile {
        level: 0,
        position: newest.size / TILE_WIDTH,
        width: (newest.size % TILE_WIDTH) as u16,
    };
    for tile in [Tile { level: 0, position: 0, width: 256 }, last] {
        let entries = get(&server, &format!("/tlog/{}", Resource::Entries(tile).path())).body;
        let leaves: Vec<Hash> = entries
            .chunks(34)
            .map(|entry| {
                assert_eq!(entry[..2], [0, 32]);
                leaf_hash(&entry[2..])
            })
            .collect();
        assert_eq!(Ok(leaves), hashes(&server, tile));
    }
    // No tile is served that the checkpoint does not cover.
    for path in [
        format!("/tlog/{}", Resource::Tile(Tile { width: last.width + 1, ..last }).path()),
        "/tlog/tile/1/001".to_owned(),
        "/tlog/tile/8/000".to_owned(),
        "/tlog/tile/0/1".to_owned(),
        "/tlog/tile/0/x000/000".to_owned(),
        "/tlog/tile/entries/000.p/0".to_owned(),
        "/tlog/tile/".to_owned(),
    ] {
        assert_eq!(get(&server, &path).status, 404, "{path}");
    }
    let stopped_at = server.events();
    assert_eq!(server.stop(), Some(0));
    let stored = fs::read(test_dir.data().join("tree/checkpoint")).unwrap();
    let stored = Checkpoint::open(&Note::parse(&stored).unwrap(), &key).unwrap();
    assert!(stored.size >= stopped_at, "a stopped log has signed for all it holds");
    test_dir.check();
}

#[test]
fn tiles_are_cacheable_and_compressed_on_demand() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    let key = key_of(&test_dir);
    send(&server, 0..5);
    covering(&server, &key, 5);
    let (tile, newest) = ("/tlog/tile/0/000.p/5", "/tlog/checkpoint");
    let plain = get(&server, tile);
    assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(plain.headers["content-type"], "application/octet-stream");
    assert_eq!(get(&server, newest).headers["cache-control"], "public, max-age=1");
    let packed = server.request("GET", tile, &[("Accept-Encoding", "br, gzip;q=0.5")], b"");
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let refused = server.request("GET", tile, &[("Accept-Encoding", "gzip;q=0, identity")], b"");
    assert!(!refused.headers.contains_key("content-encoding"));
    let before = server.events();
    (0..20).for_each(|_| drop(get(&server, newest)));
    assert_eq!(server.events(), before, "reading evidence makes none");
}

#[test]
fn evidence_may_be_for_auditors_alone() {
    let test_dir = TestDir::with_settings("[evidence]\npublic = false\n");
    let server = test_dir.serve();
    for path in ["/tlog/checkpoint", "/tlog/tile/0/000.p/1"] {
        assert_eq!(get(&server, path).status, 401);
        // The auditor of another trail is none of this log.
        assert_eq!(server.signed_get(path).status, 403);
        // What was recorded at the start is signed for a moment later.
        becomes_true(|| server.signed_by(OPERATOR_KEY, "GET", path, b"").status == 200);
        let answer = server.signed_by(OPERATOR_KEY, "GET", path, b"");
        assert!(answer.headers["cache-control"].starts_with("private"));
    }
}

/// Starts a server that must refuse the log; returns what it said.
fn refused(test_dir: &TestDir) -> String {
    match Daybook::try_spawn(&mut test_dir.serve_command(crate::harness::daybook())) {
        Ok(_) => panic!("the log was served"),
        Err(said) => said,
    }
}

#[test]
fn a_log_that_is_not_what_was_signed_for_is_not_served() {
    let test_dir = TestDir::new();
    let server = test_dir.serve();
    send(&server, 0..3);
    assert_eq!(server.stop(), Some(0));
    let old = test_dir.path("old");
    copy(&test_dir.data(), &old);
    let server = test_dir.serve();
    send(&server, 3..9);
    assert_eq!(server.stop(), Some(0));
    // An old copy of everything but the newest checkpoint.
    let (data, new) = (test_dir.data(), test_dir.path("new"));
    fs::rename(&data, &new).unwrap();
    copy(&old, &data);
    fs::copy(new.join("tree/checkpoint"), data.join("tree/checkpoint")).unwrap();
    let said = refused(&test_dir);
    assert!(said.contains("older than its checkpoint"), "{said}");
    // A checkpoint of another log's key.
    fs::remove_dir_all(&data).unwrap();
    copy(&new, &data);
    let other = TestDir::new();
    fs::copy(other.data().join("keys/log.key"), data.join("keys/log.key")).unwrap();
    let said = refused(&test_dir);
    assert!(
        said.contains("tree/checkpoint") && said.contains("not signed by the log's key"),
        "{said}"
    );
    fs::copy(new.join("keys/log.key"), data.join("keys/log.key")).unwrap();
    // A checkpoint that is signed and says something else.
    let text = fs::read_to_string(data.join("tree/checkpoint")).unwrap();
    fs::write(
        data.join("tree/checkpoint"),
        text.replacen("test.example/log\n", "test.example/log\n1", 1),
    )
    .unwrap();
    assert!(refused(&test_dir).contains("tree/checkpoint"));
    fs::write(data.join("tree/checkpoint"), text).unwrap();
    fs::remove_file(data.join("keys/log.key")).unwrap();
    assert!(refused(&test_dir).contains("log.key"));
    fs::copy(new.join("keys/log.key"), data.join("keys/log.key")).unwrap();
    assert_eq!(test_dir.serve().stop(), Some(0));
}
