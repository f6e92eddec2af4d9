//! Rooms: who finds them, comes in, keeps order, and has to be quiet.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::pictures::upload;
use crate::support::socket::Socket;
use crate::support::{Person, Server, database, eventually};

async fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Person; N] {
    let mut all = Vec::new();
    for name in names {
        all.push(server.sign_up(name).await);
    }
    all.try_into().unwrap_or_else(|_| unreachable!())
}

async fn befriend(one: &Person, other: &Person) {
    one.follow(other).await;
    other.follow(one).await;
}

/// Makes a room; returns its name for addresses.
async fn make(owner: &Person, body: Value) -> String {
    let made = owner.post("/chat/rooms", body).await.expect(201);
    made["room"]["roomId"].as_str().unwrap().to_owned()
}

async fn join(person: &Person, room: &str) {
    let path = format!("/chat/rooms/{room}/join");
    person.post(&path, json!({})).await.expect(200);
}

async fn try_say(person: &Person, room: &str, text: &str) -> crate::support::Reply {
    let path = format!("/chat/{room}/message");
    person.post(&path, json!({ "message": text })).await
}

async fn role_of(person: &Person, room: &str) -> Value {
    let path = format!("/chat/rooms/{room}");
    person.get(&path).await.expect(200)["room"]["role"].clone()
}

