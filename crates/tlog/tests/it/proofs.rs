use std::cell::Cell;
use std::convert::Infallible;

use proptest::prelude::*;
use tlog::{
    Hash, NoProof, Nodes, Resource, Tile, Tiles, Tree, leaf_hash, prove_consistency,
    prove_inclusion, root_of, subtree_hash, verify_consistency, verify_inclusion,
};
use tlog_tiles::{check_record, check_tree};

/// The leaf hashes of a tree whose leaf data are their own numbers.
struct Leaves(Vec<Hash>);

impl Leaves {
    fn new(size: u64) -> Leaves {
        Leaves((0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect())
    }

    fn root(&self, size: u64) -> Hash {
        if size == 0 { Tree::new().root() } else { subtree_hash(self, 0, size).unwrap() }
    }
}

impl Nodes for Leaves {
    type Error = Infallible;

    fn node(&self, level: u32, position: u64) -> Result<Hash, Infallible> {
        let (start, count) = ((position << level) as usize, 1 << level);
        Ok(root_of(&self.0[start..start + count]))
    }
}

/// Checks a proof of inclusion by our verifier and another, and that both refuse it for any other
/// leaf.
fn inclusion(leaves: &Leaves, index: u64, size: u64, root: &Hash) {
    let leaf = leaves.0[index as usize];
    let path = prove_inclusion(leaves, index, size).unwrap();
    assert!(verify_inclusion(&path, &leaf, index, size, root), "{index} of {size}");
    let theirs: Vec<_> = path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
    check_record(&theirs, size, tlog_tiles::Hash(*root), index, tlog_tiles::Hash(leaf)).unwrap();
    assert!(!verify_inclusion(&path, &leaf, index, size, &leaf_hash(b"another root")));
    assert!(!verify_inclusion(&path, &leaf_hash(b"another leaf"), index, size, root));
    assert!(!verify_inclusion(&path, &leaf, size, size, root));
    if size > 1 {
        assert!(!verify_inclusion(&path, &leaf, index ^ 1, size, root), "its sibling's index");
        assert!(!verify_inclusion(&path[1..], &leaf, index, size, root), "a hash too few");
    }
    let mut more = path.clone();
    more.push(leaf);
    assert!(!verify_inclusion(&more, &leaf, index, size, root), "a hash too many");
    for at in 0..path.len() {
        let mut changed = path.clone();
        changed[at][index as usize % 32] ^= 1;
        assert!(!verify_inclusion(&changed, &leaf, index, size, root), "hash {at}");
    }
}

fn consistency(leaves: &Leaves, old: u64, new: u64, new_root: &Hash) {
    let old_root = leaves.root(old);
    let path = prove_consistency(leaves, old, new).unwrap();
    assert!(verify_consistency(&path, old, &old_root, new, new_root), "{old} to {new}");
    if old > 0 {
        let theirs: Vec<_> = path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
        let (old_hash, new_hash) = (tlog_tiles::Hash(old_root), tlog_tiles::Hash(*new_root));
        check_tree(&theirs, new, new_hash, old, old_hash).unwrap();
    }
    let other = leaf_hash(b"another root");
    assert!(!verify_consistency(&path, old, &other, new, new_root), "{old} to {new}");
    if old > 0 {
        assert!(!verify_consistency(&path, old, &old_root, new, &other), "{old} to {new}");
    }
    if old != new {
        assert!(!verify_consistency(&path, new, new_root, old, &old_root), "backwards");
    }
    let mut more = path.clone();
    more.push(other);
    assert!(!verify_consistency(&more, old, &old_root, new, new_root), "a hash too many");
    for at in 0..path.len() {
        let mut changed = path.clone();
        changed[at][0] ^= 0x80;
        assert!(!verify_consistency(&changed, old, &old_root, new, new_root), "hash {at}");
        changed.remove(at);
        assert!(!verify_consistency(&changed, old, &old_root, new, new_root), "without hash {at}");
    }
}

/// Every size up to 2,000 has inclusion and consistency proofs for leaves and sizes all over it; up
/// to 70, for all.
#[test]
fn every_size_proves_and_nothing_else_passes() {
    let leaves = Leaves::new(2000);
    let mut tree = Tree::new();
    for size in 1u64..=2000 {
        tree.push(&(size - 1).to_be_bytes());
        let root = tree.root();
        assert_eq!(root, leaves.root(size));
        let step = if size <= 70 { 1 } else { (size / 3) as usize };
        for at in (0..size).step_by(step).chain([size - 1]) {
            inclusion(&leaves, at, size, &root);
            consistency(&leaves, at, size, &root);
            consistency(&leaves, at + 1, size, &root);
        }
    }
}

#[test]
fn what_is_out_of_range_is_no_proof() {
    let leaves = Leaves::new(8);
    assert_eq!(prove_inclusion(&leaves, 8, 8), Err(NoProof::OutOfRange));
    assert_eq!(prove_consistency(&leaves, 9, 8), Err(NoProof::OutOfRange));
    assert_eq!(prove_consistency(&leaves, 0, 8), Ok(Vec::new()));
    assert!(!verify_inclusion(&[], &[0; 32], 0, 0, &[0; 32]));
    assert!(!verify_inclusion(&[[0; 32]; 200], &[0; 32], u64::MAX - 1, u64::MAX, &[0; 32]));
    assert!(!verify_consistency(&[[0; 32]; 200], u64::MAX - 1, &[0; 32], u64::MAX, &[0; 32]));
}

/// The tiles of a tree, made by the definition.
fn tile(leaves: &Leaves, tile: Tile) -> Vec<Hash> {
    let height = 8 * tile.level;
    (0..u64::from(tile.width))
        .map(|at| leaves.node(height, tile.position * 256 + at).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Proofs made of tiles are those made of leaves, and read only tiles that the tree has.
    #[test]
    fn tiles_prove_the_same(size in 1u64..70_000, at in any::<u64>(), other in any::<u64>()) {
        let leaves = Leaves::new(size);
        let (at, old) = (at % size, other % (size + 1));
        let read = Cell::new(0);
        let tiles = Tiles { size, read: |wanted: Tile| {
            assert!(wanted.is_in(size), "{wanted:?} of {size}");
            read.set(read.get() + 1);
            Ok::<_, Infallible>(tile(&leaves, wanted))
        }};
        prop_assert_eq!(prove_inclusion(&tiles, at, size), prove_inclusion(&leaves, at, size));
        prop_assert_eq!(
            prove_consistency(&tiles, old, size),
            prove_consistency(&leaves, old, size),
        );
        prop_assert!(read.get() < 200);
        let root = leaves.root(size);
        inclusion(&leaves, at, size, &root);
        consistency(&leaves, old, size, &root);
    }

    #[test]
    fn paths_are_read_back(
        level in 0u32..64,
        position in any::<u64>(),
        width in 1u16..=256,
        entries in any::<bool>(),
    ) {
        let named = if entries {
            Resource::Entries(Tile { level: 0, position, width })
        } else {
            Resource::Tile(Tile { level, position, width })
        };
        prop_assert_eq!(Resource::parse(&named.path()), Some(named));
    }
}

/// The example of tlog-tiles, section Partial Tiles: a tree of 70,000.
#[test]
fn a_tree_has_the_tiles_of_the_example() {
    let has = |level, position, width| Tile { level, position, width }.is_in(70_000);
    assert!(has(0, 272, 256) && has(0, 273, 112) && !has(0, 273, 113) && !has(0, 274, 1));
    assert!(has(1, 0, 256) && has(1, 1, 17) && !has(1, 1, 18));
    assert!(
        has(2, 0, 1) && !has(2, 0, 2) && !has(3, 0, 1) && !has(8, 0, 1) && !has(63, u64::MAX, 256)
    );
}

#[test]
fn one_tile_has_one_path() {
    let named = Resource::Tile(Tile { level: 0, position: 1_234_067, width: 256 });
    assert_eq!(named.path(), "tile/0/x001/x234/067");
    for wrong in [
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/001",
        "tile/0/1",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/07",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/",
        "tile//001",
        "tile/0/x1234/001",
        "tile/-1/001",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tiles/0/001",
        "tile/entries/+01",
    ] {
        assert_eq!(Resource::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn random_sizes_to_a_million() {
    let leaves = Leaves::new(1_000_000);
    for (number, size) in
        [999_999, 1_000_000, 524_288, 524_289, 777_777, 65_536, 65_537].into_iter().enumerate()
    {
        let root = leaves.root(size);
        for at in [0, size / 3 + number as u64, size - 1] {
            inclusion(&leaves, at, size, &root);
            consistency(&leaves, at, size, &root);
        }
    }
}
