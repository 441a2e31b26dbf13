//! The loop breaker (G8).

use super::*;
use heal::{
    incident::{Attempt, Brake, Braked, Caps, Refusal, past},
    language::ast::Scope,
};
use proptest::{collection::vec, prelude::*};

fn brake() -> Brake {
    Brake::new("r", group("checkout"))
}

fn caps() -> Caps {
    Caps::default()
}

/// One healing from its beginning to its end, an hour long.
fn healing(brake: Brake, hour: i64, effective: bool) -> Result<Brake, Braked> {
    let began = brake.begin(at(hour * 3600), &caps())?;
    Ok(began.end(effective, at(hour * 3600 + 60), &caps()).unwrap())
}

#[test]
fn three_healings_that_did_not_help_block_the_rule_until_a_person_lifts_it() {
    let mut brake = brake();
    for hour in 0..3 {
        brake = healing(brake, hour, false).unwrap();
    }
    let words = brake.allows(at(1_000_000), &caps()).unwrap_err().to_string();
    assert_eq!(
        words,
        "blocked since 2026-02-03T06:01:00Z: it did not help 3 times in a row; only a person can unblock it"
    );
    stored(&brake);
    let brake = brake.unblock("ann", at(20_000)).unwrap();
    assert_eq!(brake.lifted, Some(("ann".into(), at(20_000))));
    assert_eq!(brake.clone().unblock("ann", at(20_001)).unwrap_err(), Refusal::NotBlocked);
    assert!(healing(brake, 6, true).is_ok());
}

#[test]
fn one_that_helped_begins_the_count_anew() {
    let mut brake = brake();
    for (hour, effective) in [false, false, true, false, false].into_iter().enumerate() {
        brake = healing(brake, hour as i64, effective).unwrap();
    }
    assert_eq!((brake.ineffective, brake.blocked), (2, None));
}

#[test]
fn trouble_that_comes_back_soon_makes_a_healing_ineffective() {
    let mut brake = brake();
    for hour in 0..3 {
        brake = healing(brake, hour, true).unwrap().again(at(hour * 3600 + 600), &caps());
        // It counts once, however often it is heard of.
        brake = brake.again(at(hour * 3600 + 700), &caps());
        assert_eq!(brake.ineffective as i64, hour + 1);
    }
    assert!(brake.blocked.is_some());
    let mut held = self::brake();
    for hour in 0..10 {
        held = healing(held, hour, true).unwrap();
    }
    assert_eq!((held.ineffective, held.blocked), (0, None));
}

#[test]
fn a_rule_that_applies_again_soon_after_its_success_has_had_none() {
    let caps = Caps { cooldown: SignedDuration::ZERO, ..caps() };
    let mut brake = brake();
    let mut healings = 0;
    // Restart, better for a minute, restart, better for a minute.
    for minute in 0..60 {
        match brake.clone().begin(at(minute * 60), &caps) {
            Ok(began) => brake = began.end(true, at(minute * 60 + 1), &caps).unwrap(),
            Err(braked) => {
                assert!(matches!(braked, Braked::Blocked { times: 3, .. }), "{braked}");
                break;
            }
        }
        healings += 1;
    }
    assert_eq!(healings, 3);
}

#[test]
fn one_healing_at_a_time_with_a_pause_after_each() {
    let began = brake().begin(at(0), &caps()).unwrap();
    assert_eq!(began.allows(at(9999), &caps()), Err(Braked::UnderWay));
    let ended = began.clone().end(true, at(100), &caps()).unwrap();
    assert_eq!(ended.allows(at(399), &caps()), Err(Braked::Cooling { until: at(400) }));
    assert_eq!(ended.allows(at(400), &caps()), Ok(()));
    assert_eq!(ended.end(true, at(100), &caps()).unwrap_err(), Refusal::NoHealing);
    let denied = began.abandon(at(50)).unwrap();
    assert_eq!((denied.ineffective, denied.allows(at(60), &caps()).is_err()), (0, true));
    assert!(denied.allows(at(350), &caps()).is_ok());
}

fn attempt(rule: &str, workload: &str, second: i64) -> Attempt {
    Attempt { rule: rule.into(), target: group(workload), at: at(second), healed: false, rolled_back: false }
}

