//! Progress of the responses of one HTTP/2 connection. A client can go on answering pings and still
//! take nothing of a response, by never widening its window; the socket shows nothing of that.

use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::Instant;

use crate::message::{Body, BrokenOff};

/// Bytes handed over at once: as many as a frame of HTTP/2 has by default. What a stalled stream
/// holds is not more than one of these beyond its window.
const PIECE_BYTES: usize = 16 << 10;

/// The responses of one connection.
#[derive(Clone, Default)]
pub struct Progress(Arc<Mutex<Vec<Weak<Mutex<Stream>>>>>);

/// What is not sent of one response.
struct Stream {
    /// Pieces handed over and not sent yet.
    unsent: usize,
    /// The last time when a piece was handed over or sent.
    moved_at: Instant,
}

impl Progress {
    /// A body whose progress is followed.
    pub fn follow(&self, body: Body) -> FollowedBody {
        let stream = Arc::new(Mutex::new(Stream { unsent: 0, moved_at: Instant::now() }));
        let mut streams = self.0.lock().expect("no panic while held");
        streams.retain(|one| one.strong_count() > 0);
        streams.push(Arc::downgrade(&stream));
        FollowedBody { body, rest: Bytes::new(), stream }
    }

    /// Whether a response is being made or sent.
    pub fn is_under_way(&self) -> bool {
        let streams = self.0.lock().expect("no panic while held");
        streams.iter().any(|stream| stream.strong_count() > 0)
    }

    /// Whether a response has pieces to be sent of which none was for so long.
    pub fn is_stalled(&self, timeout: Duration) -> bool {
        let streams = self.0.lock().expect("no panic while held");
        let is_stalled = |stream: Arc<Mutex<Stream>>| {
            let stream = stream.lock().expect("no panic while held");
            stream.unsent > 0 && stream.moved_at.elapsed() >= timeout
        };
        streams.iter().filter_map(Weak::upgrade).any(is_stalled)
    }
}

/// A body in small pieces, whose progress is followed.
pub struct FollowedBody {
    body: Body,
    /// The rest of a frame of the body.
    rest: Bytes,
    stream: Arc<Mutex<Stream>>,
}

/// A piece of a body; dropped once it is sent.
struct Piece {
    bytes: Bytes,
    stream: Arc<Mutex<Stream>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut stream = self.stream.lock().expect("no panic while held");
        stream.unsent -= 1;
        stream.moved_at = Instant::now();
    }
}

impl FollowedBody {
    fn piece(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        let mut stream = self.stream.lock().expect("no panic while held");
        stream.unsent += 1;
        stream.moved_at = Instant::now();
        drop(stream);
        Frame::data(Bytes::from_owner(Piece { bytes, stream: Arc::clone(&self.stream) }))
    }
}

impl hyper::body::Body for FollowedBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(this.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::body::Body as _;

    use super::*;

    /// Any time is too long for a piece that is not sent.
    const NO_TIME: Duration = Duration::ZERO;

    #[tokio::test]
    async fn a_response_stalls_when_no_piece_of_it_is_sent() {
        let progress = Progress::default();
        let mut body = progress.follow(Body::Whole(vec![7; PIECE_BYTES + 1].into()));
        assert_eq!(body.size_hint().exact(), Some(PIECE_BYTES as u64 + 1));
        assert!(!progress.is_stalled(NO_TIME), "nothing was handed over yet");
        let mut pieces = Vec::new();
        while !body.is_end_stream() {
            let frame = body.frame().await.expect("there is more").expect("it is made");
            pieces.push(frame.into_data().expect("data"));
        }
        drop(body);
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES, 1]);
        assert!(progress.is_stalled(NO_TIME));
        assert!(!progress.is_stalled(Duration::MAX), "there is time");
        pieces.pop();
        assert!(progress.is_stalled(NO_TIME) && progress.is_under_way(), "one is not sent");
        pieces.pop();
        assert!(!progress.is_stalled(NO_TIME) && !progress.is_under_way(), "all was sent");
    }

    #[tokio::test]
    async fn a_response_that_waits_for_its_maker_does_not_stall() {
        let progress = Progress::default();
        let (pieces, receiver) = tokio::sync::mpsc::channel(1);
        let mut body = progress.follow(Body::Live(receiver));
        pieces.send(Bytes::from_static(b"x")).await.expect("there is room");
        let piece = body.frame().await;
        assert!(progress.is_stalled(NO_TIME));
        drop(piece);
        assert!(!progress.is_stalled(NO_TIME) && progress.is_under_way());
    }
}
