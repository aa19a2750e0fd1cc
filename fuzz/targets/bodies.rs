//! Bodies of every kind: logins, DBSS, TaurusDB's policy and links, and requests of sources in
//! every format, compressed or not. Nothing panics; pages are within their limits; every byte of a
//! source is in an event or a rejected record; and every event is encoded to an entry that reads
//! back the same.

#![no_main]

use std::sync::LazyLock;

use daybook_fuzz::{asks_for_links, decompress, is_login, is_policy, pages_of_body};
use event::entry::{self, Template};
use event::{Event, EventId, Service, Time, Trail};
use formats::{Context, Format, Item, Limits, Options};
use libfuzzer_sys::fuzz_target;

static TRAIL: LazyLock<Trail> =
    LazyLock::new(|| Trail::new(Service::Platform, "acme", "p1", "any").expect("a trail"));
static OPTIONS: LazyLock<Options> =
    LazyLock::new(|| Options { records_noise: true, ..Options::default() });
const NOW: Time = Time::from_unix_ns(1_795_132_800_000_000_000);
/// Small, so that the fuzzer reaches them.
const LIMITS: Limits = Limits { events_max: 20, event_bytes_max: 4096 };
const DECOMPRESSED_BYTES_MAX: usize = 64 << 10;

fuzz_target!(|body: &[u8]| {
    read(body);
    for (encoding, magic) in [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd])] {
        if body.starts_with(magic)
            && let Some(plain) = decompress(encoding, body, DECOMPRESSED_BYTES_MAX)
        {
            assert!(plain.len() <= DECOMPRESSED_BYTES_MAX);
            read(&plain);
        }
    }
});

fn read(body: &[u8]) {
    is_login(body);
    is_policy(body);
    asks_for_links(body);
    for page in pages_of_body(body, &TRAIL, NOW) {
        assert!(page.limit <= page.limit_max, "{page:?}");
        assert!(page.offset.checked_add(page.limit as u64).is_some(), "{page:?}");
    }
    for format in Format::ALL {
        let mut count = 0;
        let mut new_id = || {
            count += 1;
            EventId::v7(NOW, [count; 10])
        };
        let mut context = Context::new("any", &TRAIL, NOW, &mut new_id, &OPTIONS);
        context.limits = LIMITS;
        let Ok(items) = format.parse(body, &mut context) else { continue };
        assert!(items.len() <= LIMITS.events_max, "{format:?}: {} items", items.len());
        for item in items {
            match item {
                Item::Skipped(_) => {}
                Item::Rejected(record) => {
                    assert!(is_part(*format, &record.raw, body), "{format:?}: {record:?}")
                }
                Item::Event(event) => {
                    assert!(is_part(*format, &event.raw, body), "{format:?}: {event:?}");
                    reads_back(*event);
                }
            }
        }
    }
}

/// Records of Linux's audit daemon interleave: their bytes are lines of the body.
fn is_part(format: Format, raw: &[u8], body: &[u8]) -> bool {
    let is_piece =
        |raw: &[u8]| raw.is_empty() || body.windows(raw.len()).any(|window| window == raw);
    match format.as_str() {
        "linux-audit" => raw.split(|&byte| byte == b'\n').all(is_piece),
        _ => is_piece(raw),
    }
}

fn reads_back(event: Event) {
    let mut bytes = Vec::new();
    let template = Template::new(&event);
    template.fill(7, NOW, &mut bytes);
    assert!(bytes.len() <= template.len_bytes_max());
    let read = entry::decode(&bytes).expect("an entry that we wrote");
    assert_eq!((read.number, read.received_at), (7, NOW));
    assert_eq!(read.event, Event { raw: Vec::new(), ..event });
}
