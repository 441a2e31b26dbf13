//! What goes wrong in the demo.

use practice::Practice;
use serde_json::{Value, json};

const NAMESPACE: &str = "shop";
/// A kubelet of the practice cluster reads it: what becomes of a pod.
const BEHAVIOUR: &str = "/spec/template/metadata/annotations/practice.petrel.dev~1behaviour";
/// What may get a bad release. The other ones scale by themselves, or are not the shop's.
const RELEASED: [&str; 3] = ["payments", "cart", "checkout"];

/// Something to look into with `describe`, `events` and `logs --previous`.
pub fn standing(staging: &Practice) {
    const NAME: &str = "recommendations";
    if deployment(staging, NAME).is_none() {
        staging.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"app": NAME}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": NAME}}, "template": {"metadata": {"labels": {"app": NAME}, "annotations": {"practice.petrel.dev/behaviour": "crash"}},
                "spec": {"containers": [{"name": NAME, "image": "registry.shop.example/recommendations:0.3.0"}]}}}}));
    }
}

/// A release that crash-loops: its name and tag. None when one is out already and nobody has taken it back, or nothing is left that could
/// get one.
pub fn bad_release(production: &Practice) -> Option<(String, String)> {
    let all: Vec<Value> = RELEASED.iter().filter_map(|name| deployment(production, name)).collect();
    if all.iter().any(|one| one.pointer(BEHAVIOUR).is_some()) {
        return None;
    }
    // Another one than the last time, so that a second start is no relapse of the first one's.
    let mut next = all.into_iter().min_by_key(revision)?;
    let name = next["metadata"]["name"].as_str()?.to_owned();
    let image = next["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
    let (repository, tag) = image.rsplit_once(':')?;
    let tag = after(tag);
    let image = format!("{repository}:{tag}");
    next["metadata"]["annotations"]["kubernetes.io/change-cause"] = json!(format!("release {tag}"));
    let template = &mut next["spec"]["template"];
    template["metadata"]["annotations"]["practice.petrel.dev/behaviour"] = json!("crash");
    template["spec"]["containers"][0]["image"] = json!(image);
    production.apply(next);
    Some((name, tag))
}

fn deployment(cluster: &Practice, name: &str) -> Option<Value> {
    cluster.get("apps/v1", "Deployment", Some(NAMESPACE), name)
}

fn revision(deployment: &Value) -> u32 {
    let written = &deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
    written.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// `2.15.0` after `2.14.1`.
fn after(tag: &str) -> String {
    let mut parts = tag.split('.');
    let (major, minor) =
        (parts.next().unwrap_or(tag), parts.next().and_then(|minor| minor.parse::<u32>().ok()));
    format!("{major}.{}.0", minor.map_or(1, |minor| minor + 1))
}
