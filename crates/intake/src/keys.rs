//! Keys of events: positions in files that Daybook reads itself, and texts that senders chose. No
//! sender can choose the key of a line that is still to be read, which would then be a duplicate.

use event::Event;

/// Hex digits of the id of a file that Daybook reads, followed or imported.
pub const FILE_ID_DIGITS: usize = 16;

/// Whether this may be the id of a file that Daybook reads.
pub fn is_file_id(id: &str) -> bool {
    id.len() == FILE_ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Changes a key that is like a position in a file that Daybook reads, unless it is one in `file`,
/// which the event was read from.
pub(crate) fn set_apart(event: &mut Event, file: Option<&str>) {
    let Some(key) = &mut event.origin.key else { return };
    let Some((id, offset)) = key.split_once(':') else { return };
    let is_offset = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
    if is_file_id(id) && is_offset && file != Some(id) {
        key.insert_str(0, "sent ");
    }
}

#[cfg(test)]
mod tests {
    use event::{Service, Time, Trail};
    use formats::{Context, Item, Options};

    use super::*;

    fn key_of(id: &str, file: Option<&str>) -> String {
        let trail = Trail::new(Service::Registry, "t", "p", "i").expect("valid");
        let (now, options) = (Time::from_unix_ns(1), Options::default());
        let mut new_id = system::event_ids(now);
        let mut context = Context::new("own", &trail, now, &mut new_id, &options);
        let format: formats::Format = "daybook".parse().expect("a format");
        let body = format!(r#"{{"action":"x","id":"{id}"}}"#);
        let mut items = format.parse(body.as_bytes(), &mut context).expect("an envelope");
        let Some(Item::Event(mut event)) = items.pop() else { panic!("an event") };
        set_apart(&mut event, file);
        event.origin.key.expect("it has an id")
    }

    #[test]
    fn a_sender_chooses_no_position_in_a_file() {
        let (file, other) = ("0123456789abcdef", "fedcba9876543210");
        let position = format!("{file}:42");
        assert_eq!(key_of(&position, None), format!("sent {position}"));
        assert_eq!(key_of(&position, Some(other)), format!("sent {position}"));
        assert_eq!(key_of(&position, Some(file)), position, "the file's own position");
        for id in ["a", "0123456789abcdef", "0123456789abcdef:", "0123456789abcdef:4x", "a:1"] {
            assert_eq!(key_of(id, None), id);
        }
        let longer = format!("{file}{other}:42");
        assert_eq!(key_of(&longer, None), longer, "an input of `daybook send`");
    }
}
