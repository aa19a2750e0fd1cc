//! Files for a verifier, from people who want to be believed: no bytes panic, and a written file
//! reads back the same.

#![no_main]

use daybook_fuzz::evidence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for written in evidence(bytes) {
        assert!(evidence(written.as_bytes()).contains(&written), "written back and read again");
    }
});
