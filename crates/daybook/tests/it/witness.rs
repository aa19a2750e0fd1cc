//! Witnesses cosign what goes on from what they cosigned before and nothing else, across kills; a
//! log asks them, and goes on without them.
//!
//! `DAYBOOK_KILLS` asks for another number of kills.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tlog::{
    AddCheckpoint, Checkpoint, Hash, Kind, Nodes, Note, Signer, Verifier, leaf_hash,
    prove_consistency, root_of, subtree_hash,
};

use crate::aftermath::copy_folder;
use crate::evidence::{checkpoint, key_of, send};
use crate::harness::{
    Answer, Client, Daybook, OPERATOR_KEY, OWN_AT_START, TestDir, becomes_true, daybook, run, text,
    without_settings,
};

const ORIGIN: &str = "log.example/made-by-hand";

/// A witness's directory.
struct Home {
    dir: TempDir,
    key: Verifier,
}

impl Home {
    fn new(name: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let made = daybook()
            .args(["witness", "init", "--name", name])
            .arg(dir.path().join("witness"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let key = Verifier::parse(text(&made.stdout).trim_end()).unwrap();
        assert_eq!((key.name(), key.kind()), (name, Kind::Cosignature));
        Home { dir, key }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    /// Runs `daybook witness COMMAND` on this directory.
    fn run(&self, command: &str, key: Option<&Verifier>) -> Output {
        let key = key.map(Verifier::to_string);
        daybook().args(["witness", command]).arg(self.path()).args(key).output().unwrap()
    }

    fn watch(&self, log: &Verifier) {
        let added = self.run("add", Some(log));
        assert!(added.status.success(), "{}", text(&added.stderr));
    }

    /// The size of the log's tree that was cosigned last.
    fn size(&self, log: &Verifier) -> Option<u64> {
        let listed = self.run("list", None);
        assert!(listed.status.success(), "{}", text(&listed.stderr));
        let line = format!("{log} ");
        let listed = text(&listed.stdout);
        listed.lines().find_map(|one| one.strip_prefix(&line)).unwrap().parse().ok()
    }

    fn serve_command(&self, mut command: Command, listen: SocketAddr) -> Command {
        command.args(["witness", "serve"]).arg(self.path()).args(["--listen", &listen.to_string()]);
        command
    }

    fn serve(&self) -> Daybook {
        self.serve_at("127.0.0.1:0".parse().unwrap())
    }

    /// Serves where it was before.
    fn serve_at(&self, listen: SocketAddr) -> Daybook {
        Daybook::spawn(&mut self.serve_command(daybook(), listen))
    }
}

/// A log in memory, of as many leaves as anyone asks about; those from `forks_at` on are others
/// than in the log beside.
#[derive(Clone, Copy)]
struct Hand {
    forks_at: u64,
}

const STRAIGHT: Hand = Hand { forks_at: u64::MAX };

impl Nodes for Hand {
    type Error = ();

    fn node(&self, level: u32, position: u64) -> Result<Hash, ()> {
        let leaf = |index: u64| leaf_hash(format!("{index} {}", index >= self.forks_at).as_bytes());
        let leaves: Vec<Hash> = (position << level..(position + 1) << level).map(leaf).collect();
        Ok(root_of(&leaves))
    }
}

fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, Kind::Note, &[seed; 32]).unwrap()
}

impl Hand {
    fn root(self, size: u64) -> Hash {
        if size == 0 { tlog::Tree::new().root() } else { subtree_hash(&self, 0, size).unwrap() }
    }

    fn note(self, size: u64, signers: &[Signer]) -> Note {
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: self.root(size) };
        let mut note = Note::new(checkpoint.text()).unwrap();
        signers.iter().for_each(|signer| note.add(signer.sign(note.text(), 0)));
        note
    }

    fn request(self, old_size: u64, size: u64) -> AddCheckpoint {
        let path = prove_consistency(&self, old_size, size).unwrap_or_default();
        AddCheckpoint { old_size, path, checkpoint: self.note(size, &[signer(1)]) }
    }
}

