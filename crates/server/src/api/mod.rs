//! Wire APIs, one folder each, and the table that each of them is. No API imports another.
//!
//! An API is a [`table::Api`]: routes, each with a handler, and a function that renders errors in
//! the vendor's form. The rest is shared: [`Call`] is a request with what handlers need to respond
//! to it, [`authorise`] the one decision about a trail, [`Answer`] the response and what is
//! recorded of the request, [`Refusal`] an error instead of them. `docs/contributing/apis.md` is
//! the recipe for another API.

pub mod answer;
pub mod call;
pub mod caller;
pub mod codearts;
pub mod compression;
pub mod console;
pub mod daybook;
pub mod dbss;
pub mod error;
pub mod evidence;
pub mod gateway;
pub mod hcs;
pub mod iam;
pub mod parameters;
pub mod swr;
pub mod table;
pub mod taurusdb;
pub mod tlog;

pub use self::answer::{Answer, Streaming};
pub use self::call::{Call, authorise, authorise_within};
pub use self::error::{ApiError, OwnError, Refusal};
pub use self::table::{Api, OPENED, Route};
