//! What can be done to a cluster and how it is done safely: the registry of clusters, the catalogue of actions, policy,
//! the gate, the runner. The only crate that imports kube.
//!
//! Promises: nothing changes a cluster except a run of an approved plan (gate); an effect happens exactly once whatever
//! dies (runner); planning only reads (server-side dry run at most).
//!
//! Deliberately not here: chat, HTTP doors, SQL.

mod autoscaler;
pub mod catalogue;
pub mod cluster;
pub mod evidence;
pub mod gate;
pub mod identity;
pub mod lines;
pub mod lookout;
pub mod metric;
pub mod owner;
pub mod policy;
pub mod query;
pub mod runner;
pub mod secret;
