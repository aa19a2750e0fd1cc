//! `daybook show`: all of one event.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{ArgGroup, ValueEnum};

use super::pipe::end_with_the_reader;
use super::question::LogLocation;
use super::reach::shell_word;
use super::rows;
use super::screen::{DisplayOptions, Screen, Tone, safe_json, with_commas};
use super::{say, say_bytes};
use event::terminal::printable;
use find::answer::{Event, EventDetail, RawEncoding, RelatedSearch};
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("form").args(["output", "entry", "raw"]),
    after_long_help = "The entry is the recorded text of the event. Its SHA-256, the digest, is \
                       the event's leaf in the log's tree; `daybook prove` writes the proof. The \
                       raw bytes are those that the source sent.\n\n\
                       Examples:\n  \
                       daybook show 41\n  \
                       daybook show 41 -o json\n  \
                       daybook show 41 --entry | sha256sum\n  \
                       daybook show 41 --raw > received\n  \
                       daybook show 41 --data-dir /var/lib/daybook --local\n\n\
                       Exit codes: 0 shown; 1 no such event, or not answered; 2 wrong command \
                       line; 3 damaged bytes in the data directory."
)]
pub struct Arguments {
    /// Index of the event in the log, or its id.
    #[arg(value_name = "EVENT")]
    event: String,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// Print only the entry, byte for byte; a terminal gets escapes for control characters.
    #[arg(long)]
    entry: bool,
    /// Print only the received bytes, unchanged; a terminal gets escapes for control characters.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    look: DisplayOptions,
    #[command(flatten)]
    log: LogLocation,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Longest raw text in the output; `--raw` prints all.
const RAW_CHARS_MAX: usize = 2000;
/// Listed events of the same request.
const OF_REQUEST_MAX: usize = 20;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_with_the_reader();
    let whole = arguments.log.open("show")?.event(&arguments.event)?;
    if arguments.entry {
        return say_bytes(whole.entry.as_bytes());
    }
    if arguments.raw {
        return say_bytes(&raw(&whole)?);
    }
    say(&match arguments.output {
        Output::Json => {
            let json =
                serde_json::to_string(&whole).map_err(|error| Failure::new(error.to_string()))?;
            safe_json(&json) + "\n"
        }
        Output::Text => text(&whole, &arguments.log.options(), &Screen::of(&arguments.look)),
    })
}

fn raw(whole: &EventDetail) -> Result<Vec<u8>, Failure> {
    match whole.raw_encoding {
        RawEncoding::Utf8 => Ok(whole.raw.clone().into_bytes()),
        RawEncoding::Base64 => BASE64_STANDARD.decode(&whole.raw).map_err(|error| {
            Failure::new(format!("the raw bytes of the answer are not base64: {error}"))
        }),
    }
}

fn text(whole: &EventDetail, options: &str, screen: &Screen) -> String {
    let event = &whole.event;
    let mut text = String::new();
    for (name, value, tone) in facts(event, screen) {
        let name = screen.toned(&format!("{name:10}"), Tone::Heading);
        let _ = writeln!(text, "{name} {}", screen.toned(&value, tone));
    }
    for (position, (name, value)) in event.attributes.iter().enumerate() {
        let title = if position == 0 { "attributes" } else { "" };
        let title = screen.toned(&format!("{title:10}"), Tone::Heading);
        let _ = writeln!(text, "{title} {}: {}", printable(name), printable(value));
    }
    let _ = writeln!(
        text,
        "{} {}",
        screen.toned("digest    ", Tone::Heading),
        printable(&whole.digest)
    );
    text.push_str(&raw_section(whole, screen));
    text.push_str(&around(whole, options, screen));
    let _ = writeln!(
        text,
        "\n{}\n  daybook prove {}{options} > event-{}.proof",
        screen.toned("proof", Tone::Heading),
        event.index,
        event.index
    );
    text
}

