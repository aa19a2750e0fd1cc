//! Building a segment: rows in order go in, two files come out.

use std::collections::HashMap;
use std::sync::Arc;

use event::Trail;
use event::entry::Entry;
use event::query::Dimension;
use roaring::RoaringBitmap;

use super::blocks::BlockWriter;
use super::packed::{self, pack};
use super::postings::{PostingsWriter, Where};
use super::table::{TableWriter, WrittenTable};
use super::terms::{TermsWriter, varint};
use super::{
    BY_NUMBER, FILES, FILTER, FILTER_LINE, INDEXES, KEYS, META, Meta, NUMBERS, REST, REST_GROUPS, REST_ROWS,
    RUNS, TABLE_SUMS, TIMES, ZSTD_DICTIONARY, column_section, filter_bits, rest, values_section,
};
use crate::Error;
use crate::audit_files::StoredFile;
use crate::dedup::{Key, event_key};
use crate::durable::File;

const ZSTD_LEVEL: i32 = 3;
/// The largest dictionary for [`rest`], in bytes.
const DICTIONARY_BYTES: usize = 16 << 10;
/// Blocks of keys and of the filter hold this many bytes, but for the last.
pub(super) const KEYS_BYTES: usize = 32 << 10;

/// A row of a segment on its way in.
pub(crate) struct Sealed<'a> {
    pub index: u64,
    pub entry: &'a Entry,
    /// The canonical entry.
    pub bytes: &'a [u8],
    pub raw: &'a [u8],
}

/// What two files came to.
pub(crate) struct Written {
    pub table_bytes: u64,
    pub table_sha256: [u8; 32],
    pub index_bytes: u64,
}

/// Takes the rows of a segment in order of trail, time and index.
pub(crate) struct Builder {
    table: TableWriter,
    index: BlockWriter,
    meta: Meta,
    times: PackedBlocks,
    indexes: PackedBlocks,
    numbers: PackedBlocks,
    columns: Vec<DimensionColumn>,
    rest: RestWriter,
    keys: Vec<(u64, u32)>,
    runs: Vec<Run>,
    /// Numbers of the rows of the newest run, when it is a database's.
    run_numbers: Vec<u64>,
    by_number: PackedBlocks,
    rows: u32,
}

struct Run {
    trail: Trail,
    first_row: u32,
    first_number: u64,
}

impl Builder {
    /// Begins the two files of a segment. `dictionary` is one for [`rest`], or empty.
    pub fn new(table: Arc<dyn File>, index: Arc<dyn File>, dictionary: &[u8]) -> Result<Builder, Error> {
        let mut index = BlockWriter::new(index);
        index.begin(ZSTD_DICTIONARY);
        index.push(dictionary)?;
        index.begin(REST);
        Ok(Builder {
            table: TableWriter::new(table)?,
            index,
            meta: Meta::default(),
            times: PackedBlocks::default(),
            indexes: PackedBlocks::default(),
            numbers: PackedBlocks::default(),
            columns: Dimension::ALL.iter().map(|_| DimensionColumn::default()).collect(),
            rest: RestWriter::new(dictionary)?,
            keys: Vec::new(),
            runs: Vec::new(),
            run_numbers: Vec::new(),
            by_number: PackedBlocks::default(),
            rows: 0,
        })
    }

    pub fn push(&mut self, row: &Sealed<'_>) -> Result<(), Error> {
        let event = &row.entry.event;
        if self.runs.last().is_none_or(|run| run.trail != event.trail) {
            self.end_run();
            let run =
                Run { trail: event.trail.clone(), first_row: self.rows, first_number: row.entry.number };
            self.runs.push(run);
        }
        let run = self.runs.last_mut().expect("just begun");
        run.first_number = run.first_number.min(row.entry.number);
        self.table.push(row.index, row.entry, row.bytes, row.raw)?;
        self.times.push(event.occurred_at.unix_ns());
        self.indexes.push(row.index.cast_signed());
        self.numbers.push(row.entry.number.cast_signed());
        if event.trail.service() == event::Service::Database {
            self.run_numbers.push(row.entry.number);
        }
        for dimension in Dimension::ALL {
            let column = &mut self.columns[dimension.position()];
            dimension.with_value(event, |value| column.push(self.rows, value));
        }
        self.rest.push(row.entry, &mut self.index)?;
        if let Some(key) = &event.origin.key {
            self.keys.push((fingerprint(&event_key(&event.origin.source, key)), self.rows));
        }
        self.meta.add(row.index, event.occurred_at);
        self.rows += 1;
        Ok(())
    }

