//! The memory for answers: a budget that each answer is charged to from its first row on, until its
//! last byte is sent or its connection has ended.

use std::cell::RefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;
use store::{BytesRoom, Room};

/// The memory for all answers.
pub struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

/// The part of the budget that one answer uses; dropping it gives it back.
pub struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

/// A body below this length is not charged, so that small answers are given without a budget too.
const FREE_BYTES: usize = 64 << 10;

impl Budget {
    pub fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { bytes_max, used: AtomicUsize::new(0) })
    }

    /// Bytes charged.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// A charge of no bytes yet.
    pub fn charge(self: &Arc<Budget>) -> Charge {
        Charge { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Charge {
    /// Returns whether there was room.
    fn grow(&mut self, bytes: usize) -> bool {
        let grown =
            |used: usize| used.checked_add(bytes).filter(|used| *used <= self.budget.bytes_max);
        let fits =
            self.budget.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).is_ok();
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Charges a body instead of the rows that it was made of. The body carries the charge until
    /// nobody holds any of its bytes. `None` when there is no room for it.
    pub fn of_body(mut self, body: Bytes) -> Option<Bytes> {
        if body.len() < FREE_BYTES {
            return Some(body);
        }
        let more = body.len().saturating_sub(self.bytes);
        self.shrink(self.bytes.saturating_sub(body.len()));
        self.grow(more).then(|| Bytes::from_owner(ChargedBody { body, _charge: self }))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

struct ChargedBody {
    body: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Room for the rows of one page.
pub struct PageRoom<'a> {
    charge: RefMut<'a, Charge>,
    /// The room of a page that may end early.
    page: Option<BytesRoom>,
}

/// While a page is made, its rows are in memory as they were read and as text.
const FORMS_OF_A_ROW: usize = 2;

impl<'a> PageRoom<'a> {
    /// For a page that ends at about this many bytes.
    pub fn up_to(charge: RefMut<'a, Charge>, bytes_max: usize) -> PageRoom<'a> {
        PageRoom { charge, page: Some(BytesRoom::new(bytes_max)) }
    }

    /// For a page whose number of rows is given.
    pub fn whole(charge: RefMut<'a, Charge>) -> PageRoom<'a> {
        PageRoom { charge, page: None }
    }
}

impl Room for PageRoom<'_> {
    fn take(&mut self, bytes: usize) -> bool {
        if self.page.as_mut().is_some_and(|page| !page.take(bytes)) {
            return false;
        }
        let fits = self.charge.grow(FORMS_OF_A_ROW * bytes);
        if let (false, Some(page)) = (fits, &mut self.page) {
            page.give_back(bytes);
        }
        fits
    }

    fn give_back(&mut self, bytes: usize) {
        self.charge.shrink(FORMS_OF_A_ROW * bytes);
        if let Some(page) = &mut self.page {
            page.give_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_body_is_charged_until_its_last_byte_is_dropped() {
        let budget = Budget::new(1 << 20);
        let body = |len: usize| Bytes::from(vec![0; len]);
        let mut sent = budget.charge().of_body(body(600 << 10)).expect("there is room");
        assert_eq!(budget.used(), 600 << 10);
        assert!(
            budget.charge().of_body(body(600 << 10)).is_none(),
            "there is no room for a second"
        );
        assert!(budget.charge().of_body(body(FREE_BYTES - 1)).is_some(), "a small one is free");
        let last = sent.split_off((600 << 10) - 1);
        drop(sent);
        assert_eq!(budget.used(), 600 << 10);
        drop(last);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn rows_are_charged_as_they_come_and_replaced_by_their_body() {
        let budget = Budget::new(1000);
        let charge = RefCell::new(budget.charge());
        let mut room = PageRoom::up_to(charge.borrow_mut(), 300);
        assert_eq!([room.take(200), room.take(150), room.take(100)], [true, false, true]);
        room.give_back(100);
        drop(room);
        assert_eq!(budget.used(), 400);
        let mut other = budget.charge();
        assert!(other.grow(500));
        let mut room = PageRoom::whole(charge.borrow_mut());
        assert_eq!([room.take(50), room.take(1)], [true, false], "the budget is used up");
        drop(room);
        drop((charge, other));
        assert_eq!(budget.used(), 0);
    }
}
