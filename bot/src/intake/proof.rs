//! Who tells it: a bearer token, or a signature over the body. Compared in constant time.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// As GitHub and others sign: `sha256=<hex>`.
const HUB: &str = "x-hub-signature-256";
/// As Grafana signs: `<hex>`; over `<time>:<body>` where it is told to send the time.
const GRAFANA: &str = "x-grafana-alerting-signature";
const GRAFANA_TIME: &str = "x-grafana-alerting-timestamp";

/// Is this `Authorization: Bearer <token>`?
pub fn bears(headers: &HeaderMap, token: &SecretString) -> bool {
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    let sent = sent.and_then(|value| value.split_once(' '));
    let Some((scheme, sent)) = sent else { return false };
    let (sent, known) = (Sha256::digest(sent.trim()), Sha256::digest(token.expose_secret()));
    scheme.eq_ignore_ascii_case("bearer") && bool::from(sent.as_slice().ct_eq(known.as_slice()))
}

/// Is the body signed with this key?
pub fn signs(headers: &HeaderMap, body: &[u8], key: &SecretString) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let hub = text(HUB).and_then(|value| value.strip_prefix("sha256="));
    let Some(claimed) = hub.or_else(|| text(GRAFANA)).and_then(|hex| hex::decode(hex.trim()).ok()) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else { return false };
    if let (None, Some(time)) = (hub, text(GRAFANA_TIME)) {
        mac.update(time.as_bytes());
        mac.update(b":");
    }
    mac.update(body);
    mac.verify_slice(&claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn mac(parts: &[&[u8]]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key-key-key-key-key").unwrap();
        parts.iter().for_each(|part| mac.update(part));
        hex::encode(mac.finalize().into_bytes())
    }

    #[test]
    fn only_the_right_token_is_borne() {
        let token = SecretString::from("0123456789abcdef".to_string());
        assert!(bears(&headers(&[("authorization", "bearer 0123456789abcdef")]), &token));
        for wrong in
            ["Bearer 0123456789abcdeg", "Bearer", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer "]
        {
            assert!(!bears(&headers(&[("authorization", wrong)]), &token), "{wrong}");
        }
        assert!(!bears(&headers(&[]), &token));
    }

    #[test]
    fn a_signature_fits_one_body_and_one_key() {
        let key = SecretString::from("key-key-key-key-key".to_string());
        let hub = format!("sha256={}", mac(&[b"body"]));
        assert!(signs(&headers(&[(HUB, &hub)]), b"body", &key));
        assert!(!signs(&headers(&[(HUB, &hub)]), b"bodY", &key));
        assert!(!signs(&headers(&[(HUB, &hub)]), b"body", &SecretString::from("another".to_string())));
        assert!(signs(&headers(&[(GRAFANA, &mac(&[b"body"]))]), b"body", &key));
        let timed = mac(&[b"17", b":", b"body"]);
        assert!(signs(&headers(&[(GRAFANA, &timed), (GRAFANA_TIME, "17")]), b"body", &key));
        assert!(!signs(&headers(&[(GRAFANA, &timed), (GRAFANA_TIME, "18")]), b"body", &key));
        for wrong in ["", "sha256=", "sha256=zz", "md5=00"] {
            assert!(!signs(&headers(&[(HUB, wrong)]), b"body", &key), "{wrong}");
        }
    }
}
