//! Stories: how many there may be, what refuses them, and what is left of those whose account is deleted.

use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::{Value, json};
use socialhub::stories::SweepStories;

use crate::stories::{DAY, get, people, picture, see, tell, tell_picture};
use crate::support::pictures::{part, send};
use crate::support::{Person, Server, database, eventually};

/// People who are there and never do anything; their ids.
async fn with_strangers(server: Server, count: u32) -> (Server, Vec<String>) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO users (username, username_key, username_skeleton, name, role, status, created_at, updated_at)
         SELECT 'made' || i, 'made' || i, 'made' || i, 'made' || i, 'USER', 'active', 0, 0 FROM n;"
    );
    let server = server
        .edit(|connection| connection.execute_batch(&sql).unwrap())
        .await;
    let made = "SELECT CAST(id AS TEXT) FROM users WHERE username LIKE 'made%'";
    let ids = database::strings(&database::connect(server.app.data_dir()), made);
    (server, ids)
}

fn count(server: &Server, table: &str) -> i64 {
    let database = database::connect(server.app.data_dir());
    let sql = format!("SELECT count(*) FROM {table}");
    database.query_row(&sql, [], |row| row.get(0)).unwrap()
}

async fn keep(person: &Person, title: &str, stories: &[&str]) -> String {
    let body = json!({ "title": title, "storyIds": stories });
    let made = person.post("/api/v1/highlights", body).await.expect(201);
    made["highlight"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_stories_and_highlights_there_may_be() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let [ada] = people(&server, ["ada"]).await;
    let text = json!({ "text": "Hello" });
    let first = tell(&ada, text.clone()).await;
    for _more in 1..100 {
        tell(&ada, text.clone()).await;
    }
    ada.post("/api/v1/stories", text.clone())
        .await
        .expect_code(409, "too_many_stories");
    for number in 0..50 {
        keep(&ada, &number.to_string(), &[&first]).await;
    }
    let body = json!({ "title": "One more", "storyIds": [first] });
    ada.post("/api/v1/highlights", body)
        .await
        .expect_code(409, "too_many_highlights");
    // One that is taken back, and those whose time is over, give room.
    ada.delete(&format!("/api/v1/stories/{first}"))
        .await
        .expect(200);
    tell(&ada, text.clone()).await;
    ada.post("/api/v1/stories", text.clone())
        .await
        .expect_code(409, "too_many_stories");
    server.advance(DAY);
    tell(&ada, text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_has_room_for_so_many_and_is_read_by_pages() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let (server, strangers) = with_strangers(server, 1_000).await;
    let (ada, bob) = (ada.at(&server), bob.at(&server));
    let circle = |id: &str| format!("/api/v1/stories/close-friends/{id}");
    for id in &strangers[..3] {
        ada.put(&circle(id), json!({})).await.expect(200);
    }
    let all = ada.walk("/api/v1/stories/close-friends", "users", 2).await;
    let all: Vec<&str> = all.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(all, strangers[..3].iter().collect::<Vec<_>>());
    let server = server
        .edit(|connection| {
            connection
                .execute_batch(
                    "INSERT INTO story_circles (owner_id, circle, user_id, added_at)
                     SELECT (SELECT id FROM users WHERE username = 'ada'), 0, id, 0
                     FROM users WHERE username LIKE 'made%'
                     ON CONFLICT DO NOTHING",
                )
                .unwrap();
        })
        .await;
    let (ada, bob) = (ada.at(&server), bob.at(&server));
    ada.put(&circle(&bob.id), json!({}))
        .await
        .expect_code(409, "too_many_in_circle");
    // Who is in it takes no further place, and who is not there for her takes none.
    ada.put(&circle(&strangers[0]), json!({})).await.expect(200);
    let block = format!("/users/{}/block", strangers[1]);
    ada.post(&block, json!({})).await.expect(200);
    ada.put(&circle(&bob.id), json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_a_story_is_read_by_pages_and_swept_in_steps() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let viewers = people(&server, ["bob", "cleo", "dan", "eve"]).await;
    let [ada] = people(&server, ["ada"]).await;
    let id = tell_picture(&ada).await;
    for viewer in &viewers {
        server.advance(Duration::from_secs(1));
        see(viewer, &id).await;
        see(viewer, &id).await;
    }
    let path = format!("/api/v1/stories/{id}/viewers");
    let seen = ada.walk(&path, "viewers", 2).await;
    let names: Vec<&Value> = seen.iter().map(|one| &one["username"]).collect();
    assert_eq!(names, ["eve", "dan", "cleo", "bob"]);
    let (his, him) = (picture(&viewers[0], &id).await, &viewers[0]);
    assert_eq!(server.get(&his).await.status, 200);
    server.advance(DAY);
    get(him, &id).await.expect_code(404, "story_not_found");
    // Three rows at a time: its viewers, and what is left.
    let step = SweepStories {
        at: server.clock.now(),
        limit: 3,
    };
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(server.app.store().submit(step.clone()).await.unwrap());
    }
    assert_eq!(swept, [3, 2, 0]);
    for table in ["stories", "story_views", "media"] {
        assert_eq!(count(&server, table), 0, "{table}");
    }
    // The file as well.
    server.advance(Duration::from_mins(11));
    eventually("the file is gone", || async {
        server.app.media().sweep().await.unwrap();
        (count(&server, "blobs") == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_can_be_a_film() {
    let server = Server::start_with_clock(|config| {
        "off".clone_into(&mut config.media.ffmpeg);
        config.auth.session_hours = 72;
    })
    .await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let path = format!(
        "{}/tests/fixtures/media/faststart.mp4",
        env!("CARGO_MANIFEST_DIR")
    );
    let film = part(std::fs::read(path).unwrap(), "a.mp4", "video/mp4");
    let form = Form::new().part("file", film);
    let uploaded = send(&ada, "/api/v1/media", form).await.expect(201);
    let body = json!({ "mediaId": uploaded["media"]["id"], "audience": "public" });
    let id = tell(&ada, body).await;
    let story = get(&bob, &id).await.expect(200)["story"].clone();
    assert_eq!(story["media"]["type"], "video");
    let path = picture(&bob, &id).await;
    let film = server.get(&path).await;
    assert_eq!(film.header("content-type"), "video/mp4");
    server.advance(DAY);
    server.get(&path).await.expect_code(404, "media_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn highlights_are_their_owners_alone() {
    let server = Server::start().await;
    let [ada, eve] = people(&server, ["ada", "eve"]).await;
    let id = tell(&ada, json!({ "text": "Hello", "audience": "public" })).await;
    let kept = format!("/api/v1/highlights/{}", keep(&ada, "Kept", &[&id]).await);
    let unknown = "/api/v1/highlights/4611686018427387904";
    for path in [kept.as_str(), unknown] {
        eve.delete(path)
            .await
            .expect_code(404, "highlight_not_found");
        eve.patch(path, json!({ "title": "Hers" }))
            .await
            .expect_code(404, "highlight_not_found");
    }
    ada.patch(&kept, json!({ "storyIds": ["4611686018427387904"] }))
        .await
        .expect_code(404, "story_not_found");
    let left = ada.get(&kept).await.expect(200);
    assert_eq!(left["highlight"]["title"], "Kept");
    assert_eq!(left["stories"].as_array().unwrap().len(), 1);
    ada.put(
        &format!("/api/v1/stories/hidden-from/{}", eve.id),
        json!({}),
    )
    .await
    .expect(200);
    eve.get(&kept).await.expect_code(404, "highlight_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_person_had_alone_is_removed() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let admin = server.set_up("admin").await;
    let kept = tell_picture(&ada).await;
    tell_picture(&ada).await;
    keep(&ada, "Kept", &[&kept]).await;
    for (path, body) in [
        ("/api/v1/mutes", json!({ "kind": "word", "text": "rain" })),
        ("/api/v1/tags/birds/follow", json!({})),
    ] {
        let reply = ada.post(path, body).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
    }
    ada.patch("/api/v1/feed/settings", json!({ "order": "ranked" }))
        .await
        .expect(200);
    let settings = json!({ "isListed": false, "isSuggested": false, "isSyndicated": true });
    ada.put("/api/v1/discovery/settings", settings)
        .await
        .expect(200);
    // Each chooses the other.
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        for circle in ["close-friends", "hidden-from"] {
            let path = format!("/api/v1/stories/{circle}/{}", other.id);
            one.put(&path, json!({})).await.expect(200);
        }
        let list = one.post("/api/v1/lists", json!({ "title": "One" })).await;
        let list = list.expect(201)["list"]["id"].as_str().unwrap().to_owned();
        let members = json!({ "userIds": [other.id] });
        one.post(&format!("/api/v1/lists/{list}/members"), members)
            .await
            .expect(200);
        one.delete(&format!("/api/v1/suggestions/{}", other.id))
            .await
            .expect(200);
    }
    let path = format!("/api/v1/admin/users/{}/status", ada.id);
    admin
        .patch(&path, json!({ "status": "deleted" }))
        .await
        .expect(200);
    server.app.keep_house().await;
    for (table, left) in [
        ("erasures", 0),
        ("stories", 0),
        ("highlights", 0),
        ("highlight_stories", 0),
        ("media", 0),
        ("story_circles", 0),
        ("muted_terms", 0),
        ("followed_tags", 0),
        ("tags", 0),
        ("feed_settings", 0),
        ("lists", 1),
        ("list_members", 0),
        ("discovery_settings", 0),
        ("dismissed_suggestions", 0),
    ] {
        assert_eq!(count(&server, table), left, "{table}");
    }
}