    /// Writes what is left, and the audit log files that the events ended. The caller syncs the files and gives them their
    /// names.
    pub fn finish(mut self, files: &[StoredFile]) -> Result<Written, Error> {
        self.end_run();
        let WrittenTable { len_bytes: table_bytes, sha256: table_sha256, sums } = self.table.finish()?;
        let index = &mut self.index;
        self.rest.finish(index)?;
        index.begin(META);
        index.push(&serde_json::to_vec(&self.meta).expect("numbers"))?;
        index.begin(FILES);
        index.push(&serde_json::to_vec(files).expect("texts and numbers"))?;
        index.begin(TABLE_SUMS);
        index.push(&sums.iter().flat_map(|sum| sum.to_le_bytes()).collect::<Vec<u8>>())?;
        index.begin(RUNS);
        let mut runs = Vec::new();
        for run in &self.runs {
            let trail = run.trail.to_string();
            varint(&mut runs, trail.len() as u64);
            runs.extend_from_slice(trail.as_bytes());
            varint(&mut runs, u64::from(run.first_row));
            varint(&mut runs, run.first_number);
        }
        index.push(&runs)?;
        for (section, blocks) in [
            (TIMES, self.times),
            (INDEXES, self.indexes),
            (NUMBERS, self.numbers),
            (BY_NUMBER, self.by_number),
        ] {
            index.begin(section);
            blocks.finish(index)?;
        }
        for (column, position) in self.columns.into_iter().zip(0..) {
            column.finish(position, index)?;
        }
        write_keys(self.keys, index)?;
        Ok(Written { table_bytes, table_sha256, index_bytes: self.index.finish()? })
    }

    /// Row positions of a database's run in order of the numbers, counted from its first row.
    fn end_run(&mut self) {
        let numbers = std::mem::take(&mut self.run_numbers);
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_unstable_by_key(|position| numbers[*position]);
        let first_row = self.runs.last().map_or(0, |run| run.first_row);
        for position in order {
            self.by_number.push(i64::from(first_row) + position as i64);
        }
    }
}

/// The first eight bytes of a key.
pub(super) fn fingerprint(key: &Key) -> u64 {
    u64::from_le_bytes(*key.first_chunk().expect("sixteen bytes"))
}

/// A dictionary for [`rest`] from some entries; empty when they are too few to be worth one.
pub(crate) fn dictionary<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    let samples: Vec<Vec<u8>> = entries
        .map(|entry| {
            let mut bytes = Vec::new();
            rest::write(&mut bytes, entry);
            bytes
        })
        .collect();
    if samples.iter().map(Vec::len).sum::<usize>() < 8 * DICTIONARY_BYTES {
        return Vec::new();
    }
    // What cannot be trained on is compressed without.
    zstd::dict::from_samples(&samples, DICTIONARY_BYTES).unwrap_or_default()
}

/// A column of integers, packed block by block.
#[derive(Default)]
struct PackedBlocks {
    open: Vec<i64>,
    blocks: Vec<Vec<u8>>,
}

impl PackedBlocks {
    fn push(&mut self, value: i64) {
        self.open.push(value);
        if self.open.len() == packed::VALUES {
            self.blocks.push(pack(&self.open));
            self.open.clear();
        }
    }

    fn finish(mut self, index: &mut BlockWriter) -> Result<(), Error> {
        if !self.open.is_empty() {
            self.blocks.push(pack(&self.open));
        }
        self.blocks.iter().try_for_each(|block| index.push(block).map(|_| ()))
    }
}

/// One dimension: for each row the value it has, for each value its rows.
#[derive(Default)]
struct DimensionColumn {
    numbers: HashMap<Box<[u8]>, u32>,
    rows_of: Vec<Rows>,
    /// 0 for no value, else one more than the value's number; to become its ordinal.
    column: Vec<u32>,
}

/// Rows in order.
enum Rows {
    Only(u32),
    Few(Vec<u32>),
    Many(RoaringBitmap),
}

/// From so many rows on a bitmap takes less.
const FEW: usize = 16;

impl Rows {
    fn push(&mut self, row: u32) {
        match self {
            Rows::Only(first) => *self = Rows::Few(vec![*first, row]),
            Rows::Few(rows) if rows.len() < FEW => rows.push(row),
            Rows::Few(rows) => {
                *self = Rows::Many(
                    RoaringBitmap::from_sorted_iter(rows.iter().copied().chain([row])).expect("in order"),
                );
            }
            Rows::Many(rows) => rows.try_push(row).expect("in order"),
        }
    }

    fn into_bitmap(self) -> RoaringBitmap {
        match self {
            Rows::Only(row) => [row].into(),
            Rows::Few(rows) => RoaringBitmap::from_sorted_iter(rows).expect("in order"),
            Rows::Many(rows) => rows,
        }
    }
}

