//! What an autoscaler would have done: the algorithm of the HorizontalPodAutoscaler as Kubernetes documents it
//! (<https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>), run over a load.

use super::path::Path;
use super::pod::Pod;
use std::collections::VecDeque;
use std::time::Duration;

/// How often the controller looks (`--horizontal-pod-autoscaler-sync-period`).
pub const SYNC: Duration = Duration::from_secs(15);
/// How old the usage is that it sees: scraped every 15 s, averaged over as long.
const METRIC_AGE_S: u64 = 30;
/// Deviations of the ratio from 1 that are not acted upon (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;

/// The part of a HorizontalPodAutoscaler that decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoscaler {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Mean utilisation that it steers for, in percent of the request.
    pub target: u32,
    /// How fast it may go up.
    pub up: Rules,
    /// How fast it may go down.
    pub down: Rules,
}

/// `behavior.scaleUp` or `behavior.scaleDown`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The most cautious recommendation of this window counts.
    pub window: Duration,
    /// What may change within a period; of several, `select` says which counts.
    pub policies: Vec<Policy>,
    /// Which policy counts.
    pub select: Select,
}

/// One limit on change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How much.
    pub change: Change,
    /// Within how long.
    pub period: Duration,
}

/// How much may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// So many pods.
    Pods(u32),
    /// So many percent of the replicas at the period's beginning.
    Percent(u32),
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The one that allows most.
    Max,
    /// The one that allows least.
    Min,
    /// No change in this direction.
    Disabled,
}

impl Autoscaler {
    /// With the behaviour that Kubernetes gives an HPA that says nothing about it.
    pub fn new(min: u32, max: u32, target: u32) -> Self {
        Autoscaler { min, max, target, up: Rules::up(), down: Rules::down() }
    }
}

impl Rules {
    /// The default upwards: no window; 100 % or 4 pods every 15 s, whichever is more.
    pub fn up() -> Self {
        let policy = |change| Policy { change, period: Duration::from_secs(15) };
        Rules {
            window: Duration::ZERO,
            policies: vec![policy(Change::Percent(100)), policy(Change::Pods(4))],
            select: Select::Max,
        }
    }

    /// The default downwards: five minutes' window, then at once.
    pub fn down() -> Self {
        let policy = Policy { change: Change::Percent(100), period: Duration::from_secs(15) };
        Rules { window: Duration::from_secs(300), policies: vec![policy], select: Select::Max }
    }

    /// How far from `now` replicas one may go, given what was changed when (`(second, pods)`, newest last).
    fn limit(&self, current: u32, now: u64, same: &History, other: &History, up: bool) -> u32 {
        let allowed = self.policies.iter().map(|policy| {
            let changed = |history: &History| history.within(now, policy.period) as f64;
            let sign = if up { 1.0 } else { -1.0 };
            let start = (f64::from(current) + sign * (changed(other) - changed(same))).max(0.0);
            let end = match policy.change {
                Change::Pods(pods) => start + sign * f64::from(pods),
                // The controller rounds up upwards, and cuts off downwards.
                Change::Percent(share) if up => (start * (1.0 + f64::from(share) / 100.0)).ceil(),
                Change::Percent(share) => start * (1.0 - f64::from(share) / 100.0),
            };
            end.max(0.0) as u32
        });
        match (self.select, up) {
            (Select::Disabled, _) => current,
            (Select::Max, true) | (Select::Min, false) => allowed.max().unwrap_or(current),
            (Select::Min, true) | (Select::Max, false) => allowed.min().unwrap_or(current),
        }
    }
}

/// Changes in one direction, for the policies.
#[derive(Debug, Default)]
struct History(VecDeque<(u64, u32)>);

impl History {
    /// No policy's period is longer (the API allows half an hour).
    const LONGEST_S: u64 = 1800;

    fn push(&mut self, now: u64, pods: u32) {
        self.0.push_back((now, pods));
        while self.0.front().is_some_and(|&(at, _)| at + Self::LONGEST_S < now) {
            self.0.pop_front();
        }
    }

    fn within(&self, now: u64, period: Duration) -> u64 {
        let recent = self.0.iter().rev().take_while(|&&(at, _)| at + period.as_secs() > now);
        recent.map(|&(_, pods)| u64::from(pods)).sum()
    }
}

