//! The doors, against a real database.

mod api;
mod console;
mod draw;
mod grammar;
