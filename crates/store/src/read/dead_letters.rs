//! The dead-letter queue, read from an open log or beside it.

use std::ops::ControlFlow;
use std::sync::Arc;

use tlog::Hash;

use crate::disk::durable::Disk;
use crate::disk::identity;
use crate::disk::layout::JOURNAL;
use crate::error::Error;
use crate::journal::batch::{Batch, Content, DeadLetter};
use crate::journal::frame::Frame;
use crate::journal::{dead_letter_files, frame, scan};
use crate::log::memtable::FrameLocation;
use crate::read::contents::Contents;
use crate::read::directory;
use crate::work;

impl Contents {
    /// Number of dead letters, and the root of the tree over their digests, made as that of the
    /// events is.
    pub fn dead_letters_head(&self) -> (u64, Hash) {
        self.state.read().expect("no panic while held").dead_letters_head
    }

    /// Calls `take` with the dead letters from this number on, oldest first, as long as it returns
    /// `Continue`.
    pub fn each_dead_letter(
        &self,
        from: u64,
        take: &mut dyn FnMut(DeadLetter) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (total, frames, _reading) = {
            let state = self.state.read().expect("no panic while held");
            let frozen = state.frozen.iter().flat_map(|frozen| &frozen.dead_letters);
            let frames: Vec<FrameLocation> = frozen.chain(&state.dead_letters).copied().collect();
            (state.dead_letters_head.0, frames, Arc::clone(&state.reading))
        };
        // The journal has the dead letters that are not flushed; it stays as long as somebody
        // reads.
        let flushed = total - frames.len() as u64;
        if from < flushed
            && self
                .dead_letters
                .each(from, flushed, &mut |record| checked(record, take))?
                .is_break()
        {
            return Ok(());
        }
        let skipped = usize::try_from(from.saturating_sub(flushed)).unwrap_or(usize::MAX);
        for FrameLocation { at, len_bytes } in frames.into_iter().skip(skipped) {
            let bytes = self.reader.frame(at, len_bytes)?;
            let Ok((Frame::Content(Content::DeadLetter(record)), _)) =
                frame::read(&self.identity.salt, &bytes)
            else {
                return Err(Error::damage(JOURNAL, 0, "a frame that is no dead letter"));
            };
            if checked(record, take)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Hands a record to `take`, unless nobody wants it any more.
fn checked(
    record: DeadLetter,
    take: &mut dyn FnMut(DeadLetter) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    work::check()?;
    Ok(take(record))
}

/// All dead letters of the log on this disk, oldest first, read beside a process that may have it
/// open.
pub fn dead_letters(disk: &Arc<dyn Disk>) -> Result<Vec<DeadLetter>, Error> {
    let mut records = Vec::new();
    each_dead_letter(disk, 0, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    })?;
    Ok(records)
}

/// Calls `take` with the dead letters from this number on, oldest first, as long as it returns
/// `Continue`; reads beside a process that may have the log open.
pub fn each_dead_letter(
    disk: &Arc<dyn Disk>,
    from: u64,
    take: &mut dyn FnMut(DeadLetter) -> ControlFlow<()>,
) -> Result<(), Error> {
    let identity = identity::read(disk)?;
    // A second attempt skips the records that were taken before.
    let (mut next, mut goes_on) = (from, ControlFlow::Continue(()));
    directory::read_consistently(disk, &|_| true, &mut |manifest| {
        let mut take_new = |record: DeadLetter| {
            if record.number >= next && goes_on.is_continue() {
                next = record.number + 1;
                goes_on = take(record);
            }
            goes_on
        };
        let flushed = manifest.flushed.dead_letters;
        let begin = from.min(flushed);
        if dead_letter_files::each(&**disk, &identity.salt, begin, flushed, &mut |record| {
            Ok(take_new(record))
        })?
        .is_break()
        {
            return Ok(());
        }
        let mut collect = |batches: &[Batch<'_>]| {
            for (_, _, content) in batches.iter().flat_map(|batch| &batch.frames) {
                if let Content::DeadLetter(record) = content {
                    let _ = take_new(record.clone());
                }
            }
            Ok(())
        };
        scan::scan_all(&**disk, &identity, manifest.start(), &mut collect, &mut |_| {})?;
        Ok(())
    })
}
