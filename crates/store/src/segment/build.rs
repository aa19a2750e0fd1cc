//! Building a segment: rows in order go in, two files come out.

use std::sync::Arc;

use event::entry::Entry;
use event::query::{Dimension, Text};

use super::blocks::BlockWriter;
use super::keys::fingerprint;
use super::table::{TableWriter, WrittenTable};
use super::write::{KeysWriter, Numbers, RestWriter, ValuesWriter, WrittenRun, write_column, write_heads};
use super::{Meta, REST, ZSTD_DICTIONARY, rest};
use crate::Error;
use crate::audit_files::StoredFile;
use crate::dedup::event_key;
use crate::durable::File;
use crate::hash::Map;
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
    words: Vec<TextWords>,
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
            words: Text::ALL.iter().map(|_| TextWords::default()).collect(),
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
            dimension.with_value(event, |value| column.push(value));
        }
        for (text, word) in Words::of(event).iter() {
            let words = &mut self.words[text];
            words.found.push((words.words.number_of(word), self.rows));
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
            column.finish(dimension, index)?;
        }
        for (words, text) in self.words.into_iter().zip(Text::ALL) {
            words.words.finish(Dimension::ALL.len() + text.position(), words.found.iter().copied(), index)?;
        }
        self.keys.sort_unstable();
        let mut keys = KeysWriter::begin(self.keys.len());
        for (key, row) in self.keys {
            keys.push(key, row);
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

/// Values with their numbers, in order of their first row.
#[derive(Default)]
struct Values(Map<Box<[u8]>, u32>);

/// One dimension: for each row the value it has.
#[derive(Default)]
struct DimensionColumn {
    values: Values,
    /// 0 for no value, else one more than the value's number; to become its ordinal.
    column: Vec<u32>,
}

/// The words of one text.
#[derive(Default)]
struct TextWords {
    words: Values,
    /// Numbers of words with the rows that have them, row by row.
    found: Vec<(u32, u32)>,
}

impl Values {
    fn number_of(&mut self, value: &[u8]) -> u32 {
        if let Some(&number) = self.0.get(value) {
            return number;
        }
        let number = self.0.len() as u32;
        self.0.insert(value.into(), number);
        number
    }

    /// Writes the values with their rows, of which `found` tells number and row, row by row. Returns the ordinals, in
    /// order of the numbers.
    fn finish(
        self,
        position: usize,
        found: impl Iterator<Item = (u32, u32)> + Clone,
        index: &mut BlockWriter,
    ) -> Result<Vec<u32>, Error> {
        let mut values: Vec<(Box<[u8]>, u32)> = self.0.into_iter().collect();
        values.sort_unstable();
        let mut ordinals = vec![0; values.len()];
        for ((_, number), ordinal) in values.iter().zip(0u32..) {
            ordinals[*number as usize] = ordinal;
        }
        // Where the rows of each value begin, counted from their numbers; then they are put there, row by row.
        let mut ends = vec![0u32; values.len() + 1];
        found.clone().for_each(|(number, _)| ends[ordinals[number as usize] as usize + 1] += 1);
        for ordinal in 1..ends.len() {
            ends[ordinal] += ends[ordinal - 1];
        }
        let starts = ends.clone();
        let mut rows = vec![0u32; starts[values.len()] as usize];
        for (number, row) in found {
            let ordinal = ordinals[number as usize] as usize;
            let end = &mut ends[ordinal];
            // A row may have a word several times.
            if *end == starts[ordinal] || rows[*end as usize - 1] != row {
                rows[*end as usize] = row;
                *end += 1;
            }
        }
        let mut writer = ValuesWriter::begin(position, index);
        for ((value, _), (start, end)) in values.iter().zip(starts.iter().zip(&ends)) {
            writer.push(index, value, &rows[*start as usize..*end as usize])?;
        }
        writer.finish(index)?;
        Ok(ordinals)
    }
}

impl DimensionColumn {
    fn push(&mut self, value: Option<&str>) {
        self.column.push(value.map_or(0, |value| self.values.number_of(value.as_bytes()) + 1));
    }

    fn finish(self, dimension: Dimension, index: &mut BlockWriter) -> Result<(), Error> {
        let found =
            self.column.iter().zip(0u32..).filter_map(|(number, row)| Some((number.checked_sub(1)?, row)));
        let ordinals = self.values.finish(dimension.position(), found, index)?;
        let ordinal = |number: &u32| number.checked_sub(1).map_or(0, |number| ordinals[number as usize] + 1);
        write_column(index, dimension, self.column.iter().map(ordinal))
    }
}
