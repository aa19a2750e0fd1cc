//! An open segment: its files, and what is read from them by row, by value and by trail.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use event::Trail;
use event::query::Dimension;
use roaring::RoaringBitmap;
use zstd::zstd_safe::DDict;

use crate::disk::durable::{Disk, File};
use crate::error::Error;
use crate::hash::Map;
use crate::read::audit_files::AuditFileRecord;
use crate::segment::blocks::BlockReader;
use crate::segment::cache::Cache;
use crate::segment::column::Column;
use crate::segment::meta::{Meta, Run};
use crate::segment::packed;
use crate::segment::sections::{
    BY_NUMBER, FILES, INDEXES, META, RUNS, TABLE_CHECKSUMS, TIMES, TIMES_FIRST, WORDS,
    WORDS_BEFORE, ZSTD_DICTIONARY, column_section, values_section, words_position,
};
use crate::segment::table::read::Table;
use crate::segment::terms::Terms;
use crate::segment::unreadable::Unreadable;
use crate::segment::varint::take_varint;

/// Index, runs, dictionary and table of a segment.
type Parts = (BlockReader, Vec<(Trail, Run)>, DDict<'static>, Arc<dyn File>);

/// An open segment.
pub(crate) struct Segment {
    pub meta: Meta,
    pub name: String,
    pub(super) index: BlockReader,
    /// In order of the trails.
    pub(super) runs: Vec<(Trail, Run)>,
    positions: Map<Trail, usize>,
    /// The first time of each block of times.
    pub(super) firsts: Vec<i64>,
    pub(super) dictionary: DDict<'static>,
    table: OnceLock<Table>,
    pub(super) table_file: Arc<dyn File>,
    /// Why nothing of it reads back, if its files did not open.
    unreadable: Option<Unreadable>,
}

impl Segment {
    /// Opens the two files of a segment.
    pub fn open(disk: &dyn Disk, name: &str, cache: Arc<Cache>) -> Result<Segment, Error> {
        let (table, index) = (format!("{name}.parquet"), format!("{name}.index"));
        let open = |path: &str| {
            disk.open(path).map_err(|cause| match cause.kind() {
                std::io::ErrorKind::NotFound => {
                    Error::damage(path, 0, "the manifest names this file, and it is not there")
                }
                _ => Error::Io { doing: format!("open {path}"), cause },
            })
        };
        let table_file = open(&table)?;
        let index = BlockReader::open(open(&index)?, &index, cache)?;
        let malformed = |section| index.damage(section, "a malformed section");
        let meta: Meta =
            serde_json::from_slice(&index.block(META, 0)?).map_err(|_| malformed(META))?;
        let rows = u32::try_from(meta.events).map_err(|_| malformed(META))?;
        let runs = read_runs(&index.block(RUNS, 0)?, rows).ok_or_else(|| malformed(RUNS))?;
        let firsts = read_firsts(&index.block(TIMES_FIRST, 0)?, rows)
            .ok_or_else(|| malformed(TIMES_FIRST))?;
        let dictionary = DDict::try_create(&index.block(ZSTD_DICTIONARY, 0)?);
        let dictionary = dictionary.ok_or_else(|| malformed(ZSTD_DICTIONARY))?;
        let parts = (index, runs, dictionary, table_file);
        Ok(Segment { firsts, ..Segment::of_parts(meta, name.to_owned(), parts, None) })
    }

    pub(super) fn of_parts(
        meta: Meta,
        name: String,
        (index, runs, dictionary, table_file): Parts,
        unreadable: Option<Unreadable>,
    ) -> Segment {
        let positions =
            runs.iter().zip(0..).map(|((trail, _), position)| (trail.clone(), position)).collect();
        let (firsts, table) = (Vec::new(), OnceLock::new());
        Segment {
            meta,
            name,
            index,
            runs,
            positions,
            firsts,
            dictionary,
            table,
            table_file,
            unreadable,
        }
    }

    /// Errs when the files of the segment did not open.
    pub fn whole(&self) -> Result<(), Error> {
        self.unreadable.as_ref().map_or(Ok(()), |why| Err(why.error()))
    }

    /// Whether the trails of its events are known. They always are, unless neither of its files
    /// reads back.
    pub fn knows_trails(&self) -> bool {
        self.unreadable.as_ref().is_none_or(|why| why.knows_trails)
    }

    /// Every trail with its rows, in order.
    pub fn trails(&self) -> impl Iterator<Item = (&Trail, &Run)> {
        self.runs.iter().map(|(trail, run)| (trail, run))
    }

    /// Number of trails.
    pub fn trails_len(&self) -> usize {
        self.runs.len()
    }

    /// The trail and the run of a row.
    pub fn run_of(&self, row: u32) -> (&Trail, Run) {
        let (trail, run) = &self.runs[self.runs.partition_point(|(_, run)| run.start <= row) - 1];
        (trail, *run)
    }

    pub fn run(&self, trail: &Trail) -> Option<Run> {
        self.positions.get(trail).map(|position| self.runs[*position].1)
    }

    pub fn times(&self) -> Column<'_> {
        Column { file: &self.index, section: TIMES, block: None }
    }

    pub fn indexes(&self) -> Column<'_> {
        Column { file: &self.index, section: INDEXES, block: None }
    }

    pub fn column(&self, dimension: Dimension) -> Column<'_> {
        Column {
            file: &self.index,
            section: column_section(dimension.position() as u8),
            block: None,
        }
    }

    /// Bounds of the time of a row, as far as they are known in memory. `rows` must be of one trail
    /// and contain the row.
    pub fn time_bounds(&self, row: u32, rows: &Range<u32>) -> (Option<i64>, Option<i64>) {
        let block = row as usize / packed::VALUES;
        let first = |block: usize| {
            let is_among = rows.contains(&((block * packed::VALUES) as u32));
            if is_among { self.firsts.get(block).copied() } else { None }
        };
        (first(block), first(block + 1))
    }

    /// The rows of a range whose index is below this.
    pub fn rows_below(&self, index: u64, rows: Range<u32>) -> Result<RoaringBitmap, Error> {
        let mut found = RoaringBitmap::new();
        let is_below = |value: i64| value.cast_unsigned() < index;
        self.indexes().each_block(rows, &mut |first, packed, positions| {
            let (least, most) = packed.bounds();
            let row_at = |position: usize| first + position as u32;
            if is_below(most) {
                found.insert_range(row_at(positions.start)..row_at(positions.end));
            } else if is_below(least) {
                found.extend(positions.filter(|at| is_below(packed.get(*at))).map(row_at));
            }
        })?;
        Ok(found)
    }

    /// The row of the event with this index, which must be one of the segment's.
    pub fn row_of(&self, index: u64) -> Result<u32, Error> {
        self.rows_of(index..index + 1)?.first().copied().ok_or_else(|| self.malformed(INDEXES))
    }

    /// The rows of the events with these indexes, in their order. Searches each block of the column
    /// that may have one, so that many at once cost little more than one.
    pub fn rows_of(&self, indexes: Range<u64>) -> Result<Vec<u32>, Error> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        self.indexes().each_block(
            0..self.meta.events as u32,
            &mut |first, packed, positions| {
                let (least, most) = packed.bounds();
                if least.cast_unsigned() < indexes.end && most.cast_unsigned() >= indexes.start {
                    let rows = (first..).zip(packed.range(positions).map(i64::cast_unsigned));
                    found.extend(
                        rows.filter(|(_, index)| indexes.contains(index))
                            .map(|(row, index)| (index, row)),
                    );
                }
            },
        )?;
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }

    /// The value of a dimension with this ordinal.
    pub fn value(&self, dimension: Dimension, ordinal: u64) -> Result<String, Error> {
        let value = self.terms(dimension).value(ordinal)?;
        String::from_utf8(value)
            .map_err(|_| self.malformed(values_section(dimension.position() as u8)))
    }

    /// The values of a dimension.
    pub fn terms(&self, dimension: Dimension) -> Terms<'_> {
        self.values(dimension.position())
    }

    /// The words at a position. `None` in segments of earlier versions, which lack some.
    pub fn words(&self, position: usize) -> Option<Terms<'_>> {
        let has_words = position < WORDS_BEFORE || self.has_all_words();
        has_words.then(|| self.values(words_position(position)))
    }

    /// Whether the segment has the words of all texts, and the tokens of named texts. Those of
    /// earlier versions lack some, and so do those compacted from any of them.
    pub fn has_all_words(&self) -> bool {
        self.index.blocks(WORDS) > 0
    }

    /// The values with this position: dimensions, words and severities by time.
    pub(super) fn values(&self, position: usize) -> Terms<'_> {
        Terms { file: &self.index, section: values_section(position as u8) }
    }

    /// The dictionary for the bodies of rows.
    pub fn dictionary(&self) -> Result<Arc<[u8]>, Error> {
        self.index.block(ZSTD_DICTIONARY, 0)
    }

    /// `count` rows of a database trail in order of their numbers, from this number on, or fewer at
    /// the end.
    pub fn rows_by_number(
        &self,
        run: Run,
        first_number: u64,
        count: u64,
    ) -> Result<Vec<u32>, Error> {
        let mut column = Column { file: &self.index, section: BY_NUMBER, block: None };
        let len = u64::from(run.end - run.start);
        let start = first_number.saturating_sub(run.first_number).min(len);
        let end = start.saturating_add(count).min(len);
        (start..end)
            .map(|position| {
                let row = column.get(run.before + position as u32)?;
                u32::try_from(row).map_err(|_| self.malformed(BY_NUMBER))
            })
            .collect()
    }

    /// The audit log files that the segment's events ended.
    pub fn audit_files(&self) -> Result<Vec<AuditFileRecord>, Error> {
        let bytes = zstd::stream::decode_all(&self.index.block(FILES, 0)?[..]);
        serde_json::from_slice(&bytes.map_err(|_| self.malformed(FILES))?)
            .map_err(|_| self.malformed(FILES))
    }

    /// Raw bytes of a database trail's events: `count` of them from this number on, or fewer at the
    /// end.
    pub fn lines(
        &self,
        trail: &Trail,
        first_number: u64,
        count: u64,
    ) -> Result<Vec<bytes::Bytes>, Error> {
        let has_first = |run: &Run| {
            (run.first_number..run.first_number + u64::from(run.end - run.start))
                .contains(&first_number)
        };
        let Some(run) = self.run(trail).filter(has_first) else { return Ok(Vec::new()) };
        let rows = self.rows_by_number(run, first_number, count)?;
        let mut lines = Vec::with_capacity(rows.len());
        // Numbers and times mostly go together, so that rows are mostly adjacent.
        for rows in rows.chunk_by(|row, next| row + 1 == *next) {
            lines.extend(self.raws(rows[0], rows.len())?);
        }
        Ok(lines)
    }

    /// The stored canonical entries of consecutive rows.
    pub fn entries(&self, first: u32, count: usize) -> Result<Vec<bytes::Bytes>, Error> {
        self.table()?.entries(u64::from(first), count)
    }

    /// The stored raw bytes of consecutive rows.
    pub fn raws(&self, first: u32, count: usize) -> Result<Vec<bytes::Bytes>, Error> {
        self.table()?.raws(u64::from(first), count)
    }

    /// CRC-32C of each [`CHUNK`](crate::segment::table::columns::CHUNK) of the table.
    pub fn table_checksums(&self) -> Result<Vec<u32>, Error> {
        let checksums = self.index.block(TABLE_CHECKSUMS, 0)?;
        Ok(checksums.as_chunks().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect())
    }

    pub(super) fn table(&self) -> Result<&Table, Error> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let name = self.table_name();
        let table = Table::open(Arc::clone(&self.table_file), &name, self.table_checksums()?)?;
        if table.rows() != self.meta.events {
            return Err(Error::damage(&name, 0, "another number of rows than the index has"));
        }
        Ok(self.table.get_or_init(|| table))
    }

    pub fn table_name(&self) -> String {
        format!("{}.parquet", self.name)
    }

    pub(super) fn malformed(&self, section: u8) -> Error {
        self.index.damage(section, "a malformed section")
    }
}

