//! Identifies files without a known inode: new files, and copies of known ones.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::super::content::{Content, FileIdentity, Files, Sighting, fill};
use super::super::prefix::{HEAD_BYTES, Head, Prefix, push_until};
use super::super::state::Entry;
use super::{COPY_WAIT, Follower, Gap, KnownCopy, Moment, TrackedFile, is_over, read};

/// How a file relates to the known ones.
enum Match {
    /// It begins with all that was read of this known file, and replaces it.
    Continues(usize),
    /// Its bytes are all in this known file, which still exists.
    CopyOf(usize),
    /// It may be a copy that is being written, or has no whole line yet.
    Growing,
    New,
}

impl<F: Files> Follower<F> {
    /// Identifies each file whose inode no known file has.
    pub(super) fn meet(&mut self, mut strangers: Vec<Sighting>, now: Moment) {
        // An empty file waits: it may become a copy, or a log.
        strangers.retain(|one| one.version.size > 0);
        let there: HashSet<FileIdentity> = strangers.iter().map(|one| one.identity).collect();
        self.growing.retain(|identity, _| there.contains(identity));
        self.copies.retain(|copy| {
            strangers.iter().any(|one| one.identity == copy.identity && one.version == copy.version)
        });
        strangers.retain(|one| self.copies.iter().all(|copy| copy.identity != one.identity));
        // A file comes before its copies, which are no longer than it is.
        strangers.sort_by_key(|one| {
            (
                one.is_compressed,
                Reverse(one.version.size),
                one.identity.born_ns,
                one.version.modified_ns,
            )
        });
        let first_new = self.next_serial;
        let mut waiting = Vec::new();
        for sighting in strangers {
            match self.meet_one(&sighting, &waiting, now) {
                Ok(true) => waiting.push(sighting),
                Ok(false) => {}
                Err(error) => self.failed.push((sighting.path, error.to_string())),
            }
        }
        let before = self.known.iter().take_while(|file| file.serial <= first_new).count();
        self.known[before..].sort_by_cached_key(age);
    }

    /// Whether the file waits, like those in `waiting`.
    fn meet_one(
        &mut self,
        sighting: &Sighting,
        waiting: &[Sighting],
        now: Moment,
    ) -> io::Result<bool> {
        let mut content =
            self.files.open(&sighting.path, sighting.identity, sighting.is_compressed)?;
        let is = match self.identify(sighting, &mut content, now) {
            // A compressed file marks its own end; it may still be written.
            Err(error) if sighting.is_compressed && error.kind() != io::ErrorKind::Interrupted => {
                if !self.rules.is_import && self.is_growing(sighting, now) {
                    return Ok(true);
                }
                return self.give_up(sighting, &error, now).map(|()| false);
            }
            is => is?,
        };
        match is {
            Match::Growing if self.is_growing(sighting, now) => return Ok(true),
            // A copy of a waiting file waits too.
            Match::New if self.is_within_any(waiting, &mut content) => return Ok(true),
            Match::CopyOf(at) => {
                let serial = self.known[at].serial;
                self.copies.push(KnownCopy {
                    identity: sighting.identity,
                    version: sighting.version,
                    serial,
                });
            }
            Match::Continues(at) => self.go_on_in(at, sighting, content, now)?,
            Match::Growing | Match::New => self.add(sighting, content, now)?,
        }
        self.growing.remove(&sighting.identity);
        Ok(false)
    }

    fn is_within_any(&self, others: &[Sighting], content: &mut F::Content) -> bool {
        others.iter().filter(|other| !other.is_compressed).any(|other| {
            let own = self.files.open(&other.path, other.identity, other.is_compressed);
            own.is_ok_and(|mut own| {
                is_within(content, &mut own, &*self.rules.go_on).unwrap_or(false)
            })
        })
    }

    /// Whether a copy may still be growing, judging by its recent sightings.
    fn is_growing(&mut self, sighting: &Sighting, now: Moment) -> bool {
        let seen = self.growing.entry(sighting.identity).or_insert((sighting.version, now.elapsed));
        if seen.0 != sighting.version {
            *seen = (sighting.version, now.elapsed);
        }
        !is_over(seen.1, COPY_WAIT, now)
    }

