//! Sends an export, or its manifest, while it is made.
//!
//! A thread makes it a few pieces ahead of the client. A failure breaks the connection off, so that
//! no client takes a part for the whole.

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;

use super::Exports;
use crate::permits::CallerPermit;
use find::export::{Export, ExportError, Pieces, Totals};
use net::{Body, Piece, Response};
use store::Work;

/// Pieces made before the client takes them.
const PIECES_AHEAD: usize = 2;
/// A client must take a piece within this time.
const PIECE_TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Pieces after which a client that waits for a manifest gets white space, so that either end
/// notices when the other is gone.
const PIECES_A_SIGN_OF_LIFE: u64 = 64;
/// Exports count no values.
const COUNTING_BYTES: usize = 0;
/// The trailer with the manifest in base64.
pub const TRAILER: HeaderName = HeaderName::from_static("x-daybook-manifest");

/// The content to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The file behind this number of bytes, and whether the manifest follows in a trailer.
    File {
        skip: u64,
        with_trailer: bool,
    },
    Manifest,
}

/// A response that is about to be sent.
pub struct Sending {
    pub export: Export,
    pub what: What,
    /// The response without its body.
    pub head: Response,
}

/// Why sending ended early.
enum SendError {
    /// The client is gone or too slow, or the server stops.
    Unwanted,
    /// The requested range is behind the end.
    BehindTheEnd,
    ExportError(ExportError),
}

impl From<ExportError> for SendError {
    fn from(failed: ExportError) -> SendError {
        SendError::ExportError(failed)
    }
}

/// Starts to send.
pub fn start(
    sending: Sending,
    exports: Arc<Exports>,
    stopping: watch::Receiver<bool>,
    permit: CallerPermit,
    id: &str,
) -> Response {
    let (pieces, receiver) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let Sending { export, what, head } = sending;
    let response = head.map(|_| Body::Open(Some(receiver)));
    let (client, id) = (Client { pieces, stopping, runtime: Handle::current() }, id.to_owned());
    tokio::task::spawn_blocking(move || {
        let client_is_there = client.presence();
        let work = Work::new(COUNTING_BYTES, client_is_there);
        let made = work.run(|| run(&export, what, &exports, &client));
        let sent = made.and_then(|Last { data, trailers }| {
            // A client that has everything finds the permit free.
            drop(permit);
            if !data.is_empty() {
                client.send(Piece::Data(data), || ())?;
            }
            client.send(Piece::End(trailers), || ())
        });
        match sent {
            Ok(()) => {}
            Err(SendError::Unwanted) => tracing::info!(request_id = id, "an export was broken off"),
            Err(SendError::BehindTheEnd) => {
                tracing::info!(request_id = id, "an export ends before the requested range");
            }
            Err(SendError::ExportError(ExportError::Store(store::Error::Cancelled))) => {
                tracing::info!(request_id = id, "an export was broken off");
            }
            Err(SendError::ExportError(error)) => {
                tracing::error!(request_id = id, %error, "couldn't make an export")
            }
        }
    });
    response
}

/// The last piece, which ends the body.
struct Last {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

/// Sends everything but the last piece.
fn run(export: &Export, what: What, exports: &Exports, client: &Client) -> Result<Last, SendError> {
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

/// Sends a file but for its last piece. Returns its totals, and that piece.
fn send_file(
    export: &Export,
    skip: u64,
    exports: &Exports,
    client: &Client,
) -> Result<(Totals, Bytes), SendError> {
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
        return Err(SendError::BehindTheEnd);
    }
    let totals = made.totals();
    exports.remember(export.mark(), totals);
    Ok((totals, last))
}

/// The receiver of the pieces.
struct Client {
    pieces: Sender<Piece>,
    stopping: watch::Receiver<bool>,
    runtime: Handle,
}

impl Client {
    /// Whether the client still takes pieces, for the reads between them.
    fn presence(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let pieces = self.pieces.downgrade();
        move || pieces.upgrade().is_some_and(|pieces| !pieces.is_closed())
    }

    fn is_there(&self) -> Result<(), SendError> {
        if self.pieces.is_closed() || *self.stopping.borrow() {
            Err(SendError::Unwanted)
        } else {
            Ok(())
        }
    }

    /// Sends a piece, and calls `before_wait` if the client does not take it at once.
    fn send(&self, piece: Piece, before_wait: impl FnOnce()) -> Result<(), SendError> {
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(SendError::Unwanted),
            Err(TrySendError::Full(piece)) => piece,
        };
        before_wait();
        let sent =
            async { tokio::time::timeout(PIECE_TAKEN_WITHIN, self.pieces.send(piece)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(SendError::Unwanted),
        }
    }
}
