//! Waiting for a condition with a deadline, instead of sleeping.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// As [`within`]; panics with `what`.
pub async fn until<T, F, Fut>(what: &str, time: Duration, probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    within(time, probe).await.unwrap_or_else(|| panic!("{what}: not within {time:?}"))
}

/// Asks again, with small growing pauses, until `probe` gives something; None when it did not within `time`.
pub async fn within<T, F, Fut>(time: Duration, mut probe: F) -> Option<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(found) = probe().await {
            return Some(found);
        }
        if started.elapsed() > time {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}
