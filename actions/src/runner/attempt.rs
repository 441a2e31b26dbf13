//! One attempt at a run: where it stands, the look before the first effect (G3), and the way through its phases.

use super::{
    Runner, effect,
    effect::{Intent, Outcome},
    hold::{Exit, Hold, Pace},
    step::Taken,
    words,
};
use crate::{
    catalogue::{self, PlanContext, PlanError},
    cluster::{Cluster, ClusterError},
    identity,
    policy::{Facts, refused_by},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Activity, Claim, Decision, Ended, Phase, Plan, Request, RequestState, Step, StepRecord, StepState,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A run that was taken up so often kills its workers, or never gets anywhere.
const ATTEMPTS: u32 = 30;
/// A cluster that is silent for longer is not waited for: whoever asked should hear of it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);

/// First wait after a trouble that passes, and the longest.
pub(super) fn pace() -> Pace {
    Pace::new(Duration::from_millis(50), Duration::from_secs(2))
}

/// An attempt, and how far it has come.
pub(super) struct Attempt<'a> {
    pub runner: &'a Runner,
    pub hold: &'a Hold,
    pub claim: &'a Claim,
    /// Steps that are done, in order, with what was read back.
    pub done: Vec<(Phase, u32, Outcome)>,
    /// When verification has to be over; from the last step on.
    pub verify_until: Option<Timestamp>,
}

/// What the look before the first effect found.
enum Before {
    /// The approved plan still holds; the step's object as just read, unless it is to be created.
    Holds(Option<Value>),
    /// It would be another plan now.
    Differs(Box<Plan>),
}

impl<'a> Attempt<'a> {
    pub fn new(runner: &'a Runner, hold: &'a Hold, claim: &'a Claim) -> Attempt<'a> {
        let records = claim.steps.iter().filter(|record| record.state == StepState::Done);
        let outcome = |record: &StepRecord| {
            record
                .outcome
                .clone()
                .and_then(|outcome| serde_json::from_value(outcome).ok())
                .unwrap_or_default()
        };
        let done = records.map(|record| (record.phase, record.index, outcome(record))).collect();
        Attempt { runner, hold, claim, done, verify_until: claim.run.verify_until }
    }

    /// Through the phases to the end, from wherever earlier attempts have come.
    pub async fn carry(&mut self) -> Exit {
        let Err(exit) = self.phases().await;
        let Exit::Ended(ended) = exit else { return exit };
        let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
        match self.hold.write(|| ledger.end_run(fence, &ended, Timestamp::now())).await {
            Ok(_) => Exit::Ended(ended),
            Err(exit) => exit,
        }
    }

    async fn phases(&mut self) -> Result<std::convert::Infallible, Exit> {
        let run = &self.claim.run;
        if run.attempt > ATTEMPTS {
            return Err(self.gave_up());
        }
        let cluster = self.cluster()?;
        if run.phase == Phase::Act {
            self.act(&cluster).await?;
        }
        let because = match (run.phase, &run.undo_because) {
            (Phase::Undo, because) => because.clone().unwrap_or_else(|| "verification failed".into()),
            _ => match self.verify(&cluster).await? {
                Ok(()) => return Err(Exit::Ended(Ended::Succeeded)),
                Err(because) => because,
            },
        };
        Err(self.undo(&cluster, because).await?)
    }

    pub fn request(&self) -> &'a Request {
        &self.claim.request
    }

