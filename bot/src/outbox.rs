//! Delivers cards: claims what is due, draws a request's card from its state at that moment, and has the platform's door
//! post or edit it. One worker per platform: one that is down delays no other.

use crate::{
    app::App,
    card::Card,
    door::{Door, Kind, Undelivered},
    draw,
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use ledger::{CardSubject, Delivery, Wake};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;

/// A worker silent for so long is presumed dead, and its deliveries are taken over.
const LEASE: Duration = Duration::from_secs(10);
/// The fallback when no wake arrives.
const POLL: Duration = Duration::from_secs(1);
/// Claimed at once.
const BATCH: u32 = 32;
/// Delivered at once.
const PARALLEL: usize = 4;

/// Delivers to one platform until the app stops.
pub async fn work(app: App, door: Arc<dyn Door>) {
    let platform = door.platform();
    let mut wakes = app.wakes.subscribe();
    loop {
        match app.ledger.claim_deliveries(platform, &app.worker, LEASE, BATCH).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                stream::iter(&due)
                    .for_each_concurrent(PARALLEL, |delivery| deliver(&app, &*door, delivery))
                    .await;
                if !app.stop.is_cancelled() {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, platform, "could not claim cards to deliver"),
        }
        let woken = async {
            loop {
                match wakes.recv().await {
                    Ok(Wake::Card | Wake::Lost) | Err(RecvError::Lagged(_)) => return,
                    Ok(_) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = woken => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn deliver(app: &App, door: &dyn Door, delivery: &Delivery) {
    let started = Instant::now();
    let outcome = match draw_card(app, delivery).await {
        Ok(card) => door.deliver(delivery, &card).await,
        Err(why) => Err(Undelivered::later(why)),
    };
    let noted = match outcome {
        Ok(message) => {
            app.metrics.delivery(started.elapsed());
            app.ledger.delivered(delivery, &message).await.map(|_| ())
        }
        Err(Undelivered { why, after, kind }) => {
            match kind == Kind::Paced {
                true => {
                    tracing::debug!(card.id = %delivery.card, place = %delivery.place, ?after, "a card waits its turn")
                }
                false => {
                    tracing::warn!(card.id = %delivery.card, place = %delivery.place, attempts = delivery.attempts, why, "could not deliver a card")
                }
            }
            let wait = after.unwrap_or_else(|| back_off(delivery.attempts));
            app.ledger.undelivered(delivery, &why, wait).await
        }
    };
    if let Err(error) = noted {
        // The claim runs out and the card is delivered again; doors edit the same message then.
        tracing::warn!(card.id = %delivery.card, %error, "could not note a delivery");
    }
}

async fn draw_card(app: &App, delivery: &Delivery) -> Result<Card, String> {
    match &delivery.subject {
        CardSubject::Said(card) => serde_json::from_value(card.clone()).map_err(|error| error.to_string()),
        CardSubject::Request(id) => {
            let view = app.ledger.view(*id).await.map_err(|error| error.to_string())?;
            let view = view.ok_or("its request is not there")?;
            let labels = app.labels(&view.request.plan.target.cluster);
            Ok(draw::request(&view, &labels, Timestamp::now()))
        }
    }
}

/// 200 ms, doubling, at most a minute.
fn back_off(attempts: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << attempts.min(10)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_a_fifth_of_a_second_to_a_minute() {
        assert_eq!(back_off(0), Duration::from_millis(200));
        assert_eq!(back_off(3), Duration::from_millis(1600));
        assert_eq!(back_off(u32::MAX), Duration::from_secs(60));
    }
}
