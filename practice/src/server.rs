//! The loopback socket: connections, faults, and answers on the wire.

use crate::cluster::Cluster;
use crate::failure::{Failure, PLAIN};
use crate::faults::Fate;
use crate::routes::{self, Answer, Call};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// As on the real server (its etcd takes less).
const LARGEST_BODY: usize = 3 << 20;

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Accepts until the cluster stops. While it refuses, the port is closed and open connections are cut.
pub(crate) async fn serve(cluster: Arc<Cluster>, listener: TcpListener, address: SocketAddr) {
    let mut refusals = cluster.faults.refusals();
    let mut listener = Some(listener);
    loop {
        if *refusals.borrow_and_update() {
            listener = None;
        } else if listener.is_none() {
            match listen(address) {
                Ok(again) => listener = Some(again),
                Err(error) => {
                    tracing::warn!(%error, %address, "cannot listen again yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
        }
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accept => match accepted {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    tokio::spawn(connection(cluster.clone(), TokioIo::new(socket)));
                }
                Err(error) => tracing::warn!(%error, "accept a connection"),
            },
            _ = refusals.changed() => {}
            _ = cluster.stop.cancelled() => return,
        }
    }
}

async fn connection(cluster: Arc<Cluster>, io: TokioIo<tokio::net::TcpStream>) {
    let mut refusals = cluster.faults.refusals();
    let serving = {
        let cluster = cluster.clone();
        let service = service_fn(move |request| handle(cluster.clone(), request));
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(io, service)
            .with_upgrades()
    };
    tokio::select! {
        // Broken connections are what tests ask for; there is nothing to report.
        _ = serving => {}
        _ = refusals.wait_for(|refuse| *refuse) => {}
        _ = cluster.stop.cancelled() => {}
    }
}

/// An error here breaks the connection without an answer.
async fn handle(cluster: Arc<Cluster>, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let path: Vec<String> = parts.uri.path().split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Ok(refusal(&Failure::new(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit is {LARGEST_BODY}"),
            )));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    match path.first().map(String::as_str) {
        Some("practice") => {
            return Ok(routes::admin::answer(&cluster, &parts.method, &path, &body)
                .map_or_else(|failure| refusal(&failure), answer));
        }
        Some("healthz" | "livez" | "readyz") => return Ok(answer(Answer::Text("ok".into()))),
        _ => {}
    }
    if let Fate::Fail(code) = cluster.faults.meet().await {
        return Ok(refusal(&Failure::fault(code)));
    }
    let text = |name: header::HeaderName| header_text(&parts.headers, &name);
    let user = match cluster.tokens.user(Some(text(header::AUTHORIZATION)).filter(|value| !value.is_empty()))
    {
        Ok(user) => user,
        // Everybody may ask for the version.
        Err(_) if path == ["version"] => return Ok(answer(Answer::Json(200, crate::discovery::version()))),
        Err(failure) => return Ok(refusal(&failure)),
    };
    let pairs: Vec<(String, String)> = parts
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    let call = Call {
        query: pairs.iter().cloned().collect::<HashMap<_, _>>(),
        user,
        agent: text(header::USER_AGENT).to_owned(),
        content_type: text(header::CONTENT_TYPE).to_owned(),
        method: parts.method,
        path,
        body,
    };
    if let Some(key) = parts.headers.get(header::SEC_WEBSOCKET_KEY) {
        let command = pairs.into_iter().filter(|(key, _)| key == "command").map(|(_, word)| word).collect();
        return Ok(match routes::exec::begin(&cluster, &call, command) {
            Ok(answer) => {
                tokio::spawn(routes::exec::speak(upgrade, answer));
                switch(key.as_bytes())
            }
            Err(failure) => refusal(&failure),
        });
    }
    let result = routes::route(&cluster, &call).await;
    let applied = result.is_ok() && call.method != http::Method::GET && !matches!(call.dry_run(), Ok(true));
    if applied && cluster.faults.take_dropped_answer() {
        return Err(io::Error::other("the answer is dropped by a fault"));
    }
    Ok(result.map_or_else(|failure| refusal(&failure), answer))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// To a WebSocket (RFC 6455, section 4.2.2).
fn switch(key: &[u8]) -> Response<Body> {
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key);
    let mut response = answer(Answer::Text(String::new()));
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.clear();
    let values = [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_PROTOCOL, routes::exec::PROTOCOL),
        (header::SEC_WEBSOCKET_ACCEPT, accept.as_str()),
    ];
    for (name, value) in values {
        headers.extend(http::HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    response
}

fn refusal(failure: &Failure) -> Response<Body> {
    if failure.reason == PLAIN {
        let mut response = answer(Answer::Text(failure.message.clone()));
        *response.status_mut() =
            http::StatusCode::from_u16(failure.code).unwrap_or(http::StatusCode::NOT_FOUND);
        return response;
    }
    let mut response = answer(Answer::Json(failure.code, failure.status()));
    if let Some(seconds) = failure.details["retryAfterSeconds"].as_u64() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn answer(answer: Answer) -> Response<Body> {
    let whole = |bytes: Vec<u8>| Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync();
    let (code, kind, body) = match answer {
        Answer::Json(code, value) => (code, "application/json", whole(value.to_string().into_bytes())),
        Answer::Bytes(bytes) => (200, "application/json", whole(bytes)),
        Answer::Text(text) => (200, "text/plain", whole(text.into_bytes())),
        Answer::Stream { content_type, body } => {
            (200, content_type, StreamBody::new(body.map(|chunk| chunk.map(Frame::data))).boxed_unsync())
        }
    };
    Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-cache, private")
        .body(body)
        .unwrap_or_else(|error| {
            // A fault may ask for a code that is none.
            let mut response =
                Response::new(whole(json!({"message": error.to_string()}).to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
}

/// Percent-decoding, with plus as space (as in queries).
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = || {
            std::str::from_utf8(bytes.get(index + 1..index + 3)?)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        match bytes[index] {
            b'%' if hex().is_some() => {
                out.push(hex().expect("just looked"));
                index += 2;
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
