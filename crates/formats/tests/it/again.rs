//! Rejected records are parsed again in the form in which they are stored: an item without its
//! envelope, a message with its header.

use event::{EventId, Service, Time, Trail};
use formats::{Context, Format, Item, Options};

fn again(format: &str, item: &[u8]) -> Result<Vec<Item>, String> {
    let trail = Trail::new(Service::Registry, "t", "p", "i").expect("valid");
    let mut new_id = || EventId::v7(Time::from_unix_ns(0), [0; 10]);
    let options = Options::default();
    let mut context = Context::new("s", &trail, Time::from_unix_ns(0), &mut new_id, &options);
    format.parse::<Format>().expect("a format").parse_again(item, &mut context)
}

/// The bytes that an event came of, if one did.
fn raw(parsed: Result<Vec<Item>, String>) -> Result<Vec<u8>, String> {
    match parsed?.as_slice() {
        [Item::Event(event)] => Ok(event.raw.clone()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn an_item_is_read_without_its_envelope_and_a_message_with_its_header() {
    let notification = br#"{"id":"1","timestamp":"2026-11-20T10:00:00Z","action":"push","target":{"repository":"a","digest":"sha256:aa"},"request":{"method":"PUT"}}"#;
    let line = br#"{"msec":1700000000.5,"method":"GET","status":200,"uri":"/a.jar"}"#;
    let message = [b"<134>Nov 20 10:00:00 web nginx: ", &line[..]].concat();
    for (format, item) in
        [("docker-registry", &notification[..]), ("nginx-json", line), ("nginx-json", &message)]
    {
        assert_eq!(raw(again(format, item)), Ok(item.to_vec()), "{format}");
    }
    for (format, item) in [
        ("docker-registry", &b"{}"[..]),
        ("docker-registry", b"]"),
        ("nginx-json", b"nonsense"),
        ("nginx-json", b"<134>Nov 20 10:00:00 web nginx: nonsense"),
        ("daybook", b"{\"id\":\"1\"}"),
        ("daybook", b""),
        ("kubernetes-audit", b"\xff"),
    ] {
        assert!(again(format, item).is_err_and(|why| !why.is_empty()), "{format}");
    }
}
