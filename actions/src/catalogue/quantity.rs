//! Kubernetes quantities (`250m`, `1.5`, `128Mi`, `1e3`), exact to a billionth.
//! Source: k8s.io/apimachinery/pkg/api/resource/quantity.go, grammar in the type's documentation.

use std::{fmt, str::FromStr};

const NANO: i128 = 1_000_000_000;

/// An amount in billionths of its unit (cores, bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a quantity; write 250m, 1.5, 128Mi or 2G")]
pub struct NotAQuantity(String);

impl FromStr for Quantity {
    type Err = NotAQuantity;
    fn from_str(text: &str) -> Result<Quantity, NotAQuantity> {
        parse(text)
            .map(Quantity)
            .ok_or_else(|| NotAQuantity(text.chars().take(40).flat_map(char::escape_debug).collect()))
    }
}

fn parse(text: &str) -> Option<i128> {
    if text.len() > 40 {
        return None;
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let digits_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(digits_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // numerator / denominator, in units
    let (mut up, mut down): (i128, i128) = match suffix {
        "" => (NANO, 1),
        "n" => (1, 1),
        "u" => (1_000, 1),
        "m" => (1_000_000, 1),
        "k" => (NANO * 1_000, 1),
        "M" => (NANO * 1_000_000, 1),
        "G" => (NANO * NANO, 1),
        "T" => (NANO * 1_000_000_000_000, 1),
        "P" => (NANO * 1_000_000_000_000_000, 1),
        "E" => (NANO * 1_000_000_000_000_000_000, 1),
        "Ki" => (NANO << 10, 1),
        "Mi" => (NANO << 20, 1),
        "Gi" => (NANO << 30, 1),
        "Ti" => (NANO << 40, 1),
        "Pi" => (NANO << 50, 1),
        "Ei" => (NANO << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10i128.checked_pow(power.unsigned_abs().min(18))?;
            if power >= 0 { (NANO * factor, 1) } else { (NANO, factor) }
        }
    };
    for _ in fraction.bytes() {
        down = down.checked_mul(10)?;
    }
    let digits = format!("{whole}{fraction}");
    let value: i128 = digits.parse().ok()?;
    // Shared powers of ten first, so that what fits does not overflow on the way.
    while down % 10 == 0 && up % 10 == 0 {
        (up, down) = (up / 10, down / 10);
    }
    let product = value.checked_mul(up)?;
    // Below a billionth it rounds away from zero, as the API server does.
    let rounded = product / down + i128::from(product % down != 0);
    (rounded <= i128::from(i64::MAX) * NANO).then_some(sign * rounded)
}

impl Quantity {
    /// Thousandths, rounded up: millicores.
    pub fn millis(self) -> i128 {
        div_up(self.0, 1_000_000)
    }
    /// Whole units, rounded up: bytes.
    pub fn units(self) -> i128 {
        div_up(self.0, NANO)
    }
    /// Below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
    /// Has a part that is smaller than one unit (half a byte).
    pub fn is_fractional(self) -> bool {
        self.0 % NANO != 0
    }
    /// `250m`, as `kubectl top` shows cores.
    pub fn cores(self) -> String {
        format!("{}m", self.millis())
    }
    /// `128Mi`, as `kubectl top` shows bytes.
    pub fn mebibytes(self) -> String {
        format!("{}Mi", self.units() >> 20)
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(items: I) -> Quantity {
        items.fold(Quantity::default(), |sum, item| sum + item)
    }
}

/// The plain decimal number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.unsigned_abs() / NANO as u128, self.0.unsigned_abs() % NANO as u128);
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{}", format!("{rest:09}").trim_end_matches('0'))
        }
    }
}

fn div_up(value: i128, by: i128) -> i128 {
    value / by + i128::from(value % by > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> i128 {
        text.parse::<Quantity>().unwrap().millis()
    }

    #[test]
    fn quantities_mean_what_kubernetes_means() {
        assert_eq!(millis("250m"), 250);
        assert_eq!(millis("0.25"), 250);
        assert_eq!(millis(".5"), 500);
        assert_eq!(millis("1."), 1000);
        assert_eq!(millis("2e3"), 2_000_000);
        assert_eq!(millis("1500E-3"), 1500);
        assert_eq!(millis("123456789n"), 124, "rounds up");
        assert_eq!("128Mi".parse::<Quantity>().unwrap().units(), 128 << 20);
        assert_eq!("1.5Gi".parse::<Quantity>().unwrap().units(), 3 << 29);
        assert_eq!("1G".parse::<Quantity>().unwrap().units(), 1_000_000_000);
        assert_eq!("1E".parse::<Quantity>().unwrap().units(), 1_000_000_000_000_000_000, "E alone is exa");
        assert!("1Gi".parse::<Quantity>().unwrap() > "1G".parse::<Quantity>().unwrap());
        assert_eq!("100000Ki".parse::<Quantity>().unwrap().mebibytes(), "97Mi");
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "1 Gi",
            "1gi",
            "Mi",
            "1.2.3",
            "0x10",
            "1e",
            "9999999E",
            "1MiB",
            "١",
            "1e99999999999",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn what_is_written_reads_back(nano in -1_000_000_000_000_000_000_000i128..1_000_000_000_000_000_000_000) {
            let quantity = Quantity(nano);
            prop_assert_eq!(quantity.to_string().parse::<Quantity>(), Ok(quantity));
        }
    }
}
