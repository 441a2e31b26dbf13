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
