//! `/tlog/`: checkpoint, tiles and entries, as C2SP tlog-tiles names them (sections Checkpoints,
//! Merkle Tree, Log entries). The entries are the digests that the tree is over. And proof files of
//! single events (C2SP tlog-proof).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY,
};
use hyper::{Method, StatusCode};
use tlog::{Hash, NoProof, Resource, TILE_WIDTH};

use crate::api::daybook::problem::Problem;
use crate::api::parameters;
use crate::evidence::{self, Signed};
use crate::state::{Context, Note};
use access::rights::Action;
use net::{self, Body, Request, Response};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    ReadCheckpoint,
    ReadWitnessed,
    ReadTile,
    ProveEvent,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Operation::ReadCheckpoint => "tlog.ReadCheckpoint",
            Operation::ReadWitnessed => "tlog.ReadWitnessedCheckpoint",
            Operation::ReadTile => "tlog.ReadTile",
            Operation::ProveEvent => "daybook.ProveEvent",
        }
    }
}

pub const ROUTES: [(Method, &str, Operation); 4] = [
    (Method::GET, "/tlog/checkpoint", Operation::ReadCheckpoint),
    (Method::GET, "/tlog/checkpoint/witnessed", Operation::ReadWitnessed),
    (Method::GET, "/tlog/tile/{tile...}", Operation::ReadTile),
    (Method::GET, "/api/v1/events/{index}/proof", Operation::ProveEvent),
];

