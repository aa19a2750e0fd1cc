//! `/console/`: the page, as it was built into this program from `console/dist`. What it shows it
//! reads from Daybook's own API.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode};
use sha2::{Digest, Sha256};

use super::compression::takes_gzip;
use super::{Answer, Api, ApiError, Call, Refusal, Route, gateway};
use net::{self, Body, Response};

pub static API: Api = Api { name: "console", routes: &ROUTES, is_own: false, render_error: render };

static ROUTES: [Route; 3] = [
    Route { method: Method::GET, path: "/", name: "console.Root", needs: None, handler: redirect },
    Route {
        method: Method::GET,
        path: "/console",
        name: "console.Page",
        needs: None,
        handler: page,
    },
    Route {
        method: Method::GET,
        path: "/console/{*path}",
        name: "console.File",
        needs: None,
        handler: file,
    },
];

/// Where the page is.
const PAGE: &str = "/console/";
/// The page itself, which every path below has that is no other file.
const INDEX: &str = "index.html";

/// A file of the build, with its type.
struct Built {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! built {
    ($name:literal, $content_type:literal) => {
        Built {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../../../console/dist/", $name)),
        }
    };
}

static BUILT: [Built; 5] = [
    built!("index.html", "text/html; charset=utf-8"),
    built!("app.js", "text/javascript; charset=utf-8"),
    built!("app.css", "text/css; charset=utf-8"),
    built!("verify.js", "text/javascript; charset=utf-8"),
    built!("LICENCES", "text/plain; charset=utf-8"),
];

/// Nothing but this server's own files, no inline script, and no markup made from texts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
    data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file as it is sent: the page names the others by their hashes.
struct Asset {
    content_type: &'static str,
    whole: Bytes,
    compressed: Bytes,
    /// Beginning of the SHA-256 of the file, in hex.
    hash: String,
}

/// All files, in the order of the build.
fn assets() -> &'static [(&'static str, Asset)] {
    static ASSETS: OnceLock<Vec<(&'static str, Asset)>> = OnceLock::new();
    ASSETS.get_or_init(|| {
        let mut assets: Vec<(&str, Asset)> = Vec::new();
        // The page comes last, since it has the hashes of the others.
        for built in BUILT.iter().rev() {
            let mut bytes = built.bytes.to_vec();
            if built.name == INDEX {
                let mut text = String::from_utf8_lossy(&bytes).into_owned();
                for (name, asset) in &assets {
                    let path = format!("\"{PAGE}{name}\"");
                    text = text.replace(&path, &format!("\"{PAGE}{name}?v={}\"", asset.hash));
                }
                bytes = text.into_bytes();
            }
            let hash = hex::encode(&Sha256::digest(&bytes)[..8]);
            let compressed = compressed(&bytes);
            let whole = Bytes::from(bytes);
            let content_type = built.content_type;
            assets.push((built.name, Asset { content_type, whole, compressed, hash }));
        }
        assets
    })
}

/// The bytes with gzip; nothing if that fails, and then they are sent as they are.
fn compressed(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(compressed) => compressed.into(),
        Err(_) => Bytes::new(),
    }
}

fn check_enabled(call: &Call<'_>) -> Result<(), Refusal> {
    match call.state.config().console.enabled {
        true => Ok(()),
        false => Err(Refusal::from(ApiError::NoSuchTrail).recorded()),
    }
}

/// A person who opens the server's address gets the page; a program gets what it always got.
fn redirect(call: &Call<'_>) -> Result<Answer, Refusal> {
    check_enabled(call)?;
    let accepts = call.request.header(ACCEPT.as_str()).unwrap_or_default();
    if !accepts.contains("text/html") {
        return Err(Refusal::from(ApiError::NoSuchTrail).recorded());
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(PAGE));
    Ok(Answer::whole(response).recorded())
}

fn page(call: &Call<'_>) -> Result<Answer, Refusal> {
    send(call, INDEX)
}

fn file(call: &Call<'_>) -> Result<Answer, Refusal> {
    let [path] = call.path();
    send(call, if BUILT.iter().any(|built| built.name == path) { path } else { INDEX })
}

fn send(call: &Call<'_>, name: &str) -> Result<Answer, Refusal> {
    check_enabled(call)?;
    let found = assets().iter().find(|(known, _)| *known == name);
    let (_, asset) = found.ok_or_else(|| Refusal::from(ApiError::NoSuchTrail).recorded())?;
    let request = call.request;
    let tag = format!("\"{}\"", asset.hash);
    let is_current = request.header(IF_NONE_MATCH.as_str()) == Some(&tag);
    let is_compressed = takes_gzip(request) && !asset.compressed.is_empty();
    let body = match (is_current, is_compressed) {
        (true, _) => Bytes::new(),
        (false, true) => asset.compressed.clone(),
        (false, false) => asset.whole.clone(),
    };
    let mut response = Response::new(Body::Whole(body));
    if is_current {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let is_named_by_hash = request.raw_query == format!("v={}", asset.hash);
    let caching = if is_named_by_hash { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_compressed && !is_current {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), ""),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(Answer::whole(response).recorded())
}

fn render(error: &ApiError, request_id: &str) -> Response {
    match error {
        ApiError::Throttled(seconds) => gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => gateway::overloaded(text, request_id),
        _ => gateway::unknown_path("/", request_id),
    }
}
