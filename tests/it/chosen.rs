//! What people choose to read, and not to: hashtags, lists of people, muted words.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Person, Server, database, ids};

async fn posts(person: &Person, path: &str) -> Vec<String> {
    let reply = person.get(path).await.expect(200);
    let posts = reply["posts"].as_array().unwrap();
    ids(posts).into_iter().map(ToOwned::to_owned).collect()
}

async fn mute(person: &Person, kind: &str, text: &str) -> String {
    let body = json!({ "kind": kind, "text": text });
    let reply = person.post("/api/v1/mutes", body).await.expect(201);
    reply["mute"]["id"].as_str().unwrap().to_owned()
}

async fn tag(person: &Person, name: &str) -> Value {
    let path = format!("/api/v1/tags/{name}");
    person.get(&path).await.expect(200)["tag"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hashtag_has_its_public_posts() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    let open = bob.write("Up there #Climbing").await;
    let hidden = bob.write_for("Not for all #climbing", "followers").await;
    let blocked = eve.write("#climbing too").await;
    let path = "/api/v1/tags/climbing/posts";
    assert_eq!(posts(&ada, path).await, [&*blocked, &*open]);
    assert_eq!(tag(&ada, "%23Climbing").await["postsCount"], 2);
    // Not even its author finds there what is not for all.
    assert_eq!(posts(&bob, path).await, [&*blocked, &*open]);
    ada.post(&format!("/users/{}/block", eve.id), json!({}))
        .await
        .expect(200);
    assert_eq!(posts(&ada, path).await, [&*open]);

    // What is edited or removed is there, or not, at once.
    let edit =
        |content: &str, visibility: &str| json!({ "content": content, "visibility": visibility });
    bob.patch(
        &format!("/posts/{hidden}"),
        edit("#climbing, all", "public"),
    )
    .await
    .expect(200);
    assert_eq!(posts(&ada, path).await, [&*hidden, &*open]);
    bob.patch(&format!("/posts/{open}"), edit("no tag", "public"))
        .await
        .expect(200);
    bob.delete(&format!("/posts/{hidden}")).await.expect(200);
    assert_eq!(posts(&ada, path).await, Vec::<String>::new());
    assert_eq!(tag(&bob, "climbing").await["postsCount"], 1);
    let unused =
        json!({ "name": "unused", "postsCount": 0, "followersCount": 0, "isFollowing": false });
    assert_eq!(tag(&ada, "unused").await, unused);
    ada.get("/api/v1/tags/a%20b/posts")
        .await
        .expect_code(400, "invalid_fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_hashtags_stand_at_home() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    let follow = "/api/v1/tags/Birds/follow";
    let home = "/api/v1/feed";
    let old = bob.write("A tit #birds").await;
    assert_eq!(posts(&ada, home).await, Vec::<String>::new());
    let followed = ada.post(follow, json!({})).await.expect(200);
    let expected =
        json!({ "name": "birds", "postsCount": 1, "followersCount": 1, "isFollowing": true });
    assert_eq!(followed["tag"], expected);
    // Again changes nothing.
    assert_eq!(ada.post(follow, json!({})).await.expect(200), followed);
    assert_eq!(posts(&ada, home).await, [&*old]);
    ada.follow(&eve).await;
    let mut written = vec![old];
    for number in 0..12 {
        let (author, text) = match number % 3 {
            0 => (&bob, format!("{number} #birds")),
            1 => (&eve, format!("{number}")),
            _ => (&eve, format!("{number} #birds")),
        };
        written.push(author.write(&text).await);
    }
    bob.write_for("not for all #birds", "followers").await;
    bob.write("no tag").await;
    written.reverse();
    // In pages of any size, nothing twice and nothing left out.
    for limit in [1, 4, 5, 50] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{home}?limit={limit}&cursor={cursor}");
            let reply = ada.get(&path).await.expect(200);
            let page = reply["posts"].as_array().unwrap();
            seen.extend(ids(page).into_iter().map(ToOwned::to_owned));
            match reply["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(seen, written, "{limit} a page");
    }
    let list = ada.get("/api/v1/tags/following").await.expect(200)["tags"].clone();
    assert_eq!(list[0]["name"], "birds");
    assert_eq!(
        bob.get("/api/v1/tags/following").await.expect(200)["tags"],
        json!([])
    );
    // Whom one mutes is not brought back by a hashtag.
    ada.post(&format!("/users/{}/mute", bob.id), json!({}))
        .await
        .expect(200);
    assert_eq!(posts(&ada, home).await.len(), 8);
    ada.delete(follow).await.expect(200);
    ada.delete(&format!("/users/{}/mute", bob.id))
        .await
        .expect(200);
    assert_eq!(posts(&ada, home).await.len(), 8);
    assert_eq!(tag(&ada, "birds").await["followersCount"], 0);

    for number in 0..100 {
        let path = format!("/api/v1/tags/tag{number}/follow");
        ada.post(&path, json!({})).await.expect(200);
    }
    ada.post(follow, json!({}))
        .await
        .expect_code(409, "too_many_followed_tags");
}

#[tokio::test(flavor = "multi_thread")]
async fn muted_words_and_hashtags_are_left_out() {
    let server = Server::start_with_clock(|_| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let plain = bob.write("Nothing special").await;
    let spoiler = bob.write("The SEASON\u{a0}Finale was sad #Tv").await;
    let tagged = bob.write("Look #tv").await;
    let mine = ada.write("My own season finale #tv").await;
    let all = [&*mine, &*tagged, &*spoiler, &*plain];
    let lists = [
        "/api/v1/feed",
        "/api/v1/feed/local",
        "/posts",
        "/api/v1/feed?order=ranked",
    ];
    // The ranked one has another order.
    let newest_first = async |path: &str| {
        let mut seen = posts(&ada, path).await;
        seen.sort_by(|a, b| b.cmp(a));
        seen
    };
    for path in lists {
        assert_eq!(newest_first(path).await, all, "{path}");
    }
    let word = mute(&ada, "word", "season   finale").await;
    for path in lists {
        assert_eq!(
            newest_first(path).await,
            [&*mine, &*tagged, &*plain],
            "{path}"
        );
    }
    let tag = mute(&ada, "tag", "#TV").await;
    for path in lists {
        assert_eq!(newest_first(path).await, [&*mine, &*plain], "{path}");
    }
    // One's own stay, those of others look as ever, and where one person's posts stand nothing is left out.
    assert_eq!(posts(&ada, "/api/v1/tags/tv/posts").await, [&*mine]);
    assert_eq!(posts(&bob, "/api/v1/tags/tv/posts").await.len(), 3);
    let theirs = posts(&ada, &format!("/posts/user/{}", bob.id)).await;
    assert_eq!(theirs.len(), 3);

    let known = ada.get("/api/v1/mutes").await.expect(200)["mutes"].clone();
    assert_eq!(
        known,
        json!([
            { "id": tag, "kind": "tag", "text": "tv", "mutedUntil": null },
            { "id": word, "kind": "word", "text": "season finale", "mutedUntil": null },
        ])
    );
    assert_eq!(
        bob.get("/api/v1/mutes").await.expect(200)["mutes"],
        json!([])
    );
    let path = format!("/api/v1/mutes/{word}");
    bob.delete(&path)
        .await
        .expect_code(404, "muted_term_not_found");
    ada.delete(&path).await.expect(200);
    ada.delete(&path)
        .await
        .expect_code(404, "muted_term_not_found");

    // With an end, which doing it again moves.
    for until in ["2027-01-15T08:10:00Z", "2027-01-15T09:00:00Z"] {
        let body = json!({ "kind": "word", "text": "nothing", "until": until });
        ada.post("/api/v1/mutes", body).await.expect(201);
    }
    assert_eq!(
        ada.get("/api/v1/mutes").await.expect(200)["mutes"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    server.advance(Duration::from_mins(59));
    assert_eq!(posts(&ada, "/api/v1/feed").await, [&*mine]);
    server.advance(Duration::from_mins(1));
    assert_eq!(posts(&ada, "/api/v1/feed").await, [&*mine, &*plain]);

    for wrong in [
        json!({ "kind": "word", "text": "" }),
        json!({ "kind": "word", "text": "..." }),
        json!({ "kind": "word", "text": "x".repeat(101) }),
        json!({ "kind": "tag", "text": "a b" }),
        json!({ "kind": "person", "text": "bob" }),
        json!({ "kind": "word", "text": "x", "until": "2020-01-01T00:00:00Z" }),
        json!({ "text": "x" }),
    ] {
        ada.post("/api/v1/mutes", wrong).await.expect(400);
    }
    for number in 0..199 {
        mute(&ada, "word", &format!("word{number}")).await;
    }
    let body = json!({ "kind": "word", "text": "one more" });
    ada.post("/api/v1/mutes", body)
        .await
        .expect_code(409, "too_many_muted_terms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_feed_of_chosen_people() {
    let server = Server::start().await;
    let (ada, bob, eve, carl) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
        server.sign_up("carl").await,
    );
    let made = ada
        .post("/api/v1/lists", json!({ "title": " Friends " }))
        .await
        .expect(201)["list"]
        .clone();
    assert_eq!(
        (&made["title"], &made["memberCount"]),
        (&json!("Friends"), &json!(0))
    );
    let path = format!("/api/v1/lists/{}", made["id"].as_str().unwrap());
    let members = format!("{path}/members");
    let whom = json!({ "userIds": [bob.id, eve.id] });
    let list = ada.post(&members, whom.clone()).await.expect(200);
    assert_eq!(list["list"]["memberCount"], 2);
    ada.post(&members, whom).await.expect(200);
    let first = bob.write("one").await;
    let close = bob.write_for("two", "followers").await;
    carl.write("not on it").await;
    ada.write("nor am I").await;
    let second = eve.write("three").await;
    let feed = format!("{path}/posts");
    // Being on a list lets nobody see more.
    assert_eq!(posts(&ada, &feed).await, [&*second, &*first]);
    ada.follow(&bob).await;
    assert_eq!(posts(&ada, &feed).await, [&*second, &*close, &*first]);
    let page = ada.get(&format!("{feed}?limit=2")).await.expect(200);
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        posts(&ada, &format!("{feed}?limit=2&cursor={next}")).await,
        [&*first]
    );

    // A block takes them out of sight, on the list as well.
    eve.post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    assert_eq!(posts(&ada, &feed).await, [&*close, &*first]);
    let seen = ada.get(&members).await.expect(200)["users"].clone();
    assert_eq!(ids(seen.as_array().unwrap()), [bob.id.as_str()]);
    ada.post(&members, json!({ "userIds": [carl.id, eve.id] }))
        .await
        .expect_code(404, "user_not_found");
    assert_eq!(ada.get(&path).await.expect(200)["list"]["memberCount"], 2);

    // It is its owner's alone.
    for reply in [
        bob.get(&path).await,
        bob.get(&members).await,
        bob.get(&feed).await,
        bob.patch(&path, json!({ "title": "Mine" })).await,
        bob.post(&members, json!({ "userIds": [carl.id] })).await,
        bob.delete(&format!("{members}/{}", eve.id)).await,
        bob.delete(&path).await,
    ] {
        reply.expect_code(404, "list_not_found");
    }
    assert_eq!(
        bob.get("/api/v1/lists").await.expect(200)["lists"],
        json!([])
    );
    let renamed = ada
        .patch(&path, json!({ "title": "Two" }))
        .await
        .expect(200);
    assert_eq!(renamed["list"]["title"], "Two");
    ada.delete(&format!("{members}/{}", bob.id))
        .await
        .expect(200);
    assert_eq!(posts(&ada, &feed).await, Vec::<String>::new());
    for wrong in [
        json!({ "title": " " }),
        json!({ "title": "x".repeat(81) }),
        json!({}),
    ] {
        ada.post("/api/v1/lists", wrong).await.expect(400);
    }
    ada.post(&members, json!({ "userIds": [] }))
        .await
        .expect(400);
    ada.delete(&path).await.expect(200);
    ada.get(&feed).await.expect_code(404, "list_not_found");
    for number in 0..50 {
        ada.post("/api/v1/lists", json!({ "title": number.to_string() }))
            .await
            .expect(201);
    }
    ada.post("/api/v1/lists", json!({ "title": "one more" }))
        .await
        .expect_code(409, "too_many_lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_room_for_so_many_people() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let body = json!({ "title": "Many" });
    let made = ada.post("/api/v1/lists", body).await.expect(201);
    let server = server
        .edit(|connection| {
            connection
                .execute_batch(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 501)
                     INSERT INTO users (username, username_key, username_skeleton, name, role, status, created_at, updated_at)
                     SELECT 'made' || i, 'made' || i, 'made' || i, 'made' || i, 'USER', 'active', 0, 0 FROM n;",
                )
                .unwrap();
        })
        .await;
    let people = database::strings(
        &database::connect(server.app.data_dir()),
        "SELECT CAST(id AS TEXT) FROM users WHERE username LIKE 'made%'",
    );
    let ada = ada.at(&server);
    let path = format!("/api/v1/lists/{}", made["list"]["id"].as_str().unwrap());
    let members = format!("{path}/members");
    ada.post(&members, json!({ "userIds": people }))
        .await
        .expect_code(400, "invalid_fields");
    ada.post(&members, json!({ "userIds": people[..500] }))
        .await
        .expect(200);
    // Who is on it already takes no further place.
    ada.post(&members, json!({ "userIds": [people[0]] }))
        .await
        .expect(200);
    ada.post(&members, json!({ "userIds": [people[0], bob.id] }))
        .await
        .expect_code(409, "too_many_list_members");
    let list = ada.get(&path).await.expect(200)["list"].clone();
    assert_eq!(list["memberCount"], 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hashtag_that_nobody_uses_or_follows_leaves_nothing() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let known = || {
        database::strings(
            &database::connect(server.app.data_dir()),
            "SELECT tag FROM tags ORDER BY tag",
        )
    };
    let follow = |name: &str| format!("/api/v1/tags/{name}/follow");
    for name in ["one", "two"] {
        ada.post(&follow(name), json!({})).await.expect(200);
    }
    bob.post(&follow("two"), json!({})).await.expect(200);
    let post = bob.write("#two #three #four").await;
    let edit = |content: &str| json!({ "content": content });
    let path = format!("/posts/{post}");
    assert_eq!(known(), ["four", "one", "three", "two"]);
    let found = ada.get("/api/v1/tags?prefix=t").await.expect(200)["tags"].clone();
    let names = |tags: &Value| {
        let name = |tag: &Value| tag["name"].as_str().unwrap().to_owned();
        tags.as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), ["three", "two"]);
    ada.delete(&follow("one")).await.expect(200);
    ada.delete(&follow("two")).await.expect(200);
    bob.patch(&path, edit("#four #five")).await.expect(200);
    assert_eq!(known(), ["five", "four", "two"]);
    assert_eq!(tag(&bob, "two").await["followersCount"], 1);
    assert_eq!(tag(&bob, "four").await["postsCount"], 1);
    // What is followed and on no post is not offered to who looks for it.
    let found = ada.get("/api/v1/tags?prefix=t").await.expect(200)["tags"].clone();
    assert_eq!(names(&found), Vec::<String>::new());
    bob.delete(&follow("two")).await.expect(200);
    bob.delete(&path).await.expect(200);
    assert_eq!(known(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_word_of_a_script_that_glues_words_is_found() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    bob.write("내일 서울에서 봐요").await;
    bob.write("我喜欢足球比赛").await;
    let other = bob.write("부산에서 봐요").await;
    for word in ["서울", "足球"] {
        mute(&ada, "word", word).await;
    }
    assert_eq!(posts(&ada, "/api/v1/feed").await, [&*other]);
}
