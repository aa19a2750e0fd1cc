//! `scripts/bench evidence`: what the tree and its signatures cost while events are recorded, how
//! long a proof takes and how large it is, and how fast a whole log is verified, beside what one
//! core hashes.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{CHECKPOINT, Contents, LOG_KEY};
use tlog::{Checkpoint, Note, ProofFile, Signer, Tree, prove_inclusion};

use crate::query::{Options, folder_of, generate};
use crate::{Cell, daybook, machine};

/// Checkpoints a second, as a server that grows signs them.
const CHECKPOINTS_S: f64 = 2.5;
const PROOFS: u64 = 20_000;
const TREE_EVENTS: u64 = 2_000_000;
/// Bytes hashed for the baseline, in pieces of an entry's size.
const HASHED_BYTES: usize = 1 << 30;

pub fn run(options: &Options) {
    let folder = folder_of(options);
    machine::print(&folder);
    println!("{} events of seed {} in {}\n", options.events, options.seed, folder.display());
    let data = generate(options, &folder);
    let disk: Arc<dyn Disk> = Arc::new(Local::open(&data));
    let log = Contents::read(&disk).expect("the log reads back");
    let (size, root) = log.head();
    let signer = signer(&data);
    let checkpoint = Checkpoint { origin: signer.verifier().name().to_owned(), size, root };
    let mut note = Note::new(checkpoint.text()).expect("a checkpoint");
    note.add(signer.sign(note.text(), 0));
    std::fs::write(data.join(CHECKPOINT), note.to_string()).expect("the folder is writable");

    recording(options, &checkpoint, &signer);
    proofs(&log, &note, size);
    let entry_bytes = entry_bytes(&log, size);
    growth(&data, size);
    drop(log);
    verifying(options, &data, &signer, entry_bytes, size);
}

fn signer(data: &Path) -> Signer {
    let text = std::fs::read_to_string(data.join(LOG_KEY)).expect("the log has a key");
    Signer::parse(text.trim_end()).expect("a key")
}

/// Tree and signatures on the path of events that are recorded.
fn recording(options: &Options, checkpoint: &Checkpoint, signer: &Signer) {
    let ingest = daybook::measure(
        &crate::Options {
            seconds: options.seconds,
            cells: Vec::new(),
            has_baselines: false,
            asks: false,
            is_made: false,
            program: options.program.clone(),
            folder: options.folder.clone(),
            formats: Vec::new(),
        },
        Cell { events: 1000, senders: 8 },
        None,
    );
    let mut tree = Tree::new();
    let mut filled = 0u64;
    let began = Instant::now();
    let mut digest = [7u8; 32];
    for number in 0..TREE_EVENTS {
        digest[..8].copy_from_slice(&number.to_le_bytes());
        tree.push_and_visit(&digest, &mut |_, _| filled += 1);
    }
    let tree_ns = began.elapsed().as_secs_f64() * 1e9 / TREE_EVENTS as f64;
    // A root for each group. Each group has a request of a thousand events or more.
    let began = Instant::now();
    for _ in 0..1000 {
        black_box(tree.root());
    }
    let root_us = began.elapsed().as_secs_f64() * 1e6 / 1000.0;
    let began = Instant::now();
    for _ in 0..1000 {
        let mut note = Note::new(checkpoint.text()).expect("a checkpoint");
        note.add(signer.sign(note.text(), 0));
        black_box(note.to_string());
    }
    let sign_us = began.elapsed().as_secs_f64() * 1e6 / 1000.0;
    let signing_ns = sign_us * 1e3 * CHECKPOINTS_S / ingest.events_s;
    let all_ns = tree_ns + root_us + signing_ns;
    let ingest_ns = ingest.cpu_s_per_million * 1e3;
    println!(
        "recording 1,000 events a request over HTTP, 8 senders: {:.0} events/s, {ingest_ns:.0} ns of processor time an event",
        ingest.events_s
    );
    println!(
        "  tree {tree_ns:.0} ns an event ({filled} hashes of tiles), root {root_us:.1} us a group, signature {sign_us:.1} us, {CHECKPOINTS_S} of them a second"
    );
    println!(
        "  together {all_ns:.0} ns an event: {:.2} % of it (goal: under 5 %)\n",
        all_ns / ingest_ns * 100.0
    );
}

fn proofs(log: &Contents, note: &Note, size: u64) {
    let (mut times, mut longest) = (Vec::new(), 0);
    let mut index = 12345u64;
    for _ in 0..PROOFS {
        index =
            index.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (index >> 20) % size;
        let began = Instant::now();
        let path = prove_inclusion(log, at, size).expect("the tree reads back");
        let file = ProofFile { extra: None, index: at, path, checkpoint: note.clone() }.to_string();
        times.push(began.elapsed().as_secs_f64() * 1e3);
        longest = longest.max(file.len());
    }
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (p50, p99) = (at(0.5), at(0.99));
    println!(
        "proof of a random event, {PROOFS} of them: p50 {p50:.3} ms, p99 {p99:.3} ms (goal: p50 0.2), at most {longest} bytes (goal: 2,048)\n"
    );
}

/// Bytes of all entries, by those of some.
fn entry_bytes(log: &Contents, size: u64) -> f64 {
    let some = (size / 500).max(1);
    let lens: Vec<usize> = (0..size)
        .step_by(some as usize)
        .map(|index| log.stored_event(index).expect("reads back").expect("is there").entry.len())
        .collect();
    lens.iter().sum::<usize>() as f64 / lens.len() as f64 * size as f64
}

fn growth(data: &Path, size: u64) {
    let files = std::fs::read_dir(data.join("tree")).expect("the log has a tree");
    let bytes: u64 = files.map(|file| file.expect("listed").metadata().expect("there").len()).sum();
    println!(
        "files of the tree: {bytes} bytes, {:.2} an event (goal: 33)\n",
        bytes as f64 / size as f64
    );
}

fn verifying(options: &Options, data: &Path, signer: &Signer, entry_bytes: f64, size: u64) {
    let piece = vec![7u8; (entry_bytes / size as f64) as usize];
    let began = Instant::now();
    for _ in 0..HASHED_BYTES / piece.len() {
        black_box(Sha256::digest(&piece));
    }
    let hash_mb_s = HASHED_BYTES as f64 / 1e6 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let verified = Command::new(&options.program)
        .args(["verify", "--key", &signer.verifier().to_string(), daybook::path(data)])
        .output()
        .expect("the program starts");
    let seconds = began.elapsed().as_secs_f64();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let mb_s = entry_bytes / 1e6 / seconds;
    println!(
        "verifying the whole log: {seconds:.1} s, {mb_s:.0} MB/s of entries ({:.0} events/s)",
        size as f64 / seconds
    );
    println!(
        "  SHA-256 of as large pieces on one core: {hash_mb_s:.0} MB/s; goal: {:.0}, which is 500 or 80 % of that",
        (hash_mb_s * 0.8).min(500.0)
    );
}
