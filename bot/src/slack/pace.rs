//! How fast Slack may be asked: one message a second and channel, so many calls a minute and method and workspace
//! (<https://docs.slack.dev/apis/web-api/rate-limits>), and what a `Retry-After` says. Pure: the time is a parameter.
//!
//! It is one process's own account. Replicas that post to the same workspace share Slack's limits without knowing of each other;
//! what is too much for all of them together comes back as `Retry-After`.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// A call that is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `chat.postMessage`: special, one a second and channel.
    Post,
    /// `chat.update`: tier 3.
    Update,
    /// `chat.postEphemeral`: tier 4.
    Ephemeral,
    /// `conversations.history`: tier 3.
    History,
    /// `conversations.open`: tier 3.
    Open,
}

impl Method {
    /// Between two calls in the long run, and how many may come at once.
    fn rate(self) -> (Duration, u32) {
        let a_minute = |calls: u32| (Duration::from_secs(60) / calls, calls);
        match self {
            Method::Post => (Duration::from_secs(1), 1),
            Method::Update | Method::History | Method::Open => a_minute(50),
            Method::Ephemeral => a_minute(100),
        }
    }

    /// Slack counts these by channel, so a channel that is full is no reason to stop in others.
    fn is_by_channel(self) -> bool {
        matches!(self, Method::Post)
    }
}

/// Whoever was told a time and is this late has been delivered otherwise, and holds up nobody any more.
const ABANDONED: Duration = Duration::from_secs(5);
/// Times beyond this are not promised: whoever waits asks again.
const AHEAD: Duration = Duration::from_secs(60);

/// The account.
#[derive(Debug, Default)]
pub struct Pace {
    lines: HashMap<(Method, String), Line>,
    closed: HashMap<(Option<Method>, String), Instant>,
}

#[derive(Debug)]
struct Line {
    /// When the next call would be due if all calls had come at the long-run rate.
    due: Instant,
    /// The time that the next who must wait is told.
    promise: Instant,
    /// Who waits, and the time they were told.
    waiting: HashMap<u128, Instant>,
}

impl Pace {
    /// May `who` call now? Err: come back after that long. Those who wait are told different times, so that they go in turn.
    pub fn may(&mut self, method: Method, channel: &str, who: u128, now: Instant) -> Result<(), Duration> {
        self.tidy(now);
        let closed =
            [(Some(method), channel.to_string()), (Some(method), String::new()), (None, String::new())];
        if let Some(until) = closed.iter().filter_map(|key| self.closed.get(key)).max() {
            return Err(*until - now);
        }
        let (every, burst) = method.rate();
        let channel = if method.is_by_channel() { channel } else { "" };
        let line = self.lines.entry((method, channel.to_string()));
        let line = line.or_insert_with(|| Line { due: now, promise: now, waiting: HashMap::new() });
        let ready = line.due.checked_sub(every * (burst - 1)).unwrap_or(now).max(now);
        let is_in_turn = line.waiting.is_empty() || line.waiting.get(&who).is_some_and(|at| *at <= now);
        if is_in_turn && ready == now {
            line.waiting.remove(&who);
            line.due = line.due.max(now) + every;
            return Ok(());
        }
        let at = match line.waiting.get(&who) {
            Some(at) => (*at).max(ready),
            None => line.promise.max(ready),
        };
        if at - now > AHEAD {
            return Err(AHEAD);
        }
        line.promise = line.promise.max(at + every);
        // At least a moment: somebody else may have taken this one.
        let at = at.max(now + Duration::from_millis(50));
        line.waiting.insert(who, at);
        Err(at - now)
    }

    /// Slack said `Retry-After`: for this method, in this channel where Slack counts by channel.
    pub fn told(&mut self, method: Method, channel: &str, wait: Duration, now: Instant) {
        // Whoever posts too fast in one channel is told so for that channel; an edit or an ephemeral message too, as far as anybody
        // can see from outside. The others are for the workspace.
        let by_channel = matches!(method, Method::Post | Method::Update | Method::Ephemeral);
        let channel = if by_channel { channel } else { "" };
        self.closed.insert((Some(method), channel.to_string()), now + wait);
    }

    /// Nothing may be called for so long: Slack refuses the token.
    pub fn close(&mut self, wait: Duration, now: Instant) {
        self.closed.insert((None, String::new()), now + wait);
    }

    fn tidy(&mut self, now: Instant) {
        self.closed.retain(|_, until| *until > now);
        for line in self.lines.values_mut() {
            line.waiting.retain(|_, at| now.saturating_duration_since(*at) < ABANDONED);
        }
        self.lines.retain(|_, line| line.due > now || !line.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_message_a_second_and_channel_in_turn() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut post = |who, channel: &str, at| pace.may(Method::Post, channel, who, start + ms(at));
        assert_eq!(post(1, "C1", 0), Ok(()));
        assert_eq!(post(2, "C1", 0), Err(ms(1000)));
        assert_eq!(post(3, "C1", 100), Err(ms(1900)));
        assert_eq!(post(4, "C2", 100), Ok(()), "another channel waits for nobody");
        assert_eq!(post(3, "C1", 1000), Err(ms(1000)), "the place is kept");
        assert_eq!(post(2, "C1", 1000), Ok(()));
        assert_eq!(post(3, "C1", 2000), Ok(()));
        assert_eq!(post(5, "C1", 2000), Err(ms(1000)));
    }

    #[test]
    fn edits_may_come_in_bursts_and_then_at_the_tiers_rate() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut edit = |who, at| pace.may(Method::Update, "C1", who, start + ms(at));
        assert!((0..50).all(|who| edit(who, 0) == Ok(())));
        assert_eq!(edit(50, 0), Err(ms(1200)));
        assert_eq!(edit(51, 0), Err(ms(2400)));
        assert_eq!(edit(50, 1200), Ok(()));
    }

    #[test]
    fn a_channel_that_is_told_to_wait_holds_up_no_other() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.told(Method::Post, "C1", ms(5000), now);
        assert_eq!(pace.may(Method::Post, "C1", 1, now), Err(ms(5000)));
        assert_eq!(pace.may(Method::Post, "C2", 1, now), Ok(()));
        assert_eq!(pace.may(Method::Update, "C1", 1, now), Ok(()), "another method");
        assert_eq!(pace.may(Method::Post, "C1", 1, now + ms(5000)), Ok(()));
        pace.told(Method::History, "C1", ms(5000), now);
        assert_eq!(pace.may(Method::History, "C2", 1, now), Err(ms(5000)), "counted for the workspace");
        pace.close(ms(9000), now);
        assert_eq!(pace.may(Method::Update, "C3", 1, now), Err(ms(9000)));
    }

    proptest! {
        #[test]
        fn nobody_posts_faster_than_once_a_second(calls in proptest::collection::vec((0..20u128, 0..400u64), 1..200)) {
            let (mut pace, start) = (Pace::default(), Instant::now());
            let (mut at, mut last) = (0, None::<u64>);
            for (who, later) in calls {
                at += later;
                if pace.may(Method::Post, "C1", who, start + ms(at)).is_ok() {
                    prop_assert!(last.is_none_or(|last| at - last >= 1000), "{last:?} and {at}");
                    last = Some(at);
                }
            }
        }
    }
}
