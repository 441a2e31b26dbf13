//! Someone with every right on the database changes the record; verification names what was done.

use crate::sealing::{record, sealer, verify};
use crate::support::{fresh, owner};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use ledger::{Checkpoint, EntryFilter, Fault, Ledger, verify_checkpoint};
use sqlx::{PgPool, raw_sql};

/// Thirty entries with ids 1 to 30 in three seals of ten.
async fn thirty(name: &str) -> (Ledger, PgPool) {
    let (ledger, owner_url) = fresh(name).await;
    let lease = sealer(&ledger).await;
    for _ in 0..3 {
        record(&ledger, 10).await;
        assert_eq!(ledger.seal(&lease).await.unwrap(), 10);
    }
    (ledger, owner(&owner_url).await)
}

/// The owner of the tables switches everything off that is in the way.
async fn tamper(owner: &PgPool, statements: &str) {
    let off = "alter table entry disable trigger user; alter table seal disable trigger user;
               alter table seal drop constraint if exists seal_prev_seq_fkey;";
    raw_sql(sqlx::AssertSqlSafe(format!("{off} {statements}"))).execute(owner).await.unwrap();
}

async fn faults_after(name: &str, statements: &str) -> Vec<Fault> {
    let (ledger, owner) = thirty(name).await;
    tamper(&owner, statements).await;
    let found = verify(&ledger).await;
    assert_eq!(found.faults_total, found.faults.len() as u64);
    found.faults
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

async fn checkpoint(ledger: &Ledger) -> Checkpoint {
    ledger.checkpoint(&key(), Timestamp::now()).await.unwrap().expect("something is sealed")
}

#[tokio::test]
async fn the_database_refuses_every_change_for_the_serving_role_and_for_the_owner() {
    let (ledger, owner_url) = fresh("refuse").await;
    record(&ledger, 1).await;
    ledger.seal(&sealer(&ledger).await).await.unwrap();
    for (url, why) in
        [(owner_url.replace("petrel_owner", "petrel"), "permission denied"), (owner_url, "append-only")]
    {
        let pool = owner(&url).await;
        for change in [
            "update entry set kind = 'x'",
            "delete from entry",
            "truncate entry",
            "update seal set epoch = 9",
            "delete from seal",
            "truncate seal",
        ] {
            let error = raw_sql(change).execute(&pool).await.expect_err(change).to_string();
            assert!(error.contains(why), "{change}: {error}");
        }
    }
    assert_eq!((verify(&ledger).await.entries, verify(&ledger).await.faults), (1, vec![]));
}

#[tokio::test]
async fn an_edit_of_any_column_is_found_where_it_was_made() {
    for change in [
        "body = '{\"at\":14, \"said\":\"\"}'",
        "at = at + interval '1 microsecond'",
        "kind = 'query.got'",
        "actor = 'console:bob'",
        "request = gen_random_uuid()",
    ] {
        let faults = faults_after("edit", &format!("update entry set {change} where id = 15")).await;
        assert_eq!(faults, [Fault::Edited { seq: 15, id: 15 }], "{change}");
    }
}

#[tokio::test]
async fn swapped_entries_are_found() {
    let faults = faults_after(
        "swap",
        "update entry e set (at, body) = (select at, body from entry o where o.id = 9 - e.id) where id in (4, 5)",
    );
    assert_eq!(faults.await, [Fault::Edited { seq: 4, id: 4 }, Fault::Edited { seq: 5, id: 5 }]);
}

#[tokio::test]
async fn a_removed_middle_is_found() {
    let faults = faults_after("middle", "delete from entry where id between 8 and 13 or id = 20").await;
    assert_eq!(faults, [Fault::Missing { from: 8, to: 13 }, Fault::Missing { from: 20, to: 20 }]);
}

#[tokio::test]
async fn a_removed_seal_is_found_and_its_entries_are_named() {
    let faults = faults_after("sealgone", "delete from seal where first_seq = 11").await;
    let foreign = (11..=20).map(|id| Fault::Foreign { id });
    assert_eq!(faults, [Fault::Missing { from: 11, to: 20 }].into_iter().chain(foreign).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_removed_middle_with_its_seal_is_found() {
    let faults = faults_after(
        "bothgone",
        "delete from seal where first_seq = 11; delete from entry where id between 11 and 20",
    )
    .await;
    assert_eq!(faults, [Fault::Missing { from: 11, to: 20 }]);
}

#[tokio::test]
async fn removed_entries_at_the_end_are_found_by_their_seal() {
    assert_eq!(
        faults_after("tailgone", "delete from entry where id > 25").await,
        [Fault::Missing { from: 26, to: 30 }]
    );
}

#[tokio::test]
async fn an_entry_put_in_afterwards_is_found() {
    let faults = faults_after(
        "forged",
        "insert into entry (id, xid, at, kind, actor, body) overriding system value
         select 1000, xid, at, kind, actor, body from entry where id = 3",
    );
    assert_eq!(faults.await, [Fault::Foreign { id: 1000 }]);
}

#[tokio::test]
async fn an_edited_seal_is_told_from_an_edited_entry() {
    let overlay =
        |at: i32| format!("overlay(hash placing '\\x{}' from {} for 32)", "ab".repeat(32), at * 32 + 1);
    for (at, seq) in [(0, 11), (4, 15), (9, 20)] {
        let faults =
            faults_after("sealedit", &format!("update seal set hash = {} where first_seq = 11", overlay(at)))
                .await;
        assert_eq!(faults, [Fault::Broken { seq }], "hash {at}");
    }
    let faults =
        faults_after("sealprev", "update seal set prev_hash = sha256('x') where first_seq = 11").await;
    assert_eq!(faults, [Fault::Broken { seq: 11 }, Fault::Edited { seq: 11, id: 11 }]);
}

#[tokio::test]
async fn a_cut_tail_is_found_with_a_checkpoint() {
    let (ledger, owner) = thirty("cut").await;
    let signed = checkpoint(&ledger).await;
    assert_eq!(
        ledger.verify(std::slice::from_ref(&signed), Some(&signed.key), |_, _| {}).await.unwrap().faults,
        []
    );
    tamper(&owner, "delete from seal where first_seq = 21; delete from entry where id > 20").await;
    assert_eq!(verify(&ledger).await.faults, [], "nothing inside the database shows it");
    let found = ledger.verify(&[signed], None, |_, _| {}).await.unwrap();
    assert_eq!(found.faults, [Fault::CutTail { ends: 20, signed: 30 }]);
}

#[tokio::test]
async fn a_replaced_chain_is_found_with_a_checkpoint() {
    let (ledger, owner) = thirty("replaced").await;
    let signed = checkpoint(&ledger).await;
    // Rewrites one entry and lets the whole chain be built anew by the real sealer.
    tamper(&owner, "update entry set actor = 'console:mallory' where id = 2; truncate seal").await;
    let lease = sealer(&ledger).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 30);
    assert_eq!(verify(&ledger).await.faults, [], "nothing inside the database shows it");
    let found = ledger.verify(&[signed], None, |_, _| {}).await.unwrap();
    assert_eq!(found.faults, [Fault::Replaced { seq: 30 }]);
}

#[tokio::test]
async fn a_checkpoint_counts_only_with_the_right_signature() {
    let (ledger, _) = thirty("signature").await;
    let signed = checkpoint(&ledger).await;
    assert!(verify_checkpoint(&signed, None) && verify_checkpoint(&signed, Some(&signed.key)));
    let other = hex::encode(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    let moved = Checkpoint { seq: 29, ..signed.clone() };
    let later = Checkpoint { at: signed.at + jiff::Span::new().seconds(1), ..signed.clone() };
    let broken = Checkpoint { hash: "zz".into(), ..signed.clone() };
    for (checkpoint, trusted) in
        [(&signed, Some(other.as_str())), (&moved, None), (&later, None), (&broken, None)]
    {
        let found = ledger.verify(std::slice::from_ref(checkpoint), trusted, |_, _| {}).await.unwrap();
        assert_eq!(found.faults, [Fault::BadSignature { seq: checkpoint.seq }]);
    }
    let text = serde_json::to_string(&signed).unwrap();
    assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), signed);
}

#[tokio::test]
async fn many_faults_are_counted_and_the_first_of_them_listed() {
    let (ledger, owner_url) = fresh("many").await;
    let owner = owner(&owner_url).await;
    let insert = "insert into entry (at, kind, actor, body) select now(), 'x', 'test:x', '1' from generate_series(1, 3000)";
    raw_sql(insert).execute(&owner).await.unwrap();
    ledger.seal(&sealer(&ledger).await).await.unwrap();
    tamper(&owner, "update entry set kind = 'y'").await;
    raw_sql(insert).execute(&owner).await.unwrap();
    let found = verify(&ledger).await;
    assert_eq!((found.faults_total, found.faults.len()), (3000, 1000));
    assert_eq!((found.unsealed_total, found.unsealed.len()), (3000, 1000));
}

#[tokio::test]
async fn the_export_holds_every_sealed_entry_in_order_and_says_what_is_gone() {
    let (ledger, owner) = thirty("export").await;
    tamper(&owner, "delete from entry where id = 7").await;
    record(&ledger, 1).await;
    let mut lines = Vec::new();
    let count = ledger
        .export(None, |line| {
            lines.push(line.to_string());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((count, lines.len()), (30, 30));
    let lines: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines
            .iter()
            .zip(1..)
            .all(|(line, seq)| line["seq"] == seq && line["hash"].as_str().unwrap().len() == 64)
    );
    assert_eq!(lines[6]["missing"], true);
    assert_eq!((&lines[29]["body"]["at"], &lines[29]["body"]["said"]), (&9.into(), &"ä\u{0}\n".into()));
    assert_eq!(lines[29]["hash"], checkpoint(&ledger).await.hash.as_str());
    let mut since = 0;
    ledger
        .export(Some(25), |_| {
            since += 1;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(since, 5);
    let refused =
        ledger.export(None, |_| Err(std::io::Error::other("disk full"))).await.unwrap_err().to_string();
    assert!(refused.contains("disk full"), "{refused}");
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_by_filter() {
    let (ledger, _) = fresh("list").await;
    let request = ledger::RequestId::new();
    let now: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    for (kind, actor, request) in [
        ("vote.approved", "console:ann", Some(request)),
        ("vote.denied", "console:bob", None),
        ("voted", "console:bob", None),
    ] {
        ledger.record(kind, actor, request, &serde_json::json!({ "b": 1, "a": [null] }), now).await.unwrap();
    }
    let list = async |filter: EntryFilter| {
        let entries = ledger.entries(&EntryFilter { limit: 2, ..filter }).await.unwrap();
        entries.into_iter().map(|entry| entry.kind).collect::<Vec<_>>()
    };
    assert_eq!(list(EntryFilter::default()).await, ["voted", "vote.denied"]);
    assert_eq!(list(EntryFilter { before: Some(2), ..Default::default() }).await, ["vote.approved"]);
    assert_eq!(
        list(EntryFilter { kind: Some("vote.".into()), ..Default::default() }).await,
        ["vote.denied", "vote.approved"]
    );
    assert_eq!(list(EntryFilter { kind: Some("voted".into()), ..Default::default() }).await, ["voted"]);
    assert_eq!(
        list(EntryFilter { actor: Some("console:ann".into()), ..Default::default() }).await,
        ["vote.approved"]
    );
    let one = ledger
        .entries(&EntryFilter { request: Some(request), limit: 9, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(
        (one.len(), one[0].at, one[0].request, one[0].body["a"][0].is_null()),
        (1, now, Some(request), true)
    );
}
