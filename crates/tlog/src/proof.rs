//! Proofs that a leaf is in a tree, and that a tree extends an older one.
//!
//! RFC 6962 section 2.1.1 (audit paths) and 2.1.2 (consistency proofs). Making a proof needs the
//! hashes of some complete subtrees, which a [`Nodes`] provides; checking one needs nothing but the
//! proof.

use crate::tree::{Hash, node_hash};

/// The hashes of complete subtrees.
pub trait Nodes {
    /// The error of a hash that cannot be read.
    type Error;

    /// The hash of the subtree over the `1 << level` leaves from `position << level` on.
    fn node(&self, level: u32, position: u64) -> Result<Hash, Self::Error>;
}

/// Most hashes of a proof: one for each level of a tree of 2^64 leaves, and one.
pub const PROOF_HASHES_MAX: usize = 65;

/// The reason why a proof could not be made.
#[derive(Debug, PartialEq, Eq)]
pub enum NoProof<E> {
    /// The leaf or tree does not exist.
    OutOfRange,
    /// A hash could not be read.
    Nodes(E),
}

/// The hash of the `size` leaves from `start` on, which are the left part of some tree, a complete
/// subtree, or the rest beside one (RFC 6962 section 2.1).
pub fn subtree_hash<N: Nodes>(nodes: &N, start: u64, size: u64) -> Result<Hash, N::Error> {
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(level, start >> level);
    }
    let left = largest_power_below(size);
    Ok(node_hash(
        &subtree_hash(nodes, start, left)?,
        &subtree_hash(nodes, start + left, size - left)?,
    ))
}

/// The largest power of two that is less than `size`, which is at least 2.
fn largest_power_below(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The audit path of a leaf: the hashes that lead from its own to the root of a tree of `size`
/// leaves, from its sibling up.
pub fn prove_inclusion<N: Nodes>(
    nodes: &N,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, NoProof<N::Error>> {
    if index >= size {
        return Err(NoProof::OutOfRange);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + largest_power_below(end - start);
        let sibling = if index < middle { (middle, end) } else { (start, middle) };
        path.push(subtree_hash(nodes, sibling.0, sibling.1 - sibling.0).map_err(NoProof::Nodes)?);
        (start, end) = if index < middle { (start, middle) } else { (middle, end) };
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` is the audit path of the leaf with this hash at `index` in the tree of `size`
/// leaves with this root.
pub fn verify_inclusion(path: &[Hash], leaf: &Hash, index: u64, size: u64, root: &Hash) -> bool {
    root_by_inclusion(path, leaf, index, size).as_ref() == Some(root)
}

/// The root that a path leads to; `None` unless it has the number of hashes for this leaf and size.
fn root_by_inclusion(path: &[Hash], leaf: &Hash, index: u64, size: u64) -> Option<Hash> {
    if index >= size {
        return None;
    }
    // The leaf's node on each level, and the last node there.
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The last node of a level without a sibling moves up unchanged.
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// The hashes that show the tree of `old` leaves to be the beginning of that of `new` leaves; none
/// if the two are the same or the old one is empty.
pub fn prove_consistency<N: Nodes>(
    nodes: &N,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, NoProof<N::Error>> {
    if old > new {
        return Err(NoProof::OutOfRange);
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, new);
    let hash = |start, end| subtree_hash(nodes, start, end - start).map_err(NoProof::Nodes);
    // Descend until the old tree ends at the end of a subtree.
    while old != end {
        let middle = start + largest_power_below(end - start);
        if old <= middle {
            path.push(hash(middle, end)?);
            end = middle;
        } else {
            path.push(hash(start, middle)?);
            start = middle;
        }
    }
    // A subtree from the first leaf on is the old tree itself, whose root is known.
    if start > 0 {
        path.push(hash(start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` shows that the tree of `new` leaves with the root `new_root` extends that of
/// `old` leaves with the root `old_root`.
pub fn verify_consistency(
    path: &[Hash],
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && old < new && *old_root == crate::Tree::new().root();
    }
    if old > new {
        return false;
    }
    roots_by_consistency(path, old, old_root, new) == Some((*old_root, *new_root))
}

/// The old and the new root that a path leads to; `None` unless it has the number of hashes for
/// these sizes.
fn roots_by_consistency(
    path: &[Hash],
    old: u64,
    old_root: &Hash,
    new: u64,
) -> Option<(Hash, Hash)> {
    // The last node of the old tree on some level, and that of the new one; complete subtrees of
    // the old tree that end it are one node.
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let mut path = path.iter();
    let first = if node == 0 { *old_root } else { *path.next()? };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some((old_hash, new_hash))
}
