//! Who is there: across devices, for those who may know, and however they go.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::socket::Socket;
use crate::support::{Daemon, Person, Server, eventually};

async fn befriend(one: &Person, other: &Person) {
    one.follow(other).await;
    other.follow(one).await;
}

async fn status(viewer: &Person, of: &Person) -> Value {
    let path = format!("/chat/presence?ids={}", of.id);
    viewer.get(&path).await.expect(200)["presence"][0].clone()
}

async fn becomes(viewer: &Person, of: &Person, wanted: &str) -> Value {
    eventually("the presence is known", || async {
        let now = status(viewer, of).await;
        (now["status"] == wanted).then_some(now)
    })
    .await
}

async fn watch(socket: &mut Socket, people: &[&Person]) -> Value {
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    socket
        .ask("watch_presence", json!({ "userIds": ids }))
        .await
}

/// The next word on somebody's presence.
async fn told(socket: &mut Socket) -> (String, Value) {
    let event = socket.next("presence").await;
    let status = event["status"].as_str().unwrap().to_owned();
    (status, event["lastSeenAt"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_there_as_long_as_one_of_their_devices() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    assert_eq!(status(&ada, &bob).await["status"], "offline");
    let mut adas = Socket::connect(&ada).await;
    let first = watch(&mut adas, &[&bob]).await;
    assert_eq!(
        (&first[0]["userId"], &first[0]["status"]),
        (&json!(bob.id), &json!("offline"))
    );

    let mut phone = Socket::connect(&bob).await;
    assert_eq!(told(&mut adas).await.0, "online");
    assert_eq!(adas.next("user_online").await["username"], "bob");
    becomes(&ada, &bob, "online").await;
    let mut laptop = Socket::connect(&bob).await;
    laptop.ask("get_conversations", json!({})).await;
    // Away on one of them is not away; on both it is.
    phone.ask("set_presence", json!({ "status": "away" })).await;
    becomes(&ada, &bob, "online").await;
    laptop
        .ask("set_presence", json!({ "status": "away" }))
        .await;
    assert_eq!(told(&mut adas).await.0, "away");
    laptop
        .ask("set_presence", json!({ "status": "online" }))
        .await;
    assert_eq!(told(&mut adas).await.0, "online");
    drop(phone);
    drop(laptop);
    // The phone was away when it went: there is a moment when nothing else is left of him.
    let mut last = told(&mut adas).await;
    while last.0 != "offline" {
        last = told(&mut adas).await;
    }
    assert!(last.1.is_string());
    becomes(&ada, &bob, "offline").await;
    for wrong in [
        json!({}),
        json!({ "status": "busy" }),
        json!({ "status": 1 }),
    ] {
        assert_eq!(adas.refused("set_presence", wrong).await, "invalid_body");
    }
    let many: Vec<String> = (1..=201).map(|id| id.to_string()).collect();
    let many = json!({ "userIds": many });
    assert_eq!(
        adas.refused("watch_presence", many).await,
        "too_many_watched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_for_those_who_may_know() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let eve = server.sign_up("eve").await;
    befriend(&ada, &bob).await;
    eve.follow(&bob).await;
    let mut bobs = Socket::connect(&bob).await;
    becomes(&ada, &bob, "online").await;
    // A stranger learns nothing, watching or asking.
    assert_eq!(status(&eve, &bob).await, Value::Null);
    let mut eves = Socket::connect(&eve).await;
    assert_eq!(watch(&mut eves, &[&bob, &ada]).await, json!([]));
    // Who was written to may.
    bob.patch("/chat/settings", json!({ "whoMayMessage": "everyone" }))
        .await
        .expect(200);
    let mut ids = [bob.id.as_str(), eve.id.as_str()];
    ids.sort_unstable();
    let path = format!("/chat/{}/message", ids.join("_"));
    eve.post(&path, json!({ "message": "Hi" }))
        .await
        .expect(200);
    assert_eq!(status(&eve, &bob).await, Value::Null);
    bob.post(&path, json!({ "message": "Hi" }))
        .await
        .expect(200);
    becomes(&eve, &bob, "online").await;

    // Who hides is gone for all, and sees nobody.
    let mut adas = Socket::connect(&ada).await;
    watch(&mut adas, &[&bob]).await;
    let hidden = bob
        .patch("/chat/settings", json!({ "showsPresence": false }))
        .await
        .expect(200);
    assert_eq!(
        (&hidden["showsPresence"], &hidden["whoMayMessage"]),
        (&json!(false), &json!("everyone"))
    );
    assert_eq!(told(&mut adas).await, ("offline".to_owned(), Value::Null));
    for (viewer, of) in [(&ada, &bob), (&bob, &ada), (&eve, &bob)] {
        assert_eq!(status(viewer, of).await, Value::Null);
    }
    bob.patch("/chat/settings", json!({ "showsPresence": true }))
        .await
        .expect(200);
    assert_eq!(watch(&mut adas, &[&bob]).await[0]["status"], "online");
    // Who wrote to each other still see each other when one follows no more.
    eve.follow(&bob).await;
    bob.follow(&eve).await;
    let mut eves = Socket::connect(&eve).await;
    assert_eq!(watch(&mut eves, &[&bob]).await[0]["status"], "online");
    eve.delete(&format!("/users/unfollow/{}", bob.id))
        .await
        .expect(200);
    let mut phone = Socket::connect(&bob).await;
    phone.ask("set_presence", json!({ "status": "away" })).await;
    bobs.ask("set_presence", json!({ "status": "away" })).await;
    assert_eq!(told(&mut eves).await.0, "away");
    assert_eq!(told(&mut adas).await.0, "away");
    drop(phone);
    // Who follows no more sees no more.
    let path = format!("/users/unfollow/{}", ada.id);
    bob.post(&path, json!({})).await.expect(200);
    assert_eq!(told(&mut adas).await, ("offline".to_owned(), Value::Null));
    assert_eq!(status(&ada, &bob).await, Value::Null);
    for wrong in ["", "?ids=", "?ids=x"] {
        ada.get(&format!("/chat/presence{wrong}")).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drops_off_is_gone_when_they_answer_no_more() {
    let server = Server::start_with(|config| {
        config.realtime.ping_interval_ms = 200;
        config.realtime.ping_timeout_ms = 200;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    // It is read from no more, so it answers no pings; and it is not closed.
    let mut silent = Socket::connect(&bob).await;
    silent.ask("join_room", json!({ "roomId": "here" })).await;
    becomes(&ada, &bob, "online").await;
    let gone = becomes(&ada, &bob, "offline").await;
    assert!(gone["lastSeenAt"].is_string(), "{gone}");
    let users = ada.get("/chat/here/users").await.expect(200);
    assert_eq!(users["users"], json!([]));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_somebody_was_seen_last_is_known_after_a_restart() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let (ada, bob) = (client.sign_up("ada").await, client.sign_up("bob").await);
    befriend(&ada, &bob).await;
    let bobs = Socket::connect(&bob).await;
    becomes(&ada, &bob, "online").await;
    assert_eq!(daemon.terminate().await.code(), Some(0));
    drop(bobs);
    let daemon = daemon.restart().await;
    let ada = ada.at(&daemon.client());
    let seen = status(&ada, &bob).await;
    assert_eq!(seen["status"], "offline");
    let seen: jiff::Timestamp = seen["lastSeenAt"].as_str().unwrap().parse().unwrap();
    let ago = jiff::Timestamp::now().duration_since(seen);
    assert!(ago < jiff::SignedDuration::from_secs(60), "{ago}");
    tokio::time::timeout(Duration::from_secs(5), daemon.client().get("/livez"))
        .await
        .unwrap()
        .expect(200);
}

fn conversation(one: &Person, other: &Person) -> String {
    let mut ids = [one.id.as_str(), other.id.as_str()];
    ids.sort_unstable();
    ids.join("_")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hides_or_has_not_accepted_is_not_shown_in_a_room() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    bob.patch("/chat/settings", json!({ "whoMayMessage": "everyone" }))
        .await
        .expect(200);
    let room = conversation(&ada, &bob);
    let place = json!({ "roomId": room });
    let mut adas = Socket::connect(&ada).await;
    let message = json!({ "roomId": room, "message": "Do I know you?" });
    adas.ask("join_room", place.clone()).await;
    adas.ask("send_message", message).await;
    let mut bobs = Socket::connect(&bob).await;
    // He looks at what he has not accepted: that is his business.
    bobs.ask("join_room", place.clone()).await;
    bobs.ask("typing", json!({ "roomId": room, "isTyping": true }))
        .await;
    let users = format!("/chat/{room}/users");
    let seen = async || ada.get(&users).await.expect(200)["users"].clone();
    assert_eq!(seen().await, json!([ada.id]));
    let of_bob = |(_, payload): &&(String, Value)| payload["userId"] == json!(bob.id);
    let told = adas.events();
    assert_eq!(told.iter().find(of_bob), None, "{told:?}");
    bob.post(&format!("/chat/conversations/{room}/accept"), json!({}))
        .await
        .expect(200);
    assert_eq!(seen().await.as_array().unwrap().len(), 2);
    bobs.ask("leave_room", place.clone()).await;
    assert_eq!(adas.next("user_left").await["userId"], json!(bob.id));
    bobs.ask("join_room", place.clone()).await;
    assert_eq!(adas.next("user_joined").await["userId"], json!(bob.id));
    bobs.ask("leave_room", place).await;
    assert_eq!(adas.next("user_left").await["userId"], json!(bob.id));

    // In a room of many as well.
    bob.patch("/chat/settings", json!({ "showsPresence": false }))
        .await
        .expect(200);
    let lobby = json!({ "roomId": "lobby" });
    adas.ask("join_room", lobby.clone()).await;
    bobs.ask("join_room", lobby.clone()).await;
    assert_eq!(
        ada.get("/chat/lobby/users").await.expect(200)["users"],
        json!([ada.id])
    );
    // Oneself one sees.
    assert_eq!(
        bob.get("/chat/lobby/users").await.expect(200)["userCount"],
        2
    );
    let eve = server.sign_up("eve").await;
    let mut eves = Socket::connect(&eve).await;
    eves.ask("join_room", lobby).await;
    assert_eq!(eves.next("room_users").await.as_array().unwrap().len(), 2);
    assert_eq!(adas.next("user_joined").await["userId"], json!(eve.id));
    let told = adas.events();
    assert_eq!(told.iter().find(of_bob), None, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_with_all_devices_at_once_has_left_once() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let place = json!({ "roomId": "r" });
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_room", place.clone()).await;
    for round in 0..12 {
        let bob = server.log_in(&bob).await;
        // With two hubs one is on each.
        let (mut phone, mut laptop) = (Socket::connect(&bob).await, Socket::connect(&bob).await);
        let (one, other) = tokio::join!(
            phone.try_ask("join_room", place.clone()),
            laptop.try_ask("join_room", place.clone())
        );
        assert!(one.unwrap()["ok"] == true && other.unwrap()["ok"] == true);
        assert_eq!(adas.next("user_joined").await["userId"], json!(bob.id));
        bob.post("/auth/logout", json!({})).await.expect(200);
        assert_eq!(adas.next("user_left").await["userId"], json!(bob.id));
        let rest = adas.events();
        let names: Vec<&str> = rest.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            !names.contains(&"user_joined") && !names.contains(&"user_left"),
            "round {round}: {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leaves_a_conversation_that_a_block_has_closed() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    let place = json!({ "roomId": conversation(&ada, &bob) });
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_room", place.clone()).await;
    bob.post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    adas.ask("leave_room", place.clone()).await;
    let info = ada.get("/chat/socket-info").await.expect(200);
    assert_eq!(info["connections"][0]["rooms"], json!([]));
    assert_eq!(adas.refused("leave_room", place).await, "user_not_found");
}
