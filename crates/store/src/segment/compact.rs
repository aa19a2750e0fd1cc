//! Compacts adjacent segments into one, column by column.
//!
//! The rows of each segment stay in their order, so only the segment that gives the next row has to
//! be found. With that, every column is read once from start to end. Memory holds, for each row,
//! the segment it comes from and its new row (five bytes), and one column or the rows of one value
//! at a time.

use std::sync::Arc;

use event::query::Dimension;
use event::{Service, Trail};

use crate::disk::durable::File;
use crate::error::Error;
use crate::log::words::POSITIONS;
use crate::segment::blocks::BlockWriter;
use crate::segment::by_time::{ByTime, ByTimeWriter};
use crate::segment::column::ColumnValues;
use crate::segment::meta::{Meta, Run, SegmentSummary};
use crate::segment::postings::PostingsLocation;
use crate::segment::rows::RowReader;
use crate::segment::sections::{BY_TIME, KEY_ROWS, ROWS, WORDS, ZSTD_DICTIONARY, words_position};
use crate::segment::segment::Segment;
use crate::segment::table::compact::compact as compact_tables;
use crate::segment::table::write::TableSummary;
use crate::segment::terms::{Cursor, Terms};
use crate::segment::write::{
    KeysWriter, Numbers, RowsWriter, RunEntry, SAMPLES, ValuesWriter, dictionary, write_column,
    write_heads,
};

/// Why a compaction did not finish.
pub(crate) enum CompactionError {
    /// `goes_on` returned false.
    Cancelled,
    Failed(Error),
}

impl From<Error> for CompactionError {
    fn from(error: Error) -> Self {
        CompactionError::Failed(error)
    }
}

/// Rows between two checks of `goes_on`.
const CHECK_EVERY: usize = 1 << 14;

/// Compacts adjacent segments into two files. Calls `goes_on` from time to time. The caller syncs
/// the files and renames them.
pub(crate) fn compact(
    inputs: &[Segment],
    table: Arc<dyn File>,
    index: Arc<dyn File>,
    goes_on: &dyn Fn() -> bool,
) -> Result<SegmentSummary, CompactionError> {
    let go_on = || if goes_on() { Ok(()) } else { Err(CompactionError::Cancelled) };
    let order = Order::of(inputs)?;
    go_on()?;
    let tables = inputs.iter().map(Segment::table).collect::<Result<Vec<_>, Error>>()?;
    let TableSummary { len_bytes: table_bytes, sha256: table_sha256, checksums } =
        compact_tables(&tables, &order.from, table, &go_on)?;
    let mut writer = BlockWriter::new(index);
    let index = &mut writer;
    write_rows(inputs, &order, index, &go_on)?;
    let mut files = Vec::new();
    for input in inputs {
        files.extend(input.audit_files()?);
    }
    let meta = Meta {
        first: inputs[0].meta.first,
        events: order.from.len() as u64,
        earliest_ns: inputs.iter().map(|input| input.meta.earliest_ns).min().unwrap_or(0),
        latest_ns: inputs.iter().map(|input| input.meta.latest_ns).max().unwrap_or(0),
    };
    write_heads(index, &meta, &files, &checksums, &order.runs)?;
    write_numbers(inputs, &order, index)?;
    if inputs.iter().all(Segment::is_by_time) {
        go_on()?;
        write_by_time(inputs, &order, index)?;
    }
    for dimension in Dimension::ALL {
        go_on()?;
        let terms: Vec<Terms<'_>> = inputs.iter().map(|input| input.terms(dimension)).collect();
        let ordinals = write_values(&terms, dimension.position(), &order, index)?;
        let mut columns: Vec<_> = inputs.iter().map(|input| input.column(dimension)).collect();
        let mut column = Vec::with_capacity(order.from.len());
        order.each(&mut |input, row| {
            let ordinal = columns[input].get(row)?;
            column.push(
                *ordinals[input].get(ordinal as usize).ok_or_else(|| terms[input].malformed())?,
            );
            Ok(())
        })?;
        write_column(index, dimension, column.into_iter())?;
    }
    if inputs.iter().all(Segment::has_all_words) {
        index.begin(WORDS);
        index.push(&[POSITIONS as u8])?;
    }
    for position in 0..POSITIONS {
        go_on()?;
        let terms: Option<Vec<Terms<'_>>> =
            inputs.iter().map(|input| input.words(position)).collect();
        if let Some(terms) = terms {
            write_values(&terms, words_position(position), &order, index)?;
        }
    }
    write_keys(inputs, &order, index)?;
    let times_ns = meta.times_ns();
    Ok(SegmentSummary { table_bytes, table_sha256, index_bytes: writer.finish()?, times_ns })
}

