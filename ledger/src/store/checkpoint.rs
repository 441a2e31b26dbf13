//! Checkpoints: a signed head of the chain, to be kept where the database's administrators cannot reach. Against one, a
//! cut tail or a chain that was rebuilt as a whole shows.

use super::time::micros;
use crate::*;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A signed head of the chain, to be kept outside the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last sealed position.
    pub seq: i64,
    /// Hex of the chain hash there.
    pub hash: String,
    /// When it was made.
    pub at: Timestamp,
    /// Hex of the Ed25519 public key.
    pub key: String,
    /// Hex of the Ed25519 signature over the canonical encoding of seq, hash and at.
    pub signature: String,
}

const TAG: &[u8] = b"petrel.checkpoint.v1";

/// Fixed widths throughout, so that no two checkpoints encode alike. None: the hash is not 32 bytes in hex.
fn encode(seq: i64, hash: &str, at: Timestamp) -> Option<Vec<u8>> {
    let hash: [u8; 32] = hex::decode(hash).ok()?.try_into().ok()?;
    Some([TAG, &seq.to_be_bytes(), &hash, &micros(at).to_be_bytes()].concat())
}

/// Whether the checkpoint is signed by `trusted_key` (hex). Without one the key that it carries itself is believed,
/// which shows damage but not forgery.
pub fn verify_checkpoint(checkpoint: &Checkpoint, trusted_key: Option<&str>) -> bool {
    let check = || {
        let carried = hex::decode(&checkpoint.key).ok()?;
        if trusted_key.is_some_and(|trusted| hex::decode(trusted.trim()).ok().as_ref() != Some(&carried)) {
            return None;
        }
        let key = VerifyingKey::from_bytes(carried.as_slice().try_into().ok()?).ok()?;
        let signature = Signature::from_slice(&hex::decode(&checkpoint.signature).ok()?).ok()?;
        let message = encode(checkpoint.seq, &checkpoint.hash, checkpoint.at)?;
        key.verify_strict(&message, &signature).ok()
    };
    check().is_some()
}

impl Ledger {
    /// The head, signed. None while nothing is sealed.
    pub async fn checkpoint(
        &self,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<Option<Checkpoint>, LedgerError> {
        let Some(Head { seq, hash }) = self.head().await? else { return Ok(None) };
        let corrupt = |why: &str| LedgerError::Corrupt { what: "sign a checkpoint", why: why.into() };
        let message = encode(seq, &hash, now).ok_or_else(|| corrupt("a hash is not 32 bytes long"))?;
        let at = Timestamp::from_microsecond(micros(now)).map_err(|_| corrupt("the time is out of range"))?;
        Ok(Some(Checkpoint {
            seq,
            hash,
            at,
            key: hex::encode(key.verifying_key().as_bytes()),
            signature: hex::encode(key.sign(&message).to_bytes()),
        }))
    }
}
