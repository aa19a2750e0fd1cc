//! Reading of a segment row by row: columns of integers, and rows from their groups.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use event::Time;
use event::entry::Entry;
use zstd::zstd_safe::DCtx;

use super::blocks::BlockReader;
use super::packed::{self, Head, Packed};
use super::row::{self, Stored};
use super::terms::take_varint;
use super::{BLOCK_GROUPS, GROUP_ROWS, ROWS, Segment, ZSTD_MAGIC};
use crate::{EVENT_BYTES_MAX, Error};

/// A column of integers, read row by row; it holds on to the block read last.
pub(crate) struct Column<'a> {
    pub(super) file: &'a BlockReader,
    pub(super) section: u8,
    pub(super) block: Option<(usize, Head, Arc<[u8]>)>,
}

impl Column<'_> {
    pub fn get(&mut self, row: u32) -> Result<i64, Error> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let nonsense = || self.file.damage(self.section, "a column that makes no sense");
        if self.block.as_ref().is_none_or(|(held, ..)| *held != block) {
            let bytes = self.file.block(self.section, block)?;
            self.block = Some((block, Head::read(&bytes).ok_or_else(nonsense)?, bytes));
        }
        let (_, head, bytes) = self.block.as_ref().expect("just read");
        let packed = Packed::with(*head, bytes);
        if position < packed.len() { Ok(packed.get(position)) } else { Err(nonsense()) }
    }

    /// The value of a row, if it is in the block read last.
    pub fn held(&self, row: u32) -> Option<i64> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let (_, head, bytes) = self.block.as_ref().filter(|(held, ..)| *held == block)?;
        let packed = Packed::with(*head, bytes);
        (position < packed.len()).then(|| packed.get(position))
    }
}

impl Column<'_> {
    /// How many rows there are.
    pub fn len(&self) -> Result<u32, Error> {
        let Some(last) = self.file.blocks(self.section).checked_sub(1) else { return Ok(0) };
        let bytes = self.file.block(self.section, last)?;
        let packed = Packed::read(&bytes)
            .ok_or_else(|| self.file.damage(self.section, "a column that makes no sense"))?;
        Ok((last * packed::VALUES + packed.len()) as u32)
    }

    /// Calls `each` with every block that has some of these rows: the block's first row, its
    /// values, and the positions among them of the rows.
    pub fn each_block(
        &self,
        rows: Range<u32>,
        each: &mut dyn FnMut(u32, &Packed<'_>, Range<usize>),
    ) -> Result<(), Error> {
        let (start, end) = (rows.start as usize, rows.end as usize);
        for block in start / packed::VALUES..end.div_ceil(packed::VALUES) {
            let first = block * packed::VALUES;
            let positions = start.saturating_sub(first)..(end - first).min(packed::VALUES);
            let bytes = self.file.block(self.section, block)?;
            let packed = Packed::read(&bytes).filter(|packed| positions.end <= packed.len());
            let packed = packed
                .ok_or_else(|| self.file.damage(self.section, "a column that makes no sense"))?;
            each(first as u32, &packed, positions);
        }
        Ok(())
    }
}

/// A column in memory, packed as it is stored: for whoever reads it in no order.
pub(crate) struct Whole(Vec<(Head, Arc<[u8]>)>);

impl Whole {
    /// The value of a row, if there is such a row.
    pub fn get(&self, row: u32) -> Option<i64> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        let (head, bytes) = self.0.get(block)?;
        let packed = Packed::with(*head, bytes);
        (position < packed.len()).then(|| packed.get(position))
    }
}

impl Column<'_> {
    /// All of it, past the cache.
    pub fn whole(&self) -> Result<Whole, Error> {
        let block = |position| {
            let bytes = self.file.passing_block(self.section, position)?;
            let head = Head::read(&bytes);
            let head =
                head.ok_or_else(|| self.file.damage(self.section, "a column that makes no sense"))?;
            Ok((head, bytes))
        };
        (0..self.file.blocks(self.section)).map(block).collect::<Result<_, Error>>().map(Whole)
    }
}

