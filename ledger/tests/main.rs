//! The ledger against a real Postgres, one fresh database per test.

mod chat;
mod private;
mod sealing;
mod support;
mod tamper;
