//! Is a request from Slack? HMAC-SHA256 over `v0:<timestamp>:<raw body>`, in constant time, no older or newer than 300 s
//! (<https://docs.slack.dev/authentication/verifying-requests-from-slack>).
//!
//! slack-morphism's verifier wants the body as text and reads the clock itself; this one takes the bytes as they came and the
//! time as a parameter.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `X-Slack-Signature`.
pub const SIGNATURE: &str = "x-slack-signature";
/// `X-Slack-Request-Timestamp`.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
/// Seconds that a request may be old, or ahead of our clock.
pub const WINDOW: u64 = 300;

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSlack {
    /// A header is missing or is no text of the right form.
    #[error("the headers x-slack-signature and x-slack-request-timestamp are missing or malformed")]
    Malformed,
    /// Somebody else signed it, or it was changed on its way.
    #[error("the signature does not fit; is signing_secret the one of this app?")]
    Wrong,
    /// A replay, or a clock that is off.
    #[error("the request is more than {WINDOW} s old or ahead; is this machine's clock right?")]
    OutOfTime,
}

/// Checks one request. `now` in Unix seconds.
pub fn verify(
    secret: &[u8],
    signature: Option<&[u8]>,
    timestamp: Option<&[u8]>,
    body: &[u8],
    now: i64,
) -> Result<(), NotSlack> {
    let (Some(signature), Some(timestamp)) = (signature, timestamp) else { return Err(NotSlack::Malformed) };
    let claimed = signature.strip_prefix(b"v0=").ok_or(NotSlack::Malformed)?;
    let claimed = hex::decode(claimed).map_err(|_| NotSlack::Malformed)?;
    let is_number =
        !timestamp.is_empty() && timestamp.len() <= 12 && timestamp.iter().all(u8::is_ascii_digit);
    let sent: i64 = str::from_utf8(timestamp)
        .ok()
        .filter(|_| is_number)
        .and_then(|text| text.parse().ok())
        .ok_or(NotSlack::Malformed)?;
    mac(secret, timestamp, body).verify_slice(&claimed).map_err(|_| NotSlack::Wrong)?;
    if now.abs_diff(sent) > WINDOW {
        return Err(NotSlack::OutOfTime);
    }
    Ok(())
}

/// The header that belongs to a body; for tests and for those who play Slack.
pub fn sign(secret: &[u8], timestamp: &str, body: &[u8]) -> String {
    format!("v0={}", hex::encode(mac(secret, timestamp.as_bytes(), body).finalize().into_bytes()))
}

fn mac(secret: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length");
    for part in [b"v0:", timestamp, b":", body] {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of Slack's own page.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &[u8] = b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const SENT: i64 = 1_531_420_618;

    fn at(now: i64) -> Result<(), NotSlack> {
        verify(SECRET, Some(SIGNED), Some(b"1531420618"), BODY, now)
    }

    #[test]
    fn slacks_own_example_passes_within_its_window_and_not_outside() {
        assert_eq!(sign(SECRET, "1531420618", BODY).as_bytes(), SIGNED);
        for now in [SENT - 300, SENT, SENT + 300] {
            assert_eq!(at(now), Ok(()));
        }
        for now in [SENT - 301, SENT + 301, i64::MIN, i64::MAX] {
            assert_eq!(at(now), Err(NotSlack::OutOfTime));
        }
    }

    #[test]
    fn another_secret_body_or_time_is_refused() {
        assert_eq!(verify(b"x", Some(SIGNED), Some(b"1531420618"), BODY, SENT), Err(NotSlack::Wrong));
        assert_eq!(verify(SECRET, Some(SIGNED), Some(b"1531420619"), BODY, SENT), Err(NotSlack::Wrong));
        assert_eq!(verify(SECRET, Some(SIGNED), Some(b"1531420618"), b"", SENT), Err(NotSlack::Wrong));
        assert_eq!(
            verify(SECRET, Some(&SIGNED[..40]), Some(b"1531420618"), BODY, SENT),
            Err(NotSlack::Malformed)
        );
        assert_eq!(
            verify(SECRET, Some(&SIGNED[..41]), Some(b"1531420618"), BODY, SENT),
            Err(NotSlack::Wrong)
        );
    }

    #[test]
    fn missing_and_malformed_headers_are_refused() {
        for signature in [None, Some(&b""[..]), Some(b"v0="), Some(b"v1=00"), Some(b"v0=zz"), Some(b"\xff")] {
            let refused = verify(SECRET, signature, Some(b"1531420618"), BODY, SENT);
            assert!(matches!(refused, Err(NotSlack::Malformed | NotSlack::Wrong)), "{signature:?}");
        }
        for time in [
            None,
            Some(&b""[..]),
            Some(b"-1"),
            Some(b"+1531420618"),
            Some(b"1e9"),
            Some(b"9999999999999999999"),
        ] {
            assert_eq!(verify(SECRET, Some(SIGNED), time, BODY, SENT), Err(NotSlack::Malformed), "{time:?}");
        }
    }

    proptest! {
        #[test]
        fn only_what_was_signed_passes(secret in any::<Vec<u8>>(), body in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), now in 0..1i64 << 38) {
            let time = now.to_string();
            let signed = sign(&secret, &time, &body);
            prop_assert_eq!(verify(&secret, Some(signed.as_bytes()), Some(time.as_bytes()), &body, now), Ok(()));
            let mut other = signed.clone().into_bytes();
            let at = 3 + at.index(other.len() - 3);
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            prop_assert_eq!(verify(&secret, Some(&other), Some(time.as_bytes()), &body, now), Err(NotSlack::Wrong));
        }
    }
}
