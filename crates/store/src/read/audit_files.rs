//! Audit log files: the original lines of a database trail, cut as a database cuts its audit log.
//!
//! A file is a range of the trail's numbers, not a second copy. An event ends every file: one of
//! its own trail that does not fit, or any event of the log after the file's hour. So every replay
//! makes the same files, and a finished file never grows, whatever the clock does.

use std::collections::{HashMap, HashSet};

use event::{Event, LOG_FILE, Service, Time, Trail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::log::memtable::NewRow;

/// Limit of the bytes of original lines in a file, except for a single longer line.
pub const AUDIT_FILE_BYTES_MAX: u64 = 20 << 20;
/// A file takes no event that arrived, or occurred, this long after its first one.
pub const AUDIT_FILE_SECONDS_MAX: i64 = 60 * 60;

/// A finished audit log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFile {
    /// Always the same for the same range of the same trail: 32 hex digits and `br01`.
    pub id: String,
    /// Position among the files of its trail, from 1.
    pub ordinal: u64,
    /// The database's trail.
    pub trail: Trail,
    /// Number of the first event.
    pub first_number: u64,
    /// Number of events; their numbers are consecutive.
    pub lines: u64,
    /// Bytes of its lines, each with a line feed.
    pub len_bytes: u64,
    /// The earliest time that one of its events occurred.
    pub begin: Time,
    /// The latest time that one of its events occurred.
    pub end: Time,
    /// SHA-256 of its lines.
    pub sha256: [u8; 32],
    /// Index in the log of the event that ended the file.
    pub ended_by: u64,
}

impl AuditFile {
    /// `<ordinal>_<begin, UTC>_<instance>_Audit_<uuid>`, as the vendor's databases name theirs.
    pub fn name(&self) -> String {
        let (year, month, day, hour, minute, second, _) = self.begin.civil();
        let hash = identity_hash(&self.trail, self.first_number);
        let digits = hex::encode(&hash[16..32]);
        let uuid = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]]
            .join("-");
        format!(
            "{}_{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}_{}_Audit_{uuid}",
            self.ordinal,
            self.trail.instance()
        )
    }
}

/// The files of every database trail.
#[derive(Default)]
pub(crate) struct AuditFiles {
    trails: HashMap<Trail, TrailFiles>,
    ids: HashMap<String, (Trail, usize)>,
    /// The earliest end of the hour of an open file.
    next_end: Option<Time>,
    /// Trails of which a damaged segment hides some files.
    incomplete: HashSet<Trail>,
}

/// The files of one trail, in order of the numbers.
#[derive(Default)]
struct TrailFiles {
    finished: Vec<AuditFile>,
    open: Option<OpenAuditFile>,
}

/// The newest file of a trail, which may still grow.
struct OpenAuditFile {
    file: AuditFile,
    hash: Sha256,
    ends_at: Time,
    occurred_at: Time,
    log_file: Option<String>,
}

impl AuditFiles {
    /// Adds the event with this index, the next one of the log.
    pub fn push(&mut self, row: &NewRow<'_>, index: u64) {
        if self.next_end.is_some_and(|end| end <= row.received_at) {
            self.end_overdue(row.received_at, index);
        }
        let trail = &row.event.trail;
        if trail.service() != Service::Database {
            return;
        }
        let lines = match self.trails.get_mut(trail) {
            Some(lines) => lines,
            None => self.trails.entry(trail.clone()).or_default(),
        };
        if lines.open.as_ref().is_some_and(|open| open.ends_before(row)) {
            lines.end(index);
        }
        let position = lines.finished.len();
        let ordinal = lines.finished.last().map_or(0, |file| file.ordinal);
        let open = lines.open.get_or_insert_with(|| {
            let open = OpenAuditFile::new(row, ordinal + 1);
            self.ids.insert(open.file.id.clone(), (trail.clone(), position));
            self.next_end = Some(self.next_end.map_or(open.ends_at, |end| end.min(open.ends_at)));
            open
        });
        open.push(row);
    }

    fn end_overdue(&mut self, received_at: Time, index: u64) {
        for lines in self.trails.values_mut() {
            if lines.open.as_ref().is_some_and(|open| open.ends_at <= received_at) {
                lines.end(index);
            }
        }
        self.next_end = self.ends().min();
    }