async fn set_role(owner: &Person, room: &str, person: &Person, role: &str) {
    let path = format!("/chat/rooms/{room}/members/{}", person.id);
    owner
        .patch(&path, json!({ "role": role }))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_has_a_title_a_topic_a_picture_and_tells_of_changes() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let room = make(
        &ada,
        json!({ "name": "garden", "title": "  Gardeners ", "topic": "Roses" }),
    )
    .await;
    assert_eq!(room, "garden");
    assert_eq!(role_of(&ada, &room).await, "owner");
    assert_eq!(role_of(&bob, &room).await, Value::Null);
    let mut socket = Socket::connect(&bob).await;
    socket.ask("join_room", json!({ "roomId": room })).await;

    let path = format!("/chat/rooms/{room}");
    bob.patch(&path, json!({ "title": "Mine" }))
        .await
        .expect(403);
    let uploaded = upload(&ada, "/api/v1/media").await.expect(201);
    let change =
        json!({ "topic": null, "avatarId": uploaded["media"]["id"], "slowModeSeconds": 5 });
    let now = ada.patch(&path, change).await.expect(200)["room"].clone();
    assert_eq!(now["title"], "  Gardeners ");
    assert_eq!(now["topic"], Value::Null);
    let told = socket.next("room_updated").await;
    assert_eq!(told["slowModeSeconds"], 5);
    assert_eq!(told["avatar"], now["avatar"]);
    let picture = now["avatar"].as_str().unwrap();
    let (_, picture) = picture.split_once("/media/").unwrap();
    assert_eq!(server.get(&format!("/media/{picture}")).await.status, 200);

    for wrong in [
        json!({ "title": "x".repeat(81) }),
        json!({ "topic": "x".repeat(501) }),
        json!({ "slowModeSeconds": 100_000 }),
        json!({ "retentionDays": 0 }),
        json!({ "visibility": "secret" }),
        json!({}),
    ] {
        ada.patch(&path, wrong).await.expect(400);
    }
    let stolen =
        json!({ "avatarId": upload(&bob, "/api/v1/media").await.expect(201)["media"]["id"] });
    ada.patch(&path, stolen)
        .await
        .expect_code(404, "media_not_found");
    let again = json!({ "name": "garden" });
    bob.post("/chat/rooms", again)
        .await
        .expect_code(409, "room_exists");
    for name in ["", "a\nb", "1_2", "~1"] {
        bob.post("/chat/rooms", json!({ "name": name }))
            .await
            .expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_found_by_those_who_may_find_them() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    befriend(&ada, &bob).await;
    befriend(&ada, &eve).await;
    let open = make(&ada, json!({ "name": "open house" })).await;
    let invite = make(
        &ada,
        json!({ "name": "open to few", "visibility": "invite" }),
    )
    .await;
    let hidden = make(
        &ada,
        json!({ "visibility": "hidden", "title": "Nobody's business" }),
    )
    .await;
    let invite_to = |room: &str| format!("/chat/rooms/{room}/invitations");

    let found = eve.get("/chat/rooms/directory?q=open").await.expect(200);
    assert_eq!(names(&found["rooms"]), ["open house", "open to few"]);
    let walked = eve.walk("/chat/rooms/directory", "rooms", 1).await;
    assert_eq!(walked.len(), 2);
    let none = eve.get("/chat/rooms/directory?q=Open").await.expect(200);
    assert_eq!(none["rooms"], json!([]));

    // What it is, who is in it, and what was said: each for those whom it is for.
    for (room, what, inside) in [(&open, 200, 200), (&invite, 200, 403), (&hidden, 404, 404)] {
        eve.get(&format!("/chat/rooms/{room}")).await.expect(what);
        for part in ["members", "pins"] {
            let path = format!("/chat/rooms/{room}/{part}");
            eve.get(&path).await.expect(inside);
        }
        eve.get(&format!("/chat/{room}/history"))
            .await
            .expect(inside);
        eve.get(&format!("/chat/{room}/users"))
            .await
            .status
            .as_u16();
        assert_eq!(try_say(&eve, room, "Hi").await.status.as_u16(), inside);
    }
    let mut socket = Socket::connect(&eve).await;
    for (room, code) in [(&invite, "invitation_needed"), (&hidden, "room_not_found")] {
        let place = json!({ "roomId": room });
        assert_eq!(socket.refused("join_room", place).await, code);
    }
    assert_eq!(socket.next("error").await["code"], "invitation_needed");

    // Who is invited finds it, and reads only when they have come in.
    let mut bobs = Socket::connect(&bob).await;
    ada.post(&invite_to(&hidden), json!({ "userId": bob.id }))
        .await
        .expect(200);
    ada.post(&invite_to(&hidden), json!({ "userId": bob.id }))
        .await
        .expect(200);
    assert_eq!(bobs.next("room_invitation").await["roomId"], json!(hidden));
    let list = bob.get("/chat/invitations").await.expect(200)["invitations"].clone();
    assert_eq!(list[0]["room"]["title"], "Nobody's business");
    assert_eq!(list[0]["invitedBy"]["username"], "ada");
    assert_eq!(list.as_array().unwrap().len(), 1);
    bob.get(&format!("/chat/rooms/{hidden}")).await.expect(200);
    bob.get(&format!("/chat/{hidden}/history"))
        .await
        .expect_code(403, "invitation_needed");
    bobs.ask("join_room", json!({ "roomId": hidden })).await;
    bob.get(&format!("/chat/{hidden}/history"))
        .await
        .expect(200);
    assert_eq!(
        bob.get("/chat/invitations").await.expect(200)["invitations"],
        json!([])
    );
    // Members of closed rooms do not bring others; those of open ones may.
    bob.post(&invite_to(&hidden), json!({ "userId": eve.id }))
        .await
        .expect(403);
    join(&bob, &open).await;
    let kim = server.sign_up("kim").await;
    // Nobody is invited who lets the inviter not write to them.
    bob.post(&invite_to(&open), json!({ "userId": kim.id }))
        .await
        .expect_code(403, "cannot_message");
    befriend(&bob, &kim).await;
    bob.post(&invite_to(&open), json!({ "userId": kim.id }))
        .await
        .expect(200);
    let decline = format!("/chat/rooms/{open}/invitations/{}", kim.id);
    kim.delete(&decline).await.expect(200);
    kim.delete(&decline).await.expect(404);
    // Who declined is not asked again.
    bob.post(&invite_to(&open), json!({ "userId": kim.id }))
        .await
        .expect(200);
    let list = kim.get("/chat/invitations").await.expect(200);
    assert_eq!(list["invitations"], json!([]));
    // An invitation that was taken back is none.
    ada.post(&invite_to(&invite), json!({ "userId": eve.id }))
        .await
        .expect(200);
    let back = format!("/chat/rooms/{invite}/invitations/{}", eve.id);
    bob.delete(&back).await.expect(403);
    ada.delete(&back).await.expect(200);
    let path = format!("/chat/rooms/{invite}/join");
    eve.post(&path, json!({}))
        .await
        .expect_code(403, "invitation_needed");

    let mine = bob.get("/chat/rooms").await.expect(200)["rooms"].clone();
    assert_eq!(names(&mine), [hidden.as_str(), "open house"]);
    assert_eq!(mine[0]["memberCount"], 2);
}

fn names(rooms: &Value) -> Vec<&str> {
    let rooms = rooms.as_array().unwrap();
    rooms
        .iter()
        .map(|room| room["roomId"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_order_is_above_who_does_not() {
    let server = Server::start().await;
    let [ada, bob, cleo, eve] = people(&server, ["ada", "bob", "cleo", "eve"]).await;
    let room = make(&ada, json!({ "name": "square" })).await;
    for person in [&bob, &cleo, &eve] {
        join(person, &room).await;
    }
    set_role(&ada, &room, &bob, "moderator").await;
    let member = |person: &Person| format!("/chat/rooms/{room}/members/{}", person.id);
    let sanction = |what: &str, person: &Person| format!("/chat/rooms/{room}/{what}/{}", person.id);
    // A moderator is above members alone, and makes no others.
    bob.patch(&member(&cleo), json!({ "role": "moderator" }))
        .await
        .expect(403);
    bob.delete(&member(&ada)).await.expect(403);
    bob.put(&sanction("bans", &ada), json!({}))
        .await
        .expect(403);
    bob.patch(
        &format!("/chat/rooms/{room}"),
        json!({ "visibility": "hidden" }),
    )
    .await
    .expect(403);
    for person in [&cleo, &eve] {
        person
            .put(&sanction("mutes", &bob), json!({}))
            .await
            .expect(403);
        person
            .get(&format!("/chat/rooms/{room}/sanctions"))
            .await
            .expect(403);
    }

    // Muted: reads, and writes no more, however they come.
    let mut eves = Socket::connect(&eve).await;
    eves.ask("join_room", json!({ "roomId": room })).await;
    let id = try_say(&eve, &room, "Before").await.expect(200)["data"]["id"].clone();
    let muted = json!({ "reason": "Too loud" });
    bob.put(&sanction("mutes", &eve), muted).await.expect(200);
    assert_eq!(eves.next("member_updated").await["reason"], "muted");
    let text = json!({ "roomId": room, "message": "Hi" });
    assert_eq!(eves.refused("send_message", text).await, "muted_in_room");
    let path = format!("/chat/messages/{}", id.as_str().unwrap());
    eve.patch(&path, json!({ "message": "After" }))
        .await
        .expect_code(403, "muted_in_room");
    let path = format!("{path}/reactions");
    eve.post(&path, json!({ "emoji": "👍" }))
        .await
        .expect_code(403, "muted_in_room");
    eve.get(&format!("/chat/{room}/history")).await.expect(200);
    eve.delete(&member(&eve)).await.expect(200);
    join(&eve, &room).await;
    try_say(&eve, &room, "Back")
        .await
        .expect_code(403, "muted_in_room");
    let list = bob
        .get(&format!("/chat/rooms/{room}/sanctions"))
        .await
        .expect(200)["sanctions"]
        .clone();
    assert_eq!(
        (&list[0]["type"], &list[0]["reason"]),
        (&json!("mute"), &json!("Too loud"))
    );
    bob.delete(&sanction("mutes", &eve)).await.expect(200);
    try_say(&eve, &room, "Sorry").await.expect(200);

    // Removed: out at once, and may come back. Banned: out, and may not.
    eves.ask("join_room", json!({ "roomId": room })).await;
    bob.delete(&member(&eve)).await.expect(200);
    assert_eq!(eves.next("room_left").await["reason"], "left");
    assert_eq!(eves.next("room_left").await["reason"], "removed");
    let users = bob.get(&format!("/chat/{room}/users")).await.expect(200);
    assert_eq!(users["users"], json!([]));
    let text = json!({ "roomId": room, "isTyping": true });
    assert_eq!(eves.refused("typing", text).await, "not_in_room");
    eves.ask("join_room", json!({ "roomId": room })).await;
    bob.put(&sanction("bans", &eve), json!({}))
        .await
        .expect(200);
    assert_eq!(eves.next("room_left").await["reason"], "banned");
    try_say(&cleo, &room, "Quiet at last").await.expect(200);
    let place = json!({ "roomId": room });
    assert_eq!(
        eves.refused("join_room", place.clone()).await,
        "banned_from_room"
    );
    for path in [
        format!("/chat/{room}/history"),
        format!("/chat/rooms/{room}/members"),
    ] {
        eve.get(&path).await.expect_code(403, "banned_from_room");
    }
    let invitations = format!("/chat/rooms/{room}/invitations");
    cleo.post(&invitations, json!({ "userId": eve.id }))
        .await
        .expect(403);
    bob.delete(&sanction("bans", &eve)).await.expect(200);
    eves.ask("join_room", place).await;
    assert!(
        eves.events().iter().all(|(name, payload)| {
            name != "new_message" || payload["message"] != "Quiet at last"
        })
    );

    // A room is never without an owner.
    ada.patch(&member(&ada), json!({ "role": "member" }))
        .await
        .expect_code(409, "last_owner");
    ada.delete(&member(&ada)).await.expect(200);
    assert_eq!(role_of(&bob, &room).await, "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn sanctions_end_and_slow_mode_slows() {
    let server = Server::start_with_clock(|_| {}).await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let room = make(&ada, json!({ "name": "slow", "slowModeSeconds": 30 })).await;
    join(&bob, &room).await;
    try_say(&bob, &room, "One").await.expect(200);
    let reply = try_say(&bob, &room, "Two").await;
    reply.expect_code(429, "slow_mode");
    assert_eq!(reply.header("retry-after"), "30");
    for text in ["A", "B"] {
        try_say(&ada, &room, text).await.expect(200);
    }
    server.advance(Duration::from_secs(31));
    try_say(&bob, &room, "Three").await.expect(200);

    let now = server.clock.now();
    let (past, soon) = (
        now.minus(Duration::from_secs(1)),
        now.plus(Duration::from_mins(5)),
    );
    let path = format!("/chat/rooms/{room}/bans/{}", bob.id);
    ada.put(&path, json!({ "until": past.to_string() }))
        .await
        .expect(400);
    ada.put(&path, json!({ "until": soon.to_string() }))
        .await
        .expect(200);
    try_say(&bob, &room, "Four")
        .await
        .expect_code(403, "banned_from_room");
    server.advance(Duration::from_mins(6));
    try_say(&bob, &room, "Five").await.expect(200);

    ada.patch(
        &format!("/chat/rooms/{room}"),
        json!({ "isReadOnly": true }),
    )
    .await
    .expect(200);
    server.advance(Duration::from_mins(1));
    try_say(&bob, &room, "Six")
        .await
        .expect_code(403, "room_read_only");
    try_say(&ada, &room, "Seven").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_forgets_what_is_older_than_it_keeps() {
    let server = Server::start_with_clock(|_| {}).await;
    let ada = server.sign_up("ada").await;
    let room = make(&ada, json!({ "name": "today" })).await;
    let other = make(&ada, json!({ "name": "always" })).await;
    let uploaded = upload(&ada, "/api/v1/media").await.expect(201);
    let old = json!({ "message": "Old", "mediaIds": [uploaded["media"]["id"]] });
    let old = ada
        .post(&format!("/chat/{room}/message"), old)
        .await
        .expect(200);
    try_say(&ada, &other, "Old").await.expect(200);
    ada.patch(
        &format!("/chat/rooms/{room}"),
        json!({ "retentionDays": 1 }),
    )
    .await
    .expect(200);
    server.advance(Duration::from_hours(23));
    let ada = server.log_in(&ada).await;
    let answer = json!({ "message": "Answer", "replyTo": old["data"]["id"] });
    ada.post(&format!("/chat/{room}/message"), answer)
        .await
        .expect(200);
    server.advance(Duration::from_hours(2));
    let ada = server.log_in(&ada).await;
    server.app.chat().expire().await.unwrap();
    let history = async |room: &str| {
        let path = format!("/chat/{room}/history");
        ada.get(&path).await.expect(200)["messages"].clone()
    };
    let left = history(&room).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(
        (&left[0]["number"], &left[0]["replyTo"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(history(&other).await[0]["message"], "Old");
    let media = ada.get("/api/v1/media").await.expect(200);
    assert_eq!(media["media"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_pinned_by_who_keeps_order() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let room = make(&ada, json!({ "name": "board" })).await;
    let mut socket = Socket::connect(&bob).await;
    socket.ask("join_room", json!({ "roomId": room })).await;
    let sent = try_say(&bob, &room, "Read this").await.expect(200)["data"].clone();
    let id = sent["id"].as_str().unwrap();
    let pin = format!("/chat/messages/{id}/pin");
    bob.put(&pin, json!({})).await.expect(403);
    let pinned = ada.put(&pin, json!({})).await.expect(200);
    assert!(pinned["data"]["pinnedAt"].is_string());
    ada.put(&pin, json!({})).await.expect(200);
    assert_eq!(socket.next("message_pinned").await["messageId"], json!(id));
    let pins = bob
        .get(&format!("/chat/rooms/{room}/pins"))
        .await
        .expect(200);
    assert_eq!(pins["messages"][0]["id"], json!(id));
    ada.delete(&pin).await.expect(200);
    assert_eq!(
        socket.next("message_unpinned").await["messageId"],
        json!(id)
    );
    // Who keeps order takes back what others said.
    let path = format!("/chat/messages/{id}");
    ada.delete(&path).await.expect(200);
    assert_eq!(socket.next("message_deleted").await["messageId"], json!(id));
    for number in 0..=50 {
        let sent = try_say(&ada, &room, &number.to_string()).await.expect(200);
        let path = format!(
            "/chat/messages/{}/pin",
            sent["data"]["id"].as_str().unwrap()
        );
        let status = if number < 50 { 200 } else { 409 };
        ada.put(&path, json!({})).await.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_bring_pictures_name_people_and_point_to_posts() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    befriend(&ada, &bob).await;
    let room = make(&ada, json!({ "visibility": "hidden" })).await;
    let path = format!("/chat/rooms/{room}/invitations");
    ada.post(&path, json!({ "userId": bob.id }))
        .await
        .expect(200);
    join(&bob, &room).await;
    let mut bobs = Socket::connect(&bob).await;
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_room", json!({ "roomId": room })).await;

    let uploaded = upload(&ada, "/api/v1/media").await.expect(201)["media"].clone();
    let draft = json!({ "roomId": room, "mediaIds": [uploaded["id"]] });
    let sent = adas.ask("send_message", draft.clone()).await;
    assert_eq!(
        (&sent["messageType"], &sent["message"]),
        (&json!("IMAGE"), &json!(""))
    );
    // In use already, somebody else's, too many: refused whole.
    adas.refused("send_message", draft.clone()).await;
    let theirs = upload(&eve, "/api/v1/media").await.expect(201)["media"]["id"].clone();
    let stolen = json!({ "roomId": room, "mediaIds": [theirs] });
    assert_eq!(
        adas.refused("send_message", stolen).await,
        "media_not_found"
    );
    let many = json!({ "roomId": room, "mediaIds": vec![theirs; 11] });
    assert_eq!(adas.refused("send_message", many).await, "too_many_files");
    let empty = json!({ "roomId": room });
    assert_eq!(adas.refused("send_message", empty).await, "empty_message");
    // The picture is for the room alone: its address says so, and only as it was given.
    let history = bob.get(&format!("/chat/{room}/history")).await.expect(200);
    let address = history["messages"][0]["media"][0]["url"].as_str().unwrap();
    let (_, address) = address.split_once("/media/").unwrap();
    assert_eq!(server.get(&format!("/media/{address}")).await.status, 200);
    let (bare, _) = address.split_once('?').unwrap();
    assert_eq!(server.get(&format!("/media/{bare}")).await.status, 403);
    let live = adas.next("new_message").await["media"][0]["url"].clone();
    assert!(live.as_str().unwrap().starts_with("http") && live.as_str().unwrap().contains('?'));

    // People who are named hear of it wherever they are; those who are not in the room do not.
    let text = json!({ "roomId": room, "message": "**@bob** and @eve: see `it`" });
    let sent = adas.ask("send_message", text).await;
    assert_eq!(sent["mentions"], json!([bob.id]));
    assert_eq!(
        sent["html"],
        "<p><strong>@bob</strong> and @eve: see <code>it</code></p>"
    );
    let notice = bobs.next("new_message_notification").await;
    assert_eq!(notice["message"]["id"], sent["id"]);
    // It waits for who was not there, apart from what else they have not read.
    let waiting = async || {
        let rooms = bob.get("/chat/rooms").await.expect(200)["rooms"].clone();
        let one = bob.get(&format!("/chat/rooms/{room}")).await.expect(200)["room"].clone();
        assert_eq!(rooms[0], one);
        (one["unreadCount"].clone(), one["mentionCount"].clone())
    };
    assert_eq!(waiting().await, (json!(2), json!(1)));

    let message = format!("/chat/messages/{}", sent["id"].as_str().unwrap());
    let edited = ada
        .patch(&message, json!({ "message": "Never mind" }))
        .await
        .expect(200);
    assert_eq!(
        (&edited["data"]["mentions"], &edited["data"]["html"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(waiting().await, (json!(2), json!(0)));
    let edits = bob.get(&format!("{message}/edits")).await.expect(200)["edits"].clone();
    assert_eq!(edits[0]["message"], "**@bob** and @eve: see `it`");
    eve.get(&format!("{message}/edits")).await.expect(404);
    eve.get(&message).await.expect(404);

    // A post to point to: named, or by its address in the text; never one that the sender may not see.
    let (public, private) = (
        eve.write("Public").await,
        eve.write_for("Private", "private").await,
    );
    let link = server.url(&format!("/posts/{public}"));
    let sent = adas
        .ask(
            "send_message",
            json!({ "roomId": room, "message": format!("See {link}!") }),
        )
        .await;
    assert_eq!(sent["postId"], json!(public));
    let sent = adas
        .ask("send_message", json!({ "roomId": room, "postId": public }))
        .await;
    assert_eq!(sent["postId"], json!(public));
    let hidden = json!({ "roomId": room, "postId": private });
    assert_eq!(adas.refused("send_message", hidden).await, "post_not_found");
    let link = server.url(&format!("/posts/{private}"));
    let sent = adas
        .ask("send_message", json!({ "roomId": room, "message": link }))
        .await;
    assert_eq!(sent["postId"], Value::Null);
    let shown = bob
        .get(&format!("/api/v1/posts/batch?ids={private},{public}"))
        .await
        .expect(200);
    assert_eq!(shown["posts"].as_array().unwrap().len(), 1);
    assert_eq!(shown["posts"][0]["content"], "Public");
    for wrong in [
        "",
        "?ids=",
        "?ids=x",
        &format!("?ids={}", vec!["1"; 51].join(",")),
    ] {
        bob.get(&format!("/api/v1/posts/batch{wrong}"))
            .await
            .expect(400);
    }

    // What is taken back takes its picture along.
    let first = history["messages"][0]["id"].as_str().unwrap();
    ada.delete(&format!("/chat/messages/{first}"))
        .await
        .expect(200);
    eventually("the picture is gone", || async {
        let gone = server.get(&format!("/media/{address}")).await;
        (gone.status == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_may_leave_making_rooms_to_its_admins() {
    let server = Server::start_with(|config| config.chat.opens_rooms = false).await;
    let admin = server.set_up("admin").await;
    let ada = server.sign_up("ada").await;
    let mut socket = Socket::connect(&ada).await;
    let place = json!({ "roomId": "lobby" });
    assert_eq!(
        socket.refused("join_room", place.clone()).await,
        "room_not_found"
    );
    ada.post("/chat/rooms", json!({ "name": "lobby" }))
        .await
        .expect(403);
    make(&admin, json!({ "name": "lobby" })).await;
    socket.ask("join_room", place).await;
    // An admin keeps order in every room that they may see, and reads none that is closed.
    let closed = make(&admin, json!({ "name": "office", "visibility": "hidden" })).await;
    ada.get(&format!("/chat/rooms/{closed}")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_is_not_there_in_common_rooms_either() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    befriend(&ada, &eve).await;
    let room = make(&ada, json!({ "name": "square" })).await;
    for person in [&bob, &eve] {
        join(person, &room).await;
    }
    let mut adas = Socket::connect(&ada).await;
    let mut eves = Socket::connect(&eve).await;
    for socket in [&mut adas, &mut eves] {
        socket.ask("join_room", json!({ "roomId": room })).await;
    }
    let sent = try_say(&eve, &room, "Before").await.expect(200)["data"].clone();
    assert_eq!(adas.next("new_message").await["message"], "Before");
    let message = format!("/chat/messages/{}", sent["id"].as_str().unwrap());
    let ids = {
        let mut ids = [ada.id.as_str(), eve.id.as_str()];
        ids.sort_unstable();
        ids.join("_")
    };
    try_say(&eve, &ids, "Psst").await.expect(200);
    ada.post(&format!("/users/block/{}", eve.id), json!({}))
        .await
        .expect(404);
    ada.post(&format!("/api/v1/users/{}/block", eve.id), json!({}))
        .await
        .expect(200);

    // Neither sees the other: what was said, what is said, who is there, who is typing.
    eventually("it is known on all sockets", || async {
        let users = ada.get(&format!("/chat/{room}/users")).await.expect(200);
        (users["users"] == json!([ada.id])).then_some(())
    })
    .await;
    try_say(&eve, &room, "After @ada").await.expect(200);
    eves.ask("typing", json!({ "roomId": room, "isTyping": true }))
        .await;
    try_say(&bob, &room, "Hello both").await.expect(200);
    assert_eq!(adas.next("new_message").await["message"], "Hello both");
    assert_eq!(eves.next("new_message").await["message"], "Before");
    try_say(&ada, &room, "Not for her").await.expect(200);
    assert_eq!(adas.next("new_message").await["message"], "Not for her");
    let seen: Vec<String> = adas.events().into_iter().map(|(name, _)| name).collect();
    assert!(!seen.contains(&"user_typing".to_owned()), "{seen:?}");
    for (person, other) in [(&ada, "After @ada"), (&eve, "Not for her")] {
        let history = person
            .get(&format!("/chat/{room}/history"))
            .await
            .expect(200);
        assert!(!history.to_string().contains(other), "{history}");
        let members = person
            .get(&format!("/chat/rooms/{room}/members"))
            .await
            .expect(200);
        assert_eq!(members["members"].as_array().unwrap().len(), 2);
        let list = person.get("/chat/conversations").await.expect(200);
        assert_eq!(list["conversations"], json!([]));
        try_say(person, &ids, "Hi")
            .await
            .expect_code(404, "user_not_found");
        person
            .get(&format!("/chat/{ids}/history"))
            .await
            .expect(404);
    }
    ada.get(&message).await.expect(404);
    let react = format!("{message}/reactions");
    ada.post(&react, json!({ "emoji": "👍" })).await.expect(404);
    assert_eq!(
        ada.get("/chat/unread-count").await.expect(200)["unreadCount"],
        0
    );

    // It ends as it began.
    ada.delete(&format!("/api/v1/users/{}/block", eve.id))
        .await
        .expect(200);
    ada.get(&message).await.expect(200);
    try_say(&eve, &room, "Back").await.expect(200);
    assert_eq!(adas.next("new_message").await["message"], "Back");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_left_in_a_room_who_is_gone_or_may_not_be_there() {
    let server = Server::start().await;
    let [ada, eve] = people(&server, ["ada", "eve"]).await;
    let room = make(&ada, json!({ "name": "door" })).await;
    let users = async || ada.get(&format!("/chat/{room}/users")).await.expect(200)["users"].clone();
    for round in 0..20 {
        // Gone while the answer is on its way.
        let mut hasty = Socket::connect(&eve).await;
        hasty.emit("join_room", json!({ "roomId": room })).await;
        drop(hasty);
        // Banned while they come in.
        let mut socket = Socket::connect(&eve).await;
        let ban = format!("/chat/rooms/{room}/bans/{}", eve.id);
        let ((), banned) = tokio::join!(
            socket.emit("join_room", json!({ "roomId": room })),
            ada.put(&ban, json!({}))
        );
        banned.expect(200);
        eventually("nobody is there", || async {
            (users().await == json!([])).then_some(())
        })
        .await;
        let sent = try_say(&ada, &room, "Secret").await.expect(200)["data"]["id"].clone();
        let path = format!("/chat/messages/{}", sent.as_str().unwrap());
        ada.patch(&path, json!({ "message": format!("More secret {round}") }))
            .await
            .expect(200);
        // Once this is answered, all that came before has arrived.
        socket.ask("get_conversations", json!({})).await;
        let seen = format!("{:?}", socket.events());
        assert!(
            !seen.contains(&format!("More secret {round}")),
            "round {round}: {seen}"
        );
        ada.delete(&ban).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_messages_keep_nobody_out() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let room = make(&ada, json!({ "name": "novel" })).await;
    for number in 0..50 {
        let text = format!("{number} {}", "漢".repeat(9_990));
        try_say(&ada, &room, &text).await.expect(200);
    }
    try_say(&ada, &room, &"> ".repeat(5_000)).await.expect(200);
    let mut socket = Socket::connect(&bob).await;
    let joined = socket.ask("join_room", json!({ "roomId": room })).await;
    assert_eq!(joined["lastNumber"], 51);
    let history = socket.next("message_history").await;
    let history = history.as_array().unwrap();
    assert!((1..50).contains(&history.len()));
    assert_eq!(history.last().unwrap()["number"], 51);
    assert_eq!(history.last().unwrap()["html"], Value::Null);
    // Coming back brings the rest in parts.
    let mut last = 1;
    let mut asked = 0;
    loop {
        let joined = socket
            .ask("join_room", json!({ "roomId": room, "lastSeen": last }))
            .await;
        last = joined["lastNumber"].as_u64().unwrap();
        asked += 1;
        if joined["hasNewer"] == false {
            break;
        }
    }
    assert!(last == 51 && asked > 2, "{last} after {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_coming_back_ends_nothing() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let room = make(&ada, json!({ "name": "slowly", "slowModeSeconds": 3600 })).await;
    join(&bob, &room).await;
    try_say(&bob, &room, "One").await.expect(200);
    let member = format!("/chat/rooms/{room}/members/{}", bob.id);
    bob.delete(&member).await.expect(200);
    try_say(&bob, &room, "Two")
        .await
        .expect_code(429, "slow_mode");
    // Who comes later finds what was said, and not as news.
    let cleo = server.sign_up("cleo").await;
    join(&cleo, &room).await;
    let mine = cleo.get("/chat/rooms").await.expect(200);
    assert_eq!(mine["rooms"][0]["unreadCount"], 0);
    // A moderator who is muted stays so, until somebody else decides.
    for person in [&bob, &cleo] {
        join(person, &room).await;
        set_role(&ada, &room, person, "moderator").await;
    }
    let mute = format!("/chat/rooms/{room}/mutes/{}", bob.id);
    ada.put(&mute, json!({})).await.expect(200);
    bob.delete(&mute).await.expect(403);
    cleo.delete(&mute).await.expect(403);
    ada.delete(&mute).await.expect(200);
    // The one who comes into an empty room looks after it.
    for person in [&ada, &bob, &cleo] {
        let member = format!("/chat/rooms/{room}/members/{}", person.id);
        person.delete(&member).await.expect(200);
    }
    join(&bob, &room).await;
    assert_eq!(role_of(&bob, &room).await, "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_closes_a_room_for_all() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    befriend(&ada, &bob).await;
    let room = make(&ada, json!({ "name": "garden" })).await;
    join(&bob, &room).await;
    let said = try_say(&bob, &room, "Hello").await.expect(200);
    let message = format!("/chat/messages/{}", said["data"]["id"].as_str().unwrap());
    let path = format!("/chat/rooms/{room}");
    for person in [&bob, &eve] {
        person.delete(&path).await.expect_code(403, "forbidden");
    }
    // Conversations belong to all who are in them.
    let body = json!({ "userIds": [bob.id], "title": "Hike" });
    let group = ada.post("/chat/conversations", body).await.expect(201);
    let group = group["conversation"]["conversationId"].as_str().unwrap();
    ada.delete(&format!("/chat/rooms/{group}"))
        .await
        .expect_code(403, "forbidden");

    let mut socket = Socket::connect(&bob).await;
    socket.ask("join_room", json!({ "roomId": room })).await;
    ada.delete(&path).await.expect(200);
    let left = socket.next("room_left").await;
    assert_eq!(
        (&left["roomId"], &left["reason"]),
        (&json!(room), &json!("closed"))
    );
    for what in [
        path.clone(),
        format!("{path}/members"),
        format!("/chat/{room}/history"),
        message.clone(),
    ] {
        bob.get(&what).await.expect(404);
    }
    ada.delete(&path).await.expect_code(404, "room_not_found");
    let mine = bob.get("/chat/rooms").await.expect(200);
    assert_eq!(mine["rooms"], json!([]));

    // The name is free, and what was said under it before is nobody's.
    let again = make(&eve, json!({ "name": "garden" })).await;
    let history = eve.get(&format!("/chat/{again}/history")).await.expect(200);
    assert_eq!(history["messages"], json!([]));
    eve.get(&message).await.expect(404);
    server.app.chat().expire().await.unwrap();
    let database = database::connect(server.app.data_dir());
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("rooms"), count("messages")), (2, 0));
    assert_eq!(count("room_members"), 3);
}
