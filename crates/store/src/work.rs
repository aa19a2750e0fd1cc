//! The work for one question: whether somebody still waits for the answer, and its memory.
//!
//! A question is answered on one thread from its beginning to its end, so its work belongs to the
//! thread, and the functions between do not pass it on. Threads without work, such as those that
//! flush and compact, read without limit.

use std::cell::RefCell;
use std::sync::Arc;

use crate::error::Error;

/// Bytes that counting values may take where nobody set a limit, as for commands on a directory.
const COUNTING_BYTES_MAX: usize = 64 << 20;

/// The work for one question.
pub struct Work {
    is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
    counting_bytes_max: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Work>>> = const { RefCell::new(None) };
}

impl Work {
    /// Work that ends with [`Error::Cancelled`] once `is_wanted` returns false. It is called for
    /// every block that is read, so it must be cheap. Counting values takes at most about
    /// `counting_bytes_max`, and more time where they do not fit.
    pub fn new(
        counting_bytes_max: usize,
        is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Arc<Work> {
        Arc::new(Work { is_wanted: Box::new(is_wanted), counting_bytes_max })
    }

    /// Runs `read` as this work. What it reads ends early once nobody wants it.
    pub fn run<T>(self: &Arc<Work>, read: impl FnOnce() -> T) -> T {
        let _previous = PreviousWork(CURRENT.replace(Some(Arc::clone(self))));
        read()
    }
}

/// The work of the thread before; restored when dropped, after a panic too.
struct PreviousWork(Option<Arc<Work>>);

impl Drop for PreviousWork {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Errs if the thread's work is no longer wanted.
pub(crate) fn check() -> Result<(), Error> {
    let is_wanted = CURRENT.with_borrow(|work| work.as_ref().is_none_or(|work| (work.is_wanted)()));
    if is_wanted { Ok(()) } else { Err(Error::Cancelled) }
}

/// Bytes that the thread's work may take to count values.
pub(crate) fn counting_bytes_max() -> usize {
    CURRENT.with_borrow(|work| {
        work.as_ref().map_or(COUNTING_BYTES_MAX, |work| work.counting_bytes_max)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn work_ends_with_its_run_and_when_nobody_wants_it() {
        let is_wanted = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&is_wanted);
        let work = Work::new(7, move || still.load(Ordering::Relaxed));
        work.run(|| {
            assert_eq!((check().is_ok(), counting_bytes_max()), (true, 7));
            is_wanted.store(false, Ordering::Relaxed);
            assert!(matches!(check(), Err(Error::Cancelled)));
            Work::new(9, || true)
                .run(|| assert_eq!((check().is_ok(), counting_bytes_max()), (true, 9)));
            assert!(check().is_err(), "the outer work is the thread's again");
        });
        assert_eq!((check().is_ok(), counting_bytes_max()), (true, COUNTING_BYTES_MAX));
    }
}
