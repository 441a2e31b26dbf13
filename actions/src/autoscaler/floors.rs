//! The floors of a proposal that a person approved: from when on an HPA has at least how many replicas. They stand in an annotation of the
//! HPA, one line each, so that they are in the diff that was approved.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The annotation.
pub(crate) const FLOORS: &str = "petrel.dev/floors";

/// In order of time; the last one is the giving back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Floors(Vec<(Timestamp, u32)>);

impl Floors {
    /// From `at` on; after `lasting`, back to `back`. None where nothing changes.
    pub(crate) fn new(
        schedule: &[forecast::capacity::replay::Floor],
        at: Timestamp,
        lasting: std::time::Duration,
        back: u32,
    ) -> Option<Floors> {
        if schedule.iter().all(|floor| floor.replicas == back) {
            return None;
        }
        let second = Timestamp::from_second(at.as_second()).ok()?;
        let moment =
            |after: std::time::Duration| second.checked_add(SignedDuration::try_from(after).ok()?).ok();
        let mut all = schedule
            .iter()
            .map(|floor| Some((moment(floor.at)?, floor.replicas.max(1))))
            .collect::<Option<Vec<_>>>()?;
        all.push((moment(lasting)?, back.max(1)));
        Some(Floors(all))
    }

    /// As an HPA holds them.
    pub(crate) fn of(hpa: &Value) -> Option<Floors> {
        Floors::read(hpa["metadata"]["annotations"][FLOORS].as_str()?)
    }

    fn read(text: &str) -> Option<Floors> {
        let line = |line: &str| {
            let (at, replicas) = line.split_once(' ')?;
            Some((at.parse::<Timestamp>().ok()?, replicas.parse::<u32>().ok().filter(|least| *least > 0)?))
        };
        let all = text.lines().map(line).collect::<Option<Vec<_>>>()?;
        (!all.is_empty() && all.is_sorted_by_key(|floor| floor.0)).then_some(Floors(all))
    }

    /// `2026-11-21T20:05:00Z 7`, a line each.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|(at, replicas)| format!("{at} {replicas}")).collect();
        lines.join("\n")
    }

    /// Which one is in force, counted from the first, and its replicas. Before the first there is none.
    pub(crate) fn at(&self, now: Timestamp) -> Option<(usize, u32)> {
        let index = self.0.partition_point(|floor| floor.0 <= now).checked_sub(1)?;
        Some((index, self.0[index].1))
    }

    /// Counted from the first.
    pub(crate) fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// When it is given back.
    pub(crate) fn end(&self) -> Timestamp {
        self.0[self.last()].0
    }

    /// Is it one of them that the HPA has? Else somebody has set another.
    pub(crate) fn has(&self, replicas: &Value) -> bool {
        self.0.iter().any(|floor| *replicas == floor.1)
    }

    /// All but the giving back.
    pub(crate) fn steps(&self) -> &[(Timestamp, u32)] {
        &self.0[..self.last()]
    }

    /// All but the first, which holds already.
    pub(crate) fn to_come(&self) -> &[(Timestamp, u32)] {
        &self.0[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::capacity::replay::Floor;
    use std::time::Duration;

    fn floors() -> Floors {
        let floor = |hour: u64, replicas| Floor { at: Duration::from_secs(3600 * hour), replicas };
        let at = "2026-11-21T20:00:00.5Z".parse().unwrap();
        Floors::new(&[floor(0, 4), floor(2, 9)], at, Duration::from_secs(86_400), 2).unwrap()
    }

    #[test]
    fn an_annotation_says_from_when_on_how_many_and_when_it_is_given_back() {
        let text = "2026-11-21T20:00:00Z 4\n2026-11-21T22:00:00Z 9\n2026-11-22T20:00:00Z 2";
        assert_eq!(floors().text(), text);
        assert_eq!(Floors::read(text), Some(floors()));
    }

    #[test]
    fn the_newest_that_has_come_is_in_force() {
        let at = |text: &str| floors().at(text.parse().unwrap());
        assert_eq!(at("2026-11-21T19:59:59Z"), None);
        assert_eq!(at("2026-11-21T21:59:59Z"), Some((0, 4)));
        assert_eq!(at("2026-11-21T22:00:00Z"), Some((1, 9)));
        assert_eq!(at("2026-12-01T00:00:00Z"), Some((2, 2)));
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        for text in ["", "soon 4", "2026-11-21T20:00:00Z 0", "2026-11-21T20:00:00Z 4\n2026-11-21T19:00:00Z 5"]
        {
            assert_eq!(Floors::read(text), None, "{text}");
        }
        let new =
            |schedule: &[Floor]| Floors::new(schedule, Timestamp::UNIX_EPOCH, Duration::from_secs(60), 1);
        let one = |replicas| Floor { at: Duration::ZERO, replicas };
        assert_eq!((new(&[]), new(&[one(1)])), (None, None));
        assert_eq!(new(&[one(3)]).unwrap().text(), "1970-01-01T00:00:00Z 3\n1970-01-01T00:01:00Z 1");
    }
}
