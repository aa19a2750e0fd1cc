//! The tree against the definition in RFC 6962 and its published vectors.

#![allow(clippy::unwrap_used)]

mod tree;
