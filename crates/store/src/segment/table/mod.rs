//! The Parquet file of a segment: one row an event, in the order of the segment, for any data tool.

mod merge;

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use event::query::Dimension;
use event::{Time, Trail};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::durable::File;

pub(in crate::segment) use merge::merge;

/// Name and type of each column. A `?` is put in front of those that may have no value.
const COLUMNS: [(&str, &str); 25] = [
    ("index", "int64"),
    ("service", "text"),
    ("tenant", "text"),
    ("project", "text"),
    ("instance", "text"),
    ("number", "int64"),
    ("occurred_at", "time"),
    ("received_at", "time"),
    ("actor_id", "?text"),
    ("actor_name", "?text"),
    ("actor_type", "text"),
    ("source_ip", "?text"),
    ("operation", "text"),
    ("action", "text"),
    ("resource_type", "?text"),
    ("resource_name", "?text"),
    ("resource_id", "?text"),
    ("outcome", "text"),
    ("outcome_code", "?int32"),
    ("severity", "int32"),
    ("class", "text"),
    ("user_agent", "?text"),
    ("source", "text"),
    ("entry", "bytes"),
    ("raw", "bytes"),
];
const ENTRY: usize = 23;
const RAW: usize = 24;

/// Rows of a group; so many are in memory before they are written.
const GROUP_ROWS: usize = 16 << 10;
/// A group is written before it holds more than this many bytes of entries and raw bytes.
const GROUP_BYTES: usize = 32 << 20;
/// Rows of a page of entries or raw bytes, so that one is read without many others.
const PAGE_ROWS: usize = 128;
const ZSTD_LEVEL: i32 = 1;

/// The value of one column in one row.
enum Value<'a> {
    Long(i64),
    Int(Option<i32>),
    Text(Option<&'a str>),
    Bytes(&'a [u8]),
}

/// A row of the table.
pub(in crate::segment) struct TableRow<'a> {
    pub index: u64,
    pub trail: &'a Trail,
    pub number: u64,
    pub occurred_at: Time,
    pub received_at: Time,
    /// In order of [`Dimension::ALL`].
    pub values: [Option<&'a str>; Dimension::ALL.len()],
    pub outcome_code: Option<u32>,
    pub user_agent: Option<&'a str>,
    /// The canonical entry.
    pub entry: &'a [u8],
    pub raw: &'a [u8],
}

impl<'a> TableRow<'a> {
    /// In order of [`COLUMNS`].
    fn columns(&self) -> [Value<'a>; COLUMNS.len()] {
        let text = |text| Value::Text(Some(text));
        let value = |dimension: Dimension| Value::Text(self.values[dimension.position()]);
        let severity = self.values[Dimension::Severity.position()].and_then(|level| level.parse().ok());
        [
            Value::Long(self.index.cast_signed()),
            text(self.trail.service().as_str()),
            text(self.trail.tenant()),
            text(self.trail.project()),
            text(self.trail.instance()),
            Value::Long(self.number.cast_signed()),
            Value::Long(self.occurred_at.unix_ns()),
            Value::Long(self.received_at.unix_ns()),
            value(Dimension::ActorId),
            value(Dimension::ActorName),
            value(Dimension::ActorKind),
            value(Dimension::SourceIp),
            value(Dimension::Operation),
            value(Dimension::Action),
            value(Dimension::ResourceKind),
            value(Dimension::ResourceName),
            value(Dimension::ResourceId),
            value(Dimension::Outcome),
            Value::Int(self.outcome_code.map(u32::cast_signed)),
            Value::Int(severity),
            value(Dimension::Class),
            Value::Text(self.user_agent),
            value(Dimension::Source),
            Value::Bytes(self.entry),
            Value::Bytes(self.raw),
        ]
    }
}

fn schema() -> String {
    let columns = COLUMNS.iter().map(|(name, kind)| {
        let (repetition, kind) =
            kind.strip_prefix('?').map_or(("required", *kind), |kind| ("optional", kind));
        let (physical, logical) = match kind {
            "int64" => ("int64", ""),
            "time" => ("int64", " (TIMESTAMP(NANOS, true))"),
            "int32" => ("int32", ""),
            "text" => ("binary", " (STRING)"),
            _ => ("binary", ""),
        };
        format!("{repetition} {physical} {name}{logical};")
    });
    format!("message event {{ {} }}", columns.collect::<Vec<_>>().join(" "))
}

fn properties() -> WriterProperties {
    let path = |column: usize| ColumnPath::from(COLUMNS[column].0);
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level of zstd");
    let sorted = |builder: WriterPropertiesBuilder, column: usize| {
        let path = path(column);
        builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
    };
    let large = |builder: WriterPropertiesBuilder, column: usize| {
        let path = path(column);
        builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_data_page_row_count_limit(path.clone(), PAGE_ROWS)
            .set_column_statistics_enabled(path, EnabledStatistics::None)
    };
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("daybook {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(None);
    for column in [0, 5, 6, 7] {
        builder = sorted(builder, column);
    }
    large(large(builder, ENTRY), RAW).build()
}

/// Byte strings one after another, and where each ends.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    fn into_byte_arrays(self) -> Vec<ByteArray> {
        let (bytes, mut start) = (Bytes::from(self.bytes), 0);
        let array = |end| {
            let array = ByteArray::from(bytes.slice(start..end));
            start = end;
            array
        };
        self.ends.into_iter().map(array).collect()
    }
}

