//! Why nothing matches a question: looked for once an answer is empty, so that people need not
//! guess which of their conditions was wrong.

use event::search::{Field, Search, Term};

use crate::error::QueryError;
use crate::finder::Finder;
use crate::question::{NamedFacet, Question, facet_field};

/// Least likeness of a value that is proposed for one that nobody has; 1 is the same text.
const LIKENESS_MIN: f64 = 0.75;
/// The most frequent values that are compared with one that nobody has.
const VALUES_COMPARED: usize = 1000;

impl Finder<'_> {
    /// The reason why no event matches, for people; `None` if each condition matches some events,
    /// only not all of them together.
    pub fn why_empty(&self, question: &Question) -> Result<Option<String>, QueryError> {
        if let Some(why) = self.why_no_trail(question)? {
            return Ok(Some(why));
        }
        let is_time = |term: &Term| matches!(term.field, Some(Field::After | Field::Before));
        let (times, others): (Vec<Term>, Vec<Term>) =
            question.search.terms.iter().cloned().partition(is_time);
        if !times.is_empty() {
            let count = self.count_of(question, others.clone())?;
            if count > 0 {
                let events = if count == 1 { "1 event matches" } else { "events match" };
                let number = if count == 1 { String::new() } else { format!("{count} ") };
                return Ok(Some(format!("nothing in this time; {number}{events} outside of it")));
            }
        }
        for term in others.iter().filter(|term| !term.is_excluded) {
            if let Some(why) = self.why_no_value(question, term)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// The number of matching events with these terms instead.
    fn count_of(&self, question: &Question, terms: Vec<Term>) -> Result<u64, QueryError> {
        let other = Question { search: Search { terms }, ..question.clone() };
        Ok(self.log.query(&self.query(&other)?)?.total)
    }

    /// The reason if no trail that the caller may read is one that the question names.
    fn why_no_trail(&self, question: &Question) -> Result<Option<String>, QueryError> {
        let is_trail =
            |term: &&Term| matches!(term.field, Some(Field::Trail | Field::TrailPart(_)));
        let named: Vec<String> = question
            .search
            .terms
            .iter()
            .filter(is_trail)
            .filter(|term| !term.is_excluded)
            .map(Term::to_string)
            .collect();
        if named.is_empty() || !self.query(question)?.trails.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!("you may read no trail with {}", named.join(" "))))
    }

    /// The reason if no event at all meets a condition on a value.
    fn why_no_value(&self, question: &Question, term: &Term) -> Result<Option<String>, QueryError> {
        let Some(field) = &term.field else { return Ok(None) };
        if self.count_of(question, vec![term.clone()])? > 0 {
            return Ok(None);
        }
        let name = match field {
            Field::Actor => "actor.name".to_owned(),
            Field::Resource => "resource.name".to_owned(),
            field => field.name().into_owned(),
        };
        let values: Vec<&str> = term.values.iter().map(|value| value.text.as_str()).collect();
        let nothing = format!("no event has {} {}", field.name(), values.join(" or "));
        let nearest = match facet_field(&name) {
            Ok(facet) => self.nearest(question, facet, &values)?,
            Err(_) => None,
        };
        Ok(Some(match nearest {
            Some((value, 1)) => format!("{nothing}; {value} has 1"),
            Some((value, count)) => format!("{nothing}; {value} has {count}"),
            None => nothing,
        }))
    }

    /// The value of a field that is most like one of these, and its number of events.
    fn nearest(
        &self,
        question: &Question,
        facet: NamedFacet,
        wanted: &[&str],
    ) -> Result<Option<(String, u64)>, QueryError> {
        let all = Question { search: Search::default(), ..question.clone() };
        let facets = self.facets(&all, &[facet], VALUES_COMPARED)?;
        let values = facets.facets.into_values().flat_map(|facet| facet.values);
        let likeness = |value: &str| {
            let value = value.to_lowercase();
            let of = |wanted: &&str| {
                strsim::normalized_damerau_levenshtein(&value, &wanted.to_lowercase())
            };
            wanted.iter().map(of).fold(0.0, f64::max)
        };
        let ranked = values.map(|value| (likeness(&value.value), value));
        let best = ranked.filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
        let best = best.max_by(|(one, _), (other, _)| one.total_cmp(other));
        Ok(best.map(|(_, value)| (value.value, value.count)))
    }
}
