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
