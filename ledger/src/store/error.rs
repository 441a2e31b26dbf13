/// For `map_err`: the database could not do `what`.
pub(crate) fn sql(what: &'static str) -> impl Fn(sqlx::Error) -> LedgerError {
    move |source| LedgerError::Sql { what, source }
}

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database could not do `what`.
    #[error("{what}: {source}")]
    Sql {
        /// The operation: `claim a run`.
        what: &'static str,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// Another worker holds this run now; stop at once, write nothing.
    #[error("the lease on run {0} was lost to another worker")]
    Fenced(crate::RunId),
    /// The schema is older or newer than this build.
    #[error("the database schema is at version {found}, this build needs {needed}; run `petrel migrate`")]
    Schema {
        /// In the database.
        found: i64,
        /// Known to this build.
        needed: i64,
    },
    /// A row that the code cannot read.
    #[error("{what}: stored value is not readable: {why}")]
    Corrupt {
        /// Where.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl LedgerError {
    /// Worth trying again in a moment: connection lost, server restarting, serialization or deadlock.
    pub fn is_passing(&self) -> bool {
        todo!()
    }
}
