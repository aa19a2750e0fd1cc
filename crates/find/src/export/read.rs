//! Which events a file of an export has: the index of each row.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::Int64Type;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Deserialize;

use super::Format;

/// Rows of a Parquet file read at once.
const ROWS_AT_ONCE: usize = 8192;

/// Hands the index of each row to `each`, in the order of the file. Errs with what is wrong with
/// the file, or what `each` errs with.
pub fn each_index<E: From<String>>(
    path: &Path,
    format: Format,
    mut each: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), E> {
    let wrong = |why: &dyn std::fmt::Display| E::from(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| wrong(&error))?;
    if format == Format::Parquet {
        let reader = SerializedFileReader::new(file).map_err(|error| wrong(&error))?;
        for group in 0..reader.num_row_groups() {
            let column = reader.get_row_group(group).and_then(|group| group.get_column_reader(0));
            let ColumnReader::Int64ColumnReader(mut column) =
                column.map_err(|error| wrong(&error))?
            else {
                return Err(wrong(&"its first column is no index"));
            };
            while let Some(indexes) = some(&mut column).map_err(|error| wrong(&error))? {
                indexes.into_iter().try_for_each(|index| each(index.cast_unsigned()))?;
            }
        }
        return Ok(());
    }
    let mut lines =
        Lines { reader: BufReader::new(file), line: Vec::new(), is_csv: format == Format::Csv };
    let mut is_header = format == Format::Csv;
    while lines.next().map_err(|error| wrong(&error))? {
        if std::mem::take(&mut is_header) {
            continue;
        }
        let index = match format {
            Format::Ndjson => serde_json::from_slice(&lines.line).ok().map(|Event { index }| index),
            Format::Ocsf => serde_json::from_slice(&lines.line)
                .ok()
                .map(|Activity { metadata }| metadata.sequence),
            Format::Csv | Format::Parquet => {
                let first = lines.line.split(|byte| *byte == b',').next().unwrap_or_default();
                std::str::from_utf8(first).ok().and_then(|digits| digits.parse().ok())
            }
        };
        each(index.ok_or_else(|| wrong(&"it has a line without an index"))?)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Event {
    index: u64,
}

#[derive(Deserialize)]
struct Activity {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    sequence: u64,
}

fn some(column: &mut ColumnReaderImpl<Int64Type>) -> parquet::errors::Result<Option<Vec<i64>>> {
    let mut values = Vec::with_capacity(ROWS_AT_ONCE);
    let (rows, ..) = column.read_records(ROWS_AT_ONCE, None, None, &mut values)?;
    Ok((rows > 0).then_some(values))
}

struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Whether a line goes on while a quoted cell does.
    is_csv: bool,
}

impl Lines {
    /// Reads the next line, unless there is none.
    fn next(&mut self) -> std::io::Result<bool> {
        self.line.clear();
        loop {
            let read = self.reader.read_until(b'\n', &mut self.line)?;
            let quotes = || self.line.iter().filter(|byte| **byte == b'"').count();
            if read == 0 || !self.is_csv || quotes() % 2 == 0 {
                return Ok(!self.line.is_empty());
            }
        }
    }
}
