/// For `map_err`: the database could not do `what`.
pub(crate) fn sql(what: &'static str) -> impl Fn(sqlx::Error) -> LedgerError + Copy {
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
    /// Worth trying again in a moment: connection lost, server restarting, failing over or full, serialization or
    /// deadlock.
    pub fn is_passing(&self) -> bool {
        let LedgerError::Sql { source, .. } = self else { return false };
        match source {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing_code(&code)),
            _ => false,
        }
    }
}

/// SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
fn is_passing_code(code: &str) -> bool {
    // 08: connection; 40: rolled back (serialization, deadlock); 53: out of a resource.
    // 57P: shut down, crashed, starting up; 25P03: idle in a transaction for too long; 25006: read-only, as a primary is
    // that was just demoted; 55P03: lock not available.
    ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class))
        || ["25P03", "25006", "55P03"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarting_server_passes_and_a_broken_promise_does_not() {
        for code in ["57P01", "57P03", "08006", "40001", "40P01", "53300", "25006"] {
            assert!(is_passing_code(code), "{code}");
        }
        for code in ["23505", "23514", "42501", "42P01", "57014"] {
            assert!(!is_passing_code(code), "{code}");
        }
        let cut = sql("x")(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(cut.is_passing());
        assert!(!LedgerError::Fenced(crate::RunId::new()).is_passing());
    }
}
