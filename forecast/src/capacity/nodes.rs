//! How many nodes a pool needs, and when it runs out.

use crate::stat::{median, quantile};
use std::time::Duration;

/// Two resources at once.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Size {
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub memory: f64,
}

/// What one node of a pool offers to pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Allocatable, without what runs once on every node.
    pub free: Size,
    /// The most pods on it.
    pub pods: u32,
}

/// Pods of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// What each requests.
    pub size: Size,
    /// How many.
    pub count: u32,
}

/// No packing looks at more pods than this.
pub const MOST_PODS: u32 = 200_000;

/// Where pods would lie.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Packing {
    /// What lies on each node, and how many pods.
    pub nodes: Vec<(Size, u32)>,
    /// Pods that fit on no node of this shape, however empty.
    pub misfits: u32,
}

/// Packs pods on nodes of one shape, first fit decreasing: the largest first, each on the first node that has room. At most 11/9 of the
/// best and 6/9 of a node more where one resource decides (Dosa 2007); two resources are ordered by the larger of their shares.
pub fn pack(shape: &Shape, groups: &[Group]) -> Packing {
    let share = |size: &Size| of(size.cpu, shape.free.cpu).max(of(size.memory, shape.free.memory));
    let mut ordered: Vec<(f64, Group)> = groups.iter().map(|group| (share(&group.size), *group)).collect();
    ordered.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut packing = Packing::default();
    let mut left = MOST_PODS;
    for (share, group) in ordered {
        let count = group.count.min(left);
        left -= count;
        if share > 1.0 || shape.pods == 0 {
            packing.misfits = packing.misfits.saturating_add(group.count);
            continue;
        }
        packing.misfits = packing.misfits.saturating_add(group.count - count);
        // Alike pods go on from where the last one fitted: the nodes before it are full for them.
        let mut node = 0;
        for _ in 0..count {
            while packing.nodes.get(node).is_some_and(|used| !fits(shape, used, &group.size)) {
                node += 1;
            }
            if node == packing.nodes.len() {
                packing.nodes.push((Size::default(), 0));
            }
            let (used, pods) = &mut packing.nodes[node];
            used.cpu += group.size.cpu.max(0.0);
            used.memory += group.size.memory.max(0.0);
            *pods += 1;
        }
    }
    packing
}

/// The share of `whole` that `part` is; more than one where it does not fit or nobody can say.
fn of(part: f64, whole: f64) -> f64 {
    if part <= 0.0 {
        0.0
    } else if part.is_finite() && whole > 0.0 && whole.is_finite() {
        part / whole
    } else {
        f64::INFINITY
    }
}

fn fits(shape: &Shape, (used, pods): &(Size, u32), size: &Size) -> bool {
    *pods < shape.pods
        && used.cpu + size.cpu.max(0.0) <= shape.free.cpu
        && used.memory + size.memory.max(0.0) <= shape.free.memory
}

/// The fewest nodes, spread evenly over `zones`, of which `needed` are left when the largest zone and one node more are gone
/// (one node, where there is only one zone).
pub fn with_headroom(needed: u32, zones: u32) -> u32 {
    if needed == 0 {
        return 0;
    }
    let zones = zones.max(1);
    let left = |nodes: u32| {
        let zone = if zones == 1 { 0 } else { nodes.div_ceil(zones) };
        nodes.saturating_sub(zone).saturating_sub(1)
    };
    // Losing a zone takes at most half of the nodes and one; twice as many and three are always enough.
    let (mut low, mut high) = (needed, needed.saturating_mul(2).saturating_add(3));
    while low < high {
        let middle = low + (high - low) / 2;
        if left(middle) >= needed { high = middle } else { low = middle + 1 }
    }
    low
}

/// How use grows, from daily peaks: the median of the slopes between all pairs (Theil 1950, Sen 1968), with Sen's interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Where it stands now.
    pub level: f64,
    /// A day.
    pub slope: f64,
    /// Half of the times it grows faster than `slope`, one in ten times faster than this ...
    pub slope90: f64,
    /// ... and one in forty times faster than this.
    pub slope975: f64,
    /// From how many days.
    pub days: usize,
}

