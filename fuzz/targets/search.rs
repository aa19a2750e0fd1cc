//! Searches as people type them: nothing panics, errors point into the text, and a written search
//! reads back the same.

#![no_main]

use event::Time;
use event::search::Search;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let column =
        |text: &str, column| assert!((1..=text.chars().count() + 1).contains(&column), "{column}");
    match Search::parse(text) {
        Err(error) => column(text, error.column),
        Ok(search) => {
            if let Err(error) = search.meaning(Time::from_unix_ns(0)) {
                column(text, error.column);
            }
            let written = search.to_string();
            let again =
                Search::parse(&written).expect("what was read is written so that it can be read");
            assert_eq!(again.to_string(), written);
        }
    }
});
