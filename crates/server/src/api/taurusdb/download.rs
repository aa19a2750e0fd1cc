//! Download links: `POST …/audit-log-link`, and the files behind them. A link needs no credentials,
//! names one file, and is good for five minutes; its signature is made with a key that only this
//! data directory has.

use event::{Operation as Done, Time, Trail};
use hmac::{Hmac, KeyInit, Mac};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::AuditFile;

use super::error::Error;
use super::{Context, Note};
use crate::api::parameters::text;
use intake::audit::Act;
use net::{self, Body, Request, Response, path};

const LINK_LIFE_S: i64 = 5 * 60;
const IDS_MAX: usize = 50;
const PURPOSE: &str = "audit log file links";
const FUNCTION: &str = "Audit log files";
/// The SHA-256 of the file, which is also in the log.
const X_SHA256: HeaderName = HeaderName::from_static("x-daybook-sha256");

#[derive(Deserialize)]
struct Wanted {
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Links {
    links: Vec<String>,
}

pub(super) fn links(
    trail: &Trail,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Error> {
    let wanted = wanted(&request.body)?;
    let policies = &context.shared.policies;
    let mut files = Vec::new();
    for id in &wanted.ids {
        let found = context.shared.log.audit_file(id);
        let listed = found.filter(|file| file.trail == *trail && policies.keep(file, context.now));
        files.push(listed.ok_or(Error::InvalidParameter)?);
    }
    let act = Act::new("taurusdb.ShowAuditLogDownloadLink", Done::Download, FUNCTION)
        .by(note.who.clone())
        .on("audit log file", &trail.to_string())
        .with("ids", wanted.ids.join(","));
    let description = format!("links to {} audit log files", files.len());
    context
        .shared
        .audit
        .record_now(Act { description: Some(description), ..act })
        .map_err(Error::Unrecorded)?;
    note.is_recorded = true;
    note.rows = Some((files.len(), files.len() as u64));
    let base = context.shared.config().public_url.clone();
    let base = base.unwrap_or_else(|| format!("{}://{}", request.scheme, request.host));
    let expires = context.now.plus_seconds(LINK_LIFE_S).unix_ms() / 1000;
    let link = |file: &AuditFile| {
        let signature =
            hex::encode(signature(context, &file.id, expires, &request.id).finalize().into_bytes());
        let name = path::encode(file.name().as_bytes());
        format!(
            "{base}/audit-log-files/{}/{name}?expires={expires}&request={}&signature={signature}",
            file.id, request.id
        )
    };
    Ok(net::json(StatusCode::OK, &Links { links: files.iter().map(link).collect() }))
}

fn wanted(body: &[u8]) -> Result<Wanted, Error> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|_| Error::InvalidParameter)?;
    let is_some = (1..=IDS_MAX).contains(&wanted.ids.len());
    if is_some { Ok(wanted) } else { Err(Error::InvalidParameter) }
}

/// Whether a body asks for links; for fuzz targets.
pub fn asks_for_links(body: &[u8]) -> bool {
    wanted(body).is_ok()
}

fn signature(context: &Context<'_>, id: &str, expires: i64, request: &str) -> Hmac<Sha256> {
    let key = context.shared.access.derived_key(PURPOSE);
    Hmac::<Sha256>::new_from_slice(&key)
        .expect("HMAC takes keys of any length")
        .chain_update(format!("{id}\n{expires}\n{request}"))
}

/// A file that is about to be sent.
pub struct Download {
    pub file: AuditFile,
}

impl Download {
    /// The answer's head, with a body to be filled.
    pub fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.file.len_bytes));
        let name = path::encode(self.file.name().as_bytes());
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
        if let Ok(value) = HeaderValue::from_str(&hex::encode(self.file.sha256)) {
            headers.insert(X_SHA256, value);
        }
        response
    }
}

/// Checks a link and records the download; the file is sent only after that.
pub fn open(
    file_id: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Download, Box<Response>> {
    let refused =
        |text: &str| Box::new(net::error(StatusCode::FORBIDDEN, "APIGW.0306", text, &request.id));
    // Whoever has the signature has the file.
    let link_request = text(&request.raw_query, "request").unwrap_or_default();
    note.asked =
        format!("{} {}, from a link given to {link_request}", request.method, request.raw_path);
    let file = read_link(file_id, request, context).map_err(|why| refused(why.text()))?;
    note.resource = file.trail.to_string();
    let act = Act::new("taurusdb.DownloadAuditLog", Done::Download, FUNCTION)
        .by(note.who.clone())
        .on("audit log file", &file.name())
        .with("trail", file.trail.to_string())
        .with("file_id", &file.id)
        .with("bytes", file.len_bytes.to_string())
        .with("sha256", hex::encode(file.sha256))
        .with("link_request_id", link_request);
    let description = format!("{} bytes of {}", file.len_bytes, file.trail);
    let act = Act { description: Some(description), ..act };
    context
        .shared
        .audit
        .record_now(act)
        .map_err(|why| Box::new(Error::Unrecorded(why).render(&request.id)))?;
    note.is_recorded = true;
    Ok(Download { file })
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Forged,
    Expired,
}

impl Refused {
    fn text(&self) -> &'static str {
        match self {
            Refused::Forged => "API access denied. This is no download link.",
            Refused::Expired => "API access denied. The link has expired; ask for a new one.",
        }
    }
}

fn read_link(id: &str, request: &Request, context: &Context<'_>) -> Result<AuditFile, Refused> {
    let parameter = |name| text(&request.raw_query, name).ok_or(Refused::Forged);
    let expires: i64 = parameter("expires")?.parse().map_err(|_| Refused::Forged)?;
    let shown = hex::decode(parameter("signature")?).map_err(|_| Refused::Forged)?;
    signature(context, id, expires, &parameter("request")?)
        .verify_slice(&shown)
        .map_err(|_| Refused::Forged)?;
    let expires = Time::from_unix_ns(expires.saturating_mul(1_000_000_000));
    if expires <= context.now {
        return Err(Refused::Expired);
    }
    context.shared.log.audit_file(id).ok_or(Refused::Forged)
}