    pub fn plan(&self) -> &'a Plan {
        &self.claim.request.plan
    }

    /// How long a trouble that may pass is waited for: as long as the plan has for its verification, within reason (a
    /// job may take a day).
    pub fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.plan().verify.within_s)).min(LONGEST_PATIENCE)
    }

    pub fn record(&self, phase: Phase, index: u32) -> Option<&'a StepRecord> {
        self.claim.steps.iter().find(|record| record.phase == phase && record.index == index)
    }

    fn cluster(&self) -> Result<Cluster, Exit> {
        self.runner.clusters.get(&self.plan().target.cluster).map_err(|error| {
            let look = "Put the cluster back into the config, or look at it by hand.";
            Exit::Ended(match self.claim.steps.is_empty() {
                true => Ended::Failed(words::nothing_done(&error.to_string(), look)),
                false => Ended::Unknown(format!(
                    "{error}, but the run had begun. {}. {look}",
                    words::so_far(&self.plan().steps, self.done.len())
                )),
            })
        })
    }

    fn gave_up(&self) -> Exit {
        let why = format!("{ATTEMPTS} attempts at this run ended without getting to its end");
        Exit::Ended(match self.claim.steps.is_empty() {
            true => Ended::Failed(words::nothing_done(&why, "The log says why; mend that and ask again.")),
            false => Ended::Unknown(format!(
                "{why}. {}. The log says why; look at the target by hand.",
                words::so_far(&self.plan().steps, self.done.len())
            )),
        })
    }

    /// Takes the plan's steps that are not done yet.
    async fn act(&mut self, cluster: &Cluster) -> Result<(), Exit> {
        let plan = self.plan();
        for (index, step) in plan.steps.iter().enumerate() {
            let record = self.record(Phase::Act, index as u32);
            match record.map(|record| record.state) {
                Some(StepState::Done) => {}
                // A worker died between the step's outcome and the run's end.
                Some(StepState::Failed) => {
                    return Err(self.act_ended(index, Taken::Failed(recorded_why(record))));
                }
                Some(StepState::Unknown) => {
                    return Err(self.act_ended(index, Taken::Unknown(recorded_why(record))));
                }
                Some(StepState::Intended) => {
                    let taken = self.rescue(cluster, Phase::Act, index as u32, step).await?;
                    self.settled(index, taken)?;
                }
                None => self.act_one(cluster, index, step).await?,
            }
        }
        Ok(())
    }

    /// A step that nobody has tried. Before the first effect a world that moves is looked at anew each time.
    async fn act_one(&mut self, cluster: &Cluster, index: usize, step: &Step) -> Result<(), Exit> {
        let mut intended = false;
        let mut pace = pace();
        loop {
            let seen = match index {
                0 => self.before_first(cluster, step, intended).await?,
                _ => self.before_next(cluster, index, step).await?,
            };
            intended = true;
            let taken = self.first_try(cluster, Phase::Act, index as u32, step, seen.as_ref()).await?;
            match taken {
                Taken::Moved(_) if index == 0 => self.hold.pause(pace.next()).await?,
                taken => return self.settled(index, taken),
            }
        }
    }

    fn settled(&self, index: usize, taken: Taken) -> Result<(), Exit> {
        if matches!(taken, Taken::Done) { Ok(()) } else { Err(self.act_ended(index, taken)) }
    }

    fn act_ended(&self, index: usize, taken: Taken) -> Exit {
        let plan = self.plan();
        Exit::Ended(match taken {
            Taken::Unknown(why) => {
                let key = effect::step_key(self.request(), Phase::Act, index as u32);
                Ended::Unknown(words::unknown(&plan.target, &plan.steps, index, &key, &why))
            }
            Taken::Failed(why) | Taken::Moved(why) => Ended::Failed(words::step_failed(plan, index, &why)),
            Taken::Done => unreachable!("a done step does not end a run"),
        })
    }

    /// Re-checks the plan (G3) and returns the first step's object as read. Ends the run, with nothing done, when it was
    /// called off, the plan cannot be made any more, or the cluster stays silent.
    async fn before_first(
        &self,
        cluster: &Cluster,
        step: &Step,
        intended: bool,
    ) -> Result<Option<Value>, Exit> {
        let give_up = Instant::now() + self.patience();
        let mut pace = pace();
        loop {
            self.hold.go_on()?;
            let now = Timestamp::now();
            let never = |why: &str, next| Exit::Ended(Ended::Failed(words::nothing_done(why, next)));
            if let Some(by) = self.hold.cancelled() {
                return Err(Exit::Ended(Ended::Cancelled(words::cancelled_before(&by))));
            }
            let trouble = match self.look_again(cluster, step).await {
                Ok(Before::Holds(seen)) => return Ok(seen),
                Ok(Before::Differs(plan)) => return Err(self.replan(cluster, &plan, intended, now).await?),
                Err(PlanError::Cluster(error)) if passes(&error) => error.to_string(),
                Err(error) => {
                    return Err(never(
                        &format!("the plan does not hold any more: {error}"),
                        "Look at the target, and ask again if it is still wanted.",
                    ));
                }
            };
            if Instant::now() >= give_up {
                return Err(never(&trouble, "Ask again when the cluster answers."));
            }
            tracing::warn!(trouble, "waiting for the cluster before the first step");
            self.hold.pause(pace.next()).await?;
        }
    }

    /// Does the approved plan still hold? If the very object that was planned with has not moved at all, nothing that
    /// was approved can have: one read is enough. Otherwise plan anew and compare.
    async fn look_again(&self, cluster: &Cluster, step: &Step) -> Result<Before, PlanError> {
        let request = self.request();
        let plan = &request.plan;
        let seen = match step {
            Step::Create { .. } => None,
            Step::Patch { object, .. } | Step::Delete { object, .. } | Step::Exec { object, .. } => {
                Some(cluster.get(object).await?)
            }
        };
        if seen.as_ref().is_some_and(|seen| is_as_planned(plan, step, seen)) {
            return Ok(Before::Holds(seen));
        }
        let Some(action) = catalogue::action(&plan.action) else {
            return Err(PlanError::Invalid(format!("this build knows no action '{}'", plan.action)));
        };
        let context = PlanContext {
            cluster,
            target: &request.ask.target,
            parameters: &request.ask.parameters,
            request: request.id,
            at: request.created_at,
        };
        let anew = action.plan(context).await?;
        Ok(if anew.digest() == request.digest {
            Before::Holds(seen)
        } else {
            Before::Differs(Box::new(anew))
        })
    }

    /// The world moved before the first effect: a new plan, a new decision, and people are asked again (G3).
    async fn replan(
        &self,
        cluster: &Cluster,
        plan: &Plan,
        intended: bool,
        now: Timestamp,
    ) -> Result<Exit, Exit> {
        let (ledger, fence, request) = (&self.runner.ledger, self.hold.fence(), self.request());
        if intended {
            let outcome =
                Outcome::not_done("the target was changed by someone else between approval and action");
            self.finish(Phase::Act, 0, StepState::Failed, &outcome).await?;
        }
        let ask = &request.ask;
        let policy = self.runner.policy.current();
        let count = || ledger.activity(&ask.person, &ask.action, &ask.target, policy.counted(), now);
        let activity = without(self.hold.write(count).await?, request, now);
        let (version, cluster_labels) = (policy.version(), cluster.labels());
        let who = self.hold.write(|| identity::who(&policy, ledger, &ask.actor)).await?;
        // An identity may have gone to another person since.
        let stands = match who.filter(|who| who.person == ask.person) {
            Some(who) => {
                let facts = Facts { who: &who, ask, plan, cluster_labels, activity: &activity, now };
                let decision = policy.decide(facts).decision;
                let ceilings = policy.ceilings(facts);
                let below = || ledger.replan_below(fence, plan, &decision, version, &ceilings, now);
                match self.hold.write(below).await? {
                    Ok(stands) => stands,
                    // Others took the last places since the counts were read.
                    Err(full) => {
                        let refused = refused_by(&full, &who, ask);
                        self.hold.write(|| ledger.replan(fence, plan, &refused, version, now)).await?
                    }
                }
            }
            None => {
                let reason =
                    format!("the plan had to be made anew, and policy does not know {} any more", ask.actor);
                let refused = Decision::Refuse { rule: "default".into(), reason };
                self.hold.write(|| ledger.replan(fence, plan, &refused, version, now)).await?
            }
        };
        if let (RequestState::Running, Some(by)) = (stands.state, &stands.cancel) {
            return Ok(Exit::Ended(Ended::Cancelled(words::cancelled_before(by))));
        }
        Ok(Exit::Replanned)
    }

    /// Before a step that is not the first: stop here if it was called off, else read the object.
    async fn before_next(&self, cluster: &Cluster, index: usize, step: &Step) -> Result<Option<Value>, Exit> {
        self.called_off_between(index)?;
        let seen =
            self.read(cluster, step).await?.map_err(|why| self.act_ended(index, Taken::Failed(why)))?;
        self.called_off_between(index)?;
        Ok(seen)
    }

    fn called_off_between(&self, index: usize) -> Result<(), Exit> {
        match self.hold.cancelled() {
            Some(by) => Err(Exit::Ended(Ended::Cancelled(words::cancelled_between(&by, self.plan(), index)))),
            None => Ok(()),
        }
    }

    /// The step's object, waiting for the cluster as long as patience goes; the error says why it could not be read.
    pub async fn read(&self, cluster: &Cluster, step: &Step) -> Result<Result<Option<Value>, String>, Exit> {
        let give_up = Instant::now() + self.patience();
        let mut pace = pace();
        loop {
            self.hold.go_on()?;
            match cluster.get(step.object()).await {
                Ok(seen) => return Ok(Ok(Some(seen))),
                Err(ClusterError::NotFound { .. }) => return Ok(Ok(None)),
                Err(error) if passes(&error) && Instant::now() < give_up => {
                    tracing::warn!(%error, "waiting for the cluster");
                    self.hold.pause(pace.next()).await?;
                }
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
    }

    /// Commits the intent.
    pub async fn intend(&self, phase: Phase, index: u32, intent: &Intent) -> Result<(), Exit> {
        let intent = serde_json::to_value(intent).unwrap_or_default();
        let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
        self.hold.write(|| ledger.intend_step(fence, phase, index, &intent, Timestamp::now())).await
    }

    /// Commits that the last step is done, and that verification begins.
    pub async fn finish_last(&mut self, index: u32, outcome: &Outcome) -> Result<(), Exit> {
        let outcome = serde_json::to_value(outcome).unwrap_or_default();
        let (ledger, claim, now) = (&self.runner.ledger, self.claim, Timestamp::now());
        let until = now + self.verified_within();
        let finish = || ledger.finish_last_step(claim, index, &outcome, until, now);
        self.verify_until = Some(self.hold.write(finish).await?);
        Ok(())
    }

    /// How long verification may take.
    pub fn verified_within(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.plan().verify.within_s))
    }

    /// Commits the outcome.
    pub async fn finish(
        &self,
        phase: Phase,
        index: u32,
        state: StepState,
        outcome: &Outcome,
    ) -> Result<(), Exit> {
        let outcome = serde_json::to_value(outcome).unwrap_or_default();
        let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
        self.hold.write(|| ledger.finish_step(fence, phase, index, state, &outcome, Timestamp::now())).await
    }
}

