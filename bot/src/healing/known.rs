//! What the ledger keeps of healing, as the values of the crate `heal`.

use super::{json, read_json};
use heal::{
    event::Event,
    incident::{
        Attempt, Brake, Handling, Incident, Load, NODE_DOWN, Silence, Storm, Task, Thresholds, Trouble,
    },
    rules::Rules,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{HealingChange, HealingState, LedgerError, RequestId, RequestState, Since, StoredIncident};

/// The longest that a limit or `unless` may look back; what is longer counts as this.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A worker silent for so long is presumed dead, and another looks after its incidents.
pub const LEASE: SignedDuration = SignedDuration::from_secs(15);

/// Everything that decides about one incident.
pub struct Known {
    /// It.
    pub incident: Incident,
    /// What is being done about it.
    pub handling: Handling,
    /// Its troubles that go on, each with the last event that said so.
    pub troubles: Vec<(Trouble, Event)>,
    /// Of its place.
    pub brakes: Vec<Brake>,
    /// Of its cluster, and of its rules elsewhere.
    pub attempts: Vec<Attempt>,
    /// That have not ended.
    pub silences: Vec<Silence>,
    /// The weather, as it is now.
    pub storm: Storm,
    /// Troubles of nodes that are down.
    pub nodes_down: Vec<Trouble>,
}

/// The incident and what is being done about it.
pub fn incident(stored: &StoredIncident) -> Result<(Incident, Handling), LedgerError> {
    Ok((
        read_json("read an incident", stored.doc.clone())?,
        read_json("read what is done about an incident", stored.handling.clone())?,
    ))
}

/// Troubles with their events.
pub fn troubles(
    stored: Vec<(serde_json::Value, serde_json::Value)>,
) -> Result<Vec<(Trouble, Event)>, LedgerError> {
    let one = |(doc, event)| Ok((read_json("read a trouble", doc)?, read_json("read an event", event)?));
    stored.into_iter().map(one).collect()
}

fn all<T: serde::de::DeserializeOwned>(
    what: &'static str,
    docs: Vec<serde_json::Value>,
) -> Result<Vec<T>, LedgerError> {
    docs.into_iter().map(|doc| read_json(what, doc)).collect()
}

impl Known {
    /// From what was read under the lock.
    pub fn read(state: HealingState, now: Timestamp) -> Result<Known, LedgerError> {
        let (incident, handling) = incident(&state.incident)?;
        let storm: Storm =
            state.storm.map(|doc| read_json("read a storm", doc)).transpose()?.unwrap_or_default();
        let load = Load { unhealthy: state.open as usize, workloads: 0, arrivals: state.arrivals as usize };
        Ok(Known {
            incident,
            handling,
            troubles: troubles(state.troubles)?,
            brakes: all("read a brake", state.brakes)?,
            attempts: all("read a healing", state.attempts)?,
            silences: all("read a silence", state.silences)?,
            storm: storm.look(load, now, &Thresholds::default()).0,
            nodes_down: all("read a trouble", state.nodes_down)?,
        })
    }

    /// The brake of a rule on the place of this incident.
    pub fn brake(&self, rule: &str) -> Brake {
        let known = self.brakes.iter().find(|brake| brake.rule == rule);
        known.cloned().unwrap_or_else(|| Brake::new(rule, self.incident.group.clone()))
    }
}

/// What has to be read for these rules to be judged.
pub fn since(rules: &Rules, titles: Vec<String>, now: Timestamp) -> Since {
    let of = |title: &String| {
        let rule = rules.by_title(title)?;
        let limits = rule.text.limits.iter().map(|limit| limit.value.per.value);
        limits.chain(rule.text.unless.iter().map(|unless| unless.value.value)).max()
    };
    let longest = titles.iter().filter_map(of).max().unwrap_or_default();
    let longest = SignedDuration::try_from(longest).unwrap_or(LONGEST_WINDOW);
    let window = longest.clamp(SignedDuration::from_hours(1), LONGEST_WINDOW);
    Since {
        attempts: Some(now.saturating_sub(window).unwrap_or(Timestamp::MIN)),
        rules: titles,
        node_down: NODE_DOWN.map(String::from).to_vec(),
    }
}

/// A change of nothing yet but these two.
pub fn change(incident: &Incident, handling: &Handling, due_at: Timestamp) -> HealingChange {
    HealingChange {
        doc: json(incident),
        handling: json(handling),
        ended_at: incident.times.recovered.filter(|_| incident.end.is_some()),
        waits_for: None,
        due_at,
        brake: None,
        begun: None,
        ended: None,
        silence: None,
        entries: Vec::new(),
        shown: Vec::new(),
        said: Vec::new(),
    }
}

/// A change of an incident whose course may ask for something, and does so next or has done so: there is nothing to do about it before
/// the request has moved on from being awaited, or its asker is dead; but for calling it off when the trouble is over.
pub fn asking(
    change: HealingChange,
    incident: &Incident,
    handling: &Handling,
    now: Timestamp,
) -> HealingChange {
    match handling.course.as_ref().map(|course| &course.task) {
        Some(Task::Ask { request }) if incident.going_on > 0 => HealingChange {
            waits_for: Some((RequestId(*request), Some(RequestState::Awaiting))),
            due_at: now + LEASE,
            ..change
        },
        _ => change,
    }
}
