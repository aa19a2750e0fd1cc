//! `init` and `open` on a real folder.

use std::path::Path;
use std::sync::Arc;

use store::durable::{Disk, Local};
use store::{Error, Log, Settings, init};

use crate::{event, identity, request};

fn local(path: &Path) -> Arc<dyn Disk> {
    Arc::new(Local::open(path))
}

fn open_at(path: &Path) -> Result<Log, Error> {
    Log::open(local(path), Settings::default())
}

#[test]
fn open_never_makes_a_log() {
    let dir = tempfile::tempdir().unwrap();
    for (name, why) in [("missing", "does not exist"), ("", "is empty")] {
        match open_at(&dir.path().join(name)) {
            Err(Error::NotALog { found, .. }) => assert!(found.contains(why), "{found}"),
            other => panic!("{name}: {:?}", other.err()),
        }
    }
    std::fs::write(dir.path().join("notes"), "x").unwrap();
    assert!(matches!(open_at(dir.path()), Err(Error::NotALog { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn init_takes_only_an_empty_folder_and_keeps_others_out() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let disk: Arc<dyn Disk> = Arc::new(Local::create(&root).unwrap());
    init(&disk, &identity(), &[("keys/sealing.key", b"secret")]).unwrap();
    assert!(matches!(init(&disk, &identity(), &[]), Err(Error::NotEmpty { .. })));
    for (path, mode) in [("", 0o700), ("keys", 0o700), ("keys/sealing.key", 0o600), ("LOG", 0o600)]
    {
        let found = std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
}

#[test]
fn an_unfinished_init_is_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Local::open(dir.path()));
    init(&disk, &identity(), &[]).unwrap();
    std::fs::remove_file(dir.path().join("LOG")).unwrap();
    assert!(matches!(open_at(dir.path()), Err(Error::NotALog { .. })));
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    init(&local(dir.path()), &identity(), &[]).unwrap();
    let first = open_at(dir.path()).unwrap();
    assert!(matches!(open_at(dir.path()), Err(Error::Locked { .. })));
    first.append(request(vec![event("hub", "a", 1)], &[])).unwrap().unwrap();
    drop(first);
    assert_eq!(open_at(dir.path()).unwrap().counts().events, 1);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    init(&local(dir.path()), &identity(), &[]).unwrap();
    let text = std::fs::read_to_string(dir.path().join("LOG"))
        .unwrap()
        .replace("\"format\": 1", "\"format\": 2");
    std::fs::write(dir.path().join("LOG"), text).unwrap();
    match open_at(dir.path()) {
        Err(Error::NotALog { found, .. }) => assert!(found.contains("format 2"), "{found}"),
        other => panic!("{:?}", other.err()),
    }
}
