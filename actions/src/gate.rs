//! The one gate. Plan, policy, one transaction. Everything that changes a cluster passes here, whoever asked.

use crate::{
    catalogue::{self, PlanContext, PlanError},
    cluster::{Cluster, Clusters},
    identity,
    policy::{Explained, Facts, Policy, PolicyHandle, Who, refused_by, which},
    secret::hide_typed,
};
use jiff::Timestamp;
use ledger::{
    Activity, Actor, Along, Ask, Ceiling, Decision, Digest, Ledger, LedgerError, Place, Plan, Refusal,
    Request, RequestId, Verdict, Vote,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Planning only reads; a cluster that has not answered all of it by then is not going to in time for a chat.
const PLAN_DEADLINE: Duration = Duration::from_secs(10);

/// The gate; cheap to clone.
#[derive(Clone)]
pub struct Gate {
    /// The record.
    pub ledger: Ledger,
    /// The clusters.
    pub clusters: Clusters,
    /// The policy in force.
    pub policy: PolicyHandle,
}

/// What became of an ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// A request: look at its state (refused, awaiting, approved, planned).
    Request {
        /// As stored.
        request: Box<Request>,
        /// False: this key was known, and this is what it made then.
        fresh: bool,
    },
    /// No plan could be made (no such target, invalid, cluster down); recorded, for people to read.
    NoPlan(String),
    /// It is so already; recorded, for people to read.
    Nothing(String),
    /// A stranger, or an action nobody knows.
    Refused(Refusal),
}

/// One click, or the same typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// On what.
    pub request: RequestId,
    /// By whom.
    pub actor: Actor,
    /// Yes or no.
    pub verdict: Verdict,
    /// Hex digest of the plan on the card; None: the one that stands (typed commands).
    pub digest: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The cluster's name, where it must be typed.
    pub typed: Option<String>,
}

/// An ask that got as far as a plan.
struct Planned {
    cluster: Cluster,
    plan: Plan,
    activity: Activity,
}

/// Why it did not.
enum Rejected {
    NoPlan(String),
    Nothing(String),
    Refused(Refusal),
}

impl Gate {
    /// Who an identity is; a stranger gets a friendly refusal that says whom to ask.
    pub async fn who(&self, actor: &Actor) -> Result<Result<Who, Refusal>, LedgerError> {
        let policy = self.policy.current();
        Ok(identity::who(&policy, &self.ledger, actor).await?.ok_or_else(|| stranger(&policy, actor)))
    }

    /// As [`Gate::who`], for a line before it is read: one by a stranger is recorded as an ask that came to nothing.
    pub async fn admit(
        &self,
        actor: &Actor,
        place: Option<&Place>,
        line: &str,
        now: Timestamp,
    ) -> Result<Result<Who, Refusal>, LedgerError> {
        let admitted = self.who(actor).await?;
        if let Err(refusal) = &admitted {
            let body = json!({ "line": hide_typed(line), "place": place, "because": refusal.to_string() });
            self.ledger.record("ask.rejected", actor.as_str(), None, &body, now).await?;
        }
        Ok(admitted)
    }

    /// Plan, decide, one transaction. Idempotent by `ask.key`.
    pub async fn submit(&self, ask: Ask, now: Timestamp) -> Result<Submitted, LedgerError> {
        self.submit_with(RequestId::new(), ask, &Along::Nothing, now).await
    }

