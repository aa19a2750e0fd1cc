//! EIO and ENOSPC from every durable system call: no answer after the error, the process ends, nothing answered is lost.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Daybook, PATIENCE, Place, without_settings};

/// Calls that make things durable, and for how many of each thread's first ones the fault is tried.
const CALLS: [(&str, usize); 4] = [("fdatasync", 6), ("pwrite64", 8), ("rename", 2), ("fsync", 2)];
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

#[test]
fn no_answer_follows_a_failed_durable_call() {
    let (mut cases, mut injected, mut at_start) = (0, 0, 0);
    for (call, first) in CALLS {
        for error in ERRORS {
            for when in 1..=first {
                cases += 1;
                match fault(call, error, when) {
                    Met::AtStart => at_start += 1,
                    Met::WhileServing => injected += 1,
                    Met::Never => {}
                }
            }
        }
    }
    println!("{cases} cases: {at_start} failed the start, {injected} failed an append");
    assert!(at_start >= 6, "rename, fsync and the first writes belong to the start");
    assert!(injected >= 16, "fdatasync and pwrite64 belong to every append");
}

enum Met {
    AtStart,
    WhileServing,
    Never,
}

fn fault(call: &str, error: &str, when: usize) -> Met {
    let what = format!("{call} number {when} answers {error}");
    let place = Place::new();
    // A log that has something in it already, so that the start has something to lose.
    let server = place.serve();
    assert_eq!(server.send("own", event(1_000)).status, 200);
    assert_eq!(server.stop(), Some(0));

    let trace = place.path("trace");
    let mut strace = without_settings(Command::new("strace"));
    // -D: the server is our child and strace the grandchild, so that signals and exit codes are the server's.
    strace.args(["-D", "-f", "--seccomp-bpf", "-s", "16", "-o"]).arg(&trace);
    strace
        .args(["-e", &format!("trace={call},sendto,write,writev")])
        .args(["-e", &format!("inject={call}:error={error}:when={when}")]);
    strace.arg(env!("CARGO_BIN_EXE_daybook"));
    let met = match Daybook::try_spawn(&mut place.serve_command(strace)) {
        Err(said) => {
            assert!(said.contains("couldn't") && said.contains("os error"), "{what}: {said}");
            assert_eq!(place.events().len(), 1, "{what}: the start lost something");
            Met::AtStart
        }
        Ok(server) => send_until_refused(server, &place, &what),
    };
    assert_no_answer_after_injection(&trace, &what);
    met
}

fn send_until_refused(mut server: Daybook, place: &Place, what: &str) -> Met {
    let mut answered = vec![1_000];
    for number in 0..12 {
        let bearer = format!("Bearer {}", crate::harness::TOKEN);
        let answer = server.client().request(
            "POST",
            "/intake/own",
            &[("Authorization", &bearer)],
            event(number).as_bytes(),
        );
        match answer {
            Ok(answer) if answer.status == 200 => answered.push(number),
            refused => {
                if let Ok(answer) = refused {
                    assert_eq!((answer.status, answer.code().as_str()), (503, "fenced"), "{what}");
                }
                assert_eq!(server.exit_code(), Some(4), "{what}: {:?}", server.said());
                let there = place.events();
                for number in &answered {
                    let count = there.values().filter(|key| **key == number.to_string()).count();
                    assert_eq!(count, 1, "{what}: event {number} was answered for");
                }
                assert!(there.len() <= answered.len() + 1, "{what}: {there:?}");
                return Met::WhileServing;
            }
        }
    }
    assert_eq!(server.stop(), Some(0), "{what}: it was never met");
    Met::Never
}

/// In the trace of all threads, no success leaves on a socket after the injected failure.
fn assert_no_answer_after_injection(trace: &std::path::Path, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    let trace = loop {
        let text = std::fs::read_to_string(trace).unwrap();
        if text.lines().last().is_some_and(|line| line.contains("+++")) {
            break text;
        }
        assert!(Instant::now() < deadline, "{what}: the trace has no end");
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut lines = trace.lines().skip_while(|line| !line.contains("(INJECTED)"));
    let after = lines.find(|line| line.contains("HTTP/1.1 200"));
    assert_eq!(after, None, "{what}: an answer left after the failure");
}

fn event(number: usize) -> String {
    format!("{{\"id\":\"{number}\",\"action\":\"test\"}}")
}
