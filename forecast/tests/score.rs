//! The metrics of the data folder's `score.py`, for its long-form files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Name, season and horizon of each set.
pub const SETS: [(&str, usize, u64); 6] = [
    ("m4_hourly", 24, 3600),
    ("nab_aws", 288, 300),
    ("pools", 288, 300),
    ("crane", 288, 300),
    ("bitbrains", 24, 3600),
    ("ms_services", 24, 3600),
];

/// One series: what was known, and what came.
pub struct Case {
    pub id: String,
    pub train: Vec<f64>,
    pub test: Vec<f64>,
}

/// A forecast with its 80 % and 95 % intervals.
pub struct Answer {
    pub mean: Vec<f64>,
    pub bands: Option<[(Vec<f64>, Vec<f64>); 2]>,
}

/// Means over a set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    pub smape: f64,
    pub mase: f64,
    pub owa: f64,
    pub coverage80: f64,
    pub coverage95: f64,
    pub msis: f64,
}

/// Where the sets lie: `shared/data` beside the checkout or further up; nowhere on a machine without them.
pub fn folder() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/data")).find(|folder| folder.join("m4_hourly.train.csv").exists())
}

fn read(path: &Path) -> (Vec<String>, HashMap<String, Vec<f64>>) {
    let (mut order, mut series) = (Vec::new(), HashMap::<String, Vec<f64>>::new());
    for line in std::fs::read_to_string(path).expect("a set").lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(id), Some(_), Some(value)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if !series.contains_key(id) {
            order.push(id.to_string());
        }
        series.entry(id.to_string()).or_default().push(value.parse().expect("a number"));
    }
    (order, series)
}

pub fn load(folder: &Path, set: &str) -> Vec<Case> {
    let (order, mut train) = read(&folder.join(format!("{set}.train.csv")));
    let (_, mut test) = read(&folder.join(format!("{set}.test.csv")));
    order
        .into_iter()
        .map(|id| Case { train: train.remove(&id).unwrap(), test: test.remove(&id).unwrap(), id })
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}

fn smape(actual: &[f64], said: &[f64]) -> f64 {
    let part = |(a, s): (&f64, &f64)| {
        if a.abs() + s.abs() > 0.0 { 200.0 * (a - s).abs() / (a.abs() + s.abs()) } else { 0.0 }
    };
    mean(actual.iter().zip(said).map(part))
}

fn mae(actual: &[f64], said: &[f64]) -> f64 {
    mean(actual.iter().zip(said).map(|(a, s)| (a - s).abs()))
}

/// M4's second naive method: the last value, seasonally adjusted by ratios to a centred mean where a test finds a season.
fn naive2(y: &[f64], h: usize, m: usize) -> Vec<f64> {
    let n = y.len();
    let plain = vec![y[n - 1]; h];
    if n <= 3 * m || y.iter().any(|v| *v <= 0.0) {
        return plain;
    }
    let around = mean(y.iter().copied());
    let lagged = |k: usize| (k..n).map(|t| (y[t] - around) * (y[t - k] - around)).sum::<f64>();
    let all = lagged(0);
    if all <= 0.0 {
        return plain;
    }
    let correlations: Vec<f64> = (0..=m).map(|k| lagged(k) / all).collect();
    let noise = (1.0 + 2.0 * correlations[1..m].iter().map(|c| c * c).sum::<f64>()) / n as f64;
    if correlations[m].abs() <= 1.645 * noise.sqrt() {
        return plain;
    }
    let centred = |t: usize| {
        ((t - m / 2)..=(t + m / 2))
            .map(|k| if k.abs_diff(t) == m / 2 { 0.5 * y[k] } else { y[k] })
            .sum::<f64>()
            / m as f64
    };
    let mut ratios = vec![Vec::new(); m];
    (m / 2..m / 2 + n - m).for_each(|t| ratios[t % m].push(y[t] / centred(t)));
    let mut index: Vec<f64> = ratios.iter().map(|r| mean(r.iter().copied())).collect();
    let usual = mean(index.iter().copied());
    index.iter_mut().for_each(|i| *i /= usual);
    (n..n + h).map(|t| y[n - 1] / index[(n - 1) % m] * index[t % m]).collect()
}

/// Scores a set; series whose seasonal naive method never errs are passed over, as in `score.py`.
pub fn score(cases: &[Case], answers: &[Answer], m: usize) -> Score {
    let mut rows: Vec<[f64; 7]> = Vec::new();
    for (case, answer) in cases.iter().zip(answers) {
        let (train, y) = (&case.train, &case.test);
        let scale = mae(&train[m..], &train[..train.len() - m]);
        if scale <= 0.0 {
            continue;
        }
        let base = naive2(train, y.len(), m);
        let mut row = [
            smape(y, &answer.mean),
            mae(y, &answer.mean) / scale,
            smape(y, &base),
            mae(y, &base) / scale,
            f64::NAN,
            f64::NAN,
            f64::NAN,
        ];
        if let Some(bands) = &answer.bands {
            let within = |(low, high): &(Vec<f64>, Vec<f64>)| {
                100.0 * mean((0..y.len()).map(|t| f64::from(u8::from(low[t] <= y[t] && y[t] <= high[t]))))
            };
            let (low, high) = &bands[1];
            let width = |t: usize| {
                high[t] - low[t] + 40.0 * (low[t] - y[t]).max(0.0) + 40.0 * (y[t] - high[t]).max(0.0)
            };
            row[4..].copy_from_slice(&[
                within(&bands[0]),
                within(&bands[1]),
                mean((0..y.len()).map(width)) / scale,
            ]);
        }
        rows.push(row);
    }
    let column = |c: usize| mean(rows.iter().map(|r| r[c]));
    Score {
        smape: column(0),
        mase: column(1),
        owa: 0.5 * (column(0) / column(2) + column(1) / column(3)),
        coverage80: column(4),
        coverage95: column(5),
        msis: column(6),
    }
}
