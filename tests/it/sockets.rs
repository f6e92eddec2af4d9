//! What sockets get for bad input (an `error` and a negative answer with a code, or the end of their connection; and
//! nobody else notices), and what is told of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::socket::Socket;
use crate::support::{Person, Server, eventually};

/// Somebody's connection, and one of somebody else, both in the room `r`.
async fn two(server: &Server) -> (Socket, Socket) {
    let people = [server.sign_up("eve").await, server.sign_up("ada").await];
    let (mut wild, mut calm) = (
        Socket::connect(&people[0]).await,
        Socket::connect(&people[1]).await,
    );
    for socket in [&mut wild, &mut calm] {
        socket.ask("join_room", json!({ "roomId": "r" })).await;
    }
    calm.next("room_users").await;
    (wild, calm)
}

/// All is well with somebody: they are heard by those in the room, themselves among them, and saw nothing that was wrong.
async fn is_well(calm: &mut Socket) {
    let message = json!({ "roomId": "r", "message": "all is well" });
    calm.ask("send_message", message).await;
    assert_eq!(calm.next("new_message").await["message"], "all is well");
    assert!(!calm.events().iter().any(|(name, _)| name == "error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_missing_or_of_another_kind_is_refused_with_a_code() {
    let server = Server::start().await;
    let (mut wild, mut calm) = two(&server).await;
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!([deep]);
    }
    for name in [
        "join_room",
        "join_conversation",
        "leave_room",
        "leave_conversation",
        "send_message",
        "typing",
        "edit_message",
        "delete_message",
        "add_reaction",
        "remove_reaction",
        "mark_as_read",
        "load_more_messages",
        "get_history",
    ] {
        wild.say(&format!(r#"42["{name}"]"#)).await;
        assert_eq!(wild.next("error").await["code"], "invalid_body", "{name}");
        for payload in [
            json!(null),
            json!(7),
            json!("r"),
            json!([]),
            json!({}),
            json!({ "roomId": null, "messageId": null }),
            json!({ "roomId": 7, "messageId": {} }),
            json!({ "roomId": ["r"], "messageId": "x" }),
            json!({ "roomId": { "toString": "r" }, "messageId": [] }),
            json!({ "roomId": deep, "messageId": deep }),
        ] {
            let code = wild.refused(name, payload.clone()).await;
            assert_eq!(code, "invalid_body", "{name} {payload}");
            assert_eq!(wild.next("error").await["code"], "invalid_body");
        }
    }
    for (name, payload) in [
        ("send_message", json!({ "roomId": "r", "message": 7 })),
        ("send_message", json!({ "roomId": "r", "message": ["x"] })),
        (
            "send_message",
            json!({ "roomId": "r", "message": "x", "replyTo": "x" }),
        ),
        (
            "send_message",
            json!({ "roomId": "r", "message": "x", "client_id": 7 }),
        ),
        ("typing", json!({ "roomId": "r", "isTyping": "yes" })),
        ("join_room", json!({ "roomId": "r", "lastSeen": -1 })),
        ("get_history", json!({ "roomId": "r", "limit": -1 })),
        ("get_history", json!({ "roomId": "r", "before": 1.5 })),
        ("mark_as_read", json!({ "roomId": "r", "number": "all" })),
    ] {
        let code = wild.refused(name, payload.clone()).await;
        assert_eq!(code, "invalid_body", "{name} {payload}");
    }
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_has_a_name_that_can_be_shown() {
    let server = Server::start().await;
    let (mut wild, mut calm) = two(&server).await;
    for room in [
        "",
        " ",
        "\u{200b}",
        "a\0b",
        "a\nb",
        "\u{1b}[2J",
        "a\u{85}b",
        "a\u{2028}b",
        &"x".repeat(129),
        &"ß".repeat(100_000),
    ] {
        for (name, payload) in [
            ("join_room", json!({ "roomId": room })),
            ("leave_room", json!({ "roomId": room })),
            (
                "send_message",
                json!({ "roomId": room, "message": "Hello" }),
            ),
            ("typing", json!({ "roomId": room, "isTyping": true })),
            ("mark_as_read", json!({ "roomId": room })),
            ("get_history", json!({ "roomId": room })),
        ] {
            let code = wild.refused(name, payload).await;
            assert_eq!(code, "invalid_fields", "{name} {room:?}");
        }
    }
    wild.ask("join_room", json!({ "roomId": "ß".repeat(128) }))
        .await;
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_out_of_order_are_refused() {
    let server = Server::start().await;
    let (mut wild, mut calm) = two(&server).await;
    for (name, payload, code) in [
        ("dance", json!({}), "unknown_event"),
        ("", json!({}), "unknown_event"),
        ("new_message", json!({ "roomId": "r" }), "unknown_event"),
        (
            "leave_room",
            json!({ "roomId": "nowhere" }),
            "room_not_found",
        ),
        (
            "typing",
            json!({ "roomId": "nowhere", "isTyping": true }),
            "room_not_found",
        ),
        (
            "edit_message",
            json!({ "messageId": "1", "message": "x" }),
            "message_not_found",
        ),
        (
            "add_reaction",
            json!({ "messageId": "1", "emoji": "👍" }),
            "message_not_found",
        ),
    ] {
        assert_eq!(wild.refused(name, payload).await, code, "{name}");
        assert_eq!(wild.next("error").await["code"], code, "{name}");
    }
    let place = json!({ "roomId": "r" });
    // Twice is once.
    wild.ask("join_room", place.clone()).await;
    wild.ask("leave_room", place.clone()).await;
    assert_eq!(calm.next("user_left").await["username"], "eve");
    assert_eq!(
        wild.refused("leave_room", place.clone()).await,
        "not_in_room"
    );
    let typing = json!({ "roomId": "r", "isTyping": true });
    assert_eq!(wild.refused("typing", typing).await, "not_in_room");
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_where_text_belongs_is_refused() {
    let server = Server::start().await;
    let (mut wild, mut calm) = two(&server).await;
    wild.say(r#"451-["send_message",{"roomId":"r","message":{"_placeholder":true,"num":0}}]"#)
        .await;
    wild.say_binary(b"Hello").await;
    assert_eq!(wild.next("error").await["code"], "unexpected_file");
    // What is announced and does not come holds nothing up but its own connection.
    wild.say(r#"452-["send_message",{"_placeholder":true,"num":0}]"#)
        .await;
    wild.say_binary(b"Hello").await;
    is_well(&mut calm).await;
    wild.say(r#"42["send_message",{"roomId":"r","message":"in between"}]"#)
        .await;
    wild.ended().await;
    assert_eq!(wild.ending.as_deref(), Some("malformed"));
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_packet_ends_its_own_connection() {
    let server = Server::start().await;
    let (wild, mut calm) = two(&server).await;
    drop(wild);
    let eve = server.sign_up("eva").await;
    for text in [
        "",
        "x",
        "9",
        "4",
        "42",
        "42{}",
        "42[]",
        "42[7]",
        r#"42["connect"]"#,
        r#"42["disconnect",{}]"#,
        r#"42["join_room""#,
        r#"42/chat,["join_room",{"roomId":"r"}]"#,
        r#"42/nowhere,["join_room",{"roomId":"r"}]"#,
        r#"4299999999999999999999["join_room",{"roomId":"r"}]"#,
        r#"4511-["send_message"]"#,
        r#"4599999999999999999999-["send_message"]"#,
        "49[]",
        &format!("42{}", "[".repeat(500_000)),
    ] {
        let mut socket = Socket::connect(&eve).await;
        socket.say(text).await;
        socket.ended().await;
        let start: String = text.chars().take(60).collect();
        assert_eq!(socket.ending.as_deref(), Some("malformed"), "{start}");
    }
    // A binary message that no event announced.
    let mut socket = Socket::connect(&eve).await;
    socket.say_binary(b"Hello").await;
    socket.ended().await;
    assert_eq!(socket.ending.as_deref(), Some("malformed"));
    // Events of somebody who has not said who they are, and of somebody who has said goodbye.
    let event = r#"42["join_room",{"roomId":"r"}]"#;
    let mut stranger = Socket::open(&server, "").await.unwrap();
    stranger.say(event).await;
    stranger.ended().await;
    let mut gone = Socket::connect(&eve).await;
    gone.say("41").await;
    gone.say(event).await;
    gone.ended().await;
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let server = Server::start_with(|config| config.realtime.max_payload_bytes = 100_000).await;
    let (mut wild, mut calm) = two(&server).await;
    let long = json!({ "roomId": "r", "message": "x".repeat(10_001) });
    assert_eq!(wild.refused("send_message", long).await, "invalid_fields");
    let named = json!({ "roomId": "r", "message": "x", "client_id": "x".repeat(65) });
    assert_eq!(wild.refused("send_message", named).await, "invalid_fields");
    wild.say(&format!(
        r#"42["send_message",{{"roomId":"r","message":"{}"}}]"#,
        "x".repeat(100_000)
    ))
    .await;
    wild.ended().await;
    is_well(&mut calm).await;
    // By long polling likewise.
    let eve = server.sign_up("eva").await;
    let path = poll(&eve).await;
    let request = eve.request(Method::POST, &path).body("4".repeat(100_001));
    assert_eq!(eve.send(request).await.status, 413);
    assert_eq!(eve.get(&path).await.status, 400);
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_looks_at_so_many_rooms_and_a_person_has_so_many_connections() {
    let server = Server::start().await;
    let eve = server.sign_up("eva").await;
    let mut socket = Socket::connect(&eve).await;
    for number in 0..200 {
        let place = json!({ "roomId": format!("room {number}") });
        socket.ask("join_room", place).await;
    }
    let place = json!({ "roomId": "one more" });
    assert_eq!(
        socket.refused("join_room", place.clone()).await,
        "too_many_rooms"
    );
    socket
        .ask("leave_room", json!({ "roomId": "room 7" }))
        .await;
    socket.ask("join_room", place).await;
    let mut others = Vec::new();
    for _ in 1..64 {
        others.push(Socket::connect(&eve).await);
    }
    let mut late = Socket::connect(&eve).await;
    assert_eq!(late.next("error").await["code"], "too_many_connections");
    late.ended().await;
    others.pop();
    eventually("another one is let in", async || {
        let mut socket = Socket::connect(&eve).await;
        let place = json!({ "roomId": "r" });
        socket.try_ask("join_room", place).await
    })
    .await;
    let (_, mut calm) = two(&server).await;
    is_well(&mut calm).await;
}

/// Begins a session by long polling, and connects; its path.
async fn poll(person: &Person) -> String {
    let path = "/socket.io/?EIO=4&transport=polling";
    let greeting = person.get(path).await.text;
    let greeting: Value = serde_json::from_str(greeting.strip_prefix('0').unwrap()).unwrap();
    let path = format!("{path}&sid={}", greeting["sid"].as_str().unwrap());
    let request = person.request(Method::POST, &path).body("40");
    assert_eq!(person.send(request).await.text, "ok");
    assert!(person.get(&path).await.text.starts_with("40{"));
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_answering_is_gone_after_a_while() {
    let server = Server::start_with(|config| {
        config.realtime.ping_interval_ms = 300;
        config.realtime.ping_timeout_ms = 1_200;
        config.realtime.connect_timeout_ms = 1_000;
    })
    .await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let mut calm = Socket::connect(&ada).await;
    calm.ask("join_room", json!({ "roomId": "r" })).await;
    // The connections stay open, and nobody reads or answers any more, as when a network has gone.
    let mut silent = Socket::connect(&eve).await;
    silent.ask("join_room", json!({ "roomId": "r" })).await;
    assert_eq!(calm.next("user_joined").await["username"], "eve");
    calm.next("user_left").await;
    silent.ended().await;
    assert_eq!(silent.ending.as_deref(), Some("silent"));
    let path = poll(&eve).await;
    let join = r#"42["join_room",{"roomId":"r"}]"#;
    let request = eve.request(Method::POST, &path).body(join);
    assert_eq!(eve.send(request).await.text, "ok");
    assert_eq!(calm.next("user_joined").await["username"], "eve");
    calm.next("user_left").await;
    assert_eq!(eve.get(&path).await.status, 400);
    // Nor does anybody stay who never says who they are.
    let mut nobody = Socket::open(&server, "").await.unwrap();
    nobody.ended().await;
    assert_eq!(nobody.ending.as_deref(), Some("silent"));
    is_well(&mut calm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_none_is_refused() {
    let server = Server::start().await;
    for (method, query, code) in [
        (Method::GET, "", 0),
        (Method::GET, "EIO=4", 0),
        (Method::GET, "EIO=4&transport=telegraph", 0),
        (Method::GET, "EIO=4&transport=polling&sid=nobody", 1),
        (Method::POST, "EIO=4&transport=polling", 2),
        (Method::GET, "EIO=4&transport=websocket", 3),
        (Method::GET, "EIO=9&transport=polling", 5),
    ] {
        let request = server.request(method, &format!("/socket.io/?{query}"));
        let reply = server.send(request).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.json()["code"], code, "{query}");
        assert!(reply.json()["message"].is_string());
    }
    let ada = server.sign_up("ada").await;
    let mut socket = Socket::open(&server, "").await.unwrap();
    socket.say(r#"40/nowhere,{"token":"x"}"#).await;
    let told = socket.other().await;
    assert_eq!(told, r#"44/nowhere,{"message":"Invalid namespace"}"#);
    for auth in [
        "",
        "{}",
        r#"{"token":null}"#,
        r#"{"token":"x"}"#,
        r#"{"token":""}"#,
    ] {
        socket.say(&format!("40{auth}")).await;
        let told = socket.other().await;
        assert!(
            told.starts_with("44{") && told.contains("unauthenticated"),
            "{auth}: {told}"
        );
    }
    socket.say(r#"40{"token":["x"]}"#).await;
    assert!(socket.other().await.contains("invalid_body"));
    // The same connection may say it better.
    socket
        .say(&format!(r#"40{{"token":"Bearer {}"}}"#, ada.token))
        .await;
    assert!(socket.other().await.starts_with("40{"));
    socket.ask("join_room", json!({ "roomId": "r" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_session_with_wscat_works_as_printed() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str())];
    let mut wscat = Socket::open_with(&server, "", &headers).await.unwrap();
    // No CONNECT comes before it.
    wscat.say(r#"42["join_room",{"roomId":"general"}]"#).await;
    assert!(wscat.other().await.starts_with("40{"));
    assert_eq!(wscat.next("message_history").await, json!([]));
    assert_eq!(wscat.next("room_users").await, json!([ada.id]));
    wscat
        .say(r#"42["send_message",{"roomId":"general","message":"Hello"}]"#)
        .await;
    for name in ["new_message", "message"] {
        let message = wscat.next(name).await;
        assert_eq!(
            (
                &message["roomId"],
                &message["userId"],
                &message["username"],
                &message["message"]
            ),
            (
                &json!("general"),
                &json!(ada.id),
                &json!("ada"),
                &json!("Hello")
            )
        );
        assert!(message["timestamp"].is_i64());
    }
    // Without the header, or with a token that is none, it is nobody's.
    for headers in [&[][..], &[("authorization", "Bearer x")]] {
        let mut socket = Socket::open_with(&server, "", headers).await.unwrap();
        socket.say(r#"42["join_room",{"roomId":"general"}]"#).await;
        socket.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sees_ones_own_connections_and_no_others() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let none = json!({ "success": true, "totalConnections": 0, "connections": [] });
    assert_eq!(ada.get("/chat/socket-info").await.expect(200), none);
    let mut first = Socket::open(&server, "").await.unwrap();
    first
        .say(&format!(r#"40{{"token":"{}"}}"#, ada.token))
        .await;
    let told = first.other().await;
    let told: Value = serde_json::from_str(told.strip_prefix("40").unwrap()).unwrap();
    for room in ["a", "b"] {
        first.ask("join_room", json!({ "roomId": room })).await;
    }
    let second = Socket::connect(&ada).await;
    let mut his = Socket::connect(&bob).await;
    his.ask("join_room", json!({ "roomId": "a" })).await;
    let info = ada.get("/chat/socket-info").await.expect(200);
    assert_eq!(info["totalConnections"], 2);
    let connection = json!({
        "id": told["sid"], "userId": ada.id, "username": "ada", "rooms": ["a", "b"], "connected": true,
    });
    assert_eq!(info["connections"][0], connection);
    assert_eq!(info["connections"][1]["rooms"], json!([]));
    let info = bob.get("/api/v1/chat/socket-info").await.expect(200);
    assert_eq!(info["totalConnections"], 1);
    drop((first, second));
    eventually("hers are gone", async || {
        let info = ada.get("/chat/socket-info").await.expect(200);
        (info == none).then_some(())
    })
    .await;
}
