//! A keep-alive HTTP/1.1 connection that sends prepared bytes and reads whole responses.

use std::io::{Read, Write};
use std::net::TcpStream;

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, in the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub head: &'a str,
    pub body: &'a [u8],
}

impl Answer<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }
}

impl Connection {
    pub fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        Connection { stream, buffer: Vec::with_capacity(64 << 10) }
    }

    pub fn ask(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).expect("the server reads");
        self.buffer.clear();
        let head_end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read_more(),
            }
        };
        let len = head(&self.buffer[..head_end])
            .header("content-length")
            .and_then(|len| len.parse().ok())
            .unwrap_or(0);
        while self.buffer.len() < head_end + len {
            self.read_more();
        }
        Answer { body: &self.buffer[head_end..head_end + len], ..head(&self.buffer[..head_end]) }
    }

    fn read_more(&mut self) {
        let from = self.buffer.len();
        self.buffer.resize(from + (16 << 10), 0);
        let len = self.stream.read(&mut self.buffer[from..]).expect("the server responds");
        assert!(len > 0, "the server closed a connection");
        self.buffer.truncate(from + len);
    }
}

fn head(bytes: &[u8]) -> Answer<'_> {
    let head = std::str::from_utf8(bytes).expect("our responses are text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: &[] }
}

/// The bytes of a request.
pub fn request(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