impl DimensionColumn {
    fn push(&mut self, row: u32, value: Option<&str>) {
        let Some(value) = value else { return self.column.push(0) };
        let number = match self.numbers.get(value.as_bytes()) {
            Some(&number) => {
                self.rows_of[number as usize].push(row);
                number
            }
            None => {
                let number = self.rows_of.len() as u32;
                self.numbers.insert(value.as_bytes().into(), number);
                self.rows_of.push(Rows::Only(row));
                number
            }
        };
        self.column.push(number + 1);
    }

    fn finish(self, position: u8, index: &mut BlockWriter) -> Result<(), Error> {
        let mut values: Vec<(Box<[u8]>, u32)> = self.numbers.into_iter().collect();
        values.sort_unstable();
        let mut ordinals = vec![0; values.len() + 1];
        for ((_, number), ordinal) in values.iter().zip(1u32..) {
            ordinals[*number as usize + 1] = ordinal;
        }
        index.begin(column_section(position));
        for block in self.column.chunks(packed::VALUES) {
            let block: Vec<i64> = block.iter().map(|number| i64::from(ordinals[*number as usize])).collect();
            index.push(&pack(&block))?;
        }
        let mut rows_of: Vec<Option<Rows>> = self.rows_of.into_iter().map(Some).collect();
        index.begin(values_section(position) + 2);
        let mut postings = PostingsWriter::default();
        let mut places: Vec<Where> = Vec::with_capacity(values.len());
        for (_, number) in &values {
            let rows = rows_of[*number as usize].take().expect("each value once");
            places.push(postings.push(index, &rows.into_bitmap())?);
        }
        postings.finish(index)?;
        index.begin(values_section(position));
        let mut terms = TermsWriter::new(values_section(position));
        for ((value, _), place) in values.iter().zip(places) {
            terms.push(index, value, place)?;
        }
        terms.finish(index)
    }
}

/// What rows have beside their columns: groups of rows, each compressed, some groups a block.
struct RestWriter {
    compressor: zstd::bulk::Compressor<'static>,
    group: Vec<u8>,
    rows: usize,
    block: Vec<u8>,
    ends: Vec<u32>,
}

impl RestWriter {
    fn new(dictionary: &[u8]) -> Result<RestWriter, Error> {
        let compressor = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary)
            .map_err(Error::io("begin to compress"))?;
        Ok(RestWriter { compressor, group: Vec::new(), rows: 0, block: Vec::new(), ends: Vec::new() })
    }

    fn push(&mut self, entry: &Entry, index: &mut BlockWriter) -> Result<(), Error> {
        let mut bytes = Vec::new();
        rest::write(&mut bytes, entry);
        varint(&mut self.group, bytes.len() as u64);
        self.group.extend_from_slice(&bytes);
        self.rows += 1;
        if self.rows == REST_ROWS {
            self.end_group()?;
        }
        if self.ends.len() == REST_GROUPS {
            self.end_block(index)?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let compressed = self.compressor.compress(&self.group).map_err(Error::io("compress"))?;
        varint(&mut self.block, self.group.len() as u64);
        self.block.extend_from_slice(&compressed);
        self.ends.push(self.block.len() as u32);
        self.group.clear();
        self.rows = 0;
        Ok(())
    }

    /// The ends of the groups stand behind them, so that a block is read from its end.
    fn end_block(&mut self, index: &mut BlockWriter) -> Result<(), Error> {
        for end in &self.ends {
            self.block.extend_from_slice(&end.to_le_bytes());
        }
        self.block.push(self.ends.len() as u8);
        index.push(&self.block)?;
        self.block.clear();
        self.ends.clear();
        Ok(())
    }

    fn finish(mut self, index: &mut BlockWriter) -> Result<(), Error> {
        if self.rows > 0 {
            self.end_group()?;
        }
        if self.ends.is_empty() { Ok(()) } else { self.end_block(index) }
    }
}

/// Keys in order with the rows that have them; and a Bloom filter over them, whose lines are of 64 bytes each.
fn write_keys(mut keys: Vec<(u64, u32)>, index: &mut BlockWriter) -> Result<(), Error> {
    keys.sort_unstable();
    index.begin(KEYS);
    for block in keys.chunks(KEYS_BYTES / 12) {
        let bytes: Vec<u8> = block
            .iter()
            .flat_map(|(key, row)| [&key.to_le_bytes()[..], &row.to_le_bytes()].concat())
            .collect();
        index.push(&bytes)?;
    }
    let lines = (keys.len() * 10).div_ceil(FILTER_LINE * 8);
    let mut filter = vec![0u8; lines * FILTER_LINE];
    for (key, _) in &keys {
        let (line, bits) = filter_bits(*key, lines);
        for bit in bits {
            filter[line * FILTER_LINE + bit / 8] |= 1 << (bit % 8);
        }
    }
    index.begin(FILTER);
    filter.chunks(KEYS_BYTES).try_for_each(|block| index.push(block).map(|_| ()))
}