    fn ends(&self) -> impl Iterator<Item = Time> {
        self.trails.values().filter_map(|lines| lines.open.as_ref()).map(|open| open.ends_at)
    }

    /// Number of files whose hour is over, if the next event comes at this moment or later.
    pub fn overdue(&self, now: Time) -> usize {
        if self.next_end.is_none_or(|end| end > now) {
            0
        } else {
            self.ends().filter(|end| *end <= now).count()
        }
    }

    /// The finished files of a trail when the log held `tree_size` events, oldest first.
    pub fn of(&self, trail: &Trail, tree_size: u64) -> &[AuditFile] {
        let Some(lines) = self.trails.get(trail) else { return &[] };
        &lines.finished[..lines.finished.partition_point(|file| file.ended_by < tree_size)]
    }

    /// The finished file with this id.
    pub fn find(&self, id: &str) -> Option<&AuditFile> {
        let (trail, position) = self.ids.get(id)?;
        self.trails.get(trail)?.finished.get(*position)
    }

    /// The files that events with these indexes ended, as a segment stores them.
    pub fn ended_by(&self, indexes: &std::ops::Range<u64>) -> Vec<AuditFileRecord> {
        let files = self.trails.values().flat_map(|lines| &lines.finished);
        let mut stored: Vec<AuditFileRecord> = files
            .filter(|file| indexes.contains(&file.ended_by))
            .map(AuditFileRecord::of)
            .collect();
        stored.sort_unstable_by(|a, b| (&a.trail, a.ordinal).cmp(&(&b.trail, b.ordinal)));
        stored
    }

    /// The unfinished files.
    pub fn open(&self) -> Vec<OpenFile> {
        let open = self.trails.values().filter_map(|lines| lines.open.as_ref());
        let mut open: Vec<OpenFile> = open.map(OpenFile::of).collect();
        open.sort_unstable_by(|a, b| a.trail.cmp(&b.trail));
        open
    }

    /// Restores a finished file. Files of a trail come in order.
    pub fn restore(&mut self, stored: &AuditFileRecord) -> Option<()> {
        let file = stored.file()?;
        let lines = self.trails.entry(file.trail.clone()).or_default();
        self.ids.insert(file.id.clone(), (file.trail.clone(), lines.finished.len()));
        lines.finished.push(file);
        Some(())
    }

    /// Restores the unfinished file of a trail, behind its finished ones. `hash` has taken its
    /// lines.
    pub fn restore_open(&mut self, stored: &OpenFile, hash: Sha256) -> Option<()> {
        let open = stored.open(hash)?;
        let lines = self.trails.entry(open.file.trail.clone()).or_default();
        self.ids.insert(open.file.id.clone(), (open.file.trail.clone(), lines.finished.len()));
        self.next_end = Some(self.next_end.map_or(open.ends_at, |end| end.min(open.ends_at)));
        lines.open = Some(open);
        Some(())
    }

    /// Notes the trails whose files do not go through without a gap to `numbers[trail]`, the number
    /// of the last event of the trail: damage hides some of them.
    pub fn note_gaps(&mut self, numbers: &HashMap<Trail, u64>) {
        let is_gapless = |trail: &Trail, last: u64| {
            let lines = self.trails.get(trail);
            let finished = lines.iter().flat_map(|lines| &lines.finished);
            let open = lines.iter().filter_map(|lines| lines.open.as_ref());
            let mut next = 1;
            finished.chain(open.map(|open| &open.file)).all(|file| {
                let follows = file.first_number == next;
                next = file.first_number + file.lines;
                follows
            }) && next == last + 1
        };
        let databases = numbers.iter().filter(|(trail, _)| trail.service() == Service::Database);
        let incomplete = databases.filter(|(trail, last)| !is_gapless(trail, **last));
        // Of a trail whose last number is not known, no file is known to be the last.
        let unknown = self.trails.keys().filter(|trail| !numbers.contains_key(trail));
        self.incomplete = incomplete.map(|(trail, _)| trail).chain(unknown).cloned().collect();
    }

    /// Whether damage hides files of this trail, or of any.
    pub fn lacks_some(&self, trail: Option<&Trail>) -> bool {
        trail.map_or(!self.incomplete.is_empty(), |trail| self.incomplete.contains(trail))
    }

