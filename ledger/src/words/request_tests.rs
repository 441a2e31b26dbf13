//! The state machine, by example and by random walks.

use super::*;
use crate::Quorum;
use crate::words::sample::{self, NOW};
use jiff::SignedDuration;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

fn bob() -> Actor {
    "console:bob".parse().unwrap()
}

fn awaiting() -> Request {
    sample::request(sample::needs(sample::quorum()))
}

fn approved() -> Request {
    awaiting().vote(&[], &sample::vote("bob")).unwrap()
}

#[test]
fn policy_decides_where_a_request_begins() {
    let refused =
        sample::request(Decision::Refuse { rule: "default".into(), reason: "no rule allows it".into() });
    assert_eq!((refused.state, refused.note.as_deref()), (RequestState::Refused, Some("no rule allows it")));
    let allowed = sample::request(Decision::Allow { rule: "dev".into() });
    assert_eq!((allowed.state, allowed.expires_at), (RequestState::Approved, Some(at(APPROVAL_LASTS_S))));
    assert_eq!((awaiting().state, awaiting().expires_at), (RequestState::Awaiting, Some(at(600))));
    let ask = Ask { dry_run: true, ..sample::ask() };
    let dry = Request::new(
        RequestId::new(),
        ask,
        sample::plan(),
        Decision::Allow { rule: "dev".into() },
        "p".into(),
        NOW,
    );
    assert_eq!(dry.state, RequestState::Planned);
    assert!(dry.start(NOW).is_err());
}

#[test]
fn a_second_approver_releases_the_run() {
    let request = sample::request(sample::needs(Quorum { votes: 2, ..sample::quorum() }));
    let (first, second) = (sample::vote("bob"), sample::vote("cat"));
    let request = request.vote(&[], &first).unwrap();
    assert_eq!(request.state, RequestState::Awaiting);
    let request = request.vote(&[first], &second).unwrap();
    assert_eq!(
        (request.state, request.note.as_deref()),
        (RequestState::Approved, Some("approved by bob and cat"))
    );
}

#[test]
fn one_deny_is_enough_and_says_why() {
    let deny =
        Vote { verdict: Verdict::Deny, reason: Some("not during the sale".into()), ..sample::vote("bob") };
    let request = awaiting().vote(&[], &deny).unwrap();
    assert_eq!(
        (request.state, request.note.as_deref()),
        (RequestState::Denied, Some("denied by bob: not during the sale"))
    );
}

#[test]
fn votes_that_do_not_count_are_refused_by_name() {
    let vote = sample::vote;
    assert_eq!(awaiting().vote(&[], &vote("ann")), Err(Refusal::OwnRequest));
    let disguised = Vote { person: Person("bob".into()), ..vote("ann") };
    assert_eq!(awaiting().vote(&[], &disguised), Err(Refusal::OwnRequest));
    let stranger = Vote { groups: vec!["guests".into()], ..vote("bob") };
    assert_eq!(awaiting().vote(&[], &stranger), Err(Refusal::NotEntitled { groups: vec!["sre".into()] }));
    let stale = Vote { digest: Digest([0; 32]), ..vote("bob") };
    assert_eq!(awaiting().vote(&[], &stale), Err(Refusal::PlanChanged));
    let two = sample::request(sample::needs(Quorum { votes: 2, ..sample::quorum() }));
    let again = Vote { actor: "slack:T1:U2".parse().unwrap(), ..vote("bob") };
    assert_eq!(two.vote(&[vote("bob")], &again), Err(Refusal::VotedAlready));

    let guarded = || sample::request(sample::needs(Quorum { type_cluster: true, ..sample::quorum() }));
    let cluster = Refusal::TypeCluster { cluster: "prod-eu".into() };
    assert_eq!(guarded().vote(&[], &vote("bob")), Err(cluster.clone()));
    assert_eq!(guarded().vote(&[], &Vote { typed: Some("prod-us".into()), ..vote("bob") }), Err(cluster));
    let typed = Vote { typed: Some("prod-eu".into()), ..vote("bob") };
    assert_eq!(guarded().vote(&[], &typed).unwrap().state, RequestState::Approved);
    let deny = Vote { verdict: Verdict::Deny, ..vote("bob") };
    assert_eq!(guarded().vote(&[], &deny).unwrap().state, RequestState::Denied);
}

#[test]
fn refusals_say_what_who_and_when() {
    let late = |request: Request, after: i64| {
        let vote = Vote { at: at(after), ..sample::vote("cat") };
        request.vote(&[], &vote).unwrap_err().to_string()
    };
    let denied = awaiting().vote(&[], &Vote { verdict: Verdict::Deny, ..sample::vote("bob") }).unwrap();
    let running = approved().start(at(20)).unwrap();
    let stopping = running.clone().cancel(&bob(), Some("wrong cluster"), at(30)).unwrap();
    let said = [
        late(approved(), 12),
        late(denied, 300),
        late(awaiting(), 4000),
        late(running.clone(), 20),
        late(running.verify(at(30)).unwrap().end(Ended::Succeeded, at(40)).unwrap(), 80 * 3600),
        stopping.cancel(&bob(), None, at(31)).unwrap_err().to_string(),
    ];
    assert_eq!(
        said,
        [
            "Too late: already approved by bob, 12 s ago.",
            "Too late: already denied by bob, 5 min ago.",
            "Too late: its time was over 56 min ago.",
            "Too late: it started just now.",
            "Too late: it succeeded 3 days ago.",
            "Too late: already called off by console:bob: wrong cluster, 1 s ago; it stops at the next safe point.",
        ]
    );
}

