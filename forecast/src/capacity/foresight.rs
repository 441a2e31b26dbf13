//! When to raise the fewest replicas of an autoscaler, from what is known about the load ahead.

use super::path::Path;
use super::pod::Pod;
use super::replay::{Floor, SYNC};
use crate::{Model, Options, Refusal, Series};
use std::time::Duration;

/// The floor changes at most this often.
const SLOT: Duration = Duration::from_secs(300);
/// A floor comes down only for at least this long: pods are not taken away and started again for a dip.
const HOLD: Duration = Duration::from_secs(1800);
/// Load that is foreseen is met at this share of the requests: the quantile is the reserve.
pub(super) const FULL: f64 = 1.0;
/// The floor carries the load that this share of the outcomes stays below.
pub const CONFIDENCE: f64 = 0.95;
/// How old a forecast may become before the floor is made anew.
pub const REFRESH: Duration = Duration::from_secs(3600);

/// From a decision to its effect: the controller looks, the pods start.
pub(super) fn reaction(pod: &Pod) -> Duration {
    pod.start_up + SYNC
}

/// The replicas that carry the most load of `[now, now + start-up + sync]`.
pub(super) fn needed_now(path: &[f64], step: Duration, pod: &Pod) -> u32 {
    pod.needed(Path::new(path, step).most(0.0, reaction(pod).as_secs_f64()), FULL)
}

/// The floor for each stretch of `until`, given the load from now on (`path[0]` is now): what is needed at any time from its
/// beginning to its end and the reaction time after it, never below `least`. Only changes are listed.
pub fn floors(path: &[f64], step: Duration, pod: &Pod, least: u32, until: Duration) -> Vec<Floor> {
    let slot = SLOT.as_secs();
    let count = until.as_secs().div_ceil(slot);
    let hold = HOLD.as_secs() / slot;
    let line = Path::new(path, step);
    let ahead = reaction(pod).as_secs_f64();
    let needed: Vec<u32> = (0..count + hold)
        .map(|index| {
            let from = (index * slot) as f64;
            rounded(pod.needed(line.most(from, from + slot as f64 + ahead), FULL)).max(least)
        })
        .collect();
    let mut floors: Vec<Floor> = Vec::new();
    for (index, held) in needed.windows(hold as usize + 1).enumerate() {
        let replicas = held.iter().copied().max().unwrap_or(least);
        if floors.last().is_none_or(|last| last.replicas != replicas) {
            floors.push(Floor { at: Duration::from_secs(index as u64 * slot), replicas });
        }
    }
    floors
}

/// Up to the next of sixteen steps between powers of two, so that a large workload is not changed for every pod.
fn rounded(count: u32) -> u32 {
    let step = (count.max(1).ilog2()).saturating_sub(4);
    count.div_ceil(1 << step) << step
}

/// The floors that would have been set on `demand[from..]`, with a forecast each [`REFRESH`] from nothing but what came before
/// it. Offsets count from `from`.
pub fn rolling(
    demand: &Series,
    from: usize,
    ahead: usize,
    pod: &Pod,
    least: u32,
) -> Result<Vec<Floor>, Refusal> {
    let step = demand.step().unwrap_or(REFRESH);
    let every = (REFRESH.as_secs() / step.as_secs().max(1)).max(1) as usize;
    let values = demand.values();
    let from = from.min(values.len());
    let before = Series { values: values[..from].to_vec(), ..demand.clone() };
    let mut model = Model::fit(&before, &Options::horizon(ahead))?;
    let mut all = Vec::new();
    let mut now = from;
    while now < values.len() {
        if let Ok(forecast) = model.forecast() {
            let path = upper(&values[..now], &forecast.quantile(CONFIDENCE));
            let until = step * every as u32;
            let since = step * (now - from) as u32;
            // The path begins with the newest sample, one step before `now`.
            for floor in floors(&path, step, pod, least, until + step) {
                let at = (floor.at + since).saturating_sub(step);
                all.retain(|earlier: &Floor| earlier.at < at);
                all.push(Floor { at, ..floor });
            }
        }
        let next = (now + every).min(values.len());
        model.extend(&values[now..next]);
        now = next;
    }
    Ok(all)
}

