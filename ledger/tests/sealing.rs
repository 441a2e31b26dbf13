//! Every committed entry ends in the chain exactly once, whoever writes and whoever seals.

use crate::support::{eventually, fresh, owner};
use jiff::Timestamp;
use ledger::{Connect, EntryFilter, Lease, Ledger, Verified};
use serde_json::json;
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// A long lease, for tests that seal by hand.
pub async fn sealer(ledger: &Ledger) -> Lease {
    ledger.take_lease("sealer", "test", Duration::from_secs(600)).await.unwrap().expect("the lease is free")
}

/// Records `count` entries on their own.
pub async fn record(ledger: &Ledger, count: usize) {
    for at in 0..count {
        ledger
            .record(
                "query.get",
                "console:ann",
                None,
                &json!({ "at": at, "said": "ä\u{0}\n" }),
                Timestamp::now(),
            )
            .await
            .unwrap();
    }
}

/// Another replica.
async fn connect(owner_url: &str) -> Ledger {
    Ledger::connect(&Connect { url: owner_url.replace("petrel_owner", "petrel"), connections: 4 })
        .await
        .unwrap()
}

pub async fn verify(ledger: &Ledger) -> Verified {
    ledger.verify(&[], None, |_, _| {}).await.unwrap()
}

fn assert_sound(found: &Verified, entries: u64) {
    assert_eq!((found.faults.as_slice(), found.faults_total), (&[][..], 0));
    assert_eq!((found.unsealed.as_slice(), found.unsealed_total), (&[][..], 0));
    assert_eq!((found.entries, found.seq), (entries, entries as i64));
}

#[tokio::test]
async fn an_empty_record_is_sound() {
    let (ledger, _) = fresh("empty").await;
    assert_sound(&verify(&ledger).await, 0);
    assert_eq!(ledger.seal(&sealer(&ledger).await).await.unwrap(), 0);
}

