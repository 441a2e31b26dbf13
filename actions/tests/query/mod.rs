//! Questions against a practice cluster.

use crate::scene::Scene;
use actions::query::Answer;
use serde_json::json;

/// A table as lines of cells, without the columns that differ in every run.
fn rows(answer: &Answer, columns: &[&str]) -> Vec<String> {
    let (header, rows) = answer.table.as_ref().unwrap_or_else(|| panic!("no table in {answer:?}"));
    let wanted: Vec<usize> = columns
        .iter()
        .map(|column| {
            header
                .iter()
                .position(|known| known == column)
                .unwrap_or_else(|| panic!("no column {column} in {header:?}"))
        })
        .collect();
    rows.iter()
        .map(|row| wanted.iter().map(|index| row[*index].as_str()).collect::<Vec<_>>().join(" "))
        .collect()
}

fn all(answer: &Answer) -> String {
    format!("{answer:?}")
}

#[tokio::test]
async fn get_shows_workloads_as_kubectl_does() {
    let scene = Scene::shop().await;
    let answer = scene.ask("get deployments", Some("shop")).await.unwrap();
    assert_eq!(answer.title, "deployments in practice/shop");
    assert_eq!(
        rows(&answer, &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "IMAGES"]),
        [
            "checkout 3/3 3 3 registry.example/checkout:1.41,registry.example/proxy:2.0",
            "web 2/2 2 2 registry.example/web:5"
        ]
    );
    assert_eq!(
        rows(&scene.ask("get deploy/checkout", Some("shop")).await.unwrap(), &["NAME", "READY"]),
        ["checkout 3/3"]
    );
    assert_eq!(rows(&scene.ask("get sts db", Some("shop")).await.unwrap(), &["NAME", "READY"]), ["db 2/2"]);
    assert_eq!(
        rows(
            &scene.ask("get pdb", Some("shop")).await.unwrap(),
            &["NAME", "MIN AVAILABLE", "ALLOWED DISRUPTIONS"]
        ),
        ["checkout-pdb 2 1", "db-pdb 2 0"]
    );
    assert_eq!(
        rows(&scene.ask("get cj", Some("shop")).await.unwrap(), &["NAME", "SCHEDULE", "SUSPEND"]),
        ["nightly-report 0 3 * * * False"]
    );
    assert_eq!(rows(&scene.ask("get nodes", Some("shop")).await.unwrap(), &["STATUS"]), ["Ready"; 3]);
}

#[tokio::test]
async fn get_pods_shows_status_and_restarts_and_takes_a_selector() {
    let scene = Scene::shop().await;
    let answer = scene.ask("get pods -l app=db", Some("shop")).await.unwrap();
    assert_eq!(
        rows(&answer, &["NAME", "READY", "STATUS", "RESTARTS"]),
        ["db-0 1/1 Running 0", "db-1 1/1 Running 0"]
    );
    let everywhere = scene.ask("get pods -l app=db", None).await.unwrap();
    assert_eq!(rows(&everywhere, &["NAMESPACE", "NAME"]), ["shop db-0", "shop db-1"]);
    assert_eq!(
        scene.ask("get pods -l app=nothing", Some("shop")).await.unwrap().text.as_deref(),
        Some("no pods here")
    );
}

