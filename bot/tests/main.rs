//! The doors, against a real database.

mod api;
mod chat;
mod console;
mod discord;
mod draw;
mod grammar;
