//! Evidence for the APIs that serve it: the right to read it, and its form in responses.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY,
};

use super::answer::Answer;
use super::call::Call;
use access::rights::Action;
use net::{Body, Request, Response};

pub const TEXT: &str = "text/plain; charset=utf-8";
/// A year: tiles never change.
pub const MAX_AGE_S: u32 = 31_536_000;

/// Status, code and text of an error. Each API renders it in its own form.
pub type Denial = (StatusCode, &'static str, &'static str);

pub const UNAUTHENTICATED: Denial =
    (StatusCode::UNAUTHORIZED, "unauthorized", "show a token or a signature");

/// Lets everyone read evidence if it is public, else auditors of Daybook's own trail.
pub fn check_reader(call: &Call<'_>) -> Result<(), Denial> {
    if call.state.config().evidence.public {
        return Ok(());
    }
    let caller = call.frequent_caller().map_err(|_| UNAUTHENTICATED)?;
    if caller.may(Action::ReadEvidence, call.state.audit.trail()) {
        return Ok(());
    }
    let text = "evidence is for auditors of daybook's own trail";
    Err((StatusCode::FORBIDDEN, "forbidden", text))
}

/// A piece of evidence to send.
pub struct Piece {
    pub bytes: Vec<u8>,
    pub content_type: &'static str,
    /// Seconds for which a cache may hold it.
    pub max_age: u32,
}

impl Piece {
    /// The answer, which is not recorded: reading the log's proofs would otherwise make it grow
    /// without end.
    pub fn answer(self, call: &Call<'_>) -> Answer {
        let compressed = takes_gzip(call.request).then(|| gzip(&self.bytes)).flatten();
        let is_compressed = compressed.is_some();
        let mut response = Response::new(Body::from(compressed.unwrap_or(self.bytes)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let is_public = call.state.config().evidence.public;
        let cache = if is_public { "public" } else { "private" };
        let control = match self.max_age {
            0 => "no-store".to_owned(),
            MAX_AGE_S => format!("{cache}, max-age={MAX_AGE_S}, immutable"),
            seconds => format!("{cache}, max-age={seconds}"),
        };
        if let Ok(value) = HeaderValue::from_str(&control) {
            headers.insert(CACHE_CONTROL, value);
        }
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Answer::whole(response).recorded()
    }
}

fn takes_gzip(request: &Request) -> bool {
    let listed =
        request.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|list| list.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_refused =
            weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// `None` when writing fails, which memory does not.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
