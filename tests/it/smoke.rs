//! The shortest way through everything.

use serde_json::json;

use crate::support::{Daemon, Server, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_read_and_liked_by_another_person() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada
        .post("/posts/", json!({ "content": "Hello" }))
        .await
        .expect(201);
    let id = post["post"]["id"].as_str().unwrap();
    let liked = bob
        .post(&format!("/posts/{id}/like"), json!({}))
        .await
        .expect(200);
    assert_eq!(liked["liked"], true);
    let seen = ada.get(&format!("/posts/{id}")).await.expect(200);
    assert_eq!(seen["data"]["_count"]["likes"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_says_where_it_is_and_stops_when_asked() {
    let mut daemon = Daemon::start().await;
    assert!(daemon.setup_link().unwrap().contains("/setup?token="));
    let client = daemon.client();
    eventually("all parts are ready", || async {
        client
            .get("/readyz")
            .await
            .status
            .is_success()
            .then_some(())
    })
    .await;
    assert_eq!(daemon.terminate().await.code(), Some(0));
}
