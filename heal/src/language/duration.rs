//! Durations as people write them: `30m`, `1h30m`, `500ms`.

use std::time::Duration;

/// Units from large to small, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Ten years; longer is a slip.
const LONGEST_MS: u64 = 3650 * 86_400_000;

/// The canonical form: `90m` becomes `1h30m`.
pub fn show(duration: Duration) -> String {
    let mut rest = duration.as_millis().min(u128::from(u64::MAX)) as u64;
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Each unit at most once, from large to small. The error says what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let Some(known) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(if unit.is_empty() {
                format!("`{number}` has no unit; write `{number}m`, or ms, s, h or d")
            } else {
                format!("`{unit}` is not a unit of time; write ms, s, m, h or d")
            });
        };
        let Some(place) = units.iter().position(|unit| unit == known) else {
            return Err("each unit stands once, the larger one first: `1h30m`".into());
        };
        units = &units[place + 1..];
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(known.1))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST_MS)
            .ok_or("that is longer than ten years")?;
        rest = behind;
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_and_shown_in_one_form() {
        for (typed, canonical) in [
            ("30m", "30m"),
            ("1h30m", "1h30m"),
            ("90m", "1h30m"),
            ("0m", "0s"),
            ("1d12h", "1d12h"),
            ("1500ms", "1s500ms"),
        ] {
            assert_eq!(show(parse(typed).unwrap()), canonical, "{typed}");
        }
    }

    #[test]
    fn a_wrong_duration_says_why() {
        assert_eq!(parse("30x").unwrap_err(), "`x` is not a unit of time; write ms, s, m, h or d");
        assert_eq!(parse("1h30").unwrap_err(), "`30` has no unit; write `30m`, or ms, s, h or d");
        for wrong in ["30m1h", "1h1h"] {
            assert_eq!(parse(wrong).unwrap_err(), "each unit stands once, the larger one first: `1h30m`");
        }
        assert_eq!(parse("99999999999999999999d").unwrap_err(), "that is longer than ten years");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(ms in 0..=LONGEST_MS) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }
    }
}
