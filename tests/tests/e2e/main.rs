//! Petrel as its users and its accidents meet it: real processes, a real Postgres, a cluster over the wire.

mod browser;
mod crash;
mod docs;
mod faults;
