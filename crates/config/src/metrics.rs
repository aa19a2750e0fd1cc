//! Who may read `/metrics`.

use std::path::Path;

use crate::setting::{Kind, Reload, Setting, settings};
use crate::token::{self, RawToken, Token};

settings! {
    /// Readers of `/metrics`, as the file has them.
    pub(crate) struct RawMetrics in "metrics." {
        public: bool = false, Kind::Flag, Yes,
            "Whether anyone may read [metrics](api/metrics.md). Otherwise callers need \
             `daybook:sources:read` on Daybook's own trail or the token.";
    }
    with {
        token: Option<RawToken>,
    }
}

pub(crate) const TOKEN: &[Setting] = &[Setting::structure(
    "metrics.token",
    Reload::Yes,
    "`{ file = \"…\" }`: file containing the token for metrics, at least 16 characters, sent as \
     `Authorization: Bearer`. It has no variable.",
)];

/// Readers of `/metrics`, besides users with the right.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Whether anyone may.
    pub public: bool,
    /// Token of those who may without being users.
    pub token: Option<Token>,
}

impl RawMetrics {
    /// Relative paths are relative to `folder`.
    pub(crate) fn check(self, folder: &Path) -> Result<Metrics, String> {
        let token = self.token.map(|token| token::read(&folder.join(token.file))).transpose();
        Ok(Metrics { public: self.public, token: token.map_err(|why| format!("metrics: {why}"))? })
    }
}
