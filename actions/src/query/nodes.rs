//! `nodes forecast`: how many nodes each pool will need, and when it runs out as it is.

use super::{
    Answer, Query, QueryError,
    pool::{Pool, pool, pools},
};
use crate::{
    cluster::{Cluster, ClusterError},
    metric::{Range, SETTLED, amount},
};
use ::forecast::capacity::nodes::{Growth, Packing, grown, pack, with_headroom};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Objects that are read.
const READ: u32 = 20_000;
/// How far back growth is looked for.
const BACK: Duration = Duration::from_secs(28 * 86_400);
const STEP: Duration = Duration::from_secs(3600);
const DAY_S: u64 = 86_400;

/// See the module.
pub struct Nodes;

impl Query for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("nodes")
            .about("Show how many nodes each pool will need, and when it runs out")
            .arg(
                clap::Arg::new("do")
                    .value_name("forecast")
                    .required(true)
                    .value_parser(["forecast"])
                    .hide_possible_values(true)
                    .help("forecast: from the requests of pods and how they grow"),
            )
            .arg(
                clap::Arg::new("days")
                    .long("days")
                    .value_name("DAYS")
                    .default_value("30")
                    .value_parser(clap::value_parser!(u32).range(1..=180))
                    .help("How far ahead"),
            )
            .after_help("Example: nodes forecast -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        _: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let days = matches.get_one::<u32>("days").copied().unwrap_or(30);
            look(cluster, days, Timestamp::now()).await
        })
    }
}

/// How many nodes a pool needs, to outlast the loss of its largest zone and one node more.
pub(crate) struct Need {
    /// For the pods that are there.
    pub now: u32,
    /// When they have grown.
    pub then: u32,
    /// What speaks for it, as labels and values.
    pub facts: Vec<(String, String)>,
}

/// Of the pool that these nodes are, `ahead` of `at`. The pods are those of now, the growth is that up to `at`.
pub(crate) async fn need(
    cluster: &Cluster,
    names: &[String],
    ahead: Duration,
    at: Timestamp,
) -> Result<Need, ClusterError> {
    let nodes = cluster.list("v1", "Node", None, None, None, READ).await?;
    let pods = cluster.list("v1", "Pod", None, None, None, READ).await?;
    let is_ours = |node: &&Value| names.iter().any(|name| node["metadata"]["name"] == name.as_str());
    let (ours, others): (Vec<&Value>, Vec<&Value>) = nodes.iter().partition(is_ours);
    let others: Vec<Value> = others.into_iter().cloned().collect();
    let mut all = vec![pool("pool".into(), &ours, &pods)];
    all.extend(pools(&others, &pods));
    let (past, note) = past(cluster, &all, at - SETTLED).await;
    let outlook = Outlook::of(&all[0], past.into_iter().next().unwrap_or_default(), ahead);
    let mut facts = vec![("Runs out".to_string(), outlook.runs_out())];
    facts.extend(outlook.grows().map(|grows| ("Growth".to_string(), grows)));
    facts.extend(note.map(|note| ("Growth".to_string(), format!("not known: {note}"))));
    if outlook.misfits > 0 {
        facts.push(("Pods that fit on no such node".into(), outlook.misfits.to_string()));
    }
    Ok(Need { now: outlook.needed.0, then: outlook.needed.1, facts })
}

/// The nodes of a pool, by its name here.
pub(crate) async fn nodes_of_pool(cluster: &Cluster, name: &str) -> Result<Vec<String>, ClusterError> {
    let nodes = cluster.list("v1", "Node", None, None, None, READ).await?;
    let pool = pools(&nodes, &[]).into_iter().find(|pool| pool.name == name);
    Ok(pool.map(|pool| pool.names).unwrap_or_default())
}

/// MachineDeployments of Cluster API, each as what people type for it, by the names of their nodes. None where there is no Cluster API, or it is
/// not ours to see.
async fn deployments(cluster: &Cluster) -> Result<BTreeMap<String, String>, ClusterError> {
    let machines = match cluster.list("cluster.x-k8s.io/v1beta1", "Machine", None, None, None, READ).await {
        Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => Vec::new(),
        machines => machines?,
    };
    let of = |machine: &Value| {
        let node = machine["status"]["nodeRef"]["name"].as_str()?.to_string();
        let name = machine["metadata"]["labels"]["cluster.x-k8s.io/deployment-name"].as_str()?;
        Some((node, format!("md/{name} -n {}", machine["metadata"]["namespace"].as_str()?)))
    };
    Ok(machines.iter().filter_map(of).collect())
}

