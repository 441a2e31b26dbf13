//! An incident from its first event to its end.

use super::*;
use heal::incident::{Change, Damping, End, HealingResult, Refusal};
use proptest::{collection::vec, prelude::*};

/// The incident when the trouble has ended.
fn over(incident: Incident, trouble: &Trouble, ended: i64) -> Incident {
    let event = resolved(&trouble.name, "checkout", 0, ended);
    let (trouble, change) = trouble.clone().hear(&event, at(ended), &Damping::default());
    assert_eq!(change, Change::Over);
    let (_, incident) =
        file(trouble, change, Some(incident), Group::of(&event), IncidentId(id(99)), at(ended));
    incident.unwrap()
}

/// The incident with one more trouble.
fn joined(incident: Incident, event: &Event, now: i64) -> (Incident, Trouble) {
    let (trouble, change) = Trouble::first(event, at(now));
    let (trouble, incident) =
        file(trouble, change, Some(incident), Group::of(event), IncidentId(id(99)), at(now));
    (incident.unwrap(), trouble)
}

#[test]
fn troubles_of_one_workload_are_one_incident_and_others_are_not() {
    let mut pod = firing("A", "checkout", 0);
    pod.subject.pod = Some("checkout-0".into());
    assert_eq!(Group::of(&pod), Group::of(&firing("B", "checkout", 5)));
    assert_ne!(Group::of(&pod), Group::of(&firing("A", "cart", 0)));
    assert_eq!(Group::of(&pod).to_string(), "prod-eu: shop/Deployment checkout");
    let node = crate::rules::alert("KubeNodeNotReady", &[("node", "worker-7")]);
    assert_eq!(Group::of(&node).to_string(), "prod-eu: Node worker-7");
    let lone = crate::rules::alert("Odd", &[("namespace", "shop"), ("pod", "x-1"), ("node", "worker-7")]);
    assert_eq!(Group::of(&lone).to_string(), "prod-eu: shop/Odd");
    stored(&Group::of(&pod));
}

#[test]
fn an_incident_ends_with_its_last_trouble() {
    let (incident, first) = open(&severe(firing("A", "checkout", 0), 3), 10);
    let (incident, second) = joined(incident, &severe(firing("B", "checkout", 20), 5), 30);
    assert_eq!((incident.severity.number(), incident.troubles, incident.going_on), (5, 2, 2));
    assert_eq!(incident.names.iter().collect::<Vec<_>>(), ["A", "B"]);
    let incident = over(incident, &first, 100);
    assert_eq!(incident.end, None);
    let incident = over(incident, &second, 200);
    assert_eq!(incident.end, Some(End::Itself));
    assert_eq!(
        (incident.times.began, incident.times.detected, incident.times.recovered),
        (at(0), at(10), Some(at(200)))
    );
    stored(&incident);
    assert_eq!(incident.clone().take("ann", at(300)).unwrap_err(), Refusal::Ended);
    let (next, _) = joined(incident, &firing("B", "checkout", 400), 400);
    assert_eq!((next.id, next.end), (IncidentId(id(99)), None), "what comes back later is another incident");
}

#[test]
fn a_trouble_whose_incident_has_ended_or_is_another_changes_no_other() {
    let (incident, first) = open(&firing("A", "checkout", 0), 10);
    let (_, stranger) = joined(open(&firing("C", "checkout", 0), 0).0, &firing("B", "checkout", 0), 0);
    let stranger = Trouble { incident: Some(IncidentId(id(5))), ..stranger };
    for change in [Change::Again, Change::Worse, Change::Over, Change::Flaps, Change::Stale] {
        let (_, changed) = file(
            stranger.clone(),
            change,
            Some(incident.clone()),
            group("checkout"),
            IncidentId(id(9)),
            at(20),
        );
        assert_eq!(changed, None, "{change:?}");
    }
    let ended = over(incident, &first, 50);
    let (_, changed) = file(first, Change::Over, Some(ended), group("checkout"), IncidentId(id(9)), at(60));
    assert_eq!(changed, None);
}

#[test]
fn it_was_healed_when_a_healing_was_verified() {
    let (incident, trouble) = open(&firing("A", "checkout", 0), 10);
    let incident = incident.proposed("r", id(7), at(11)).unwrap();
    let incident = incident.approved(id(7), at(20)).unwrap().acted(id(7), at(21)).unwrap();
    let incident = over(incident, &trouble, 60);
    assert_eq!(incident.end, None, "whether that was the healing is still being verified");
    let incident = incident.concluded(id(7), HealingResult::Effective, at(90)).unwrap();
    assert_eq!(incident.end, Some(End::Healed { request: id(7) }));
    let times = incident.times;
    assert_eq!(
        (times.proposed, times.approved, times.acted, times.recovered),
        (Some(at(11)), Some(at(20)), Some(at(21)), Some(at(90)))
    );
    stored(&incident);
}

