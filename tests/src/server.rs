//! An HTTP server on loopback for the stand-ins: it speaks websockets, may break a connection off instead of answering, and may be
//! away altogether, as the real ones sometimes are.

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, service::service_fn, upgrade::Upgraded};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::SeqCst},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};
use tower::ServiceExt;

/// A websocket as the server has it.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// In a response's extensions: the connection breaks off instead of carrying it. What was done stays done.
#[derive(Clone, Copy, Debug)]
pub struct NoAnswer;

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stand-in breaks the connection off")
    }
}

impl std::error::Error for Broken {}

/// A running server; it goes with its value.
pub struct Server {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    cut: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves on a free port of loopback.
    pub async fn start(app: Router) -> Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let away = Arc::new(AtomicBool::new(false));
        let (cut, cuts) = watch::channel(0);
        let task = tokio::spawn({
            let away = away.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if away.load(SeqCst) {
                        continue; // dropped: connection reset
                    }
                    let _ = stream.set_nodelay(true);
                    let (app, mut cuts) = (app.clone(), cuts.clone());
                    cuts.mark_unchanged();
                    tokio::spawn(async move {
                        let answer =
                            service_fn(move |request: Request<Incoming>| answer(app.clone(), request));
                        let server = Builder::new(TokioExecutor::new());
                        tokio::select! {
                            _ = server.serve_connection_with_upgrades(TokioIo::new(stream), answer) => {}
                            _ = cuts.changed() => {}
                        }
                    });
                }
            }
        });
        Ok(Server { address, away, cut, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Away: open connections break and new ones are refused, until it is back.
    pub fn away(&self, away: bool) {
        self.away.store(away, SeqCst);
        if away {
            self.cut.send_modify(|n| *n += 1);
        }
    }
}

async fn answer(app: Router, request: Request<Incoming>) -> Result<Response, Broken> {
    let response = app.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
    match response.extensions().get::<NoAnswer>() {
        Some(NoAnswer) => Err(Broken),
        None => Ok(response),
    }
}

/// Answers a websocket's handshake and hands the socket to `serve`.
pub fn websocket<F, Fut>(mut request: Request, serve: F) -> Response
where
    F: FnOnce(Socket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return (StatusCode::UPGRADE_REQUIRED, "a websocket is spoken here").into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            serve(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await).await;
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).expect("base64"));
    response
}
