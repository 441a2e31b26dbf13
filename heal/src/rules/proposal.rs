//! What a rule would ask for: its steps with their words resolved to objects and numbers.

use super::Rule;
use crate::{
    event::Event,
    language::{
        Catalogue, Kind, NAMESPACE,
        ast::{Given, List, Step, Subject, Verify},
        show_duration, shown, step_text,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{fmt, time::Duration};

/// The kind of a target that a rule calls by its name alone: whichever workload there is of that name.
pub const ANY: &str = "workload";

/// A request in the making.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// In order.
    pub then: Vec<Proposed>,
    /// How to know that it helped.
    pub verify: Option<Verify>,
    /// When it did not.
    pub otherwise: Vec<Proposed>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Proposed {
    /// Do nothing for so long.
    Wait(Duration),
    /// Ask the gate.
    Action {
        /// As rules write it: `set_image`.
        action: String,
        /// On what; None for actions that go to people or files.
        target: Option<Target>,
        /// By name, with changes resolved where what is there now is known; without the target.
        parameters: Map<String, Value>,
        /// What a number was made of; may be empty: `3 + 2, at most 12`.
        note: String,
    },
}

/// An object by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Name in the registry.
    pub cluster: String,
    /// None for nodes.
    pub namespace: Option<String>,
    /// Kubernetes kind, or the word a rule has for it: `Deployment`, `deploy`; [`ANY`] where it has none.
    pub kind: String,
    /// Object name.
    pub name: String,
}

/// The event does not say what a step needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No cluster.
    #[error("the event names no cluster; give the sender a label `cluster`, or its webhook a default")]
    Cluster,
    /// No workload, pod or node.
    #[error("the event names no {word} for `{step}`")]
    Subject {
        /// What is missing.
        word: &'static str,
        /// The step as it was written.
        step: String,
    },
    /// The number is where it should not go beyond.
    #[error("`{step}` has nothing left to do: it has {now} replicas")]
    AtBound {
        /// The step as it was written.
        step: String,
        /// Replicas.
        now: u32,
    },
}

/// A step with its arguments by name, as the catalogue says; made once, when rules are loaded.
#[derive(Debug)]
pub(super) enum Prepared {
    Wait(Duration),
    /// The first of its targets that the event names is meant; none for what goes to people.
    Action {
        action: String,
        targets: Vec<Given>,
        parameters: Vec<(String, Given)>,
        text: String,
    },
}

impl Prepared {
    /// A step that is not as the catalogue says is left out: the checker has refused it.
    pub fn all(list: &List<Step>, catalogue: &Catalogue) -> Vec<Prepared> {
        list.items.iter().filter_map(|item| Prepared::one(&item.value, catalogue)).collect()
    }

    fn one(step: &Step, catalogue: &Catalogue) -> Option<Prepared> {
        let call = match step {
            Step::Wait(wait) => return Some(Prepared::Wait(wait.value)),
            Step::Action(call) => call,
        };
        let shape = catalogue.shape(&call.action.value)?;
        let mut places = shape.parameters.iter().filter(|parameter| parameter.by_place);
        let (mut target, mut parameters) = (None, Vec::new());
        for argument in &call.arguments {
            let parameter = match &argument.name {
                Some(name) => shape.parameters.iter().find(|parameter| parameter.name == name.value)?,
                None => places.next()?,
            };
            let given = argument.value.value.clone();
            match parameter.kind {
                Kind::Target(_) => target = Some(given),
                _ => parameters.push((parameter.name.clone(), given)),
            }
        }
        let usual = shape.parameters.iter().find_map(|parameter| match &parameter.kind {
            Kind::Target(subjects) => Some(subjects.iter().map(|subject| Given::Subject(*subject)).collect()),
            _ => None,
        });
        let targets = target.map(|target| vec![target]).or(usual).unwrap_or_default();
        Some(Prepared::Action { action: shape.name.clone(), targets, parameters, text: step_text(step) })
    }
}