    fn identify(
        &mut self,
        sighting: &Sighting,
        content: &mut F::Content,
        now: Moment,
    ) -> io::Result<Match> {
        let head = read::head_of(content)?;
        let whole = Head::of(&head);
        // Most heads have the same length, and there may be thousands.
        let mut heads: HashMap<u64, Head> = HashMap::new();
        let mut candidates: Vec<usize> = (0..self.known.len()).collect();
        // Several files may have the same beginning, such as a header. The file with the most known
        // bytes comes first.
        let known_bytes = |file: &TrackedFile<F::Content>| file.read().max(file.entry.head.len);
        candidates.sort_by_key(|&at| Reverse(known_bytes(&self.known[at])));
        let mut may_grow = false;
        for at in candidates {
            let file = &self.known[at];
            let len = file.entry.head.len;
            let is_short = (head.len() as u64) < len;
            let ours = heads.entry(len).or_insert_with(|| {
                Head::of(head.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default())
            });
            let may_be =
                if is_short { whole.may_begin(&file.entry.head) } else { *ours == file.entry.head };
            if len == 0 || !may_be {
                continue;
            }
            match self.is_copy_of_present(at, content)? {
                Some(true) => return Ok(Match::CopyOf(at)),
                // The known file may have been emptied since the scan.
                Some(false) if !self.is_itself(at)? => self.lose(at, now),
                Some(false) => continue,
                None => {}
            }
            let file = &self.known[at];
            let was_just_lost =
                file.missing_since.is_some_and(|since| !is_over(since, COPY_WAIT, now));
            // A file that was emptied is no copy of its former bytes.
            if file.was_at == Some(sighting.identity) && file.path == sighting.path && was_just_lost
            {
                continue;
            }
            // A rotation copies a whole file before it empties or removes it.
            if is_short {
                continue;
            }
            if file.read() == 0 {
                // None of its bytes is known to be recorded, so a wrong match does no harm.
                let is_as_long = sighting.is_compressed || sighting.version.size >= file.entry.seen;
                if file.entry.identity.is_none() && is_as_long {
                    return Ok(Match::Continues(at));
                }
                continue;
            }
            match Prefix::begins(&file.mark(), content, &*self.rules.go_on)? {
                Some(true) => return Ok(Match::Continues(at)),
                Some(false) => {}
                None => may_grow |= was_just_lost,
            }
        }
        // Half a line does not distinguish files well, and holds nothing to read yet.
        let is_begun = !self.rules.is_import
            && !sighting.is_compressed
            && head.len() < HEAD_BYTES
            && !head.contains(&b'\n');
        Ok(if may_grow || is_begun { Match::Growing } else { Match::New })
    }

    /// Whether all bytes of a file are in a known one. `None` if the known file is gone, or if this
    /// process does not scan its folder.
    fn is_copy_of_present(
        &mut self,
        at: usize,
        content: &mut F::Content,
    ) -> io::Result<Option<bool>> {
        let file = &mut self.known[at];
        let Some(identity) = file.entry.identity else { return Ok(None) };
        let go_on = &*self.rules.go_on;
        match (self.files.open(&file.path, identity, file.entry.is_compressed), &mut file.content) {
            (Ok(mut own), _) => is_within(content, &mut own, go_on).map(Some),
            (Err(_), Some(own)) => is_within(content, own, go_on).map(Some),
            (Err(_), None) => Ok(None),
        }
    }

    /// Continues reading a known file in a copy of it.
    fn go_on_in(
        &mut self,
        at: usize,
        sighting: &Sighting,
        content: F::Content,
        now: Moment,
    ) -> io::Result<()> {
        if !self.verify(at, content, now)? {
            return Err(io::Error::other("the file changed during the scan"));
        }
        let file = &mut self.known[at];
        (file.entry.identity, file.entry.is_compressed) =
            (Some(sighting.identity), sighting.is_compressed);
        (file.entry.is_finished, file.idle, file.was_at) = (false, None, None);
        self.note_sighting(at, sighting, now);
        self.is_changed = true;
        Ok(())
    }