/// The order of the inputs' rows in the output.
struct Order {
    /// The input of each row.
    from: Vec<u8>,
    /// For each input, the new row of each of its rows.
    to: Vec<Vec<u32>>,
    runs: Vec<RunEntry>,
    /// For each database trail, the runs of the inputs, in order.
    databases: Vec<Vec<(usize, Run)>>,
}

impl Order {
    fn of(inputs: &[Segment]) -> Result<Order, Error> {
        let mut trails: Vec<&Trail> =
            inputs.iter().flat_map(|input| input.trails().map(|(trail, _)| trail)).collect();
        trails.sort_unstable();
        trails.dedup();
        let rows = inputs.iter().map(|input| input.meta.events as usize);
        let mut order = Order {
            from: Vec::with_capacity(rows.clone().sum()),
            to: rows.map(Vec::with_capacity).collect(),
            runs: Vec::with_capacity(trails.len()),
            databases: Vec::new(),
        };
        let mut times: Vec<_> = inputs.iter().map(Segment::times).collect();
        for trail in trails {
            let of_trail: Vec<(usize, Run)> = (0..)
                .zip(inputs)
                .filter_map(|(position, input)| Some((position, input.run(trail)?)))
                .collect();
            order.runs.push(RunEntry {
                trail: trail.clone(),
                first_row: order.from.len() as u32,
                first_number: of_trail[0].1.first_number,
                earliest_ns: of_trail.iter().map(|(_, run)| run.earliest_ns).min().unwrap_or(0),
                latest_ns: of_trail.iter().map(|(_, run)| run.latest_ns).max().unwrap_or(0),
            });
            if trail.service() == Service::Database {
                order.databases.push(of_trail.clone());
            }
            // The next row of each input, with its time.
            let mut heads: Vec<(i64, usize, u32, u32)> = of_trail
                .iter()
                .map(|(input, run)| (run.earliest_ns, *input, run.start, run.end))
                .collect();
            // At equal times the older segment comes first, because its indexes are lower.
            while let Some(&(_, input, row, end)) = heads.iter().min() {
                let next = heads.iter().position(|head| head.1 == input).expect("just seen");
                order.push(input);
                if row + 1 == end {
                    heads.remove(next);
                } else {
                    heads[next] = (times[input].get(row + 1)?, input, row + 1, end);
                }
            }
        }
        Ok(order)
    }

    fn push(&mut self, input: usize) {
        self.to[input].push(self.from.len() as u32);
        self.from.push(input as u8);
    }

    /// Calls `each` with input and row, for every row of the output in order.
    fn each(&self, each: &mut dyn FnMut(usize, u32) -> Result<(), Error>) -> Result<(), Error> {
        let mut next = vec![0; self.to.len()];
        for input in &self.from {
            let input = usize::from(*input);
            each(input, next[input])?;
            next[input] += 1;
        }
        Ok(())
    }
}

/// A dictionary for the bodies of all rows.
fn dictionary_of(inputs: &[Segment], order: &Order) -> Result<Vec<u8>, Error> {
    let step = (order.from.len() / SAMPLES).max(1);
    let mut samples = Vec::with_capacity(2 * SAMPLES);
    for input in inputs {
        let mut reader = input.rows_uncached();
        for row in (0..input.meta.events as u32).step_by(step) {
            samples.push(reader.row_bytes(row)?.body.to_vec());
        }
    }
    Ok(dictionary(&samples))
}

