//! The form of what is kept beside the log and can be lost: a line that begins with a magic text
//! and has a SHA-256 of the rest in hex, then one JSON object.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The bytes of what is kept.
pub fn write(magic: &str, kept: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_string(kept).expect("numbers and texts") + "\n";
    format!("{magic} {}\n{body}", hex::encode(Sha256::digest(&body))).into_bytes()
}

/// What was written; the reason where the bytes are not as they were.
pub fn read<T: DeserializeOwned>(magic: &str, bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let (digest, body) = text
        .strip_prefix(magic)
        .and_then(|rest| rest.strip_prefix(' ')?.split_once('\n'))
        .ok_or("it does not begin as it should")?;
    if digest != hex::encode(Sha256::digest(body)) {
        return Err("its checksum differs".to_owned());
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_or_not_at_all() {
        let kept = vec!["a\"\n".to_owned(), "b".to_owned()];
        let bytes = write("daybook test 1", &kept);
        assert_eq!(read::<Vec<String>>("daybook test 1", &bytes), Ok(kept));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(read::<Vec<String>>("daybook test 1", &other).is_err(), "{at}");
            assert!(read::<Vec<String>>("daybook test 1", &bytes[..at]).is_err(), "{at}");
        }
        assert!(read::<Vec<String>>("daybook test 2", &bytes).is_err());
    }
}
