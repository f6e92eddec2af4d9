//! A small client of Socket.IO over a WebSocket, which shows what it was sent and does nothing by itself but answer pings.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Client, PATIENCE, Person};

/// A connection.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Events that were not asked for yet: name and payload.
    events: VecDeque<(String, Value)>,
    acks: u64,
    /// Why it ended, if the server said so.
    pub(crate) ending: Option<String>,
}

/// What comes next.
#[derive(Debug)]
enum Packet {
    Event(String, Value),
    Ack(u64, Value),
    Other(String),
    End,
}

impl Socket {
    /// A WebSocket on which nothing has been said but the transport's greeting.
    pub(crate) async fn open(client: &Client, query: &str) -> Result<Self, Error> {
        Self::open_with(client, query, &[]).await
    }

    /// The same with headers.
    pub(crate) async fn open_with(
        client: &Client,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let address = client.url(&format!("/socket.io/?EIO=4&transport=websocket{query}"));
        let mut request = address.replacen("http", "ws", 1).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let (stream, _response) = connect_async(request).await?;
        let mut socket = Self {
            stream,
            events: VecDeque::new(),
            acks: 0,
            ending: None,
        };
        match socket.packet().await {
            Packet::Other(text) if text.starts_with("0{") => {}
            Packet::End => return Err(Error::ConnectionClosed),
            other => panic!("the first word of the transport is {other:?}"),
        }
        Ok(socket)
    }

    /// Somebody's connection.
    pub(crate) async fn connect(person: &Person) -> Self {
        Self::try_connect(person).await.unwrap()
    }

    /// Like [`connect`](Self::connect), where the server may not answer.
    pub(crate) async fn try_connect(person: &Person) -> Result<Self, String> {
        let opened = Self::open(&person.client, "").await;
        let mut socket = opened.map_err(|error| error.to_string())?;
        let auth = json!({ "token": person.token, "events": "v2" });
        socket.say(&format!("40{auth}")).await;
        match socket.packet().await {
            Packet::Other(text) if text.starts_with("40{") => Ok(socket),
            other => Err(format!("{other:?}")),
        }
    }

    /// Asks to be connected, and says nothing more of who it is; what it is told.
    pub(crate) async fn ask_in(&mut self) -> String {
        self.say("40").await;
        self.other().await
    }

    /// What comes next, which is neither an event nor an answer.
    pub(crate) async fn other(&mut self) -> String {
        match self.packet().await {
            Packet::Other(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a text as it stands.
    pub(crate) async fn say(&mut self, text: &str) {
        // A connection that is over shows when it is read from.
        self.stream.send(Message::text(text)).await.ok();
    }

    /// Sends a binary message.
    pub(crate) async fn say_binary(&mut self, bytes: &[u8]) {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        self.stream.send(Message::Binary(bytes)).await.ok();
    }

    pub(crate) async fn emit(&mut self, name: &str, payload: Value) {
        self.say(&format!("42{}", json!([name, payload]))).await;
    }

    /// Sends an event and waits for its answer; none when the connection ended before.
    pub(crate) async fn try_ask(&mut self, name: &str, payload: Value) -> Option<Value> {
        self.acks += 1;
        let id = self.acks;
        self.say(&format!("42{id}{}", json!([name, payload]))).await;
        loop {
            match self.packet().await {
                Packet::Ack(ack, answer) if ack == id => return Some(answer),
                Packet::Event(name, payload) => self.events.push_back((name, payload)),
                Packet::End => return None,
                Packet::Ack(..) | Packet::Other(_) => {}
            }
        }
    }

    /// Sends an event that is done; returns the data of the answer.
    pub(crate) async fn ask(&mut self, name: &str, payload: Value) -> Value {
        let answer = self.try_ask(name, payload).await.unwrap();
        assert_eq!(answer["ok"], true, "{name}: {answer}");
        answer["data"].clone()
    }

    /// Sends an event that is refused; returns the code.
    pub(crate) async fn refused(&mut self, name: &str, payload: Value) -> String {
        let answer = self.try_ask(name, payload).await.unwrap();
        assert_eq!(answer["ok"], false, "{name}: {answer}");
        answer["code"].as_str().unwrap().to_owned()
    }

    /// The next event of that name; those before it stay.
    pub(crate) async fn next(&mut self, name: &str) -> Value {
        if let Some(at) = self.events.iter().position(|(seen, _)| seen == name) {
            return self.events.remove(at).unwrap().1;
        }
        loop {
            match self.packet().await {
                Packet::Event(seen, payload) if seen == name => return payload,
                Packet::Event(seen, payload) => self.events.push_back((seen, payload)),
                Packet::End => panic!("no {name} before the end: {:?}", self.events),
                Packet::Ack(..) | Packet::Other(_) => {}
            }
        }
    }

    /// All events that have come and were not asked for.
    pub(crate) fn events(&mut self) -> Vec<(String, Value)> {
        self.events.drain(..).collect()
    }

    /// Waits until the server has ended the connection.
    pub(crate) async fn ended(&mut self) {
        loop {
            match self.packet().await {
                Packet::End => return,
                Packet::Event(name, payload) => self.events.push_back((name, payload)),
                Packet::Ack(..) => {}
                Packet::Other(text) => self.events.push_back((text, Value::Null)),
            }
        }
    }

    async fn packet(&mut self) -> Packet {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.stream.next());
            let text = match next.await.expect("the server says something, or ends it") {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(frame))) => {
                    self.ending = frame.map(|frame| frame.reason.as_str().to_owned());
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Packet::End,
            };
            let text = text.as_str();
            if text == "2" {
                self.say("3").await;
            } else if let Some(event) = text.strip_prefix("42") {
                let event: Vec<Value> = serde_json::from_str(event).unwrap();
                let name = event[0].as_str().unwrap().to_owned();
                return Packet::Event(name, event.get(1).cloned().unwrap_or_default());
            } else if let Some(ack) = text.strip_prefix("43") {
                let (id, answer) = ack.split_at(ack.find('[').unwrap());
                let answer: Vec<Value> = serde_json::from_str(answer).unwrap();
                return Packet::Ack(id.parse().unwrap(), answer[0].clone());
            } else {
                return Packet::Other(text.to_owned());
            }
        }
    }
}