    /// The finished files of every trail beyond that with the ordinal `known[trail]`, oldest first
    /// in each trail.
    pub fn beyond(&self, known: &HashMap<Trail, u64>) -> Vec<AuditFile> {
        self.trails
            .iter()
            .flat_map(|(trail, lines)| {
                let known = known.get(trail).copied().unwrap_or_default();
                lines.finished.iter().skip_while(move |file| file.ordinal <= known).cloned()
            })
            .collect()
    }
}

impl TrailFiles {
    /// Ends the open file with the event that has this index.
    fn end(&mut self, index: u64) {
        self.finished.extend(self.open.take().map(|open| open.finish(index)));
    }
}

impl OpenAuditFile {
    fn new(row: &NewRow<'_>, ordinal: u64) -> OpenAuditFile {
        let (event, first_number) = (row.event, row.number);
        let file = AuditFile {
            id: id_of(&event.trail, first_number),
            ordinal,
            trail: event.trail.clone(),
            first_number,
            lines: 0,
            len_bytes: 0,
            begin: event.occurred_at,
            end: event.occurred_at,
            sha256: [0; 32],
            ended_by: 0,
        };
        OpenAuditFile {
            file,
            hash: Sha256::new(),
            ends_at: row.received_at.plus_seconds(AUDIT_FILE_SECONDS_MAX),
            occurred_at: event.occurred_at,
            log_file: log_file(event).map(str::to_owned),
        }
    }

    fn ends_before(&self, row: &NewRow<'_>) -> bool {
        let is_full = self.file.len_bytes + row.raw.len() as u64 + 1 > AUDIT_FILE_BYTES_MAX;
        let is_old = row.event.occurred_at >= self.occurred_at.plus_seconds(AUDIT_FILE_SECONDS_MAX);
        is_full || is_old || log_file(row.event) != self.log_file.as_deref()
    }

    fn push(&mut self, row: &NewRow<'_>) {
        self.hash.update(row.raw);
        self.hash.update(b"\n");
        let file = &mut self.file;
        file.lines += 1;
        file.len_bytes += row.raw.len() as u64 + 1;
        file.begin = file.begin.min(row.event.occurred_at);
        file.end = file.end.max(row.event.occurred_at);
    }

    fn finish(self, ended_by: u64) -> AuditFile {
        AuditFile { sha256: self.hash.finalize().into(), ended_by, ..self.file }
    }
}

/// A finished file as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFileRecord {
    trail: String,
    ordinal: u64,
    first_number: u64,
    lines: u64,
    len_bytes: u64,
    begin_ns: i64,
    end_ns: i64,
    sha256: String,
    ended_by: u64,
}

impl AuditFileRecord {
    fn of(file: &AuditFile) -> AuditFileRecord {
        AuditFileRecord {
            trail: file.trail.to_string(),
            ordinal: file.ordinal,
            first_number: file.first_number,
            lines: file.lines,
            len_bytes: file.len_bytes,
            begin_ns: file.begin.unix_ns(),
            end_ns: file.end.unix_ns(),
            sha256: hex::encode(file.sha256),
            ended_by: file.ended_by,
        }
    }

    fn file(&self) -> Option<AuditFile> {
        let trail: Trail = self.trail.parse().ok()?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut sha256).ok()?;
        Some(AuditFile {
            id: id_of(&trail, self.first_number),
            ordinal: self.ordinal,
            trail,
            first_number: self.first_number,
            lines: self.lines,
            len_bytes: self.len_bytes,
            begin: Time::from_unix_ns(self.begin_ns),
            end: Time::from_unix_ns(self.end_ns),
            sha256,
            ended_by: self.ended_by,
        })
    }
}

/// The stored form of an unfinished file, without the state of its hash, which is computed again
/// from its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenFile {
    pub trail: String,
    ordinal: u64,
    pub first_number: u64,
    pub lines: u64,
    len_bytes: u64,
    begin_ns: i64,
    end_ns: i64,
    first_occurred_ns: i64,
    ends_at_ns: i64,
    log_file: Option<String>,
}

