//! What one pod asks for, and what it can carry.

use std::time::Duration;

/// No workload is said to need more replicas than this.
pub const MOST_REPLICAS: u32 = 1_000_000;

/// One replica of a workload. Load is measured in the unit of its resource (cores, bytes): what a [`Relation`] makes of it.
///
/// [`Relation`]: super::Relation
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pod {
    /// What it requests; above zero.
    pub request: f64,
    /// What it uses without any load.
    pub idle: f64,
    /// The most it can use, as a multiple of its request: its limit. 1 or more.
    pub burst: f64,
    /// From the decision to a ready pod.
    pub start_up: Duration,
}

impl Pod {
    /// The load it carries while it uses this share of its request (0.7 for 70 %).
    pub fn carries(&self, utilisation: f64) -> f64 {
        let carried = self.request * utilisation - self.idle;
        if carried.is_finite() { carried.max(0.0) } else { 0.0 }
    }

    /// The fewest replicas that carry `load` at this utilisation; [`MOST_REPLICAS`] where none do.
    pub fn needed(&self, load: f64, utilisation: f64) -> u32 {
        if load.is_nan() || load <= 0.0 {
            return 0;
        }
        // What floating point adds must not cost a pod: 7 * 0.1 pods' worth of load is seven pods.
        let exact = load / self.carries(utilisation);
        let count = (exact * (1.0 - 1e-12)).ceil();
        if count.is_nan() || count >= f64::from(MOST_REPLICAS) { MOST_REPLICAS } else { count as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pod(request: f64, idle: f64) -> Pod {
        Pod { request, idle, burst: 2.0, start_up: Duration::from_secs(60) }
    }

    #[test]
    fn idle_use_takes_its_share_of_each_pod() {
        assert_eq!(pod(0.5, 0.0).needed(3.5, 0.7), 10);
        assert_eq!(pod(0.5, 0.1).needed(2.5, 0.7), 10);
        assert_eq!(pod(0.5, 0.5).needed(0.1, 0.7), MOST_REPLICAS, "idle alone fills it");
        assert_eq!(pod(0.1, 0.0).needed(0.7, 1.0), 7);
    }

    proptest! {
        #[test]
        fn what_is_needed_carries_the_load_and_grows_with_it(
            request in 1e-3..1e3f64, idle in 0.0..0.3f64, load in 0.0..1e4f64, more in 0.0..1e4f64, target in 0.4..1.0f64,
        ) {
            let pod = pod(request, idle * request);
            let needed = pod.needed(load, target);
            prop_assert!(needed == MOST_REPLICAS || f64::from(needed) * pod.carries(target) >= load * (1.0 - 1e-9));
            prop_assert!(pod.needed(load + more, target) >= needed);
        }

        #[test]
        fn any_numbers_give_a_count(request: f64, idle: f64, load: f64, target: f64) {
            prop_assert!(pod(request, idle).needed(load, target) <= MOST_REPLICAS);
        }
    }
}
