//! What a button carries: which button of which request's card, and the digest of the plan that the card showed. As a text
//! that fits where platforms keep it (Discord's custom_id: 100 characters; Slack's value and action_id), and that nobody
//! reads: `approve.` and 72 characters of base64url.
//!
//! It is no secret and no proof: whoever forges one has clicked a button that is not there, and the gate decides as always.

use crate::card::{Button, Card};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ledger::{Digest, RequestId};
use sha2::{Digest as _, Sha256};

/// The longest name of a button.
const NAME: usize = 24;
/// Bytes of the mark.
const MARK: usize = 5;
/// Flags, request, digest, five bytes to notice damage by.
const BYTES: usize = 1 + 16 + 32 + MARK;

const WANTS_REASON: u8 = 1;
const WANTS_TYPED: u8 = 2;

/// One button of one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    /// `approve`, `deny`, `cancel`, `details`: lower case letters, digits, dashes.
    pub button: String,
    /// On whose card.
    pub request: RequestId,
    /// Of the plan that the card showed (G3).
    pub digest: Digest,
    /// Ask for a reason before it counts.
    pub wants_reason: bool,
    /// Ask for the cluster's name to be typed before it counts.
    pub wants_typed: bool,
}

/// Why a text is not what a button of ours carries.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this button is damaged, or from another version of Petrel; look at the request and type what you mean"
)]
pub struct NotAPress;

impl Press {
    /// What this button carries; None on a card that is not about a request.
    pub fn of(card: &Card, button: &Button) -> Option<Press> {
        Some(Press {
            button: button.id.clone(),
            request: card.request?,
            digest: card.digest.as_ref()?.parse().ok()?,
            wants_reason: button.wants_reason,
            wants_typed: button.wants_typed.is_some(),
        })
    }

    /// At most 100 characters of `A-Z a-z 0-9 _ . -`.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(u8::from(self.wants_reason) * WANTS_REASON + u8::from(self.wants_typed) * WANTS_TYPED);
        bytes.extend(self.request.0.as_bytes());
        bytes.extend(self.digest.0);
        bytes.extend(mark(&self.button, &bytes));
        format!("{}.{}", self.button, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The other way round; any text may come.
    pub fn decode(text: &str) -> Result<Press, NotAPress> {
        let (button, rest) = text.split_once('.').ok_or(NotAPress)?;
        let is_name = (1..=NAME).contains(&button.len())
            && button.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let bytes = URL_SAFE_NO_PAD.decode(rest).map_err(|_| NotAPress)?;
        let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| NotAPress)?;
        let (said, marked) = bytes.split_at(BYTES - MARK);
        if !is_name || marked != mark(button, said) || said[0] & !(WANTS_REASON | WANTS_TYPED) != 0 {
            return Err(NotAPress);
        }
        let request = uuid::Uuid::from_slice(&said[1..17]).map_err(|_| NotAPress)?;
        let digest = said[17..].try_into().map_err(|_| NotAPress)?;
        Ok(Press {
            button: button.to_string(),
            request: RequestId(request),
            digest: Digest(digest),
            wants_reason: said[0] & WANTS_REASON != 0,
            wants_typed: said[0] & WANTS_TYPED != 0,
        })
    }
}

fn mark(button: &str, bytes: &[u8]) -> [u8; MARK] {
    let hash = Sha256::new().chain_update(button).chain_update(bytes).finalize();
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn press() -> impl Strategy<Value = Press> {
        let parts = ("[a-z][a-z0-9-]{0,23}", any::<u128>(), any::<[u8; 32]>(), any::<bool>(), any::<bool>());
        parts.prop_map(|(button, request, digest, wants_reason, wants_typed)| {
            let (request, digest) = (RequestId(uuid::Uuid::from_u128(request)), Digest(digest));
            Press { button, request, digest, wants_reason, wants_typed }
        })
    }

    proptest! {
        #[test]
        fn what_a_button_carries_comes_back_and_fits_where_platforms_keep_it(press in press()) {
            let text = press.encode();
            prop_assert!(text.len() <= 100, "{} characters", text.len());
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)));
            prop_assert_eq!(Press::decode(&text), Ok(press));
        }

        #[test]
        fn a_damaged_letter_is_noticed(press in press(), at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]") {
            let mut text = press.encode();
            let at = at.index(text.len());
            text.replace_range(at..=at, &letter);
            prop_assume!(text != press.encode());
            prop_assert_eq!(Press::decode(&text), Err(NotAPress));
        }

        #[test]
        fn any_text_is_refused_or_is_one_of_ours(text in "\\PC{0,120}") {
            if let Ok(press) = Press::decode(&text) {
                prop_assert_eq!(press.encode(), text);
            }
        }
    }

    #[test]
    fn a_text_of_another_version_is_refused_in_plain_words() {
        let refused = Press::decode("approve.AAAA").unwrap_err();
        assert!(refused.to_string().contains("type what you mean"));
        assert_eq!(Press::decode(""), Err(NotAPress));
    }
}
