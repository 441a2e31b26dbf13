//! The doors, against a real database.

mod api;
mod chat;
mod console;
mod discord;
mod doors;
mod draw;
mod grammar;
mod healing;
mod people;
mod script;
mod slack;
