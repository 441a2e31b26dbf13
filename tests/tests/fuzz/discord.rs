//! What Discord posts: interactions, and the signature on them.

use crate::mutant::fuzz;
use bot::discord::{
    interaction::{Sent, What, is_id, read},
    signature::verify,
};
use ed25519_dalek::{Signer, SigningKey};

const INTERACTIONS: &[&str] = &[
    r#"{"type": 1, "version": 1, "application_id": "900", "id": "1"}"#,
    r#"{"id": "1", "application_id": "900", "type": 2, "token": "aW50ZXJhY3Rpb24", "guild_id": "100", "channel_id": "7",
        "member": {"user": {"id": "5"}}, "data": {"id": "9", "name": "petrel", "options": [
        {"name": "command", "type": 3, "value": "scale"}, {"name": "arguments", "type": 4, "value": 6},
        {"name": "x", "type": 1, "options": [{"name": "cluster", "type": 3, "value": "p", "focused": true}]}]}}"#,
    r#"{"id": "1", "type": 3, "token": "t", "channel_id": "7", "user": {"id": "5"},
        "data": {"custom_id": "approve.AAGZmZmqqnu7jMzd3e7u__8HBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHB6rrDDMV", "component_type": 2}}"#,
    r#"{"id": "1", "type": 5, "token": "t", "channel": {"id": "7"}, "user": {"id": 5}, "data": {"custom_id": "deny.x", "components":
        [{"type": 18, "component": {"type": 4, "custom_id": "reason", "value": "no"}}, {"type": 1, "components": [{"type": 4, "custom_id": "typed", "value": "p"}]}]}}"#,
];

const SIGNATURES: &[&str] = &[
    "b3c1e0a85a0f4c6d2b7e9f10a1b2c3d4e5f60718293a4b5c6d7e8f9001122334b3c1e0a85a0f4c6d2b7e9f10a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
    "",
    "zz",
];

#[test]
fn an_interaction_is_refused_or_names_only_what_may_stand_in_a_path() {
    assert!(matches!(read(INTERACTIONS[0].as_bytes()), Ok(Sent::Ping)));
    assert!(INTERACTIONS[1..].iter().all(|text| matches!(read(text.as_bytes()), Ok(Sent::Used(_)))));
    fuzz!(INTERACTIONS, |text: &str| {
        let Ok(Sent::Used(interaction)) = read(text.as_bytes()) else { return };
        let from = &interaction.from;
        assert!(is_id(&interaction.id) && is_id(&from.channel) && is_id(&from.user));
        assert!(from.guild.as_deref().is_none_or(is_id));
        assert!(!interaction.token.is_empty() && !interaction.token.contains(['/', '?', '#', '%', ' ']));
        if let What::Button(Ok(press)) | What::Modal { press: Ok(press), .. } = &interaction.what {
            assert!(press.encode().len() <= 100);
        }
    });
}

#[test]
fn no_signature_but_the_right_one_passes() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let right = hex::encode(key.sign(b"1700000000{}").to_bytes());
    assert!(verify(&key.verifying_key(), &right, "1700000000", b"{}"));
    let seeds: Vec<&str> = SIGNATURES.iter().copied().chain([right.as_str()]).collect();
    fuzz!(&seeds, |text: &str| {
        let passes = verify(&key.verifying_key(), text, "1700000000", b"{}");
        assert_eq!(passes, text.eq_ignore_ascii_case(&right));
    });
}
