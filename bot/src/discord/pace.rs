//! How fast Discord may be asked: its limits as it tells them, kept here before it has to refuse. Pure: time is a parameter.
//!
//! Discord groups routes into buckets that only it knows, and names them in a header of each answer; so each route is counted
//! alone until it is known whose bucket it draws from. Answers with 401, 403 and 429 count towards a ban (10,000 in ten minutes):
//! a refused token stops everything for a while, a limit is waited for.
//! <https://docs.discord.com/developers/topics/rate-limits>

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Discord takes 50 in a second from one bot; another replica may be speaking too.
const IN_A_SECOND: usize = 45;
/// How long nothing is sent after a 401; it doubles with each.
const FIRST_REST: Duration = Duration::from_secs(60);
/// At most.
const LONGEST_REST: Duration = Duration::from_secs(3_600);
/// Windows remembered at most; those that are over are forgotten first.
const WINDOWS: usize = 4_096;

/// What is limited together: a method and path without ids, and the channel, guild or token it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// `PATCH channels/messages`.
    pub name: &'static str,
    /// Discord's "top-level resource": the id of the channel or guild, or the webhook's token.
    pub about: String,
    /// Spends the bot's own token, so the bot's global limit applies. Interaction endpoints do not.
    pub as_bot: bool,
}

/// What an answer said of limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// `X-RateLimit-Bucket`.
    pub bucket: Option<String>,
    /// `X-RateLimit-Remaining`.
    pub remaining: Option<u32>,
    /// `X-RateLimit-Reset-After`.
    pub reset_after: Option<Duration>,
    /// `Retry-After` or `retry_after`, of a 429.
    pub retry_after: Option<Duration>,
    /// `X-RateLimit-Global` or `X-RateLimit-Scope: global`.
    pub global: bool,
}

/// Everything that is known of limits now.
#[derive(Debug, Default)]
pub struct Pace {
    buckets: HashMap<&'static str, String>,
    windows: HashMap<(String, String), Window>,
    sent: VecDeque<Instant>,
    global_until: Option<Instant>,
    rest: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Window {
    remaining: u32,
    until: Instant,
}

/// Why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A limit; ask again after so long.
    Limit(Duration),
    /// Discord does not take the bot's token.
    Token(Duration),
}

