//! Sources of a log's hashes: a data directory or a server.

#![allow(clippy::cast_possible_truncation, reason = "each cast value is at most a tile's width")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use store::Contents;
use store::durable::{Disk, Local};
use tlog::{Hash, Nodes, Resource, TILE_WIDTH, Tile, Tiles};

use crate::error::VerifyError;

/// Time for a server to respond.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Tiles in memory: a proof needs few of each level.
const TILES_MAX: usize = 1024;

/// A log to read hashes from.
pub enum Source {
    /// A data directory.
    Directory(Contents),
    /// A running server.
    Server(Server),
}

/// A running log, by the URL that its paths are below.
pub struct Server {
    client: Client,
    url: String,
    token: Option<String>,
    tiles: RefCell<HashMap<Tile, Vec<Hash>>>,
    /// The bundle of entries read last.
    entries: RefCell<(String, Vec<u8>)>,
}

/// Whether a text is the URL of a server.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

impl Source {
    /// Opens a directory or a server.
    pub fn open(text: &str, token: Option<String>) -> Result<Source, VerifyError> {
        if is_url(text) {
            return Ok(Source::Server(Server::new(text, token)));
        }
        let disk: Arc<dyn Disk> = Arc::new(Local::open(Path::new(text)));
        Ok(Source::Directory(Contents::read(&disk)?))
    }
}

impl Server {
    /// The server whose paths are below this URL. `token` is for a server that does
    /// not publish to everyone.
    pub fn new(url: &str, token: Option<String>) -> Server {
        let url = url.trim_end_matches('/').to_owned();
        Server {
            client: Client::new(TIMEOUT),
            url,
            token,
            tiles: RefCell::default(),
            entries: RefCell::default(),
        }
    }

    /// The body at a path. Any status but 200 is an error.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, VerifyError> {
        let url = format!("{}/{path}", self.url);
        let answer = self.client.get(&url, self.token.as_deref()).map_err(VerifyError::Unknown)?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(VerifyError::Unknown(format!("{url}: the status is {status}"))),
        }
    }

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, VerifyError> {
        if let Some(hashes) = self.tiles.borrow().get(&tile) {
            return Ok(hashes.clone());
        }
        let path = Resource::Tile(tile).path();
        let bytes = self.get(&format!("tlog/{path}"))?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != usize::from(tile.width) {
            return Err(VerifyError::Refuted(format!(
                "{path}: {} bytes are no such tile",
                bytes.len()
            )));
        }
        let mut tiles = self.tiles.borrow_mut();
        if tiles.len() >= TILES_MAX {
            tiles.clear();
        }
        tiles.insert(tile, hashes.to_vec());
        Ok(hashes.to_vec())
    }

    /// The digest of an event of the tree of this size.
    pub fn digest(&self, index: u64, size: u64) -> Result<Hash, VerifyError> {
        let position = index / TILE_WIDTH;
        let width = (size - position * TILE_WIDTH).min(TILE_WIDTH) as u16;
        let path = Resource::Entries(Tile { level: 0, position, width }).path();
        let mut entries = self.entries.borrow_mut();
        if entries.0 != path {
            *entries = (path.clone(), self.get(&format!("tlog/{path}"))?);
        }
        let entry = entries.1.chunks(2 + 32).nth((index % TILE_WIDTH) as usize);
        match entry.and_then(|entry| entry.strip_prefix(&[0, 32])?.try_into().ok()) {
            Some(digest) => Ok(digest),
            None => Err(VerifyError::Refuted(format!("{path} has no digest of event {index}"))),
        }
    }

    /// The nodes of the tree of this size.
    pub fn nodes(&self, size: u64) -> impl Nodes<Error = VerifyError> {
        Tiles { size, read: move |tile| self.tile(tile) }
    }
}
