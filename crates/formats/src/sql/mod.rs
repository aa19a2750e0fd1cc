//! SQL as database audit logs hold it: what a statement means, and which secrets it has in it.
//!
//! Statements come as clients sent them: broken, cut off, in comments, nested in strings. So
//! nothing here is a grammar; [`tokens`] tells words, strings and comments apart, and the rest
//! looks at their order. All of it takes linear time.

mod meaning;
mod redact;
mod secrets;
mod tokens;
mod traces;

pub(super) use meaning::{Audit, command, is_access_denied, judge, operation};
pub(super) use redact::{InRaw, REDACTED, redact};
pub(super) use secrets::Text;
pub(super) use traces::{
    Spans, csv_steps, entity_at, json_steps, lossy_steps, offset_in, outer, xml_steps,
};

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    MariaDb,
    MySql,
    PostgreSql,
}
