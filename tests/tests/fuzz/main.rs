//! Fuzz targets: every parser of what comes from outside. As ordinary tests they run for about a second each on mutated
//! seeds; `cargo bolero test -p tests <name>` runs one under a coverage-guided engine for as long as one likes.

mod body;
mod card;
mod checkpoint;
mod config;
mod discord;
mod grammar;
mod heal;
mod mutant;
mod patch;
mod policy;
mod press;
mod slack;
mod target;
mod words;
