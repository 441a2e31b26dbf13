//! What the end-to-end suites stand on: a Postgres proxy that cuts and kills at named commits, `petrel serve` and
//! practice clusters as real processes, and clients that speak the same wire as people and scripts do.
//!
//! Nothing in here reaches into a process: everything is done from outside, as an operator or an attacker would.

pub mod alerting;
pub mod api;
pub mod bucket;
pub mod cluster;
pub mod console;
pub mod discord;
pub mod door;
pub mod fault;
pub mod figure;
pub mod hook;
pub mod petrel;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod server;
pub mod slack;
pub mod wait;
pub mod world;

/// Whether the long forms run (`./dev test --long`).
pub fn long() -> bool {
    std::env::var_os("PETREL_TEST_LONG").is_some()
}
