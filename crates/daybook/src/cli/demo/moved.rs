//! The times of captured output, moved so that the demo shows the last days.
//!
//! A capture is moved as a block: what lay a second apart still does. Times are found by their
//! form, `2026-11-20T18:04:55` with or without a fraction, `20261120 18:04:55`, and the epoch
//! seconds of nginx; a zone behind them stays right, since all of them move by the same time.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// The member of nginx's lines with seconds since 1970.
const MSEC: &str = "\"msec\":";

/// The bytes with every time moved by so many seconds. Those of a capture need not be text.
pub fn moved_bytes(bytes: &[u8], seconds: i64) -> Vec<u8> {
    // A character for each byte and back: times are ASCII.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let moved = moved(&text, seconds);
    moved.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// The text with every time moved by so many seconds.
fn moved(text: &str, seconds: i64) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (taken, written) = match () {
            () if rest.starts_with(MSEC) => epoch(rest, seconds),
            () if first == '2' && !made.ends_with(|before: char| before.is_ascii_digit()) => {
                civil(rest, 19, "%Y-%m-%dT%H:%M:%S", seconds)
                    .or_else(|| civil(rest, 17, "%Y%m%d %H:%M:%S", seconds))
            }
            () => None,
        }
        .unwrap_or_else(|| (first.len_utf8(), first.to_string()));
        made.push_str(&written);
        rest = &rest[taken..];
    }
    made
}

/// The length of a civil time at the beginning, and that time moved.
fn civil(text: &str, len: usize, form: &str, seconds: i64) -> Option<(usize, String)> {
    let found = text.get(..len)?;
    let at = DateTime::strptime(form, found).ok()?;
    let moved = at.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some((len, moved.strftime(form).to_string()))
}

/// The length of an epoch at the beginning, and that epoch moved.
fn epoch(text: &str, seconds: i64) -> Option<(usize, String)> {
    let digits: String =
        text[MSEC.len()..].chars().take_while(|next| next.is_ascii_digit()).collect();
    let at = digits.parse::<i64>().ok()?.checked_add(seconds)?;
    Some((MSEC.len() + digits.len(), format!("{MSEC}{at}")))
}

/// Made-up acts of one team, from `days` ago until now: what an owner of a platform would look for,
/// as a body of the format `daybook`. The same `now` gives the same events.
pub fn made_up(now: Timestamp, days: i64) -> String {
    const HOURS: [&str; 6] = [
        r#""action":"deploy","operation":"update","actor":{"name":"ci","type":"robot"},"resource":{"type":"service","name":"billing"},"outcome":"success","source_ip":"10.4.0.17""#,
        r#""action":"sign in","operation":"login","actor":"alice","resource":{"type":"console","name":"platform"},"outcome":"success","class":"security","source_ip":"10.1.2.3""#,
        r#""action":"read secret","operation":"read","actor":{"name":"billing","type":"service"},"resource":{"type":"secret","name":"billing/database"},"outcome":"success","source_ip":"10.4.0.31""#,
        r#""action":"sign in","operation":"login","actor":"bob","resource":{"type":"console","name":"platform"},"outcome":"success","class":"security","source_ip":"10.1.2.9""#,
        r#""action":"deploy","operation":"update","actor":{"name":"ci","type":"robot"},"resource":{"type":"service","name":"frontend"},"outcome":"success","source_ip":"10.4.0.17""#,
        r#""action":"scale","operation":"update","actor":"bob","resource":{"type":"service","name":"frontend"},"outcome":"success","source_ip":"10.1.2.9""#,
    ];
    const NIGHT: [&str; 7] = [
        r#""action":"sign in","operation":"login","actor":"alice","resource":{"type":"console","name":"platform"},"outcome":{"result":"failure","code":401,"reason":"wrong password"},"class":"security","severity":2,"source_ip":"198.51.100.23""#,
        r#""action":"sign in","operation":"login","actor":"alice","resource":{"type":"console","name":"platform"},"outcome":{"result":"failure","code":401,"reason":"wrong password"},"class":"security","severity":2,"source_ip":"198.51.100.23""#,
        r#""action":"sign in","operation":"login","actor":"alice","resource":{"type":"console","name":"platform"},"outcome":"success","class":"security","severity":2,"source_ip":"198.51.100.23""#,
        r#""action":"grant role","operation":"grant","actor":"alice","resource":{"type":"user","name":"mallory"},"outcome":{"result":"failure","code":403,"reason":"not an owner"},"class":"security","severity":3,"source_ip":"198.51.100.23""#,
        r#""action":"change policy","operation":"configure","actor":"alice","resource":{"type":"policy","name":"billing-retention"},"outcome":"success","class":"security","severity":3,"source_ip":"198.51.100.23""#,
        r#""action":"delete image","operation":"delete","actor":"alice","resource":{"type":"image","name":"team-a/billing:v41"},"outcome":"success","severity":3,"source_ip":"198.51.100.23""#,
        r#""action":"delete service","operation":"delete","actor":"alice","resource":{"type":"service","name":"billing"},"outcome":{"result":"failure","code":403,"reason":"protected"},"severity":3,"source_ip":"198.51.100.23""#,
    ];
    let mut lines = String::new();
    let mut sequence = 0;
    let mut add = |at: Timestamp, members: &str| {
        sequence += 1;
        // Twelve numbers never came: the source has a gap.
        let number = if sequence > 40 { sequence + 12 } else { sequence };
        lines.push_str(&format!(
            "{{\"id\":\"team-{number}\",\"occurred_at\":\"{at}\",{members},\
             \"attributes\":{{\"sequence\":{number}}}}}\n"
        ));
    };
    let hours = days * 24;
    for hour in (0..hours).rev() {
        let Ok(at) = now.checked_sub((hour * 3600 + 420).seconds()) else { continue };
        let position = usize::try_from(hour).unwrap_or_default();
        add(at, HOURS[position % HOURS.len()]);
        if hour == 5 {
            for (step, act) in (0..).zip(NIGHT) {
                let Ok(at) = at.checked_add((60 + step * 23).seconds()) else { continue };
                add(at, act);
            }
        }
    }
    lines
}

