//! Jobs: pods until enough of them have succeeded.

use super::{Control, Task, event, pod};
use crate::delete::Options;
use crate::object::{self, condition, holds, is_deleting, list, number, set, text};
use crate::store::Place;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SOURCE: &str = "job-controller";

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(job) = control.get("jobs.batch", place) else { return };
    if is_deleting(&job) {
        return;
    }
    if holds(&job, "Complete") || holds(&job, "Failed") {
        return expire(control, place, &job);
    }
    let field = |name: &str| number(&job, &["spec", name]);
    let pods = control.store.controlled(object::uid(&job), "pods");
    let count =
        |phase: &str| pods.iter().filter(|pod| text(pod, &["status", "phase"]) == phase).count() as i64;
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active: Vec<Arc<Value>> = pods.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
    let restarts: i64 = active
        .iter()
        .flat_map(|pod| list(pod, &["status", "containerStatuses"]))
        .filter_map(|status| number(status, &["restartCount"]))
        .sum();
    let mut status = job["status"].clone();
    if status.is_null() {
        status = json!({});
    }
    let suspended = job["spec"]["suspend"] == true;
    if status["startTime"].is_null() && !suspended {
        status["startTime"] = json!(object::now());
    }
    let late = field("activeDeadlineSeconds")
        .zip(object::age_seconds(&json!({"t": status["startTime"]}), &["t"]))
        .is_some_and(|(deadline, age)| age >= deadline);
    let completions = field("completions");
    let enough = completions.map_or(succeeded > 0 && active.is_empty(), |wanted| succeeded >= wanted);
    let trouble = if failed + restarts > field("backoffLimit").unwrap_or(6) {
        Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else if late {
        Some(("DeadlineExceeded", "Job was active longer than specified deadline"))
    } else {
        None
    };
    let mut now_active = active.len() as i64;
    if let Some((reason, message)) = trouble {
        end(control, &job, &active);
        now_active = 0;
        pod::set_condition(&mut status, "FailureTarget", "True", reason, message);
        pod::set_condition(&mut status, "Failed", "True", reason, message);
        event::record(control, &job, SOURCE, true, reason, message);
    } else if enough {
        end(control, &job, &active);
        now_active = 0;
        pod::set_condition(
            &mut status,
            "SuccessCriteriaMet",
            "True",
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        );
        pod::set_condition(
            &mut status,
            "Complete",
            "True",
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        );
        status["completionTime"] = json!(object::now());
        event::record(control, &job, SOURCE, false, "Completed", "Job completed");
    } else if suspended {
        end(control, &job, &active);
        now_active = 0;
        pod::set_condition(&mut status, "Suspended", "True", "JobSuspended", "Job suspended");
    } else {
        if condition(&job, "Suspended").is_some() {
            pod::set_condition(&mut status, "Suspended", "False", "JobResumed", "Job resumed");
        }
        let wanted =
            field("parallelism").unwrap_or(1).min(completions.map_or(i64::MAX, |wanted| wanted - succeeded));
        now_active += (now_active..wanted).filter(|_| create(control, &job, &pods)).count() as i64;
        if let Some(deadline) = field("activeDeadlineSeconds") {
            control.work.after(Duration::from_secs(deadline.max(1) as u64), Task::Job(place.clone()), false);
        }
    }
    let ready = active.iter().filter(|pod| pod::is_ready(pod)).count() as i64;
    for (name, count) in [("active", now_active), ("succeeded", succeeded), ("failed", failed)] {
        if count > 0 {
            set(&mut status, &[name], json!(count))
        } else {
            drop(object::remove(&mut status, &[name]))
        }
    }
    status["ready"] = json!(if now_active > 0 { ready } else { 0 });
    status["terminating"] = json!(pods.iter().filter(|pod| is_deleting(pod)).count());
    status["uncountedTerminatedPods"] = json!({});
    let resource = control.resource("jobs.batch");
    let job = control.store.put_status(&resource, &job, status);
    expire(control, place, &job);
}

fn create(control: &mut Control<'_>, job: &Value, pods: &[Arc<Value>]) -> bool {
    let mut new = pod::from_template(&job["spec"]["template"], job);
    new["metadata"]["generateName"] = json!(format!("{}-", object::name(job)));
    if text(job, &["spec", "completionMode"]) == "Indexed" {
        let key = "batch.kubernetes.io/job-completion-index";
        let taken: Vec<&str> = pods
            .iter()
            .filter(|pod| text(pod, &["status", "phase"]) != "Failed")
            .filter_map(|pod| object::annotation(pod, key))
            .collect();
        let free = (0..)
            .map(|index: i64| index.to_string())
            .find(|index| !taken.contains(&index.as_str()))
            .unwrap_or_default();
        set(&mut new, &["metadata", "annotations", key], json!(free));
    }
    pod::create(control, job, new, SOURCE).is_some()
}

fn end(control: &mut Control<'_>, job: &Value, active: &[Arc<Value>]) {
    for one in active {
        pod::delete(control, job, one, SOURCE);
    }
}

/// `ttlSecondsAfterFinished`
fn expire(control: &mut Control<'_>, place: &Place, job: &Value) {
    let Some(life) = number(job, &["spec", "ttlSecondsAfterFinished"]) else { return };
    let Some(done) =
        condition(job, "Complete").or(condition(job, "Failed")).filter(|done| done["status"] == "True")
    else {
        return;
    };
    let left = life - object::age_seconds(done, &["lastTransitionTime"]).unwrap_or(0);
    if left > 0 {
        return control.work.after(Duration::from_secs(left as u64), Task::Job(place.clone()), false);
    }
    let resource = control.resource("jobs.batch");
    let options = Options { propagation: Some("Background".into()), ..Options::default() };
    let _ = control.store.delete(&resource, &place.0, &place.1, &options);
}
