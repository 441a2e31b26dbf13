//! The small words that come in from doors: actors, places, digests, ids.

use crate::mutant::fuzz;
use ledger::{Actor, Digest, Place, RequestId};

const WORDS: &[&str] = &[
    "console:ann",
    "slack:T1:U2",
    "discord:80351110224678912:82198898841029460",
    "console:ops",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "0199c0de-7abc-7def-8123-456789abcdef",
];

#[test]
fn words_read_back_as_they_were_written() {
    fuzz!(WORDS, |text: &str| {
        let json = serde_json::to_string(text).expect("a string");
        let actor = text.parse::<Actor>().ok();
        assert_eq!(serde_json::from_str::<Actor>(&json).ok(), actor, "another door reads it otherwise");
        if let Some(actor) = actor {
            assert_eq!(actor.to_string(), text);
            assert!(text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
            assert!(!actor.kind().is_empty());
        }
        let digest = text.parse::<Digest>().ok();
        assert_eq!(serde_json::from_str::<Digest>(&json).ok(), digest);
        if let Some(digest) = digest {
            assert_eq!(digest.to_string(), text.to_ascii_lowercase());
        }
        if let Ok(id) = text.parse::<RequestId>() {
            assert_eq!(id.to_string().parse::<RequestId>().ok(), Some(id));
            assert_eq!(id.short().len(), 8);
        }
        let place: Place = serde_json::from_str(&json).expect("any text is a place");
        let parts = format!("{}:{}", place.platform(), place.room());
        assert_eq!(parts.strip_suffix(if text.contains(':') { "" } else { ":" }), Some(text));
    });
}
