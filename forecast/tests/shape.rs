//! What holds for every answer.

use crate::workload::{LOADS, Load, load, noise};
use forecast::{Forecast, Model, NotASeries, Options, Refusal, Series, forecast};
use proptest::prelude::*;
use std::time::Duration;

fn said(values: &[f64], options: &Options) -> Option<Forecast> {
    forecast(&Series::new(values.to_vec()), options).or_else(|refusal| refusal.anyway().ok_or(())).ok()
}

/// Everything is a number, intervals hold the mean and each other.
fn check(forecast: &Forecast, horizon: usize, least: f64) {
    assert_eq!(forecast.mean.len(), horizon);
    let levels = [0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0];
    let mut inner: Option<forecast::Interval> = None;
    for level in levels {
        let outer = forecast.interval(level);
        for step in 0..horizon {
            let (low, mean, high) = (outer.lower[step], forecast.mean[step], outer.upper[step]);
            assert!(
                low.is_finite() && mean.is_finite() && high.is_finite(),
                "{level} {step}: {low} {mean} {high}"
            );
            assert!(least <= low && low <= mean && mean <= high, "{level} {step}: {low} {mean} {high}");
            if let Some(inner) = &inner {
                assert!(low <= inner.lower[step] && inner.upper[step] <= high, "{level} at {step}");
            }
        }
        inner = Some(outer);
    }
    let components = &forecast.components;
    assert!(components.trend.iter().all(|v| v.is_finite()));
    assert!(components.seasons.iter().all(|s| s.values.iter().all(|v| v.is_finite())));
    assert!(components.changepoints.iter().all(|c| c.slope_after.is_finite()));
    let weights: f64 = forecast.members.iter().map(|m| m.weight).sum();
    assert!((weights - 1.0).abs() < 1e-9);
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3f64,
        2 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        1 => Just(0.0),
        1 => Just(f64::MAX),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_numbers_give_numbers_or_a_refusal(
        values in prop::collection::vec(any_value(), 0..160),
        horizon in 1usize..30,
        periods in prop::collection::vec(0usize..90, 0..3),
    ) {
        for options in [Options::horizon(horizon), Options::horizon(horizon).seasons(periods)] {
            if let Some(forecast) = said(&values, &options) {
                check(&forecast, horizon, f64::MIN);
            }
        }
    }

    #[test]
    fn what_cannot_be_negative_never_is(values in prop::collection::vec(0.0..50.0f64, 40..200), horizon in 1usize..40) {
        let forecast = said(&values, &Options::horizon(horizon)).unwrap();
        check(&forecast, horizon, 0.0);
        prop_assert!(forecast.quantile(0.0).iter().all(|v| *v >= 0.0));
    }

    #[test]
    fn a_power_of_two_as_unit_changes_no_bit(seed in 0u64..1000, power in -40i32..40) {
        let values = load(LOADS[seed as usize % 7], 24, 400, 5.0, seed);
        let unit = 2f64.powi(power);
        let scaled: Vec<f64> = values.iter().map(|v| v * unit).collect();
        let (one, other) = (said(&values, &Options::horizon(24)).unwrap(), said(&scaled, &Options::horizon(24)).unwrap());
        for (a, b) in one.mean.iter().zip(&other.mean) {
            prop_assert_eq!(a * unit, *b);
        }
        prop_assert_eq!(one.backtest.errors, other.backtest.errors);
    }
}

