//! Conversations: requests, groups, who may write to whom, and what each has read.

use serde_json::{Value, json};

use crate::support::socket::Socket;
use crate::support::{Person, Reply, Server};

fn conversation(one: &Person, other: &Person) -> String {
    let mut ids = [one.id.as_str(), other.id.as_str()];
    ids.sort_unstable();
    ids.join("_")
}

async fn say(person: &Person, room: &str, text: &str) -> Reply {
    let path = format!("/chat/conversations/{room}/messages");
    person.post(&path, json!({ "message": text })).await
}

async fn lets(person: &Person, who: &str) {
    let body = json!({ "whoMayMessage": who });
    let set = person.patch("/chat/settings", body).await.expect(200);
    assert_eq!(set["whoMayMessage"], who);
}

async fn list(person: &Person, folder: &str) -> Value {
    let path = format!("/chat/conversations?folder={folder}");
    person.get(&path).await.expect(200)["conversations"].clone()
}

async fn unread(person: &Person) -> (u64, u64) {
    let reply = person.get("/chat/unread-count").await.expect(200);
    let number = |field: &str| reply[field].as_u64().unwrap();
    (number("unreadCount"), number("requestCount"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_says_who_may_write_to_them() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let room = conversation(&ada, &bob);
    assert_eq!(
        ada.get("/chat/settings").await.expect(200)["whoMayMessage"],
        "mutuals"
    );
    ada.patch("/chat/settings", json!({ "whoMayMessage": "friends" }))
        .await
        .expect(400);

    say(&bob, &room, "Hi")
        .await
        .expect_code(403, "cannot_message");
    lets(&ada, "followed").await;
    say(&bob, &room, "Hi")
        .await
        .expect_code(403, "cannot_message");
    ada.follow(&bob).await;
    say(&bob, &room, "Hi").await.expect(200);
    lets(&ada, "mutuals").await;
    say(&bob, &room, "Hi again")
        .await
        .expect_code(403, "cannot_message");
    bob.follow(&ada).await;
    say(&bob, &room, "Hi again").await.expect(200);
    lets(&ada, "nobody").await;
    say(&bob, &room, "Hi?")
        .await
        .expect_code(403, "cannot_message");
    // Who writes lets the other answer.
    say(&ada, &room, "What is it?").await.expect(200);
    say(&bob, &room, "Nothing").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_arrive_as_requests() {
    let server = Server::start().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    lets(&ada, "everyone").await;
    let room = conversation(&ada, &eve);
    let mut socket = Socket::connect(&ada).await;
    say(&eve, &room, "Hello?").await.expect(200);
    let notice = socket.next("new_message_notification").await;
    assert_eq!(
        (&notice["isRequest"], &notice["unreadCount"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(list(&ada, "accepted").await, json!([]));
    let requests = list(&ada, "requests").await;
    assert_eq!(
        (
            &requests[0]["isRequest"],
            &requests[0]["partner"]["username"]
        ),
        (&json!(true), &json!("eve"))
    );
    assert_eq!(unread(&ada).await, (0, 1));
    // To who wrote it is no request.
    assert_eq!(
        list(&eve, "accepted").await[0]["conversationId"],
        json!(room)
    );

    let answer = async |what: &str| {
        let path = format!("/chat/conversations/{room}/{what}");
        ada.post(&path, json!({})).await.expect(200);
    };
    answer("decline").await;
    say(&eve, &room, "Hello??")
        .await
        .expect_code(403, "cannot_message");
    assert_eq!(
        (list(&ada, "requests").await, unread(&ada).await),
        (json!([]), (0, 0))
    );
    assert_eq!(
        list(&ada, "declined").await[0]["conversationId"],
        json!(room)
    );
    // Nor does she write on by changing what she said.
    let path = format!("/chat/{room}/history");
    let first = eve.get(&path).await.expect(200)["messages"][0]["id"].clone();
    let path = format!("/chat/messages/{}", first.as_str().unwrap());
    let edit = json!({ "message": "You cannot stop me" });
    eve.patch(&path, edit)
        .await
        .expect_code(403, "cannot_message");
    answer("accept").await;
    say(&eve, &room, "Hello???").await.expect(200);
    assert_eq!(list(&ada, "accepted").await[0]["unreadCount"], 2);
    assert_eq!(unread(&ada).await, (2, 0));
    // An answer is as good as accepting; and she answers though eve lets in nobody but mutual follows.
    let (bob, kim) = (server.sign_up("bob").await, server.sign_up("kim").await);
    lets(&bob, "everyone").await;
    let room = conversation(&bob, &kim);
    say(&kim, &room, "Hey").await.expect(200);
    say(&bob, &room, "Hey yourself").await.expect(200);
    assert_eq!(
        list(&bob, "accepted").await[0]["conversationId"],
        json!(room)
    );
    say(&kim, &room, "So").await.expect(200);
    assert_eq!(list(&bob, "requests").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_begins_is_found_and_thrown_away() {
    let server = Server::start().await;
    let people = ["ada", "bob", "eve"].map(|name| server.sign_up(name));
    let [ada, bob, eve] = <[Person; 3]>::try_from(futures_util::future::join_all(people).await)
        .unwrap_or_else(|_| unreachable!());
    ada.follow(&bob).await;
    bob.follow(&ada).await;
    let start = json!({ "targetUserId": bob.id });
    let begun = ada
        .post("/chat/conversations/start", start)
        .await
        .expect(200)["conversation"]
        .clone();
    let room = begun["conversationId"].as_str().unwrap();
    assert_eq!(
        (room, &begun["chatType"]),
        (conversation(&ada, &bob).as_str(), &json!("SINGLE"))
    );
    assert_eq!(begun["participants"].as_array().unwrap().len(), 2);
    // It is in the list of who began it; the other sees what is said.
    assert_eq!(
        list(&ada, "accepted").await[0]["conversationId"],
        json!(room)
    );
    assert_eq!(list(&bob, "accepted").await, json!([]));
    for (target, code) in [(&eve, "cannot_message"), (&ada, "cannot_message")] {
        let start = json!({ "targetUserId": target.id });
        ada.post("/chat/conversations/start", start)
            .await
            .expect_code(403, code);
    }
    let mut socket = Socket::connect(&bob).await;
    let started = socket
        .ask("start_conversation", json!({ "targetUserId": ada.id }))
        .await;
    assert_eq!(started["conversation"]["conversationId"], json!(room));
    assert_eq!(socket.next("conversation_started").await, started);

    for text in ["one", "two"] {
        say(&ada, room, text).await.expect(200);
    }
    let path = format!("/chat/conversations/{room}");
    assert_eq!(
        bob.get(&path).await.expect(200)["conversation"]["unreadCount"],
        2
    );
    let first = ada.get(&format!("{path}/messages")).await.expect(200)["messages"][0]["id"].clone();
    eve.get(&path).await.expect(403);
    bob.delete(&path).await.expect(200);
    assert_eq!(
        (list(&bob, "accepted").await, unread(&bob).await.0),
        (json!([]), 0)
    );
    assert_eq!(
        list(&ada, "accepted").await[0]["lastMessage"]["message"],
        "two"
    );
    say(&ada, room, "three").await.expect(200);
    let history = bob.get(&format!("{path}/messages")).await.expect(200);
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&history["messages"][0]["message"], &history["next_cursor"]),
        (&json!("three"), &Value::Null)
    );
    for way in ["cursor=3", "after=0"] {
        let part = bob.get(&format!("{path}/messages?{way}")).await.expect(200);
        assert!(!part.to_string().contains("\"one\""), "{part}");
    }
    let around = format!("{path}/messages?around={}", first.as_str().unwrap());
    bob.get(&around).await.expect(404);
    bob.get(&format!("/chat/messages/{}", first.as_str().unwrap()))
        .await
        .expect(404);
    assert_eq!(list(&bob, "accepted").await[0]["unreadCount"], 1);
    let listed = socket.ask("get_conversations", json!({})).await;
    assert_eq!(listed[0]["lastMessage"]["message"], "three");
    assert_eq!(socket.next("conversations_list").await, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_talk_in_a_group() {
    let server = Server::start().await;
    let people = ["ada", "bob", "cleo", "eve"].map(|name| server.sign_up(name));
    let [ada, bob, cleo, eve] =
        <[Person; 4]>::try_from(futures_util::future::join_all(people).await)
            .unwrap_or_else(|_| unreachable!());
    for other in [&bob, &cleo] {
        ada.follow(other).await;
        other.follow(&ada).await;
    }
    for wrong in [json!([]), json!(vec![bob.id.clone(); 51])] {
        let status = ada
            .post("/chat/conversations", json!({ "userIds": wrong }))
            .await
            .status
            .as_u16();
        assert!([400, 409].contains(&status), "{status}");
    }
    let body = json!({ "userIds": [bob.id, eve.id] });
    ada.post("/chat/conversations", body)
        .await
        .expect_code(403, "cannot_message");
    let body = json!({ "userIds": [bob.id], "title": "Hike" });
    let made = ada.post("/chat/conversations", body).await.expect(201)["conversation"].clone();
    assert_eq!(
        (&made["chatType"], &made["title"]),
        (&json!("GROUP"), &json!("Hike"))
    );
    let room = made["conversationId"].as_str().unwrap();
    let path = format!("/chat/conversations/{room}");
    let members = format!("/chat/rooms/{room}/members");

    // Nobody else knows of it.
    for what in [&path, &members, &format!("/chat/{room}/history")] {
        eve.get(what).await.expect(404);
    }
    say(&eve, room, "Me too").await.expect(404);
    let mut bobs = Socket::connect(&bob).await;
    say(&ada, room, "Sunday?").await.expect(200);
    assert_eq!(
        bobs.next("new_message_notification").await["conversationId"],
        json!(room)
    );
    assert_eq!(list(&bob, "accepted").await[0]["title"], "Hike");

    // Anybody in it takes in whom they may write to, and gives it a name; out of it takes who owns it.
    bob.post(&members, json!({ "userIds": [cleo.id] }))
        .await
        .expect_code(403, "cannot_message");
    ada.post(&members, json!({ "userIds": [cleo.id] }))
        .await
        .expect(200);
    let title = json!({ "title": "Sunday hike" });
    bob.patch(&format!("/chat/rooms/{room}"), title)
        .await
        .expect(200);
    let closed = json!({ "isReadOnly": true });
    bob.patch(&format!("/chat/rooms/{room}"), closed)
        .await
        .expect(403);
    assert_eq!(
        list(&cleo, "accepted").await[0]["participants"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    bob.delete(&format!("{members}/{}", cleo.id))
        .await
        .expect(403);
    ada.delete(&format!("{members}/{}", cleo.id))
        .await
        .expect(200);
    say(&cleo, room, "Why?").await.expect(404);
    assert_eq!(list(&cleo, "accepted").await, json!([]));
    ada.delete(&format!("{members}/{}", ada.id))
        .await
        .expect(200);
    let left = bob.get(&members).await.expect(200)["members"].clone();
    assert_eq!(
        (left.as_array().unwrap().len(), &left[0]["role"]),
        (1, &json!("owner"))
    );

    // Into a group of people one does not follow one comes by request.
    lets(&cleo, "everyone").await;
    bob.post(&members, json!({ "userIds": [cleo.id] }))
        .await
        .expect(200);
    assert_eq!(
        list(&cleo, "requests").await[0]["conversationId"],
        json!(room)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_conversations_have_the_names_of_both_sections() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    bob.follow(&ada).await;
    let room = conversation(&ada, &bob);
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_conversation", json!({ "conversationId": room }))
        .await;
    for text in ["one", "two", "three"] {
        let body = json!({ "content": text });
        let path = format!("/chat/conversations/{room}/messages");
        bob.post(&path, body).await.expect(200);
    }
    let shown = adas.next("new_message").await;
    for (field, value) in [
        ("conversationId", json!(room)),
        ("roomId", json!(room)),
        ("senderId", json!(bob.id)),
        ("userId", json!(bob.id)),
        ("senderUsername", json!("bob")),
        ("content", json!("one")),
        ("message", json!("one")),
        ("messageType", json!("TEXT")),
        ("mediaUrl", Value::Null),
        ("status", json!("SENT")),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    let sent_at: jiff::Timestamp = shown["createdAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(json!(sent_at.as_millisecond()), shown["timestamp"]);

    // What was said before a time, over both ways.
    let path = format!("/chat/conversations/{room}/messages");
    let all = ada.get(&path).await.expect(200)["messages"].clone();
    let second = all[1]["createdAt"].as_str().unwrap();
    let first = ada
        .get(&format!("{path}?before={second}"))
        .await
        .expect(200);
    // Two of them may have come within a millisecond.
    let earlier = |messages: &Value| {
        let messages = messages.as_array().unwrap().clone();
        messages
            .iter()
            .all(|one| one["createdAt"].as_str().unwrap() < second)
    };
    assert!(earlier(&first["messages"]));
    let wanted = json!({ "conversationId": room, "before": second });
    let loaded = adas.ask("load_more_messages", wanted).await;
    assert_eq!(loaded["messages"], first["messages"]);
    let later = "2100-01-01T00:00:00Z";
    let loaded = ada.get(&format!("{path}?before={later}")).await.expect(200);
    assert_eq!(loaded["messages"], all);
    let loaded = ada
        .get(&format!("{path}?before=2020-01-01T00:00:00Z"))
        .await
        .expect(200);
    assert_eq!(loaded["messages"], json!([]));
    for wrong in ["before=yesterday", "before=2100-01-01T00:00:00Z&after=1"] {
        ada.get(&format!("{path}?{wrong}"))
            .await
            .expect_code(400, "invalid_query");
    }

    // How far it has come stands beside each, and a request shows nothing of it.
    let status = async |person: &Person| {
        let list = person.get(&path).await.expect(200)["messages"].clone();
        list[2]["status"].clone()
    };
    assert_eq!(status(&bob).await, "SENT");
    adas.ask("message_delivered", json!({ "conversationId": room }))
        .await;
    assert_eq!(status(&bob).await, "DELIVERED");
    adas.ask("mark_as_read", json!({ "conversationId": room }))
        .await;
    assert_eq!(status(&bob).await, "READ");
    assert_eq!(
        list(&bob, "accepted").await[0]["lastMessage"]["status"],
        "READ"
    );
    // A room's messages have the names of rooms alone.
    say(&ada, "lobby", "Hi").await.expect(200);
    let lobby = ada.get("/chat/lobby/history").await.expect(200)["messages"][0].clone();
    assert!(lobby.get("senderId").is_none() && lobby.get("status").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_what_has_arrived_and_been_read() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    bob.follow(&ada).await;
    let room = conversation(&ada, &bob);
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_room", json!({ "roomId": room })).await;
    let temporary = json!({ "conversationId": room, "content": "Hi", "tempId": "t1" });
    let sent = adas.ask("send_message", temporary).await;
    let told = adas.next("message_sent").await;
    assert_eq!(
        (&told["tempId"], &told["message"]["id"]),
        (&json!("t1"), &sent["id"])
    );
    say(&ada, &room, "There?").await.expect(200);

    let mut bobs = Socket::connect(&bob).await;
    bobs.ask("message_delivered", json!({ "messageId": sent["id"] }))
        .await;
    let arrived = adas.next("messages_delivered").await;
    assert_eq!(
        (&arrived["userId"], &arrived["number"]),
        (&json!(bob.id), &json!(1))
    );
    let path = format!("/chat/conversations/{room}/delivered");
    bob.post(&path, json!({})).await.expect(200);
    assert_eq!(adas.next("messages_delivered").await["number"], 2);
    let state = async || {
        let members = ada
            .get(&format!("/chat/rooms/{room}/members"))
            .await
            .expect(200);
        let members = members["members"].as_array().unwrap().clone();
        let bobs = members
            .into_iter()
            .find(|one| one["id"] == json!(bob.id))
            .unwrap();
        (
            bobs["deliveredNumber"].as_u64(),
            bobs["readNumber"].as_u64(),
        )
    };
    assert_eq!(state().await, (Some(2), Some(0)));
    bobs.ask("mark_as_read", json!({ "conversationId": room }))
        .await;
    assert_eq!(adas.next("messages_read").await["number"], 2);
    assert_eq!(state().await, (Some(2), Some(2)));
    for status in ["DELIVERED", "DELIVERED", "READ"] {
        let update = adas.next("message_status_update").await;
        assert_eq!(
            (&update["status"], &update["conversationId"]),
            (&json!(status), &json!(room))
        );
    }
    // Nobody says so for others.
    let eve = server.sign_up("eve").await;
    eve.post(&path, json!({})).await.expect(403);
    let mut eves = Socket::connect(&eve).await;
    let arrived = json!({ "messageId": sent["id"] });
    assert_eq!(
        eves.refused("message_delivered", arrived).await,
        "message_not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_strangers_are_asked_at_once_and_nobody_is_locked_out() {
    let server = Server::start().await;
    let eve = server.sign_up("eve").await;
    let mut asked = Vec::new();
    // All of them are asked at once: a group counts as many as it has strangers.
    for number in 0..101 {
        let person = server.sign_up(&format!("person{number}")).await;
        lets(&person, "everyone").await;
        asked.push(person);
    }
    for some in asked.chunks(40) {
        let ids: Vec<&str> = some.iter().map(|person| person.id.as_str()).collect();
        let made = eve
            .post("/chat/conversations", json!({ "userIds": ids }))
            .await;
        if some.len() == 40 {
            made.expect(201);
        } else {
            made.expect_code(409, "too_many_requests_pending");
        }
    }
    for person in &asked[80..100] {
        say(&eve, &conversation(&eve, person), "Hi")
            .await
            .expect(200);
    }
    let last = &asked[100];
    say(&eve, &conversation(&eve, last), "Hi")
        .await
        .expect_code(409, "too_many_requests_pending");
    // Those who know her are no strangers, whoever else waits; and she is free to go to rooms.
    last.follow(&eve).await;
    say(&eve, &conversation(&eve, last), "Hi").await.expect(200);
    eve.post("/chat/rooms", json!({ "name": "mine" }))
        .await
        .expect(201);
    let accept = format!(
        "/chat/conversations/{}/accept",
        conversation(&eve, &asked[99])
    );
    asked[99].post(&accept, json!({})).await.expect(200);
    let friend = server.sign_up("friend").await;
    lets(&friend, "everyone").await;
    say(&eve, &conversation(&eve, &friend), "Hi")
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_may_name_whom_they_answer() {
    let server = Server::start().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    lets(&eve, "everyone").await;
    let room = conversation(&ada, &eve);
    say(&ada, &room, "Hello?").await.expect(200);
    // Ada lets nobody write to her who is not a friend; but she wrote first.
    let path = format!("/chat/{room}/message");
    let answer = json!({ "message": "Yes?", "targetUserId": ada.id });
    eve.post(&path, answer.clone()).await.expect(200);
    let mut socket = Socket::connect(&eve).await;
    let joined = socket
        .ask(
            "join_room",
            json!({ "roomId": room, "targetUserId": ada.id }),
        )
        .await;
    assert_eq!(joined["lastNumber"], 2, "{joined}");
    // Elsewhere the name counts.
    eve.post("/chat/garden/message", answer)
        .await
        .expect_code(403, "cannot_message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_ends_what_one_was_allowed() {
    let server = Server::start().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    lets(&eve, "everyone").await;
    let room = conversation(&ada, &eve);
    say(&ada, &room, "Hello?").await.expect(200);
    say(&eve, &room, "Yes?").await.expect(200);
    let block = format!("/users/{}/block", eve.id);
    ada.post(&block, json!({})).await.expect(200);
    ada.delete(&block).await.expect(200);
    say(&eve, &room, "Again?")
        .await
        .expect_code(403, "cannot_message");
    say(&ada, &room, "Again").await.expect(200);
    say(&eve, &room, "Fine").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_muted_is_not_told_of() {
    let server = Server::start().await;
    let (ada, eve, bob) = (
        server.sign_up("ada").await,
        server.sign_up("eve").await,
        server.sign_up("bob").await,
    );
    for (one, other) in [(&ada, &eve), (&eve, &ada), (&ada, &bob), (&bob, &ada)] {
        one.follow(other).await;
    }
    let stranger = server.sign_up("stranger").await;
    lets(&ada, "everyone").await;
    for person in [&eve, &stranger] {
        say(person, &conversation(&ada, person), "Before")
            .await
            .expect(200);
    }
    assert_eq!(unread(&ada).await, (1, 1));
    let mut socket = Socket::connect(&ada).await;
    let counts = socket.next("counts").await;
    assert_eq!(
        (&counts["messages"], &counts["requests"]),
        (&json!(1), &json!(1))
    );
    for person in [&eve, &stranger] {
        let path = format!("/users/{}/mute", person.id);
        ada.post(&path, json!({})).await.expect(200);
    }
    assert_eq!(unread(&ada).await, (0, 0));
    // One mute after the other.
    while socket.next("counts").await["messages"] != 0 {}
    say(&eve, &conversation(&ada, &eve), "Do you hear?")
        .await
        .expect(200);
    let made = eve
        .post(
            "/chat/rooms",
            json!({ "name": "den", "visibility": "hidden" }),
        )
        .await;
    made.expect(201);
    eve.post("/chat/rooms/den/invitations", json!({ "userId": ada.id }))
        .await
        .expect(200);
    // She finds all of it when she looks.
    let invitations = ada.get("/chat/invitations").await.expect(200);
    assert_eq!(invitations["invitations"][0]["room"]["roomId"], "den");
    say(&bob, &conversation(&ada, &bob), "And me?")
        .await
        .expect(200);
    let notice = socket.next("new_message_notification").await;
    assert_eq!(notice["message"]["message"], "And me?");
    let told = format!("{:?}", socket.events());
    assert!(
        !told.contains("room_invitation") && !told.contains("hear"),
        "{told}"
    );
    let hers = list(&ada, "accepted").await;
    assert_eq!(hers[1]["lastMessage"]["message"], "Do you hear?");
    assert_eq!(hers[1]["unreadCount"], 2, "{hers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_who_is_blocked_do_not_count() {
    let server = Server::start().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    lets(&ada, "everyone").await;
    say(&eve, &conversation(&ada, &eve), "Hi").await.expect(200);
    let mut socket = Socket::connect(&ada).await;
    assert_eq!(socket.next("counts").await["requests"], 1);
    let block = format!("/users/{}/block", eve.id);
    ada.post(&block, json!({})).await.expect(200);
    assert_eq!(socket.next("counts").await["requests"], 0);
    assert_eq!(unread(&ada).await, (0, 0));
    assert_eq!(list(&ada, "requests").await, json!([]));
    ada.delete(&block).await.expect(200);
    assert_eq!(socket.next("counts").await["requests"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_a_group_comes_back_as_they_like() {
    let server = Server::start().await;
    let (ada, bob, cleo) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("cleo").await,
    );
    for other in [&bob, &cleo] {
        ada.follow(other).await;
        other.follow(&ada).await;
    }
    let body = json!({ "userIds": [bob.id, cleo.id] });
    let made = ada.post("/chat/conversations", body).await.expect(201);
    let room = made["conversation"]["conversationId"].as_str().unwrap();
    let members = format!("/chat/rooms/{room}/members");
    let leave = format!("{members}/{}", bob.id);
    let again = json!({ "userIds": [bob.id] });
    say(&ada, room, "One").await.expect(200);
    bob.delete(&leave).await.expect(200);
    ada.post(&members, again.clone()).await.expect(200);
    say(&ada, room, "Two").await.expect(200);
    assert_eq!(list(&bob, "accepted").await, json!([]));
    assert_eq!(list(&bob, "requests").await[0]["conversationId"], room);
    bob.delete(&leave).await.expect(200);
    ada.post(&members, again)
        .await
        .expect_code(403, "cannot_message");
    // With the last one the group goes.
    for person in [&cleo, &ada] {
        let path = format!("{members}/{}", person.id);
        person.delete(&path).await.expect(200);
    }
    ada.get(&members).await.expect_code(404, "room_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_of_who_is_not_there_are_not_seen() {
    let server = Server::start().await;
    let (ada, eve, bob) = (
        server.sign_up("ada").await,
        server.sign_up("eve").await,
        server.sign_up("bob").await,
    );
    let said = bob
        .post("/chat/garden/message", json!({ "message": "Hello" }))
        .await
        .expect(200);
    let message = said["data"]["id"].as_str().unwrap().to_owned();
    let react = format!("/chat/messages/{message}/reactions");
    ada.post(&format!("/users/{}/block", eve.id), json!({}))
        .await
        .expect(200);
    let mut adas = Socket::connect(&ada).await;
    adas.ask("join_room", json!({ "roomId": "garden" })).await;
    for (person, emoji) in [
        (&eve, "\u{1f44d}"),
        (&bob, "\u{1f44d}"),
        (&eve, "\u{1f389}"),
    ] {
        person
            .post(&react, json!({ "emoji": emoji }))
            .await
            .expect(200);
    }
    bob.patch(
        &format!("/chat/messages/{message}"),
        json!({ "message": "Hello all" }),
    )
    .await
    .expect(200);
    let expected = json!([{ "emoji": "\u{1f44d}", "userIds": [bob.id] }]);
    assert_eq!(adas.next("reaction_added").await["reactions"], expected);
    assert_eq!(adas.next("message_edited").await["reactions"], expected);
    for path in [
        "/chat/garden/history".to_owned(),
        format!("/chat/messages/{message}"),
    ] {
        let seen = ada.get(&path).await.expect(200).to_string();
        assert!(!seen.contains(&eve.id), "{seen}");
        assert!(seen.contains(&bob.id), "{seen}");
    }
    let own = ada
        .post(&react, json!({ "emoji": "\u{1f44d}" }))
        .await
        .expect(200);
    assert!(!own.to_string().contains(&eve.id), "{own}");
    let all = bob
        .get("/chat/garden/history")
        .await
        .expect(200)
        .to_string();
    assert!(all.contains(&eve.id), "{all}");
}
