//! Parquet: the columns of [`super::columns`], zstd, in groups of rows of a bounded size.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use store::Row;

use super::columns::{COLUMNS, Kind, Value, values};

/// A group is written before it holds more rows or bytes of texts than these: what is in memory,
/// and what a reader takes at once. Fewer would make the foot, which is in memory until the end,
/// grow faster: a group adds about 20 KiB to it. That matters once there are many; the first ones
/// are half as large.
const GROUP_ROWS: usize = 32 << 10;
const GROUP_BYTES: usize = 8 << 20;
const HALF_GROUPS: usize = 128;
const ZSTD_LEVEL: i32 = 1;

/// Writes a file.
pub struct Writer {
    file: SerializedFileWriter<Vec<u8>>,
    buffers: Vec<Buffer>,
    rows: usize,
    bytes: usize,
}

impl Writer {
    /// Begins a file. `facts` are put into its foot, names and values.
    pub fn begin(facts: &[(&str, String)]) -> Result<Writer, ParquetError> {
        let schema = Arc::new(parse_message_type(&schema())?);
        let properties = Arc::new(properties(facts));
        let file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
        Ok(Writer { file, buffers: buffers(), rows: 0, bytes: 0 })
    }

    /// Adds rows. What was written so far and was not taken yet is moved to `out`.
    pub fn write(&mut self, rows: &[Row], out: &mut Vec<u8>) -> Result<(), ParquetError> {
        for row in rows {
            for (buffer, value) in self.buffers.iter_mut().zip(values(row)) {
                self.bytes += buffer.push(value);
            }
            self.rows += 1;
            let part = if self.file.flushed_row_groups().len() < HALF_GROUPS { 2 } else { 1 };
            if self.rows == GROUP_ROWS / part || self.bytes >= GROUP_BYTES / part {
                self.end_group()?;
            }
        }
        out.append(self.file.inner_mut());
        Ok(())
    }

    /// Writes what is left, and the foot.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        out.append(&mut self.file.into_inner()?);
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for ((_, kind), buffer) in COLUMNS.iter().zip(&mut self.buffers) {
            let column = group.next_column()?.expect("as many as in the schema");
            buffer.write(column, *kind == Kind::Maybe)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn schema() -> String {
    let columns = COLUMNS.iter().map(|(name, kind)| match kind {
        Kind::Long => format!("required int64 {name};"),
        Kind::Instant => format!("required int64 {name} (TIMESTAMP(NANOS, true));"),
        Kind::Code => format!("optional int32 {name} (INTEGER(32, false));"),
        Kind::Text => format!("required binary {name} (STRING);"),
        Kind::Maybe => format!("optional binary {name} (STRING);"),
    });
    format!("message event {{ {} }}", columns.collect::<Vec<_>>().join(" "))
}

fn properties(facts: &[(&str, String)]) -> WriterProperties {
    let facts = facts.iter().map(|(name, value)| KeyValue::new((*name).to_owned(), value.clone()));
    let mut builder = WriterProperties::builder()
        .set_created_by("daybook".to_owned())
        .set_key_value_metadata(Some(facts.collect()))
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(ZSTD_LEVEL).expect("a level of zstd"),
        ))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None);
    for (name, kind) in COLUMNS {
        let path = ColumnPath::from(name);
        builder = match kind {
            Kind::Long | Kind::Instant => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            // No two events have the same.
            Kind::Text if name == "id" => builder.set_column_dictionary_enabled(path, false),
            Kind::Code | Kind::Text | Kind::Maybe => builder,
        };
    }
    builder.build()
}

/// The values of one column in some rows; of those that may have none, for each row whether it has
/// one: 1 or 0.
enum Buffer {
    Long(Vec<i64>),
    Code(Vec<i32>, Vec<i16>),
    Text { bytes: Vec<u8>, ends: Vec<usize>, levels: Vec<i16> },
}

impl Buffer {
    /// Adds a value. Returns its bytes of text.
    fn push(&mut self, value: Value<'_>) -> usize {
        match (self, value) {
            (Buffer::Long(values), Value::Long(value)) => values.push(value.cast_signed()),
            (Buffer::Long(values), Value::Instant(at)) => values.push(at.unix_ns()),
            (Buffer::Code(values, levels), Value::Code(value)) => {
                levels.push(i16::from(value.is_some()));
                values.extend(value.map(u32::cast_signed));
            }
            (Buffer::Text { bytes, ends, levels }, Value::Text(value)) => {
                levels.push(i16::from(value.is_some()));
                if let Some(text) = value {
                    bytes.extend_from_slice(text.as_bytes());
                    ends.push(bytes.len());
                    return text.len();
                }
            }
            _ => unreachable!("a row has the kinds of the columns"),
        }
        0
    }

    /// Writes all values to a column, and keeps their memory for the values of the next group.
    fn write(
        &mut self,
        mut column: SerializedColumnWriter<'_>,
        is_optional: bool,
    ) -> Result<(), ParquetError> {
        match self {
            Buffer::Long(values) => {
                column.typed::<Int64Type>().write_batch(values, None, None)?;
                values.clear();
                column.close()
            }
            Buffer::Code(values, levels) => {
                column.typed::<Int32Type>().write_batch(values, Some(levels), None)?;
                values.clear();
                levels.clear();
                column.close()
            }
            Buffer::Text { bytes, ends, levels } => {
                let (shared, mut start) = (Bytes::from(std::mem::take(bytes)), 0);
                let array =
                    |end| ByteArray::from(shared.slice(std::mem::replace(&mut start, end)..end));
                let values: Vec<ByteArray> = ends.drain(..).map(array).collect();
                column.typed::<ByteArrayType>().write_batch(
                    &values,
                    is_optional.then_some(levels),
                    None,
                )?;
                levels.clear();
                drop(values);
                column.close()?;
                // Nobody else has it any more, so that nothing is copied.
                *bytes = shared.into();
                bytes.clear();
                Ok(())
            }
        }
    }
}

fn buffers() -> Vec<Buffer> {
    let buffer = |(_, kind): &(&str, Kind)| match kind {
        Kind::Long | Kind::Instant => Buffer::Long(Vec::new()),
        Kind::Code => Buffer::Code(Vec::new(), Vec::new()),
        Kind::Text | Kind::Maybe => {
            Buffer::Text { bytes: Vec::new(), ends: Vec::new(), levels: Vec::new() }
        }
    };
    COLUMNS.iter().map(buffer).collect()
}
