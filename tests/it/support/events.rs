//! A small client of Server-Sent Events, which shows what it was sent.

use std::collections::VecDeque;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use super::{PATIENCE, Person};

/// A stream.
pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
    /// Events that were not asked for yet.
    pub(crate) waiting: VecDeque<(String, Value)>,
    /// The id of the last event, for who comes back.
    pub(crate) last_id: String,
}

impl Events {
    /// Somebody's stream from now on.
    pub(crate) async fn open(person: &Person) -> Self {
        Self::resume(person, "").await
    }

    /// Somebody's stream after this event. Waits until it has begun.
    pub(crate) async fn resume(person: &Person, last_id: &str) -> Self {
        let mut request = person.request(Method::GET, "/api/v1/stream");
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        Self::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let mut events = Self {
            response,
            buffer: Vec::new(),
            waiting: VecDeque::new(),
            last_id: String::new(),
        };
        while events.last_id.is_empty() {
            assert!(events.block().await, "the stream ends at once");
        }
        events
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The next event of that name; those before it stay.
    pub(crate) async fn next(&mut self, name: &str) -> Value {
        loop {
            if let Some(at) = self.waiting.iter().position(|(seen, _)| seen == name) {
                return self.waiting.remove(at).unwrap().1;
            }
            assert!(
                self.block().await,
                "no {name} before the end: {:?}",
                self.waiting
            );
        }
    }

    /// Waits for an event of that name that is as wanted; others of the name are passed over.
    pub(crate) async fn until(&mut self, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let payload = self.next(name).await;
            if is_wanted(&payload) {
                return payload;
            }
        }
    }

    /// Waits until the server has ended the stream.
    pub(crate) async fn ended(&mut self) {
        while self.block().await {}
    }

    /// Reads one block, event or not; false at the end.
    pub(crate) async fn block(&mut self) -> bool {
        loop {
            let end = self.buffer.windows(2).position(|two| two == b"\n\n");
            if let Some(end) = end {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                self.take(std::str::from_utf8(&block).unwrap());
                return true;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            match chunk.await.expect("the server says something, or ends it") {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return false,
            }
        }
    }

    fn take(&mut self, block: &str) {
        let (mut name, mut data) = (None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("event", event)) => name = Some(event.to_owned()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                Some(("retry", _)) => {}
                _ => assert!(line.is_empty() || line.starts_with(':'), "{line}"),
            }
        }
        if let (Some(name), Some(data)) = (name, data) {
            self.waiting.push_back((name, data));
        }
    }
}
