//! SIGKILL at random moments under load: the senders' ledger against what is there afterwards.
//!
//! Senders repeat a request until it is answered, as a registry does. `DAYBOOK_KILLS` asks for another number of kills,
//! `DAYBOOK_SEED` for another seed. A build with a planted bug must be found out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Client, Place, TOKEN};

const KILLS: usize = 40;
const SENDERS: usize = 4;
const PLANTED: bool = cfg!(any(feature = "plant_ack_before_write", feature = "plant_no_dedup_after_restart"));

/// What the senders know: key to the index they were told, if they were.
#[derive(Default)]
struct Ledger {
    answered: BTreeMap<String, Option<u64>>,
    duplicates: u64,
}

#[test]
fn forty_kills_lose_double_and_invent_nothing() {
    let kills = std::env::var("DAYBOOK_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = std::env::var("DAYBOOK_SEED").map_or(0x5eed, |text| text.parse().unwrap());
    println!("{kills} kills, seed {seed}");
    let place = Place::new();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let address = Arc::new(Mutex::new(None));
    let is_over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (ledger, address, is_over) =
                (Arc::clone(&ledger), Arc::clone(&address), Arc::clone(&is_over));
            std::thread::spawn(move || send(sender, &ledger, &address, &is_over))
        })
        .collect();
    let mut random = Random(seed);
    for _ in 0..kills {
        let mut server = place.serve();
        *address.lock().unwrap() = Some(server.address);
        std::thread::sleep(Duration::from_millis(random.below(150)));
        server.kill_9();
    }
    // The last server lives until every sender has an answer.
    let server = place.serve();
    *address.lock().unwrap() = Some(server.address);
    is_over.store(true, Ordering::SeqCst);
    let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    assert_eq!(server.stop(), Some(0));

    let ledger = ledger.lock().unwrap();
    println!("{sent} events sent and answered, {} found to be there already after a kill", ledger.duplicates);
    assert!(sent > 20 * kills, "there was hardly any load: {sent}");
    match (compare(&ledger, &place), PLANTED) {
        (Ok(()), false) | (Err(_), true) => {}
        (Ok(()), true) => panic!("the planted bug was not found"),
        (Err(violation), false) => panic!("seed {seed}: {violation}"),
    }
    if !PLANTED {
        assert!(ledger.duplicates > 0, "no kill fell between write and answer; the test proves little");
    }
}

fn compare(ledger: &Ledger, place: &Place) -> Result<(), String> {
    let mut there = BTreeMap::new();
    for (index, key) in place.events() {
        if let Some(other) = there.insert(key.clone(), index) {
            return Err(format!("{key} is there twice, at {other} and {index}"));
        }
    }
    for (key, told) in &ledger.answered {
        match (there.remove(key), told) {
            (None, _) => return Err(format!("{key}, answered for, is gone")),
            (Some(index), Some(told)) if index != *told => {
                return Err(format!("{key} is at {index}, and {told} was told"));
            }
            _ => {}
        }
    }
    match there.pop_first() {
        Some((key, _)) => Err(format!("{key} is there, and was never answered for")),
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
        let body: String =
            keys.iter().map(|key| format!("{{\"id\":\"{key}\",\"action\":\"test\"}}\n")).collect();
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
    let told: BTreeMap<u64, u64> = duplicates
        .iter()
        .map(|one| (one["position"].as_u64().unwrap(), one["index"].as_u64().unwrap()))
        .collect();
    let mut next = answer["first_index"].as_u64();
    for (position, key) in keys.iter().enumerate() {
        let index = match told.get(&(position as u64)) {
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
