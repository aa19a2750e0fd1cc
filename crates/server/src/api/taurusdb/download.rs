//! Download links: `POST …/audit-log-link`, and the files behind them. A link needs no credentials,
//! names one file, and is good for five minutes; its signature is made with a key that only this
//! data directory has.

use std::sync::Arc;
use std::time::Duration;

use event::{Operation, Time};
use hmac::{Hmac, KeyInit, Mac};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::AuditFile;
use tokio::sync::OwnedSemaphorePermit;

use super::authorise::authorise_instance;
use super::error::Error;
use crate::api::parameters::text;
use crate::api::{Answer, ApiError, Call, Refusal, Streaming};
use intake::audit::Act;
use net::{Body, Response, path};

const LINK_LIFE_S: i64 = 5 * 60;
const IDS_MAX: usize = 50;
const PURPOSE: &str = "audit log file links";
const FUNCTION: &str = "Audit log files";
/// The SHA-256 of the file, which is also in the log.
const X_SHA256: HeaderName = HeaderName::from_static("x-daybook-sha256");
/// Pieces of a file read ahead of the client, and how large each is.
const PIECES_AHEAD: usize = 2;
const PIECE_BYTES: usize = 256 << 10;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct LinkRequest {
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Links {
    links: Vec<String>,
}

pub(super) fn links(call: &Call<'_>) -> Result<Answer, Refusal> {
    let trail = authorise_instance(call)?;
    let request = parameters(&call.request.body)?;
    let policies = call.state.policies.known()?;
    let mut files = Vec::new();
    for id in &request.ids {
        let file = call.state.log.audit_file(id)?;
        let listed = file.filter(|file| file.trail == trail && policies.lists(file, call.now));
        files.push(listed.ok_or(ApiError::InvalidParameter)?);
    }
    let act = Act::new(call.operation, Operation::Download, FUNCTION)
        .by(call.who())
        .on("audit log file", &trail.to_string())
        .with("ids", request.ids.join(","));
    let description = Some(format!("links to {} audit log files", files.len()));
    call.state.audit.record_now(Act { description, ..act }).map_err(ApiError::Unrecorded)?;
    let expires = call.now.plus_seconds(LINK_LIFE_S).unix_ms() / 1000;
    let links = files.iter().map(|file| link(call, file, expires)).collect();
    let answer = Answer::json(StatusCode::OK, &Links { links });
    Ok(answer.with_rows(files.len(), files.len() as u64).recorded())
}

fn link(call: &Call<'_>, file: &AuditFile, expires: i64) -> String {
    let request_id = &call.request.id;
    let base = call.state.config().public_url.clone();
    let base = base.unwrap_or_else(|| format!("{}://{}", call.request.scheme, call.request.host));
    let signature = signature(call, &file.id, expires, request_id).finalize().into_bytes();
    let (name, signature) = (path::encode(file.name().as_bytes()), hex::encode(signature));
    format!(
        "{base}/audit-log-files/{}/{name}?expires={expires}&request={request_id}&signature={signature}",
        file.id
    )
}

fn parameters(body: &[u8]) -> Result<LinkRequest, ApiError> {
    let request: LinkRequest =
        serde_json::from_slice(body).map_err(|_| ApiError::InvalidParameter)?;
    let has_ids = (1..=IDS_MAX).contains(&request.ids.len());
    if has_ids { Ok(request) } else { Err(ApiError::InvalidParameter) }
}

/// Whether a body requests links; for fuzz targets.
pub fn asks_for_links(body: &[u8]) -> bool {
    parameters(body).is_ok()
}

fn signature(call: &Call<'_>, id: &str, expires: i64, request: &str) -> Hmac<Sha256> {
    let key = call.state.access.derived_key(PURPOSE);
    Hmac::<Sha256>::new_from_slice(&key)
        .expect("HMAC takes keys of any length")
        .chain_update(format!("{id}\n{expires}\n{request}"))
}

/// Checks a link and records the download; the file is sent only after that.
pub(super) fn download(call: &Call<'_>) -> Result<Answer, Refusal> {
    let permit = call.permit(&call.state.downloads)?;
    let [file_id, _] = call.path();
    // Whoever has the signature has the file, so the record does not quote it.
    let link_request = text(call.raw_query(), "request").unwrap_or_default();
    let (method, path) = (&call.request.method, &call.request.raw_path);
    call.quote(format!("{method} {path}, from a link given to {link_request}"));
    let file = read_link(call, file_id)?;
    call.admit_address()?;
    call.concerns(&file.trail);
    let act = Act::new(call.operation, Operation::Download, FUNCTION)
        .by(call.who())
        .on("audit log file", &file.name())
        .with("trail", file.trail.to_string())
        .with("file_id", &file.id)
        .with("bytes", file.len_bytes.to_string())
        .with("sha256", hex::encode(file.sha256))
        .with("link_request_id", link_request);
    let description = Some(format!("{} bytes of {}", file.len_bytes, file.trail));
    call.state.audit.record_now(Act { description, ..act }).map_err(ApiError::Unrecorded)?;
    Ok(Answer::streamed(StatusCode::OK, |streaming| send(file, permit, streaming)).recorded())
}

fn read_link(call: &Call<'_>, id: &str) -> Result<AuditFile, Refusal> {
    check_link(call, id)?;
    Ok(call.state.log.audit_file(id)?.ok_or(Error::ForgedLink)?)
}

/// Checks the signature and the age of a link.
fn check_link(call: &Call<'_>, id: &str) -> Result<(), Error> {
    let parameter = |name| text(call.raw_query(), name).ok_or(Error::ForgedLink);
    let expires: i64 = parameter("expires")?.parse().map_err(|_| Error::ForgedLink)?;
    let shown = hex::decode(parameter("signature")?).map_err(|_| Error::ForgedLink)?;
    signature(call, id, expires, &parameter("request")?)
        .verify_slice(&shown)
        .map_err(|_| Error::ForgedLink)?;
    let expires = Time::from_unix_ns(expires.saturating_mul(1_000_000_000));
    if expires <= call.now {
        return Err(Error::ExpiredLink);
    }
    Ok(())
}

/// Sends a file piece by piece. A client that takes none for a while, and a file that does not read
/// back, end the connection before the announced length.
fn send(file: AuditFile, permit: OwnedSemaphorePermit, streaming: Streaming) -> Response {
    let (pieces, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let response = response(&file, Body::Stream(receiver, file.len_bytes));
    let Streaming { state, request_id, .. } = streaming;
    tokio::spawn(async move {
        let _permit = permit;
        let (mut line, file) = (0, Arc::new(file));
        while line < file.lines {
            let (log, of) = (Arc::clone(&state.log), Arc::clone(&file));
            let read = move || log.audit_file_lines(&of, line, PIECE_BYTES);
            let (bytes, next) = match tokio::task::spawn_blocking(read).await {
                Ok(Ok(read)) => read,
                Ok(Err(error)) => {
                    tracing::error!(request_id, %error, "couldn't read an audit log file");
                    return;
                }
                Err(_) => return,
            };
            line = next;
            let sent = tokio::time::timeout(PIECE_TAKEN_WITHIN, pieces.send(bytes.into())).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    response
}

fn response(file: &AuditFile, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.len_bytes));
    let name = path::encode(file.name().as_bytes());
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    if let Ok(value) = HeaderValue::from_str(&hex::encode(file.sha256)) {
        headers.insert(X_SHA256, value);
    }
    response
}
