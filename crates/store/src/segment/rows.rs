//! Reading rows of a segment: column by column, and what is in no column from its group.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use event::entry::Entry;
use event::query::{Dimension, INSTANCE_ID, Reads};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trail, Trust,
};

use zstd::zstd_safe::DCtx;

use super::blocks::BlockReader;
use super::packed::{self, Packed};
use super::terms::take_varint;
use super::{REST, REST_GROUPS, REST_ROWS, Segment, column_section, rest};
use crate::Error;

/// A column of integers, read row by row; it holds on to the block read last.
pub(crate) struct Column<'a> {
    pub(super) file: &'a BlockReader,
    pub(super) section: u8,
    pub(super) block: Option<(usize, Arc<[u8]>)>,
}

impl Column<'_> {
    pub fn get(&mut self, row: u32) -> Result<i64, Error> {
        let (block, position) = (row as usize / packed::VALUES, row as usize % packed::VALUES);
        if self.block.as_ref().is_none_or(|(held, _)| *held != block) {
            self.block = Some((block, self.file.block(self.section, block)?));
        }
        let (_, bytes) = self.block.as_ref().expect("just read");
        match Packed::read(bytes).filter(|packed| position < packed.len()) {
            Some(packed) => Ok(packed.get(position)),
            None => Err(self.file.damage(self.section, "a column that makes no sense")),
        }
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

    /// Calls `each` with every block that has some of these rows: the block's first row, its values, and the positions among
    /// them of the rows.
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
            let packed =
                packed.ok_or_else(|| self.file.damage(self.section, "a column that makes no sense"))?;
            each(first as u32, &packed, positions);
        }
        Ok(())
    }
}

/// Reads rows; it holds on to what neighbouring rows share.
pub(super) struct RowReader<'a> {
    segment: &'a Segment,
    times: Column<'a>,
    indexes: Column<'a>,
    numbers: Column<'a>,
    columns: Vec<Column<'a>>,
    /// Values that were read lately, of each dimension with many.
    values: Vec<Vec<(u64, String)>>,
    /// When all is read.
    rest: Option<RestReader<'a>>,
}

