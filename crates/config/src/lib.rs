//! The configuration: one TOML file, overridden by `DAYBOOK_*` variables, overridden by flags.
//!
//! A setting is written once, in the section that it belongs to, with the macro of [`setting`];
//! [`settings()`] lists them all. The list gives the environment variables, the bounds check, the
//! limits that callers read, the settings that a reload applies, and the tables of
//! `docs/configuration.md` (a test compares; `UPDATE_DOCS=1` writes them). A new setting is a row
//! in its section, and its use.
//!
//! `[[source]]`, `[[witness]]` and `metrics.token` have structure, so they are typed structs with
//! checks of their own; their rows of the table document them and say what reloads.
//!
//! Reading has two stages: `file` types the values and refuses unknown keys, `check` makes a
//! [`Config`] of valid values. Both are pure but for reading token files.

mod apis;
mod check;
mod config;
mod console;
mod current;
mod error;
mod evidence;
mod file;
mod limits;
mod load;
mod logging;
mod metrics;
mod network;
mod own;
mod path;
pub mod pattern;
mod position;
mod reload;
pub mod setting;
mod source;
mod storage;
mod syslog;
mod table;
mod tls;
mod token;
mod variables;
mod witness;

pub use apis::{CodeArts, Hcs, Swr};
pub use config::Config;
pub use console::Console;
pub use current::CurrentConfig;
pub use error::Error;
pub use evidence::Evidence;
pub use file::LISTEN;
pub use limits::{Limit, Limits};
pub use load::{Flags, load};
pub use logging::{LogFormat, LogLevel};
pub use metrics::Metrics;
pub use own::{OWN_SOURCE, Own};
pub use reload::{Transition, reload};
pub use setting::Setting;
pub use source::{Follow, Source};
pub use storage::Storage;
pub use syslog::{Syslog, SyslogTls};
pub use table::settings;
pub use tls::Tls;
pub use token::Token;
pub use witness::Witness;