/// The values of one column in some rows, and for each row whether it has one: 1 or 0.
enum Column {
    Long(Vec<i64>, Vec<i16>),
    Int(Vec<i32>, Vec<i16>),
    Bytes(Vec<ByteArray>, Vec<i16>),
}

impl Column {
    fn of(kind: &str) -> Column {
        match kind.trim_start_matches('?') {
            "int64" | "time" => Column::Long(Vec::new(), Vec::new()),
            "int32" => Column::Int(Vec::new(), Vec::new()),
            _ => Column::Bytes(Vec::new(), Vec::new()),
        }
    }
}

/// A column as it comes row by row.
enum Buffer {
    Long(Vec<i64>, Vec<i16>),
    Int(Vec<i32>, Vec<i16>),
    Bytes(Strings, Vec<i16>),
}

impl Buffer {
    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Buffer::Long(values, levels), Value::Long(value)) => {
                levels.push(1);
                values.push(value);
            }
            (Buffer::Int(values, levels), Value::Int(value)) => {
                levels.push(i16::from(value.is_some()));
                values.extend(value);
            }
            (Buffer::Bytes(values, levels), Value::Text(value)) => {
                levels.push(i16::from(value.is_some()));
                value.iter().for_each(|text| values.push(text.as_bytes()));
            }
            (Buffer::Bytes(values, levels), Value::Bytes(value)) => {
                levels.push(1);
                values.push(value);
            }
            _ => unreachable!("a row has the types of the columns"),
        }
    }

    fn into_column(self) -> Column {
        match self {
            Buffer::Long(values, levels) => Column::Long(values, levels),
            Buffer::Int(values, levels) => Column::Int(values, levels),
            Buffer::Bytes(values, levels) => Column::Bytes(values.into_byte_arrays(), levels),
        }
    }

    fn of(kind: &str) -> Buffer {
        match kind.trim_start_matches('?') {
            "int64" | "time" => Buffer::Long(Vec::new(), Vec::new()),
            "int32" => Buffer::Int(Vec::new(), Vec::new()),
            _ => Buffer::Bytes(Strings::default(), Vec::new()),
        }
    }

    /// An empty one with room for as much.
    fn like(&self) -> Buffer {
        match self {
            Buffer::Long(values, levels) => {
                Buffer::Long(Vec::with_capacity(values.len()), Vec::with_capacity(levels.len()))
            }
            Buffer::Int(values, levels) => {
                Buffer::Int(Vec::with_capacity(values.len()), Vec::with_capacity(levels.len()))
            }
            Buffer::Bytes(Strings { bytes, ends }, levels) => {
                let strings =
                    Strings { bytes: Vec::with_capacity(bytes.len()), ends: Vec::with_capacity(ends.len()) };
                Buffer::Bytes(strings, Vec::with_capacity(levels.len()))
            }
        }
    }
}

/// What a table came to.
pub(in crate::segment) struct WrittenTable {
    pub len_bytes: u64,
    pub sha256: [u8; 32],
    /// CRC-32C of each [`CHUNK`] of the file.
    pub sums: Vec<u32>,
}

/// Bytes of the file that have a checksum of their own, for the format has none.
pub(crate) const CHUNK: usize = 16 << 10;

/// Checksums of chunks, as the bytes come.
#[derive(Default)]
struct Sums {
    open: Vec<u8>,
    sums: Vec<u32>,
}

impl Sums {
    fn update(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let whole = self.open.len() / CHUNK * CHUNK;
        self.sums.extend(self.open[..whole].chunks(CHUNK).map(crc32c::crc32c));
        self.open.drain(..whole);
    }

    fn finish(mut self) -> Vec<u32> {
        if !self.open.is_empty() {
            self.sums.push(crc32c::crc32c(&self.open));
        }
        self.sums
    }
}

/// Writes a table, group after group.
struct GroupsWriter(SerializedFileWriter<Sink>);

impl GroupsWriter {
    fn new(file: Arc<dyn File>) -> Result<GroupsWriter, Error> {
        let schema = Arc::new(parse_message_type(&schema()).map_err(wrong)?);
        let sink = Sink { file, at: 0, buffer: Vec::new(), hash: Sha256::new(), sums: Sums::default() };
        SerializedFileWriter::new(sink, schema, Arc::new(properties())).map(GroupsWriter).map_err(wrong)
    }

