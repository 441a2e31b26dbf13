//! What people would type for a step of a rule. So whatever a rule asks for goes the way of everything that is asked for.

use crate::app::App;
use actions::owner;
use heal::rules::{ANY, Target};
use serde_json::{Map, Value};

/// The line; a workload that a rule calls by its name alone is looked for. The error is for people.
pub async fn typed(
    app: &App,
    action: &str,
    target: Option<&Target>,
    parameters: &Map<String, Value>,
) -> Result<String, String> {
    let target = target.ok_or_else(|| format!("`{action}` needs a target"))?;
    if target.kind != ANY {
        return line(action, target, parameters);
    }
    let cluster = app.clusters.get(&target.cluster).map_err(|error| error.to_string())?;
    let namespace = target.namespace.as_deref();
    let kinds = owner::called(&cluster, namespace, &target.name).await.map_err(|error| error.to_string())?;
    match &kinds[..] {
        [kind] => line(action, &Target { kind: (*kind).to_string(), ..target.clone() }, parameters),
        [] => Err(format!(
            "there is no Deployment, StatefulSet, DaemonSet, CronJob or Job {} in {}",
            target.name,
            namespace.unwrap_or("the cluster")
        )),
        several => Err(format!(
            "{} is the name of a {}; write the kind, such as \"deploy/{}\"",
            target.name,
            several.join(" and a "),
            target.name
        )),
    }
}

