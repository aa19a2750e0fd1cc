//! `daybook stats`: matching events over time, and their most frequent values.

use std::fmt::Write as _;

use clap::ValueEnum;
use console::measure_text_width;
use serde_json::json;

use super::pipe::end_with_the_reader;
use super::question::{LogLocation, Question, own_note, pair};
use super::rows::tone;
use super::say;
use super::screen::{DisplayOptions, Screen, Tone, cut, pad, safe, safe_json, with_commas};
use find::answer::{Facet, Facets, Histogram};
use find::question::FACETS;
use server::failure::Failure;

#[derive(clap::Args)]
#[command(
    after_long_help = "The first line of the chart counts all events, the second the failures; a \
                       dot stands for none. Each field lists its most frequent values with counts \
                       and shares; with the others and the events without a value they add up to \
                       all events. docs/search.md lists the fields; fields of words and trails \
                       cannot be counted.\n\n\
                       Examples:\n  \
                       daybook stats --after -24h\n  \
                       daybook stats outcome:failure --facet actor.name --facet ip --values 5\n  \
                       daybook stats actor:alice --after 2026-11-01 -o json\n\n\
                       Exit codes: 0 answered; 1 not answered; 2 wrong search or command line; 3 \
                       damaged bytes in the data directory."
)]
pub struct Arguments {
    #[command(flatten)]
    question: Question,
    /// Field to count, repeatable. Default: operation, outcome, severity, actor.name,
    /// resource.name and source.
    #[arg(long, value_name = "FIELD")]
    facet: Vec<String>,
    /// Number of values listed for each field.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    values: u64,
    /// Length of a column of the chart, such as 5m, 1h or 1d. Default: by the width.
    #[arg(long, value_name = "LENGTH")]
    interval: Option<String>,
    /// Output format.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Output,
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

/// Widest chart, and its width in a file.
const WIDTH_MAX: usize = 100;
const WIDTH: usize = 80;
/// Widest bar.
const BAR: usize = 24;
/// Width of the margins and the share in a row of values.
const BESIDE: usize = 15;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_with_the_reader();
    let log = arguments.log.open("stats")?;
    let screen = Screen::of(&arguments.look);
    let explained = |problem| arguments.question.explain(problem);
    let width = screen.width.unwrap_or(WIDTH).min(WIDTH_MAX);
    let mut pairs = arguments.question.pairs();
    pairs.push(match &arguments.interval {
        Some(interval) => pair("interval", interval),
        None => pair("buckets", width),
    });
    let histogram = log.histogram(&pairs).map_err(explained)?;
    // Count the charted events: the same moment and window.
    let mut pairs = arguments.question.pairs();
    if let (Some(from), Some(until)) = (&histogram.from, &histogram.until) {
        pairs.retain(|(name, _)| name != "after" && name != "before");
        pairs.extend([pair("after", from), pair("before", until)]);
    }
    pairs.extend([pair("as_of", histogram.tree_size), pair("limit", arguments.values)]);
    pairs.extend(arguments.facet.iter().map(|field| pair("facet", field)));
    let facets = log.facets(&pairs).map_err(explained)?;
    say(&match arguments.output {
        Output::Json => {
            let both = json!({ "histogram": histogram, "facets": facets });
            safe_json(&format!("{both}\n"))
        }
        Output::Text => {
            let requested = arguments.facet.iter().map(String::as_str);
            let fields: Vec<&str> =
                if arguments.facet.is_empty() { FACETS.to_vec() } else { requested.collect() };
            if histogram.total == 0 {
                return say(&format!("no event matches{}\n", own_note(histogram.own_left_out)));
            }
            chart(&histogram, &screen) + &sections(&facets, &fields, width, &screen)
        }
    })
}

/// A chart over time: bars of all events, bars of failures, and the span of both lines.
pub fn chart(histogram: &Histogram, screen: &Screen) -> String {
    let (Some(from), Some(until)) = (&histogram.from, &histogram.until) else {
        return String::new();
    };
    let all: Vec<u64> = histogram
        .buckets
        .iter()
        .map(|bucket| bucket.success + bucket.failure + bucket.unknown)
        .collect();
    let failed: Vec<u64> = histogram.buckets.iter().map(|bucket| bucket.failure).collect();
    let most = all.iter().copied().max().unwrap_or(0);
    let mut text = format!("{}\n", spark(&all, most));
    if failed.iter().any(|count| *count > 0) {
        let _ = writeln!(text, "{}", screen.toned(&spark(&failed, most), Tone::Bad));
    }
    let failures = failed.iter().sum();
    let span = format!("{} to {}", screen.labelled_time(from), screen.labelled_time(until));
    let counts = format!(
        "{} events, {} failed; {} a column, at most {}",
        with_commas(histogram.total),
        with_commas(failures),
        length(histogram.interval_s),
        with_commas(most)
    ) + &own_note(histogram.own_left_out);
    for line in [span, counts] {
        let line = screen.width.map_or(line.clone(), |width| cut(&line, width));
        let _ = writeln!(text, "{}", screen.toned(&line, Tone::Faint));
    }
    text + "\n"
}

