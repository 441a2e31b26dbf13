//! Whole answers, seen from outside.

mod accuracy;
#[allow(dead_code, reason = "shared with the benchmark, which uses all of it")]
mod score;
mod sense;
mod shape;
mod workload;
