//! What buttons carry, as platforms give it back.

use crate::mutant::fuzz;
use bot::press::Press;

const PRESSES: &[&str] = &[
    "approve.AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "deny.",
    "details.AAAA",
];

#[test]
fn a_press_is_refused_or_says_the_same_again() {
    let real = Press {
        button: "deny".into(),
        request: "01999999-aaaa-7bbb-8ccc-ddddeeeeffff".parse().unwrap(),
        digest: ledger::Digest([7; 32]),
        wants_reason: true,
        wants_typed: false,
    };
    let text = real.encode();
    assert_eq!(Press::decode(&text), Ok(real));
    let seeds: Vec<&str> = PRESSES.iter().copied().chain([text.as_str()]).collect();
    fuzz!(&seeds, |text: &str| if let Ok(press) = Press::decode(text) {
        assert_eq!(press.encode(), text);
        assert!(text.len() <= 100);
    });
}
