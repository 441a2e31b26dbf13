//! What a cluster's Prometheus has measured: a client of its HTTP API, and the queries that tell what a workload uses.
//!
//! It tells apart what must not be confused: a value, a value that is not a number, no value, and an answer of which parts
//! are missing. Text that people typed reaches PromQL only as the escaped value of a label (G12).

mod account;
mod answer;
mod client;
mod config;
mod error;
mod history;
mod look;
mod range;
mod template;
mod unit;

pub use account::{account, moment};
pub use answer::{Line, Measured, Reading, Sample};
pub use client::Prometheus;
pub use config::{PrometheusConfig, QueryConfig};
pub use error::MetricError;
pub use history::{History, NoForecast, resolution};
pub use look::Look;
pub use range::Range;
pub(crate) use range::SETTLED;
pub use template::{METRICS, Metric, Scope};
pub use unit::{amount, digits};
