//! How much a container should request, from what it used: the decaying histogram of the Vertical Pod Autoscaler's recommender
//! (<https://github.com/kubernetes/autoscaler/tree/master/vertical-pod-autoscaler/pkg/recommender>, `util/histogram.go`,
//! `model/aggregations_config.go`, `logic/`).

use std::time::Duration;

/// A sample of this age counts half as much as one of now.
const HALF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Each bucket is this share wider than the one before.
const GROWTH: f64 = 0.05;
/// On top of every percentile, for what was not seen.
const MARGIN: f64 = 1.15;
/// After an out-of-memory kill: at least this much more ...
const BUMP: f64 = 1.2;
/// ... and at least so many bytes more.
const BUMP_BYTES: f64 = 100.0 * 1024.0 * 1024.0;
/// Weights below this are nothing.
const EPSILON: f64 = 1e-6;

/// Which resource; they differ in scale and in what a shortage means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Cores. Too few make it slow.
    Cpu,
    /// Bytes. Too few kill it.
    Memory,
}

impl Resource {
    /// Upper end of the first bucket, and where the last one begins.
    fn range(self) -> (f64, f64) {
        match self {
            Resource::Cpu => (0.01, 1_000.0),
            Resource::Memory => (1e7, 1e12),
        }
    }

    /// The percentile that becomes the request.
    fn percentile(self) -> f64 {
        match self {
            Resource::Cpu => 0.90,
            Resource::Memory => 0.95,
        }
    }
}

/// Weights of past use in buckets that grow exponentially, newest heaviest.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    resource: Resource,
    weights: Vec<f64>,
    total: f64,
    samples: usize,
    oldest: Duration,
    most: f64,
}

impl Histogram {
    /// Empty.
    pub fn new(resource: Resource) -> Self {
        let (first, last) = resource.range();
        let buckets = (1.0 + GROWTH * last / first).log(1.0 + GROWTH).ceil() as usize + 1;
        Histogram {
            resource,
            weights: vec![0.0; buckets],
            total: 0.0,
            samples: 0,
            oldest: Duration::ZERO,
            most: 0.0,
        }
    }

    /// One sample of use, so long ago. What is not a number or negative is left out.
    pub fn add(&mut self, used: f64, age: Duration) {
        if !used.is_finite() || used < 0.0 {
            return;
        }
        let weight = (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        let bucket = self.bucket(used);
        self.weights[bucket] += weight;
        self.total += weight;
        self.samples += 1;
        self.oldest = self.oldest.max(age);
        self.most = self.most.max(used);
    }

    /// An out-of-memory kill while it used (or had as its limit) so much: counts as the use that would have been enough.
    pub fn out_of_memory(&mut self, used: f64, age: Duration) {
        self.add((used * BUMP).max(used + BUMP_BYTES), age);
    }

    /// The upper end of the bucket below which this share of the weight lies; zero where there is none.
    pub fn percentile(&self, share: f64) -> f64 {
        if self.total < EPSILON {
            return 0.0;
        }
        let wanted = share.clamp(0.0, 1.0) * self.total;
        let mut sum = 0.0;
        let last = self.weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0);
        let found = self.weights.iter().position(|&weight| {
            sum += weight;
            sum >= wanted && sum > 0.0
        });
        let bucket = found.unwrap_or(last).min(last);
        if bucket + 1 < self.weights.len() { self.start(bucket + 1) } else { self.start(bucket) }
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.samples
    }

    fn bucket(&self, used: f64) -> usize {
        let (first, _) = self.resource.range();
        let place = (1.0 + GROWTH * used / first).log(1.0 + GROWTH);
        (place as usize).min(self.weights.len() - 1)
    }

    /// Where a bucket begins: a geometric sum.
    fn start(&self, bucket: usize) -> f64 {
        let (first, _) = self.resource.range();
        first * ((1.0 + GROWTH).powi(bucket as i32) - 1.0) / GROWTH
    }
}

/// What one container should request, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice {
    /// To request: the percentile and a margin.
    pub request: f64,
    /// To be limited to; `None` where there should be no limit or it stays away.
    pub limit: Option<f64>,
    /// The request lies between these as far as this much history can tell.
    pub between: (f64, f64),
    /// The most that was used.
    pub most: f64,
}

/// Less history than this is none to act upon.
pub const LEAST: Duration = Duration::from_secs(24 * 3600);

