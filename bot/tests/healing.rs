//! Healing against a real database, with a clock that the test turns.

use actions::{
    lookout::{Change, Key, Sign, Trouble},
    owner::Home,
};
use bot::{
    app::App,
    config::Config,
    healing::{Owners, fold, person, steward},
    line::Reply,
    lookout::{told, unwatched},
};
use heal::event::{Context, alert};
use jiff::{SignedDuration, Timestamp};
use ledger::{private, *};
use serde_json::{Value, json};
use std::path::Path;
use tokio_util::sync::CancellationToken;

const POLICY: &str = r#"
[[person]]
name = "bob"
identities = ["console:bob"]
groups = ["sre"]

[[machine]]
name = "healer"
identities = ["alert:*", "api:robot"]
groups = ["machines"]

[[rule]]
name = "healing at once"
action = "*"
decide = "allow"
"#;

/// Its cluster does not answer, so every healing fails.
const RULES: &str = "rule \"in vain\" {\n  on alert \"Sick\"\n  then [ restart(workload) ]\n}\n";

struct World {
    app: App,
    url: String,
    folder: tempfile::TempDir,
    now: Timestamp,
    told: u32,
}

impl World {
    async fn new(name: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.heal"), RULES).unwrap();
        let app = app(&url, folder.path()).await;
        World { app, url, folder, now: "2026-03-01T12:00:00Z".parse().unwrap(), told: 0 }
    }

    /// As after a restart: nothing is remembered but what is stored.
    async fn restart(&mut self) {
        self.app.stop.cancel();
        self.app = app(&self.url, self.folder.path()).await;
    }

    fn pass(&mut self, length: SignedDuration) {
        self.now += length;
    }

    /// The alert fires (again).
    async fn tell(&mut self, ended: bool) {
        self.told += 1;
        let began = "2026-03-01T11:59:00Z";
        let body = json!({"version": "4", "alerts": [{
            "status": if ended { "resolved" } else { "firing" },
            "labels": {"alertname": "Sick", "namespace": "shop", "deployment": "checkout", "cluster": "dead"},
            "annotations": {"summary": format!("told {} times", self.told)},
            "startsAt": began, "endsAt": if ended { self.now.to_string() } else { began.to_string() },
        }]});
        let context = Context { cluster: None, received: self.now };
        let batch = alert::read(body.to_string().as_bytes(), context).unwrap();
        let events: Vec<NewEvent> = batch
            .events
            .iter()
            .map(|event| NewEvent {
                key: format!("k{}", self.told),
                body: serde_json::to_value(event).unwrap(),
            })
            .collect();
        self.app.ledger.receive_events("test", &events, self.now).await.unwrap();
        fold::fold(&self.app, &Owners::default(), self.now).await.unwrap();
    }

    /// What is due is looked after.
    async fn work(&self) {
        let due = self
            .app
            .ledger
            .claim_incidents(10, &[], None, SignedDuration::from_secs(30), self.now)
            .await
            .unwrap();
        for stored in due {
            steward::look_after(&self.app, stored, self.now).await.unwrap();
        }
    }

    async fn open(&self) -> (IncidentId, Value) {
        let all = self.app.ledger.incidents(true, 10).await.unwrap();
        assert_eq!(all.len(), 1, "one open incident");
        (all[0].id, all[0].doc.clone())
    }

    async fn healings(&self) -> usize {
        self.open().await.1["healings"].as_array().unwrap().len()
    }

    /// Messages that call people.
    async fn calls(&self) -> usize {
        let place = Place("console:alerts".into());
        let take = Take { limit: 100, per_room: 100, except: vec![] };
        let due = self
            .app
            .ledger
            .claim_deliveries(place.platform(), "test", std::time::Duration::from_millis(1), &take)
            .await
            .unwrap();
        due.iter()
            .filter(|delivery| matches!(&delivery.subject, CardSubject::Said(card) if card["title"].as_str().unwrap().starts_with("LOOK NOW")))
            .count()
    }
}

async fn app(url: &str, folder: &Path) -> App {
    let ledger = Ledger::connect(&Connect { url: url.into(), connections: 4 }).await.unwrap();
    let config = format!(
        "[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n[heal]\nrules = \"{}\"\n\
         [[cluster]]\nname = \"dead\"\nserver = \"http://127.0.0.1:9\"\ntimeout_s = 1\n\
         [[room]]\nplace = \"console:alerts\"\nnotices = [\"incidents\"]\n",
        folder.display()
    );
    let config = Config::parse(Path::new("/petrel.toml"), &config, &|_| None).unwrap();
    let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
    let policy = actions::policy::PolicyHandle::fixed(policy);
    let app = App::new(config, ledger, policy, CancellationToken::new());
    app.rules.reload().unwrap();
    app
}

