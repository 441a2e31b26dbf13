//! `[watch]`: when a proposal that was acted upon is to be put back.

use super::file::duration;
use forecast::capacity::watch::Bounds;
use jiff::SignedDuration;
use serde::Deserialize;
use std::time::Duration;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    error: Option<f64>,
    short: Option<f64>,
    after: Option<SignedDuration>,
}

impl Raw {
    pub(super) fn resolve(self) -> Result<Bounds, String> {
        let usual = Bounds::default();
        let share = |name: &str, given: Option<f64>, usual: f64| match given {
            None => Ok(usual),
            Some(share) if share > 0.0 && share <= 10.0 => Ok(share),
            Some(share) => Err(format!(
                "[watch] {name} = {share} must be a share above 0 and up to 10; write 0.3 for 30 %"
            )),
        };
        Ok(Bounds {
            error: share("error", self.error, usual.error)?,
            short: share("short", self.short, usual.short)?,
            after: duration("[watch] after", self.after, usual.after, Duration::from_secs(1))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_shares() {
        let read = |text: &str| toml::from_str::<Raw>(text).unwrap().resolve();
        assert_eq!(read("").unwrap(), Bounds::default());
        assert_eq!(read("error = 0.5\nafter = '1h'").unwrap().after, Duration::from_secs(3600));
        assert!(read("error = 30.0").unwrap_err().contains("write 0.3 for 30 %"));
    }
}
