//! The running server: routes, wire APIs, evidence, exports, and what runs beside them.
//!
//! [`serve`] wires the parts together and takes connections. [`state`] holds what the parts of one
//! server share; each part takes the pieces of it that it uses. What everything stands on is in
//! crates below: sockets in `net`, rights in `access`, events in through `intake`, the log in
//! `store`.

pub mod api;
pub mod evidence;
pub mod export;
pub mod failure;
pub mod housekeeping;
pub mod live;
pub mod notify;
pub mod reload;
pub mod request_metrics;
pub mod routes;
pub mod serve;
pub mod state;
pub mod witness;
