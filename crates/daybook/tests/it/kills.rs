//! SIGKILL at random moments under load: the senders' ledger against what is there afterwards.
//!
//! Senders repeat a request until it is answered, as a registry does. `DAYBOOK_KILLS` asks for
//! another number of kills, `DAYBOOK_SEED` for another seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::aftermath::{Aftermath, is_being_written};
use crate::harness::{Client, Daybook, TOKEN, TestDir};

const KILLS: usize = 40;
const SENDERS: usize = 4;

/// What the senders know: key to the index in the response, if one came.
#[derive(Default)]
struct Ledger {
    answered: BTreeMap<String, Option<u64>>,
    duplicates: u64,
}

#[test]
fn forty_kills_lose_double_and_invent_nothing() {
    let (kills, mut random) = kills_and_random();
    let test_dir = TestDir::new();
    let load = Load::begin();
    for _ in 0..kills {
        let mut server = test_dir.serve();
        load.aim(&server);
        std::thread::sleep(Duration::from_millis(random.below(150)));
        server.kill_9();
    }
    let (sent, ledger) = load.end(test_dir.serve());
    println!(
        "{sent} events sent and answered, {} found to be there already after a kill",
        ledger.duplicates
    );
    assert!(sent > 20 * kills, "there was hardly any load: {sent}");
    compare(&ledger, &test_dir).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(ledger.duplicates > 0, "no kill fell between write and answer; the test proves little");
}

/// Events of a segment, so few that there are many segments and compactions.
const FLUSH_EVENTS: u64 = 40;
/// Eight segments are compacted into one. No other has so many events: twice `FLUSH_EVENTS` may
/// wait, and a group of requests comes on top.
const COMPACTED_EVENTS: u64 = 8 * FLUSH_EVENTS;
/// After so many kills a new log is begun, because all of it is read after each.
const KILLS_OF_A_LOG: usize = 20;

#[test]
fn kills_during_flushes_and_compactions_lose_double_and_invent_nothing() {
    let (kills, mut random) = kills_and_random();
    let mut totals = Totals::default();
    for killed in (0..kills).step_by(KILLS_OF_A_LOG) {
        kill_while_flushing(KILLS_OF_A_LOG.min(kills - killed), &mut random, &mut totals);
    }
    println!("{totals:?}");
    assert!(
        totals.under_way > 0,
        "no kill fell into a flush or a compaction; the test proves little: {totals:?}"
    );
    assert!(totals.compacted > 0 && totals.largest_segment >= COMPACTED_EVENTS, "{totals:?}");
    assert!(totals.flushed_events > 50 * kills as u64, "hardly anything was flushed: {totals:?}");
}

#[derive(Debug, Default)]
struct Totals {
    answered: usize,
    duplicates: u64,
    /// Of the last state of each log.
    flushed_events: u64,
    /// Kills after which there were files that no manifest named.
    under_way: usize,
    /// Kills between which segments were compacted.
    compacted: usize,
    largest_segment: u64,
}

fn kill_while_flushing(kills: usize, random: &mut Random, totals: &mut Totals) {
    let test_dir = TestDir::with_settings(&format!(
        "[limits]\nflush_events = {FLUSH_EVENTS}\nunflushed_events_max = {}",
        2 * FLUSH_EVENTS
    ));
    let load = Load::begin();
    let mut segments = Vec::new();
    for kill in 0..kills {
        let mut server = test_dir.serve();
        load.aim(&server);
        // Compactions are looked for every 200 ms.
        std::thread::sleep(Duration::from_millis(random.below(500)));
        if random.below(2) == 0 {
            wait_for_a_file_being_written(&test_dir);
            std::thread::sleep(Duration::from_millis(random.below(20)));
        }
        let answered = load.ledger.lock().unwrap().answered.clone();
        server.kill_9();
        let aftermath = Aftermath::of(&test_dir);
        aftermath.has(&answered).unwrap_or_else(|violation| panic!("kill {kill}: {violation}"));
        totals.under_way += usize::from(aftermath.left_over > 0);
        let compacted = |segments: &[u64]| {
            segments.iter().filter(|events| **events >= COMPACTED_EVENTS).count()
        };
        totals.compacted += usize::from(
            compacted(&aftermath.segments) != compacted(&segments)
                || aftermath.segments.len() < segments.len(),
        );
        segments = aftermath.segments;
    }
    let (sent, ledger) = load.end(test_dir.serve());
    compare(&ledger, &test_dir).unwrap_or_else(|violation| panic!("{violation}"));
    let segments = Aftermath::of(&test_dir).segments;
    totals.answered += sent;
    totals.duplicates += ledger.duplicates;
    totals.flushed_events += segments.iter().sum::<u64>();
    totals.largest_segment =
        totals.largest_segment.max(segments.into_iter().max().unwrap_or_default());
}