/// The step acts on the plan's target, and that is byte for byte what the plan was made from.
fn is_as_planned(plan: &Plan, step: &Step, seen: &Value) -> bool {
    let (object, target) = (step.object(), &plan.target);
    let same_name =
        object.kind == target.kind && object.name == target.name && object.namespace == target.namespace;
    let version = seen.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    same_name
        && version == Some(&plan.resource_version)
        && target.uid.is_some()
        && effect::uid(seen) == target.uid.as_deref()
}

/// Why a step is not done, as an earlier worker recorded it.
pub(super) fn recorded_why(record: Option<&StepRecord>) -> String {
    let why = record.and_then(|record| record.outcome.as_ref()?.get("why")?.as_str());
    why.unwrap_or("an earlier worker stopped at this step").to_string()
}

/// Policy's counts as they were before this request: it must not stand in its own way.
fn without(activity: Activity, request: &Request, now: Timestamp) -> Activity {
    let recent = u32::from(now.duration_since(request.created_at) < SignedDuration::from_hours(1));
    Activity {
        person_last_hour: activity.person_last_hour.saturating_sub(recent),
        action_last_hour: activity.action_last_hour.saturating_sub(recent),
        cluster_last_hour: activity.cluster_last_hour.saturating_sub(recent),
        person_running: activity.person_running.saturating_sub(1),
        action_running: activity.action_running.saturating_sub(1),
        cluster_running: activity.cluster_running.saturating_sub(1),
        target_busy: activity.target_busy.filter(|busy| *busy != request.id),
    }
}

/// A trouble that may pass by itself.
pub(super) fn passes(error: &ClusterError) -> bool {
    match error {
        ClusterError::Unreachable { .. } | ClusterError::Open { .. } | ClusterError::Other { .. } => true,
        ClusterError::Conflict { reason, .. } => reason == "Conflict",
        _ => false,
    }
}