/// Fewer days than this show no growth.
pub const LEAST_DAYS: usize = 4;
/// What is larger is no use of anything.
const HUGE: f64 = 1e100;
/// Beyond so many days nobody knows.
const FAR_DAYS: f64 = 365.0;

impl Growth {
    /// From use at a regular step, newest last; `None` before there are [`LEAST_DAYS`] whole days. Days are counted back from the newest
    /// value.
    pub fn of(used: &[f64], step: Duration) -> Option<Growth> {
        let day = (86_400 / step.as_secs().max(1)).max(1) as usize;
        let peaks: Vec<f64> = used
            .rchunks_exact(day)
            .rev()
            .filter_map(|day| day.iter().copied().filter(|v| v.abs() < HUGE).max_by(f64::total_cmp))
            .collect();
        let unit = peaks.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let count = peaks.len();
        if count < LEAST_DAYS || unit == 0.0 {
            return None;
        }
        let at = |i: usize| peaks[i] / unit;
        let mut slopes: Vec<f64> =
            (0..count).flat_map(|i| (i + 1..count).map(move |j| (at(j) - at(i)) / (j - i) as f64)).collect();
        let slope = median(&mut slopes);
        let mut levels: Vec<f64> = (0..count).map(|i| at(i) + slope * (count - 1 - i) as f64).collect();
        // Normal approximation of Kendall's S: the rank of the upper limit among the slopes.
        let n = count as f64;
        let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
        let pairs = slopes.len() as f64;
        let upper = |z: f64| ((pairs + z * deviation) / 2.0 / (pairs - 1.0).max(1.0)).clamp(0.5, 1.0);
        let [slope90, slope975] = [1.2816, 1.96].map(|z| quantile(&mut slopes, upper(z)) * unit);
        Some(Growth {
            level: median(&mut levels) * unit,
            slope: slope * unit,
            slope90,
            slope975,
            days: count,
        })
    }

    /// Days until `capacity` is reached: as likely as not, and the earliest days with a chance of one in ten and one in forty. `None` where
    /// that is not within a year.
    pub fn runs_out(&self, capacity: f64) -> [Option<f64>; 3] {
        [self.slope, self.slope90, self.slope975].map(|slope| {
            let room = capacity - self.level;
            if room <= 0.0 {
                return Some(0.0);
            }
            let days = room / slope;
            (slope > 0.0 && days <= FAR_DAYS).then_some(days)
        })
    }

    /// By which factor it is larger so long from now, growing at `slope90`; never below 1.
    pub fn factor(&self, after: Duration) -> f64 {
        let grown = self.level + self.slope90 * after.as_secs_f64() / 86_400.0;
        let factor = grown / self.level;
        if factor.is_finite() { factor.max(1.0) } else { 1.0 }
    }
}

