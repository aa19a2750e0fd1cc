//! What a checkpoint says of records set aside, which are not events and so not in the log's tree:
//! a line behind the three of C2SP tlog-checkpoint (an extension line, which others pass over),
//! once there are any:
//!
//! ```text
//! set-aside <how many> <root, base64>
//! ```
//!
//! The root is that of a tree made as the log's is, whose leaves' data are the records' digests
//! (`docs/format.md`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use store::DeadLetter;
use tlog::{Hash, Malformed, Tree};

const NAME: &str = "set-aside ";

/// The line, with its line feed; nothing when no record was set aside.
pub fn line((count, root): (u64, Hash)) -> String {
    if count == 0 {
        String::new()
    } else {
        format!("{NAME}{count} {}\n", BASE64_STANDARD.encode(root))
    }
}

/// How many records a checkpoint's text covers, and the root over them.
pub fn of(text: &str) -> Result<(u64, Hash), Malformed> {
    let Some(line) = text.lines().nth(3) else { return Ok((0, Tree::new().root())) };
    let malformed = Malformed("the checkpoint's fourth line does not tell of records set aside");
    let (count, root) =
        line.strip_prefix(NAME).and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
    let root = BASE64_STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
    Ok((count.parse().map_err(|_| malformed)?, root.ok_or(malformed)?))
}

/// The root over the first `count` records; `None` when there are not so many.
pub fn root_of(records: &[DeadLetter], count: u64) -> Option<Hash> {
    let mut tree = Tree::new();
    records
        .get(..usize::try_from(count).ok()?)?
        .iter()
        .for_each(|record| tree.push(&record.digest()));
    Some(tree.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_there_and_back() {
        let text = "example.com/log\n7\nroot\n";
        assert_eq!(of(text), Ok((0, Tree::new().root())));
        assert_eq!(line((0, [1; 32])), "");
        assert_eq!(of(&format!("{text}{}", line((3, [1; 32])))), Ok((3, [1; 32])));
        for other in ["set-aside", "set-aside 3", "set-aside x AAAA", "set-aside 3 AAAA", "more"] {
            assert!(of(&format!("{text}{other}\n")).is_err(), "{other}");
        }
    }
}
