//! Tiles: the hashes of a tree in files of 256, which are served as they are and from which every
//! proof can be made (C2SP tlog-tiles, section Merkle Tree).

#![allow(clippy::cast_possible_truncation, reason = "what is cast is at most a tile's width")]

use crate::proof::Nodes;
use crate::tree::{Hash, TILE_HEIGHT, node_hash};

/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// The highest level that a tile can have: that of a tree of 2^64 leaves.
const LEVEL_MAX: u32 = 7;

/// The coordinates of a tile: its hashes are the roots of the complete subtrees of `256^level`
/// leaves from `position * 256` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// 0 for the leaves' own hashes.
    pub level: u32,
    /// Its position on the level.
    pub position: u64,
    /// How many hashes it has: 1 to 256.
    pub width: u16,
}

/// The file that a path below a log's prefix names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `tile/<L>/<N>[.p/<W>]`
    Tile(Tile),
    /// `tile/entries/<N>[.p/<W>]`: the entries of the hashes in the tile of level 0.
    Entries(Tile),
}

impl Resource {
    /// Reads a path without leading slash.
    pub fn parse(path: &str) -> Option<Resource> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (position, width) = match rest.split_once(".p/") {
            Some((position, width)) => {
                let width = crate::checkpoint::parse_decimal(width)?;
                (position, u16::try_from(width).ok().filter(|width| (1..256).contains(width))?)
            }
            None => (rest, 256),
        };
        let position = parse_position(position)?;
        if level == "entries" {
            return Some(Resource::Entries(Tile { level: 0, position, width }));
        }
        let level = u32::try_from(crate::checkpoint::parse_decimal(level)?).ok()?;
        (level <= 63).then_some(Resource::Tile(Tile { level, position, width }))
    }

    /// The path, without leading slash.
    pub fn path(&self) -> String {
        let (kind, tile) = match self {
            Resource::Tile(tile) => (tile.level.to_string(), tile),
            Resource::Entries(tile) => ("entries".to_owned(), tile),
        };
        let mut parts = format!("{:03}", tile.position % 1000);
        let mut left = tile.position / 1000;
        while left > 0 {
            parts = format!("x{:03}/{parts}", left % 1000);
            left /= 1000;
        }
        let partial = if tile.width < 256 { format!(".p/{}", tile.width) } else { String::new() };
        format!("tile/{kind}/{parts}{partial}")
    }
}

fn parse_position(path: &str) -> Option<u64> {
    let mut position = 0u64;
    let mut parts = path.split('/').peekable();
    let mut is_first = true;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let digits = if is_last { part } else { part.strip_prefix('x')? };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // One number has one path.
        if is_first && !is_last && digits == "000" {
            return None;
        }
        is_first = false;
        position = position.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(position)
}

impl Tile {
    /// Whether a tree of this size has the tile: full, or partial with at least this width.
    pub fn is_in(&self, size: u64) -> bool {
        self.level <= LEVEL_MAX && {
            let hashes = size >> (TILE_HEIGHT * self.level);
            self.position
                .checked_mul(TILE_WIDTH)
                .and_then(|start| start.checked_add(u64::from(self.width)))
                .is_some_and(|end| end <= hashes)
        }
    }

    /// The tile with the hash of the complete subtree of `1 << level` leaves at `position` in a
    /// tree of this size, and the index and number of the hashes in it that lead to this hash.
    pub fn with_node(level: u32, position: u64, size: u64) -> (Tile, usize, usize) {
        let (of_tile, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let first = position << above;
        let tile = first / TILE_WIDTH;
        let hashes = size >> (TILE_HEIGHT * of_tile);
        let width = (hashes - tile * TILE_WIDTH).min(TILE_WIDTH) as u16;
        (Tile { level: of_tile, position: tile, width }, (first % TILE_WIDTH) as usize, 1 << above)
    }
}

/// The root of a complete subtree over these hashes; their number is a power of two.
pub fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The nodes of a tree of this size, from its tiles.
pub struct Tiles<F> {
    /// How many leaves the tree has.
    pub size: u64,
    /// Reads the hashes of a tile that the tree has.
    pub read: F,
}

impl<F: Fn(Tile) -> Result<Vec<Hash>, E>, E> Nodes for Tiles<F> {
    type Error = E;

    fn node(&self, level: u32, position: u64) -> Result<Hash, E> {
        let (tile, first, count) = Tile::with_node(level, position, self.size);
        Ok(root_of(&(self.read)(tile)?[first..first + count]))
    }
}
