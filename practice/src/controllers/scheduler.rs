//! The scheduler: a node for every pod that fits on one.

use super::{Control, event, pod};
use crate::object::{self, at, holds, is_deleting, list, set, text};
use crate::quantity;
use crate::selector::Labels;
use crate::store::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCE: &str = "default-scheduler";

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(pod) = control.get("pods", place) else { return };
    let ours = text(&pod, &["spec", "nodeName"]).is_empty()
        && !is_deleting(&pod)
        && text(&pod, &["spec", "schedulerName"]) == SOURCE
        && list(&pod, &["spec", "schedulingGates"]).is_empty();
    if !ours {
        return;
    }
    let mut best: Option<(f64, String)> = None;
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut nodes = 0;
    for node in control.store.list("nodes", "") {
        nodes += 1;
        match fits(control, &pod, node) {
            Ok(score) if best.as_ref().is_none_or(|(lowest, _)| score < *lowest) => {
                best = Some((score, object::name(node).to_owned()))
            }
            Ok(_) => {}
            Err(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    let resource = control.resource("pods");
    let mut new = (*pod).clone();
    if let Some((_, node)) = best {
        set(&mut new, &["spec", "nodeName"], json!(node));
        pod::set_condition(&mut new["status"], "PodScheduled", "True", "", "");
        let bound = control.store.commit(&resource, Some(pod), Some(new));
        event::record(
            control,
            &bound,
            SOURCE,
            false,
            "Scheduled",
            &format!("Successfully assigned {}/{} to {node}", place.0, place.1),
        );
        return;
    }
    let why: Vec<String> = reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let message = format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {nodes} No preemption victims found for incoming pod.",
        why.join(", ")
    );
    pod::set_condition(&mut new["status"], "PodScheduled", "False", "Unschedulable", &message);
    control.work.wait_for_room(place);
    if new != *pod {
        let pod: Arc<Value> = control.store.commit(&resource, Some(pod), Some(new));
        event::record(control, &pod, SOURCE, true, "FailedScheduling", &message);
    }
}

/// How full the node would be (0 to 1), or why the pod cannot go there.
fn fits(control: &Control<'_>, pod: &Value, node: &Value) -> Result<f64, String> {
    if !holds(node, "Ready") {
        return Err("node(s) were not ready".into());
    }
    for taint in list(node, &["spec", "taints"]) {
        let hard = matches!(text(taint, &["effect"]), "NoSchedule" | "NoExecute");
        if hard && !list(pod, &["spec", "tolerations"]).iter().any(|toleration| tolerates(toleration, taint))
        {
            return Err(match text(taint, &["key"]) {
                "node.kubernetes.io/unschedulable" => "node(s) were unschedulable".into(),
                key => format!("node(s) had untolerated taint {{{key}: {}}}", text(taint, &["value"])),
            });
        }
    }
    if node["spec"]["unschedulable"] == true
        && !list(pod, &["spec", "tolerations"])
            .iter()
            .any(|toleration| text(toleration, &["key"]) == "node.kubernetes.io/unschedulable")
    {
        return Err("node(s) were unschedulable".into());
    }
    let wanted = Labels::of(&json!({"matchLabels": at(pod, &["spec", "nodeSelector"])})).unwrap_or_default();
    if !wanted.matches(object::labels(node)) {
        return Err("node(s) didn't match Pod's node affinity/selector".into());
    }
    let used = control.work.used(object::name(node));
    let (cpu, memory) = quantity::requests(pod);
    let has = |resource: &str, fallback: f64| {
        quantity::parse(at(node, &["status", "allocatable", resource])).unwrap_or(fallback)
    };
    let (all_cpu, all_memory, all_pods) = (has("cpu", 0.0), has("memory", 0.0), has("pods", 110.0));
    if used.cpu + cpu > all_cpu + 1e-9 {
        return Err("Insufficient cpu".into());
    }
    if used.memory + memory > all_memory + 0.5 {
        return Err("Insufficient memory".into());
    }
    if used.pods as f64 + 1.0 > all_pods {
        return Err("Too many pods".into());
    }
    Ok(((used.cpu + cpu) / all_cpu.max(1e-9) + (used.pods as f64 + 1.0) / all_pods) / 2.0)
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (text(toleration, &["key"]), text(toleration, &["effect"]));
    let exists = text(toleration, &["operator"]) == "Exists";
    (key == text(taint, &["key"]) || key.is_empty() && exists)
        && (effect.is_empty() || effect == text(taint, &["effect"]))
        && (exists || text(toleration, &["value"]) == text(taint, &["value"]))
}
