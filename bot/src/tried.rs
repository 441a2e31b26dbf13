//! What a door knows of its own earlier tries: whether one may have left a message behind whose answer was lost. Only then is a
//! room searched for it. Forgotten with the process, so that after a crash everything may be there.

use ledger::{CardId, Delivery, Place};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Deliveries that surely left nothing behind when they were last tried, and the claim that tried them.
#[derive(Debug, Default)]
pub struct Tried(Mutex<HashMap<(CardId, Place), i64>>);

impl Tried {
    /// Did an earlier try leave a message behind, as far as anybody knows? (Attempts are counted anew when the card changes; the
    /// claim's token counts every claim.)
    pub fn may_be_there(&self, delivery: &Delivery) -> bool {
        let last = self.clean().get(&(delivery.card, delivery.place.clone())).copied();
        delivery.token > 1 && last.is_none_or(|token| token + 1 != delivery.token)
    }

    /// This try has left nothing behind.
    pub fn left_nothing(&self, delivery: &Delivery) {
        self.clean().insert((delivery.card, delivery.place.clone()), delivery.token);
    }

    /// From now on it may have.
    pub fn begin(&self, delivery: &Delivery) {
        self.clean().remove(&(delivery.card, delivery.place.clone()));
    }

    fn clean(&self) -> MutexGuard<'_, HashMap<(CardId, Place), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::CardSubject;

    #[test]
    fn only_the_claim_right_after_a_clean_one_knows_that_nothing_is_there() {
        let tried = Tried::default();
        let claim = |token| Delivery {
            card: CardId(uuid::Uuid::nil()),
            place: Place("slack:T1:C1".into()),
            only_for: None,
            subject: CardSubject::Said(serde_json::Value::Null),
            key: None,
            reply: None,
            version: 1,
            message: None,
            reposted: false,
            attempts: 0,
            token,
        };
        assert!(!tried.may_be_there(&claim(1)), "never tried before");
        assert!(tried.may_be_there(&claim(2)), "another process tried");
        tried.left_nothing(&claim(2));
        assert!(!tried.may_be_there(&claim(3)));
        assert!(tried.may_be_there(&claim(4)), "another process tried in between");
        tried.begin(&claim(2));
        assert!(tried.may_be_there(&claim(3)));
    }
}
