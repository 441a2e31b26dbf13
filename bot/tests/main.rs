//! The doors, against a real database.

mod api;
mod chat;
mod conditions;
mod console;
mod discord;
mod doors;
mod draw;
mod external;
mod grammar;
mod healing;
mod people;
mod replay;
mod schedule;
mod script;
mod slack;
mod watch;
