//! What a verifier is given, by whoever wants to be believed: no bytes panic, and what is written
//! back is read the same.

#![no_main]

use daybook_fuzz::evidence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for written in evidence(bytes) {
        assert!(evidence(written.as_bytes()).contains(&written), "written back and read again");
    }
});
