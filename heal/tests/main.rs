//! What `heal` promises, from outside.

mod event;
mod language;
mod rules;
