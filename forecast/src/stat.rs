//! Order statistics and sums that the rest is made of.

/// The `p`-quantile (0 to 1) by linear interpolation; 0 for no values. Reorders its input.
pub(crate) fn quantile(values: &mut [f64], p: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = p * (values.len() - 1) as f64;
    let below = rank as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    if rank.fract() == 0.0 {
        return low;
    }
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    low + rank.fract() * (high - low)
}

/// The middle value. Reorders its input.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// A standard deviation that outliers do not move: the median absolute value times 1.4826 (for values around zero).
pub(crate) fn robust_deviation(values: &[f64], scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend(values.iter().map(|v| v.abs()));
    1.4826 * median(scratch)
}

/// The weighted mean of the central half: as robust as the median, without its jumps. Reorders its input.
pub(crate) fn central_mean(pairs: &mut [(f64, f64)]) -> f64 {
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = pairs.iter().map(|p| p.1).sum();
    let (low, high) = (0.25 * all, 0.75 * all);
    let (mut sum, mut below) = (0.0, 0.0);
    for &(value, weight) in pairs.iter() {
        let above = below + weight;
        sum += value * (above.clamp(low, high) - f64::clamp(below, low, high));
        below = above;
    }
    sum / (high - low)
}

/// Sum of products, in four strands so that the compiler can keep several in flight; the order is fixed, so are the bits.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (a_rest, b_rest) = (a.chunks_exact(8).remainder(), b.chunks_exact(8).remainder());
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}
