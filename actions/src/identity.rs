//! Who is behind an identity.

use crate::policy::{Policy, Who};
use ledger::{Actor, Ledger, LedgerError};

/// The policy file says it; for an identity that is not in there, the link that a person made with `people link`, as long as
/// the file names that person. None: a stranger.
pub async fn who(policy: &Policy, ledger: &Ledger, actor: &Actor) -> Result<Option<Who>, LedgerError> {
    if let Some(who) = policy.who(actor) {
        return Ok(Some(who));
    }
    let person = ledger.person_of(actor).await?;
    Ok(person.and_then(|person| policy.person(&person)))
}
