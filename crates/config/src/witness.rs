//! `[[witness]]`: witnesses that cosign checkpoints.

use serde::{Deserialize, Serialize};
use tlog::{Kind, Verifier};

use crate::setting::{Reload, Setting};

pub(crate) const SETTINGS: &[Setting] = &[
    Setting::structure(
        "witness.url",
        Reload::No,
        "URL of the witness with its scheme, without `/add-checkpoint`. Certificates are checked \
         with the machine's authorities, or with the file that `SSL_CERT_FILE` names.",
    ),
    Setting::structure(
        "witness.key",
        Reload::No,
        "Verifier key of the witness, for Ed25519 cosignatures (C2SP tlog-cosignature). \
         Cosignatures of other keys are ignored.",
    ),
];

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWitness {
    url: String,
    key: String,
}

/// A witness of checkpoints.
#[derive(Debug, Clone)]
pub struct Witness {
    /// URL to which `add-checkpoint` is appended, without a slash at the end.
    pub url: String,
    /// Verifier of its cosignatures.
    pub key: Verifier,
}

/// Most witnesses: with signatures of the log's own keys, a checkpoint has no more than the 16 that
/// every verifier accepts (C2SP signed-note, section Format).
const WITNESSES_MAX: usize = 12;

pub(crate) fn check_all(raws: &[RawWitness]) -> Result<Vec<Witness>, String> {
    let mut witnesses: Vec<Witness> = Vec::new();
    for raw in raws {
        let witness = check(raw).map_err(|why| format!("witness {:?}: {why}", raw.url))?;
        if witnesses.iter().any(|one| one.key == witness.key) {
            return Err(format!("witness {:?}: its key is declared twice", raw.url));
        }
        witnesses.push(witness);
    }
    if witnesses.len() > WITNESSES_MAX {
        return Err(format!(
            "{} witnesses are declared; the most is {WITNESSES_MAX}",
            witnesses.len()
        ));
    }
    Ok(witnesses)
}

fn check(raw: &RawWitness) -> Result<Witness, String> {
    let url = raw.url.trim_end_matches('/').to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("write the url with its scheme, such as https://witness.example.com".to_owned());
    }
    let key = Verifier::parse(&raw.key).map_err(|why| format!("key: {why}"))?;
    match key.kind() {
        Kind::Cosignature => Ok(Witness { url, key }),
        Kind::Note => Err("key: this is the key of a log, not of a witness".to_owned()),
    }
}