fn line(action: &str, target: &Target, parameters: &Map<String, Value>) -> Result<String, String> {
    let text = |name: &str| {
        let value = parameters.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), String::from))
    };
    let needed = |name: &str| text(name).ok_or_else(|| format!("`{action}` needs {name}"));
    let runs_to_its_end = matches!(target.kind.as_str(), "Job" | "CronJob" | "job" | "cj");
    let mut words = match action {
        "scale_up" if runs_to_its_end => vec!["run-job".to_string()],
        "scale_up" => vec!["scale".to_string()],
        "hpa" => vec!["hpa".to_string(), "propose".to_string()],
        other => vec![other.replace('_', "-")],
    };
    if action == "drill" {
        words.push(needed("fault")?);
    }
    words.push(format!("{}/{}", target.kind.to_ascii_lowercase(), target.name));
    let options: &[&str] = match action {
        "scale" => {
            words.push(needed("replicas")?);
            &["min", "max"]
        }
        "scale_up" if runs_to_its_end => {
            if needed("replicas")? != "1" {
                return Err(format!(
                    "{} {} runs once at a time; write replicas: 1",
                    target.kind, target.name
                ));
            }
            words.push("--unless-running".into());
            &[]
        }
        "scale_up" => {
            words.extend([needed("replicas")?, "--at-least".into()]);
            &[]
        }
        "set_image" => {
            words.push(format!("{}={}", needed("container")?, needed("image")?));
            &[]
        }
        "rotate_logs" => {
            words.push(needed("files")?);
            &["keep", "container"]
        }
        "inject_delay" => {
            words.push(format!("--for={}", needed("lasts")?));
            &["delay", "percent"]
        }
        "drill" => {
            words.extend(text("lasts").map(|lasts| format!("--for={lasts}")));
            &[]
        }
        "scale_nodes" => {
            words.extend(text("nodes"));
            &["days"]
        }
        "set_resources" => &["container", "requests", "limits"],
        "rollback" => &["to"],
        _ => &[],
    };
    words.extend(options.iter().filter_map(|name| Some(format!("--{name}={}", text(name)?))));
    words.extend(target.namespace.iter().map(|namespace| format!("--namespace={namespace}")));
    words.push(format!("--cluster={}", target.cluster));
    let quoted = |word: &String| match word.chars().all(|c| c.is_ascii_graphic() && !"\"'\\`".contains(c)) {
        true => Ok(word.clone()),
        // What people type is split at blanks; a rule's text has none where an action takes it.
        false => Err(format!("`{action}` cannot take the text {word:?}")),
    };
    Ok(words.iter().map(quoted).collect::<Result<Vec<_>, _>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Context, Line, parse};
    use heal::language::Catalogue;
    use serde_json::json;

    fn written(action: &str, kind: &str, parameters: Value) -> Result<String, String> {
        let target = Target {
            cluster: "prod".into(),
            namespace: Some("shop".into()),
            kind: kind.into(),
            name: "x".into(),
        };
        line(action, &target, parameters.as_object().unwrap())
    }

    /// By action, with what it is about and what a rule says; and how it is typed.
    fn steps() -> Vec<(&'static str, &'static str, Value, &'static str)> {
        vec![
            ("scale", "Deployment", json!({"replicas": 5}), "scale deployment/x 5"),
            ("scale", "sts", json!({"replicas": "+2", "max": 12}), "scale sts/x +2 --max=12"),
            ("scale_up", "Deployment", json!({"replicas": 1}), "scale deployment/x 1 --at-least"),
            ("scale_up", "CronJob", json!({"replicas": 1}), "run-job cronjob/x --unless-running"),
            ("run_job", "cj", json!({}), "run-job cj/x"),
            (
                "rotate_logs",
                "Pod",
                json!({"files": "/l/*.log", "keep": 7}),
                "rotate-logs pod/x /l/*.log --keep=7",
            ),
            (
                "set_image",
                "Deployment",
                json!({"container": "a", "image": "b:1"}),
                "set-image deployment/x a=b:1",
            ),
            (
                "set_resources",
                "Deployment",
                json!({"limits": "memory=1Gi"}),
                "set-resources deployment/x --limits=memory=1Gi",
            ),
            ("restart", "Deployment", json!({}), "restart deployment/x"),
            ("rollback", "Deployment", json!({"to": 4}), "rollback deployment/x --to=4"),
            ("pause", "Deployment", json!({}), "pause deployment/x"),
            ("resume", "Deployment", json!({}), "resume deployment/x"),
            ("delete_pod", "Pod", json!({}), "delete-pod pod/x"),
            ("hpa", "Deployment", json!({}), "hpa propose deployment/x"),
            ("floor", "Deployment", json!({}), "floor deployment/x"),
            ("scale_nodes", "md", json!({"nodes": 5, "days": 7}), "scale-nodes md/x 5 --days=7"),
            ("scale_nodes", "pool", json!({}), "scale-nodes pool/x"),
            (
                "inject_delay",
                "Deployment",
                json!({"delay": "2s", "lasts": "5m", "percent": 50}),
                "inject-delay deployment/x --for=5m --delay=2s --percent=50",
            ),
            (
                "drill",
                "Deployment",
                json!({"fault": "pod-kill", "lasts": "5m"}),
                "drill pod-kill deployment/x --for=5m",
            ),
        ]
    }

    #[test]
    fn steps_are_written_as_people_type_them_and_the_gate_can_be_asked_for_each() {
        let clusters = ["prod".to_string()];
        let context = Context { clusters: &clusters, cluster: None, namespace: None };
        for (action, kind, parameters, line) in steps() {
            let line = format!("{line} --namespace=shop --cluster=prod");
            assert_eq!(written(action, kind, parameters), Ok(line.clone()));
            let asked = match parse(&line, &context) {
                Ok(Line::Ask(asked)) => asked.action,
                Ok(_) => panic!("{line} asks for nothing"),
                Err(card) => panic!("{line}: {}", card.title),
            };
            // It is `scale` or `run-job`, by what it is of.
            assert!(action == "scale_up" || asked == action.replace('_', "-"), "{line} asks for {asked}");
        }
        // Whoever is told something gets no request.
        let to_people = ["notify", "escalate"];
        for shape in Catalogue::standard().shapes().iter().map(|shape| shape.name.as_str()) {
            let is_written = steps().iter().any(|(action, ..)| *action == shape);
            assert!(is_written != to_people.contains(&shape), "{shape} has no line above");
        }
    }

    #[test]
    fn what_cannot_be_typed_is_not_asked_for() {
        assert!(written("scale_up", "Job", json!({"replicas": 2})).is_err());
        assert!(written("rotate_logs", "Pod", json!({"files": "/a b/*.log"})).is_err());
        assert_eq!(written("drill", "Deployment", json!({})), Err("`drill` needs fault".into()));
    }
}