/// The controller with its memory.
struct Controller<'a> {
    spec: &'a Autoscaler,
    /// Recommendations of the longest window.
    recommended: VecDeque<(u64, u32)>,
    ups: History,
    downs: History,
}

impl Controller<'_> {
    /// The replicas to have now. `utilisation` is the mean over the ready pods, a share of the request.
    fn sync(&mut self, now: u64, current: u32, ready: u32, utilisation: f64, floor: u32) -> u32 {
        let (min, max) = (self.spec.min.max(floor).min(self.spec.max), self.spec.max);
        let raw = recommend(current, ready, utilisation / (f64::from(self.spec.target) / 100.0));
        let stable = self.stabilise(now, current, raw);
        let wanted = if stable > current {
            stable.min(self.spec.up.limit(current, now, &self.ups, &self.downs, true).max(current))
        } else if stable < current {
            stable.max(self.spec.down.limit(current, now, &self.downs, &self.ups, false).min(current))
        } else {
            current
        };
        // Bounds hold whatever the policies say: the controller goes straight to them.
        let wanted = wanted.clamp(min.min(max), max);
        match wanted.cmp(&current) {
            std::cmp::Ordering::Greater => self.ups.push(now, wanted - current),
            std::cmp::Ordering::Less => self.downs.push(now, current - wanted),
            std::cmp::Ordering::Equal => {}
        }
        wanted
    }

    /// The lowest recommendation of the window upwards, the highest of the window downwards.
    fn stabilise(&mut self, now: u64, current: u32, raw: u32) -> u32 {
        self.recommended.push_back((now, raw));
        let longest = self.spec.up.window.max(self.spec.down.window).as_secs();
        while self.recommended.front().is_some_and(|&(at, _)| at + longest < now) {
            self.recommended.pop_front();
        }
        let within = |window: Duration| {
            let recent = self.recommended.iter().filter(move |&&(at, _)| at + window.as_secs() >= now);
            recent.map(|&(_, count)| count)
        };
        let least = within(self.spec.up.window).min().unwrap_or(raw);
        let most = within(self.spec.down.window).max().unwrap_or(raw);
        current.max(least).min(most)
    }
}

/// `ceil(replicas * ratio)`, with pods that are not ready counted as using nothing when that would scale up.
fn recommend(current: u32, ready: u32, ratio: f64) -> u32 {
    if ready == 0 || !ratio.is_finite() {
        return current;
    }
    let ceil = |count: f64| {
        if count < f64::from(u32::MAX) { (count * (1.0 - 1e-12)).ceil() as u32 } else { u32::MAX }
    };
    if (ratio - 1.0).abs() <= TOLERANCE {
        return current;
    }
    let starting = current.saturating_sub(ready);
    if starting == 0 || ratio < 1.0 {
        return ceil(f64::from(ready) * ratio).min(if ratio < 1.0 { current } else { u32::MAX });
    }
    let cautious = ratio * f64::from(ready) / f64::from(current);
    if cautious <= 1.0 + TOLERANCE { current } else { ceil(f64::from(current) * cautious).max(current) }
}

/// From an offset on, at least so many replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// From when, counted from the beginning.
    pub at: Duration,
    /// Fewest replicas from then on.
    pub replicas: u32,
}