/// From the newest value that is a number on to what is foreseen.
pub(super) fn upper(past: &[f64], ahead: &[f64]) -> Vec<f64> {
    let newest = past.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0).max(0.0);
    std::iter::once(newest).chain(ahead.iter().map(|v| v.max(0.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTES: Duration = Duration::from_secs(300);

    fn pod(start_up: u64) -> Pod {
        Pod { request: 1.0, idle: 0.0, burst: 2.0, start_up: Duration::from_secs(start_up) }
    }

    #[test]
    fn the_floor_rises_before_the_load_by_the_start_up_time() {
        let mut path = vec![4.0; 100];
        path[50..].fill(12.0);
        let floors = floors(&path, MINUTES, &pod(900), 1, MINUTES * 99);
        let (first, last) = (floors[0], floors[floors.len() - 1]);
        assert_eq!((first.replicas, last.replicas), (4, 12), "{floors:?}");
        // The load is there at step 50, the pods take three, and within the time that a floor is held it is not raised twice.
        assert!((MINUTES * 39..=MINUTES * 46).contains(&last.at), "{floors:?}");
    }

    #[test]
    fn a_short_dip_moves_nothing() {
        let mut path = vec![8.0; 60];
        path[30..33].fill(2.0);
        assert_eq!(floors(&path, MINUTES, &pod(60), 1, MINUTES * 50).len(), 1);
    }

    #[test]
    fn large_counts_are_rounded_up_by_a_sixteenth_at_most() {
        for count in 0..5_000 {
            let up = rounded(count);
            assert!(up >= count && f64::from(up) <= f64::from(count) * (1.0 + 1.0 / 16.0), "{count} {up}");
            assert!(rounded(count + 1) >= up);
        }
        assert_eq!(rounded(31), 31);
    }

    proptest! {
        #[test]
        fn a_floor_is_never_below_what_is_needed_until_pods_started_now_are_ready(
            path in prop::collection::vec(0.0..500.0f64, 2..60), start_up in 0u64..1500, least in 0u32..20,
        ) {
            let pod = pod(start_up);
            let until = MINUTES * (path.len() as u32 - 1);
            let floors = floors(&path, MINUTES, &pod, least, until);
            prop_assert_eq!(floors[0].at, Duration::ZERO);
            prop_assert!(floors[0].replicas >= needed_now(&path, MINUTES, &pod).max(least));
            let line = Path::new(&path, MINUTES);
            for second in (0..until.as_secs()).step_by(60) {
                let floor = floors.iter().rev().find(|f| f.at.as_secs() <= second).unwrap();
                let most = line.most(second as f64, second as f64 + reaction(&pod).as_secs_f64());
                prop_assert!(floor.replicas >= pod.needed(most, FULL), "{} at {}", floor.replicas, second);
            }
        }

        #[test]
        fn more_load_never_lowers_a_floor(
            path in prop::collection::vec((0.0..500.0f64, 0.0..100.0f64), 2..40), start_up in 0u64..900,
        ) {
            let less: Vec<f64> = path.iter().map(|p| p.0).collect();
            let more: Vec<f64> = path.iter().map(|p| p.0 + p.1).collect();
            let until = MINUTES * (path.len() as u32 - 1);
            let [low, high] = [&less, &more].map(|path| floors(path, MINUTES, &pod(start_up), 1, until));
            for slot in 0..path.len() as u32 {
                let at = |floors: &[Floor]| floors.iter().rev().find(|f| f.at <= MINUTES * slot).unwrap().replicas;
                prop_assert!(at(&high) >= at(&low));
            }
        }

        #[test]
        fn any_numbers_give_floors(path in prop::collection::vec(any::<f64>(), 0..20), start_up in 0u64..5000) {
            floors(&path, MINUTES, &pod(start_up), 1, MINUTES * 10);
        }
    }
}
