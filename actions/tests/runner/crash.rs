//! Workers that die, freeze or lose their lease: every approved effect exactly once, and nothing left held.

use super::house::{House, Working, deployment, eventually};
use ledger::{RequestId, RequestState, StepState};
use std::{collections::BTreeMap, time::Duration};

/// Each request's effects by its own key, for all that did not end with nothing done.
fn assert_once_each(house: &House, ends: &[(RequestId, RequestState, String)]) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for key in house.keys() {
        *counts.entry(key).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "an effect took place twice: {counts:?}");
    for (id, state, note) in ends {
        assert_eq!(*state, RequestState::Succeeded, "{id}: {note}");
        let of_this = counts.keys().filter(|key| key.starts_with(&format!("{id}/"))).count();
        assert_eq!(of_this, 1, "{id}");
    }
}

async fn ends(house: &House, ids: &[RequestId]) -> Vec<(RequestId, RequestState, String)> {
    let mut ends = Vec::new();
    for id in ids {
        let (state, note) = house.end(*id).await;
        ends.push((*id, state, note));
    }
    ends
}

/// Kills the runner as soon as the step of the only request is in `state`, and lets another take over.
async fn killed_when(name: &str, state: StepState) {
    let house = House::new(name).await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().latency(Duration::from_millis(50));
    let first = house.runner("w1").await;
    eventually("the step", || async {
        house.view(id).await.steps.first().is_some_and(|step| step.state == state).then_some(())
    })
    .await;
    drop(first);
    let _second = house.runner("w2").await;
    assert_once_each(&house, &ends(&house, &[id]).await);
    let run = house.view(id).await.run.expect("a run");
    assert_eq!(run.attempt, 2);
    house.idle().await;
}

#[tokio::test]
async fn a_runner_killed_between_intent_and_outcome_is_taken_over() {
    killed_when("runner_kill_intended", StepState::Intended).await;
}

#[tokio::test]
async fn a_runner_killed_after_the_outcome_is_taken_over() {
    killed_when("runner_kill_done", StepState::Done).await;
}

#[tokio::test]
async fn a_runner_killed_before_the_intent_is_taken_over() {
    let house = House::new("runner_kill_running").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().latency(Duration::from_millis(200));
    let first = house.runner("w1").await;
    house.until(id, &[RequestState::Running]).await;
    drop(first);
    house.practice.faults().latency(Duration::ZERO);
    let _second = house.runner("w2").await;
    assert_once_each(&house, &ends(&house, &[id]).await);
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_under_load_lose_nothing_and_repeat_nothing() {
    let house = House::new("runner_kills").await;
    let names: Vec<String> = (0..100).map(|n| format!("app{n}")).collect();
    for name in &names {
        house.practice.apply(deployment(name, 1, "shop/app:1"));
    }
    house.practice.settled().await;
    let seed = 0x5eed_1234;
    let mut dice = Dice(seed);
    let mut ids = Vec::new();
    let mut runners: Vec<Option<Working>> = Vec::new();
    for n in 0..3 {
        runners.push(Some(house.runner(&format!("w{n}")).await));
    }
    for kill in 0..200_u64 {
        if kill % 2 == 0 {
            ids.push(house.ask(&format!("restart deploy/{}", names[kill as usize / 2])).await);
        }
        if kill % 20 == 0 {
            house.practice.faults().drop_answers(1);
        }
        // Not a wait for anything: the moment of the kill is what is drawn.
        tokio::time::sleep(Duration::from_micros(dice.below(12_000))).await;
        let slot = dice.below(3) as usize;
        drop(runners[slot].take());
        runners[slot] = Some(house.runner(&format!("w{kill}-{slot}")).await);
    }
    house.idle().await;
    assert_once_each(&house, &ends(&house, &ids).await);
    let mut rescued = 0;
    for id in &ids {
        rescued += u32::from(house.view(*id).await.run.expect("a run").attempt > 1);
    }
    assert!(rescued >= 10, "the kills must have hit something: {rescued} of {} runs were rescued", ids.len());
}

/// A process that is frozen (a paused machine, a long swap) and thaws after its lease is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_thaws_after_its_lease_does_nothing_more() {
    let house = House::new("runner_freeze").await;
    house.deployment("checkout", 2).await;
    let mut dice = Dice(0x00f0_f077);
    house.practice.faults().latency(Duration::from_millis(20));
    let mut ids = Vec::new();
    for round in 0..8 {
        let frozen = Frozen::start(&house, &format!("frozen{round}"));
        let id = house.ask("restart deploy/checkout").await;
        house.until(id, &[RequestState::Running, RequestState::Verifying]).await;
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        frozen.freeze(Duration::from_millis(2500));
        let second = house.runner(&format!("second{round}")).await;
        let (state, note) = house.end(id).await;
        assert_eq!(state, RequestState::Succeeded, "{note}");
        frozen.join();
        second.stop().await;
        ids.push(id);
    }
    assert_once_each(&house, &ends(&house, &ids).await);
    house.idle().await;
}

/// A runner on a thread of its own that can be put to sleep whole.
struct Frozen {
    thread: std::thread::JoinHandle<()>,
    freeze: tokio::sync::mpsc::UnboundedSender<Duration>,
}

impl Frozen {
    fn start(house: &House, worker: &str) -> Frozen {
        let (freeze, mut wanted) = tokio::sync::mpsc::unbounded_channel::<Duration>();
        let parts = house.parts();
        let worker = worker.to_string();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let working = parts.runner(&worker, Duration::from_secs(1)).await;
                if let Some(length) = wanted.recv().await {
                    std::thread::sleep(length);
                }
                // Thawed: what it held is not its own any more.
                working.stop().await;
            });
        });
        Frozen { thread, freeze }
    }

    fn freeze(&self, length: Duration) {
        self.freeze.send(length).expect("the thread lives");
    }

    fn join(self) {
        self.thread.join().expect("the thread does not panic");
    }
}
