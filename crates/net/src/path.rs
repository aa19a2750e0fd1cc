//! Paths and queries: escapes undone once, nothing else.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Every byte but the unreserved ones (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Undoes percent escapes (RFC 3986 section 2.1). `%` without two hex digits stands for itself; `+`
/// is a plus.
pub fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// Escapes every byte but the unreserved ones (RFC 3986 section 2.3), with upper-case digits.
pub fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// The segments of a path, decoded. A slash at the end adds none. Bytes that are no UTF-8 become
/// U+FFFD, which no id holds.
pub fn segments(raw_path: &str) -> Vec<String> {
    let trimmed = raw_path.strip_prefix('/').unwrap_or(raw_path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split('/').map(|piece| String::from_utf8_lossy(&decode(piece)).into_owned()).collect()
}

/// The first value of a query parameter, form-decoded (`+` is a space); `k` without `=` is empty.
pub fn query_value(raw_query: &str, name: &str) -> Option<String> {
    raw_query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| form_decode(key) == name)
        .map(|(_, value)| form_decode(value))
}

/// Every parameter of a query with its value, form-decoded, in order.
pub fn query_pairs(raw_query: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decode(name), form_decode(value))
    })
}

fn form_decode(text: &str) -> String {
    let spaced: Cow<'_, str> =
        if text.contains('+') { text.replace('+', "%20").into() } else { text.into() };
    String::from_utf8_lossy(&decode(&spaced)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        for (raw, expected) in [
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("%2e%2E", ".."),
            ("%252e", "%2e"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%", "%"),
        ] {
            assert_eq!(decode(raw), expected.as_bytes(), "{raw}");
        }
        assert_eq!(encode("a b/ü~".as_bytes()), "a%20b%2F%C3%BC~");
    }

    #[test]
    fn segments_ignore_one_slash_at_the_end() {
        assert_eq!(
            segments("/v2/p/instances/i%2Fj/audit-logs/"),
            ["v2", "p", "instances", "i/j", "audit-logs"]
        );
        assert_eq!(segments("//v3"), ["", "v3"]);
        assert_eq!(segments("/"), Vec::<String>::new());
    }

    #[test]
    fn the_first_of_repeated_parameters_counts() {
        assert_eq!(query_value("a=1&b=x+y%2B&a=2&c", "a").as_deref(), Some("1"));
        assert_eq!(query_value("a=1&b=x+y%2B&a=2&c", "b").as_deref(), Some("x y+"));
        assert_eq!(query_value("a=1&c", "c").as_deref(), Some(""));
        assert_eq!(query_value("a=1", "d"), None);
    }
}
