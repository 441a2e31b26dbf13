//! What notices trouble and says what to do about it: the pure half of healing.
//!
//! For: reading what happened ([`event`]) and `.heal` rules ([`language`]), and finding which rules apply and what they would
//! ask for ([`rules`]); and what becomes of it: incidents, and the brakes on healing them ([`incident`]).
//!
//! Promises: everything here is a plain function of values. The clock is a parameter, input from outside is bounded and
//! costs time linear in its length, and a mistake in a rule is an answer with file, line and column, not a panic.
//!
//! Not here: SQL, Kubernetes, HTTP, a clock, tasks. Nothing in this crate acts on a cluster: what a rule comes to is asked
//! for at the gate, like everything else.

pub mod event;
pub mod incident;
pub mod language;
pub mod rules;
