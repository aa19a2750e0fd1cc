//! Objects are replaced only by a writer that has read the newest version.

use std::sync::Arc;

use store::durable::{Disk, Local};
use store::simulated::{Fault, SimulatedDisk};
use store::{Error, FileObjects, Objects};

#[test]
fn replacing_needs_the_version_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let local: Arc<dyn Disk> = Arc::new(Local::open(dir.path()));
    let simulated: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    for disk in [local, simulated] {
        let objects = FileObjects::new(disk);
        assert_eq!(objects.get("a.toml").unwrap(), None);
        let first = objects.replace("a.toml", b"1", None).unwrap();
        assert!(matches!(objects.replace("a.toml", b"2", None), Err(Error::Changed { .. })));
        let second = objects.replace("a.toml", b"2", Some(first)).unwrap();
        assert!(matches!(objects.replace("a.toml", b"3", Some(first)), Err(Error::Changed { .. })));
        let object = objects.get("a.toml").unwrap().unwrap();
        assert_eq!((object.bytes.as_slice(), object.version), (&b"2"[..], second));
    }
}

#[test]
fn after_a_power_cut_an_object_is_the_old_one_or_the_new_one() {
    let mut seen = [0, 0];
    for seed in 0..500 {
        let simulated = SimulatedDisk::new(seed);
        let objects = FileObjects::new(Arc::new(simulated.clone()));
        let old = objects.replace("a.toml", &[1; 3_000], None).unwrap();
        simulated.plan(simulated.random_below(7), Fault::Crash);
        let replaced = objects.replace("a.toml", &[2; 5_000], Some(old));
        simulated.power_cut();
        let bytes = objects.get("a.toml").unwrap().unwrap().bytes;
        assert!(bytes == [1; 3_000] || bytes == [2; 5_000], "seed {seed}");
        assert!(
            replaced.is_err() || bytes == [2; 5_000],
            "seed {seed}: a durable replacement was lost"
        );
        seen[usize::from(bytes == [2; 5_000])] += 1;
    }
    assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
}
