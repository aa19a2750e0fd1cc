//! Sections of an index.

use event::query::Dimension;

// Sections of an index.
pub(super) const META: u8 = 0;
pub(super) const RUNS: u8 = 1;
pub(super) const TIMES: u8 = 2;
pub(super) const INDEXES: u8 = 3;
pub(super) const BY_NUMBER: u8 = 5;
pub(super) const ROWS: u8 = 6;
pub(super) const ZSTD_DICTIONARY: u8 = 7;
pub(super) const KEYS: u8 = 8;
pub(super) const FILTER: u8 = 9;
pub(super) const FILES: u8 = 10;
pub(super) const TABLE_CHECKSUMS: u8 = 11;
pub(super) const TIMES_FIRST: u8 = 12;
pub(super) const KEY_ROWS: u8 = 13;
pub(super) const BY_TIME: u8 = 14;
/// Number of positions of words, a byte. Segments of earlier versions have no such section, and
/// [`WORDS_BEFORE`] of them.
pub(super) const WORDS: u8 = 15;

/// Positions of words that every segment has.
pub(super) const WORDS_BEFORE: usize = 4;
/// Position of the severities by time among the values of an index.
pub(super) const SEVERITIES: usize = Dimension::ALL.len() + WORDS_BEFORE;

/// Position among the values of an index of the words at this position: behind the dimensions, and
/// from the fifth on behind the severities, which came before them.
pub(super) fn words_position(position: usize) -> usize {
    Dimension::ALL.len() + position + usize::from(position >= WORDS_BEFORE)
}

/// The section of a dimension's column.
pub(super) fn column_section(position: u8) -> u8 {
    16 + position
}

/// The section of values: of a dimension or, behind all of those, of words and severities. The next
/// two sections are the block above them, and their rows.
pub(super) fn values_section(position: u8) -> u8 {
    64 + 3 * position
}

/// Rows whose bodies are compressed together, and groups of a block.
pub(super) const GROUP_ROWS: usize = 4;
pub(super) const BLOCK_GROUPS: usize = 32;
/// The magic number of zstd frames; groups leave it out.
pub(super) const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
