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
