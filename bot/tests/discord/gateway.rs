//! A gateway that does what a test says, one connection after the other.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Nothing here takes longer, but for the waits that Discord asks for.
const WITHIN: Duration = Duration::from_secs(20);

pub struct Gateway {
    listener: TcpListener,
    pub url: String,
}

/// One connection.
pub struct Line {
    socket: WebSocketStream<TcpStream>,
    /// Path and query that it asked for.
    pub address: String,
}

impl Gateway {
    pub async fn start() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Gateway { listener, url }
    }

    /// The next connection, after hello.
    pub async fn accept(&self, heartbeat_ms: u64) -> Line {
        let (stream, _) =
            tokio::time::timeout(WITHIN, self.listener.accept()).await.expect("a connection").unwrap();
        let mut address = String::new();
        #[expect(clippy::result_large_err, reason = "as tungstenite wants it")]
        let look = |request: &Request, response: Response| {
            address = request.uri().to_string();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, look).await.unwrap();
        let mut line = Line { socket, address };
        line.send(json!({ "op": 10, "d": { "heartbeat_interval": heartbeat_ms } })).await;
        line
    }

    /// No connection comes for a while.
    pub async fn is_left_alone(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.listener.accept()).await.is_err()
    }
}

impl Line {
    pub async fn send(&mut self, payload: Value) {
        self.socket.send(Message::text(payload.to_string())).await.unwrap();
    }

    /// The next payload with this opcode; others are passed over, heartbeats are acknowledged.
    pub async fn expect(&mut self, op: u64) -> Value {
        let found = async {
            loop {
                let Some(Ok(message)) = self.socket.next().await else { panic!("closed before op {op}") };
                let Message::Text(text) = message else { continue };
                let payload: Value = serde_json::from_str(&text).unwrap();
                if payload["op"] == op {
                    return payload;
                }
                if payload["op"] == 1 {
                    self.send(json!({ "op": 11 })).await;
                }
            }
        };
        tokio::time::timeout(WITHIN, found).await.unwrap_or_else(|_| panic!("no op {op}"))
    }

    /// Says nothing more; the code that the other side closes with.
    pub async fn closed_with(mut self) -> Option<u16> {
        let closed = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(WITHIN, closed).await.expect("it is closed")
    }

    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
    }
}
