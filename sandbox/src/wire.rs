//! What the three processes say to each other: lines of JSON over a socket, which is standard input of the two that are inside.

use crate::{
    layer::{Layer, Layers, Standing},
    limits::Limits,
    outcome::Ended,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::PathBuf,
};

/// What is to be run, and how.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    pub words: Vec<String>,
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    pub limits: Limits,
    pub required: BTreeSet<Layer>,
    pub left_out: BTreeSet<Layer>,
}

/// What stands so far.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Standings {
    pub layers: Layers,
    pub remarks: Vec<String>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
pub enum Word {
    /// All walls stand that can; the script may begin.
    Prepared(Standings),
    /// It ended.
    Ended(Ended),
    /// Somebody closed the line, so everything was ended.
    Stopped,
}

impl Order {
    /// Puts up one wall, unless it is left out, and notes how that went.
    pub fn put_up(
        &self,
        standings: &mut Standings,
        layer: Layer,
        build: impl FnOnce() -> Result<(), String>,
    ) -> bool {
        standings.put_up(&self.left_out, layer, build)
    }
}

impl Standings {
    /// Puts up one wall, unless it is left out, and notes how that went.
    pub fn put_up(
        &mut self,
        left_out: &BTreeSet<Layer>,
        layer: Layer,
        build: impl FnOnce() -> Result<(), String>,
    ) -> bool {
        let outcome = if left_out.contains(&layer) { Err("left out".into()) } else { build() };
        let stands = outcome.is_ok();
        self.layers.insert(layer, outcome.map_or_else(Standing::Missing, |()| Standing::InForce));
        stands
    }

    /// Whether this wall stands.
    pub fn stands(&self, layer: Layer) -> bool {
        self.layers.get(&layer) == Some(&Standing::InForce)
    }
}

/// Standard input as the socket it is, of which the next program gets no copy.
pub fn socket_on_stdin() -> io::Result<UnixStream> {
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Says one thing.
pub fn send(mut socket: &UnixStream, word: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    socket.write_all(&line)
}

/// Hears one thing. Nothing else may have been said yet: what follows the line is lost.
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
