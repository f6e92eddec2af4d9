//! What people are told while they are there: over sockets, and as Server-Sent Events.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::events::Events;
use crate::support::socket::Socket;
use crate::support::{PATIENCE, Person, Server, eventually};

async fn like(person: &Person, post: &str) {
    let path = format!("/posts/like/{post}");
    person.post(&path, json!({})).await.expect(200);
}

async fn befriend(one: &Person, other: &Person) {
    one.follow(other).await;
    other.follow(one).await;
}

fn conversation(one: &Person, other: &Person) -> String {
    let mut ids = [one.id.as_str(), other.id.as_str()];
    ids.sort_unstable();
    ids.join("_")
}

async fn say(person: &Person, room: &str, text: &str) -> Value {
    let path = format!("/chat/{room}/message");
    let reply = person.post(&path, json!({ "message": text })).await;
    reply.expect(200)["data"].clone()
}

async fn read_all(person: &Person, room: &str) {
    let path = format!("/chat/conversations/{room}/read");
    person.post(&path, json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_notification_comes_at_once_as_the_list_has_it() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    server.settle().await;
    let mut stream = Events::open(&ada).await;
    let mut socket = Socket::connect(&ada).await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("content-encoding", ""),
    ] {
        assert_eq!(stream.header(name), value, "{name}");
    }
    like(&bob, &post).await;
    let told = stream.next("notification").await;
    assert_eq!(told["message"], "bob the First liked your post");
    assert_eq!(socket.next("notification").await, told);
    let list = ada.get("/api/v1/notifications").await.expect(200);
    assert_eq!(list["data"][0], told);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_go_up_and_down_on_all_devices() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    server.settle().await;
    let mut phone = Events::open(&ada).await;
    // One of following.
    let first = json!({ "notifications": 1, "messages": 0, "requests": 0 });
    assert_eq!(phone.next("counts").await, first);
    let mut desk = Socket::connect(&ada).await;
    let room = conversation(&ada, &bob);
    for text in ["Hello", "Are you there?"] {
        say(&bob, &room, text).await;
    }
    phone
        .until("counts", |counts| counts["messages"] == 2)
        .await;
    while desk.next("counts").await["messages"] != 2 {}
    read_all(&ada, &room).await;
    phone
        .until("counts", |counts| counts["messages"] == 0)
        .await;
    while desk.next("counts").await["messages"] != 0 {}
    ada.patch("/api/v1/notifications/read-all", json!({}))
        .await
        .expect(200);
    let none = json!({ "notifications": 0, "messages": 0, "requests": 0 });
    phone.until("counts", |counts| *counts == none).await;
    while desk.next("counts").await != none {}

    // Whoever comes is told where things stand, on a socket as on a stream.
    assert_eq!(Socket::connect(&ada).await.next("counts").await, none);
    assert_eq!(Events::open(&ada).await.next("counts").await, none);

    // A request counts until it is answered, and what is thrown away counts no more.
    let eve = server.sign_up("eve").await;
    let lets = json!({ "whoMayMessage": "everyone" });
    ada.patch("/chat/settings", lets).await.expect(200);
    let asked = conversation(&ada, &eve);
    say(&eve, &asked, "Do I know you?").await;
    let counts = |notifications: u64, messages: u64, requests: u64| json!({ "notifications": notifications, "messages": messages, "requests": requests });
    let request = counts(0, 0, 1);
    phone.until("counts", |counts| *counts == request).await;
    ada.post(&format!("/chat/conversations/{asked}/accept"), json!({}))
        .await
        .expect(200);
    let accepted = counts(0, 1, 0);
    phone.until("counts", |counts| *counts == accepted).await;
    ada.delete(&format!("/chat/conversations/{asked}"))
        .await
        .expect(200);
    phone.until("counts", |counts| *counts == none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_exactly_what_they_missed() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    server.settle().await;
    let room = conversation(&ada, &bob);
    // Stays, and sees it all.
    let mut other = Events::open(&ada).await;
    let mut seen: Vec<Value> = Vec::new();
    let mut last_id = Events::open(&ada).await.last_id;
    for round in 0..3 {
        // While there is nobody but the one who stays, or nobody who looks.
        let text = format!("while away {round}");
        say(&bob, &room, &text).await;
        other
            .until("new_message_notification", |one| {
                one["message"]["message"] == *text
            })
            .await;
        let mut back = if round == 1 {
            let path = format!("/api/v1/stream?lastEventId={last_id}");
            let request = ada.request(Method::GET, &path);
            Events::of(request.send().await.unwrap()).await
        } else {
            Events::resume(&ada, &last_id).await
        };
        let text = format!("while there {round}");
        say(&bob, &room, &text).await;
        for _ in 0..2 {
            seen.push(back.next("new_message_notification").await);
        }
        assert!(!back.waiting.iter().any(|(name, _)| name == "reset"));
        last_id = back.last_id;
    }
    let texts: Vec<_> = seen
        .iter()
        .map(|one| one["message"]["message"].as_str().unwrap().to_owned())
        .collect();
    let all: Vec<_> = (0..3)
        .flat_map(|round| {
            [
                format!("while away {round}"),
                format!("while there {round}"),
            ]
        })
        .collect();
    assert_eq!(texts, all);
    // An id of somebody else's stream says nothing.
    let mut bobs = Events::resume(&bob, &last_id).await;
    assert_eq!(bobs.next("reset").await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_did_is_not_told_again_after_a_block() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    server.settle().await;
    let before = Events::open(&ada).await.last_id;
    say(&bob, &conversation(&ada, &bob), "A secret").await;
    ada.post(&format!("/users/{}/block", bob.id), json!({}))
        .await
        .expect(200);
    let mut back = Events::resume(&ada, &before).await;
    back.next("reset").await;
    back.next("counts").await;
    let told = format!("{:?}", back.waiting);
    assert!(
        !told.contains("secret") && !told.contains(&bob.id),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_is_not_told_any_more() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    server.settle().await;
    let mut there = Events::open(&ada).await;
    let before = there.last_id.clone();
    let said = say(&bob, &conversation(&ada, &bob), "A slip").await;
    there.next("new_message_notification").await;
    let id = said["id"].as_str().unwrap();
    bob.delete(&format!("/chat/messages/{id}"))
        .await
        .expect(200);
    assert_eq!(there.next("message_deleted").await["messageId"], id);
    let mut back = Events::resume(&ada, &before).await;
    assert_eq!(back.next("message_deleted").await["messageId"], id);
    let later = say(&bob, &conversation(&ada, &bob), "Something else").await;
    let told = back.next("new_message_notification").await;
    assert_eq!(told["message"]["id"], later["id"]);
    let passed = format!("{:?}", back.waiting);
    assert!(!passed.contains("slip"), "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_any_more_is_to_be_loaded_anew() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    server.settle().await;
    let last_id = Events::open(&ada).await.last_id;
    let server = server.restart().await;
    let ada = ada.at(&server);
    for id in [&*last_id, "nonsense", "-1"] {
        let mut back = Events::resume(&ada, id).await;
        assert_eq!(back.next("reset").await, json!({}), "{id}");
        assert_eq!(back.next("counts").await["notifications"], 0);
        assert_ne!(back.last_id, last_id);
        // From here on it is known again.
        let mut again = Events::resume(&ada, &back.last_id).await;
        ada.write("Hello").await;
        again.next("notification").await;
        assert!(!again.waiting.iter().any(|(name, _)| name == "reset"));
        // Counts are told when they are others: one that is read before that is none.
        back.until("counts", |counts| counts["notifications"] == 1)
            .await;
        ada.patch("/api/v1/notifications/read-all", json!({}))
            .await
            .expect(200);
        back.until("counts", |counts| counts["notifications"] == 0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_takes_its_streams_along() {
    let server = Server::start_with_clock(|_config| {}).await;
    let ada = server.sign_up("ada").await;
    let other = server.log_in(&ada).await;
    let (mut gone, mut stays) = (Events::open(&ada).await, Events::open(&other).await);
    ada.post("/auth/logout", json!({})).await.expect(200);
    assert_eq!(gone.next("error").await["code"], "unauthenticated");
    gone.ended().await;
    let refused = ada.get("/api/v1/stream").await;
    refused.expect_code(401, "unauthenticated");
    server
        .get("/api/v1/stream")
        .await
        .expect_code(401, "unauthenticated");
    // The other is told still, until it expires.
    other.write("Hello").await;
    stays.next("notification").await;
    server.advance(std::time::Duration::from_hours(25));
    assert_eq!(stays.next("error").await["code"], "unauthenticated");
    stays.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_of_those_whom_one_follows_are_hinted_at() {
    let server = Server::start_with(|config| config.realtime.feed_hint_ms = 100).await;
    let [ada, bob, carl, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("carl").await,
        server.sign_up("eve").await,
    ];
    ada.follow(&bob).await;
    ada.follow(&carl).await;
    eve.follow(&carl).await;
    let mut adas = Events::open(&ada).await;
    let mut socket = Socket::connect(&ada).await;
    let mut eves = Events::open(&eve).await;
    bob.write("one").await;
    bob.write_for("two", "followers").await;
    bob.write_for("nobody's", "private").await;
    eve.write("of somebody whom nobody follows").await;
    carl.write("three").await;
    let mut count = 0;
    while count < 3 {
        count += adas.next("feed_hint").await["count"].as_u64().unwrap();
    }
    assert_eq!(count, 3);
    let mut count = 0;
    while count < 3 {
        count += socket.next("feed_hint").await["count"].as_u64().unwrap();
    }
    assert_eq!(count, 3);
    assert_eq!(eves.next("feed_hint").await, json!({ "count": 1 }));
    // Whom one follows no more is not hinted at, and one's own posts are not.
    ada.delete(&format!("/users/unfollow/{}", bob.id))
        .await
        .expect(200);
    bob.write("unseen").await;
    ada.write("my own").await;
    // Nor who is muted.
    let dora = server.sign_up("dora").await;
    ada.follow(&dora).await;
    ada.post(&format!("/api/v1/users/{}/mute", dora.id), json!({}))
        .await
        .expect(200);
    dora.write("muted").await;
    carl.write("four").await;
    assert_eq!(adas.next("feed_hint").await, json!({ "count": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_streams() {
    let server = Server::start_with(|config| config.realtime.max_streams = 17).await;
    let [ada, bob, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    ];
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Events::open(&ada).await);
    }
    let refused = ada.get("/api/v1/stream").await;
    refused.expect_code(409, "too_many_connections");
    let bobs = Events::open(&bob).await;
    let refused = eve.get("/api/v1/stream").await;
    refused.expect_code(503, "overloaded");
    drop(bobs);
    drop(streams.pop());
    eventually("there is room again", async || {
        let request = eve.request(Method::GET, "/api/v1/stream");
        request
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_is_kept_and_ends_with_the_server() {
    let server = Server::start_with(|config| {
        config.realtime.stream_heartbeat_ms = 50;
        config.server.request_timeout_ms = 200;
        config.server.write_timeout_ms = 200;
        config.server.header_timeout_ms = 200;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let mut stream = Events::open(&ada).await;
    // Far beyond every time-out.
    for _ in 0..20 {
        assert!(stream.block().await);
    }
    let started = std::time::Instant::now();
    let ((), ()) = tokio::join!(server.stop(), stream.ended());
    assert!(started.elapsed() < std::time::Duration::from_secs(3));
}

/// A stream of which only the head is read, over a connection that holds little.
async fn sleeper(server: &Server, person: &Person) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(server.app.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        person.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_sent_away_and_the_others_go_on() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    let mut asleep = sleeper(&server, &bob).await;
    let mut awake = Events::open(&bob).await;
    let (room, long) = (conversation(&ada, &bob), "🐌".repeat(9_000));
    // As much as the kernel (4 MiB) and the stream's window hold, and more.
    let count = 130;
    for number in 1..=count {
        let said = say(&ada, &room, &long).await;
        let told = awake.next("new_message_notification").await;
        assert_eq!(told["message"]["id"], said["id"]);
        assert_eq!(told["unreadCount"], number);
    }
    let mut rest = Vec::new();
    let reading = asleep.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("event: error\ndata: {\"code\":\"too_slow\""));
    // From the first on, without a gap, up to where it was given up.
    let mut next = 1;
    for line in rest
        .lines()
        .filter(|line| line.contains("\"unreadCount\":"))
    {
        assert!(
            line.contains(&format!("\"unreadCount\":{next},")),
            "not {next}"
        );
        next += 1;
    }
    assert!((1..count).contains(&next));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_makes_room_for_others() {
    let server = Server::start_with(|config| {
        config.server.write_timeout_ms = 200;
        config.realtime.max_streams = 1;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    let _asleep = sleeper(&server, &bob).await;
    let (room, long) = (conversation(&ada, &bob), "🐌".repeat(9_000));
    eventually("there is room again", async || {
        say(&ada, &room, &long).await;
        let request = ada.request(Method::GET, "/api/v1/stream");
        request
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
            .then_some(())
    })
    .await;
}
