//! One word per concept, the same in chat, SQL, logs and code.

mod actor;
mod decision;
mod id;
mod place;
mod plan;
mod request;
mod run;
#[cfg(test)]
pub(crate) mod sample;
mod target;
mod vote;

pub use actor::*;
pub use decision::*;
pub use id::*;
pub use place::*;
pub use plan::*;
pub use request::*;
pub use run::*;
pub use target::*;
pub use vote::*;
