//! Builds a segment: frozen memtables go in, two files come out.
//!
//! The memtables hold each value and each word of their events already. A build renumbers them over
//! all memtables, and puts the rows in order.

use std::sync::Arc;

use event::query::Dimension;
use event::{Service, Time, Trail};

use crate::disk::durable::File;
use crate::error::Error;
use crate::hash::Map;
use crate::journal::frame::EventFrame;
use crate::log::memtable::{FrameLocation, Memtable, NONE, RowParts};
use crate::log::words::POSITIONS;
use crate::read::audit_files::AuditFileRecord;
use crate::segment::blocks::BlockWriter;
use crate::segment::by_time::ByTimeWriter;
use crate::segment::keys::Fingerprint;
use crate::segment::meta::{Meta, SegmentSummary};
use crate::segment::row;
use crate::segment::row::RowBytes;
use crate::segment::sections::{ROWS, WORDS, ZSTD_DICTIONARY, words_position};
use crate::segment::table::write::{TableRow, TableSummary, TableWriter};
use crate::segment::write::{
    KeysWriter, Numbers, RowsWriter, RunEntry, SAMPLES, ValuesWriter, dictionary, write_column,
    write_heads,
};

/// Builds the files of a segment of these adjacent memtables, and of the audit log files that their
/// events ended. `known` is the dictionary of similar rows, if there is one. `frame` gives the
/// frame of the event with this index. The caller syncs the files and renames them.
pub(crate) fn build(
    memtables: &[&Memtable],
    files: &[AuditFileRecord],
    known: Option<&[u8]>,
    table: Arc<dyn File>,
    index: Arc<dyn File>,
    frame: &mut dyn FnMut(u64, FrameLocation) -> Result<EventFrame, Error>,
) -> Result<SegmentSummary, Error> {
    let rows = rows_in_order(memtables);
    let columns: Vec<DimensionColumns<'_>> =
        Dimension::ALL.map(|dimension| DimensionColumns::of(memtables, dimension)).into();
    let values_of = |row: &SegmentRow<'_>| -> RowValues<'_> {
        std::array::from_fn(|position| columns[position].value(row.memtable, row.row))
    };
    let dictionary = known.map_or_else(|| dictionary_of(&rows, &values_of), <[u8]>::to_vec);
    let mut index = BlockWriter::new(index);
    index.begin(ZSTD_DICTIONARY);
    index.push(&dictionary)?;
    index.begin(ROWS);
    let mut builder = Builder {
        table: TableWriter::new(table)?,
        index,
        meta: Meta::default(),
        numbers: Numbers::default(),
        rows: RowsWriter::new(&dictionary)?,
        keys: Vec::new(),
        runs: Vec::new(),
        run_numbers: Vec::new(),
        next_row: 0,
    };
    for row_of_segment in &rows {
        let frame = frame(
            row_of_segment.index,
            memtables[row_of_segment.memtable].frame(row_of_segment.row),
        )?;
        builder.push(row_of_segment, values_of(row_of_segment), &frame)?;
    }
    builder.finish(memtables, &rows, columns, files)
}

/// A row of a segment.
struct SegmentRow<'a> {
    trail: &'a Trail,
    occurred_at: Time,
    index: u64,
    /// Position of the memtable, and the row in it.
    memtable: usize,
    row: u32,
    parts: RowParts<'a>,
}

/// Every row, in the order of a segment.
fn rows_in_order<'a>(memtables: &[&'a Memtable]) -> Vec<SegmentRow<'a>> {
    let mut trails: Vec<&Trail> =
        memtables.iter().flat_map(|memtable| memtable.runs()).map(|(trail, ..)| trail).collect();
    trails.sort_unstable();
    trails.dedup();
    // For each trail the time, the index and the memtable's position. Memtables are adjacent, so
    // that sorting finds long runs.
    let mut of_trails: Vec<Vec<(i64, u64, usize)>> = vec![Vec::new(); trails.len()];
    for (position, memtable) in memtables.iter().enumerate() {
        for (trail, times, rows) in memtable.runs() {
            let of_trail = &mut of_trails[trails.binary_search(&trail).expect("it is one of them")];
            let keys = times.iter().zip(rows);
            of_trail.extend(
                keys.map(|(time, row)| (*time, memtable.first() + u64::from(*row), position)),
            );
        }
    }
    of_trails.iter_mut().for_each(|of_trail| of_trail.sort());
    let row = |trail: &'a Trail, (time, index, memtable): (i64, u64, usize)| {
        let row = (index - memtables[memtable].first()) as u32;
        let occurred_at = Time::from_unix_ns(time);
        SegmentRow { trail, occurred_at, index, memtable, row, parts: memtables[memtable].row(row) }
    };
    let rows = |(trail, of_trail): (&'a Trail, Vec<_>)| {
        of_trail.into_iter().map(move |one| row(trail, one))
    };
    trails.into_iter().zip(of_trails).flat_map(rows).collect()
}

/// The values of a row, in order of [`Dimension::ALL`].
type RowValues<'a> = [Option<&'a str>; Dimension::ALL.len()];

