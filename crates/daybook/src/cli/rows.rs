//! Events as rows of a table.

use super::screen::{Screen, Tone, safe};
use super::table::{Cell, Column, Table};
use find::answer::Event;

/// A narrower terminal leaves years out.
const SHORT_BELOW: usize = 60;

fn columns(screen: &Screen) -> Vec<Column> {
    let column =
        |name: &str, least, rank| Column { name: name.to_owned(), is_right: false, least, rank };
    vec![
        Column { is_right: true, ..column("INDEX", 20, 2) },
        column(&format!("TIME ({})", screen.zone()), 26, 0),
        column("ACTOR", 8, 0),
        column("ACTION", 8, 1),
        column("RESOURCE", 16, 0),
        column("OUTCOME", 7, 3),
        column("ADDRESS", 9, 4),
        column("TRAIL", 12, 5),
    ]
}

/// Tone of an outcome.
pub fn tone(outcome: &str) -> Tone {
    match outcome {
        "success" => Tone::Good,
        "failure" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// The cells of an event.
pub fn cells(event: &Event, screen: &Screen) -> Vec<Cell> {
    let is_short = screen.width.is_some_and(|width| width < SHORT_BELOW);
    let text = |text: Option<&String>| text.map(|text| safe(text)).unwrap_or_default();
    let actor = event.actor.name.as_ref().or(event.actor.id.as_ref()).or(Some(&event.actor.r#type));
    let resource = [&event.resource.name, &event.resource.id, &event.resource.r#type];
    let resource = resource.into_iter().find_map(Option::as_ref);
    let address = event.source_ip.as_ref().map(|ip| &ip.address);
    vec![
        (event.index.to_string(), Tone::Faint),
        (screen.time(&event.occurred_at, is_short), Tone::Plain),
        (text(actor), Tone::Plain),
        (text(Some(&event.action)), Tone::Plain),
        (text(resource), Tone::Plain),
        (safe(&event.outcome.result), tone(&event.outcome.result)),
        (text(address), Tone::Plain),
        (text(Some(&event.trail)), Tone::Faint),
    ]
}

/// A table with room for these events.
pub fn table(events: &[Event], screen: &Screen) -> Table {
    let rows: Vec<Vec<Cell>> = events.iter().map(|event| cells(event, screen)).collect();
    Table::for_rows(columns(screen), &rows, screen)
}

/// A table for future events, with room for usual ones.
pub fn table_of_future_events(screen: &Screen) -> Table {
    let is_short = screen.width.is_some_and(|width| width < SHORT_BELOW);
    let time = screen.time("2026-11-01T00:00:00Z", is_short);
    let widths = [8, time.chars().count(), 14, 16, 40, 7, 15, 40];
    let usual = widths.map(|width| ("x".repeat(width), Tone::Plain)).into();
    Table::for_rows(columns(screen), &[usual], screen)
}
