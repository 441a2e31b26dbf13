//! Least squares with an L1 penalty on a few collinear columns, by active sets.

use crate::dense::Symmetric;

/// Minimises `x'Gx/2 - b'x + sum_j w_j |x_j|`, where `w_j` is `penalty` times the square root of `G_jj`, starting from `x`.
///
/// Coordinate descent crawls along the valleys of hinge columns; solving for the active ones at once takes a handful of steps
/// (Osborne, Presnell and Turlach 2000).
pub(crate) fn active_set(gram: &Symmetric, pull: &[f64], penalty: f64, x: &mut [f64]) {
    let n = gram.size;
    let weight: Vec<f64> = (0..n).map(|j| penalty * gram.at(j, j).max(0.0).sqrt()).collect();
    let tolerance = 1e-9;
    let mut sign: Vec<f64> = x.iter().map(|v| if *v == 0.0 { 0.0 } else { v.signum() }).collect();
    for _ in 0..4 * n + 4 {
        let active: Vec<usize> = (0..n).filter(|&j| sign[j] != 0.0).collect();
        if !active.is_empty() {
            let mut small = Symmetric::zeros(active.len());
            for (r, &i) in active.iter().enumerate() {
                for (c, &j) in active.iter().enumerate().take(r + 1) {
                    small.set(r, c, gram.at(i, j));
                }
                small.add_to_diagonal(r, 1e-10 * gram.at(i, i));
            }
            let mut goal: Vec<f64> = active.iter().map(|&j| pull[j] - weight[j] * sign[j]).collect();
            small.cholesky().solve(&mut goal);
            // Walk towards the goal; stop where the first coefficient would change its sign, and let it go.
            let mut reach = 1.0;
            let mut stopped = None;
            for (r, &j) in active.iter().enumerate() {
                if goal[r] * sign[j] < 0.0 {
                    let part = x[j] / (x[j] - goal[r]);
                    if part < reach {
                        reach = part;
                        stopped = Some(j);
                    }
                }
            }
            for (r, &j) in active.iter().enumerate() {
                x[j] += reach * (goal[r] - x[j]);
            }
            if let Some(j) = stopped {
                x[j] = 0.0;
                sign[j] = 0.0;
                continue;
            }
        }
        // Everyone active is at rest: take in the column that violates its bound most, if any does.
        let slope = |j: usize| pull[j] - active.iter().map(|&i| gram.at(j, i) * x[i]).sum::<f64>();
        let worst = (0..n)
            .filter(|&j| sign[j] == 0.0 && weight[j] > 0.0)
            .map(|j| (j, slope(j)))
            .map(|(j, s)| (j, s, s.abs() / weight[j]))
            .filter(|&(_, _, excess)| excess > 1.0 + tolerance)
            .max_by(|a, b| a.2.total_cmp(&b.2));
        match worst {
            Some((j, s, _)) => sign[j] = s.signum(),
            None => return,
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_solution_meets_the_conditions_of_a_minimum() {
        // Hinges: as collinear as they come.
        let n = 120;
        let columns: Vec<Vec<f64>> = (1..12)
            .map(|k| (0..n).map(|t: usize| t.saturating_sub(10 * k) as f64 / n as f64).collect())
            .collect();
        let target: Vec<f64> = (0..n)
            .map(|t: usize| {
                3.0 * t.saturating_sub(33) as f64 / n as f64 - 5.0 * t.saturating_sub(70) as f64 / n as f64
            })
            .enumerate()
            .map(|(t, v)| v + ((t * 37) % 11) as f64 / 50.0)
            .collect();
        let mut gram = Symmetric::zeros(columns.len());
        for i in 0..columns.len() {
            (0..=i).for_each(|j| gram.set(i, j, crate::stat::dot(&columns[i], &columns[j])));
        }
        let pull: Vec<f64> = columns.iter().map(|c| crate::stat::dot(c, &target)).collect();
        for penalty in [0.001, 0.05, 0.3, 100.0] {
            let mut x = vec![0.0; columns.len()];
            active_set(&gram, &pull, penalty, &mut x);
            for j in 0..x.len() {
                let slope = pull[j] - (0..x.len()).map(|i| gram.at(j, i) * x[i]).sum::<f64>();
                let weight = penalty * gram.at(j, j).sqrt();
                if x[j] == 0.0 {
                    assert!(slope.abs() <= weight * (1.0 + 1e-6), "{penalty} {j}");
                } else {
                    assert!((slope - weight * x[j].signum()).abs() < 1e-6 * (1.0 + weight), "{penalty} {j}");
                }
            }
            assert_eq!(x.iter().all(|v| *v == 0.0), penalty == 100.0);
        }
    }
}
