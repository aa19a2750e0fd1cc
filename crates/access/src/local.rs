//! Requests of programs that can read the data directory, such as `daybook import`. They show that
//! with a key that only this directory has; a source's token alone does not.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::secrets::SecretsKey;

/// The header of the request with the proof.
pub const LOCAL_HEADER: &str = "x-daybook-local";
const PURPOSE: &str = "requests of local programs";

/// The key of a data directory's local programs.
pub struct LocalKey([u8; 32]);

impl LocalKey {
    /// The key of a data directory.
    pub fn read(data_dir: &Path) -> Result<LocalKey, String> {
        SecretsKey::read(data_dir).map(|key| LocalKey::of(&key))
    }

    pub(crate) fn of(key: &SecretsKey) -> LocalKey {
        LocalKey(key.derived(PURPOSE))
    }

    /// The proof for a request to a source's intake, with its query as on the wire.
    pub fn prove(&self, source: &str, query: &str, body: &[u8]) -> String {
        hex::encode(self.mac(source, query, body).finalize().into_bytes())
    }

    /// Whether this is the proof for such a request.
    pub fn verifies(&self, source: &str, query: &str, body: &[u8], shown: &str) -> bool {
        hex::decode(shown)
            .is_ok_and(|shown| self.mac(source, query, body).verify_slice(&shown).is_ok())
    }

    fn mac(&self, source: &str, query: &str, body: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes keys of any length")
            .chain_update(format!("{source}\n{query}\n"))
            .chain_update(Sha256::digest(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_request_and_its_directory_alone() {
        let key = LocalKey([1; 32]);
        let proof = key.prove("hub", "import=begins", b"a.log");
        assert!(key.verifies("hub", "import=begins", b"a.log", &proof));
        for (key, source, query, body, shown) in [
            (&LocalKey([2; 32]), "hub", "import=begins", b"a.log", proof.as_str()),
            (&key, "own", "import=begins", b"a.log", &proof),
            (&key, "hub", "import=begin", b"a.log", &proof),
            (&key, "hub", "import=begins", b"b.log", &proof),
            (&key, "hub", "import=begins", b"a.log", &proof[2..]),
            (&key, "hub", "import=begins", b"a.log", ""),
            (&key, "hub", "import=begins", b"a.log", "no hex"),
        ] {
            assert!(!key.verifies(source, query, body, shown), "{source} {query} {shown}");
        }
    }
}
