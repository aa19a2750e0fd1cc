//! Writing sections of an index, for those who have rows and those who have segments.

use event::Trail;
use event::query::Dimension;

use super::blocks::BlockWriter;
use super::keys::{FILTER_LINE, filter_bits};
use super::packed::{self, pack};
use super::postings::PostingsWriter;
use super::terms::{TermsWriter, varint};
use super::{
    BY_NUMBER, FILES, FILTER, INDEXES, KEY_ROWS, KEYS, META, Meta, NUMBERS, REST_GROUPS, REST_ROWS, RUNS,
    TABLE_SUMS, TIMES, TIMES_FIRST, column_section, values_section,
};
use crate::Error;
use crate::audit_files::StoredFile;

const ZSTD_LEVEL: i32 = 3;
/// Blocks of the filter hold this many bytes, but for the last.
pub(super) const FILTER_BLOCK: usize = 32 << 10;
/// Bits of the filter for each key.
const FILTER_BITS: usize = 10;

/// What is written as one block each.
pub(super) fn write_heads(
    index: &mut BlockWriter,
    meta: &Meta,
    files: &[StoredFile],
    sums: &[u32],
    runs: &[WrittenRun],
) -> Result<(), Error> {
    index.begin(META);
    index.push(&serde_json::to_vec(meta).expect("numbers"))?;
    index.begin(FILES);
    let files = serde_json::to_vec(files).expect("texts and numbers");
    index.push(&zstd::bulk::compress(&files, ZSTD_LEVEL).map_err(Error::io("compress"))?)?;
    index.begin(TABLE_SUMS);
    index.push(&sums.iter().flat_map(|sum| sum.to_le_bytes()).collect::<Vec<u8>>())?;
    index.begin(RUNS);
    let mut bytes = Vec::new();
    for run in runs {
        let trail = run.trail.to_string();
        varint(&mut bytes, trail.len() as u64);
        bytes.extend_from_slice(trail.as_bytes());
        varint(&mut bytes, u64::from(run.first_row));
        varint(&mut bytes, run.first_number);
        bytes.extend_from_slice(&run.earliest_ns.to_le_bytes());
        bytes.extend_from_slice(&run.latest_ns.to_le_bytes());
    }
    index.push(&bytes)?;
    Ok(())
}

/// The rows of a trail.
pub(super) struct WrittenRun {
    pub trail: Trail,
    pub first_row: u32,
    pub first_number: u64,
    pub earliest_ns: i64,
    pub latest_ns: i64,
}

/// The columns that every row has a number in.
#[derive(Default)]
pub(super) struct Numbers {
    pub times: PackedBlocks,
    times_first: Vec<i64>,
    pub indexes: PackedBlocks,
    pub numbers: PackedBlocks,
    pub by_number: PackedBlocks,
}

impl Numbers {
    pub fn push(&mut self, time: i64, index: u64, number: u64) {
        if self.times.open.is_empty() {
            self.times_first.push(time);
        }
        self.times.push(time);
        self.indexes.push(index.cast_signed());
        self.numbers.push(number.cast_signed());
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        index.begin(TIMES_FIRST);
        index.push(&self.times_first.iter().flat_map(|time| time.to_le_bytes()).collect::<Vec<u8>>())?;
        for (section, blocks) in [
            (TIMES, self.times),
            (INDEXES, self.indexes),
            (NUMBERS, self.numbers),
            (BY_NUMBER, self.by_number),
        ] {
            index.begin(section);
            blocks.finish(index)?;
        }
        Ok(())
    }
}

/// A column of integers, packed block by block.
#[derive(Default)]
pub(super) struct PackedBlocks {
    open: Vec<i64>,
    blocks: Vec<Vec<u8>>,
}

impl PackedBlocks {
    pub fn push(&mut self, value: i64) {
        self.open.push(value);
        if self.open.len() == packed::VALUES {
            self.blocks.push(pack(&self.open));
            self.open.clear();
        }
    }

