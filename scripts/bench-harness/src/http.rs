//! HTTP/1.1 with as little work as possible, since senders share the cores with the server: requests are whole before
//! they are sent, and of an answer only the status and the length are read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Result;

/// A server that is silent for this long is stuck.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Answers are a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Connection { stream, answer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// Sends a request and returns the body of its answer, which must be a 200.
    pub fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request)?;
        let mut len = 0;
        loop {
            let read = self.stream.read(&mut self.answer[len..])?;
            if read == 0 {
                return Err("the server closed a connection in the middle of an answer".into());
            }
            len += read;
            if let Some(body_at) = body_of_whole(&self.answer[..len])? {
                return Ok(&self.answer[body_at..len]);
            }
        }
    }
}

/// Where the body begins, once all of it is there.
fn body_of_whole(answer: &[u8]) -> Result<Option<usize>> {
    let Some(head_len) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..head_len])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the server answered {}", String::from_utf8_lossy(answer)).into());
    }
    let body_len: usize = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("the server answered without Content-Length")?
        .1
        .parse()?;
    Ok((answer.len() >= head_len + 4 + body_len).then_some(head_len + 4))
}
