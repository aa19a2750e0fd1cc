//! Compacts tables, column by column.

use std::sync::Arc;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;

use crate::disk::durable::File;
use crate::error::Error;
use crate::segment::table::columns::{COLUMNS, ENTRY, RAW};
use crate::segment::table::read::{Table, damage};
use crate::segment::table::write::{Column, GROUP_BYTES, GROUP_ROWS, GroupsWriter, TableSummary};

/// Rows of entries and raw bytes that a compaction reads before it checks the size of its group.
const STEP_ROWS: usize = 64;

/// Compacts tables, column by column. `from` has the input table of each row of the output; the
/// rows of each table stay in their order.
pub(in crate::segment) fn compact<E: From<Error>>(
    inputs: &[&Table],
    from: &[u8],
    file: Arc<dyn File>,
    go_on: &dyn Fn() -> Result<(), E>,
) -> Result<TableSummary, E> {
    let mut writer = GroupsWriter::new(file)?;
    let mut inputs: Vec<Vec<ColumnCursor<'_>>> = (0..COLUMNS.len())
        .map(|column| {
            inputs
                .iter()
                .map(|table| ColumnCursor { table, column, group: 0, reader: None })
                .collect()
        })
        .collect();
    let mut left = from;
    while !left.is_empty() {
        go_on()?;
        let mut columns: Vec<Column> = COLUMNS.iter().map(|(_, kind)| Column::of(kind)).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < GROUP_ROWS.min(left.len()) && bytes <= GROUP_BYTES {
            let step = (GROUP_ROWS.min(left.len()) - rows).min(STEP_ROWS);
            for column in [ENTRY, RAW] {
                bytes += interleave(
                    &mut inputs[column],
                    &left[rows..rows + step],
                    &mut columns[column],
                )?;
            }
            rows += step;
        }
        let (group, rest) = left.split_at(rows);
        for column in (0..COLUMNS.len()).filter(|column| ![ENTRY, RAW].contains(column)) {
            interleave(&mut inputs[column], group, &mut columns[column])?;
        }
        writer.push(columns.into_iter())?;
        left = rest;
    }
    Ok(writer.finish()?)
}

/// Adds the next values of each input to a column, in the order of `from`. Returns the bytes of
/// those of varying length.
fn interleave(
    inputs: &mut [ColumnCursor<'_>],
    from: &[u8],
    out: &mut Column,
) -> Result<usize, Error> {
    let mut wanted = vec![0; inputs.len()];
    from.iter().for_each(|input| wanted[usize::from(*input)] += 1);
    let (mut longs, mut ints, mut strings) = (Vec::new(), Vec::new(), Vec::new());
    for (input, count) in inputs.iter_mut().zip(wanted) {
        match input.read(count)? {
            Column::Long(values, levels) => longs.push((values.into_iter(), levels.into_iter())),
            Column::Int(values, levels) => ints.push((values.into_iter(), levels.into_iter())),
            Column::Bytes(values, levels) => strings.push((values.into_iter(), levels.into_iter())),
        }
    }
    match out {
        Column::Long(values, levels) => weave(from, &mut longs, levels, |value| values.push(value)),
        Column::Int(values, levels) => weave(from, &mut ints, levels, |value| values.push(value)),
        Column::Bytes(values, levels) => {
            let mut bytes = 0;
            weave(from, &mut strings, levels, |value: ByteArray| {
                bytes += value.len();
                values.push(value);
            });
            return Ok(bytes);
        }
    }
    Ok(0)
}

fn weave<T>(
    from: &[u8],
    inputs: &mut [(std::vec::IntoIter<T>, std::vec::IntoIter<i16>)],
    levels: &mut Vec<i16>,
    mut push: impl FnMut(T),
) {
    for input in from {
        let (values, known) = &mut inputs[usize::from(*input)];
        let level = known.next().expect("as many as were requested");
        levels.push(level);
        if level > 0 {
            push(values.next().expect("as many as there are levels"));
        }
    }
}

/// A column of a table, read from start to end.
struct ColumnCursor<'a> {
    table: &'a Table,
    column: usize,
    /// The next group.
    group: usize,
    reader: Option<ColumnReader>,
}

impl ColumnCursor<'_> {
    /// The next `count` values.
    fn read(&mut self, count: usize) -> Result<Column, Error> {
        let table = self.table;
        let damaged = |error: ParquetError| damage(&table.name, &error);
        let cut = || Error::damage(&table.name, 0, "a column is cut");
        let (_, kind) = COLUMNS[self.column];
        let mut buffer = Column::of(kind);
        let mut left = count;
        while left > 0 {
            if self.reader.is_none() {
                if self.group + 1 == table.firsts.len() {
                    return Err(cut());
                }
                let reader = table.column_reader(self.group, self.column).map_err(damaged)?;
                self.reader = Some(reader);
                self.group += 1;
            }
            let reader = self.reader.as_mut().expect("just made");
            let records = match (&mut buffer, reader) {
                (Column::Long(values, levels), ColumnReader::Int64ColumnReader(reader)) => {
                    read_records(reader, kind, left, values, levels)
                }
                (Column::Int(values, levels), ColumnReader::Int32ColumnReader(reader)) => {
                    read_records(reader, kind, left, values, levels)
                }
                (Column::Bytes(values, levels), ColumnReader::ByteArrayColumnReader(reader)) => {
                    read_records(reader, kind, left, values, levels)
                }
                _ => return Err(Error::damage(&table.name, 0, "a column of another type")),
            };
            let records = records.map_err(damaged)?;
            left -= records;
            if records == 0 {
                self.reader = None;
            }
        }
        let is_whole = match &buffer {
            Column::Long(values, levels) => agree(values, levels, count),
            Column::Int(values, levels) => agree(values, levels, count),
            Column::Bytes(values, levels) => agree(values, levels, count),
        };
        if is_whole { Ok(buffer) } else { Err(cut()) }
    }
}

/// Whether there are `count` levels, and a value for each level above 0.
fn agree<T>(values: &[T], levels: &[i16], count: usize) -> bool {
    levels.len() == count && levels.iter().filter(|level| **level > 0).count() == values.len()
}

/// Reads at most `count` of the group's next values. Returns their number, 0 at its end.
fn read_records<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    kind: &str,
    count: usize,
    values: &mut Vec<T::T>,
    levels: &mut Vec<i16>,
) -> Result<usize, ParquetError> {
    let known = kind.starts_with('?').then_some(&mut *levels);
    let is_required = known.is_none();
    let (records, _, _) = reader.read_records(count, known, None, values)?;
    if is_required {
        levels.resize(levels.len() + records, 1);
    }
    Ok(records)
}