fn add_checkpoint(witness: &Daybook, body: impl ToString) -> Answer {
    witness.request("POST", "/add-checkpoint", &[], body.to_string().as_bytes())
}

/// The answer has one line, which is the witness's cosignature of the request's checkpoint.
fn assert_cosigned(answer: &Answer, request: &AddCheckpoint, key: &Verifier) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let note = format!("{}\n{}", request.checkpoint.text(), answer.text());
    let note = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(note.signatures().len(), 1);
    let at = note.verify(key).unwrap().unwrap();
    assert!(at.abs_diff(crate::harness::now()) < 60, "{at}");
}

fn assert_conflict(answer: &Answer, size: u64) {
    assert_eq!((answer.status, answer.text()), (409, format!("{size}\n")));
    assert_eq!(answer.headers["content-type"], "text/x.tlog.size");
}

#[test]
fn every_status_of_the_specification() {
    let home = Home::new("witness.example/w1");
    let witness = home.serve();
    let first = STRAIGHT.request(0, 5);
    // What never comes so far.
    assert_eq!(witness.request("GET", "/add-checkpoint", &[], b"").status, 405);
    assert_eq!(witness.request("POST", "/", &[], b"").status, 404);
    let long = witness.request("POST", "/add-checkpoint", &[("Content-Length", "1000000")], b"");
    assert_eq!(long.status, 413);
    // 404: the origin is unknown, until the log is added beside the running witness.
    assert_eq!(add_checkpoint(&witness, &first).status, 404);
    let log = signer(1).verifier().clone();
    home.watch(&log);
    assert_eq!(home.size(&log), None);
    // 403: no signature of a known key, or one that is not the key's.
    let mut stranger = first.clone();
    stranger.checkpoint = STRAIGHT.note(5, &[signer(2)]);
    assert_eq!(add_checkpoint(&witness, &stranger).status, 403);
    let mut broken = first.clone();
    let mut signature = broken.checkpoint.signatures()[0].clone();
    signature.bytes[7] ^= 1;
    broken.checkpoint.add(signature);
    assert_eq!(add_checkpoint(&witness, &broken).status, 403);
    // 400: malformed, or from a larger tree.
    for body in [
        "",
        "old 0\n",
        &first.to_string().replace("old 0", "old 00"),
        &first.checkpoint.to_string(),
    ] {
        assert_eq!(add_checkpoint(&witness, body).status, 400, "{body}");
    }
    let mut many = first.clone();
    many.path = vec![[0; 32]; 64];
    assert_eq!(add_checkpoint(&witness, &many).status, 400);
    let mut larger = first.clone();
    larger.old_size = 6;
    assert_eq!(add_checkpoint(&witness, &larger).status, 400);
    // 409 before the first: the size is 0.
    assert_conflict(&add_checkpoint(&witness, STRAIGHT.request(3, 5)), 0);
    // 422: a proof where there must be none.
    let mut proved = first.clone();
    proved.path = vec![[0; 32]];
    assert_eq!(add_checkpoint(&witness, &proved).status, 422);
    assert_eq!(home.size(&log), None, "nothing was cosigned so far");
    // 200, with a further signature that means nothing, and once more for the same size.
    let mut first = first;
    first.checkpoint = STRAIGHT.note(5, &[signer(1), signer(9)]);
    assert_cosigned(&add_checkpoint(&witness, &first), &first, &home.key);
    let again = STRAIGHT.request(5, 5);
    assert_cosigned(&add_checkpoint(&witness, &again), &again, &home.key);
    // 409: from another size, for a smaller tree, and for the same size with another root.
    assert_conflict(&add_checkpoint(&witness, &first), 5);
    assert_conflict(&add_checkpoint(&witness, STRAIGHT.request(0, 4)), 5);
    assert_conflict(&add_checkpoint(&witness, STRAIGHT.request(4, 4)), 5);
    assert_conflict(&add_checkpoint(&witness, Hand { forks_at: 4 }.request(5, 5)), 5);
    // 422: a fork, a proof cut short, a proof too long.
    let next = STRAIGHT.request(5, 12);
    assert_eq!(add_checkpoint(&witness, Hand { forks_at: 4 }.request(5, 12)).status, 422);
    for path in [&next.path[1..], &[], &[&next.path[..], &[[0; 32]]].concat()] {
        let wrong = AddCheckpoint { path: path.to_vec(), ..next.clone() };
        assert_eq!(add_checkpoint(&witness, &wrong).status, 422);
    }
    assert_eq!(home.size(&log), Some(5));
    assert_cosigned(&add_checkpoint(&witness, &next), &next, &home.key);
    assert_eq!(home.size(&log), Some(12));
    // The operator hears of forks and of trees that shrink, whichever size they were said to go
    // on from, and of each once a minute.
    assert_conflict(&add_checkpoint(&witness, Hand { forks_at: 11 }.request(0, 12)), 12);
    let said = witness.said().join("\n");
    for (report, count) in
        [("a log forked", 1), ("may have forked", 1), ("may have been rolled back", 1)]
    {
        assert_eq!(said.matches(report).count(), count, "{report}: {said}");
    }
    // All that outlives the process.
    assert_eq!(witness.stop(), Some(0));
    let witness = home.serve();
    assert_conflict(&add_checkpoint(&witness, STRAIGHT.request(5, 12)), 12);
    let next = STRAIGHT.request(12, 13);
    assert_cosigned(&add_checkpoint(&witness, &next), &next, &home.key);
}

