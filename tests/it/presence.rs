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
    let _bobs = Socket::connect(&bob).await;
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
    assert_eq!(
        gone["lastSeenAt"],
        Value::Null,
        "not written down yet: {gone}"
    );
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