/// Groups with as many more pods as the factor says, rounded up.
pub fn grown(groups: &[Group], factor: f64) -> Vec<Group> {
    let factor = if factor.is_finite() { factor.clamp(1.0, 1e6) } else { 1.0 };
    let more =
        |count: u32| (f64::from(count) * factor * (1.0 - 1e-12)).ceil().min(f64::from(MOST_PODS)) as u32;
    groups.iter().map(|group| Group { count: more(group.count), ..*group }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: f64 = (1u64 << 30) as f64;

    fn shape() -> Shape {
        Shape { free: Size { cpu: 4.0, memory: 16.0 * GIB }, pods: 110 }
    }

    fn group(cpu: f64, gib: f64, count: u32) -> Group {
        Group { size: Size { cpu, memory: gib * GIB }, count }
    }

    #[test]
    fn the_largest_go_first_and_small_ones_fill_the_gaps() {
        let packed = pack(&shape(), &[group(1.0, 1.0, 4), group(3.0, 2.0, 4), group(0.1, 15.0, 1)]);
        assert_eq!((packed.nodes.len(), packed.misfits), (5, 0), "{packed:?}");
        let packed = pack(&shape(), &[group(5.0, 1.0, 2), group(0.01, 0.01, 150)]);
        assert_eq!((packed.nodes.len(), packed.misfits), (2, 2), "two are too large; 110 pods to a node");
    }

    #[test]
    fn headroom_outlasts_a_zone_and_a_node() {
        assert_eq!(with_headroom(0, 3), 0);
        assert_eq!(with_headroom(5, 1), 6);
        // 11 in three zones: the largest has 4; 11 - 4 - 1 = 6.
        assert_eq!(with_headroom(6, 3), 11);
        // Of three, one zone has two.
        assert_eq!(with_headroom(1, 2), 4);
    }

    #[test]
    fn growth_is_what_most_days_show() {
        let hours = 14 * 24;
        let used: Vec<f64> = (0..hours)
            .map(|h| {
                50.0 + f64::from(h) / 24.0 + 10.0 * (f64::from(h % 24) / 24.0 * std::f64::consts::TAU).sin()
            })
            .map(|v| if (v - 60.0).abs() < 0.02 { 500.0 } else { v })
            .collect();
        let growth = Growth::of(&used, Duration::from_secs(3600)).unwrap();
        assert!((growth.slope - 1.0).abs() < 0.05, "{growth:?}");
        let [likely, early, earliest] = growth.runs_out(100.0).map(Option::unwrap);
        assert!(
            (25.0..30.0).contains(&likely) && earliest <= early && early <= likely,
            "{likely} {early} {earliest}"
        );
        assert_eq!(growth.runs_out(10.0), [Some(0.0); 3]);
        assert!(Growth::of(&used[..70], Duration::from_secs(3600)).is_none(), "not three whole days");
        let flat = Growth::of(&vec![5.0; 300], Duration::from_secs(3600)).unwrap();
        assert_eq!((flat.runs_out(6.0), flat.factor(Duration::from_secs(86_400 * 30))), ([None; 3], 1.0));
    }

    proptest! {
        #[test]
        fn packing_never_overcommits_and_loses_no_pod(
            groups in prop::collection::vec((0.0..5.0f64, 0.0..20.0f64, 0u32..60), 0..12), most in 0u32..30,
        ) {
            let groups: Vec<Group> = groups.into_iter().map(|(cpu, gib, count)| group(cpu, gib, count)).collect();
            let shape = Shape { pods: most, ..shape() };
            let packed = pack(&shape, &groups);
            for (used, pods) in &packed.nodes {
                prop_assert!(used.cpu <= shape.free.cpu && used.memory <= shape.free.memory && *pods <= most && *pods > 0);
            }
            let placed: u32 = packed.nodes.iter().map(|node| node.1).sum();
            prop_assert_eq!(placed + packed.misfits, groups.iter().map(|group| group.count).sum::<u32>());
        }

        #[test]
        fn any_numbers_pack(groups in prop::collection::vec((any::<f64>(), any::<f64>(), 0u32..50), 0..8), cpu: f64, memory: f64) {
            let groups: Vec<Group> =
                groups.into_iter().map(|(cpu, memory, count)| Group { size: Size { cpu, memory }, count }).collect();
            let shape = Shape { free: Size { cpu, memory }, pods: 10 };
            for (used, _) in pack(&shape, &groups).nodes {
                prop_assert!(used.cpu <= cpu.max(0.0) && used.memory <= memory.max(0.0));
            }
        }

        #[test]
        fn headroom_is_enough_and_no_more(needed in 1u32..5000, zones in 1u32..8) {
            let left = |nodes: u32| nodes - if zones == 1 { 0 } else { nodes.div_ceil(zones) } - 1;
            let nodes = with_headroom(needed, zones);
            prop_assert!(left(nodes) >= needed);
            prop_assert!(left(nodes - 1) < needed);
        }

        #[test]
        fn any_use_grows_finitely(used in prop::collection::vec(any::<f64>(), 0..300), capacity in any::<f64>()) {
            if let Some(growth) = Growth::of(&used, Duration::from_secs(3600)) {
                prop_assert!(growth.level.is_finite() && growth.slope.is_finite());
                prop_assert!(growth.slope <= growth.slope90 && growth.slope90 <= growth.slope975);
                prop_assert!(growth.runs_out(capacity).iter().flatten().all(|days| days.is_finite() && *days >= 0.0));
                prop_assert!(growth.factor(Duration::from_secs(86_400)) >= 1.0);
            }
        }
    }
}
