//! Things are broken on purpose: what is reported of it, and that it is always given back.

use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tests::{
    console::Console,
    hook, process,
    proxy::{Side, Trap},
    wait,
    world::{Platforms, World, token},
};
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(90);

const RULES: &str = r#"
rule "back" {
  on event "CrashLoopBackOff"
  then [ rollback(workload) ]
  verify within 1m { alert resolved, rollout healthy }
  else [ escalate("console:alerts") ]
}
"#;

/// A world that needs nobody, whose cluster is watched.
async fn world() -> World {
    let platforms = Platforms { config: hook::CONFIG.into(), ..Platforms::default() };
    let mut world = World::among(platforms).await.expect("a world");
    let file = |name: &str, text: &str| fs::write(world.folder().join(name), text).expect("a file");
    file("hook.token", hook::TOKEN);
    fs::create_dir(world.folder().join("rules")).expect("a folder");
    file("rules/shop.heal", RULES);
    file("policy.toml", &hook::unattended());
    let config = fs::read_to_string(world.config()).expect("the config");
    file("petrel.toml", &config.replacen("[[cluster]]", "[[cluster]]\nwatch = true", 1));
    world.start().await.expect("a replica");
    world
}

/// `petrel drill suite` as CI runs it: its exit code and what it said.
async fn suite(world: &World, drills: &str) -> (Option<i32>, String) {
    let file = world.folder().join("suite.toml");
    let head = format!("cluster = \"test\"\nnamespace = \"{}\"\n", world.cluster.namespace);
    fs::write(&file, head + drills).expect("a suite");
    let output = Command::new(process::program("petrel"))
        .args(["drill", "suite", file.to_str().expect("a path"), "--url", &world.replicas[0].base])
        .env("PETREL_TOKEN", token("ann"))
        .output()
        .await
        .expect("petrel");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

/// The final report on a drill.
async fn report(world: &World, id: &str) -> Value {
    wait::until(&format!("the report on {id}"), WITHIN, || async {
        let (status, report) =
            world.api("ann").call(Method::GET, &format!("/drills/{id}"), None, None).await.ok()?;
        (status.is_success() && report["outcome"] != "under_way").then_some(report)
    })
    .await
}

#[tokio::test]
async fn a_drill_is_reported_from_fault_to_proof_and_a_suite_fails_when_healing_regresses() {
    let world = world().await;
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let (code, said) = suite(
        &world,
        "[[drill]]\nfault = \"crash-loop\"\ntarget = \"deploy/checkout\"\nfor = \"1m\"\nwithin = { detected = \"30s\", healed = \"1m\", verified = \"1m\" }\n",
    )
    .await;
    assert_eq!(code, Some(0), "{said}\n{}", world.logs());
    assert!(said.contains("healed by rule \"back\"") && said.contains("1 of 1 drills as expected"), "{said}");

    let (_, all) =
        world.api("ann").call(Method::GET, "/requests?action=drill", None, None).await.expect("requests");
    let id = all["requests"][0]["id"].as_str().expect("a drill").to_string();
    let report = report(&world, &id).await;
    assert_eq!(report["noticed_as"], json!(["CrashLoopBackOff"]), "{report}");
    let times: Vec<f64> = ["detected", "proposed", "approved", "acted", "healed", "verified"]
        .iter()
        .map(|step| report["seconds"][step].as_f64().unwrap_or_else(|| panic!("no time of {step}: {report}")))
        .collect();
    assert!(times[..5].is_sorted(), "{report}");
    let console = Console::sign_in(&world.replicas[0].base, &token("ann")).await.expect("the console");
    let page = console.page(&format!("/drills/{id}")).await.expect("the page");
    assert!(page.contains("<svg class=\"stages\"") && page.contains("by rule"), "{page}");
    assert!(console.page("/drills").await.expect("the list").contains(&format!("/drills/{id}")));

    // So soon after the first one the brake keeps the rule from healing there: healing has regressed.
    let (code, said) = suite(
        &world,
        "[[drill]]\nfault = \"crash-loop\"\ntarget = \"deploy/checkout\"\nfor = \"6s\"\n\n\
         [[drill]]\nfault = \"oom\"\ntarget = \"deploy/nobody\"\n",
    )
    .await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the time before it was healed after") && said.contains("0 of 2"), "{said}");
}

#[tokio::test]
async fn a_silent_node_is_noticed_and_given_back() {
    let world = world().await;
    if !world.cluster.is_practice() {
        return println!("skipped: a real cluster cannot stage it");
    }
    let ann = world.api("ann");
    let ask = async |line: &str| {
        let asked = ann.ask(line, line).await.expect("a request");
        asked["request"]["id"].as_str().expect("an id").to_string()
    };
    let ready = async || {
        let node = world.cluster.get("v1", "Node", "node-1").await;
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().find(|one| one["type"] == "Ready").expect("the condition")["status"].clone()
    };
    let id = ask("drill node-not-ready node/node-1 --for 6s -c test").await;
    wait::until("a silent node", WITHIN, || async { (ready().await == "Unknown").then_some(()) }).await;
    let told = report(&world, &id).await;
    assert_eq!(told["outcome"], "given_back", "{told}\n{}", world.logs());
    assert_eq!(told["noticed_as"], json!(["NodeNotReady"]), "{told}");
    wait::until("the node to be back", WITHIN, || async { (ready().await == "True").then_some(()) }).await;
    let request = ann.request(&id).await.expect("the request");
    assert_eq!(request["note"], "nobody healed it within 6 s; the drill gave back what it had broken");
}

#[tokio::test]
async fn an_api_that_fails_is_noticed_where_it_fails_and_given_back() {
    let world = world().await;
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    world.cluster.ready("Deployment", "checkout", 2).await;
    let (ann, namespace) = (world.api("ann"), world.cluster.namespace.clone());
    let ask = async |line: &str| ann.ask(line, line).await.map(|told| told["request"]["id"].to_string());
    let drill = ask(&format!("drill erroring-api ns/{namespace} --for 90s -c test")).await.expect("a drill");
    let (id, name) = (drill.trim_matches('"').to_string(), format!("petrel-drill-{namespace}"));
    wait::until("the webhook", WITHIN, || async { webhook(&world, &name).await.then_some(()) }).await;
    // A pod is lost, and its controller may make no other one.
    ask(&format!("drill pod-kill deploy/checkout -n {namespace} -c test")).await.expect("another drill");
    wait::until("it to be noticed", WITHIN, || async {
        let (_, told) = ann.call(Method::GET, &format!("/drills/{id}"), None, None).await.ok()?;
        (told["noticed_as"] == json!(["FailedCreate"])).then_some(())
    })
    .await;
    // Called off, it is over at once.
    ann.cancel(&id).await.expect("an answer");
    wait::until("the webhook to be gone", WITHIN, || async { (!webhook(&world, &name).await).then_some(()) })
        .await;
    world.cluster.ready("Deployment", "checkout", 2).await;
    let wrong =
        ann.ask("wrong", "drill slow-api deploy/checkout -c test -n shop").await.expect_err("a refusal");
    assert!(wrong.to_string().contains("ns/<name>"), "{wrong}");
}

async fn webhook(world: &World, name: &str) -> bool {
    let all = world.cluster.names("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration").await;
    all.is_ok_and(|all| all.iter().any(|one| one == name))
}

#[tokio::test]
async fn a_drill_whose_replica_dies_is_given_back_by_the_next_one_and_reported_once() {
    let mut world = world().await;
    if !world.cluster.is_practice() {
        return println!("skipped: a real cluster cannot stage it");
    }
    let line = "drill node-not-ready node/node-1 --for 6s -c test";
    let asked = world.api("ann").ask(line, line).await.expect("a request");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();
    let is_ready = async |world: &World, status: &str| {
        wait::until(&format!("Ready to be {status}"), WITHIN, || async {
            let node = world.cluster.get("v1", "Node", "node-1").await;
            let conditions = node["status"]["conditions"].as_array()?.clone();
            conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == status).then_some(())
        })
        .await
    };
    is_ready(&world, "Unknown").await;
    // While the fault is there; then before and after its report is kept.
    world.replicas[0].process.kill().await;
    for side in [Side::Before, Side::After] {
        world.replicas.clear();
        world.proxy.arm(Trap { label: "drill.keep".into(), side, skip: 0 });
        world.spawn().expect("a replica");
        wait::until("a death with the report", WITHIN, || async { world.proxy.sprung().then_some(()) }).await;
        assert!(world.proxy.disarm());
        is_ready(&world, "True").await;
    }
    world.replicas.clear();
    world.start().await.expect("a replica");
    assert_eq!(report(&world, &id).await["outcome"], "given_back");
    let pool = sqlx::PgPool::connect(&world.owner_url).await.expect("the owner");
    let kept: i64 = sqlx::query_scalar("select count(*) from drill").fetch_one(&pool).await.expect("a count");
    assert_eq!(kept, 1);
}
