//! One forged field for each check. Everything else is right, and the check of that field alone
//! refuses it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use event::entry::{Template, digest};
use event::{
    Actor, ActorKind, Class, Event, EventId, Operation, Origin, Outcome, RejectedRecord,
    Resolution, Resource, Service, Severity, Time, Trail,
};
use sha2::{Digest, Sha256};
use store::durable::{Disk, Local};
use store::{Append, CHECKPOINT, FileObjects, Identity, IncomingEvent, Log, Objects, OnConflict};
use tlog::{Checkpoint, Hash, Kind, Nodes, Note, ProofFile, Signer, Tree, leaf_hash, node_hash};
use verify::{Keys, VerifyError};

const ORIGIN: &str = "daybook.example/log";
const RAW: &[u8] = b"raw";
const BODY: &[u8] = b"{}";

fn signer() -> Signer {
    Signer::new(ORIGIN, Kind::Note, &[3; 32]).unwrap()
}

fn keys_of(signer: &Signer) -> Keys {
    Keys { log: vec![signer.verifier().clone()], witnesses: Vec::new() }
}

fn keys() -> Keys {
    keys_of(&signer())
}

fn signed(text: String) -> Note {
    let mut note = Note::new(text).unwrap();
    note.add(signer().sign(note.text(), 0));
    note
}

fn flipped(mut hash: Hash) -> Hash {
    hash[31] ^= 1;
    hash
}

fn event() -> Event {
    let time = Time::from_unix_ns(1_000);
    Event {
        id: EventId::v7(time, [1; 10]),
        trail: Trail::new(Service::Registry, "acme", "p1", "hub").unwrap(),
        occurred_at: time,
        resolution: Resolution::Nanosecond,
        actor: Actor { id: None, name: Some("alice".to_owned()), kind: ActorKind::User },
        source_ip: None,
        user_agent: None,
        action: "pull".to_owned(),
        operation: Operation::Pull,
        resource: Resource::default(),
        outcome: Outcome::default(),
        severity: Severity::WARNING,
        class: Class::Operation,
        description: None,
        request_id: None,
        trace_id: None,
        origin: Origin { source: "hub".to_owned(), format: "daybook".to_owned(), key: None },
        attributes: BTreeMap::new(),
        raw: RAW.to_vec(),
    }
}

fn entry() -> Vec<u8> {
    let mut entry = Vec::new();
    Template::new(&event()).fill(1, Time::from_unix_ns(1_000), &mut entry);
    entry
}

/// A log of four events; the first is [`event`].
struct FourEvents;

impl FourEvents {
    fn digests() -> [Hash; 4] {
        [digest(&entry()), [1; 32], [2; 32], [3; 32]]
    }

    fn checkpoint(size: usize) -> Checkpoint {
        let mut tree = Tree::new();
        FourEvents::digests()[..size].iter().for_each(|digest| tree.push(digest));
        Checkpoint { origin: ORIGIN.to_owned(), size: size as u64, root: tree.root() }
    }
}

impl Nodes for FourEvents {
    type Error = VerifyError;

    fn node(&self, level: u32, position: u64) -> Result<Hash, VerifyError> {
        if level == 0 {
            return Ok(leaf_hash(&FourEvents::digests()[usize::try_from(position).unwrap()]));
        }
        Ok(node_hash(
            &self.node(level - 1, 2 * position)?,
            &self.node(level - 1, 2 * position + 1)?,
        ))
    }
}

/// A proof file of the first event, with its entry.
fn proof() -> ProofFile {
    ProofFile {
        extra: Some(entry()),
        index: 0,
        path: tlog::prove_inclusion(&FourEvents, 0, 4).unwrap_or_default(),
        checkpoint: signed(FourEvents::checkpoint(4).text()),
    }
}

/// The value of a receipt for the first two events, with this SHA-256 over their digests.
fn receipt(digests: Hash) -> String {
    let encode = |hash: &Hash| BASE64_STANDARD.encode(hash);
    let tree = FourEvents::checkpoint(4);
    let text = format!(
        "daybook-receipt/v1\norigin {ORIGIN}\ntree 4 {}\ntime 2026-11-20T00:00:00.000000000Z\n\
         caller reader\nasked GET /\nrows 2 2\nindexes {}\ndigests {}\nbody {}\n",
        encode(&tree.root),
        // The indexes 0 and 1, as differences.
        BASE64_STANDARD.encode([0, 2]),
        encode(&digests),
        encode(&Sha256::digest(BODY).into()),
    );
    BASE64_STANDARD.encode(signed(text).to_string())
}

fn digests_of_rows() -> Hash {
    Sha256::digest(FourEvents::digests()[..2].as_flattened()).into()
}

