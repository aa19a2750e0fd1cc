//! Receipts: an answer, its caller and the state of the log, signed by the log.
//!
//! A receipt is a signed note (C2SP signed-note) whose text has these lines, in this order:
//!
//! ```text
//! daybook-receipt/v1
//! origin <the log's origin>
//! tree <number of events> <root, base64>
//! time <RFC 3339>
//! caller <id of the user, or nothing>
//! asked <method, path and query; then the SHA-256 of the body, base64, when there was one>
//! rows <rows of the answer> <rows that match>
//! indexes <where in the log each row is, in the order of the answer>
//! digests <SHA-256 over the digests of the rows' entries in that order, base64>
//! body <SHA-256 of the answer's body, base64>
//! ```
//!
//! Indexes are base64 over varints (LEB128) of the differences to the one before, the first to 0,
//! folded so that those of either sign are short. The first line is no origin that the key could
//! have, so no receipt can pass for a checkpoint.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use event::Time;
use sha2::{Digest, Sha256};
use tlog::{Checkpoint, Hash, Malformed, Note};

/// The header that requests a receipt with the value `true`, and that carries it: the note in
/// base64.
pub const HEADER: &str = "x-daybook-receipt";

const FIRST_LINE: &str = "daybook-receipt/v1";
/// A longer request line is cut, so that the receipt fits into a header.
const REQUEST_BYTES_MAX: usize = 2048;

/// The facts of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The state of the log behind the answer.
    pub tree: Checkpoint,
    /// The time of the answer.
    pub at: String,
    /// Id of the user, or nothing.
    pub caller: String,
    /// Method, path and query, and the hash of a body.
    pub request: String,
    /// The number of rows that match.
    pub total: u64,
    /// The position of each row in the log.
    pub indexes: Vec<u64>,
    /// SHA-256 over the digests of the rows' entries.
    pub digests: Hash,
    /// SHA-256 of the answer's body.
    pub body: Hash,
}

/// SHA-256 over digests in their order.
pub fn digest_of(digests: &[Hash]) -> Hash {
    Sha256::digest(digests.as_flattened()).into()
}

/// The request in one line; the name of that line is `asked` in the receipt.
pub fn request_line(method: &str, path: &str, query: &str, body: &[u8]) -> String {
    let question = if query.is_empty() { "" } else { "?" };
    let mut line = format!("{method} {path}{question}{query}");
    // Paths and queries are ASCII on the wire, but nothing checks that here.
    line.retain(|c| c.is_ascii_graphic() || c == ' ');
    line.truncate(REQUEST_BYTES_MAX);
    if !body.is_empty() {
        line = format!("{line} {}", BASE64_STANDARD.encode(Sha256::digest(body)));
    }
    line
}

impl Receipt {
    /// The text to be signed.
    pub fn text(&self) -> String {
        let encode = |hash: &Hash| BASE64_STANDARD.encode(hash);
        format!(
            "{FIRST_LINE}\norigin {}\ntree {} {}\ntime {}\ncaller {}\nasked {}\nrows {} {}\nindexes {}\ndigests {}\nbody {}\n",
            self.tree.origin,
            self.tree.size,
            encode(&self.tree.root),
            self.at,
            self.caller,
            self.request,
            self.indexes.len(),
            self.total,
            BASE64_STANDARD.encode(pack(&self.indexes)),
            encode(&self.digests),
            encode(&self.body),
        )
    }

