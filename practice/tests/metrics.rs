//! What Prometheus would scrape.

use crate::world::World;
use serde_json::{Value, json};
use std::io::{Read, Write};

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
