//! The outbox: one row per card and place, with the version wanted and the version delivered. A card is drawn from the
//! state of its request when it is delivered, so edits coalesce and order cannot be wrong.

use super::time::timestamp;
use crate::*;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::FromRow;
use std::time::Duration;
use uuid::Uuid;

/// A card that was just shown is left alone for so long: what changes meanwhile is one edit.
pub const CARD_RESTS: Duration = Duration::from_millis(250);

/// What a card shows.
#[derive(Clone, Debug, PartialEq)]
pub enum CardSubject {
    /// A request, drawn from its state at the time of delivery.
    Request(RequestId),
    /// An incident, in the same way.
    Incident(IncidentId),
    /// A card that is said once and never changes: the answer to a query, help, a notice. The value is the bot's own
    /// platform-neutral card as JSON.
    Said(Value),
}

/// What a platform gave to answer an event with. It goes stale: doors know after how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The event.
    pub event: InboxId,
    /// Slack's response_url, Discord's interaction token.
    pub to: String,
    /// When the event came in.
    pub at: Timestamp,
}

/// One card due in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which card.
    pub card: CardId,
    /// Where.
    pub place: Place,
    /// Only this actor may see it (a private refusal).
    pub only_for: Option<Actor>,
    /// What it shows.
    pub subject: CardSubject,
    /// The caller's key of what is said.
    pub key: Option<String>,
    /// What the platform gave to answer with, when this is the answer to an event of this place.
    pub reply: Option<ReplyTo>,
    /// The version to deliver.
    pub version: i64,
    /// The platform's id of the message to edit; None: post it.
    pub message: Option<String>,
    /// Its message was deleted: this is another one.
    pub reposted: bool,
    /// Tries so far at this version.
    pub attempts: u32,
    /// Fencing token of this claim.
    pub token: i64,
}

/// What one worker takes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Take {
    /// In all.
    pub limit: u32,
    /// For one room: one whose platform is slow takes no more than these.
    pub per_room: u32,
    /// Not for these rooms: they are being delivered to, or wait.
    pub except: Vec<Place>,
}

impl Take {
    /// So many, of whichever rooms.
    pub fn of(limit: u32) -> Take {
        Take { limit, per_room: u32::MAX, except: Vec::new() }
    }
}

#[derive(FromRow)]
struct DeliveryRow {
    card: Uuid,
    place: String,
    only_for: Option<String>,
    request: Option<Uuid>,
    incident: Option<Uuid>,
    said: Option<String>,
    key: Option<String>,
    event: Option<Uuid>,
    reply_to: Option<String>,
    replied_at: Option<DateTime<Utc>>,
    wanted: i64,
    message: Option<String>,
    reposted: bool,
    attempts: i32,
    token: i64,
}

impl DeliveryRow {
    fn delivery(self) -> Result<Delivery, String> {
        Ok(Delivery {
            card: CardId(self.card),
            place: Place(self.place),
            only_for: self
                .only_for
                .map(|actor| actor.parse())
                .transpose()
                .map_err(|error: NotAnActor| error.to_string())?,
            subject: match (self.request, self.incident, self.said) {
                (Some(request), ..) => CardSubject::Request(RequestId(request)),
                (_, Some(incident), _) => CardSubject::Incident(IncidentId(incident)),
                (None, None, said) => CardSubject::Said(
                    serde_json::from_str(&said.unwrap_or_default()).map_err(|error| error.to_string())?,
                ),
            },
            key: self.key,
            reply: self.event.zip(self.reply_to).zip(self.replied_at).map(|((event, to), at)| ReplyTo {
                event: InboxId(event),
                to,
                at: timestamp(at),
            }),
            version: self.wanted,
            message: self.message,
            reposted: self.reposted,
            attempts: self.attempts.unsigned_abs().saturating_sub(1),
            token: self.token,
        })
    }
}

