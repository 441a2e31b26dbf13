//! What is done about an incident.

use super::*;
use heal::{
    incident::{Braked, Caps, Load, Matcher, Reaction, Reason, Silence, Situation, Storm, Thresholds, react},
    rules::{Known, Past, Rules, Verdict},
};

const RULE: &str =
    "rule \"r\" {\n on alert \"A\"\n then [ restart(workload) ]\n verify within 5m { alert resolved }\n}\n";

fn verdict(event: &Event) -> Verdict {
    let rules: Rules = crate::rules::load(RULE);
    let known = Known { answers: &[], past: &Past::default(), replicas: None, now: at(10) };
    rules.all()[0].judge(event, known).verdict
}

fn stormy() -> Storm {
    Storm::Calm.look(Load { unhealthy: 99, ..Load::default() }, at(0), &Thresholds::default()).0
}

/// An incident and the verdict of a rule that applies to it.
fn scene() -> (Incident, Verdict) {
    let event = firing("A", "checkout", 0);
    (open(&event, 0).0, verdict(&event))
}

/// Everything allows acting.
fn calm((incident, verdict): &(Incident, Verdict)) -> Situation<'_> {
    Situation {
        verdict,
        incident,
        silence: None,
        hidden_by: None,
        flapping: false,
        storm: Storm::Calm,
        brake: Ok(()),
        capped: None,
    }
}

/// The reaction for people.
fn words(situation: Situation<'_>) -> String {
    match react(situation) {
        Reaction::Rest(reason) => format!("rest: {reason}"),
        Reaction::Escalate(reason) => format!("escalate: {reason}"),
        Reaction::Propose { with_person, .. } => {
            let reasons: Vec<String> = with_person.iter().map(Reason::to_string).collect();
            format!("propose [{}]", reasons.join("; "))
        }
    }
}

#[test]
fn where_nothing_forbids_it_is_proposed_and_policy_decides() {
    assert_eq!(words(calm(&scene())), "propose []");
}

#[test]
fn in_a_storm_while_it_flaps_or_in_the_dark_a_person_must_agree() {
    let scene = scene();
    let storm = Situation { storm: stormy(), ..calm(&scene) };
    assert_eq!(words(storm), "propose [too much is unhealthy at once]");
    let both = Situation { flapping: true, ..storm };
    assert_eq!(words(both), "propose [it comes and goes; too much is unhealthy at once]");
    let Verdict::Ask { proposal, .. } = &scene.1 else { panic!() };
    let dark = Verdict::Ask { proposal: proposal.clone(), alone: false };
    let unknown = Situation { verdict: &dark, ..calm(&scene) };
    assert_eq!(words(unknown), "propose [not every condition could be answered]");
}

#[test]
fn silence_a_dead_node_a_person_and_a_brake_each_stop_it() {
    let scene = scene();
    let matcher = Matcher { name: Some("A".into()), ..Matcher::default() };
    let silence = Silence::new(id(1), matcher, at(0), SignedDuration::from_mins(5), "ann", "").unwrap();
    let silenced = Situation { silence: Some(&silence), ..calm(&scene) };
    assert_eq!(words(silenced), "rest: silenced by ann");
    let hidden = Situation { hidden_by: Some("worker-7"), ..calm(&scene) };
    assert_eq!(words(hidden), "rest: node worker-7 is down");
    let taken = scene.0.clone().take("bob", at(1)).unwrap();
    assert_eq!(words(Situation { incident: &taken, ..calm(&scene) }), "rest: bob has taken it over");
    let braked = Situation { brake: Err(&Braked::UnderWay), ..calm(&scene) };
    assert_eq!(words(braked), "rest: a healing of this target by this rule is under way");
    let caps = Caps { cluster: 0, ..Caps::default() };
    let capped = caps.reached("r", &group("x"), &[], at(0)).unwrap();
    let capped = Situation { capped: Some(&capped), ..calm(&scene) };
    assert_eq!(words(capped), "rest: no healing is allowed per cluster");
    let not = Situation { verdict: &Verdict::Not, ..calm(&scene) };
    assert_eq!(words(not), "rest: the rule does not apply");
}

#[test]
fn what_petrel_cannot_or_must_not_do_calls_people() {
    let scene = scene();
    let blocked = Braked::Blocked { since: at(0), times: 3 };
    let blocked = Situation { brake: Err(&blocked), ..calm(&scene) };
    assert!(words(blocked).starts_with("escalate: blocked since"));
    let stuck = verdict(&crate::rules::alert("A", &[("namespace", "shop")]));
    let stuck = Situation { verdict: &stuck, ..calm(&scene) };
    assert_eq!(words(stuck), "escalate: the event names no workload for `restart(workload)`");
}

#[test]
fn a_silence_or_a_person_weighs_more_than_a_reason_to_call_people() {
    let scene = scene();
    let blocked = Braked::Blocked { since: at(0), times: 3 };
    let taken = scene.0.clone().take("bob", at(1)).unwrap();
    let situation = Situation { brake: Err(&blocked), incident: &taken, ..calm(&scene) };
    assert_eq!(words(situation), "rest: bob has taken it over");
}