fn read_firsts(bytes: &[u8], rows: u32) -> Option<Vec<i64>> {
    let (firsts, rest) = bytes.as_chunks::<8>();
    let is_whole = rest.is_empty() && firsts.len() == (rows as usize).div_ceil(packed::VALUES);
    is_whole.then(|| firsts.iter().map(|first| i64::from_le_bytes(*first)).collect())
}

fn read_runs(mut bytes: &[u8], rows: u32) -> Option<Vec<(Trail, Run)>> {
    let mut listed: Vec<(Trail, u32, u64, i64, i64)> = Vec::new();
    while !bytes.is_empty() {
        let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        let trail = std::str::from_utf8(text).ok()?.parse().ok()?;
        let (start, first_number) =
            (u32::try_from(take_varint(&mut bytes)?).ok()?, take_varint(&mut bytes)?);
        let (times, rest) = bytes.split_at_checked(16)?;
        let time = |at: usize| Some(i64::from_le_bytes(*times[at..].first_chunk()?));
        listed.push((trail, start, first_number, time(0)?, time(8)?));
        bytes = rest;
    }
    let ends: Vec<u32> = listed.iter().skip(1).map(|(_, start, ..)| *start).chain([rows]).collect();
    let mut before = 0;
    let mut runs = Vec::with_capacity(listed.len());
    for ((trail, start, first_number, earliest_ns, latest_ns), end) in listed.into_iter().zip(ends)
    {
        let run = Run { start, end, first_number, earliest_ns, latest_ns, before };
        if end <= start {
            return None;
        }
        if trail.service() == event::Service::Database {
            before += end - start;
        }
        runs.push((trail, run));
    }
    let is_whole = runs.first().is_some_and(|(_, run)| run.start == 0);
    (is_whole && runs.is_sorted_by(|a, b| a.0 < b.0)).then_some(runs)
}
