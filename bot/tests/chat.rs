//! A chat room, a real database, a practice cluster and every worker of one replica: post a line, look at the room.

use bot::{app::App, card::Card, config::Config, draw, inbox, inbox::Handled, prune, serve};
use jiff::Timestamp;
use ledger::*;
use practice::{Practice, PracticeConfig};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["console:ann"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["console:bob", "slack:T1:UBOB"]
groups = ["sre"]

[[person]]
name = "cat"
identities = ["console:cat"]
groups = ["sre"]

[[person]]
name = "eve"
identities = ["console:eve"]
groups = ["guests"]

[[machine]]
name = "clock"
identities = ["schedule:*", "forecast:*"]
groups = ["machines"]

[[rule]]
name = "restart at once"
action = ["restart"]
decide = "allow"

[[rule]]
name = "steps of what was approved"
action = ["floor"]
when = '"machines" in actor.groups'
decide = "allow"

[[rule]]
name = "break-glass"
action = "break-glass"
decide = "allow"

[[rule]]
name = "the rest needs one"
action = "*"
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"
"#;

pub const WITHIN: Duration = Duration::from_secs(30);

/// Everything, until it is dropped.
pub struct World {
    pub app: App,
    practice: Practice,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

pub fn actor(name: &str) -> Actor {
    format!("console:{name}").parse().unwrap()
}

fn ops() -> Place {
    Place("console:ops".into())
}

impl World {
    pub async fn new(name: &str) -> World {
        let rooms = "[[room]]\nplace = \"console:ops\"\ncluster = \"prod-eu\"\nnamespace = \"shop\"\n\
            [[room]]\nplace = \"console:lobby\"\n";
        World::with(name, rooms).await
    }

    /// With these rooms, and whatever else the config should say.
    pub async fn with(name: &str, more: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 8 }).await.unwrap();
        let practice =
            Practice::start(PracticeConfig { name: "prod-eu".into(), ..PracticeConfig::default() })
                .await
                .unwrap();
        practice.seed_shop();
        practice.settled().await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).unwrap();
        let config = format!(
            "[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n\
             [[cluster]]\nname = \"prod-eu\"\nkubeconfig = \"{}\"\nlabels = {{ production = \"true\" }}\n{more}",
            kubeconfig.display()
        );
        let config = Config::parse(Path::new("/petrel.toml"), &config, &|_| None).unwrap();
        let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
        let policy = actions::policy::PolicyHandle::fixed(policy);
        let app = App::new(config, ledger, policy, CancellationToken::new());
        serve::start(&app, &TaskTracker::new());
        World { app, practice, _folder: folder }
    }

    /// As a door makes it durable, in the name of `worker`.
    async fn receive(
        &self,
        key: &str,
        who: &str,
        event: &Event,
        worker: &str,
        lease: Duration,
    ) -> Option<Inbound> {
        let (actor, place) = (actor(who), ops());
        let arrival = Arrival { key: key.into(), actor, place, event: event.clone(), reply_to: None };
        self.app.ledger.receive(&arrival, worker, lease, Timestamp::now()).await.unwrap()
    }

    pub async fn event(&self, who: &str, event: Event) -> Handled {
        let key = RequestId::new().to_string();
        let inbound = self.receive(&key, who, &event, &self.app.worker, inbox::LEASE).await;
        inbox::handle(&self.app, &inbound.expect("a new key is a new event")).await
    }

    /// Types a line; what only the typist sees.
    pub async fn post(&self, who: &str, line: &str) -> Option<String> {
        match self.event(who, Event::Line { text: line.into() }).await {
            Handled::Shown => None,
            Handled::Private(card) => Some(draw::text(&card, str::to_string)),
        }
    }

    /// Clicks a button of a card as it is shown.
    pub async fn click(&self, who: &str, button: &str, card: &Card) -> Option<String> {
        let (request, digest) = (card.request.unwrap(), card.digest.clone().unwrap());
        let event = Event::Click {
            button: button.into(),
            request,
            digest,
            reason: Some("because".into()),
            typed: None,
        };
        match self.event(who, event).await {
            Handled::Shown => None,
            Handled::Private(card) => Some(draw::text(&card, str::to_string)),
        }
    }

    /// Cards that `viewer` sees in a room, oldest first.
    pub async fn cards(&self, room: &str, viewer: &str) -> Vec<Card> {
        let messages =
            self.app.ledger.room(&Place(format!("console:{room}")), &actor(viewer), None, 50).await.unwrap();
        messages
            .into_iter()
            .filter_map(|message| message.card)
            .map(|card| serde_json::from_value(card).unwrap())
            .collect()
    }

    /// Waits until the room's only card has this status.
    pub async fn card(&self, room: &str, status: &str) -> Card {
        let begun = Instant::now();
        loop {
            let cards = self.cards(room, "ann").await;
            assert!(cards.len() <= 1, "one card, edited in place: {cards:#?}");
            if let Some(card) = cards.into_iter().find(|card| card.status.as_deref() == Some(status)) {
                return card;
            }
            assert!(begun.elapsed() < WITHIN, "no card in {status}: {:#?}", self.cards(room, "ann").await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn records(&self, kind: &str) -> Vec<Entry> {
        let filter = EntryFilter { kind: Some(kind.into()), limit: 50, ..EntryFilter::default() };
        self.app.ledger.entries(&filter).await.unwrap()
    }

    pub fn apply(&self, object: serde_json::Value) {
        self.practice.apply(object);
    }

    /// As it is in the shop.
    pub fn object(&self, version: &str, kind: &str, name: &str) -> serde_json::Value {
        self.practice.get(version, kind, Some("shop"), name).unwrap()
    }

    /// As by somebody else's hand.
    pub fn meddle(&self, replicas: i64) {
        let mut checkout = self.practice.get("apps/v1", "Deployment", Some("shop"), "checkout").unwrap();
        checkout["spec"]["replicas"] = replicas.into();
        self.practice.apply(checkout);
    }

    pub fn replicas(&self) -> i64 {
        let checkout = self.practice.get("apps/v1", "Deployment", Some("shop"), "checkout").unwrap();
        checkout["spec"]["replicas"].as_i64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_restart_is_carried_out_and_its_one_card_follows_it() {
    let world = World::new("chat_restart").await;
    assert_eq!(world.post("ann", "restart deploy/checkout --why 'stale connections'").await, None);
    let card = world.card("ops", "succeeded").await;
    assert!(card.cluster.is_some_and(|cluster| cluster.name == "prod-eu" && cluster.production));
    assert!(card.steps.iter().all(|step| step.state == "done"), "{:?}", card.steps);
    assert!(card.fields.contains(&("Why".into(), "stale connections".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_someone_entitled_who_did_not_ask_can_approve_and_one_click_is_enough() {
    let world = World::new("chat_approve").await;
    let before = world.replicas();
    assert_eq!(world.post("ann", &format!("scale deploy/checkout {}", before + 1)).await, None);
    let card = world.card("ops", "awaiting 0 of 1").await;
    let own = world.click("ann", "approve", &card).await.expect("a private refusal");
    assert!(own.contains("You asked for this yourself"), "{own}");
    let guest = world.click("eve", "approve", &card).await.expect("a private refusal");
    assert!(guest.contains("Ask someone in sre"), "says who can: {guest}");
    let stranger = world.click("mallory", "approve", &card).await.expect("a private refusal");
    assert!(!stranger.is_empty() && world.replicas() == before);
    let tried = world.records("vote.refused").await;
    assert!(tried.iter().any(|entry| entry.actor == "console:mallory"), "{tried:?}");
    let other = Card { digest: Some("00".into()), ..card.clone() };
    let stale = world.click("bob", "approve", &other).await.expect("a private refusal");
    assert!(stale.contains("The plan has changed"), "{stale}");
    assert_eq!(world.click("bob", "approve", &card).await, None);
    world.card("ops", "succeeded").await;
    assert_eq!(world.replicas(), before + 1);
    let late = world.click("bob", "deny", &card).await.expect("a private refusal");
    assert!(late.contains("Too late"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_no_ends_it_and_details_are_for_whoever_asks() {
    let world = World::new("chat_deny").await;
    let before = world.replicas();
    world.post("ann", &format!("scale deploy/checkout {}", before + 1)).await;
    let card = world.card("ops", "awaiting 0 of 1").await;
    let details = world.click("eve", "details", &card).await.expect("a private answer");
    assert!(details.contains("rule \"the rest needs one\"") && details.contains("Way back"), "{details}");
    let id = card.request.unwrap().short();
    let missing = world.post("bob", &format!("deny {id}")).await.expect("a private answer");
    assert!(missing.contains("also needs --why"), "{missing}");
    assert_eq!(world.post("bob", &format!("deny {id} --why 'not during the sale'")).await, None);
    let card = world.card("ops", "denied").await;
    assert_eq!(card.text.as_deref(), Some("Denied by bob: not during the sale. Nothing was changed."));
    assert_eq!(world.replicas(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typing_error_is_told_to_the_typist_alone_and_a_missing_target_to_the_room() {
    let world = World::new("chat_typo").await;
    let told = world.post("ann", "restart deplyo/checkout").await.expect("a private answer");
    assert!(told.contains("did you mean 'deploy'?") && told.contains("^^^^^^"), "{told}");
    assert_eq!(world.cards("ops", "ann").await, []);
    assert_eq!(world.post("ann", "restart deploy/chekout").await, None);
    let begun = Instant::now();
    while world.cards("ops", "ann").await.is_empty() {
        assert!(begun.elapsed() < WITHIN);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cards = world.cards("ops", "ann").await;
    assert!(cards[0].title.contains("chekout"), "{}", cards[0].title);
    assert_eq!(cards[0].footer.as_deref(), Some("restart deploy/chekout -n shop -c prod-eu"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_in_the_room_and_recorded_with_what_was_implied() {
    let world = World::new("chat_query").await;
    assert_eq!(world.post("eve", "get deploy").await, None);
    let begun = Instant::now();
    while world.cards("ops", "ann").await.is_empty() {
        assert!(begun.elapsed() < WITHIN);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cards = world.cards("ops", "ann").await;
    let table = cards[0].table.as_ref().expect("a table");
    assert!(table.rows.iter().any(|row| row[0] == "checkout"), "{table:?}");
    let records = world.records("query.answered").await;
    assert_eq!(
        (records[0].actor.as_str(), records[0].body["line"].as_str()),
        ("console:eve", Some("get deploy -n shop -c prod-eu"))
    );
    let whoami = world.post("eve", "whoami").await.expect("a private answer");
    assert!(whoami.contains("You are eve"), "{whoami}");
    let stranger = world.post("mallory", "get deploy").await.expect("a private refusal");
    assert!(!stranger.contains("checkout"), "{stranger}");
    let rejected = world.records("ask.rejected").await;
    assert_eq!(
        (rejected[0].actor.as_str(), rejected[0].body["line"].as_str(), rejected.len()),
        ("console:mallory", Some("get deploy"), 1)
    );
    assert_eq!(world.cards("ops", "ann").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_cluster_gets_a_first_word_in_time_and_the_answer_later() {
    let world = World::new("chat_slow").await;
    world.practice.faults().latency(Duration::from_millis(3_500));
    world.post("ann", "get deploy").await;
    let begun = Instant::now();
    while world.cards("ops", "ann").await.len() < 2 {
        assert!(begun.elapsed() < WITHIN);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cards = world.cards("ops", "ann").await;
    assert_eq!(cards[0].title, "Still looking; the answer follows.");
    assert!(cards[1].table.is_some());
    assert_eq!(world.cards("ops", "bob").await.len(), 1, "only ann is told to wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn break_glass_goes_ahead_and_every_room_hears_of_it() {
    let world = World::new("chat_glass").await;
    let after = world.replicas() + 1;
    assert_eq!(
        world
            .post("ann", &format!("break-glass scale deploy/checkout {after} --why 'orders are lost'"))
            .await,
        None
    );
    for room in ["ops", "lobby"] {
        let card = world.card(room, "succeeded").await;
        assert!(card.title.starts_with("BREAK-GLASS: scale"), "{}", card.title);
    }
    assert_eq!(world.replicas(), after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_took_in_is_handled_once_by_another() {
    let world = World::new("chat_rescue").await;
    for (key, line) in [("a", "restart deploy/checkout"), ("b", "whoami")] {
        let event = Event::Line { text: line.into() };
        assert!(world.receive(key, "ann", &event, "a-dead-one", Duration::from_millis(1)).await.is_some());
        let again = world.receive(key, "ann", &event, "a-dead-one", inbox::LEASE).await;
        assert_eq!(again, None, "a platform's retry is not a second event");
        if key == "b" {
            // This one's process died after it had shown the line.
            let (place, ann) = (ops(), actor("ann"));
            world.app.ledger.room_line(key, &place, &ann, line, Timestamp::now()).await.unwrap();
        }
    }
    let begun = Instant::now();
    loop {
        let cards = world.cards("ops", "ann").await;
        let whoami = cards.iter().any(|card| card.title == "You are ann");
        if whoami && cards.iter().any(|card| card.status.as_deref() == Some("succeeded")) {
            assert_eq!(cards.len(), 2, "{cards:#?}");
            break;
        }
        assert!(begun.elapsed() < WITHIN, "{cards:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.cards("ops", "bob").await.len(), 1, "a private answer stays private");
    let room = world.app.ledger.room(&ops(), &actor("bob"), None, 50).await.unwrap();
    let mut lines: Vec<String> = room.into_iter().filter_map(|message| message.text).collect();
    lines.sort();
    assert_eq!(lines, ["restart deploy/checkout", "whoami"], "each line is there, once");
    let requests =
        world.app.ledger.requests(&RequestFilter { limit: 10, ..RequestFilter::default() }).await.unwrap();
    assert_eq!(requests.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_takes_away_all_that_is_over_batch_by_batch() {
    let world = World::new("chat_prune").await;
    let (ledger, place) = (&world.app.ledger, ops());
    for n in 0..600 {
        let event = Event::Line { text: "help".into() };
        let inbound = world.receive(&n.to_string(), "ann", &event, "w", inbox::LEASE).await.unwrap();
        ledger.handled(&inbound).await.unwrap();
    }
    ledger.room_line("line", &place, &actor("ann"), "help", Timestamp::now()).await.unwrap();
    let in_a_week = Timestamp::now() + jiff::SignedDuration::from_hours(8 * 24);
    let other = ledger.take_lease("prune", "another", inbox::LEASE).await.unwrap().unwrap();
    assert_eq!(prune::prune(&world.app, in_a_week).await.unwrap(), 0, "another replica does it");
    ledger.give_lease(&other).await.unwrap();
    assert_eq!(prune::prune(&world.app, Timestamp::now()).await.unwrap(), 0, "nothing is old");
    assert_eq!(prune::prune(&world.app, in_a_week).await.unwrap(), 600, "more than one batch");
    assert_eq!(
        ledger.room(&place, &actor("ann"), None, 9).await.unwrap().len(),
        1,
        "rooms are kept for longer"
    );
    assert!(ledger.take_lease("prune", "another", inbox::LEASE).await.unwrap().is_some(), "it is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_listed_shown_and_remembered_for_its_target() {
    let world = World::new("chat_lists").await;
    world.post("ann", "scale deploy/checkout +1").await;
    let card = world.card("ops", "awaiting 0 of 1").await;
    let id = card.request.unwrap();
    for line in ["requests".to_string(), format!("request {}", id.short()), "history deploy/checkout".into()]
    {
        assert_eq!(world.post("eve", &line).await, None, "{line}");
    }
    let begun = Instant::now();
    while world.cards("ops", "ann").await.len() < 4 {
        assert!(begun.elapsed() < WITHIN);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cards = world.cards("ops", "ann").await;
    let listed = |card: &Card| {
        card.table.as_ref().is_some_and(|table| table.rows.iter().any(|row| row[0] == id.short()))
    };
    assert_eq!(cards.iter().filter(|card| listed(card)).count(), 2);
    assert!(
        cards
            .iter()
            .any(|card| card.fields.iter().any(|(label, value)| label == "Id" && *value == id.to_string()))
    );
    let none = world.post("eve", "request 00000000").await.expect("a private answer");
    assert!(none.contains("there is no request 00000000"), "{none}");
    assert_eq!(world.post("ann", &format!("cancel {} --why 'changed my mind'", id.short())).await, None);
    let view = world.app.ledger.view(id).await.unwrap().unwrap();
    assert_eq!(view.request.state, RequestState::Cancelled);
}
