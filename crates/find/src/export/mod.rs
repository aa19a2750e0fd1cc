//! The whole result of a question, as a file: NDJSON, CSV, Parquet or OCSF.
//!
//! The bytes follow from the log, the question, the tree size and the format alone, so that a
//! download that broke off goes on where it ended: the file is made again, and what the client has
//! is left out. [`Pieces`] makes it some rows at a time; what is in memory does not grow with the
//! file, but for the foot of a Parquet file. `docs/api/export.md` is the reference.

pub mod columns;
pub mod csv;
mod ndjson;
mod ocsf;
mod parquet;
pub mod read;

use std::fmt;

use ::parquet::errors::ParquetError;
use bytes::Bytes;
use event::Time;
use event::query::Query;
use event::search::{Field, Search, Term};
use sha2::{Digest, Sha256};
use store::{Contents, Scan};
use tlog::Hash;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Ndjson,
    Csv,
    Parquet,
    Ocsf,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Ndjson, Format::Csv, Format::Parquet, Format::Ocsf];

    pub fn from_text(text: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Ocsf => "ocsf",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Ndjson | Format::Ocsf => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The end of the names of its files, behind a dot.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Ocsf => "ocsf.ndjson",
        }
    }

    /// What a file of it is called by default.
    pub fn file_name(self, tree_size: u64) -> String {
        format!("daybook-{tree_size}.{}", self.ending())
    }
}

/// What is exported.
#[derive(Clone, Debug)]
pub struct Export {
    /// The question with absolute times, as a search.
    pub question: String,
    /// The same to the log, as of `tree_size`.
    pub query: Query,
    pub tree_size: u64,
    pub format: Format,
    /// Id of the user who asks.
    pub caller: String,
    /// How many events match.
    pub total: u64,
}

/// A search that asks the same at any time: relative times became absolute.
pub fn pinned(search: &Search, from: Option<Time>, until: Option<Time>) -> Search {
    let is_time = |term: &&Term| matches!(term.field, Some(Field::After | Field::Before));
    let mut terms: Vec<Term> = search.terms.iter().filter(|term| !is_time(term)).cloned().collect();
    for (field, at) in [(Field::After, from), (Field::Before, until)] {
        terms.extend(at.map(|at| Term::is(field, &at.to_string())));
    }
    Search { terms }
}

impl Export {
    /// SHA-256 over the names of the trails of the query, in order, each with a line feed.
    pub fn trails(&self) -> Hash {
        hash_of_lines(&self.query.trails)
    }

    /// The same for the same bytes.
    pub fn mark(&self) -> String {
        let Export { question, tree_size, format, caller, .. } = self;
        let (version, format, trails) =
            (env!("CARGO_PKG_VERSION"), format.as_str(), hex::encode(self.trails()));
        let facts = format!("{version}\n{format}\n{tree_size}\n{caller}\n{trails}\n{question}\n");
        hex::encode(&Sha256::digest(facts)[..16])
    }
}

/// SHA-256 over texts, each with a line feed.
pub fn hash_of_lines(texts: &[impl fmt::Display]) -> Hash {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(format!("{text}\n"));
    }
    hash.finalize().into()
}

/// What an export came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Hash,
    /// SHA-256 over the digests of the rows' entries, in order.
    pub digests: Hash,
}

/// Why an export could not be made.
#[derive(Debug)]
pub enum ExportError {
    Store(store::Error),
    Parquet(ParquetError),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::Store(error) => error.fmt(f),
            ExportError::Parquet(error) => error.fmt(f),
        }
    }
}

impl From<store::Error> for ExportError {
    fn from(error: store::Error) -> ExportError {
        ExportError::Store(error)
    }
}

impl From<ParquetError> for ExportError {
    fn from(error: ParquetError) -> ExportError {
        ExportError::Parquet(error)
    }
}

enum Writer {
    Ndjson,
    Csv,
    Parquet(Box<parquet::Writer>),
    Ocsf,
}

impl Writer {
    fn begin(export: &Export, out: &mut Vec<u8>) -> Result<Writer, ParquetError> {
        Ok(match export.format {
            Format::Ndjson => Writer::Ndjson,
            Format::Ocsf => Writer::Ocsf,
            Format::Csv => {
                csv::begin(out);
                Writer::Csv
            }
            Format::Parquet => Writer::Parquet(Box::new(parquet::Writer::begin(&[
                ("daybook.question", export.question.clone()),
                ("daybook.tree_size", export.tree_size.to_string()),
            ])?)),
        })
    }

