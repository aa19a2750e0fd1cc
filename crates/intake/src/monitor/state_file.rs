//! State files beside the log, which may be lost: a line with a magic text and the SHA-256 of the
//! rest in hex, then one JSON object.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The bytes of a state file.
pub fn write(magic: &str, state: &impl Serialize) -> Vec<u8> {
    let body = serde_json::to_string(state).expect("numbers and texts") + "\n";
    format!("{magic} {}\n{body}", hex::encode(Sha256::digest(&body))).into_bytes()
}

/// Reads a state file. The error says what is wrong with the bytes.
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
    fn a_state_file_reads_back_or_not_at_all() {
        let state = vec!["a\"\n".to_owned(), "b".to_owned()];
        let bytes = write("daybook test 1", &state);
        assert_eq!(read::<Vec<String>>("daybook test 1", &bytes), Ok(state));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(read::<Vec<String>>("daybook test 1", &other).is_err(), "{at}");
            assert!(read::<Vec<String>>("daybook test 1", &bytes[..at]).is_err(), "{at}");
        }
        assert!(read::<Vec<String>>("daybook test 2", &bytes).is_err());
    }
}
