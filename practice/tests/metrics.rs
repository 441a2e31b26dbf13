//! What Prometheus would scrape.

use crate::world::{World, config_map, from, refusal, until};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

/// The page of metrics, line by line.
fn scrape(world: &World) -> Vec<String> {
    let url = world.practice.url();
    let mut socket = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    socket.write_all(b"GET /practice/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.lines().map(String::from).collect()
}

/// The only sample with this name and these labels.
fn one(lines: &[String], name: &str, labels: &[&str]) -> f64 {
    let found: Vec<&String> = lines
        .iter()
        .filter(|line| {
            line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
        })
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

fn deployment(replicas: u32, more: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "checkout", "namespace": "default", "annotations": {"practice.petrel.dev/load": "100"}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "checkout"}}, "template": {"metadata": {"labels": {"app": "checkout"}, "annotations": more},
            "spec": {"containers": [{"name": "app", "image": "x:1", "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}}]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_pods_and_nodes_have_the_metrics_of_kube_state_metrics() {
    let world = World::new().await;
    world.practice.apply(deployment(2, json!({})));
    world.practice.apply(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "checkout", "namespace": "default"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}, "minReplicas": 2, "maxReplicas": 7}}));
    world.practice.settled().await;
    let lines = scrape(&world);
    assert_eq!(one(&lines, "kube_deployment_spec_replicas", &["deployment=\"checkout\""]), 2.0);
    assert_eq!(one(&lines, "kube_deployment_status_replicas_available", &["namespace=\"default\""]), 2.0);
    assert_eq!(
        one(
            &lines,
            "kube_horizontalpodautoscaler_spec_max_replicas",
            &["horizontalpodautoscaler=\"checkout\""]
        ),
        7.0
    );
    assert_eq!(one(&lines, "kube_node_status_condition", &["node-1\"", "\"Ready\"", "status=\"true\""]), 1.0);
    assert_eq!(
        one(&lines, "kube_node_status_allocatable", &["node-1\"", "resource=\"cpu\"", "unit=\"core\""]),
        16.0
    );
    let pods = world.pods("checkout").await;
    let pod = format!("pod=\"{}\"", pods[0].metadata.name.as_deref().unwrap());
    assert_eq!(one(&lines, "kube_pod_info", &[&pod, "created_by_kind=\"ReplicaSet\""]), 1.0);
    assert_eq!(one(&lines, "kube_pod_status_phase", &[&pod, "phase=\"Running\""]), 1.0);
    assert_eq!(one(&lines, "kube_pod_status_phase", &[&pod, "phase=\"Pending\""]), 0.0);
    assert_eq!(one(&lines, "kube_pod_container_resource_requests", &[&pod, "resource=\"cpu\""]), 0.25);
    assert_eq!(
        one(&lines, "kube_pod_container_resource_limits", &[&pod, "resource=\"memory\"", "unit=\"byte\""]),
        268_435_456.0
    );
    assert!(one(&lines, "container_memory_working_set_bytes", &[&pod]) > 1e7);
    // Each family once, after its type: Prometheus refuses anything else.
    let types: Vec<&String> = lines.iter().filter(|line| line.starts_with("# TYPE ")).collect();
    let mut once = types.clone();
    once.dedup();
    assert_eq!(types, once);
    assert!(types.iter().any(|line| *line == "# TYPE kube_pod_container_status_restarts_total counter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_can_see_a_crash_loop() {
    let world = World::new().await;
    world.practice.apply(deployment(1, json!({"practice.petrel.dev/behaviour": "crash"})));
    world.practice.settled().await;
    let lines = scrape(&world);
    assert_eq!(
        one(&lines, "kube_pod_container_status_waiting_reason", &["reason=\"CrashLoopBackOff\""]),
        1.0
    );
    assert!(one(&lines, "kube_pod_container_status_restarts_total", &["container=\"app\""]) >= 1.0);
    assert_eq!(one(&lines, "kube_deployment_status_replicas_unavailable", &[]), 1.0);
    assert_eq!(one(&lines, "kube_pod_status_ready", &["condition=\"true\""]), 0.0);
}

/// What the counters of all pods have grown to over an hour of the past.
async fn an_hour_with(world: &World, replicas: u32, name: &str) -> Vec<f64> {
    world.practice.apply(deployment(replicas, json!({})));
    world.practice.settled().await;
    let (mut text, start) = (Vec::new(), 1_767_600_000);
    world.practice.write_history(start..start + 3601, 60, &[("cluster", "lab")], &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let last = text.lines().filter(|line| line.starts_with(name) && line.contains("pod=\"checkout"));
    last.filter_map(|line| line.strip_suffix(&format!(" {}", start + 3600)))
        .map(|line| {
            assert!(line.contains("cluster=\"lab\""));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_load_which_is_the_same_whenever_it_is_looked_at() {
    let world = World::new().await;
    let two = an_hour_with(&world, 2, "http_requests_total").await;
    assert_eq!(two, an_hour_with(&world, 2, "http_requests_total").await);
    let five = an_hour_with(&world, 5, "http_requests_total").await;
    assert_eq!((two.len(), five.len()), (2, 5));
    let (two_in_all, five_in_all): (f64, f64) = (two.iter().sum(), five.iter().sum());
    assert!((two_in_all - five_in_all).abs() < 1.0, "{two_in_all} {five_in_all}");
    assert!((two_in_all / 2.0 - two[0]).abs() < 1.0 && (five_in_all / 5.0 - five[0]).abs() < 1.0);
    // What a request costs does not depend on who answers it.
    let busy = an_hour_with(&world, 5, "container_cpu_usage_seconds_total").await.iter().sum::<f64>();
    let cost = (busy - 5.0 * 3600.0 * 0.25 * 0.02) / five_in_all;
    assert!((cost - 0.002).abs() < 0.0002, "{cost}");
}

/// As long as nobody answers it, a webhook that everything in its namespace must pass.
fn webhook(policy: &str) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "gate"},
        "webhooks": [{"name": "gate.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": policy, "timeoutSeconds": 1,
            "clientConfig": {"url": "https://192.0.2.1/gate"}, "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["pods", "configmaps"], "scope": "Namespaced"}]}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_nobody_answers_holds_up_or_refuses_what_it_is_asked_about_and_is_counted() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let make = async |name: &str| {
        maps.create(&PostParams::default(), &from(config_map(name, json!({})))).await.map(drop)
    };
    world.practice.apply(webhook("Ignore"));
    let began = Instant::now();
    make("a").await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    let lines = scrape(&world);
    assert_eq!(one(&lines, "apiserver_admission_webhook_fail_open_count", &["gate.example.com"]), 1.0);

    world.practice.apply(webhook("Fail"));
    let refused = refusal(make("b").await);
    assert_eq!(refused.code, 500);
    assert!(
        refused.message.starts_with("Internal error occurred: failed calling webhook \"gate.example.com\""),
        "{}",
        refused.message
    );
    // What it is not asked about is done: another operation, another namespace, another kind.
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let elsewhere = Api::<ConfigMap>::namespaced(world.client.clone(), "kube-public");
    elsewhere.create(&PostParams::default(), &from(config_map("c", json!({})))).await.unwrap();
    world.deploy(deployment(1, json!({}))).await;
    until("pods were refused more than once", || async {
        let lines = scrape(&world);
        let refused = ["error_type=\"calling_webhook_error\"", "operation=\"CREATE\""];
        one(&lines, "apiserver_admission_webhook_rejection_count", &refused) > 1.0
    })
    .await;
    assert!(world.pods("checkout").await.is_empty());
    assert!(world.practice.delete(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        None,
        "gate"
    ));
    until("there is a pod", || async { !world.pods("checkout").await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_in_the_service_mesh_is_in_what_requests_take() {
    let world = World::new().await;
    world.practice.seed_shop();
    world.practice.settled().await;
    let takes = || {
        let lines = scrape(&world);
        let of = |name: &str| {
            let own = lines.iter().filter(|line| line.starts_with(name) && line.contains("pod=\"checkout-"));
            own.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
        };
        (of("http_request_duration_seconds_sum"), of("http_request_duration_seconds_count"))
    };
    let mean = async || {
        let before = takes();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let after = takes();
        (after.0 - before.0) / (after.1 - before.1)
    };
    assert!((mean().await - 0.04).abs() < 0.01);
    world.practice.apply(json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "slow", "namespace": "shop"},
        "spec": {"hosts": ["checkout"], "http": [{"fault": {"delay": {"fixedDelay": "2s", "percentage": {"value": 50}}}, "route": [{"destination": {"host": "checkout"}}]}]}}));
    takes();
    assert!((mean().await - 1.04).abs() < 0.01);
}
