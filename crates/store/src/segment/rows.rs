//! Reads a segment's rows from their compressed groups.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use event::Time;
use event::entry::Entry;
use zstd::zstd_safe::DCtx;

use crate::error::Error;
use crate::journal::frame::EVENT_BYTES_MAX;
use crate::segment::column::Column;
use crate::segment::row;
use crate::segment::row::RowBytes;
use crate::segment::sections::{BLOCK_GROUPS, GROUP_ROWS, ROWS, ZSTD_MAGIC};
use crate::segment::segment::Segment;
use crate::segment::varint::take_varint;

thread_local! {
    /// The zstd context; making one costs more than decompressing a group.
    static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Reads rows, cheapest in their order; retains the blocks and the group read last.
pub(crate) struct RowReader<'a> {
    segment: &'a Segment,
    /// Whether blocks are read past the cache.
    is_uncached: bool,
    times: Column<'a>,
    indexes: Column<'a>,
    block: Option<(usize, Arc<[u8]>)>,
    /// The number of the group. For each of its rows: the number in the trail, the range of the
    /// head in the block, and the range of the body in `bodies`.
    group: Option<usize>,
    rows: Vec<(u64, Range<usize>, Range<usize>)>,
    bodies: Vec<u8>,
    /// Space for a frame.
    frame: Vec<u8>,
}

impl<'a> RowReader<'a> {
    pub(super) fn of(segment: &'a Segment, is_uncached: bool) -> RowReader<'a> {
        RowReader {
            segment,
            is_uncached,
            times: segment.times(),
            indexes: segment.indexes(),
            block: None,
            group: None,
            rows: Vec::new(),
            bodies: Vec::new(),
            frame: ZSTD_MAGIC.to_vec(),
        }
    }

    /// Index and event of a row, without raw bytes and the source's key.
    pub fn entry(&mut self, row: u32) -> Result<(u64, Entry), Error> {
        let occurred_at = Time::from_unix_ns(self.times.get(row)?);
        let index = self.indexes.get(row)?.cast_unsigned();
        let segment = self.segment;
        let entry = row::read(self.row_bytes(row)?, segment.run_of(row).0, occurred_at);
        Ok((index, entry.ok_or_else(|| segment.malformed(ROWS))?))
    }

    pub(super) fn row_bytes(&mut self, row: u32) -> Result<RowBytes<'_>, Error> {
        let (group, position) = (row as usize / GROUP_ROWS, row as usize % GROUP_ROWS);
        if self.group != Some(group) {
            self.group = None;
            self.read_group(group)?;
            self.group = Some(group);
        }
        let malformed = || self.segment.malformed(ROWS);
        let (number, head, body) = self.rows.get(position).cloned().ok_or_else(malformed)?;
        let (_, block) = self.block.as_ref().expect("the group is in it");
        Ok(RowBytes { number, head: &block[head], body: &self.bodies[body] })
    }

    fn read_group(&mut self, group: usize) -> Result<(), Error> {
        let position = group / BLOCK_GROUPS;
        if self.block.as_ref().is_none_or(|(held, _)| *held != position) {
            let index = &self.segment.index;
            let block = if self.is_uncached {
                index.block_uncached(ROWS, position)
            } else {
                index.block(ROWS, position)
            };
            self.block = Some((position, block?));
        }
        let (_, block) = self.block.as_ref().expect("just read");
        let malformed = || self.segment.malformed(ROWS);
        let range = group_of(block, group % BLOCK_GROUPS).ok_or_else(malformed)?;
        let rows =
            (self.segment.meta.events as usize).saturating_sub(group * GROUP_ROWS).min(GROUP_ROWS);
        let mut left = &block[range.clone()];
        let (mut number, mut bodies_bytes) = (0u64, 0);
        self.rows.clear();
        for _ in 0..rows {
            let (len, step, head) = take_front(&mut left).ok_or_else(malformed)?;
            let head_end = range.end - left.len();
            number = number.wrapping_add_signed(step);
            self.rows.push((
                number,
                head_end - head.len()..head_end,
                bodies_bytes..bodies_bytes + len,
            ));
            bodies_bytes += len;
        }
        self.frame.truncate(ZSTD_MAGIC.len());
        self.frame.extend_from_slice(left);
        self.bodies.clear();
        self.bodies.reserve(bodies_bytes);
        let (frame, bodies, dictionary) = (&self.frame, &mut self.bodies, &self.segment.dictionary);
        let read = CONTEXT
            .with_borrow_mut(|context| context.decompress_using_ddict(bodies, frame, dictionary));
        if read == Ok(bodies_bytes) { Ok(()) } else { Err(malformed()) }
    }
}

/// The range in a block of the group with this position. `None` when the block is malformed.
fn group_of(block: &[u8], position: usize) -> Option<Range<usize>> {
    let (&count, mut left) = block.split_first()?;
    let (mut before, mut found) = (0u64, None);
    for at in 0..usize::from(count) {
        let len = u64::from(u32::try_from(take_varint(&mut left)?).ok()?);
        match at.cmp(&position) {
            Ordering::Less => before += len,
            Ordering::Equal => found = Some(len),
            Ordering::Greater => {}
        }
    }
    let start = block.len() - left.len() + before as usize;
    let end = start + found? as usize;
    (end <= block.len()).then_some(start..end)
}

/// The front of a group, row by row: the length of the body, the difference from the number of the
/// row before, the head.
fn take_front<'a>(bytes: &mut &'a [u8]) -> Option<(usize, i64, &'a [u8])> {
    let len = usize::try_from(take_varint(bytes)?).ok().filter(|len| *len <= EVENT_BYTES_MAX)?;
    Some((len, row::from_zigzag(take_varint(bytes)?), row::take_head(bytes)?))
}

impl Segment {
    /// Reads rows through the cache.
    pub fn rows(&self) -> RowReader<'_> {
        RowReader::of(self, false)
    }

    /// [`Segment::rows`] past the cache, for a reader of most rows.
    pub fn rows_uncached(&self) -> RowReader<'_> {
        RowReader::of(self, true)
    }
}
