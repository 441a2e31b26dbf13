//! What people say and see, told once and played through every door: the API as a script uses it, the console as a browser without
//! scripts meets it, Slack by its sockets and by signed requests, Discord by its gateway and by signed requests. Nothing here knows
//! whether the cluster is a practice one or real.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    api::FINAL,
    door::{ByApi, ByConsole, ByDiscord, BySlack, Door, Said},
    wait,
    world::{Inward, Platforms, World},
};

const WITHIN: Duration = Duration::from_secs(90);

/// A way in.
#[derive(Clone, Copy, Debug)]
enum Way {
    Api,
    Console,
    Slack(Inward),
    Discord(Inward),
}

/// A world and a door to it.
struct Chat {
    world: World,
    door: Box<dyn Door>,
}

impl Chat {
    async fn new(way: Way) -> Chat {
        let all = Platforms::both(Inward::Connection);
        let platforms = match way {
            Way::Api | Way::Console => Platforms::default(),
            Way::Slack(inward) => Platforms { slack: Some(inward), discord: None, ..all },
            Way::Discord(inward) => Platforms { discord: Some(inward), slack: None, ..all },
        };
        let world = World::with_platforms(1, platforms).await.expect("a world");
        let base = world.replicas[0].base.clone();
        let door: Box<dyn Door> = match way {
            Way::Api => Box::new(ByApi { base }),
            Way::Console => Box::new(ByConsole { base }),
            Way::Slack(_) => Box::new(BySlack::new(world.slack())),
            Way::Discord(inward) => Box::new(ByDiscord::new(world.discord(), inward == Inward::Connection)),
        };
        Chat { world, door }
    }

    /// `who` types a line; ` -c test -n <namespace>` is added.
    async fn say(&self, who: &str, line: &str) -> Said {
        self.say_exactly(who, &format!("{line}{}", self.world.at())).await
    }

    async fn say_exactly(&self, who: &str, line: &str) -> Said {
        self.door.say(who, line).await
    }

    /// A line that must make a request; its id.
    async fn ask(&self, who: &str, line: &str) -> String {
        let said = self.say(who, line).await;
        said.request.unwrap_or_else(|| panic!("'{line}' made no request: {}", said.text))
    }

    /// `who` clicks; what they are told.
    async fn click(&self, who: &str, request: &str, button: &str) -> String {
        self.door.click(who, request, button).await
    }

    /// Waits for the end; the request.
    async fn end(&self, request: &str) -> Value {
        self.world.api("ann").wait_for(request, &FINAL, WITHIN).await
    }

    async fn state(&self, request: &str) -> String {
        self.world.api("ann").request(request).await.expect("the request")["state"]
            .as_str()
            .expect("a state")
            .to_string()
    }

    async fn expect(&self, request: &str, state: &str) -> Value {
        let ended = self.end(request).await;
        assert_eq!(ended["state"], state, "{ended:#}\n{}", self.world.logs());
        ended
    }

    async fn field(&self, kind: &str, name: &str, pointer: &str) -> Value {
        self.world.cluster.get("apps/v1", kind, name).await.pointer(pointer).cloned().unwrap_or_default()
    }

    async fn kinds(&self, request: &str) -> Vec<String> {
        let path = format!("/entries?request={request}&limit=200");
        let (_, answer) =
            self.world.api("ann").call(reqwest::Method::GET, &path, None, None).await.expect("an answer");
        let entries = answer["entries"].as_array().expect("a list").clone();
        entries.iter().rev().filter_map(|entry| entry["kind"].as_str()).map(str::to_string).collect()
    }
}

