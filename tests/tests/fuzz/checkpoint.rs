//! Checkpoints, read from files and trusted only for their signature.

use crate::mutant::fuzz;
use ed25519_dalek::{Signer, SigningKey};
use ledger::{Checkpoint, verify_checkpoint};

/// Signed as docs and code say: tag, position, hash, microseconds.
fn signed(key: &SigningKey) -> Checkpoint {
    let (seq, hash, micros) = (42_i64, [7_u8; 32], 1_767_225_600_000_000_i64);
    let message =
        [b"petrel.checkpoint.v1".as_slice(), &seq.to_be_bytes(), &hash, &micros.to_be_bytes()].concat();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let signature = hex(&key.sign(&message).to_bytes());
    let at = "2026-01-01T00:00:00Z".parse().expect("a time");
    Checkpoint { seq, hash: hex(&hash), at, key: hex(key.verifying_key().as_bytes()), signature }
}

#[test]
fn no_changed_checkpoint_passes_for_a_signed_one() {
    let good = signed(&SigningKey::from_bytes(&[1; 32]));
    let other = signed(&SigningKey::from_bytes(&[2; 32]));
    assert!(verify_checkpoint(&good, Some(&good.key)) && verify_checkpoint(&good, None));
    assert!(!verify_checkpoint(&other, Some(&good.key)));
    let texts = [&good, &other].map(|checkpoint| serde_json::to_string_pretty(checkpoint).expect("JSON"));
    fuzz!(&texts.each_ref().map(String::as_str), |text: &str| {
        let Ok(read) = serde_json::from_str::<Checkpoint>(text) else { return };
        if verify_checkpoint(&read, Some(&good.key)) {
            // Hex may be written in capitals; microseconds are signed and what is finer is not.
            assert_eq!((read.seq, read.hash.to_ascii_lowercase()), (good.seq, good.hash.clone()), "{text}");
            assert_eq!(read.at.as_microsecond(), good.at.as_microsecond(), "{text}");
        }
        assert!(!verify_checkpoint(&read, Some("")) && !verify_checkpoint(&read, Some(text)));
    });
}
