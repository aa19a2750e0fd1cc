//! Reading rows of a segment: column by column, and what is in no column from its group.

use std::collections::HashMap;
use std::sync::Arc;

use event::entry::Entry;
use event::query::{Dimension, INSTANCE_ID};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, OutcomeKind, Resolution, Resource,
    Severity, SourceIp, Time, Trail, Trust,
};

use super::blocks::BlockReader;
use super::packed::{self, Packed};
use super::terms::take_varint;
use super::{NUMBERS, REST, REST_GROUPS, REST_ROWS, Run, Segment, column_section, rest, values_section};
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

/// Reads rows; it holds on to what neighbouring rows share.
pub(super) struct RowReader<'a> {
    segment: &'a Segment,
    times: Column<'a>,
    indexes: Column<'a>,
    numbers: Column<'a>,
    columns: Vec<Column<'a>>,
    values: Vec<HashMap<i64, String>>,
    decompressor: zstd::bulk::Decompressor<'a>,
    /// The group read last, decompressed.
    group: Option<(usize, Vec<u8>)>,
    trails: Vec<(Run, &'a Trail)>,
}

impl<'a> RowReader<'a> {
    pub(super) fn of(segment: &'a Segment) -> Result<RowReader<'a>, Error> {
        let mut trails: Vec<(Run, &Trail)> = segment.runs.iter().map(|(trail, run)| (*run, trail)).collect();
        trails.sort_unstable_by_key(|(run, _)| run.start);
        let decompressor = zstd::bulk::Decompressor::with_prepared_dictionary(&segment.dictionary)
            .map_err(Error::io("begin to decompress"))?;
        Ok(RowReader {
            segment,
            times: segment.times(),
            indexes: segment.indexes(),
            numbers: Column { file: &segment.index, section: NUMBERS, block: None },
            columns: Dimension::ALL.iter().map(|dimension| segment.column(*dimension)).collect(),
            values: Dimension::ALL.iter().map(|_| HashMap::new()).collect(),
            decompressor,
            group: None,
            trails,
        })
    }

    pub(super) fn row(&mut self, row: u32) -> Result<(u64, Entry), Error> {
        let position = self.trails.partition_point(|(run, _)| run.start <= row) - 1;
        let trail = self.trails[position].1.clone();
        let occurred_at = Time::from_unix_ns(self.times.get(row)?);
        let values: Vec<Option<String>> =
            Dimension::ALL.iter().map(|dimension| self.value(*dimension, row)).collect::<Result<_, _>>()?;
        let nonsense = || self.segment.nonsense(column_section(0));
        let mut entry = filled(trail, occurred_at, values).ok_or_else(nonsense)?;
        entry.number = self.numbers.get(row)?.cast_unsigned();
        self.read_rest(row as usize, &mut entry)?;
        Ok((self.indexes.get(row)?.cast_unsigned(), entry))
    }

    fn value(&mut self, dimension: Dimension, row: u32) -> Result<Option<String>, Error> {
        let position = dimension.position();
        let ordinal = self.columns[position].get(row)?;
        if ordinal == 0 {
            return Ok(None);
        }
        if let Some(value) = self.values[position].get(&ordinal) {
            return Ok(Some(value.clone()));
        }
        let value = self.segment.terms(dimension).value(ordinal.cast_unsigned() - 1)?;
        let value =
            String::from_utf8(value).map_err(|_| self.segment.nonsense(values_section(position as u8)))?;
        self.values[position].insert(ordinal, value.clone());
        Ok(Some(value))
    }

    fn read_rest(&mut self, row: usize, entry: &mut Entry) -> Result<(), Error> {
        let group = row / REST_ROWS;
        if self.group.as_ref().is_none_or(|(held, _)| *held != group) {
            self.group = Some((group, self.read_group(group)?));
        }
        let (_, bytes) = self.group.as_ref().expect("just read");
        let read = || {
            let mut left = &bytes[..];
            for _ in 0..row % REST_ROWS {
                let len = usize::try_from(take_varint(&mut left)?).ok()?;
                left = left.get(len..)?;
            }
            let len = usize::try_from(take_varint(&mut left)?).ok()?;
            left.get(..len)
        };
        read().and_then(|bytes| rest::read(bytes, entry)).ok_or_else(|| self.segment.nonsense(REST))
    }

    fn read_group(&mut self, group: usize) -> Result<Vec<u8>, Error> {
        let block = self.segment.index.block(REST, group / REST_GROUPS)?;
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
        let (compressed, len) = place().ok_or_else(|| self.segment.nonsense(REST))?;
        self.decompressor.decompress(compressed, len).map_err(|_| self.segment.nonsense(REST))
    }
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
