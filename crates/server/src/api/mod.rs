//! The wire APIs, one folder each; none imports another. What they share is here: who the caller is,
//! parameters, pages that stay stable, and the errors of the gateway that stands in front of the
//! vendor's services.

pub mod caller;
pub mod codearts;
pub mod daybook;
pub mod dbss;
pub mod gateway;
pub mod hcs;
pub mod iam;
pub mod parameters;
pub mod swr;
pub mod taurusdb;
pub mod tlog;
pub mod walks;
