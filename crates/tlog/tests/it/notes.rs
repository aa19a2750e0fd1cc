use proptest::prelude::*;
use signed_note::{StandardVerifier, VerifierList};
use tlog::{
    AddCheckpoint, Checkpoint, Kind, Note, ProofFile, Signature, Signer, Tree, Verifier, leaf_hash,
};

fn signer(name: &str, kind: Kind) -> Signer {
    Signer::new(name, kind, &[7; 32]).unwrap()
}

fn signed(checkpoint: &Checkpoint, signer: &Signer) -> Note {
    let mut note = Note::new(checkpoint.text()).unwrap();
    note.add(signer.sign(note.text(), 1_790_000_000));
    note
}

fn checkpoint() -> Checkpoint {
    let mut tree = Tree::new();
    tree.push(b"only");
    Checkpoint { origin: "daybook.example/log".to_owned(), size: 1, root: tree.root() }
}

/// Key and note of the documentation of golang.org/x/mod/sumdb/note.
#[test]
fn a_note_of_the_first_implementation_is_verified() {
    let key = Verifier::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
        .unwrap();
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.verify(&key), Ok(Some(0)));
    assert_eq!(note.to_string(), text);
    assert!(Note::parse(text.replace("think", "thank").as_bytes()).unwrap().verify(&key).is_err());
}

#[test]
fn another_implementation_reads_ours() {
    let ours = signer("daybook.example/log", Kind::Note);
    let note = signed(&checkpoint(), &ours);
    let theirs = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
    let key = StandardVerifier::new(&ours.verifier().to_string()).unwrap();
    let (verified, _) = theirs.verify(&VerifierList::new(vec![Box::new(key)])).unwrap();
    assert_eq!((verified.len(), verified[0].name()), (1, "daybook.example/log"));
}

#[test]
fn a_cosignature_says_when() {
    let (log, witness) =
        (signer("daybook.example/log", Kind::Note), signer("witness.example", Kind::Cosignature));
    let mut note = signed(&checkpoint(), &log);
    let line = witness.sign(note.text(), 1_679_315_147);
    assert_eq!(Signature::parse(&line.to_string()), Ok(line.clone()));
    note.add(line.clone());
    note.add(line.clone());
    assert_eq!(note.signatures().len(), 2, "a key signs once");
    let read = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(read.verify(witness.verifier()), Ok(Some(1_679_315_147)));
    assert_eq!(Checkpoint::open(&read, log.verifier()), Ok(checkpoint()));
    // The time is signed too.
    let mut later = line;
    later.bytes[7] ^= 1;
    note.add(later);
    assert!(note.verify(witness.verifier()).is_err());
    assert_eq!(note.verify(signer("other.example", Kind::Cosignature).verifier()), Ok(None));
}

