//! An ask, its plan and the rest that policy looks at, with ordinary values to change from.

use actions::policy::{Explained, Facts, Policy, Who};
use jiff::Timestamp;
use ledger::{Activity, Actor, Ask, Blast, Decision, Person, Plan, Risk, Target, Verify};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The example that the documentation shows.
pub const EXAMPLE: &str = include_str!("../../../docs/policy.example.toml");

/// A Wednesday at noon in Berlin.
pub const WEDNESDAY: &str = "2026-11-18T11:00:00Z";

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Scene {
    pub actor: Actor,
    pub ask: Ask,
    pub plan: Plan,
    pub labels: BTreeMap<String, String>,
    pub activity: Activity,
    pub now: Timestamp,
}

impl Scene {
    /// `actor` asks for `action` on a Deployment of three pods in a cluster without labels, on a Wednesday.
    pub fn new(actor: &str, action: &str) -> Scene {
        let actor: Actor = actor.parse().unwrap();
        let target = Target {
            cluster: "lab".to_string(),
            namespace: Some("shop".to_string()),
            kind: "Deployment".to_string(),
            name: "checkout".to_string(),
            uid: Some("u1".to_string()),
        };
        let ask = Ask {
            key: "k".to_string(),
            actor: actor.clone(),
            person: Person("nobody".to_string()),
            place: None,
            line: format!("{action} deploy/checkout"),
            action: action.to_string(),
            parameters: json!({}),
            target: Target { uid: None, ..target.clone() },
            why: None,
            break_glass: false,
            dry_run: false,
            with_person: None,
        };
        let plan = Plan {
            action: action.to_string(),
            parameters: json!({}),
            target,
            resource_version: "1".to_string(),
            summary: format!("{action} Deployment checkout"),
            steps: Vec::new(),
            diff: String::new(),
            blast: Blast { pods: 3, of: 3, ..Blast::default() },
            risk: Risk::Medium,
            prior: Value::Null,
            undo: Vec::new(),
            verify: Verify { conditions: Vec::new(), within_s: 60 },
        };
        Scene {
            actor,
            ask,
            plan,
            labels: BTreeMap::new(),
            activity: Activity::default(),
            now: WEDNESDAY.parse().unwrap(),
        }
    }

    pub fn production(mut self) -> Scene {
        self.labels.insert("production".to_string(), "true".to_string());
        self.plan.target.cluster = "prod-eu".to_string();
        self.ask.target.cluster = "prod-eu".to_string();
        self
    }

    pub fn risk(mut self, risk: Risk) -> Scene {
        self.plan.risk = risk;
        self
    }

    pub fn params(mut self, parameters: Value) -> Scene {
        self.plan.parameters = parameters.clone();
        self.ask.parameters = parameters;
        self
    }

    pub fn why(mut self, why: &str) -> Scene {
        self.ask.why = Some(why.to_string());
        self
    }

    pub fn break_glass(mut self) -> Scene {
        self.ask.break_glass = true;
        self
    }

    pub fn at(mut self, now: &str) -> Scene {
        self.now = now.parse().unwrap();
        self
    }

    pub fn activity(mut self, activity: Activity) -> Scene {
        self.activity = activity;
        self
    }

    /// What the policy says, and how it came to it. A stranger is somebody in no group.
    pub fn explained(&self, policy: &Policy) -> Explained {
        let who = policy
            .who(&self.actor)
            .unwrap_or(Who { person: Person("stranger".to_string()), groups: Vec::new() });
        policy.decide(Facts {
            who: &who,
            ask: &self.ask,
            plan: &self.plan,
            cluster_labels: &self.labels,
            activity: &self.activity,
            now: self.now,
        })
    }

    /// The decision in a few words: `allow by x`, `refuse by x`, `2 of sre by x`.
    pub fn short(&self, policy: &Policy) -> String {
        match self.explained(policy).decision {
            Decision::Allow { rule } => format!("allow by {rule}"),
            Decision::Refuse { rule, .. } => format!("refuse by {rule}"),
            Decision::Needs { rule, quorum } => {
                format!("{} of {} by {rule}", quorum.votes, quorum.groups.join("/"))
            }
        }
    }
}

/// How much a decision permits: refuse 0, approve 1, allow 2.
pub fn permits(decision: &Decision) -> u8 {
    match decision {
        Decision::Refuse { .. } => 0,
        Decision::Needs { .. } => 1,
        Decision::Allow { .. } => 2,
    }
}

/// A policy with ann (sre, oncall), bob (sre), eve (leads) and the machine ci, and the given rest.
pub fn policy(rest: &str) -> Policy {
    Policy::parse("test.toml", &format!("{PEOPLE}\n{rest}")).unwrap()
}

pub const PEOPLE: &str = r#"
person = [
  { name = "ann", identities = ["console:ann", "slack:T1:U2"], groups = ["sre", "oncall"] },
  { name = "bob", identities = ["console:bob"], groups = ["sre"] },
  { name = "eve", identities = ["console:eve"], groups = ["leads"] },
]
machine = [{ name = "ci", identities = ["api:ci"], groups = ["sre", "automation"] }]
"#;
