//! Records of the Linux audit daemon: `audit.log`, raw or enriched, and the messages of its syslog
//! plugin.
//!
//! Records: <https://github.com/linux-audit/audit-documentation/wiki/SPEC-Audit-Event-Enrichment>
//! and <https://man7.org/linux/man-pages/man8/auditd.8.html>, and the captures in
//! `testdata/linux-audit/`. A record is a line, `[node=H ]type=T msg=audit(SECONDS.MMM:SERIAL):
//! fields`. The captures show, and this parser relies on:
//! - an event is all records of the same node, time and serial number. Records of different events
//!   may interleave, and nothing in the file marks the end but PROCTITLE, which is the last if
//!   there is one; syslog gets an EOE;
//! - a value with a space, a quote or a non-ASCII character is written in hexadecimal digits
//!   without quotes;
//! - enriched records have a byte 0x1D before the fields that the daemon added, whose names are in
//!   capitals;
//! - `auid` is the user who signed in, and stays through su and sudo; 4294967295 is nobody;
//! - the kernel numbers its events without gaps, from 1 at every boot. The daemon numbers its own
//!   events separately;
//! - over syslog each record is a message of its own, and EOE follows those of an event with
//!   several. Messages are joined like the lines of a file.

mod meaning;
mod record;
mod syscalls;

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::item::{Items, NoEvent, item_of};
use crate::lines::{complete_lines, lines};
use crate::open_events::{Open, complete_events};
use crate::spec::{Hooks, Spec, Syslog};
use crate::{Context, Continuation, Delivery, EnvelopeError, Item, Sequence};
use event::{Event, Origin, Resolution, Service};
use record::{Line, Record};

/// An open event is given up when a record is this much newer. The daemon waits as long for the end
/// of an event (`end_of_event_timeout` in auditd.conf).
const OPEN_MS_MAX: i64 = 2000;

/// An open event is given up after this many more lines.
const OPEN_LINES_MAX: usize = 1000;

/// If events overlap without end, a piece is cut after this many bytes, so that a file is never
/// stuck.
const OPEN_BYTES_MAX: usize = 1 << 20;

/// The reason to skip EOE: it ends an event for readers of the daemon's stream and says nothing
/// itself.
const END: &str = "the mark at the end of an event";

pub(crate) const SPEC: Spec = Spec {
    name: "linux-audit",
    about: "Linux: audit.log of the audit daemon, raw or enriched, and its records over syslog",
    service: Service::Platform,
    delivery: Delivery::Files("/var/log/audit/audit.log*"),
    heeds_errors: false,
    syslog: Syslog::Records(read_message, open),
    parse,
    complete_bytes,
    hooks: Hooks { sequence, ..Hooks::NONE },
};