impl<'a> RowReader<'a> {
    pub fn of(segment: &'a Segment, reads: Reads) -> RowReader<'a> {
        RowReader {
            segment,
            times: segment.times(),
            indexes: segment.indexes(),
            numbers: segment.numbers(),
            columns: Dimension::ALL.iter().map(|dimension| segment.column(*dimension)).collect(),
            values: vec![Vec::new(); Dimension::ALL.len()],
            rest: (reads == Reads::All).then(|| RestReader::of(segment)),
        }
    }

    pub fn row(&mut self, row: u32) -> Result<(u64, Entry), Error> {
        let trail = self.segment.run_of(row).0.clone();
        let occurred_at = Time::from_unix_ns(self.times.get(row)?);
        let values: Vec<Option<String>> =
            Dimension::ALL.iter().map(|dimension| self.value(*dimension, row)).collect::<Result<_, _>>()?;
        let nonsense = || self.segment.nonsense(column_section(0));
        let mut entry = filled(trail, occurred_at, values).ok_or_else(nonsense)?;
        entry.number = self.numbers.get(row)?.cast_unsigned();
        if let Some(rest) = &mut self.rest {
            rest::read(rest.row(row)?, &mut entry).ok_or_else(|| self.segment.nonsense(REST))?;
        }
        Ok((self.indexes.get(row)?.cast_unsigned(), entry))
    }

    fn value(&mut self, dimension: Dimension, row: u32) -> Result<Option<String>, Error> {
        let position = dimension.position();
        let ordinal = self.columns[position].get(row)?;
        if ordinal == 0 {
            return Ok(None);
        }
        let ordinal = ordinal.cast_unsigned() - 1;
        if let Some(values) = self.segment.few_values(dimension)? {
            let value = values
                .get(ordinal as usize)
                .ok_or_else(|| self.segment.nonsense(column_section(position as u8)))?;
            return Ok(Some(value.to_string()));
        }
        let read = &mut self.values[position];
        if let Some((_, value)) = read.iter().rev().find(|(known, _)| *known == ordinal) {
            return Ok(Some(value.clone()));
        }
        let value = self.segment.value(dimension, ordinal)?;
        if read.len() < VALUES_KEPT {
            read.push((ordinal, value.clone()));
        }
        Ok(Some(value))
    }
}

/// So many values of a dimension are kept while rows are read.
const VALUES_KEPT: usize = 64;

thread_local! {
    /// What zstd needs to decompress; making one costs more than decompressing a group.
    static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Reads what rows have beside their columns; it holds on to the group read last.
pub(super) struct RestReader<'a> {
    segment: &'a Segment,
    /// The number of the group, its bytes, and where in it the row after the one read last begins.
    group: Option<(usize, Vec<u8>)>,
    next: (u32, usize),
}

impl<'a> RestReader<'a> {
    pub fn of(segment: &'a Segment) -> RestReader<'a> {
        RestReader { segment, group: None, next: (0, 0) }
    }

    /// What [`rest`] made of this row.
    pub fn row(&mut self, row: u32) -> Result<&[u8], Error> {
        let group = row as usize / REST_ROWS;
        if self.group.as_ref().is_none_or(|(held, _)| *held != group) {
            self.group = Some((group, read_group(self.segment, group)?));
            self.next = ((group * REST_ROWS) as u32, 0);
        }
        let (_, bytes) = self.group.as_ref().expect("just read");
        if row < self.next.0 {
            self.next = ((group * REST_ROWS) as u32, 0);
        }
        let skipped = row - self.next.0;
        let read = || {
            let mut left = bytes.get(self.next.1..)?;
            for _ in 0..skipped {
                let len = usize::try_from(take_varint(&mut left)?).ok()?;
                left = left.get(len..)?;
            }
            let len = usize::try_from(take_varint(&mut left)?).ok()?;
            let (found, left) = left.split_at_checked(len)?;
            Some((found, bytes.len() - left.len()))
        };
        let (found, next) = read().ok_or_else(|| self.segment.nonsense(REST))?;
        self.next = (row + 1, next);
        Ok(found)
    }
}

fn read_group(segment: &Segment, group: usize) -> Result<Vec<u8>, Error> {
    let block = segment.index.block(REST, group / REST_GROUPS)?;
    let place = || {
        let (&count, rest) = block.split_last()?;
        let at = rest.len().checked_sub(usize::from(count) * 4)?;
        let (groups, ends) = rest.split_at(at);
        let ends = ends.as_chunks::<4>().0;
        let position = group % REST_GROUPS;
        let end = u32::from_le_bytes(*ends.get(position)?) as usize;
        let start = if position == 0 { 0 } else { u32::from_le_bytes(ends[position - 1]) as usize };
        let mut compressed = groups.get(start..end)?;
        let len = usize::try_from(take_varint(&mut compressed)?).ok()?;
        Some((compressed, len))
    };
    let (compressed, len) = place().ok_or_else(|| segment.nonsense(REST))?;
    let mut bytes = Vec::with_capacity(len);
    let read = CONTEXT.with_borrow_mut(|context| {
        context.decompress_using_ddict(&mut bytes, compressed, &segment.dictionary)
    });
    if read == Ok(len) { Ok(bytes) } else { Err(segment.nonsense(REST)) }
}

/// An entry with what the columns tell of it. `None` when a value is not of its set.
fn filled(trail: Trail, occurred_at: Time, values: Vec<Option<String>>) -> Option<Entry> {
    let mut values = values.into_iter();
    let mut next = || values.next().flatten();
    // In order of `Dimension::ALL`.
    let operation = Operation::from_text(&next()?)?;
    let action = next()?;
    let outcome = Outcome { kind: OutcomeKind::from_text(&next()?)?, ..Outcome::default() };
    let severity = Severity::new(next()?.parse().ok()?)?;
    let class = Class::from_text(&next()?)?;
    let actor = Actor { id: next(), name: next(), kind: ActorKind::from_text(&next()?)? };
    let resource = Resource { kind: next(), name: next(), id: next(), region: None };
    let source_ip = match next() {
        Some(address) => Some(SourceIp { address: address.parse().ok()?, trust: Trust::Peer }),
        None => None,
    };
    let origin = Origin { source: next()?, format: String::new(), key: None };
    let attributes = next().map(|id| (INSTANCE_ID.to_owned(), id)).into_iter().collect();
    let event = Event {
        id: EventId::default(),
        trail,
        occurred_at,
        resolution: Resolution::Nanosecond,
        actor,
        source_ip,
        user_agent: None,
        action,
        operation,
        resource,
        outcome,
        severity,
        class,
        description: None,
        request_id: None,
        trace_id: None,
        origin,
        attributes,
        raw: Vec::new(),
    };
    Some(Entry { event, number: 0, received_at: occurred_at, raw_sha256: [0; 32] })
}
