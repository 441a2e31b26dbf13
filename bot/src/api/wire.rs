//! What goes over the wire. Own types, so that the ledger's can change without breaking scripts.

use crate::{card::Card, draw};
use actions::cluster::Health;
use ledger::{Decision, RequestView, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// One command: as a line, or as words that need no quoting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    /// `scale deploy/checkout 6 -n shop -c prod-eu`.
    pub line: Option<String>,
    /// `["scale", "deploy/checkout", "6", "-n", "shop", "-c", "prod-eu"]`.
    pub words: Option<Vec<String>>,
    /// As `--why`.
    pub why: Option<String>,
}

/// What became of a command: one of the two.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answered {
    /// The request that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The answer to a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Value>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

impl From<Word> for Verdict {
    fn from(word: Word) -> Verdict {
        match word {
            Word::Approve => Verdict::Approve,
            Word::Deny => Verdict::Deny,
        }
    }
}

/// One vote.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoteBody {
    /// Yes or no.
    pub verdict: Word,
    /// Why; shown on the card.
    pub reason: Option<String>,
    /// The cluster's name, where the request asks for it.
    pub typed: Option<String>,
    /// The plan that was looked at (`request.digest`); refused when another one stands. None: the one that stands.
    pub digest: Option<String>,
}

/// Why it is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelBody {
    /// Shown on the card.
    pub reason: Option<String>,
}

/// Which requests; every parameter narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RequestsQuery {
    /// `awaiting,approved`.
    pub state: Option<String>,
    /// On this cluster.
    pub cluster: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Asked by this person.
    pub person: Option<String>,
    /// With these words in the line, the summary, the note or the reason.
    pub text: Option<String>,
    /// Made before this time.
    pub before: Option<String>,
    /// At most, 50 unless said otherwise.
    pub limit: Option<u32>,
}

/// Which entries of the record; every parameter narrows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EntriesQuery {
    /// Of this request.
    pub request: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this kind, or of its family when it ends with a dot: `vote.`.
    pub kind: Option<String>,
    /// With a smaller id.
    pub before: Option<i64>,
    /// At most, 50 unless said otherwise.
    pub limit: Option<u32>,
}

/// Newest first, without votes and steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Requests {
    /// What was found.
    pub requests: Vec<Request>,
}

/// Newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entries {
    /// What was found.
    pub entries: Vec<Entry>,
}

/// What is acted on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target {
    /// Name in the registry.
    pub cluster: String,
    /// None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// One ask for one action.
#[derive(Debug, Serialize, ToSchema)]
pub struct Request {
    /// Its name for life.
    pub id: String,
    /// The eight characters that people read.
    pub short: String,
    /// `awaiting`, `succeeded`, ...
    pub state: String,
    /// Whether nothing follows.
    pub done: bool,
    /// Why it stands there.
    pub note: Option<String>,
    /// As typed.
    pub line: String,
    /// Catalogue name.
    pub action: String,
    /// Typed parameters.
    #[schema(value_type = Object)]
    pub parameters: Value,
    /// On what.
    pub target: Target,
    /// The identity that asked.
    pub actor: String,
    /// The human behind it.
    pub person: String,
    /// Why it was asked.
    pub why: Option<String>,
    /// What would happen, in a sentence.
    pub summary: String,
    /// Unified diff of the server-side dry run.
    pub diff: String,
    /// `low`, `medium`, `high`.
    pub risk: String,
    /// Counts plans.
    pub revision: u32,
    /// Of the plan that stands.
    pub digest: String,
    /// `allow`, `needs`, `refuse`, with the rule that decided.
    #[schema(value_type = Object)]
    pub decision: Decision,
    /// Version of the policy that decided.
    pub policy: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// RFC 3339; after this it can never run.
    pub expires_at: Option<String>,
    /// On the plan that stands; none in lists.
    pub votes: Option<Vec<Vote>>,
    /// Of the plan that stands.
    pub run: Option<Run>,
    /// The card as chats show it; none in lists.
    #[schema(value_type = Option<Object>)]
    pub card: Option<Value>,
}

/// One person's word.
#[derive(Debug, Serialize, ToSchema)]
pub struct Vote {
    /// Whose.
    pub person: String,
    /// By which identity.
    pub actor: String,
    /// `approve` or `deny`.
    pub verdict: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// RFC 3339.
    pub at: String,
}

