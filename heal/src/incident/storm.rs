//! Storm mode (G9): when too much is unhealthy at once, Petrel proposes and never acts alone. One per cluster.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// When it storms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// So many places (open incidents) unhealthy at once begin a storm,
    pub unhealthy: usize,
    /// or so many percent of the workloads of the cluster, where their number is known,
    pub percent: usize,
    /// or so many new troubles within the shell's window of a minute.
    pub arrivals: usize,
    /// It ends when everything has been below half of these for so long without a break.
    pub calm: SignedDuration,
}

impl Default for Thresholds {
    /// 20 places, 30 %, 100 a minute; over after ten minutes.
    fn default() -> Thresholds {
        Thresholds { unhealthy: 20, percent: 30, arrivals: 100, calm: SignedDuration::from_mins(10) }
    }
}

/// How it looks in the cluster now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Open incidents.
    pub unhealthy: usize,
    /// Workloads there are; 0 when that is not known.
    pub workloads: usize,
    /// Troubles that began within the last minute.
    pub arrivals: usize,
}

/// Whether it storms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storm {
    /// It does not.
    #[default]
    Calm,
    /// It does.
    Rages {
        /// Since when.
        since: Timestamp,
        /// Since when it has been quiet, if it is.
        quiet: Option<Timestamp>,
    },
}

/// What changed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    None,
    /// It began to storm.
    Begins,
    /// It is over.
    Ends,
}

impl Thresholds {
    /// How close to a storm, where 1 and more is one.
    fn pressure(&self, load: Load) -> f64 {
        let of = |value: usize, bound: usize| value as f64 / bound.max(1) as f64;
        // Three sick of four is not a storm but a small cluster.
        let share = if load.workloads > 0 && load.unhealthy >= 5 {
            of(load.unhealthy * 100 / load.workloads, self.percent)
        } else {
            0.0
        };
        of(load.unhealthy, self.unhealthy).max(of(load.arrivals, self.arrivals)).max(share)
    }
}

impl Storm {
    /// Whether Petrel may act without a person, as far as the weather goes.
    pub fn allows_acting_alone(self) -> bool {
        self == Storm::Calm
    }

    /// With how it looks now. To be asked before each decision, and about every ten seconds.
    pub fn look(self, load: Load, now: Timestamp, thresholds: &Thresholds) -> (Storm, Turn) {
        let pressure = thresholds.pressure(load);
        match self {
            Storm::Calm if pressure >= 1.0 => (Storm::Rages { since: now, quiet: None }, Turn::Begins),
            Storm::Calm => (Storm::Calm, Turn::None),
            Storm::Rages { since, .. } if pressure >= 0.5 => {
                (Storm::Rages { since, quiet: None }, Turn::None)
            }
            Storm::Rages { since, quiet } => {
                // A clock that went back begins the wait anew.
                let quiet = quiet.filter(|quiet| *quiet <= now).unwrap_or(now);
                if now.duration_since(quiet) >= thresholds.calm {
                    (Storm::Calm, Turn::Ends)
                } else {
                    (Storm::Rages { since, quiet: Some(quiet) }, Turn::None)
                }
            }
        }
    }
}