/// One bar for each count, in proportion to the largest; a dot for none.
fn spark(counts: &[u64], most: u64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |count: &u64| {
        if *count == 0 {
            return '·';
        }
        // From 0 to 7; the largest count has the highest bar, and every count has one.
        let height = (u128::from(*count) * 8).div_ceil(u128::from(most.max(1))) - 1;
        BARS[usize::try_from(height).unwrap_or(7).min(7)]
    };
    counts.iter().map(bar).collect()
}

/// A length of time in its largest whole unit.
fn length(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{} {name}{}", with_commas(count), if count == 1 { "" } else { "s" })
}

fn sections(facets: &Facets, fields: &[&str], width: usize, screen: &Screen) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for field in fields {
        if let (false, Some(facet)) = (seen.contains(field), facets.facets.get(*field)) {
            seen.push(field);
            parts.push(section(field, facet, facets.total, width, screen));
        }
    }
    parts.join("\n")
}

fn section(field: &str, facet: &Facet, total: u64, width: usize, screen: &Screen) -> String {
    let severity = |value: &str| match (field, value) {
        ("severity", "1") => "1 normal".to_owned(),
        ("severity", "2") => "2 minor".to_owned(),
        ("severity", "3") => "3 major".to_owned(),
        ("severity", "4") => "4 critical".to_owned(),
        _ => safe(value),
    };
    let mut rows: Vec<(String, u64, Tone)> = facet
        .values
        .iter()
        .map(|one| {
            (
                severity(&one.value),
                one.count,
                if field == "outcome" { tone(&one.value) } else { Tone::Plain },
            )
        })
        .collect();
    if facet.others > 0 {
        rows.push(("others".to_owned(), facet.others, Tone::Faint));
    }
    if facet.without > 0 {
        rows.push(("none".to_owned(), facet.without, Tone::Faint));
    }
    let counts = rows.iter().map(|(_, count, _)| with_commas(*count).len()).max().unwrap_or(0);
    let bar = BAR.min(width / 4);
    let room = width.saturating_sub(BESIDE + counts + bar).max(8);
    let names = rows.iter().map(|(name, ..)| measure_text_width(name)).max().unwrap_or(0).min(room);
    let mut text = screen.toned(field, Tone::Heading) + "\n";
    for (name, count, tone) in rows {
        let name = screen.toned(&pad(&cut(&name, names), names, false), tone);
        let (share, bar) = (share(count, total), bar_of(count, total, bar));
        let _ = writeln!(text, "  {name}  {:>counts$}  {share:>5} %  {bar}", with_commas(count));
    }
    text
}

/// Percent with one decimal, rounded; a part never shows as 100.0, and an event never as 0.0.
fn share(count: u64, total: u64) -> String {
    let (count, total) = (u128::from(count), u128::from(total.max(1)));
    let tenths = (count * 2000 + total) / (2 * total);
    let tenths = match () {
        () if count > 0 && tenths == 0 => 1,
        () if count < total && tenths == 1000 => 999,
        () => tenths,
    };
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn bar_of(count: u64, total: u64, width: usize) -> String {
    let eighths = u128::from(count) * 8 * width as u128 / u128::from(total.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0).max(usize::from(count > 0));
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_counts() {
        assert_eq!(spark(&[0, 1, 2, 4, 7, 8], 8), "·▁▂▄▇█");
        assert_eq!(spark(&[1, 1_000_000], 1_000_000), "▁█");
        assert_eq!(spark(&[u64::MAX], u64::MAX), "█");
        assert_eq!(spark(&[], 0), "");
    }

    #[test]
    fn shares_do_not_round_away_what_is_there() {
        for (count, total, expected) in [
            (0, 0, "0.0"),
            (1, 3, "33.3"),
            (2, 3, "66.7"),
            (3, 3, "100.0"),
            (1, 1_000_000, "0.1"),
            (999_999, 1_000_000, "99.9"),
        ] {
            assert_eq!(share(count, total), expected);
        }
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        for (count, total, expected) in
            [(4, 4, "████"), (1, 8, "▌"), (1, 1000, "▏"), (0, 4, ""), (3, 4, "███")]
        {
            assert_eq!(bar_of(count, total, 4), expected);
        }
        assert_eq!(
            [1, 60, 7200, 172_800].map(length),
            ["1 second", "1 minute", "2 hours", "2 days"]
        );
    }
}
