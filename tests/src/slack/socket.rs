//! Socket Mode: tickets, hello, envelopes and their acknowledgements, the ends that Slack announces and those it does not.

use crate::server::Socket;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

/// "Your app can have up to 10 open sockets at once."
const MOST: usize = 10;
/// How long a ticket opens a socket.
const TICKET: Duration = Duration::from_secs(30);
const PING: Duration = Duration::from_secs(5);

enum Order {
    Send(Value),
    /// With a close frame.
    Close,
    /// Without.
    Drop,
}

struct Link {
    id: u64,
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Default)]
pub(super) struct Sockets {
    links: Mutex<Vec<Link>>,
    tickets: Mutex<HashMap<String, Instant>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    turn: AtomicU64,
}

impl Sockets {
    /// For one socket.
    pub fn ticket(&self) -> String {
        let ticket = uuid::Uuid::new_v4().to_string();
        self.tickets.lock().expect("tickets").insert(ticket.clone(), Instant::now());
        ticket
    }

    /// True once, and not for long.
    pub fn redeem(&self, ticket: &str) -> bool {
        let issued = self.tickets.lock().expect("tickets").remove(ticket);
        issued.is_some_and(|at| at.elapsed() < TICKET)
    }

    pub fn count(&self) -> usize {
        self.links.lock().expect("links").len()
    }

    pub fn drop_all(&self) {
        for link in self.links.lock().expect("links").drain(..) {
            let _ = link.orders.send(Order::Drop);
        }
    }

    /// Announces the end to all sockets that are open now, and makes it.
    pub fn disconnect(&self, reason: &str, after: Duration) {
        let goodbye =
            json!({"type": "disconnect", "reason": reason, "debug_info": {"host": "wss-stand-in-1"}});
        for link in &*self.links.lock().expect("links") {
            let _ = link.orders.send(Order::Send(goodbye.clone()));
            let orders = link.orders.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                let _ = orders.send(Order::Close);
            });
        }
    }

    /// Sends an envelope to one of the sockets; resolves with the acknowledgement's payload. None: there is no socket.
    pub fn send(&self, envelope: &Value) -> Option<oneshot::Receiver<Value>> {
        let links = self.links.lock().expect("links");
        let turn = self.turn.fetch_add(1, Relaxed) as usize;
        let link = links.get(turn.checked_rem(links.len())?)?;
        let (done, acknowledged) = oneshot::channel();
        let id = envelope["envelope_id"].as_str().unwrap_or_default().to_string();
        self.waiting.lock().expect("waiting").insert(id, done);
        link.orders.send(Order::Send(envelope.clone())).ok()?;
        Some(acknowledged)
    }

    /// Serves one socket to its end.
    pub async fn serve(&self, mut socket: Socket) {
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let id = self.turn.fetch_add(1, Relaxed);
        let number = {
            let mut links = self.links.lock().expect("links");
            if links.len() < MOST {
                links.push(Link { id, orders });
            }
            links.iter().position(|link| link.id == id).map(|index| index + 1)
        };
        let Some(number) = number else {
            let refusal = json!({"type": "disconnect", "reason": "too_many_websockets"});
            let _ = socket.send(Message::text(refusal.to_string())).await;
            let _ = socket.close(None).await;
            return;
        };
        let hello = json!({
            "type": "hello", "num_connections": number, "connection_info": {"app_id": super::APP},
            "debug_info": {"host": "wss-stand-in-1", "build_number": 1, "approximate_connection_time": 18060},
        });
        let mut alive = socket.send(Message::text(hello.to_string())).await.is_ok();
        let mut ping = tokio::time::interval(PING);
        while alive {
            alive = tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Send(value)) => socket.send(Message::text(value.to_string())).await.is_ok(),
                    Some(Order::Close) => {
                        let _ = socket.close(None).await;
                        false
                    }
                    Some(Order::Drop) | None => false,
                },
                _ = ping.tick() => socket.send(Message::Ping("Ping from stand-in".into())).await.is_ok(),
                heard = socket.next() => match heard {
                    Some(Ok(Message::Text(text))) => {
                        self.acknowledge(&text);
                        true
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                    Some(Ok(_)) => true,
                },
            };
        }
        self.links.lock().expect("links").retain(|link| link.id != id);
    }

    fn acknowledge(&self, text: &str) {
        let Ok(acknowledgement) = serde_json::from_str::<Value>(text) else { return };
        let id = acknowledgement["envelope_id"].as_str().unwrap_or_default();
        if let Some(done) = self.waiting.lock().expect("waiting").remove(id) {
            let _ = done.send(acknowledgement["payload"].clone());
        }
    }
}
