//! From load to capacity: how many replicas, how large, on how many nodes. Pure like the rest of the crate: replicas, nodes
//! and resources are numbers here, time is an offset from the moment of the question.
//!
//! [`hpa`] proposes an autoscaler and when to raise its floor, [`replay`] says what that would have meant, [`rightsize`]
//! sizes requests, [`nodes`] packs pods on nodes. Formulas, sources and limits: `docs/FORECAST.md`.

pub mod foresight;
pub mod hpa;
pub mod nodes;
mod path;
mod pod;
mod relation;
pub mod replay;
pub mod rightsize;
pub mod watch;

pub use pod::{MOST_REPLICAS, Pod};
pub use relation::{NoRelation, Relation};
