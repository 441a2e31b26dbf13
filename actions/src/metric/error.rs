//! What can go wrong between a question and its answer.

/// Why there is no measurement; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// No `[cluster.prometheus]`.
    #[error("no Prometheus is configured for cluster {cluster}; give it [cluster.prometheus] with a url")]
    NotConfigured {
        /// Which.
        cluster: String,
    },
    /// A file of the config cannot be used.
    #[error("prometheus of {cluster}: {why}")]
    Config {
        /// Which.
        cluster: String,
        /// Why.
        why: String,
    },
    /// Not answered.
    #[error(
        "prometheus of {cluster} did not answer: {why}; check [cluster.prometheus] url, and that it runs"
    )]
    Unreachable {
        /// Which.
        cluster: String,
        /// Why.
        why: String,
    },
    /// Not answered in time, or it gave up in time.
    #[error("prometheus of {cluster} had no answer within {seconds} s; ask for less, or raise timeout_s")]
    Timeout {
        /// Which.
        cluster: String,
        /// Of the config.
        seconds: u64,
    },
    /// 401 or 403.
    #[error("prometheus of {cluster} does not let us ask ({status}); check its token, or user and password")]
    SignIn {
        /// Which.
        cluster: String,
        /// HTTP status.
        status: u16,
    },
    /// The question is at fault.
    #[error("prometheus of {cluster} refuses the query: {why}: {query}")]
    Query {
        /// Which.
        cluster: String,
        /// Its words.
        why: String,
        /// As sent.
        query: String,
    },
    /// More than we hold.
    #[error(
        "the answer of prometheus of {cluster} is larger than {limit_mib} MiB; aggregate with sum() or max(), or ask for a shorter time: {query}"
    )]
    TooLarge {
        /// Which.
        cluster: String,
        /// What one answer may have.
        limit_mib: usize,
        /// As sent.
        query: String,
    },
    /// One number was wanted.
    #[error(
        "the query has {count} results where one is wanted; aggregate with sum(), max() or avg(): {query}"
    )]
    Several {
        /// How many.
        count: usize,
        /// As sent.
        query: String,
    },
    /// Nothing is known by that name.
    #[error(
        "there is no metric '{metric}' for a {kind}; there are {known}. Others: [[cluster.prometheus.query]]"
    )]
    NoQuery {
        /// As typed.
        metric: String,
        /// Of the workload.
        kind: String,
        /// What there is.
        known: String,
    },
    /// An answer that is none of Prometheus'.
    #[error("prometheus of {cluster} answered something else ({why}); check [cluster.prometheus] url")]
    Unreadable {
        /// Which.
        cluster: String,
        /// What.
        why: String,
    },
    /// Anything else that it says of itself.
    #[error("prometheus of {cluster} cannot answer now: {why}")]
    Unavailable {
        /// Which.
        cluster: String,
        /// Its words.
        why: String,
    },
}
