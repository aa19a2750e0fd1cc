//! One forged field for each check of the verifiers. Everything else is right, and the check of
//! that field alone refuses it.

use tlog::{
    Checkpoint, Hash, Kind, Note, ProofFile, Signature, Signer, Tree, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};

const ORIGIN: &str = "daybook.example/log";
const DIGESTS: [Hash; 3] = [[0; 32], [1; 32], [2; 32]];

fn signer(name: &str) -> Signer {
    Signer::new(name, Kind::Note, &[3; 32]).unwrap()
}

/// The root of the tree of the first leaves, so many of them.
fn root(size: usize) -> Hash {
    let mut tree = Tree::new();
    DIGESTS[..size].iter().for_each(|digest| tree.push(digest));
    tree.root()
}

/// The hash of the first two leaves' parent, which is the whole proof of the third leaf.
fn sibling() -> Hash {
    node_hash(&leaf_hash(&DIGESTS[0]), &leaf_hash(&DIGESTS[1]))
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: root(3) }
}

fn note(checkpoint: &Checkpoint, signature: impl FnOnce(&str) -> Signature) -> Note {
    let mut note = Note::new(checkpoint.text()).unwrap();
    let signature = signature(note.text());
    note.add(signature);
    note
}

fn proof(checkpoint: Note) -> ProofFile {
    ProofFile { extra: None, index: 2, path: vec![sibling()], checkpoint }
}

fn flipped(mut hash: Hash) -> Hash {
    hash[31] ^= 1;
    hash
}

#[test]
fn nothing_forged_is_verified() {
    let log = signer(ORIGIN);
    let note = note(&checkpoint(), |text| log.sign(text, 0));
    assert_eq!(Checkpoint::open(&note, log.verifier()), Ok(checkpoint()));
    assert_eq!(proof(note).verify(&DIGESTS[2], log.verifier()), Ok(checkpoint()));
    let leaf = leaf_hash(&DIGESTS[2]);
    assert!(verify_inclusion(&[sibling()], &leaf, 2, 3, &root(3)));
    assert!(verify_consistency(&[leaf], 2, &root(2), 3, &root(3)));
}

#[test]
fn the_signature() {
    let log = signer(ORIGIN);
    let note = note(&checkpoint(), |text| {
        let mut signature = log.sign(text, 0);
        signature.bytes[0] ^= 1;
        signature
    });
    let opened = Checkpoint::open(&note, log.verifier());
    assert!(opened.is_err(), "a forged signature was accepted");
}

#[test]
fn the_signer() {
    let other = Signer::new("other.example", Kind::Note, &[4; 32]).unwrap();
    let note = note(&checkpoint(), |text| other.sign(text, 0));
    let opened = Checkpoint::open(&note, signer(ORIGIN).verifier());
    assert!(opened.is_err(), "a checkpoint without the log's signature was accepted");
}

#[test]
fn the_origin() {
    let log = signer(ORIGIN);
    let other = Checkpoint { origin: "other.example".to_owned(), ..checkpoint() };
    let note = note(&other, |text| log.sign(text, 0));
    assert!(Checkpoint::open(&note, log.verifier()).is_err(), "another origin was accepted");
}

#[test]
fn the_entry_of_a_proof_file() {
    let log = signer(ORIGIN);
    let proof = proof(note(&checkpoint(), |text| log.sign(text, 0)));
    let verified = proof.verify(&flipped(DIGESTS[2]), log.verifier());
    assert!(verified.is_err(), "another entry was accepted");
}

#[test]
fn the_root_of_an_inclusion() {
    let leaf = leaf_hash(&DIGESTS[2]);
    let is_verified = verify_inclusion(&[sibling()], &leaf, 2, 3, &flipped(root(3)));
    assert!(!is_verified, "another root was accepted");
}

#[test]
fn the_length_of_an_inclusion() {
    // The path ends one level below the root of three leaves, at a node that is given as the root.
    let (first, second) = (leaf_hash(&DIGESTS[0]), leaf_hash(&DIGESTS[1]));
    let is_verified = verify_inclusion(&[second], &first, 0, 3, &sibling());
    assert!(!is_verified, "a path that ends below the root was accepted");
}

#[test]
fn the_old_root_of_a_consistency() {
    // A tree of three leaves ends in a subtree of one, so its own root is not in the path.
    let path = [leaf_hash(&DIGESTS[2]), leaf_hash(b"the fourth"), sibling()];
    let new_root = node_hash(&sibling(), &node_hash(&path[0], &path[1]));
    assert!(verify_consistency(&path, 3, &root(3), 4, &new_root));
    let is_verified = verify_consistency(&path, 3, &flipped(root(3)), 4, &new_root);
    assert!(!is_verified, "another old root was accepted");
}

#[test]
fn the_new_root_of_a_consistency() {
    let leaf = leaf_hash(&DIGESTS[2]);
    let is_verified = verify_consistency(&[leaf], 2, &root(2), 3, &flipped(root(3)));
    assert!(!is_verified, "another new root was accepted");
}

#[test]
fn the_root_of_the_same_size() {
    let is_verified = verify_consistency(&[], 3, &root(3), 3, &flipped(root(3)));
    assert!(!is_verified, "two roots of one size were accepted");
}
