//! Where a page ended, as a text that the next request brings back: the size of the log, how many
//! rows were seen, what time it was, and what was asked, so that a cursor is good for no other
//! question.

use event::Time;
use event::query::Order;
use sha2::{Digest, Sha256};

use super::ask::{Asked, Wrong};

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The size of the log at the first page; `None` on it.
    pub size: Option<u64>,
    /// Rows before it.
    pub offset: u64,
    /// When the first page was asked for: what relative times are relative to.
    pub now: Time,
}

impl Cursor {
    pub fn text(self, asked: &Asked, order: Order) -> String {
        let Cursor { size, offset, now } = self;
        format!("{}-{offset}-{}-{}", size.unwrap_or(0), now.unix_ns(), mark(asked, order))
    }

    pub fn parse(text: &str, asked: &Asked, order: Order) -> Result<Cursor, Wrong> {
        let is_no_cursor = || Wrong::new("cursor", "that is no cursor of an earlier answer");
        let parts: Vec<&str> = text.split('-').collect();
        let [size, offset, now, of] = parts[..] else { return Err(is_no_cursor()) };
        if asked.as_of.is_some() {
            return Err(Wrong::new(
                "cursor",
                "a cursor knows which state of the log it is of; leave as_of out",
            ));
        }
        if of != mark(asked, order) {
            return Err(Wrong::new("cursor", "the cursor is of another question"));
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| is_no_cursor());
        let now = i64::try_from(number(now)?).map_err(|_| is_no_cursor())?;
        Ok(Cursor {
            size: Some(number(size)?),
            offset: number(offset)?,
            now: Time::from_unix_ns(now),
        })
    }
}

/// Tells one question from another.
fn mark(asked: &Asked, order: Order) -> String {
    let question = format!("{} {order:?}", asked.search);
    hex::encode(&Sha256::digest(question)[..8])
}

#[cfg(test)]
mod tests {
    use event::search::Search;

    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_question_alone() {
        let asked = |text| Asked { search: Search::parse(text).expect("a search"), as_of: None };
        let cursor = Cursor {
            size: Some(7),
            offset: 50,
            now: Time::from_unix_ns(1_800_000_000_000_000_000),
        };
        let text = cursor.text(&asked("a after:-1h"), Order::Descending);
        assert_eq!(Cursor::parse(&text, &asked("a  after:-1h"), Order::Descending), Ok(cursor));
        assert!(Cursor::parse(&text, &asked("b after:-1h"), Order::Descending).is_err());
        assert!(Cursor::parse(&text, &asked("a after:-1h"), Order::Ascending).is_err());
        let (_, of) = text.rsplit_once('-').expect("parts");
        for wrong in
            ["", "1-2-3", &format!("x-2-3-{of}"), &format!("1-2-99999999999999999999-{of}")]
        {
            assert!(
                Cursor::parse(wrong, &asked("a after:-1h"), Order::Descending).is_err(),
                "{wrong}"
            );
        }
    }
}
