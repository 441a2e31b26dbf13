//! Which trouble an event belongs to.

use crate::language::ast::Origin;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Two events with the same fingerprint tell of the same trouble: the alert sent again, sent by another replica of
/// Alertmanager, grown worse, or resolved.
///
/// It is the first 16 bytes of SHA-256 over `petrel.event.v1`, the origin's word, the event's name, the cluster's name, and
/// then name and value of each identifying pair in the order of names; each preceded by its length as 8 bytes, the
/// most significant first. Identifying are
/// - of an alert: all labels, without those in [`Fingerprint::PASSING`];
/// - of a CloudEvent: `source`, `subject`, and the labels that name its [`Subject`](super::Subject).
///
/// What changes while the same trouble goes on (severity, annotations, values, times) is not in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Labels that do not tell one trouble from another: the name (it is in anyway), how bad it is just now, and which
    /// replica of Prometheus saw it.
    pub const PASSING: [&'static str; 6] =
        ["alertname", "severity", "prometheus", "prometheus_replica", "replica", "__replica__"];

    /// As the type says. The pairs may come in any order.
    pub fn new<'a>(
        origin: Origin,
        name: &str,
        cluster: Option<&str>,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Fingerprint {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        part("petrel.event.v1");
        part(origin.word());
        part(name);
        part(cluster.unwrap_or_default());
        for (name, value) in pairs {
            part(name);
            part(value);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Fingerprint(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Fingerprint, String> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| "a fingerprint has 32 hexadecimal digits".to_string())?;
        Ok(Fingerprint(bytes))
    }
}