impl OpenFile {
    fn of(open: &OpenAuditFile) -> OpenFile {
        let file = &open.file;
        OpenFile {
            trail: file.trail.to_string(),
            ordinal: file.ordinal,
            first_number: file.first_number,
            lines: file.lines,
            len_bytes: file.len_bytes,
            begin_ns: file.begin.unix_ns(),
            end_ns: file.end.unix_ns(),
            first_occurred_ns: open.occurred_at.unix_ns(),
            ends_at_ns: open.ends_at.unix_ns(),
            log_file: open.log_file.clone(),
        }
    }

    fn open(&self, hash: Sha256) -> Option<OpenAuditFile> {
        let trail: Trail = self.trail.parse().ok()?;
        let file = AuditFile {
            id: id_of(&trail, self.first_number),
            ordinal: self.ordinal,
            trail,
            first_number: self.first_number,
            lines: self.lines,
            len_bytes: self.len_bytes,
            begin: Time::from_unix_ns(self.begin_ns),
            end: Time::from_unix_ns(self.end_ns),
            sha256: [0; 32],
            ended_by: 0,
        };
        Some(OpenAuditFile {
            file,
            hash,
            ends_at: Time::from_unix_ns(self.ends_at_ns),
            occurred_at: Time::from_unix_ns(self.first_occurred_ns),
            log_file: self.log_file.clone(),
        })
    }
}

fn id_of(trail: &Trail, first_number: u64) -> String {
    format!("{}br01", hex::encode(&identity_hash(trail, first_number)[..16]))
}

fn log_file(event: &Event) -> Option<&str> {
    event.attributes.get(LOG_FILE).map(String::as_str)
}

fn identity_hash(trail: &Trail, first_number: u64) -> [u8; 32] {
    Sha256::digest(format!("audit log file\0{trail}\0{first_number}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::words::Words;
    use crate::samples::event;

    fn orders() -> Trail {
        Trail::new(Service::Database, "acme", "p1", "orders").expect("valid")
    }

    /// Adds an event of this many bytes, received at this second, to the files.
    fn push(files: &mut AuditFiles, index: u64, second: i64, len_bytes: usize) {
        let mut event = event(0);
        event.trail = orders();
        event.occurred_at = Time::from_unix_ns(second * 1_000_000_000);
        event.raw = vec![b'x'; len_bytes];
        let row = NewRow {
            event: &event,
            words: &Words::of(&event),
            rest: &[],
            key: None,
            digest: [0; 32],
            number: index + 1,
            raw: &event.raw,
            received_at: event.occurred_at,
            frame: crate::log::memtable::FrameLocation {
                at: crate::journal::batch::Position { file: 0, offset: 0 },
                len_bytes: 1,
            },
        };
        files.push(&row, index);
    }

    #[test]
    fn a_file_ends_when_it_is_full_and_when_its_hour_is_over() {
        let mut files = AuditFiles::default();
        push(&mut files, 0, 0, 12 << 20);
        push(&mut files, 1, 1, 12 << 20);
        push(&mut files, 2, 3_600, 10);
        push(&mut files, 3, 3_601, 10);
        let ends = |size| {
            let of = files.of(&orders(), size);
            of.iter().map(|file| (file.first_number, file.lines, file.ended_by)).collect::<Vec<_>>()
        };
        assert_eq!(ends(9), [(1, 1, 1), (2, 2, 3)]);
        assert_eq!(ends(3), [(1, 1, 1)], "as of three events");
        let overdue = |second: i64| files.overdue(Time::from_unix_ns(second * 1_000_000_000));
        assert_eq!([overdue(7_200), overdue(7_201)], [0, 1]);
    }

    #[test]
    fn files_are_restored_from_their_stored_form() {
        let mut files = AuditFiles::default();
        for (index, second) in [(0, 0), (1, 4_000)] {
            push(&mut files, index, second, 10);
        }
        let mut restored = AuditFiles::default();
        for record in files.ended_by(&(0..9)) {
            restored.restore(&record).expect("whole");
        }
        let mut hash = Sha256::new();
        hash.update(b"xxxxxxxxxx\n");
        restored.restore_open(&files.open()[0], hash).expect("whole");
        assert_eq!(restored.of(&orders(), 9), files.of(&orders(), 9));
        assert_eq!(restored.open(), files.open());
        let id = &files.of(&orders(), 9)[0].id;
        assert_eq!(restored.find(id), files.find(id));
    }
}
