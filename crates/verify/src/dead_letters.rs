//! The line of a checkpoint about dead letters. They are not events, so the log's tree does not
//! cover them. Once there are any, a line follows the three of C2SP tlog-checkpoint (an extension
//! line, which other verifiers ignore); its name is the one in format 1:
//!
//! ```text
//! set-aside <count> <root, base64>
//! ```
//!
//! The root is that of a tree like the log's, with the digests of the records as leaf data
//! (`docs/format.md`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use store::DeadLetter;
use tlog::{Hash, Malformed, Tree};

/// The name in format 1.
const NAME: &str = "set-aside ";

/// The line with its line feed; empty without dead letters.
pub fn line((count, root): (u64, Hash)) -> String {
    if count == 0 {
        String::new()
    } else {
        format!("{NAME}{count} {}\n", BASE64_STANDARD.encode(root))
    }
}

/// The number of dead letters that a checkpoint's text covers, and the root over them.
pub fn parse(text: &str) -> Result<(u64, Hash), Malformed> {
    let Some(line) = text.lines().nth(3) else { return Ok((0, Tree::new().root())) };
    let malformed = Malformed("the checkpoint's fourth line is not about dead letters");
    let (count, root) =
        line.strip_prefix(NAME).and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
    let root = BASE64_STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
    Ok((count.parse().map_err(|_| malformed)?, root.ok_or(malformed)?))
}

/// The root over the first `count` dead letters; `None` if there are fewer.
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
        assert_eq!(parse(text), Ok((0, Tree::new().root())));
        assert_eq!(line((0, [1; 32])), "");
        assert_eq!(parse(&format!("{text}{}", line((3, [1; 32])))), Ok((3, [1; 32])));
        for other in ["set-aside", "set-aside 3", "set-aside x AAAA", "set-aside 3 AAAA", "more"] {
            assert!(parse(&format!("{text}{other}\n")).is_err(), "{other}");
        }
    }
}
