//! Watches.

use crate::world::{World, config_map, from, refusal};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use std::pin::pin;

/// A few words for an event.
fn shown(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(map) => format!("added {}", map.name_any()),
        WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
        WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
        WatchEvent::Bookmark(_) => "bookmark".into(),
        WatchEvent::Error(status) => format!("error {} {}", status.code, status.reason),
    }
}

#[tokio::test]
async fn a_watch_from_a_version_shows_every_later_change_once() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let first = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    maps.create(&PostParams::default(), &from(config_map("b", json!({})))).await.unwrap();
    let mut events = pin!(
        maps.watch(&WatchParams::default().timeout(20), &first.resource_version().unwrap()).await.unwrap()
    );
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"x": "1"}}))).await.unwrap();
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = events.try_next().await.unwrap().unwrap();
        if !matches!(event, WatchEvent::Bookmark(_)) {
            seen.push(shown(&event));
        }
    }
    assert_eq!(seen, ["added b", "modified a", "deleted b"]);
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_looks_deleted() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let made = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    let params = WatchParams::default().labels("tier=web").timeout(20).disable_bookmarks();
    let mut events = pin!(maps.watch(&params, &made.resource_version().unwrap()).await.unwrap());
    for tier in ["web", "db"] {
        maps.patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"labels": {"tier": tier}}})),
        )
        .await
        .unwrap();
    }
    let seen = [
        shown(&events.try_next().await.unwrap().unwrap()),
        shown(&events.try_next().await.unwrap().unwrap()),
    ];
    assert_eq!(seen, ["added a", "deleted a"]);
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let version = maps.list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
    let events: Vec<_> =
        maps.watch(&WatchParams::default().timeout(1), &version).await.unwrap().try_collect().await.unwrap();
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), ["bookmark"]);
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_410() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let made = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    for round in 0..5000 {
        world.practice.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"round": round.to_string()}}));
    }
    let mut events =
        pin!(maps.watch(&WatchParams::default(), &made.resource_version().unwrap()).await.unwrap());
    assert_eq!(shown(&events.try_next().await.unwrap().unwrap()), "error 410 Expired");
}

#[tokio::test]
async fn the_watcher_of_the_client_recovers_from_dropped_and_expired_watches() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let name = if config == watcher::Config::default() { "a" } else { "b" };
        let mut events = pin!(watcher::watcher(maps.clone(), config));
        while !matches!(events.next().await.unwrap().unwrap(), Event::InitDone) {}
        world.practice.faults().drop_watches();
        maps.create(&PostParams::default(), &from(config_map(name, json!({})))).await.unwrap();
        world.practice.faults().expire_watches();
        loop {
            // Errors on the way are what was asked for; the watcher goes on by itself.
            if let Ok(Event::Apply(map) | Event::InitApply(map)) = events.next().await.unwrap()
                && map.name_any() == name
            {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_new_watch_can_be_answered_with_the_status_410_itself() {
    let world = World::new().await;
    world.practice.faults().watches_gone(true);
    let refused = world.api::<ConfigMap>().watch(&WatchParams::default(), "1").await;
    let status = refusal(refused.map(|_| ()));
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}
