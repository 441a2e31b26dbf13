//! Asks the world what a rule's conditions want to know. What cannot be asked is `Found::Nothing`, with a reason for people: then
//! a person must agree.

use crate::{app::App, script};
use actions::{
    cluster::{Cluster, Clusters},
    lines::{self, Matching},
    metric::{Measured, Range, Reading},
    owner,
    runner::{Health, health},
};
use heal::{
    event::Event,
    language::{
        ast::{Condition, Pod, Subject, Which},
        pattern,
    },
    rules::{Answer, Found, Outcome},
};
use jiff::Timestamp;
use std::time::Duration;

/// Reading logs of many pods takes longer than one question.
const LOGS: Duration = Duration::from_secs(15);
/// One answer takes no longer.
const WITHIN: Duration = Duration::from_secs(5);
/// A command has the deadline of its sandbox; beyond this nobody waits for it.
const SCRIPT: Duration = Duration::from_secs(20);

/// Samples of a time that must have held, and how close they may be.
const POINTS: u32 = 20;
const FINEST: Duration = Duration::from_secs(5);

/// The answer to one condition about what this event is about.
pub async fn answer(app: &App, condition: &Condition, event: &Event) -> Answer {
    let within = match condition {
        Condition::Exec { .. } => SCRIPT,
        Condition::Log { .. } => LOGS,
        Condition::Promql { .. } | Condition::Status { .. } => WITHIN,
    };
    let found = tokio::time::timeout(within, find(app, condition, event)).await;
    let late = || Found::Nothing(format!("no answer within {} s", within.as_secs()));
    condition.answer(&found.unwrap_or_else(|_| late()))
}

async fn find(app: &App, condition: &Condition, event: &Event) -> Found {
    match condition {
        Condition::Promql { query, lasting, .. } => {
            let lasting = lasting.as_ref().map(|length| length.value);
            promql(&app.clusters, &query.value, lasting, event, Timestamp::now()).await
        }
        Condition::Exec { pod, command, .. } => match exec(app, pod.as_ref(), &command.value, event).await {
            Ok(output) => Found::Output(output),
            Err(why) => Found::Nothing(why),
        },
        Condition::Log { pattern, within, .. } => match log(app, &pattern.value, within.value, event).await {
            Ok(Matching { lines, whole: true }) => Found::Count(lines),
            Ok(Matching { lines, whole: false }) => Found::AtLeast(lines),
            Err(why) => Found::Nothing(why),
        },
        Condition::Status { subject, name, .. } => status(app, subject.value, &name.value, event).await,
    }
}

/// What a command printed, in the sandbox or in a pod.
async fn exec(app: &App, pod: Option<&Pod>, line: &str, event: &Event) -> Result<String, String> {
    let actor = super::actor(&event.name);
    // The commands of all rules wait here for their turn.
    let _turn = app.scripts.acquire().await.map_err(|error| error.to_string())?;
    let Some(pod) = pod else {
        // The sandbox has a deadline of its own.
        let printed = script::output(&app.ledger, &app.config.sandbox, &actor, line).await;
        return printed.map_err(|error| error.to_string());
    };
    let cluster = cluster(&app.clusters, event)?;
    let about = &event.subject;
    let namespace = about.namespace.as_deref().ok_or("the event names no namespace")?;
    let name = match &pod.which.value {
        Which::Name(name) => name.clone(),
        Which::Subject(Subject::Pod) => about.pod.clone().ok_or("the event names no pod")?,
        Which::Subject(Subject::Workload) => {
            let workload = about.workload.as_ref().ok_or("the event names no workload")?;
            let found = owner::running_pod(&cluster, Some(namespace), &workload.kind, &workload.name).await;
            let found = found.map_err(|error| error.to_string())?;
            found.ok_or_else(|| format!("{} {} has no running pod", workload.kind, workload.name))?
        }
        Which::Subject(Subject::Node) => return Err("a node is no pod".into()),
    };
    let container = pod.container.as_ref().map(|container| container.value.as_str());
    let place = script::Place { cluster: &cluster, namespace, pod: &name, container };
    script::output_in_pod(&app.ledger, place, &actor, line).await.map_err(|error| error.to_string())
}

/// How many lines match, of the event's workload; of its pod, where it names no workload.
async fn log(app: &App, pattern: &str, within: Duration, event: &Event) -> Result<Matching, String> {
    let pattern = pattern::search(pattern)?;
    let cluster = cluster(&app.clusters, event)?;
    let about = &event.subject;
    let namespace = about.namespace.as_deref().ok_or("the event names no namespace")?;
    let (kind, name) = match (&about.workload, &about.pod) {
        (Some(workload), _) => (workload.kind.as_str(), workload.name.as_str()),
        (None, Some(pod)) => ("Pod", pod.as_str()),
        (None, None) => return Err("the event names no workload and no pod".into()),
    };
    let found = lines::matching(&cluster, namespace, kind, name, within, &pattern).await;
    found.map_err(|error| error.to_string())
}