    /// Reads a note's text.
    pub fn parse(text: &str) -> Result<Receipt, Malformed> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(Malformed("the first line is not that of a receipt"));
        }
        let malformed = Malformed("the receipt lacks a line, or has one that makes no sense");
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            line.and_then(|line| line.strip_prefix(' ')).ok_or(malformed)
        };
        let hash = |text: &str| -> Result<Hash, Malformed> {
            BASE64_STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or(malformed)
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| malformed);
        let origin = field("origin")?.to_owned();
        let (size, root) = field("tree")?.split_once(' ').ok_or(malformed)?;
        let tree = Checkpoint { origin, size: number(size)?, root: hash(root)? };
        let (at, caller, request) =
            (field("time")?.to_owned(), field("caller")?.to_owned(), field("asked")?.to_owned());
        let (rows, total) = field("rows")?.split_once(' ').ok_or(malformed)?;
        let indexes =
            BASE64_STANDARD.decode(field("indexes")?).ok().and_then(|bytes| unpack(&bytes));
        let indexes = indexes.ok_or(malformed)?;
        if number(rows)? != indexes.len() as u64 || indexes.iter().any(|index| *index >= tree.size)
        {
            return Err(malformed);
        }
        let (total, digests, body) =
            (number(total)?, hash(field("digests")?)?, hash(field("body")?)?);
        Ok(Receipt { tree, at, caller, request, total, indexes, digests, body })
    }

    /// Reads a header's value, or a file with it. The note's signature is still to be verified.
    pub fn open(value: &[u8]) -> Result<(Note, Receipt), Malformed> {
        let malformed = Malformed("a receipt is a signed note in base64");
        let value = std::str::from_utf8(value).map_err(|_| malformed)?.trim();
        // A client may have stored the header with its name.
        let value = match value.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case(HEADER) => value.trim(),
            _ => value,
        };
        let note = Note::parse(&BASE64_STANDARD.decode(value).map_err(|_| malformed)?)?;
        let receipt = Receipt::parse(note.text())?;
        Ok((note, receipt))
    }
}

/// The header's value for a note.
pub fn header_value(note: &str) -> String {
    BASE64_STANDARD.encode(note)
}

/// A time in the form of receipts.
pub fn time_text(at: Time) -> String {
    String::from_utf8_lossy(&at.text()).into_owned()
}

fn pack(indexes: &[u64]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::with_capacity(indexes.len() * 4), 0u64);
    for index in indexes {
        let difference = index.wrapping_sub(before).cast_signed();
        let mut folded = (difference << 1 ^ difference >> 63).cast_unsigned();
        while folded >= 0x80 {
            bytes.push(folded.to_le_bytes()[0] | 0x80);
            folded >>= 7;
        }
        bytes.push(folded.to_le_bytes()[0]);
        before = *index;
    }
    bytes
}

fn unpack(bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut indexes, mut before) = (Vec::new(), 0u64);
    let (mut folded, mut shift) = (0u64, 0u32);
    for byte in bytes {
        folded |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let difference = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
            before = before.wrapping_add(difference.cast_unsigned());
            indexes.push(before);
            (folded, shift) = (0, 0);
        } else {
            shift += 7;
        }
    }
    (shift == 0).then_some(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(indexes: Vec<u64>) -> Receipt {
        Receipt {
            tree: Checkpoint {
                origin: "example.com/log".to_owned(),
                size: u64::MAX,
                root: [1; 32],
            },
            at: "2026-11-20T00:00:00.000000000Z".to_owned(),
            caller: String::new(),
            request: request_line("POST", "/v1/a", "b=c", b"{}"),
            total: 9,
            indexes,
            digests: [2; 32],
            body: [3; 32],
        }
    }

    #[test]
    fn texts_there_and_back() {
        for indexes in [vec![], vec![0], vec![7, 3, 1 << 40, 0, u64::MAX - 1, 5]] {
            let receipt = receipt(indexes);
            assert_eq!(Receipt::parse(&receipt.text()), Ok(receipt));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let text = receipt(vec![5, 6]).text();
        for (from, to) in [
            ("daybook-receipt/v1", "daybook-receipt/v2"),
            ("rows 2", "rows 3"),
            ("tree 18446744073709551615", "tree 6"),
            ("time ", "tim "),
            ("body Aw", "body w"),
        ] {
            assert!(text.contains(from));
            assert!(Receipt::parse(&text.replace(from, to)).is_err(), "{from} -> {to}");
        }
        for end in 0..text.len() - 1 {
            assert!(Receipt::parse(&text[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_question_is_one_line_and_not_too_long() {
        let long = "x".repeat(5000);
        assert_eq!(request_line("GET", "/a\n", &long, b"").len(), REQUEST_BYTES_MAX);
        assert!(!request_line("GET", "/a\nb\u{7f}", "ü", b"").contains(['\n', 'ü', '\u{7f}']));
    }
}
