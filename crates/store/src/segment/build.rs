//! Building a segment: rows in order go in, two files come out.

use std::collections::HashMap;
use std::sync::Arc;

use event::entry::Entry;
use event::query::{Dimension, Text};
use roaring::RoaringBitmap;

use super::blocks::BlockWriter;
use super::table::{TableWriter, WrittenTable};
use super::write::{KeysWriter, Numbers, RestWriter, ValuesWriter, WrittenRun, write_column, write_heads};
use super::{Meta, REST, ZSTD_DICTIONARY, rest};
use crate::Error;
use crate::audit_files::StoredFile;
use crate::dedup::{Key, event_key};
use crate::durable::File;
use crate::words::Words;

/// The largest dictionary for [`rest`], in bytes.
const DICTIONARY_BYTES: usize = 16 << 10;

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
    numbers: Numbers,
    columns: Vec<DimensionColumn>,
    words: Vec<Values>,
    rest: RestWriter,
    keys: Vec<(u64, u32)>,
    runs: Vec<WrittenRun>,
    /// Numbers of the rows of the newest run, when it is a database's.
    run_numbers: Vec<u64>,
    rows: u32,
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
            numbers: Numbers::default(),
            columns: Dimension::ALL.iter().map(|_| DimensionColumn::default()).collect(),
            words: Text::ALL.iter().map(|_| Values::default()).collect(),
            rest: RestWriter::new(dictionary)?,
            keys: Vec::new(),
            runs: Vec::new(),
            run_numbers: Vec::new(),
            rows: 0,
        })
    }

    pub fn push(&mut self, row: &Sealed<'_>) -> Result<(), Error> {
        let event = &row.entry.event;
        let time = event.occurred_at.unix_ns();
        if self.runs.last().is_none_or(|run| run.trail != event.trail) {
            self.end_run();
            self.runs.push(WrittenRun {
                trail: event.trail.clone(),
                first_row: self.rows,
                first_number: row.entry.number,
                earliest_ns: time,
                latest_ns: time,
            });
        }
        let run = self.runs.last_mut().expect("just begun");
        run.first_number = run.first_number.min(row.entry.number);
        run.latest_ns = time;
        self.table.push(row.index, row.entry, row.bytes, row.raw)?;
        self.numbers.push(time, row.index, row.entry.number);
        if event.trail.service() == event::Service::Database {
            self.run_numbers.push(row.entry.number);
        }
        for dimension in Dimension::ALL {
            let column = &mut self.columns[dimension.position()];
            dimension.with_value(event, |value| column.push(self.rows, value));
        }
        for (text, word) in Words::of(event).iter() {
            self.words[text].push(self.rows, word);
        }
        let mut rest = Vec::new();
        rest::write(&mut rest, row.entry);
        self.rest.push(&rest, &mut self.index)?;
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
        write_heads(index, &self.meta, files, &sums, &self.runs)?;
        self.numbers.finish(index)?;
        for (column, dimension) in self.columns.into_iter().zip(Dimension::ALL) {
            let ordinals = column.values.finish(dimension.position(), index)?;
            write_column(index, dimension, column.column.iter().map(|number| ordinals[*number as usize]))?;
        }
        for (words, text) in self.words.into_iter().zip(Text::ALL) {
            words.finish(Dimension::ALL.len() + text.position(), index)?;
        }
        self.keys.sort_unstable();
        let mut keys = KeysWriter::begin(self.keys.len(), index);
        for (key, row) in self.keys {
            keys.push(index, key, row)?;
        }
        keys.finish(index)?;
        Ok(Written { table_bytes, table_sha256, index_bytes: self.index.finish()? })
    }

    /// Row positions of a database's run in order of the numbers, counted from its first row.
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

/// The rows of each of some values.
#[derive(Default)]
struct Values {
    numbers: HashMap<Box<[u8]>, u32>,
    rows_of: Vec<Rows>,
}

/// One dimension: for each value its rows, for each row the value it has.
#[derive(Default)]
struct DimensionColumn {
    values: Values,
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
    /// Adds a row, once if it comes several times in a row.
    fn push(&mut self, row: u32) {
        match self {
            Rows::Only(first) if *first == row => {}
            Rows::Few(rows) if rows.last() == Some(&row) => {}
            Rows::Many(rows) if rows.max() == Some(row) => {}
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

impl Values {
    /// Tells that a row has this value, and returns the value's number. Rows come in order.
    fn push(&mut self, row: u32, value: &[u8]) -> u32 {
        match self.numbers.get(value) {
            Some(&number) => {
                self.rows_of[number as usize].push(row);
                number
            }
            None => {
                let number = self.rows_of.len() as u32;
                self.numbers.insert(value.into(), number);
                self.rows_of.push(Rows::Only(row));
                number
            }
        }
    }

    /// Writes values and rows. Returns for each number and one the value's ordinal and one; for 0 it is 0.
    fn finish(self, position: usize, index: &mut BlockWriter) -> Result<Vec<u32>, Error> {
        let mut values: Vec<(Box<[u8]>, u32)> = self.numbers.into_iter().collect();
        values.sort_unstable();
        let mut rows_of: Vec<Option<Rows>> = self.rows_of.into_iter().map(Some).collect();
        let mut ordinals = vec![0; values.len() + 1];
        let mut writer = ValuesWriter::begin(position, index);
        for ((value, number), ordinal) in values.iter().zip(1u32..) {
            ordinals[*number as usize + 1] = ordinal;
            let rows = rows_of[*number as usize].take().expect("each value once");
            writer.push(index, value, &rows.into_bitmap())?;
        }
        writer.finish(index)?;
        Ok(ordinals)
    }
}

impl DimensionColumn {
    fn push(&mut self, row: u32, value: Option<&str>) {
        let number = value.map_or(0, |value| self.values.push(row, value.as_bytes()) + 1);
        self.column.push(number);
    }
}
