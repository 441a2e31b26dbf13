//! From events to incidents, and from incidents to a decision: pure, with the time as a parameter.
//!
//! ```text
//! event -> Trouble (one fingerprint: firing, over, flapping)       trouble.rs
//!       -> Group, file -> Incident (troubles of one place)         group.rs, incident.rs
//!       -> silenced? hidden by a node that is down?                silence.rs, inhibit.rs
//!       -> rules -> Verdict                                        ../rules
//!       -> react: rest, propose, escalate                          react.rs
//!          with Storm (G9) of the cluster                          storm.rs
//!          and Brake (G8) of rule and target, caps of its places   brake.rs
//!       -> Course: the rule's steps, one request after the other    course.rs
//! ```
//!
//! # What must be stored
//!
//! Whoever keeps these values in a database (not here) stores, in the transaction of what caused the change:
//!
//! | value | key | until |
//! |---|---|---|
//! | [`Trouble`] | fingerprint | an hour after it is over, so that late messages are known as late |
//! | [`Incident`] | id; one that is open per [`Group`] (unique) | for ever: it is the record |
//! | [`Handling`] | the incident | as long |
//! | [`Silence`] | id | its end |
//! | [`Storm`] | cluster | for ever (one small row) |
//! | [`Brake`] | rule and target | for ever while it is blocked or counts; a person's word lifts it |
//! | [`Attempt`] | rule, target and time | the longest window of any cap or `limit` |
//!
//! Every change of one of them must happen under a lock of its row: two replicas that hear the same event must not both
//! open an incident or both start a healing. All of them are `serde` values; adding a field needs a default.

mod brake;
mod course;
mod group;
#[expect(clippy::module_inception)]
mod incident;
mod inhibit;
mod react;
mod silence;
mod storm;
mod trouble;

pub use brake::{Attempt, Brake, Braked, Capped, Caps, past};
pub use course::{Course, Handling, Next, Seen, StepEnd, Task};
pub use group::Group;
pub use incident::{End, Healing, Incident, IncidentId, Result as HealingResult, Times, file};
pub use inhibit::{NODE_DOWN, hides};
pub use react::{Reaction, Reason, Situation, react};
pub use silence::{LONGEST_SILENCE, Matcher, Silence};
pub use storm::{Load, Storm, Thresholds, Turn};
pub use trouble::{Change, Damping, Trouble};

/// Why something cannot be done to an incident, a silence or a brake. A value, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The incident is over.
    #[error("the incident has ended; a new one opens when it comes back")]
    Ended,
    /// Somebody has it.
    #[error("{by} has taken it over already")]
    Taken {
        /// Who.
        by: String,
    },
    /// Nobody has it.
    #[error("nobody has taken it over")]
    NotTaken,
    /// No such healing, or it has come to its end.
    #[error("no healing of this incident waits for that result")]
    NoHealing,
    /// A silence of everything, or for ever.
    #[error("{0}")]
    Silence(&'static str),
    /// There is nothing to lift.
    #[error("the rule is not blocked for this target")]
    NotBlocked,
}
