//! Chat by `rust_socketio`: over WebSockets, over long polling, and from the one to the other, which this client does as
//! soon as it is connected.
//!
//!     socialhub-rust-client PROGRAM

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rust_socketio::client::Client as Socket;
use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon, gone with the test.
struct Daemon {
    child: Child,
    base: String,
}

impl Daemon {
    fn start(program: &str, directory: &std::path::Path) -> Self {
        let mut child = Command::new(program)
            .arg("serve")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("SOCIALHUB_DATA_DIR", directory.join("data"))
            .env("SOCIALHUB_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let base = lines
            .map(Result::unwrap)
            .find_map(|line| Some(line.trim().strip_prefix("listening")?.trim().to_owned()))
            .expect("the daemon says where it listens");
        Self { child, base }
    }

    /// The token of somebody who has just signed up.
    fn sign_up(&self, name: &str) -> String {
        let body = json!({
            "name": name, "username": name.to_lowercase(), "email": format!("{name}@example.org"),
            "password": "Password123!",
        });
        let client = reqwest::blocking::Client::new();
        let reply = client
            .post(format!("{}/auth/signup", self.base))
            .json(&body)
            .send()
            .unwrap();
        assert_eq!(reply.status(), 201);
        let reply: Value = reply.json().unwrap();
        reply["token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A connection that keeps what it was sent.
struct Client {
    socket: Socket,
    seen: Receiver<(String, Value)>,
}

/// The payload of an event.
fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(mut values) if !values.is_empty() => values.swap_remove(0),
        other => panic!("{other:?}"),
    }
}

impl Client {
    /// Connects.
    fn connect(builder: ClientBuilder) -> Self {
        let (tell, seen) = channel();
        let socket = builder
            .reconnect(false)
            .on_any(move |event: Event, payload, _socket| {
                tell.send((String::from(event), first(payload))).ok();
            })
            .connect()
            .unwrap();
        Self { socket, seen }
    }

    /// The next event of that name.
    fn next(&self, name: &str) -> Value {
        loop {
            let (seen, payload) = self
                .seen
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no {name}"));
            if seen == name {
                return payload;
            }
        }
    }

    fn say(&self, name: &str, payload: Value) {
        self.socket.emit(name, payload).unwrap();
    }

    /// Sends an event and waits for its answer.
    fn ask(&self, name: &str, payload: Value) -> Value {
        let (tell, answer) = channel();
        self.socket
            .emit_with_ack(name, payload, PATIENCE, move |payload: Payload, _socket| {
                tell.send(first(payload)).ok();
            })
            .unwrap();
        let answer = answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no answer to {name}"));
        // This client hands out the list of what was answered.
        answer.get(0).cloned().unwrap_or(answer)
    }
}

fn converse(
    daemon: &Daemon,
    tokens: &[String; 2],
    way: &str,
    transport: TransportType,
    path: &str,
) {
    let address = format!("{}{path}", daemon.base);
    let builder = || ClientBuilder::new(address.as_str()).transport_type(transport.clone());
    let one = Client::connect(builder().auth(json!({ "token": tokens[0], "events": "v2" })));
    let other =
        Client::connect(builder().opening_header("Authorization", format!("Bearer {}", tokens[1])));
    let room = format!("room: {way}");
    for client in [&one, &other] {
        let answer = client.ask("join_room", json!({ "roomId": room }));
        assert_eq!(
            (&answer["ok"], &answer["data"]["lastNumber"]),
            (&json!(true), &json!(0)),
            "{answer}"
        );
        assert_eq!(client.next("message_history"), json!([]));
    }
    assert_eq!(one.next("user_joined")["username"], "bob");
    let sent = other.ask(
        "send_message",
        json!({ "roomId": room, "message": "Grüße 👋", "client_id": "a" }),
    );
    assert_eq!(sent["data"]["number"], 1, "{sent}");
    let again = other.ask(
        "send_message",
        json!({ "roomId": room, "message": "Grüße 👋", "client_id": "a" }),
    );
    assert_eq!(again["data"]["id"], sent["data"]["id"]);
    for number in 2..=40 {
        one.say(
            "send_message",
            json!({ "roomId": room, "message": number.to_string() }),
        );
    }
    for client in [&one, &other] {
        assert_eq!(client.next("new_message"), sent["data"]);
        for number in 2..=40 {
            let message = client.next("new_message");
            assert_eq!(
                (&message["number"], &message["message"]),
                (&json!(number), &json!(number.to_string()))
            );
        }
    }
    other.say("typing", json!({ "roomId": room, "isTyping": true }));
    assert_eq!(one.next("user_typing")["isTyping"], true);
    let refused = one.ask("send_message", json!({ "roomId": room, "message": " " }));
    assert_eq!(
        (&refused["ok"], &refused["code"]),
        (&json!(false), &json!("empty_message"))
    );
    // What was missed comes when one is back, and nothing twice.
    other.socket.disconnect().unwrap();
    assert_eq!(one.next("user_left")["roomId"], json!(room));
    one.ask(
        "send_message",
        json!({ "roomId": room, "message": "missed" }),
    );
    let back = Client::connect(builder().auth(json!({ "token": tokens[1] })));
    back.ask("join_room", json!({ "roomId": room, "lastSeen": 40 }));
    let missed = back.next("message_history");
    assert_eq!(
        (missed.as_array().unwrap().len(), &missed[0]["message"]),
        (1, &json!("missed"))
    );
    for client in [one, back] {
        client.socket.disconnect().unwrap();
    }
    println!("rust_socketio over {way}: as it should be");
}

/// Who does not say who they are is told so.
fn refused(daemon: &Daemon) {
    let (tell, told) = channel();
    let socket = ClientBuilder::new(daemon.base.as_str())
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .auth(json!({ "token": "x" }))
        .on(Event::Error, move |payload, _socket| {
            tell.send(format!("{payload:?}")).ok();
        })
        .connect();
    if socket.is_ok() {
        let reason = told.recv_timeout(PATIENCE).expect("a refusal");
        assert!(reason.contains("unauthenticated"), "{reason}");
    }
}

fn main() {
    let program = std::env::args().nth(1).expect("the daemon's program");
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&program, directory.path());
    let tokens = [daemon.sign_up("Ada"), daemon.sign_up("Bob")];
    for (way, transport, path) in [
        ("websocket", TransportType::Websocket, "/socket.io/"),
        ("polling", TransportType::Polling, "/chat/socket.io/"),
        (
            "polling, then websocket",
            TransportType::WebsocketUpgrade,
            "/socket.io/",
        ),
    ] {
        converse(&daemon, &tokens, way, transport, path);
    }
    refused(&daemon);
}
