//! What `heal` promises, from outside.

mod event;
mod incident;
mod language;
mod rules;
