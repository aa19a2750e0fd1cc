//! EIO from every durable system call, and ENOSPC from a sync: no answer after the error, the
//! process ends, nothing answered is lost. ENOSPC from another call ends nothing: what is refused
//! is taken when it is sent again. While events are flushed and segments compacted, SIGKILL at such
//! calls too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{EventId, Service, Time, Trail};
use formats::{Context, Format, Item, Options};
use store::{Append, IncomingEvent, Log, OnConflict, Settings};

use crate::aftermath::{Aftermath, copy_folder, sizes};
use crate::harness::{
    Client, Daybook, PATIENCE, PROJECT, TOKEN, TestDir, becomes_true, without_settings,
};

/// Calls that make things durable, and for how many of each thread's first ones the fault is tried.
const CALLS: [(&str, usize); 4] = [("fdatasync", 6), ("pwrite64", 8), ("rename", 2), ("fsync", 2)];
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

#[test]
fn no_answer_follows_a_failed_durable_call() {
    let (mut cases, mut injected, mut at_start) = (0, 0, 0);
    for (call, first) in CALLS {
        for error in ERRORS.into_iter().filter(|error| is_fatal(call, error)) {
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
    assert!(at_start >= 5, "rename, fsync and the first writes belong to the start");
    assert!(injected >= 10, "fdatasync and pwrite64 belong to every append");
}

/// Whether nothing is known of what a call did that failed with this error.
fn is_fatal(call: &str, error: &str) -> bool {
    error != "ENOSPC" || call.contains("sync")
}

#[test]
fn a_call_without_room_ends_nothing() {
    let (mut injected, mut at_start) = (0, 0);
    for (call, first) in CALLS.into_iter().filter(|(call, _)| !is_fatal(call, "ENOSPC")) {
        for when in 1..=first {
            match lack_of_room(call, when) {
                Met::AtStart => at_start += 1,
                Met::WhileServing => injected += 1,
                Met::Never => {}
            }
        }
    }
    println!("{at_start} failed the start, {injected} refused an append");
    assert!(injected >= 2, "pwrite64 belongs to every append");
}

fn lack_of_room(call: &str, when: usize) -> Met {
    let what = format!("{call} number {when} finds no room");
    let test_dir = TestDir::new();
    let mut strace = strace(&test_dir.path("trace"));
    strace.args(["--seccomp-bpf", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error=ENOSPC:when={when}")]);
    strace.arg(env!("CARGO_BIN_EXE_daybook"));
    let server = match Daybook::try_spawn(&mut test_dir.serve_command(strace)) {
        Err(said) => {
            let lacks_room = said.contains("os error 28") || said.contains("the disk is full");
            assert!(said.contains("couldn't") && lacks_room, "{what}: {said}");
            return Met::AtStart;
        }
        Ok(server) => server,
    };
    let mut met = Met::Never;
    for number in 0..12 {
        becomes_true(|| {
            let answer = server.send("own", event(number));
            if answer.status != 200 {
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (503, "storage_full"),
                    "{what}"
                );
                met = Met::WhileServing;
            }
            answer.status == 200
        });
    }
    assert_eq!(server.stop(), Some(0), "{what}");
    let keys: BTreeSet<String> = test_dir.events().into_values().collect();
    assert_eq!((keys.len(), test_dir.events().len()), (12, 12), "{what}: each is there once");
    met
}

enum Met {
    AtStart,
    WhileServing,
    Never,
}

fn fault(call: &str, error: &str, when: usize) -> Met {
    let what = format!("{call} number {when} answers {error}");
    let test_dir = TestDir::new();
    // A log that has something in it already, so that the start has something to lose.
    let server = test_dir.serve();
    assert_eq!(server.send("own", event(1_000)).status, 200);
    assert_eq!(server.stop(), Some(0));

    let trace = test_dir.path("trace");
    let mut strace = strace(&trace);
    strace
        .arg("--seccomp-bpf")
        .args(["-e", &format!("trace={call},sendto,write,writev")])
        .args(["-e", &format!("inject={call}:error={error}:when={when}")]);
    strace.arg(env!("CARGO_BIN_EXE_daybook"));
    let met = match Daybook::try_spawn(&mut test_dir.serve_command(strace)) {
        Err(said) => {
            assert!(said.contains("couldn't") && said.contains("os error"), "{what}: {said}");
            assert_eq!(test_dir.events().len(), 1, "{what}: the start lost something");
            Met::AtStart
        }
        Ok(server) => send_until_refused(server, &test_dir, &what),
    };
    assert_no_answer_after_injection(&trace, &what);
    met
}

/// The command that writes a trace of whatever it runs.
fn strace(trace: &Path) -> Command {
    let mut strace = without_settings(Command::new("strace"));
    // -D: the server is our child and strace the grandchild, so that signals and exit codes are the
    // server's.
    strace.args(["-D", "-f", "-s", "16", "-o"]).arg(trace);
    strace
}

fn send_until_refused(mut server: Daybook, test_dir: &TestDir, what: &str) -> Met {
    let mut answered = vec![1_000];
    for number in 0..12 {
        let bearer = format!("Bearer {TOKEN}");
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
                let there = test_dir.events();
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

/// In the trace of all threads, no success leaves on a socket after the injected failure, but for
/// one: the answer to an event that was durable before another thread met the failure. Requests
/// come one after another, and that an answered event is there is compared by the caller.
fn assert_no_answer_after_injection(trace: &Path, what: &str) {
    let trace = whole_trace(trace, what);
    let lines = trace.lines().skip_while(|line| !line.contains("(INJECTED)"));
    let after: Vec<&str> = lines.filter(|line| line.contains("HTTP/1.1 200")).collect();
    assert!(after.len() <= 1, "{what}: answers left after the failure: {after:?}");
}

/// The trace, once it has an end.
fn whole_trace(trace: &Path, what: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(trace).unwrap();
        if text.lines().last().is_some_and(|line| line.contains("+++")) {
            return text;
        }
        assert!(Instant::now() < deadline, "{what}: the trace has no end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn event(number: usize) -> String {
    format!("{{\"id\":\"{number}\",\"action\":\"test\"}}")
}

const FLUSH_EVENTS: usize = 40;

#[test]
fn faults_while_flushing_lose_double_and_invent_nothing() {
    // Three segments, and some in the journal.
    let template = template(&[8, 8, 8], 5);
    let requests = 15;
    // The start makes the first seven or eight of each.
    let calls: [(&str, &[usize]); 4] = [
        ("fdatasync", &[1, 2, 4, 6, 7, 8, 9, 10, 12, 14, 16, 20, 30]),
        ("pwrite64", &[1, 3, 8, 20, 30, 31, 32, 33, 150]),
        ("rename", &[1, 2, 4, 6, 7, 8, 9, 10, 12, 14, 25]),
        ("fsync", &[1, 2, 4, 6, 7, 8, 9, 10, 12, 14, 20]),
    ];
    let met = faults(
        &template,
        &calls,
        &Load { events: FLUSH_EVENTS, pause: Duration::ZERO },
        |_, sent| sent == requests,
    );
    assert!(met["flusher"] >= 30 && met["daybook"] >= 4, "{met:?}");
}

#[test]
fn faults_while_compacting_lose_double_and_invent_nothing() {
    // Nothing is flushed: what makes things durable is the compactor, but for the start and the
    // journal. Eight times eight small segments become one, and then all.
    let sizes_before = [4, 4, 4, 4, 4, 4, 4, 4, 40].repeat(8);
    let template = template(&sizes_before, 5);
    let calls: [(&str, &[usize]); 5] = [
        ("fdatasync", &[4, 7, 8, 9, 10, 12, 25]),
        ("pwrite64", &[7, 12, 31, 32, 150]),
        ("rename", &[4, 7, 8, 9, 10, 12, 25]),
        ("fsync", &[5, 8, 9, 10, 12, 15]),
        ("unlink", &[1, 2, 16, 17, 128]),
    ];
    // With a pause, so that the journal's calls are fewer than the compactor's.
    let load = Load { events: 1, pause: Duration::from_millis(100) };
    let met = faults(&template, &calls, &load, |test_dir, _| sizes(&test_dir.data()) == [8 * 72]);
    assert!(met["compactor"] >= 30, "{met:?}");
}

/// Runs a server for each fault: each of these calls fails, or is the last thing that the process
/// does. Returns how many faults each thread met.
fn faults(
    template: &TestDir,
    calls: &[(&str, &[usize])],
    load: &Load,
    is_done: impl Fn(&TestDir, usize) -> bool,
) -> BTreeMap<String, usize> {
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    let mut errors = ERRORS.iter().cycle();
    let (before, mut left_over) = (template.events().len(), 0);
    for (call, whens) in calls {
        for when in *whens {
            let error = errors.next().unwrap();
            for (fault, code) in
                [(format!("error={error}"), Some(4)), ("signal=KILL".to_owned(), None)]
            {
                let what = format!("{call} number {when} with {fault}");
                let test_dir = TestDir { temp: tempfile::tempdir().unwrap() };
                copy_folder(template.temp.path(), test_dir.temp.path());
                let trace = test_dir.path("trace");
                let mut strace = strace(&trace);
                // Without seccomp a server is much slower, and with it strace injects no signal.
                strace.args(code.map(|_| "--seccomp-bpf"));
                strace.args(["-Y", "-e", &format!("trace={call}")]);
                strace.args(["-e", &format!("inject={call}:{fault}:when={when}")]);
                strace.arg(env!("CARGO_BIN_EXE_daybook"));
                let mut answered = BTreeMap::new();
                match Daybook::try_spawn(&mut test_dir.serve_command(strace)) {
                    Err(said) if code.is_some() => {
                        assert!(said.contains("os error"), "{what}: {said}")
                    }
                    Err(_) => {}
                    Ok(server) => {
                        let ended = send_until(server, &mut answered, load, |sent| {
                            is_done(&test_dir, sent)
                        });
                        assert!(
                            [Some(0), code].contains(&ended),
                            "{what}: the server ended with {ended:?}"
                        );
                    }
                }
                let thread = thread_that_met_it(&whole_trace(&trace, &what), call);
                *met.entry(thread).or_default() += 1;
                let aftermath = Aftermath::of(&test_dir);
                aftermath.has(&answered).unwrap_or_else(|violation| panic!("{what}: {violation}"));
                assert!(aftermath.events.len() <= before + answered.len() + load.events, "{what}");
                left_over += usize::from(aftermath.left_over > 0);
            }
        }
    }
    println!("faults that each thread met: {met:?}; {left_over} left files that no manifest names");
    met
}

/// Requests, one after another.
struct Load {
    /// Events in each.
    events: usize,
    /// Between an answer and the next request.
    pause: Duration,
}

/// Sends requests until the server ends or `is_done` says so of their number. Returns the exit
/// code.
fn send_until(
    mut server: Daybook,
    answered: &mut BTreeMap<String, Option<u64>>,
    load: &Load,
    is_done: impl Fn(usize) -> bool,
) -> Option<i32> {
    let bearer = format!("Bearer {TOKEN}");
    let deadline = Instant::now() + PATIENCE;
    let mut request = 0;
    loop {
        if is_done(request) {
            return server.stop();
        }
        let keys: Vec<String> =
            (0..load.events).map(|position| format!("{request}-{position}")).collect();
        let body: String = keys.iter().map(|key| named_event(key)).collect();
        let answer = Client::connect(server.address).and_then(|mut client| {
            client.request("POST", "/intake/own", &[("Authorization", &bearer)], body.as_bytes())
        });
        match answer {
            Ok(answer) if answer.status == 200 => {
                let first = answer.json()["first_index"].as_u64().unwrap();
                answered.extend(keys.into_iter().zip((first..).map(Some)));
                request += 1;
            }
            // It is sent again.
            Ok(answer) if answer.status == 503 && answer.code() == "storage_full" => {}
            Ok(answer) if answer.status != 503 => panic!("{}: {}", answer.status, answer.text()),
            _ => break,
        }
        assert!(Instant::now() < deadline, "neither done nor ended");
        std::thread::sleep(load.pause);
    }
    server.exit_code()
}

/// Which thread a fault was injected into; `none` when it was never met.
fn thread_that_met_it(trace: &str, call: &str) -> String {
    // The call that SIGKILL comes with has no result.
    let met =
        |line: &&str| line.contains("(INJECTED)") || line.contains(call) && line.ends_with("= ?");
    let line = trace.lines().find(met);
    let thread = line.and_then(|line| line.split_once('<')?.1.split_once('>'));
    thread.map_or("none", |(name, _)| name).to_owned()
}

/// A directory whose log has segments of so many events, and some events more in the journal.
fn template(segments: &[usize], unflushed: usize) -> TestDir {
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\nflush_events = {FLUSH_EVENTS}\nunflushed_events_max = {}",
        2 * FLUSH_EVENTS
    ));
    let disk: Arc<dyn store::durable::Disk> =
        Arc::new(store::durable::Local::open(&test_dir.data()));
    let settings = Settings { compaction_every: Duration::MAX, ..Settings::default() };
    let log = Log::open(disk, settings).unwrap();
    for (segment, events) in segments.iter().enumerate() {
        append(&log, &format!("segment {segment}"), *events);
        log.flush().unwrap();
    }
    append(&log, "journal", unflushed);
    log.close().unwrap();
    assert_eq!(sizes(&test_dir.data()).len(), segments.len());
    test_dir
}

/// Appends events to a log that no server has open.
fn append(log: &Log, name: &str, events: usize) {
    let trail = Trail::new(Service::Registry, "acme", PROJECT, "own").unwrap();
    let received_at = Time::from_unix_ns(1);
    let mut new_id = || EventId::v7(received_at, [1; 10]);
    let (options, format) = (Options::default(), "daybook".parse::<Format>().unwrap());
    let mut context = Context::new("own", &trail, received_at, &mut new_id, &options);
    let body: String =
        (0..events).map(|position| named_event(&format!("{name}-{position}"))).collect();
    let parsed = format.parse(body.as_bytes(), &mut context).unwrap();
    let incoming = |parsed| match parsed {
        Item::Event(event) => IncomingEvent::new(*event),
        other => panic!("{other:?}"),
    };
    let events = parsed.into_iter().map(incoming).collect();
    let (source, rejected, on_conflict) = ("own".to_owned(), Vec::new(), OnConflict::Refuse);
    let append = Append { source, received_at, events, rejected, on_conflict, is_own: false };
    log.append(append).unwrap().unwrap();
}

/// An event whose resource is named by its key.
fn named_event(key: &str) -> String {
    format!("{{\"id\":\"{key}\",\"action\":\"test\",\"resource\":\"{key}\"}}\n")
}