/// Writes the rows, with a new dictionary.
fn write_rows(
    inputs: &[Segment],
    order: &Order,
    index: &mut BlockWriter,
    go_on: &dyn Fn() -> Result<(), CompactionError>,
) -> Result<(), CompactionError> {
    let dictionary = dictionary_of(inputs, order)?;
    index.begin(ZSTD_DICTIONARY);
    index.push(&dictionary)?;
    index.begin(ROWS);
    let mut readers: Vec<RowReader<'_>> = inputs.iter().map(Segment::rows).collect();
    let mut writer = RowsWriter::new(&dictionary)?;
    let mut next = vec![0; inputs.len()];
    for (position, input) in order.from.iter().map(|input| usize::from(*input)).enumerate() {
        if position % CHECK_EVERY == 0 {
            go_on()?;
        }
        writer.push(readers[input].row_bytes(next[input])?, index)?;
        next[input] += 1;
    }
    writer.finish(index)?;
    Ok(())
}

fn write_numbers(inputs: &[Segment], order: &Order, index: &mut BlockWriter) -> Result<(), Error> {
    let mut numbers = Numbers::default();
    let mut columns: Vec<_> = inputs.iter().map(|input| (input.times(), input.indexes())).collect();
    order.each(&mut |input, row| {
        let (times, indexes) = &mut columns[input];
        numbers.push(times.get(row)?, indexes.get(row)?.cast_unsigned());
        Ok(())
    })?;
    // Numbers of an older segment are all lower.
    for (input, run) in order.databases.iter().flatten() {
        for row in inputs[*input].rows_by_number(*run, run.first_number, u64::MAX)? {
            numbers.by_number.push(i64::from(order.to[*input][row as usize]));
        }
    }
    numbers.finish(index)
}

/// The rows of an input in order of time.
struct TimeOrder<'a> {
    segment: &'a Segment,
    rows: ByTime<'a>,
    /// The rank of the next row.
    next: u32,
    times: ColumnValues,
    /// Ordinals of the rows plus one, and the values.
    severities: ColumnValues,
    values: Vec<Vec<u8>>,
}

