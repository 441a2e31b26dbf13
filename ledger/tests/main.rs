//! The ledger against a real Postgres, one fresh database per test.

mod private;
mod sealing;
mod support;
mod tamper;
