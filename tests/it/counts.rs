//! The counts that commands keep are what counting would give, at any time.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use socialhub::app;
use socialhub::config;
use socialhub::store::Store;

use crate::support::database;
use crate::support::script::Script;
use crate::support::{Person, Server};

/// For each kept count the rows where it is not what counting gives: what it is of, the id, the count, the truth.
const RECOUNTS: [(&str, &str); 15] = [
    (
        "users.followers_count",
        "SELECT id, followers_count,
                (SELECT COUNT(*) FROM follows WHERE following_id = users.id AND is_active = 1) AS truth
         FROM users WHERE followers_count <> truth",
    ),
    (
        "users.following_count",
        "SELECT id, following_count,
                (SELECT COUNT(*) FROM follows WHERE follower_id = users.id AND is_active = 1) AS truth
         FROM users WHERE following_count <> truth",
    ),
    (
        "users.public_posts",
        "SELECT id, public_posts,
                (SELECT COUNT(*) FROM posts WHERE author_id = users.id AND visibility = 0 AND is_deleted = 0) AS truth
         FROM users WHERE public_posts <> truth",
    ),
    (
        "users.latest_public_post",
        "SELECT id, latest_public_post,
                (SELECT MAX(id) FROM posts WHERE author_id = users.id AND visibility = 0 AND is_deleted = 0) AS truth
         FROM users WHERE latest_public_post IS NOT truth",
    ),
    (
        "users.followers_posts",
        "SELECT id, followers_posts,
                (SELECT COUNT(*) FROM posts WHERE author_id = users.id AND visibility = 1 AND is_deleted = 0) AS truth
         FROM users WHERE followers_posts <> truth",
    ),
    (
        "users.private_posts",
        "SELECT id, private_posts,
                (SELECT COUNT(*) FROM posts WHERE author_id = users.id AND visibility = 2 AND is_deleted = 0) AS truth
         FROM users WHERE private_posts <> truth",
    ),
    (
        "posts.likes_count",
        "SELECT id, likes_count,
                (SELECT COUNT(*) FROM reactions WHERE post_id = posts.id AND value = 1) AS truth
         FROM posts WHERE likes_count <> truth",
    ),
    (
        "posts.dislikes_count",
        "SELECT id, dislikes_count,
                (SELECT COUNT(*) FROM reactions WHERE post_id = posts.id AND value = -1) AS truth
         FROM posts WHERE dislikes_count <> truth",
    ),
    (
        "posts.comments_count",
        "SELECT id, comments_count,
                (SELECT COUNT(*) FROM comments WHERE post_id = posts.id AND is_deleted = 0) AS truth
         FROM posts WHERE comments_count <> truth",
    ),
    (
        "comments.likes_count",
        "SELECT id, likes_count,
                (SELECT COUNT(*) FROM comment_likes WHERE comment_id = comments.id AND is_active = 1) AS truth
         FROM comments WHERE likes_count <> truth",
    ),
    (
        // A comment is shown when it, or anything beneath it, is there: seen from the leaves, without the count itself.
        "comments.replies_count",
        "WITH RECURSIVE shown (id) AS (
             SELECT id FROM comments WHERE is_deleted = 0
             UNION
             SELECT c.parent_id FROM comments AS c JOIN shown USING (id) WHERE c.parent_id IS NOT NULL
         )
         SELECT id, replies_count,
                (SELECT COUNT(*) FROM comments AS c JOIN shown USING (id) WHERE c.parent_id = comments.id) AS truth
         FROM comments WHERE replies_count <> truth",
    ),
    (
        "posts.media_count",
        "SELECT id, media_count, (SELECT COUNT(*) FROM media WHERE holder = 1 AND holder_id = posts.id) AS truth
         FROM posts WHERE is_deleted = 0 AND media_count <> truth",
    ),
    (
        "blobs.uses",
        "SELECT hash, uses, (SELECT COUNT(*) FROM media WHERE media.hash = blobs.hash) AS truth
         FROM blobs WHERE uses <> truth",
    ),
    (
        "blob_total.size_bytes",
        "SELECT id, size_bytes, (SELECT COALESCE(SUM(size_bytes), 0) FROM blobs) AS truth
         FROM blob_total WHERE size_bytes <> truth",
    ),
    (
        "media_usage.size_bytes",
        "SELECT owner_id, size_bytes,
                (SELECT COALESCE(SUM(size_bytes), 0) FROM media WHERE media.owner_id = media_usage.owner_id) AS truth
         FROM media_usage WHERE size_bytes <> truth",
    ),
];

