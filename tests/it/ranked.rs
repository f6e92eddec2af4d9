//! The home feed in the order of what may matter, and what is talked about.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Person, Server, database, ids};

async fn ranked(person: &Person) -> Value {
    let reply = person
        .get("/api/v1/feed?order=ranked&limit=100")
        .await
        .expect(200);
    assert_eq!(reply["order"], "ranked");
    reply["posts"].clone()
}

fn place(posts: &Value, id: &str) -> usize {
    let posts = posts.as_array().unwrap();
    posts.iter().position(|post| post["id"] == id).unwrap()
}

fn kinds(post: &Value) -> Vec<&str> {
    let reasons = post["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|reason| reason["kind"].as_str().unwrap())
        .collect()
}

async fn like(person: &Person, post: &str) {
    let path = format!("/posts/like/{post}");
    person.post(&path, json!({})).await.expect(200);
}

async fn comment(person: &Person, post: &str) {
    let path = format!("/posts/comment/{post}");
    let body = json!({ "content": "Hm" });
    person.post(&path, body).await.expect(200);
}

async fn trending(person: &Person) -> Vec<String> {
    let reply = person.get("/api/v1/trending/posts").await.expect(200);
    let posts = reply["posts"].as_array().unwrap();
    ids(posts).into_iter().map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matters_comes_first_and_says_why() {
    let server = Server::start_with_clock(|_| {}).await;
    let [ada, bob, carl, dora, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("carl").await,
        server.sign_up("dora").await,
        server.sign_up("eve").await,
    ];
    for other in [&bob, &carl, &dora] {
        ada.follow(other).await;
    }
    ada.post("/api/v1/tags/birds/follow", json!({}))
        .await
        .expect(200);
    // She has liked and answered much of Carl's.
    for number in 0..8 {
        let post = carl.write(&format!("old {number}")).await;
        like(&ada, &post).await;
        comment(&ada, &post).await;
    }
    server.advance(Duration::from_hours(24 * 5));
    let mut people = Vec::new();
    for person in [&ada, &bob, &carl, &dora, &eve] {
        people.push(server.log_in(person).await);
    }
    let [ada, bob, carl, dora, eve] = people.try_into().ok().unwrap();
    let close = carl.write("of one whom she reads").await;
    let stranger = eve.write("of a stranger, whom friends like").await;
    let hidden = eve.write_for("liked, and not for her", "followers").await;
    bob.follow(&eve).await;
    for friend in [&bob, &dora] {
        like(friend, &stranger).await;
    }
    like(&bob, &hidden).await;
    let tagged = eve.write("#birds").await;
    let mine = ada.write("mine").await;
    server.advance(Duration::from_hours(1));
    let late = bob.write("newest").await;

    let posts = ranked(&ada).await;
    assert!(place(&posts, &close) < place(&posts, &late));
    assert!(place(&posts, &stranger) < place(&posts, &tagged));
    assert!(
        posts
            .as_array()
            .unwrap()
            .iter()
            .all(|post| post["id"] != hidden.as_str())
    );
    let of = |id: &str| posts[place(&posts, id)].clone();
    assert_eq!(kinds(&of(&close)), ["following", "often_read"]);
    assert_eq!(kinds(&of(&late)), ["following"]);
    assert_eq!(kinds(&of(&mine)), ["own"]);
    assert_eq!(
        of(&tagged)["reasons"],
        json!([{ "kind": "tag", "tag": "birds" }])
    );
    let liked = of(&stranger)["reasons"].clone();
    assert_eq!(kinds(&of(&stranger)), ["liked_by_followed"]);
    assert_eq!(liked[0]["count"], 2);
    assert_eq!(liked[0]["users"].as_array().unwrap().len(), 2);
    // Page by page it is the same order, and once.
    let mut seen = Vec::new();
    let mut path = "/api/v1/feed/personalized?limit=3".to_owned();
    loop {
        let page = ada.get(&path).await.expect(200);
        seen.extend(page["posts"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        // A cursor goes on in its order, whatever the setting is.
        path = format!("/api/v1/feed?limit=3&cursor={next}");
    }
    assert_eq!(ids(&seen), ids(posts.as_array().unwrap()));

    // Whom friends like and she blocks or mutes is not brought to her.
    ada.post(&format!("/users/{}/mute", eve.id), json!({}))
        .await
        .expect(200);
    let posts = ranked(&ada).await;
    assert!(
        posts
            .as_array()
            .unwrap()
            .iter()
            .all(|post| post["authorId"] != eve.id.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_is_ones_own_choice_and_visits_go_with_it() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = bob.write("Hello").await;
    let visits = || {
        let rows = database::rows(
            &database::connect(server.app.data_dir()),
            "SELECT user_id, author_id, visits FROM profile_visits",
        );
        rows.len()
    };
    let look = async || {
        ada.get(&format!("/users/profile/{}", bob.id))
            .await
            .expect(200);
        ada.get(&format!("/posts/{post}")).await.expect(200);
        ada.get(&format!("/users/profile/{}", ada.id))
            .await
            .expect(200);
        server.app.feed().write_visits().await;
    };
    assert_eq!(ada.get("/api/v1/feed").await.expect(200)["order"], "latest");
    look().await;
    assert_eq!(visits(), 0, "nothing is noted of who did not ask for it");
    let set = ada
        .patch("/api/v1/feed/settings", json!({ "order": "ranked" }))
        .await
        .expect(200);
    assert_eq!(set["order"], "ranked");
    assert_eq!(ada.get("/feed/").await.expect(200)["order"], "ranked");
    assert_eq!(bob.get("/feed/").await.expect(200)["order"], "latest");
    look().await;
    assert_eq!(visits(), 1);
    ada.patch("/api/v1/feed/settings", json!({ "order": "latest" }))
        .await
        .expect(200);
    assert_eq!(visits(), 0);
    assert_eq!(
        ada.get("/api/v1/feed/settings").await.expect(200)["order"],
        "latest"
    );
    ada.patch("/api/v1/feed/settings", json!({ "order": "random" }))
        .await
        .expect(400);
    ada.get("/api/v1/feed?order=random").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_talked_about_is_found_out_and_fades() {
    let server = Server::start_with_clock(|_| {}).await;
    let [ada, bob, carl, dora] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("carl").await,
        server.sign_up("dora").await,
    ];
    let quiet = ada.write("liked by nobody #quiet").await;
    let once = ada.write("liked once #loud").await;
    let much = bob.write("liked and answered #Loud").await;
    let close = bob.write_for("for friends #secret", "followers").await;
    ada.follow(&bob).await;
    like(&bob, &once).await;
    for person in [&ada, &carl, &dora] {
        like(person, &much).await;
        comment(person, &much).await;
    }
    like(&ada, &close).await;
    // Oneself counts for nothing.
    like(&ada, &quiet).await;
    comment(&ada, &quiet).await;
    server.app.feed().refresh_trends().await.unwrap();
    assert_eq!(trending(&ada).await, [&*much, &*once]);
    assert_eq!(
        ada.get("/feed/trending?limit=1").await.expect(200)["posts"][0]["id"],
        json!(much)
    );
    let tags = ada.get("/api/v1/trending/tags").await.expect(200)["tags"].clone();
    assert_eq!(
        tags,
        json!([
            { "name": "loud", "postsCount": 2, "peopleCount": 2 },
            { "name": "quiet", "postsCount": 1, "peopleCount": 1 },
        ])
    );

    // What somebody may not see or mutes is not there for them, from that moment on.
    carl.post(&format!("/users/{}/block", bob.id), json!({}))
        .await
        .expect(200);
    assert_eq!(trending(&carl).await, [&*once]);
    let mute = json!({ "kind": "tag", "text": "loud" });
    dora.post("/api/v1/mutes", mute).await.expect(201);
    assert_eq!(trending(&dora).await, Vec::<String>::new());
    let left = dora.get("/api/v1/trending/tags?limit=5").await.expect(200)["tags"].clone();
    assert_eq!(left[0]["name"], "quiet");
    bob.patch(
        &format!("/posts/{much}"),
        json!({ "visibility": "private" }),
    )
    .await
    .expect(200);
    assert_eq!(trending(&ada).await, [&*once]);
    assert_eq!(trending(&bob).await, [&*once]);

    server.advance(Duration::from_hours(49));
    let (ada, carl) = (server.log_in(&ada).await, server.log_in(&carl).await);
    let fresh = carl.write("new").await;
    like(&ada, &fresh).await;
    server.app.feed().refresh_trends().await.unwrap();
    assert_eq!(trending(&ada).await, [&*fresh]);
}

/// The cursor after the first posts of a new order, and their ids.
async fn begin(person: &Person, limit: usize) -> (String, Vec<String>) {
    let path = format!("/api/v1/feed?order=ranked&limit={limit}");
    let page = person.get(&path).await.expect(200);
    let seen = ids(page["posts"].as_array().unwrap());
    (
        page["next_cursor"].as_str().unwrap().to_owned(),
        seen.into_iter().map(ToOwned::to_owned).collect(),
    )
}

/// What comes after a cursor, to the end.
async fn rest(person: &Person, cursor: &str) -> Value {
    let (mut seen, mut next) = (Vec::new(), Some(cursor.to_owned()));
    while let Some(cursor) = next {
        let path = format!("/api/v1/feed?limit=2&cursor={cursor}");
        let page = person.get(&path).await.expect(200);
        seen.extend(page["posts"].as_array().unwrap().clone());
        next = page["next_cursor"].as_str().map(ToOwned::to_owned);
    }
    Value::Array(seen)
}

/// The usernames of those who are said to like a post, in order; none where it does not stand there.
fn likers(posts: &Value, id: &str) -> Option<Vec<String>> {
    let posts = posts.as_array().unwrap();
    let post = posts.iter().find(|post| post["id"] == id)?;
    let reasons = post["reasons"].as_array().unwrap();
    let liked = reasons
        .iter()
        .find(|reason| reason["kind"] == "liked_by_followed")?;
    let users = liked["users"].as_array().unwrap();
    assert_eq!(liked["count"], users.len());
    let name = |user: &Value| user["username"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = users.iter().map(name).collect();
    names.sort();
    Some(names)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_named_who_has_gone_since_the_order_was_made() {
    let server = Server::start().await;
    let [ada, bob, carl, dora, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("carl").await,
        server.sign_up("dora").await,
        server.sign_up("eve").await,
    ];
    for other in [&bob, &carl, &dora] {
        ada.follow(other).await;
    }
    for number in 0..4 {
        let post = eve.write(&format!("number {number}")).await;
        for friend in [&bob, &carl] {
            like(friend, &post).await;
        }
    }
    let take_back = async |person: &Person, post: &str| {
        person
            .patch(&format!("/posts/like/{post}"), json!({}))
            .await
            .expect(200);
    };
    let posts = ranked(&ada).await;
    let (next, first) = begin(&ada, 1).await;
    let all: Vec<&str> = ids(posts.as_array().unwrap());
    let others: Vec<&str> = all.into_iter().filter(|id| *id != first[0]).collect();
    take_back(&bob, others[0]).await;
    take_back(&bob, others[1]).await;
    take_back(&carl, others[1]).await;
    let seen = rest(&ada, &next).await;
    assert_eq!(ids(seen.as_array().unwrap()), [others[0], others[2]]);
    assert_eq!(likers(&seen, others[0]).unwrap(), ["carl"]);
    assert_eq!(likers(&seen, others[2]).unwrap(), ["bob", "carl"]);

    // A mute that nobody sees, an unfollow, a block by the other: each between two pages.
    for friend in [&bob, &carl] {
        like(friend, others[1]).await;
    }
    like(&dora, others[2]).await;
    let (next, _) = begin(&ada, 1).await;
    ada.post(&format!("/users/{}/mute", bob.id), json!({}))
        .await
        .expect(200);
    let named = |posts: &Value, name: &str| posts.to_string().contains(&format!("\"{name}\""));
    let seen = rest(&ada, &next).await;
    assert!(named(&seen, "carl") && !named(&seen, "bob"), "{seen}");
    let (next, _) = begin(&ada, 1).await;
    ada.delete(&format!("/users/unfollow/{}", dora.id))
        .await
        .expect(200);
    let seen = rest(&ada, &next).await;
    assert!(named(&seen, "carl") && !named(&seen, "dora"), "{seen}");
    let (next, _) = begin(&ada, 1).await;
    carl.post(&format!("/users/{}/block", ada.id), json!({}))
        .await
        .expect(200);
    // Nothing else has brought them here.
    assert_eq!(rest(&ada, &next).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_device_reads_on_in_its_own_order() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let mut written = Vec::new();
    for number in 0..10 {
        written.push(bob.write(&format!("number {number}")).await);
    }
    let (phone, mut seen) = begin(&ada, 3).await;
    // The laptop begins when there is more.
    for number in 0..4 {
        bob.write(&format!("later {number}")).await;
    }
    let (laptop, mut there) = begin(&ada, 5).await;
    for (cursor, seen) in [(phone, &mut seen), (laptop, &mut there)] {
        let more = rest(&ada, &cursor).await;
        let more = ids(more.as_array().unwrap()).into_iter();
        seen.extend(more.map(ToOwned::to_owned));
    }
    seen.sort();
    assert_eq!(seen, written);
    there.sort();
    there.dedup();
    assert_eq!(there.len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_may_not_see_takes_no_place_of_what_one_may() {
    let server = Server::start().await;
    let (ada, eve) = (server.sign_up("ada").await, server.sign_up("eve").await);
    let open = eve.write("for all").await;
    // More posts that friends like than are looked at, and all of them newer.
    for number in 0..6 {
        let friend = server.sign_up(&format!("friend{number}")).await;
        ada.follow(&friend).await;
        friend.follow(&eve).await;
        if number == 0 {
            like(&friend, &open).await;
        }
        join_all((0..18).map(async |of| {
            let text = format!("{number}, {of}: for friends");
            like(&friend, &eve.write_for(&text, "followers").await).await;
        }))
        .await;
    }
    let posts = ranked(&ada).await;
    assert_eq!(ids(posts.as_array().unwrap()), [open.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_talked_about_in_private_takes_no_place_of_what_all_see() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    let open = eve.write("for all").await;
    let close = eve.write_for("for friends", "followers").await;
    bob.follow(&eve).await;
    like(&bob, &open).await;
    like(&bob, &close).await;
    comment(&bob, &close).await;
    let server = server
        .edit(|connection| {
            // The same post a thousand times, liked as often, and each time answered.
            let copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)";
            for (table, columns) in [
                (
                    "posts",
                    "author_id, hashtags, visibility, created_at, updated_at, event_seq",
                ),
                ("comments", "author_id, content, created_at, updated_at, event_seq"),
                ("reactions", "user_id, value, created_at, event_seq"),
            ] {
                let (at, of) = match table {
                    "posts" => ("", ""),
                    _ => ("post_id, ", "post_id + i, "),
                };
                let sql = format!(
                    "{copies} INSERT INTO {table} (id, {at}{columns}) SELECT id + i, {of}{columns} FROM n,
                     (SELECT * FROM {table} ORDER BY id DESC LIMIT 1)"
                );
                connection.execute_batch(&sql).unwrap();
            }
        })
        .await;
    server.app.feed().refresh_trends().await.unwrap();
    for person in [ada, bob] {
        assert_eq!(trending(&person.at(&server)).await, [&*open]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_visits_are_kept_and_no_others() {
    const MANY: usize = 1_000;
    let server = Server::start().await;
    let [ada, bob, eve] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    ];
    for person in [&ada, &eve] {
        person
            .patch("/api/v1/feed/settings", json!({ "order": "ranked" }))
            .await
            .expect(200);
    }
    // Visits of long ago. Of those whom she visits next, one was here before these people, one came after them.
    let server = server
        .edit(|connection| {
            connection
                .execute_batch(&format!(
                    "CREATE TEMP TABLE made AS
                     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
                     SELECT (SELECT max(id) FROM users) + i AS id, 'made' || i AS name FROM n;
                     INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
                     SELECT id, name, name, name, name, 'USER', 'active', 0, 0 FROM made;
                     INSERT INTO profile_visits (user_id, author_id, visits, visited_at)
                     SELECT (SELECT id FROM users WHERE username = 'ada'), id, 1, 0 FROM made;"
                ))
                .unwrap();
        })
        .await;
    let visited = |who: &str| {
        database::strings(
            &database::connect(server.app.data_dir()),
            &format!(
                "SELECT o.username FROM profile_visits AS v
                 JOIN users AS u ON u.id = v.user_id JOIN users AS o ON o.id = v.author_id
                 WHERE u.username = '{who}' ORDER BY v.visited_at DESC, o.username"
            ),
        )
    };
    assert_eq!(visited("ada").len(), MANY);
    let (ada, eve) = (ada.at(&server), eve.at(&server));
    let carl = server.sign_up("carl").await;
    for other in [&bob, &carl] {
        let post = other.at(&server).write("Hello").await;
        ada.get(&format!("/posts/{post}")).await.expect(200);
    }
    // She looks at more people than are written down at once.
    let made = database::strings(
        &database::connect(server.app.data_dir()),
        "SELECT CAST(id AS TEXT) FROM users WHERE username LIKE 'made%' LIMIT 250",
    );
    join_all(made.iter().map(async |id| {
        eve.get(&format!("/users/profile/{id}")).await.expect(200);
    }))
    .await;
    server.app.feed().write_visits().await;
    assert_eq!(visited("eve").len(), 250);
    let kept = visited("ada");
    assert_eq!(kept.len(), MANY);
    assert_eq!(kept[..2], ["bob", "carl"]);
}