async fn a_line_becomes_a_planned_approved_executed_verified_and_recorded_change(chat: Chat) {
    chat.world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 4 --why 'the sale'").await;
    let request = chat.world.api("ann").request(&id).await.expect("the request");
    assert_eq!(request["state"], "awaiting");
    assert!(request["diff"].as_str().is_some_and(|diff| diff.contains("replicas: 4")), "{request:#}");
    assert_eq!(
        chat.field("Deployment", "checkout", "/spec/replicas").await,
        2,
        "nothing happens before approval"
    );
    chat.click("bob", &id, "approve").await;
    chat.expect(&id, "succeeded").await;
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 4);
    let kinds = chat.kinds(&id).await;
    for kind in ["request.submitted", "vote.approved", "step.intended", "step.done"] {
        assert!(kinds.iter().any(|one| one == kind), "no entry {kind} in {kinds:?}");
    }
    wait::until("every entry sealed into the chain", WITHIN, || async {
        let verified = chat.world.ledger.verify(&[], None, |_, _| {}).await.expect("verify");
        (verified.faults.is_empty() && verified.unsealed.is_empty()).then_some(())
    })
    .await;
}

async fn nobody_approves_their_own_request_and_guests_approve_nothing(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("bob", "scale deploy/checkout 2").await;
    assert!(chat.click("bob", &id, "approve").await.contains("someone else"), "own vote");
    assert!(chat.click("eve", &id, "approve").await.contains("sre"), "says who can");
    assert_eq!(chat.state(&id).await, "awaiting");
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 1);
}

async fn two_distinct_people_release_what_needs_two(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "set-image deploy/checkout app=registry.example/shop/app:2.0").await;
    chat.click("bob", &id, "approve").await;
    chat.click("bob", &id, "approve").await;
    assert_eq!(chat.state(&id).await, "awaiting", "one person is one vote");
    chat.click("cat", &id, "approve").await;
    chat.expect(&id, "succeeded").await;
    let image = chat.field("Deployment", "checkout", "/spec/template/spec/containers/0/image").await;
    assert_eq!(image, "registry.example/shop/app:2.0");
}

async fn one_no_is_final_and_a_late_yes_is_told_so(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 2").await;
    chat.click("bob", &id, "deny").await;
    assert_eq!(chat.state(&id).await, "denied");
    let told = chat.click("cat", &id, "approve").await;
    assert!(told.contains("denied") && told.contains("bob"), "says that it is over and who ended it: {told}");
    assert_eq!(chat.state(&id).await, "denied");
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 1);
}

async fn a_cancelled_request_never_runs(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 2").await;
    chat.click("ann", &id, "cancel").await;
    chat.click("bob", &id, "approve").await;
    assert_eq!(chat.state(&id).await, "cancelled");
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 1);
}

async fn a_dry_run_shows_and_changes_nothing(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 5 --dry-run").await;
    let request = chat.world.api("ann").request(&id).await.expect("the request");
    assert_eq!(request["state"], "planned");
    assert!(request["diff"].as_str().is_some_and(|diff| diff.contains("replicas: 5")));
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 1);
}

async fn when_the_world_moves_after_the_plan_the_run_asks_again(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 3").await;
    chat.world
        .cluster
        .meddle("apps/v1", "Deployment", "checkout", json!({"spec": {"replicas": 2}}))
        .await
        .expect("meddled");
    chat.click("bob", &id, "approve").await;
    let request = wait::until("the second plan", WITHIN, || async {
        let request = chat.world.api("ann").request(&id).await.ok()?;
        (request["revision"] == 2 && request["state"] == "awaiting").then_some(request)
    })
    .await;
    assert_eq!(request["votes"].as_array().map(Vec::len), Some(0), "votes start over");
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 2, "nothing was done");
    // The card may still show the first plan for a moment; a click on that one is refused.
    wait::until("cat's vote on the new plan", WITHIN, || async {
        chat.click("cat", &id, "approve").await;
        (chat.state(&id).await != "awaiting").then_some(())
    })
    .await;
    chat.expect(&id, "succeeded").await;
    assert_eq!(chat.field("Deployment", "checkout", "/spec/replicas").await, 3);
}

async fn a_change_that_does_not_help_is_undone(chat: Chat) {
    // No node has that much, so the new pods stay pending until the workload's own progress deadline.
    let mut object = tests::cluster::deployment("checkout", 1);
    object["spec"]["progressDeadlineSeconds"] = json!(4);
    chat.world.cluster.create(object).await.expect("a deployment");
    chat.world.cluster.ready("Deployment", "checkout", 1).await;
    let id = chat.ask("ann", "set-resources deploy/checkout --container app --requests cpu=4000").await;
    chat.click("bob", &id, "approve").await;
    let request = chat.expect(&id, "rolled_back").await;
    assert!(request["note"].as_str().is_some_and(|note| !note.is_empty()), "says why: {request:#}");
    let cpu =
        chat.field("Deployment", "checkout", "/spec/template/spec/containers/0/resources/requests/cpu").await;
    assert_eq!(cpu, "10m", "the prior state is back");
}

