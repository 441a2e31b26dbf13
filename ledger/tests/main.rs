//! The ledger against a real Postgres, one fresh database per test.

mod ceiling;
mod chat;
mod healing;
mod migration;
mod people;
mod private;
mod request;
mod rooms;
mod run;
mod sealing;
mod support;
mod tamper;
