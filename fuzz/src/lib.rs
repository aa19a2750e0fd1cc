//! What the targets reach: the very functions that requests go through.

use access::file::AccessFile;
pub use access::signature::{Authorization, SignedRequest, is_signature, sign};
use event::{Time, Trail};
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Method};
use net::body;
pub use net::path::{decode, encode, query_value};
pub use server::api::iam::is_login;
pub use server::api::parameters::integer;
pub use server::api::taurusdb::{asks_for_links, is_policy};
use server::api::{codearts, dbss, hcs, swr, taurusdb};
use server::routes;
use tlog::{AddCheckpoint, Checkpoint, Note, ProofFile};
use verify::receipt::{self, Receipt};

/// A page that an API takes a request for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub offset: u64,
    pub limit: usize,
    /// Most rows that the API's description has in a page.
    pub limit_max: usize,
}

/// Reads a query as each of the APIs whose parameters stand in one; the pages of those that take
/// it.
pub fn pages_of_query(raw_query: &str) -> Vec<Page> {
    let page = |request: Option<(u64, usize)>, limit_max| {
        request.map(|(offset, limit)| Page { offset, limit, limit_max })
    };
    let pages = [
        page(swr::page_of(raw_query), 100),
        page(codearts::page_of("file", raw_query), 100),
        page(taurusdb::page_of(raw_query), 100),
        page(hcs::page_of(raw_query), 1000),
    ];
    pages.into_iter().flatten().collect()
}

/// Reads a body as DBSS does, on its newer path and its older one.
pub fn pages_of_body(body: &[u8], trail: &Trail, now: Time) -> Vec<Page> {
    let pages = [true, false].map(|demands_a_page| dbss::page_of(body, demands_a_page, trail, now));
    pages
        .into_iter()
        .flatten()
        .map(|(offset, limit)| Page { offset, limit, limit_max: 1000 })
        .collect()
}

/// Whether a path is one of a route's that takes GET or POST.
pub fn is_route(raw_path: &str) -> bool {
    let segments = net::path::segments(raw_path);
    let found = |method| matches!(routes::find(&method, &segments), routes::Match::Route(..));
    found(Method::GET) || found(Method::POST)
}

/// The bytes behind a content encoding; `None` for what is refused.
pub fn decompress(encoding: &'static str, body: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    body::decompress(&headers, Bytes::copy_from_slice(body), bytes_max)
        .ok()
        .map(|bytes| bytes.to_vec())
}

/// Reads the body of a request to a witness and writes it anew; `None` for what is refused.
pub fn witness_request(body: &[u8]) -> Option<String> {
    AddCheckpoint::parse(body).ok().map(|request| request.to_string())
}

/// Reads a proof file, a checkpoint's note, and a receipt as its text and as a header has it, and
/// writes anew what the bytes are.
pub fn evidence(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let note = Note::parse(bytes).ok().filter(|note| Checkpoint::parse(note.text()).is_ok());
    [
        ProofFile::parse(bytes).ok().map(|proof| proof.to_string()),
        note.map(|note| note.to_string()),
        Receipt::parse(text).ok().map(|receipt| receipt.text()),
        Receipt::open(bytes).ok().map(|(note, _)| receipt::header_value(&note.to_string())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Reads `access.toml` and writes it anew; `None` for what is refused.
pub fn access_file(text: &str) -> Option<String> {
    AccessFile::parse(text).ok().map(|file| file.text())
}
