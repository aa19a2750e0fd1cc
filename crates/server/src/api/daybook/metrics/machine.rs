//! Metrics of the machine: the disk under the data directory, and the process. Those that the
//! machine does not have are left out.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::page::{COUNTER, GAUGE, Page};

/// Depth of folders counted within a part of the data directory; there are fewer.
const DEPTH_MAX: usize = 4;

/// Bytes of each part of the data directory, and those free beside it.
pub fn disk(page: &mut Page, data_dir: &Path) {
    page.family("daybook_disk_bytes", GAUGE, "Bytes of files in a part of the data directory.");
    for (part, bytes) in parts(data_dir) {
        page.sample(&[("part", &part)], bytes);
    }
    if let Ok(volume) = rustix::fs::statvfs(data_dir) {
        let of = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let free = "Bytes that Daybook may still write to the file system of the data directory.";
        page.one("daybook_disk_free_bytes", GAUGE, free, of(volume.f_bavail));
        page.one(
            "daybook_disk_size_bytes",
            GAUGE,
            "Bytes of that file system.",
            of(volume.f_blocks),
        );
    }
}

/// The folders of the data directory with their bytes, the reserve, and its other files as one
/// part, `other`.
fn parts(data_dir: &Path) -> Vec<(String, u64)> {
    let (mut parts, mut other) = (Vec::new(), 0);
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(known) if known.is_dir() => {
                let name = entry.file_name().to_string_lossy().into_owned();
                parts.push((name, bytes_below(&entry.path(), DEPTH_MAX)));
            }
            Ok(known) if entry.file_name() == store::RESERVE => {
                parts.push((store::RESERVE.to_owned(), known.len()));
            }
            Ok(known) => other += known.len(),
            // It was removed meanwhile.
            Err(_) => {}
        }
    }
    parts.sort();
    parts.push(("other".to_owned(), other));
    parts
}

fn bytes_below(folder: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(known) if known.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
        Ok(known) if known.is_file() => known.len(),
        _ => 0,
    };
    entries.map(of).sum()
}

/// Memory, files and time of the process, under the names that every Prometheus client uses.
pub fn process(page: &mut Page) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kib) = kib {
        page.one("process_resident_memory_bytes", GAUGE, "Memory in use.", kib * 1024);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", GAUGE, "Open files.", open.count());
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        page.one("process_max_fds", GAUGE, "Limit of open files.", most);
    }
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "centuries of seconds are exact in 53 bits")]
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    page.one("process_cpu_seconds_total", COUNTER, "Processor time.", seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_where_they_are() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in [("a/one", 3), ("a/deep/two", 4), ("b/three", 5), ("four", 6)] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, vec![0; bytes]).expect("written");
        }
        let expected =
            [("a", 7), ("b", 5), ("other", 6)].map(|(name, bytes)| (name.to_owned(), bytes));
        assert_eq!(parts(dir.path()), expected);
    }
}
