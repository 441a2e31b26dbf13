//! Switches that make the cluster misbehave on purpose. All are atomic and may be turned while calls are in flight.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::watch;

/// The switches of one cluster. Health endpoints and the admin path are never disturbed (except by `refuse`).
#[derive(Debug)]
pub struct Faults {
    latency_us: AtomicU64,
    fail_next: AtomicU32,
    fail_code: AtomicU16,
    fail_share_ppm: AtomicU32,
    drop_answers: AtomicU32,
    drop_watches: watch::Sender<u64>,
    expire_watches: watch::Sender<u64>,
    watches_gone: AtomicBool,
    refuse: watch::Sender<bool>,
}

/// A fault of a Node that is staged in the cluster itself, by this annotation. Beside the switches above, and independent of them.
pub(crate) const STAGED: &str = "practice.petrel.dev/fault";

/// The switches as the admin path takes them; an absent field leaves its switch alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultRequest {
    /// Every call takes this much longer.
    pub latency_ms: Option<u64>,
    /// The next `fail_next` calls fail with `fail_code` (500 when not given) before anything is applied.
    pub fail_next: Option<u32>,
    /// 429, 500, 503, ...
    pub fail_code: Option<u16>,
    /// 0.0 to 1.0: this share of calls fails, picked at random.
    pub fail_share: Option<f64>,
    /// The next mutating calls are applied, and then the connection breaks instead of an answer.
    pub drop_answers: Option<u32>,
    /// Connections are refused for so long; it mends itself, since the admin path is refused too.
    pub refuse_for_ms: Option<u64>,
    /// Breaks every open watch now.
    pub drop_watches: bool,
    /// Ends every open watch now with an ERROR event 410.
    pub expire_watches: bool,
    /// While on, a new watch is answered with HTTP 410 (the real server prefers the event; some proxies do not).
    pub watches_gone: Option<bool>,
}

/// What a call meets before it is handled.
pub(crate) enum Fate {
    Handle,
    Fail(u16),
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            latency_us: AtomicU64::new(0),
            fail_next: AtomicU32::new(0),
            fail_code: AtomicU16::new(500),
            fail_share_ppm: AtomicU32::new(0),
            drop_answers: AtomicU32::new(0),
            drop_watches: watch::Sender::new(0),
            expire_watches: watch::Sender::new(0),
            watches_gone: AtomicBool::new(false),
            refuse: watch::Sender::new(false),
        }
    }
}

impl Faults {
    /// Every call takes this much longer.
    pub fn latency(&self, by: Duration) {
        self.latency_us.store(by.as_micros() as u64, SeqCst);
    }
    /// The next `n` calls fail with `code`, before anything is applied.
    pub fn fail_next(&self, n: u32, code: u16) {
        self.fail_code.store(code, SeqCst);
        self.fail_next.store(n, SeqCst);
    }
    /// This share (0.0 to 1.0) of all calls fails with `code`, picked at random, before anything is applied.
    pub fn fail_share(&self, share: f64, code: u16) {
        self.fail_code.store(code, SeqCst);
        self.fail_share_ppm.store((share.clamp(0.0, 1.0) * 1e6) as u32, SeqCst);
    }
    /// The next `n` mutating calls are applied and audited, and then the connection breaks instead of an answer.
    pub fn drop_answers(&self, n: u32) {
        self.drop_answers.store(n, SeqCst);
    }
    /// A dead cluster: the port is closed and open connections are cut. Off: it listens again on the same port.
    pub fn refuse(&self, on: bool) {
        self.refuse.send_replace(on);
    }
    /// Breaks every watch that is open now.
    pub fn drop_watches(&self) {
        self.drop_watches.send_modify(|n| *n += 1);
    }
    /// Ends every watch that is open now with an ERROR event carrying `410 Expired`.
    pub fn expire_watches(&self) {
        self.expire_watches.send_modify(|n| *n += 1);
    }
    /// While on, a new watch is answered with HTTP status 410 itself.
    pub fn watches_gone(&self, on: bool) {
        self.watches_gone.store(on, SeqCst);
    }
    /// Everything off.
    pub fn clear(&self) {
        self.latency(Duration::ZERO);
        self.fail_next(0, 500);
        self.fail_share(0.0, 500);
        self.drop_answers(0);
        self.watches_gone(false);
        self.refuse(false);
    }

    pub(crate) fn apply(&self, ask: &FaultRequest) {
        if let Some(ms) = ask.latency_ms {
            self.latency(Duration::from_millis(ms));
        }
        if let Some(code) = ask.fail_code {
            self.fail_code.store(code, SeqCst);
        }
        if let Some(n) = ask.fail_next {
            self.fail_next.store(n, SeqCst);
        }
        if let Some(share) = ask.fail_share {
            self.fail_share(share, self.fail_code.load(SeqCst));
        }
        if let Some(n) = ask.drop_answers {
            self.drop_answers(n);
        }
        if let Some(on) = ask.watches_gone {
            self.watches_gone(on);
        }
        if ask.drop_watches {
            self.drop_watches();
        }
        if ask.expire_watches {
            self.expire_watches();
        }
    }

    /// Waits out the latency, then says whether the call is handled.
    pub(crate) async fn meet(&self) -> Fate {
        let latency = self.latency_us.load(SeqCst);
        if latency > 0 {
            tokio::time::sleep(Duration::from_micros(latency)).await;
        }
        let unlucky = rand::random::<f64>() * 1e6 < f64::from(self.fail_share_ppm.load(SeqCst));
        if take_one(&self.fail_next) || unlucky {
            Fate::Fail(self.fail_code.load(SeqCst))
        } else {
            Fate::Handle
        }
    }
    pub(crate) fn take_dropped_answer(&self) -> bool {
        take_one(&self.drop_answers)
    }
    pub(crate) fn answers_gone(&self) -> bool {
        self.watches_gone.load(SeqCst)
    }
    pub(crate) fn watch_drops(&self) -> watch::Receiver<u64> {
        self.drop_watches.subscribe()
    }
    pub(crate) fn watch_expiries(&self) -> watch::Receiver<u64> {
        self.expire_watches.subscribe()
    }
    pub(crate) fn refusals(&self) -> watch::Receiver<bool> {
        self.refuse.subscribe()
    }
}

fn take_one(counter: &AtomicU32) -> bool {
    counter.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
}