/// One execution.
#[derive(Debug, Serialize, ToSchema)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// `act`, `verify`, `undo`, `done`.
    #[schema(value_type = String)]
    pub phase: ledger::Phase,
    /// Claims so far; more than one means a rescue.
    pub attempt: u32,
    /// The last line of live progress.
    pub progress: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub ended_at: Option<String>,
    /// Checkpoints so far.
    pub steps: Vec<Step>,
}

/// A step's checkpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    /// `act` or `undo`.
    #[schema(value_type = String)]
    pub phase: ledger::Phase,
    /// Position, from 0.
    pub index: u32,
    /// `intended`, `done`, `failed`, `unknown`.
    #[schema(value_type = String)]
    pub state: ledger::StepState,
    /// What was read back.
    #[schema(value_type = Option<Object>)]
    pub outcome: Option<Value>,
}

impl Request {
    /// For lists.
    pub fn brief(request: &ledger::Request) -> Request {
        let (ask, plan) = (&request.ask, &request.plan);
        Request {
            id: request.id.to_string(),
            short: request.id.short(),
            state: request.state.as_str().into(),
            done: request.state.is_final(),
            note: request.note.clone(),
            line: ask.line.clone(),
            action: ask.action.clone(),
            parameters: plan.parameters.clone(),
            target: Target {
                cluster: plan.target.cluster.clone(),
                namespace: plan.target.namespace.clone(),
                kind: plan.target.kind.clone(),
                name: plan.target.name.clone(),
            },
            actor: ask.actor.to_string(),
            person: ask.person.to_string(),
            why: ask.why.clone(),
            summary: plan.summary.clone(),
            diff: plan.diff.clone(),
            risk: plan.risk.to_string(),
            revision: request.revision,
            digest: request.digest.to_string(),
            decision: request.decision.clone(),
            policy: request.policy.clone(),
            created_at: request.created_at.to_string(),
            updated_at: request.updated_at.to_string(),
            expires_at: request.expires_at.map(|at| at.to_string()),
            votes: None,
            run: None,
            card: None,
        }
    }

    /// With everything.
    pub fn full(view: &RequestView, card: &Card) -> Request {
        let votes = view.votes.iter().map(|vote| Vote {
            person: vote.person.to_string(),
            actor: vote.actor.to_string(),
            verdict: if vote.verdict == Verdict::Approve { "approve" } else { "deny" },
            reason: vote.reason.clone(),
            at: vote.at.to_string(),
        });
        let steps = || {
            view.steps.iter().map(|step| Step {
                phase: step.phase,
                index: step.index,
                state: step.state,
                outcome: step.outcome.clone(),
            })
        };
        let run = view.run.as_ref().map(|run| Run {
            id: run.id.to_string(),
            phase: run.phase,
            attempt: run.attempt,
            progress: run.progress.clone(),
            started_at: run.started_at.map(|at| at.to_string()),
            ended_at: run.ended_at.map(|at| at.to_string()),
            steps: steps().collect(),
        });
        Request {
            votes: Some(votes.collect()),
            run,
            card: Some(draw::json(card)),
            ..Request::brief(&view.request)
        }
    }
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Order of writing.
    pub id: i64,
    /// Position in the chain; none while it waits to be sealed.
    pub seq: Option<i64>,
    /// RFC 3339.
    pub at: String,
    /// `vote.approved`.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// Which request it belongs to.
    pub request: Option<String>,
    /// What.
    #[schema(value_type = Object)]
    pub body: Value,
}

impl From<ledger::Entry> for Entry {
    fn from(entry: ledger::Entry) -> Entry {
        let ledger::Entry { id, seq, at, kind, actor, request, body } = entry;
        Entry { id, seq, at: at.to_string(), kind, actor, request: request.map(|id| id.to_string()), body }
    }
}

/// One cluster and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cluster {
    /// What people type after `-c`.
    pub name: String,
    /// `v1.36.1`; none when it does not answer.
    pub version: Option<String>,
    /// Of the last answered call.
    pub latency_ms: Option<u64>,
    /// Nodes that are ready.
    pub nodes_ready: Option<u32>,
    /// Nodes in all.
    pub nodes: Option<u32>,
    /// Why it is not healthy.
    pub trouble: Option<String>,
    /// From the config.
    pub labels: BTreeMap<String, String>,
}

impl From<Health> for Cluster {
    fn from(health: Health) -> Cluster {
        let Health { name, version, latency_ms, nodes, trouble, labels } = health;
        let (nodes_ready, nodes) = nodes.unzip();
        Cluster { name, version, latency_ms, nodes_ready, nodes, trouble, labels }
    }
}
