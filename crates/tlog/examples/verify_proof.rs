//! Checks that an event is in a log, with nothing but the log's verifier key.
//!
//! ```sh
//! cargo run -p tlog --example verify_proof -- log.vkey event.proof
//! ```

use std::error::Error;
use std::{env, fs};

use sha2::{Digest, Sha256};
use tlog::{ProofFile, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [key, proof] = &arguments[..] else {
        return Err("usage: verify_proof KEY PROOF".into());
    };
    // The key comes from the log's operator, by a way that does not lead through the server.
    let key = Verifier::parse(fs::read_to_string(key)?.trim())?;
    let proof = ProofFile::parse(&fs::read(proof)?)?;
    // Without `entry=true` the proof comes alone, and the entry has to come from elsewhere.
    let entry = proof.extra.as_ref().ok_or("the proof has no entry; fetch it with ?entry=true")?;
    // Three checks: the key signed the checkpoint, the checkpoint is of the log with this key, and
    // the path leads from the entry's digest to the checkpoint's root.
    let checkpoint = proof.verify(&Sha256::digest(entry).into(), &key)?;
    println!(
        "verified: event {} is in {}, which has {} events",
        proof.index, checkpoint.origin, checkpoint.size
    );
    println!("{}", String::from_utf8_lossy(entry));
    Ok(())
}