#[test]
fn caps_count_per_workload_namespace_cluster_and_rule() {
    let caps = Caps { workload: 2, namespace: 3, cluster: 4, rule: 3, ..caps() };
    let reached = |attempts: &[Attempt], rule: &str, target: &Group| {
        caps.reached(rule, target, attempts, at(1000)).map(|capped| (capped.scope, capped.until.unwrap()))
    };
    let two = [attempt("a", "checkout", 10), attempt("b", "checkout", 20)];
    assert_eq!(reached(&two, "c", &group("checkout")), Some((Scope::Workload, at(3610))));
    assert_eq!(reached(&two, "c", &group("cart")), None);
    let three = [attempt("a", "x", 10), attempt("a", "y", 20), attempt("a", "z", 30)];
    assert_eq!(reached(&three, "c", &group("cart")), Some((Scope::Namespace, at(3610))));
    let node = Group::of(&crate::rules::alert("N", &[("node", "worker-7")]));
    assert_eq!(reached(&three, "c", &node), None);
    assert_eq!(reached(&three, "a", &node), Some((Scope::Rule, at(3610))));
    let mut four = three.to_vec();
    four.push(attempt("b", "v", 40));
    assert_eq!(reached(&four, "c", &node), Some((Scope::Cluster, at(3610))));
    assert_eq!(caps.reached("a", &node, &four, at(3640)), None, "an hour later it is all forgotten");
    let words = caps.reached("c", &node, &four, at(1000)).unwrap().to_string();
    assert_eq!(words, "4 healings per cluster are allowed within 1h; the next is at 2026-02-03T05:00:10Z");
}

#[test]
fn the_past_of_a_rule_is_of_the_rule_alone() {
    let mut attempts =
        vec![attempt("a", "checkout", 10), attempt("b", "checkout", 20), attempt("a", "cart", 30)];
    attempts[0].healed = true;
    attempts[1].healed = true;
    let past = past("a", &group("checkout"), &attempts);
    assert_eq!(past.healed, Some(at(10)));
    assert_eq!(past.asked[&Scope::Workload], [at(10)]);
    for scope in [Scope::Namespace, Scope::Cluster, Scope::Rule] {
        assert_eq!(past.asked[&scope], [at(10), at(30)]);
    }
}

proptest! {
    #[test]
    fn no_series_of_events_gets_past_the_brake(steps in vec((0_i64..2000, 0_u8..5, any::<bool>()), 1..120)) {
        let caps = caps();
        let mut brake = brake();
        let (mut now, mut in_a_row, mut last) = (0, 0_usize, None::<(i64, bool)>);
        for (later, step, effective) in steps {
            now += later;
            match step {
                0 | 1 => {
                    if let Some((end, true)) = last {
                        let held = now - end >= caps.holds.as_secs();
                        in_a_row = if held { 0 } else { in_a_row + 1 };
                        last = Some((end, held));
                    }
                    brake = brake.again(at(now), &caps);
                    prop_assert_eq!(brake.blocked.is_some(), in_a_row >= 3);
                    if let Ok(began) = brake.clone().begin(at(now), &caps) {
                        prop_assert!(in_a_row < 3 && brake.under_way.is_none());
                        prop_assert!(last.is_none_or(|(end, _)| now - end >= caps.cooldown.as_secs()));
                        brake = began;
                    }
                }
                2 => if let Ok(ended) = brake.clone().end(effective, at(now), &caps) {
                    in_a_row += usize::from(!effective);
                    last = Some((now, effective));
                    brake = ended;
                    prop_assert_eq!(brake.blocked.is_some(), in_a_row >= 3);
                },
                3 => if let Ok(abandoned) = brake.clone().abandon(at(now)) {
                    last = Some((now, false));
                    brake = abandoned;
                },
                _ => if let Ok(free) = brake.clone().unblock("ann", at(now)) {
                    prop_assert!(in_a_row >= 3);
                    in_a_row = 0;
                    brake = free;
                },
            }
            stored(&brake);
        }
    }

    #[test]
    fn no_window_ever_holds_more_than_the_caps(
        asks in vec((0_i64..400, 0_usize..4, 0_usize..3), 1..150)
    ) {
        let caps = Caps { workload: 2, namespace: 5, cluster: 5, rule: 4, ..caps() };
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut now = 0;
        for (later, workload, rule) in asks {
            now += later;
            let (workload, rule) = (format!("w{workload}"), format!("r{rule}"));
            match caps.reached(&rule, &group(&workload), &attempts, at(now)) {
                None => attempts.push(attempt(&rule, &workload, now)),
                // When it says that the next may begin, it may.
                Some(capped) => prop_assert!(caps.reached(&rule, &group(&workload), &attempts, capped.until.unwrap())
                    .is_none_or(|later| later.scope != capped.scope)),
            }
        }
        for begin in &attempts {
            let window: Vec<&Attempt> =
                attempts.iter().filter(|one| (0..3600).contains(&one.at.duration_since(begin.at).as_secs())).collect();
            prop_assert!(window.len() <= 5);
            prop_assert!(window.iter().filter(|one| one.target == begin.target).count() <= 2);
            prop_assert!(window.iter().filter(|one| one.rule == begin.rule).count() <= 4);
        }
    }
}