/// Waits for a flush or a compaction to begin, but not for long: without load there may be none.
fn wait_for_a_file_being_written(test_dir: &TestDir) {
    let deadline = Instant::now() + Duration::from_millis(300);
    while !is_being_written(&test_dir.data()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How many kills, and from which seed.
fn kills_and_random() -> (usize, Random) {
    let kills = std::env::var("DAYBOOK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = std::env::var("DAYBOOK_SEED").map_or(0x5eed, |text| text.parse().unwrap());
    println!("{kills} kills, seed {seed}");
    (kills, Random(seed))
}

/// Senders that go on whatever happens to the server.
struct Load {
    ledger: Arc<Mutex<Ledger>>,
    address: Arc<Mutex<Option<SocketAddr>>>,
    is_over: Arc<AtomicBool>,
    senders: Vec<JoinHandle<usize>>,
}

impl Load {
    fn begin() -> Load {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let address = Arc::new(Mutex::new(None));
        let is_over = Arc::new(AtomicBool::new(false));
        let senders = (0..SENDERS).map(|sender| {
            let (ledger, address, is_over) =
                (Arc::clone(&ledger), Arc::clone(&address), Arc::clone(&is_over));
            std::thread::spawn(move || send(sender, &ledger, &address, &is_over))
        });
        let senders = senders.collect();
        Load { ledger, address, is_over, senders }
    }

    /// Gives the senders the server's address.
    fn aim(&self, server: &Daybook) {
        *self.address.lock().unwrap() = Some(server.address);
    }

    /// Ends the load once the last server gave every sender an answer, and then the server. Returns
    /// how many events were sent.
    fn end(self, server: Daybook) -> (usize, Ledger) {
        self.aim(&server);
        self.is_over.store(true, Ordering::SeqCst);
        let sent = self.senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert_eq!(server.stop(), Some(0));
        (sent, std::mem::take(&mut *self.ledger.lock().unwrap()))
    }
}

/// What was answered for is there once, and nothing else is.
fn compare(ledger: &Ledger, test_dir: &TestDir) -> Result<(), String> {
    let aftermath = Aftermath::of(test_dir);
    aftermath.has(&ledger.answered)?;
    match aftermath.events.values().find(|key| !ledger.answered.contains_key(*key)) {
        Some(key) => Err(format!("{key} is there, and was never answered for")),
        None => Ok(()),
    }
}

/// Sends request after request, each until it is answered. Returns how many events were.
fn send(
    sender: usize,
    ledger: &Mutex<Ledger>,
    address: &Mutex<Option<SocketAddr>>,
    is_over: &AtomicBool,
) -> usize {
    let (mut random, mut sent) = (Random(sender as u64), 0);
    let mut client: Option<Client> = None;
    while !is_over.load(Ordering::SeqCst) {
        let keys: Vec<String> =
            (0..=random.below(8)).map(|position| format!("{sender}-{sent}-{position}")).collect();
        let body: String = keys
            .iter()
            .map(|key| format!("{{\"id\":\"{key}\",\"action\":\"test\",\"resource\":\"{key}\"}}\n"))
            .collect();
        loop {
            let Some(answer) = try_once(&mut client, address, &body) else {
                client = None;
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            note(&mut ledger.lock().unwrap(), &keys, &answer);
            break;
        }
        sent += keys.len();
    }
    sent
}

fn try_once(
    client: &mut Option<Client>,
    address: &Mutex<Option<SocketAddr>>,
    body: &str,
) -> Option<serde_json::Value> {
    if client.is_none() {
        *client = Client::connect((*address.lock().unwrap())?).ok();
    }
    let bearer = format!("Bearer {TOKEN}");
    let answer = client
        .as_mut()?
        .request("POST", "/intake/own", &[("Authorization", &bearer)], body.as_bytes())
        .ok()?;
    match answer.status {
        200 => Some(answer.json()),
        503 => None,
        other => panic!("{other}: {}", answer.text()),
    }
}

fn note(ledger: &mut Ledger, keys: &[String], answer: &serde_json::Value) {
    let duplicates = answer["duplicates"].as_array().unwrap();
    ledger.duplicates += duplicates.len() as u64;
    let indexes: BTreeMap<u64, u64> = duplicates
        .iter()
        .map(|one| (one["position"].as_u64().unwrap(), one["index"].as_u64().unwrap()))
        .collect();
    let mut next = answer["first_index"].as_u64();
    for (position, key) in keys.iter().enumerate() {
        let index = match indexes.get(&(position as u64)) {
            Some(&index) => Some(index),
            None => {
                let index = next;
                next = next.map(|index| index + 1);
                index
            }
        };
        ledger.answered.insert(key.clone(), index);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
