//! Patches, as the practice cluster takes them over the wire: it must stand as firmly as the server that it plays.

use crate::mutant::fuzz;
use practice::{Practice, PracticeConfig};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;

const PATCHES: &[&str] = &[
    r#"{"spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "app:2", "env": [{"name": "A", "$patch": "delete"}]}]}}}}"#,
    r#"{"metadata": {"labels": {"a": null, "b": "c"}, "$deleteFromPrimitiveList/finalizers": ["x"], "finalizers": ["example.com/y"]}, "spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}"#,
    r#"[{"op": "test", "path": "/spec/replicas", "value": 2}, {"op": "replace", "path": "/spec/replicas", "value": 5}, {"op": "remove", "path": "/spec/template/spec/containers/0"}, {"op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations"}, {"op": "move", "from": "/a~1b", "path": "/spec/template/spec/containers/-"}]"#,
    r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "default"}, "spec": {"replicas": 4, "template": {"spec": {"containers": [{"name": "app", "image": "app:3"}]}}}}"#,
];

const KINDS: [&str; 4] = ["merge-patch", "strategic-merge-patch", "json-patch", "apply-patch"];

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "default", "labels": {"a": "b"}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [{"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}]}]}}}})
}

#[test]
fn any_patch_is_taken_or_refused_with_a_status() {
    // The client wants a provider even for plain HTTP; another test in this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Practice::start(PracticeConfig::default())).expect("a practice cluster");
    runtime.block_on(async { cluster.apply(deployment()) });
    let kubeconfig = cluster.kubeconfig();
    let token = kubeconfig.split("token:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let token = token.expect("a token").trim_matches(['"', '\'']);
    let client = reqwest::Client::new();
    // A dry run goes the whole way but the last step, so every patch meets the same object.
    let url = format!(
        "{}/apis/apps/v1/namespaces/default/deployments/app?dryRun=All&fieldManager=fuzz&force=true",
        cluster.url()
    );
    let patch = |kind: &str, text: &str| {
        let kind_of = if kind == "apply-patch" { "yaml" } else { "json" };
        let force = kind == "apply-patch";
        let url = if force { url.as_str() } else { url.trim_end_matches("&force=true") };
        let call = client.patch(url).bearer_auth(token).body(text.to_string());
        let call = call.header("content-type", format!("application/{kind}+{kind_of}"));
        runtime.block_on(async {
            let answer = call.send().await.unwrap_or_else(|error| panic!("{kind} {text:?}: {error:?}"));
            let status = answer.status().as_u16();
            (
                status,
                answer.json::<Value>().await.unwrap_or_else(|error| panic!("{kind} {text:?}: {error:?}")),
            )
        })
    };
    for (kind, text) in [(0, 0), (1, 0), (3, 3)] {
        assert_eq!(patch(KINDS[kind], PATCHES[text]).0, 200, "{} refuses a seed", KINDS[kind]);
    }
    let check = AssertUnwindSafe(|text: &str| {
        for kind in KINDS {
            let (status, body) = patch(kind, text);
            match status {
                200 => assert_eq!(body["metadata"]["name"], "app", "{kind} {text:?}"),
                400..500 => assert_eq!(body["code"], status, "{kind} {text:?}"),
                // The real server fails so too.
                500 if body.to_string().contains("declared merge key") => {}
                _ => panic!("{kind} {text:?}: {status} {body}"),
            }
        }
    });
    fuzz!(PATCHES, |text: &str| check(text));
    runtime.block_on(cluster.stop());
}
