use super::*;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn pod(start_up: u64) -> Pod {
    Pod { request: 1.0, idle: 0.0, burst: 2.0, start_up: Duration::from_secs(start_up) }
}

fn controller(spec: &Autoscaler) -> Controller<'_> {
    Controller { spec, recommended: VecDeque::new(), ups: History::default(), downs: History::default() }
}

#[test]
fn the_ratio_is_rounded_up_and_a_tenth_is_tolerated() {
    assert_eq!(recommend(4, 4, 2.0), 8, "the documentation's own example: 200m at 100m doubles");
    assert_eq!(recommend(4, 4, 0.5), 2);
    assert_eq!(recommend(10, 10, 1.09), 10);
    assert_eq!(recommend(10, 10, 1.11), 12);
    assert_eq!(recommend(10, 10, 0.91), 10);
    assert_eq!(recommend(10, 10, 0.89), 9);
    assert_eq!(recommend(10, 10, 0.0), 0, "bounds keep the last one, not the ratio");
}

#[test]
fn pods_that_start_count_as_idle_when_scaling_up() {
    // Five of ten ready, those at twice the target: with the others at nothing the ratio is 1, so nothing happens.
    assert_eq!(recommend(10, 5, 2.0), 10);
    assert_eq!(recommend(10, 5, 3.0), 15);
    assert_eq!(recommend(10, 5, 0.5), 3, "down by the ready ones");
    assert_eq!(recommend(10, 0, 9.0), 10, "no ready pod, no metric");
}

#[test]
fn scaling_up_doubles_at_most_every_fifteen_seconds_and_adds_four_at_least() {
    let spec = Autoscaler::new(1, 1000, 50);
    let mut controller = controller(&spec);
    assert_eq!(controller.sync(0, 1, 1, 100.0, 0), 5);
    assert_eq!(controller.sync(15, 5, 5, 100.0, 0), 10);
    assert_eq!(controller.sync(30, 10, 10, 100.0, 0), 20);
}

#[test]
fn a_window_takes_the_most_cautious_recommendation_and_no_sooner_comes_down() {
    let spec = Autoscaler::new(1, 100, 50);
    let mut controller = controller(&spec);
    assert_eq!(controller.sync(0, 10, 10, 0.5, 0), 10);
    for now in (15..=300).step_by(15) {
        assert_eq!(controller.sync(now, 10, 10, 0.05, 0), 10, "at {now} s");
    }
    assert_eq!(controller.sync(315, 10, 10, 0.05, 0), 1);
}

#[test]
fn policies_limit_what_changes_within_their_period() {
    let mut spec = Autoscaler::new(1, 100, 50);
    spec.down = Rules {
        window: Duration::ZERO,
        policies: vec![
            Policy { change: Change::Pods(2), period: MINUTE },
            Policy { change: Change::Percent(10), period: MINUTE },
        ],
        select: Select::Min,
    };
    let mut one = controller(&spec);
    assert_eq!(one.sync(0, 30, 30, 0.05, 0), 28, "2 pods are fewer than 10 % of 30");
    assert_eq!(one.sync(15, 28, 28, 0.05, 0), 28, "within the same minute");
    assert_eq!(one.sync(75, 28, 28, 0.05, 0), 26);
    spec.down.select = Select::Disabled;
    assert_eq!(controller(&spec).sync(0, 30, 30, 0.05, 0), 30);
}

#[test]
fn bounds_and_floors_hold_at_once() {
    let spec = Autoscaler::new(2, 10, 50);
    let mut one = controller(&spec);
    assert_eq!(one.sync(0, 40, 40, 0.5, 0), 10);
    assert_eq!(one.sync(15, 1, 1, 0.5, 7), 7);
    assert_eq!(one.sync(30, 7, 7, 0.5, 99), 10, "never above the maximum");
}

#[test]
fn a_step_in_load_is_short_for_as_long_as_pods_take_to_start() {
    let load: Vec<f64> = (0..240).map(|minute| if minute < 60 { 5.0 } else { 10.0 }).collect();
    let spec = Autoscaler::new(1, 100, 70);
    let quick = replay(&load, MINUTE, &pod(0), &spec, &[], 8);
    let slow = replay(&load, MINUTE, &pod(600), &spec, &[], 8);
    assert!(quick.under_minutes < 2.0, "{quick:?}");
    assert!((10.0..13.0).contains(&slow.under_minutes), "{slow:?}");
    // Told ten minutes before, nothing is ever short.
    let floors = [Floor { at: 48 * MINUTE, replicas: 15 }];
    let told = replay(&load, MINUTE, &pod(600), &spec, &floors, 8);
    assert_eq!(told.under_minutes, 0.0, "{told:?}");
    assert!(told.requested > slow.requested);
}

#[test]
fn a_steady_load_costs_what_it_should() {
    let told = replay(&[7.0; 61], MINUTE, &pod(60), &Autoscaler::new(1, 100, 70), &[], 10);
    assert_eq!((told.events, told.peak, told.under_minutes), (0, 10, 0.0));
    assert!((told.pod_hours - 10.0).abs() < 1e-9 && (told.slack - 0.3).abs() < 1e-9, "{told:?}");
}

proptest! {
    #[test]
    fn any_load_gives_finite_figures_within_the_bounds(
        load in prop::collection::vec(any::<f64>(), 0..30),
        (min, more, target) in (0u32..50, 0u32..1000, 1u32..200),
        (request, idle, start_up) in (1e-6..1e6f64, 0.0..2.0f64, 0u64..1000),
        replicas in 0u32..2000, floor in 0u32..3000,
    ) {
        let pod = Pod { request, idle: idle * request, burst: 1.5, start_up: Duration::from_secs(start_up) };
        let floors = [Floor { at: MINUTE, replicas: floor }];
        let told = replay(&load, MINUTE, &pod, &Autoscaler::new(min, min + more, target), &floors, replicas);
        prop_assert!([told.pod_hours, told.requested, told.slack, told.under_minutes, told.missing].iter().all(|v| v.is_finite() && *v >= 0.0), "{told:?}");
        prop_assert!(told.under_minutes <= told.hours * 60.0 + 1.0);
        prop_assert!(told.peak <= (min + more).max(replicas.max(1)));
    }

    #[test]
    fn with_ready_pods_at_once_a_higher_floor_is_never_shorter_of_capacity(
        load in prop::collection::vec(0.0..50.0f64, 2..40), floor in 1u32..50,
    ) {
        let spec = Autoscaler::new(1, 100, 70);
        let run = |floor: u32| replay(&load, MINUTE, &pod(0), &spec, &[Floor { at: Duration::ZERO, replicas: floor }], floor);
        prop_assert!(run(60).under_minutes <= run(floor).under_minutes);
    }
}
