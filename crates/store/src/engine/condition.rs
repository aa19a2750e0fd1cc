//! The filters of a query in terms of one segment: conditions on its rows.

use std::cell::OnceCell;
use std::ops::Range;

use event::query::{Dimension, Filter, whole_words_and_start};
use event::words::words;
use roaring::RoaringBitmap;

use crate::error::Error;
use crate::log::words::NAMED;
use crate::segment::postings::{PostingsLocation, PostingsReader};
use crate::segment::segment::Segment;
use crate::segment::terms::Terms;

/// All conditions on the rows of a segment, the most selective first.
pub(crate) struct Conditions<'a> {
    pub segment: &'a Segment,
    all: Vec<Condition<'a>>,
    /// The ranks by time of the matching rows, once needed.
    by_time: OnceCell<PostingsReader<'a>>,
}

/// The rows of a segment, in order of time, that meet all conditions.
pub(crate) enum RowsByTime<'c, 'a> {
    All,
    /// The rows of these ranks.
    Ranks(&'c PostingsReader<'a>),
}

enum Condition<'a> {
    /// The row has one of these values.
    AnyOf(Dimension, Vec<Value<'a>>),
    /// The row has none of these values.
    NoneOf(Dimension, Vec<Value<'a>>),
    /// The row has a value with one of these ordinals.
    Among(Dimension, Range<u64>),
    /// The row has all of these values.
    Every(Vec<Value<'a>>),
    /// The row has a value with one of these ordinals.
    OneOf(Terms<'a>, Range<u64>),
    Either(Vec<Condition<'a>>),
    Both(Box<Condition<'a>>, Box<Condition<'a>>),
    Not(Box<Condition<'a>>),
    /// The row's index is below this.
    Below(u64),
    /// The row's event meets the filter, which its segment has no words for.
    Read(Filter),
}

/// A value with its rows, which are read when needed.
struct Value<'a> {
    terms: Terms<'a>,
    ordinal: u64,
    location: PostingsLocation,
    opened: OnceCell<PostingsReader<'a>>,
}

/// Looking up this many rows one by one costs about as much as reading one container of a bitmap.
const ROWS_A_CONTAINER: u64 = 128;
/// Looking up this many scattered rows, each in a block of its own, costs about as much as
/// searching one container. None in test builds, so that their few rows take both paths.
const SCATTERED_A_CONTAINER: u64 = if cfg!(debug_assertions) { 0 } else { 4 };
/// Searching one container for this many rows one by one costs about as much as building a bitmap
/// of them all.
const ROWS_A_BITMAP: u64 = 1024;

impl<'a> Value<'a> {
    fn of(terms: Terms<'a>, text: &str) -> Result<Option<Value<'a>>, Error> {
        let found = terms.find(text.as_bytes())?;
        Ok(found.map(|term| Value {
            terms,
            ordinal: term.ordinal,
            location: term.rows,
            opened: OnceCell::new(),
        }))
    }

    fn opened(&self) -> Result<&PostingsReader<'a>, Error> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.terms.rows(self.location).open()?;
        Ok(self.opened.get_or_init(|| opened))
    }

    fn within(&self, rows: &Range<u32>) -> Result<RoaringBitmap, Error> {
        self.opened()?.within(rows.clone())
    }
}

impl<'a> Conditions<'a> {
    /// Conditions for the events among the first `tree_size` of the log that meet these filters.
    pub fn of(
        segment: &'a Segment,
        filters: &[Filter],
        tree_size: u64,
    ) -> Result<Conditions<'a>, Error> {
        let mut all = filters
            .iter()
            .map(|filter| Condition::of(segment, filter))
            .collect::<Result<Vec<_>, Error>>()?;
        if segment.meta.end() > tree_size {
            all.push(Condition::Below(tree_size));
        }
        all.sort_by_cached_key(|condition| condition.rows_max(segment));
        Ok(Conditions { segment, all, by_time: OnceCell::new() })
    }

    /// Whether every row meets them.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Upper bound of the number of matching rows.
    pub fn rows_max(&self) -> u64 {
        self.all
            .first()
            .map_or(self.segment.meta.events, |condition| condition.rows_max(self.segment))
    }

    /// Whether any row may meet them.
    pub fn can_match(&self) -> bool {
        self.rows_max() > 0
    }

    /// The rows of the only condition, when that condition requires one value.
    pub fn only_value(&self) -> Result<Option<&PostingsReader<'a>>, Error> {
        match &self.all[..] {
            [Condition::AnyOf(_, values)] if values.len() == 1 => values[0].opened().map(Some),
            _ => Ok(None),
        }
    }

    /// The matching rows in order of time, if the segment knows that order.
    pub fn by_time(&self) -> Result<Option<RowsByTime<'_, 'a>>, Error> {
        let value = match &self.all[..] {
            _ if !self.segment.is_by_time() => return Ok(None),
            [] => return Ok(Some(RowsByTime::All)),
            [Condition::AnyOf(Dimension::Severity, values)] if values.len() == 1 => &values[0],
            _ => return Ok(None),
        };
        if let Some(opened) = self.by_time.get() {
            return Ok(Some(RowsByTime::Ranks(opened)));
        }
        let severities = self.segment.severities_by_time();
        let found = severities.find(&value.terms.value(value.ordinal)?)?;
        let opened = severities.rows(found.ok_or_else(|| severities.malformed())?.rows).open()?;
        Ok(Some(RowsByTime::Ranks(self.by_time.get_or_init(|| opened))))
    }

    /// The matching rows within a range.
    pub fn rows(&self, range: Range<u32>) -> Result<RoaringBitmap, Error> {
        let mut found = None;
        for condition in &self.all {
            let len = found.as_ref().map_or(u64::from(range.end - range.start), RoaringBitmap::len);
            let containers = u64::from(range.end - range.start) / (1 << 16) + 1;
            found = Some(match (found, condition) {
                (None, _) if condition.can_look_up() && len <= ROWS_A_CONTAINER => {
                    condition.look_up(self.segment, range.clone())?
                }
                (None, _) => condition.within(self.segment, &range)?,
                (Some(found), Condition::AnyOf(_, values))
                    if values.len() == 1
                        && (SCATTERED_A_CONTAINER * containers..ROWS_A_BITMAP * containers)
                            .contains(&len) =>
                {
                    values[0].opened()?.among(&found)?
                }
                (Some(found), _)
                    if condition.can_look_up() && len <= ROWS_A_CONTAINER * containers =>
                {
                    condition.look_up(self.segment, found)?
                }
                (Some(found), _) => match (found.min(), found.max()) {
                    (Some(first), Some(last)) => {
                        found & condition.within(self.segment, &(first..last + 1))?
                    }
                    _ => found,
                },
            });
        }
        Ok(found.unwrap_or_else(|| {
            let mut all = RoaringBitmap::new();
            all.insert_range(range);
            all
        }))
    }
}

impl<'a> Condition<'a> {
    fn of(segment: &'a Segment, filter: &Filter) -> Result<Condition<'a>, Error> {
        let found = |dimension: Dimension, values: &[String]| -> Result<Vec<Value<'a>>, Error> {
            let terms = segment.terms(dimension);
            let found = values
                .iter()
                .map(|value| Value::of(terms, value))
                .collect::<Result<Vec<_>, Error>>()?;
            let mut found: Vec<Value<'a>> = found.into_iter().flatten().collect();
            found.sort_unstable_by_key(|value| value.ordinal);
            found.dedup_by_key(|value| value.ordinal);
            Ok(found)
        };
        let nothing = || Condition::Either(Vec::new());
        Ok(match filter {
            Filter::AnyOf(dimension, values) => {
                Condition::AnyOf(*dimension, found(*dimension, values)?)
            }
            Filter::NoneOf(dimension, values) => {
                Condition::NoneOf(*dimension, found(*dimension, values)?)
            }
            Filter::Prefix(dimension, start) => Condition::Among(
                *dimension,
                segment.terms(*dimension).with_prefix(start.as_bytes())?,
            ),
            Filter::Words(text, wanted) => {
                let Some(terms) = segment.words(text.position()) else {
                    return Ok(Condition::Read(filter.clone()));
                };
                let mut all = Vec::new();
                for word in words(wanted) {
                    let Some(value) = Value::of(terms, &word)? else {
                        return Ok(nothing());
                    };
                    all.push(value);
                }
                all.sort_unstable_by_key(|value| value.location.rows());
                Condition::Every(all)
            }
            Filter::WordPrefix(text, wanted) => {
                let Some(terms) = segment.words(text.position()) else {
                    return Ok(Condition::Read(filter.clone()));
                };
                let (whole, start) = whole_words_and_start(wanted);
                let Condition::Every(all) = Condition::of(segment, &Filter::Words(*text, whole))?
                else {
                    return Ok(nothing());
                };
                if start.is_empty() {
                    return Ok(Condition::Every(all));
                }
                let begins = Condition::OneOf(terms, terms.with_prefix(start.as_bytes())?);
                if all.is_empty() {
                    begins
                } else {
                    Condition::Both(Box::new(Condition::Every(all)), Box::new(begins))
                }
            }
            Filter::Named(name, value) => match segment.words(NAMED) {
                None => Condition::Read(filter.clone()),
                Some(terms) => match Value::of(terms, &name.token(value))? {
                    Some(value) => Condition::Every(vec![value]),
                    None => nothing(),
                },
            },
            Filter::NamedPrefix(name, start) => {
                match (segment.words(NAMED), name.token_prefix(start)) {
                    (Some(terms), Some(prefix)) => {
                        Condition::OneOf(terms, terms.with_prefix(prefix.as_bytes())?)
                    }
                    _ => Condition::Read(filter.clone()),
                }
            }
            Filter::Either(filters) => Condition::Either(
                filters
                    .iter()
                    .map(|filter| Condition::of(segment, filter))
                    .collect::<Result<_, Error>>()?,
            ),
            Filter::Not(filter) => Condition::Not(Box::new(Condition::of(segment, filter)?)),
        })
    }

    /// Upper bound of the number of matching rows.
    fn rows_max(&self, segment: &Segment) -> u64 {
        match self {
            Condition::AnyOf(_, values) => values.iter().map(|value| value.location.rows()).sum(),
            Condition::Every(values) => {
                values.first().map_or(segment.meta.events, |value| value.location.rows())
            }
            Condition::Among(_, ordinals) | Condition::OneOf(_, ordinals)
                if ordinals.is_empty() =>
            {
                0
            }
            Condition::Either(conditions) => conditions
                .iter()
                .map(|condition| condition.rows_max(segment))
                .sum::<u64>()
                .min(segment.meta.events),
            Condition::Both(a, b) => a.rows_max(segment).min(b.rows_max(segment)),
            Condition::Below(size) => size.saturating_sub(segment.meta.first),
            _ => segment.meta.events,
        }
    }

    /// The matching rows within a range.
    fn within(&self, segment: &Segment, range: &Range<u32>) -> Result<RoaringBitmap, Error> {
        let all = || {
            let mut all = RoaringBitmap::new();
            all.insert_range(range.clone());
            all
        };
        let union = |values: &[Value<'a>]| {
            values
                .iter()
                .try_fold(RoaringBitmap::new(), |found, value| Ok(found | value.within(range)?))
        };
        match self {
            Condition::AnyOf(_, values) => union(values),
            Condition::NoneOf(_, values) => Ok(all() - union(values)?),
            Condition::Among(dimension, ordinals) => {
                // Many values would cost many bitmaps for a few rows.
                if ordinals.end - ordinals.start
                    > u64::from(range.end - range.start) / ROWS_A_CONTAINER
                {
                    self.look_up(segment, range.clone())
                } else {
                    one_of(segment.terms(*dimension), ordinals, range)
                }
            }
            Condition::Every(values) => {
                let mut found: Option<RoaringBitmap> = None;
                for value in values {
                    found = Some(match found {
                        None => value.within(range)?,
                        Some(found) => match (found.min(), found.max()) {
                            (Some(first), Some(last)) => {
                                found & value.within(&(first..last + 1))?
                            }
                            _ => found,
                        },
                    });
                }
                Ok(found.unwrap_or_else(all))
            }
            Condition::OneOf(terms, ordinals) => one_of(*terms, ordinals, range),
            Condition::Either(conditions) => {
                conditions.iter().try_fold(RoaringBitmap::new(), |found, one| {
                    Ok(found | one.within(segment, range)?)
                })
            }
            Condition::Both(a, b) => Ok(a.within(segment, range)? & b.within(segment, range)?),
            Condition::Not(condition) => Ok(all() - condition.within(segment, range)?),
            Condition::Below(size) => segment.rows_below(*size, range.clone()),
            Condition::Read(_) => self.look_up(segment, range.clone()),
        }
    }

    /// Whether the condition can be looked up for a row.
    fn can_look_up(&self) -> bool {
        match self {
            Condition::AnyOf(..)
            | Condition::NoneOf(..)
            | Condition::Among(..)
            | Condition::Below(_)
            | Condition::Read(_) => true,
            Condition::Every(_) | Condition::OneOf(..) | Condition::Both(..) => false,
            Condition::Either(conditions) => conditions.iter().all(Condition::can_look_up),
            Condition::Not(condition) => condition.can_look_up(),
        }
    }

    /// The rows among `rows` that meet the condition.
    fn look_up(
        &self,
        segment: &Segment,
        rows: impl IntoIterator<Item = u32> + Clone,
    ) -> Result<RoaringBitmap, Error> {
        let holds = |dimension, holds: &dyn Fn(i64) -> bool| {
            let mut column = segment.column(dimension);
            let mut found = RoaringBitmap::new();
            for row in rows.clone() {
                if holds(column.get(row)?) {
                    found.insert(row);
                }
            }
            Ok(found)
        };
        // In a column, 0 is no value.
        let is_one_of = |values: &[Value<'a>], ordinal: i64| {
            values.binary_search_by_key(&ordinal, |value| value.ordinal.cast_signed() + 1).is_ok()
        };
        match self {
            Condition::AnyOf(dimension, values) => {
                holds(*dimension, &|ordinal| is_one_of(values, ordinal))
            }
            Condition::NoneOf(dimension, values) => {
                holds(*dimension, &|ordinal| !is_one_of(values, ordinal))
            }
            Condition::Among(dimension, ordinals) => holds(*dimension, &|ordinal| {
                ordinal > 0 && ordinals.contains(&(ordinal.cast_unsigned() - 1))
            }),
            Condition::Either(conditions) => {
                conditions.iter().try_fold(RoaringBitmap::new(), |found, one| {
                    Ok(found | one.look_up(segment, rows.clone())?)
                })
            }
            Condition::Not(condition) => {
                let all: RoaringBitmap = rows.clone().into_iter().collect();
                Ok(all - condition.look_up(segment, rows)?)
            }
            Condition::Below(size) => {
                let mut indexes = segment.indexes();
                let mut found = RoaringBitmap::new();
                for row in rows {
                    if indexes.get(row)?.cast_unsigned() < *size {
                        found.insert(row);
                    }
                }
                Ok(found)
            }
            Condition::Read(filter) => {
                let mut reader = segment.rows();
                let mut found = RoaringBitmap::new();
                for row in rows {
                    if filter.matches(&reader.entry(row)?.1.event) {
                        found.insert(row);
                    }
                }
                Ok(found)
            }
            Condition::Every(_) | Condition::OneOf(..) | Condition::Both(..) => {
                unreachable!("words are in no column")
            }
        }
    }
}

/// The rows of a range that have one of these values.
fn one_of(
    terms: Terms<'_>,
    ordinals: &Range<u64>,
    range: &Range<u32>,
) -> Result<RoaringBitmap, Error> {
    let mut found = RoaringBitmap::new();
    // Most values of a large set have one row.
    let mut single: Vec<u32> = Vec::new();
    terms.each_of(ordinals.clone(), &mut |_, _, location| {
        match location {
            PostingsLocation::Only(row) => single.extend(range.contains(&row).then_some(row)),
            PostingsLocation::Listed { .. } => {
                found |= terms.rows(location).open()?.within(range.clone())?
            }
        }
        Ok(())
    })?;
    found.extend(single);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use event::Event;
    use event::query::Text;

    use super::*;
    use crate::samples::event;
    use crate::segment::tests::{log_events, segment_of};

    /// A segment of events with these actions, whose indexes begin at 10.
    fn segment(actions: &[&str]) -> Segment {
        let with_action = |(action, time): (&&str, i64)| Event {
            action: (*action).to_owned(),
            description: Some(format!("{action} by CI")),
            ..event(time)
        };
        let events = actions.iter().zip(0..).map(with_action).collect();
        segment_of(&log_events(events, 10))
    }

    fn any_of(values: &[&str]) -> Filter {
        Filter::AnyOf(Dimension::Action, values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn rows_are_those_that_meet_all_filters() {
        let segment = segment(&["pull", "push", "purge", "pull", "delete"]);
        let not = |filter| Filter::Not(Box::new(filter));
        let prefix = |start: &str| Filter::Prefix(Dimension::Action, start.to_owned());
        let words = |text: &str| Filter::Words(Text::Description, text.to_owned());
        for (filters, expected) in [
            (vec![], &[0, 1, 2, 3, 4][..]),
            (vec![any_of(&["pull"])], &[0, 3]),
            (vec![any_of(&["pull", "push", "none"])], &[0, 1, 3]),
            (vec![any_of(&["none"])], &[]),
            (vec![not(any_of(&["pull"]))], &[1, 2, 4]),
            (vec![prefix("pu"), not(prefix("pur"))], &[0, 1, 3]),
            (vec![Filter::Either(vec![any_of(&["push"]), prefix("d")])], &[1, 4]),
            (vec![words("ci pull")], &[0, 3]),
            (vec![words("none")], &[]),
        ] {
            let conditions = Conditions::of(&segment, &filters, u64::MAX).expect("whole");
            let rows: Vec<u32> = conditions.rows(0..5).expect("whole").iter().collect();
            assert_eq!(rows, expected, "{filters:?}");
            assert!(conditions.rows_max() >= rows.len() as u64, "{filters:?}");
            let within: Vec<u32> = conditions.rows(1..4).expect("whole").iter().collect();
            let expected: Vec<u32> =
                expected.iter().copied().filter(|row| (1..4).contains(row)).collect();
            assert_eq!(within, expected, "{filters:?} within 1..4");
        }
    }

    #[test]
    fn rows_beyond_the_tree_size_are_left_out() {
        let segment = segment(&["pull", "push", "pull"]);
        for (tree_size, expected) in [(10, &[][..]), (11, &[0]), (12, &[0]), (13, &[0, 2])] {
            let conditions =
                Conditions::of(&segment, &[any_of(&["pull"])], tree_size).expect("whole");
            let rows: Vec<u32> = conditions.rows(0..3).expect("whole").iter().collect();
            assert_eq!(rows, expected, "as of {tree_size}");
            assert_eq!(conditions.can_match(), tree_size > 10);
        }
    }

    #[test]
    fn one_severity_is_known_in_order_of_time() {
        let segment = segment(&["pull", "push"]);
        let by_time = |filters: &[Filter]| {
            let conditions = Conditions::of(&segment, filters, u64::MAX).expect("whole");
            let rows = match conditions.by_time().expect("whole") {
                None => None,
                Some(RowsByTime::All) => Some(2),
                Some(RowsByTime::Ranks(ranks)) => Some(ranks.len()),
            };
            (rows, conditions.is_empty())
        };
        assert_eq!(by_time(&[]), (Some(2), true));
        assert_eq!(by_time(&[any_of(&["pull"])]), (None, false));
        let severity = Dimension::Severity.with_value(&event(0), |value| value.map(str::to_owned));
        let severity = Filter::is(Dimension::Severity, severity.as_deref().expect("always there"));
        assert_eq!(by_time(&[severity]), (Some(2), false));
    }
}