pub fn answer(
    operation: Operation,
    path: &[String],
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Response {
    "tlog".clone_into(&mut note.resource);
    let is_public = context.shared.config().evidence.public;
    // A path of Daybook's own API has errors of its form.
    let refused = |(status, code, text): Refusal| match operation {
        Operation::ProveEvent => Problem::new(status, code, text).render(&request.id),
        _ => net::error(status, code, text, &request.id),
    };
    if !is_public && let Err(refusal) = let_in(request, context, note) {
        return refused(refusal);
    }
    // Reading what proves the log would make it grow without end.
    note.is_recorded = true;
    let found = match operation {
        Operation::ReadCheckpoint => Ok(Some(checkpoint(&context.shared.evidence.newest()))),
        Operation::ReadWitnessed => {
            Ok(context.shared.witnesses.witnessed().as_deref().map(checkpoint))
        }
        Operation::ReadTile => read_tile(&path[0], context),
        Operation::ProveEvent => match prove_event(&path[0], request, context, note) {
            Ok(proof) => {
                Ok(proof.map(|proof| Found { bytes: proof, content_type: TEXT, max_age: 0 }))
            }
            Err(NotProved::Refused(refusal)) => return refused(refusal),
            Err(NotProved::Failed(error)) => Err(error),
        },
    };
    match found {
        Ok(Some(found)) => found.answer(is_public, request),
        Ok(None) => {
            let why = match operation {
                Operation::ReadWitnessed => "no checkpoint was cosigned by every witness yet",
                Operation::ReadCheckpoint | Operation::ReadTile | Operation::ProveEvent => {
                    "the log has no such thing"
                }
            };
            refused((StatusCode::NOT_FOUND, "not_found", why))
        }
        Err(error) => {
            tracing::error!(request_id = request.id, %error, "couldn't read the tree");
            refused((StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error"))
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Status, code and text of an answer that refuses.
type Refusal = (StatusCode, &'static str, &'static str);

/// Lets in whoever may read evidence of Daybook's own trail.
fn let_in(request: &Request, context: &Context<'_>, note: &mut Note) -> Result<(), Refusal> {
    match context.caller(request, note) {
        Ok(caller) if caller.may(Action::ReadEvidence, context.shared.audit.trail()) => Ok(()),
        Ok(_) => Err((
            StatusCode::FORBIDDEN,
            "forbidden",
            "evidence is for auditors of daybook's own trail",
        )),
        Err(_) => Err((StatusCode::UNAUTHORIZED, "unauthorized", "show a token or a signature")),
    }
}

/// Something to send.
struct Found {
    bytes: Vec<u8>,
    content_type: &'static str,
    /// For how many seconds it may be kept.
    max_age: u32,
}

/// A year: tiles never change.
const MAX_AGE_S: u32 = 31_536_000;

fn checkpoint(signed: &Signed) -> Found {
    Found { bytes: signed.note.clone().into_bytes(), content_type: TEXT, max_age: 1 }
}

fn read_tile(path: &str, context: &Context<'_>) -> Result<Option<Found>, store::Error> {
    let size = context.shared.evidence.newest().size;
    let log = &context.shared.log;
    let Some(resource) = Resource::parse(&format!("tile/{path}")) else { return Ok(None) };
    let (Resource::Tile(tile) | Resource::Entries(tile)) = resource;
    if !tile.is_in(size) {
        return Ok(None);
    }
    let (first, count) = (tile.position * TILE_WIDTH, usize::from(tile.width));
    let bytes = match resource {
        Resource::Tile(_) => log
            .contents()
            .hashes(tile.level, first, count)?
            .map(|hashes| hashes.as_flattened().to_vec()),
        Resource::Entries(_) => log.digests(first, count)?.map(|digests| bundle(&digests)),
    };
    Ok(bytes.map(|bytes| Found {
        bytes,
        content_type: "application/octet-stream",
        max_age: MAX_AGE_S,
    }))
}

/// Why there is no proof.
enum NotProved {
    Refused(Refusal),
    Failed(store::Error),
}

/// The proof file of an event, with the entry if `entry=true` asks for it, which takes the right to
/// read the event's trail. `None` when there is no such event.
fn prove_event(
    index: &str,
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Option<Vec<u8>>, NotProved> {
    let refused = NotProved::Refused;
    let log = &context.shared.log;
    let malformed = |text| refused((StatusCode::BAD_REQUEST, "malformed", text));
    let index = parameters::digits(index, 0..=u64::MAX)
        .map_err(|_| malformed("an event's index is a decimal number"))?;
    let is_with_entry = match parameters::text(&request.raw_query, "entry").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed("entry is true or false")),
    };
    let entry = if is_with_entry {
        let caller = context.caller(request, note);
        let caller = caller.map_err(|_| {
            note.is_recorded = false;
            refused((StatusCode::UNAUTHORIZED, "unauthorized", "show a token or a signature"))
        })?;
        note.is_recorded = false;
        let stored = log.stored_event(index).map_err(NotProved::Failed)?;
        // Whether there is such an event is no secret, but its trail is.
        let Some(stored) = stored.filter(|stored| caller.may(Action::ReadEvents, &stored.trail))
        else {
            return Err(refused((
                StatusCode::FORBIDDEN,
                "forbidden",
                "you may not read this event",
            )));
        };
        note.resource = stored.trail.to_string();
        note.rows = Some((1, 1));
        Some(stored.entry)
    } else {
        None
    };
    let evidence = &context.shared.evidence;
    if index >= evidence.newest().size && index < log.head().0 {
        let text = "the event is not signed for yet; try again in a second";
        return Err(refused((StatusCode::SERVICE_UNAVAILABLE, "unsigned", text)));
    }
    // One that witnesses vouch for is worth more than a newer one.
    let witnessed = context.shared.witnesses.witnessed().filter(|witnessed| index < witnessed.size);
    let signed = witnessed.unwrap_or_else(|| evidence.newest());
    let checkpoint = tlog::Note::parse(signed.note.as_bytes()).expect("it was signed here");
    match evidence::prove(log.contents(), checkpoint, signed.size, index, entry) {
        Ok(proof) => Ok(Some(proof.to_string().into_bytes())),
        Err(NoProof::OutOfRange) => Ok(None),
        Err(NoProof::Nodes(error)) => Err(NotProved::Failed(error)),
    }
}

/// Entries, each after its length.
fn bundle(digests: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digests.len() * 34);
    for digest in digests {
        bytes.extend_from_slice(&[0, 32]);
        bytes.extend_from_slice(digest);
    }
    bytes
}

impl Found {
    fn answer(self, is_public: bool, request: &Request) -> Response {
        let compressed = takes_gzip(request).then(|| gzip(&self.bytes)).flatten();
        let is_compressed = compressed.is_some();
        let mut response = Response::new(Body::from(compressed.unwrap_or(self.bytes)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let who = if is_public { "public" } else { "private" };
        let control = match self.max_age {
            0 => "no-store".to_owned(),
            MAX_AGE_S => format!("{who}, max-age={MAX_AGE_S}, immutable"),
            seconds => format!("{who}, max-age={seconds}"),
        };
        if let Ok(value) = HeaderValue::from_str(&control) {
            headers.insert(CACHE_CONTROL, value);
        }
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
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

/// `None` when that fails, which memory does not.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