async fn every_action_does_what_it_says(chat: Chat) {
    let cluster = &chat.world.cluster;
    cluster.deployment("checkout", 2).await.expect("a deployment");
    cluster.workload("StatefulSet", "db", 1).await.expect("a stateful set");
    cluster.workload("DaemonSet", "agent", 0).await.expect("a daemon set");
    cluster
        .create(json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "job", "image": "registry.example/shop/job:1.0"}]}}}}}
        }))
        .await
        .expect("a cron job");
    let carry = async |line: &str| {
        let id = chat.ask("ann", line).await;
        for who in ["bob", "cat"] {
            if chat.state(&id).await == "awaiting" {
                chat.click(who, &id, "approve").await;
            }
        }
        chat.expect(&id, "succeeded").await
    };
    let restarted = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    for (kind, short, name) in
        [("Deployment", "deploy", "checkout"), ("StatefulSet", "sts", "db"), ("DaemonSet", "ds", "agent")]
    {
        carry(&format!("restart {short}/{name}")).await;
        assert!(chat.field(kind, name, restarted).await.is_string(), "{kind} was not restarted");
    }
    carry("scale sts/db +1").await;
    assert_eq!(chat.field("StatefulSet", "db", "/spec/replicas").await, 2);
    carry("pause deploy/checkout").await;
    assert_eq!(chat.field("Deployment", "checkout", "/spec/paused").await, true);
    carry("resume deploy/checkout").await;
    assert_ne!(chat.field("Deployment", "checkout", "/spec/paused").await, true);
    carry("set-image deploy/checkout app=registry.example/shop/app:2.0").await;
    let image = "/spec/template/spec/containers/0/image";
    assert_eq!(chat.field("Deployment", "checkout", image).await, "registry.example/shop/app:2.0");
    carry("rollback deploy/checkout").await;
    assert_eq!(chat.field("Deployment", "checkout", image).await, "registry.example/shop/app:1.0");
    carry("set-resources ds/agent --container app --limits memory=64Mi").await;
    assert_eq!(
        chat.field("DaemonSet", "agent", "/spec/template/spec/containers/0/resources/limits/memory").await,
        "64Mi"
    );
    let pods = cluster.names("v1", "Pod").await.expect("pods");
    let pod = pods.iter().find(|name| name.starts_with("checkout-")).expect("a pod");
    carry(&format!("delete-pod pod/{pod}")).await;
    assert!(!cluster.names("v1", "Pod").await.expect("pods").contains(pod), "the pod is still there");
    let jobs = cluster.names("batch/v1", "Job").await.expect("jobs").len();
    carry("run-job cj/nightly").await;
    assert_eq!(cluster.names("batch/v1", "Job").await.expect("jobs").len(), jobs + 1);
}

