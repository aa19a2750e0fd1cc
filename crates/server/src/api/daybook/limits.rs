//! `GET /api/v1/limits`: the limits in force, for programs that send or query within them.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Answer, Call, Refusal};
use config::Limit;

/// The limits in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Limits")]
pub struct List {
    limits: Vec<Limit>,
}

pub fn list(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("limits");
    call.caller()?;
    let limits = call.state.config().limits.list();
    let count = limits.len();
    Ok(Answer::json(StatusCode::OK, &List { limits }).with_rows(count, count as u64))
}
