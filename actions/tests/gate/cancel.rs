//! Who may call a request off.

use super::world::{RULES, World, ask};
use ledger::{Refusal, RequestId, RequestState};
use serde_json::json;

#[tokio::test]
async fn the_asker_and_whoever_could_vote_may_call_it_off_and_nobody_else() {
    let world = World::new("cancel", RULES).await;
    for actor in ["console:joe", "console:ann"] {
        let request = world.awaiting().await;
        for outsider in ["console:eve", "api:ci", "slack:T1:U9"] {
            let refusal =
                world.gate.cancel(request.id, &outsider.parse().unwrap(), None, world.now).await.unwrap();
            assert!(matches!(refusal, Err(Refusal::Policy { .. })), "{outsider}: {refusal:?}");
        }
        let cancelled = world
            .gate
            .cancel(request.id, &actor.parse().unwrap(), Some("not now"), world.now)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cancelled.state, RequestState::Cancelled);
        assert!(cancelled.note.unwrap().contains("not now"));
        // Once more is too late, and says so.
        let again = world.gate.cancel(request.id, &actor.parse().unwrap(), None, world.now).await.unwrap();
        assert!(matches!(again, Err(Refusal::TooLate { .. })), "{again:?}");
    }
    let entries = world.entries().await;
    let refused: Vec<_> = entries.iter().filter(|(kind, _)| kind == "cancel.refused").collect();
    assert_eq!(refused.len(), 8, "each refused attempt is on record: {entries:?}");
}

#[tokio::test]
async fn where_no_vote_was_needed_whoever_may_do_the_same_may_call_it_off() {
    let rules = RULES.replacen(
        "action = \"restart\"",
        "action = \"restart\"\nwhen = '!(\"leads\" in actor.groups)'",
        1,
    );
    let world = World::new("cancelsame", &rules).await;
    let request = world.request(ask("console:joe", "restart", "checkout", json!({}))).await;
    let lead = world.gate.cancel(request.id, &"console:eve".parse().unwrap(), None, world.now).await.unwrap();
    assert!(matches!(lead, Err(Refusal::Policy { .. })), "{lead:?}");
    let colleague =
        world.gate.cancel(request.id, &"console:bob".parse().unwrap(), None, world.now).await.unwrap();
    assert_eq!(colleague.unwrap().state, RequestState::Cancelled);
}

#[tokio::test]
async fn nothing_cannot_be_called_off() {
    let world = World::new("cancelnothing", RULES).await;
    let nothing =
        world.gate.cancel(RequestId::new(), &"console:ann".parse().unwrap(), None, world.now).await.unwrap();
    assert_eq!(nothing, Err(Refusal::NoSuchRequest));
    assert!(world.entries().await.is_empty());
}
