//! The search index while it is made and compared, and searches when there is too much to do.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::search::{found, hits, path, posts, say};
use crate::support::{Person, Server, database, eventually};

/// So many rows take a moment to be indexed.
const ROWS: u32 = 40_000;

/// The directory of the index that is searched.
fn index_dir(server: &Server) -> PathBuf {
    let dir = server.app.data_dir().join("search");
    let current = std::fs::read_to_string(dir.join("current.json")).unwrap();
    let current: Value = serde_json::from_str(&current).unwrap();
    dir.join(current["dir"].as_str().unwrap())
}

fn directories(server: &Server) -> usize {
    let entries = std::fs::read_dir(server.app.data_dir().join("search")).unwrap();
    let is_dir = |entry: &std::fs::DirEntry| entry.file_type().unwrap().is_dir();
    entries.map(Result::unwrap).filter(is_dir).count()
}

/// A server whose index takes a moment to be made: with an admin, somebody who wrote, and many messages of theirs.
async fn full_server() -> (Server, Person, Person) {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let admin = server.set_up("chief").await;
    say(&ada, "archive", "weather").await;
    let server = server
        .edit(move |database| {
            let copies = format!(
                "INSERT INTO messages (id, room_id, number, sender_id, body, has_media, created_at)
                 WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {ROWS})
                 SELECT id + n, room_id, number + n, sender_id, 'Some weather that we were having, number ' || n, 0,
                        created_at
                 FROM messages, counted"
            );
            database.execute_batch(&copies).unwrap();
        })
        .await;
    let (ada, admin) = (ada.at(&server), admin.at(&server));
    (server, ada, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_index_is_made_anew_is_found() {
    let (server, ada, admin) = full_server().await;
    let edited = ada.write("copper").await;
    let removed = ada.write("copper").await;
    server.indexed().await;
    let before = index_dir(&server);
    let order = async |what: &str| {
        let path = format!("/api/v1/admin/search/{what}");
        admin.post(&path, json!({})).await
    };
    order("rebuild").await.expect(202);
    eventually("a second index", || async {
        (directories(&server) == 2).then_some(())
    })
    .await;
    // Another order changes nothing, and there is nothing to compare with yet.
    order("rebuild").await.expect(202);
    order("verify").await.expect_code(503, "repairing");
    let change = json!({ "content": "silver" });
    ada.patch(&format!("/api/v1/posts/{edited}"), change)
        .await
        .expect(200);
    ada.delete(&format!("/api/v1/posts/{removed}"))
        .await
        .expect(200);
    let written = ada.write("silver").await;
    let message = say(&ada, "archive too", "silver").await;
    let wanted = [written.as_str(), edited.as_str()];
    eventually("what is new is found in the old index", || async {
        let answer = found(&ada, "silver").await;
        assert_eq!(index_dir(&server), before, "the index was made too quickly");
        assert_eq!(answer["rebuilding"], true);
        (hits(&answer, "posts") == wanted && hits(&answer, "messages") == [message.as_str()])
            .then_some(())
    })
    .await;
    assert!(posts(&ada, "copper").await.is_empty());
    server.indexed().await;
    assert_ne!(index_dir(&server), before);
    // One was made, not two; and the old one is put away.
    eventually("one index is left", || async {
        (directories(&server) == 1).then_some(())
    })
    .await;
    let answer = found(&ada, "silver").await;
    assert_eq!(answer["rebuilding"], false);
    assert_eq!(hits(&answer, "posts"), wanted);
    assert_eq!(hits(&answer, "messages"), [message.as_str()]);
    assert!(posts(&ada, "copper").await.is_empty());
    // Nothing is there twice, or missing.
    order("verify").await.expect(202);
    let result = eventually("the index is compared", || async {
        let status = admin.get("/api/v1/admin/search").await.expect(200);
        let result = status["verification"]["result"].clone();
        (!result.is_null()).then_some(result)
    })
    .await;
    let sound = json!({
        "checked": ROWS + 6, "missing": 0, "outdated": 0, "surplus": 0, "damagedFiles": [], "error": null,
    });
    assert_eq!(result, sound);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_for_those_who_may_see_their_post() {
    const ROUNDS: usize = 30;
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let eve = server.sign_up("eve").await;
    let post = ada.write("A post").await;
    let show = async |visibility: &str| {
        let change = json!({ "visibility": visibility });
        let path = format!("/api/v1/posts/{post}");
        ada.patch(&path, change).await.expect(200);
    };
    // Comments come between the changes, however they meet in the log.
    let shows = async {
        for _ in 0..ROUNDS {
            show("private").await;
            show("public").await;
        }
    };
    let comments = async {
        for _ in 0..ROUNDS {
            ada.comment(&post, None, "remark").await;
        }
    };
    tokio::join!(shows, comments);
    let count = async || found(&eve, "remark").await["comments"]["total"].clone();
    server.indexed().await;
    assert_eq!(count().await, ROUNDS);
    tokio::join!(show("private"), ada.comment(&post, None, "remark"));
    server.indexed().await;
    assert_eq!(count().await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_the_rows_is_counted_and_removed() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let admin = server.set_up("chief").await;
    let posts = join_all((0..30).map(|_| ada.write("ledger"))).await;
    server.indexed().await;
    database::connect_to_write(server.app.data_dir())
        .execute_batch("UPDATE posts SET is_deleted = 1 WHERE id % 2 = 0")
        .unwrap();
    let gone = posts
        .iter()
        .filter(|id| id.ends_with(['0', '2', '4', '6', '8']));
    let gone = gone.count();
    admin
        .post("/api/v1/admin/search/verify", json!({}))
        .await
        .expect(202);
    let result = eventually("the index is compared", || async {
        let status = admin.get("/api/v1/admin/search").await.expect(200);
        let result = status["verification"]["result"].clone();
        (!result.is_null()).then_some(result)
    })
    .await;
    assert_eq!(result["surplus"], gone);
    assert_eq!(result["checked"], posts.len() - gone + 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_searches_and_too_long_ones_are_refused() {
    let server = Server::start_with(|config| {
        config.search.threads = 1;
        config.search.queue_capacity = 1;
    })
    .await;
    let ada = server.sign_up("ada").await;
    ada.write("busy").await;
    server.indexed().await;
    eventually("one is refused", || async {
        let replies = join_all((0..40).map(|_| ada.get("/api/v1/search?q=busy"))).await;
        let mut refused = replies.into_iter().filter(|reply| reply.status != 200);
        let one = refused.next()?;
        one.expect_code(503, "overloaded");
        Some(())
    })
    .await;
    let server = server
        .restart_with(|config| {
            config.search.queue_capacity = 256;
            config.search.timeout_ms = 0;
        })
        .await;
    let ada = ada.at(&server);
    eventually("a search takes too long", || async {
        let reply = ada.get("/api/v1/search?q=busy").await;
        // Before there is an index, there is nothing to do.
        (reply.status != 200).then(|| reply.expect_code(503, "timed_out"))
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_the_newest_come_first() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let eve = server.sign_up("eve").await;
    let first = ada.write("#harvest").await;
    ada.write_for("#harvest", "private").await;
    let server = server
        .edit(|database| {
            // Each later than the one before, but for every hundredth, which is the first of all.
            database
                .execute_batch(
                    "INSERT INTO posts (id, author_id, hashtags, visibility, created_at, updated_at, event_seq)
                     WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 3000)
                     SELECT id + n, author_id, hashtags, n % 3 = 0,
                            created_at + CASE WHEN n % 100 = 0 THEN -n ELSE n END, updated_at, event_seq
                     FROM (SELECT * FROM posts ORDER BY id DESC LIMIT 1), counted",
                )
                .unwrap();
        })
        .await
        .restart_without("search")
        .await;
    let eve = eve.at(&server);
    server.indexed().await;
    let connection = database::connect(server.app.data_dir());
    let expected = database::strings(
        &connection,
        "SELECT CAST(id AS TEXT) FROM posts WHERE visibility = 0 ORDER BY created_at DESC, id DESC",
    );
    assert!(expected.contains(&first));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _page in 0..5 {
        let more = format!("&types=posts&limit=30{cursor}");
        let answer = eve.get(&path("#harvest", &more)).await.expect(200);
        assert_eq!(answer["posts"]["total"], 1_000);
        assert_eq!(answer["posts"]["isCapped"], true);
        seen.extend(hits(&answer, "posts"));
        cursor = format!(
            "&cursor={}",
            answer["posts"]["next_cursor"].as_str().unwrap()
        );
    }
    assert_eq!(seen, expected[..150]);
    server.stop().await;
}
