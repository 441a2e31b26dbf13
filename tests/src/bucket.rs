//! Token buckets: how the platforms limit rates.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// So many at once, refilled evenly.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// At once.
    pub burst: f64,
    /// Refilled per second.
    pub per_second: f64,
}

impl Limit {
    /// So many a minute, that many of them at once.
    pub fn per_minute(rate: f64, burst: f64) -> Limit {
        Limit { burst, per_second: rate / 60.0 }
    }
}

/// One bucket per key.
#[derive(Debug)]
pub struct Buckets<K>(HashMap<K, (f64, Instant)>);

impl<K> Default for Buckets<K> {
    fn default() -> Buckets<K> {
        Buckets(HashMap::new())
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Takes one, or says when there will be one.
    pub fn take(&mut self, key: K, limit: Limit, now: Instant) -> Result<(), Duration> {
        let (level, at) = self.0.entry(key).or_insert((limit.burst, now));
        *level = (*level + now.duration_since(*at).as_secs_f64() * limit.per_second).min(limit.burst);
        *at = now;
        if *level >= 1.0 {
            *level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - *level) / limit.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_per_refill_and_keys_do_not_share() {
        let (mut buckets, now) = (Buckets::default(), Instant::now());
        let limit = Limit { burst: 2.0, per_second: 1.0 };
        assert!(buckets.take("a", limit, now).is_ok());
        assert!(buckets.take("a", limit, now).is_ok());
        assert_eq!(buckets.take("a", limit, now), Err(Duration::from_secs(1)));
        assert!(buckets.take("b", limit, now).is_ok());
        assert!(buckets.take("a", limit, now + Duration::from_secs(1)).is_ok());
    }
}
