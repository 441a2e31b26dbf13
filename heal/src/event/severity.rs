//! How bad, from 1 to 5.

use serde::{Deserialize, Serialize};
use std::fmt;

/// 1 information, 2 notice, 3 warning, 4 error, 5 critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

impl Severity {
    /// 1
    pub const INFORMATION: Severity = Severity(1);
    /// 3, also of what does not say.
    pub const WARNING: Severity = Severity(3);
    /// 5
    pub const CRITICAL: Severity = Severity(5);

    /// From a number of the scale.
    pub fn new(severity: u8) -> Option<Severity> {
        (1..=5).contains(&severity).then_some(Severity(severity))
    }

    /// From whatever people call it: `critical`, `warn`, `4`, `P1` (the worst), `sev2`. None for what nobody knows.
    pub fn from_word(word: &str) -> Option<Severity> {
        let word = word.trim().to_ascii_lowercase();
        if let Ok(number) = word.parse::<u8>() {
            return Severity::new(number);
        }
        for prefix in ["sev", "p"] {
            if let Some(rank) =
                word.strip_prefix(prefix).and_then(|rank| rank.trim_start_matches('-').parse::<u8>().ok())
            {
                // There 1 is the worst.
                return rank.checked_sub(1).and_then(|rank| 5_u8.checked_sub(rank)).and_then(Severity::new);
            }
        }
        Some(Severity(match word.as_str() {
            "critical" | "crit" | "emergency" | "fatal" | "page" | "disaster" | "alert" => 5,
            "error" | "err" | "high" | "major" => 4,
            "warning" | "warn" | "medium" | "average" | "ticket" => 3,
            "notice" | "minor" | "low" => 2,
            "info" | "information" | "informational" | "none" | "debug" | "ok" => 1,
            _ => return None,
        }))
    }

    /// On the scale.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Severity {
    type Error = String;

    fn try_from(number: u8) -> Result<Severity, String> {
        Severity::new(number).ok_or_else(|| format!("severity is 1 to 5, not {number}"))
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> u8 {
        severity.0
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_of_other_tools_are_understood() {
        for (word, number) in [
            ("critical", 5),
            ("PAGE", 5),
            ("error", 4),
            (" Warning ", 3),
            ("low", 2),
            ("info", 1),
            ("4", 4),
            ("P1", 5),
            ("p5", 1),
            ("sev-2", 4),
            ("SEV1", 5),
        ] {
            assert_eq!(Severity::from_word(word).map(Severity::number), Some(number), "{word}");
        }
        for word in ["", "0", "6", "P0", "p9", "purple", "-1", "p"] {
            assert_eq!(Severity::from_word(word), None, "{word}");
        }
    }
}
