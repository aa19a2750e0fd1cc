//! Events that may continue while a file is read: if the lines of an event are apart, a file is cut
//! only at a line where no event is open.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// The open events, and how long they stay open.
pub(crate) struct Open<Id> {
    /// The number of the first line of each event, and its time in milliseconds.
    events: BTreeMap<Id, (usize, i64)>,
    /// In the order of their first lines; closed ones included.
    order: VecDeque<Id>,
    newest_ms: i64,
    ms_max: i64,
    lines_max: usize,
}

impl<Id: Ord + Clone> Open<Id> {
    /// An event is given up when something is `ms_max` newer, or after `lines_max` more lines.
    pub(crate) fn new(ms_max: i64, lines_max: usize) -> Open<Id> {
        Open {
            events: BTreeMap::new(),
            order: VecDeque::new(),
            newest_ms: i64::MIN,
            ms_max,
            lines_max,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Opens an event with this line, or continues it.
    pub(crate) fn begin(&mut self, id: Id, line: usize, time_ms: i64) {
        if let Entry::Vacant(event) = self.events.entry(id.clone()) {
            event.insert((line, time_ms));
            self.order.push_back(id);
        }
    }

    pub(crate) fn end(&mut self, id: &Id) {
        self.events.remove(id);
    }

    /// Gives up events that stayed open too long, the oldest first. `time_ms` is the time of the
    /// line.
    pub(crate) fn expire(&mut self, line: usize, time_ms: Option<i64>) {
        self.newest_ms = self.newest_ms.max(time_ms.unwrap_or(i64::MIN));
        while let Some(id) = self.order.front() {
            if let Some((first, time_ms)) = self.events.get(id) {
                let is_fresh = self.newest_ms.saturating_sub(*time_ms) < self.ms_max
                    && line.saturating_sub(*first) <= self.lines_max;
                if is_fresh {
                    return;
                }
                self.events.remove(id);
            }
            self.order.pop_front();
        }
    }
}

/// How many bytes at the beginning of `lines` end where no event is open; `take` is called with
/// each line and its number. If events overlap without end, it is all of them after `bytes_max`, so
/// that a file is never stuck.
pub(crate) fn complete_events<Id: Ord + Clone>(
    lines: &[u8],
    bytes_max: usize,
    mut open: Open<Id>,
    mut take: impl FnMut(&mut Open<Id>, &[u8], usize) -> Option<i64>,
) -> usize {
    let (mut whole, mut behind) = (0, 0);
    for (number, line) in lines.split_inclusive(|&byte| byte == b'\n').enumerate() {
        behind += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let time_ms = take(&mut open, line.strip_suffix(b"\r").unwrap_or(line), number);
        open.expire(number, time_ms);
        if open.is_empty() {
            whole = behind;
        }
    }
    if whole == 0 && lines.len() > bytes_max { lines.len() } else { whole }
}
