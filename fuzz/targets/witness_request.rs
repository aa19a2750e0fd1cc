//! Requests to a witness, which anyone may send: no bytes panic, and a written request reads back
//! the same.

#![no_main]

use daybook_fuzz::witness_request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(written) = witness_request(bytes) {
        assert_eq!(
            witness_request(written.as_bytes()),
            Some(written),
            "written back and read again"
        );
    }
});
