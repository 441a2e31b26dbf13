//! Taking one step: intent, effect, read-back, outcome. What an answer and a read-back mean is decided in `effect`.

use super::{
    attempt::{Attempt, pace, passes},
    effect::{self, Intent, Outcome, Reading},
    hold::{Exit, Pace},
};
use crate::cluster::{Bounds, Cluster, ClusterError};
use jiff::Timestamp;
use ledger::{ObjectRef, Phase, Step, StepState};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A command in a container: compressing a large file takes its time.
const EXEC: Bounds = Bounds { takes: Duration::from_secs(300), prints: 64 << 10 };

/// What became of a step. All but `Moved` are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The effect was read back.
    Done,
    /// It did not take place and will not.
    Failed(String),
    /// It did not take place: someone else changed the object first.
    Moved(String),
    /// It cannot be known.
    Unknown(String),
}

/// A step under way.
struct Course<'a> {
    phase: Phase,
    index: u32,
    step: &'a Step,
    intent: Intent,
    intended_at: Timestamp,
    /// A copy of the effect may be under way, or may have taken place, without our knowing.
    open: bool,
}

impl Attempt<'_> {
    /// The first try at a step whose object was just read: commits the intent, then acts.
    pub async fn first_try(
        &mut self,
        cluster: &Cluster,
        phase: Phase,
        index: u32,
        step: &Step,
        seen: Option<&Value>,
    ) -> Result<Taken, Exit> {
        let intent = Intent::new(effect::step_key(self.request(), phase, index), seen);
        let intended_at = Timestamp::now();
        self.hold.go_on()?;
        self.intend(phase, index, &intent).await?;
        let version = intent.resource_version.clone();
        self.take(cluster, Course { phase, index, step, intent, intended_at, open: false }, version, false)
            .await
    }

    /// A step that an earlier worker intended: read back first, act only if it has not taken place.
    pub async fn rescue(
        &mut self,
        cluster: &Cluster,
        phase: Phase,
        index: u32,
        step: &Step,
    ) -> Result<Taken, Exit> {
        let record = self.record(phase, index);
        let read = |intent: &Value| serde_json::from_value::<Intent>(intent.clone()).ok();
        let Some((intent, intended_at)) =
            record.and_then(|record| Some((read(&record.intent)?, record.intended_at)))
        else {
            return Ok(Taken::Unknown("its intent in the record is not readable".into()));
        };
        tracing::info!(step = index, "an earlier worker began this step; reading back first");
        self.take(cluster, Course { phase, index, step, intent, intended_at, open: true }, None, true).await
    }

    /// Acts and reads back until it is known what happened, or patience ends.
    async fn take(
        &mut self,
        cluster: &Cluster,
        mut course: Course<'_>,
        mut version: Option<String>,
        mut read: bool,
    ) -> Result<Taken, Exit> {
        let began = Instant::now();
        let give_up = began + self.patience();
        let mut pace = pace();
        // A busy controller leaves only short gaps: many tries find one.
        let mut busy = Pace::new(Duration::from_millis(5), Duration::from_millis(250));
        let taken = loop {
            let trouble = if read {
                match cluster.get(course.step.object()).await.map(Some) {
                    Ok(seen) => match self.reading(&course, seen.as_ref()) {
                        Ok(()) => {
                            version = Intent::new(String::new(), seen.as_ref()).resource_version;
                            read = false;
                            None
                        }
                        Err(taken) => break self.recorded(&course, taken, seen.as_ref(), began).await?,
                    },
                    Err(ClusterError::NotFound { .. }) => match self.reading(&course, None) {
                        Ok(()) => {
                            read = false;
                            None
                        }
                        Err(taken) => break self.recorded(&course, taken, None, began).await?,
                    },
                    Err(error) if passes(&error) => Some(error),
                    Err(error) => {
                        break self.recorded(&course, refused(&course, &error), None, began).await?;
                    }
                }
            } else {
                self.hold.go_on()?;
                match send(cluster, &course, version.as_deref()).await {
                    Ok(seen) => break self.recorded(&course, Taken::Done, seen.as_ref(), began).await?,
                    Err(error @ ClusterError::Unreachable { .. }) => {
                        (course.open, read) = (true, true);
                        Some(error)
                    }
                    // It moved under us, or it is there already, or it is gone: look which.
                    Err(error @ (ClusterError::Conflict { .. } | ClusterError::NotFound { .. })) => {
                        read = true;
                        Some(error)
                    }
                    Err(error) if passes(&error) => Some(error),
                    Err(error) => {
                        break self.recorded(&course, refused(&course, &error), None, began).await?;
                    }
                }
            };
            let Some(error) = trouble else { continue };
            if Instant::now() >= give_up {
                let why = format!("{error}, for {} s", began.elapsed().as_secs());
                let taken = if course.open { Taken::Unknown(why) } else { Taken::Failed(why) };
                break self.recorded(&course, taken, None, began).await?;
            }
            tracing::debug!(%error, step = course.index, "not settled yet");
            let busy_object = matches!(error, ClusterError::Conflict { .. });
            self.hold.pause(if busy_object { busy.next() } else { pace.next() }).await?;
        };
        Ok(taken)
    }

    /// What an object that was read back means: `Ok` is to act (again).
    fn reading(&self, course: &Course<'_>, seen: Option<&Value>) -> Result<(), Taken> {
        match effect::classify(course.step, &course.intent, seen, course.intended_at, Timestamp::now()) {
            Reading::NotYet => Ok(()),
            Reading::Ours => Err(Taken::Done),
            Reading::Overtaken => {
                let object = course.step.object();
                let what = format!("{} {}", object.kind, object.name);
                let moved = match (course.step, seen) {
                    (Step::Create { .. }, Some(_)) => {
                        format!("{what} is there already, made by someone else")
                    }
                    (Step::Create { .. }, None) => {
                        format!("{what} is not there, but it may have been made, used and removed since")
                    }
                    (_, None) => format!("{what} is not there any more"),
                    (_, Some(_)) => format!("{what} was changed by someone else between approval and action"),
                };
                // A name that is taken by another is no effect of ours, however many copies are under way.
                let ours_is_out = matches!(course.step, Step::Create { .. }) && seen.is_some();
                Err(match (course.open, ours_is_out) {
                    (_, true) => Taken::Failed(moved),
                    (true, false) => Taken::Unknown(moved),
                    (false, false) => Taken::Moved(moved),
                })
            }
        }
    }

    /// Commits what became of the step, where it is final.
    async fn recorded(
        &mut self,
        course: &Course<'_>,
        taken: Taken,
        seen: Option<&Value>,
        began: Instant,
    ) -> Result<Taken, Exit> {
        let (state, outcome) = match &taken {
            Taken::Done => (StepState::Done, Outcome::done(&course.intent, seen)),
            Taken::Failed(why) => (StepState::Failed, Outcome::not_done(why)),
            Taken::Unknown(why) => (StepState::Unknown, Outcome::not_done(why)),
            // The caller looks at the plan again.
            Taken::Moved(_) => return Ok(taken),
        };
        let duration_ms = began.elapsed().as_millis() as u64;
        tracing::info!(step = course.index, key = course.intent.key, duration_ms, ?taken, "a step is over");
        let is_last = course.phase == Phase::Act && course.index as usize + 1 == self.plan().steps.len();
        match state {
            StepState::Done if is_last => self.finish_last(course.index, &outcome).await?,
            _ => self.finish(course.phase, course.index, state, &outcome).await?,
        }
        if state == StepState::Done {
            self.done.push((course.phase, course.index, outcome));
        }
        Ok(taken)
    }
}

/// A definite no. Of this copy: an earlier one may have been let through.
fn refused(course: &Course<'_>, error: &ClusterError) -> Taken {
    if course.open {
        Taken::Unknown(format!("an earlier try was not answered, and this one was refused: {error}"))
    } else {
        Taken::Failed(error.to_string())
    }
}

/// One copy of the effect; returns the object after it, where there is one.
async fn send(
    cluster: &Cluster,
    course: &Course<'_>,
    version: Option<&str>,
) -> Result<Option<Value>, ClusterError> {
    let body = effect::body(course.step, &course.intent, version);
    match course.step {
        Step::Patch { object, kind, .. } => cluster.patch(object, *kind, &body, false).await.map(Some),
        Step::Create { object, .. } => cluster.create(object, &body, false).await.map(Some),
        Step::Delete { object, grace_period_seconds } => {
            let uid = object.uid.clone().or_else(|| course.intent.uid.clone());
            let exact = ObjectRef { uid, ..object.clone() };
            cluster.delete(&exact, *grace_period_seconds, false).await.map(|()| None)
        }
        Step::Exec { object, container, command } => {
            let executed = cluster.exec(object, Some(container), command, EXEC).await?;
            executed.output().map(|_| None)
        }
    }
}