/// The members of an event, one a line.
fn facts(event: &Event, screen: &Screen) -> Vec<(&'static str, String, Tone)> {
    let plain = |name, value: String| (name, printable(&value), Tone::Plain);
    let parts =
        |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let labelled = |label: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!("{label} {value}"))
    };
    let severity = ["", "normal", "minor", "major", "critical"].get(usize::from(event.severity));
    let (actor, resource, outcome) = (&event.actor, &event.resource, &event.outcome);
    let resolution = match event.resolution.as_str() {
        "s" => "second",
        "ms" => "millisecond",
        "us" => "microsecond",
        "ns" => "nanosecond",
        other => other,
    };
    let clock = format!("{}  to the {resolution}", screen.whole_time(&event.occurred_at));
    let mut facts = vec![
        plain("event", format!("{}  {}", event.index, event.id)),
        plain("trail", format!("{}  number {}", event.trail, event.number)),
        plain("occurred", clock),
        plain("received", screen.whole_time(&event.received_at)),
        plain(
            "actor",
            parts(vec![actor.name.clone(), Some(actor.r#type.clone()), labelled("id", &actor.id)]),
        ),
        plain(
            "action",
            match event.action == event.operation {
                true => event.action.clone(),
                false => format!("{}  operation {}", event.action, event.operation),
            },
        ),
        plain(
            "resource",
            parts(vec![
                resource.name.clone(),
                labelled("type", &resource.r#type),
                labelled("id", &resource.id),
                labelled("region", &resource.region),
            ]),
        ),
        (
            "outcome",
            printable(&parts(vec![
                Some(outcome.result.clone()),
                outcome.code.map(|code| format!("code {code}")),
                outcome.reason.clone(),
            ])),
            rows::tone(&outcome.result),
        ),
        plain("severity", format!("{} {}", event.severity, severity.copied().unwrap_or_default())),
        plain("class", event.class.clone()),
    ];
    let address = event.source_ip.as_ref().map(|ip| format!("{}  {}", ip.address, ip.trust));
    for (name, value) in [
        ("address", &address),
        ("client", &event.user_agent),
        ("about", &event.description),
        ("request", &event.request_id),
        ("trace", &event.trace_id),
    ] {
        facts.extend(value.clone().map(|value| plain(name, value)));
    }
    facts.push(plain("source", format!("{}  format {}", event.source.name, event.source.format)));
    facts.retain(|(_, value, _)| !value.is_empty());
    facts
}

fn raw_section(whole: &EventDetail, screen: &Screen) -> String {
    let title = screen.toned("raw", Tone::Heading);
    match whole.raw_encoding {
        RawEncoding::Base64 => format!("\n{title}  bytes that are not text; --raw prints them\n"),
        RawEncoding::Utf8 => {
            let shown: String = whole.raw.chars().take(RAW_CHARS_MAX).collect();
            let rest = whole.raw.len() - shown.len();
            let mut text = format!("\n{title}\n");
            for line in shown.lines() {
                let _ = writeln!(text, "  {}", printable(line));
            }
            if rest > 0 {
                let _ = writeln!(
                    text,
                    "  … and {} more bytes; --raw prints them",
                    with_commas(rest as u64)
                );
            }
            text
        }
    }
}

/// Related events, and the searches that list them.
fn around(whole: &EventDetail, options: &str, screen: &Screen) -> String {
    let mut text = String::new();
    let related = &whole.related;
    let mut others = |name: &str, others: &Option<RelatedSearch>| {
        if let Some(RelatedSearch { search, total }) = others {
            let title = screen.toned(name, Tone::Heading);
            let _ = writeln!(text, "\n{title}  {}", with_commas(*total));
            // A search with unprintable characters cannot be typed.
            let _ = match printable(search) == *search {
                true => writeln!(text, "  daybook search{options} -- {}", shell_word(search)),
                false => writeln!(text, "  -o json has the search"),
            };
        }
    };
    others("by the same actor, ten minutes before and after", &related.actor);
    others("to the same resource", &related.resource);
    if let Some(of_request) = &related.request {
        let title = screen.toned("of the same request", Tone::Heading);
        let count = with_commas(of_request.events.len() as u64);
        let least = if of_request.is_complete { "" } else { "at least " };
        let _ = writeln!(text, "\n{title}  {least}{count}");
        let shown = &of_request.events[..of_request.events.len().min(OF_REQUEST_MAX)];
        let table = rows::table(shown, screen);
        text.push_str(&table.head(screen));
        text.extend(shown.iter().map(|event| table.line(screen, rows::cells(event, screen))));
    }
    text
}
