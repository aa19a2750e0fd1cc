//! Access-key secrets at rest.
//!
//! Verifying a signature needs the secret itself, so it cannot be hashed. It is encrypted with
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under a key that has a file of its own, so that
//! a copy of `access.toml` alone reveals no secret. The access key's id is authenticated with it:
//! an encrypted secret cannot be moved to another access key.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::digest::decode_hex;

const NONCE_BYTES: usize = 24;

/// The bits of a file's mode that let others than its owner read or change it.
const OTHERS: u32 = 0o077;

/// Errs if others than its owner may read or change the file of a key, as ssh does. A file that is
/// not there is left to its reader.
pub fn check_private(path: &Path) -> Result<(), String> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(format!(
        "others than its owner may use the key {path} (mode {mode:03o}): run `chmod 600 {path}`, \
         and replace the key if someone did"
    ))
}

/// The key that encrypts secrets.
pub struct SecretsKey {
    cipher: XChaCha20Poly1305,
    bytes: Zeroizing<[u8; 32]>,
}

/// A secret in memory. Its debug form does not reveal it, and it is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl SecretsKey {
    /// Content of the file of a new key: 64 hex digits and a newline.
    pub fn file_of(key: [u8; 32]) -> Vec<u8> {
        format!("{}\n", hex::encode(key)).into_bytes()
    }

    /// Reads the key of a data directory.
    pub fn read(data_dir: &Path) -> Result<SecretsKey, String> {
        let path = data_dir.join(store::SECRETS_KEY);
        check_private(&path)?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("couldn't read {}: {error}", path.display()))?;
        let text = Zeroizing::new(text);
        let key: [u8; 32] = decode_hex(text.trim())
            .ok_or_else(|| format!("{} does not hold 64 hex digits", path.display()))?;
        Ok(SecretsKey::new(key))
    }

    fn new(key: [u8; 32]) -> SecretsKey {
        SecretsKey { cipher: XChaCha20Poly1305::new(&key.into()), bytes: Zeroizing::new(key) }
    }

    /// A key for another purpose: HMAC-SHA256 of its name, so that neither key reveals the other.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*self.bytes)
            .expect("HMAC takes keys of any length")
            .chain_update(purpose)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Encrypts the secret of the access key with this id; `nonce` must be random.
    pub fn encrypt(&self, id: &str, secret: &Secret, nonce: [u8; NONCE_BYTES]) -> String {
        let payload = Payload { msg: secret.expose().as_bytes(), aad: id.as_bytes() };
        let encrypted = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a secret is far below the cipher's limit");
        hex::encode(nonce) + &hex::encode(&encrypted)
    }

    /// Decrypts the result of [`SecretsKey::encrypt`] for the same id.
    pub fn decrypt(&self, id: &str, encrypted: &str) -> Option<Secret> {
        let bytes = hex::decode(encrypted).ok()?;
        let (nonce, encrypted) = bytes.split_at_checked(NONCE_BYTES)?;
        let secret = self
            .cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: encrypted, aad: id.as_bytes() })
            .ok()?;
        String::from_utf8(secret).ok().map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("room");
        let path = folder.path().join("key");
        assert_eq!(check_private(&path), Ok(()), "nothing there");
        std::fs::write(&path, "").expect("room");
        for (mode, expected) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, permissions).expect("ours");
            assert_eq!(check_private(&path).is_ok(), expected, "{mode:o}");
        }
    }

    #[test]
    fn a_secret_is_decrypted_only_for_its_own_key() {
        let key = SecretsKey::new([1; 32]);
        let encrypted = key.encrypt("AK1", &Secret::new("s3cret".to_owned()), [2; NONCE_BYTES]);
        assert!(!encrypted.contains("s3cret") && !encrypted.contains(&hex::encode(b"s3cret")));
        assert_eq!(key.decrypt("AK1", &encrypted).expect("the key fits").expose(), "s3cret");
        let changed =
            format!("{}{}", if encrypted.starts_with('0') { "1" } else { "0" }, &encrypted[1..]);
        for (key, id, encrypted) in [
            (&key, "AK2", encrypted.as_str()),
            (&SecretsKey::new([9; 32]), "AK1", &encrypted),
            (&key, "AK1", &changed),
            (&key, "AK1", &encrypted[..40]),
            (&key, "AK1", "no hex"),
        ] {
            assert!(key.decrypt(id, encrypted).is_none(), "{id} {encrypted}");
        }
    }
}