#[tokio::test]
async fn what_waits_to_be_sealed_is_listed_until_it_is() {
    let (ledger, _) = fresh("tail").await;
    let lease = sealer(&ledger).await;
    record(&ledger, 3).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 3);
    record(&ledger, 2).await;
    let found = verify(&ledger).await;
    assert_eq!((found.entries, found.unsealed_total, found.unsealed.len(), found.faults_total), (3, 2, 2, 0));
    let listed = ledger.entries(&EntryFilter { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(
        listed.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [None, None, Some(3), Some(2), Some(1)]
    );
    assert_eq!(ledger.seal(&lease).await.unwrap(), 2);
    assert_eq!(ledger.seal(&lease).await.unwrap(), 0);
    assert_sound(&verify(&ledger).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_with_rollbacks_and_two_sealers_fighting_end_in_one_gapless_chain() {
    let (ledger, owner_url) = fresh("writers").await;
    let owner = owner(&owner_url).await;
    let (committed, turns) = (AtomicU64::new(0), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
    let enough = || turns.iter().all(|turns| turns.load(Ordering::Relaxed) >= 4);
    // On tasks of their own: a crowd of writers on the same one would leave them hardly any time.
    let sealers = connect(&owner_url).await;
    let mut fighting = JoinSet::new();
    for me in 0..2 {
        fighting.spawn(fight(sealers.clone(), me, turns.clone()));
    }
    tokio::select! {
        _ = futures::future::join_all((0..32u64).map(|writer| write(writer, &ledger, &owner, &committed, enough))) => {}
        ended = fighting.join_next() => panic!("they fight until the writers are done: {ended:?}"),
    }
    fighting.shutdown().await;
    let lease = eventually("the lease to be free", async || {
        ledger.take_lease("sealer", "last", Duration::from_secs(60)).await.unwrap()
    })
    .await;
    while ledger.seal(&lease).await.unwrap() > 0 {}
    assert_sound(&verify(&ledger).await, committed.into_inner());
}

/// Some alone, some in transactions of several, of which some are rolled back; until the sealers have fought enough.
async fn write(
    writer: u64,
    ledger: &Ledger,
    owner: &PgPool,
    committed: &AtomicU64,
    enough: impl Fn() -> bool,
) {
    for round in (0..).take_while(|round| *round < 20 || !enough()) {
        if (writer + round).is_multiple_of(3) {
            record(ledger, 1).await;
            committed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let mut tx = owner.begin().await.unwrap();
        let entries = 1 + (writer * 7 + round) % 4;
        for _ in 0..entries {
            sqlx::query("insert into entry (at, kind, actor, body) values (now(), 'test', $1, '{}')")
                .bind(format!("test:{writer}"))
                .execute(&mut *tx)
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        if (writer * 5 + round).is_multiple_of(4) {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
            committed.fetch_add(entries, Ordering::Relaxed);
        }
    }
}

/// Takes turns with the other, and between turns tries to go on with its lost lease.
async fn fight(ledger: Ledger, me: usize, turns: Arc<[AtomicU64; 2]>) {
    let had = |who: usize| turns[who].load(Ordering::Relaxed);
    let mut lost = None;
    loop {
        if had(me) > had(1 - me) {
            let lease = lost.as_ref().expect("it has had a turn");
            assert_eq!(ledger.seal(lease).await.unwrap(), 0, "a lost lease must not seal");
        } else if let Some(lease) =
            ledger.take_lease("sealer", &format!("sealer {me}"), Duration::from_secs(5)).await.unwrap()
        {
            let sealed = ledger.seal(&lease).await.unwrap() > 0;
            ledger.give_lease(&lease).await.unwrap();
            lost = Some(lease);
            turns[me].fetch_add(u64::from(sealed), Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn two_sealers_at_once_never_fork_the_chain_even_with_the_same_lease() {
    let (ledger, _) = fresh("fork").await;
    let lease = sealer(&ledger).await;
    for _ in 0..20 {
        record(&ledger, 3).await;
        let sealed = futures::future::join_all((0..4).map(|_| ledger.seal(&lease))).await;
        assert_eq!(sealed.into_iter().map(Result::unwrap).sum::<u64>(), 3);
    }
    assert_sound(&verify(&ledger).await, 60);
}

#[tokio::test]
async fn a_transaction_that_commits_long_after_later_ones_is_sealed_too() {
    let (ledger, owner_url) = fresh("late").await;
    let owner = owner(&owner_url).await;
    let lease = sealer(&ledger).await;
    let mut late = owner.begin().await.unwrap();
    let insert = "insert into entry (at, kind, actor, body) values (now(), 'late', 'test:late', '1')";
    sqlx::query(insert).execute(&mut *late).await.unwrap();
    for _ in 0..3 {
        record(&ledger, 2).await;
        assert_eq!(ledger.seal(&lease).await.unwrap(), 2, "nobody waits for it");
        assert_eq!(verify(&ledger).await.faults, []);
    }
    sqlx::query(insert).execute(&mut *late).await.unwrap();
    late.commit().await.unwrap();
    assert_eq!(verify(&ledger).await.unsealed.len(), 2);
    record(&ledger, 1).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 3);
    assert_sound(&verify(&ledger).await, 9);
    let late = ledger
        .entries(&EntryFilter { kind: Some("late".into()), limit: 9, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(late.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Some(8), Some(7)]);
}

/// An auditor needs none of our code: the whole chain, in plain SQL.
#[tokio::test]
async fn the_chain_can_be_computed_by_anyone_from_its_description() {
    let (ledger, owner_url) = fresh("auditor").await;
    let lease = sealer(&ledger).await;
    for _ in 0..2 {
        record(&ledger, 3).await;
        let request = Some(ledger::RequestId::new());
        ledger
            .record("vote.approved", "slack:T1:U2", request, &json!(["é", 1.5]), Timestamp::now())
            .await
            .unwrap();
        assert_eq!(ledger.seal(&lease).await.unwrap(), 4);
    }
    let computed: String = sqlx::query_scalar(
        r"with recursive sealed as (
             select first_seq + n - 1 seq, id from seal, unnest(entry_id) with ordinality as u (id, n)
         ), part as (
             select seq, int8send(id) || timestamptz_send(at) fixed,
                    array[convert_to(kind, 'UTF8'), convert_to(actor, 'UTF8'), coalesce(uuid_send(request), ''), convert_to(body::text, 'UTF8')] texts
             from sealed join entry using (id)
         ), leaf as (
             select seq, sha256('petrel.entry.v1'::bytea || fixed
                 || (select string_agg(int8send(octet_length(text)) || text, '' order by n) from unnest(texts) with ordinality as u (text, n))) leaf
             from part
         ), link as (
             select 0::bigint seq, decode(repeat('00', 32), 'hex') hash
             union all
             select leaf.seq, sha256('petrel.link.v1'::bytea || int8send(leaf.seq) || link.hash || leaf.leaf)
             from link join leaf on leaf.seq = link.seq + 1
         )
         select encode(hash, 'hex') from link order by seq desc limit 1",
    )
    .fetch_one(&owner(&owner_url).await)
    .await
    .unwrap();
    let found = verify(&ledger).await;
    assert_eq!((found.seq, found.head), (8, computed));
}

#[tokio::test]
async fn a_backlog_is_sealed_in_batches_while_more_arrives() {
    let (ledger, owner_url) = fresh("backlog").await;
    let owner = owner(&owner_url).await;
    let lease = sealer(&ledger).await;
    sqlx::query("insert into entry (at, kind, actor, body) select now(), 'old', 'test:x', to_json(n) from generate_series(1, 45000) n")
        .execute(&owner)
        .await
        .unwrap();
    let mut sealed = Vec::new();
    for _ in 0..4 {
        sealed.push(ledger.seal(&lease).await.unwrap());
        record(&ledger, 1).await;
        let found = verify(&ledger).await;
        assert_eq!(found.faults, []);
        assert_eq!(found.entries + found.unsealed_total, 45_000 + sealed.len() as u64);
    }
    assert_eq!(sealed, [20_000, 20_000, 5_000, 3]);
    assert_eq!(ledger.seal(&lease).await.unwrap(), 1);
    assert_sound(&verify(&ledger).await, 45_004);
}

#[tokio::test]
async fn a_record_restored_from_a_dump_goes_on() {
    let (ledger, owner_url) = fresh("restore").await;
    let owner = owner(&owner_url).await;
    let lease = sealer(&ledger).await;
    record(&ledger, 5).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 5);
    record(&ledger, 2).await;
    // As if all of this came from a server that had counted further: to this one, those transactions lie ahead.
    sqlx::raw_sql(
        "alter table entry disable trigger user; alter table seal disable trigger user;
         update entry set xid = (xid::text::bigint + 1000000000)::text::xid8;
         update seal set snapshot = (select max(xid)::text || ':' || max(xid)::text || ':' from (
             select xid from entry where id = 6 order by 1) x)::pg_snapshot;
         alter table entry enable trigger user; alter table seal enable trigger user",
    )
    .execute(&owner)
    .await
    .unwrap();
    let mut late = owner.begin().await.unwrap();
    sqlx::query("insert into entry (at, kind, actor, body) values (now(), 'late', 'test:late', '1')")
        .execute(&mut *late)
        .await
        .unwrap();
    record(&ledger, 1).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 3, "two from before the restore, one from after");
    assert_eq!(ledger.seal(&lease).await.unwrap(), 0);
    late.commit().await.unwrap();
    record(&ledger, 1).await;
    assert_eq!(ledger.seal(&lease).await.unwrap(), 2);
    assert_eq!(ledger.seal(&lease).await.unwrap(), 0);
    assert_sound(&verify(&ledger).await, 10);
}

#[tokio::test]
async fn the_sealer_keeps_up_stops_cleanly_and_another_takes_over() {
    let (ledger, owner_url) = fresh("keeper").await;
    let all_sealed = async || (verify(&ledger).await.unsealed_total == 0).then_some(());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let first = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.keep_sealed("one", async { drop(stopped.await) }).await }
    });
    record(&ledger, 10).await;
    eventually("the first sealer to seal", all_sealed).await;
    stop.send(()).unwrap();
    first.await.unwrap();

    let other = connect(&owner_url).await;
    record(&ledger, 10).await;
    tokio::select! {
        () = other.keep_sealed("two", std::future::pending()) => unreachable!(),
        () = eventually("the second sealer to take over", all_sealed) => {}
    }
    assert_sound(&verify(&ledger).await, 20);
}
