//! A scan over all rows of a result, in batches, oldest first, as of one tree size.
//!
//! A step finds the locations of the next [`FOUND_AT_ONCE`] rows by counting, as any page is found,
//! so that each step costs the same however many came before. The rows are read in batches as long
//! as the view of that step lasts. Only a position lasts longer: as of a tree size, the rows before
//! and behind a position are always the same, however the log flushes and compacts meanwhile.

use std::collections::VecDeque;

use event::query::{Order, Query};

use crate::engine::prepared_query::PreparedQuery;
use crate::error::Error;
use crate::journal::frame::EVENT_BYTES_MAX;
use crate::log::state::{RowSource, View};
use crate::read::contents::{Contents, Row};
use crate::read::query::CacheUse;

/// Locations found at once, of 32 bytes each: enough that finding them costs little beside reading
/// them.
const FOUND_AT_ONCE: usize = 32 << 10;
/// Rows read at once. Rows of one step are read in the order of the segments, where neighbours cost
/// least.
const READ_AT_ONCE: usize = 4 << 10;
/// Rows read at first, while their size is unknown.
const READ_FIRST: usize = 512;

/// A scan over all rows of a result. See [`Contents::scan`].
pub struct Scan<'a> {
    contents: &'a Contents,
    /// The query with the tree size, and with the offset of the next row to find.
    query: Query,
    total: u64,
    found: Option<(View, VecDeque<RowSource>)>,
    read_at_once: usize,
}

impl Contents {
    /// Starts a scan over the matches: oldest first, from the query's offset on, as of its tree
    /// size or else of now. Its order and limit do not matter.
    pub fn scan(&self, query: &Query) -> Result<Scan<'_>, Error> {
        let (size, _) = self.head();
        let as_of = Some(query.as_of.map_or(size, |as_of| as_of.min(size)));
        let query = Query { as_of, order: Order::Ascending, limit: FOUND_AT_ONCE, ..query.clone() };
        let mut scan =
            Scan { contents: self, query, total: 0, found: None, read_at_once: READ_FIRST };
        scan.find()?;
        Ok(scan)
    }
}

impl Scan<'_> {
    /// Number of matching events, including those before the offset.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of events in the log for this scan.
    pub fn tree_size(&self) -> u64 {
        self.query.as_of.unwrap_or_default()
    }

    /// The next rows; none at the end. They take at most about `bytes_max` in memory, except for a
    /// single larger one.
    pub fn next(&mut self, bytes_max: usize) -> Result<Vec<Row>, Error> {
        loop {
            let (view, found) = match &mut self.found {
                Some((view, found)) if !found.is_empty() => (view, found),
                _ if self.query.offset >= self.total => return Ok(Vec::new()),
                _ => {
                    self.find()?;
                    continue;
                }
            };
            let count = self.read_at_once.min(found.len());
            let next = &found.make_contiguous()[..count];
            let mut left = if count == 1 { usize::MAX } else { bytes_max };
            let mut fits = |row: &Row| match left.checked_sub(row.bytes()) {
                Some(less) => {
                    left = less;
                    true
                }
                None => false,
            };
            let read =
                self.contents.rows_within(&view.segments, next, CacheUse::Past, &mut fits)?;
            let Some(rows) = read else {
                self.read_at_once = count.div_ceil(2);
                continue;
            };
            found.drain(..count);
            if rows.iter().map(Row::bytes).sum::<usize>() <= bytes_max / 2 {
                self.read_at_once = (self.read_at_once * 2).min(READ_AT_ONCE);
            }
            return Ok(rows);
        }
    }

    /// Releases the view, which holds journal files and segments in place. The scan goes on all the
    /// same; finding again costs as much as a page.
    pub fn release(&mut self) {
        if let Some((_, found)) = self.found.take() {
            self.query.offset -= found.len() as u64;
        }
    }

    fn find(&mut self) -> Result<(), Error> {
        let prepared = PreparedQuery::of(&self.query);
        let view = self.contents.view(&prepared);
        let (found, total, _) = self.contents.noted(view.find(&prepared))?;
        self.total = total;
        self.query.offset += found.len() as u64;
        self.found = Some((view, found.into()));
        Ok(())
    }
}

const _: () =
    assert!(READ_AT_ONCE * size_of::<Row>() < 32 * EVENT_BYTES_MAX, "rows alone fit any budget");
