//! Taming what is not real: holes and spikes.

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