#[test]
fn a_healing_that_was_denied_or_did_not_help_has_not_healed() {
    for (results, end) in [
        (vec![HealingResult::NotDone], End::Itself),
        (vec![HealingResult::Ineffective], End::Itself),
        (vec![HealingResult::Effective, HealingResult::Ineffective], End::Itself),
        (
            vec![HealingResult::Ineffective, HealingResult::Effective, HealingResult::NotDone],
            End::Healed { request: id(1) },
        ),
    ] {
        let (mut incident, trouble) = open(&firing("A", "checkout", 0), 10);
        for (number, result) in results.into_iter().enumerate() {
            let request = id(number as u128);
            incident =
                incident.proposed("r", request, at(20)).unwrap().concluded(request, result, at(30)).unwrap();
        }
        assert_eq!(over(incident, &trouble, 60).end, Some(end));
    }
}

#[test]
fn who_takes_it_over_has_it_until_it_is_given_back() {
    let (incident, trouble) = open(&firing("A", "checkout", 0), 10);
    let incident = incident.take("ann", at(20)).unwrap();
    let refused = incident.clone().take("bob", at(21)).unwrap_err();
    assert_eq!(refused.to_string(), "ann has taken it over already");
    let free = incident.clone().give_back().unwrap();
    assert_eq!(free.clone().give_back().unwrap_err(), Refusal::NotTaken);
    assert_eq!(over(incident, &trouble, 60).end, Some(End::TakenOver { by: "ann".into() }));
    assert_eq!(
        over(free.escalate("#oncall").unwrap(), &trouble, 60).end,
        Some(End::Escalated { to: "#oncall".into() })
    );
}

#[test]
fn a_result_that_nobody_waits_for_is_refused() {
    let (incident, _) = open(&firing("A", "checkout", 0), 10);
    let incident = incident.proposed("r", id(7), at(20)).unwrap();
    let late = |incident: Incident, request| incident.concluded(request, HealingResult::Effective, at(30));
    assert_eq!(late(incident.clone(), id(8)).unwrap_err(), Refusal::NoHealing);
    let incident = late(incident, id(7)).unwrap();
    assert_eq!(late(incident, id(7)).unwrap_err(), Refusal::NoHealing);
}

#[derive(Clone, Debug)]
enum Move {
    Fire(u8),
    Resolve(u8),
    Take,
    GiveBack,
    Propose,
    Conclude(u8, HealingResult),
    Escalate,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let result = prop_oneof![
        Just(HealingResult::Effective),
        Just(HealingResult::Ineffective),
        Just(HealingResult::NotDone)
    ];
    vec(
        prop_oneof![
            (0_u8..3).prop_map(Move::Fire),
            (0_u8..3).prop_map(Move::Resolve),
            Just(Move::Take),
            Just(Move::GiveBack),
            Just(Move::Propose),
            (0_u8..4, result).prop_map(|(request, result)| Move::Conclude(request, result)),
            Just(Move::Escalate),
        ],
        0..40,
    )
}

proptest! {
    #[test]
    fn it_ends_exactly_when_nothing_goes_on_and_then_never_changes(moves in moves()) {
        let (mut incident, trouble) = open(&firing("A0", "checkout", 0), 0);
        let mut troubles = std::collections::BTreeMap::from([(0, trouble)]);
        for (second, step) in (1..).zip(moves) {
            let before = incident.clone();
            let after: Result<Incident, Refusal> = match step {
                Move::Fire(n) | Move::Resolve(n) => {
                    let event = match step {
                        Move::Fire(_) => firing(&format!("A{n}"), "checkout", second),
                        _ => resolved(&format!("A{n}"), "checkout", second - 1, second),
                    };
                    let (trouble, change) = match troubles.remove(&n) {
                        None => Trouble::first(&event, at(second)),
                        Some(trouble) => trouble.hear(&event, at(second), &Damping::default()),
                    };
                    let (trouble, changed) =
                        file(trouble, change, Some(incident.clone()), Group::of(&event), IncidentId(id(99)), at(second));
                    troubles.insert(n, trouble);
                    Ok(changed.unwrap_or(incident))
                }
                Move::Take => incident.take("ann", at(second)),
                Move::GiveBack => incident.give_back(),
                Move::Propose => {
                    let request = id(incident.healings.len() as u128);
                    incident.proposed("r", request, at(second))
                }
                Move::Conclude(request, result) => incident.concluded(id(request.into()), result, at(second)),
                Move::Escalate => incident.escalate("#oncall"),
            };
            if before.end.is_some() {
                // Refused; or a trouble began again, and that is another incident.
                let as_it_was = match after {
                    Err(refusal) => refusal == Refusal::Ended,
                    Ok(after) => after == before || after.id != before.id,
                };
                prop_assert!(as_it_was);
                break;
            }
            incident = after.unwrap_or(before);
            let goes_on = troubles.values().filter(|trouble| trouble.goes_on()).count() as u64;
            prop_assert_eq!(incident.going_on, goes_on);
            prop_assert_eq!(incident.troubles, troubles.values().filter(|trouble| trouble.incident.is_some()).count() as u64);
            let goes_on = goes_on > 0;
            let under_way = incident.healings.iter().any(|healing| healing.result.is_none());
            prop_assert_eq!(incident.end.is_none(), goes_on || under_way);
            prop_assert_eq!(incident.end.is_some(), incident.times.recovered.is_some());
            if let Some(End::Healed { request }) = incident.end {
                prop_assert!(incident.healings.iter().any(|healing| healing.request == request
                    && healing.result == Some(HealingResult::Effective)));
            }
            stored(&incident);
        }
    }
}