    /// As [`Gate::submit`], with what belongs to a request that is made now, under an id that the caller may have noted before: whoever
    /// finds it there after a crash knows whether the request was made.
    pub async fn submit_with(
        &self,
        id: RequestId,
        mut ask: Ask,
        along: &Along,
        now: Timestamp,
    ) -> Result<Submitted, LedgerError> {
        // The record keeps microseconds, and planning anew must see the very same moment.
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        if let Some(request) = self.ledger.request_by_key(&ask.key).await? {
            return Ok(Submitted::Request { request: Box::new(request), fresh: false });
        }
        ask.line = hide_typed(&ask.line);
        ask.why = ask.why.as_deref().map(hide_typed);
        let policy = self.policy.current();
        let Some(who) = identity::who(&policy, &self.ledger, &ask.actor).await? else {
            return self.reject(&ask, Rejected::Refused(stranger(&policy, &ask.actor)), now).await;
        };
        // Whatever the door believes: the policy file and the links say who this is.
        ask.person = who.person.clone();
        let Planned { cluster, plan, activity } = match self.plan(id, &ask, now).await? {
            Ok(planned) => planned,
            Err(rejected) => return self.reject(&ask, rejected, now).await,
        };
        let facts = Facts {
            who: &who,
            ask: &ask,
            plan: &plan,
            cluster_labels: cluster.labels(),
            activity: &activity,
            now,
        };
        let decision = policy.decide(facts).decision;
        let ceilings = policy.ceilings(facts);
        let request = |decision| {
            Request::new(id, ask.clone(), plan.clone(), decision, policy.version().to_string(), now)
        };
        let (request, fresh) = match self.ledger.submit_below(&request(decision), &ceilings, along).await? {
            Ok(stored) => stored,
            // Others took the last places since the counts were read.
            Err(full) => self.ledger.submit_along(&request(refused_by(&full, &who, &ask)), along).await?,
        };
        Ok(Submitted::Request { request: Box::new(request), fresh })
    }

