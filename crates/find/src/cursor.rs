//! Cursors: the end of a page as a text that the next request brings back. A cursor has the size of
//! the log, the rows before it, the time of the first page, and a mark of the question, so that it
//! fits no other question.

use event::Time;
use event::query::Order;
use sha2::{Digest, Sha256};

use crate::question::{InvalidParameter, Question};

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The size of the log at the first page; `None` on it.
    pub size: Option<u64>,
    /// Rows on earlier pages.
    pub offset: u64,
    /// The time of the first page, which relative times count from.
    pub now: Time,
}

impl Cursor {
    pub fn text(self, question: &Question, order: Order) -> String {
        let Cursor { size, offset, now } = self;
        format!("{}-{offset}-{}-{}", size.unwrap_or(0), now.unix_ns(), mark(question, order))
    }

    pub fn parse(
        text: &str,
        question: &Question,
        order: Order,
    ) -> Result<Cursor, InvalidParameter> {
        let is_no_cursor =
            || InvalidParameter::new("cursor", "that is no cursor of an earlier answer");
        let parts: Vec<&str> = text.split('-').collect();
        let [size, offset, now, of] = parts[..] else { return Err(is_no_cursor()) };
        if question.as_of.is_some() {
            return Err(InvalidParameter::new(
                "cursor",
                "a cursor knows which state of the log it is of; leave as_of out",
            ));
        }
        if of != mark(question, order) {
            return Err(InvalidParameter::new("cursor", "the cursor is of another question"));
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

/// A mark that differs between questions.
fn mark(question: &Question, order: Order) -> String {
    let question = format!("{} {order:?} {}", question.search, question.with_own);
    hex::encode(&Sha256::digest(question)[..8])
}

#[cfg(test)]
mod tests {
    use event::search::Search;

    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_question_alone() {
        let question = |text| Question {
            search: Search::parse(text).expect("a search"),
            ..Question::default()
        };
        let cursor = Cursor {
            size: Some(7),
            offset: 50,
            now: Time::from_unix_ns(1_800_000_000_000_000_000),
        };
        let text = cursor.text(&question("a after:-1h"), Order::Descending);
        assert_eq!(Cursor::parse(&text, &question("a  after:-1h"), Order::Descending), Ok(cursor));
        assert!(Cursor::parse(&text, &question("b after:-1h"), Order::Descending).is_err());
        assert!(Cursor::parse(&text, &question("a after:-1h"), Order::Ascending).is_err());
        let (_, of) = text.rsplit_once('-').expect("parts");
        for wrong in
            ["", "1-2-3", &format!("x-2-3-{of}"), &format!("1-2-99999999999999999999-{of}")]
        {
            assert!(
                Cursor::parse(wrong, &question("a after:-1h"), Order::Descending).is_err(),
                "{wrong}"
            );
        }
    }
}
