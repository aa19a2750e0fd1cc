//! Writes sections of an index, for building and for compaction.

use event::Trail;
use event::query::Dimension;

use crate::error::Error;
use crate::read::audit_files::AuditFileRecord;
use crate::segment::blocks::BlockWriter;
use crate::segment::keys::{FILTER_BLOCK, FILTER_LINE, filter_bits};
use crate::segment::meta::Meta;
use crate::segment::packed;
use crate::segment::packed::pack;
use crate::segment::postings::PostingsWriter;
use crate::segment::row::{RowBytes, zigzag};
use crate::segment::sections::{
    BLOCK_GROUPS, BY_NUMBER, FILES, FILTER, GROUP_ROWS, INDEXES, KEY_ROWS, KEYS, META, RUNS,
    TABLE_CHECKSUMS, TIMES, TIMES_FIRST, ZSTD_MAGIC, column_section, values_section,
};
use crate::segment::terms::TermsWriter;
use crate::segment::varint::varint;

const ZSTD_LEVEL: i32 = 3;
/// Bits of the filter for each key.
const FILTER_BITS: usize = 10;

/// Writes the sections of one block each.
pub(super) fn write_heads(
    index: &mut BlockWriter,
    meta: &Meta,
    files: &[AuditFileRecord],
    checksums: &[u32],
    runs: &[RunEntry],
) -> Result<(), Error> {
    index.begin(META);
    index.push(&serde_json::to_vec(meta).expect("numbers"))?;
    index.begin(FILES);
    let files = serde_json::to_vec(files).expect("texts and numbers");
    index.push(&zstd::bulk::compress(&files, ZSTD_LEVEL).map_err(Error::io("compress"))?)?;
    index.begin(TABLE_CHECKSUMS);
    index.push(&checksums.iter().flat_map(|sum| sum.to_le_bytes()).collect::<Vec<u8>>())?;
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
pub(super) struct RunEntry {
    pub trail: Trail,
    pub first_row: u32,
    pub first_number: u64,
    pub earliest_ns: i64,
    pub latest_ns: i64,
}

/// The columns that belong to no dimension.
#[derive(Default)]
pub(super) struct Numbers {
    pub times: PackedBlocks,
    times_first: Vec<i64>,
    pub indexes: PackedBlocks,
    pub by_number: PackedBlocks,
}

impl Numbers {
    pub fn push(&mut self, time: i64, index: u64) {
        if self.times.open.is_empty() {
            self.times_first.push(time);
        }
        self.times.push(time);
        self.indexes.push(index.cast_signed());
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        index.begin(TIMES_FIRST);
        index.push(
            &self.times_first.iter().flat_map(|time| time.to_le_bytes()).collect::<Vec<u8>>(),
        )?;
        for (section, blocks) in
            [(TIMES, self.times), (INDEXES, self.indexes), (BY_NUMBER, self.by_number)]
        {
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

/// Writes the column of a dimension: for each row the ordinal of its value plus one, or 0.
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

/// Writes values in order of their bytes, each with its rows.
pub(super) struct ValuesWriter {
    section: u8,
    postings: PostingsWriter,
    terms: TermsWriter,
}

impl ValuesWriter {
    /// Starts the values with this position in an index.
    pub fn begin(position: usize, index: &mut BlockWriter) -> ValuesWriter {
        let section = values_section(position as u8);
        index.begin(section + 2);
        ValuesWriter { section, postings: PostingsWriter::default(), terms: TermsWriter::default() }
    }

    /// Adds the next value and its rows: at least one, in order.
    pub fn push(
        &mut self,
        index: &mut BlockWriter,
        value: &[u8],
        rows: &[u32],
    ) -> Result<(), Error> {
        let location = self.postings.push(index, rows)?;
        self.terms.push(value, location);
        Ok(())
    }

    pub fn finish(self, index: &mut BlockWriter) -> Result<(), Error> {
        self.postings.finish(index)?;
        self.terms.finish(self.section, index)
    }
}

/// The largest dictionary for the bodies of rows, in bytes. A smaller one saves less.
const DICTIONARY_BYTES: usize = 110 << 10;
/// Bytes of samples for each byte of a dictionary.
const SAMPLES_A_DICTIONARY: usize = 6;
/// Approximate number of rows to train a dictionary on.
pub(super) const SAMPLES: usize = 4000;

/// A dictionary for bodies like these.
pub(super) fn dictionary(samples: &[Vec<u8>]) -> Vec<u8> {
    let bytes = samples.iter().map(Vec::len).sum::<usize>() / SAMPLES_A_DICTIONARY;
    // Samples that are too few for training get no dictionary.
    zstd::dict::from_samples(samples, bytes.min(DICTIONARY_BYTES)).unwrap_or_default()
}

/// Writes rows in groups, and groups in blocks.
pub(super) struct RowsWriter {
    compressor: zstd::bulk::Compressor<'static>,
    /// Space for a frame.
    frame: Vec<u8>,
    /// The open group: the part before the bodies; the bodies; the number of the newest row.
    fronts: Vec<u8>,
    bodies: Vec<u8>,
    number: u64,
    rows: usize,
    /// The open block: the length of each group; the groups.
    lens: Vec<u8>,
    groups: Vec<u8>,
    count: u8,
}

impl RowsWriter {
    pub fn new(dictionary: &[u8]) -> Result<RowsWriter, Error> {
        let io = Error::io("begin to compress");
        let compressor = || {
            let mut compressor = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary)?;
            // The reader knows both.
            compressor.include_contentsize(false)?;
            compressor.include_dictid(false)?;
            Ok(compressor)
        };
        Ok(RowsWriter {
            compressor: compressor().map_err(io)?,
            frame: Vec::new(),
            fronts: Vec::new(),
            bodies: Vec::new(),
            number: 0,
            rows: 0,
            lens: Vec::new(),
            groups: Vec::new(),
            count: 0,
        })
    }

    pub fn push(&mut self, row: RowBytes<'_>, index: &mut BlockWriter) -> Result<(), Error> {
        varint(&mut self.fronts, row.body.len() as u64);
        varint(&mut self.fronts, zigzag(row.number.wrapping_sub(self.number).cast_signed()));
        self.fronts.extend_from_slice(row.head);
        self.number = row.number;
        self.bodies.extend_from_slice(row.body);
        self.rows += 1;
        if self.rows == GROUP_ROWS {
            self.end_group()?;
        }
        if usize::from(self.count) == BLOCK_GROUPS {
            self.end_block(index)?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Error> {
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(self.bodies.len()));
        self.compressor
            .compress_to_buffer(&self.bodies, &mut self.frame)
            .map_err(Error::io("compress"))?;
        let frame = self.frame.strip_prefix(&ZSTD_MAGIC).expect("every frame begins with it");
        varint(&mut self.lens, (self.fronts.len() + frame.len()) as u64);
        self.groups.extend_from_slice(&self.fronts);
        self.groups.extend_from_slice(frame);
        self.count += 1;
        self.fronts.clear();
        self.bodies.clear();
        self.number = 0;
        self.rows = 0;
        Ok(())
    }

    fn end_block(&mut self, index: &mut BlockWriter) -> Result<(), Error> {
        index.push(&[&[self.count][..], &self.lens, &self.groups].concat())?;
        self.lens.clear();
        self.groups.clear();
        self.count = 0;
        Ok(())
    }

    pub fn finish(mut self, index: &mut BlockWriter) -> Result<(), Error> {
        if self.rows > 0 {
            self.end_group()?;
        }
        if self.count > 0 { self.end_block(index) } else { Ok(()) }
    }
}

/// Writes keys, in order, with their rows, and a Bloom filter over them with lines of 64 bytes.
pub(super) struct KeysWriter {
    keys: PackedBlocks,
    rows: PackedBlocks,
    filter: Vec<u8>,
}

impl KeysWriter {
    /// For this number of keys.
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
