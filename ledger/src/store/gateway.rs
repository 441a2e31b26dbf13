//! The session at Discord's gateway, kept so that whoever listens next goes on where the last one was.

use crate::*;

/// What Discord wants to know of a session that is gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySession {
    /// Its id.
    pub session: String,
    /// The account that it was begun as.
    pub bot: String,
    /// Where to ask; None: at the gateway's own address.
    pub url: Option<String>,
    /// All events up to this one have been taken in.
    pub seq: Option<u64>,
}

impl Ledger {
    /// The session that was last kept for this application; Discord decides whether it is still good.
    pub async fn gateway_session(&self, application: &str) -> Result<Option<GatewaySession>, LedgerError> {
        let row: Option<(String, String, Option<String>, Option<i64>)> =
            sqlx::query_as("select session, bot, url, seq from gateway_session where application = $1")
                .bind(application)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read the gateway's session"))?;
        Ok(row.map(|(session, bot, url, seq)| GatewaySession {
            session,
            bot,
            url,
            seq: seq.and_then(|seq| u64::try_from(seq).ok()),
        }))
    }

    /// Keeps it, as long as the lease is still ours; gives false when it is not.
    pub async fn keep_gateway_session(
        &self,
        lease: &Lease,
        application: &str,
        session: &GatewaySession,
    ) -> Result<bool, LedgerError> {
        let kept = sqlx::query(
            "/* gateway.keep */ insert into gateway_session (application, session, bot, url, seq)
             select $4, $5, $6, $7, $8 from lease where name = $1 and holder = $2 and epoch = $3
             on conflict (application) do update set session = excluded.session, bot = excluded.bot, url = excluded.url,
                 seq = excluded.seq",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.epoch)
        .bind(application)
        .bind(&session.session)
        .bind(&session.bot)
        .bind(&session.url)
        .bind(session.seq.and_then(|seq| i64::try_from(seq).ok()))
        .execute(&self.pool)
        .await
        .map_err(sql("keep the gateway's session"))?;
        Ok(kept.rows_affected() > 0)
    }
}
