//! The output of commands: a terminal with a width, colours and a time zone, or a file.

use std::fmt::Write as _;
use std::io::IsTerminal;

use clap::ValueEnum;
use console::{Style, Term, measure_text_width};
use event::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use event::terminal::printable;

/// Options of the output.
#[derive(clap::Args)]
pub struct DisplayOptions {
    /// Print times in the machine's zone, or that of TZ, instead of UTC.
    #[arg(long)]
    local: bool,
    /// When to use colours. NO_COLOR turns auto into never.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// The output of a command.
pub struct Screen {
    /// Columns of the terminal; `None` for a file or pipe.
    pub width: Option<usize>,
    is_coloured: bool,
    /// `None` for UTC.
    zone: Option<TimeZone>,
}

/// Meaning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Heading,
    Faint,
}

/// Width of a terminal that reports none.
const WIDTH: usize = 80;
/// Longest text of a table on a terminal.
const CHARS_MAX: usize = 1024;

impl Screen {
    /// Standard output.
    pub fn of(look: &DisplayOptions) -> Screen {
        let is_terminal = std::io::stdout().is_terminal();
        let width = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            width: is_terminal.then(|| width.filter(|width| *width > 0).unwrap_or(WIDTH)),
            is_coloured: match look.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_terminal && !is_dumb && !is_refused,
            },
            // A machine without a zone is in UTC.
            zone: look.local.then(|| TimeZone::try_system().unwrap_or(TimeZone::UTC)),
        }
    }

    /// A text in the colour of its tone, if colours are on.
    pub fn toned(&self, text: &str, tone: Tone) -> String {
        let style = Style::new().force_styling(self.is_coloured);
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => style.green().apply_to(text).to_string(),
            Tone::Bad => style.red().apply_to(text).to_string(),
            Tone::Heading => style.bold().apply_to(text).to_string(),
            Tone::Faint => style.dim().apply_to(text).to_string(),
        }
    }

    /// Name of the time zone.
    pub fn zone(&self) -> &str {
        self.zone.as_ref().map_or("UTC", |zone| zone.iana_name().unwrap_or("local"))
    }

    /// A time to the second, with the offset if it is local. A text that is no time is unchanged.
    /// `is_short` leaves the year out.
    pub fn time(&self, text: &str, is_short: bool) -> String {
        let Ok((time, _)) = Time::parse_rfc3339(text) else { return printable(text) };
        let skipped = if is_short { 5 } else { 0 };
        self.format_time(time, 0)[skipped..].to_owned()
    }

    /// A time with all its digits and its zone.
    pub fn whole_time(&self, text: &str) -> String {
        let Ok((time, _)) = Time::parse_rfc3339(text) else { return printable(text) };
        let written = self.format_time(time, 9);
        if self.zone.is_none() { written + " UTC" } else { written }
    }

    /// A time to the second, with its zone.
    pub fn labelled_time(&self, text: &str) -> String {
        let written = self.time(text, false);
        if self.zone.is_none() { written + " UTC" } else { written }
    }

    fn format_time(&self, time: Time, digits: usize) -> String {
        let instant = Timestamp::from_nanosecond(i128::from(time.unix_ns()))
            .expect("64-bit nanoseconds are within jiff's range");
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let civil = zone.to_datetime(instant);
        let (date, at) = (civil.date(), civil.time());
        let mut text = format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        if digits > 0 {
            let fraction = format!("{:09}", at.subsec_nanosecond());
            let fraction = fraction.trim_end_matches('0');
            if !fraction.is_empty() {
                let _ = write!(text, ".{fraction}");
            }
        }
        if self.zone.is_some() {
            let _ = write!(text, " {}", zone.to_offset(instant));
        }
        text
    }
}

/// A text of unknown origin, made safe for a terminal.
pub fn safe(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(text),
    }
}

/// Cuts a text that is too wide, and adds `…`. Characters may be two columns wide.
pub fn cut(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let next = at + character.len_utf8();
        if measure_text_width(&text[..next]) + 1 > width {
            break;
        }
        end = next;
    }
    if width == 0 { String::new() } else { format!("{}…", &text[..end]) }
}

/// Pads a text with spaces to a width, on the left or on the right.
pub fn pad(text: &str, width: usize, is_right: bool) -> String {
    let spaces = " ".repeat(width.saturating_sub(measure_text_width(text)));
    if is_right { spaces + text } else { text.to_owned() + &spaces }
}

/// A count with commas.
pub fn with_commas(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// JSON that is safe for a terminal: control characters are written as escapes of the same
/// meaning.
pub fn safe_json(json: &str) -> String {
    if json.is_ascii() && !json.contains('\u{7f}') {
        return json.to_owned();
    }
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        if character == '\n' || !event::terminal::steers(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The search, and a caret below its column, counted from 1.
pub fn caret(search: &str, column: usize) -> String {
    let before: String = search.chars().take(column.saturating_sub(1)).collect();
    let spaces = " ".repeat(measure_text_width(&printable(&before)));
    format!("  {}\n  {spaces}^", printable(search))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(zone: Option<&str>) -> Screen {
        let zone = zone.map(|name| TimeZone::get(name).expect("a zone"));
        Screen { width: Some(80), is_coloured: true, zone }
    }

    #[test]
    fn wide_characters_are_cut_by_columns() {
        for (text, width, expected) in [
            ("library/alpine", 14, "library/alpine"),
            ("library/alpine", 8, "library…"),
            ("审计日志服务", 12, "审计日志服务"),
            ("审计日志服务", 11, "审计日志服…"),
            ("审计日志服务", 6, "审计…"),
            ("审计", 1, "…"),
            ("x", 0, ""),
        ] {
            let cut = cut(text, width);
            assert_eq!(cut, expected);
            assert!(measure_text_width(&cut) <= width);
        }
        assert_eq!(pad("审计", 6, false), "审计  ");
        assert_eq!(pad("7", 3, true), "  7");
    }

    #[test]
    fn times_have_their_zone() {
        let summer = "2026-07-01T10:30:00.215000000Z";
        assert_eq!(screen(None).time(summer, false), "2026-07-01 10:30:00");
        assert_eq!(screen(None).time(summer, true), "07-01 10:30:00");
        assert_eq!(screen(None).whole_time(summer), "2026-07-01 10:30:00.215 UTC");
        let berlin = screen(Some("Europe/Berlin"));
        assert_eq!(berlin.time(summer, false), "2026-07-01 12:30:00 +02");
        assert_eq!(berlin.time("2026-12-01T10:30:00Z", false), "2026-12-01 11:30:00 +01");
        assert_eq!(berlin.zone(), "Europe/Berlin");
        assert_eq!(
            screen(Some("Asia/Kolkata")).labelled_time(summer),
            "2026-07-01 16:00:00 +05:30"
        );
        assert_eq!(berlin.time("a\u{1b}[2J", false), "a\\u{1b}[2J");
    }

    #[test]
    fn numbers_have_commas() {
        for (count, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(with_commas(count), expected);
        }
    }

    #[test]
    fn json_stays_the_same_and_steers_nothing() {
        let value = serde_json::json!({"a": "x\u{202e}y\u{9b}31m\u{7f}ü\u{e0041}\n"});
        let safe = safe_json(&value.to_string());
        assert!(!safe.chars().any(event::terminal::steers), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).ok(), Some(value));
    }

    #[test]
    fn a_caret_stands_below_its_column() {
        assert_eq!(caret("审计 actr:a", 4), "  审计 actr:a\n       ^");
    }
}
