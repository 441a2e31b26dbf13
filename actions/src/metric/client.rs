//! Asks Prometheus. Requests and result types are those of `prometheus-http-query`; ours are what it does not have: the
//! warnings of partial answers, a bound on an answer's size, and long ranges in pieces.

use super::{
    answer::{self, Asked, Line, Measured, Reading, Sample},
    config::PrometheusConfig,
    error::MetricError,
    range::Range,
};
use crate::cluster::chain;
use http::{HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use prometheus_http_query::{Client, response::Data};
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

/// Bytes of one answer, all its pieces together.
const ANSWER_LIMIT: usize = 32 << 20;
/// Questions to one Prometheus at once; more wait for their turn.
const AT_ONCE: usize = 8;

/// One cluster's Prometheus; cheap to clone.
#[derive(Clone)]
pub struct Prometheus(Arc<Inner>);

struct Inner {
    cluster: String,
    config: PrometheusConfig,
    /// Made by the first question, which reads the certificates.
    client: tokio::sync::OnceCell<Client>,
    turns: tokio::sync::Semaphore,
}

/// One request.
#[derive(Clone, Copy)]
enum Moment {
    At(Timestamp),
    Through { start: i64, end: i64, step: i64 },
}

impl Prometheus {
    /// Nothing is read or sent yet.
    pub fn new(cluster: &str, config: PrometheusConfig) -> Prometheus {
        Prometheus(Arc::new(Inner {
            cluster: cluster.to_string(),
            config,
            client: tokio::sync::OnceCell::new(),
            turns: tokio::sync::Semaphore::new(AT_ONCE),
        }))
    }

    /// The cluster it has measured.
    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// How it is reached and asked.
    pub fn config(&self) -> &PrometheusConfig {
        &self.0.config
    }

    /// Every series of a query at one moment.
    pub async fn instant(&self, query: &str, at: Timestamp) -> Result<Measured<Vec<Sample>>, MetricError> {
        let mut room = ANSWER_LIMIT;
        let (data, warnings) = self.ask(query, Moment::At(at), &mut room).await?;
        Ok(Measured { data: answer::samples(data).map_err(|why| self.unreadable(why))?, warnings })
    }

    /// The one number of a query that has at most one result.
    pub async fn value(&self, query: &str, at: Timestamp) -> Result<Measured<Reading>, MetricError> {
        let measured = self.instant(query, at).await?;
        Ok(Measured { data: answer::reading(&measured.data, query)?, warnings: measured.warnings })
    }

    /// Every series of a query over time, asked for in as many pieces as it takes.
    pub async fn range(&self, query: &str, range: Range) -> Result<Measured<Vec<Line>>, MetricError> {
        let (mut lines, mut warnings, mut room) = (BTreeMap::new(), Vec::new(), ANSWER_LIMIT);
        for (start, end) in range.pieces() {
            let piece = Moment::Through { start, end, step: range.step() };
            let (data, more) = self.ask(query, piece, &mut room).await?;
            answer::gather(&mut lines, data).map_err(|why| self.unreadable(why))?;
            warnings
                .extend(more.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
        }
        let data = lines.into_iter().map(|(labels, points)| Line { labels, points }).collect();
        Ok(Measured { data, warnings })
    }

    /// The one series of a query that has at most one; no points where there is none.
    pub async fn line(&self, query: &str, range: Range) -> Result<Measured<Vec<(i64, f64)>>, MetricError> {
        let Measured { mut data, warnings } = self.range(query, range).await?;
        if data.len() > 1 {
            return Err(MetricError::Several { count: data.len(), query: query.to_string() });
        }
        Ok(Measured { data: data.pop().map(|line| line.points).unwrap_or_default(), warnings })
    }

    /// `room`: bytes that the answer may still have; less afterwards.
    async fn ask(
        &self,
        query: &str,
        moment: Moment,
        room: &mut usize,
    ) -> Result<(Data, Vec<String>), MetricError> {
        let asked = Asked { cluster: self.cluster(), query, seconds: self.0.config.timeout_s };
        let asking = async {
            // The semaphore is never closed.
            let _turn = self.0.turns.acquire().await;
            let client = self.0.client.get_or_try_init(|| self.connect()).await?;
            let response = self.send(client, query, moment).await?;
            let status = response.status().as_u16();
            let body = self.body(response, query, room).await?;
            asked.read(status, &body)
        };
        let late = |_| MetricError::Timeout { cluster: self.cluster().to_string(), seconds: asked.seconds };
        tokio::time::timeout(self.timeout(), asking).await.map_err(late)?
    }

    /// With GET: a token that may only read often may do nothing else.
    async fn send(
        &self,
        client: &Client,
        query: &str,
        moment: Moment,
    ) -> Result<reqwest::Response, MetricError> {
        let header = self.authorization().await?;
        let milliseconds = i64::try_from(self.timeout().as_millis()).unwrap_or(i64::MAX);
        let sent = match moment {
            Moment::At(at) => {
                let mut request = client.query(query).at(at.as_second()).timeout(milliseconds);
                if let Some(header) = header {
                    request = request.header(AUTHORIZATION, header);
                }
                request.get_raw().await
            }
            Moment::Through { start, end, step } => {
                let mut request = client.query_range(query, start, end, step as f64).timeout(milliseconds);
                if let Some(header) = header {
                    request = request.header(AUTHORIZATION, header);
                }
                request.get_raw().await
            }
        };
        // The outer errors repeat the whole address with the query; the cause lies below.
        sent.map_err(|error| self.unreachable(error.source().and_then(Error::source).unwrap_or(&error)))
    }

    async fn body(
        &self,
        mut response: reqwest::Response,
        query: &str,
        room: &mut usize,
    ) -> Result<Vec<u8>, MetricError> {
        let mut body = Vec::new();
        while let Some(piece) =
            response.chunk().await.map_err(|error| self.unreachable(&error.without_url()))?
        {
            *room = room.checked_sub(piece.len()).ok_or_else(|| MetricError::TooLarge {
                cluster: self.cluster().to_string(),
                limit_mib: ANSWER_LIMIT >> 20,
                query: query.to_string(),
            })?;
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, MetricError> {
        let config = &self.0.config;
        let text = if let Some(variable) = &config.token_env {
            let token = std::env::var(variable).map_err(|_| {
                self.config_error(format!("token_env {variable} is not set in the environment"))
            })?;
            format!("Bearer {}", token.trim())
        } else if let Some(file) = &config.token_file {
            format!("Bearer {}", self.read(file).await?.trim())
        } else if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
            use base64::Engine;
            let pair = format!("{user}:{}", self.read(file).await?.trim());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        } else {
            return Ok(None);
        };
        let mut header = HeaderValue::try_from(text)
            .map_err(|_| self.config_error("the token has characters that no token has".into()))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    async fn connect(&self) -> Result<Client, MetricError> {
        let config = &self.0.config;
        config.check().map_err(|why| self.config_error(why))?;
        // A redirect would carry the question, and a proxy of the environment the token, where nobody meant them to go.
        let mut builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &config.ca_file {
            let pem = self.read(file).await?;
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| self.config_error(format!("{} has no certificate in it", file.display())))?;
            builder = builder.tls_certs_only(certificates);
        } else if config.url.starts_with("http://") {
            // There is nothing to verify, and the machine may have no certificates installed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| self.config_error(chain(&error)))?;
        Client::from(client, &config.url).map_err(|error| self.config_error(chain(&error)))
    }

    async fn read(&self, file: &std::path::Path) -> Result<String, MetricError> {
        tokio::fs::read_to_string(file)
            .await
            .map_err(|error| self.config_error(format!("cannot read {}: {error}", file.display())))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.0.config.timeout_s)
    }

    fn config_error(&self, why: String) -> MetricError {
        MetricError::Config { cluster: self.cluster().to_string(), why }
    }

    fn unreachable(&self, error: &dyn Error) -> MetricError {
        MetricError::Unreachable { cluster: self.cluster().to_string(), why: chain(error) }
    }

    fn unreadable(&self, why: &str) -> MetricError {
        MetricError::Unreadable { cluster: self.cluster().to_string(), why: why.to_string() }
    }
}
