//! Ports for programs that are told where to listen before they start.

use rand::RngExt;
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

/// Below what the system gives to outgoing connections: one of those could have the port by the time the program listens.
const PORTS: Range<u16> = 16_000..32_000;
const TRIES: usize = 100;

/// A port on loopback that nobody has.
pub fn free_port() -> io::Result<u16> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..TRIES {
        let port = rand::rng().random_range(PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}
