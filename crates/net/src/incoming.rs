//! The body of a request, which is read to its end even if its handler does not.
//!
//! A handler may respond before it has read the body: the token is wrong, the body too large, the
//! server too busy. If the rest of the body stayed unread, the socket would be closed with bytes in
//! it, or the stream be reset, and the sender, still sending, would often see that and not the
//! response. The rest is therefore read beside the response and thrown away, up to [`Lingering`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::EXPECT;
use tokio::runtime::Handle;

/// Bounds on what is read of a body that nobody wants.
#[derive(Debug, Clone, Copy)]
pub struct Lingering {
    /// Most bytes of one body.
    pub bytes_max: u64,
    /// Longest time for one body.
    pub time_max: Duration,
}

/// The body of a request.
pub struct Incoming<B = hyper::body::Incoming>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// `None` once it ended.
    body: Option<B>,
    lingering: Lingering,
    /// Whether its sender waits for `100 Continue`, which reading causes: without it, no byte of
    /// the body comes.
    is_held_back: bool,
}

impl<B> Incoming<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// The same request, whose body is read to its end.
    pub(crate) fn of(
        request: hyper::Request<B>,
        lingering: Lingering,
    ) -> hyper::Request<Incoming<B>> {
        let is_held_back = request.headers().contains_key(EXPECT);
        request.map(|body| Incoming { body: Some(body), lingering, is_held_back })
    }
}

impl<B> Body for Incoming<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.is_held_back = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for Incoming<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !body.is_end_stream() && !self.is_held_back);
        if let (Some(body), Ok(runtime)) = (unread, Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(
                self.lingering.time_max,
                discard(body, self.lingering.bytes_max),
            ));
        }
    }
}

/// Reads a body to its end, or until it has more than `bytes_max`.
async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, bytes_max: u64) {
    let mut left = bytes_max;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(after) = left.checked_sub(bytes) else { return };
        left = after;
    }
}
