//! The error of an invalid configuration.

use std::fmt;

use crate::setting::plain;
use crate::table::setting;

/// Why a configuration is invalid, with the file.
#[derive(Debug)]
pub struct Error(pub String);

impl Error {
    /// Meaning of the setting that the error names, if it names one.
    pub fn explanation(&self) -> Option<String> {
        let setting = self.0.split(": ").find_map(setting)?;
        Some(format!("{}: {}", setting.path, plain(&setting.meaning())))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_explains_the_setting_that_it_names() {
        for (error, explanation) in [
            (
                "daybook.toml: limits.headers_max: 0 would refuse everything",
                Some("limits.headers_max: Header lines; beyond, 431."),
            ),
            (
                "daybook.toml: limits.query_body_bytes_max: 99999999 is above 33554432",
                Some(
                    "limits.query_body_bytes_max: Bytes of a body to a wire API; beyond, 413. At \
                     most 33554432.",
                ),
            ),
            ("daybook.toml: expected `=`", None),
        ] {
            assert_eq!(Error(error.to_owned()).explanation().as_deref(), explanation);
        }
    }
}