async fn look(cluster: &Cluster, days: u32, now: Timestamp) -> Result<Answer, QueryError> {
    let nodes = cluster.list("v1", "Node", None, None, None, READ).await?;
    let pods = cluster.list("v1", "Pod", None, None, None, READ).await?;
    let pools = pools(&nodes, &pods);
    if pools.is_empty() {
        return Err(QueryError::Invalid("there is no node that takes pods".into()));
    }
    let deployments = deployments(cluster).await?;
    let (past, note) = past(cluster, &pools, now).await;
    let ahead = Duration::from_secs(u64::from(days) * DAY_S);
    let outlooks: Vec<Outlook> =
        pools.iter().zip(past).map(|(pool, used)| Outlook::of(pool, used, ahead)).collect();
    let mut keepers = deployments;
    for config in cluster.pools() {
        let names = pools.iter().filter(|pool| pool.name == config.name).flat_map(|pool| &pool.names);
        let typed = format!("pool/{} -n {}", config.name, config.namespace);
        keepers.extend(names.map(|name| (name.clone(), typed.clone())));
    }
    Ok(told(cluster.name(), days, &outlooks, &keepers, note))
}

/// Requested cpu and memory of each pool, hour by hour; or a note why there is none.
async fn past(cluster: &Cluster, pools: &[Pool], now: Timestamp) -> (Vec<[Vec<f64>; 2]>, Option<String>) {
    let none = || vec![[Vec::new(), Vec::new()]; pools.len()];
    let prometheus = match cluster.prometheus() {
        Ok(prometheus) => prometheus,
        Err(error) => return (none(), Some(error.to_string())),
    };
    let range = Range::before(now, BACK, STEP);
    let mut all = none();
    for (place, resource) in ["cpu", "memory"].into_iter().enumerate() {
        let query = format!(
            "sum by (node) (kube_pod_container_resource_requests{{{}resource=\"{resource}\",node!=\"\"}})",
            prometheus.labels()
        );
        let lines = match prometheus.range(&query, range).await {
            Ok(answer) => answer.data,
            Err(error) => return (none(), Some(error.to_string())),
        };
        let hours = ((range.end() - range.start()) / range.step()) as usize + 1;
        for line in &lines {
            let Some(pool) = line.labels.get("node").and_then(|node| owner(pools, node)) else { continue };
            let sums = &mut all[pool][place];
            sums.resize(hours, f64::NAN);
            for (at, value) in line.points.iter().filter(|(_, value)| value.is_finite()) {
                let slot = &mut sums[((at - range.start()) / range.step()) as usize];
                *slot = if slot.is_nan() { *value } else { *slot + value };
            }
        }
    }
    (all, None)
}

/// The pool of a node by its name; of one that is gone, the pool whose nodes are named most like it.
fn owner(pools: &[Pool], node: &str) -> Option<usize> {
    let alike = |name: &String| name.bytes().zip(node.bytes()).take_while(|(a, b)| a == b).count();
    let best = |pool: &Pool| {
        pool.names.iter().map(|name| if name == node { usize::MAX } else { alike(name) }).max().unwrap_or(0)
    };
    (0..pools.len()).max_by_key(|&index| (best(&pools[index]), std::cmp::Reverse(index)))
}

/// What comes towards one pool.
struct Outlook<'a> {
    pool: &'a Pool,
    /// Of cpu and memory.
    growth: [Option<Growth>; 2],
    /// Nodes that today's pods need, and those of then, each with headroom.
    needed: (u32, u32),
    misfits: u32,
}