    pub fn finish(mut self, index: &mut BlockWriter) -> Result<(), Error> {
        if !self.open.is_empty() {
            self.blocks.push(pack(&self.open));
        }
        self.blocks.iter().try_for_each(|block| index.push(block).map(|_| ()))
    }
}

/// Writes the column of a dimension: for each row the ordinal of its value and one, or 0.
pub(super) fn write_column(
    index: &mut BlockWriter,
    dimension: Dimension,
    column: impl Iterator<Item = u32>,
) -> Result<(), Error> {
    let mut blocks = PackedBlocks::default();
    column.for_each(|ordinal| blocks.push(i64::from(ordinal)));
    index.begin(column_section(dimension.position() as u8));
    blocks.finish(index)
}

/// Writes values in order of their bytes, each with the rows that have it.
pub(super) struct ValuesWriter {
    section: u8,
    postings: PostingsWriter,
    terms: TermsWriter,
}

impl ValuesWriter {
    /// Values with this position among those of an index.
    pub fn begin(position: usize, index: &mut BlockWriter) -> ValuesWriter {
        let section = values_section(position as u8);
        index.begin(section + 2);
        ValuesWriter { section, postings: PostingsWriter::default(), terms: TermsWriter::default() }
    }

    /// Adds the next value and its rows, of which there is at least one, in order.
    pub fn push(&mut self, index: &mut BlockWriter, value: &[u8], rows: &[u32]) -> Result<(), Error> {
        let place = self.postings.push(index, rows)?;
        self.terms.push(value, place);
        Ok(())
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        self.postings.finish(index)?;
        self.terms.finish(self.section, index)
    }
}

/// What rows have beside their columns: groups of rows, each compressed, some groups a block.
pub(super) struct RestWriter {
    compressor: zstd::bulk::Compressor<'static>,
    group: Vec<u8>,
    rows: usize,
    block: Vec<u8>,
    ends: Vec<u32>,
}

impl RestWriter {
    pub fn new(dictionary: &[u8]) -> Result<RestWriter, Error> {
        let compressor = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary)
            .map_err(Error::io("begin to compress"))?;
        Ok(RestWriter { compressor, group: Vec::new(), rows: 0, block: Vec::new(), ends: Vec::new() })
    }

    /// Adds a row, by what `rest` makes of it.
    pub fn push(&mut self, bytes: &[u8], index: &mut BlockWriter) -> Result<(), Error> {
        varint(&mut self.group, bytes.len() as u64);
        self.group.extend_from_slice(bytes);
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

    pub fn finish(mut self, index: &mut BlockWriter) -> Result<(), Error> {
        if self.rows > 0 {
            self.end_group()?;
        }
        if self.ends.is_empty() { Ok(()) } else { self.end_block(index) }
    }
}

/// Writes keys, which come in order, with the rows that have them; and a Bloom filter over them, whose lines are of
/// 64 bytes each.
pub(super) struct KeysWriter {
    keys: PackedBlocks,
    rows: PackedBlocks,
    filter: Vec<u8>,
}

impl KeysWriter {
    /// For so many keys.
    pub fn begin(count: usize) -> KeysWriter {
        let lines = (count * FILTER_BITS).div_ceil(FILTER_LINE * 8);
        let (keys, rows) = (PackedBlocks::default(), PackedBlocks::default());
        KeysWriter { keys, rows, filter: vec![0; lines * FILTER_LINE] }
    }

    pub fn push(&mut self, key: u64, row: u32) {
        self.keys.push(key.cast_signed());
        self.rows.push(i64::from(row));
        let (line, bits) = filter_bits(key, self.filter.len() / FILTER_LINE);
        for bit in bits {
            self.filter[line * FILTER_LINE + bit / 8] |= 1 << (bit % 8);
        }
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        index.begin(KEYS);
        self.keys.finish(index)?;
        index.begin(KEY_ROWS);
        self.rows.finish(index)?;
        index.begin(FILTER);
        self.filter.chunks(FILTER_BLOCK).try_for_each(|block| index.push(block).map(|_| ()))
    }
}
