//! `GET /api/v1/limits`: the limits in force, for whoever sends or asks and wants to keep within
//! them.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller;
use super::problem::Problem;
use crate::state::{Context, Note};
use config::Limit;
use net::{self, Request, Response};

/// The limits in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Limits")]
pub struct Answer {
    limits: Vec<Limit>,
}

pub fn list(
    request: &Request,
    context: &Context<'_>,
    note: &mut Note,
) -> Result<Response, Problem> {
    "limits".clone_into(&mut note.resource);
    caller(request, context, note)?;
    let limits = context.shared.config().limits.list();
    note.rows = Some((limits.len(), limits.len() as u64));
    Ok(net::json(StatusCode::OK, &Answer { limits }))
}
