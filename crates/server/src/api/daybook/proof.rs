//! `GET /api/v1/events/{index}/proof`: a file that proves one event to be in the log (C2SP
//! tlog-proof). `docs/api/tlog.md`.

use hyper::StatusCode;
use tlog::{NoProof, Note};

use super::problem::Problem;
use crate::api::evidence::{Denial, Piece, TEXT, check_reader};
use crate::api::{Answer, Call, Refusal, parameters};
use crate::evidence;
use access::rights::Action;

pub fn prove(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.concerns("tlog");
    check_reader(call).map_err(problem)?;
    let [index] = call.path();
    let unrecorded = |refusal: Refusal| refusal.recorded();
    let (index, is_with_entry) = parameters(call, index).map_err(unrecorded)?;
    // A proof without the event is not recorded: that would make the log grow without end.
    if !is_with_entry {
        return Ok(proof(call, index, None).map_err(unrecorded)?.answer(call));
    }
    let entry = entry(call, index)?;
    let mut answer =
        proof(call, index, Some(entry))?.answer(call).with_rows(1, 1).with_opened(index);
    answer.record.is_recorded = false;
    Ok(answer)
}

fn problem((status, code, text): Denial) -> Problem {
    Problem::new(status, code, text)
}

/// The event's index, and whether the entry is requested too.
fn parameters(call: &Call<'_>, index: &str) -> Result<(u64, bool), Refusal> {
    let index = parameters::digits(index, 0..=u64::MAX)
        .map_err(|_| Problem::malformed("an event's index is a decimal number"))?;
    // An empty value is none of the two, unlike in the wire APIs.
    match net::path::query_value(call.raw_query(), "entry").as_deref() {
        None | Some("false") => Ok((index, false)),
        Some("true") => Ok((index, true)),
        Some(_) => Err(Problem::malformed("entry is true or false").into()),
    }
}

/// The entry of an event, for a caller who may read the event's trail.
fn entry(call: &Call<'_>, index: u64) -> Result<Vec<u8>, Refusal> {
    let caller = call.caller()?;
    let event = call.state.log.stored_event(index)?;
    // The existence of the event is no secret, but its trail is.
    let event = event.filter(|event| caller.may(Action::ReadEvents, &event.trail));
    let event = event.ok_or_else(|| {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", "you may not read this event")
    })?;
    call.concerns(&event.trail);
    Ok(event.entry)
}

/// The proof file of an event, with the entry if there is one.
fn proof(call: &Call<'_>, index: u64, entry: Option<Vec<u8>>) -> Result<Piece, Refusal> {
    let (log, evidence) = (&call.state.log, &call.state.evidence);
    if index >= evidence.newest().size && index < log.head().0 {
        let text = "the event is not signed for yet; try again in a second";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unsigned", text).into());
    }
    // One that witnesses vouch for is worth more than a newer one.
    let witnessed = call.state.witnesses.witnessed().filter(|witnessed| index < witnessed.size);
    let signed = witnessed.unwrap_or_else(|| evidence.newest());
    let checkpoint = Note::parse(signed.note.as_bytes()).expect("it was signed here");
    match evidence::prove(log.contents(), checkpoint, signed.size, index, entry) {
        Ok(proof) => {
            let bytes = proof.to_string().into_bytes();
            Ok(Piece { bytes, content_type: TEXT, max_age: 0 })
        }
        Err(NoProof::OutOfRange) => Err(Problem::not_found("the log has no such thing").into()),
        Err(NoProof::Nodes(error)) => Err(error.into()),
    }
}
