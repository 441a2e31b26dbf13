//! `scale-nodes`: more or fewer nodes for a pool that Cluster API keeps (a MachineDeployment), or that the config names the object of, by
//! number or from the forecast of what its pods will request.

use super::*;
use crate::{
    cluster::PoolConfig,
    query::{Need, need, nodes_of_pool},
};
use draft::{Draft, while_it_moves};
use ledger::{Blast, Condition, ObjectRef, PatchKind, Risk};
use serde_json::json;
use std::time::Duration;
use workload::{Subject, accept, text};

const KIND: &str = "MachineDeployment";
/// What people type for a pool of the config, and its kind as a target.
const POOL: &str = "pool/";
const POOL_KIND: &str = "Pool";
const WHY_NOT: &str = "is no pool of nodes";
const MOST: u32 = 1_000;
/// Machines are made by a provider, and join when their system is up.
const WITHIN_S: u32 = 30 * 60;
/// Bounds that the Cluster Autoscaler keeps a pool within; with them it, and not `replicas`, decides.
const AUTOSCALED: [&str; 2] = [
    "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size",
    "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size",
];

/// See the module.
pub struct ScaleNodes;

impl Action for ScaleNodes {
    fn name(&self) -> &'static str {
        "scale-nodes"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("scale-nodes")
            .about("Set how many nodes a pool has, by number or from the forecast")
            .arg(target_arg("MachineDeployment of Cluster API, or pool/NAME of the config"))
            .arg(
                clap::Arg::new("nodes")
                    .value_name("NODES")
                    .value_parser(clap::value_parser!(u32).range(1..=i64::from(MOST)))
                    .help("How many; left out, as many as its pods will need, headroom included"),
            )
            .arg(
                clap::Arg::new("days")
                    .long("days")
                    .value_name("DAYS")
                    .default_value("30")
                    .value_parser(clap::value_parser!(u32).range(1..=180))
                    .help("How far the forecast looks ahead"),
            )
            .after_help("Example: scale-nodes md/workers -n capi -c prod-eu --why \"it runs out in a week\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = match matches.get_one::<String>("target").and_then(|typed| typed.strip_prefix(POOL)) {
            Some(name) => Named { kind: POOL_KIND.into(), name: name.into() },
            None => parse_accepted(matches, &[KIND], WHY_NOT)?,
        };
        let days = matches.get_one::<u32>("days").copied().unwrap_or(30);
        let mut parameters = json!({"days": days});
        if let Some(nodes) = matches.get_one::<u32>("nodes") {
            parameters["nodes"] = (*nodes).into();
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

/// The object that says how many nodes a pool has.
struct Keeper {
    subject: Subject,
    /// So many are wanted now.
    wanted: u32,
    /// Where its status says how many there are.
    there: Vec<String>,
    /// Of the pool's nodes.
    names: Vec<String>,
    /// None: a MachineDeployment.
    config: Option<PoolConfig>,
}

impl Keeper {
    async fn of(context: &PlanContext<'_>) -> Result<Keeper, PlanError> {
        if context.target.kind == POOL_KIND {
            return Keeper::configured(context).await;
        }
        accept(&context.target.kind, &[KIND], WHY_NOT).map_err(PlanError::Invalid)?;
        let subject = Subject::read(context).await?;
        if let Some(bounds) = autoscaled(&subject.object) {
            let why = format!(
                "the Cluster Autoscaler keeps {} within {bounds} nodes; change these bounds instead",
                subject.words()
            );
            return Err(PlanError::Invalid(why));
        }
        let namespace = subject.reference.namespace.as_deref().unwrap_or_default();
        let names = nodes_of(&subject.cluster, namespace, &subject.reference.name).await?;
        let there = ["/status/replicas", "/status/readyReplicas"].map(String::from).into();
        Ok(Keeper { wanted: subject.replicas(), there, names, config: None, subject })
    }

    async fn configured(context: &PlanContext<'_>) -> Result<Keeper, PlanError> {
        let (cluster, target) = (context.cluster, context.target);
        let is_it = |pool: &&PoolConfig| {
            pool.name == target.name && target.namespace.as_ref() == Some(&pool.namespace)
        };
        let Some(config) = cluster.pools().iter().find(is_it) else {
            let known: Vec<String> =
                cluster.pools().iter().map(|pool| format!("{} -n {}", pool.name, pool.namespace)).collect();
            let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
            let why = format!(
                "[[cluster.pool]] of {} names no pool {}; there are: {known}",
                cluster.name(),
                target.name
            );
            return Err(PlanError::Invalid(why));
        };
        let mut reference = ObjectRef {
            api_version: config.api_version.clone(),
            kind: config.kind.clone(),
            namespace: Some(config.namespace.clone()),
            name: config.object.clone(),
            uid: None,
        };
        let object = cluster.get(&reference).await?;
        let uid = Some(text(&object, "/metadata/uid"));
        reference.uid = uid.clone();
        let wanted = object.pointer(&config.nodes).and_then(Value::as_u64).ok_or_else(|| {
            PlanError::Invalid(format!("{} {} has no number at {}", config.kind, config.object, config.nodes))
        })?;
        let names = nodes_of_pool(cluster, &config.name).await?;
        if names.is_empty() {
            let why = format!(
                "no node belongs to a pool {}; nodes forecast shows what they are called",
                config.name
            );
            return Err(PlanError::Invalid(why));
        }
        let subject =
            Subject { cluster: cluster.clone(), object, reference, target: Target { uid, ..target.clone() } };
        let there = vec![config.ready.clone()];
        Ok(Keeper { wanted: wanted as u32, there, names, config: Some(config.clone()), subject })
    }

    fn change(&self, nodes: u32) -> Value {
        match &self.config {
            None => json!({"spec": {"replicas": nodes}}),
            Some(config) => config.wanting(nodes),
        }
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    let keeper = Keeper::of(&context).await?;
    let subject = &keeper.subject;
    let days = context.parameters["days"].as_u64().unwrap_or(30);
    let ahead = Duration::from_secs(days * 86_400);
    let need = need(&subject.cluster, &keeper.names, ahead, context.at).await?;
    let now = keeper.wanted;
    let asked = context.parameters["nodes"].as_u64().map(|nodes| nodes as u32);
    let wanted = asked.unwrap_or_else(|| need.then.max(now));
    if wanted == now {
        let for_days =
            if asked.is_none() { format!(" for {days} days, headroom included") } else { String::new() };
        return Err(PlanError::Nothing(format!("{} has {now} nodes{for_days}", subject.words())));
    }
    // To grow is never refused: it helps, even when it is not enough.
    if wanted < now && wanted < need.now {
        return Err(PlanError::Invalid(format!(
            "the pods on {} need {} nodes as it is, so that the loss of one is outlasted; {wanted} are too few",
            subject.words(),
            need.now
        )));
    }
    let status = |pointer: &String| Condition::Field {
        object: subject.reference.clone(),
        pointer: pointer.clone(),
        equals: wanted.into(),
    };
    let change = keeper.change(wanted);
    let after = subject.dry_run(PatchKind::Merge, &change).await?;
    let draft = Draft {
        action: "scale-nodes",
        summary: format!("scale {} from {now} to {wanted} nodes", subject.words()),
        kind: PatchKind::Merge,
        change,
        about_replicas: true,
        blast: blast(&need, now, wanted, days),
        risk: if wanted < now { Risk::High } else { Risk::Medium },
        conditions: keeper.there.iter().map(status).collect(),
        within_s: WITHIN_S,
    };
    draft.plan(context, keeper.subject, &after)
}

fn blast(need: &Need, now: u32, wanted: u32, days: u64) -> Blast {
    let mut facts = vec![
        ("Needed now".to_string(), format!("{} nodes, headroom included", need.now)),
        (format!("Needed in {days} days"), format!("{} nodes", need.then)),
    ];
    facts.extend(need.facts.clone());
    let mut blast = Blast { facts, ..Blast::default() };
    if wanted < now {
        blast.notes.push(format!("{} nodes are drained and given back; their pods move", now - wanted));
    } else if wanted < need.then {
        blast.notes.push("that is fewer than will be needed".to_string());
    }
    blast
}

/// `2 to 9`.
fn autoscaled(object: &Value) -> Option<String> {
    let [min, max] = AUTOSCALED.map(|name| object["metadata"]["annotations"][name].as_str());
    match (min, max) {
        (None, None) => None,
        (min, max) => Some(format!("{} to {}", min.unwrap_or("0"), max.unwrap_or("any number of"))),
    }
}

/// The nodes of one MachineDeployment, as its Machines say.
async fn nodes_of(cluster: &Cluster, namespace: &str, name: &str) -> Result<Vec<String>, PlanError> {
    let labels = format!("cluster.x-k8s.io/deployment-name={name}");
    let machines = cluster
        .list("cluster.x-k8s.io/v1beta1", "Machine", Some(namespace), Some(&labels), None, MOST)
        .await?;
    let nodes: Vec<String> = machines
        .iter()
        .map(|machine| text(machine, "/status/nodeRef/name"))
        .filter(|name| !name.is_empty())
        .collect();
    if nodes.is_empty() {
        return Err(PlanError::Invalid(format!(
            "none of the Machines of MachineDeployment {name} is a node of this cluster; name the cluster whose nodes they are"
        )));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Named, Value), String> {
        let matches = ScaleNodes
            .command()
            .try_get_matches_from(line.split_whitespace())
            .map_err(|error| error.to_string())?;
        ScaleNodes.parse(&matches)
    }

    #[test]
    fn a_number_of_nodes_may_be_left_out_and_is_never_none() {
        let (named, parameters) = parsed("scale-nodes md/workers").unwrap();
        assert_eq!((named.kind.as_str(), parameters), ("MachineDeployment", json!({"days": 30})));
        assert_eq!(parsed("scale-nodes md/workers 5 --days 7").unwrap().1, json!({"days": 7, "nodes": 5}));
        assert_eq!(
            parsed("scale-nodes pool/spot").unwrap().0,
            Named { kind: "Pool".into(), name: "spot".into() }
        );
        assert!(parsed("scale-nodes md/workers 0").is_err());
        assert!(parsed("scale-nodes deploy/checkout 3").unwrap_err().contains("is no pool of nodes"));
    }

    #[test]
    fn a_pool_with_bounds_is_the_autoscalers() {
        let bounds = json!({"metadata": {"annotations": {AUTOSCALED[0]: "2", AUTOSCALED[1]: "9"}}});
        assert_eq!(autoscaled(&bounds).as_deref(), Some("2 to 9"));
        assert_eq!(autoscaled(&json!({"metadata": {}})), None);
    }
}
