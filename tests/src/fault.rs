//! What goes wrong between a chat platform and Petrel, in both directions. Random, but the same for the same seed.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{sync::Mutex, time::Duration};

/// What goes wrong with one call to the platform.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Status 429 and `Retry-After` in seconds; nothing takes effect.
    TooMany(u64),
    /// This status (500, 502, 503) and no JSON, as an edge answers; nothing takes effect.
    Status(u16),
    /// It takes effect, and the answer is lost.
    LoseAnswer,
    /// The connection breaks before anything takes effect.
    Break,
    /// It takes effect, late.
    Late(Duration),
}

impl Trouble {
    /// What the caller gets instead of an answer, when nothing is to take effect.
    pub fn instead(self, too_many: Value) -> Option<Response> {
        match self {
            Trouble::TooMany(seconds) => {
                let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(too_many)).into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                Some(response)
            }
            Trouble::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                Some((status, "<html><body>upstream connect error</body></html>").into_response())
            }
            Trouble::Break => Some(no_answer()),
            Trouble::LoseAnswer | Trouble::Late(_) => None,
        }
    }
}

/// The connection breaks off.
pub fn no_answer() -> Response {
    let mut response = Json(json!({})).into_response();
    response.extensions_mut().insert(crate::server::NoAnswer);
    response
}

/// How often something goes wrong with what the platform sends to Petrel: each a part of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    /// Sent twice.
    pub duplicated: f64,
    /// Sent late, by up to `delay`; later ones overtake it.
    pub delayed: f64,
    /// The longest delay.
    pub delay: Duration,
    /// Never arrives; the platform believes that it was sent.
    pub lost: f64,
}

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Sent twice.
    pub twice: bool,
    /// Sent after this.
    pub delay: Duration,
    /// Never sent.
    pub lost: bool,
}

/// The faults of one platform.
pub struct Faults {
    planned: Mutex<Vec<(String, Trouble)>>,
    chances: Mutex<(Chances, StdRng)>,
}

impl Faults {
    /// None, until some are planned.
    pub fn new(seed: u64) -> Faults {
        Faults {
            planned: Mutex::default(),
            chances: Mutex::new((Chances::default(), StdRng::seed_from_u64(seed))),
        }
    }

    /// The next call whose name begins with `call` meets this trouble. Several are met in turn.
    pub fn plan(&self, call: &str, trouble: Trouble) {
        self.planned.lock().expect("faults").push((call.to_string(), trouble));
    }

    /// Troubles planned and not yet met.
    pub fn left(&self) -> usize {
        self.planned.lock().expect("faults").len()
    }

    /// From now on deliveries go wrong so often.
    pub fn set_chances(&self, chances: Chances) {
        self.chances.lock().expect("faults").0 = chances;
    }

    /// The trouble that this call meets.
    pub fn meet(&self, call: &str) -> Option<Trouble> {
        let mut planned = self.planned.lock().expect("faults");
        let index = planned.iter().position(|(name, _)| call.starts_with(name.as_str()))?;
        Some(planned.remove(index).1)
    }

    /// What becomes of the next delivery.
    pub fn fate(&self) -> Fate {
        let mut chances = self.chances.lock().expect("faults");
        let (chance, rng) = &mut *chances;
        let lost = rng.random::<f64>() < chance.lost;
        let twice = rng.random::<f64>() < chance.duplicated;
        let late = rng.random::<f64>() < chance.delayed;
        let delay = if late { chance.delay.mul_f64(rng.random::<f64>()) } else { Duration::ZERO };
        Fate { twice, delay, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fates_and_about_as_many_as_were_asked_for() {
        let fates = |seed| {
            let faults = Faults::new(seed);
            faults.set_chances(Chances {
                duplicated: 0.05,
                delayed: 0.05,
                delay: Duration::from_secs(1),
                lost: 0.02,
            });
            (0..10_000).map(|_| faults.fate()).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        let of = |wrong: fn(&Fate) -> bool| fates(7).iter().filter(|fate| wrong(fate)).count();
        assert!((400..600).contains(&of(|fate| fate.twice)));
        assert!((400..600).contains(&of(|fate| !fate.delay.is_zero())));
        assert!((130..270).contains(&of(|fate| fate.lost)));
    }

    #[test]
    fn planned_troubles_are_met_in_turn_and_once() {
        let faults = Faults::new(0);
        faults.plan("chat.", Trouble::Break);
        faults.plan("chat.update", Trouble::LoseAnswer);
        assert!(faults.meet("views.open").is_none());
        assert!(matches!(faults.meet("chat.update"), Some(Trouble::Break)));
        assert!(matches!(faults.meet("chat.update"), Some(Trouble::LoseAnswer)));
        assert!(faults.meet("chat.update").is_none());
    }
}
