//! Small ones: namespaces, nodes, volume claims, custom kinds.

use super::{Control, pod};
use crate::delete::Options;
use crate::faults::STAGED;
use crate::object::{self, annotation, is_deleting, list, set, text};
use crate::store::{Key, Place};
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

/// A service account for a new namespace; the contents of one that goes.
pub(crate) fn namespace(control: &mut Control<'_>, name: &str) {
    let Some(namespace) = control.store.get("namespaces", "", name) else { return };
    if !is_deleting(&namespace) {
        if control.store.get("serviceaccounts", name, "default").is_none() {
            let accounts = control.resource("serviceaccounts");
            let _ = control.store.create(
                &accounts,
                name,
                json!({"metadata": {"name": "default"}}),
                &Writer::CONTROLLER,
            );
        }
        return;
    }
    let contents: Vec<Key> = control
        .store
        .everything()
        .filter(|(_, object)| object::namespace(object) == name)
        .map(|(table, object)| Key {
            table: table.clone(),
            namespace: name.to_owned(),
            name: object::name(object).to_owned(),
        })
        .collect();
    if contents.is_empty() {
        let resource = control.resource("namespaces");
        control.store.finalized(&resource, &namespace, "kubernetes");
        return;
    }
    for key in contents {
        let Some(resource) = control.store.registry.of_id(&key.table) else { continue };
        let going = control.store.get_key(&key).is_some_and(|object| is_deleting(&object));
        if !going {
            let options = Options { propagation: Some("Background".into()), ..Options::default() };
            let _ = control.store.delete(&resource, name, &key.name, &options);
        }
    }
    // The last contents may have gone at once.
    if control.store.everything().all(|(_, object)| object::namespace(object) != name)
        && let Some(namespace) = control.store.get("namespaces", "", name)
    {
        let resource = control.resource("namespaces");
        control.store.finalized(&resource, &namespace, "kubernetes");
    }
}

/// A cordon is also a taint; pods of a removed node go.
pub(crate) fn node(control: &mut Control<'_>, name: &str) {
    const KEY: &str = "node.kubernetes.io/unschedulable";
    let Some(node) = control.store.get("nodes", "", name) else {
        let lost: Vec<Place> = control
            .store
            .list("pods", "")
            .filter(|pod| text(pod, &["spec", "nodeName"]) == name)
            .map(|pod| (object::namespace(pod).to_owned(), object::name(pod).to_owned()))
            .collect();
        let pods = control.resource("pods");
        for place in lost {
            let _ = control.store.delete(
                &pods,
                &place.0,
                &place.1,
                &Options { grace: Some(0), ..Options::default() },
            );
        }
        return;
    };
    stage(control, &node);
    let Some(node) = control.store.get("nodes", "", name) else { return };
    let cordoned = node["spec"]["unschedulable"] == true;
    let mut taints: Vec<Value> = list(&node, &["spec", "taints"]).to_vec();
    let tainted = taints.iter().any(|taint| taint["key"] == KEY);
    if cordoned == tainted {
        return;
    }
    if cordoned {
        taints.push(json!({"key": KEY, "effect": "NoSchedule", "timeAdded": object::now()}));
    } else {
        taints.retain(|taint| taint["key"] != KEY);
    }
    let mut new = (*node).clone();
    if taints.is_empty() {
        object::remove(&mut new, &["spec", "taints"]);
    } else {
        set(&mut new, &["spec", "taints"], Value::Array(taints));
    }
    let resource = control.resource("nodes");
    control.store.commit(&resource, Some(node), Some(new));
}

/// A node's kubelet falls silent, or it runs out of memory, as long as that is staged. (Its pods go on as they are.)
fn stage(control: &mut Control<'_>, node: &Arc<Value>) {
    let conditions = [
        ("node-not-ready", "Ready", ["Unknown", "NodeStatusUnknown"], ["True", "KubeletReady"]),
        (
            "node-pressure",
            "MemoryPressure",
            ["True", "KubeletHasInsufficientMemory"],
            ["False", "KubeletHasSufficientMemory"],
        ),
    ];
    let (staged, mut status) = (annotation(node, STAGED), node["status"].clone());
    for (fault, kind, bad, good) in conditions {
        let is = list(node, &["status", "conditions"]).iter().find(|condition| condition["type"] == kind);
        let is_staged = is.is_some_and(|condition| condition["reason"] == bad[1]);
        if (staged == Some(fault)) != is_staged {
            let [is, reason] = if is_staged { good } else { bad };
            let words = match reason {
                "NodeStatusUnknown" => "Kubelet stopped posting node status.",
                "KubeletReady" => "kubelet is posting ready status",
                "KubeletHasInsufficientMemory" => "kubelet has insufficient memory available",
                _ => "kubelet has sufficient memory available",
            };
            pod::set_condition(&mut status, kind, is, reason, words);
        }
    }
    if status != node["status"] {
        let resource = control.resource("nodes");
        control.store.put_status(&resource, node, status);
    }
}

/// Every claim gets its volume at once.
pub(crate) fn claim(control: &mut Control<'_>, place: &Place) {
    let Some(claim) = control.get("persistentvolumeclaims", place) else { return };
    if text(&claim, &["status", "phase"]) == "Bound" || is_deleting(&claim) {
        return;
    }
    let mut new = (*claim).clone();
    set(&mut new, &["spec", "volumeName"], json!(format!("pvc-{}", object::uid(&claim))));
    new["status"] = json!({"phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": {"storage": object::at(&claim, &["spec", "resources", "requests", "storage"])}});
    let resource = control.resource("persistentvolumeclaims");
    control.store.commit(&resource, Some(claim), Some(new));
}

/// A definition is served as soon as it is stored; its conditions say so. Its objects go with it.
pub(crate) fn definition(control: &mut Control<'_>, name: &str) {
    let Some(definition) = control.store.get("customresourcedefinitions.apiextensions.k8s.io", "", name)
    else {
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        let left: Vec<Arc<Value>> = control.store.list(&format!("{plural}.{group}"), "").cloned().collect();
        control.store.drop_table(name, &left);
        return;
    };
    let mut status = definition["status"].clone();
    if status.is_null() {
        status = json!({});
    }
    pod::set_condition(&mut status, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
    pod::set_condition(
        &mut status,
        "Established",
        "True",
        "InitialNamesAccepted",
        "the initial names have been accepted",
    );
    status["acceptedNames"] = definition["spec"]["names"].clone();
    let stored: Vec<&Value> = list(&definition, &["spec", "versions"])
        .iter()
        .filter(|version| version["storage"] == true)
        .map(|version| &version["name"])
        .collect();
    status["storedVersions"] = json!(stored);
    let resource = control.resource("customresourcedefinitions.apiextensions.k8s.io");
    control.store.put_status(&resource, &definition, status);
}
