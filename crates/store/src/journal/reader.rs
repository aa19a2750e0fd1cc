//! Reads frames of a journal by position.

use std::sync::{Arc, RwLock};

use crate::disk::durable::{Disk, File};
use crate::disk::identity::Identity;
use crate::disk::layout::{JOURNAL, journal_file};
use crate::error::Error;
use crate::journal::batch::{Batch, Position};
use crate::journal::contract::Reader;
use crate::journal::frame;
use crate::journal::frame::EventFrame;
use crate::journal::scan::{JournalEnd, Start, scan_all};

/// Replays a journal to `visit`, and returns a reader of its frames. Changes nothing.
pub(crate) fn read(
    disk: &Arc<dyn Disk>,
    identity: &Identity,
    start: Start,
    visit: &mut dyn FnMut(&[Batch<'_>]) -> Result<(), Error>,
) -> Result<Arc<dyn Reader>, Error> {
    let JournalEnd { names, .. } = scan_all(&**disk, identity, start, visit, &mut |_| {})?;
    let mut open = Vec::with_capacity(names.len());
    for name in names {
        let file = disk.open(&name).map_err(Error::io(format!("open {name}")))?;
        open.push((name, Some(file)));
    }
    Ok(Arc::new(JournalFiles {
        disk: Arc::clone(disk),
        salt: identity.salt,
        open: RwLock::new(open),
    }))
}

pub(super) struct JournalFiles {
    pub disk: Arc<dyn Disk>,
    pub salt: [u8; 16],
    /// In order; removed files stay in the list without a handle.
    pub open: RwLock<Vec<JournalFile>>,
}

/// The name of a file, and the file unless it was removed.
type JournalFile = (String, Option<Arc<dyn File>>);

impl JournalFiles {
    fn bytes(&self, at: Position, len_bytes: u32) -> Result<(String, Vec<u8>), Error> {
        let (name, file) = self.open.read().expect("no panic while held")[at.file as usize].clone();
        let file = file.ok_or_else(|| {
            Error::damage(&name, u64::from(at.offset), "the file was dropped already")
        })?;
        let mut bytes = vec![0; len_bytes as usize];
        file.read_at(u64::from(at.offset), &mut bytes)
            .map_err(Error::io(format!("read {name}")))?;
        Ok((name, bytes))
    }
}

impl Reader for JournalFiles {
    fn event(&self, at: Position, len_bytes: u32) -> Result<EventFrame, Error> {
        let (name, bytes) = self.bytes(at, len_bytes)?;
        EventFrame::parse(&self.salt, bytes)
            .map_err(|why| Error::damage(&name, u64::from(at.offset), why))
    }

    fn frame(&self, at: Position, len_bytes: u32) -> Result<Vec<u8>, Error> {
        let (name, bytes) = self.bytes(at, len_bytes)?;
        match frame::read(&self.salt, &bytes) {
            Ok(_) => Ok(bytes),
            Err(why) => Err(Error::damage(&name, u64::from(at.offset), why)),
        }
    }

    fn drop_before(&self, batch: u64) -> Result<(), Error> {
        let mut open = self.open.write().expect("no panic while held");
        let mut is_dropped = false;
        for position in 0..open.len().saturating_sub(1) {
            if open[position + 1].0 > journal_file(batch) {
                break;
            }
            if open[position].1.take().is_some() {
                let name = &open[position].0;
                self.disk.remove(name).map_err(Error::io(format!("remove {name}")))?;
                is_dropped = true;
            }
        }
        if is_dropped {
            self.disk.sync_dir(JOURNAL).map_err(Error::io("sync the journal's folder"))
        } else {
            Ok(())
        }
    }
}
