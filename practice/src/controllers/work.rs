//! What the controllers have to do, now and later.

use super::Task;
use super::kubelet::Run;
use crate::object::text;
use crate::quantity;
use crate::store::{Change, Key, Place};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Cores, bytes and pods in use on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub cpu: f64,
    pub memory: f64,
    pub pods: i64,
}

#[derive(Default)]
pub(crate) struct Work {
    ready: VecDeque<Task>,
    queued: HashSet<Task>,
    timers: BTreeMap<(Instant, u64), (Task, bool)>,
    armed: HashMap<Task, (Instant, u64)>,
    count: u64,
    /// Timers of pods on their way up or down.
    moving: usize,
    /// Pods that fit on no node.
    waiting: BTreeSet<Place>,
    nodes: HashMap<String, Used>,
    /// Where the kubelets are with each pod.
    pub runs: HashMap<Place, Run>,
    /// Events in the order of their birth.
    pub events: VecDeque<Key>,
    /// What autoscalers recommended lately.
    pub recommendations: HashMap<Place, Vec<(Instant, i64)>>,
}

impl Work {
    /// To be done now; once, however often it is asked for.
    pub fn push(&mut self, task: Task) {
        if self.queued.insert(task.clone()) {
            self.ready.push_back(task);
        }
    }

    /// To be done later, if nothing is due earlier for it. `moving`: a pod's way up or down, for which `settled` waits.
    pub fn after(&mut self, delay: Duration, task: Task, moving: bool) {
        if delay.is_zero() {
            return self.push(task);
        }
        let at = Instant::now() + delay;
        if let Some(earlier) = self.armed.get(&task).copied() {
            if earlier.0 <= at {
                return;
            }
            self.disarm(earlier);
        }
        self.count += 1;
        self.moving += usize::from(moving);
        self.armed.insert(task.clone(), (at, self.count));
        self.timers.insert((at, self.count), (task, moving));
    }

    pub fn next(&mut self, now: Instant) -> Option<Task> {
        while let Some((&key, _)) = self.timers.first_key_value() {
            if key.0 > now {
                break;
            }
            if let Some(task) = self.disarm(key) {
                self.push(task);
            }
        }
        let task = self.ready.pop_front()?;
        self.queued.remove(&task);
        Some(task)
    }

    pub fn next_timer(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(Instant::now());
        }
        self.timers.first_key_value().map(|(key, _)| key.0)
    }

    /// Nothing to do but wait for crash loops, schedules and deadlines.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.moving == 0
    }

    fn disarm(&mut self, key: (Instant, u64)) -> Option<Task> {
        let (task, moving) = self.timers.remove(&key)?;
        self.moving -= usize::from(moving);
        self.armed.remove(&task);
        Some(task)
    }

    pub fn wait_for_room(&mut self, place: &Place) {
        self.waiting.insert(place.clone());
    }

    pub fn retry_waiting_pods(&mut self) {
        for place in std::mem::take(&mut self.waiting) {
            self.push(Task::Schedule(place));
        }
    }

    pub fn used(&self, node: &str) -> Used {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// Keeps the sums per node.
    pub fn count_pod(&mut self, change: &Change) {
        for (pod, sign) in [(&change.old, -1.0), (&change.new, 1.0)] {
            let Some(pod) = pod else { continue };
            let node = text(pod, &["spec", "nodeName"]);
            if node.is_empty() || matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed") {
                continue;
            }
            let (cpu, memory) = quantity::requests(pod);
            let used = self.nodes.entry(node.to_owned()).or_default();
            used.cpu += sign * cpu;
            used.memory += sign * memory;
            used.pods += sign as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_is_done_once_and_the_earliest_timer_wins() {
        let mut work = Work::default();
        work.push(Task::Sweep);
        work.push(Task::Sweep);
        assert_eq!(work.next(Instant::now()), Some(Task::Sweep));
        assert_eq!(work.next(Instant::now()), None);
        let node = Task::Node("a".into());
        work.after(Duration::from_secs(9), node.clone(), true);
        work.after(Duration::from_secs(2), node.clone(), true);
        work.after(Duration::from_secs(5), node.clone(), true);
        assert!(!work.is_idle());
        assert_eq!(work.next(Instant::now() + Duration::from_secs(3)), Some(node));
        assert!(work.is_idle());
        assert_eq!(work.next(Instant::now() + Duration::from_secs(60)), None);
    }
}
