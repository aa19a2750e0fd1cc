//! Manifests: the facts of an export, signed by the log.
//!
//! The receipt of a manifest is a signed note (C2SP signed-note) whose text has these lines, in
//! this order:
//!
//! ```text
//! daybook-export/v1
//! origin <the log's origin>
//! tree <number of events> <root, base64>
//! caller <id of the user>
//! trails <how many the question covers> <SHA-256 over their names, each with a line feed, base64>
//! question <the search with absolute times, as a JSON string>
//! format <ndjson, csv, parquet or ocsf>
//! rows <rows of the file>
//! digests <SHA-256 over the digests of the rows' entries, in order, base64>
//! file <bytes of the file> <SHA-256 of it, base64>
//! ```
//!
//! The first line is no origin that the key could have, so no receipt can pass for a
//! checkpoint. It has no time: the same export has the same manifest as long as the log has the
//! same keys.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use find::export::{Export, Totals, hash_of_lines};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tlog::{Checkpoint, Hash, Malformed, Note};

const FIRST_LINE: &str = "daybook-export/v1";

/// The facts of an export. Hashes are in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The log's origin.
    pub origin: String,
    /// The question with absolute times, as a search.
    pub question: String,
    /// `ndjson`, `csv`, `parquet` or `ocsf`.
    pub format: String,
    /// How many events the log had for this answer.
    pub tree_size: u64,
    /// Root of the tree of that size.
    pub root: String,
    /// Id of the user who requested it.
    pub caller: String,
    /// The trails of the question that the caller may see.
    pub trails: Vec<String>,
    /// Rows of the file.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// SHA-256 over the digests of the rows' entries, in order.
    pub digests: String,
    /// All of it, signed by the log: a signed note.
    pub receipt: String,
}

impl Manifest {
    /// The manifest of signed facts over these trails; `receipt` is the signed note.
    pub fn of(facts: &Facts, trails: Vec<String>, receipt: String) -> Manifest {
        let Facts { tree, caller, question, format, totals, .. } = facts;
        Manifest {
            origin: tree.origin.clone(),
            question: question.clone(),
            format: format.clone(),
            tree_size: tree.size,
            root: hex::encode(tree.root),
            caller: caller.clone(),
            trails,
            rows: totals.rows,
            bytes: totals.bytes,
            sha256: hex::encode(totals.sha256),
            digests: hex::encode(totals.digests),
            receipt,
        }
    }

    /// Pretty JSON with a line feed at its end.
    pub fn json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("texts and numbers");
        json.push(b'\n');
        json
    }

    /// The value of the trailer.
    pub fn header_value(&self) -> String {
        BASE64_STANDARD.encode(self.json())
    }

    /// Whether every member agrees with the signed text.
    pub fn agrees(&self, facts: &Facts) -> bool {
        let Facts { tree, caller, trails, question, format, totals } = facts;
        let of_trails = hash_of_lines(&self.trails);
        (&self.origin, self.tree_size, &self.root)
            == (&tree.origin, tree.size, &hex::encode(tree.root))
            && (&self.caller, &self.question, &self.format) == (caller, question, format)
            && (self.trails.len() as u64, of_trails) == *trails
            && (self.rows, self.bytes) == (totals.rows, totals.bytes)
            && (&self.sha256, &self.digests)
                == (&hex::encode(totals.sha256), &hex::encode(totals.digests))
    }
}

/// The facts that the receipt signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The state of the log behind the export.
    pub tree: Checkpoint,
    /// Id of the user who requested it.
    pub caller: String,
    /// The number of trails, and the hash of their names.
    pub trails: (u64, Hash),
    /// The search with absolute times.
    pub question: String,
    /// `ndjson`, `csv`, `parquet` or `ocsf`.
    pub format: String,
    /// Rows, bytes and hashes.
    pub totals: Totals,
}

impl Facts {
    /// The facts of an export with these totals, over a state of the log.
    pub fn of(export: &Export, totals: Totals, tree: Checkpoint) -> Facts {
        Facts {
            tree,
            caller: export.caller.clone(),
            trails: (export.query.trails.len() as u64, export.trails()),
            question: export.question.clone(),
            format: export.format.as_str().to_owned(),
            totals,
        }
    }

    /// The text to be signed.
    pub fn text(&self) -> String {
        let encode = |hash: &Hash| BASE64_STANDARD.encode(hash);
        let Facts { tree, caller, trails, question, format, totals } = self;
        format!(
            "{FIRST_LINE}\norigin {}\ntree {} {}\ncaller {caller}\ntrails {} {}\nquestion {}\nformat {format}\nrows {}\ndigests {}\nfile {} {}\n",
            tree.origin,
            tree.size,
            encode(&tree.root),
            trails.0,
            encode(&trails.1),
            escaped(question),
            totals.rows,
            encode(&totals.digests),
            totals.bytes,
            encode(&totals.sha256),
        )
    }

    /// Reads a note. Its signature is still to be verified.
    pub fn open(receipt: &str) -> Result<(Note, Facts), Malformed> {
        let note = Note::parse(receipt.as_bytes())?;
        let facts = Facts::parse(note.text())?;
        Ok((note, facts))
    }

    fn parse(text: &str) -> Result<Facts, Malformed> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(Malformed("the first line is not that of an export's receipt"));
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
        let number_and_hash = |text: &str| {
            let (one, other) = text.split_once(' ').ok_or(malformed)?;
            Ok((number(one)?, hash(other)?))
        };
        let origin = field("origin")?.to_owned();
        let (size, root) = number_and_hash(field("tree")?)?;
        let caller = field("caller")?.to_owned();
        let trails = number_and_hash(field("trails")?)?;
        let question = serde_json::from_str(field("question")?).map_err(|_| malformed)?;
        let format = field("format")?.to_owned();
        let (rows, digests) = (number(field("rows")?)?, hash(field("digests")?)?);
        let (bytes, sha256) = number_and_hash(field("file")?)?;
        let totals = Totals { rows, bytes, sha256, digests };
        Ok(Facts {
            tree: Checkpoint { origin, size, root },
            caller,
            trails,
            question,
            format,
            totals,
        })
    }
}

/// A JSON string, without line feeds and other control characters, which a note has none of.
fn escaped(question: &str) -> String {
    serde_json::to_string(question).expect("a text").replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            tree: Checkpoint { origin: "example.com/log".to_owned(), size: 9, root: [1; 32] },
            caller: "auditor".to_owned(),
            trails: (2, [2; 32]),
            question: "\"a\nb\u{7f}\" actor:李雷".to_owned(),
            format: "csv".to_owned(),
            totals: Totals { rows: 3, bytes: 4, sha256: [3; 32], digests: [4; 32] },
        }
    }

    #[test]
    fn texts_there_and_back() {
        let text = facts().text();
        assert_eq!(Facts::parse(&text), Ok(facts()));
        assert!(Note::new(text).is_ok());
    }

    #[test]
    fn other_texts_are_refused() {
        let text = facts().text();
        for (from, to) in [
            ("daybook-export/v1", "daybook-receipt/v1"),
            ("tree 9", "tree -9"),
            ("rows 3", "rows"),
            ("file 4 Aw", "file 4 w"),
            ("question \"", "question "),
        ] {
            assert!(text.contains(from), "{text}");
            assert!(Facts::parse(&text.replace(from, to)).is_err(), "{from} -> {to}");
        }
        for end in 0..text.len() - 1 {
            if text.is_char_boundary(end) {
                assert!(Facts::parse(&text[..end]).is_err(), "cut at {end}");
            }
        }
    }
}
