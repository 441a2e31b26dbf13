//! Petrel as its users and its accidents meet it: real processes, a real Postgres, a cluster over the wire.

mod browser;
mod capacity;
mod chaos;
mod chat;
mod crash;
mod demo;
mod disk_full;
mod docs;
mod doors;
mod drill;
mod faults;
mod heal;
mod layers;
mod lookout;
mod metrics;
mod nodes;
mod rooms;
