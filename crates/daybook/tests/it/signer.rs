//! A second signer, written from the description of the scheme alone; and ten thousand random
//! requests on which it and the server's must agree.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::estate::{Estate, SECRET_OF_ALL, key_of};
use crate::harness::{hex, now, sdk_date};

/// What a client signs.
pub struct Signed<'a> {
    pub method: &'a str,
    /// Path and query as on the wire.
    pub target: &'a str,
    /// Names and values, as they will be sent; all of them are signed.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// The `Authorization` of a request whose headers hold `X-Sdk-Date`.
pub fn authorization(access_key: &str, secret: &str, signed: &Signed<'_>) -> String {
    let (path, query) = signed.target.split_once('?').unwrap_or((signed.target, ""));
    let mut uri: String =
        path.split('/').map(|piece| escape(&unescape(piece))).collect::<Vec<_>>().join("/");
    if !uri.ends_with('/') {
        uri.push('/');
    }
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (escape(&unescape(key)), escape(&unescape(value))))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut headers: Vec<(String, &str)> =
        signed.headers.iter().map(|(name, value)| (name.to_lowercase(), value.trim())).collect();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let date =
        headers.iter().find(|(name, _)| name == "x-sdk-date").map(|(_, value)| *value).unwrap();
    let canonical = format!(
        "{}\n{uri}\n{}\n{lines}\n{}\n{}",
        signed.method,
        query.join("&"),
        names.join(";"),
        hex(&Sha256::digest(signed.body))
    );
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical)));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(to_sign);
    format!(
        "SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={}, Signature={}",
        names.join(";"),
        hex(&mac.finalize().into_bytes())
    )
}

/// The headers that sign a request with host and date alone.
pub fn sign(
    address: SocketAddr,
    access_key: &str,
    secret: &str,
    method: &str,
    target: &str,
    body: &[u8],
    at: u64,
) -> Vec<(String, String)> {
    let date = ("X-Sdk-Date".to_owned(), sdk_date(at));
    let headers = [("Host".to_owned(), address.to_string()), date.clone()];
    let signed = Signed { method, target, headers: &headers, body };
    vec![date, ("Authorization".to_owned(), authorization(access_key, secret, &signed))]
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(value) => {
                out.push(value);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Numbers that look random and are the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Text for a path or query: plain, escaped, what should have been escaped and need not be, any
    /// bytes.
    fn text(&mut self, delimiters: &[&str]) -> String {
        let pieces = [
            "a", "Z", "0", "-", "_", ".", "~", "%20", "%2B", "%2b", "%25", "%2F", "%C3%BC", "%FF",
            "%00", "%3D", "%26",
        ];
        (0..=self.below(8))
            .map(
                |_| {
                    if self.below(3) == 0 {
                        *self.one_of(delimiters)
                    } else {
                        *self.one_of(&pieces)
                    }
                },
            )
            .collect()
    }
}

#[test]
fn ten_thousand_random_requests_are_signed_alike() {
    const REQUESTS: usize = 10_000;
    // One caller sends all of them, as fast as it can.
    let estate = Estate::with_settings("[limits]\ncaller_requests_burst = 20000\n");
    let server = estate.serve();
    let mut client = server.client();
    let mut numbers = Numbers(0x005E_ED0F_DA1B_00C0);
    let (mut right, mut wrong) = (0, 0);
    for number in 0..REQUESTS {
        let is_post = numbers.below(2) == 0;
        let path_delimiters = ["!", "$", "'", "(", ")", "*", "+", ",", ";", "=", ":", "@", "&"];
        let query_delimiters = ["!", "$", "'", "(", ")", "*", ",", ";", ":", "@", "/", "?"];
        let (first, second) = (numbers.text(&path_delimiters), numbers.text(&path_delimiters));
        let mut target = if is_post {
            format!("/v1/{first}/audit/{second}/operation-log")
        } else {
            format!("/v2/{first}/instances/{second}/audit-logs")
        };
        if numbers.below(8) == 0 {
            target.push('/');
        }
        for position in 0..numbers.below(5) {
            target.push(if position == 0 { '?' } else { '&' });
            target.push_str(&numbers.text(&query_delimiters));
            if numbers.below(4) > 0 {
                target.push('=');
                target.push_str(&numbers.text(&query_delimiters));
            }
        }
        let body: Vec<u8> = (0..numbers.below(40)).map(|_| numbers.below(256) as u8).collect();
        let mut headers = vec![("X-Sdk-Date".to_owned(), sdk_date(now()))];
        let optional = [
            ("Host", client.host.as_str()),
            ("Content-Type", "application/json;charset=UTF-8"),
            ("User-Agent", "huaweicloud-usdk-go/3.0; app/ü"),
            ("X-Project-Id", "  p  "),
            ("Accept", "*/*"),
        ];
        for (name, value) in optional {
            if numbers.below(2) == 0 {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let method = if is_post { "POST" } else { "GET" };
        let signed = Signed { method, target: &target, headers: &headers, body: &body };
        let shown = authorization(&key_of("nobody"), SECRET_OF_ALL, &signed);
        let (mut body, mut expected) = (body.clone(), 403);
        if numbers.below(3) == 0 {
            expected = 401;
            match numbers.below(3) {
                0 => target += if target.contains('?') { "&q=1" } else { "?q=1" },
                1 => body.push(b'x'),
                _ => headers[0].1 = sdk_date(now() + 1),
            }
        }
        headers.push(("Authorization".to_owned(), shown));
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| name != "Host")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = client.request(method, &target, &headers, &body).unwrap();
        assert_eq!(
            answer.status,
            expected,
            "request {number}: {method} {target}: {}",
            answer.text()
        );
        if expected == 403 { right += 1 } else { wrong += 1 }
    }
    println!("{right} right and {wrong} wrong signatures, judged alike");
}