thread_local! {
    /// What zstd needs to decompress; making one costs more than decompressing a group.
    static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Reads rows, which costs least in their order; it holds on to the blocks and the group read last.
pub(crate) struct RowReader<'a> {
    segment: &'a Segment,
    /// Whether blocks are read past the cache.
    is_passing: bool,
    times: Column<'a>,
    indexes: Column<'a>,
    block: Option<(usize, Arc<[u8]>)>,
    /// The number of the group; of each of its rows the number in the trail, and where the head is
    /// in the block and the body in `bodies`.
    group: Option<usize>,
    rows: Vec<(u64, Range<usize>, Range<usize>)>,
    bodies: Vec<u8>,
    /// Room for a frame.
    frame: Vec<u8>,
}

impl<'a> RowReader<'a> {
    pub(super) fn of(segment: &'a Segment, is_passing: bool) -> RowReader<'a> {
        RowReader {
            segment,
            is_passing,
            times: segment.times(),
            indexes: segment.indexes(),
            block: None,
            group: None,
            rows: Vec::new(),
            bodies: Vec::new(),
            frame: ZSTD_MAGIC.to_vec(),
        }
    }

    /// Index and event of a row. Raw bytes and a source's key are left out.
    pub fn entry(&mut self, row: u32) -> Result<(u64, Entry), Error> {
        let occurred_at = Time::from_unix_ns(self.times.get(row)?);
        let index = self.indexes.get(row)?.cast_unsigned();
        let segment = self.segment;
        let entry = row::read(self.stored(row)?, segment.run_of(row).0, occurred_at);
        Ok((index, entry.ok_or_else(|| segment.nonsense(ROWS))?))
    }

    pub(super) fn stored(&mut self, row: u32) -> Result<Stored<'_>, Error> {
        let (group, position) = (row as usize / GROUP_ROWS, row as usize % GROUP_ROWS);
        if self.group != Some(group) {
            self.group = None;
            self.read_group(group)?;
            self.group = Some(group);
        }
        let nonsense = || self.segment.nonsense(ROWS);
        let (number, head, body) = self.rows.get(position).cloned().ok_or_else(nonsense)?;
        let (_, block) = self.block.as_ref().expect("the group is in it");
        Ok(Stored { number, head: &block[head], body: &self.bodies[body] })
    }

    fn read_group(&mut self, group: usize) -> Result<(), Error> {
        let position = group / BLOCK_GROUPS;
        if self.block.as_ref().is_none_or(|(held, _)| *held != position) {
            let index = &self.segment.index;
            let block = if self.is_passing {
                index.passing_block(ROWS, position)
            } else {
                index.block(ROWS, position)
            };
            self.block = Some((position, block?));
        }
        let (_, block) = self.block.as_ref().expect("just read");
        let nonsense = || self.segment.nonsense(ROWS);
        let place = group_of(block, group % BLOCK_GROUPS).ok_or_else(nonsense)?;
        let rows =
            (self.segment.meta.events as usize).saturating_sub(group * GROUP_ROWS).min(GROUP_ROWS);
        let mut left = &block[place.clone()];
        let (mut number, mut bodies_bytes) = (0u64, 0);
        self.rows.clear();
        for _ in 0..rows {
            let (len, step, head) = take_front(&mut left).ok_or_else(nonsense)?;
            let head_end = place.end - left.len();
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
        if read == Ok(bodies_bytes) { Ok(()) } else { Err(nonsense()) }
    }
}

/// Where the group with this position is in a block. `None` when the block makes no sense.
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

/// What a group begins with, row by row: the length of the body, what is added to the number of the
/// row before, the head.
fn take_front<'a>(bytes: &mut &'a [u8]) -> Option<(usize, i64, &'a [u8])> {
    let len = usize::try_from(take_varint(bytes)?).ok().filter(|len| *len <= EVENT_BYTES_MAX)?;
    Some((len, row::unfolded(take_varint(bytes)?), row::take_head(bytes)?))
}