/// One sample, or all of a time that ends `now`; what is missing or partial is no answer.
pub async fn promql(
    clusters: &Clusters,
    query: &str,
    lasting: Option<Duration>,
    event: &Event,
    now: Timestamp,
) -> Found {
    let asked = async {
        let cluster = cluster(clusters, event)?;
        let prometheus = cluster.prometheus().map_err(|error| error.to_string())?;
        let (samples, warnings) = match lasting {
            None => {
                let Measured { data, warnings } =
                    prometheus.value(query, now).await.map_err(|error| error.to_string())?;
                let samples = match data {
                    Reading::Value(value) => vec![value],
                    Reading::NotANumber => vec![f64::NAN],
                    Reading::Missing => Vec::new(),
                };
                (samples, warnings)
            }
            Some(length) => {
                let range = Range::before(now, length, (length / POINTS).max(FINEST));
                let Measured { data, warnings } =
                    prometheus.line(query, range).await.map_err(|error| error.to_string())?;
                let wanted = (range.end() - range.start()) / range.step().max(1) + 1;
                if !data.is_empty() && (data.len() as i64) < wanted {
                    return Err(format!("{} of {wanted} samples are there", data.len()));
                }
                (data.into_iter().map(|(_, value)| value).collect(), warnings)
            }
        };
        match warnings.first() {
            Some(warning) => Err(format!("a part of the answer is missing: {warning}")),
            None => Ok(samples),
        }
    };
    asked.await.map_or_else(Found::Nothing, Found::Samples)
}

async fn status(app: &App, subject: Subject, name: &str, event: &Event) -> Found {
    let about = &event.subject;
    let object = match subject {
        Subject::Workload => {
            about.workload.as_ref().map(|workload| (workload.kind.clone(), workload.name.clone()))
        }
        Subject::Pod => about.pod.clone().map(|pod| ("Pod".into(), pod)),
        Subject::Node => about.node.clone().map(|node| ("Node".into(), node)),
    };
    let Some((kind, object)) = object else {
        return Found::Nothing(format!("the event names no {}", subject.word()));
    };
    let cluster = match cluster(&app.clusters, event) {
        Ok(cluster) => cluster,
        Err(why) => return Found::Nothing(why),
    };
    match owner::status(&cluster, about.namespace.as_deref(), &kind, &object, name).await {
        Ok(Some(status)) => Found::Status(status),
        Ok(None) => Found::Nothing(format!("{kind} {object} has no condition {name}")),
        Err(error) => Found::Nothing(error.to_string()),
    }
}

fn cluster(clusters: &Clusters, event: &Event) -> Result<Cluster, String> {
    let name = event.subject.cluster.as_deref().ok_or("the event names no cluster")?;
    clusters.get(name).map_err(|error| error.to_string())
}

/// Whether the rollout of the event's workload is healthy.
pub async fn rollout(app: &App, event: &Event) -> Answer {
    let Some(workload) = &event.subject.workload else {
        return Answer { outcome: Outcome::Unknown, why: "the event names no workload".into() };
    };
    let looked = match cluster(&app.clusters, event) {
        Ok(cluster) => {
            let namespace = event.subject.namespace.as_deref();
            let look = health(&cluster, namespace, &workload.kind, &workload.name);
            tokio::time::timeout(WITHIN, look)
                .await
                .unwrap_or_else(|_| Health::Unknown("no answer in time".into()))
        }
        Err(why) => Health::Unknown(why),
    };
    match looked {
        Health::Healthy => Answer { outcome: Outcome::Yes, why: String::new() },
        Health::Ailing(why) => Answer { outcome: Outcome::No, why },
        Health::Unknown(why) => Answer { outcome: Outcome::Unknown, why },
    }
}

/// How many replicas the event's workload has, where that can be found out.
pub async fn replicas(app: &App, event: &Event) -> Option<u32> {
    let workload = event.subject.workload.as_ref()?;
    let cluster = cluster(&app.clusters, event).ok()?;
    let namespace = event.subject.namespace.as_deref();
    let asked = owner::replicas(&cluster, namespace, &workload.kind, &workload.name);
    tokio::time::timeout(WITHIN, asked).await.ok()?.ok()?
}
