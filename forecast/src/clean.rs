//! Taming what is not real: holes and spikes. A level shift is real and stays.

use crate::stat::{median, robust_deviation};

/// Points to either side that say what is usual around a point. What lasts longer than this is a level, not a spike.
const AROUND: usize = 5;
/// Robust deviations from what is usual around it that make a spike.
const SPIKE: f64 = 6.0;
/// A series that spikes more often than this is like that.
const MOST_SPIKES: f64 = 0.03;

/// Fills gaps by straight lines, and ends by their nearest value.
pub(crate) fn fill(values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    let mut last: Option<usize> = None;
    for t in 0..out.len() {
        if out[t].is_nan() {
            continue;
        }
        match last {
            None => {
                let first = out[t];
                out[..t].iter_mut().for_each(|v| *v = first);
            }
            Some(before) if t - before > 1 => {
                let (start, step) = (out[before], (out[t] - out[before]) / (t - before) as f64);
                (before + 1..t).for_each(|k| out[k] = start + step * (k - before) as f64);
            }
            Some(_) => {}
        }
        last = Some(t);
    }
    if let Some(last) = last {
        let value = out[last];
        out[last + 1..].iter_mut().for_each(|v| *v = value);
    }
    out
}

/// Fills gaps so that what the structure leaves goes on in straight lines: a hole of half a day keeps the day's shape.
pub(crate) fn fill_along(values: &[f64], structure: &[f64]) -> Vec<f64> {
    let rest: Vec<f64> = values.iter().zip(structure).map(|(v, s)| v - s).collect();
    fill(&rest)
        .iter()
        .zip(structure)
        .zip(values)
        .map(|((r, s), v)| if v.is_nan() { r + s } else { *v })
        .collect()
}

/// Indices of points that stand far out from the five on either side, judged by what the structure leaves. None for a series in
/// which that is common.
pub(crate) fn spikes(values: &[f64], structure: &[f64]) -> Vec<usize> {
    let rest: Vec<f64> = values.iter().zip(structure).map(|(v, s)| v - s).collect();
    let apart: Vec<f64> = rest.iter().zip(usual(&rest)).map(|(r, u)| r - u).collect();
    let bound = SPIKE * robust_deviation(&apart, &mut Vec::new());
    let found: Vec<usize> = (0..apart.len()).filter(|&t| bound > 0.0 && apart[t].abs() > bound).collect();
    if found.len() as f64 > MOST_SPIKES * values.len() as f64 { Vec::new() } else { found }
}

/// The values with spikes brought back to what is usual around them.
pub(crate) fn without(spikes: &[usize], values: &[f64], structure: &[f64]) -> Vec<f64> {
    let mut gappy = values.to_vec();
    spikes.iter().for_each(|&t| gappy[t] = f64::NAN);
    fill_along(&gappy, structure)
}

/// Medians of a moving window, shorter at the ends.
fn usual(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut window = Vec::with_capacity(2 * AROUND + 1);
    (0..n)
        .map(|t| {
            window.clear();
            window.extend_from_slice(&values[t.saturating_sub(AROUND)..(t + AROUND + 1).min(n)]);
            median(&mut window)
        })
        .collect()
}

#[cfg(test)]
mod test {
    use super::*;

    fn noise(t: usize) -> f64 {
        ((t * 7919) % 101) as f64 / 101.0 - 0.5
    }

    #[test]
    fn a_spike_goes_and_a_level_shift_stays() {
        let mut values: Vec<f64> = (0..300).map(|t| noise(t) + if t >= 200 { 30.0 } else { 0.0 }).collect();
        values[77] = 25.0;
        values[78] = 24.0;
        values[250] = 5.0;
        let flat = vec![0.0; 300];
        let found = spikes(&values, &flat);
        assert_eq!(found, [77, 78, 250]);
        let clean = without(&found, &values, &flat);
        assert!(clean[77].abs() < 1.0 && (clean[250] - 30.0).abs() < 1.0);
        assert_eq!((clean[199], clean[200]), (values[199], values[200]));
    }

    #[test]
    fn a_shift_in_the_last_points_is_not_taken_for_a_spike() {
        let values: Vec<f64> = (0..100).map(|t| noise(t) + if t >= 93 { 10.0 } else { 0.0 }).collect();
        assert_eq!(spikes(&values, &[0.0; 100]), Vec::<usize>::new());
    }

    #[test]
    fn a_series_that_always_spikes_keeps_its_spikes() {
        let values: Vec<f64> = (0..400).map(|t| noise(t) + if t % 16 == 3 { 40.0 } else { 0.0 }).collect();
        assert_eq!(spikes(&values, &[0.0; 400]), Vec::<usize>::new());
    }

    #[test]
    fn a_hole_of_half_a_day_keeps_the_shape_of_the_day() {
        let day = |t: usize| (t as f64 / 24.0 * std::f64::consts::TAU).sin();
        let whole: Vec<f64> = (0..240).map(|t| 5.0 + day(t)).collect();
        let mut holed = whole.clone();
        holed[100..112].fill(f64::NAN);
        let structure: Vec<f64> = (0..240).map(day).collect();
        let filled = fill_along(&holed, &structure);
        assert!(filled.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
