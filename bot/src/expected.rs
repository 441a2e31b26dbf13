//! What autoscalers may ask of a forecast, whichever way they ask.

use jiff::SignedDuration;
use std::time::Duration;

/// Which number is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// `qps` unless said otherwise.
    pub metric: String,
    /// How far ahead; 10 minutes unless said otherwise: as long as new pods take until they answer.
    pub ahead: Duration,
    /// The share of cases that the number covers, 0.9 unless said otherwise.
    pub quantile: f64,
}

impl Wanted {
    /// What a quantile may be.
    pub const QUANTILE: &str = "quantile is a share from 0.5 to 0.999";

    /// The error says what may be asked.
    pub fn new(
        metric: Option<&str>,
        ahead: Option<&str>,
        quantile: Option<f64>,
    ) -> Result<Wanted, &'static str> {
        let ahead = ahead.unwrap_or("10m").parse::<SignedDuration>().ok();
        let ahead = ahead.and_then(|ahead| Duration::try_from(ahead).ok());
        let within = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
        let ahead = ahead.filter(|ahead| within.contains(ahead)).ok_or("ahead is a time from 1m to 24h")?;
        let quantile = quantile.unwrap_or(0.9);
        if !(0.5..=0.999).contains(&quantile) {
            return Err(Wanted::QUANTILE);
        }
        Ok(Wanted { metric: metric.unwrap_or("qps").to_string(), ahead, quantile })
    }
}
