//! Passwords, stored as argon2id hashes (RFC 9106) in PHC form.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

/// Memory for one hash, in KiB, with 2 passes over it (the smaller of OWASP's recommended
/// settings).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// One hash is computed at a time, so that logins cannot take more than one processor and its
/// memory.
static HASHING: Mutex<()> = Mutex::new(());

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(MEMORY_KIB, PASSES, 1, None).expect("constants within the algorithm's ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a password, with a random salt.
pub fn hash(password: &str, salt: [u8; 16]) -> String {
    let _one = HASHING.lock().unwrap_or_else(PoisonError::into_inner);
    argon2()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .expect("a salt of 16 bytes")
        .to_string()
}

/// Whether the password has this hash. Without a hash the work is the same, and the result is
/// false.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let dummy = || {
        format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$AAAAAAAAAAAAAAAAAAAAAA${}",
            "A".repeat(43)
        )
    };
    let text = hash.map_or_else(dummy, str::to_owned);
    let _one = HASHING.lock().unwrap_or_else(PoisonError::into_inner);
    let is_right = PasswordHash::new(&text)
        .is_ok_and(|parsed| argon2().verify_password(password.as_bytes(), &parsed).is_ok());
    is_right && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_verifies() {
        let hash = hash("correct horse", [7; 16]);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse", Some(&hash)));
        assert!(!verify("correct horsf", Some(&hash)));
        assert!(!verify("", Some(&hash)));
        assert!(!verify("correct horse", Some("no hash")));
    }

    #[test]
    fn nobody_has_a_password_that_can_be_guessed() {
        assert!(!verify("", None));
        assert!(!verify("correct horse", None));
    }
}
