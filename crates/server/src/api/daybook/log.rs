//! `GET /api/v1/log`: what a reader needs to check the log: its name, keys, newest checkpoint and
//! witnesses.

use std::time::Instant;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Answer, ApiError, Call, Refusal};

/// State of the log and its evidence.
#[derive(Serialize, JsonSchema)]
pub struct LogState {
    /// Name of the log in checkpoints.
    origin: String,
    /// Version of the server.
    version: String,
    /// Start of the server.
    started: String,
    /// Number of events.
    size: u64,
    /// Number of events that the newest checkpoint covers.
    signed_size: u64,
    checkpoint: Option<NewestCheckpoint>,
    /// Verifier keys that sign checkpoints, the oldest first.
    keys: Vec<String>,
    witnesses: Vec<WitnessState>,
}

#[derive(Serialize, JsonSchema)]
struct NewestCheckpoint {
    size: u64,
    /// Root of the tree, in hex.
    root: String,
    /// When this process signed it; null before it signed one.
    time: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct WitnessState {
    name: String,
    /// cosigned, behind or late.
    state: &'static str,
    /// Number of events of the newest checkpoint that it cosigned.
    cosigned: u64,
    /// Seconds for which it has been behind.
    behind_s: Option<u64>,
}

/// `GET /api/v1/log`
pub fn show(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("log");
    call.caller()?;
    let (state, now) = (call.state, Instant::now());
    let newest = state.evidence.newest();
    let checkpoint = match newest.size {
        0 if newest.note.is_empty() => None,
        size => Some(NewestCheckpoint {
            size,
            root: hex::encode(newest.root().map_err(ApiError::from)?),
            time: state.evidence.signed_at().map(|time| time.to_string()),
        }),
    };
    let witness =
        |(witness, stand): (&config::Witness, crate::evidence::witnesses::Stand)| WitnessState {
            name: witness.key.name().to_owned(),
            state: match stand.behind_since {
                _ if stand.is_bad => "late",
                Some(_) => "behind",
                None => "cosigned",
            },
            cosigned: stand.cosigned,
            behind_s: stand.behind_since.map(|since| now.duration_since(since).as_secs()),
        };
    let body = LogState {
        origin: state.log.contents().identity().origin.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: state.started_at.to_string(),
        size: state.log.head().0,
        signed_size: newest.size,
        checkpoint,
        keys: state.evidence.verifiers(),
        witnesses: state.witnesses.stands().map(witness).collect(),
    };
    // It says nothing of what anybody did.
    Ok(Answer::json(StatusCode::OK, &body).recorded())
}