/// Fails when a kept count is not what counting gives.
#[track_caller]
pub(crate) fn assert_exact(connection: &Connection) {
    for (count, sql) in RECOUNTS {
        assert_eq!(
            database::rows(connection, sql),
            Vec::<Vec<Value>>::new(),
            "{count}: id, count, truth"
        );
    }
}

#[test]
fn kept_counts_are_what_counting_gives() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 6,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runner
        .run(&(any::<u64>().no_shrink(), 100..1_500), |(seed, steps)| {
            let dir = tempfile::tempdir().unwrap();
            runtime.block_on(apply(dir.path(), seed, steps));
            assert_exact(&database::connect(dir.path()));
            Ok(())
        })
        .unwrap();
}

async fn apply(dir: &Path, seed: u64, steps: i32) {
    let (store, _) = Store::open(dir, &config::Store::default(), app::registry()).unwrap();
    let mut script = Script::new(seed);
    for _ in 0..steps {
        let outcome = store.submit_encoded(script.next()).await;
        script.learn(outcome.is_ok());
    }
    store.close();
}

/// The test above is worth nothing if a wrong count were not found.
#[test]
fn a_wrong_count_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &config::Store::default(), app::registry()).unwrap();
    store.close();
    let connection = database::connect_to_write(dir.path());
    connection
        .execute_batch(
            "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at,
                                followers_count, following_count, public_posts, followers_posts, private_posts)
             VALUES (1, 'a', 'a', 'a', 'a', 'USER', 'active', 0, 0, 1, 1, 1, 1, 1);
             INSERT INTO posts (id, author_id, hashtags, visibility, created_at, updated_at, event_seq, is_deleted,
                                likes_count, dislikes_count, comments_count, media_count)
             VALUES (1, 1, '[]', 0, 0, 0, 1, 0, 1, 1, 1, 1), (2, 1, '[]', 0, 0, 0, 1, 0, 0, 0, 0, 0);
             INSERT INTO blobs (hash, size_bytes, uses, conversion) VALUES (zeroblob(32), 1, 1, 0);
             UPDATE blob_total SET size_bytes = 2;
             INSERT INTO media_usage (owner_id, size_bytes) VALUES (1, 1);
             INSERT INTO comments (id, post_id, author_id, content, created_at, updated_at, event_seq, is_deleted,
                                   likes_count, replies_count)
             VALUES (1, 1, 1, 'c', 0, 0, 1, 1, 1, 1);",
        )
        .unwrap();
    for (count, sql) in RECOUNTS {
        assert_eq!(database::rows(&connection, sql).len(), 1, "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_are_shown_is_what_counting_gives() {
    let server = Server::start().await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo", "dan"] {
        people.push(server.sign_up(name).await);
    }
    let [ada, bob, cleo, dan] = &people[..] else {
        unreachable!("four were signed up")
    };
    let open = ada.write("for all").await;
    let narrow = ada.write_for("for friends", "followers").await;
    ada.write_for("for nobody", "private").await;
    // Everybody does everything at once, and some of it twice.
    futures_util::future::join_all(people.iter().flat_map(|person| {
        [
            follow(person, ada),
            follow(person, ada),
            follow(person, bob),
        ]
    }))
    .await;
    futures_util::future::join_all(
        people
            .iter()
            .flat_map(|person| [like(person, &open), like(person, &narrow)]),
    )
    .await;
    dan.delete(&format!("/users/unfollow/{}", ada.id))
        .await
        .expect(200);
    let comment = bob.comment(&open, None, "first").await;
    let answer = cleo.comment(&open, Some(&comment), "second").await;
    dan.comment(&open, Some(&answer), "third").await;
    for removed in [&answer, &comment] {
        ada.delete(&format!("/posts/comment/{removed}"))
            .await
            .expect(200);
    }

    let seen = dan
        .get(&format!("/users/profile/{}", ada.id))
        .await
        .expect(200);
    assert_eq!(seen["user"]["followersCount"], 2);
    assert_eq!(
        seen["user"]["postsCount"], 1,
        "a stranger counts what they may see"
    );
    let post = dan.get(&format!("/posts/{open}")).await.expect(200);
    assert_eq!(post["data"]["_count"], json!({ "likes": 4, "comments": 1 }));
    assert_exact(&database::connect(server.app.data_dir()));
    server.stop().await;
}

async fn follow(person: &Person, other: &Person) {
    // Nobody follows themselves: refused, and not counted.
    person
        .post(&format!("/users/follow/{}", other.id), json!({}))
        .await;
}

async fn like(person: &Person, post: &str) {
    person
        .post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
}
