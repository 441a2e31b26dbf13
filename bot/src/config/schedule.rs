//! `[[schedule]]`: a line that Petrel types by itself.

use super::file::duration;
use crate::grammar::{Context, Line, parse};
use cron::Schedule;
use jiff::SignedDuration;
use ledger::{Actor, Place};
use serde::Deserialize;
use std::time::Duration;

/// A line with its times.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// Unique.
    pub name: String,
    /// Who asks, `schedule:<name>`; the policy must know it as a machine.
    pub actor: Actor,
    /// When, by the clock of `zone`: `0 0 7 * * Mon-Fri *`, seconds first.
    pub at: Schedule,
    /// Whose clock.
    pub zone: chrono_tz::Tz,
    /// Over how long starts are spread.
    pub jitter: Duration,
    /// Where its requests are shown.
    pub place: Place,
    /// An action, with `-c` and `-n`: no room's defaults are meant.
    pub line: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    name: String,
    at: String,
    zone: Option<String>,
    jitter: Option<SignedDuration>,
    place: Place,
    line: String,
}

impl Raw {
    /// `clusters`: what the line may name.
    pub(super) fn resolve(self, clusters: &[String]) -> Result<Scheduled, String> {
        let Raw { name, at, zone, jitter, place, line } = self;
        let wrong = |why: String| format!("[[schedule]] {name}: {why}");
        let actor = format!("schedule:{name}");
        let actor = actor.parse::<Actor>().map_err(|_| wrong("the name must be one word".into()))?;
        let cron = at.parse::<Schedule>().map_err(|error| {
            wrong(format!(
                "at = \"{at}\" is not a schedule ({error}); write \"0 0 7 * * Mon-Fri *\", seconds first"
            ))
        })?;
        let zone = zone.as_deref().unwrap_or("UTC");
        let zone = zone
            .parse::<chrono_tz::Tz>()
            .map_err(|_| wrong(format!("zone = \"{zone}\" is none; write Europe/Berlin")))?;
        let jitter = duration("jitter", jitter, Duration::ZERO, Duration::ZERO).map_err(wrong)?;
        let wrong = |why: String| format!("[[schedule]] {name}: line = \"{line}\": {why}");
        match parse(&line, &Context { clusters, cluster: None, namespace: None }) {
            Ok(Line::Ask(ask)) if !ask.break_glass => {}
            Ok(Line::Ask(_)) => return Err(wrong("only people break glass".into())),
            Ok(_) => return Err(wrong("that is a question; schedule an action, such as hpa propose".into())),
            Err(card) => return Err(wrong(card.title)),
        }
        Ok(Scheduled { actor, at: cron, zone, jitter, place, line, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "line = 'hpa propose deploy/checkout -n shop -c prod'";

    fn resolved(change: &str) -> Result<Scheduled, String> {
        let text = format!("name = 'nightly'\nplace = 'console:ops'\n{change}");
        let raw = toml::from_str::<Raw>(&text).map_err(|error| error.to_string())?;
        raw.resolve(&["prod".into()])
    }

    #[test]
    fn a_schedule_that_cannot_work_says_why() {
        let at_night = "at = '0 0 3 * * * *'";
        assert_eq!(resolved(&format!("{at_night}\n{LINE}")).unwrap().zone, chrono_tz::UTC);
        let wrong = |change: &str| resolved(change).unwrap_err();
        let said = wrong(&format!("at = 'at night'\n{LINE}"));
        assert!(said.contains("[[schedule]] nightly: at = \"at night\" is not"), "{said}");
        let said = wrong(&format!("{at_night}\nzone = 'Berlin'\n{LINE}"));
        assert!(said.contains("write Europe/Berlin"), "{said}");
        let said = wrong(&format!("{at_night}\nroom = 'x'\n{LINE}"));
        assert!(said.contains("unknown field"), "{said}");
        let said = wrong(&format!("{at_night}\nline = 'nodes forecast -c prod'"));
        assert!(said.contains("that is a question"), "{said}");
        let said = wrong(&format!("{at_night}\nline = 'restart deploy/checkout -n shop -c elsewhere'"));
        assert!(said.contains("elsewhere"), "{said}");
        let said =
            wrong(&format!("{at_night}\nline = 'break-glass restart deploy/checkout -n shop -c prod'"));
        assert!(said.contains("only people break glass") || said.contains("why"), "{said}");
    }
}