/// A dictionary for the bodies of rows like these.
fn dictionary_of<'a>(
    rows: &[SegmentRow<'_>],
    values_of: &dyn Fn(&SegmentRow<'_>) -> RowValues<'a>,
) -> Vec<u8> {
    let some = rows.iter().step_by((rows.len() / SAMPLES).max(1));
    let body = |row: &SegmentRow<'_>| {
        let mut body = Vec::new();
        row::write_body(&mut body, &values_of(row), row.parts.rest);
        body
    };
    dictionary(&some.map(body).collect::<Vec<_>>())
}

/// Takes the rows of a segment in order.
struct Builder {
    table: TableWriter,
    index: BlockWriter,
    meta: Meta,
    numbers: Numbers,
    rows: RowsWriter,
    keys: Vec<(Fingerprint, u32)>,
    runs: Vec<RunEntry>,
    /// Numbers of the rows of the newest run, if it is a database's.
    run_numbers: Vec<u64>,
    next_row: u32,
}

impl Builder {
    fn push(
        &mut self,
        row: &SegmentRow<'_>,
        values: RowValues<'_>,
        frame: &EventFrame,
    ) -> Result<(), Error> {
        let (time, parts) = (row.occurred_at.unix_ns(), &row.parts);
        if self.runs.last().is_none_or(|run| run.trail != *row.trail) {
            self.end_run();
            self.runs.push(RunEntry {
                trail: row.trail.clone(),
                first_row: self.next_row,
                first_number: parts.number,
                earliest_ns: time,
                latest_ns: time,
            });
        }
        let run = self.runs.last_mut().expect("just begun");
        run.first_number = run.first_number.min(parts.number);
        run.latest_ns = time;
        let (outcome_code, user_agent) = row::table_fields(parts.rest);
        self.table.push(&TableRow {
            index: row.index,
            trail: row.trail,
            number: parts.number,
            occurred_at: row.occurred_at,
            received_at: parts.received_at,
            values,
            outcome_code,
            user_agent,
            entry: &frame.entry,
            raw: &frame.raw,
        })?;
        self.numbers.push(time, row.index);
        if row.trail.service() == Service::Database {
            self.run_numbers.push(parts.number);
        }
        let (mut head, mut body) = (Vec::new(), Vec::with_capacity(parts.rest.len() + 128));
        row::write_head(&mut head, row.occurred_at, parts.received_at, parts.rest);
        row::write_body(&mut body, &values, parts.rest);
        self.rows
            .push(RowBytes { number: parts.number, head: &head, body: &body }, &mut self.index)?;
        self.keys.extend(parts.key.map(|key| (key, self.next_row)));
        self.meta.add(row.index, row.occurred_at);
        self.next_row += 1;
        Ok(())
    }

    /// Writes the rest.
    fn finish(
        mut self,
        memtables: &[&Memtable],
        rows: &[SegmentRow<'_>],
        columns: Vec<DimensionColumns<'_>>,
        files: &[AuditFileRecord],
    ) -> Result<SegmentSummary, Error> {
        self.end_run();
        let TableSummary { len_bytes: table_bytes, sha256: table_sha256, checksums } =
            self.table.finish()?;
        let index = &mut self.index;
        self.rows.finish(index)?;
        write_heads(index, &self.meta, files, &checksums, &self.runs)?;
        self.numbers.finish(index)?;
        write_by_time(rows, &columns[Dimension::Severity.position()], index)?;
        for (column, dimension) in columns.into_iter().zip(Dimension::ALL) {
            column.finish(rows, dimension, index)?;
        }
        write_words(memtables, rows, index)?;
        self.keys.sort_unstable();
        let mut keys = KeysWriter::begin(self.keys.len());
        for (key, row) in self.keys {
            keys.push(key, row);
        }
        keys.finish(index)?;
        let times_ns = self.meta.times_ns();
        Ok(SegmentSummary {
            table_bytes,
            table_sha256,
            index_bytes: self.index.finish()?,
            times_ns,
        })
    }

    /// Writes the rows of a database's run in order of the numbers, counted from its first row.
    fn end_run(&mut self) {
        let numbers = std::mem::take(&mut self.run_numbers);
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_unstable_by_key(|position| numbers[*position]);
        let first_row = self.runs.last().map_or(0, |run| run.first_row);
        for position in order {
            self.numbers.by_number.push(i64::from(first_row) + position as i64);
        }
    }
}

/// Values with their numbers.
#[derive(Default)]
struct Values<'a>(Map<&'a [u8], u32>);

impl<'a> Values<'a> {
    fn number_of(&mut self, value: &'a [u8]) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(value).or_insert(next)
    }

