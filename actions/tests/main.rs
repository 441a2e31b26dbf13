//! The crate's one integration-test binary.

mod catalogue;
mod cluster;
mod gate;
mod metric;
mod policy;
mod query;
mod runner;
mod scene;