#[test]
fn the_last_moment_is_too_late() {
    assert!(approved().start(at(APPROVAL_LASTS_S - 1)).is_ok());
    assert!(approved().start(at(APPROVAL_LASTS_S)).is_err());
    assert!(awaiting().expire(at(599)).is_err());
    assert_eq!(awaiting().expire(at(600)).unwrap().state, RequestState::Expired);
    assert!(awaiting().vote(&[], &Vote { at: at(600), ..sample::vote("bob") }).is_err());
}

#[test]
fn a_new_plan_needs_new_votes() {
    let plan = Plan { diff: "another".into(), ..sample::plan() };
    let decision = sample::needs(sample::quorum());
    let running = approved().start(at(1)).unwrap();
    let again = running.clone().replan(plan.clone(), decision.clone(), "policy-2".into(), at(2)).unwrap();
    assert_eq!((again.state, again.revision, again.expires_at), (RequestState::Awaiting, 2, Some(at(602))));
    assert_eq!(again.vote(&[], &sample::vote("bob")), Err(Refusal::PlanChanged));

    let stopping = running.cancel(&bob(), None, at(2)).unwrap();
    assert!(
        stopping.replan(plan, decision, "policy-2".into(), at(3)).is_err(),
        "called off, not planned anew"
    );
}

/// One thing that anybody may try at any time.
#[derive(Clone, Debug)]
enum Try {
    Vote { person: &'static str, entitled: bool, deny: bool, stale: bool },
    Cancel,
    Expire,
    Start,
    Replan(Decision),
    Verify,
    End(Ended),
}

fn any_decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        1 => Just(Decision::Refuse { rule: "r".into(), reason: "no".into() }),
        1 => Just(Decision::Allow { rule: "r".into() }),
        6 => (1u32..4).prop_map(|votes| sample::needs(Quorum { votes, ..sample::quorum() })),
    ]
}

fn any_try() -> impl Strategy<Value = Try> {
    let person = prop::sample::select(vec!["ann", "bob", "cat", "dan"]);
    prop_oneof![
        10 => (person, prop::bool::weighted(0.8), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(person, entitled, deny, stale)| Try::Vote { person, entitled, deny, stale }),
        1 => Just(Try::Cancel),
        1 => Just(Try::Expire),
        5 => Just(Try::Start),
        2 => any_decision().prop_map(Try::Replan),
        3 => Just(Try::Verify),
        2 => prop::sample::select(vec![
            Ended::Succeeded, Ended::Failed("f".into()), Ended::RolledBack("r".into()), Ended::Unknown("u".into()),
            Ended::Cancelled("c".into()),
        ]).prop_map(Try::End),
    ]
}

proptest! {
    #[test]
    fn no_walk_runs_without_a_standing_approval(
        decision in any_decision(),
        walk in prop::collection::vec((any_try(), 0i64..200), 1..40),
    ) {
        let mut request = sample::request(decision);
        let mut votes: Vec<Vote> = Vec::new();
        let mut now = NOW;
        for (attempt, wait) in walk {
            now += SignedDuration::from_secs(wait);
            let before = request.clone();
            let result = match attempt.clone() {
                Try::Vote { person, entitled, deny, stale } => {
                    let vote = Vote {
                        groups: vec![if entitled { "sre" } else { "guests" }.into()],
                        verdict: if deny { Verdict::Deny } else { Verdict::Approve },
                        digest: if stale { Digest([0; 32]) } else { request.digest },
                        at: now,
                        ..sample::vote(person)
                    };
                    let result = request.vote(&votes, &vote);
                    if result.is_ok() {
                        prop_assert!(entitled && !stale && person != "ann");
                        prop_assert!(votes.iter().all(|earlier| earlier.person != vote.person));
                        votes.push(vote);
                    }
                    result
                }
                Try::Cancel => request.cancel(&bob(), None, now),
                Try::Expire => request.expire(now),
                Try::Start => request.start(now),
                Try::Replan(decision) => {
                    let plan = Plan { diff: format!("{} {now}", before.revision), ..sample::plan() };
                    request.replan(plan, decision, "p".into(), now)
                }
                Try::Verify => request.verify(now),
                Try::End(ended) => request.end(ended, now),
            };
            request = result.unwrap_or(before.clone());
            if request.revision > before.revision {
                votes.clear();
            }

            if before.state.is_final() {
                prop_assert_eq!(&request, &before, "final is final");
            }
            if request.state == RequestState::Approved {
                match &request.decision {
                    Decision::Allow { .. } => {}
                    Decision::Needs { quorum, .. } => prop_assert!(
                        votes.len() as u32 >= quorum.votes && votes.iter().all(|vote| vote.verdict == Verdict::Approve)
                    ),
                    Decision::Refuse { .. } => prop_assert!(false, "approved against policy"),
                }
            }
            if request.state == RequestState::Running && before.state != RequestState::Running {
                prop_assert_eq!(before.state, RequestState::Approved);
                prop_assert!(before.expires_at.is_some_and(|end| now < end), "expired never starts");
                prop_assert_eq!(before.digest, request.digest);
            }
            if votes.iter().any(|vote| vote.verdict == Verdict::Deny) {
                prop_assert_eq!(request.state, RequestState::Denied, "deny wins");
            }
            let waits = matches!(request.state, RequestState::Awaiting | RequestState::Approved);
            prop_assert_eq!(waits, request.expires_at.is_some(), "what waits has an end to its waiting");
        }
    }
}
