//! The door: command grammar, cards, the console with its chat room, the HTTP API, config, telemetry, and `petrel`.
//!
//! Deliberately not here: SQL, Kubernetes, policy.

pub mod api;
pub mod app;
pub mod card;
pub mod chart;
pub mod checkpoint;
pub mod cli;
pub mod command;
pub mod config;
pub mod console;
pub mod database;
pub mod discord;
pub mod door;
pub mod draw;
pub mod drill;
mod expected;
pub mod external;
pub mod grammar;
pub mod healing;
pub mod inbox;
pub mod intake;
pub mod line;
pub mod lookout;
pub mod metrics;
pub mod names;
pub mod notice;
pub mod outbox;
mod picture;
pub mod press;
pub mod prune;
pub mod schedule;
pub mod script;
pub mod serve;
mod sketch;
pub mod slack;
mod tried;
pub mod visible;
pub mod watch;
