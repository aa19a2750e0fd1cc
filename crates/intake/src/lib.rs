//! Events in. However they arrive, they are parsed and encoded here, recorded whole or not at all,
//! and counted.
//!
//! [`pipeline`] takes bytes to the log; [`syslog`], [`follow`] and [`http`] are the transports;
//! [`monitor`] watches each source for gaps, losses and silence; [`audit`] is Daybook's record of
//! its own operators.

pub mod audit;
pub mod dead_letters;
pub mod excerpt;
pub mod follow;
pub mod http;
pub mod import;
mod intake;
pub mod keys;
pub mod monitor;
pub mod piece;
pub mod pipeline;
pub mod refusals;
pub mod retried;
pub mod retry;
pub mod sockets;
pub mod syslog;
pub mod waiting;

pub use intake::Intake;
pub use pipeline::{
    Answer, Arrival, Delivery, Input, IntakeError, Message, Room, Tally, parse, prepare,
    prepare_within, record, submit, submit_blocking,
};
