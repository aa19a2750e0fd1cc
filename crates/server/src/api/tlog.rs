//! `/tlog/`: checkpoint, tiles and entries, as C2SP tlog-tiles names them (sections Checkpoints,
//! Merkle Tree, Log entries). The entries are the digests that the tree is over.

use hyper::{Method, StatusCode};
use tlog::{Hash, Resource, TILE_WIDTH};

use super::evidence::{Denial, MAX_AGE_S, Piece, TEXT, check_reader};
use super::{Answer, Api, ApiError, Call, OwnError, Refusal, Route, gateway};
use crate::evidence::SignedCheckpoint;
use net::{self, Response};

pub static API: Api = Api { name: "tlog", routes: &ROUTES, is_own: false, render_error: render };

static ROUTES: [Route; 3] = [
    Route {
        method: Method::GET,
        path: "/tlog/checkpoint",
        name: "tlog.ReadCheckpoint",
        needs: None,
        handler: read_checkpoint,
    },
    Route {
        method: Method::GET,
        path: "/tlog/checkpoint/witnessed",
        name: "tlog.ReadWitnessedCheckpoint",
        needs: None,
        handler: read_witnessed,
    },
    Route {
        method: Method::GET,
        path: "/tlog/tile/{*tile}",
        name: "tlog.ReadTile",
        needs: None,
        handler: read_tile,
    },
];

/// An error of this API: a status, a code and a text.
#[derive(Debug)]
struct Error(Denial);

impl OwnError for Error {
    fn render(&self, request_id: &str) -> Response {
        let (status, code, text) = self.0;
        net::error(status, code, text, request_id)
    }
}

impl Error {
    fn not_found(text: &'static str) -> Refusal {
        Refusal::from(Error((StatusCode::NOT_FOUND, "not_found", text))).recorded()
    }
}

fn render(error: &ApiError, request_id: &str) -> Response {
    let (status, code, text) = match error {
        ApiError::Unauthenticated(_) => super::evidence::UNAUTHENTICATED,
        ApiError::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "you may not do this"),
        ApiError::NoSuchTrail => (StatusCode::NOT_FOUND, "not_found", "there is no such trail"),
        ApiError::MissingParameter | ApiError::InvalidParameter => {
            (StatusCode::BAD_REQUEST, "malformed", "a parameter is wrong")
        }
        ApiError::Throttled(seconds) => return gateway::throttled(*seconds, request_id),
        ApiError::Overloaded(text) => return gateway::overloaded(text, request_id),
        ApiError::Unrecorded(_) | ApiError::Store(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", error.failure_text("internal error"))
        }
    };
    net::error(status, code, text, request_id)
}

fn begin(call: &Call<'_>) -> Result<(), Refusal> {
    call.concerns("tlog");
    Ok(check_reader(call).map_err(Error)?)
}

fn read_checkpoint(call: &Call<'_>) -> Result<Answer, Refusal> {
    begin(call)?;
    Ok(checkpoint(&call.state.evidence.newest()).answer(call))
}

fn read_witnessed(call: &Call<'_>) -> Result<Answer, Refusal> {
    begin(call)?;
    match call.state.witnesses.witnessed() {
        Some(signed) => Ok(checkpoint(&signed).answer(call)),
        None => Err(Error::not_found("no checkpoint was cosigned by every witness yet")),
    }
}

fn checkpoint(signed: &SignedCheckpoint) -> Piece {
    Piece { bytes: signed.note.clone().into_bytes(), content_type: TEXT, max_age: 1 }
}

fn read_tile(call: &Call<'_>) -> Result<Answer, Refusal> {
    begin(call)?;
    let [path] = call.path();
    let tile = tile(call, path).map_err(|error| Refusal::from(error).recorded())?;
    let tile = tile.ok_or_else(|| Error::not_found("the log has no such thing"))?;
    Ok(tile.answer(call))
}

/// The tile with this path, if the newest checkpoint covers it.
fn tile(call: &Call<'_>, path: &str) -> Result<Option<Piece>, store::Error> {
    let newest = call.state.evidence.newest();
    let size = newest.size;
    let log = call.state.log.contents();
    let Some(resource) = Resource::parse(&format!("tile/{path}")) else { return Ok(None) };
    let (Resource::Tile(tile) | Resource::Entries(tile)) = resource;
    if !tile.is_in(size) {
        return Ok(None);
    }
    let (first, count) = (tile.position * TILE_WIDTH, usize::from(tile.width));
    let head = (size, &newest.root()?);
    let bytes = match resource {
        Resource::Tile(_) => log
            .hashes_in(tile.level, first, count, head)?
            .map(|hashes| hashes.as_flattened().to_vec()),
        Resource::Entries(_) => log.digests_in(first, count, head)?.map(|digests| bundle(&digests)),
    };
    let content_type = "application/octet-stream";
    Ok(bytes.map(|bytes| Piece { bytes, content_type, max_age: MAX_AGE_S }))
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
