//! The wire operations and the registry against practice clusters that misbehave.

mod exec;

use crate::scene::{Scene, config};
use actions::cluster::{Cluster, ClusterConfig, ClusterError, Clusters};
use ledger::{ObjectRef, PatchKind};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn checkout() -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "checkout".into(),
        uid: None,
    }
}

fn config_map(name: &str) -> (ObjectRef, Value) {
    let object = ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: None,
    };
    (
        object,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"a": "1"}}),
    )
}

#[tokio::test]
async fn a_patch_is_ours_and_a_dry_run_writes_nothing() {
    let scene = Scene::shop().await;
    let body = json!({"metadata": {"labels": {"tier": "front"}}});
    let shown = scene.cluster.patch(&checkout(), PatchKind::Merge, &body, true).await.unwrap();
    assert_eq!(shown["metadata"]["labels"]["tier"], "front");
    assert_eq!(scene.object("Deployment", "checkout")["metadata"]["labels"]["tier"], Value::Null);
    scene.cluster.patch(&checkout(), PatchKind::Merge, &body, false).await.unwrap();
    assert_eq!(scene.object("Deployment", "checkout")["metadata"]["labels"]["tier"], "front");
    let calls = scene.practice.audit();
    assert_eq!(
        calls.iter().map(|call| (call.dry_run, call.field_manager.as_str())).collect::<Vec<_>>(),
        [(true, "petrel"), (false, "petrel")]
    );
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let scene = Scene::shop().await;
    let cluster = &scene.cluster;
    let version = json!({"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}});
    assert!(
        matches!(cluster.patch(&checkout(), PatchKind::Merge, &version, false).await, Err(ClusterError::Conflict { reason, .. }) if reason == "Conflict")
    );
    let other = ObjectRef { uid: Some("00000000-0000-4000-8000-000000000000".into()), ..checkout() };
    assert!(matches!(
        cluster.patch(&other, PatchKind::Merge, &json!({"spec": {"replicas": 1}}), false).await,
        Err(ClusterError::Conflict { .. } | ClusterError::Invalid { .. })
    ));
    assert!(matches!(cluster.delete(&other, None, false).await, Err(ClusterError::Conflict { .. })));
    assert!(
        matches!(cluster.delete(&checkout(), None, false).await, Err(ClusterError::Invalid { .. })),
        "a delete without a uid is not sent"
    );
    assert!(matches!(
        cluster.patch(&checkout(), PatchKind::Merge, &json!({"spec": {"replicas": "three"}}), false).await,
        Err(ClusterError::Invalid { .. })
    ));
    let missing = ObjectRef { name: "nothing".into(), ..checkout() };
    assert_eq!(
        cluster.get(&missing).await.unwrap_err().to_string(),
        "Deployment shop/nothing does not exist"
    );
    let (object, body) = config_map("one");
    cluster.create(&object, &body, false).await.unwrap();
    assert!(
        matches!(cluster.create(&object, &body, false).await, Err(ClusterError::Conflict { reason, .. }) if reason == "AlreadyExists")
    );
    assert!(scene.practice.audit().iter().all(|call| !call.took_effect() || call.resource == "configmaps"));
}

#[tokio::test]
async fn a_token_that_may_not_is_forbidden() {
    let scene = Scene::shop().await;
    let limited = scene.also(&scene.practice.limited_kubeconfig(&[("deployments", &["get"])]), 5);
    limited.get(&checkout()).await.unwrap();
    let error = limited
        .patch(&checkout(), PatchKind::Merge, &json!({"spec": {"replicas": 1}}), false)
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn what_our_token_may_not_do_is_named() {
    let scene = Scene::shop().await;
    assert_eq!(scene.cluster.not_allowed().await.unwrap(), Vec::<String>::new());
    let workload: &[&str] = &["get", "list", "patch"];
    let limited = scene.also(
        &scene.practice.limited_kubeconfig(&[
            ("deployments", workload),
            ("statefulsets", workload),
            ("daemonsets", &["get", "list"]),
            ("pods", &["get", "list"]),
            ("replicasets", &["list"]),
            ("controllerrevisions", &["list"]),
            ("jobs", &["get", "create"]),
            ("cronjobs", &["get"]),
        ]),
        5,
    );
    assert_eq!(
        limited.not_allowed().await.unwrap(),
        ["patch daemonsets", "delete pods", "get pods/log", "create pods/exec"]
    );
}

#[tokio::test]
async fn what_watching_needs_is_asked_for_where_a_cluster_is_watched() {
    let scene = Scene::shop().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limited.yaml");
    let rights: &[(&str, &[&str])] = &[("pods", &["get", "list", "watch"]), ("nodes", &["list", "watch"])];
    std::fs::write(&file, scene.practice.limited_kubeconfig(rights)).unwrap();
    for (watch, named) in [(true, true), (false, false)] {
        let config = ClusterConfig { watch, ..config("practice", &file, 5) };
        let cluster = Clusters::new(vec![config]).get("practice").unwrap();
        let missing = cluster.not_allowed().await.unwrap();
        assert_eq!(
            missing.iter().filter(|what| what.ends_with(" events")).count() == 2,
            named,
            "{missing:?}"
        );
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_unreachable_though_it_took_place() {
    let scene = Scene::shop().await;
    scene.practice.faults().drop_answers(1);
    let error = scene
        .cluster
        .patch(&checkout(), PatchKind::Merge, &json!({"spec": {"replicas": 5}}), false)
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable { .. }), "{error}");
    assert_eq!(scene.object("Deployment", "checkout")["spec"]["replicas"], 5);
    assert_eq!(
        scene.practice.audit().iter().filter(|call| call.took_effect()).count(),
        1,
        "it was not retried below us"
    );
}

#[tokio::test]
async fn a_server_error_is_unknown_for_a_write_and_an_error_for_a_read() {
    let scene = Scene::shop().await;
    for code in [500, 503, 504] {
        scene.practice.faults().fail_next(1, code);
        let error = scene
            .cluster
            .patch(&checkout(), PatchKind::Merge, &json!({"spec": {"replicas": 5}}), false)
            .await
            .unwrap_err();
        assert!(matches!(error, ClusterError::Unreachable { .. }), "{code}: {error}");
        scene.practice.faults().fail_next(1, code);
        let error = scene.cluster.get(&checkout()).await.unwrap_err();
        assert!(matches!(error, ClusterError::Other { .. }), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_call_ends_at_its_timeout() {
    let scene = Scene::shop().await;
    let impatient = scene.also(&scene.practice.kubeconfig(), 1);
    scene.practice.faults().latency(Duration::from_secs(30));
    let started = Instant::now();
    let error = impatient.get(&checkout()).await.unwrap_err();
    assert!(matches!(error, ClusterError::Unreachable { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_dead_cluster_is_not_asked_again_until_it_may_be_back() {
    let scene = Scene::shop().await;
    scene.practice.faults().refuse(true);
    for _ in 0..3 {
        assert!(matches!(scene.cluster.get(&checkout()).await, Err(ClusterError::Unreachable { .. })));
    }
    assert!(matches!(scene.cluster.get(&checkout()).await, Err(ClusterError::Open { .. })));
    scene.practice.faults().refuse(false);
    until(Duration::from_secs(20), || async { scene.cluster.get(&checkout()).await.is_ok() }).await;
}

/// Tries until it holds.
async fn until<F: Future<Output = bool>>(within: Duration, holds: impl Fn() -> F) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_and_a_dead_cluster_delay_nobody() {
    let (good, slow, dead) = tokio::join!(Scene::empty(), Scene::empty(), Scene::empty());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        config(name, &file, 2)
    };
    let mut missing = config("missing", &dir.path().join("nowhere"), 2);
    missing.labels.clear();
    let clusters = Clusters::new(vec![
        file("slow", slow.practice.kubeconfig()),
        file("good", good.practice.kubeconfig()),
        file("dead", dead.practice.kubeconfig()),
        missing,
    ]);
    slow.practice.faults().latency(Duration::from_secs(60));
    dead.practice.faults().refuse(true);

    let slow_cluster = clusters.get("slow").unwrap();
    let waiting = (0..40)
        .map(|_| {
            tokio::spawn({
                let cluster = slow_cluster.clone();
                async move { cluster.list("v1", "Node", None, None, None, 10).await }
            })
        })
        .collect::<Vec<_>>();
    let started = Instant::now();
    clusters.get("good").unwrap().list("v1", "Node", None, None, None, 10).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    let health = clusters.health().await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    let of = |name: &str| health.iter().find(|health| health.name == name).unwrap();
    assert_eq!((of("good").nodes, of("good").trouble.as_deref()), (Some((3, 3)), None));
    assert!(of("good").version.as_deref().unwrap().starts_with('v'));
    assert!(of("slow").trouble.is_some() && of("slow").version.is_none());
    assert!(of("dead").trouble.is_some() && of("dead").version.is_none());
    assert!(of("missing").trouble.as_deref().unwrap().contains("kubeconfig"), "{:?}", of("missing"));
    assert_eq!(
        health.iter().map(|health| health.name.as_str()).collect::<Vec<_>>(),
        ["slow", "good", "dead", "missing"]
    );
    for call in waiting {
        call.abort();
    }
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end_and_no_further_than_asked() {
    let scene = Scene::empty().await;
    scene.practice.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    for index in 0..620 {
        scene.practice.apply(config_map(&format!("map-{index}")).1);
    }
    let count = async |limit: u32| {
        scene
            .cluster
            .list("v1", "ConfigMap", Some("shop"), None, Some("metadata.name!=kube-root-ca.crt"), limit)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(count(5_000).await, 620);
    assert_eq!(count(510).await, 510);
    assert_eq!(count(3).await, 3);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_before_anything_is_sent() {
    let scene = Scene::shop().await;
    scene.practice.faults().refuse(true);
    let bad = ObjectRef { name: "../secrets/db-login".into(), ..checkout() };
    for result in [
        scene.cluster.get(&bad).await.map(drop),
        scene.cluster.patch(&bad, PatchKind::Merge, &json!({}), false).await.map(drop),
        scene.cluster.logs("shop", "a/b", None, false, 1, 1).await.map(drop),
    ] {
        assert!(matches!(result, Err(ClusterError::Invalid { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_cluster_is_reached_by_address_and_token_file() {
    let scene = Scene::shop().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let kubeconfig = scene.practice.kubeconfig();
    let token = kubeconfig
        .lines()
        .find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("token:"))
        .unwrap()
        .trim()
        .trim_matches('"');
    let mut config = config("direct", "unused".as_ref(), 5);
    (config.kubeconfig, config.server, config.token_file) =
        (None, Some(scene.practice.url()), Some(file.clone()));
    let cluster = Clusters::new(vec![config]).get("direct").unwrap();
    std::fs::write(&file, "wrong\n").unwrap();
    assert!(matches!(cluster.get(&checkout()).await, Err(ClusterError::Forbidden { .. })));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    cluster.get(&checkout()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_cluster_is_told_with_the_nearest_name() {
    let clusters =
        Clusters::new(vec![config("prod-eu", "x".as_ref(), 1), config("staging", "x".as_ref(), 1)]);
    let error = |name: &str| {
        clusters.get(name).map(|cluster: Cluster| cluster.name().to_string()).unwrap_err().to_string()
    };
    assert_eq!(error("prod-ue"), "there is no cluster 'prod-ue'; did you mean 'prod-eu'?");
    assert_eq!(error("moon"), "there is no cluster 'moon'");
    assert!(clusters.get("staging").unwrap().is_production());
}
