//! Likes and dislikes of posts (contract, section 4).

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Server, ids, keys};

async fn send(person: &Person, method: Method, path: String) -> Value {
    let request = person.request(method, &path);
    person.send(request).await.expect(200)
}

/// `liked`, `disliked`, `likes`, `dislikes`.
fn state(reply: &Value) -> (bool, bool, u64, u64) {
    let flag = |name: &str| reply[name].as_bool().unwrap();
    let number = |name: &str| reply[name].as_u64().unwrap();
    (
        flag("liked"),
        flag("disliked"),
        number("likes"),
        number("dislikes"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_given_twice_counts_once_and_keeps_its_id() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let path = || format!("/posts/like/{post}");
    let first = send(&bob, Method::POST, path()).await;
    assert_eq!(
        keys(&first["data"]),
        [
            "authorUsername",
            "createdAt",
            "id",
            "isActive",
            "isDeleted",
            "postId",
            "userId"
        ]
    );
    assert_eq!(first["data"]["postId"], post.as_str());
    assert_eq!(first["data"]["userId"], bob.id.as_str());
    assert_eq!(first["data"]["authorUsername"], "bob");
    let again = send(&bob, Method::POST, format!("/api/v1{}", path())).await;
    assert_eq!(again["data"], first["data"]);
    assert_eq!(state(&again), (true, false, 1, 0));

    for _ in 0..2 {
        let removed = send(&bob, Method::PATCH, path()).await;
        assert_eq!(state(&removed), (false, false, 0, 0));
    }
    let revived = send(&bob, Method::POST, path()).await;
    assert_eq!(revived["data"]["id"], first["data"]["id"]);
    assert_eq!(state(&revived), (true, false, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_like_is_a_toggle() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    for liked in [true, false, true] {
        let reply = send(&bob, Method::POST, format!("/posts/{post}/like")).await;
        assert_eq!(state(&reply), (liked, false, u64::from(liked), 0));
    }
    for disliked in [true, false, true] {
        let reply = send(&bob, Method::POST, format!("/api/v1/posts/{post}/dislike")).await;
        assert_eq!(state(&reply), (false, disliked, 0, u64::from(disliked)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_takes_back_a_dislike_and_the_other_way_round() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    for (method, path, expected) in [
        (
            Method::POST,
            format!("/posts/dislike/{post}"),
            (false, true, 0, 1),
        ),
        (
            Method::POST,
            format!("/posts/dislike/{post}"),
            (false, true, 0, 1),
        ),
        (
            Method::POST,
            format!("/posts/like/{post}"),
            (true, false, 1, 0),
        ),
        // Taking back what one did not give changes nothing.
        (
            Method::PATCH,
            format!("/posts/dislike/{post}"),
            (true, false, 1, 0),
        ),
        (
            Method::POST,
            format!("/posts/{post}/dislike"),
            (false, true, 0, 1),
        ),
        (
            Method::PATCH,
            format!("/posts/like/{post}"),
            (false, true, 0, 1),
        ),
        (
            Method::POST,
            format!("/posts/{post}/like"),
            (true, false, 1, 0),
        ),
        (
            Method::POST,
            format!("/posts/dislike/{post}"),
            (false, true, 0, 1),
        ),
        (
            Method::PATCH,
            format!("/posts/dislike/{post}"),
            (false, false, 0, 0),
        ),
    ] {
        let what = format!("{method} {path}");
        assert_eq!(state(&send(&bob, method, path).await), expected, "{what}");
        let seen = bob.get(&format!("/posts/{post}")).await.expect(200)["data"].clone();
        let (liked, disliked, likes, dislikes) = expected;
        assert_eq!(
            (&seen["isLiked"], &seen["isDisliked"]),
            (&json!(liked), &json!(disliked))
        );
        assert_eq!(
            (&seen["likes"], &seen["dislikes"]),
            (&json!(likes), &json!(dislikes))
        );
        assert_eq!(
            seen["_count"]["likes"], likes,
            "defect 13: removed ones are not counted"
        );
    }
    let seen = ada.get(&format!("/posts/{post}")).await.expect(200);
    assert_eq!(
        seen["data"]["isLiked"], false,
        "it is the reader's own like that shows"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_back_a_like_that_never_was_is_fine() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let reply = send(&bob, Method::PATCH, format!("/posts/like/{post}")).await;
    assert!(reply["data"].is_null());
    assert_eq!(state(&reply), (false, false, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_is_exact_when_many_like_at_once() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(server.sign_up(&format!("person{number}")).await);
    }
    let path = format!("/posts/like/{post}");
    let likes = people
        .iter()
        .chain(&people)
        .chain(&people)
        .map(|person| person.post(&path, json!({})));
    for reply in futures_util::future::join_all(likes).await {
        reply.expect(200);
    }
    let seen = ada.get(&format!("/posts/{post}")).await.expect(200);
    assert_eq!(seen["data"]["likes"], 8);
    let likers = ada.walk(&format!("/posts/{post}/likes"), "users", 3).await;
    let mut found = ids(&likers);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 8);

    people[0].patch(&path, json!({})).await.expect(200);
    let likers = ada
        .walk(&format!("/posts/{post}/likes"), "users", 100)
        .await;
    assert_eq!(likers.len(), 7);
    assert!(!ids(&likers).contains(&people[0].id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_liked() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for id in ["1", "abc", "99999999999999999999"] {
        for path in [
            format!("/posts/like/{id}"),
            format!("/posts/{id}/like"),
            format!("/posts/dislike/{id}"),
        ] {
            ada.post(&path, json!({})).await.expect(404);
        }
        ada.patch(&format!("/posts/like/{id}"), json!({}))
            .await
            .expect(404);
    }
}
