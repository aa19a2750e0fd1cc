//! Audit log files and their lines, read from the log.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Time, Trail};

use crate::error::Error;
use crate::log::memtable::FrameLocation;
use crate::read::audit_files::AuditFile;
use crate::read::contents::Contents;

/// Lines of an audit log file looked up while readers hold off writers.
const AUDIT_LINES_AT_ONCE: u64 = 512;

impl Contents {
    /// The finished audit log files of a database trail, oldest first, and the tree size of the
    /// result: now, or when the log held `as_of` events. Errs with [`Error::Damage`] when a damaged
    /// segment hides some of them.
    pub fn audit_files(
        &self,
        trail: &Trail,
        as_of: Option<u64>,
    ) -> Result<(Vec<AuditFile>, u64), Error> {
        let state = self.state.read().expect("no panic while held");
        if state.files.lacks_some(Some(trail)) || state.hides(trail) {
            return Err(state.first_damage());
        }
        let tree_size = as_of.map_or(state.len(), |size| size.min(state.len()));
        Ok((state.files.of(trail, tree_size).to_vec(), tree_size))
    }

    /// The finished audit log file with this id. Errs with [`Error::Damage`] when there is none and
    /// a damaged segment may hide it.
    pub fn audit_file(&self, id: &str) -> Result<Option<AuditFile>, Error> {
        let state = self.state.read().expect("no panic while held");
        match state.files.find(id) {
            None if state.files.lacks_some(None) => Err(state.first_damage()),
            found => Ok(found.cloned()),
        }
    }

    /// The finished audit log files of every trail beyond that with the ordinal `known[trail]`,
    /// oldest first in each trail.
    pub fn audit_files_beyond(&self, known: &HashMap<Trail, u64>) -> Vec<AuditFile> {
        self.state.read().expect("no panic while held").files.beyond(known)
    }

    /// Number of audit log files, of all trails, whose hour is over and which the next event ends.
    pub fn audit_files_overdue(&self, now: Time) -> usize {
        self.state.read().expect("no panic while held").files.overdue(now)
    }

    /// Original lines of an audit log file, each with a line feed, from the line `from` on (counted
    /// from 0): up to `bytes_max` bytes, but at least one line. Also returns the line to continue
    /// from. Errs with [`Error::Damage`] when stored bytes do not read back.
    pub fn audit_file_lines(
        &self,
        file: &AuditFile,
        from: u64,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, u64), Error> {
        let (mut bytes, mut line) = (Vec::new(), from);
        while line < file.lines && (bytes.is_empty() || bytes.len() < bytes_max) {
            let lines = (file.lines - line).min(AUDIT_LINES_AT_ONCE);
            let read = self.lines(&file.trail, file.first_number + line, lines)?;
            if read.is_empty() {
                break;
            }
            for raw in read {
                bytes.extend_from_slice(&raw);
                bytes.push(b'\n');
                line += 1;
                if bytes.len() >= bytes_max {
                    break;
                }
            }
        }
        Ok((bytes, line))
    }

    /// Raw bytes of a database trail's events from this number on: at most `count` of them.
    fn lines(&self, trail: &Trail, first_number: u64, count: u64) -> Result<Vec<Vec<u8>>, Error> {
        let (segments, frames, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let memtables =
                state.frozen.iter().map(|frozen| &frozen.memtable).chain([&state.active]);
            let frames: Vec<FrameLocation> = memtables
                .flat_map(|memtable| {
                    memtable
                        .rows_by_number(trail, first_number, count)
                        .iter()
                        .map(|row| memtable.frame(*row))
                })
                .collect();
            (Arc::clone(&state.segments), frames, Arc::clone(&state.reading))
        };
        for segment in segments.iter() {
            let lines = self.noted(segment.lines(trail, first_number, count))?;
            if !lines.is_empty() {
                return Ok(lines.iter().map(|line| line.to_vec()).collect());
            }
        }
        // No event is missing here, unless a segment does not say whose events it has.
        if frames.is_empty() {
            segments
                .iter()
                .filter(|segment| !segment.knows_trails())
                .try_for_each(|segment| segment.whole())?;
        }
        frames.iter().map(|frame| Ok(self.reader.event(frame.at, frame.len_bytes)?.raw)).collect()
    }
}
