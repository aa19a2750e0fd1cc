//! No body takes four times its bytes in memory while it is parsed, whatever it holds.
//!
//! The bodies are made to be the worst: bytes that are a field, an element or a record each, and
//! captures of real programs of which one list or object was filled up. A body is 1 MiB, and the
//! limits are a thirty-second of the default ones, so that each has the weight that it has in the
//! largest body; `DAYBOOK_BODY_MIB=32` takes the largest body and the default limits, and
//! `DAYBOOK_FORMAT` only one format.

#![allow(clippy::unwrap_used)]

mod bodies;

use event::{EventId, Service, Time, Trail};
use formats::{Context, Continuation, FilePosition, Format, Limits, Options};
use peak_alloc::PeakAlloc;

use bodies::Body;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most memory for a body, its own bytes included.
const RATIO_MAX: f64 = 4.0;

/// The largest body, with which the default limits go.
const LARGEST_BYTES: usize = 32 << 20;

fn body_bytes() -> usize {
    let mib = std::env::var("DAYBOOK_BODY_MIB").map_or(1, |text| text.parse().unwrap());
    mib << 20
}

fn limits(body_bytes: usize) -> Limits {
    let Limits { events_max, event_bytes_max } = Limits::default();
    let scaled = |limit: usize| limit * body_bytes / LARGEST_BYTES;
    Limits { events_max: scaled(events_max), event_bytes_max: scaled(event_bytes_max) }
}

/// The memory that `work` takes at most at once.
fn taken_by(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

fn parse(format: Format, body: &Body, limits: Limits, is_from_file: bool) {
    let trail = Trail::new(Service::Platform, "t", "p", "i").unwrap();
    let mut new_id = || EventId::v7(Time::from_unix_ns(0), [0; 10]);
    let options = Options { records_noise: true, ..Options::default() };
    let mut context = Context::new("s", &trail, Time::from_unix_ns(0), &mut new_id, &options);
    (context.limits, context.headers) = (limits, &body.headers);
    context.position = is_from_file.then_some(FilePosition { file: "f", offset: 0 });
    // What is made of the body is the concern of whoever takes it.
    let _ = format.parse_each(&body.bytes, &mut context, &mut |_| Ok(()));
}

/// The memory for a body in the way of parsing that takes most.
fn worst(format: Format, body: &Body, limits: Limits) -> usize {
    [false, true]
        .map(|is_from_file| taken_by(|| parse(format, body, limits, is_from_file)))
        .into_iter()
        .chain([Continuation::More, Continuation::Quiet].map(|continuation| {
            taken_by(|| {
                format.complete_bytes(&body.bytes, continuation);
            })
        }))
        .max()
        .unwrap()
}

#[test]
fn no_body_takes_four_times_its_bytes() {
    let (bytes, mut beyond) = (body_bytes(), Vec::new());
    let limits = limits(bytes);
    let wanted = std::env::var("DAYBOOK_FORMAT").ok();
    let is_wanted = |format: &&Format| wanted.as_ref().is_none_or(|one| *one == format.as_str());
    for &format in Format::ALL.iter().filter(is_wanted) {
        let (mut count, mut most) = (0, (0.0, String::new()));
        bodies::each(format.as_str(), bytes, limits, &mut |body| {
            let ratio = 1.0 + worst(format, body, limits) as f64 / body.bytes.len() as f64;
            count += 1;
            if ratio >= RATIO_MAX {
                beyond.push(format!("{}: {ratio:.1} for {}", format.as_str(), body.name));
            }
            if ratio > most.0 {
                most = (ratio, body.name.clone());
            }
        });
        println!("{}: {:.1} at most, of {count} bodies: {}", format.as_str(), most.0, most.1);
        assert!(count > 30, "{}", format.as_str());
    }
    assert!(beyond.is_empty(), "times their bytes:\n{}", beyond.join("\n"));
}