fn check_rows(digests: Hash) -> Result<(), VerifyError> {
    let receipt = verify::receipt(&keys(), receipt(digests).as_bytes(), Some(BODY))?;
    let digest_at = |index| Ok(FourEvents::digests()[usize::try_from(index).unwrap()]);
    verify::receipt_rows(&FourEvents, digest_at, &receipt)
}

/// Makes a log with an event and a rejected record, and signs it over this line of dead letters.
fn directory(dir: &Path, dead_letters: impl FnOnce(u64, Hash) -> String) {
    let disk: Arc<dyn Disk> = Arc::new(Local::create(dir).unwrap());
    let created_at = Time::from_unix_ns(1);
    let identity = Identity { origin: ORIGIN.to_owned(), created_at, salt: [7; 16] };
    store::init(&disk, &identity, &[]).unwrap();
    let log = Log::open(Arc::clone(&disk), store::Settings::default()).unwrap();
    let append = Append {
        source: "hub".to_owned(),
        received_at: Time::from_unix_ns(1_000),
        events: vec![IncomingEvent::new(event())],
        rejected: vec![RejectedRecord { reason: "no use".to_owned(), raw: RAW.to_vec() }],
        on_conflict: OnConflict::Refuse,
        is_own: false,
    };
    log.append(append).unwrap().unwrap();
    let (size, root) = log.head();
    let (count, root_of_letters) = log.dead_letters_head();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root };
    let note = signed(checkpoint.text() + &dead_letters(count, root_of_letters));
    FileObjects::new(disk).replace(CHECKPOINT, note.to_string().as_bytes(), None).unwrap();
    log.close().unwrap();
}

fn check_directory(dir: &Path) -> Result<(), VerifyError> {
    verify::directory(&keys(), dir, &[], &mut |_| {}).map(drop)
}

/// Fails with `accepted` unless the verifier refuted what was forged, and said why.
#[track_caller]
fn assert_refuted<T>(result: Result<T, VerifyError>, why: &str, accepted: &str) {
    match result {
        Err(VerifyError::Refuted(said)) => assert!(said.contains(why), "{said}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{accepted}"),
    }
}

#[test]
fn what_is_not_forged_is_verified() {
    assert!(keys().open(signed(FourEvents::checkpoint(4).text()).to_string().as_bytes()).is_ok());
    assert!(verify::proof(&keys(), proof().to_string().as_bytes(), None, Some(RAW)).is_ok());
    check_rows(digests_of_rows()).unwrap();
    let (two, four) = (FourEvents::checkpoint(2), FourEvents::checkpoint(4));
    verify::consistency(&FourEvents, &two, &four).unwrap();
    verify::covered(&FourEvents, 4, &four).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    directory(&data, |count, root| verify::dead_letters::line((count, root)));
    check_directory(&data).unwrap();
}

#[test]
fn the_key_of_a_checkpoint() {
    let other = Signer::new(ORIGIN, Kind::Note, &[4; 32]).unwrap();
    let note = signed(FourEvents::checkpoint(4).text()).to_string();
    let opened = keys_of(&other).open(note.as_bytes());
    assert_refuted(opened, "not signed by the log's key", "another key's note was accepted");
}

#[test]
fn the_path_of_a_proof() {
    let mut proof = proof();
    proof.path[0] = flipped(proof.path[0]);
    let verified = verify::proof(&keys(), proof.to_string().as_bytes(), None, None);
    assert_refuted(verified, "", "another path was accepted");
}

#[test]
fn the_raw_bytes_of_a_proof() {
    let file = proof().to_string();
    let verified = verify::proof(&keys(), file.as_bytes(), None, Some(b"other"));
    assert_refuted(verified, "raw bytes", "other raw bytes were accepted");
}

#[test]
fn the_body_of_a_receipt() {
    let value = receipt(digests_of_rows());
    let verified = verify::receipt(&keys(), value.as_bytes(), Some(b"{ }"));
    assert_refuted(verified, "", "another body was accepted");
}

#[test]
fn the_rows_of_a_receipt() {
    assert_refuted(check_rows(flipped(digests_of_rows())), "rows", "other rows were accepted");
}

#[test]
fn the_root_of_a_later_checkpoint() {
    let (two, mut four) = (FourEvents::checkpoint(2), FourEvents::checkpoint(4));
    four.root = flipped(four.root);
    let verified = verify::consistency(&FourEvents, &two, &four);
    assert_refuted(verified, "rewritten", "a rewritten log was accepted");
}

#[test]
fn the_root_of_a_checkpoint() {
    let mut four = FourEvents::checkpoint(4);
    four.root = flipped(four.root);
    let verified = verify::covered(&FourEvents, 4, &four);
    assert_refuted(verified, "differ from those that were signed", "another root was accepted");
}

#[test]
fn the_dead_letters_of_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    directory(&data, |count, root| verify::dead_letters::line((count, flipped(root))));
    assert_refuted(check_directory(&data), "dead letters", "other rejected records were accepted");
}
