//! Whom people are suggested, who stands in the directory, which hashtags there are, and who wants to be found.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Person, Server, database, ids};

const EVERYTHING: [&str; 3] = ["isListed", "isSuggested", "isSyndicated"];

/// Usernames and reasons, in order.
async fn suggestions(person: &Person) -> Vec<(String, Value)> {
    let path = "/api/v1/suggestions?limit=100";
    let reply = person.get(path).await.expect(200);
    let found = reply["suggestions"].as_array().unwrap().iter();
    found
        .map(|one| {
            let name = one["user"]["username"].as_str().unwrap();
            (name.to_owned(), one["reasons"].clone())
        })
        .collect()
}

async fn suggested(person: &Person) -> Vec<String> {
    let found = suggestions(person).await.into_iter();
    found.map(|(name, _)| name).collect()
}

async fn directory(person: &Person, order: &str) -> Vec<String> {
    let path = format!("/api/v1/directory?order={order}");
    let people = person.walk(&path, "users", 2).await;
    people
        .iter()
        .map(|one| one["username"].as_str().unwrap().to_owned())
        .collect()
}

async fn hide(person: &Person, from: &str) {
    let settings: Value = EVERYTHING
        .iter()
        .map(|way| ((*way).to_owned(), json!(*way != from)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let reply = person
        .put("/api/v1/discovery/settings", settings)
        .await
        .expect(200);
    assert_eq!(reply["settings"][from], false);
}

async fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Person; N] {
    let mut people = Vec::with_capacity(N);
    for name in names {
        people.push(server.sign_up(name).await);
    }
    people.try_into().ok().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn friends_of_friends_are_suggested_with_who_they_are() {
    let server = Server::start().await;
    let [ada, bob, eve, tim, sue, zoe] =
        people(&server, ["ada", "bob", "eve", "tim", "sue", "zoe"]).await;
    for friend in [&bob, &eve] {
        ada.follow(friend).await;
        friend.follow(&tim).await;
    }
    eve.follow(&sue).await;
    // Who follows her is not thereby somebody she knows.
    zoe.follow(&ada).await;

    let found = suggestions(&ada).await;
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["tim", "sue", "zoe"]);
    let reason = &found[0].1[0];
    assert_eq!(reason["kind"], "followed_by_followed");
    assert_eq!(reason["count"], 2);
    let named = ids(reason["users"].as_array().unwrap());
    assert_eq!(named, [&*eve.id, &*bob.id]);
    assert_eq!(found[1].1[0]["count"], 1);
    assert_eq!(found[2].1, json!([{ "kind": "new" }]));

    let few = ada.get("/api/v1/suggestions?limit=1").await.expect(200);
    assert_eq!(few["suggestions"].as_array().unwrap().len(), 1);
    ada.get("/api/v1/suggestions?limit=0")
        .await
        .expect_code(400, "invalid_query");
    server.get("/api/v1/suggestions").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_many_is_suggested_those_whom_they_do_not() {
    let server = Server::start().await;
    let [tim, ada, bob] = people(&server, ["tim", "ada", "bob"]).await;
    // Ada follows 2,500 people, of whom the first thirty follow a hundred others of them each.
    let (ada_id, bob_id) = (ada.id.clone(), bob.id.clone());
    let server = server
        .edit(|database| {
            database
                .execute_batch(&format!(
                    "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 2499)
                     INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at,
                                        updated_at)
                     SELECT {ada_id} + 1000 + n, 'p' || n, 'p' || n, 'p' || n, 'P', 'USER', 'active', 1, 1 FROM n;
                     INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
                     SELECT id, {ada_id}, id, 1, 1, 1, 1 FROM users WHERE username LIKE 'p%';
                     INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
                     SELECT (f.id - {ada_id}) * 10000 + o.id - {ada_id}, f.id, o.id, 1, 1, 1, 1
                     FROM users AS f
                     JOIN users AS o ON (o.id - {ada_id} - 1000) / 80 = f.id - {ada_id} - 1000 - 2400
                     WHERE f.username LIKE 'p%' AND o.username LIKE 'p%' AND f.id <> o.id
                           AND f.id >= {ada_id} + 1000 + 2400;"
                ))
                .unwrap();
        })
        .await;
    let (ada, bob, tim) = (ada.at(&server), bob.at(&server), tim.at(&server));
    ada.follow(&bob).await;
    bob.follow(&tim).await;
    let found = suggestions(&ada).await;
    assert_eq!(found[0].0, "tim");
    assert_eq!(found[0].1[0]["kind"], "followed_by_followed");
    assert_eq!(found[0].1[0]["users"][0]["id"], bob_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_many_hashtags_is_known_by_their_own_too() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    ada.write("stripes #zebra").await;
    for letter in 'a'..='y' {
        ada.post(&format!("/api/v1/tags/{letter}{letter}/follow"), json!({}))
            .await
            .expect(200);
    }
    bob.write("more stripes #zebra").await;
    // The one that she followed last.
    eve.write("why #yy").await;
    let found = suggestions(&ada).await;
    let told = found
        .iter()
        .map(|(name, reasons)| (name.as_str(), &reasons[0]["tags"][0]));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("eve", &json!("yy")), ("bob", &json!("zebra"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_of_the_same_is_suggested_before_who_is_new() {
    let server = Server::start().await;
    let [ada, bob, eve, tim, _zoe] = people(&server, ["ada", "bob", "eve", "tim", "zoe"]).await;
    ada.write("it falls #rain").await;
    ada.post("/api/v1/tags/snow/follow", json!({}))
        .await
        .expect(200);
    bob.write("again #rain").await;
    bob.write("and again #rain #snow").await;
    eve.write("white #snow").await;
    // What few may see tells nothing.
    tim.write_for("secretly #rain", "followers").await;

    let found = suggestions(&ada).await;
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["bob", "eve", "zoe", "tim"]);
    assert_eq!(
        found[0].1,
        json!([{ "kind": "shared_tags", "tags": ["snow", "rain"] }])
    );
    assert_eq!(
        found[1].1,
        json!([{ "kind": "shared_tags", "tags": ["snow"] }])
    );
    assert_eq!(found[3].1, json!([{ "kind": "new" }]));

    // A hashtag that one mutes is none that one shares.
    ada.post("/api/v1/mutes", json!({ "kind": "tag", "text": "snow" }))
        .await
        .expect(201);
    let found = suggestions(&ada).await;
    assert_eq!(found[0].1[0]["tags"], json!(["rain"]));
    assert!(found[1..].iter().all(|(_, why)| why[0]["kind"] == "new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_whom_one_knows_or_does_not_want_or_who_does_not_want_it() {
    let server = Server::start_with_clock(|_config| {}).await;
    let admin = server.set_up("root").await;
    let [
        ada,
        friend,
        blocked,
        blocker,
        muted,
        gone,
        unlisted,
        unsuggested,
        other,
    ] = people(
        &server,
        [
            "ada",
            "friend",
            "blocked",
            "blocker",
            "muted",
            "gone",
            "unlisted",
            "unsuggested",
            "other",
        ],
    )
    .await;
    ada.follow(&friend).await;
    for one in [
        &ada,
        &blocked,
        &blocker,
        &muted,
        &gone,
        &unlisted,
        &unsuggested,
        &other,
    ] {
        friend.follow(one).await;
        one.write("#rain").await;
    }
    admin.write("#rain").await;
    friend.write("#rain").await;
    let all = [
        "other",
        "unsuggested",
        "unlisted",
        "gone",
        "muted",
        "blocker",
        "blocked",
    ];
    assert_eq!(suggested(&ada).await, [&all[..], &["root"]].concat());
    assert_eq!(
        directory(&ada, "active").await,
        [&["root"], &all[..]].concat()
    );
    assert_eq!(directory(&ada, "new").await, [&all[..], &["root"]].concat());

    ada.post(&format!("/users/{}/block", blocked.id), json!({}))
        .await
        .expect(200);
    blocker
        .post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    let until = json!({ "until": "2027-01-15T09:00:00Z" });
    ada.post(&format!("/users/{}/mute", muted.id), until)
        .await
        .expect(200);
    let suspend = json!({ "status": "suspended" });
    admin
        .patch(&format!("/api/v1/admin/users/{}/status", gone.id), suspend)
        .await
        .expect(200);
    hide(&unlisted, "isListed").await;
    hide(&unsuggested, "isSuggested").await;
    assert_eq!(suggested(&ada).await, ["other", "unlisted", "root"]);
    assert_eq!(
        directory(&ada, "active").await,
        ["root", "other", "unsuggested"]
    );
    assert_eq!(
        directory(&ada, "new").await,
        ["other", "unsuggested", "root"]
    );

    // Whom one mutes gives no reasons either; then that is over.
    server.advance(Duration::from_hours(2));
    assert_eq!(
        suggested(&ada).await,
        ["other", "unlisted", "muted", "root"]
    );
    ada.post(&format!("/users/{}/mute", friend.id), json!({}))
        .await
        .expect(200);
    for (_, reasons) in suggestions(&ada).await {
        assert_eq!(reasons.as_array().unwrap().len(), 1, "{reasons}");
        assert_eq!(reasons[0]["kind"], "shared_tags");
    }
    // Nor does who is suspended.
    ada.delete(&format!("/users/{}/mute", friend.id))
        .await
        .expect(200);
    assert_eq!(suggestions(&ada).await[0].1.as_array().unwrap().len(), 2);
    let suspend = json!({ "status": "suspended" });
    admin
        .patch(
            &format!("/api/v1/admin/users/{}/status", friend.id),
            suspend,
        )
        .await
        .expect(200);
    for (_, reasons) in suggestions(&ada).await {
        assert_eq!(reasons.as_array().unwrap().len(), 1, "{reasons}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_dismissed_is_suggested_no_more() {
    let server = Server::start().await;
    let [ada, bob, eve] = people(&server, ["ada", "bob", "eve"]).await;
    assert_eq!(suggested(&ada).await, ["eve", "bob"]);
    for _again in 0..2 {
        ada.delete(&format!("/api/v1/suggestions/{}", eve.id))
            .await
            .expect(200);
    }
    assert_eq!(suggested(&ada).await, ["bob"]);
    // For oneself alone, and in suggestions alone.
    assert_eq!(suggested(&bob).await, ["eve", "ada"]);
    assert_eq!(directory(&ada, "new").await, ["eve", "bob"]);

    let gone = "/api/v1/suggestions/1";
    ada.delete(gone).await.expect_code(404, "user_not_found");
    ada.delete(&format!("/api/v1/suggestions/{}", ada.id))
        .await
        .expect_code(404, "user_not_found");
    ada.delete("/api/v1/suggestions/nobody").await.expect(404);
    server.delete(gone).await.expect(401);
    bob.post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    ada.delete(&format!("/api/v1/suggestions/{}", bob.id))
        .await
        .expect_code(404, "user_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_goes_by_what_was_last_written_for_everybody() {
    let server = Server::start().await;
    let [ada, bob, eve, tim] = people(&server, ["ada", "bob", "eve", "tim"]).await;
    let first = bob.write("first").await;
    let newest = eve.write("second").await;
    bob.write_for("not for everybody", "followers").await;
    // Tim wrote nothing.
    assert_eq!(directory(&ada, "active").await, ["eve", "bob"]);
    assert_eq!(directory(&ada, "new").await, ["tim", "eve", "bob"]);
    let unordered = ada.get("/api/v1/directory").await.expect(200);
    assert_eq!(unordered["users"][0]["username"], "eve");

    let third = bob.write("third").await;
    assert_eq!(directory(&ada, "active").await, ["bob", "eve"]);
    // What is hidden, or removed, no longer counts.
    let hidden = json!({ "visibility": "private" });
    bob.patch(&format!("/posts/{third}"), hidden)
        .await
        .expect(200);
    assert_eq!(directory(&ada, "active").await, ["eve", "bob"]);
    eve.delete(&format!("/posts/{newest}")).await.expect(200);
    assert_eq!(directory(&ada, "active").await, ["bob"]);
    bob.delete(&format!("/posts/{first}")).await.expect(200);
    assert_eq!(directory(&ada, "active").await, Vec::<String>::new());
    let shown = json!({ "visibility": "public" });
    bob.patch(&format!("/posts/{third}"), shown)
        .await
        .expect(200);
    assert_eq!(directory(&tim, "active").await, ["bob"]);

    for wrong in ["order=best", "page=2", "limit=0", "cursor=x"] {
        ada.get(&format!("/api/v1/directory?{wrong}"))
            .await
            .expect(400);
    }
    server.get("/api/v1/directory").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_people_who_are_not_to_be_shown_goes_on_behind_them() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    // More suspended accounts than one page looks at.
    let server = server
        .edit(|connection| {
            connection
                .execute_batch(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
                     INSERT INTO users (id, username, username_key, username_skeleton, name, role, status,
                                        created_at, updated_at)
                     SELECT i, 'p' || i, 'p' || i, 'p' || i, 'P', 'USER', IIF(i > 2 AND i < 2450, 'suspended', 'active'),
                            0, 0
                     FROM n",
                )
                .unwrap();
        })
        .await;
    let ada = ada.at(&server);
    let first = ada
        .get("/api/v1/directory?order=new&limit=100")
        .await
        .expect(200);
    // What there is of it, rather than a page that takes its time.
    assert_eq!(first["users"].as_array().unwrap().len(), 51);
    assert!(first["next_cursor"].is_string());
    let all = ada.walk("/api/v1/directory?order=new", "users", 100).await;
    assert_eq!(all.len(), 53);
    assert_eq!(ids(&all[51..]), ["2", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hashtags_are_listed_by_how_often_they_are_used() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    for text in ["#rain #rainbow", "#rain", "#snow #Ünï"] {
        bob.write(text).await;
    }
    bob.write_for("#rainy", "followers").await;
    let gone = bob.write("#rainless").await;
    bob.delete(&format!("/posts/{gone}")).await.expect(200);
    ada.post("/api/v1/tags/snow/follow", json!({}))
        .await
        .expect(200);
    let names = async |query: &str| -> Vec<String> {
        let reply = ada.get(&format!("/api/v1/tags?{query}")).await.expect(200);
        let tags = reply["tags"].as_array().unwrap().iter();
        tags.map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ada.get("/api/v1/tags").await.expect(200);
    assert_eq!(
        all["tags"][0],
        json!({ "name": "rain", "postsCount": 2, "followersCount": 0, "isFollowing": false })
    );
    assert_eq!(names("").await, ["rain", "rainbow", "snow", "ünï"]);
    assert_eq!(names("prefix=rain").await, ["rain", "rainbow"]);
    assert_eq!(names("prefix=%23RAINB").await, ["rainbow"]);
    assert_eq!(names("prefix=%C3%9C").await, ["ünï"]);
    assert_eq!(names("prefix=z").await, Vec::<String>::new());
    assert_eq!(names("prefix=%23&limit=1").await, ["rain"]);
    let snow = ada.get("/api/v1/tags?prefix=sn").await.expect(200);
    assert_eq!(snow["tags"][0]["isFollowing"], true);
    assert_eq!(snow["tags"][0]["followersCount"], 1);
    ada.post("/api/v1/mutes", json!({ "kind": "tag", "text": "rain" }))
        .await
        .expect(201);
    assert_eq!(names("prefix=rain").await, ["rainbow"]);

    let long = "r".repeat(200);
    for wrong in ["prefix=a%20b", "prefix=%25", &format!("prefix={long}")] {
        ada.get(&format!("/api/v1/tags?{wrong}"))
            .await
            .expect_code(400, "invalid_fields");
    }
    ada.get("/api/v1/tags?page=2").await.expect(400);
    server.get("/api/v1/tags").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_used_of_very_many_hashtags_is_found_by_its_beginning() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let server = server
        .edit(|connection| {
            connection
                .execute_batch(
                    "WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < 15000)
                     INSERT INTO tags (tag, posts_count) SELECT 'tag' || i, IIF(i = 14999, 7, 1) FROM n",
                )
                .unwrap();
        })
        .await;
    let reply = ada
        .at(&server)
        .get("/api/v1/tags?prefix=t&limit=1")
        .await
        .expect(200);
    assert_eq!(reply["tags"][0]["name"], "tag14999");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_chooses_for_themselves_how_they_are_found() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let path = "/api/v1/discovery/settings";
    let open = json!({ "isListed": true, "isSuggested": true, "isSyndicated": true });
    assert_eq!(ada.get(path).await.expect(200)["settings"], open);
    let closed = json!({ "isListed": false, "isSuggested": false, "isSyndicated": false });
    let reply = ada.put(path, closed.clone()).await.expect(200);
    assert_eq!(reply["settings"], closed);
    assert_eq!(ada.get(path).await.expect(200)["settings"], closed);
    assert_eq!(bob.get(path).await.expect(200)["settings"], open);
    for wrong in [
        json!({}),
        json!({ "isListed": true, "isSuggested": true }),
        json!({ "isListed": 1, "isSuggested": true, "isSyndicated": true }),
        json!([]),
    ] {
        ada.put(path, wrong).await.expect(400);
    }
    assert_eq!(ada.get(path).await.expect(200)["settings"], closed);
    server.get(path).await.expect(401);
    server.put(path, open).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_who_were_dismissed_the_oldest_are_forgotten() {
    let server = Server::start().await;
    let [ada, bob] = people(&server, ["ada", "bob"]).await;
    let id = ada.id.clone();
    let server = server
        .edit(move |connection| {
            connection
                .execute_batch(&format!(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                     INSERT INTO users (id, username, username_key, username_skeleton, name, role, status,
                                        created_at, updated_at)
                     SELECT i, 'p' || i, 'p' || i, 'p' || i, 'P', 'USER', 'active', 0, 0 FROM n;
                     INSERT INTO dismissed_suggestions (user_id, other_id, dismissed_at)
                     SELECT {id}, id, id FROM users WHERE id <= 1000"
                ))
                .unwrap();
        })
        .await;
    ada.at(&server)
        .delete(&format!("/api/v1/suggestions/{}", bob.id))
        .await
        .expect(200);
    let connection = database::connect(server.app.data_dir());
    let kept = database::rows(
        &connection,
        "SELECT count(*), min(other_id), max(other_id) FROM dismissed_suggestions",
    );
    let bob: i64 = bob.id.parse().unwrap();
    assert_eq!(kept, [[1_000, 2, bob].map(rusqlite::types::Value::Integer)]);
}