    fn add(&mut self, sighting: &Sighting, mut content: F::Content, now: Moment) -> io::Result<()> {
        if !self.make_room() {
            return Err(io::Error::other(
                "too many known files; this one is not read until others are gone",
            ));
        }
        let beginning = read::head_of(&mut content)?;
        let begins = (self.rules.begins)(&beginning);
        let head = Head::of(&beginning);
        let mut prefix = Prefix::default();
        if self.is_first_scan && self.rules.from_end && !self.rules.is_import {
            let end = last_line_end(&mut content, &*self.rules.go_on)?;
            push_until(&mut prefix, &mut content, end)?;
        }
        let name = sighting.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let entry = Entry {
            id: (self.rules.new_id)(),
            name,
            path: sighting.path.clone(),
            identity: Some(sighting.identity),
            version: sighting.version,
            is_compressed: sighting.is_compressed,
            head,
            mark: prefix.mark(),
            skipping_from: None,
            seen: sighting.version.size,
            is_finished: false,
            is_broken: false,
            is_followed: !self.rules.is_import,
            seen_at: now.unix_s,
        };
        let at = self.push(entry, false, now);
        let file = &mut self.known[at];
        file.end = read::end_of(&mut content, prefix.offset())?;
        file.age_ns = begins.unwrap_or(file.age_ns);
        (file.prefix, file.content, file.is_seen) = (Some(prefix), Some(content), true);
        self.is_changed = true;
        Ok(())
    }

    /// Remembers a compressed file that cannot be read, so that its gap is reported once.
    fn give_up(&mut self, sighting: &Sighting, error: &io::Error, now: Moment) -> io::Result<()> {
        if self.rules.is_import {
            return Err(io::Error::new(error.kind(), format!("couldn't decompress: {error}")));
        }
        if !self.make_room() {
            return Ok(());
        }
        let id = (self.rules.new_id)();
        let name = sighting.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let why = "the file cannot be decompressed";
        self.gaps.push(Gap {
            file: id.clone(),
            path: sighting.path.clone(),
            from: 0,
            to: None,
            why,
        });
        let entry = Entry {
            id,
            name,
            path: sighting.path.clone(),
            identity: Some(sighting.identity),
            version: sighting.version,
            is_compressed: true,
            head: Head::of(b""),
            mark: Prefix::default().mark(),
            skipping_from: None,
            seen: 0,
            is_finished: true,
            is_broken: false,
            is_followed: true,
            seen_at: now.unix_s,
        };
        let at = self.push(entry, false, now);
        self.known[at].is_seen = true;
        self.growing.remove(&sighting.identity);
        self.is_changed = true;
        Ok(())
    }
}

/// Whether one file is a prefix of the other.
fn is_within(
    one: &mut dyn Content,
    other: &mut dyn Content,
    go_on: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut at = 0;
    loop {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = fill(one, at, &mut ours)?;
        if len == 0 {
            return Ok(at > 0);
        }
        // A file that cannot be read counts as empty.
        let is_as_long = fill(other, at, &mut theirs[..len]).is_ok_and(|read| read == len);
        if !is_as_long || ours[..len] != theirs[..len] {
            return Ok(false);
        }
        at += len as u64;
    }
}

/// Offset after the last whole line of a file.
fn last_line_end(content: &mut dyn Content, go_on: &dyn Fn() -> bool) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let (mut at, mut end) = (0, 0);
    loop {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = fill(content, at, &mut buffer)?;
        if len == 0 {
            return Ok(end);
        }
        if let Some(last) = buffer[..len].iter().rposition(|&byte| byte == b'\n') {
            end = at + last as u64 + 1;
        }
        at += len as u64;
    }
}

/// Reading order of files found together: the earliest first record (or last write) first, then the
/// highest rotation number.
fn age<C>(file: &TrackedFile<C>) -> (i64, Reverse<u64>, PathBuf) {
    (file.age_ns, Reverse(rotations(&file.path)), file.path.clone())
}

/// Number of rotations, by the name of the file: 2 for `a.log.2` and `a.log.2.gz`.
fn rotations(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    name.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_counted_by_name() {
        for (name, expected) in [
            ("a.log", 0),
            ("a.log.2", 2),
            ("/x/a.log.10.gz", 10),
            ("a.log.gz", 0),
            ("a-20261120", 0),
        ] {
            assert_eq!(rotations(Path::new(name)), expected, "{name}");
        }
    }
}
