//! Notifications: what people are told, and what they do with it (contract, sections 5, 14 and 15).

use serde_json::{Value, json};

use crate::support::{Person, Server};

/// What the contract's route gives, and thereby marks as read.
async fn take(person: &Person) -> Vec<Value> {
    let reply = person.get("/notify/notifications").await.expect(200);
    reply["data"].as_array().unwrap().clone()
}

/// What there is, newest first, read or not.
async fn all(person: &Person) -> Vec<Value> {
    let reply = person
        .get("/api/v1/notifications?limit=100")
        .await
        .expect(200);
    reply["data"].as_array().unwrap().clone()
}

async fn unread(person: &Person) -> u64 {
    person
        .get("/api/v1/notifications/unread/count")
        .await
        .expect(200)["count"]
        .as_u64()
        .unwrap()
}

fn texts(notifications: &[Value]) -> Vec<&str> {
    notifications
        .iter()
        .map(|one| one["message"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_tells_its_person_once_with_the_name_of_who_did_it() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    bob.post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
    let comment = bob.comment(&post, None, "Nice").await;
    bob.follow(&ada).await;
    server.settle().await;

    let told = take(&ada).await;
    assert_eq!(
        texts(&told),
        [
            "bob the First started following you",
            "bob the First commented on your post",
            "bob the First liked your post",
            "You created a new post!",
        ]
    );
    let [followed, commented, liked, posted] = told.as_slice() else {
        panic!("four of them")
    };
    for one in &told {
        assert_eq!(
            (&one["is_read"], &one["userId"]),
            (&json!(false), &json!(ada.id))
        );
        assert!(one["createdAt"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(
        (&followed["type"], &followed["triggeredById"]),
        (&json!("CONNECTION"), &json!(bob.id))
    );
    assert_eq!(
        (&commented["type"], &commented["commentId"]),
        (&json!("ENGAGEMENT"), &json!(comment))
    );
    assert_eq!(commented["postId"], json!(post));
    assert_eq!(
        (&liked["type"], &liked["postId"]),
        (&json!("ENGAGEMENT"), &json!(post))
    );
    assert!(liked["likeId"].is_string());
    assert_eq!(
        (&posted["type"], &posted["link"]),
        (&json!("POST"), &json!(format!("/posts/{post}")))
    );
    assert!(
        take(&ada).await.is_empty(),
        "the second call has nothing new"
    );
    assert_eq!(all(&ada).await.len(), 4, "what was read can still be seen");
    assert!(
        take(&bob).await.is_empty(),
        "nobody is told of their own doing"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liking_again_tells_nothing_new_and_what_is_taken_back_takes_its_notification_along() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    for _ in 0..2 {
        bob.post(&format!("/posts/like/{post}"), json!({}))
            .await
            .expect(200);
    }
    let comment = bob.comment(&post, None, "Nice").await;
    bob.follow(&ada).await;
    server.settle().await;
    assert_eq!(unread(&ada).await, 4);

    bob.patch(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
    bob.delete(&format!("/posts/comment/{comment}"))
        .await
        .expect(200);
    bob.post(&format!("/users/unfollow/{}", ada.id), json!({}))
        .await
        .expect(200);
    server.settle().await;
    assert_eq!(texts(&all(&ada).await), ["You created a new post!"]);
    assert_eq!(unread(&ada).await, 1);

    bob.post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
    server.settle().await;
    assert_eq!(unread(&ada).await, 1, "a like that comes back is no news");
    ada.delete(&format!("/posts/{post}")).await.expect(200);
    server.settle().await;
    assert!(all(&ada).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_route_marks_what_it_gave_and_not_what_it_left_out() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for number in 0..60 {
        ada.write(&format!("Post {number}")).await;
    }
    server.settle().await;
    assert_eq!(take(&ada).await.len(), 50);
    assert_eq!(unread(&ada).await, 10);
    assert_eq!(take(&ada).await.len(), 10);
    assert!(take(&ada).await.is_empty());
    assert_eq!(all(&ada).await.len(), 60);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_and_mentions_tell_those_who_may_see_them() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    let post = ada.write("Hello @bob").await;
    let comment = bob.comment(&post, None, "Hi @eve").await;
    ada.comment(&post, Some(&comment), "Welcome").await;
    ada.write_for("A secret about @eve", "private").await;
    ada.write_for("For followers, @eve", "followers").await;
    server.settle().await;
    assert_eq!(
        texts(&all(&bob).await),
        [
            "ada the First replied to your comment",
            "ada the First mentioned you in a post"
        ]
    );
    assert_eq!(
        texts(&all(&eve).await),
        ["bob the First mentioned you in a comment"]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_paged_filtered_grouped_read_and_thrown_away() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    for name in ["bob", "cid", "dan", "eve", "fay"] {
        let person = server.sign_up(name).await;
        person
            .post(&format!("/posts/like/{post}"), json!({}))
            .await
            .expect(200);
        person.follow(&ada).await;
    }
    server.settle().await;

    let grouped = ada
        .get("/api/v1/notifications?group=true")
        .await
        .expect(200);
    assert_eq!(
        texts(grouped["data"].as_array().unwrap()),
        [
            "fay the First and 4 others started following you",
            "fay the First and 4 others liked your post",
            "You created a new post!"
        ]
    );
    assert_eq!(grouped["data"][0]["count"], 5);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada
            .get(&format!("/api/v1/notifications?limit=4&cursor={cursor}"))
            .await
            .expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        next.clone_into(&mut cursor);
    }
    let ids: Vec<String> = all(&ada)
        .await
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen, ids);

    let follows = ada
        .get("/api/v1/notifications?type=CONNECTION")
        .await
        .expect(200);
    assert_eq!(follows["data"].as_array().unwrap().len(), 5);
    ada.get("/api/v1/notifications?type=NONSENSE")
        .await
        .expect_code(400, "invalid_query");

    ada.patch(&format!("/api/v1/notifications/{}/read", ids[0]), json!({}))
        .await
        .expect(200);
    ada.patch(&format!("/api/v1/notifications/{}/read", ids[0]), json!({}))
        .await
        .expect(200);
    assert_eq!(unread(&ada).await, 10);
    ada.delete(&format!("/api/v1/notifications/{}", ids[1]))
        .await
        .expect(200);
    ada.delete(&format!("/api/v1/notifications/{}", ids[1]))
        .await
        .expect_code(404, "notification_not_found");
    assert_eq!((unread(&ada).await, all(&ada).await.len()), (9, 10));
    let eve = server.log_in(&server.sign_up("eva").await).await;
    eve.delete(&format!("/api/v1/notifications/{}", ids[2]))
        .await
        .expect_code(404, "notification_not_found");
    ada.patch("/api/v1/notifications/read-all", json!({}))
        .await
        .expect(200);
    assert_eq!((unread(&ada).await, all(&ada).await.len()), (0, 10));
    ada.delete("/api/v1/notifications").await.expect(200);
    assert!(all(&ada).await.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_the_event_log_and_replays_it_without_telling_anything_twice() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    bob.post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
    server.settle().await;
    take(&ada).await;
    server.settle().await;

    bob.get("/api/v1/admin/events")
        .await
        .expect_code(403, "forbidden");
    let overview = admin.get("/api/v1/admin/events").await.expect(200);
    assert_eq!(overview["consumers"][0]["name"], "notifications");
    assert_eq!(overview["consumers"][0]["lag"], 0);
    let replay = "/api/v1/admin/events/consumers/notifications/replay";
    bob.post(replay, json!({ "from": 1 }))
        .await
        .expect_code(403, "forbidden");
    admin.post(replay, json!({ "from": 1 })).await.expect(200);
    server.settle().await;
    assert_eq!(
        texts(&all(&ada).await),
        ["bob the First liked your post", "You created a new post!"]
    );
    assert_eq!(unread(&ada).await, 0, "what was read stays read");
    let letters = admin
        .get("/api/v1/admin/events/consumers/notifications/dead-letters")
        .await
        .expect(200);
    assert_eq!(letters["dead_letters"], json!([]));
    admin
        .post(
            "/api/v1/admin/events/consumers/nobody/replay",
            json!({ "from": 1 }),
        )
        .await
        .expect_code(404, "consumer_not_found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_survive_a_restart_and_the_loss_of_the_event_log() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    take(&ada).await;
    bob.post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
    server.settle().await;
    let before = all(&ada).await;
    assert_eq!(before.len(), 2);
    let server = server.restart().await;
    server.settle().await;
    let ada = server.log_in(&ada).await;
    assert_eq!(all(&ada).await, before);

    let server = server.restart_without("events").await;
    server.settle().await;
    let ada = server.log_in(&ada).await;
    assert_eq!(all(&ada).await, before);
    server.stop().await;
}
