//! Kubernetes quantities: `250m`, `1.5`, `128Mi`, `1e3`.

use crate::object::at;
use serde_json::Value;

/// In whole units (cores, bytes); none when it is not a quantity.
pub(crate) fn parse(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.as_str(),
        _ => return None,
    };
    const SUFFIXES: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    if number.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor)
}

/// What all containers of a pod ask for: cores and bytes.
pub(crate) fn requests(pod: &Value) -> (f64, f64) {
    let of = |resource: &str| -> f64 {
        crate::object::list(pod, &["spec", "containers"])
            .iter()
            .filter_map(|container| parse(at(container, &["resources", "requests", resource])))
            .sum()
    };
    (of("cpu"), of("memory"))
}

/// `maxSurge`, `minAvailable`: a number, or a percentage of `whole`, rounded as asked.
pub(crate) fn share(value: &Value, whole: i64, up: bool) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some(if up { (whole * percent + 99).div_euclid(100) } else { (whole * percent).div_euclid(100) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, is) in [
            ("250m", 0.25),
            ("1", 1.0),
            ("1.5", 1.5),
            ("128Mi", 134_217_728.0),
            ("1e3", 1000.0),
            ("2k", 2000.0),
            ("500000000n", 0.5),
        ] {
            assert!((parse(&json!(text)).unwrap() - is).abs() < 1e-9, "{text}");
        }
        for wrong in ["", "x", "Mi", "1 Gi", "inf", "NaN"] {
            assert_eq!(parse(&json!(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn percentages_round_up_for_surge_and_down_for_unavailable() {
        assert_eq!(share(&json!("25%"), 3, true), Some(1));
        assert_eq!(share(&json!("25%"), 3, false), Some(0));
        assert_eq!(share(&json!(2), 3, false), Some(2));
    }
}
