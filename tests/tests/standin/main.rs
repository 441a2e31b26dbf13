//! The stand-ins for the chat platforms, tried with plain clients: they must refuse what the platforms refuse, or the tests that
//! stand on them prove nothing.

mod discord;
mod slack;
