//! All clusters and how they are.

use super::{
    draw::{
        cluster_badge,
        layout::{Here, page},
    },
    session::Viewer,
};
use crate::{app::App, visible};
use actions::cluster::{Cluster, Health};
use axum::extract::State;
use futures::future::join_all;
use maud::{Markup, html};
use std::time::Duration;

/// A page does not wait longer for a cluster, whatever its own timeout.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /clusters`.
pub(super) async fn list(State(app): State<App>, viewer: Viewer) -> Markup {
    let known = app.clusters.names().into_iter().filter_map(|name| app.clusters.get(&name).ok());
    draw(&viewer, &join_all(known.map(health)).await)
}

async fn health(cluster: Cluster) -> Health {
    let asked = tokio::time::timeout(PATIENCE, cluster.health()).await;
    asked.unwrap_or_else(|_| Health {
        name: cluster.name().to_string(),
        version: None,
        latency_ms: None,
        nodes: None,
        trouble: Some(format!("no answer within {} s", PATIENCE.as_secs())),
        labels: cluster.labels().clone(),
    })
}

/// The page.
pub(super) fn draw(viewer: &Viewer, all: &[Health]) -> Markup {
    page(
        "Clusters",
        Here::Clusters,
        viewer,
        html! {
            h1 { "Clusters" }
            @if all.is_empty() { p.empty { "There is none yet. Add a [[cluster]] to the config file; petrel check says whether it answers." } }
            ul.clusters { @for health in all { li { (one(health)) } } }
        },
    )
}

fn one(health: &Health) -> Markup {
    let production = health.labels.get("production").is_some_and(|value| value == "true");
    let (tone, words) = match (&health.trouble, &health.version) {
        (None, Some(_)) => ("good", "healthy"),
        (Some(_), Some(_)) => ("waiting", "in trouble"),
        _ => ("bad", "no answer"),
    };
    html! {
        article class={ "card tone-" (tone) @if production { " on-production" } } data-cluster=(health.name) {
            header {
                (cluster_badge(&health.name, production))
                span class={ "pill tone-" (tone) } data-status { (words) }
            }
            @if let Some(trouble) = &health.trouble { p { (visible::line(trouble)) } }
            dl {
                @if let Some(version) = &health.version { div { dt { "Version" } dd { (visible::line(version)) } } }
                @if let Some(latency) = health.latency_ms { div { dt { "Latency" } dd { (latency) " ms" } } }
                @if let Some((ready, of)) = health.nodes { div { dt { "Nodes" } dd { (ready) " of " (of) " ready" } } }
                @for (name, value) in health.labels.iter().filter(|(name, _)| *name != "production") {
                    div { dt { (visible::line(name)) } dd { (visible::line(value)) } }
                }
            }
        }
    }
}
