//! A pool of nodes that Cluster API keeps, from what is told of it to more nodes, over the wire.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    api::FINAL,
    console::Console,
    wait,
    world::{World, token},
};

const WITHIN: Duration = Duration::from_secs(60);
const GROUP: &str = "cluster.x-k8s.io/v1beta1";

/// Cluster API's kinds, a pool of three Machines that are the cluster's nodes, and pods that need more: twelve of three cores on nodes of
/// sixteen.
async fn pool(world: &World) {
    let cluster = &world.cluster;
    for (kind, plural) in [("MachineDeployment", "machinedeployments"), ("Machine", "machines")] {
        let names = json!({"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")});
        let any =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let versions = json!([{"name": "v1beta1", "served": true, "storage": true, "schema": any}]);
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.cluster.x-k8s.io")},
            "spec": {"group": "cluster.x-k8s.io", "scope": "Namespaced", "names": names, "versions": versions}});
        cluster.create(definition).await.expect("a definition");
    }
    let workers = json!({"apiVersion": GROUP, "kind": "MachineDeployment", "metadata": {"name": "workers"},
        "spec": {"clusterName": "test", "replicas": 3}});
    wait::until("the kinds to be served", WITHIN, || async { cluster.create(workers.clone()).await.ok() })
        .await;
    for index in 1..=3 {
        let labels = json!({"cluster.x-k8s.io/deployment-name": "workers"});
        let machine = json!({"apiVersion": GROUP, "kind": "Machine",
            "metadata": {"name": format!("workers-{index}"), "labels": labels},
            "status": {"nodeRef": {"name": format!("node-{index}")}}});
        wait::until("a machine", WITHIN, || async { cluster.create(machine.clone()).await.ok() }).await;
    }
    let mut checkout = tests::cluster::deployment("checkout", 12);
    checkout["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "3", "memory": "1Gi"}});
    cluster.create(checkout).await.expect("a deployment");
    cluster.ready("Deployment", "checkout", 12).await;
}

async fn workers(world: &World) -> Value {
    world.cluster.get(GROUP, "MachineDeployment", "workers").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_too_small_is_told_asked_for_grown_and_verified() {
    let world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return eprintln!("skipped: it would define Cluster API's kinds in a real cluster");
    }
    pool(&world).await;
    let ann = Console::sign_in(&world.replicas[0].base, &token("ann")).await.expect("signed in");
    let told = ann.say("nodes forecast -c test").await.expect("an answer").text;
    let at = told.find("scale-nodes md/workers").unwrap_or_else(|| panic!("no line to type: {told}"));
    let line = told[at..].split(['`', '.']).next().expect("a line").to_string();

    let asked = world.api("ann").ask("grow", &line).await.expect("a request");
    let id = asked["request"]["id"].as_str().unwrap_or_else(|| panic!("{asked:#}"));
    let request = world.api("ann").request(id).await.expect("the request");
    assert!(request.to_string().contains("from 3 to 6 nodes"), "{request:#}");
    world.api("bob").vote(id, "approve", None).await.expect("a vote");
    world.api("ann").wait_for(id, &["verifying"], WITHIN).await;
    assert_eq!(workers(&world).await["spec"]["replicas"], 6);

    // What Cluster API says when the machines have become nodes.
    let status = json!({"status": {"replicas": 6, "readyReplicas": 6}});
    world.cluster.meddle(GROUP, "MachineDeployment", "workers", status).await.expect("its status");
    let ended = world.api("ann").wait_for(id, &FINAL, WITHIN).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}\n{}", world.logs());
}
