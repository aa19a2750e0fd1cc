//! Formats in which any system can send events.

pub(crate) mod cloudevents;
pub(crate) mod daybook;
pub(crate) mod otlp_logs;