#[tokio::test]
async fn a_selector_or_a_name_that_is_none_never_reaches_the_cluster() {
    let scene = Scene::shop().await;
    for (line, words) in [
        ("get pods -l app=db&watch=1", "is not a label's value"),
        ("get pods -l a=b=c", "is not a label's value"),
        ("get deploy/../../secrets", "is not a valid name"),
        ("get pods ..", "is not a valid name"),
        ("get podz", "did you mean"),
        ("get pods/../x", "is not a valid name"),
        ("logs deploy/checkout --container app&previous=true", "there is no container"),
        ("describe secret/../x", "is not a valid name"),
        ("get events -l app=db", "events deploy/checkout"),
    ] {
        let error = scene.ask(line, Some("shop")).await.unwrap_err().to_string();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[tokio::test]
async fn secrets_show_name_type_and_age_only() {
    let scene = Scene::shop().await;
    let answers = [
        scene.ask("get secrets", Some("shop")).await.unwrap(),
        scene.ask("get secret/db-login", Some("shop")).await.unwrap(),
        scene.ask("describe secret/db-login", Some("shop")).await.unwrap(),
    ];
    assert_eq!(answers[0].table.as_ref().unwrap().0, ["NAME", "TYPE", "AGE"]);
    for answer in &answers {
        assert!(all(answer).contains("Opaque") && !all(answer).contains("aHVudGVyMg"), "{answer:?}");
    }
}

#[tokio::test]
async fn describe_shows_what_people_look_for_and_hides_secrets() {
    let scene = Scene::shop().await;
    let answer = scene.ask("describe deploy/checkout", Some("shop")).await.unwrap();
    let field = |name: &str| {
        answer
            .fields
            .iter()
            .find(|(label, _)| label == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_else(|| panic!("no {name} in {:?}", answer.fields))
    };
    assert_eq!(field("Ready"), "3/3");
    assert!(field("Strategy").starts_with("RollingUpdate"), "{}", field("Strategy"));
    assert!(field("Condition Available").starts_with("True"));
    let code = answer.code.as_deref().unwrap();
    assert!(
        code.contains("registry.example/checkout:1.41")
            && code.contains("LOG_LEVEL")
            && code.contains("256Mi"),
        "{code}"
    );
    assert!(!all(&answer).contains("hunter2"), "{code}");
    assert_eq!(answer.table.as_ref().unwrap().1.len(), 3);

    let pod = scene.ask("describe pod/db-0", Some("shop")).await.unwrap();
    assert!(
        pod.fields
            .iter()
            .any(|(label, value)| label == "Status" && value == "Running (1/1 ready, 0 restarts)"),
        "{:?}",
        pod.fields
    );
    assert!(pod.fields.contains(&("Controlled by".into(), "StatefulSet db".into())), "{:?}", pod.fields);
}

#[tokio::test]
async fn logs_of_a_workload_say_which_pod_was_picked() {
    let scene = Scene::shop().await;
    let answer = scene.ask("logs deploy/checkout --tail 5", Some("shop")).await.unwrap();
    let text = answer.text.as_deref().unwrap();
    let pods = scene.pods("checkout").await;
    assert!(pods.iter().any(|pod| text.contains(&format!("picked Pod {pod}, one of 3"))), "{text}");
    assert!(text.contains("container app of app, proxy"), "{text}");
    assert!(answer.code.as_deref().is_none_or(|log| log.lines().count() <= 5), "{answer:?}");
    let error =
        scene.ask("logs deploy/checkout --container nope", Some("shop")).await.unwrap_err().to_string();
    assert_eq!(error, "there is no container 'nope' in it; there is app, proxy");
    assert!(
        scene.ask("logs deploy/checkout", None).await.unwrap_err().to_string().contains("say the namespace")
    );
}

#[tokio::test]
async fn events_are_newest_last_and_about_the_object_and_its_pods() {
    let scene = Scene::shop().await;
    let event = |name: &str, at: &str, kind: &str, about: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"}, "type": "Warning", "reason": name, "message": format!("{name} with token=abc"),
            "involvedObject": {"kind": kind, "name": about, "namespace": "shop"}, "firstTimestamp": at, "lastTimestamp": at, "count": 3})
    };
    scene.practice.apply(event("second", "2999-01-01T00:02:00Z", "Pod", "db-0"));
    scene.practice.apply(event("first", "2999-01-01T00:01:00Z", "StatefulSet", "db"));
    scene.practice.apply(event("other", "2999-01-01T00:03:00Z", "Deployment", "web"));
    let answer = scene.ask("events sts/db", Some("shop")).await.unwrap();
    let shown = rows(&answer, &["REASON", "OBJECT", "MESSAGE"]);
    assert_eq!(
        shown[shown.len() - 2..],
        ["first statefulset/db first with token=(hidden)", "second pod/db-0 second with token=(hidden)"]
    );
    assert!(!all(&answer).contains("other"));
    assert!(
        rows(&scene.ask("events", Some("shop")).await.unwrap(), &["REASON"]).contains(&"other".to_string())
    );
}

#[tokio::test]
async fn top_shows_use_of_pods_and_nodes() {
    let scene = Scene::shop().await;
    let pods = scene.ask("top pods -l app=db", Some("shop")).await.unwrap();
    let mut names = rows(&pods, &["NAME"]);
    names.sort();
    assert_eq!(names, ["db-0", "db-1"]);
    assert!(rows(&pods, &["CPU(cores)"]).iter().all(|cpu| cpu.ends_with('m')));
    let nodes = scene.ask("top nodes", None).await.unwrap();
    assert_eq!(rows(&nodes, &["NAME", "MEMORY(%)"]).len(), 3);
}

#[tokio::test]
async fn custom_resources_are_found_by_their_short_name() {
    let scene = Scene::shop().await;
    scene.practice.apply(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "lamps.toy.example"},
        "spec": {"group": "toy.example", "scope": "Namespaced", "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp", "shortNames": ["lm"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}));
    scene.practice.settled().await;
    scene.practice.apply(json!({"apiVersion": "toy.example/v1", "kind": "Lamp", "metadata": {"name": "desk", "namespace": "shop"}, "spec": {}}));
    assert_eq!(rows(&scene.ask("get lm", Some("shop")).await.unwrap(), &["NAME"]), ["desk"]);
    assert_eq!(rows(&scene.ask("get lamps/desk", Some("shop")).await.unwrap(), &["NAME"]), ["desk"]);
    assert!(
        scene
            .ask("get lampz", Some("shop"))
            .await
            .unwrap_err()
            .to_string()
            .contains("is not a kind that practice has")
    );
}

#[tokio::test]
async fn questions_change_nothing() {
    let scene = Scene::shop().await;
    for line in [
        "get pods",
        "get secrets",
        "describe deploy/checkout",
        "logs sts/db",
        "events",
        "top pods",
        "top nodes",
    ] {
        scene.ask(line, Some("shop")).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(scene.practice.audit(), []);
}
