//! Incidents with a turned clock.

mod brake;
mod life;
mod quiet;
mod react;
mod storm;
mod trouble;

use heal::{
    event::{Event, Severity, State, Workload},
    incident::{Group, Incident, IncidentId, Trouble, file},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// So many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    "2026-02-03T04:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// An alert about the workload, firing since then.
fn firing(name: &str, workload: &str, since: i64) -> Event {
    let mut event = crate::rules::alert(name, &[("namespace", "shop"), ("app", workload)]);
    event.subject = event.subject.owned_by(Workload { kind: "Deployment".into(), name: workload.into() });
    event.started = at(since);
    event
}

/// The same, over by then.
fn resolved(name: &str, workload: &str, since: i64, ended: i64) -> Event {
    Event { state: State::Resolved, ended: Some(at(ended)), ..firing(name, workload, since) }
}

fn severe(event: Event, severity: u8) -> Event {
    Event { severity: Severity::new(severity).unwrap(), ..event }
}

fn group(workload: &str) -> Group {
    Group::of(&firing("A", workload, 0))
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An incident of one alert.
fn open(event: &Event, now: i64) -> (Incident, Trouble) {
    let (trouble, change) = Trouble::first(event, at(now));
    let (trouble, incident) = file(trouble, change, None, Group::of(event), IncidentId(id(1)), at(now));
    (incident.unwrap(), trouble)
}

/// A value survives being stored.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}
