//! `access.toml`, which people may write by hand: no text panics, and a written file reads back the
//! same.

#![no_main]

use daybook_fuzz::access_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(written) = access_file(text) {
        assert_eq!(
            access_file(&written).as_deref(),
            Some(written.as_str()),
            "written back and read again"
        );
    }
});
