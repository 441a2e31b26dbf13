use super::*;
use proptest::prelude::*;

const STEP: Duration = Duration::from_secs(300);

/// Two weeks of days, with noise of so many percent.
fn days(count: usize, noise: f64) -> Vec<f64> {
    let mut state = 9u64;
    (0..count)
        .map(|t| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let wobble = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            let sun = (t as f64 / 288.0 * std::f64::consts::TAU).sin();
            // Office hours: a steep morning.
            let office = if (100..220).contains(&(t % 288)) { 4.0 } else { 0.0 };
            (6.0 + 2.0 * sun + office) * (1.0 + noise * wobble)
        })
        .collect()
}

fn pod() -> Pod {
    Pod { request: 0.5, idle: 0.0, burst: 2.0, start_up: Duration::from_secs(240) }
}

fn ask(series: &Series, current: Option<Autoscaler>) -> Proposal {
    let question = Question {
        load: series,
        relation: Relation::identity(),
        pod: pod(),
        replicas: 20,
        current,
        least: 2,
        ahead: Duration::from_secs(24 * 3600),
    };
    propose(&question).unwrap()
}

#[test]
fn a_predictable_load_is_met_before_it_comes_and_costs_less() {
    let series = Series::new(days(14 * 288, 0.05)).every(STEP);
    let told = ask(&series, Some(Autoscaler::new(4, 60, 50)));
    assert_eq!(told.keep, None, "{:?}", told.record);
    assert!(told.past.saving() > 0.1, "{:?}", told.past);
    assert!(told.past.proposed.under_minutes <= told.past.current.under_minutes.max(1.0), "{:?}", told.past);
    assert!(told.schedule.len() > 3, "{:?}", told.schedule);
    assert!(told.proposed.min >= told.needed_now && told.proposed.max >= 60);
    assert_eq!(told.schedule[0].at, Duration::ZERO);
}

#[test]
fn what_cannot_be_foreseen_is_left_to_the_autoscaler_that_reacts_and_it_says_why() {
    let series = Series::new(days(14 * 288, 1.9)).every(STEP);
    let current = Autoscaler::new(4, 60, 50);
    let told = ask(&series, Some(current.clone()));
    assert!(matches!(told.keep, Some(Keep::Inaccurate { mape }) if mape > MOST_MAPE), "{:?}", told.keep);
    assert_eq!(told.proposed, current);
    assert!(told.schedule.is_empty());
    let short = Series::new(days(30, 0.0)).every(STEP);
    assert!(matches!(ask(&short, Some(current)).keep, Some(Keep::Refused(Refusal::TooShort { .. }))));
}

#[test]
fn without_an_autoscaler_one_that_reacts_is_made_for_the_loads_seen() {
    let series = Series::new(days(14 * 288, 1.9)).every(STEP);
    let told = ask(&series, None);
    assert!(told.keep.is_some());
    assert!(told.proposed.min >= 2 && told.proposed.max > told.proposed.min);
    assert!(told.past.proposed.under_minutes < told.past.current.under_minutes, "{:?}", told.past);
}

#[test]
fn a_steep_load_leaves_more_reserve() {
    let flat = Series::new(vec![5.0; 600]).every(STEP);
    let steep: Vec<f64> = (0..600).map(|t| if t % 2 == 0 { 5.0 } else { 9.0 }).collect();
    let steep = Series::new(steep).every(STEP);
    assert_eq!(steepest(&flat, STEP, &pod()), 85);
    assert!(steepest(&steep, STEP, &pod()) <= 60);
}

#[test]
fn the_gate_is_fifteen_percent_with_coverage() {
    let record = Record { mape: Some(0.15), wape: Some(0.5), coverage: 0.95 };
    assert_eq!(eligible(&record), Ok(()));
    assert_eq!(eligible(&Record { mape: Some(0.151), ..record }), Err(Keep::Inaccurate { mape: 0.151 }));
    assert_eq!(eligible(&Record { mape: None, ..record }), Err(Keep::Inaccurate { mape: 0.5 }));
    assert_eq!(eligible(&Record { coverage: 0.8, ..record }), Err(Keep::Overconfident { coverage: 0.8 }));
    assert!(eligible(&Record { mape: None, wape: None, coverage: 1.0 }).is_err());
}

#[test]
fn a_pod_that_is_full_when_idle_is_refused() {
    let series = Series::new(days(600, 0.05)).every(STEP);
    let question = Question {
        load: &series,
        relation: Relation::identity(),
        pod: Pod { idle: 0.4, ..pod() },
        replicas: 3,
        current: None,
        least: 1,
        ahead: STEP * 12,
    };
    assert!(matches!(propose(&question), Err(NoProposal::NoRoom { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_history_gives_a_proposal_that_holds_what_is_needed_now(
        load in prop::collection::vec(prop_oneof![9 => 0.0..100.0f64, 1 => any::<f64>()], 0..120),
        (min, more, target) in (1u32..30, 0u32..100, 1u32..120), replicas in 1u32..60, least in 0u32..5, start_up in 0u64..900,
    ) {
        let series = Series::new(load).every(STEP);
        let question = Question {
            load: &series,
            relation: Relation::identity(),
            pod: Pod { start_up: Duration::from_secs(start_up), ..pod() },
            replicas,
            current: Some(Autoscaler::new(min, min + more, target)),
            least,
            ahead: STEP * 12,
        };
        if let Ok(told) = propose(&question) {
            prop_assert!(told.proposed.min <= told.proposed.max);
            if told.keep.is_none() {
                prop_assert!(told.proposed.min >= told.needed_now.max(least));
                prop_assert!(told.proposed.max >= replicas);
                prop_assert!(told.schedule.iter().all(|floor| floor.replicas >= least));
            }
            for outcome in [told.past.current, told.past.proposed, told.expected.current, told.expected.proposed] {
                prop_assert!(outcome.requested.is_finite() && outcome.under_minutes.is_finite() && outcome.slack.is_finite());
            }
        }
    }
}
