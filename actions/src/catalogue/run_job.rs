//! `run-job`: a Job from a CronJob's template, as `kubectl create job --from` makes it, or a Job once more.

use super::*;
use ledger::{Blast, Condition, ObjectRef, Risk, Step, Verify};
use serde_json::{Map, json};
use workload::{Subject, accept, text};

const RUNNABLE: [&str; 2] = ["CronJob", "Job"];
const WHY_NOT: &str = "is not a job";
/// A Job's name is a label of its pods, which holds no more.
const LONGEST_NAME: usize = 63;
/// Seconds that a Job may take which sets itself no deadline.
const USUAL_S: u64 = 3600;

/// See the module.
pub struct RunJob;

impl Action for RunJob {
    fn name(&self) -> &'static str {
        "run-job"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("run-job")
            .about("Run a CronJob now, or a Job once more")
            .arg(target_arg("CronJob or Job"))
            .arg(
                clap::Arg::new("unless-running")
                    .long("unless-running")
                    .action(clap::ArgAction::SetTrue)
                    .help("Not when it runs already"),
            )
            .after_help("Example: run-job cj/nightly-report -n shop -c prod-eu --why \"last night's failed\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &RUNNABLE, WHY_NOT)?;
        let unless = matches.get_flag("unless-running");
        Ok((named, if unless { json!({"unless_running": true}) } else { json!({}) }))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(plan(context))
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &RUNNABLE, WHY_NOT).map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let source = &subject.object;
    let name = job_name(&subject.reference.name, context.request);
    let object = ObjectRef {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        namespace: subject.reference.namespace.clone(),
        name: name.clone(),
        uid: None,
    };
    let body = if subject.reference.kind == "CronJob" {
        from_cron_job(source, &name)
    } else {
        once_more(source, &name)
    };
    let pods = body["spec"]["parallelism"].as_u64().unwrap_or(1).min(u64::from(u32::MAX)) as u32;
    let within = body["spec"]["activeDeadlineSeconds"].as_u64().unwrap_or(USUAL_S).min(24 * 3600) as u32 + 60;
    let mut blast = Blast { pods, ..Blast::default() };
    if source["spec"]["suspend"] == true {
        blast.notes.push(format!("{} is suspended; this runs it all the same", subject.words()));
    }
    let active = match subject.reference.kind.as_str() {
        "CronJob" => source["status"]["active"].as_array().map_or(0, Vec::len) as u64,
        _ => source["status"]["active"].as_u64().unwrap_or(0),
    };
    if active > 0 && context.parameters["unless_running"] == true {
        return Err(PlanError::Nothing(format!("{} runs already", subject.words())));
    }
    if active > 0 {
        let policy = text(source, "/spec/concurrencyPolicy");
        blast.notes.push(format!(
            "it is running now; this runs beside it{}",
            if policy == "Forbid" { ", although its schedule forbids that" } else { "" }
        ));
    }
    let created = subject.cluster.create(&object, &body, true).await?;
    Ok(Plan {
        action: "run-job".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!("run {} as Job {name}", subject.words()),
        diff: diff::created(&without_generated(created)),
        steps: vec![Step::Create { object: object.clone(), body }],
        blast,
        risk: Risk::Medium,
        prior: Value::Null,
        undo: Vec::new(),
        verify: Verify { conditions: vec![Condition::JobComplete { object }], within_s: within },
        target: subject.target,
    })
}

/// One name per request: whoever creates it twice finds it there.
fn job_name(source: &str, request: RequestId) -> String {
    let tail = request.short();
    let room = LONGEST_NAME - tail.len() - 1;
    let head: String = source.chars().take(room).collect();
    format!("{}-{tail}", head.trim_end_matches(['-', '.']))
}

fn from_cron_job(cron_job: &Value, name: &str) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".into(), "manual".into());
    let mut metadata = metadata(cron_job, name);
    metadata.insert("annotations".into(), Value::Object(annotations));
    if template["metadata"]["labels"].is_object() {
        metadata.insert("labels".into(), template["metadata"]["labels"].clone());
    }
    // No blockOwnerDeletion: it would need a permission on cronjobs/finalizers.
    let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job["metadata"]["name"], "uid": cron_job["metadata"]["uid"], "controller": true});
    metadata.insert("ownerReferences".into(), json!([owner]));
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
}

/// Labels and selector that the server generated for the first run must be generated anew.
fn once_more(job: &Value, name: &str) -> Value {
    let mut metadata = metadata(job, name);
    let mut labels = job["metadata"]["labels"].clone();
    drop_generated_labels(&mut labels);
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        metadata.insert("labels".into(), labels);
    }
    let mut spec = job["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        for field in ["selector", "manualSelector", "suspend"] {
            spec.remove(field);
        }
    }
    if let Some(labels) = spec.pointer_mut("/template/metadata/labels") {
        drop_generated_labels(labels);
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
}

fn metadata(source: &Value, name: &str) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.into());
    metadata.insert("namespace".into(), source["metadata"]["namespace"].clone());
    metadata
}

/// A dry run makes a new uid each time; with it in the diff no two plans would be the same.
fn without_generated(mut job: Value) -> Value {
    for metadata in ["/metadata", "/spec/template/metadata"] {
        if let Some(labels) = job.pointer_mut(&format!("{metadata}/labels")) {
            drop_generated_labels(labels);
        }
        if let Some(Value::Object(metadata)) = job.pointer_mut(metadata) {
            metadata.retain(|_, value| {
                !value.is_null() && value.as_object().is_none_or(|labels| !labels.is_empty())
            });
        }
    }
    if let Some(spec) = job["spec"].as_object_mut() {
        spec.remove("selector");
    }
    job
}

fn drop_generated_labels(labels: &mut Value) {
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|name, _| {
            !matches!(
                name.as_str(),
                "controller-uid"
                    | "batch.kubernetes.io/controller-uid"
                    | "job-name"
                    | "batch.kubernetes.io/job-name"
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_fixed_by_the_request_and_fits() {
        let request = RequestId::new();
        let name = job_name(&"nightly-report-".repeat(10), request);
        assert_eq!(name, job_name(&"nightly-report-".repeat(10), request));
        assert!(name.len() <= LONGEST_NAME && cluster::is_dns_label(&name), "{name}");
        assert!(name.ends_with(&request.short()));
    }

    #[test]
    fn a_job_run_once_more_leaves_behind_what_belonged_to_its_first_run() {
        let job = json!({"metadata": {"name": "x", "namespace": "shop", "uid": "1", "labels": {"job-name": "x", "app": "report"}},
            "spec": {"selector": {"matchLabels": {"controller-uid": "1"}}, "backoffLimit": 2,
                "template": {"metadata": {"labels": {"controller-uid": "1", "batch.kubernetes.io/job-name": "x", "app": "report"}}, "spec": {"restartPolicy": "Never"}}}});
        assert_eq!(
            once_more(&job, "x-2"),
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x-2", "namespace": "shop", "labels": {"app": "report"}},
                "spec": {"backoffLimit": 2, "template": {"metadata": {"labels": {"app": "report"}}, "spec": {"restartPolicy": "Never"}}}})
        );
    }
}
