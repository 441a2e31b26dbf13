//! Notices: what people hear of who did not ask. A trigger writes them with the change of the request; whoever posts them
//! may do so twice.

use crate::*;
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// Something that people hear of who did not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// A request waits for approval.
    Approvals,
    /// Somebody went past the usual approvals.
    BreakGlass,
    /// A request ended and it is not known what it did: a person must look.
    Unknown,
    /// There is trouble: an incident's card, which stays live, and calls for people.
    Incidents,
}

impl Notice {
    /// Every one.
    pub const ALL: [Notice; 4] = [Notice::Approvals, Notice::BreakGlass, Notice::Unknown, Notice::Incidents];

    /// As in the config and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Notice::Approvals => "approvals",
            Notice::BreakGlass => "break-glass",
            Notice::Unknown => "unknown",
            Notice::Incidents => "incidents",
        }
    }
}

/// A notice that is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueNotice {
    /// About which request.
    pub request: RequestId,
    /// Of its plan: one made anew is a new notice.
    pub revision: u32,
    /// Which.
    pub notice: Notice,
}

impl Ledger {
    /// Claims up to `limit` notices that are due (`SKIP LOCKED`), oldest first; after `lease` they are due again.
    pub async fn claim_notices(&self, lease: Duration, limit: u32) -> Result<Vec<DueNotice>, LedgerError> {
        let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(
            "/* notice.claim */ update notice set due_at = clock_timestamp() + make_interval(secs => $1)
             where (request, revision, kind) in (
                 select request, revision, kind from notice where posted_at is null and due_at <= now()
                 order by due_at limit $2 for update skip locked
             ) returning request, revision, kind",
        )
        .bind(lease.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("claim notices"))?;
        let notice = |(request, revision, kind): (Uuid, i32, String)| {
            let notice = Notice::ALL.into_iter().find(|notice| notice.as_str() == kind)?;
            Some(DueNotice { request: RequestId(request), revision: revision.unsigned_abs(), notice })
        };
        Ok(rows.into_iter().filter_map(notice).collect())
    }

    /// It is posted wherever it should be.
    pub async fn posted(&self, notice: &DueNotice) -> Result<(), LedgerError> {
        sqlx::query(
            "/* notice.posted */ update notice set posted_at = clock_timestamp()
             where request = $1 and revision = $2 and kind = $3 and posted_at is null",
        )
        .bind(notice.request.0)
        .bind(notice.revision as i32)
        .bind(notice.notice.as_str())
        .execute(&self.pool)
        .await
        .map_err(sql("mark a notice posted"))?;
        Ok(())
    }
}