    /// Plan and decide without writing anything: `policy explain`. The inner error is for people.
    pub async fn explain(
        &self,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Result<(Plan, Explained), String>, LedgerError> {
        let policy = self.policy.current();
        let Some(who) = identity::who(&policy, &self.ledger, &ask.actor).await? else {
            return Ok(Err(stranger(&policy, &ask.actor).to_string()));
        };
        let ask = Ask { person: who.person.clone(), ..ask.clone() };
        Ok(match self.plan(RequestId::new(), &ask, now).await? {
            Ok(Planned { cluster, plan, activity }) => {
                let facts = Facts {
                    who: &who,
                    ask: &ask,
                    plan: &plan,
                    cluster_labels: cluster.labels(),
                    activity: &activity,
                    now,
                };
                let explained = policy.decide(facts);
                Ok((plan, explained))
            }
            Err(Rejected::NoPlan(why) | Rejected::Nothing(why)) => Err(why),
            Err(Rejected::Refused(refusal)) => Err(refusal.to_string()),
        })
    }

    /// One row-locked transaction.
    pub async fn vote(
        &self,
        ballot: &Ballot,
        now: Timestamp,
    ) -> Result<Result<Request, Refusal>, LedgerError> {
        let outcome = self.try_vote(ballot, now).await?;
        if let Err(refusal) = &outcome {
            let body = json!({ "verdict": ballot.verdict, "refusal": refusal });
            self.refused("vote.refused", &ballot.actor, ballot.request, body, now).await?;
        }
        Ok(outcome)
    }

    /// Nothing came of a vote or a cancel, but that somebody tried is worth knowing. Only for requests that exist: the
    /// record refers to them.
    async fn refused(
        &self,
        kind: &str,
        actor: &Actor,
        request: RequestId,
        body: Value,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        if self.ledger.view(request).await?.is_some() {
            self.ledger.record(kind, actor.as_str(), Some(request), &body, now).await?;
        }
        Ok(())
    }

    async fn try_vote(
        &self,
        ballot: &Ballot,
        now: Timestamp,
    ) -> Result<Result<Request, Refusal>, LedgerError> {
        let policy = self.policy.current();
        let who = match identity::who(&policy, &self.ledger, &ballot.actor).await? {
            Some(who) => who,
            None => return Ok(Err(stranger(&policy, &ballot.actor))),
        };
        // The request is read first only where something of it is needed: a click says which plan its card showed, and where
        // there is no cap at once it is one transaction and nothing else.
        let may_start = ballot.verdict == Verdict::Approve && policy.has_ceilings();
        let standing = if ballot.digest.is_none() || may_start {
            match self.ledger.view(ballot.request).await? {
                Some(view) => Some(view.request),
                None => return Ok(Err(Refusal::NoSuchRequest)),
            }
        } else {
            None
        };
        let digest = match &ballot.digest {
            Some(text) => read_digest(text),
            // Typed: the plan that stands.
            None => standing.as_ref().map(|request| request.digest),
        };
        let Some(digest) = digest else { return Ok(Err(Refusal::PlanChanged)) };
        let ceilings = match &standing {
            Some(request) if may_start => self.ceilings_of(&policy, request, now),
            _ => Vec::new(),
        };
        let vote = Vote {
            groups: policy.voting_groups(&who),
            person: who.person,
            actor: ballot.actor.clone(),
            verdict: ballot.verdict,
            digest,
            reason: ballot.reason.as_deref().map(hide_typed),
            typed: ballot.typed.as_deref().map(hide_typed),
            at: now,
        };
        let outcome = self.ledger.vote_below(ballot.request, &vote, &ceilings).await?;
        Ok(outcome.unwrap_or_else(|full| {
            let Ceiling { cap, at_once, .. } = full.ceiling;
            let reason = format!("\"{cap}\" allows {at_once} at work at once, and there are {}. Approve again when one has ended.", full.at_work);
            Err(Refusal::Policy { reason })
        }))
    }

    /// The caps at once that a standing request comes under.
    fn ceilings_of(&self, policy: &Policy, request: &Request, now: Timestamp) -> Vec<Ceiling> {
        // An asker who has left the policy file since is in no group.
        let who = policy.who(&request.ask.actor).or_else(|| policy.person(&request.ask.person));
        let who = who.unwrap_or_else(|| Who { person: request.ask.person.clone(), groups: Vec::new() });
        self.with_facts(&who, &request.ask, &request.plan, now, |facts| policy.ceilings(facts))
    }

    /// Facts about a plan that was counted when it was asked for.
    fn with_facts<T>(
        &self,
        who: &Who,
        ask: &Ask,
        plan: &Plan,
        now: Timestamp,
        then: impl FnOnce(Facts<'_>) -> T,
    ) -> T {
        let cluster = self.clusters.get(&plan.target.cluster).ok();
        let no_labels = BTreeMap::new();
        let cluster_labels = cluster.as_ref().map_or(&no_labels, Cluster::labels);
        then(Facts { who, ask, plan, cluster_labels, activity: &Activity::default(), now })
    }

    /// The requester, or whoever could vote, may call it off; and where no vote was needed, whoever policy lets do the same.
    pub async fn cancel(
        &self,
        request: RequestId,
        actor: &Actor,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<Request, Refusal>, LedgerError> {
        let why = why.map(hide_typed);
        let outcome = self.try_cancel(request, actor, why.as_deref(), now).await?;
        if let Err(refusal) = &outcome {
            self.refused("cancel.refused", actor, request, json!({ "why": why, "refusal": refusal }), now)
                .await?;
        }
        Ok(outcome)
    }

    async fn try_cancel(
        &self,
        request: RequestId,
        actor: &Actor,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<Request, Refusal>, LedgerError> {
        let policy = self.policy.current();
        let who = match identity::who(&policy, &self.ledger, actor).await? {
            Some(who) => who,
            None => return Ok(Err(stranger(&policy, actor))),
        };
        let Some(view) = self.ledger.view(request).await? else {
            return Ok(Err(Refusal::NoSuchRequest));
        };
        let standing = view.request;
        if let Err(refusal) = self.may_cancel(&policy, &who, actor, &standing, now) {
            return Ok(Err(refusal));
        }
        self.ledger.cancel(request, actor, why, now).await
    }

    fn may_cancel(
        &self,
        policy: &Policy,
        who: &Who,
        actor: &Actor,
        request: &Request,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let asker = &request.ask.person;
        if who.person == *asker {
            return Ok(());
        }
        match &request.decision {
            Decision::Needs { quorum, .. } => policy.may_vote(who, quorum).map_err(|_| Refusal::Policy {
                reason: format!(
                    "Only {asker}, who asked for it, or someone in {} may call this off.",
                    quorum.groups.join(" or ")
                ),
            }),
            Decision::Allow { .. } | Decision::Refuse { .. } => {
                let ask = Ask { actor: actor.clone(), person: who.person.clone(), ..request.ask.clone() };
                let decision =
                    self.with_facts(who, &ask, &request.plan, now, |facts| policy.decide(facts).decision);
                let refused = Refusal::Policy {
                    reason: format!(
                        "Only {asker}, who asked for it, or someone who may do the same can call this off."
                    ),
                };
                if matches!(decision, Decision::Refuse { .. }) { Err(refused) } else { Ok(()) }
            }
        }
    }

    /// The plan and, read at the same time, the counts. Writes nothing.
    async fn plan(
        &self,
        id: RequestId,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<Result<Planned, Rejected>, LedgerError> {
        let Some(action) = catalogue::action(&ask.action) else {
            return Ok(Err(Rejected::Refused(unknown_action(&ask.action))));
        };
        let cluster = match self.clusters.get(&ask.target.cluster) {
            Ok(cluster) => cluster,
            Err(error) => return Ok(Err(Rejected::NoPlan(error.to_string()))),
        };
        let context = PlanContext {
            cluster: &cluster,
            target: &ask.target,
            parameters: &ask.parameters,
            request: id,
            at: now,
        };
        let counted = self.policy.current().counted();
        let planning = tokio::time::timeout(PLAN_DEADLINE, action.plan(context));
        let counting = self.ledger.activity(&ask.person, &ask.action, &ask.target, counted, now);
        let (planned, activity) = tokio::join!(planning, counting);
        let (plan, activity) = match planned {
            Ok(Ok(plan)) => (plan, activity?),
            Ok(Err(error @ PlanError::Nothing(_))) => return Ok(Err(Rejected::Nothing(error.to_string()))),
            Ok(Err(error)) => return Ok(Err(Rejected::NoPlan(error.to_string()))),
            Err(_) => {
                let (name, limit) = (cluster.name(), PLAN_DEADLINE.as_secs());
                let why = format!(
                    "cluster {name} did not answer within {limit} s; `clusters` shows its health, then ask again"
                );
                return Ok(Err(Rejected::NoPlan(why)));
            }
        };
        Ok(Ok(Planned { cluster, plan, activity }))
    }

    /// Nothing came of an ask: that is recorded too.
    async fn reject(&self, ask: &Ask, rejected: Rejected, now: Timestamp) -> Result<Submitted, LedgerError> {
        let because = match &rejected {
            Rejected::NoPlan(why) | Rejected::Nothing(why) => why.clone(),
            Rejected::Refused(refusal) => refusal.to_string(),
        };
        let target = ask.target.to_string();
        let body = json!({ "line": ask.line, "action": ask.action, "target": target, "place": ask.place, "because": because });
        self.ledger.record("ask.rejected", ask.actor.as_str(), None, &body, now).await?;
        Ok(match rejected {
            Rejected::NoPlan(why) => Submitted::NoPlan(why),
            Rejected::Nothing(why) => Submitted::Nothing(why),
            Rejected::Refused(refusal) => Submitted::Refused(refusal),
        })
    }
}

fn stranger(policy: &Policy, actor: &Actor) -> Refusal {
    let whom = policy.contact().unwrap_or("whoever keeps the policy file");
    Refusal::Policy {
        reason: format!(
            "I do not know {actor}. Ask {whom} to add this identity to somebody in the policy file. If I know you in another \
             chat, type `people link` there, and what it tells you here."
        ),
    }
}

fn unknown_action(name: &str) -> Refusal {
    let known: Vec<&str> = catalogue::catalogue().iter().map(|action| action.name()).collect();
    Refusal::Policy { reason: format!("There is no action '{name}'{}", which(name, &known)) }
}

/// The digest as a card carries it.
fn read_digest(text: &str) -> Option<Digest> {
    Some(Digest(hex::decode(text).ok()?.try_into().ok()?))
}
