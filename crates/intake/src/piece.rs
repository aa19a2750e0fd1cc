//! Pieces of files. Nobody can react to a refusal, so no piece is refused: one that is no envelope
//! of the format, or too large for one, is halved between records until it can be used. The rest
//! goes to the dead-letter queue.

use formats::{Continuation, EnvelopeError, FilePosition, Format, Limits, RejectedRecord};
use store::{Append, Log, OnConflict};

use crate::intake::{DeliveryCounts, Intake};
use crate::pipeline::{Arrival, Delivery, Input, IntakeError, Rejection, Room, prepare_within};

/// Parses and encodes a piece of a file, in as many deliveries as it takes. `arrival` names the
/// file and the position of the piece.
pub fn prepare_piece(
    bytes: &[u8],
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Vec<Delivery> {
    let room = Room { bytes_max: usize::MAX, take: &mut |_| true };
    prepare_piece_within(room, bytes, arrival, intake, limits, log)
}

/// [`prepare_piece`], with bounds on the memory for what is made of the piece. Where there is no
/// more, the deliveries are not those of the piece, and the caller drops them.
pub fn prepare_piece_within(
    room: Room<'_>,
    bytes: &[u8],
    arrival: Arrival<'_>,
    intake: &Intake,
    limits: Limits,
    log: &Log,
) -> Vec<Delivery> {
    let Room { bytes_max, take } = room;
    let mut prepared = Vec::with_capacity(1);
    halve(bytes, intake.source.format, &mut |some, at, last_try| {
        let position = arrival
            .position
            .map(|FilePosition { file, offset }| FilePosition { file, offset: offset + at });
        let error = match prepare_within(
            Room { bytes_max, take: &mut *take },
            Input::Body(some),
            Arrival { position, ..arrival },
            intake,
            limits,
            log,
        ) {
            Ok(one) => {
                prepared.push(one);
                return true;
            }
            Err(IntakeError::Envelope(error)) => error.to_string(),
            // Smaller parts would find no room either.
            Err(IntakeError::Overloaded) => return true,
            // The log has no part in this yet.
            Err(refused) => format!("{refused:?}"),
        };
        if last_try {
            prepared.push(rejected(some, error, arrival, intake));
        }
        last_try
    });
    prepared
}

/// Parses a piece without a log: the items of each part that is an envelope, and the error of each
/// other part.
pub fn parse_piece<T>(
    bytes: &[u8],
    format: Format,
    mut parse: impl FnMut(&[u8]) -> Result<T, EnvelopeError>,
) -> Vec<Result<T, String>> {
    let mut parts = Vec::with_capacity(1);
    halve(bytes, format, &mut |some, _, last_try| match parse(some) {
        Ok(part) => {
            parts.push(Ok(part));
            true
        }
        Err(error) if last_try => {
            parts.push(Err(error.to_string()));
            true
        }
        Err(_) => false,
    });
    parts
}

/// Offers a piece to `is_used`, or its halves, and theirs, in order, each with its start and
/// whether it is a single record.
fn halve(bytes: &[u8], format: Format, is_used: &mut dyn FnMut(&[u8], u64, bool) -> bool) {
    let mut waiting = vec![(0, bytes)];
    while let Some((at, some)) = waiting.pop() {
        let cut = middle(some, format);
        if is_used(some, at as u64, cut.is_none()) {
            continue;
        }
        if let Some(cut) = cut {
            waiting.push((at + cut, &some[cut..]));
            waiting.push((at, &some[..cut]));
        }
    }
}

/// The position of a cut between records, near the middle; `None` for a single record.
fn middle(bytes: &[u8], format: Format) -> Option<usize> {
    let is_cut = |cut: &usize| (1..bytes.len()).contains(cut);
    let before =
        Some(format.complete_bytes(&bytes[..bytes.len() / 2], Continuation::More)).filter(is_cut);
    before.or_else(|| {
        let rest = &bytes[bytes.len() / 2..];
        let line = bytes.len() / 2 + rest.iter().position(|&byte| byte == b'\n')? + 1;
        Some(format.complete_bytes(&bytes[..line], Continuation::More)).filter(is_cut)
    })
}

fn rejected(bytes: &[u8], reason: String, arrival: Arrival<'_>, intake: &Intake) -> Delivery {
    Delivery {
        append: Append {
            source: intake.source.name.clone(),
            received_at: arrival.received_at,
            events: Vec::new(),
            rejected: vec![RejectedRecord { reason: reason.clone(), raw: bytes.to_vec() }],
            on_conflict: OnConflict::DeadLetter,
            is_own: false,
        },
        event_positions: Vec::new(),
        rejections: vec![Rejection { position: 0, reason }],
        counts: DeliveryCounts { is_from_file: true, ..DeliveryCounts::of(arrival.received_at, 1) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(name: &str) -> Format {
        name.parse().expect("a format")
    }

    #[test]
    fn a_piece_is_halved_until_what_is_wrong_stands_alone() {
        let lines = b"one\ntwo\nthree\nbad\nfour\nfive";
        let mut used = Vec::new();
        halve(lines, format("nginx-json"), &mut |some, at, last_try| {
            let is_good = !some.windows(3).any(|three| three == b"bad");
            if is_good || last_try {
                used.push((at, String::from_utf8_lossy(some).into_owned(), is_good));
            }
            is_good || last_try
        });
        let joined: String = used.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(joined.as_bytes(), lines, "nothing is lost, and nothing is put twice");
        assert_eq!(used.iter().filter(|(_, _, is_good)| !is_good).count(), 1);
        assert!(used.contains(&(14, "bad\n".to_owned(), false)), "{used:?}");
    }

    #[test]
    fn every_piece_has_an_end() {
        for piece in [
            &b""[..],
            b"\n",
            b"\n\n\n",
            b"x",
            b"x\n",
            b"a long line and\na short",
            b"\na long line without end",
        ] {
            for format in Format::ALL {
                let mut parts = 0;
                halve(piece, *format, &mut |_, _, last_try| {
                    parts += usize::from(last_try);
                    last_try
                });
                assert!(parts <= piece.len().max(1), "{format:?}");
            }
        }
    }
}
