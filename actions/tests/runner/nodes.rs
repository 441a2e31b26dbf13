//! Pools of nodes that Cluster API keeps: grown for what the pods need, verified by its own status, given back when no node comes.

use super::house::{CLUSTER, House, NAMESPACE, deployment, eventually};
use actions::{
    catalogue::{self, PlanContext, PlanError},
    query,
};
use ledger::{Plan, RequestId, RequestState, Target};
use serde_json::{Value, json};

const GROUP: &str = "cluster.x-k8s.io/v1beta1";

/// Cluster API's kinds, three nodes that are Machines of `workers`, and pods that fill them: twelve of three cores on nodes of sixteen.
async fn pool(name: &str) -> House {
    let house = House::new(name).await;
    for (kind, plural) in [("MachineDeployment", "machinedeployments"), ("Machine", "machines")] {
        house.practice.apply(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.cluster.x-k8s.io")},
            "spec": {"group": "cluster.x-k8s.io", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1beta1", "served": true, "storage": true}]}}));
    }
    house.practice.settled().await;
    house.practice.apply(json!({"apiVersion": GROUP, "kind": "MachineDeployment",
        "metadata": {"name": "workers", "namespace": NAMESPACE}, "spec": {"clusterName": "prod", "replicas": 3}}));
    (1..=3).for_each(|index| machine(&house, index));
    let mut checkout = deployment("checkout", 12, "shop/app:1");
    checkout["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "3", "memory": "1Gi"}});
    house.practice.apply(checkout);
    house.practice.settled().await;
    house
}

fn machine(house: &House, index: u32) {
    let labels = json!({"cluster.x-k8s.io/deployment-name": "workers"});
    house.practice.apply(json!({"apiVersion": GROUP, "kind": "Machine",
        "metadata": {"name": format!("workers-{index}"), "namespace": NAMESPACE, "labels": labels},
        "status": {"nodeRef": {"name": format!("node-{index}")}}}));
}

fn workers(house: &House) -> Value {
    house.practice.get(GROUP, "MachineDeployment", Some(NAMESPACE), "workers").expect("the pool")
}

/// What Cluster API does when `replicas` has changed: as many machines, and its status once they are nodes.
async fn keep(house: &House) {
    let wanted = eventually("more nodes to be wanted", || async {
        workers(house)["spec"]["replicas"].as_u64().filter(|wanted| *wanted != 3)
    })
    .await;
    (4..=wanted as u32).for_each(|index| machine(house, index));
    let mut pool = workers(house);
    pool["status"] = json!({"replicas": wanted, "readyReplicas": wanted});
    house.practice.apply(pool);
}

async fn plan(house: &House, line: &str) -> Result<Plan, PlanError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let action = catalogue::action(words[0]).expect("an action");
    let (named, parameters) = action
        .parse(&action.command().try_get_matches_from(&words).expect("a line"))
        .expect("a sensible line");
    let (cluster, namespace) = (CLUSTER.to_string(), Some(NAMESPACE.to_string()));
    let target = Target { cluster, namespace, kind: named.kind, name: named.name, uid: None };
    let context = PlanContext {
        cluster: &house.cluster(),
        target: &target,
        parameters: &parameters,
        request: RequestId::new(),
        at: jiff::Timestamp::now(),
    };
    action.plan(context).await
}

#[tokio::test]
async fn a_pool_grows_to_what_its_pods_need_and_is_verified_by_its_own_status() {
    let house = pool("runner_nodes").await;
    let command = query::queries().iter().find(|query| query.name() == "nodes").expect("the query");
    let matches = command.command().try_get_matches_from(["nodes", "forecast"]).expect("a line");
    let told = command.answer(&house.cluster(), None, &matches).await.expect("an answer");
    let text = told.text.expect("words");
    assert!(text.contains("`scale-nodes md/workers -n shop -c prod --days 30`"), "{text}");

    let _runner = house.runner("w1").await;
    let id = house.ask("scale-nodes md/workers").await;
    keep(&house).await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    let request = house.view(id).await.request;
    // Three nodes hold the pods; of six, three are left when the two of a zone and one more are lost.
    assert_eq!(request.plan.summary, "scale MachineDeployment workers from 3 to 6 nodes");
    assert!(request.plan.diff.contains("replicas: 6"), "{}", request.plan.diff);
    assert_eq!(workers(&house)["spec"]["replicas"], 6);
}

#[tokio::test]
async fn nodes_that_never_come_are_given_back() {
    let house = pool("runner_nodes_late").await;
    let _runner = house.runner("w1").await;
    let id = house.ask_with("scale-nodes md/workers 5", |plan| plan.verify.within_s = 1).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert_eq!(workers(&house)["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_pool_never_shrinks_below_what_its_pods_need_nor_against_the_autoscaler() {
    let house = pool("runner_nodes_few").await;
    let refused =
        async |line: &str| plan(&house, line).await.map(|plan| plan.summary).unwrap_err().to_string();
    let said = refused("scale-nodes md/workers 2").await;
    assert!(said.contains("need 6 nodes as it is"), "{said}");
    let said = refused("scale-nodes md/workers 3").await;
    assert!(said.starts_with("nothing to do: MachineDeployment workers has 3 nodes"), "{said}");
    let mut pool = workers(&house);
    pool["metadata"]["annotations"] =
        json!({"cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size": "9"});
    house.practice.apply(pool);
    let said = refused("scale-nodes md/workers 6").await;
    assert!(
        said.contains("the Cluster Autoscaler keeps MachineDeployment workers within 0 to 9 nodes"),
        "{said}"
    );
    let said = refused("scale-nodes md/others").await;
    assert!(said.contains("others"), "{said}");
}

#[tokio::test]
async fn a_pool_of_the_config_is_asked_for_where_its_object_says_the_number() {
    const EKS: &str = "eks.services.k8s.aws/v1alpha1";
    let house = pool("runner_nodes_config").await.configured(|config| {
        // Nodes without a label of a provider are the pool `nodes`.
        let pool = "name = 'nodes'\napi_version = 'eks.services.k8s.aws/v1alpha1'\nkind = 'Nodegroup'\nnamespace = 'shop'\n\
            object = 'prod'\nnodes = '/spec/scalingConfig/desiredSize'\nready = '/status/ready'";
        config.pools = vec![toml::from_str(pool).expect("a pool")];
    });
    house.practice.apply(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "nodegroups.eks.services.k8s.aws"},
        "spec": {"group": "eks.services.k8s.aws", "scope": "Namespaced", "names": {"plural": "nodegroups", "kind": "Nodegroup"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true}]}}));
    house.practice.settled().await;
    let group = |wanted: u32| {
        json!({"apiVersion": EKS, "kind": "Nodegroup", "metadata": {"name": "prod", "namespace": NAMESPACE},
        "spec": {"scalingConfig": {"minSize": 1, "desiredSize": wanted}}, "status": {"ready": wanted}})
    };
    house.practice.apply(group(3));
    let read = || house.practice.get(EKS, "Nodegroup", Some(NAMESPACE), "prod").expect("the group");
    let _runner = house.runner("w1").await;
    let id = house.ask("scale-nodes pool/nodes").await;
    eventually("six nodes to be wanted", || async {
        (read()["spec"]["scalingConfig"]["desiredSize"] == 6).then_some(())
    })
    .await;
    let mut grown = read();
    grown["status"]["ready"] = 6.into();
    house.practice.apply(grown);
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(read()["spec"]["scalingConfig"]["minSize"], 1, "nothing else has changed");
    let late = house.ask_with("scale-nodes pool/nodes 9", |plan| plan.verify.within_s = 1).await;
    assert_eq!(house.end(late).await.0, RequestState::RolledBack);
    assert_eq!(read()["spec"]["scalingConfig"]["desiredSize"], 6);
    let said = plan(&house, "scale-nodes pool/spot").await.map(|plan| plan.summary).unwrap_err().to_string();
    assert!(said.contains("names no pool spot; there are: nodes -n shop"), "{said}");
}