    /// Writes a group of as many rows as each of its columns has, which are in order of [`COLUMNS`].
    fn push(&mut self, columns: impl Iterator<Item = Column>) -> Result<(), Error> {
        let mut group = self.0.next_row_group().map_err(wrong)?;
        for ((_, kind), column) in COLUMNS.iter().zip(columns) {
            let mut writer = group.next_column().map_err(wrong)?.expect("as many as in the schema");
            let levels = |levels: Vec<i16>| kind.starts_with('?').then_some(levels);
            match column {
                Column::Long(values, known) => {
                    writer.typed::<Int64Type>().write_batch(&values, levels(known).as_deref(), None)
                }
                Column::Int(values, known) => {
                    writer.typed::<Int32Type>().write_batch(&values, levels(known).as_deref(), None)
                }
                Column::Bytes(values, known) => {
                    writer.typed::<ByteArrayType>().write_batch(&values, levels(known).as_deref(), None)
                }
            }
            .map_err(wrong)?;
            writer.close().map_err(wrong)?;
        }
        group.close().map(|_| ()).map_err(wrong)
    }

    /// Writes the foot. The caller syncs the file.
    fn finish(self) -> Result<WrittenTable, Error> {
        let mut sink = self.0.into_inner().map_err(wrong)?;
        sink.flush().map_err(Error::io("write a table"))?;
        Ok(WrittenTable { len_bytes: sink.at, sha256: sink.hash.finalize().into(), sums: sink.sums.finish() })
    }
}

/// Writes a table, row after row.
pub(in crate::segment) struct TableWriter {
    groups: GroupsWriter,
    buffers: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

impl TableWriter {
    pub fn new(file: Arc<dyn File>) -> Result<TableWriter, Error> {
        let buffers = COLUMNS.iter().map(|(_, kind)| Buffer::of(kind)).collect();
        Ok(TableWriter { groups: GroupsWriter::new(file)?, buffers, rows: 0, bytes: 0 })
    }

    pub fn push(&mut self, row: &TableRow<'_>) -> Result<(), Error> {
        let len = row.entry.len() + row.raw.len();
        if self.rows > 0 && (self.rows == GROUP_ROWS || self.bytes + len > GROUP_BYTES) {
            self.write_group()?;
        }
        for (buffer, value) in self.buffers.iter_mut().zip(row.columns()) {
            buffer.push(value);
        }
        self.rows += 1;
        self.bytes += len;
        Ok(())
    }

    /// Writes what is left and the foot. The caller syncs the file.
    pub fn finish(mut self) -> Result<WrittenTable, Error> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.groups.finish()
    }

    fn write_group(&mut self) -> Result<(), Error> {
        // The next group mostly needs as much.
        let empty = self.buffers.iter().map(Buffer::like).collect();
        let full = std::mem::replace(&mut self.buffers, empty);
        (self.rows, self.bytes) = (0, 0);
        self.groups.push(full.into_iter().map(Buffer::into_column))
    }
}

fn wrong(error: ParquetError) -> Error {
    Error::Io { doing: "write a table".to_owned(), cause: io::Error::other(error) }
}

/// Bytes collected before they are written.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A file that is written from its begin to its end.
struct Sink {
    file: Arc<dyn File>,
    at: u64,
    buffer: Vec<u8>,
    hash: Sha256,
    sums: Sums,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITTEN_AT_ONCE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.buffer)?;
        self.hash.update(&self.buffer);
        self.sums.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// An open table, of which entries and raw bytes are read.
pub(in crate::segment) struct Table {
    reader: SerializedFileReader<Source>,
    /// For messages.
    name: String,
    /// The first row of each group, and the number of all rows.
    firsts: Vec<u64>,
}

impl Table {
    /// Opens a table whose chunks have these checksums; what is read is compared with them before it is looked at.
    pub fn open(file: Arc<dyn File>, name: &str, sums: Vec<u32>) -> Result<Table, Error> {
        let len = file.len_bytes().map_err(|cause| Error::Io { doing: format!("read {name}"), cause })?;
        let options = ReadOptionsBuilder::new().with_page_index().build();
        if len.div_ceil(CHUNK as u64) != sums.len() as u64 {
            return Err(Error::damage(name, len, "the table has another length"));
        }
        let source = Source { file, len, sums: sums.into() };
        let reader =
            SerializedFileReader::new_with_options(source, options).map_err(|error| damage(name, &error))?;
        let mut firsts = vec![0];
        for group in reader.metadata().row_groups() {
            let rows =
                u64::try_from(group.num_rows()).map_err(|_| Error::damage(name, 0, "a group of no rows"))?;
            firsts.push(firsts[firsts.len() - 1] + rows);
        }
        if reader.metadata().file_metadata().schema_descr().num_columns() != COLUMNS.len() {
            return Err(Error::damage(name, 0, "another number of columns"));
        }
        Ok(Table { reader, name: name.to_owned(), firsts })
    }

