//! Silences, and nodes that hide what runs on them.

use super::*;
use heal::incident::{LONGEST_SILENCE, Matcher, Silence, hides};

fn silence(matcher: Matcher, lasts: SignedDuration) -> Result<Silence, String> {
    Silence::new(id(1), matcher, at(0), lasts, "ann", "release").map_err(|refusal| refusal.to_string())
}

fn of_workload(name: &str) -> Matcher {
    Matcher { workload: Some(name.into()), namespace: Some("shop".into()), ..Matcher::default() }
}

#[test]
fn a_silence_covers_what_fits_until_its_end() {
    let silence = silence(of_workload("checkout"), SignedDuration::from_mins(10)).unwrap();
    let event = firing("A", "checkout", 0);
    assert!(silence.covers(&event, at(0)) && silence.covers(&event, at(599)));
    assert!(!silence.covers(&event, at(600)) && !silence.covers(&event, at(-1)));
    assert!(!silence.covers(&firing("A", "cart", 0), at(0)));
    let lifted = silence.clone().lift(at(60));
    assert!(lifted.covers(&event, at(59)) && !lifted.covers(&event, at(60)));
    assert_eq!(lifted.clone().lift(at(9999)), lifted, "lifting later does not make it longer");
    stored(&silence);
}

#[test]
fn a_silence_of_everything_or_for_ever_is_refused() {
    let hour = SignedDuration::from_hours(1);
    assert!(silence(Matcher::default(), hour).unwrap_err().starts_with("say what to silence"));
    assert!(silence(of_workload("x"), LONGEST_SILENCE).is_ok());
    assert_eq!(
        silence(of_workload("x"), LONGEST_SILENCE + hour).unwrap_err(),
        "a silence lasts at most 7 days"
    );
    assert!(silence(of_workload("x"), SignedDuration::ZERO).is_err());
}

#[test]
fn a_node_that_is_down_hides_its_pods_and_nothing_else() {
    let node =
        |name: &str, node: &str| Trouble::first(&crate::rules::alert(name, &[("node", node)]), at(0)).0;
    let down = node("KubeNodeNotReady", "worker-7");
    let mut pod = firing("A", "checkout", 0);
    pod.subject.pod = Some("checkout-0".into());
    assert!(!hides(&down, &pod), "nobody said where it runs");
    pod.subject.node = Some("worker-7".into());
    assert!(hides(&down, &pod));
    assert!(!hides(&node("KubeNodeNotReady", "worker-8"), &pod));
    assert!(!hides(&node("NodeFilesystemFull", "worker-7"), &pod));
    assert!(!hides(&down, &crate::rules::alert("KubeNodeNotReady", &[("node", "worker-7")])), "not itself");
    let mut elsewhere = pod.clone();
    elsewhere.subject.cluster = Some("prod-us".into());
    assert!(!hides(&down, &elsewhere));
    let mut up = crate::rules::alert("KubeNodeNotReady", &[("node", "worker-7")]);
    (up.state, up.ended) = (State::Resolved, Some(at(60)));
    let (up, _) = down.hear(&up, at(60), &heal::incident::Damping::default());
    assert!(!hides(&up, &pod), "it is up again");
}