    /// Writes the values with their rows; `found` yields number and row, each once. Returns the
    /// ordinals, in order of the numbers.
    fn finish(
        self,
        position: usize,
        found: impl Iterator<Item = (u32, u32)> + Clone,
        index: &mut BlockWriter,
    ) -> Result<Vec<u32>, Error> {
        let mut values: Vec<(&[u8], u32)> = self.0.into_iter().collect();
        values.sort_unstable();
        let mut ordinals = vec![0; values.len()];
        for ((_, number), ordinal) in values.iter().zip(0u32..) {
            ordinals[*number as usize] = ordinal;
        }
        // Start of the rows of each value, from the counts of the values; then the rows are filled
        // in.
        let mut ends = vec![0u32; values.len() + 1];
        found.clone().for_each(|(number, _)| ends[ordinals[number as usize] as usize + 1] += 1);
        for ordinal in 1..ends.len() {
            ends[ordinal] += ends[ordinal - 1];
        }
        let starts = ends.clone();
        let mut rows = vec![0u32; starts[values.len()] as usize];
        for (number, row) in found {
            let end = &mut ends[ordinals[number as usize] as usize];
            rows[*end as usize] = row;
            *end += 1;
        }
        let mut writer = ValuesWriter::begin(position, index);
        for ((value, _), (start, end)) in values.iter().zip(starts.iter().zip(&ends)) {
            let rows = &mut rows[*start as usize..*end as usize];
            rows.sort_unstable();
            writer.push(index, value, rows)?;
        }
        writer.finish(index)?;
        Ok(ordinals)
    }
}

/// One dimension of all memtables.
struct DimensionColumns<'a> {
    values: Values<'a>,
    /// Values by their numbers over all memtables.
    texts: Vec<&'a str>,
    /// For each memtable its column, and the numbers over all memtables by its own.
    memtables: Vec<(&'a [u32], Vec<u32>)>,
}

impl<'a> DimensionColumns<'a> {
    fn of(memtables: &[&'a Memtable], dimension: Dimension) -> DimensionColumns<'a> {
        let (mut values, mut texts, mut of_memtables) = (Values::default(), Vec::new(), Vec::new());
        for memtable in memtables {
            let known = memtable.values(dimension);
            let mut numbers = vec![0; known.len()];
            for (value, number) in known {
                let of_all = values.number_of(value.as_bytes());
                if of_all as usize == texts.len() {
                    texts.push(value);
                }
                numbers[number as usize] = of_all;
            }
            of_memtables.push((memtable.column(dimension), numbers));
        }
        DimensionColumns { values, texts, memtables: of_memtables }
    }

    fn number(&self, memtable: usize, row: u32) -> Option<u32> {
        let (column, numbers) = &self.memtables[memtable];
        let number = column[row as usize];
        (number != NONE).then(|| numbers[number as usize])
    }

    fn value(&self, memtable: usize, row: u32) -> Option<&'a str> {
        self.number(memtable, row).map(|number| self.texts[number as usize])
    }

    fn finish(
        self,
        rows: &[SegmentRow<'_>],
        dimension: Dimension,
        index: &mut BlockWriter,
    ) -> Result<(), Error> {
        let column: Vec<Option<u32>> =
            rows.iter().map(|row| self.number(row.memtable, row.row)).collect();
        let found = column.iter().zip(0u32..).filter_map(|(number, row)| Some(((*number)?, row)));
        let ordinals = self.values.finish(dimension.position(), found, index)?;
        let ordinal =
            |number: &Option<u32>| number.map_or(0, |number| ordinals[number as usize] + 1);
        write_column(index, dimension, column.iter().map(ordinal))
    }
}

/// Writes the order of the rows in time.
fn write_by_time(
    rows: &[SegmentRow<'_>],
    severities: &DimensionColumns<'_>,
    index: &mut BlockWriter,
) -> Result<(), Error> {
    let position =
        |(row, number): (&SegmentRow<'_>, u32)| (row.occurred_at.unix_ns(), row.index, number);
    let mut order: Vec<(i64, u64, u32)> = rows.iter().zip(0..).map(position).collect();
    // Rows of each trail are in order, so that sorting finds long runs.
    order.sort();
    let mut writer = ByTimeWriter::default();
    for (.., number) in order {
        let row = &rows[number as usize];
        writer.push(number, severities.value(row.memtable, row.row).map(str::as_bytes));
    }
    writer.finish(index)
}

/// Writes the words of each text, and the tokens of named texts, with their rows.
fn write_words(
    memtables: &[&Memtable],
    rows: &[SegmentRow<'_>],
    index: &mut BlockWriter,
) -> Result<(), Error> {
    // For each memtable, the row of the segment by its own row.
    let mut to: Vec<Vec<u32>> = memtables.iter().map(|memtable| vec![0; memtable.len()]).collect();
    for (row_of_segment, row) in rows.iter().zip(0u32..) {
        to[row_of_segment.memtable][row_of_segment.row as usize] = row;
    }
    index.begin(WORDS);
    index.push(&[POSITIONS as u8])?;
    for position in 0..POSITIONS {
        let mut words = Values::default();
        let mut lists: Vec<(u32, &[u32], &[u32])> = Vec::new();
        for (memtable, to) in memtables.iter().zip(&to) {
            lists.extend(
                memtable.words(position).map(|(word, rows)| (words.number_of(word), rows, &to[..])),
            );
        }
        let found = lists.iter().flat_map(|(number, rows, to)| {
            rows.iter().map(move |row| (*number, to[*row as usize]))
        });
        words.finish(words_position(position), found, index)?;
    }
    Ok(())
}
