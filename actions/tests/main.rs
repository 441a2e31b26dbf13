//! The crate's one integration-test binary.

mod catalogue;
mod cluster;
mod policy;
mod query;
mod scene;
