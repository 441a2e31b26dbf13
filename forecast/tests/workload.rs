//! Generated load whose truth is known: the same seed gives the same series.

use std::f64::consts::TAU;

/// What a series does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Diurnal,
    Weekly,
    Growth,
    Spike,
    Launch,
    Outage,
    LevelShift,
}

pub const LOADS: [Load; 7] =
    [Load::Diurnal, Load::Weekly, Load::Growth, Load::Spike, Load::Launch, Load::Outage, Load::LevelShift];

/// Standard normal numbers, near enough: sums of uniform ones.
pub fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum()).collect()
}

/// `count` values with `day` steps a day, around 100, with noise of `deviation`.
pub fn load(kind: Load, day: usize, count: usize, deviation: f64, seed: u64) -> Vec<f64> {
    let noise = noise(seed, count);
    let mut persistent = 0.0;
    (0..count)
        .map(|t| {
            let days = t as f64 / day as f64;
            let part = t as f64 / count as f64;
            let sun = -(days * TAU).cos() + 0.4 * (2.0 * days * TAU + 0.7).sin();
            let weekend = matches!(days as usize % 7, 5 | 6);
            persistent = 0.7 * persistent + noise[t];
            let base = 100.0 + 35.0 * sun + deviation * persistent;
            let value = match kind {
                Load::Diurnal => base,
                Load::Weekly => base * if weekend { 0.55 } else { 1.0 },
                Load::Growth => base * (1.0 + part),
                Load::Spike if t % (3 * day + 5) == day + 1 => base * 5.0,
                Load::Spike => base,
                Load::Launch => base + if part > 0.6 { 250.0 * (part - 0.6) } else { 0.0 },
                Load::Outage if (0.5..0.52).contains(&part) => 0.0,
                Load::Outage => base,
                Load::LevelShift => base + if part > 0.7 { 90.0 } else { 0.0 },
            };
            value.max(0.0)
        })
        .collect()
}