#[test]
fn of_requests_at_once_one_is_cosigned() {
    const AT_ONCE: u64 = 8;
    for _ in 0..10 {
        let home = Home::new("w");
        home.watch(signer(1).verifier());
        let witness = home.serve();
        let (address, start) = (witness.address, Barrier::new(AT_ONCE as usize));
        // All go on from nothing; half of them are of a fork.
        let ask = |number: u64| {
            let hand = if number < AT_ONCE / 2 { STRAIGHT } else { Hand { forks_at: 0 } };
            let body = hand.request(0, 3 + number % 2).to_string();
            let mut client = Client::connect(address).unwrap();
            start.wait();
            client.request("POST", "/add-checkpoint", &[], body.as_bytes()).unwrap().status
        };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let ask = &ask;
            let threads: Vec<_> =
                (0..AT_ONCE).map(|number| scope.spawn(move || ask(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
        assert_eq!((count(200), count(409)), (1, 7), "{statuses:?}");
    }
}

#[test]
fn a_log_has_one_tree_under_all_of_its_keys() {
    let home = Home::new("w");
    let (old, new) = (signer(1), signer(2));
    home.watch(old.verifier());
    home.watch(new.verifier());
    let witness = home.serve();
    let first = STRAIGHT.request(0, 3);
    assert_cosigned(&add_checkpoint(&witness, &first), &first, &home.key);
    let by_new = |request: AddCheckpoint| {
        let size = Checkpoint::parse(request.checkpoint.text()).unwrap().size;
        AddCheckpoint { checkpoint: STRAIGHT.note(size, &[signer(2)]), ..request }
    };
    assert_conflict(&add_checkpoint(&witness, by_new(STRAIGHT.request(0, 4))), 3);
    let second = by_new(STRAIGHT.request(3, 4));
    assert_cosigned(&add_checkpoint(&witness, &second), &second, &home.key);
    // The old key is taken no more, and what was cosigned by it stays known.
    assert!(home.run("remove", Some(old.verifier())).status.success());
    assert_eq!(add_checkpoint(&witness, STRAIGHT.request(4, 5)).status, 403);
    assert!(home.run("remove", Some(new.verifier())).status.success());
    assert_eq!(add_checkpoint(&witness, by_new(STRAIGHT.request(4, 5))).status, 404);
    home.watch(new.verifier());
    assert_eq!(home.size(new.verifier()), Some(4));
    assert_conflict(&add_checkpoint(&witness, by_new(STRAIGHT.request(0, 5))), 4);
}

#[test]
fn a_witness_is_made_once_and_served_once() {
    let home = Home::new("w");
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("witness.key")), (0o700, 0o600));
    assert_eq!(text(&home.run("show", None).stdout), format!("{}\n", home.key));
    let fails = |output: Output, code: i32, why: &str| {
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(code) && said.contains(why),
            "{}: {said}",
            output.status
        );
    };
    let again =
        daybook().args(["witness", "init", "--name", "w"]).arg(home.path()).output().unwrap();
    fails(again, 1, "is not empty");
    let other = home.dir.path().join("other");
    let named =
        daybook().args(["witness", "init", "--name", "two words"]).arg(&other).output().unwrap();
    fails(named, 2, "no spaces");
    let log = signer(1).verifier().clone();
    fails(home.run("add", Some(&home.key)), 2, "the key of a witness");
    fails(home.run("remove", Some(&log)), 1, "is not watched");
    home.watch(&log);
    fails(home.run("add", Some(&log)), 1, "already");
    let nowhere = daybook().args(["witness", "serve"]).arg(&other).output().unwrap();
    fails(nowhere, 1, "daybook witness init");
    let witness = home.serve();
    let mut second = home.serve_command(daybook(), "127.0.0.1:0".parse().unwrap());
    fails(second.output().unwrap(), 1, "another process");
    let first = STRAIGHT.request(0, 3);
    assert_cosigned(&add_checkpoint(&witness, &first), &first, &home.key);
    assert_eq!(witness.stop(), Some(0));
    // What does not read back is damage, and stops it.
    let newest =
        fs::read_dir(home.path().join("newest")).unwrap().map(|found| found.unwrap().path());
    let newest = newest.into_iter().find(|path| path.extension().is_none()).unwrap();
    let note = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, note.replacen("\n3\n", "\n2\n", 1)).unwrap();
    let damaged =
        Daybook::try_spawn(&mut home.serve_command(daybook(), "127.0.0.1:0".parse().unwrap()));
    let said = damaged.err().unwrap();
    assert!(said.contains("exit status: 3") && said.contains("damage in newest/"), "{said}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_not_cosigned() {
    for (call, error) in
        [("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("rename", "EIO"), ("fsync", "EIO")]
    {
        let home = Home::new("w");
        home.watch(signer(1).verifier());
        let mut strace = without_settings(Command::new("strace"));
        strace.args(["-D", "-f", "-o"]).arg(home.dir.path().join("trace"));
        strace.args([
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:error={error}:when=1"),
        ]);
        strace.arg(env!("CARGO_BIN_EXE_daybook"));
        let mut witness =
            Daybook::spawn(&mut home.serve_command(strace, "127.0.0.1:0".parse().unwrap()));
        let first = STRAIGHT.request(0, 3);
        assert_eq!(add_checkpoint(&witness, &first).status, 500, "{call}");
        assert_eq!(witness.exit_code(), Some(4), "{call}: {:?}", witness.said());
        // Whether it was written or not, the next start goes on from what is there.
        let witness = home.serve();
        let next = STRAIGHT.request(home.size(signer(1).verifier()).unwrap_or(0), 3);
        assert_cosigned(&add_checkpoint(&witness, &next), &next, &home.key);
    }
}

#[test]
fn a_log_asks_over_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let home = Home::new("w");
    let (certificate, key) = (home.dir.path().join("cert.pem"), home.dir.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = home.serve_command(daybook(), "127.0.0.1:0".parse().unwrap());
    command.arg("--tls-certificate").arg(&certificate);
    assert_eq!(command.output().unwrap().status.code(), Some(2), "a certificate has a key");
    let witness = Daybook::spawn(command.arg("--tls-key").arg(&key));
    let test_dir = TestDir::with_settings(&format!(
        "[[witness]]\nurl = \"https://localhost:{}\"\nkey = \"{}\"\n",
        witness.address.port(),
        home.key
    ));
    home.watch(&key_of(&test_dir));
    let mut command = daybook();
    command.env("SSL_CERT_FILE", &certificate);
    let server = Daybook::spawn(&mut test_dir.serve_command(command));
    becomes_witnessed(&server, &key_of(&test_dir), &[&home.key], OWN_AT_START);
}

/// The last checkpoint that a client saw cosigned.
#[derive(Clone, Copy, Default)]
struct Seen {
    size: u64,
    cosigned: u64,
}

/// Asks for larger and larger checkpoints until there is no answer.
fn ask_until_it_ends(address: SocketAddr, seen: &Mutex<Seen>) {
    let Ok(mut client) = Client::connect(address) else { return };
    let mut old_size = seen.lock().unwrap().size;
    loop {
        let body = STRAIGHT.request(old_size, old_size + 3).to_string();
        let Ok(answer) = client.request("POST", "/add-checkpoint", &[], body.as_bytes()) else {
            return;
        };
        match answer.status {
            200 => {
                old_size += 3;
                let mut seen = seen.lock().unwrap();
                *seen = Seen { size: old_size, cosigned: seen.cosigned + 1 };
            }
            409 => old_size = answer.text().trim_end().parse().unwrap(),
            other => panic!("{other}: {}", answer.text()),
        }
    }
}

#[test]
fn thirty_kills_make_it_cosign_nothing_smaller_and_no_fork() {
    let kills = std::env::var("DAYBOOK_KILLS").map_or(30, |text| text.parse().unwrap());
    let home = Home::new("w");
    home.watch(signer(1).verifier());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut unseen = 0;
    for kill in 0..kills {
        let mut witness = home.serve();
        let (address, seen_by_client) = (witness.address, Arc::clone(&seen));
        let client = std::thread::spawn(move || ask_until_it_ends(address, &seen_by_client));
        // From the first request on to some thirty requests later, in steps that have nothing
        // to do with theirs.
        std::thread::sleep(Duration::from_micros(1_000 + kill * 7_919 % 100_000));
        witness.kill_9();
        client.join().unwrap();
        let last = seen.lock().unwrap().size;
        let known = home.size(signer(1).verifier()).unwrap_or_default();
        assert!(known >= last, "kill {kill}: {last} was cosigned, and {known} is known");
        assert!(known <= last + 3, "kill {kill}: one request was under way");
        unseen += u64::from(known > last);
        let witness = home.serve();
        if known > 0 {
            let fork = Hand { forks_at: known - 1 };
            assert_conflict(&add_checkpoint(&witness, fork.request(known, known)), known);
            assert_eq!(add_checkpoint(&witness, fork.request(known, known + 2)).status, 422);
            let smaller = STRAIGHT.request(known - 1, known - 1);
            assert_conflict(&add_checkpoint(&witness, &smaller), known);
            let same = STRAIGHT.request(known, known);
            assert_cosigned(&add_checkpoint(&witness, &same), &same, &home.key);
        }
        seen.lock().unwrap().size = known;
    }
    let cosigned = seen.lock().unwrap().cosigned;
    println!("{cosigned} cosigned, {unseen} of {kills} kills fell between write and answer");
    assert!(cosigned > kills, "hardly anything was cosigned: {cosigned}");
}

/// A directory whose log asks these witnesses, who are late after a second.
fn test_dir_with(witnesses: &[(SocketAddr, &Verifier)]) -> TestDir {
    let stanza = |(address, key): &(SocketAddr, &Verifier)| {
        format!("[[witness]]\nurl = \"http://{address}/\"\nkey = \"{key}\"\n")
    };
    let stanzas: String = witnesses.iter().map(stanza).collect();
    TestDir::with_settings(&format!("[limits]\nwitness_late_after_s = 1\n{stanzas}"))
}

/// The witnessed checkpoint, checked with the log's key, and with those of all witnesses.
fn witnessed(server: &Daybook, log: &Verifier, witnesses: &[&Verifier]) -> Option<Checkpoint> {
    let answer = server.request("GET", "/tlog/checkpoint/witnessed", &[], b"");
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let note = Note::parse(&answer.body).unwrap();
    for witness in witnesses {
        assert!(note.verify(witness).unwrap().is_some(), "{note}");
    }
    Some(Checkpoint::open(&note, log).unwrap())
}

/// Waits until every witness cosigned a tree of so many events.
fn becomes_witnessed(server: &Daybook, log: &Verifier, witnesses: &[&Verifier], size: u64) {
    becomes_true(|| witnessed(server, log, witnesses).is_some_and(|one| one.size >= size));
}

#[test]
fn the_witnessed_checkpoint_is_as_public_as_the_newest() {
    let test_dir = TestDir::with_settings("[evidence]\npublic = false\n");
    let server = test_dir.serve();
    let path = "/tlog/checkpoint/witnessed";
    assert_eq!(server.request("GET", path, &[], b"").status, 401);
    assert_eq!(server.signed_get(path).status, 403);
    let answer = server.signed_by(OPERATOR_KEY, "GET", path, b"");
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (404, "not_found"),
        "no witness is configured"
    );
}

/// Whether the newest checkpoint has this witness's cosignature.
fn newest_is_cosigned(server: &Daybook, key: &Verifier) -> bool {
    let answer = server.request("GET", "/tlog/checkpoint", &[], b"");
    Note::parse(&answer.body).unwrap().verify(key).unwrap().is_some()
}

/// How many events of Daybook's own trail have a description with this in it.
fn reported(server: &Daybook, what: &str) -> usize {
    let rows = server.own_rows("");
    rows.iter().filter(|row| row["description"].as_str().unwrap().contains(what)).count()
}

#[test]
fn two_logs_are_cosigned_by_each_others_witnesses() {
    let homes = [Home::new("witness.example/one"), Home::new("witness.example/two")];
    let witnesses = homes.each_ref().map(Home::serve);
    let both = [(witnesses[0].address, &homes[0].key), (witnesses[1].address, &homes[1].key)];
    let keys = homes.each_ref().map(|home| &home.key);
    // Both logs have the same origin, so that one witness cannot watch both.
    let (one, other) = (test_dir_with(&both[1..]), test_dir_with(&both[..1]));
    homes[1].watch(&key_of(&one));
    homes[0].watch(&key_of(&other));
    let (server, beside) = (one.serve(), other.serve());
    assert_eq!(witnessed(&server, &key_of(&one), &keys[1..]).map_or(0, |one| one.size), 0);
    send(&server, 0..5);
    send(&beside, 0..7);
    becomes_witnessed(&server, &key_of(&one), &keys[1..], 5 + OWN_AT_START);
    becomes_witnessed(&beside, &key_of(&other), &keys[..1], 7 + OWN_AT_START);
    becomes_true(|| newest_is_cosigned(&server, &homes[1].key));
    // Heads are signed anew under load, and all are witnessed as one in between.
    for first in (100..700).step_by(100) {
        send(&server, first..first + 100);
    }
    becomes_witnessed(&server, &key_of(&one), &keys[1..], 605 + OWN_AT_START);
    assert_eq!(reported(&server, "witness"), 0);
    // It outlives the server.
    let before = witnessed(&server, &key_of(&one), &keys[1..]).unwrap();
    assert_eq!(server.stop(), Some(0));
    let server = one.serve();
    let after = witnessed(&server, &key_of(&one), &keys[1..]).unwrap();
    assert!(after.size >= before.size);
    assert_eq!(server.stop(), Some(0));
    one.check();
    // With another witness besides, no checkpoint is cosigned by all.
    let config = fs::read_to_string(one.path("daybook.toml")).unwrap();
    let more =
        format!("{config}[[witness]]\nurl = \"http://{}\"\nkey = \"{}\"\n", both[0].0, both[0].1);
    fs::write(one.path("daybook.toml"), more).unwrap();
    let server = one.serve();
    assert_eq!(witnessed(&server, &key_of(&one), &keys), None);
    assert_eq!(witnesses.map(Daybook::stop), [Some(0); 2]);
}

#[test]
fn all_witnesses_cosign_one_checkpoint_under_load() {
    let homes = [Home::new("w1"), Home::new("w2"), Home::new("w3")];
    let witnesses = homes.each_ref().map(Home::serve);
    let keys = homes.each_ref().map(|home| &home.key);
    let stanzas: Vec<_> = witnesses.iter().map(|one| one.address).zip(keys).collect();
    let test_dir = test_dir_with(&stanzas);
    let log = key_of(&test_dir);
    homes.iter().for_each(|home| home.watch(&log));
    let server = test_dir.serve();
    let mut sizes = std::collections::BTreeSet::new();
    let began = Instant::now();
    let mut next = 0;
    while sizes.len() < 3 {
        assert!(began.elapsed() < crate::harness::PATIENCE, "{sizes:?}");
        send(&server, next..next + 5);
        next += 5;
        sizes.extend(witnessed(&server, &log, &keys).map(|one| one.size));
    }
    println!("witnessed while {next} events were sent: {sizes:?}");
    // Whoever demands all of them finds the log to go on from what they cosigned, and one more is
    // not to be had.
    let (url, log) = (format!("http://{}", server.address), log.to_string());
    let verify = |witnesses: &[&Verifier]| {
        let witnesses: Vec<String> = witnesses.iter().map(ToString::to_string).collect();
        let mut arguments = vec!["verify", &url, "--key", &log];
        arguments.extend(witnesses.iter().flat_map(|key| ["--witness", key]));
        run(&arguments)
    };
    send(&server, next..next + 100);
    let verified = verify(&keys);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    assert!(text(&verified.stdout).contains("\nwitnessed: "), "{}", text(&verified.stdout));
    let refuted = verify(&[keys[0], &Home::new("w4").key]);
    assert!(text(&refuted.stderr).contains("w4 has not cosigned"), "{}", text(&refuted.stderr));
}

#[test]
fn a_witness_that_is_away_is_reported_once_and_stops_nothing() {
    let (home, slow) = (Home::new("witness.example/away"), Home::new("witness.example/slow"));
    let witness = home.serve();
    // Takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let test_dir =
        test_dir_with(&[(witness.address, &home.key), (silent.local_addr().unwrap(), &slow.key)]);
    let log = key_of(&test_dir);
    home.watch(&log);
    let server = test_dir.serve();
    send(&server, 0..5);
    // The slow one holds the other up in nothing, and keeps the log from nothing but being
    // witnessed by all.
    becomes_true(|| newest_is_cosigned(&server, &home.key));
    becomes_true(|| reported(&server, "witness.example/slow is late") == 1);
    assert_eq!(witnessed(&server, &log, &[]), None);
    let address = witness.address;
    assert_eq!(witness.stop(), Some(0));
    send(&server, 5..9);
    becomes_true(|| reported(&server, "witness.example/away is late") == 1);
    assert_eq!(server.signed_get("/v3/projects").status, 200);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        send(&server, 9..12);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(reported(&server, " is late"), 2, "each once");
    let _witness = home.serve_at(address);
    becomes_true(|| reported(&server, "witness.example/away cosigns again") == 1);
    becomes_true(|| newest_is_cosigned(&server, &home.key));
    assert!(
        server
            .said()
            .iter()
            .any(|line| line.contains("WARN") && line.contains("a witness is late"))
    );
    let checked = daybook()
        .args(["config", "check", "-c"])
        .arg(test_dir.path("daybook.toml"))
        .output()
        .unwrap();
    assert!(
        text(&checked.stdout)
            .contains(&format!("witness: witness.example/away at http://{address}\n"))
    );
    let stopped = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(8), "a slow witness holds up no stop");
    drop(silent);
    test_dir.check();
}