#[tokio::test]
async fn three_healings_that_do_not_help_block_the_rule_until_a_person_lifts_it() {
    let mut world = World::new("healing_brake").await;
    let minute = SignedDuration::from_mins(1);
    world.tell(false).await;
    world.work().await;
    assert_eq!(world.healings().await, 1);
    // The pause of five minutes.
    world.pass(minute * 4);
    world.tell(false).await;
    world.work().await;
    assert_eq!(world.healings().await, 1, "it has just tried");
    world.pass(minute * 2);
    world.work().await;
    assert_eq!(world.healings().await, 2);
    world.restart().await;
    world.pass(minute * 6);
    world.work().await;
    assert_eq!(world.healings().await, 3);
    assert_eq!(world.calls().await, 1, "people are called once");
    assert_eq!(world.app.ledger.blocked().await.unwrap().len(), 1);
    // Never again, however long it lasts; nobody is called for it a second time.
    for _ in 0..5 {
        world.restart().await;
        world.pass(minute * 120);
        world.tell(false).await;
        world.work().await;
    }
    assert_eq!(world.healings().await, 3, "blocked");
    assert_eq!(world.calls().await, 1);
    let bob: Actor = "console:bob".parse().unwrap();
    let who = world.app.gate.who(&bob).await.unwrap().unwrap();
    let (id, doc) = world.open().await;
    let place = doc["group"].to_string();
    let place = fold::place(&serde_json::from_str(&place).unwrap());
    let reply = person::unblock(&world.app, &bob, &who, &place, None, world.now).await.unwrap();
    assert!(matches!(&reply, Reply::Said(card) if card.title.contains("in vain")), "{reply:?}");
    world.pass(minute);
    world.work().await;
    assert_eq!(world.healings().await, 4, "a person let it go on");
    let card = person::card(&world.app, id, world.now).await.unwrap().unwrap();
    assert_eq!(card.steps.len(), 4, "what was tried stands on the card");
}

#[tokio::test]
async fn a_machine_never_unblocks() {
    let mut world = World::new("healing_machine").await;
    world.tell(false).await;
    let robot: Actor = "api:robot".parse().unwrap();
    let who = world.app.gate.who(&robot).await.unwrap().unwrap();
    let (id, _) = world.open().await;
    let reply = person::unblock(&world.app, &robot, &who, "anywhere", None, world.now).await.unwrap();
    assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    for deed in [
        person::Deed::Take,
        person::Deed::Silence { lasts: SignedDuration::from_hours(1), why: String::new() },
    ] {
        let reply = person::act(&world.app, &robot, id, &deed, world.now).await.unwrap();
        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    }
}

#[tokio::test]
async fn silence_ends_and_then_the_rule_acts() {
    let mut world = World::new("healing_silence").await;
    world.tell(false).await;
    let (id, _) = world.open().await;
    let bob: Actor = "console:bob".parse().unwrap();
    let deed = person::Deed::Silence { lasts: SignedDuration::from_mins(30), why: "known".into() };
    person::act(&world.app, &bob, id, &deed, world.now).await.unwrap();
    world.work().await;
    assert_eq!(world.healings().await, 0, "silent");
    world.pass(SignedDuration::from_mins(31));
    world.work().await;
    assert_eq!(world.healings().await, 1);
    // A failed healing, and then it is over: nobody healed it.
    world.pass(SignedDuration::from_mins(1));
    world.tell(true).await;
    let all = world.app.ledger.incidents(false, 10).await.unwrap();
    assert_eq!(all[0].doc["end"], json!("itself"));
    let figures = world.app.ledger.rule_figures(world.now - SignedDuration::from_hours(2)).await.unwrap();
    assert_eq!(
        (figures[0].begun, figures[0].healed, figures[0].ineffective, figures[0].rolled_back),
        (1, 0, 1, 0)
    );
    let ends = world.app.ledger.incident_figures(world.now - SignedDuration::from_hours(2)).await.unwrap();
    assert_eq!(ends, [("itself".to_string(), 1)]);
}

/// What a watcher of a cluster that is not in the config says, under the lease of this epoch.
async fn say(world: &World, epoch: i64) {
    let key = Key {
        trouble: Trouble::ImagePullBackOff,
        namespace: "shop".into(),
        object: "cart-1".into(),
        part: "app".into(),
    };
    let home = Home { workload: Some(("Deployment".into(), "cart".into())), node: None };
    let sign = Sign { key, since: world.now, words: "not found".into(), home };
    let event = told::event("gone", &Change::Began(sign), epoch, world.now);
    let fresh = world.app.ledger.receive_events(&event.source, &[told::new_event(&event)], world.now).await;
    assert_eq!(fresh.unwrap(), 1, "epoch {epoch}");
    fold::fold(&world.app, &Owners::default(), world.now).await.unwrap();
}

/// Nobody watches it: what is open is closed, if this process may.
async fn look(world: &World) -> u64 {
    let later = world.now + SignedDuration::from_mins(10);
    let closed = unwatched::look(&world.app, later).await.unwrap();
    fold::fold(&world.app, &Owners::default(), later).await.unwrap();
    closed
}

#[tokio::test]
async fn trouble_of_a_cluster_that_nobody_watches_any_more_ends_once_its_watcher_is_gone() {
    let world = World::new("healing_unwatched").await;
    let ledger = &world.app.ledger;
    let minute = std::time::Duration::from_secs(60);
    for round in 0..2 {
        // Somebody else still watches it, with a config of before.
        let watcher = ledger.take_lease("lookout.gone", "other", minute).await.unwrap().unwrap();
        say(&world, watcher.epoch).await;
        assert_eq!(look(&world).await, 0, "its watcher says what is over");
        assert_eq!(world.open().await.1["names"], json!(["ImagePullBackOff"]), "round {round}");
        ledger.give_lease(&watcher).await.unwrap();
        assert_eq!(look(&world).await, 1);
        let all = ledger.incidents(false, 10).await.unwrap();
        assert_eq!((all.len(), &all[0].doc["end"]), (round + 1, &json!("itself")));
        assert_eq!(look(&world).await, 0, "once");
    }
}

#[tokio::test]
async fn what_webhooks_told_stays_open_whoever_watches() {
    let mut world = World::new("healing_webhook").await;
    world.tell(false).await;
    assert_eq!(look(&world).await, 0);
    world.open().await;
}
