//! The door to Slack: what it draws, what it understands, and how it behaves against a Slack that misbehaves.

mod draw;
mod fake;
mod wire;
