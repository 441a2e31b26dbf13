//! Order statistics and sums that the rest is made of.

/// The `p`-quantile (0 to 1) by linear interpolation; 0 for no values. Reorders its input.
pub(crate) fn quantile(values: &mut [f64], p: f64) -> f64 {
    looked_at(values.len());
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

/// Counts values looked at, in tests: cost is promised to grow with length, and a count does not depend on the machine.
#[inline]
pub(crate) fn looked_at(_values: usize) {
    #[cfg(test)]
    LOOKED_AT.with(|count| count.set(count.get() + _values));
}

#[cfg(test)]
thread_local! {
    pub(crate) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Sum of products, in eight strands so that the compiler can keep several in flight; the order is fixed, so are the bits.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    looked_at(a.len());
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

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(&mut [4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&mut [4.0, 1.0, 3.0, 2.0], 1.0), 4.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }

    #[test]
    fn the_central_mean_forgets_the_outer_quarters_of_the_weight() {
        let mut pairs = [(1000.0, 0.2), (1.0, 0.3), (2.0, 0.3), (-500.0, 0.2)];
        let central = central_mean(&mut pairs);
        // From a quarter to three quarters: 0.25 of the ones, 0.25 of the twos.
        assert!((central - 1.5).abs() < 1e-12, "{central}");
        assert_eq!(central_mean(&mut [(7.0, 1.0)]), 7.0);
    }
}
