//! Amounts as people read them.

/// The amount of a metric in its unit: `1.5 cores`, `640 MiB`, `120/s`; a metric of one's own has none.
pub fn amount(metric: &str, value: f64) -> String {
    match metric.split('-').next().unwrap_or_default() {
        "cpu" if value == 1.0 => "1 core".into(),
        "cpu" => format!("{} cores", digits(value)),
        "memory" => {
            let (scaled, unit) = match value.abs() {
                size if size >= (1_u64 << 40) as f64 => (value / (1_u64 << 40) as f64, "TiB"),
                size if size >= (1_u64 << 30) as f64 => (value / (1_u64 << 30) as f64, "GiB"),
                size if size >= (1_u64 << 20) as f64 => (value / (1_u64 << 20) as f64, "MiB"),
                _ => (value / 1024.0, "KiB"),
            };
            format!("{} {unit}", digits(scaled))
        }
        "qps" => format!("{}/s", digits(value)),
        _ => digits(value),
    }
}

/// Three significant digits, without zeros at the end.
pub fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { "unknown".into() };
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_units_and_no_needless_digits() {
        let said = [
            amount("cpu", 1.0),
            amount("cpu-limits", 0.25),
            amount("memory", 671_088_640.0),
            amount("memory", 5.4e9),
            amount("qps", 1234.5),
            amount("replicas", 3.0),
            amount("lag", 0.0),
            digits(-0.012345),
        ];
        assert_eq!(said, ["1 core", "0.25 cores", "640 MiB", "5.03 GiB", "1234/s", "3", "0", "-0.0123"]);
    }
}
