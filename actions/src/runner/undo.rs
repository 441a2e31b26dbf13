//! Putting back what was before, and only if nobody has changed it since (G7).

use super::{
    attempt::{Attempt, pace, recorded_why},
    condition::{self, Holding},
    effect::{self, Outcome},
    hold::Exit,
    step::Taken,
    words,
};
use crate::cluster::Cluster;
use jiff::{SignedDuration, Timestamp};
use ledger::{Condition, Ended, ObjectRef, Phase, Step, StepState};
use serde_json::Value;

impl Attempt<'_> {
    /// Takes the plan's undo steps. Returns the run's end.
    pub async fn undo(&mut self, cluster: &Cluster, because: String) -> Result<Exit, Exit> {
        let plan = self.plan();
        let mut begun = self.claim.run.phase == Phase::Undo;
        if plan.undo.is_empty() {
            return Ok(ended_failed(words::not_undone(plan, &because, "this action has no way back")));
        }
        for (index, step) in plan.undo.iter().enumerate() {
            let record = self.record(Phase::Undo, index as u32);
            let taken = match record.map(|record| record.state) {
                Some(StepState::Done) => continue,
                Some(StepState::Intended) => self.rescue(cluster, Phase::Undo, index as u32, step).await?,
                // A worker died between the step's outcome and the run's end.
                Some(StepState::Failed) => Taken::Failed(recorded_why(record)),
                Some(StepState::Unknown) => Taken::Unknown(recorded_why(record)),
                None => {
                    let mut pace = pace();
                    loop {
                        let seen = match self.untouched(cluster, step).await? {
                            Ok(seen) => seen,
                            Err(reason) if index == 0 => {
                                return Ok(ended_failed(words::not_undone(plan, &because, &reason)));
                            }
                            Err(reason) => {
                                return Ok(self.undo_stopped(&because, index, Taken::Failed(reason)));
                            }
                        };
                        if !begun {
                            let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
                            self.hold.write(|| ledger.begin_undo(fence, &because, Timestamp::now())).await?;
                            begun = true;
                        }
                        match self.first_try(cluster, Phase::Undo, index as u32, step, Some(&seen)).await? {
                            // Whoever changed it just now may have left the fault there: look again.
                            Taken::Moved(_) if plan.fault().is_some() => self.hold.pause(pace.next()).await?,
                            taken => break taken,
                        }
                    }
                }
            };
            if taken != Taken::Done {
                return Ok(self.undo_stopped(&because, index, taken));
            }
        }
        let until = Timestamp::now() + SignedDuration::from_secs(i64::from(plan.verify.within_s));
        let rollout = self.watch(cluster, &rollouts(&plan.undo), until, false).await?;
        Ok(Exit::Ended(Ended::RolledBack(words::rolled_back(plan, &because, rollout))))
    }

    /// The object that an undo step is for, if it is as our last step left it. The inner error says what is not.
    async fn untouched(&self, cluster: &Cluster, step: &Step) -> Result<Result<Value, String>, Exit> {
        let object = step.object();
        let what = format!("{} {}", object.kind, object.name);
        let seen = match self.read(cluster, step).await? {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(Err(format!("{what} is not there any more"))),
            Err(why) => return Ok(Err(format!("{what} cannot be read ({why})"))),
        };
        if let Some(fault) = self.plan().fault() {
            // A drill gives back what it broke and nothing else, whoever has changed what beside it.
            return Ok(match condition::look(fault, Some(&seen)) {
                Holding::Holds => Err("what the drill broke is changed already".into()),
                Holding::Fails(why) => Err(why),
                Holding::Waiting(_) | Holding::Inconclusive(_) => Ok(seen),
            });
        }
        Ok(match self.last_touch(object) {
            Some((key, outcome)) if effect::unchanged_since(outcome, &key, Some(&seen)) => Ok(seen),
            Some(_) => Err(format!("someone or something else has changed {what} since")),
            None => Err(format!("{what} was not changed by this run")),
        })
    }

    /// The key and the outcome of the last step of ours that was done on this object.
    fn last_touch(&self, object: &ObjectRef) -> Option<(String, &Outcome)> {
        let plan = self.plan();
        let (phase, index, outcome) = self.done.iter().rev().find(|(phase, index, _)| {
            let steps = if *phase == Phase::Undo { &plan.undo } else { &plan.steps };
            steps.get(*index as usize).is_some_and(|step| same_name(step.object(), object))
        })?;
        Some((effect::step_key(self.request(), *phase, *index), outcome))
    }

    fn undo_stopped(&self, because: &str, index: usize, taken: Taken) -> Exit {
        let plan = self.plan();
        match taken {
            Taken::Unknown(why) => {
                let key = effect::step_key(self.request(), Phase::Undo, index as u32);
                let words = words::unknown(&plan.target, &plan.undo, index, &key, &why);
                Exit::Ended(Ended::Unknown(format!("{because}. While undoing, {words}")))
            }
            Taken::Failed(why) | Taken::Moved(why) if index == 0 => {
                ended_failed(words::not_undone(plan, because, &why))
            }
            Taken::Failed(why) | Taken::Moved(why) => {
                let words = format!(
                    "{because}. Undone in part: of {} undo steps {index} were done, then {why}. {}",
                    plan.undo.len(),
                    words::put_back(plan)
                );
                ended_failed(words)
            }
            Taken::Done => unreachable!("a done step does not stop the undoing"),
        }
    }
}

fn ended_failed(words: String) -> Exit {
    Exit::Ended(Ended::Failed(words))
}

fn same_name(a: &ObjectRef, b: &ObjectRef) -> bool {
    a.kind == b.kind && a.name == b.name && a.namespace == b.namespace
}

/// What an undo has to settle: the rollouts of the workloads that it patched.
fn rollouts(undo: &[Step]) -> Vec<Condition> {
    let workload =
        |object: &ObjectRef| matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
    let patched = undo.iter().filter_map(|step| match step {
        Step::Patch { object, .. } if workload(object) => {
            Some(Condition::RolloutComplete { object: object.clone() })
        }
        _ => None,
    });
    patched.collect()
}
