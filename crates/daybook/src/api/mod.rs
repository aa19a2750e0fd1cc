//! The wire APIs, one folder each; none imports another. What they share is here: who the caller is, and the errors of
//! the gateway that stands in front of the vendor's services.

pub mod caller;
pub mod gateway;
pub mod iam;
pub mod swr;