    pub fn rows(&self) -> u64 {
        self.firsts[self.firsts.len() - 1]
    }

    /// The canonical entries of consecutive rows. They are as they were stored: whoever needs to know compares digests.
    pub fn entries(&self, first: u64, count: usize) -> Result<Vec<Bytes>, Error> {
        self.read(ENTRY, first, count)
    }

    /// The bytes as received of consecutive rows, as they were stored.
    pub fn raws(&self, first: u64, count: usize) -> Result<Vec<Bytes>, Error> {
        self.read(RAW, first, count)
    }

    fn read(&self, column: usize, first: u64, count: usize) -> Result<Vec<Bytes>, Error> {
        let damaged = |error: ParquetError| damage(&self.name, &error);
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let row = first + out.len() as u64;
            let group = self.firsts.partition_point(|first| *first <= row) - 1;
            let reader = self.reader.get_row_group(group).map_err(damaged)?;
            let ColumnReader::ByteArrayColumnReader(mut values) =
                reader.get_column_reader(column).map_err(damaged)?
            else {
                return Err(Error::damage(&self.name, 0, "a column of another type"));
            };
            let skipped = (row - self.firsts[group]) as usize;
            if values.skip_records(skipped).map_err(damaged)? != skipped {
                return Err(Error::damage(&self.name, 0, "a column is cut"));
            }
            let wanted = (count - out.len()).min((self.firsts[group + 1] - row) as usize);
            let mut read = Vec::with_capacity(wanted);
            let (records, _, _) = values.read_records(wanted, None, None, &mut read).map_err(damaged)?;
            if records != wanted || read.len() != wanted {
                return Err(Error::damage(&self.name, 0, "a column is cut"));
            }
            out.extend(read.into_iter().map(|value| Bytes::copy_from_slice(value.data())));
        }
        Ok(out)
    }
}

fn damage(name: &str, error: &ParquetError) -> Error {
    let damaged = match error {
        ParquetError::External(cause) => cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref),
        _ => None,
    };
    match damaged.and_then(|cause| cause.downcast_ref::<OtherSum>()) {
        Some(OtherSum(offset)) => Error::damage(name, *offset, "bytes of the table have another checksum"),
        None => Error::damage(name, 0, error.to_string()),
    }
}

/// The chunk at this offset does not have its checksum.
#[derive(Debug)]
struct OtherSum(u64);

impl std::fmt::Display for OtherSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the bytes from {} on have another checksum", self.0)
    }
}

impl std::error::Error for OtherSum {}

/// A file to be read anywhere.
#[derive(Clone)]
struct Source {
    file: Arc<dyn File>,
    len: u64,
    sums: Arc<[u32]>,
}

impl Source {
    /// Bytes from `start` on, at most so many, whose chunks have their checksums.
    fn bytes(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = start.saturating_add(len as u64).min(self.len);
        if start >= end {
            return Ok(Vec::new());
        }
        let first = start as usize / CHUNK;
        let begin = (first * CHUNK) as u64;
        let until = end.div_ceil(CHUNK as u64).saturating_mul(CHUNK as u64).min(self.len);
        let mut bytes = vec![0; (until - begin) as usize];
        self.file.read_at(begin, &mut bytes)?;
        for (position, chunk) in (first..).zip(bytes.chunks(CHUNK)) {
            if self.sums.get(position) != Some(&crc32c::crc32c(chunk)) {
                return Err(io::Error::other(OtherSum((position * CHUNK) as u64)));
            }
        }
        bytes.truncate((end - begin) as usize);
        bytes.drain(..(start - begin) as usize);
        Ok(bytes)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Source {
    type T = From;

    fn get_read(&self, start: u64) -> Result<From, ParquetError> {
        Ok(From { source: self.clone(), at: start, read: Vec::new(), taken: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.len);
        if !is_inside {
            return Err(ParquetError::EOF(format!("bytes {start} to {length} more are beyond the end")));
        }
        Ok(self.bytes(start, length)?.into())
    }
}

/// A file from some offset on.
struct From {
    source: Source,
    at: u64,
    /// What was read last, and how much of it was taken.
    read: Vec<u8>,
    taken: usize,
}

impl io::Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.read.len() {
            self.read = self.source.bytes(self.at, CHUNK)?;
            (self.at, self.taken) = (self.at + self.read.len() as u64, 0);
        }
        let left = &self.read[self.taken..];
        let count = buffer.len().min(left.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}
