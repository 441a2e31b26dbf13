//! Nodes in pools, and the pods on them as sizes.

use crate::catalogue::{Quantity, controller};
use forecast::capacity::nodes::{Group, Shape, Size};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels by which providers name pools; the first that a node has counts.
const POOL_LABELS: [&str; 7] = [
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "node.cluster.x-k8s.io/pool",
    "pool",
    "node.kubernetes.io/instance-type",
];
const ZONE: &str = "topology.kubernetes.io/zone";
/// Nodes with these run no pods of people's own.
const CONTROL: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// Nodes of one kind.
pub(super) struct Pool {
    pub name: String,
    /// Of its nodes.
    pub names: Vec<String>,
    pub zones: u32,
    /// Of its smallest node, without what runs on every node.
    pub shape: Shape,
    /// All its nodes together.
    pub allocatable: Size,
    /// By all pods on it.
    pub requested: Size,
    /// Its pods but those that run on every node.
    pub groups: Vec<Group>,
}

/// The pools that take pods, by name.
pub(super) fn pools(nodes: &[Value], pods: &[Value]) -> Vec<Pool> {
    let mut by_name: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for node in nodes {
        let labels = &node["metadata"]["labels"];
        if CONTROL.iter().any(|label| labels.get(label).is_some()) {
            continue;
        }
        let name = POOL_LABELS.iter().find_map(|label| labels[label].as_str()).unwrap_or("nodes");
        by_name.entry(name.to_string()).or_default().push(node);
    }
    by_name.into_iter().map(|(name, nodes)| pool(name, &nodes, pods)).collect()
}

/// Of these nodes.
pub(super) fn pool(name: String, nodes: &[&Value], pods: &[Value]) -> Pool {
    let names: Vec<String> =
        nodes.iter().filter_map(|node| node["metadata"]["name"].as_str()).map(str::to_string).collect();
    let zones: BTreeSet<&str> =
        nodes.iter().filter_map(|node| node["metadata"]["labels"][ZONE].as_str()).collect();
    let mut everywhere: BTreeMap<&str, (Size, u32)> = BTreeMap::new();
    let mut sizes: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    let mut requested = Size::default();
    for pod in pods {
        let Some(node) =
            pod["spec"]["nodeName"].as_str().filter(|node| names.iter().any(|name| name == node))
        else {
            continue;
        };
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            continue;
        }
        let size = size(&pod["spec"]);
        requested = sum(requested, size);
        if controller(pod).is_some_and(|owner| owner["kind"] == "DaemonSet") {
            let (all, count) = everywhere.entry(node).or_default();
            (*all, *count) = (sum(*all, size), *count + 1);
        } else {
            *sizes.entry((size.cpu.to_bits(), size.memory.to_bits())).or_default() += 1;
        }
    }
    let least =
        |of: fn(&Size) -> f64, all: &[Size]| all.iter().map(of).fold(f64::INFINITY, f64::min).max(0.0);
    let most = |of: fn(&(Size, u32)) -> f64| everywhere.values().map(of).fold(0.0, f64::max);
    let offered: Vec<Size> = nodes.iter().map(|node| allocatable(node)).collect();
    let free = Size {
        cpu: (least(|size| size.cpu, &offered) - most(|(size, _)| size.cpu)).max(0.0),
        memory: (least(|size| size.memory, &offered) - most(|(size, _)| size.memory)).max(0.0),
    };
    let places =
        nodes.iter().filter_map(|node| node["status"]["allocatable"]["pods"].as_str()?.parse::<u32>().ok());
    let taken = everywhere.values().map(|(_, count)| *count).max().unwrap_or(0);
    let groups = sizes.into_iter().map(|((cpu, memory), count)| Group {
        size: Size { cpu: f64::from_bits(cpu), memory: f64::from_bits(memory) },
        count,
    });
    Pool {
        name,
        zones: (zones.len() as u32).max(1),
        shape: Shape { free, pods: places.min().unwrap_or(110).saturating_sub(taken) },
        allocatable: offered.iter().copied().fold(Size::default(), sum),
        requested,
        groups: groups.collect(),
        names,
    }
}

fn sum(a: Size, b: Size) -> Size {
    Size { cpu: a.cpu + b.cpu, memory: a.memory + b.memory }
}

fn allocatable(node: &Value) -> Size {
    let of = |resource: &str| read(&node["status"]["allocatable"][resource]);
    Size { cpu: of("cpu"), memory: of("memory") }
}

/// What the scheduler counts: the containers together or the largest that runs before them, and the runtime's overhead.
fn size(spec: &Value) -> Size {
    let of = |resource: &str| {
        let each = |list: &str| -> Vec<f64> {
            let containers = spec[list].as_array().into_iter().flatten();
            containers.map(|container| read(&container["resources"]["requests"][resource])).collect()
        };
        let before = each("initContainers").into_iter().fold(0.0, f64::max);
        each("containers").iter().sum::<f64>().max(before) + read(&spec["overhead"][resource])
    };
    Size { cpu: of("cpu"), memory: of("memory") }
}

fn read(quantity: &Value) -> f64 {
    let parsed = quantity.as_str().and_then(|text| text.parse::<Quantity>().ok());
    parsed.map_or(0.0, |quantity| quantity.millis() as f64 / 1000.0)
}