impl Rule {
    /// The steps for this event. `replicas` is what the workload has now.
    pub fn propose(&self, event: &Event, replicas: Option<u32>) -> Result<Proposal, Unresolved> {
        let resolve = |steps: &[Prepared]| {
            steps.iter().map(|step| resolve(step, event, replicas)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Proposal {
            then: resolve(&self.then)?,
            verify: self.text.verify.as_ref().map(|verify| verify.value.clone()),
            otherwise: resolve(&self.otherwise)?,
        })
    }
}

fn resolve(step: &Prepared, event: &Event, replicas: Option<u32>) -> Result<Proposed, Unresolved> {
    let (action, targets, given, text) = match step {
        Prepared::Wait(length) => return Ok(Proposed::Wait(*length)),
        Prepared::Action { action, targets, parameters, text } => (action, targets, parameters, text),
    };
    let mut target = None;
    for given in targets {
        let named = self::target(text, given, event);
        let found = named.is_ok();
        target = Some(named);
        if found {
            break;
        }
    }
    let mut target = target.transpose()?;
    let mut parameters = Map::new();
    let mut note = String::new();
    // How many there are is known of the event's own workload only; elsewhere the gate counts, and keeps the bounds.
    let replicas = replicas.filter(|_| matches!(targets[..], [Given::Subject(Subject::Workload)]));
    let changes = given.iter().any(|(_, given)| matches!(given, Given::Change(_)));
    for (name, value) in given {
        if let (NAMESPACE, Given::Text(namespace), Some(target)) = (name.as_str(), value, &mut target) {
            target.namespace = Some(namespace.clone());
            continue;
        }
        let value = match value {
            // Bounds belong to a change: what came of it keeps them, and so does a number that was checked when it was written.
            Given::Number(_)
                if (replicas.is_some() || !changes) && matches!(name.as_str(), "min" | "max") =>
            {
                continue;
            }
            Given::Subject(subject) => json!(event.text(subject.word(), None)),
            Given::Text(text) => json!(text),
            Given::Number(number) => json!(*number as i64),
            Given::Duration(length) => json!(show_duration(*length)),
            Given::Change(by) => {
                let (value, made) = change(text, given, *by as i64, replicas)?;
                note = made;
                value
            }
        };
        parameters.insert(name.clone(), value);
    }
    Ok(Proposed::Action { action: action.clone(), target, parameters, note })
}

/// `+2, max: 12` from what is there now; as it was written where that is not known.
fn change(
    text: &str,
    given: &[(String, Given)],
    by: i64,
    now: Option<u32>,
) -> Result<(Value, String), Unresolved> {
    let bound = |wanted: &str| {
        given.iter().find_map(|(name, given)| match given {
            Given::Number(number) if name == wanted => Some(*number as i64),
            _ => None,
        })
    };
    let (min, max) = (bound("min").unwrap_or(0), bound("max").unwrap_or(i64::MAX));
    let mut bounds = Vec::new();
    if min > 0 {
        bounds.push(format!(", at least {min}"));
    }
    if max < i64::MAX {
        bounds.push(format!(", at most {max}"));
    }
    let bounds = bounds.concat();
    let Some(now) = now else {
        return Ok((json!(format!("{by:+}")), format!("from what it has then{bounds}")));
    };
    let wanted = (i64::from(now) + by).min(max).max(min.min(max));
    // A bound never turns a step up into a step down.
    if (wanted - i64::from(now)).signum() != by.signum() {
        return Err(Unresolved::AtBound { step: text.into(), now });
    }
    let sign = if by < 0 { '-' } else { '+' };
    Ok((json!(wanted), format!("{now} {sign} {}{bounds}", by.abs())))
}

fn target(text: &str, given: &Given, event: &Event) -> Result<Target, Unresolved> {
    let subject = &event.subject;
    let cluster = subject.cluster.clone().ok_or(Unresolved::Cluster)?;
    let namespace = subject.namespace.clone();
    let (kind, name, namespace) = match given {
        Given::Subject(word) => {
            let missing = || Unresolved::Subject { word: word.word(), step: text.into() };
            match word {
                Subject::Workload => {
                    let workload = subject.workload.clone().ok_or_else(missing)?;
                    (workload.kind, workload.name, namespace)
                }
                Subject::Pod => ("Pod".into(), subject.pod.clone().ok_or_else(missing)?, namespace),
                Subject::Node => ("Node".into(), subject.node.clone().ok_or_else(missing)?, None),
            }
        }
        Given::Text(words) => {
            let (kind, name) = words.split_once('/').unwrap_or((ANY, words));
            (kind.to_string(), name.to_string(), namespace)
        }
        // The checker allows none of these.
        Given::Number(_) | Given::Change(_) | Given::Duration(_) => {
            return Err(Unresolved::Subject { word: "target", step: text.into() });
        }
    };
    Ok(Target { cluster, namespace, kind, name })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", shown(&self.cluster))?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", shown(namespace))?;
        }
        write!(f, "{} {}", shown(&self.kind), shown(&self.name))
    }
}

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, target, parameters, note) = match self {
            Proposed::Wait(length) => return write!(f, "wait {}", show_duration(*length)),
            Proposed::Action { action, target, parameters, note } => (action, target, parameters, note),
        };
        f.write_str(action)?;
        if let Some(target) = target {
            write!(f, " {target}")?;
        }
        for (place, (name, value)) in parameters.iter().enumerate() {
            write!(f, "{} {name} {value}", if place > 0 || target.is_some() { "," } else { "" })?;
        }
        if !note.is_empty() {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}
