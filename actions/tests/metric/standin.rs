//! A server that answers every request with what a test says, and remembers what was asked.

use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What each request is answered with, given its first line.
pub type Answer = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

pub struct StandIn {
    pub url: String,
    /// The head of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    pub async fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let (asked, answer): (_, Answer) = (Arc::default(), Arc::new(answer));
        let stand_in = StandIn { url, asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (asked, answer): (Arc<Mutex<Vec<String>>>, Answer) = (Arc::clone(&asked), answer.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let (status, body) = answer(head.lines().next().unwrap());
                    asked.lock().unwrap().push(head);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                    );
                    // The client hangs up when it has heard enough.
                    let _ = socket.write_all(head.as_bytes()).await;
                    let _ = socket.write_all(body.as_bytes()).await;
                });
            }
        });
        stand_in
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
