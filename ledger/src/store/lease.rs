//! Leases for what must be alone: the sealer, the checkpoint writer, the Discord gateway.
//!
//! The database's clock decides, because replicas must agree on it.

use crate::*;
use std::time::Duration;

/// A held lease; its epoch grows with every change of holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What for: `sealer`.
    pub name: String,
    /// Who; different for every process, also after a restart.
    pub holder: String,
    /// Fencing token.
    pub epoch: i64,
}

impl Ledger {
    /// Takes the lease if it is free, run out or already ours (then it is renewed with the same epoch).
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        lasts: Duration,
    ) -> Result<Option<Lease>, LedgerError> {
        // Asking in vain, as every replica but one does all day, must write nothing: hence an update that matches no
        // row, and `do nothing`, rather than an upsert that locks the row first and looks then.
        let taken: Option<i64> = sqlx::query_scalar(
            "/* lease.take */ update lease
             set epoch = epoch + (holder <> $2)::int, holder = $2, process = current_setting('application_name'),
                 until = clock_timestamp() + make_interval(secs => $3)
             where name = $1 and (holder = $2 or until <= clock_timestamp()) returning epoch",
        )
        .bind(name)
        .bind(holder)
        .bind(lasts.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("take a lease"))?;
        let epoch = match taken {
            Some(epoch) => Some(epoch),
            None => sqlx::query_scalar(
                "/* lease.take */ insert into lease (name, holder, process, epoch, until)
                 values ($1, $2, current_setting('application_name'), 1, clock_timestamp() + make_interval(secs => $3))
                 on conflict do nothing returning epoch",
            )
            .bind(name)
            .bind(holder)
            .bind(lasts.as_secs_f64())
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("take a lease"))?,
        };
        Ok(epoch.map(|epoch| Lease { name: name.into(), holder: holder.into(), epoch }))
    }

    /// Takes the lease from a holder whose process has no connection to the database left, as after a `kill -9`: at once, where
    /// [`Ledger::take_lease`] would wait until it runs out. A holder that lives but has lost the database is overtaken too; so this is
    /// for what two may do for a moment.
    pub async fn inherit_lease(
        &self,
        name: &str,
        holder: &str,
        lasts: Duration,
    ) -> Result<Option<Lease>, LedgerError> {
        let epoch: Option<i64> = sqlx::query_scalar(
            "/* lease.inherit */ update lease
             set epoch = epoch + 1, holder = $2, process = current_setting('application_name'),
                 until = clock_timestamp() + make_interval(secs => $3)
             where name = $1 and holder <> $2 and process is not null
               and not exists (select from pg_stat_activity where application_name = lease.process)
             returning epoch",
        )
        .bind(name)
        .bind(holder)
        .bind(lasts.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("inherit a lease"))?;
        Ok(epoch.map(|epoch| Lease { name: name.into(), holder: holder.into(), epoch }))
    }

    /// Gives it back early; nothing happens if it was lost.
    pub async fn give_lease(&self, lease: &Lease) -> Result<(), LedgerError> {
        sqlx::query(
            "/* lease.give */ update lease set until = clock_timestamp() where name = $1 and holder = $2 and epoch = $3",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.epoch)
        .execute(&self.pool)
        .await
        .map_err(sql("give a lease back"))?;
        Ok(())
    }
}
