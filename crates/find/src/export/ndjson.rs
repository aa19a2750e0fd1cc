//! NDJSON: one event a line, in the shape of `docs/api/events.md`.

use store::Row;

use crate::answer::Event;

/// Appends a line for each row.
pub fn write(rows: Vec<Row>, out: &mut Vec<u8>) {
    for row in rows {
        serde_json::to_writer(&mut *out, &Event::from(row))
            .expect("an event is a map with text keys");
        out.push(b'\n');
    }
}
