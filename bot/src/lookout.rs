//! What clusters with `watch = true` say of themselves: [`actions::lookout`] becomes the same events that webhooks bring. Each cluster is
//! watched by one replica, under a lease; the next one goes on where it was.

use crate::app::App;
use actions::{
    cluster::Cluster,
    lookout::{Change, Key, Lookout, Sign, Trouble},
    owner::Home,
};
use heal::{
    event::{Event, Evidence, Fingerprint, Severity, State, Subject, Workload},
    language::ast::Origin,
};
use jiff::Timestamp;
use ledger::{Lease, LedgerError, NewEvent};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, time::Duration};
use tokio_util::task::TaskTracker;

/// A watcher that is silent for so long is presumed dead; one whose process is gone is overtaken at once.
const LEASE: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);
/// How often the others look whether they should; and the pause after a failure.
const PROBE: Duration = Duration::from_secs(2);

/// Starts one task for each cluster that is to be watched.
pub fn start(app: &App, tasks: &TaskTracker) {
    for config in app.config.clusters.iter().filter(|config| config.watch) {
        if let Ok(cluster) = app.clusters.get(&config.name) {
            let app = app.clone();
            tasks.spawn(async move {
                let stop = app.stop.clone();
                stop.run_until_cancelled(work(&app, &cluster)).await;
            });
        }
    }
}

