//! Why a question has no answer.

use crate::question::InvalidParameter;

/// Why a question has no answer.
#[derive(Debug)]
pub enum QueryError {
    /// A parameter or the search is wrong.
    Invalid(InvalidParameter),
    /// No visible event has this index or id.
    NotFound,
    /// The log could not be read.
    Store(store::Error),
}

impl From<InvalidParameter> for QueryError {
    fn from(invalid: InvalidParameter) -> QueryError {
        QueryError::Invalid(invalid)
    }
}

impl From<store::Error> for QueryError {
    fn from(error: store::Error) -> QueryError {
        QueryError::Store(error)
    }
}
