//! One call to an API server: breaker, turn, timeout, and what came of it.

use super::{Cluster, ClusterError, answer, connect};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::Value;
use std::{
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

/// No answer that we ask for is longer.
const LONGEST_ANSWER: usize = 64 << 20;

/// Who we are in the cluster's own audit log.
pub(super) const USER_AGENT: &str = concat!("petrel/", env!("CARGO_PKG_VERSION"));

/// One HTTP exchange.
pub(super) struct Call<'a> {
    pub method: http::Method,
    pub path: String,
    /// What it is about, for errors: `Deployment shop/checkout`.
    pub what: &'a str,
    pub body: Option<(&'static str, &'a Value)>,
    /// Changes something when it succeeds (so not a dry run).
    pub writes: bool,
    pub timeout: Duration,
}

impl Cluster {
    /// GET, as JSON.
    pub(super) async fn read(&self, path: String, what: &str) -> Result<Value, ClusterError> {
        self.json(Call {
            method: http::Method::GET,
            path,
            what,
            body: None,
            writes: false,
            timeout: self.timeout(),
        })
        .await
    }

    /// A call whose answer is JSON. An answer to a write that cannot be read leaves its outcome unknown.
    pub(super) async fn json(&self, call: Call<'_>) -> Result<Value, ClusterError> {
        let writes = call.writes;
        let text = self.call(call).await?;
        serde_json::from_slice(&text).map_err(|error| {
            let cluster = self.name().to_string();
            let why = format!("its answer is not JSON: {error}");
            if writes {
                ClusterError::Unreachable { cluster, why }
            } else {
                ClusterError::Other { cluster, message: why }
            }
        })
    }

    /// The body of a 2xx answer.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, ClusterError> {
        let other = |message: String| ClusterError::Other { cluster: self.name().to_string(), message };
        let (_turn, client, bearer) = self.ready(call.timeout).await?;
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(&call.path)
            .header(http::header::ACCEPT, "application/json, */*")
            .header(http::header::USER_AGENT, USER_AGENT);
        if let Some(bearer) = bearer {
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        let body = match call.body {
            Some((content_type, value)) => {
                request = request.header(http::header::CONTENT_TYPE, content_type);
                Body::from(value.to_string().into_bytes())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| other(format!("build a request: {error}")))?;
        let started = Instant::now();
        let exchange = tokio::time::timeout(call.timeout, async {
            let answer = client.send(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map_err(kube::Error::Service)?;
            Ok::<_, kube::Error>((status, body.to_bytes().to_vec()))
        });
        let (status, body) = match exchange.await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => {
                if let kube::Error::Service(inner) = &error
                    && let Some(auth) = inner.downcast_ref::<kube::client::AuthError>()
                {
                    // Not sent, and nothing was heard of the cluster.
                    self.answered();
                    return Err(other(connect::sign_in_failed(auth)));
                }
                return Err(self.lost(answer::chain(&error)));
            }
            Err(_) => return Err(self.lost(format!("no answer within {} s", call.timeout.as_secs()))),
        };
        self.answered();
        self.0.latency_ms.store(started.elapsed().as_millis() as u64, Ordering::Relaxed);
        if status.is_success() {
            return Ok(body);
        }
        if status == http::StatusCode::UNAUTHORIZED {
            *self.0.client.lock().await = None;
        }
        Err(answer::refusal(self.name(), call.what, status.as_u16(), &body, call.writes))
    }

    /// A turn, a client and the bearer token. Nothing has been sent until all of these are had.
    pub(super) async fn ready(
        &self,
        timeout: Duration,
    ) -> Result<(tokio::sync::SemaphorePermit<'_>, kube::Client, Option<http::HeaderValue>), ClusterError>
    {
        let other = |message: String| ClusterError::Other { cluster: self.name().to_string(), message };
        self.breaker(|breaker| breaker.admit(Instant::now(), timeout * 2)).map_err(|wait| {
            ClusterError::Open { cluster: self.name().to_string(), retry_in_s: wait.as_secs() + 1 }
        })?;
        // What goes wrong here says nothing about the cluster's silence.
        let prepared = tokio::time::timeout(timeout, async {
            let turn = self.0.turns.acquire().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((turn, self.client().await?, connect::bearer(&self.0.config).await?))
        });
        match prepared.await {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(message)) => {
                self.answered();
                Err(other(message))
            }
            Err(_) => {
                self.silent();
                Err(other(format!("not tried: no turn or no credentials within {} s", timeout.as_secs())))
            }
        }
    }

    /// The cluster has answered something.
    pub(super) fn answered(&self) {
        self.breaker(|breaker| breaker.answered());
    }

    /// It has not.
    pub(super) fn lost(&self, why: String) -> ClusterError {
        self.silent();
        ClusterError::Unreachable { cluster: self.name().to_string(), why }
    }

    async fn client(&self) -> Result<kube::Client, String> {
        let mut known = self.0.client.lock().await;
        if let Some(client) = &*known {
            return Ok(client.clone());
        }
        let (config, runtime) = (self.0.config.clone(), tokio::runtime::Handle::current());
        let client = tokio::task::spawn_blocking(move || connect::client(&config, &runtime))
            .await
            .map_err(|error| error.to_string())??;
        *known = Some(client.clone());
        Ok(client)
    }

    /// A client for watches.
    pub(crate) async fn watcher(&self) -> Result<kube::Client, ClusterError> {
        let (config, runtime) = (self.0.config.clone(), tokio::runtime::Handle::current());
        let made = tokio::task::spawn_blocking(move || connect::watcher(&config, &runtime)).await;
        made.map_err(|error| error.to_string())
            .flatten()
            .map_err(|message| ClusterError::Other { cluster: self.name().to_string(), message })
    }

    fn silent(&self) {
        let chance = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        if self.breaker(|breaker| breaker.silent(Instant::now(), chance)) {
            tracing::warn!(
                cluster = self.name(),
                "the cluster does not answer; it is left alone but for a probe now and then"
            );
        }
    }

    fn breaker<T>(&self, act: impl FnOnce(&mut super::Breaker) -> T) -> T {
        // The breaker is plain data: a panic elsewhere cannot have left it half-changed.
        act(&mut self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