impl Ledger {
    /// Says something once in a place, by the caller's key (the same key says it once).
    pub async fn say(
        &self,
        key: &str,
        place: &Place,
        only_for: Option<&Actor>,
        card: &Value,
    ) -> Result<CardId, LedgerError> {
        let failed = sql("say something");
        let said: Option<Uuid> = sqlx::query_scalar(
            "/* outbox.say */ with said as (
                 insert into card (id, said, key) values ($1, $2::json, $3) on conflict (key) do nothing returning id
             ), due as (
                 insert into delivery (card, place, only_for, wanted) select id, $4, $5, 1 from said returning card
             )
             select card from due",
        )
        .bind(CardId::new().0)
        .bind(card.to_string())
        .bind(key)
        .bind(&place.0)
        .bind(only_for.map(Actor::as_str))
        .fetch_optional(&self.pool)
        .await
        .map_err(&failed)?;
        let id = match said {
            Some(id) => {
                self.wake(Wake::Card);
                id
            }
            None => sqlx::query_scalar("select id from card where key = $1")
                .bind(key)
                .fetch_one(&self.pool)
                .await
                .map_err(&failed)?,
        };
        Ok(CardId(id))
    }

    /// Shows a request's card in one more place; there, one that was given up is tried again.
    pub async fn show(&self, request: RequestId, place: &Place) -> Result<CardId, LedgerError> {
        let id: Uuid = sqlx::query_scalar(
            "/* outbox.show */ with card as (
                 insert into card (id, request) values ($1, $2) on conflict (request) do update set request = excluded.request
                 returning id, version
             ), due as (
                 insert into delivery (card, place, wanted) select id, $3, version from card
                 on conflict (card, place) do update set given_up_at = null, failing_since = null, reposted = false,
                     attempts = 0, due_at = clock_timestamp()
                 where delivery.given_up_at is not null
             )
             select id from card",
        )
        .bind(CardId::new().0)
        .bind(request.0)
        .bind(&place.0)
        .fetch_one(&self.pool)
        .await
        .map_err(sql("show a card"))?;
        self.wake(Wake::Card);
        Ok(CardId(id))
    }

    /// Claims deliveries that are due on one platform (`SKIP LOCKED`), oldest first. One that cannot be read (a newer
    /// replica wrote it) is logged and left out, so that it never holds up the others.
    pub async fn claim_deliveries(
        &self,
        platform: &str,
        worker: &str,
        lease: Duration,
        take: &Take,
    ) -> Result<Vec<Delivery>, LedgerError> {
        let rows: Vec<DeliveryRow> = sqlx::query_as(
            "/* outbox.claim */ with oldest as (
                 select card, place, due_at from delivery
                 -- now() and not the clock: what does not change within a statement can be looked up in an index.
                 where platform = $1 and shown < wanted and given_up_at is null and due_at <= now()
                   and place <> all ($5)
                 -- However many are due. A room that fills this with its own is full, and left out, the next time.
                 order by due_at limit $4 * 8
             ), queued as (
                 select card, place, row_number() over (partition by place order by due_at, card) nth from oldest
             ), due as (
                 select d.card, d.place, d.due_at from delivery d
                 join queued q on q.card = d.card and q.place = d.place and q.nth <= $6
                 where d.shown < d.wanted and d.given_up_at is null and d.due_at <= clock_timestamp()
                 order by d.due_at limit $4 for update of d skip locked
             ), claimed as (
                 update delivery d set worker = $2, token = token + 1, attempts = attempts + 1,
                        due_at = clock_timestamp() + make_interval(secs => $3)
                 from due where d.card = due.card and d.place = due.place
                 returning d.card, d.place, d.only_for, d.wanted, d.message, d.reposted, d.attempts, d.token, due.due_at was_due
             )
             select claimed.*, card.request, card.incident, card.said::text, card.key, inbox.id event, inbox.reply_to, inbox.at replied_at
             from claimed join card on card.id = claimed.card
             left join request on request.id = card.request
             -- The answer to an event carries its key: `inbox:<id>`, with more behind it for a second answer.
             left join inbox on inbox.place = claimed.place and inbox.id =
                 case when coalesce(card.key, request.key) ~ '^inbox:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
                 then substring(coalesce(card.key, request.key) from 7 for 36)::uuid end
             order by was_due, card.id",
        )
        .bind(platform)
        .bind(worker)
        .bind(lease.as_secs_f64())
        .bind(i64::from(take.limit))
        .bind(take.except.iter().map(|place| place.0.as_str()).collect::<Vec<_>>())
        .bind(i64::from(take.per_room))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("claim deliveries"))?;
        let readable = |row: DeliveryRow| {
            let card = row.card;
            row.delivery()
                .inspect_err(|why| tracing::error!(%card, why, "this build cannot read a delivery; it waits for one that can"))
                .ok()
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// It is there: remembers the platform's message id and the version shown; when more has happened since, it is due
    /// again after [`CARD_RESTS`]. Fenced; false when the claim was lost.
    pub async fn delivered(&self, delivery: &Delivery, message: &str) -> Result<bool, LedgerError> {
        self.note_delivered(delivery, message, None).await
    }

    /// As [`Ledger::delivered`], of a card that was said and is not to be kept: `instead` takes its place.
    pub async fn delivered_once(
        &self,
        delivery: &Delivery,
        message: &str,
        instead: &Value,
    ) -> Result<bool, LedgerError> {
        self.note_delivered(delivery, message, Some(instead)).await
    }

    async fn note_delivered(
        &self,
        delivery: &Delivery,
        message: &str,
        instead: Option<&Value>,
    ) -> Result<bool, LedgerError> {
        let card: Option<Uuid> = sqlx::query_scalar(
            "/* outbox.delivered */ with done as (
                 update delivery set shown = $4, message = $5, attempts = 0, error = null, failing_since = null,
                     worker = null, due_at = clock_timestamp() + make_interval(secs => $7)
                 where card = $1 and place = $2 and token = $3 returning card
             ), forgotten as (
                 update card set said = $6::json from done
                 where card.id = done.card and said is not null and $6::text is not null)
             select card from done",
        )
        .bind(delivery.card.0)
        .bind(&delivery.place.0)
        .bind(delivery.token)
        .bind(delivery.version)
        .bind(message)
        .bind(instead.map(Value::to_string))
        .bind(CARD_RESTS.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("mark a card delivered"))?;
        Ok(card.is_some())
    }

    /// It is not, and was not tried: its turn comes after `wait`. Nothing happens when the claim was lost.
    pub async fn postponed(&self, delivery: &Delivery, wait: Duration) -> Result<(), LedgerError> {
        sqlx::query(
            "/* outbox.postponed */ update delivery set attempts = greatest(attempts - 1, 0), worker = null,
                    due_at = clock_timestamp() + make_interval(secs => $4)
             where card = $1 and place = $2 and token = $3",
        )
        .bind(delivery.card.0)
        .bind(&delivery.place.0)
        .bind(delivery.token)
        .bind(wait.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(sql("put a delivery off"))?;
        Ok(())
    }

    /// It is not: tries again after `wait`, unless every try since `patience` ago has failed. True: it is given up. Nothing
    /// happens when the claim was lost.
    pub async fn undelivered(
        &self,
        delivery: &Delivery,
        why: &str,
        wait: Duration,
        patience: Duration,
    ) -> Result<bool, LedgerError> {
        let given_up: Option<bool> = sqlx::query_scalar(
            "/* outbox.undelivered */ update delivery
             set error = $4, worker = null, due_at = clock_timestamp() + make_interval(secs => $5),
                 failing_since = coalesce(failing_since, clock_timestamp()),
                 given_up_at = case when coalesce(failing_since, clock_timestamp())
                     <= clock_timestamp() - make_interval(secs => $6) then clock_timestamp() end
             where card = $1 and place = $2 and token = $3
             returning given_up_at is not null",
        )
        .bind(delivery.card.0)
        .bind(&delivery.place.0)
        .bind(delivery.token)
        .bind(why)
        .bind(wait.as_secs_f64())
        .bind(patience.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("mark a card undelivered"))?;
        Ok(given_up.unwrap_or(false))
    }

    /// Somebody deleted its message: it is posted anew, at once, the first time; true: it was posted anew before, and is given
    /// up. Nothing happens when the claim was lost.
    pub async fn deleted(&self, delivery: &Delivery, why: &str) -> Result<bool, LedgerError> {
        let given_up: Option<bool> = sqlx::query_scalar(
            "/* outbox.deleted */ update delivery
             set message = null, shown = 0, attempts = 0, error = $4, worker = null, due_at = clock_timestamp(),
                 reposted = true, given_up_at = case when reposted then clock_timestamp() end
             where card = $1 and place = $2 and token = $3
             returning given_up_at is not null",
        )
        .bind(delivery.card.0)
        .bind(&delivery.place.0)
        .bind(delivery.token)
        .bind(why)
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("note that a message is gone"))?;
        Ok(given_up.unwrap_or(false))
    }

    /// Is this message of the room another card's? For doors that look for a message of theirs whose making was not answered.
    pub async fn is_anothers(&self, delivery: &Delivery, message: &str) -> Result<bool, LedgerError> {
        sqlx::query_scalar(
            "select exists (select from delivery where place = $1 and message = $2 and card <> $3)",
        )
        .bind(&delivery.place.0)
        .bind(message)
        .bind(delivery.card.0)
        .fetch_one(&self.pool)
        .await
        .map_err(sql("look whose message it is"))
    }

    /// Where a request's card is given up, and why.
    pub async fn given_up(&self, request: RequestId) -> Result<Vec<(Place, String)>, LedgerError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select place, coalesce(error, '') from delivery join card on card.id = delivery.card
             where card.request = $1 and given_up_at is not null order by place",
        )
        .bind(request.0)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read what is given up"))?;
        Ok(rows.into_iter().map(|(place, why)| (Place(place), why)).collect())
    }

    /// Rooms in which cards were given up within the last day: how many, and why the last one.
    pub async fn rooms_given_up(&self) -> Result<Vec<(Place, u64, String)>, LedgerError> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "select place, count(*), coalesce((array_agg(error order by given_up_at desc))[1], '') from delivery
             where given_up_at > clock_timestamp() - interval '1 day' group by place order by place",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read what is given up"))?;
        Ok(rows.into_iter().map(|(place, count, why)| (Place(place), count.unsigned_abs(), why)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::{PrivatePostgres, test_dir};
    use crate::words::sample;

    const LONG: Duration = Duration::from_secs(600);

    /// A request with a card, and the run that changes it.
    struct Shown {
        ledger: Ledger,
        fence: Fence,
    }

    impl Shown {
        async fn new() -> Shown {
            let server = PrivatePostgres::join(&test_dir()).await.unwrap();
            let (url, _) = server.database("bump").await.unwrap();
            let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
            let ask = Ask { place: Some(Place("console:ops".into())), ..sample::ask() };
            let allow = Decision::Allow { rule: "dev".into() };
            let request =
                Request::new(RequestId::new(), ask, sample::plan(), allow, "policy-1".into(), sample::NOW);
            ledger.submit(&request).await.unwrap();
            let claim = ledger.claim_runs("w", LONG, 1, sample::NOW).await.unwrap().pop().unwrap();
            Shown { ledger, fence: claim.fence }
        }

        async fn bump(&self) {
            self.ledger.progress(&self.fence, "4 of 6 pods ready").await.unwrap();
        }

        async fn claim(&self) -> Vec<Delivery> {
            self.ledger.claim_deliveries("console", "w", LONG, &Take::of(9)).await.unwrap()
        }

        /// What is due when every card has rested.
        async fn rested(&self) -> Vec<Delivery> {
            tokio::time::sleep(CARD_RESTS).await;
            self.claim().await
        }
    }

    #[tokio::test]
    async fn changes_during_a_delivery_are_one_more_delivery_of_the_same_message() {
        let shown = Shown::new().await;
        let first = shown.claim().await.remove(0);
        for _ in 0..3 {
            shown.bump().await;
        }
        assert_eq!(shown.claim().await, [], "one worker at a time");
        assert!(shown.ledger.delivered(&first, "m1").await.unwrap());
        assert_eq!(shown.claim().await, [], "it was just shown");
        let second = shown.rested().await.remove(0);
        assert_eq!(
            (second.version, second.message.as_deref(), second.attempts),
            (first.version + 3, Some("m1"), 0)
        );
        assert!(shown.ledger.delivered(&second, "m1").await.unwrap());
        assert_eq!(shown.rested().await, []);
        shown.bump().await;
        assert_eq!(shown.claim().await.len(), 1, "due at once");
    }

    #[tokio::test]
    async fn a_change_does_not_cut_a_wait_short() {
        let shown = Shown::new().await;
        let first = shown.claim().await.remove(0);
        shown.ledger.undelivered(&first, "told to wait", LONG, LONG).await.unwrap();
        shown.bump().await;
        assert_eq!(shown.claim().await, []);
    }

    #[tokio::test]
    async fn a_change_of_a_request_without_a_card_is_told_to_whoever_watches_it() {
        let shown = Shown::new().await;
        let mut wakes = shown.ledger.wakes();
        let ask = Ask { key: "k-2".into(), ..sample::ask() };
        let allow = Decision::Allow { rule: "dev".into() };
        let request =
            Request::new(RequestId::new(), ask, sample::plan(), allow, "policy-1".into(), sample::NOW);
        shown.ledger.submit(&request).await.unwrap();
        let mut heard = Vec::new();
        while !(heard.contains(&Wake::Asked(request.id)) && heard.contains(&Wake::Run)) {
            heard.push(wakes.recv().await.unwrap());
        }
    }
}