impl Pace {
    /// May this be sent now? If so, it is counted.
    pub fn take(&mut self, route: &Route, now: Instant) -> Result<(), Hold> {
        if route.as_bot {
            if let Some((until, _)) = self.rest.filter(|(until, _)| *until > now) {
                return Err(Hold::Token(until - now));
            }
            if let Some(until) = self.global_until.filter(|until| *until > now) {
                return Err(Hold::Limit(until - now));
            }
            while self.sent.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
                self.sent.pop_front();
            }
            if let Some(first) = self.sent.front().filter(|_| self.sent.len() >= IN_A_SECOND) {
                return Err(Hold::Limit(*first + Duration::from_secs(1) - now));
            }
        }
        let key = self.key(route);
        if let Some(window) = self.windows.get_mut(&key) {
            if window.until <= now {
                self.windows.remove(&key);
            } else if window.remaining == 0 {
                return Err(Hold::Limit(window.until - now));
            } else {
                window.remaining -= 1;
            }
        }
        if route.as_bot {
            self.sent.push_back(now);
        }
        Ok(())
    }

    /// Takes to heart what the answer said.
    pub fn heed(&mut self, route: &Route, status: u16, limits: &Limits, now: Instant) {
        if let Some(bucket) = &limits.bucket {
            self.buckets.insert(route.name, bucket.clone());
        }
        if route.as_bot {
            match status {
                401 => {
                    let rest = self.rest.map_or(FIRST_REST, |(_, rest)| (rest * 2).min(LONGEST_REST));
                    self.rest = Some((now + rest, rest));
                }
                200..=299 => self.rest = None,
                _ => {}
            }
        }
        let window = match (status, limits.retry_after) {
            (429, Some(wait)) if limits.global => {
                self.global_until = Some(now + wait);
                return;
            }
            (429, wait) => Some(Window { remaining: 0, until: now + wait.unwrap_or(Duration::from_secs(1)) }),
            _ => limits
                .remaining
                .zip(limits.reset_after)
                .map(|(remaining, after)| Window { remaining, until: now + after }),
        };
        let Some(mut window) = window else { return };
        if self.windows.len() >= WINDOWS {
            self.windows.retain(|_, window| window.until > now);
        }
        let key = self.key(route);
        if let Some(known) = self.windows.get(&key).filter(|known| known.until > now) {
            // Answers overtake each other: what was sent meanwhile is not given back, and a refusal is not shortened.
            window.remaining = window.remaining.min(known.remaining);
            window.until = window.until.max(known.until.min(window.until + Duration::from_secs(1)));
        }
        self.windows.insert(key, window);
    }

    fn key(&self, route: &Route) -> (String, String) {
        let bucket = self.buckets.get(route.name).cloned().unwrap_or_else(|| route.name.to_string());
        (bucket, route.about.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &'static str, about: &str) -> Route {
        Route { name, about: about.into(), as_bot: true }
    }

    fn said(bucket: &str, remaining: u32, after_ms: u64) -> Limits {
        Limits {
            bucket: Some(bucket.into()),
            remaining: Some(remaining),
            reset_after: Some(Duration::from_millis(after_ms)),
            ..Limits::default()
        }
    }

    #[test]
    fn an_exhausted_bucket_is_waited_for_and_others_are_not() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let (post, edit) = (route("POST", "1"), route("PATCH", "1"));
        pace.take(&post, now).unwrap();
        pace.heed(&post, 200, &said("b", 1, 500), now);
        pace.take(&post, now).unwrap();
        assert_eq!(pace.take(&post, now), Err(Hold::Limit(Duration::from_millis(500))));
        assert_eq!(pace.take(&route("POST", "2"), now), Ok(()), "another channel");
        assert_eq!(pace.take(&edit, now), Ok(()), "another route, as far as is known");
        pace.heed(&edit, 200, &said("b", 0, 500), now);
        assert!(pace.take(&edit, now).is_err(), "it draws from the same bucket");
        assert_eq!(pace.take(&post, now + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn a_429_holds_its_own_bucket_or_everything() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let post = route("POST", "1");
        let refused = Limits { retry_after: Some(Duration::from_secs(2)), ..Limits::default() };
        pace.heed(&post, 429, &refused, now);
        assert_eq!(pace.take(&post, now), Err(Hold::Limit(Duration::from_secs(2))));
        assert_eq!(pace.take(&route("POST", "2"), now), Ok(()));
        pace.heed(&post, 429, &Limits { global: true, ..refused }, now);
        assert_eq!(pace.take(&route("POST", "2"), now), Err(Hold::Limit(Duration::from_secs(2))));
        let answer = Route { as_bot: false, ..route("POST answer", "token") };
        assert_eq!(pace.take(&answer, now), Ok(()), "interaction endpoints are not bound to it");
    }

    #[test]
    fn no_more_than_the_global_limit_goes_out_in_any_second() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut sent = Vec::new();
        for ms in 0..3_000 {
            let now = begin + Duration::from_millis(ms);
            if pace.take(&route("POST", &ms.to_string()), now).is_ok() {
                sent.push(now);
            }
        }
        for (index, at) in sent.iter().enumerate() {
            let within =
                sent[index..].iter().take_while(|later| **later < *at + Duration::from_secs(1)).count();
            assert!(within <= 50, "{within} within a second");
        }
        assert!(sent.len() >= 2 * IN_A_SECOND);
    }

    #[test]
    fn a_refused_token_is_tried_ever_more_seldom() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let post = route("POST", "1");
        let (mut now, mut tries) = (begin, 0);
        while now < begin + Duration::from_secs(24 * 3_600) {
            if pace.take(&post, now).is_ok() {
                tries += 1;
                pace.heed(&post, 401, &Limits::default(), now);
            }
            now += Duration::from_secs(1);
        }
        assert!((10..40).contains(&tries), "{tries} in a day");
        let later = now + LONGEST_REST;
        pace.take(&post, later).unwrap();
        pace.heed(&post, 200, &Limits::default(), later);
        assert_eq!(pace.take(&post, later), Ok(()), "it is taken again");
    }
}