async fn work(app: &App, cluster: &Cluster) {
    let name = format!("lookout.{}", cluster.name());
    loop {
        match take(app, &name).await {
            Ok(Some(lease)) => {
                tokio::select! {
                    () = hold(app, &lease) => tracing::warn!(cluster = cluster.name(), "lost the lease of the watch; another replica watches"),
                    () = app.stop.cancelled() => {}
                    error = watch(app, cluster) => tracing::warn!(cluster = cluster.name(), error, "cannot watch; trying again"),
                }
                if let Err(error) = app.ledger.give_lease(&lease).await {
                    tracing::debug!(%error, "could not give the lease of a watch back");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, cluster = cluster.name(), "could not take the lease of the watch")
            }
        }
        tokio::time::sleep(PROBE.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

async fn take(app: &App, name: &str) -> Result<Option<Lease>, LedgerError> {
    match app.ledger.take_lease(name, &app.worker, LEASE).await? {
        Some(lease) => Ok(Some(lease)),
        // Should the holder live after all: what both tell is the same.
        None => app.ledger.inherit_lease(name, &app.worker, LEASE).await,
    }
}

/// Renews the lease; ends when it is lost.
async fn hold(app: &App, lease: &Lease) {
    loop {
        tokio::time::sleep(RENEW).await;
        match app.ledger.take_lease(&lease.name, &app.worker, LEASE).await {
            Ok(Some(held)) if held.epoch == lease.epoch => {}
            Ok(_) => return,
            // Two that watch for a moment do no harm.
            Err(error) => tracing::warn!(%error, lease = lease.name, "could not renew a lease"),
        }
    }
}

/// Until something goes wrong; says what.
async fn watch(app: &App, cluster: &Cluster) -> String {
    let source = source(cluster.name());
    let known = match app.ledger.told_by(cluster.name(), &source).await {
        Ok(known) => known,
        Err(error) => return error.to_string(),
    };
    let known = known.into_iter().filter_map(|body| sign(&serde_json::from_value(body).ok()?)).collect();
    let mut lookout = match Lookout::open(cluster, known).await {
        Ok(lookout) => lookout,
        Err(error) => return error.to_string(),
    };
    tracing::info!(cluster = cluster.name(), "watching pods and nodes");
    loop {
        let changes = lookout.next().await;
        let now = Timestamp::now();
        let events: Vec<NewEvent> =
            changes.iter().map(|change| new_event(&event(cluster.name(), change, now))).collect();
        // While the database is away nothing more is read: the cluster keeps it for us.
        while let Err(error) = app.ledger.receive_events(&source, &events, now).await {
            tracing::warn!(%error, cluster = cluster.name(), "could not keep what a cluster said; trying again");
            tokio::time::sleep(PROBE).await;
        }
        app.metrics.intake_events(&source, events.len() as u64, 0, 0);
    }
}

fn source(cluster: &str) -> String {
    format!("kubernetes/{cluster}")
}

fn severity(trouble: Trouble) -> Severity {
    let number = match trouble {
        Trouble::NodeNotReady => 5,
        Trouble::CrashLoopBackOff
        | Trouble::OomKilled
        | Trouble::ImagePullBackOff
        | Trouble::NodePressure => 4,
        Trouble::Unschedulable => 3,
    };
    Severity::new(number).unwrap_or(Severity::WARNING)
}

/// What rules see of a change.
fn event(cluster: &str, change: &Change, now: Timestamp) -> Event {
    let (sign, state) = match change {
        Change::Began(sign) => (sign, State::Firing),
        Change::Ended(sign) => (sign, State::Resolved),
    };
    let Sign { key, since, words, home } = sign;
    let is_node = key.trouble.is_of_node();
    let named = |name: &str| (!name.is_empty()).then(|| name.to_string());
    let pod = if is_node { None } else { named(&key.object) };
    let labels: BTreeMap<String, String> = [
        ("cluster", named(cluster)),
        ("namespace", named(&key.namespace)),
        ("pod", pod.clone()),
        ("node", home.node.clone()),
        (if is_node { "condition" } else { "container" }, named(&key.part)),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label.to_string(), value?)))
    .collect();
    let name = key.trouble.name();
    // Where a pod runs may change while the same trouble goes on.
    let identifying = labels.iter().filter(|(label, _)| is_node || label.as_str() != "node");
    let identifying = identifying.map(|(label, value)| (label.as_str(), value.as_str()));
    let fingerprint = Fingerprint::new(Origin::Event, name, Some(cluster), identifying);
    let workload = home.workload.as_ref();
    // Kubernetes tells whole seconds; an end between two of them would be later than a beginning that follows it.
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Event {
        id: format!(
            "{fingerprint}/{}/{}",
            since.as_second(),
            if state == State::Firing { "began" } else { "ended" }
        ),
        source: source(cluster),
        origin: Origin::Event,
        name: name.into(),
        severity: severity(key.trouble),
        state,
        started: *since,
        ended: (state == State::Resolved).then_some(second.max(*since)),
        subject: Subject {
            cluster: Some(cluster.into()),
            namespace: named(&key.namespace),
            workload: workload.map(|(kind, name)| Workload { kind: kind.clone(), name: name.clone() }),
            pod,
            node: home.node.clone(),
        },
        labels,
        annotations: BTreeMap::new(),
        evidence: vec![Evidence { title: "message".into(), text: words.clone(), link: false }],
        trace: None,
        fingerprint,
    }
}

/// What an earlier watch told, as it was seen; None for an event of another kind.
fn sign(event: &Event) -> Option<Sign> {
    let trouble = Trouble::ALL.into_iter().find(|trouble| trouble.name() == event.name)?;
    let subject = &event.subject;
    let label = |name: &str| event.labels.get(name).cloned().unwrap_or_default();
    let is_node = trouble.is_of_node();
    let key = Key {
        trouble,
        namespace: subject.namespace.clone().unwrap_or_default(),
        object: if is_node { subject.node.clone()? } else { subject.pod.clone()? },
        part: label(if is_node { "condition" } else { "container" }),
    };
    let workload = subject.workload.as_ref();
    let home = Home {
        workload: workload.map(|workload| (workload.kind.clone(), workload.name.clone())),
        node: subject.node.clone(),
    };
    let words = event.evidence.first().map(|evidence| evidence.text.clone()).unwrap_or_default();
    Some(Sign { key, since: event.started, words, home })
}

fn new_event(event: &Event) -> NewEvent {
    let key = hex::encode(&Sha256::digest(format!("{}/{}", event.source, event.id))[..20]);
    NewEvent { key, body: serde_json::to_value(event).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs() -> Vec<Sign> {
        let of = |trouble: Trouble| {
            let is_node = trouble.is_of_node();
            let (namespace, object) = if is_node { ("", "n1") } else { ("shop", "cart-5f-x") };
            let workload = (!is_node).then(|| ("Deployment".to_string(), "cart".to_string()));
            Sign {
                key: Key { trouble, namespace: namespace.into(), object: object.into(), part: "part".into() },
                since: Timestamp::from_second(1_800_000_000).unwrap(),
                words: "back-off 10s".into(),
                home: Home { workload, node: Some("n1".into()) },
            }
        };
        Trouble::ALL.map(of).into()
    }

    #[test]
    fn the_next_watcher_knows_what_was_told() {
        for seen in signs() {
            let told = event("prod", &Change::Began(seen.clone()), Timestamp::now());
            assert_eq!(sign(&told), Some(seen));
        }
    }

    #[test]
    fn a_beginning_and_its_end_are_one_trouble_told_twice() {
        let now = Timestamp::from_second(1_800_000_030).unwrap();
        for seen in signs() {
            let began = event("prod", &Change::Began(seen.clone()), now);
            let moved = Sign { home: Home { node: Some("n2".into()), ..seen.home.clone() }, ..seen.clone() };
            let ended =
                event("prod", &Change::Ended(if seen.key.trouble.is_of_node() { seen } else { moved }), now);
            assert_eq!(began.fingerprint, ended.fingerprint);
            assert_ne!(new_event(&began).key, new_event(&ended).key);
            assert_eq!(ended.ended, Some(now));
        }
        let keys: std::collections::BTreeSet<String> = signs()
            .into_iter()
            .map(|seen| event("prod", &Change::Began(seen), now).fingerprint.to_string())
            .collect();
        assert_eq!(keys.len(), Trouble::ALL.len(), "each is its own trouble");
    }
}