impl Outcome {
    /// The mean of several, each as likely as the others.
    pub(super) fn mean(all: &[Outcome]) -> Outcome {
        let count = all.len().max(1) as f64;
        let mean = |of: fn(&Outcome) -> f64| all.iter().map(of).sum::<f64>() / count;
        Outcome {
            hours: mean(|one| one.hours),
            pod_hours: mean(|one| one.pod_hours),
            requested: mean(|one| one.requested),
            slack: mean(|one| one.slack),
            under_minutes: mean(|one| one.under_minutes),
            missing: mean(|one| one.missing),
            events: mean(|one| f64::from(one.events)).round() as u32,
            peak: all.iter().map(|one| one.peak).max().unwrap_or(0),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcome {
    /// How long it was watched.
    pub hours: f64,
    /// Pods that there were, ready or not, times how long.
    pub pod_hours: f64,
    /// What they requested, in unit hours (core hours): the cost.
    pub requested: f64,
    /// What of that was not used, as a share of it.
    pub slack: f64,
    /// Minutes in which the load was more than the ready pods' requests hold.
    pub under_minutes: f64,
    /// What was missing in them, in unit hours.
    pub missing: f64,
    /// Changes of the number of replicas.
    pub events: u32,
    /// The most replicas that there were.
    pub peak: u32,
}

/// Runs an autoscaler over a load given at a regular step (straight lines between), from `replicas` ready pods, with `floors` in
/// order of time. What is not a number in the load is taken as none.
pub fn replay(
    load: &[f64],
    step: Duration,
    pod: &Pod,
    spec: &Autoscaler,
    floors: &[Floor],
    replicas: u32,
) -> Outcome {
    let load: Vec<f64> = load.iter().map(|v| if v.is_finite() { v.clamp(0.0, 1e100) } else { 0.0 }).collect();
    let path = Path::new(&load, step);
    let sync = SYNC.as_secs();
    let length = step.as_secs().max(1).saturating_mul(load.len().saturating_sub(1) as u64);
    let mut fleet = Fleet { ready: replicas.max(1), starting: VecDeque::new() };
    let mut controller =
        Controller { spec, recommended: VecDeque::new(), ups: History::default(), downs: History::default() };
    let mut seen: VecDeque<f64> = VecDeque::new();
    let mut outcome = Outcome::default();
    let (mut next, mut floor, mut used, mut under_s) = (0, 0, 0.0, 0u64);
    let hours = sync as f64 / 3600.0;
    for now in (0..length).step_by(sync as usize) {
        fleet.age(now);
        while floors.get(next).is_some_and(|floor| floor.at.as_secs() <= now) {
            floor = floors[next].replicas;
            next += 1;
        }
        let load = path.at(now as f64);
        let ready = f64::from(fleet.ready);
        let each =
            if fleet.ready == 0 { 0.0 } else { (load / ready + pod.idle).min(pod.request * pod.burst) };
        seen.push_back(each / pod.request);
        let measured =
            if seen.len() as u64 > METRIC_AGE_S / sync { seen.pop_front() } else { seen.front().copied() };
        let (all, missing) = (f64::from(fleet.all()), load - ready * pod.carries(1.0));
        outcome.pod_hours += all * hours;
        used += (each.min(pod.request) * ready).min(all * pod.request) * hours;
        if missing > 1e-9 * load {
            under_s += sync;
            outcome.missing += missing * hours;
        }
        outcome.peak = outcome.peak.max(fleet.all());
        let wanted = controller.sync(now, fleet.all(), fleet.ready, measured.unwrap_or(0.0), floor);
        outcome.events += u32::from(wanted != fleet.all());
        fleet.resize(wanted, now + pod.start_up.as_secs());
    }
    outcome.hours = length as f64 / 3600.0;
    outcome.under_minutes = under_s as f64 / 60.0;
    outcome.requested = outcome.pod_hours * pod.request;
    outcome.slack =
        if outcome.requested > 0.0 { (1.0 - used / outcome.requested).clamp(0.0, 1.0) } else { 0.0 };
    outcome
}

/// The pods: how many are ready, and when the others will be.
struct Fleet {
    ready: u32,
    /// `(second, pods)`, oldest first.
    starting: VecDeque<(u64, u32)>,
}

impl Fleet {
    fn all(&self) -> u32 {
        self.ready + self.starting.iter().map(|&(_, pods)| pods).sum::<u32>()
    }

    fn age(&mut self, now: u64) {
        while let Some(&(_, pods)) = self.starting.front().filter(|&&(at, _)| at <= now) {
            self.ready += pods;
            self.starting.pop_front();
        }
    }

    /// A ReplicaSet takes away first what is not ready yet, the newest of it first.
    fn resize(&mut self, wanted: u32, ready_at: u64) {
        let all = self.all();
        if wanted > all {
            self.starting.push_back((ready_at, wanted - all));
        }
        let mut surplus = all.saturating_sub(wanted);
        while surplus > 0 {
            let Some((_, pods)) = self.starting.back_mut() else { break };
            let taken = surplus.min(*pods);
            *pods -= taken;
            surplus -= taken;
            if *pods == 0 {
                self.starting.pop_back();
            }
        }
        self.ready -= surplus;
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
