//! Requests and responses, as handlers see them.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Method, StatusCode, Version};
use serde::Serialize;

/// A response.
pub type Response = hyper::Response<Body>;

/// The reason to refuse a request whose header leaves open where it ends or for whom it is: a proxy
/// in front may read it in another way.
pub fn header_fault<B>(request: &hyper::Request<B>) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        // hyper reads such a request as chunked.
        (Some(_), _) if headers.contains_key(CONTENT_LENGTH) => {
            return Some((StatusCode::BAD_REQUEST, "both Content-Length and Transfer-Encoding"));
        }
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => {
            let text = "the only Transfer-Encoding that is read is chunked";
            return Some((StatusCode::NOT_IMPLEMENTED, text));
        }
    }
    match headers.get_all(HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => {
            Some((StatusCode::BAD_REQUEST, "the request has no Host"))
        }
        0 | 1 => None,
        _ => Some((StatusCode::BAD_REQUEST, "the request has more than one Host")),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_in_one_way_where_it_ends_and_for_whom_it_is() {
        for (version, headers, status) in [
            (Version::HTTP_11, &["host: a"][..], None),
            (Version::HTTP_11, &["host: a", "transfer-encoding: Chunked"], None),
            (Version::HTTP_11, &["host: a", "content-length: 3"], None),
            (Version::HTTP_10, &[], None),
            (Version::HTTP_2, &[], None),
            (Version::HTTP_11, &[], Some(400)),
            (Version::HTTP_11, &["host: a", "host: a"], Some(400)),
            (Version::HTTP_2, &["host: a", "host: b"], Some(400)),
            (
                Version::HTTP_11,
                &["host: a", "transfer-encoding: chunked", "content-length: 3"],
                Some(400),
            ),
            (Version::HTTP_11, &["host: a", "transfer-encoding: gzip, chunked"], Some(501)),
            (Version::HTTP_11, &["host: a", "transfer-encoding: chunked, chunked"], Some(501)),
            (Version::HTTP_11, &["host: a", "transfer-encoding: xchunked"], Some(501)),
            (
                Version::HTTP_11,
                &["host: a", "transfer-encoding: chunked", "transfer-encoding: chunked"],
                Some(501),
            ),
        ] {
            let mut request = hyper::Request::post("/").version(version);
            for line in headers {
                let (name, value) = line.split_once(": ").expect("a header line");
                request = request.header(name, value);
            }
            let request = request.body(()).expect("a request");
            let fault = header_fault(&request).map(|(status, _)| status.as_u16());
            assert_eq!(fault, status, "{version:?} {headers:?}");
        }
    }
}
