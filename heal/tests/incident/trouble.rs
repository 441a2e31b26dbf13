//! One fingerprint: messages twice, late, in the wrong order, and coming and going.

use super::*;
use heal::incident::{Change, Damping};
use proptest::{collection::vec, prelude::*};

/// What a series of messages changes, each heard at its second.
fn heard(messages: &[(i64, Event)]) -> (Trouble, Vec<Change>) {
    let ((now, first), rest) = messages.split_first().unwrap();
    let (mut trouble, change) = Trouble::first(first, at(*now));
    let mut changes = vec![change];
    for (now, event) in rest {
        let (next, change) = trouble.hear(event, at(*now), &Damping::default());
        trouble = next;
        changes.push(change);
    }
    (trouble, changes)
}

#[test]
fn an_alert_that_is_sent_again_is_the_same_trouble() {
    use Change::{Again, Began, Over, Stale, Worse};
    let (trouble, changes) = heard(&[
        (10, firing("A", "x", 0)),
        (70, firing("A", "x", 0)),
        (130, severe(firing("A", "x", 0), 5)),
        (190, severe(firing("A", "x", 0), 4)),
        (250, resolved("A", "x", 0, 240)),
        (310, resolved("A", "x", 0, 240)),
    ]);
    assert_eq!(changes, [Began, Again, Worse, Again, Over, Stale]);
    assert_eq!((trouble.told, trouble.severity.number(), trouble.since), (6, 5, at(0)));
    assert!(!trouble.goes_on());
    stored(&trouble);
}

#[test]
fn a_late_copy_of_what_is_over_does_not_begin_it_anew() {
    use Change::{Began, Over, Stale};
    let (trouble, changes) = heard(&[
        (10, firing("A", "x", 0)),
        (100, resolved("A", "x", 0, 90)),
        (110, firing("A", "x", 0)),
        (500, firing("A", "x", 480)),
        (510, resolved("A", "x", 0, 90)),
    ]);
    assert_eq!(changes, [Began, Over, Stale, Began, Stale]);
    assert!(trouble.goes_on(), "the second episode goes on");
}

#[test]
fn a_trouble_first_heard_of_when_it_is_over_is_no_news() {
    let (trouble, changes) = heard(&[(100, resolved("A", "x", 0, 90))]);
    assert_eq!(changes, [Change::Stale]);
    assert!(!trouble.goes_on());
}

#[test]
fn what_comes_and_goes_is_held_until_it_is_calm() {
    let minutes = |n: i64| n * 60;
    let mut messages = Vec::new();
    for round in 0..4 {
        let since = minutes(4 * round);
        messages.push((since, firing("A", "x", since)));
        messages.push((since + 60, resolved("A", "x", since, since + 50)));
    }
    let (trouble, changes) = heard(&messages);
    use Change::{Again, Began, Flaps, Over};
    assert_eq!(changes, [Began, Over, Began, Over, Began, Flaps, Again, Again]);
    assert!(!trouble.firing && trouble.goes_on(), "it is not believed to be over");
    let last = minutes(12) + 60;
    let (trouble, change) = trouble.settle(at(last + minutes(15) - 1), &Damping::default());
    assert_eq!(change, None);
    let (trouble, change) = trouble.settle(at(last + minutes(15)), &Damping::default());
    assert_eq!((change, trouble.goes_on()), (Some(Over), false));
    let (_, change) = trouble.hear(&firing("A", "x", minutes(60)), at(minutes(60)), &Damping::default());
    assert_eq!(change, Began);
}

#[test]
fn slow_changes_are_no_flapping() {
    let hour = 3600;
    let messages: Vec<_> = (0..20)
        .flat_map(|n| {
            [
                (n * hour, firing("A", "x", n * hour)),
                (n * hour + 600, resolved("A", "x", n * hour, n * hour + 500)),
            ]
        })
        .collect();
    assert!(!heard(&messages).1.contains(&Change::Flaps));
}

proptest! {
    #[test]
    fn beginning_and_end_alternate_whatever_is_told(
        steps in vec((0_i64..600, any::<bool>(), 0_i64..900), 1..60)
    ) {
        let mut now = 0;
        let mut state: Option<Trouble> = None;
        let mut goes_on = false;
        for (later, fires, age) in steps {
            now += later;
            let event = if fires { firing("A", "x", now - age) } else { resolved("A", "x", now - age, now) };
            let (trouble, change) = match state.take() {
                None => Trouble::first(&event, at(now)),
                Some(trouble) => {
                    let (trouble, settled) = trouble.settle(at(now), &Damping::default());
                    if settled == Some(Change::Over) {
                        goes_on = false;
                    }
                    trouble.hear(&event, at(now), &Damping::default())
                }
            };
            match change {
                Change::Began => prop_assert!(!std::mem::replace(&mut goes_on, true)),
                Change::Over => prop_assert!(std::mem::replace(&mut goes_on, false)),
                Change::Worse | Change::Again | Change::Flaps => prop_assert!(goes_on),
                Change::Stale => {}
            }
            prop_assert_eq!(trouble.goes_on(), goes_on);
            prop_assert!(trouble.turns.len() <= 64);
            stored(&trouble);
            state = Some(trouble);
        }
    }
}