#[test]
fn keys_are_read_back_and_others_refused() {
    for kind in [Kind::Note, Kind::Cosignature] {
        let key = signer("daybook.example/log", kind).verifier().clone();
        assert_eq!(Verifier::parse(&key.to_string()), Ok(key.clone()));
        let text = key.to_string();
        for wrong in [
            text.replace("daybook", "daybok"),
            text.replace('+', " "),
            text[..text.len() - 4].to_owned(),
            format!(" {text}"),
            "a+00000000+AQ==".to_owned(),
            // The identity, with which any signature would verify (RFC 8032 section 5.1.7 leaves it
            // open).
            "a+91fa9dab+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
        ] {
            assert!(Verifier::parse(&wrong).is_err(), "{wrong}");
        }
    }
    let signer = signer("daybook.example/log", Kind::Cosignature);
    let text = signer.private_text();
    assert_eq!(Signer::parse(&text).unwrap().verifier(), signer.verifier());
    for wrong in [
        text.replace("example", "exemple"),
        text[12..].to_owned(),
        text[..text.len() - 4].to_owned(),
    ] {
        assert!(Signer::parse(&wrong).is_err(), "{wrong}");
    }
    // The private key to the key of the note above, from the same documentation.
    let theirs = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let theirs = Signer::parse(theirs).unwrap();
    assert_eq!(
        theirs.verifier().to_string(),
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    );
    for wrong in ["", "a b", "a+b", "a\u{2003}b", "a\n"] {
        assert!(Signer::new(wrong, Kind::Note, &[0; 32]).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let log = signer("daybook.example/log", Kind::Note);
    let other = Checkpoint { origin: "other.example".to_owned(), ..checkpoint() };
    assert!(
        Checkpoint::open(&signed(&other, &log), log.verifier()).is_err(),
        "signed by this log's key"
    );
    assert!(
        Checkpoint::open(
            &signed(&checkpoint(), &signer("other.example", Kind::Note)),
            log.verifier()
        )
        .is_err()
    );
    for wrong in
        ["a\n1\n", "a\n01\nAAAA\n", "a\n1\nAAAA\n", "\n1\nAAAA\n", "a\n+1\nAAAA\n", "a\n1\n"]
    {
        assert!(Checkpoint::parse(wrong).is_err(), "{wrong:?}");
    }
    let more = format!("{}extension\n", checkpoint().text());
    assert_eq!(Checkpoint::parse(&more), Ok(checkpoint()));
}

#[test]
fn a_proof_file_proves_one_entry() {
    let log = signer("daybook.example/log", Kind::Note);
    let leaves: Vec<[u8; 32]> = (0..5).map(|leaf| [leaf; 32]).collect();
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.push(leaf));
    let checkpoint = Checkpoint { size: 5, root: tree.root(), ..checkpoint() };
    // The last leaf's sibling is the tree of the others.
    let mut first_four = Tree::new();
    leaves[..4].iter().for_each(|leaf| first_four.push(leaf));
    let path = vec![first_four.root()];
    for extra in [None, Some(b"opaque".to_vec())] {
        let proof = ProofFile {
            extra,
            index: 4,
            path: path.clone(),
            checkpoint: signed(&checkpoint, &log),
        };
        let read = ProofFile::parse(proof.to_string().as_bytes()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.verify(&leaves[4], log.verifier()), Ok(checkpoint.clone()));
        assert!(read.verify(&leaves[3], log.verifier()).is_err());
        assert!(read.verify(&leaf_hash(&leaves[4]), log.verifier()).is_err());
        let text = proof.to_string();
        for (from, to) in
            [("index 4", "index 3"), ("index 4", "index 04"), ("@v1", "@v2"), ("\n5\n", "\n6\n")]
        {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let result = ProofFile::parse(changed.as_bytes())
                .and_then(|read| read.verify(&leaves[4], log.verifier()));
            assert!(result.is_err(), "{from} to {to}");
        }
    }
}

#[test]
fn requests_to_witnesses_are_read_back() {
    let checkpoint = signed(&checkpoint(), &signer("daybook.example/log", Kind::Note));
    let request = AddCheckpoint { old_size: 0, path: vec![[1; 32], [2; 32]], checkpoint };
    assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request.clone()));
    let many = AddCheckpoint { path: vec![[1; 32]; 64], ..request.clone() };
    assert!(AddCheckpoint::parse(many.to_string().as_bytes()).is_err());
    assert!(
        AddCheckpoint::parse(request.to_string().replace("old 0", "old 00").as_bytes()).is_err()
    );
}

proptest! {
    /// A note is written as it was read; nothing panics.
    #[test]
    fn arbitrary_bytes_are_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let _ = Note::parse(&bytes);
        let _ = ProofFile::parse(&bytes);
        let _ = AddCheckpoint::parse(&bytes);
        let mut note = signed(&checkpoint(), &signer("daybook.example/log", Kind::Note)).to_string().into_bytes();
        let at = at.index(note.len());
        note[at] = to;
        if let Ok(read) = Note::parse(&note) {
            prop_assert_eq!(read.to_string().into_bytes(), note);
        }
    }
}
