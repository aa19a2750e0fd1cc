//! Answers of Daybook's own API on their way to a browser: compressed, and stored nowhere.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, VARY,
};
use net::{Body, Request, Response};

/// Smallest body that is compressed; less fits in one packet anyway.
const BYTES_MIN: usize = 1024;

/// Marks a response as one that no cache may store, and compresses it if the client takes gzip.
pub fn prepare(response: &mut Response, request: &Request) {
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let Body::Whole(body) = response.body() else { return };
    let is_encoded = response.headers().contains_key(CONTENT_ENCODING);
    if body.len() < BYTES_MIN || is_encoded || !takes_gzip(request) {
        return;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let Ok(compressed) = encoder.write_all(body).and_then(|()| encoder.finish()) else { return };
    *response.body_mut() = Body::from(compressed);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
}

/// Whether the client takes gzip: it names it, and not with a weight of 0.
pub fn takes_gzip(request: &Request) -> bool {
    let accepted = request.header(ACCEPT_ENCODING.as_str()).unwrap_or_default();
    accepted.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|q| q > 0.0)
    })
}
