//! Ends a connection whose peer takes nothing of what it is sent. What was made for such a peer
//! would otherwise stay in memory as long as the peer likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream whose writes fail when none was possible for a while.
pub struct WriteTimeout<S> {
    stream: S,
    timeout: Duration,
    /// The end of the time for the write that waits.
    ends: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> WriteTimeout<S> {
    pub fn new(stream: S, timeout: Duration) -> WriteTimeout<S> {
        WriteTimeout {
            stream,
            timeout,
            ends: Box::pin(tokio::time::sleep(timeout)),
            is_waiting: false,
        }
    }

    /// Passes on the result of a write; fails one that has waited for too long.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_waiting = false;
            return result;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.ends.as_mut().reset(Instant::now() + self.timeout);
        }
        self.ends.as_mut().poll(context).map(|()| {
            let why = "the peer took nothing for too long";
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.bounded(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Writes until nothing more is taken; the error that ends it.
    async fn fill(stream: &mut WriteTimeout<TcpStream>) -> io::Error {
        loop {
            let written = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, &[0; 4096]));
            if let Err(error) = written.await {
                return error;
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (peer, (stream, _)) = (peer.expect("connected"), accepted.expect("accepted"));
        let mut stream = WriteTimeout::new(stream, Duration::from_millis(20));
        assert_eq!(fill(&mut stream).await.kind(), io::ErrorKind::TimedOut);
        // What the peer takes afterwards makes room again, and the time begins anew.
        let mut read = vec![0; 1 << 20];
        peer.readable().await.expect("it was sent something");
        while peer.try_read(&mut read).is_ok_and(|len| len > 0) {}
        assert_eq!(fill(&mut stream).await.kind(), io::ErrorKind::TimedOut);
    }
}
