//! Writes tables: row after row, or group after group from whole columns.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use event::query::Dimension;
use event::{Time, Trail};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::disk::durable::File;
use crate::error::Error;
use crate::segment::table::columns::{CHUNK, COLUMNS, ENTRY, RAW};

/// Rows of a group; they are in memory before they are written.
pub(super) const GROUP_ROWS: usize = 16 << 10;
/// Limit of the bytes of entries and raw bytes in a group.
pub(super) const GROUP_BYTES: usize = 32 << 20;
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
        let severity =
            self.values[Dimension::Severity.position()].and_then(|level| level.parse().ok());
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

/// Byte strings one after another, and the end of each.
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

/// The values of one column in some rows, and for each row 1 or 0: whether it has one.
pub(super) enum Column {
    Long(Vec<i64>, Vec<i16>),
    Int(Vec<i32>, Vec<i16>),
    Bytes(Vec<ByteArray>, Vec<i16>),
}

impl Column {
    pub fn of(kind: &str) -> Column {
        match kind.trim_start_matches('?') {
            "int64" | "time" => Column::Long(Vec::new(), Vec::new()),
            "int32" => Column::Int(Vec::new(), Vec::new()),
            _ => Column::Bytes(Vec::new(), Vec::new()),
        }
    }
}

/// A column that grows row by row.
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

    /// An empty buffer of the same type and capacity.
    fn like(&self) -> Buffer {
        match self {
            Buffer::Long(values, levels) => {
                Buffer::Long(Vec::with_capacity(values.len()), Vec::with_capacity(levels.len()))
            }
            Buffer::Int(values, levels) => {
                Buffer::Int(Vec::with_capacity(values.len()), Vec::with_capacity(levels.len()))
            }
            Buffer::Bytes(Strings { bytes, ends }, levels) => {
                let strings = Strings {
                    bytes: Vec::with_capacity(bytes.len()),
                    ends: Vec::with_capacity(ends.len()),
                };
                Buffer::Bytes(strings, Vec::with_capacity(levels.len()))
            }
        }
    }
}

/// The size and the hashes of a written table.
pub(in crate::segment) struct TableSummary {
    pub len_bytes: u64,
    pub sha256: [u8; 32],
    /// CRC-32C of each [`CHUNK`] of the file.
    pub checksums: Vec<u32>,
}

/// Checksums of the chunks of a byte stream.
#[derive(Default)]
struct ChunkChecksums {
    open: Vec<u8>,
    checksums: Vec<u32>,
}

impl ChunkChecksums {
    fn update(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let whole = self.open.len() / CHUNK * CHUNK;
        self.checksums.extend(self.open[..whole].chunks(CHUNK).map(crc32c::crc32c));
        self.open.drain(..whole);
    }

    fn finish(mut self) -> Vec<u32> {
        if !self.open.is_empty() {
            self.checksums.push(crc32c::crc32c(&self.open));
        }
        self.checksums
    }
}

/// Writes a table, group after group.
pub(super) struct GroupsWriter {
    writer: SerializedFileWriter<Sink>,
    failure: Failure,
}

/// How the file failed: the table's writer reports some errors as text alone.
#[derive(Clone, Default)]
struct Failure(Arc<OnceLock<io::ErrorKind>>);

impl Failure {
    /// The error of the table's writer as that of the file, if that was it.
    fn error(&self, error: ParquetError) -> Error {
        let kind = self.0.get().copied().unwrap_or(io::ErrorKind::Other);
        Error::Io { doing: "write a table".to_owned(), cause: io::Error::new(kind, error) }
    }
}

impl GroupsWriter {
    pub fn new(file: Arc<dyn File>) -> Result<GroupsWriter, Error> {
        let failure = Failure::default();
        let schema = parse_message_type(&schema()).map_err(|error| failure.error(error))?;
        let sink = Sink {
            file,
            at: 0,
            buffer: Vec::new(),
            hash: Sha256::new(),
            checksums: ChunkChecksums::default(),
            failure: failure.clone(),
        };
        let writer = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties()));
        let writer = writer.map_err(|error| failure.error(error))?;
        Ok(GroupsWriter { writer, failure })
    }

    /// Writes a group. All columns must have equally many rows, and be in order of [`COLUMNS`].
    pub fn push(&mut self, columns: impl Iterator<Item = Column>) -> Result<(), Error> {
        self.push_columns(columns).map_err(|error| self.failure.error(error))
    }

    fn push_columns(&mut self, columns: impl Iterator<Item = Column>) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for ((_, kind), column) in COLUMNS.iter().zip(columns) {
            let mut writer = group.next_column()?.expect("as many as in the schema");
            let levels = |levels: Vec<i16>| kind.starts_with('?').then_some(levels);
            match column {
                Column::Long(values, known) => {
                    writer.typed::<Int64Type>().write_batch(&values, levels(known).as_deref(), None)
                }
                Column::Int(values, known) => {
                    writer.typed::<Int32Type>().write_batch(&values, levels(known).as_deref(), None)
                }
                Column::Bytes(values, known) => writer.typed::<ByteArrayType>().write_batch(
                    &values,
                    levels(known).as_deref(),
                    None,
                ),
            }?;
            writer.close()?;
        }
        group.close().map(drop)
    }

    /// Writes the foot. The caller syncs the file.
    pub fn finish(self) -> Result<TableSummary, Error> {
        let mut sink = self.writer.into_inner().map_err(|error| self.failure.error(error))?;
        sink.flush().map_err(Error::io("write a table"))?;
        Ok(TableSummary {
            len_bytes: sink.at,
            sha256: sink.hash.finalize().into(),
            checksums: sink.checksums.finish(),
        })
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
    pub fn finish(mut self) -> Result<TableSummary, Error> {
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

/// Bytes collected before a write.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A file that is written from start to end.
struct Sink {
    file: Arc<dyn File>,
    at: u64,
    buffer: Vec<u8>,
    hash: Sha256,
    checksums: ChunkChecksums,
    failure: Failure,
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
        self.file.write_at(self.at, &self.buffer).inspect_err(|error| {
            self.failure.0.get_or_init(|| error.kind());
        })?;
        self.hash.update(&self.buffer);
        self.checksums.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_summed_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..CHUNK * 2 + 5).map(|at| (at % 251) as u8).collect();
        let expected: Vec<u32> = bytes.chunks(CHUNK).map(crc32c::crc32c).collect();
        for step in [1000, CHUNK, bytes.len()] {
            let mut checksums = ChunkChecksums::default();
            bytes.chunks(step).for_each(|piece| checksums.update(piece));
            assert_eq!(checksums.finish(), expected, "step {step}");
        }
    }

    #[test]
    fn strings_become_byte_arrays() {
        let mut strings = Strings::default();
        [&b"ab"[..], b"", b"c"].into_iter().for_each(|string| strings.push(string));
        let arrays = strings.into_byte_arrays();
        assert_eq!(arrays.iter().map(ByteArray::data).collect::<Vec<_>>(), [&b"ab"[..], b"", b"c"]);
    }
}
