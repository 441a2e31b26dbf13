//! The runner against a real Postgres and practice clusters in this process. The cluster's audit trail is the witness.

mod act;
mod cancel;
mod crash;
mod delay;
mod drill;
mod fault;
mod house;
mod hpa;
mod nodes;
mod rotate;
mod verify;
