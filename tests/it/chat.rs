//! Rooms and conversations, over sockets and without (contract, sections 7, 13 and 14). The protocol itself, and the
//! original's clients, are in `tests/clients`.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use socialhub::auth::SetStatus;
use socialhub::event::UserStatus;

use crate::support::dice::Dice;
use crate::support::socket::Socket;
use crate::support::{Daemon, Person, Server, eventually, hubs};

/// Two who follow each other, and somebody else.
async fn friends(server: &Server) -> [Person; 3] {
    let people = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    ];
    befriend(&people[0], &people[1]).await;
    people
}

async fn befriend(one: &Person, other: &Person) {
    for (from, to) in [(one, other), (other, one)] {
        let path = format!("/users/follow/{}", to.id);
        from.post(&path, json!({})).await.expect(200);
    }
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

fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().unwrap();
    messages
        .iter()
        .map(|message| message["message"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_without_a_socket_is_seen_on_all_and_kept() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let mut socket = Socket::connect(&bob).await;
    socket.ask("join_room", json!({ "roomId": "a:b" })).await;
    // The sender is the caller, whoever the body names.
    let body = json!({ "message": "Hello", "userId": bob.id, "username": "bob" });
    let reply = ada.post("/chat/a:b/message", body).await.expect(200);
    assert_eq!(reply["success"], true);
    let seen = socket.next("new_message").await;
    assert_eq!(seen, reply["data"]);
    assert_eq!(
        (
            &seen["userId"],
            &seen["username"],
            &seen["roomId"],
            &seen["number"]
        ),
        (&json!(ada.id), &json!("ada"), &json!("a:b"), &json!(1))
    );
    let users = bob.get("/chat/a:b/users").await.expect(200);
    assert_eq!(
        (&users["users"], &users["userCount"]),
        (&json!([bob.id]), &json!(1))
    );
    drop(socket);
    eventually("bob is gone from the room", async || {
        let users = ada.get("/chat/a:b/users").await.expect(200);
        (users["userCount"] == 0).then_some(())
    })
    .await;
    let server = server.restart().await;
    let ada = server.log_in(&ada).await;
    let history = ada.get("/api/v1/chat/a:b/history").await.expect(200);
    let mut kept = history["messages"][0].clone();
    // The server is at another address now.
    kept["avatar"] = seen["avatar"].clone();
    assert_eq!(kept, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_both_ways_and_around_a_message() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut ids = Vec::new();
    for number in 1..=30 {
        ids.push(say(&ada, "r", &number.to_string()).await["id"].clone());
    }
    let page = |query: String| {
        let ada = &ada;
        async move {
            ada.get(&format!("/chat/r/history?{query}"))
                .await
                .expect(200)
        }
    };
    let latest = page("limit=10".into()).await;
    assert_eq!(texts(&latest["messages"]).first(), Some(&"21"));
    assert_eq!(
        (&latest["next_cursor"], &latest["newer_after"]),
        (&json!("21"), &Value::Null)
    );
    let older = page("limit=20&cursor=21".into()).await;
    assert_eq!(texts(&older["messages"]).len(), 20);
    assert_eq!(
        (&older["next_cursor"], &older["newer_after"]),
        (&Value::Null, &json!("20"))
    );
    let newer = page("limit=3&after=20".into()).await;
    assert_eq!(texts(&newer["messages"]), ["21", "22", "23"]);
    let around = page(format!("limit=5&around={}", ids[9].as_str().unwrap())).await;
    assert_eq!(texts(&around["messages"]), ["8", "9", "10", "11", "12"]);
    assert_eq!(
        page(String::new()).await["messages"]
            .as_array()
            .unwrap()
            .len(),
        30
    );
    for query in [
        "limit=0",
        "cursor=x",
        "after=-1",
        "around=x",
        "after=1&cursor=2",
    ] {
        let reply = ada.get(&format!("/chat/r/history?{query}")).await;
        assert_eq!(reply.expect(400)["code"], "invalid_query", "{query}");
    }
    let gzip = ada
        .with("accept-encoding", "gzip")
        .get("/chat/r/history?around=1")
        .await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert!(gzip.bytes.starts_with(&[0x1f, 0x8b]), "and it is");
    let reply = ada.get("/chat/r/history?around=1").await.expect(404);
    assert_eq!(
        (&reply["code"], &reply["error"]),
        (&json!("message_not_found"), &reply["message"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_for_the_two_alone() {
    let server = Server::start().await;
    let [ada, bob, eve] = friends(&server).await;
    let room = conversation(&ada, &bob);
    let mut evil = Socket::connect(&eve).await;
    // Before it has begun, and after.
    for begun in [false, true] {
        if begun {
            say(&ada, &room, "secret").await;
        }
        for path in ["history", "users"] {
            let reply = eve.get(&format!("/chat/{room}/{path}")).await;
            assert_eq!(reply.expect(403)["code"], "forbidden", "{path}");
        }
        let body = json!({ "message": "let me in", "targetUserId": ada.id });
        eve.post(&format!("/chat/{room}/message"), body)
            .await
            .expect(403);
        for (name, payload) in [
            ("join_room", json!({ "roomId": room })),
            (
                "send_message",
                json!({ "roomId": room, "message": "let me in" }),
            ),
            ("typing", json!({ "roomId": room, "isTyping": true })),
            ("get_history", json!({ "roomId": room })),
            ("mark_as_read", json!({ "conversationId": room })),
        ] {
            assert_eq!(evil.refused(name, payload).await, "forbidden", "{name}");
        }
    }
    let history = bob.get(&format!("/chat/{room}/history")).await.expect(200);
    assert_eq!(texts(&history["messages"]), ["secret"]);
    let id = history["messages"][0]["id"].as_str().unwrap();
    let path = format!("/chat/messages/{id}");
    eve.patch(&path, json!({ "message": "changed" }))
        .await
        .expect(404);
    eve.delete(&path).await.expect(404);
    eve.post(&format!("{path}/reactions"), json!({ "emoji": "👍" }))
        .await
        .expect(404);
    bob.patch(&path, json!({ "message": "changed" }))
        .await
        .expect(403);
    let list = eve.get("/chat/conversations").await.expect(200);
    assert_eq!(list["conversations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_follow_each_other_write_to_each_other() {
    let server = Server::start().await;
    let [ada, bob, eve] = friends(&server).await;
    let room = conversation(&ada, &eve);
    let reply = ada
        .post(&format!("/chat/{room}/message"), json!({ "message": "Hi" }))
        .await;
    assert_eq!(reply.expect(403)["code"], "cannot_message");
    let mut socket = Socket::connect(&ada).await;
    let target = json!({ "roomId": "anywhere", "targetUserId": eve.id });
    assert_eq!(socket.refused("join_room", target).await, "cannot_message");
    assert_eq!(socket.next("error").await["code"], "cannot_message");
    let list = ada.get("/chat/chatable-users").await.expect(200);
    assert_eq!(
        (&list["chatableUsers"], &list["count"]),
        (&json!([bob.id]), &json!(1))
    );
    ada.get(&format!("/chat/chatable-users/{}", bob.id))
        .await
        .expect(403);
    // What was said stays when one follows no more, and no more is said.
    let room = conversation(&ada, &bob);
    say(&ada, &room, "Hi").await;
    let path = format!("/users/unfollow/{}", ada.id);
    bob.send(bob.request(Method::POST, &path)).await.expect(200);
    ada.post(
        &format!("/chat/{room}/message"),
        json!({ "message": "Hi?" }),
    )
    .await
    .expect(403);
    let history = ada.get(&format!("/chat/{room}/history")).await.expect(200);
    assert_eq!(texts(&history["messages"]), ["Hi"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_tell_what_is_new_in_them() {
    let server = Server::start().await;
    let [ada, bob, eve] = friends(&server).await;
    befriend(&ada, &eve).await;
    let (with_bob, with_eve) = (conversation(&ada, &bob), conversation(&ada, &eve));
    let mut socket = Socket::connect(&ada).await;
    say(&bob, &with_bob, "one").await;
    let notice = socket.next("new_message_notification").await;
    assert_eq!(notice["conversationId"], json!(with_bob));
    assert_eq!(notice["message"]["message"], "one");
    say(&bob, &with_bob, "two").await;
    say(&eve, &with_eve, "three").await;
    let list = ada.get("/chat/conversations").await.expect(200)["conversations"].clone();
    assert_eq!(list[0]["conversationId"], json!(with_eve));
    assert_eq!(list[0]["partner"]["username"], "eve");
    assert_eq!(list[1]["lastMessage"]["message"], "two");
    assert_eq!(
        (&list[0]["unreadCount"], &list[1]["unreadCount"]),
        (&json!(1), &json!(2))
    );
    let first = ada.get("/chat/conversations?limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ada
        .get(&format!("/chat/conversations?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(second["conversations"], json!([list[1]]));
    assert_eq!(second["next_cursor"], Value::Null);
    let unread = async || ada.get("/chat/unread-count").await.expect(200)["unreadCount"].clone();
    assert_eq!(unread().await, 3);
    let mut other = Socket::connect(&bob).await;
    other.ask("join_room", json!({ "roomId": with_bob })).await;
    socket
        .ask(
            "mark_as_read",
            json!({ "conversationId": with_bob, "number": 1 }),
        )
        .await;
    assert_eq!(unread().await, 2);
    let read = other.next("messages_read").await;
    assert_eq!(
        (&read["userId"], &read["number"]),
        (&json!(ada.id), &json!(1))
    );
    let path = format!("/chat/conversations/{with_eve}/read");
    ada.post(&path, json!({})).await.expect(200);
    // Answering is reading.
    say(&ada, &with_bob, "four").await;
    assert_eq!(unread().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_edited_taken_back_and_reacted_to() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let room = conversation(&ada, &bob);
    let mut socket = Socket::connect(&bob).await;
    let id = say(&ada, &room, "Helo").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    socket.ask("join_room", json!({ "roomId": room })).await;
    let path = format!("/chat/messages/{id}");
    let edited = ada
        .patch(&path, json!({ "message": "Hello" }))
        .await
        .expect(200);
    assert!(edited["data"]["editedAt"].is_string());
    assert_eq!(socket.next("message_edited").await, edited["data"]);
    let answer = socket
        .ask(
            "send_message",
            json!({ "roomId": room, "message": "Hi", "replyTo": id }),
        )
        .await;
    assert_eq!(answer["replyTo"], json!(id));
    let reacted = socket
        .ask("add_reaction", json!({ "messageId": id, "emoji": "👍" }))
        .await;
    assert_eq!(
        reacted["reactions"],
        json!([{ "emoji": "👍", "userIds": [bob.id] }])
    );
    assert_eq!(socket.next("reaction_added").await["emoji"], "👍");
    for emoji in ["", " ", "a b", &"x".repeat(65)] {
        let payload = json!({ "messageId": id, "emoji": emoji });
        assert_eq!(
            socket.refused("add_reaction", payload).await,
            "invalid_fields"
        );
    }
    let deleted = ada.delete(&path).await.expect(200)["data"].clone();
    assert_eq!(
        (&deleted["message"], &deleted["isDeleted"]),
        (&json!(""), &json!(true))
    );
    assert_eq!(deleted["reactions"], json!([]));
    assert_eq!(socket.next("message_deleted").await["messageId"], json!(id));
    ada.delete(&path).await.expect(404);
    let payload = json!({ "roomId": room, "message": "Hi", "replyTo": id });
    assert_eq!(
        socket.refused("send_message", payload).await,
        "message_not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_ends_with_the_message_and_with_the_connection() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let (mut hers, mut his) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    let place = json!({ "roomId": "r" });
    assert_eq!(
        hers.refused("typing", json!({ "roomId": "r", "isTyping": true }))
            .await,
        "room_not_found"
    );
    for socket in [&mut hers, &mut his] {
        socket.ask("join_room", place.clone()).await;
    }
    let types = json!({ "roomId": "r", "isTyping": true });
    let seen = async |socket: &mut Socket| socket.next("user_typing").await["isTyping"].clone();
    // Said again at once, it is told once.
    for _ in 0..3 {
        hers.ask("typing", types.clone()).await;
    }
    assert_eq!(seen(&mut his).await, true);
    hers.ask("send_message", json!({ "roomId": "r", "message": "There" }))
        .await;
    assert_eq!(seen(&mut his).await, false);
    hers.ask("typing", types.clone()).await;
    hers.ask("typing", json!({ "roomId": "r", "isTyping": false }))
        .await;
    assert_eq!(
        (seen(&mut his).await, seen(&mut his).await),
        (json!(true), json!(false))
    );
    hers.ask("typing", types).await;
    drop(hers);
    assert_eq!(
        (seen(&mut his).await, seen(&mut his).await),
        (json!(true), json!(false))
    );
    assert_eq!(his.next("user_left").await["userId"], json!(ada.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_ends_by_itself_and_with_the_last_device() {
    let server = Server::start_with(|config| config.realtime.typing_ms = 400).await;
    let [ada, bob, _] = friends(&server).await;
    let mut his = Socket::connect(&bob).await;
    let (mut phone, mut laptop) = (Socket::connect(&ada).await, Socket::connect(&ada).await);
    for socket in [&mut his, &mut phone, &mut laptop] {
        socket.ask("join_room", json!({ "roomId": "r" })).await;
    }
    let seen = async |socket: &mut Socket| socket.next("user_typing").await["isTyping"].clone();
    let types = json!({ "roomId": "r", "isTyping": true });
    phone.ask("typing", types).await;
    assert_eq!(seen(&mut his).await, true);
    // Nobody says anything more.
    assert_eq!(seen(&mut his).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_types_as_long_as_one_of_their_devices() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let mut his = Socket::connect(&bob).await;
    // Of one hub, where there are two.
    let mut phone = Socket::connect(&ada).await;
    let mut between = Vec::new();
    for _ in 1..hubs() {
        between.push(Socket::connect(&bob).await);
    }
    let mut laptop = Socket::connect(&ada).await;
    for socket in [&mut his, &mut phone, &mut laptop] {
        socket.ask("join_room", json!({ "roomId": "r" })).await;
    }
    let types = |is_typing: bool| json!({ "roomId": "r", "isTyping": is_typing });
    phone.ask("typing", types(true)).await;
    laptop.ask("typing", types(true)).await;
    phone.ask("typing", types(false)).await;
    laptop
        .ask("send_message", json!({ "roomId": "r", "message": "Hi" }))
        .await;
    his.next("new_message").await;
    his.ask("get_conversations", json!({})).await;
    let told = his.events();
    let typing = told.iter().filter(|(name, _)| name == "user_typing");
    let said: Vec<&Value> = typing.map(|(_, payload)| &payload["isTyping"]).collect();
    assert_eq!(said, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_suspended_or_has_expired_is_told_and_disconnected() {
    let server = Server::start_with_clock(|_| {}).await;
    let [ada, bob, _] = friends(&server).await;
    let (mut hers, mut his) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    hers.ask("join_room", json!({ "roomId": "r" })).await;
    let suspend = SetStatus {
        user_id: ada.id.parse().unwrap(),
        status: UserStatus::Suspended,
        at: server.clock.now(),
    };
    server.app.store().submit(suspend).await.unwrap();
    assert_eq!(hers.next("error").await["code"], "unauthenticated");
    hers.ended().await;
    let there = bob.get("/chat/r/users").await.expect(200);
    assert_eq!(there["userCount"], 0);
    assert!(Socket::try_connect(&ada).await.is_err());
    server.advance(Duration::from_hours(25));
    assert_eq!(his.next("error").await["code"], "unauthenticated");
    his.ended().await;
    assert!(his.events().iter().any(|(text, _)| text == "41"));
    assert_eq!(his.ending.as_deref(), Some("shown_out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_too_much_is_refused_and_harms_nobody() {
    let server = Server::start_with(|config| config.limits.enabled = true).await;
    let [ada, bob, _] = friends(&server).await;
    let (mut wild, mut calm) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    calm.ask("join_room", json!({ "roomId": "r" })).await;
    for number in 0..1_000 {
        wild.emit("join_room", json!({ "roomId": format!("room {number}") }))
            .await;
    }
    let error = wild.next("error").await;
    assert_eq!(error["code"], "rate_limited");
    assert!(error["message"].is_string());
    calm.ask(
        "send_message",
        json!({ "roomId": "r", "message": "all is well" }),
    )
    .await;
    assert_eq!(calm.next("new_message").await["message"], "all is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_connecting_anew_nor_other_connections_allow_more() {
    let server = Server::start_with(|config| {
        config.limits.enabled = true;
        config.limits.events_burst = 30;
        config.limits.events_per_minute = 1;
        config.realtime.events_burst = 20;
        config.realtime.events_per_minute = 1;
    })
    .await;
    let [ada, bob, _] = friends(&server).await;
    let mut wild = Socket::connect(&ada).await;
    let connect = format!("40{}", json!({ "token": ada.token, "events": "v2" }));
    // One at a time: nothing waits, so it is the pace alone that refuses.
    let mut allowed = 0;
    for round in 0..3 {
        for _ in 0..15 {
            let answer = wild.try_ask("get_conversations", json!({})).await.unwrap();
            allowed += u32::from(answer["ok"] == true);
        }
        if round < 2 {
            wild.say("41").await;
            wild.say(&connect).await;
        }
    }
    assert_eq!(allowed, 20);
    let mut other = Socket::connect(&ada).await;
    for _ in 0..20 {
        let answer = other.try_ask("get_conversations", json!({})).await.unwrap();
        allowed += u32::from(answer["ok"] == true);
    }
    assert_eq!(allowed, 30, "so much has one person, however they connect");
    let mut calm = Socket::connect(&bob).await;
    calm.ask("get_conversations", json!({})).await;
    // Who goes and comes without end is shown out.
    for _ in 0..30 {
        other.say("41").await;
        other.say(&connect).await;
    }
    other.ended().await;
    calm.ask("get_conversations", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_to_have_seen_what_is_not_there_is_shown_the_newest() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let (mut hers, mut his) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    hers.ask("join_room", json!({ "roomId": "r" })).await;
    let say = |text: &str| json!({ "roomId": "r", "message": text });
    hers.ask("send_message", say("one")).await;
    let joined = his
        .ask("join_room", json!({ "roomId": "r", "lastSeen": 1_000_000 }))
        .await;
    assert_eq!(joined["lastNumber"], 1);
    assert_eq!(his.next("message_history").await[0]["message"], "one");
    hers.ask("send_message", say("two")).await;
    assert_eq!(his.next("new_message").await["message"], "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_is_not_sent_away_for_what_passes() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let (mut hers, mut his) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    hers.ask("join_room", json!({ "roomId": "r" })).await;
    let long = "x".repeat(9_000);
    let mut id = Value::Null;
    for _ in 0..40 {
        let message = json!({ "roomId": "r", "message": long });
        id = hers.ask("send_message", message).await["id"].clone();
    }
    let behind = his
        .ask("join_room", json!({ "roomId": "r", "lastSeen": 0 }))
        .await;
    assert_eq!(behind["hasNewer"], true);
    for _ in 0..100 {
        for name in ["add_reaction", "remove_reaction"] {
            let reaction = json!({ "messageId": id, "emoji": "👍" });
            hers.ask(name, reaction).await;
        }
        hers.events();
    }
    // He goes on where he was, as if nothing had passed.
    let mut last = behind["lastNumber"].as_u64().unwrap();
    while last < 40 {
        let place = json!({ "roomId": "r", "lastSeen": last });
        last = his.ask("join_room", place).await["lastNumber"]
            .as_u64()
            .unwrap();
    }
    hers.ask("send_message", json!({ "roomId": "r", "message": "end" }))
        .await;
    assert_eq!(his.next("new_message").await["message"], "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_sent_away_and_the_others_go_on() {
    let server = Server::start_with(|config| config.realtime.queue_capacity = 16).await;
    let [ada, bob, _] = friends(&server).await;
    let (mut speaker, mut sleeper) = (Socket::connect(&ada).await, Socket::connect(&bob).await);
    speaker.ask("join_room", json!({ "roomId": "r" })).await;
    sleeper.ask("join_room", json!({ "roomId": "r" })).await;
    let long = "x".repeat(9_000);
    let mut sent = 0_u64;
    // As much as the network holds, and more, until the one who does not read is gone.
    let users = async || server.sign_up("see").await;
    let observer = users().await;
    loop {
        speaker
            .ask("send_message", json!({ "roomId": "r", "message": long }))
            .await;
        sent += 1;
        speaker.events();
        let there = observer.get("/chat/r/users").await.expect(200);
        if there["userCount"] == 1 {
            break;
        }
        assert!(sent < 5_000, "bob is still there");
    }
    // When he wakes up he is told, and misses nothing when he comes back.
    sleeper.ended().await;
    let seen = sleeper.events();
    let shown = seen.iter().filter(|(name, _)| name == "new_message");
    let last = shown
        .map(|(_, message)| message["number"].as_u64().unwrap())
        .max()
        .unwrap_or(0);
    assert!(
        seen.iter()
            .any(|(name, error)| name == "error" && error["code"] == "too_slow")
    );
    let mut back = Socket::connect(&bob).await;
    let mut next = last;
    loop {
        let joined = back
            .ask("join_room", json!({ "roomId": "r", "lastSeen": next }))
            .await;
        let missed = back.next("message_history").await;
        for message in missed.as_array().unwrap() {
            next += 1;
            assert_eq!(message["number"], json!(next));
        }
        if joined["hasNewer"] == false {
            break;
        }
    }
    assert_eq!(next, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_the_same_order_whoever_speaks_at_once() {
    let server = Server::start().await;
    let people = join_all((0..4).map(|n| server.sign_up(["ann", "ben", "cat", "dan"][n]))).await;
    let mut sockets = join_all(people.iter().map(Socket::connect)).await;
    for socket in &mut sockets {
        socket.ask("join_room", json!({ "roomId": "r" })).await;
    }
    let talk = sockets.iter_mut().enumerate().map(async |(who, socket)| {
        for number in 0..50 {
            let message = format!("{who}: {number}");
            socket
                .ask("send_message", json!({ "roomId": "r", "message": message }))
                .await;
        }
    });
    join_all(talk).await;
    let mut orders = Vec::new();
    for socket in &mut sockets {
        let mut order = Vec::new();
        for number in 1..=200 {
            let message = socket.next("new_message").await;
            assert_eq!(message["number"], json!(number));
            order.push(message["message"].as_str().unwrap().to_owned());
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    for who in 0..4 {
        let prefix = format!("{who}: ");
        let own: Vec<_> = orders[0]
            .iter()
            .filter(|text| text.starts_with(&prefix))
            .collect();
        let wanted: Vec<_> = (0..50).map(|number| format!("{who}: {number}")).collect();
        assert_eq!(
            own,
            wanted.iter().collect::<Vec<_>>(),
            "in the order in which it was said"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_profile_is_refused_where_others_could_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = crate::support::command(dir.path())
        .arg("serve")
        .env("SOCIALHUB_LISTEN", "0.0.0.0:0")
        .env("SOCIALHUB_REALTIME__PROTOCOL_TEST_PROFILE", "true")
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}

/// One of those who talk while the server is killed again and again.
struct Member {
    person: Person,
    /// What they have seen, in the order in which they saw it: number and client's name.
    seen: Vec<(u64, String)>,
    acknowledged: Vec<String>,
    /// What was sent and not answered: to be sent again under the same name.
    pending: Option<String>,
    sent: u32,
}

impl Member {
    fn note(&mut self, message: &Value) {
        let name = message["client_id"].as_str().unwrap().to_owned();
        self.seen.push((message["number"].as_u64().unwrap(), name));
    }

    /// Talks and listens over one connection after the other until `count` more are acknowledged, or the server is gone.
    async fn talk(&mut self, dice: &mut Dice, count: u32) {
        let mut left = count;
        while left > 0 {
            let Ok(mut socket) = Socket::try_connect(&self.person).await else {
                return;
            };
            let last = self.seen.last().map_or(0, |(number, _)| *number);
            let payload = json!({ "roomId": "r", "lastSeen": last });
            let joined = socket.try_ask("join_room", payload).await;
            self.take(&mut socket);
            if joined.is_none() {
                return;
            }
            // A connection lasts for a few messages.
            for _ in 0..=dice.below(6) {
                let name = self.pending.take().unwrap_or_else(|| {
                    self.sent += 1;
                    format!("{}-{}", self.person.username, self.sent)
                });
                let payload = json!({ "roomId": "r", "message": name, "client_id": name });
                // Some leave before they hear the answer.
                let is_hasty = dice.is_one_in(5);
                if is_hasty {
                    socket.emit("send_message", payload).await;
                    self.pending = Some(name);
                    break;
                }
                let answer = socket.try_ask("send_message", payload).await;
                self.take(&mut socket);
                match answer {
                    Some(answer) if answer["ok"] == true => {
                        self.acknowledged.push(name);
                        left = left.saturating_sub(1);
                    }
                    Some(_) | None => {
                        self.pending = Some(name);
                        break;
                    }
                }
            }
        }
    }

    /// What came on a connection.
    fn take(&mut self, socket: &mut Socket) {
        for (name, payload) in socket.events() {
            match name.as_str() {
                "message_history" => payload
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|one| self.note(one)),
                "new_message" => self.note(&payload),
                _ => {}
            }
        }
    }

    /// Comes back for what is still missing.
    async fn catch_up(&mut self) {
        loop {
            let mut socket = Socket::connect(&self.person).await;
            let last = self.seen.last().map_or(0, |(number, _)| *number);
            let payload = json!({ "roomId": "r", "lastSeen": last });
            let joined = socket.ask("join_room", payload).await;
            self.take(&mut socket);
            if joined["hasNewer"] == false {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_message_is_seen_once_whatever_breaks_in_between() {
    let soaks = std::env::var("SOCIALHUB_SOAK").is_ok_and(|value| value == "1");
    let rounds = if soaks { 40 } else { 4 };
    let mut dice = Dice::shaken();
    let mut daemon = Daemon::start().await;
    let mut members = Vec::new();
    for name in ["ann", "ben", "cat", "dan"] {
        members.push(Member {
            person: daemon.client().sign_up(name).await,
            seen: Vec::new(),
            acknowledged: Vec::new(),
            pending: None,
            sent: 0,
        });
    }
    for _ in 0..rounds {
        let mut talking = Vec::new();
        for member in &mut members {
            let mut dice = Dice::new(dice.roll());
            talking.push(async move { member.talk(&mut dice, 12).await });
        }
        // In the midst of it, or when they have said enough.
        let moment = Duration::from_millis(dice.below(400));
        let kill = async {
            tokio::time::sleep(moment).await;
            daemon.kill_now().await;
        };
        tokio::join!(join_all(talking), kill);
        daemon = daemon.restart().await;
        let client = daemon.client();
        for member in &mut members {
            member.person = member.person.at(&client);
        }
    }
    for member in &mut members {
        member.catch_up().await;
    }
    let order = &members[0].seen;
    let numbers: Vec<u64> = order.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    for member in &members {
        let who = &member.person.username;
        assert_eq!(
            member.seen, *order,
            "{who} saw the same, each once, in the same order"
        );
        for name in &member.acknowledged {
            let times = order.iter().filter(|(_, seen)| seen == name).count();
            assert_eq!(times, 1, "{name}, which {who} was told is said");
        }
    }
    let all: usize = members.iter().map(|member| member.acknowledged.len()).sum();
    assert!(all > 0, "something was said");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_learns_what_has_changed() {
    let server = Server::start().await;
    let [ada, bob, _] = friends(&server).await;
    let room = conversation(&ada, &bob);
    let mut ids = Vec::new();
    for text in ["one", "two", "three", "four"] {
        ids.push(say(&ada, &room, text).await["id"].clone());
    }
    let mut socket = Socket::connect(&bob).await;
    let joined = socket.ask("join_room", json!({ "roomId": room })).await;
    assert_eq!(
        (&joined["lastNumber"], &joined["lastChange"]),
        (&json!(4), &json!(0))
    );
    drop(socket);

    let path = |at: usize| format!("/chat/messages/{}", ids[at].as_str().unwrap());
    ada.patch(&path(0), json!({ "message": "uno" }))
        .await
        .expect(200);
    ada.delete(&path(1)).await.expect(200);
    ada.post(&format!("{}/reactions", path(2)), json!({ "emoji": "👍" }))
        .await
        .expect(200);
    ada.patch(&path(0), json!({ "message": "eins" }))
        .await
        .expect(200);
    say(&ada, &room, "five").await;
    let mut socket = Socket::connect(&bob).await;
    let back = json!({ "roomId": room, "lastSeen": 4, "lastChange": 0 });
    let joined = socket.ask("join_room", back).await;
    assert_eq!(
        (&joined["lastNumber"], &joined["lastChange"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(texts(&socket.next("message_history").await), ["five"]);
    let changes = socket.next("message_changes").await;
    assert_eq!(texts(&changes), ["", "three", "eins"]);
    assert_eq!(changes[1]["reactions"][0]["emoji"], "👍");
    // What happens while one looks says its number as well.
    ada.put(&format!("{}/pin", path(3)), json!({}))
        .await
        .expect(200);
    assert_eq!(socket.next("message_pinned").await["change"], 5);
    let again = json!({ "roomId": room, "lastSeen": 5, "lastChange": 5 });
    let joined = socket.ask("join_room", again).await;
    assert_eq!(
        (&joined["lastChange"], &joined["hasMoreChanges"]),
        (&json!(5), &json!(false))
    );
    assert!(
        socket
            .events()
            .iter()
            .all(|(name, _)| name != "message_changes")
    );
}