async fn questions_are_answered_at_once_and_recorded(chat: Chat) {
    let mut object = tests::cluster::deployment("checkout", 1);
    object["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "DB_PASSWORD", "value": "hunter2-secret"}]);
    chat.world.cluster.create(object).await.expect("a deployment");
    chat.world.cluster.ready("Deployment", "checkout", 1).await;
    for (line, word) in [
        ("get deploy", "checkout"),
        ("get pods", "Running"),
        ("describe deploy/checkout", "registry.example/shop/app:1.0"),
        ("history deploy/checkout", "checkout"),
    ] {
        let said = chat.say("ann", line).await;
        assert!(said.text.contains(word), "'{line}' lacks '{word}': {}", said.text);
        assert!(!said.text.contains("hunter2"), "'{line}' shows a secret");
    }
    for (line, word) in
        [("clusters", "dead"), ("whoami", "ann"), ("requests", ""), ("help", "scale"), ("help scale", "-n")]
    {
        let said = chat.say_exactly("ann", line).await;
        assert!(said.text.contains(word), "'{line}' lacks '{word}': {}", said.text);
    }
    let (_, answer) = chat
        .world
        .api("ann")
        .call(reqwest::Method::GET, "/entries?kind=query.", None, None)
        .await
        .expect("an answer");
    assert!(answer["entries"].as_array().is_some_and(|entries| entries.len() >= 4), "{answer}");
}

async fn mistakes_are_pointed_at(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    for (line, word) in [
        ("scael deploy/checkout 3", "scale"),
        ("scale deply/checkout 3", "deploy"),
        ("scale deploy/checkout many", "many"),
        ("restart deploy/nothing-here", "nothing-here"),
        ("scale ds/checkout 3", "DaemonSet"),
    ] {
        let said = chat.say("ann", line).await;
        assert_eq!(said.request, None, "'{line}' made a request");
        assert!(said.text.contains(word), "'{line}' is not told about '{word}': {}", said.text);
    }
    let said = chat
        .say_exactly("ann", &format!("restart deploy/checkout -n {} -c tset", chat.world.cluster.namespace))
        .await;
    assert!(said.text.contains("test"), "no suggestion for the cluster: {}", said.text);
}

async fn a_guest_is_refused_and_told_by_which_rule(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let said = chat.say("eve", "restart deploy/checkout").await;
    let id = said.request.expect("a refusal is recorded as a request");
    let request = chat.world.api("ann").request(&id).await.expect("the request");
    assert_eq!(request["state"], "refused");
    assert!(said.text.contains("guests only look"), "{}", said.text);
}

async fn a_hundred_clicks_make_one_decision(chat: Chat) {
    chat.world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let id = chat.ask("ann", "scale deploy/checkout 2").await;
    let clicks = (0..100).map(|n| {
        let api = chat.world.api(["bob", "cat"][n % 2]);
        let id = id.clone();
        tokio::spawn(async move { api.vote(&id, if n % 10 == 9 { "deny" } else { "approve" }, None).await })
    });
    for click in clicks.collect::<Vec<_>>() {
        click.await.expect("a task").expect("an answer");
    }
    let ended = chat.end(&id).await;
    let kinds = chat.kinds(&id).await;
    let decisions =
        kinds.iter().filter(|kind| ["vote.approved", "vote.denied"].contains(&kind.as_str())).count();
    assert_eq!(decisions, 1, "one vote decides a quorum of one: {kinds:?}");
    let replicas = chat.field("Deployment", "checkout", "/spec/replicas").await;
    assert_eq!(replicas, if ended["state"] == "denied" { 1 } else { 2 });
}

macro_rules! through_every_door {
    ($($story:ident),* $(,)?) => {
        through_every_door!(@ api Way::Api; $($story),*);
        through_every_door!(@ console Way::Console; $($story),*);
        through_every_door!(@ slack Way::Slack(Inward::Connection); $($story),*);
        through_every_door!(@ slack_http Way::Slack(Inward::Http); $($story),*);
        through_every_door!(@ discord Way::Discord(Inward::Connection); $($story),*);
        through_every_door!(@ discord_http Way::Discord(Inward::Http); $($story),*);
    };
    (@ $door:ident $way:expr; $($story:ident),*) => {
        mod $door {
            use super::*;
            $(#[tokio::test] async fn $story() { super::$story(Chat::new($way).await).await })*
        }
    };
}

through_every_door! {
    a_line_becomes_a_planned_approved_executed_verified_and_recorded_change,
    nobody_approves_their_own_request_and_guests_approve_nothing,
    two_distinct_people_release_what_needs_two,
    one_no_is_final_and_a_late_yes_is_told_so,
    a_cancelled_request_never_runs,
    a_dry_run_shows_and_changes_nothing,
    when_the_world_moves_after_the_plan_the_run_asks_again,
    a_change_that_does_not_help_is_undone,
    every_action_does_what_it_says,
    questions_are_answered_at_once_and_recorded,
    mistakes_are_pointed_at,
    a_guest_is_refused_and_told_by_which_rule,
    a_hundred_clicks_make_one_decision,
}
