//! Reads entries and raw bytes from the table of a segment.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use crate::disk::durable::File;
use crate::error::Error;
use crate::segment::table::columns::{CHUNK, COLUMNS, ENTRY, RAW};

/// An open table; gives entries and raw bytes.
pub(in crate::segment) struct Table {
    reader: SerializedFileReader<Source>,
    /// For messages.
    pub(super) name: String,
    /// The first row of each group, and the number of all rows.
    pub(super) firsts: Vec<u64>,
}

impl Table {
    /// Opens a table with these checksums of its chunks. Bytes are compared with them before use.
    pub fn open(file: Arc<dyn File>, name: &str, checksums: Vec<u32>) -> Result<Table, Error> {
        let len =
            file.len_bytes().map_err(|cause| Error::Io { doing: format!("read {name}"), cause })?;
        let options = ReadOptionsBuilder::new().with_page_index().build();
        if len.div_ceil(CHUNK as u64) != checksums.len() as u64 {
            return Err(Error::damage(name, len, "the table has another length"));
        }
        let source = Source { file, len, checksums: checksums.into() };
        let reader = SerializedFileReader::new_with_options(source, options)
            .map_err(|error| damage(name, &error))?;
        let mut firsts = vec![0];
        for group in reader.metadata().row_groups() {
            let rows = u64::try_from(group.num_rows())
                .map_err(|_| Error::damage(name, 0, "a group of no rows"))?;
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

    /// The stored canonical entries of consecutive rows. Callers that must be sure compare digests.
    pub fn entries(&self, first: u64, count: usize) -> Result<Vec<Bytes>, Error> {
        self.read(ENTRY, first, count)
    }

    /// The stored raw bytes of consecutive rows.
    pub fn raws(&self, first: u64, count: usize) -> Result<Vec<Bytes>, Error> {
        self.read(RAW, first, count)
    }

    /// Reads a column of one group from its start.
    pub(super) fn column_reader(
        &self,
        group: usize,
        column: usize,
    ) -> Result<ColumnReader, ParquetError> {
        self.reader.get_row_group(group)?.get_column_reader(column)
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
            let (records, _, _) =
                values.read_records(wanted, None, None, &mut read).map_err(damaged)?;
            if records != wanted || read.len() != wanted {
                return Err(Error::damage(&self.name, 0, "a column is cut"));
            }
            out.extend(read.into_iter().map(|value| Bytes::copy_from_slice(value.data())));
        }
        Ok(out)
    }
}

pub(super) fn damage(name: &str, error: &ParquetError) -> Error {
    let damaged = match error {
        ParquetError::External(cause) => {
            cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
        }
        _ => None,
    };
    match damaged.and_then(|cause| cause.downcast_ref::<ChecksumMismatch>()) {
        Some(ChecksumMismatch(offset)) => {
            Error::damage(name, *offset, "bytes of the table have another checksum")
        }
        None => Error::damage(name, 0, error.to_string()),
    }
}

/// The chunk at this offset does not have its checksum.
#[derive(Debug)]
struct ChecksumMismatch(u64);

impl std::fmt::Display for ChecksumMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the bytes from {} on have another checksum", self.0)
    }
}

impl std::error::Error for ChecksumMismatch {}

/// A file with checked chunks, read at any offset.
#[derive(Clone)]
struct Source {
    file: Arc<dyn File>,
    len: u64,
    checksums: Arc<[u32]>,
}

impl Source {
    /// At most `len` bytes from `start` on, from chunks with valid checksums.
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
            if self.checksums.get(position) != Some(&crc32c::crc32c(chunk)) {
                return Err(io::Error::other(ChecksumMismatch((position * CHUNK) as u64)));
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
    type T = SourceReader;

    fn get_read(&self, start: u64) -> Result<SourceReader, ParquetError> {
        Ok(SourceReader { source: self.clone(), at: start, read: Vec::new(), taken: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.len);
        if !is_inside {
            return Err(ParquetError::EOF(format!(
                "bytes {start} to {length} more are beyond the end"
            )));
        }
        Ok(self.bytes(start, length)?.into())
    }
}

/// Reads a source from some offset on.
struct SourceReader {
    source: Source,
    at: u64,
    /// The bytes read last, and how many of them were taken.
    read: Vec<u8>,
    taken: usize,
}

impl io::Read for SourceReader {
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