impl<'a> TimeOrder<'a> {
    fn of(segment: &'a Segment) -> Result<TimeOrder<'a>, Error> {
        let terms = segment.terms(Dimension::Severity);
        let mut values = vec![Vec::new()];
        terms.each_of(0..terms.len()?, &mut |_, value, _| {
            values.push(value.to_vec());
            Ok(())
        })?;
        let (rows, times) = (segment.by_time(), segment.times().whole()?);
        let severities = segment.column(Dimension::Severity).whole()?;
        Ok(TimeOrder { segment, rows, next: 0, times, severities, values })
    }

    /// The time of the next row, and the row.
    fn next(&mut self) -> Result<Option<(i64, u32)>, Error> {
        if u64::from(self.next) == self.segment.meta.events {
            return Ok(None);
        }
        let row = self.rows.row(self.next)?;
        self.next += 1;
        let time = self.times.get(row).ok_or_else(|| self.segment.malformed(BY_TIME))?;
        Ok(Some((time, row)))
    }

    /// The severity of a row, if it has one.
    fn severity(&self, row: u32) -> Result<Option<&[u8]>, Error> {
        let ordinal = self.severities.get(row).and_then(|ordinal| usize::try_from(ordinal).ok());
        let value = ordinal.and_then(|ordinal| Some((ordinal, self.values.get(ordinal)?)));
        let (ordinal, value) = value.ok_or_else(|| self.segment.malformed(BY_TIME))?;
        Ok((ordinal > 0).then_some(value))
    }
}

/// Writes the order of the rows in time.
fn write_by_time(inputs: &[Segment], order: &Order, index: &mut BlockWriter) -> Result<(), Error> {
    let mut readers = inputs.iter().map(TimeOrder::of).collect::<Result<Vec<_>, Error>>()?;
    // The next row of each input, with its time.
    let mut heads: Vec<(i64, usize, u32)> = Vec::with_capacity(inputs.len());
    for (input, reader) in readers.iter_mut().enumerate() {
        heads.extend(reader.next()?.map(|(time, row)| (time, input, row)));
    }
    let mut writer = ByTimeWriter::default();
    // At equal times the older segment comes first, because its indexes are lower.
    while let Some((position, (_, input, row))) =
        heads.iter().copied().enumerate().min_by_key(|(_, (time, input, _))| (*time, *input))
    {
        let reader = &mut readers[input];
        let to =
            order.to[input].get(row as usize).ok_or_else(|| inputs[input].malformed(BY_TIME))?;
        writer.push(*to, reader.severity(row)?);
        match reader.next()? {
            Some((time, row)) => heads[position] = (time, input, row),
            None => drop(heads.swap_remove(position)),
        }
    }
    writer.finish(index)
}

/// Writes the values of a dimension, or the words of a text, with their rows. Returns for each
/// input the new ordinals plus one, by its own ordinals plus one; 0 stays 0.
fn write_values(
    inputs: &[Terms<'_>],
    position: usize,
    order: &Order,
    index: &mut BlockWriter,
) -> Result<Vec<Vec<u32>>, Error> {
    let mut ordinals: Vec<Vec<u32>> = Vec::with_capacity(inputs.len());
    // The next value of each input, and its rows.
    let mut heads: Vec<(Cursor<'_>, Option<PostingsLocation>)> = Vec::with_capacity(inputs.len());
    for terms in inputs {
        ordinals.push(vec![0]);
        let mut cursor = Cursor::at(*terms, 0);
        let first = cursor.next()?;
        heads.push((cursor, first));
    }
    let mut writer = ValuesWriter::begin(position, index);
    let (mut value, mut rows): (Vec<u8>, Vec<u32>) = (Vec::new(), Vec::new());
    for ordinal in 1.. {
        let Some(least) =
            heads.iter().filter(|(_, rows)| rows.is_some()).map(|(cursor, _)| &cursor.value).min()
        else {
            break;
        };
        value.clone_from(least);
        rows.clear();
        for (input, (cursor, location)) in heads.iter_mut().enumerate() {
            let Some(found) = location.filter(|_| cursor.value == value) else { continue };
            let to = &order.to[input];
            let mut malformed = false;
            inputs[input].rows(found).open()?.each(&mut |row| match to.get(row as usize) {
                Some(to) => rows.push(*to),
                None => malformed = true,
            })?;
            if malformed {
                return Err(inputs[input].malformed());
            }
            ordinals[input].push(ordinal);
            *location = cursor.next()?;
        }
        // The rows of each input are in order, so sorting is cheap.
        rows.sort();
        writer.push(index, &value, &rows)?;
    }
    writer.finish(index)?;
    Ok(ordinals)
}

fn write_keys(inputs: &[Segment], order: &Order, index: &mut BlockWriter) -> Result<(), Error> {
    let mut columns: Vec<_> = inputs.iter().map(Segment::keys).collect();
    let counts = columns.iter().map(|(keys, _)| keys.len()).collect::<Result<Vec<u32>, Error>>()?;
    let mut writer = KeysWriter::begin(counts.iter().map(|count| *count as usize).sum());
    // The next key of each input, with its new row.
    let mut next = vec![0; inputs.len()];
    let mut head = |input: usize| {
        let at = next[input];
        if at == counts[input] {
            return Ok(None);
        }
        next[input] += 1;
        let (keys, rows) = &mut columns[input];
        let (key, row) = (keys.get(at)?.cast_unsigned(), rows.get(at)?);
        let to =
            order.to[input].get(row as usize).ok_or_else(|| inputs[input].malformed(KEY_ROWS))?;
        Ok::<_, Error>(Some((key, *to)))
    };
    let mut heads = (0..inputs.len()).map(&mut head).collect::<Result<Vec<_>, Error>>()?;
    while let Some((input, (key, row))) = heads
        .iter()
        .enumerate()
        .filter_map(|(input, head)| Some((input, (*head)?)))
        .min_by_key(|(_, head)| *head)
    {
        writer.push(key, row);
        heads[input] = head(input)?;
    }
    writer.finish(index)
}
