//! What fuzz targets and benchmarks reach of the program: the very functions that requests go through.

pub use crate::access::signature::{Authorization, Signed, date_text, sign};
