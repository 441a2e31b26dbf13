//! Delays in the service mesh are given back, whoever dies or changes something else meanwhile.

use super::house::{House, NAMESPACE, eventually};
use ledger::{RequestId, RequestState};
use serde_json::{Value, json};

const ISTIO: &str = "networking.istio.io/v1";
const KIND: &str = "VirtualService";
const LINE: &str = "inject-delay deploy/checkout --delay 2s --for 6s --percent 50";

/// A deployment behind a Service, in a cluster that knows VirtualServices.
async fn house(name: &str) -> House {
    let house = House::new(name).await;
    house.deployment("checkout", 1).await;
    house.practice.apply(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "virtualservices.networking.istio.io"},
        "spec": {"group": "networking.istio.io", "scope": "Namespaced",
            "names": {"plural": "virtualservices", "singular": "virtualservice", "kind": KIND, "listKind": "VirtualServiceList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    }));
    house.practice.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "checkout", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "checkout"}, "ports": [{"port": 80}]},
    }));
    house.practice.settled().await;
    house
}

fn routes() -> Value {
    let to = |subset: &str| json!([{"destination": {"host": "checkout", "subset": subset}}]);
    json!({
        "apiVersion": ISTIO, "kind": KIND, "metadata": {"name": "routes", "namespace": NAMESPACE},
        "spec": {"hosts": ["checkout.shop.svc.cluster.local"], "http": [{"name": "new", "route": to("v2")}, {"name": "all", "route": to("v1")}]},
    })
}

fn seen(house: &House, name: &str) -> Option<Value> {
    house.practice.get(ISTIO, KIND, Some(NAMESPACE), name)
}

async fn delayed(house: &House, id: RequestId, name: &str) {
    let view = house.until(id, &[RequestState::Verifying]).await;
    assert_eq!(view.request.state, RequestState::Verifying, "{:?}", view.request.note);
    let found = seen(house, name).expect("it");
    assert_eq!(
        found["spec"]["http"][0]["fault"],
        json!({"delay": {"fixedDelay": "2s", "percentage": {"value": 50}}}),
        "{found}"
    );
}

#[tokio::test]
async fn a_delay_in_routes_that_are_there_is_taken_out_again_and_nothing_else_is() {
    let house = house("delay_routes").await;
    let before = house.practice.apply(routes());
    let id = house.ask(LINE).await;
    let runner = house.runner("w1").await;
    delayed(&house, id, "routes").await;
    assert!(seen(&house, "routes").expect("it")["spec"]["http"][1]["fault"].is_object());
    // Somebody else changes something beside it, and the runner dies.
    let mut meddled = seen(&house, "routes").expect("it");
    meddled["spec"]["http"][1]["timeout"] = json!("3s");
    house.practice.apply(meddled);
    drop(runner);
    let _runner = house.runner("w2").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    let mut wanted = before["spec"].clone();
    wanted["http"][1]["timeout"] = json!("3s");
    assert_eq!(seen(&house, "routes").expect("it")["spec"], wanted);
    house.idle().await;
}

#[tokio::test]
async fn where_there_are_no_routes_they_are_made_and_deleted_again() {
    let house = house("delay_made").await;
    let id = house.ask(LINE).await;
    let _runner = house.runner("w1").await;
    delayed(&house, id, "petrel-delay-checkout").await;
    let made = seen(&house, "petrel-delay-checkout").expect("it");
    assert_eq!(made["spec"]["hosts"], json!(["checkout"]));
    // Called off: given back at once.
    house.cancel(id).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    eventually("it to be gone", || async { seen(&house, "petrel-delay-checkout").is_none().then_some(()) })
        .await;
}

#[tokio::test]
async fn who_takes_the_delay_away_ends_it_and_the_workload_can_be_healed_meanwhile() {
    let house = house("delay_ended").await;
    house.practice.apply(routes());
    let id = house.ask(&LINE.replace("6s", "10m")).await;
    let _runner = house.runner("w1").await;
    delayed(&house, id, "routes").await;
    let healing = house.ask("scale deploy/checkout 2").await;
    assert_eq!(house.end(healing).await.0, RequestState::Succeeded);
    house.practice.apply(routes());
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
}

#[tokio::test]
async fn a_drill_delays_what_the_mesh_sends_and_gives_it_back() {
    let house = house("delay_drill").await;
    let id = house.ask("drill network-delay deploy/checkout --for 6s").await;
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    let made = seen(&house, "petrel-delay-checkout").expect("it");
    assert_eq!(made["spec"]["http"][0]["fault"]["delay"]["fixedDelay"], "2s");
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(seen(&house, "petrel-delay-checkout").is_none());
}

#[tokio::test]
async fn a_fault_that_somebody_else_injects_is_not_mixed_with_ours() {
    let house = house("delay_other").await;
    let mut other = routes();
    other["spec"]["http"][0]["fault"] = json!({"abort": {"httpStatus": 500}});
    house.practice.apply(other);
    let refused = house.refused(LINE).await;
    assert!(refused.contains("injects a fault already"), "{refused}");
}
