//! What holds for every answer.

use forecast::{NotASeries, Options, Refusal, Series, forecast};
use std::time::Duration;

#[test]
fn too_few_points_are_refused_with_the_number_needed() {
    let refusal = forecast(&Series::new(vec![1.0; 3]), &Options::horizon(4)).unwrap_err();
    assert_eq!(refusal, Refusal::TooShort { have: 3, need: 16 });
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
fn samples_of_one_moment_are_no_series() {
    assert_eq!(Series::from_samples([(5, 1.0), (5, 2.0)]), Err(NotASeries::NoStep));
}
