//! The machine's clock and its randomness. Everything else takes both as arguments.

pub mod steady;

use std::time::SystemTime;

use event::{EventId, Time};

/// Now, by the machine's clock; the ends of [`Time`]'s range when the clock is centuries off.
pub fn now() -> Time {
    let ns = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    };
    Time::from_unix_ns(ns)
}

/// Random bytes fit for keys.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Random bytes as lower-case hex, two digits each.
pub fn random_hex<const N: usize>() -> String {
    hex::encode(random::<N>())
}

/// Gives out event ids for what was received at one moment, drawing randomness for many at a time.
pub fn event_ids(now: Time) -> impl FnMut() -> EventId {
    let mut drawn: [u8; 640] = [0; 640];
    let mut left: usize = 0;
    move || {
        if left == 0 {
            drawn = random();
            left = drawn.len() / 10;
        }
        left -= 1;
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&drawn[left * 10..left * 10 + 10]);
        EventId::v7(now, bytes)
    }
}