/// The records of one event, or a line that is not a record.
enum Chunk<'a> {
    Records(Vec<&'a [u8]>),
    NoRecord(&'a [u8]),
    End,
}

pub(crate) fn parse(
    body: &[u8],
    context: &mut Context<'_>,
    items: &mut Items<'_>,
) -> Result<(), EnvelopeError> {
    let events_max = context.limits.events_max;
    let (mut chunks, mut open) = (Vec::new(), BTreeMap::new());
    for (_, line) in lines(body) {
        if chunks.len() > events_max {
            return Err(EnvelopeError::TooLarge(format!(
                "the body holds more than {events_max} events"
            )));
        }
        match record::line(line) {
            Some(Line { kind: "EOE", .. }) => chunks.push(Chunk::End),
            Some(record) if line.len() <= context.limits.event_bytes_max => {
                let (at, len_bytes) =
                    open.entry((record.node, record.event_id)).or_insert((chunks.len(), 0));
                // Records too large for one event continue in another.
                if *len_bytes + line.len() > context.limits.event_bytes_max {
                    (*at, *len_bytes) = (chunks.len(), 0);
                }
                *len_bytes += line.len() + 1;
                match chunks.get_mut(*at) {
                    Some(Chunk::Records(lines)) => lines.push(line),
                    _ => chunks.push(Chunk::Records(vec![line])),
                }
            }
            _ => chunks.push(Chunk::NoRecord(line)),
        }
    }
    if chunks.len() > events_max {
        return Err(EnvelopeError::TooLarge(format!(
            "the body holds more than {events_max} events"
        )));
    }
    let bytes_max = context.limits.event_bytes_max;
    let parse = |item| match item {
        Chunk::Records(lines) => item_of(read(&lines, context), &lines.join(&b'\n')),
        Chunk::NoRecord(line) if line.len() > bytes_max => item_of(
            Err(format!("event_too_large: {} bytes exceed {bytes_max}", line.len()).into()),
            line,
        ),
        Chunk::NoRecord(line) => item_of(Err("not an audit record".into()), line),
        Chunk::End => Item::Skipped(END),
    };
    chunks.into_iter().map(parse).try_for_each(|item| items.push(item))
}

/// Reads a record that came by itself.
fn read_message(message: &[u8], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let text = crate::spec::without_end(message);
    match record::line(text) {
        Some(Line { kind: "EOE", .. }) => Err(NoEvent::Skipped(END)),
        Some(_) => read(&[text], context).map(|event| Event { raw: message.to_vec(), ..event }),
        None => Err("not an audit record".into()),
    }
}

fn read(lines: &[&[u8]], context: &mut Context<'_>) -> Result<Event, NoEvent> {
    let records: Vec<Record<'_>> =
        lines.iter().filter_map(|line| record::line(line)).map(|line| line.record()).collect();
    let first = records.first().ok_or("not an audit record")?;
    let raw = lines.join(&b'\n');
    let meaning = meaning::of(&records);
    Ok(Event {
        id: (context.new_id)(),
        trail: context.trail.clone(),
        occurred_at: first.line.time,
        resolution: Resolution::Millisecond,
        actor: meaning.actor,
        source_ip: meaning.source_ip,
        user_agent: None,
        action: meaning.action,
        operation: meaning.operation,
        resource: meaning.resource,
        outcome: meaning.outcome,
        severity: meaning.severity,
        class: meaning.class,
        description: meaning.description,
        request_id: Some(first.line.event_id.to_owned()),
        trace_id: None,
        origin: Origin {
            source: context.source.to_owned(),
            format: SPEC.name.to_owned(),
            key: Some(key(&records, &raw)),
        },
        attributes: meaning.attributes,
        raw,
    })
}

/// Node, time and serial number. Records that came without the others of their event also have
/// their digest.
fn key(records: &[Record<'_>], raw: &[u8]) -> String {
    let Line { node, event_id, kind, .. } = records[0].line;
    let is_whole = meaning::is_alone(kind) || (records.len() > 1 && !meaning::is_detail(kind));
    if is_whole {
        return format!("{node}/{event_id}");
    }
    let hash: String =
        Sha256::digest(raw).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{node}/{event_id}/{kind}/{hash}")
}

/// The kernel's numbers, by node.
fn sequence(event: &Event) -> Option<Sequence> {
    let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
    if attribute("records")?.starts_with("DAEMON_") {
        return None;
    }
    let number = attribute("serial")?.parse().ok()?;
    Some(Sequence { stream: attribute("node").unwrap_or_default().to_owned(), number })
}

/// Marks the messages whose events have no end among them.
fn open(messages: &[&[u8]]) -> Vec<bool> {
    let lines: Vec<Option<Line<'_>>> =
        messages.iter().map(|message| record::line(message)).collect();
    let of = |line: &Line<'_>| (line.node.to_owned(), line.event_id.to_owned());
    let ended: BTreeSet<_> = lines.iter().flatten().filter(|line| is_end(line)).map(of).collect();
    lines.iter().map(|line| line.as_ref().is_some_and(|line| !ended.contains(&of(line)))).collect()
}

/// Whether only EOE can follow a record in its event.
fn is_end(line: &Line<'_>) -> bool {
    meaning::is_alone(line.kind) || matches!(line.kind, "PROCTITLE" | "EOE")
}

/// The position after the last line at which no event is open.
fn complete_bytes(piece: &[u8], continuation: Continuation) -> usize {
    let end = complete_lines(piece, continuation);
    if continuation != Continuation::More {
        return end;
    }
    let open = Open::new(OPEN_MS_MAX, OPEN_LINES_MAX);
    complete_events(&piece[..end], OPEN_BYTES_MAX, open, |open, line, number| {
        let line = record::line(line)?;
        let (id, time_ms) = ((line.node.to_owned(), line.event_id.to_owned()), line.time.unix_ms());
        if is_end(&line) {
            open.end(&id);
        } else {
            open.begin(id, number, time_ms);
        }
        Some(time_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, second: u32, serial: u32) -> String {
        format!("type={kind} msg=audit({second}.000:{serial}): a=b\n")
    }

    #[test]
    fn a_piece_is_cut_where_no_event_is_open() {
        let (syscall, proctitle) = (line("SYSCALL", 10, 1), line("PROCTITLE", 10, 1));
        let alone = line("USER_CMD", 10, 2);
        let open = line("SYSCALL", 10, 3);
        let later = line("USER_CMD", 12, 4);
        for (lines, expected) in [
            (vec![&syscall], 0),
            (vec![&syscall, &proctitle], 2),
            (vec![&alone], 1),
            (vec![&syscall, &alone], 0),
            (vec![&syscall, &open, &proctitle], 0),
            (vec![&alone, &open, &alone], 1),
            (vec![&open, &later], 2),
        ] {
            let piece: String = lines.iter().map(|line| line.as_str()).collect();
            let expected: usize = lines.iter().take(expected).map(|line| line.len()).sum();
            assert_eq!(complete_bytes(piece.as_bytes(), Continuation::More), expected, "{piece}");
            assert_eq!(complete_bytes(piece.as_bytes(), Continuation::Quiet), piece.len());
            assert_eq!(
                complete_bytes(&piece.as_bytes()[..piece.len() - 1], Continuation::Nothing),
                piece.len() - 1
            );
        }
    }

    #[test]
    fn messages_wait_for_the_end_of_their_event() {
        let (syscall, path) = (line("SYSCALL", 10, 1), line("PATH", 10, 1));
        let (alone, eoe, other) =
            (line("USER_CMD", 10, 2), line("EOE", 10, 1), line("SYSCALL", 11, 1));
        let of =
            |lines: &[&str]| open(&lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
        assert_eq!(of(&[&syscall, &alone, "no record", &path]), [true, false, false, true]);
        assert_eq!(
            of(&[&syscall, &alone, &path, &eoe, &other]),
            [false, false, false, false, true]
        );
        assert_eq!(of(&[]), [false; 0]);
    }

    #[test]
    fn an_open_event_is_not_waited_for_for_ever() {
        let mut piece = line("SYSCALL", 10, 1);
        for serial in 2..1002 {
            piece.push_str(&line("USER_CMD", 10, serial));
        }
        assert_eq!(complete_bytes(piece.as_bytes(), Continuation::More), 0);
        piece.push_str(&line("USER_CMD", 10, 1002));
        assert_eq!(complete_bytes(piece.as_bytes(), Continuation::More), piece.len());
        // Events that overlap without end.
        let mut piece = String::new();
        for serial in 1..30_000 {
            piece.push_str(&line("SYSCALL", 10, serial + 1));
            piece.push_str(&line("PROCTITLE", 10, serial));
        }
        assert!(piece.len() > OPEN_BYTES_MAX);
        assert_eq!(complete_bytes(piece.as_bytes(), Continuation::More), piece.len());
        assert_eq!(complete_bytes(&piece.as_bytes()[..100_000], Continuation::More), 0);
    }
}
