//! An approved schedule of floors, and the watch over it, by a clock that the test turns.

use crate::chat::{WITHIN, World};
use axum::{Json, Router, extract::Query, routing::get};
use bot::{
    app::App,
    watch::{self, Watching},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{RequestFilter, RequestState};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    f64::consts::TAU,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

const FLOORS: &str = "petrel.dev/floors";

/// A Prometheus that has measured a daily wave of cpu, and enough ready pods; from a moment on, twenty times the load.
async fn prometheus(surge: Arc<AtomicI64>) -> String {
    let range = async move |Query(asked): Query<HashMap<String, String>>| {
        let number = |name: &str| asked[name].parse::<f64>().unwrap() as i64;
        let value = |at: i64| match asked["query"].as_str() {
            // Enough for any load, so that only the forecast can be wrong.
            query if query.contains("replicas_available") => 1000.0,
            query if query.contains("spec_replicas") => 12.0,
            _ => {
                let wave = 3.0 + 2.0 * (at as f64 / 86_400.0 * TAU).sin();
                if at >= surge.load(SeqCst) { 20.0 * wave } else { wave }
            }
        };
        let moments = (number("start")..=number("end")).step_by(number("step") as usize);
        let points: Vec<Value> = moments.map(|at| json!([at, value(at).to_string()])).collect();
        let result = json!([{"metric": {}, "values": points}]);
        Json(json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    };
    let router = Router::new().route("/api/v1/query_range", get(range.clone()).post(range));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

struct Shop {
    world: World,
    /// The replica that watches; the world's own does not, because time is the test's.
    watcher: App,
    watching: Watching,
    surge: Arc<AtomicI64>,
    begun: Timestamp,
}

impl Shop {
    /// A proposal was asked for, approved and carried out.
    async fn new(name: &str) -> Shop {
        let surge = Arc::new(AtomicI64::new(i64::MAX));
        let url = prometheus(Arc::clone(&surge)).await;
        let world = World::with(
            name,
            &format!(
                "[cluster.prometheus]\nurl = \"{url}\"\n[[room]]\nplace = \"console:ops\"\ncluster = \"prod-eu\"\nnamespace = \"shop\"\n"
            ),
        )
        .await;
        let watcher = App { worker: "watcher".into(), ..world.app.clone() };
        let lease = watcher.ledger.take_lease("watch", &watcher.worker, Duration::from_secs(3600)).await;
        assert!(lease.unwrap().is_some());
        let target = json!({"type": "Utilization", "averageUtilization": 40});
        let metrics = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        world.apply(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "checkout", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
                "minReplicas": 2, "maxReplicas": 60, "metrics": metrics}}));
        world.post("ann", "hpa propose deploy/checkout").await;
        let card = world.card("ops", "awaiting 0 of 1").await;
        assert_eq!(world.click("bob", "approve", &card).await, None);
        world.card("ops", "succeeded").await;
        Shop { world, watcher, watching: Watching::default(), surge, begun: Timestamp::now() }
    }

    async fn look(&mut self, hours: i64) {
        let now = self.begun + SignedDuration::from_hours(hours);
        watch::look(&self.watcher, &mut self.watching, now).await.unwrap();
    }

    fn hpa(&self) -> Value {
        self.world.object("autoscaling/v2", "HorizontalPodAutoscaler", "checkout")
    }

    /// The floors that were approved, with their times.
    fn floors(&self) -> Vec<(Timestamp, u64)> {
        let hpa = self.hpa();
        let text = hpa["metadata"]["annotations"][FLOORS].as_str().expect("a schedule");
        let line = |line: &str| {
            let (at, replicas) = line.split_once(' ').unwrap();
            (at.parse().unwrap(), replicas.parse().unwrap())
        };
        text.lines().map(line).collect()
    }

    async fn until_floor(&self, floor: u64) {
        let begun = Instant::now();
        while self.hpa()["spec"]["minReplicas"] != floor {
            assert!(begun.elapsed() < WITHIN, "never {floor}: {:#}", self.hpa());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Requests of an action, newest first.
    async fn requests(&self, action: &str) -> Vec<ledger::Request> {
        let filter = RequestFilter { action: Some(action.into()), limit: 50, ..RequestFilter::default() };
        self.world.app.ledger.requests(&filter).await.unwrap()
    }

    async fn all_succeeded(&self, action: &str) {
        let begun = Instant::now();
        loop {
            let states: Vec<RequestState> =
                self.requests(action).await.iter().map(|request| request.state).collect();
            if states.iter().all(|state| *state == RequestState::Succeeded) {
                return;
            }
            assert!(begun.elapsed() < WITHIN, "{states:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_floors_come_by_themselves_and_are_given_back() {
    let mut shop = Shop::new("watch_floors").await;
    let floors = shop.floors();
    assert_eq!(floors.last().unwrap().1, 2, "as before Petrel: {floors:?}");
    let due = |hours: i64| {
        let now = shop.begun + SignedDuration::from_hours(hours);
        floors.iter().rfind(|floor| floor.0 <= now).unwrap().1
    };
    let hours: Vec<i64> = (1..24).filter(|hour| due(*hour) != due(hour - 1)).take(3).collect();
    let wanted: Vec<u64> = hours.iter().map(|hour| due(*hour)).collect();
    assert!(hours.len() == 3, "a wave has steps: {floors:?}");
    for (hour, floor) in hours.iter().zip(wanted) {
        shop.look(*hour).await;
        shop.until_floor(floor).await;
        shop.all_succeeded("floor").await;
    }
    shop.look(*hours.last().unwrap()).await;
    assert_eq!(shop.requests("floor").await.len(), 3, "once each");
    assert_eq!(shop.requests("floor").await[0].ask.actor.as_str(), "forecast:checkout");
    shop.look(25).await;
    shop.until_floor(2).await;
    shop.all_succeeded("floor").await;
    assert_eq!(shop.hpa()["metadata"]["annotations"].get(FLOORS), None);
    assert_eq!(shop.world.records("watch.ended").await.len(), 1);
    assert_eq!(shop.world.records("watch.outside").await, []);
    // Only the proposal has a card: what was approved once asks nobody again.
    assert_eq!(shop.world.cards("ops", "ann").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_what_ended_meanwhile_is_given_back() {
    let mut shop = Shop::new("watch_restart").await;
    shop.look(24 * 3).await;
    shop.until_floor(2).await;
    shop.all_succeeded("floor").await;
    assert_eq!(shop.hpa()["metadata"]["annotations"].get(FLOORS), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_was_not_foreseen_ends_the_schedule_and_asks_for_the_way_back_once() {
    let mut shop = Shop::new("watch_drift").await;
    shop.surge.store(shop.begun.as_second(), SeqCst);
    shop.look(6).await;
    let back = shop.requests("hpa").await.remove(0);
    assert_eq!((back.state, back.ask.actor.as_str()), (RequestState::Awaiting, "forecast:checkout"));
    assert!(back.ask.why.as_deref().unwrap().contains("the load was off the forecast"), "{:?}", back.ask.why);
    shop.look(9).await;
    assert_eq!(shop.requests("hpa").await.len(), 2, "once");
    assert!(shop.requests("floor").await.is_empty(), "no step of a schedule that is wrong");
    assert_eq!(shop.world.records("watch.outside").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floor_that_somebody_has_set_stays() {
    let mut shop = Shop::new("watch_hand").await;
    let mut hpa = shop.hpa();
    hpa["spec"]["minReplicas"] = 33.into();
    shop.world.apply(hpa);
    shop.look(6).await;
    assert!(shop.requests("floor").await.is_empty());
    assert_eq!(shop.hpa()["spec"]["minReplicas"], 33);
    assert_eq!(shop.world.records("watch.ended").await.len(), 1);
}
