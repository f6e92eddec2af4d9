//! `Idempotency-Key`: a change that is sent twice happens once (contract, "Details").

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Daemon, Person, Reply, Server, eventually};

async fn post_once(person: &Person, key: &str, content: &str) -> Reply {
    let body = json!({ "content": content });
    person.once(key, Method::POST, "/posts/", body).await
}

async fn posts(person: &Client) -> usize {
    let reply = person.get("/posts/getall").await.expect(200);
    reply["posts"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_first_reply() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let first = post_once(&ada, "key", "Hello").await;
    let id = first.expect(201)["post"]["id"].as_str().unwrap().to_owned();
    // What happened meanwhile does not change it.
    bob.post(&format!("/posts/like/{id}"), json!({}))
        .await
        .expect(200);
    for path in ["/posts/", "/posts", "/api/v1/posts"] {
        let again = ada
            .once("key", Method::POST, path, json!({ "content": "Hello" }))
            .await;
        assert_eq!(
            (again.status, &again.text),
            (first.status, &first.text),
            "{path}"
        );
    }
    assert_eq!(posts(&ada).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_can_be_repeated() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let (post, doomed) = (ada.write("Hello").await, bob.write("Goodbye").await);
    let comment = bob.comment(&post, None, "Well said").await;
    let session = server
        .log_in(&bob)
        .await
        .get("/auth/sessions")
        .await
        .expect(200);
    let session = session["sessions"][0]["id"].as_str().unwrap().to_owned();
    let new =
        json!({ "password": crate::support::PASSWORD, "newPassword": "an entirely different one" });
    for (number, (method, path, body)) in [
        (Method::POST, format!("/posts/{post}/like"), json!({})),
        (Method::POST, format!("/posts/{post}/dislike"), json!({})),
        (Method::POST, format!("/posts/like/{post}"), json!({})),
        (Method::PATCH, format!("/posts/like/{post}"), json!({})),
        (
            Method::POST,
            format!("/posts/comment/{post}"),
            json!({ "content": "Once" }),
        ),
        (
            Method::PATCH,
            format!("/posts/comment/{comment}"),
            json!({ "content": "Better said" }),
        ),
        (
            Method::POST,
            format!("/posts/comments/{comment}/like"),
            json!({}),
        ),
        (
            Method::PUT,
            format!("/posts/comments/{comment}/like"),
            json!({}),
        ),
        (
            Method::DELETE,
            format!("/posts/comments/{comment}/like"),
            json!({}),
        ),
        (
            Method::DELETE,
            format!("/posts/comment/{comment}"),
            json!({}),
        ),
        (
            Method::PATCH,
            format!("/posts/{doomed}"),
            json!({ "content": "Farewell" }),
        ),
        (Method::DELETE, format!("/posts/{doomed}"), json!({})),
        (Method::POST, format!("/users/follow/{}", ada.id), json!({})),
        (
            Method::POST,
            format!("/users/unfollow/{}", ada.id),
            json!({}),
        ),
        (
            Method::DELETE,
            format!("/users/unfollow/{}", ada.id),
            json!({}),
        ),
        (
            Method::PATCH,
            "/users/profile".to_owned(),
            json!({ "name": "Robert" }),
        ),
        (
            Method::PATCH,
            "/auth/profile".to_owned(),
            json!({ "bio": "A builder." }),
        ),
        (
            Method::DELETE,
            format!("/auth/sessions/{session}"),
            json!({}),
        ),
        (Method::DELETE, "/auth/sessions".to_owned(), json!({})),
        (Method::POST, "/auth/password".to_owned(), new),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key {number}");
        let first = bob.once(&key, method.clone(), &path, body.clone()).await;
        assert_eq!(first.status, 200, "{method} {path}: {}", first.text);
        let again = bob.once(&key, method.clone(), &path, body).await;
        assert_eq!(
            (again.status, &again.text),
            (first.status, &first.text),
            "{method} {path}"
        );
    }
    let seen = bob.get(&format!("/posts/{post}")).await.expect(200);
    assert_eq!(seen["data"]["_count"], json!({ "likes": 0, "comments": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_change_is_answered_as_it_was_the_first_time() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let change = json!({ "name": "Augusta" });
    let first = ada
        .once("key", Method::PATCH, "/users/profile", change.clone())
        .await;
    ada.patch("/users/profile", json!({ "name": "Countess" }))
        .await
        .expect(200);
    let again = ada
        .once("key", Method::PATCH, "/users/profile", change)
        .await;
    assert_eq!(again.text, first.text);
    assert_eq!(
        ada.get("/users/profile").await.expect(200)["user"]["name"],
        "Countess"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_the_same_key_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = post_once(&ada, "key", "Hello").await.expect(201);
    post_once(&ada, "key", "Something else")
        .await
        .expect_code(422, "idempotency_mismatch");
    let path = format!("/posts/like/{}", post["post"]["id"].as_str().unwrap());
    let elsewhere = ada
        .once("key", Method::POST, &path, json!({ "content": "Hello" }))
        .await;
    elsewhere.expect_code(422, "idempotency_mismatch");
    assert_eq!(posts(&ada).await, 1);
    post_once(&ada, "another", "Something else")
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_a_persons_own() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let of_ada = post_once(&ada, "key", "Hello").await.expect(201);
    let of_bob = post_once(&bob, "key", "Hello").await.expect(201);
    assert_ne!(of_ada["post"]["id"], of_bob["post"]["id"]);
    // All of one's sessions share it.
    let elsewhere = server.log_in(&ada).await;
    assert_eq!(
        post_once(&elsewhere, "key", "Hello").await.expect(201),
        of_ada
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_a_day() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let ada = server.sign_up("ada").await;
    let first = post_once(&ada, "key", "Hello").await.expect(201);
    server.advance(Duration::from_secs(86_399));
    assert_eq!(post_once(&ada, "key", "Hello").await.expect(201), first);
    server.advance(Duration::from_secs(1));
    let second = post_once(&ada, "key", "Hello").await.expect(201);
    assert_ne!(second["post"]["id"], first["post"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_may_be_mended_under_the_same_key() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    post_once(&ada, "key", "")
        .await
        .expect_code(400, "empty_post");
    post_once(&ada, "key", "Hello").await.expect(201);
    assert_eq!(posts(&ada).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    post_once(&ada, "", "Hello")
        .await
        .expect_code(400, "invalid_idempotency_key");
    post_once(&ada, &"k".repeat(256), "Hello")
        .await
        .expect_code(400, "invalid_idempotency_key");
    assert_eq!(posts(&ada).await, 0);
    post_once(&ada, &"k".repeat(255), "Hello").await.expect(201);
    // Reading needs none and takes no notice.
    ada.with("idempotency-key", "")
        .get("/users/profile")
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_while_the_first_is_under_way_is_told_so() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let hold = server.hold_writes();
    let first = post_once(&ada, "key", "Hello");
    let repeat = async {
        // Sent until the first has arrived before it.
        let refused = eventually("a refusal", || async {
            let short = ada.with("idempotency-key", "key");
            let request = short
                .request(Method::POST, "/posts/")
                .timeout(Duration::from_millis(300))
                .json(&json!({ "content": "Hello" }));
            short.try_send(request).await.ok()
        })
        .await;
        refused.expect_code(409, "idempotency_in_progress");
        drop(hold);
    };
    let (first, ()) = tokio::join!(first, repeat);
    let again = post_once(&ada, "key", "Hello").await;
    // Either of the two may have been first, yet there was one change.
    if first.status != 409 {
        assert_eq!((first.status, &first.text), (again.status, &again.text));
    }
    again.expect(201);
    assert_eq!(posts(&ada).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_send_at_once_one_changes_something() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let replies =
        futures_util::future::join_all((0..16).map(|_| post_once(&ada, "key", "Hello"))).await;
    let mut texts: Vec<&String> = Vec::new();
    for reply in &replies {
        match reply.status.as_u16() {
            201 => texts.push(&reply.text),
            _ => drop(reply.expect_code(409, "idempotency_in_progress")),
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(posts(&ada).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_a_kill_as_its_change_does() {
    let daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let first = post_once(&ada, "key", "Hello").await;
    first.expect(201);
    let before = daemon.client().url("");
    let daemon = daemon.kill_and_restart().await;
    let ada = Person {
        client: daemon.client().with_token(&ada.token),
        ..ada
    };
    let again = post_once(&ada, "key", "Hello").await;
    // It listens on another port, and writes its own addresses with that.
    let text = again.text.replace(&daemon.client().url(""), &before);
    assert_eq!((again.status, &text), (first.status, &first.text));
    post_once(&ada, "key", "Else")
        .await
        .expect_code(422, "idempotency_mismatch");
    assert_eq!(posts(&ada).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_has_no_key() {
    let server = Server::start().await;
    let body = json!({
        "name": "Ada", "email": "ada@example.org", "username": "ada", "password": crate::support::PASSWORD,
    });
    let path = "/auth/signup";
    let first: Value = server
        .once("key", Method::POST, path, body.clone())
        .await
        .expect(201);
    assert!(first["token"].is_string());
    // Its reply holds a token, which is for who sent the password and not for who knows the key.
    server
        .once("key", Method::POST, path, body)
        .await
        .expect(409);
}