#[test]
fn a_log_that_forked_or_was_rolled_back_is_refused() {
    let home = Home::new("w");
    let witness = home.serve();
    let address = witness.address;
    let test_dir = test_dir_with(&[(address, &home.key)]);
    let log = key_of(&test_dir);
    home.watch(&log);
    let server = test_dir.serve();
    send(&server, 0..3);
    becomes_witnessed(&server, &log, &[&home.key], 3 + OWN_AT_START);
    assert_eq!(server.stop(), Some(0));
    let copies = ["forked", "rolled-back"].map(|name| test_dir.path(name));
    for copy in &copies {
        fs::create_dir(copy).unwrap();
        copy_folder(&test_dir.data(), copy);
    }
    let server = test_dir.serve();
    send(&server, 3..40);
    becomes_witnessed(&server, &log, &[&home.key], 40 + OWN_AT_START);
    assert_eq!(server.stop(), Some(0));
    let true_data = test_dir.path("true");
    // An operator says that each is meant; that does not convince the witness.
    let serve_copy = |copy: &PathBuf| {
        fs::rename(copy, test_dir.data()).unwrap();
        let data = test_dir.data();
        let accepted =
            ["guard", "accept", "--reason", "a test", "--data-dir", data.to_str().unwrap()];
        assert_eq!(run(&accepted).status.code(), Some(0));
        test_dir.serve()
    };
    fs::rename(test_dir.data(), &true_data).unwrap();
    let known = home.size(&log).unwrap();

    // The older copy as it is: the witness knows of more than it signed for.
    let server = serve_copy(&copies[1]);
    becomes_true(|| reported(&server, "witness w refuses") == 1);
    assert_eq!(reported(&server, "events, and the log signed for"), 1);
    send(&server, 1000..1001);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(reported(&server, "refuses"), 1, "once");
    assert!(
        server
            .said()
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("a witness refuses"))
    );
    assert_eq!(server.stop(), Some(0));
    fs::rename(test_dir.data(), &copies[1]).unwrap();

    // The older copy with more events, others than the log has: a fork, seen when the witness is
    // back.
    assert_eq!(witness.stop(), Some(0));
    let server = serve_copy(&copies[0]);
    send(&server, 1000..1100);
    becomes_true(|| checkpoint(&server, &log).size > known);
    let witness = home.serve_at(address);
    becomes_true(|| reported(&server, "witness w refuses") == 1);
    assert_eq!(reported(&server, "does not extend the tree of"), 1);
    assert_eq!(server.stop(), Some(0));
    assert!(
        witness
            .said()
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("may have forked"))
    );
    fs::rename(test_dir.data(), &copies[0]).unwrap();

    // Neither made the witness cosign anything; the log itself goes on.
    assert_eq!(home.size(&log), Some(known));
    let server = serve_copy(&true_data);
    send(&server, 40..50);
    becomes_witnessed(&server, &log, &[&home.key], known + 10);
}

#[test]
fn a_witness_killed_between_write_and_response_gets_requests_from_the_new_size() {
    let home = Home::new("w");
    // The first answer of whatever thread is never sent.
    let mut strace = without_settings(Command::new("strace"));
    strace.args(["-D", "-f", "-o"]).arg(home.dir.path().join("trace"));
    strace.args(["-e", "trace=sendto,sendmsg,writev", "-e"]);
    strace
        .arg("inject=sendto,sendmsg,writev:signal=KILL:when=1")
        .arg(env!("CARGO_BIN_EXE_daybook"));
    let mut witness =
        Daybook::spawn(&mut home.serve_command(strace, "127.0.0.1:0".parse().unwrap()));
    let address = witness.address;
    let test_dir = test_dir_with(&[(address, &home.key)]);
    let log = key_of(&test_dir);
    home.watch(&log);
    let server = test_dir.serve();
    assert_eq!(witness.exit_code(), None, "it is killed");
    assert!(home.size(&log).is_some(), "what was to be answered is on disk");
    assert_eq!(witnessed(&server, &log, &[]), None, "nothing was answered");
    let _witness = home.serve_at(address);
    send(&server, 0..4);
    becomes_witnessed(&server, &log, &[&home.key], 4 + OWN_AT_START);
}
