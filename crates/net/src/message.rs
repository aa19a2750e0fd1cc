//! Requests and responses, as handlers see them.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode};
use serde::Serialize;

/// A response.
pub type Response = hyper::Response<Body>;

/// The body of a response: held whole, or made while it is sent.
pub enum Body {
    Whole(Bytes),
    /// Pieces, and the number of bytes still to come. If fewer come, the connection breaks off, so
    /// that the client notices.
    Stream(tokio::sync::mpsc::Receiver<Bytes>, u64),
    /// Pieces without an announced end.
    Live(tokio::sync::mpsc::Receiver<Bytes>),
    /// Pieces of unknown total length up to [`Piece::End`], then `None`. If no end comes, the
    /// connection breaks off.
    Open(Option<tokio::sync::mpsc::Receiver<Piece>>),
}

/// A part of an open body.
pub enum Piece {
    Data(Bytes),
    /// The end of the body, perhaps with trailers.
    End(Option<HeaderMap>),
}

/// The rest of a body could not be made.
#[derive(Debug)]
pub struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the rest of the body could not be made")
    }
}

impl std::error::Error for BrokenOff {}

impl Default for Body {
    fn default() -> Self {
        Body::Whole(Bytes::new())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Whole(bytes.into())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Body::Whole(whole) if whole.is_empty() => Poll::Ready(None),
            Body::Whole(whole) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(whole))))),
            Body::Live(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
            Body::Stream(pieces, left) => pieces.poll_recv(context).map(|piece| match piece {
                Some(piece) => {
                    *left = left.saturating_sub(piece.len() as u64);
                    Some(Ok(Frame::data(piece)))
                }
                None if *left > 0 => Some(Err(BrokenOff)),
                None => None,
            }),
            Body::Open(open) => {
                let Some(pieces) = open else { return Poll::Ready(None) };
                let Poll::Ready(piece) = pieces.poll_recv(context) else { return Poll::Pending };
                Poll::Ready(match piece {
                    Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
                    Some(Piece::End(trailers)) => {
                        *open = None;
                        trailers.map(|trailers| Ok(Frame::trailers(trailers)))
                    }
                    None => Some(Err(BrokenOff)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(whole) => whole.is_empty(),
            Body::Stream(_, left) => *left == 0,
            Body::Live(_) => false,
            Body::Open(pieces) => pieces.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Body::Stream(_, left) => SizeHint::with_exact(*left),
            Body::Live(_) => SizeHint::default(),
            Body::Open(_) => SizeHint::default(),
        }
    }
}

/// The header with the request's id on every response; the vendor's clients read it only there.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request, read whole.
pub struct Request {
    pub method: Method,
    /// The path of the wire, with its escapes.
    pub raw_path: String,
    /// The query of the wire, without `?`.
    pub raw_query: String,
    pub headers: HeaderMap,
    /// Host with port, from the header or HTTP/2's authority.
    pub host: String,
    pub body: Bytes,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The id that this server gave it: 32 lower-case hex digits.
    pub id: String,
}

impl Request {
    /// The value of a header that is given once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// The number of lines of a header.
    pub fn header_count(&self, name: &str) -> usize {
        self.headers.get_all(name).iter().count()
    }
}

/// A JSON response. Members have the order of the type.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("responses are maps with text keys");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The error body of Daybook's own routes, and of requests refused before they reach a route.
#[derive(Serialize)]
struct OwnError<'a> {
    error_code: &'a str,
    error_msg: &'a str,
    request_id: &'a str,
}

/// An error of Daybook's own routes.
pub fn error(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response {
    let mut response = json(status, &OwnError { error_code: code, error_msg: message, request_id });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
