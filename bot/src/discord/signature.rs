//! Discord's signature on what it sends by HTTP: Ed25519 over the time stamp's text and the raw body.

use ed25519_dalek::{Signature, VerifyingKey};

/// Is this Discord's? Any text may come for `signature` and `timestamp`; a body that is read again and written anew does not fit.
pub fn verify(key: &VerifyingKey, signature: &str, timestamp: &str, body: &[u8]) -> bool {
    let Some(signature) = hex::decode(signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok())
    else {
        return false;
    };
    let mut signed = Vec::with_capacity(timestamp.len() + body.len());
    signed.extend_from_slice(timestamp.as_bytes());
    signed.extend_from_slice(body);
    // Strict: no second signature fits the same body, and no weak key is taken.
    key.verify_strict(&signed, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    #[test]
    fn only_the_very_bytes_that_were_signed_pass() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = hex::encode(key.sign(b"1700000000{\"type\":1}").to_bytes());
        let check = |signature: &str, timestamp, body: &[u8]| {
            verify(&key.verifying_key(), signature, timestamp, body)
        };
        assert!(check(&signature, "1700000000", b"{\"type\":1}"));
        assert!(!check(&signature, "1700000001", b"{\"type\":1}"));
        assert!(!check(&signature, "1700000000", b"{\"type\": 1}"));
        assert!(!check(&signature[..126], "1700000000", b"{\"type\":1}"));
        for junk in ["", "zz", "é", &"00".repeat(64)] {
            assert!(!check(junk, "1700000000", b"{\"type\":1}"));
        }
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(!verify(&other, &signature, "1700000000", b"{\"type\":1}"));
    }
}
