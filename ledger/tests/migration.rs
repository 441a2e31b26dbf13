//! Migrations over data: a database of every earlier version, filled, becomes one of this version, with every row as it was.

use crate::support::*;
use ledger::*;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool, migrate::Migrator};
use std::{collections::BTreeMap, path::Path, time::Duration};

const LONG: Duration = Duration::from_secs(600);
/// The first version with requests, chats and reply addresses; below it there is next to nothing to keep.
const OLDEST: i64 = 4;
/// Rows are copied in this order, so that what they refer to is there.
const TABLES: [&str; 15] = [
    "entry",
    "seal",
    "lease",
    "request",
    "vote",
    "run",
    "step",
    "card",
    "delivery",
    "inbox",
    "room_message",
    "notice",
    "picture",
    "link_offer",
    "identity",
];

/// Something of everything, in every state that matters to a migration.
async fn fill(ledger: &Ledger) {
    let waits = submitted(ledger, "waits", needs(2)).await;
    ledger.vote(waits.id, &vote(&waits, "bob")).await.unwrap().unwrap();
    let mut loud = request("loud", allow());
    loud.ask.break_glass = true;
    ledger.submit(&loud).await.unwrap();
    submitted(ledger, "lost", allow()).await;
    let claim = ledger.claim_runs("w", LONG, 1, at(2)).await.unwrap().pop().unwrap();
    ledger.end_run(&claim.fence, &Ended::Unknown("no answer".into()), at(3)).await.unwrap();
    let claim = ledger.claim_runs("w", LONG, 1, at(4)).await.unwrap().pop().unwrap();
    ledger.intend_step(&claim.fence, Phase::Act, 0, &json!({}), at(5)).await.unwrap();
    let place = Place("slack:T1:C1".into());
    ledger.show(waits.id, &place).await.unwrap();
    for (key, only_for) in [("said", None), ("whispered", Some(actor("ann")))] {
        ledger.say(key, &place, only_for.as_ref(), &json!({ "title": key })).await.unwrap();
    }
    let delivery = ledger.claim_deliveries("slack", "w", LONG, &Take::of(1)).await.unwrap().remove(0);
    ledger.delivered(&delivery, "C1:1.1").await.unwrap();
    for key in ["handled", "open"] {
        let arrival = Arrival {
            key: key.into(),
            actor: actor("ann"),
            place: Place("console:ops".into()),
            event: Event::Line { text: "help".into() },
            reply_to: Some("there".into()),
        };
        let inbound = ledger.receive(&arrival, "w", LONG, at(5)).await.unwrap().unwrap();
        if key == "handled" {
            ledger.handled(&inbound).await.unwrap();
        }
    }
    ledger.room_line("k", &Place("console:ops".into()), &actor("ann"), "help", at(5)).await.unwrap();
    ledger.take_lease("discord.gateway", "w", LONG).await.unwrap().unwrap();
    let sealer = ledger.take_lease("sealer", "w", LONG).await.unwrap().unwrap();
    ledger.seal(&sealer).await.unwrap();
}

async fn columns(pool: &PgPool, schema: &str, table: &str) -> Vec<String> {
    let sql = "select column_name::text from information_schema.columns
               where table_schema = $1 and table_name = $2 and is_generated = 'NEVER' order by ordinal_position";
    sqlx::query_scalar(sql).bind(schema).bind(table).fetch_all(pool).await.unwrap()
}

/// A table's rows as text, sorted, of these columns.
async fn rows(pool: &PgPool, schema: &str, table: &str, columns: &[String]) -> Vec<String> {
    let sql = format!("select row({})::text from {schema}.{table} order by 1", columns.join(", "));
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_filled_database_of_every_earlier_version_keeps_every_row_and_goes_on() {
    let migrator =
        Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"))).await.unwrap();
    let versions: Vec<i64> = migrator.iter().map(|migration| migration.version).collect();
    for from in
        versions.iter().copied().filter(|version| (OLDEST..versions[versions.len() - 1]).contains(version))
    {
        let (ledger, owner_url) = fresh("migration").await;
        fill(&ledger).await;
        ledger.close().await;
        let pool = owner(&owner_url).await;
        // What the newest version wrote is put aside, and copied into tables as the older version had them.
        pool.execute("alter schema public rename to filled; create schema public").await.unwrap();
        migrator.run_to(from, &pool).await.unwrap();
        let mut before = BTreeMap::new();
        for table in TABLES {
            let old = columns(&pool, "public", table).await;
            if old.is_empty() {
                continue;
            }
            let there = columns(&pool, "filled", table).await;
            assert!(old.iter().all(|column| there.contains(column)), "{table} lost a column since {from}");
            let list = old.join(", ");
            let copy = format!(
                "alter table public.{table} disable trigger user;
                 insert into public.{table} ({list}) overriding system value select {list} from filled.{table};
                 alter table public.{table} enable trigger user"
            );
            pool.execute(AssertSqlSafe(copy))
                .await
                .unwrap_or_else(|error| panic!("{table} at {from}: {error}"));
            let copied = rows(&pool, "public", table, &old).await;
            assert!(
                !copied.is_empty() || matches!(table, "picture" | "link_offer" | "identity"),
                "{table} is empty"
            );
            before.insert(table, (old, copied));
        }
        pool.execute("drop schema filled cascade").await.unwrap();
        Ledger::migrate(&owner_url, "petrel")
            .await
            .unwrap_or_else(|error| panic!("from version {from}: {error}"));
        for (table, (old, copied)) in &before {
            assert_eq!(&rows(&pool, "public", table, old).await, copied, "{table} from version {from}");
        }
        let url = owner_url.replace("//petrel_owner@", "//petrel@");
        let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
        let filter = RequestFilter { limit: 9, ..RequestFilter::default() };
        let requests = ledger.requests(&filter).await.unwrap();
        assert_eq!(requests.len(), 3);
        for request in requests {
            ledger.view(request.id).await.unwrap().expect("it can be read");
        }
        assert_eq!(
            ledger.claim_deliveries("slack", "w2", LONG, &Take::of(9)).await.unwrap().len(),
            2,
            "from {from}"
        );
        assert_eq!(ledger.take_lease("discord.gateway", "w", LONG).await.unwrap().expect("ours").epoch, 1);
        pool.close().await;
    }
}
