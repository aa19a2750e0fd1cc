//! The running server: routes, wire APIs, evidence, exports, and the threads beside them.
//!
//! [`serve`] wires the parts together and takes connections. [`state`] holds the parts that the
//! APIs use; every other part takes the parts that it uses itself. The crates below have the rest:
//! sockets in `net`, rights in `access`, events in through `intake`, the log in `store`.

pub mod api;
pub mod audit_policies;
pub mod budget;
pub mod caller_rates;
pub mod command_log;
pub mod evidence;
pub mod export;
pub mod failure;
pub mod housekeeping;
pub mod lifecycle;
pub mod live;
pub mod login;
pub mod notify;
pub mod own_events;
pub mod pace;
pub mod permits;
pub mod preflight;
pub mod reload;
pub mod request_metrics;
pub mod rights_log;
pub mod routes;
pub mod serve;
pub mod settings_log;
pub mod shares;
pub mod snapshots;
pub mod state;
pub mod witness;
