//! `set-resources`: requests and limits of one container.

use super::*;
use draft::{Draft, while_it_moves};
use futures::future::try_join3;
use ledger::{Condition, PatchKind, Risk};
use serde_json::{Map, json};
use workload::{Subject, accept};

const WHY_NOT: &str = "has no pod template whose resources can be set";
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// See the module.
pub struct SetResources;

impl Action for SetResources {
    fn name(&self) -> &'static str {
        "set-resources"
    }

    fn command(&self) -> clap::Command {
        let list = |name: &'static str, help: &'static str| {
            clap::Arg::new(name)
                .long(name)
                .value_name("RESOURCE=QUANTITY")
                .value_delimiter(',')
                .num_args(1)
                .action(clap::ArgAction::Append)
                .help(help)
        };
        clap::Command::new("set-resources")
            .about("Set requests and limits of a container")
            .arg(target_arg("Deployment, StatefulSet or DaemonSet"))
            .arg(clap::Arg::new("container").long("container").value_name("NAME").help("Which container; not needed where there is one"))
            .arg(list("requests", "What it is promised: cpu=250m,memory=128Mi"))
            .arg(list("limits", "What it may use at most: memory=256Mi"))
            .group(clap::ArgGroup::new("what").args(["requests", "limits"]).multiple(true).required(true))
            .after_help("Example: set-resources deploy/checkout --container app --requests cpu=250m,memory=256Mi --limits memory=512Mi -n shop -c prod-eu --why \"out of memory at night\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ROLLING, WHY_NOT)?;
        let mut parameters = json!({});
        if let Some(container) = matches.get_one::<String>("container") {
            if !cluster::is_dns_label(container) {
                return Err(format!("'{}' is not a container's name", container.escape_debug()));
            }
            parameters["container"] = container.as_str().into();
        }
        for list in ["requests", "limits"] {
            let mut amounts = Map::new();
            for pair in matches.get_many::<String>(list).into_iter().flatten() {
                let (resource, quantity) = pair.split_once('=').ok_or_else(|| {
                    format!("'{}' in --{list} is not RESOURCE=QUANTITY", pair.escape_debug())
                })?;
                check(resource, quantity).map_err(|why| format!("--{list}: {why}"))?;
                amounts.insert(resource.to_string(), quantity.into());
            }
            if !amounts.is_empty() {
                parameters[list] = Value::Object(amounts);
            }
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

fn check(resource: &str, quantity: &str) -> Result<Quantity, String> {
    if !RESOURCES.contains(&resource) {
        return Err(format!(
            "'{}' is not a resource that can be set; use {}",
            resource.escape_debug(),
            RESOURCES.join(", ")
        ));
    }
    let amount: Quantity = quantity.parse().map_err(|error| format!("{resource}: {error}"))?;
    if amount.is_negative() {
        return Err(format!("{resource}: {quantity} is below zero"));
    }
    if resource != "cpu" && amount.is_fractional() {
        return Err(format!(
            "{resource}: {quantity} is a fraction of a byte; did you mean {}Mi?",
            quantity.trim_end_matches(char::is_alphabetic)
        ));
    }
    Ok(amount)
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ROLLING, WHY_NOT).map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let container = match context.parameters["container"].as_str() {
        Some(name) => name.to_string(),
        None => only_container(&subject)?,
    };
    let (list, index, now) = set_image::find_container(&subject, &container)?;
    let mut resources = Map::new();
    let mut words = Vec::new();
    let mut fields = Vec::new();
    for kind in ["requests", "limits"] {
        let Some(amounts) = context.parameters[kind].as_object() else { continue };
        for (resource, quantity) in amounts {
            let wanted =
                check(resource, quantity.as_str().unwrap_or_default()).map_err(PlanError::Invalid)?;
            let before = now["resources"][kind][resource].as_str().unwrap_or("none");
            // 0.5 and 500m are the same amount, however they are written.
            if before.parse() != Ok(wanted) {
                words.push(format!(
                    "{kind} {resource} from {before} to {}",
                    quantity.as_str().unwrap_or_default()
                ));
            }
        }
        resources.insert(kind.to_string(), json!(amounts));
    }
    if words.is_empty() {
        return Err(PlanError::Nothing(format!(
            "container {container} of {} has these resources",
            subject.words()
        )));
    }
    let change =
        json!({"spec": {"template": {"spec": {list: [{"name": container, "resources": resources}]}}}});
    check_limits(&container, now, &resources).map_err(PlanError::Invalid)?;
    let dry_run = subject.dry_run(PatchKind::Strategic, &change);
    let (mut blast, autoscalers, after) = try_join3(subject.blast(), subject.autoscalers(), dry_run).await?;
    subject.rollout_notes(&mut blast);
    for (name, least, most) in autoscalers {
        blast.notes.push(format!(
            "an HPA ({name}, {least}-{most}) may scale differently: it measures use against requests"
        ));
    }
    // The server may write an amount in another way than it was typed; what it says is what must be there afterwards.
    let pointer = format!("/spec/template/spec/{list}/{index}/resources");
    if let Some(equals) = after.pointer(&pointer) {
        fields.push(Condition::Field { object: subject.reference.clone(), pointer, equals: equals.clone() });
    }
    let draft = Draft {
        action: "set-resources",
        summary: format!(
            "set resources of container {container} of {} ({}): {}",
            subject.words(),
            restart::pods(blast.pods),
            words.join(", ")
        ),
        kind: PatchKind::Strategic,
        change,
        about_replicas: false,
        risk: Risk::Medium,
        conditions: subject.rollout_conditions(fields),
        within_s: subject.rollout_within_s(blast.of),
        blast,
    };
    draft.plan(context, subject, &after)
}

fn only_container(subject: &Subject) -> Result<String, PlanError> {
    let names: Vec<&str> = subject.template()["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect();
    match names.as_slice() {
        [one] => Ok(one.to_string()),
        _ => Err(PlanError::Invalid(format!(
            "{} has {} containers; say which with --container: {}",
            subject.words(),
            names.len(),
            names.join(", ")
        ))),
    }
}

/// No request above its limit, counting what stays as it is; the server would say so less clearly.
fn check_limits(container: &str, now: &Value, wanted: &Map<String, Value>) -> Result<(), String> {
    let amount = |kind: &str, resource: &str| -> Option<(String, Quantity)> {
        let text = wanted
            .get(kind)
            .and_then(|amounts| amounts[resource].as_str())
            .or_else(|| now["resources"][kind][resource].as_str())?;
        Some((text.to_string(), text.parse().ok()?))
    };
    for resource in RESOURCES {
        if let (Some((request, promised)), Some((limit, most))) =
            (amount("requests", resource), amount("limits", resource))
            && promised > most
        {
            return Err(format!(
                "container {container} would request more {resource} ({request}) than its limit allows ({limit}); set both"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_cannot_be_meant_are_refused() {
        assert!(check("cpu", "250m").is_ok());
        assert_eq!(
            check("memory", "128m").unwrap_err(),
            "memory: 128m is a fraction of a byte; did you mean 128Mi?"
        );
        assert!(check("memory", "-1Gi").unwrap_err().contains("below zero"));
        assert!(check("gpu", "1").unwrap_err().contains("cpu, memory"));
        assert!(check("memory", "1GB").unwrap_err().contains("not a quantity"));
    }

    #[test]
    fn a_request_above_the_limit_that_stays_is_refused() {
        let now = json!({"resources": {"limits": {"memory": "256Mi"}}});
        let wanted = |text: &str| json!({"requests": {"memory": text}}).as_object().cloned().unwrap();
        assert!(check_limits("app", &now, &wanted("512Mi")).unwrap_err().contains("set both"));
        assert_eq!(check_limits("app", &now, &wanted("0.25Gi")), Ok(()));
    }
}
