//! Forecasts of generated load, where the truth is known.

use crate::workload::{LOADS, Load, load, noise};
use forecast::{Forecast, Options, Series, forecast};
use std::time::Duration;

fn hourly(values: &[f64], steps: usize) -> Forecast {
    let series = Series::new(values.to_vec()).every(Duration::from_secs(3600));
    forecast(&series, &Options::horizon(steps)).unwrap()
}

fn periods(forecast: &Forecast) -> Vec<usize> {
    forecast.components.seasons.iter().map(|s| s.period).collect()
}

fn mae(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
}

#[test]
fn each_workload_is_forecast_better_than_by_repeating_its_last_day_or_week() {
    for kind in LOADS {
        let (mut ours, mut day, mut week) = (0.0, 0.0, 0.0);
        for seed in 0..8 {
            let values = load(kind, 24, 24 * 36, 4.0, seed);
            let (known, came) = values.split_at(24 * 35);
            ours += mae(&hourly(known, 24).mean, came);
            day += mae(&known[known.len() - 24..], came);
            week += mae(&known[known.len() - 168..known.len() - 144], came);
        }
        assert!(ours < 0.9 * f64::min(day, week), "{kind:?}: {ours} against {day} and {week}");
    }
}

#[test]
fn intervals_hold_about_what_they_say() {
    let (mut within, mut count) = ([0.0; 2], 0.0);
    for seed in 0..60 {
        let values = load(LOADS[seed as usize % 3], 24, 24 * 29, 4.0, 100 + seed);
        let (known, came) = values.split_at(24 * 28);
        let forecast = hourly(known, 24);
        for (k, level) in [0.8, 0.95].into_iter().enumerate() {
            let band = forecast.interval(level);
            within[k] +=
                (0..24).filter(|&t| band.lower[t] <= came[t] && came[t] <= band.upper[t]).count() as f64;
        }
        count += 24.0;
    }
    let [eighty, ninety_five] = within.map(|w| 100.0 * w / count);
    assert!((74.0..90.0).contains(&eighty) && ninety_five > 91.0, "{eighty} {ninety_five}");
}

#[test]
fn the_period_of_a_season_is_found_without_knowing_the_calendar() {
    for period in [7, 12, 23, 24, 30, 48, 96, 144, 250, 288] {
        for seed in 0..12 {
            let count = (period * 9).max(300);
            let season = |t: usize| (t as f64 / period as f64 * std::f64::consts::TAU).sin();
            let values: Vec<f64> = noise(seed, count)
                .iter()
                .enumerate()
                .map(|(t, e)| 50.0 + 10.0 * season(t) + 3.0 * e)
                .collect();
            let found = periods(&forecast(&Series::new(values), &Options::horizon(12)).unwrap());
            // To the step; to half a per cent where nine cycles cannot tell better.
            let near = found.len() == 1 && found[0].abs_diff(period) * 200 <= period;
            assert!(near, "{found:?} for {period}, seed {seed}");
        }
    }
}

#[test]
fn a_day_with_two_peaks_is_a_day_and_a_week_of_days_is_both() {
    for seed in 0..12 {
        let day = load(Load::Diurnal, 24, 24 * 42, 4.0, seed);
        assert_eq!(
            periods(&forecast(&Series::new(day), &Options::horizon(24)).unwrap()),
            [24],
            "seed {seed}"
        );
        let week = load(Load::Weekly, 24, 24 * 42, 4.0, seed);
        assert_eq!(
            periods(&forecast(&Series::new(week), &Options::horizon(24)).unwrap()),
            [24, 168],
            "seed {seed}"
        );
    }
}

#[test]
fn noise_and_random_walks_have_no_season() {
    let mut seasonal = 0;
    for seed in 0..40 {
        let white = noise(seed, 800);
        let mut level = 0.0;
        let walk: Vec<f64> = white
            .iter()
            .map(|e| {
                level += e;
                level
            })
            .collect();
        for values in [white, walk] {
            let said = forecast(&Series::new(values), &Options::horizon(12));
            seasonal += usize::from(said.is_ok_and(|f| !f.components.seasons.is_empty()));
        }
    }
    assert!(seasonal <= 4, "{seasonal} of 80");
}

#[test]
fn spikes_are_named_and_do_not_bend_the_forecast() {
    let values = load(Load::Spike, 24, 24 * 30, 2.0, 7);
    let calm = load(Load::Diurnal, 24, 24 * 30, 2.0, 7);
    let (spiked, plain) = (hourly(&values, 24), hourly(&calm, 24));
    let expected: Vec<usize> = (0..values.len()).filter(|t| values[*t] > 1.5 * calm[*t]).collect();
    assert!(
        expected.iter().all(|t| spiked.cleaning.spikes.contains(t)),
        "{expected:?} {:?}",
        spiked.cleaning
    );
    assert!(mae(&spiked.mean, &plain.mean) < 5.0);
}

#[test]
fn a_level_shift_is_believed() {
    let values = load(Load::LevelShift, 24, 24 * 30, 3.0, 2);
    let forecast = hourly(&values, 24);
    let last_day = &values[values.len() - 24..];
    assert!(mae(&forecast.mean, last_day) < 15.0);
    assert!(forecast.cleaning.spikes.len() < 5);
}

#[test]
fn growth_has_a_slope_and_a_launch_a_changepoint_near_its_day() {
    let growth = hourly(&load(Load::Growth, 24, 24 * 40, 2.0, 3), 24);
    let trend = &growth.components.trend;
    assert!(trend[24 * 40 - 1] > 1.7 * trend[0], "{} {}", trend[0], trend[24 * 40 - 1]);
    let launch = hourly(&load(Load::Launch, 24, 24 * 40, 2.0, 3), 24);
    let turns: Vec<usize> = launch.components.changepoints.iter().map(|c| c.index).collect();
    assert!(turns.len() == 1 && turns[0].abs_diff(24 * 24) <= 24, "{turns:?}");
}
