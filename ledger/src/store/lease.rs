//! Leases for what must be alone: the sealer, the checkpoint writer, later the Discord gateway and watchers.

use crate::*;
use std::time::Duration;

/// A held lease; its epoch grows with every change of holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What for: `sealer`.
    pub name: String,
    /// Who.
    pub holder: String,
    /// Fencing token.
    pub epoch: i64,
}

impl Ledger {
    /// Takes the lease if it is free, run out or already ours (then it is renewed with the same epoch).
    pub async fn take_lease(&self, _name: &str, _holder: &str, _lasts: Duration) -> Result<Option<Lease>, LedgerError> {
        todo!()
    }

    /// Gives it back early; nothing happens if it was lost.
    pub async fn give_lease(&self, _lease: &Lease) -> Result<(), LedgerError> {
        todo!()
    }
}
