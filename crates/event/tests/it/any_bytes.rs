//! No body makes a parser panic, and none is lost: what is no event is set aside or refuses the body.

use event::source::{Format, Parsed};
use event::{Event, Service};
use proptest::prelude::*;

use crate::golden::Source;

/// Pieces that the parsers look for.
const PIECES: [&str; 24] = [
    "20261120 18:09:48,",
    "vm,root,localhost,4,5,",
    "QUERY,db,",
    "FAILED_CONNECT,,,1045",
    "READ,db,t,",
    "'SELECT \\'a\\'',0",
    ",'",
    "\\",
    "/*!",
    "\n",
    "\r\n",
    r#"{"msec":1795197885.965,"status":200,"method":"GET","#,
    r#""uri":"/a%","request_uri":"/a%2","#,
    r#""remote_addr":"::1","request_time":0.001}"#,
    r#"{"kind":"EventList","items":["#,
    r#"{"kind":"Event","auditID":"a","verb":"get","stage":"ResponseComplete","#,
    r#""requestReceivedTimestamp":"2026-11-20T18:22:27.876845Z""#,
    r#""objectRef":{"resource":"pods"},"#,
    r#""sourceIPs":[],"#,
    "}",
    "]",
    ",",
    "\"",
    "\u{fffd}",
];

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn parse_all(body: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    for format in Format::ALL {
        let source = Source { format, service: Service::Platform, name: "any" };
        for item in source.parse(body, &mut 0).unwrap_or_default() {
            let raw = match item {
                Parsed::SetAside(set_aside) => set_aside.raw,
                Parsed::Event(event) => {
                    events.push(*event.clone());
                    event.raw
                }
            };
            assert!(raw.is_empty() || body.windows(raw.len()).any(|window| window == raw));
        }
    }
    events
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&body);
    }

    #[test]
    fn pieces_in_any_order_never_panic(body in any_body()) {
        parse_all(&body);
    }

    #[test]
    fn any_statement_is_read_as_the_plugin_wrote_it(
        statement in any::<String>().prop_map(|text| text.replace(['\u{fffd}', '\n'], "?")),
    ) {
        let escaped = statement.replace('\\', "\\\\").replace('\'', "\\'");
        let line = format!("20261120 18:09:48,vm,a,b,::1,4,5,QUERY,db,'{escaped}',0");
        let source = Source { format: Format::MariadbAudit, service: Service::Database, name: "any" };
        let event = source.event(&line);
        prop_assert_eq!(event.actor.name.as_deref(), Some("a,b"));
        prop_assert_eq!(event.resource.name.as_deref(), Some("db"));
        prop_assert_eq!(event.description.unwrap_or_default(), statement);
        prop_assert_eq!(event.raw, line.into_bytes());
    }
}

#[test]
fn the_pieces_make_events_of_every_new_format() {
    for (body, format) in [
        (format!("{}{}{}{}", PIECES[0], PIECES[1], PIECES[2], PIECES[5]), "mariadb-audit"),
        (format!("{}{}{}", PIECES[11], PIECES[12], PIECES[13]), "nginx-json"),
        (format!("{}{}{}{}]}}", PIECES[14], PIECES[15], PIECES[16], PIECES[19]), "kubernetes-audit"),
    ] {
        let events = parse_all(body.as_bytes());
        assert!(events.iter().any(|event| event.origin.format == format), "{body}");
    }
}
