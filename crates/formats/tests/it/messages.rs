//! Syslog messages: whatever a format makes of one, something is left of it.

use event::{EventId, Service, Trail};
use formats::{Context, Format, Item};
use proptest::prelude::*;

use crate::golden::{RECEIVED_AT, everything};

fn parse(format: Format, message: &[u8]) -> Vec<Item> {
    let trail = Trail::new(Service::Platform, "acme", "p1", "any").unwrap();
    let (options, mut new_id) = (everything(), EventId::default);
    let mut context = Context::new("any", &trail, RECEIVED_AT, &mut new_id, &options);
    format.parse_message(message, &mut context)
}

#[test]
fn a_message_without_text_is_not_lost() {
    for message in
        [&b"<38>1 - - - - - -"[..], b"<38>Nov 20 18:30:15 vm a:", b"<38>1 - - - - - - \n"]
    {
        for format in Format::ALL {
            let items = parse(*format, message);
            let raw = match &items[..] {
                [Item::Rejected(rejected)] => &rejected.raw,
                // Formats of syslog itself report the program.
                [Item::Event(event)] => &event.raw,
                other => panic!("{format:?}: {other:?}"),
            };
            assert_eq!(raw, message, "{format:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_message_is_lost(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let message = [b"<38>1 - vm app - - - ", &text[..]].concat();
        for format in Format::ALL {
            for message in [&message, &text] {
                let items = parse(*format, message);
                prop_assert!(!items.is_empty(), "{:?}", format);
                for item in items {
                    if let Item::Rejected(rejected) = item {
                        prop_assert_eq!(&rejected.raw, message);
                    }
                }
            }
        }
    }
}
