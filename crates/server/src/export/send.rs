//! Sending an export, or the manifest of one, while it is made.
//!
//! It is made on a thread of its own, a few pieces ahead of the client. What breaks off ends the
//! connection, so that no client takes a part for the whole.

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Exports;
use find::export::{Export, ExportError, Pieces, Totals};
use net::{Body, Piece, Response};

/// Pieces made ahead of the client.
const PIECES_AHEAD: usize = 2;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// A client that waits for a manifest is sent white space after so many pieces, so that either end
/// notices when the other is gone.
const PIECES_A_SIGN_OF_LIFE: u64 = 64;
/// The trailer that has the manifest in base64.
pub const TRAILER: HeaderName = HeaderName::from_static("x-daybook-manifest");

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The file without so many bytes, and whether the manifest follows in a trailer.
    File {
        skip: u64,
        with_trailer: bool,
    },
    Manifest,
}

/// An answer that is about to be sent.
pub struct Sending {
    pub export: Export,
    pub what: What,
    /// Without a body.
    pub head: Response,
}

/// Why no more is sent.
enum Ended {
    /// Nobody takes it any more, or not quickly enough, or the server stops.
    Unwanted,
    /// The client asked for what is behind the end.
    BehindTheEnd,
    ExportError(ExportError),
}

impl From<ExportError> for Ended {
    fn from(failed: ExportError) -> Ended {
        Ended::ExportError(failed)
    }
}

/// Begins to send.
pub fn start(
    sending: Sending,
    exports: Arc<Exports>,
    stopping: watch::Receiver<bool>,
    place: Option<OwnedSemaphorePermit>,
    id: &str,
) -> Response {
    let (pieces, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let Sending { export, what, head } = sending;
    let response = head.map(|_| Body::Open(Some(receiver)));
    let (client, id) = (Client { pieces, stopping, runtime: Handle::current() }, id.to_owned());
    tokio::task::spawn_blocking(move || {
        let sent = run(&export, what, &exports, &client).and_then(|Last { data, trailers }| {
            // Whoever has all of it finds the place free.
            drop(place);
            if !data.is_empty() {
                client.send(Piece::Data(data), || ())?;
            }
            client.send(Piece::End(trailers), || ())
        });
        match sent {
            Ok(()) => {}
            Err(Ended::Unwanted) => tracing::info!(request_id = id, "an export was broken off"),
            Err(Ended::BehindTheEnd) => {
                tracing::info!(
                    request_id = id,
                    "an export ends before the range that was asked for"
                );
            }
            Err(Ended::ExportError(error)) => {
                tracing::error!(request_id = id, %error, "couldn't make an export")
            }
        }
    });
    response
}

/// What is sent last.
struct Last {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

/// Sends all but what is last.
fn run(export: &Export, what: What, exports: &Exports, client: &Client) -> Result<Last, Ended> {
    match what {
        What::File { skip, with_trailer } => {
            let (totals, data) = send_file(export, skip, exports, client)?;
            let trailers = if with_trailer {
                let manifest = exports.manifest(export, totals).map_err(ExportError::Store)?;
                HeaderValue::from_str(&manifest.header_value())
                    .ok()
                    .map(|value| HeaderMap::from_iter([(TRAILER, value)]))
            } else {
                None
            };
            Ok(Last { data, trailers })
        }
        What::Manifest => {
            let known = exports.totals(&export.mark());
            let totals = match known {
                Some(totals) => totals,
                None => {
                    let mut made = Pieces::of(exports.log.contents(), export)?;
                    for count in 1.. {
                        if made.next_piece()?.is_none() {
                            break;
                        }
                        if count % PIECES_A_SIGN_OF_LIFE == 0 {
                            client
                                .send(Piece::Data(Bytes::from_static(b"\n")), || made.release())?;
                        }
                        client.is_there()?;
                    }
                    made.totals()
                }
            };
            exports.remember(export.mark(), totals);
            let manifest = exports.manifest(export, totals).map_err(ExportError::Store)?;
            Ok(Last { data: manifest.json().into(), trailers: None })
        }
    }
}

/// Sends a file but for its last piece. Returns what it came to, and that piece.
fn send_file(
    export: &Export,
    skip: u64,
    exports: &Exports,
    client: &Client,
) -> Result<(Totals, Bytes), Ended> {
    let (mut made, mut skip, mut last) =
        (Pieces::of(exports.log.contents(), export)?, skip, Bytes::new());
    while let Some(mut piece) = made.next_piece()? {
        client.is_there()?;
        let skipped = piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        skip -= skipped as u64;
        let piece = piece.split_off(skipped);
        if piece.is_empty() {
            continue;
        }
        let before = std::mem::replace(&mut last, piece);
        if !before.is_empty() {
            client.send(Piece::Data(before), || made.release())?;
        }
    }
    if skip > 0 {
        return Err(Ended::BehindTheEnd);
    }
    let totals = made.totals();
    exports.remember(export.mark(), totals);
    Ok((totals, last))
}

/// Whoever takes the pieces.
struct Client {
    pieces: Sender<Piece>,
    stopping: watch::Receiver<bool>,
    runtime: Handle,
}

impl Client {
    fn is_there(&self) -> Result<(), Ended> {
        if self.pieces.is_closed() || *self.stopping.borrow() {
            Err(Ended::Unwanted)
        } else {
            Ok(())
        }
    }

    /// Sends a piece; `before_wait` is called when it is not taken at once.
    fn send(&self, piece: Piece, before_wait: impl FnOnce()) -> Result<(), Ended> {
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Ended::Unwanted),
            Err(TrySendError::Full(piece)) => piece,
        };
        before_wait();
        let sent =
            async { tokio::time::timeout(PIECE_TAKEN_WITHIN, self.pieces.send(piece)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(Ended::Unwanted),
        }
    }
}