/// Advice from a histogram; `None` before there is a day of history. `now` is the container's `(request, limit)`: a limit of the
/// processor keeps its proportion to the request, as the recommender does it; a limit of memory leaves room above the most
/// that was ever needed. Never below `least`.
pub fn advise(seen: &Histogram, now: (Option<f64>, Option<f64>), least: f64) -> Option<Advice> {
    if seen.oldest < LEAST || seen.total < EPSILON {
        return None;
    }
    let days = seen.oldest.as_secs_f64() / 86_400.0;
    let with_margin = |share: f64| (seen.percentile(share) * MARGIN).max(least);
    let request = with_margin(seen.resource.percentile());
    // The recommender's confidence: one day doubles the upper bound, a week adds a seventh.
    let upper = (with_margin(0.95) * (1.0 + 1.0 / days)).max(request);
    let lower = (with_margin(0.5) * (1.0 + 0.001 / days).powi(-2)).min(request);
    let limit = match (seen.resource, now) {
        (_, (_, None)) => None,
        (Resource::Cpu, (Some(requested), Some(limit))) if requested > 0.0 => {
            Some(request * (limit / requested).max(1.0))
        }
        (Resource::Cpu, (_, Some(limit))) => Some(limit.max(request)),
        (Resource::Memory, _) => Some((seen.most * MARGIN).max(request)),
    };
    Some(Advice { request, limit, between: (lower, upper), most: seen.most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MIB: f64 = 1024.0 * 1024.0;

    #[test]
    fn buckets_are_those_of_the_recommender() {
        let cpu = Histogram::new(Resource::Cpu);
        // first * (1.05^n - 1) / 0.05
        assert_eq!(cpu.start(0), 0.0);
        assert!((cpu.start(1) - 0.01).abs() < 1e-12 && (cpu.start(2) - 0.0205).abs() < 1e-12);
        assert_eq!((cpu.bucket(0.0), cpu.bucket(0.009), cpu.bucket(0.0101)), (0, 0, 1));
        assert_eq!(cpu.weights.len(), 176);
        assert_eq!(cpu.bucket(1e300), 175);
    }

    #[test]
    fn yesterday_counts_half() {
        let mut seen = Histogram::new(Resource::Cpu);
        seen.add(0.1, HOUR * 24);
        seen.add(2.0, Duration::ZERO);
        assert!(seen.percentile(0.33) < 0.12, "{}", seen.percentile(0.33));
        assert!(seen.percentile(0.34) > 1.9, "{}", seen.percentile(0.34));
    }

    #[test]
    fn a_quiet_container_gives_back_what_it_does_not_use() {
        let mut seen = Histogram::new(Resource::Cpu);
        (0..8 * 24).for_each(|hour| seen.add(if hour % 24 < 4 { 0.2 } else { 0.1 }, HOUR * hour));
        let advice = advise(&seen, (Some(1.0), Some(2.0)), 0.025).unwrap();
        assert!((0.2 * MARGIN..0.2 * MARGIN * 1.1).contains(&advice.request), "{advice:?}");
        assert!((advice.limit.unwrap() / advice.request - 2.0).abs() < 1e-9, "the proportion stays");
        assert!(advice.between.0 <= advice.request && advice.request <= advice.between.1);
        assert_eq!(
            advise(&seen, (Some(1.0), None), 0.025).unwrap().limit,
            None,
            "no limit where there was none"
        );
    }

    #[test]
    fn a_kill_for_memory_asks_for_more_than_was_there() {
        let mut seen = Histogram::new(Resource::Memory);
        (0..48).for_each(|hour| seen.add(200.0 * MIB, HOUR * hour));
        let before = advise(&seen, (Some(256.0 * MIB), Some(256.0 * MIB)), 0.0).unwrap();
        (0..3).for_each(|hour| seen.out_of_memory(256.0 * MIB, HOUR * hour));
        let after = advise(&seen, (Some(256.0 * MIB), Some(256.0 * MIB)), 0.0).unwrap();
        assert!(before.request < 256.0 * MIB, "{before:?}");
        assert!(after.request >= 356.0 * MIB && after.limit.unwrap() >= after.request, "{after:?}");
    }

    #[test]
    fn an_hour_teaches_nothing() {
        let mut seen = Histogram::new(Resource::Cpu);
        (0..60).for_each(|minute| seen.add(0.5, Duration::from_secs(60 * minute)));
        assert_eq!(advise(&seen, (None, None), 0.01), None);
    }

    proptest! {
        #[test]
        fn any_use_gives_ordered_finite_advice(
            uses in prop::collection::vec((any::<f64>(), 0u64..2_000_000), 0..60), request: Option<f64>, limit: Option<f64>,
        ) {
            for resource in [Resource::Cpu, Resource::Memory] {
                let mut seen = Histogram::new(resource);
                uses.iter().for_each(|&(used, age)| seen.add(used, Duration::from_secs(age)));
                let (p50, p90, p95) = (seen.percentile(0.5), seen.percentile(0.9), seen.percentile(0.95));
                prop_assert!(p50 <= p90 && p90 <= p95 && p95.is_finite());
                let positive = |v: Option<f64>| v.filter(|v| v.is_finite() && *v > 1e-9 && *v < 1e15);
                if let Some(advice) = advise(&seen, (positive(request), positive(limit)), 0.01) {
                    prop_assert!(advice.request.is_finite() && advice.request >= 0.01);
                    prop_assert!(advice.limit.is_none_or(|limit| limit >= advice.request * (1.0 - 1e-9)));
                    prop_assert!(advice.between.0 <= advice.request && advice.request <= advice.between.1);
                }
            }
        }

        #[test]
        fn more_use_never_means_a_smaller_request(
            uses in prop::collection::vec((0.0..100.0f64, 0u64..500_000), 1..40), more in 0.0..10.0f64,
        ) {
            let of = |extra: f64| {
                let mut seen = Histogram::new(Resource::Cpu);
                uses.iter().for_each(|&(used, age)| seen.add(used + extra, Duration::from_secs(age)));
                seen.percentile(0.9)
            };
            prop_assert!(of(more) >= of(0.0));
        }
    }
}