/// An act of the trickle that goes on while the demo serves.
pub fn trickle(number: u64, now: Timestamp) -> String {
    const ACTS: [(&str, &str, &str, &str); 4] = [
        ("pull", "pull", "ci", "team-a/billing:v42"),
        ("read", "read", "alice", "dashboards/billing"),
        ("deploy", "update", "ci", "frontend"),
        ("sign in", "login", "bob", "platform"),
    ];
    let (action, operation, actor, resource) =
        ACTS[usize::try_from(number).unwrap_or(0) % ACTS.len()];
    format!(
        "{{\"id\":\"live-{number}\",\"occurred_at\":\"{now}\",\"action\":\"{action}\",\
         \"operation\":\"{operation}\",\"actor\":\"{actor}\",\"resource\":\"{resource}\",\"outcome\":\"success\",\
         \"source_ip\":\"10.1.2.3\"}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_by_their_form_and_nothing_else_does() {
        for (text, expected) in [
            ("2026-11-20T18:04:55.251Z", "2026-11-21T18:04:55.251Z"),
            ("\"2026-12-31T23:00:00+08:00\"", "\"2027-01-01T23:00:00+08:00\""),
            ("20261120 18:09:48,vm", "20261121 18:09:48,vm"),
            ("\"msec\":1795197895.843,", "\"msec\":1795284295.843,"),
            ("\"id\":\"22026-11-20T18:04:55\"", "\"id\":\"22026-11-20T18:04:55\""),
            ("第2026号 2026-13-20T18:04:55", "第2026号 2026-13-20T18:04:55"),
            ("2026", "2026"),
        ] {
            assert_eq!(moved(text, 86_400), expected);
        }
        assert_eq!(moved_bytes(b"\xff 20261120 18:09:48", 1), b"\xff 20261120 18:09:49");
    }

    #[test]
    fn made_up_acts_are_within_their_days_and_have_a_gap() {
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().expect("a time");
        let lines = made_up(now, 3);
        assert!(lines.lines().count() > 70);
        let mut before = 0;
        let mut gaps = 0;
        for line in lines.lines() {
            let act: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let at: Timestamp = act["occurred_at"].as_str().expect("a time").parse().expect("one");
            assert!(at < now);
            let number = act["attributes"]["sequence"].as_u64().expect("a number");
            gaps += number - before - 1;
            before = number;
        }
        assert_eq!(gaps, 12);
    }
}
