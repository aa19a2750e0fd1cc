//! Paths and queries, in the reading of every API: nothing panics, pages are within their limits,
//! and escaped texts come back.

#![no_main]

use daybook_fuzz::{decode, encode, integer, is_route, pages_of_query, query_value};
use libfuzzer_sys::fuzz_target;

/// The parameters that the lists of instances, repositories and projects read besides.
const NAMES: [&str; 8] =
    ["limit", "offset", "page_no", "page_size", "name", "id", "status", "format"];

fuzz_target!(|target: &str| {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    is_route(path);
    for page in pages_of_query(query) {
        assert!(page.limit <= page.limit_max, "{page:?}");
        assert!(page.offset.checked_add(page.limit as u64).is_some(), "{page:?}");
    }
    for name in NAMES {
        let text = query_value(query, name);
        // A repeated parameter counts once, the first time; so no later one changes it.
        if text.is_some() {
            assert_eq!(query_value(&format!("{query}&{name}=other"), name), text);
        }
        if let Ok(Some(number)) = integer(query, name, 1..=100) {
            assert!((1..=100).contains(&number));
            let digits = text.expect("an integer is a text");
            assert_eq!(digits.trim_start_matches('0'), number.to_string());
        }
    }
    let decoded = decode(target);
    assert!(decoded.len() <= target.len());
    assert_eq!(decode(&encode(&decoded)), decoded);
});
