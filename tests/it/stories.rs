//! Stories: how long they are there, for whom, and what becomes of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::pictures::{self, upload};
use crate::support::socket::Socket;
use crate::support::{Person, Reply, Server, database};

pub(crate) const DAY: Duration = Duration::from_hours(24);

pub(crate) async fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Person; N] {
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

pub(crate) async fn tell(author: &Person, body: Value) -> String {
    let told = author.post("/api/v1/stories", body).await.expect(201);
    told["story"]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn get(person: &Person, id: &str) -> Reply {
    person.get(&format!("/api/v1/stories/{id}")).await
}

pub(crate) async fn see(person: &Person, id: &str) {
    let path = format!("/api/v1/stories/{id}/view");
    person.post(&path, json!({})).await.expect(200);
}

async fn tray(person: &Person) -> Vec<Value> {
    let reply = person.get("/api/v1/stories").await.expect(200);
    reply["tray"].as_array().unwrap().clone()
}

async fn stories_of(person: &Person, author: &Person) -> Vec<String> {
    let path = format!("/api/v1/users/{}/stories", author.id);
    let reply = person.get(&path).await.expect(200);
    let all = reply["stories"].as_array().unwrap();
    all.iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

fn names(tray: &[Value]) -> Vec<&str> {
    tray.iter()
        .map(|one| one["author"]["username"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_is_there_for_a_day_to_the_second() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    bob.follow(&ada).await;
    let uploaded = upload(&ada, "/api/v1/media").await.expect(201);
    let media = uploaded["media"]["id"].as_str().unwrap().to_owned();
    let id = tell(&ada, json!({ "mediaId": media, "text": "Morning" })).await;
    let seen = get(&bob, &id).await.expect(200)["story"].clone();
    assert_eq!(
        (&seen["text"], &seen["audience"]),
        (&json!("Morning"), &json!("followers"))
    );
    assert_eq!(seen["media"]["type"], "image");
    assert_eq!(seen["background"], Value::Null);
    assert_eq!(
        (&seen["isSeen"], &seen["viewCount"]),
        (&json!(false), &Value::Null)
    );
    let picture = seen["media"]["url"].as_str().unwrap();
    let (_, path) = picture.split_once("/media/").unwrap();
    server.get(&format!("/media/{path}")).await.expect(200);

    server.advance(Duration::from_secs(24 * 3_600 - 1));
    get(&bob, &id).await.expect(200);
    see(&bob, &id).await;
    server.advance(Duration::from_secs(1));
    for person in [&ada, &bob] {
        get(person, &id).await.expect_code(404, "story_not_found");
        assert_eq!(tray(person).await, Vec::<Value>::new());
        assert_eq!(stories_of(person, &ada).await, Vec::<String>::new());
    }
    let path = format!("/api/v1/stories/{id}");
    for action in ["view", "replies"] {
        bob.post(&format!("{path}/{action}"), json!({ "message": "x" }))
            .await
            .expect_code(404, "story_not_found");
    }
    ada.delete(&path).await.expect_code(404, "story_not_found");
    ada.post(
        "/api/v1/highlights",
        json!({ "title": "x", "storyIds": [id] }),
    )
    .await
    .expect_code(404, "story_not_found");

    // It goes with all that hung on it.
    server.app.keep_house().await;
    let database = database::connect(server.app.data_dir());
    for table in ["stories", "story_views", "media"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

/// The path of a story's picture, with what opens it.
pub(crate) async fn picture(person: &Person, id: &str) -> String {
    let story = get(person, id).await.expect(200);
    let url = story["story"]["media"]["url"].as_str().unwrap().to_owned();
    format!("/media/{}", url.split_once("/media/").unwrap().1)
}

pub(crate) async fn tell_picture(author: &Person) -> String {
    let uploaded = upload(author, "/api/v1/media").await.expect(201);
    tell(
        author,
        json!({ "mediaId": uploaded["media"]["id"], "audience": "public" }),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storys_picture_is_gone_with_it() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let id = tell_picture(&ada).await;
    let kept = tell_picture(&ada).await;
    let highlight = json!({ "title": "Kept", "storyIds": [kept] });
    let highlight = ada.post("/api/v1/highlights", highlight).await.expect(201);
    server.advance(Duration::from_secs(24 * 3_600 - 61));
    let (path, kept_path) = (picture(&bob, &id).await, picture(&bob, &kept).await);
    // Nobody keeps it for longer than it is there.
    let opened = server.get(&path).await;
    assert_eq!(opened.status, 200);
    assert_eq!(opened.header("cache-control"), "private, max-age=61");
    let (plain, _) = path.split_once('?').unwrap();
    server
        .get(plain)
        .await
        .expect_code(403, "invalid_signature");
    server.advance(Duration::from_secs(61));
    // Before it is swept as well.
    server.get(&path).await.expect_code(404, "media_not_found");
    assert_eq!(server.get(&kept_path).await.status, 200);
    // What leaves the last highlight after its time goes at once.
    let id = highlight["highlight"]["id"].as_str().unwrap();
    ada.delete(&format!("/api/v1/highlights/{id}"))
        .await
        .expect(200);
    server
        .get(&kept_path)
        .await
        .expect_code(404, "media_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storys_picture_does_not_stay_open_for_who_may_see_it_no_more() {
    let server = Server::start_with_clock(|_config| {}).await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    let id = tell_picture(&ada).await;
    let (his, hers) = (picture(&bob, &id).await, picture(&eve, &id).await);
    ada.put(
        &format!("/api/v1/stories/hidden-from/{}", bob.id),
        json!({}),
    )
    .await
    .expect(200);
    eve.post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    for person in [&bob, &eve] {
        get(person, &id).await.expect_code(404, "story_not_found");
    }
    server.advance(Duration::from_mins(10));
    for path in [his, hers] {
        server
            .get(&path)
            .await
            .expect_code(403, "invalid_signature");
    }
    assert_eq!(server.get(&picture(&ada, &id).await).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_back_what_they_never_gave_has_seen_nothing() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let id = tell(&ada, json!({ "text": "Hello", "audience": "public" })).await;
    bob.delete(&format!("/api/v1/stories/{id}/reaction"))
        .await
        .expect(200);
    assert_eq!(get(&bob, &id).await.expect(200)["story"]["isSeen"], false);
    assert_eq!(get(&ada, &id).await.expect(200)["story"]["viewCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_can_be_taken_out_of_a_circle() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let circle = format!("/api/v1/stories/close-friends/{}", bob.id);
    ada.put(&circle, json!({})).await.expect(200);
    let block = format!("/users/{}/block", bob.id);
    ada.post(&block, json!({})).await.expect(200);
    ada.put(&circle, json!({}))
        .await
        .expect_code(404, "user_not_found");
    ada.delete(&circle).await.expect(200);
    ada.delete(&block).await.expect(200);
    let id = tell(&ada, json!({ "text": "Us", "audience": "close" })).await;
    get(&bob, &id).await.expect_code(404, "story_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_chooses_who_sees_a_story() {
    let server = Server::start().await;
    let [ada, friend, follower, stranger, hidden] =
        people(&server, ["ada", "friend", "follower", "stranger", "hidden"]).await;
    for person in [&friend, &follower, &hidden] {
        person.follow(&ada).await;
    }
    let circle = |which: &str, person: &Person| format!("/api/v1/stories/{which}/{}", person.id);
    ada.put(&circle("close-friends", &friend), json!({}))
        .await
        .expect(200);
    ada.put(&circle("close-friends", &hidden), json!({}))
        .await
        .expect(200);
    ada.put(&circle("hidden-from", &hidden), json!({}))
        .await
        .expect(200);
    let mut ids = Vec::new();
    for audience in ["public", "followers", "close"] {
        ids.push(tell(&ada, json!({ "text": audience, "audience": audience })).await);
    }
    for (person, sees) in [
        (&ada, vec![0, 1, 2]),
        (&friend, vec![0, 1, 2]),
        (&follower, vec![0, 1]),
        (&stranger, vec![0]),
        (&hidden, vec![]),
    ] {
        let expected: Vec<&String> = sees.iter().map(|one: &usize| &ids[*one]).collect();
        assert_eq!(
            stories_of(person, &ada).await.iter().collect::<Vec<_>>(),
            expected
        );
        for (number, id) in ids.iter().enumerate() {
            let status = if sees.contains(&number) { 200 } else { 404 };
            get(person, id).await.expect(status);
            let path = format!("/api/v1/stories/{id}/view");
            person.post(&path, json!({})).await.expect(status);
        }
    }
    let first = ada
        .get(&format!("/api/v1/stories/{}/viewers", ids[0]))
        .await
        .expect(200);
    assert_eq!(first["viewers"].as_array().unwrap().len(), 3);
    assert_eq!(
        get(&ada, &ids[0]).await.expect(200)["story"]["viewCount"],
        3
    );
    let of_friend = tray(&friend).await;
    assert_eq!(
        (&of_friend[0]["storyCount"], &of_friend[0]["isClose"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(
        tray(&stranger).await,
        Vec::<Value>::new(),
        "only whom one follows"
    );
    // Nobody but its author sees who has seen it.
    friend
        .get(&format!("/api/v1/stories/{}/viewers", ids[0]))
        .await
        .expect_code(404, "story_not_found");

    // What is taken back holds at once.
    ada.delete(&circle("hidden-from", &hidden))
        .await
        .expect(200);
    assert_eq!(stories_of(&hidden, &ada).await.len(), 3);
    ada.delete(&circle("close-friends", &friend))
        .await
        .expect(200);
    get(&friend, &ids[2]).await.expect(404);
    let close = ada.get("/api/v1/stories/close-friends").await.expect(200);
    assert_eq!(close["users"][0]["username"], "hidden");
    for wrong in [ada.id.as_str(), "4611686018427387904"] {
        ada.put(&format!("/api/v1/stories/close-friends/{wrong}"), json!({}))
            .await
            .expect_code(404, "user_not_found");
    }

    // A block and a suspension as well.
    ada.post(&format!("/users/{}/block", follower.id), json!({}))
        .await
        .expect(200);
    follower
        .get(&format!("/api/v1/users/{}/stories", ada.id))
        .await
        .expect_code(404, "user_not_found");
    get(&follower, &ids[0]).await.expect(404);
    let admin = server.set_up("admin").await;
    admin
        .patch(
            &format!("/api/v1/admin/users/{}/status", ada.id),
            json!({ "status": "suspended" }),
        )
        .await
        .expect(200);
    get(&stranger, &ids[0]).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tray_begins_with_what_one_has_not_seen() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let [ada, bob, cleo, dan] = people(&server, ["ada", "bob", "cleo", "dan"]).await;
    for other in [&bob, &cleo, &dan] {
        ada.follow(other).await;
    }
    let mut told = Vec::new();
    for author in [&bob, &cleo, &dan, &bob, &ada] {
        server.advance(Duration::from_secs(1));
        told.push(tell(author, json!({ "text": "Hello" })).await);
    }
    assert_eq!(names(&tray(&ada).await), ["ada", "bob", "dan", "cleo"]);
    see(&ada, &told[0]).await;
    see(&ada, &told[2]).await;
    let now = tray(&ada).await;
    assert_eq!(names(&now), ["ada", "bob", "cleo", "dan"]);
    let of_bob = ["storyCount", "unseenCount", "firstId"].map(|field| now[1][field].clone());
    assert_eq!(of_bob, [json!(2), json!(1), json!(told[3])]);
    let of_dan = ["storyCount", "unseenCount", "firstId"].map(|field| now[3][field].clone());
    assert_eq!(of_dan, [json!(1), json!(0), json!(told[2])]);
    // Whom one mutes is not there, but on their own page.
    ada.post(&format!("/users/{}/mute", bob.id), json!({}))
        .await
        .expect(200);
    assert_eq!(names(&tray(&ada).await), ["ada", "cleo", "dan"]);
    assert_eq!(stories_of(&ada, &bob).await, [told[0].as_str(), &told[3]]);
    server.advance(Duration::from_secs(24 * 3_600 - 3));
    assert_eq!(names(&tray(&ada).await), ["ada", "dan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_reactions_are_messages_to_the_author() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    befriend(&ada, &bob).await;
    let id = tell(&ada, json!({ "text": "Hello", "audience": "public" })).await;
    let mut socket = Socket::connect(&ada).await;
    let path = format!("/api/v1/stories/{id}");
    let answer = json!({ "message": "How **nice**", "client_id": "a" });
    let said = bob
        .post(&format!("{path}/replies"), answer.clone())
        .await
        .expect(200);
    let again = bob
        .post(&format!("{path}/replies"), answer)
        .await
        .expect(200);
    assert_eq!(said["data"]["id"], again["data"]["id"]);
    let notice = socket.next("new_message_notification").await;
    assert_eq!(notice["message"]["storyId"], json!(id));
    assert_eq!(notice["message"]["content"], "How **nice**");
    // One message tells of it, whatever becomes of it.
    let mut told = Vec::new();
    for emoji in ["👍", "👍", "🎉"] {
        let reaction = json!({ "emoji": emoji });
        let said = bob.put(&format!("{path}/reaction"), reaction).await;
        told.push(said.expect(200)["data"].clone());
    }
    let notice = socket.next("new_message_notification").await;
    assert_eq!(notice["message"]["message"], "👍");
    assert_eq!(told[0], told[1]);
    assert_eq!(
        (&told[2]["id"], &told[2]["message"], &told[2]["storyId"]),
        (&told[0]["id"], &json!("🎉"), &json!(id))
    );
    assert!(told[2]["editedAt"].is_string(), "{}", told[2]);
    let viewers = ada.get(&format!("{path}/viewers")).await.expect(200)["viewers"].clone();
    assert_eq!(
        (
            &viewers[0]["username"],
            &viewers[0]["reaction"],
            &viewers[1]
        ),
        (&json!("bob"), &json!("🎉"), &Value::Null)
    );
    let own = get(&ada, &id).await.expect(200)["story"].clone();
    assert_eq!(
        (&own["viewCount"], &own["reactionCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(get(&bob, &id).await.expect(200)["story"]["reaction"], "🎉");
    bob.delete(&format!("{path}/reaction")).await.expect(200);
    assert_eq!(
        get(&ada, &id).await.expect(200)["story"]["reactionCount"],
        0
    );

    // Who may not write to her does not do it in this way either, and leaves nothing.
    for reply in [
        eve.post(&format!("{path}/replies"), json!({ "message": "Hi" }))
            .await,
        eve.put(&format!("{path}/reaction"), json!({ "emoji": "👍" }))
            .await,
        ada.put(&format!("{path}/reaction"), json!({ "emoji": "👍" }))
            .await,
    ] {
        reply.expect_code(403, "cannot_message");
    }
    assert_eq!(
        get(&ada, &id).await.expect(200)["story"]["reactionCount"],
        0
    );
    eve.put(&format!("{path}/reaction"), json!({ "emoji": "hello" }))
        .await
        .expect(400);
    let close = tell(&ada, json!({ "text": "Us", "audience": "close" })).await;
    bob.post(
        &format!("/api/v1/stories/{close}/replies"),
        json!({ "message": "?" }),
    )
    .await
    .expect_code(404, "story_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn highlights_keep_stories_for_those_who_might_see_them() {
    let server = Server::start_with_clock(|config| config.auth.session_hours = 72).await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    bob.follow(&ada).await;
    let mut ids = Vec::new();
    for (text, audience) in [("one", "followers"), ("two", "public"), ("three", "public")] {
        ids.push(tell(&ada, json!({ "text": text, "audience": audience })).await);
    }
    let body = json!({ "title": " Trip ", "storyIds": [ids[0], ids[1]] });
    let made = ada.post("/api/v1/highlights", body).await.expect(201)["highlight"].clone();
    assert_eq!(
        (&made["title"], &made["storyCount"], &made["cover"]["id"]),
        (&json!("Trip"), &json!(2), &json!(ids[0]))
    );
    let path = format!("/api/v1/highlights/{}", made["id"].as_str().unwrap());
    for body in [
        json!({ "title": "x", "storyIds": [] }),
        json!({ "title": "x", "storyIds": [ids[0], ids[0]] }),
        json!({ "title": "", "storyIds": [ids[0]] }),
    ] {
        ada.post("/api/v1/highlights", body)
            .await
            .expect_code(400, "invalid_fields");
    }
    eve.post(
        "/api/v1/highlights",
        json!({ "title": "x", "storyIds": [ids[1]] }),
    )
    .await
    .expect_code(404, "story_not_found");
    server.advance(DAY);
    server.app.keep_house().await;

    let of_ada = format!("/api/v1/users/{}/highlights", ada.id);
    for (person, sees) in [(&ada, vec![0, 1]), (&bob, vec![0, 1]), (&eve, vec![1])] {
        let listed = person.get(&of_ada).await.expect(200)["highlights"].clone();
        assert_eq!(listed[0]["storyCount"], sees.len());
        assert_eq!(listed[0]["cover"]["id"], json!(ids[sees[0]]));
        let shown = person.get(&path).await.expect(200)["stories"].clone();
        let shown: Vec<&Value> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["id"])
            .collect();
        let expected: Vec<Value> = sees.iter().map(|one: &usize| json!(ids[*one])).collect();
        assert_eq!(shown, expected.iter().collect::<Vec<_>>());
    }
    get(&eve, &ids[1]).await.expect(200);
    get(&eve, &ids[0]).await.expect(404);
    get(&ada, &ids[2]).await.expect(404);
    assert_eq!(
        stories_of(&ada, &ada).await,
        Vec::<String>::new(),
        "no news any more"
    );

    // Other stories, one of which is kept though its time is over.
    let later = tell(&ada, json!({ "text": "four" })).await;
    let change = json!({ "title": "Trips", "storyIds": [later, ids[1]] });
    eve.patch(&path, change.clone())
        .await
        .expect_code(404, "highlight_not_found");
    let changed = ada.patch(&path, change).await.expect(200)["highlight"].clone();
    assert_eq!(
        (&changed["title"], &changed["cover"]["id"]),
        (&json!("Trips"), &json!(later))
    );
    ada.patch(&path, json!({}))
        .await
        .expect_code(400, "nothing_to_change");
    get(&ada, &ids[0]).await.expect(404);
    // With its last story it goes.
    for id in [&later, &ids[1]] {
        ada.delete(&format!("/api/v1/stories/{id}"))
            .await
            .expect(200);
    }
    ada.get(&path).await.expect_code(404, "highlight_not_found");
    assert_eq!(ada.get(&of_ada).await.expect(200)["highlights"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_story_is_refused() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    for body in [
        json!({}),
        json!({ "text": " " }),
        json!({ "text": "x", "background": "blue" }),
        json!({ "text": "x".repeat(501) }),
        json!({ "text": "x", "audience": "nobody" }),
    ] {
        let reply = ada.post("/api/v1/stories", body).await;
        reply.expect_code(400, "invalid_fields");
    }
    let uploaded = upload(&bob, "/api/v1/media").await.expect(201);
    let not_hers = json!({ "mediaId": uploaded["media"]["id"] });
    ada.post("/api/v1/stories", not_hers.clone())
        .await
        .expect_code(404, "media_not_found");
    bob.post("/api/v1/stories", not_hers.clone())
        .await
        .expect(201);
    bob.post("/api/v1/stories", not_hers)
        .await
        .expect_code(404, "media_not_found");
    let form = reqwest::multipart::Form::new().part(
        "file",
        pictures::part(pictures::recording(50_000, 1), "a.wav", "audio/wav"),
    );
    let recording = pictures::send(&ada, "/api/v1/media", form)
        .await
        .expect(201);
    ada.post(
        "/api/v1/stories",
        json!({ "mediaId": recording["media"]["id"] }),
    )
    .await
    .expect_code(415, "unsupported_file");
    let admin = server.set_up("admin").await;
    let id = tell(&ada, json!({ "text": "Rude" })).await;
    let path = format!("/api/v1/stories/{id}");
    bob.delete(&path).await.expect_code(404, "story_not_found");
    admin.delete(&path).await.expect(200);
    get(&ada, &id).await.expect(404);
}
