//! What brakes and caps count (G8) cannot be rewritten with the serving role's rights.

use crate::support::{actor, at, fresh, fresh_with_sql, needs, owner, submitted};
use jiff::SignedDuration;
use ledger::{Heard, IncidentId};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};

/// A rule that is blocked at a place, one healing that has ended and one that has not.
const SCENE: &str = r#"
    insert into incident (id, place, doc, handling, opened_at, due_at)
        values ('00000000-0000-0000-0000-000000000001', 'p', '{}', '{}', now(), now());
    insert into attempt (id, incident, rule, doc, at, ended_at, result) values
        ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'r', '{}', now(), now(), 'ineffective'),
        ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', 'r', '{}', now(), null, null);
    insert into brake (rule, place, doc, blocked_at) values
        ('r', 'p', '{"ineffective": 3, "last": ["2026-01-01T00:00:00Z", false]}', now()),
        ('s', 'p', '{"ineffective": 2, "last": ["2026-01-01T00:00:00Z", false]}', null),
        ('t', 'p', '{"ineffective": 2, "last": ["2026-01-01T00:00:00Z", true]}', null);
"#;

const LIFTED: &str =
    r#"update brake set doc = '{"ineffective": 0, "last": null}', blocked_at = null where rule = 'r'"#;

async fn scene(name: &str) -> PgPool {
    let (_ledger, owner_url) = fresh(name).await;
    let pool = owner(&owner_url.replace("petrel_owner", "petrel")).await;
    raw_sql(SCENE).execute(&pool).await.expect("the scene");
    pool
}

async fn refused(pool: &PgPool, change: &str) -> String {
    let done = raw_sql(AssertSqlSafe(change.to_string())).execute(pool).await;
    done.expect_err(change).to_string()
}

#[tokio::test]
async fn a_healing_ends_once_and_stays_what_it_was() {
    let pool = scene("healing_attempts").await;
    for change in [
        "update attempt set result = 'effective' where ended_at is not null",
        "update attempt set at = now() - interval '2 hours'",
        "update attempt set rule = 'another'",
    ] {
        let why = refused(&pool, change).await;
        assert!(why.contains("has ended, or another one"), "{change}: {why}");
    }
    assert!(refused(&pool, "delete from attempt").await.contains("permission denied"));
    let end = "update attempt set ended_at = now(), result = 'effective' where ended_at is null";
    raw_sql(end).execute(&pool).await.expect("it ends");
}

#[tokio::test]
async fn a_count_gets_smaller_only_where_something_helped_or_a_person_says_so() {
    let pool = scene("healing_brakes").await;
    let forget = |rule: &str| {
        format!(r#"update brake set doc = '{{"ineffective": 0, "last": null}}' where rule = '{rule}'"#)
    };
    for change in [forget("r"), forget("s"), "update brake set rule = 'x' where rule = 's'".into()] {
        let why = refused(&pool, &change).await;
        assert!(why.contains("counts less than before"), "{change}: {why}");
    }
    raw_sql(AssertSqlSafe(forget("t"))).execute(&pool).await.expect("it had helped");
    assert!(refused(&pool, "delete from brake").await.contains("permission denied"));
}

#[tokio::test]
async fn a_block_is_lifted_only_on_record() {
    let pool = scene("healing_blocks").await;
    let why = refused(&pool, LIFTED).await;
    assert!(why.contains("nobody is on record"), "{why}");
    // An entry of another transaction does not count.
    let entry = r#"insert into entry (at, kind, actor, body) values (now(), 'rule.unblocked', 'console:bob', '{"rule": "r", "place": "p"}')"#;
    raw_sql(entry).execute(&pool).await.expect("an entry");
    assert!(refused(&pool, LIFTED).await.contains("nobody is on record"));
    raw_sql(AssertSqlSafe(format!("begin; {LIFTED}; {entry}; commit"))).execute(&pool).await.expect("lifted");
}

#[tokio::test]
async fn an_incident_is_claimed_when_its_request_has_moved_on_and_that_was_heard_of() {
    let (ledger, sql) = fresh_with_sql("healing_heard").await;
    let request = submitted(&ledger, "one", needs(1)).await;
    let id = IncidentId::new();
    let waits = "insert into incident (id, place, doc, handling, opened_at, due_at, request, request_state)
        values ($1, 'p', '{}', '{}', now(), 'infinity', $2, 'awaiting')";
    sqlx::query(waits).bind(id.0).bind(request.id.0).execute(&sql).await.expect("an incident");
    let claims = async |except: &[IncidentId], heard: Option<&Heard>| {
        let claimed = ledger.claim_incidents(9, except, heard, SignedDuration::from_secs(1), at(0)).await;
        let again = "update incident set due_at = 'infinity', request_state = 'awaiting'";
        raw_sql(again).execute(&sql).await.expect("it waits again");
        claimed.expect("claims").len()
    };
    let of_request = Heard { requests: vec![request.id], ..Heard::default() };
    let of_incident = Heard { incidents: vec![id], ..Heard::default() };
    assert_eq!(claims(&[], Some(&of_request)).await, 0, "it has not moved on");
    ledger.cancel(request.id, &actor("ann"), None, at(1)).await.expect("an answer").expect("called off");
    assert_eq!(claims(&[], Some(&Heard::default())).await, 0, "nobody has heard of it");
    assert_eq!(claims(&[], Some(&of_request)).await, 1);
    assert_eq!(claims(&[], Some(&of_incident)).await, 1);
    assert_eq!(claims(&[], None).await, 1);
    assert_eq!(claims(&[id], None).await, 0, "somebody is at it");
}
