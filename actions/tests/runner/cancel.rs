//! Calling off works at every point and says what was and was not done.

use super::house::House;
use ledger::{RequestState, Step};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn called_off_before_the_first_effect_nothing_is_done() {
    let house = House::new("runner_cancel_before").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().refuse(true);
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Running]).await;
    house.cancel(id).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Cancelled);
    assert!(note.contains("nothing was done") && note.contains("console:bob"), "{note}");
    assert_eq!(house.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn called_off_while_it_is_verified_the_effect_stays() {
    let house = House::new("runner_cancel_verify").await;
    house.deployment("checkout", 2).await;
    let _runner = house.runner("w1").await;
    let id = house.ask_with("set-image deploy/checkout app=shop/app:2", never_verified).await;
    house.until(id, &[RequestState::Verifying]).await;
    house.cancel(id).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Cancelled);
    assert!(
        note.contains("step 1 of 1 (patch Deployment checkout) was done and stays")
            && note.contains("To put it back"),
        "{note}"
    );
    assert_eq!(house.image("checkout"), "shop/app:2");
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}

fn never_verified(plan: &mut ledger::Plan) {
    let object = plan.steps[0].object().clone();
    plan.verify.conditions =
        vec![ledger::Condition::Field { object, pointer: "/spec/paused".into(), equals: json!(true) }];
}

#[tokio::test]
async fn called_off_between_two_steps_the_second_is_not_taken() {
    let house = House::new("runner_cancel_between").await;
    house.deployment("checkout", 2).await;
    let request = house
        .planned("scale deploy/checkout 4", |plan| {
            let mut second = plan.steps[0].clone();
            if let Step::Patch { body, .. } = &mut second {
                *body = json!({"spec": {"paused": true}});
            }
            plan.steps.push(second);
        })
        .await;
    let id = house.submit(&request).await;
    house.practice.faults().latency(Duration::from_millis(1500));
    let _runner = house.runner_with("w1", Duration::from_secs(10)).await;
    super::house::eventually("the first step", || async {
        let steps = house.view(id).await.steps;
        steps.first().is_some_and(|step| step.state == ledger::StepState::Done).then_some(())
    })
    .await;
    house.cancel(id).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Cancelled, "{note}");
    assert!(
        note.contains("step 1 of 2") && note.contains("step 2 of 2 (patch Deployment checkout) was not done"),
        "{note}"
    );
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}