impl<'a> Outlook<'a> {
    fn of(pool: &'a Pool, used: [Vec<f64>; 2], ahead: Duration) -> Outlook<'a> {
        let growth = used.map(|used| Growth::of(&used, STEP));
        let factor = growth.iter().flatten().map(|growth| growth.factor(ahead)).fold(1.0, f64::max);
        let count = |packed: &Packing| with_headroom(packed.nodes.len() as u32, pool.zones);
        let (now, then) = (pack(&pool.shape, &pool.groups), pack(&pool.shape, &grown(&pool.groups, factor)));
        Outlook { pool, growth, needed: (count(&now), count(&then)), misfits: now.misfits }
    }

    /// The resource that runs out first, with the days: as likely as not, and earliest with one chance in ten.
    fn first(&self) -> Option<(&'static str, Option<f64>, Option<f64>)> {
        let room = [("cpu", self.pool.allocatable.cpu), ("memory", self.pool.allocatable.memory)];
        let ends = room.into_iter().zip(&self.growth).filter_map(|((name, room), growth)| {
            let [likely, early, _] = growth.as_ref()?.runs_out(room);
            Some((name, likely, early))
        });
        ends.min_by(|a, b| {
            let days = |end: &(&str, Option<f64>, Option<f64>)| end.2.unwrap_or(f64::INFINITY);
            days(a).total_cmp(&days(b))
        })
    }

    /// `+1.5 cores a day, +2 GiB a day`
    fn grows(&self) -> Option<String> {
        let parts = ["cpu", "memory"].into_iter().zip(&self.growth).filter_map(|(name, growth)| {
            let slope = growth.as_ref()?.slope;
            Some(format!("{}{} a day", if slope < 0.0 { "-" } else { "+" }, amount(name, slope.abs())))
        });
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn runs_out(&self) -> String {
        let days = |days: f64| format!("{days:.0} d");
        match self.first() {
            None => "not known".into(),
            Some((name, Some(likely), Some(early))) => {
                format!("{name}: {}, 1 in 10: {}", days(likely), days(early))
            }
            Some((name, None, Some(early))) => format!("{name}: 1 in 10: {}", days(early)),
            Some(_) => "not within a year".into(),
        }
    }
}

fn told(
    cluster: &str,
    days: u32,
    outlooks: &[Outlook<'_>],
    keepers: &BTreeMap<String, String>,
    note: Option<String>,
) -> Answer {
    let of = |used: f64, all: f64| {
        if all > 0.0 { format!(" ({:.0} %)", 100.0 * used / all) } else { String::new() }
    };
    let header = [
        "POOL",
        "NODES",
        "ZONES",
        "CPU REQUESTED",
        "MEMORY REQUESTED",
        "RUNS OUT",
        "NEEDED NOW",
        "NEEDED THEN",
    ];
    let rows = outlooks.iter().map(|outlook| {
        let pool = outlook.pool;
        let (asked, room) = (pool.requested, pool.allocatable);
        vec![
            pool.name.clone(),
            pool.names.len().to_string(),
            pool.zones.to_string(),
            format!("{}{}", amount("cpu", asked.cpu), of(asked.cpu, room.cpu)),
            format!("{}{}", amount("memory", asked.memory), of(asked.memory, room.memory)),
            outlook.runs_out(),
            outlook.needed.0.to_string(),
            outlook.needed.1.to_string(),
        ]
    });
    let mut text = Vec::new();
    for outlook in outlooks {
        let (pool, have) = (outlook.pool, outlook.pool.names.len() as u32);
        if outlook.needed.1 > have {
            let more = outlook.needed.1 - have;
            text.push(format!(
                "{} needs {more} more {} within {days} days, to outlast {}.",
                pool.name,
                if more == 1 { "node" } else { "nodes" },
                if pool.zones > 1 { "a zone and a node" } else { "a node" }
            ));
            let kept: BTreeSet<&String> = pool.names.iter().filter_map(|name| keepers.get(name)).collect();
            for keeper in kept {
                text.push(format!("To ask for them: `scale-nodes {keeper} -c {cluster} --days {days}`."));
            }
        }
        if outlook.misfits > 0 {
            text.push(format!("{} pods of {} fit on no node of its shape.", outlook.misfits, pool.name));
        }
    }
    if text.is_empty() {
        text.push(format!("Every pool has enough nodes for {days} days, headroom included."));
    }
    let shown = |outlook: &Outlook<'_>| Some((format!("growth of {}", outlook.pool.name), outlook.grows()?));
    let mut fields: Vec<(String, String)> = outlooks.iter().filter_map(shown).collect();
    if let Some(note) = note {
        fields.push(("growth".into(), format!("not known: {note}")));
    }
    fields.push((
        "headroom".into(),
        "what is left when the largest zone and one node more are lost still holds every pod; packed by requests, \
         without affinity, taints and volumes"
            .into(),
    ));
    Answer {
        title: format!("Nodes of {cluster}, next {days} days"),
        text: Some(text.join(" ")),
        fields,
        table: Some((header.map(String::from).into(), rows.collect())),
        ..Answer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, pool: &str, zone: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {"eks.amazonaws.com/nodegroup": pool, "topology.kubernetes.io/zone": zone}},
            "status": {"allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"}}})
    }

    fn pod(node: &str, cpu: &str, owner: &str) -> Value {
        json!({"metadata": {"ownerReferences": [{"kind": owner, "controller": true}]}, "status": {"phase": "Running"},
            "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}})
    }

    #[test]
    fn a_pool_that_grows_runs_out_and_says_how_many_nodes_it_takes() {
        let nodes: Vec<Value> =
            (0..6).map(|i| node(&format!("web-{i}"), "web", ["a", "b", "c"][i % 3])).collect();
        let pods: Vec<Value> = (0..12).map(|i| pod(&format!("web-{}", i % 6), "1", "ReplicaSet")).collect();
        let pools = pools(&nodes, &pods);
        assert_eq!((pools.len(), pools[0].zones, pools[0].requested.cpu), (1, 3, 12.0));
        // Half a core a day more, for four weeks; now 12 of 24.
        let used: Vec<f64> =
            (0..28 * 24).map(|hour| 12.0 - 0.5 * f64::from(28 * 24 - 1 - hour) / 24.0).collect();
        let outlook = Outlook::of(&pools[0], [used, Vec::new()], Duration::from_secs(30 * DAY_S));
        // Packed on three nodes, seven keep three when two of a zone and one more are lost.
        assert_eq!(outlook.needed.0, 6, "3 nodes hold them; 6 - 2 - 1 are left");
        let deployments =
            ["web-0", "web-5"].map(|node| (node.to_string(), "md/web -n capi".to_string())).into();
        let answer = told("prod-eu", 30, &[outlook], &deployments, None);
        let row = &answer.table.unwrap().1[0];
        assert_eq!(row[3], "12 cores (50 %)");
        assert!(row[5].starts_with("cpu: 24 d, 1 in 10: 2"), "{row:?}");
        let needed: u32 = row[7].parse().unwrap();
        assert!((11..=14).contains(&needed), "27 cores are 7 nodes of 4, and headroom: {row:?}");
        let text = answer.text.unwrap();
        assert!(text.starts_with("web needs "), "{text}");
        assert!(
            text.ends_with("To ask for them: `scale-nodes md/web -n capi -c prod-eu --days 30`."),
            "{text}"
        );
    }

    #[test]
    fn nodes_that_are_gone_belong_to_those_named_like_them() {
        let nodes = [node("ip-web-1", "web", "a"), node("ip-db-1", "db", "a")];
        let pools = pools(&nodes, &[]);
        let name = |node: &str| pools[owner(&pools, node).unwrap()].name.clone();
        assert_eq!([name("ip-web-9"), name("ip-db-7"), name("ip-db-1")], ["web", "db", "db"]);
    }

    #[test]
    fn without_a_history_today_is_packed_all_the_same() {
        let nodes = [node("n1", "all", "a"), node("n2", "all", "a")];
        let pods =
            [pod("n1", "1", "ReplicaSet"), pod("n1", "500m", "DaemonSet"), pod("n2", "500m", "DaemonSet")];
        let pools = pools(&nodes, &pods);
        assert_eq!(pools[0].shape.free.cpu, 3.5, "what runs on every node is taken off");
        let outlook = Outlook::of(&pools[0], [Vec::new(), Vec::new()], Duration::from_secs(DAY_S));
        assert_eq!((outlook.needed, outlook.runs_out().as_str()), ((2, 2), "not known"));
        let answer = told("prod-eu", 30, &[outlook], &BTreeMap::new(), Some("no Prometheus".into()));
        assert!(answer.text.unwrap().starts_with("Every pool has enough nodes"));
    }
}
