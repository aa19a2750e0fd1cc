//! Sockets and HTTP for everything above: requests that were read whole, responses, and limits on
//! both.
//!
//! [`server`] has the accept loop, [`body`] reads bodies, [`tls`] reads certificates,
//! [`connections`] counts the connections of each address, [`rates`] limits how often, [`path`]
//! decodes paths and queries. The crate knows no configuration and no route: limits are arguments,
//! and a [`server::Handler`] responds.

pub mod body;
pub mod connections;
mod incoming;
mod limits;
mod message;
pub mod path;
mod progress;
pub mod rates;
pub mod server;
pub mod tls;
mod write_timeout;

pub use incoming::{Incoming, Lingering};
pub use limits::Limits;
pub use message::{Body, Piece, Request, Response, X_REQUEST_ID, error, header_fault, json};
