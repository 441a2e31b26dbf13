//! `inject-delay`: makes requests to a workload slow, by a fault in its Istio VirtualService, and gives it back when its time is over,
//! when it is called off, and after a crash.
//!
//! It is given back as a drill is ([`Condition::Changed`]): when somebody takes the delay away before, that is its end too. Where the
//! workload's Service has a VirtualService, the delay is added to its HTTP routes and taken out of them again, and nothing else in it is
//! written; where it has none, one is made and deleted again.

use super::{draft::while_it_moves, *};
use jiff::SignedDuration;
use ledger::{Condition, ObjectRef, PatchKind, Risk, Step, Verify};
use serde_json::json;
use workload::{Subject, accept, text};

const ACCEPTED: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
const WHY_NOT: &str = "gets no requests of its own";
/// Where Istio's objects are.
const ISTIO: &str = "networking.istio.io/v1";
const KIND: &str = "VirtualService";
/// Objects of one kind that are looked at in a namespace.
const MOST: u32 = 2_000;
/// Milliseconds that a request may be delayed.
const DELAY_MS: std::ops::RangeInclusive<i64> = 1..=60_000;
/// Seconds that it may last.
const LASTS_S: std::ops::RangeInclusive<i64> = 5..=3600;

/// See the module.
pub struct InjectDelay;

impl Action for InjectDelay {
    fn name(&self) -> &'static str {
        "inject-delay"
    }

    fn command(&self) -> clap::Command {
        let option = |name: &'static str, value: &'static str, help: &'static str| {
            clap::Arg::new(name).long(name).value_name(value).required(true).help(help)
        };
        clap::Command::new("inject-delay")
            .about("Delay requests to a workload in the service mesh (Istio) for a while; always given back")
            .arg(target_arg("Deployment, StatefulSet or DaemonSet behind a Service"))
            .arg(option("delay", "TIME", "How long each request is delayed: 500ms, 2s"))
            .arg(option("for", "TIME", "Given back after this time: 5m"))
            .arg(
                clap::Arg::new("percent")
                    .long("percent")
                    .value_name("N")
                    .default_value("100")
                    .value_parser(clap::value_parser!(u32).range(1..=100))
                    .help("Of the requests"),
            )
            .arg(clap::Arg::new("service").long("service").value_name("NAME").help("Where several lead to it"))
            .after_help("Example: inject-delay deploy/checkout --delay 2s --for 5m --percent 50 -n shop -c staging --why \"do timeouts hold?\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ACCEPTED, WHY_NOT)?;
        let word = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
        let delay = time(word("delay"), SignedDuration::as_millis, &DELAY_MS, "from 1ms to 60s, such as 2s")?;
        let lasts = |time: &SignedDuration| i128::from(time.as_secs());
        let lasts = time(word("for"), lasts, &LASTS_S, "from 5s to 1h, such as 5m")?;
        let mut parameters =
            json!({"delay_ms": delay, "for_s": lasts, "percent": matches.get_one::<u32>("percent")});
        if let Some(service) = matches.get_one::<String>("service") {
            if !cluster::is_dns_label(service) {
                return Err(format!("'{}' is not a Service's name", service.escape_debug()));
            }
            parameters["service"] = json!(service);
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

fn time(
    text: &str,
    unit: impl Fn(&SignedDuration) -> i128,
    range: &std::ops::RangeInclusive<i64>,
    right: &str,
) -> Result<i64, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    let count = parsed.and_then(|time| i64::try_from(unit(&time)).ok()).filter(|count| range.contains(count));
    count.ok_or_else(|| format!("'{}' is not a time {right}", text.escape_debug()))
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    let number = |name: &str, range: &std::ops::RangeInclusive<i64>| {
        let count = context.parameters[name].as_i64().filter(|count| range.contains(count));
        count.ok_or_else(|| PlanError::Invalid(format!("{name} is missing or out of bounds")))
    };
    let delay = Delay {
        ms: number("delay_ms", &DELAY_MS)?,
        lasts_s: number("for_s", &LASTS_S)?,
        percent: number("percent", &(1..=100))?,
        service: context.parameters["service"].as_str(),
    };
    inject(context, delay).await
}

/// How requests are delayed.
pub(super) struct Delay<'a> {
    /// Milliseconds.
    pub ms: i64,
    /// Given back after so many seconds.
    pub lasts_s: i64,
    /// Of the requests.
    pub percent: i64,
    /// Where several Services lead to the workload.
    pub service: Option<&'a str>,
}

/// Reads only.
pub(super) async fn inject(context: PlanContext<'_>, delay: Delay<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ACCEPTED, WHY_NOT).map_err(PlanError::Invalid)?;
    let Delay { ms: delay_ms, lasts_s, percent, service: named } = delay;
    let subject = Subject::read(&context).await?;
    let namespace = subject.reference.namespace.clone().unwrap_or_default();
    let service = service(&subject, named).await?;
    let fault = json!({"delay": {"fixedDelay": seconds(delay_ms), "percentage": {"value": percent}}});
    let routing = routing(&subject, &namespace, &service).await?;
    let mut blast = subject.blast().await?;
    blast.pods = 0;
    blast.notes.push(format!(
        "{percent} % of the requests that sidecars send to Service {service} take {} longer",
        seconds(delay_ms)
    ));
    blast.notes.push("given back when its time is over or when it is called off".into());
    let Change { object, step, undo, diff, prior } = match routing {
        Some(found) => amend(&subject, &found, &fault).await?,
        None => make(&subject, &namespace, &service, &fault).await?,
    };
    Ok(Plan {
        action: "inject-delay".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!(
            "delay {percent} % of the requests to {} by {} for {lasts_s} s, in {KIND} {}",
            subject.words(),
            seconds(delay_ms),
            object.name
        ),
        steps: vec![step],
        diff,
        blast,
        risk: Risk::High,
        prior,
        undo: vec![undo],
        verify: Verify {
            conditions: vec![Condition::Changed { object, pointer: pointer(0), from: fault }],
            within_s: lasts_s as u32,
        },
        target: subject.target,
    })
}

