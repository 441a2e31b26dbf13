//! The words of the domain as plain values and state machines, and the only code that speaks SQL.
//!
//! Promises: every change to a request, vote, run or step is one transaction that also appends a ledger entry
//! (G10), bumps the card that shows it, and wakes whoever waits. State machines consume and return; the same
//! invariants stand as `CHECK` constraints in `migrations/`.
//!
//! Deliberately not here: Kubernetes, chat platforms, policy files, HTTP. Time that decides something is a
//! parameter; leases alone use the database's clock, because replicas must agree on it.

pub mod private;
mod store;
mod words;

pub use store::*;
pub use words::*;
