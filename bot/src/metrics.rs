//! What `/metrics` says: times of this process, and gauges that are read from the ledger when asked.

use ledger::{Gauges, RequestState};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{sync::atomic::AtomicU64, time::Duration};

/// One series per state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: String,
}

impl InState {
    fn of(state: impl Into<String>) -> InState {
        InState { state: state.into() }
    }
}

/// One series per platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OnPlatform {
    platform: String,
}

/// One series per intake and what became of what it told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FromIntake {
    intake: String,
    outcome: &'static str,
}

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    query: Histogram,
    event: Histogram,
    delivery: Histogram,
    requests: Family<InState, Gauge>,
    runs: Family<InState, Gauge>,
    undelivered: Gauge,
    given_up: Gauge,
    failures: Family<OnPlatform, Counter>,
    unhandled: Gauge,
    intake: Histogram,
    intake_events: Family<FromIntake, Counter>,
    intake_refused: Family<FromIntake, Counter>,
    waiting_events: Gauge,
    incidents: Gauge,
    blocked_rules: Gauge,
    storms: Gauge,
    unsealed_age: Gauge<f64, AtomicU64>,
}

/// Milliseconds to half a minute.
const BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

impl Default for Metrics {
    fn default() -> Self {
        let times = || Histogram::new(BUCKETS);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("petrel"),
            query: times(),
            event: times(),
            delivery: times(),
            requests: Family::default(),
            runs: Family::default(),
            undelivered: Gauge::default(),
            given_up: Gauge::default(),
            failures: Family::default(),
            unhandled: Gauge::default(),
            intake: times(),
            intake_events: Family::default(),
            intake_refused: Family::default(),
            waiting_events: Gauge::default(),
            incidents: Gauge::default(),
            blocked_rules: Gauge::default(),
            storms: Gauge::default(),
            unsealed_age: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        let seconds = || Unit::Seconds;
        registry.register_with_unit(
            "query_duration",
            "Time to answer a question",
            seconds(),
            metrics.query.clone(),
        );
        registry.register_with_unit(
            "event_duration",
            "Time to handle a typed line or a click",
            seconds(),
            metrics.event.clone(),
        );
        registry.register_with_unit(
            "delivery_duration",
            "Time to draw and deliver a card",
            seconds(),
            metrics.delivery.clone(),
        );
        registry.register("requests", "Requests that are not over, by state", metrics.requests.clone());
        registry.register("runs", "Runs waiting for a worker (queued) and held by one", metrics.runs.clone());
        registry.register("undelivered_cards", "Cards due in some place", metrics.undelivered.clone());
        registry.register(
            "given_up_cards",
            "Cards given up in some place within the last day",
            metrics.given_up.clone(),
        );
        registry.register(
            "delivery_failures",
            "Tries to deliver a card that failed, by platform",
            metrics.failures.clone(),
        );
        registry.register(
            "unhandled_events",
            "Lines and clicks that are not handled",
            metrics.unhandled.clone(),
        );
        registry.register_with_unit(
            "intake_duration",
            "Time to make durable what an intake was told",
            seconds(),
            metrics.intake.clone(),
        );
        registry.register(
            "intake_events",
            "Events that intakes were told: new, known already, or refused",
            metrics.intake_events.clone(),
        );
        registry.register(
            "intake_refused",
            "Messages that intakes refused: proof, size, rate, slow, malformed, database",
            metrics.intake_refused.clone(),
        );
        registry.register(
            "waiting_events",
            "Events that are not folded into incidents yet",
            metrics.waiting_events.clone(),
        );
        registry.register("open_incidents", "Incidents that have not ended", metrics.incidents.clone());
        registry.register(
            "blocked_rules",
            "Rules that only a person lets go on somewhere",
            metrics.blocked_rules.clone(),
        );
        registry.register("storms", "Clusters in which it storms", metrics.storms.clone());
        registry.register_with_unit(
            "unsealed_entry_age",
            "Age of the oldest entry after the newest seal",
            seconds(),
            metrics.unsealed_age.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// A question was answered.
    pub fn query(&self, took: Duration) {
        self.query.observe(took.as_secs_f64());
    }

    /// A line or click was handled.
    pub fn event(&self, took: Duration) {
        self.event.observe(took.as_secs_f64());
    }

    /// A card was delivered.
    pub fn delivery(&self, took: Duration) {
        self.delivery.observe(took.as_secs_f64());
    }

    /// An intake made a message durable.
    pub fn intake(&self, took: Duration) {
        self.intake.observe(took.as_secs_f64());
    }

    /// What one message told.
    pub fn intake_events(&self, intake: &str, new: u64, known: u64, refused: u64) {
        for (outcome, count) in [("new", new), ("known", known), ("refused", refused)] {
            self.intake_events.get_or_create(&FromIntake { intake: intake.into(), outcome }).inc_by(count);
        }
    }

    /// An intake refused a message.
    pub fn intake_refused(&self, intake: &str, why: &'static str) {
        self.intake_refused.get_or_create(&FromIntake { intake: intake.into(), outcome: why }).inc();
    }

    /// A card could not be delivered.
    pub fn undelivered(&self, platform: &str) {
        self.failures.get_or_create(&OnPlatform { platform: platform.into() }).inc();
    }

    /// The OpenMetrics text, with gauges as just read.
    pub fn text(&self, gauges: &Gauges) -> String {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for (state, count) in &gauges.open_requests {
            self.requests.get_or_create(&InState::of(RequestState::as_str(*state))).set(whole(*count));
        }
        self.runs.get_or_create(&InState::of("queued")).set(whole(gauges.queued_runs));
        self.runs.get_or_create(&InState::of("held")).set(whole(gauges.held_runs));
        self.undelivered.set(whole(gauges.undelivered_cards));
        self.given_up.set(whole(gauges.given_up_cards));
        self.unhandled.set(whole(gauges.unhandled_events));
        self.waiting_events.set(whole(gauges.waiting_events));
        self.incidents.set(whole(gauges.open_incidents));
        self.blocked_rules.set(whole(gauges.blocked_rules));
        self.storms.set(whole(gauges.storms));
        self.unsealed_age.set(gauges.unsealed_age_s);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_every_series_with_its_unit() {
        let metrics = Metrics::default();
        metrics.query(Duration::from_millis(3));
        metrics.undelivered("slack");
        let gauges = Gauges {
            open_requests: vec![(RequestState::Awaiting, 2)],
            unsealed_age_s: 0.5,
            ..Gauges::default()
        };
        let text = metrics.text(&gauges);
        for line in [
            "petrel_requests{state=\"awaiting\"} 2",
            "petrel_runs{state=\"queued\"} 0",
            "petrel_delivery_failures_total{platform=\"slack\"} 1",
            "petrel_unsealed_entry_age_seconds 0.5",
            "petrel_query_duration_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