/// As protobuf writes durations in JSON: `2s`, `0.25s`.
fn seconds(ms: i64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn pointer(route: usize) -> String {
    format!("/spec/http/{route}/fault")
}

/// The Service through which the workload is reached.
async fn service(subject: &Subject, wanted: Option<&str>) -> Result<String, PlanError> {
    let namespace = subject.reference.namespace.as_deref();
    let all = subject.cluster.list("v1", "Service", namespace, None, None, MOST).await?;
    let labels = &subject.template()["metadata"]["labels"];
    let leads_here = |service: &&Value| {
        let selector = service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty());
        selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    let names: Vec<String> =
        all.iter().filter(leads_here).map(|service| text(service, "/metadata/name")).collect();
    match (wanted, &names[..]) {
        (Some(name), _) if names.iter().any(|known| known == name) => Ok(name.to_string()),
        (None, [only]) => Ok(only.clone()),
        (_, []) => Err(PlanError::Invalid(format!("no Service leads to {}", subject.words()))),
        _ => Err(PlanError::Invalid(format!(
            "name the Service that leads to {} with --service: {}",
            subject.words(),
            names.join(", ")
        ))),
    }
}

/// The VirtualService that routes what is sent to this Service.
async fn routing(subject: &Subject, namespace: &str, service: &str) -> Result<Option<Value>, PlanError> {
    let all = match subject.cluster.list(ISTIO, KIND, Some(namespace), None, None, MOST).await {
        Err(ClusterError::NotFound { .. }) => {
            let why = "the cluster has no Istio: it does not serve VirtualServices of networking.istio.io/v1";
            return Err(PlanError::Invalid(why.into()));
        }
        all => all?,
    };
    let names = [
        service.to_string(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ];
    let is_named = |host: &Value| host.as_str().is_some_and(|host| names.iter().any(|name| name == host));
    let is_its = |found: &Value| found["spec"]["hosts"].as_array().into_iter().flatten().any(is_named);
    let mut its: Vec<Value> = all.into_iter().filter(is_its).collect();
    match its.len() {
        0 | 1 => Ok(its.pop()),
        _ => Err(PlanError::Invalid(format!(
            "several VirtualServices route to {service}; Istio follows only one of them"
        ))),
    }
}

/// What is written, and how it is taken back.
struct Change {
    object: ObjectRef,
    step: Step,
    undo: Step,
    diff: String,
    prior: Value,
}

fn reference(namespace: Option<String>, name: String, uid: Option<String>) -> ObjectRef {
    ObjectRef { api_version: ISTIO.into(), kind: KIND.into(), namespace, name, uid }
}

/// In the HTTP routes that are there. Taking it out names each route and what must stand there, so that routes which somebody has moved
/// meanwhile are not touched.
async fn amend(subject: &Subject, found: &Value, fault: &Value) -> Result<Change, PlanError> {
    let name = text(found, "/metadata/name");
    let routes = found["spec"]["http"].as_array().map_or(&[][..], Vec::as_slice);
    if routes.is_empty() {
        return Err(PlanError::Invalid(format!("{KIND} {name} has no HTTP routes")));
    }
    if routes.iter().any(|route| !route["fault"].is_null()) {
        return Err(PlanError::Invalid(format!(
            "{KIND} {name} injects a fault already; it would not be told from ours"
        )));
    }
    let (mut ops, mut back) = (Vec::new(), Vec::new());
    if !found["metadata"]["annotations"].is_object() {
        ops.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for route in 0..routes.len() {
        ops.push(json!({"op": "add", "path": pointer(route), "value": fault}));
        back.push(json!({"op": "test", "path": pointer(route), "value": fault}));
        back.push(json!({"op": "remove", "path": pointer(route)}));
    }
    let uid = text(found, "/metadata/uid");
    let object = reference(subject.reference.namespace.clone(), name, Some(uid));
    let patch =
        |ops: Vec<Value>| Step::Patch { object: object.clone(), kind: PatchKind::Json, body: json!(ops) };
    let after = subject.cluster.patch(&object, PatchKind::Json, &json!(ops), true).await?;
    Ok(Change {
        step: patch(ops),
        undo: patch(back),
        diff: diff::diff(found, &after, false),
        prior: json!({"http": routes.len(), "fault": null}),
        object,
    })
}

/// Where there are none.
async fn make(subject: &Subject, namespace: &str, service: &str, fault: &Value) -> Result<Change, PlanError> {
    let name = format!("petrel-delay-{service}");
    let object = reference(subject.reference.namespace.clone(), name.clone(), None);
    let route = json!({"destination": {"host": service}});
    let body = json!({
        "apiVersion": ISTIO, "kind": KIND, "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [service], "http": [{"fault": fault, "route": [route]}]},
    });
    let created = subject.cluster.create(&object, &body, true).await?;
    Ok(Change {
        step: Step::Create { object: object.clone(), body },
        undo: Step::Delete { object: object.clone(), grace_period_seconds: None },
        diff: diff::created(&created),
        prior: Value::Null,
        object,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_protobuf_reads_them() {
        assert_eq!([1, 250, 1000, 2500, 60_000].map(seconds), ["0.001s", "0.25s", "1s", "2.5s", "60s"]);
    }
}
