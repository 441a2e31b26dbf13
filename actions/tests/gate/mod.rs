//! The gate, against a real Postgres and a practice cluster.

mod cancel;
mod caps;
mod submit;
mod vote;
mod world;
