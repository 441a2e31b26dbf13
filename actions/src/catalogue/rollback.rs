//! `rollback`: back to the pod template of an earlier revision. A Deployment's revisions are its ReplicaSets, those of a
//! StatefulSet or DaemonSet are ControllerRevisions.

use super::*;
use change::strategic_patch;
use draft::{Draft, while_it_moves};
use futures::future::try_join;
use ledger::{Condition, PatchKind, Risk};
use serde_json::json;
use workload::{Subject, accept, text};

const WHY_NOT: &str = "has no revisions to go back to";
/// The Deployment controller's own label on the pods of each ReplicaSet; no part of the Deployment's template.
const HASH_LABEL: &str = "pod-template-hash";
/// Revisions that are looked at.
const MOST: u32 = 500;

/// See the module.
pub struct Rollback;

impl Action for Rollback {
    fn name(&self) -> &'static str {
        "rollback"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("rollback")
            .about("Go back to an earlier revision of a workload's pods")
            .arg(target_arg("Deployment, StatefulSet or DaemonSet"))
            .arg(clap::Arg::new("to").long("to").value_name("REVISION").value_parser(clap::value_parser!(u64).range(1..)).help("Which revision; the one before the current when left out"))
            .after_help("Example: rollback deploy/checkout --to 41 -n shop -c prod-eu --why \"errors since the release\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ROLLING, WHY_NOT)?;
        Ok((named, matches.get_one::<u64>("to").map_or(json!({}), |to| json!({"to": to}))))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

/// An earlier pod template.
struct Revision {
    number: u64,
    template: Value,
    /// Why it was made, if whoever made it said so.
    cause: String,
    /// Pods that run it now (Deployments only).
    pods: u32,
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ROLLING, WHY_NOT).map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    if subject.is_paused() {
        return Err(PlanError::Invalid(format!(
            "{} is paused and would not roll back; resume it first",
            subject.words()
        )));
    }
    let revisions = revisions(&subject).await?;
    let current = canonical(subject.template());
    let wanted = choose(&revisions, &current, is_observed(&subject), context.parameters["to"].as_u64())
        .map_err(|why| PlanError::Invalid(format!("{}: {why}", subject.words())))?;
    if wanted.template == current {
        return Err(PlanError::Nothing(format!(
            "{} runs revision {} already",
            subject.words(),
            wanted.number
        )));
    }
    let change = json!({"spec": {"template": strategic_patch(&current, &wanted.template)}});
    let (mut blast, after) =
        try_join(subject.blast(), subject.dry_run(PatchKind::Strategic, &change)).await?;
    if !is_in(&wanted.template, &canonical(&after["spec"]["template"])) {
        return Err(PlanError::Invalid(format!(
            "the cluster's dry run does not give exactly the pods of revision {}; set what differs with set-image or set-resources",
            wanted.number
        )));
    }
    subject.rollout_notes(&mut blast);
    if !wanted.cause.is_empty() {
        blast.notes.push(format!("revision {} was made by: {}", wanted.number, wanted.cause));
    }
    if subject.reference.kind == "StatefulSet" && subject.object["spec"]["podManagementPolicy"] != "Parallel"
    {
        blast.notes.push("a StatefulSet does not replace a pod that is not ready by itself: such a one must be deleted after the rollback".into());
    }
    let draft = Draft {
        action: "rollback",
        summary: format!(
            "roll back {} to revision {} ({})",
            subject.words(),
            wanted.number,
            restart::pods(blast.pods)
        ),
        kind: PatchKind::Strategic,
        change,
        about_replicas: false,
        risk: Risk::High,
        conditions: subject.rollout_conditions(images_are(&subject, &after)),
        within_s: subject.rollout_within_s(blast.of),
        blast,
    };
    draft.plan(context, subject, &after)
}

/// What must hold where no rollout follows: the images of that revision. (The whole template would take secrets along.)
fn images_are(subject: &Subject, after: &Value) -> Vec<Condition> {
    let containers =
        after["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten().enumerate();
    containers
        .map(|(index, container)| Condition::Field {
            object: subject.reference.clone(),
            pointer: format!("/spec/template/spec/containers/{index}/image"),
            equals: container["image"].clone(),
        })
        .collect()
}

/// Is all of the wanted template in the one that would be? The patch took out what is not in it; what the server adds
/// all the same are defaults, and those of a newer version may be missing in an old revision.
fn is_in(wanted: &Value, after: &Value) -> bool {
    match (wanted, after) {
        (Value::Object(wanted), Value::Object(after)) => {
            wanted.iter().all(|(key, wanted)| is_in(wanted, after.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(wanted), Value::Array(after)) => {
            wanted.len() == after.len()
                && wanted.iter().zip(after).all(|(wanted, after)| is_in(wanted, after))
        }
        (wanted, after) => wanted == after,
    }
}

/// Has the controller seen the template as it is, and made a revision of it?
fn is_observed(subject: &Subject) -> bool {
    subject.object["status"]["observedGeneration"].as_i64()
        >= subject.object["metadata"]["generation"].as_i64()
}

/// The revision asked for, or the one before the current. That is the one with the current template; where none has it
/// exactly (an old server wrote other defaults), it is the newest if the controller has made it.
fn choose<'a>(
    revisions: &'a [Revision],
    current: &Value,
    observed: bool,
    to: Option<u64>,
) -> Result<&'a Revision, String> {
    let known =
        || revisions.iter().map(|revision| revision.number.to_string()).collect::<Vec<_>>().join(", ");
    match to {
        Some(to) => revisions
            .iter()
            .find(|revision| revision.number == to)
            .ok_or_else(|| format!("there is no revision {to}; there are {}", known())),
        None => {
            let now = revisions
                .iter()
                .rposition(|revision| revision.template == *current)
                .unwrap_or(revisions.len().saturating_sub(usize::from(observed)));
            revisions[..now].last().ok_or_else(|| "there is no earlier revision".to_string())
        }
    }
}

/// Pods that run another template than the current one: what a resumed Deployment replaces.
pub(super) async fn pods_of_other_templates(subject: &Subject) -> Result<u32, ClusterError> {
    let current = canonical(subject.template());
    Ok(revisions(subject)
        .await?
        .iter()
        .filter(|revision| revision.template != current)
        .map(|revision| revision.pods)
        .sum())
}

/// Oldest first.
async fn revisions(subject: &Subject) -> Result<Vec<Revision>, ClusterError> {
    let namespace = subject.reference.namespace.as_deref();
    let selector = Selector::of(&subject.object["spec"]["selector"]).unwrap_or_default().to_string();
    let is_deployment = subject.reference.kind == "Deployment";
    let (kind, labels) =
        if is_deployment { ("ReplicaSet", Some(selector.as_str())) } else { ("ControllerRevision", None) };
    let history = subject.cluster.list("apps/v1", kind, namespace, labels, None, MOST).await?;
    let mut revisions: Vec<Revision> = history
        .iter()
        .filter(|object| {
            controller(object).is_some_and(|owner| owner["uid"] == subject.object["metadata"]["uid"])
        })
        .filter_map(|object| {
            Some(Revision {
                number: if is_deployment {
                    object["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
                        .as_str()?
                        .parse()
                        .ok()?
                } else {
                    object["revision"].as_u64()?
                },
                template: canonical(if is_deployment {
                    &object["spec"]["template"]
                } else {
                    &object["data"]["spec"]["template"]
                }),
                cause: text(object, "/metadata/annotations/kubernetes.io~1change-cause"),
                pods: object["status"]["replicas"].as_u64().unwrap_or(0) as u32,
            })
        })
        .collect();
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

/// A template without what controllers add to their copies of it.
fn canonical(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("creationTimestamp");
            if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove(HASH_LABEL);
            }
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(number: u64, image: &str) -> Revision {
        Revision { number, template: json!({"image": image}), cause: String::new(), pods: 0 }
    }

    #[test]
    fn without_a_number_it_is_the_one_before_the_current() {
        let revisions = [revision(1, "a"), revision(3, "b"), revision(4, "c")];
        let before = |image: &str, observed: bool| {
            choose(&revisions, &json!({"image": image}), observed, None).map(|revision| revision.number)
        };
        assert_eq!(before("c", true), Ok(3));
        assert_eq!(before("b", true), Ok(1));
        assert_eq!(before("a", true), Err("there is no earlier revision".into()));
        assert_eq!(before("new", false), Ok(4), "the current one has no revision yet");
        assert_eq!(before("c with other defaults", true), Ok(3));
        assert_eq!(choose(&[], &json!({}), true, None).err().unwrap(), "there is no earlier revision");
    }

    #[test]
    fn with_a_number_it_is_that_one_or_none() {
        let revisions = [revision(1, "a"), revision(3, "b"), revision(4, "c")];
        assert_eq!(choose(&revisions, &json!({"image": "c"}), true, Some(1)).unwrap().number, 1);
        assert_eq!(
            choose(&revisions, &json!({"image": "c"}), true, Some(2)).err().unwrap(),
            "there is no revision 2; there are 1, 3, 4"
        );
    }

    #[test]
    fn a_default_that_the_server_adds_is_no_difference_and_a_value_that_stays_is_one() {
        let wanted = json!({"spec": {"containers": [{"name": "app", "image": "a:1"}]}});
        assert!(is_in(
            &wanted,
            &json!({"spec": {"containers": [{"name": "app", "image": "a:1", "newDefault": true}], "other": 1}})
        ));
        assert!(!is_in(&wanted, &json!({"spec": {"containers": [{"name": "app", "image": "a:2"}]}})));
        assert!(!is_in(
            &wanted,
            &json!({"spec": {"containers": [{"name": "app", "image": "a:1"}, {"name": "proxy"}]}})
        ));
    }
}