    fn write(&mut self, rows: Vec<store::Row>, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        match self {
            Writer::Ndjson => ndjson::write(rows, out),
            Writer::Csv => csv::write(&rows, out),
            Writer::Parquet(writer) => writer.write(&rows, out)?,
            Writer::Ocsf => ocsf::write(&rows, out),
        }
        Ok(())
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        match self {
            Writer::Ndjson | Writer::Csv | Writer::Ocsf => Ok(()),
            Writer::Parquet(writer) => writer.finish(out),
        }
    }
}

/// Most bytes of a piece: what is held a few times for each export.
const PIECE_BYTES: usize = 256 << 10;
/// About as many bytes of rows are read at once: enough to read neighbours together.
const ROWS_BYTES: usize = 2 << 20;
/// So many of them are written at once: mostly about a piece, so that what is written takes little
/// more than it.
const ROWS_WRITTEN_AT_ONCE: usize = 256;

/// Makes the file of an export, piece by piece.
pub struct Pieces<'a> {
    log: &'a Contents,
    scan: Scan<'a>,
    /// Rows that were read and are not written yet.
    read: std::vec::IntoIter<store::Row>,
    /// `None` once the file is finished.
    writer: Option<Writer>,
    /// What was written and not taken yet.
    made: Bytes,
    rows: u64,
    bytes: u64,
    file: Sha256,
    digests: Sha256,
}

impl<'a> Pieces<'a> {
    pub fn of(log: &'a Contents, export: &Export) -> Result<Pieces<'a>, ExportError> {
        let scan = log.scan(&export.query)?;
        let mut made = Vec::new();
        let writer = Some(Writer::begin(export, &mut made)?);
        let (file, digests) = (Sha256::new(), Sha256::new());
        let read = Vec::new().into_iter();
        Ok(Pieces { log, scan, read, writer, made: made.into(), rows: 0, bytes: 0, file, digests })
    }

    /// The next piece; `None` at the end.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, ExportError> {
        while self.made.is_empty() {
            let Some(mut writer) = self.writer.take() else { return Ok(None) };
            if self.read.as_slice().is_empty() {
                self.read_on()?;
            }
            let rows: Vec<_> = self.read.by_ref().take(ROWS_WRITTEN_AT_ONCE).collect();
            let mut made = Vec::with_capacity(PIECE_BYTES);
            if rows.is_empty() {
                writer.finish(&mut made)?;
            } else {
                writer.write(rows, &mut made)?;
                self.writer = Some(writer);
            }
            self.made = made.into();
        }
        let piece = self.made.split_to(self.made.len().min(PIECE_BYTES));
        self.bytes += piece.len() as u64;
        self.file.update(&piece);
        Ok(Some(piece))
    }

    /// Reads the next rows; none at the end.
    fn read_on(&mut self) -> Result<(), ExportError> {
        let rows = self.scan.next(ROWS_BYTES)?;
        self.rows += rows.len() as u64;
        let indexes: Vec<u64> = rows.iter().map(|row| row.index).collect();
        self.digests.update(self.log.digests_of(&indexes)?.as_flattened());
        self.read = rows.into_iter();
        Ok(())
    }

    /// Lets go of what keeps the log from removing files, before a wait.
    pub fn release(&mut self) {
        self.scan.release();
    }

    /// What it came to, once there is no further piece.
    pub fn totals(self) -> Totals {
        let (sha256, digests) = (self.file.finalize().into(), self.digests.finalize().into());
        Totals { rows: self.rows, bytes: self.bytes, sha256, digests }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_search_asks_the_same_at_any_time() {
        let search =
            Search::parse("alice after:-24h before:now -outcome:success").expect("a search");
        let now = Time::from_unix_ns(1_800_000_000_000_000_000);
        let meaning = search.meaning(now).expect("a meaning");
        let pinned = pinned(&search, meaning.from, meaning.until);
        let text = pinned.to_string();
        let again = Search::parse(&text)
            .expect("a search")
            .meaning(Time::from_unix_ns(5))
            .expect("a meaning");
        assert_eq!(again, meaning, "{text}");
    }

    #[test]
    fn the_mark_differs_between_exports() {
        let trail = event::Trail::new(event::Service::Registry, "t", "p", "i").expect("a trail");
        let one = Export {
            question: "a".to_owned(),
            query: Query::of(trail),
            tree_size: 7,
            format: Format::Csv,
            caller: "u".to_owned(),
            total: 1,
        };
        let others = [
            Export { question: "b".to_owned(), ..one.clone() },
            Export { tree_size: 8, ..one.clone() },
            Export { format: Format::Ocsf, ..one.clone() },
            Export { caller: "v".to_owned(), ..one.clone() },
            Export { query: Query { trails: Vec::new(), ..one.query.clone() }, ..one.clone() },
        ];
        for other in others {
            assert_ne!(one.mark(), other.mark());
        }
        assert_eq!(one.mark(), one.clone().mark());
    }
}
