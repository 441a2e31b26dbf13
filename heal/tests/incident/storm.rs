//! Storm mode (G9).

use super::*;
use heal::incident::{Load, Storm, Thresholds, Turn};
use proptest::{collection::vec, prelude::*};

fn unhealthy(unhealthy: usize) -> Load {
    Load { unhealthy, ..Load::default() }
}

#[test]
fn a_storm_begins_at_once_and_ends_only_after_a_long_calm() {
    let look = |storm: Storm, load, second| storm.look(load, at(second), &Thresholds::default());
    let (storm, turn) = look(Storm::default(), unhealthy(19), 0);
    assert_eq!((storm.allows_acting_alone(), turn), (true, Turn::None));
    let (storm, turn) = look(storm, unhealthy(20), 10);
    assert_eq!((storm.allows_acting_alone(), turn), (false, Turn::Begins));
    // Fewer, but not few.
    let (storm, _) = look(storm, unhealthy(10), 20);
    let (storm, _) = look(storm, unhealthy(9), 30);
    let (storm, turn) = look(storm, unhealthy(0), 629);
    assert_eq!((storm.allows_acting_alone(), turn), (false, Turn::None));
    // A gust, and the wait begins anew.
    let (storm, _) = look(storm, unhealthy(12), 629);
    let (storm, _) = look(storm, unhealthy(0), 640);
    let (storm, turn) = look(storm, unhealthy(0), 1239);
    assert_eq!((storm.allows_acting_alone(), turn), (false, Turn::None));
    stored(&storm);
    let (storm, turn) = look(storm, unhealthy(0), 1240);
    assert_eq!((storm, turn), (Storm::Calm, Turn::Ends));
}

#[test]
fn a_large_part_of_a_small_cluster_or_a_flood_of_alerts_is_a_storm_too() {
    let storms = |load: Load| !Storm::Calm.look(load, at(0), &Thresholds::default()).0.allows_acting_alone();
    assert!(storms(Load { unhealthy: 6, workloads: 20, arrivals: 0 }));
    assert!(!storms(Load { unhealthy: 5, workloads: 20, arrivals: 0 }));
    assert!(!storms(Load { unhealthy: 3, workloads: 4, arrivals: 0 }), "three sick of four");
    assert!(storms(Load { unhealthy: 1, workloads: 200, arrivals: 100 }));
}

proptest! {
    #[test]
    fn nobody_acts_alone_until_it_has_been_calm_for_long_enough(
        looks in vec((0_i64..400, 0_usize..30, 0_usize..150), 1..80)
    ) {
        let thresholds = Thresholds::default();
        let (mut storm, mut now, mut last_gust) = (Storm::Calm, 0, None::<i64>);
        for (later, unhealthy, arrivals) in looks {
            now += later;
            let load = Load { unhealthy, workloads: 0, arrivals };
            let (next, turn) = storm.look(load, at(now), &thresholds);
            let raged = !storm.allows_acting_alone();
            if unhealthy >= 20 || arrivals >= 100 {
                prop_assert!(!next.allows_acting_alone());
            }
            if raged && (unhealthy >= 10 || arrivals >= 50) || turn == Turn::Begins {
                last_gust = Some(now);
            }
            if turn == Turn::Ends {
                prop_assert!(now - last_gust.unwrap() >= thresholds.calm.as_secs());
            }
            prop_assert_eq!(turn == Turn::Begins, !raged && !next.allows_acting_alone());
            prop_assert_eq!(turn == Turn::Ends, raged && next.allows_acting_alone());
            storm = next;
        }
    }
}

/// What is stored of one cluster, as a shell would keep it in tables.
#[derive(Default)]
struct Stored {
    troubles: std::collections::BTreeMap<heal::event::Fingerprint, Trouble>,
    incidents: std::collections::BTreeMap<IncidentId, Incident>,
    open: std::collections::BTreeMap<Group, IncidentId>,
    /// Fingerprints of nodes.
    nodes: std::collections::BTreeSet<heal::event::Fingerprint>,
    hidden: usize,
}

impl Stored {
    fn hear(&mut self, event: &Event, now: Timestamp) {
        if self.nodes.iter().any(|node| heal::incident::hides(&self.troubles[node], event)) {
            self.hidden += 1;
        }
        let damping = heal::incident::Damping::default();
        let (trouble, change) = match self.troubles.remove(&event.fingerprint) {
            None => Trouble::first(event, now),
            Some(trouble) => trouble.hear(event, now, &damping),
        };
        let group = Group::of(event);
        if matches!(group, Group::Node { .. }) {
            self.nodes.insert(event.fingerprint);
        }
        let fresh = IncidentId(id(self.incidents.len() as u128));
        let own = trouble.incident.filter(|id| self.incidents[id].end.is_none());
        let open = own.or_else(|| self.open.get(&group).copied()).map(|id| self.incidents[&id].clone());
        let (trouble, incident) = file(trouble, change, open, group, fresh, now);
        self.troubles.insert(trouble.fingerprint, trouble);
        if let Some(incident) = incident {
            match incident.end {
                None => self.open.insert(incident.group.clone(), incident.id),
                Some(_) => self.open.remove(&incident.group),
            };
            self.incidents.insert(incident.id, incident);
        }
    }
}

#[test]
fn ten_thousand_alerts_of_two_hundred_workloads_and_a_dead_node_are_few_incidents_and_all_of_them_end() {
    let pod = |number: usize, state: State| {
        let workload = format!("w{}", number % 200);
        let mut event = firing("KubePodCrashLooping", &workload, 0);
        let name = format!("{workload}-{number}");
        event.subject.pod = Some(name.clone());
        event.subject.node = Some(format!("worker-{}", number % 10));
        event.fingerprint = heal::event::Fingerprint::new(
            event.origin,
            &event.name,
            Some("prod-eu"),
            [("pod", name.as_str())],
        );
        (event.state, event.ended) = (state, (state == State::Resolved).then(|| at(600)));
        event
    };
    let mut node = crate::rules::alert("KubeNodeNotReady", &[("node", "worker-7")]);
    node.started = at(0);
    let mut stored = Stored::default();
    stored.hear(&node, at(0));
    for number in 0..10_000 {
        // Every third comes twice, as it does from two replicas of Alertmanager.
        for _ in 0..1 + usize::from(number % 3 == 0) {
            stored.hear(&pod(number, State::Firing), at(1));
        }
    }
    assert_eq!((stored.troubles.len(), stored.open.len()), (10_001, 201));
    assert_eq!(
        stored.incidents.values().map(|incident| incident.troubles).sum::<u64>(),
        10_001,
        "nothing is lost"
    );
    assert!(stored.incidents.values().all(|incident| serde_json::to_string(incident).unwrap().len() < 1_000));
    assert!((1_000..1_700).contains(&stored.hidden), "{}", stored.hidden);
    let load = Load { unhealthy: stored.open.len(), workloads: 400, arrivals: 10_001 };
    let (storm, _) = Storm::Calm.look(load, at(2), &Thresholds::default());
    assert!(!storm.allows_acting_alone());
    for number in (0..10_000).rev() {
        stored.hear(&pod(number, State::Resolved), at(700));
    }
    assert_eq!(stored.open.len(), 1, "the node is still down");
    let ended =
        stored.incidents.values().filter(|incident| incident.end == Some(heal::incident::End::Itself));
    assert_eq!(ended.count(), 200);
}