#[test]
fn units_of_any_size_and_any_zero_give_the_same_forecast() {
    for kind in LOADS {
        let values = load(kind, 24, 500, 6.0, 3);
        let options = Options::horizon(24);
        let signed = |values: Vec<f64>| forecast(&Series::new(values).non_negative(false), &options).unwrap();
        let base = signed(values.clone());
        for (unit, zero) in [(1e12, 0.0), (1e-12, 0.0), (1.0, 1000.0), (3.0, -700.0)] {
            let moved = signed(values.iter().map(|v| v * unit + zero).collect());
            for ((a, b), step) in base.mean.iter().zip(&moved.mean).zip(0..) {
                assert!(
                    (a - (b - zero) / unit).abs() < 1e-6 * a.abs(),
                    "{kind:?} {unit} {zero} at {step}: {a} {b}"
                );
            }
            let (a, b) = (base.interval(0.95), moved.interval(0.95));
            for (a, b) in a.upper.iter().zip(&b.upper) {
                assert!((a - (b - zero) / unit).abs() < 1e-6 * a.abs(), "{kind:?} {unit} {zero}: {a} {b}");
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bits() {
    for kind in LOADS {
        let values = load(kind, 24, 700, 8.0, 9);
        let options = Options::horizon(48);
        assert_eq!(said(&values, &options).unwrap(), said(&values, &options).unwrap());
    }
}

#[test]
fn what_never_changed_is_expected_to_stay() {
    for value in [0.0, 7.0, -3.5, 1e12, 1e-12, f64::MAX] {
        let forecast = said(&[value; 50], &Options::horizon(5)).unwrap();
        assert_eq!(forecast.mean, [value; 5]);
        let interval = forecast.interval(0.95);
        assert_eq!((interval.lower, interval.upper), (vec![value; 5], vec![value; 5]));
    }
}

#[test]
fn no_point_one_point_and_too_few_points_are_refused_with_the_number_needed() {
    for have in [0, 1, 15] {
        let refusal = forecast(&Series::new(vec![1.0; have]), &Options::horizon(4)).unwrap_err();
        assert_eq!(refusal, Refusal::TooShort { have, need: 16 });
    }
    let refusal = forecast(&Series::new(vec![1.0; 20]), &Options::horizon(0)).unwrap_err();
    assert!(matches!(refusal, Refusal::Horizon { horizon: 0, .. }));
}

#[test]
fn mostly_holes_are_refused_and_a_week_long_hole_is_bridged() {
    let mut values = load(Load::Diurnal, 24, 24 * 42, 3.0, 5);
    values[300..300 + 168].fill(f64::NAN);
    let forecast = said(&values, &Options::horizon(24)).unwrap();
    assert_eq!(forecast.cleaning.gaps, 168);
    assert!(forecast.backtest.errors.mase.unwrap() < 1.0, "{:?}", forecast.backtest);
    values.iter_mut().skip(200).for_each(|v| *v = f64::NAN);
    let refusal = forecast::forecast(&Series::new(values), &Options::horizon(24)).unwrap_err();
    assert_eq!(refusal, Refusal::TooGappy { missing: 808, total: 1008 });
}

#[test]
fn bursts_that_nothing_foretells_are_refused_but_can_be_had() {
    let bursts = noise(4, 600).iter().map(|e| if *e > 1.6 { 1000.0 * (e - 1.0) } else { 1.0 }).collect();
    let Err(refusal) = forecast(&Series::new(bursts), &Options::horizon(24)) else { panic!("not refused") };
    assert!(matches!(refusal, Refusal::TooRandom { .. }), "{refusal}");
    check(&refusal.anyway().unwrap(), 24, 0.0);
}

#[test]
fn following_a_series_ends_near_a_new_fit() {
    for (kind, seed) in LOADS.into_iter().zip(20..) {
        let values = load(kind, 24, 800, 5.0, seed);
        let options = Options::horizon(24);
        let mut model = Model::fit(&Series::new(values[..760].to_vec()), &options).unwrap();
        values[760..].chunks(5).for_each(|newest| model.extend(newest));
        let (followed, anew) = (model.forecast().unwrap(), said(&values, &options).unwrap());
        let band = anew.interval(0.8);
        let apart: f64 = followed.mean.iter().zip(&anew.mean).map(|(a, b)| (a - b).abs()).sum();
        let width: f64 = band.upper.iter().zip(&band.lower).map(|(u, l)| (u - l) / 2.0).sum();
        // The tolerance that docs/FORECAST.md states.
        assert!(apart < width / 3.0, "{kind:?}: {:.2} of the half-width", apart / width);
        assert_eq!(followed.components.trend.len(), 824);
    }
}

#[test]
fn a_series_grown_by_a_tenth_is_fitted_anew_and_a_constant_one_as_soon_as_it_moves() {
    let values = load(Load::Diurnal, 24, 800, 5.0, 1);
    let options = Options::horizon(24);
    let mut model = Model::fit(&Series::new(values[..700].to_vec()), &options).unwrap();
    model.extend(&values[700..]);
    assert_eq!(model.forecast().unwrap(), said(&values, &options).unwrap());

    let mut model = Model::fit(&Series::new(vec![2.0; 40]), &options).unwrap();
    model.extend(&[3.0, f64::NAN, 4.0]);
    assert_ne!(model.forecast().unwrap().mean, [2.0; 24]);
}

#[test]
fn samples_with_jitter_and_holes_become_a_regular_series_with_gaps() {
    let series = Series::from_samples([(0, 1.0), (60, 2.0), (121, 3.0), (300, 6.0), (240, 5.0)]).unwrap();
    assert_eq!(series.step(), Some(Duration::from_secs(60)));
    assert_eq!(series.values()[..3], [1.0, 2.0, 3.0]);
    assert!(series.values()[3].is_nan());
    assert_eq!(series.values()[4..], [5.0, 6.0]);
    assert_eq!(series.time_at(6), Some(360));
}

#[test]
fn samples_of_one_moment_are_no_series_and_scattered_ones_neither() {
    assert_eq!(Series::from_samples([(5, 1.0), (5, 2.0)]), Err(NotASeries::NoStep));
    let scattered = Series::from_samples([(0, 1.0), (1, 2.0), (90_000, 3.0)]);
    assert!(matches!(scattered, Err(NotASeries::Irregular { samples: 3, .. })), "{scattered:?}");
}
