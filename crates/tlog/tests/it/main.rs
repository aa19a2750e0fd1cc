//! The tree, its proofs and the published formats, against their definitions, published vectors and
//! other implementations.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod forged;
mod notes;
mod proofs;
mod tree;
