//! Policy: what a file may say, and what it then decides.

mod decide;
mod file;
mod properties;
mod reload;
pub mod scene;
