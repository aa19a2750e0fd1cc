//! Format and level of the operational log.

use serde::{Deserialize, Serialize};

/// Format of the operational log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON lines.
    Json,
}

/// Level of the operational log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Events that end the server, or need someone now.
    Error,
    /// Events that someone should look at.
    Warn,
    /// Starts, stops, changes.
    Info,
    /// Every request too.
    Debug,
}
