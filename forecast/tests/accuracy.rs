//! Floors of accuracy on the series kept beside the project, where they are: looser than what is measured (docs/FORECAST.md), so that
//! only a real loss fails.

use crate::score::{Answer, Score, folder, load, score};
use forecast::{Forecast, Options, Series, forecast};
use std::path::PathBuf;
use std::time::Duration;

fn sets() -> Option<PathBuf> {
    let folder = folder();
    if folder.is_none() {
        eprintln!("skipped: no shared/data beside the checkout");
    }
    folder
}

fn answer(forecast: Forecast) -> Answer {
    let band = |level| {
        let interval = forecast.interval(level);
        (interval.lower, interval.upper)
    };
    Answer { bands: Some([band(0.8), band(0.95)]), mean: forecast.mean }
}

fn measure(folder: &std::path::Path, set: &str, season: usize, step: u64) -> Score {
    let cases = load(folder, set);
    let answers: Vec<Answer> = cases
        .iter()
        .map(|case| {
            let series = Series::new(case.train.clone()).every(Duration::from_secs(step));
            let said = forecast(&series, &Options::horizon(case.test.len()));
            answer(
                said.or_else(|refusal| refusal.anyway().ok_or(case.id.clone()))
                    .expect("a forecast of each series"),
            )
        })
        .collect();
    score(&cases, &answers, season)
}

#[test]
fn hourly_series_of_the_m4_competition_are_forecast_better_than_by_any_published_method() {
    let Some(folder) = sets() else { return };
    let score = measure(&folder, "m4_hourly", 24, 3600);
    assert!(score.owa < 0.41, "{score:?}");
    assert!((77.0..84.0).contains(&score.coverage80), "{score:?}");
    assert!((92.5..97.0).contains(&score.coverage95), "{score:?}");
    assert!(score.msis < 6.5, "{score:?}");
}

#[test]
fn no_set_of_resource_series_is_forecast_worse_than_by_the_best_peer() {
    let Some(folder) = sets() else { return };
    let peers = [
        ("nab_aws", 0.626),
        ("pools", 1.058),
        ("crane", 0.944),
        ("bitbrains", 0.788),
        ("ms_services", 0.794),
    ];
    for (set, peer) in peers {
        let (_, season, step) = crate::score::SETS.into_iter().find(|s| s.0 == set).unwrap();
        let score = measure(&folder, set, season, step);
        assert!(score.mase < peer, "{set}: {score:?}, best peer {peer}");
    }
}
