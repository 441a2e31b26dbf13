//! How much a script may use.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds of one run. Memory and CPU time count for each process, so a run uses at most `processes` times as much; the deadline is for all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// After this time everything is killed.
    #[serde(with = "seconds")]
    pub deadline: Duration,
    /// Bytes of address space of one process. Below some 64 MiB a script may not start, because our own program does not fit.
    pub memory: u64,
    /// Seconds of CPU time of one process.
    pub cpu: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes in `/tmp`, which is in memory and ends with the script.
    pub scratch: u64,
    /// Bytes kept of standard output, and as many of standard error. A script that prints more is ended.
    pub output_bytes: usize,
    /// Lines kept of each, likewise.
    pub output_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(4),
            memory: 512 << 20,
            cpu: 10,
            processes: 32,
            file_size: 64 << 20,
            scratch: 16 << 20,
            output_bytes: 64 << 10,
            output_lines: 1000,
        }
    }
}

/// Whole and broken seconds, as people write them.
mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
