//! A fresh database for each test, on the one server that all tests share; and small requests to put into it.

use jiff::{SignedDuration, Timestamp};
use ledger::private::{PrivatePostgres, test_dir};
use ledger::*;
use serde_json::json;

/// A fresh migrated database: connected as the serving role, and the owner's url.
pub async fn fresh(name: &str) -> (Ledger, String) {
    let server = PrivatePostgres::join(&test_dir()).await.expect("the tests' Postgres");
    let (url, owner_url) = server.database(name).await.expect("a fresh database");
    let ledger = Ledger::connect(&Connect { url, connections: 20 }).await.expect("connect");
    (ledger, owner_url)
}

/// Many connections by a url of ours, for what the ledger has no words for.
pub async fn owner(url: &str) -> sqlx::PgPool {
    sqlx::postgres::PgPoolOptions::new().max_connections(16).connect(url).await.expect("connect as the owner")
}

/// Looks again and again until there is something, for 20 seconds at most.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The same, with a connection of the serving role for what only SQL can try.
pub async fn fresh_with_sql(name: &str) -> (Ledger, sqlx::PgPool) {
    let server = PrivatePostgres::join(&test_dir()).await.expect("the tests' Postgres");
    let (url, _) = server.database(name).await.expect("a fresh database");
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(&url).await.expect("connect");
    (Ledger::connect(&Connect { url, connections: 20 }).await.expect("connect"), pool)
}

pub const NOW: Timestamp = Timestamp::constant(1_800_000_000, 123_456_000);

/// So many seconds after `NOW`.
pub fn at(seconds: i64) -> Timestamp {
    NOW + SignedDuration::from_secs(seconds)
}

pub fn actor(name: &str) -> Actor {
    format!("console:{name}").parse().unwrap()
}

/// Scales a deployment of this name, asked by ann at `NOW`.
pub fn plan(name: &str) -> Plan {
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: Some("u-1".into()),
    };
    let scale = |replicas: u32| Step::Patch {
        object: object.clone(),
        kind: PatchKind::Merge,
        body: json!({"spec": {"replicas": replicas}}),
    };
    Plan {
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: target(name),
        resource_version: "41".into(),
        summary: format!("scale Deployment {name} from 3 to 6 replicas"),
        steps: vec![scale(6)],
        diff: "-  replicas: 3\n+  replicas: 6\n".into(),
        blast: Blast { pods: 3, of: 3, ..Blast::default() },
        risk: Risk::Low,
        prior: json!({"replicas": 3}),
        undo: vec![scale(3)],
        verify: Verify { conditions: vec![Condition::Replicas { object, count: 6 }], within_s: 300 },
    }
}

pub fn target(name: &str) -> Target {
    Target {
        cluster: "prod-eu".into(),
        namespace: Some("shop".into()),
        kind: "Deployment".into(),
        name: name.into(),
        uid: Some("u-1".into()),
    }
}

pub fn ask(name: &str) -> Ask {
    Ask {
        key: format!("key-{}", RequestId::new()),
        actor: actor("ann"),
        person: Person("ann".into()),
        place: Some(Place("console:ops".into())),
        line: format!("scale deploy/{name} 6 -n shop -c prod-eu"),
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: Target { uid: None, ..target(name) },
        why: Some("the sale".into()),
        break_glass: false,
        dry_run: false,
        with_person: None,
    }
}

pub fn allow() -> Decision {
    Decision::Allow { rule: "dev".into() }
}

pub fn needs(votes: u32) -> Decision {
    let quorum = Quorum { votes, groups: vec!["sre".into()], within_s: 600, type_cluster: false };
    Decision::Needs { rule: "prod".into(), quorum }
}

pub fn request(name: &str, decision: Decision) -> Request {
    Request::new(RequestId::new(), ask(name), plan(name), decision, "policy-1".into(), NOW)
}

/// Made and stored.
pub async fn submitted(ledger: &Ledger, name: &str, decision: Decision) -> Request {
    let (request, fresh) = ledger.submit(&request(name, decision)).await.unwrap();
    assert!(fresh);
    request
}

pub fn vote(request: &Request, person: &str) -> Vote {
    Vote {
        person: Person(person.into()),
        actor: actor(person),
        groups: vec!["sre".into()],
        verdict: Verdict::Approve,
        digest: request.digest,
        reason: None,
        typed: None,
        at: at(1),
    }
}
