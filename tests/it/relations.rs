//! Blocking and muting people: who is there for whom, and what the other notices.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::counts;
use crate::support::{Person, Reply, Server, database, ids, keys};

/// An id that nobody has.
const NOBODY: &str = "4611686018427387904";

async fn block(person: &Person, other: &Person) -> Reply {
    let path = format!("/users/{}/block", other.id);
    person.post(&path, json!({})).await
}

async fn unblock(person: &Person, other: &Person) -> Reply {
    person.delete(&format!("/users/{}/block", other.id)).await
}

async fn mute(person: &Person, other: &Person, body: Value) -> Reply {
    let path = format!("/users/{}/mute", other.id);
    person.post(&path, body).await
}

async fn like(person: &Person, post: &str) {
    let path = format!("/posts/like/{post}");
    person.post(&path, json!({})).await.expect(200);
}

async fn list(person: &Person, path: &str, field: &str) -> Vec<Value> {
    let reply = person.get(path).await.expect(200);
    reply[field].as_array().unwrap().clone()
}

/// What somebody is told of, newest first; fails unless the count of unread ones is that of the list.
async fn told(server: &Server, person: &Person) -> Vec<String> {
    server.settle().await;
    let all = list(person, "/api/v1/notifications?limit=100", "data").await;
    let unread = all.iter().filter(|one| one["is_read"] == false).count();
    let count = person.get("/api/v1/notifications/unread/count").await;
    assert_eq!(count.expect(200)["count"], unread);
    let mut texts: Vec<String> = Vec::new();
    for one in &all {
        texts.push(one["message"].as_str().unwrap().to_owned());
    }
    texts
}

async fn befriend(one: &Person, other: &Person) {
    one.follow(other).await;
    other.follow(one).await;
}

/// Everything that `person` could ask about `other` and their things; the same for nobody.
fn questions(
    viewer: &Person,
    other: &Person,
    posts: &[&str],
    comment: &str,
) -> Vec<(Method, String, String, Value)> {
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let mut all = Vec::new();
    for (method, path) in [
        (&get, "/users/profile/{}"),
        (&get, "/auth/profile/{}"),
        (&get, "/users/followers/{}"),
        (&get, "/users/following/{}"),
        (&get, "/users/mutuals/{}"),
        (&get, "/posts/user/{}"),
        (&post, "/users/follow/{}"),
        (&post, "/users/unfollow/{}"),
        (&delete, "/users/unfollow/{}"),
        (&post, "/users/{}/mute"),
        (&delete, "/users/{}/mute"),
    ] {
        let (asked, unknown) = (path.replace("{}", &other.id), path.replace("{}", NOBODY));
        all.push((method.clone(), asked, unknown, json!({})));
    }
    for (method, path) in [
        (&get, "/chat/conversations/{}"),
        (&get, "/chat/rooms/{}"),
        (&get, "/chat/rooms/{}/members"),
        (&get, "/chat/{}/history"),
        (&get, "/chat/{}/users"),
        (&get, "/chat/{}/media"),
        (&post, "/chat/{}/message"),
        (&post, "/chat/conversations/{}/messages"),
        (&post, "/chat/conversations/{}/read"),
        (&post, "/chat/conversations/{}/accept"),
        (&post, "/chat/rooms/{}/join"),
        (&delete, "/chat/conversations/{}"),
    ] {
        let (asked, unknown) = (
            path.replace("{}", &format!("{}_{}", viewer.id, other.id)),
            path.replace("{}", &format!("{}_{NOBODY}", viewer.id)),
        );
        all.push((method.clone(), asked, unknown, json!({ "message": "x" })));
    }
    let by_name = format!("/users/by-username/{}", other.username);
    all.push((
        get.clone(),
        by_name,
        "/users/by-username/nobody".to_owned(),
        json!({}),
    ));
    for one in posts {
        for (method, path) in [
            (&get, "/posts/{}"),
            (&get, "/posts/{}/history"),
            (&get, "/posts/{}/likes"),
            (&get, "/posts/comment/{}"),
            (&get, "/posts/comment/{}?nested=true"),
            (&post, "/posts/comment/{}"),
            (&post, "/posts/like/{}"),
            (&post, "/posts/dislike/{}"),
            (&delete, "/posts/{}"),
        ] {
            let (asked, unknown) = (path.replace("{}", one), path.replace("{}", NOBODY));
            all.push((method.clone(), asked, unknown, json!({ "content": "x" })));
        }
    }
    for (method, path) in [
        (Method::PATCH, "/posts/comment/{}"),
        (delete, "/posts/comment/{}"),
        (post, "/posts/comments/{}/like"),
        (Method::PUT, "/posts/comments/{}/like"),
    ] {
        let (asked, unknown) = (path.replace("{}", comment), path.replace("{}", NOBODY));
        all.push((method, asked, unknown, json!({ "content": "x" })));
    }
    all
}

/// The answer but for what differs from request to request.
fn essence(reply: &Reply) -> (u16, Value) {
    (reply.status.as_u16(), reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_makes_each_as_unknown_to_the_other_as_nobody() {
    let server = Server::start().await;
    let [ada, bob, cleo] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("cleo").await,
    ];
    befriend(&ada, &bob).await;
    befriend(&ada, &cleo).await;
    befriend(&bob, &cleo).await;
    let common = cleo.write("Come in, all").await;
    let mut things = Vec::new();
    for person in [&ada, &bob] {
        let open = person.write("For all").await;
        let narrow = person.write_for("For friends", "followers").await;
        like(person, &common).await;
        let comment = person.comment(&common, None, "Here I am").await;
        things.push((open, narrow, comment));
    }
    let done = block(&ada, &bob).await.expect(200);
    let expected =
        json!({ "userId": bob.id, "isBlocked": true, "isMuted": false, "mutedUntil": null });
    assert_eq!(done["data"], expected);
    counts::assert_exact(&database::connect(server.app.data_dir()));

    for (viewer, other, (open, narrow, comment)) in
        [(&ada, &bob, &things[1]), (&bob, &ada, &things[0])]
    {
        for (method, path, unknown, body) in questions(viewer, other, &[open, narrow], comment) {
            let ask = async |path: &str| {
                let request = viewer.request(method.clone(), path);
                let request = if method == Method::GET {
                    request
                } else {
                    request.json(&body)
                };
                viewer.send(request).await
            };
            let (seen, nobody) = (ask(&path).await, ask(&unknown).await);
            assert_eq!(seen.status, 404, "{method} {path}: {}", seen.text);
            assert_eq!(essence(&seen), essence(&nobody), "{method} {path}");
        }
        // Nor are they among others.
        let followers = format!("/users/followers/{}", cleo.id);
        let following = format!("/users/following/{}", cleo.id);
        let likes = format!("/posts/{common}/likes");
        let flat = format!("/posts/comment/{common}");
        let nested = format!("{flat}?nested=true");
        for (path, field) in [
            (followers.as_str(), "followers"),
            (&following, "following"),
            ("/users/followers", "followers"),
            ("/users/following", "following"),
            ("/users/mutuals", "users"),
            (&format!("/users/search?query={}", other.username), "users"),
            (&format!("/auth/search?query={}", other.username), "users"),
            ("/chat/chatable-users", "users"),
            ("/posts", "posts"),
            (&likes, "users"),
            (&flat, "data"),
            (&nested, "data"),
        ] {
            let reply = viewer.get(path).await;
            reply.expect(200);
            assert!(!reply.text.contains(&other.id), "{path}: {}", reply.text);
            assert!(
                reply.json()[field].is_array() || path.contains("chatable"),
                "{path}"
            );
        }
        for (path, field) in [(&followers, "followers"), (&following, "following")] {
            assert_eq!(
                ids(&list(viewer, path, field).await),
                [&viewer.id],
                "{path}"
            );
        }
        let own = viewer.get("/users/counts").await.expect(200);
        assert_eq!(
            (&own["data"]["followers"], &own["data"]["following"]),
            (&json!(1), &json!(1))
        );
        let message = json!({ "message": "Hello?" });
        let room = format!("/chat/{}_{}/message", ada.id, bob.id);
        viewer
            .post(&room, message)
            .await
            .expect_code(404, "user_not_found");
    }
    // For others nothing has changed.
    assert_eq!(
        list(&cleo, &format!("/posts/comment/{common}"), "data")
            .await
            .len(),
        2
    );
    assert_eq!(
        list(&cleo, &format!("/posts/{common}/likes"), "users")
            .await
            .len(),
        2
    );
    cleo.get(&format!("/users/profile/{}", bob.id))
        .await
        .expect(200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_blocks_knows_and_can_take_it_back() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    befriend(&ada, &bob).await;
    block(&ada, &bob).await.expect(200);
    block(&ada, &bob).await.expect(200);
    let rows = list(&ada, "/users/blocked", "users").await;
    assert_eq!(ids(&rows), [&bob.id], "once");
    assert_eq!(
        keys(&rows[0]),
        ["avatar", "blockedAt", "id", "name", "username"]
    );

    // Blocking back, or taking back what is not there, would tell.
    for reply in [block(&bob, &ada).await, unblock(&bob, &ada).await] {
        reply.expect_code(404, "user_not_found");
    }
    assert_eq!(
        list(&bob, "/users/blocked", "users").await,
        Vec::<Value>::new()
    );
    assert_eq!(list(&ada, "/users/blocked", "users").await.len(), 1);

    let expected =
        json!({ "userId": bob.id, "isBlocked": false, "isMuted": false, "mutedUntil": null });
    for _twice in 0..2 {
        assert_eq!(unblock(&ada, &bob).await.expect(200)["data"], expected);
    }
    assert_eq!(
        list(&ada, "/users/blocked", "users").await,
        Vec::<Value>::new()
    );
    for (viewer, other) in [(&ada, &bob), (&bob, &ada)] {
        let seen = viewer
            .get(&format!("/users/profile/{}", other.id))
            .await
            .expect(200);
        for field in ["isFollowing", "followsMe", "isBlocked", "isMuted"] {
            assert_eq!(seen["user"][field], false, "{field}");
        }
        assert_eq!(
            seen["user"]["followersCount"], 0,
            "follows do not come back"
        );
    }
    bob.follow(&ada).await;
    block(&bob, &ada).await.expect(200);
    counts::assert_exact(&database::connect(server.app.data_dir()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cannot_block_or_mute_oneself_or_nobody() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for (what, code) in [("block", "cannot_block_self"), ("mute", "cannot_mute_self")] {
        for prefix in ["", "/api/v1"] {
            let own = format!("{prefix}/users/{}/{what}", ada.id);
            ada.post(&own, json!({})).await.expect_code(400, code);
            ada.delete(&own).await.expect_code(400, code);
            let unknown = format!("{prefix}/users/{NOBODY}/{what}");
            ada.post(&unknown, json!({}))
                .await
                .expect_code(404, "user_not_found");
            ada.delete(&unknown)
                .await
                .expect_code(404, "user_not_found");
            for id in ["0", "-1", "abc", "99999999999999999999"] {
                let path = format!("{prefix}/users/{id}/{what}");
                ada.post(&path, json!({})).await.expect(404);
            }
        }
    }
    for path in ["/users/blocked?limit=0", "/users/muted?cursor=x"] {
        ada.get(path).await.expect_code(400, "invalid_query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_needs_an_end_to_come_or_none() {
    let server = Server::start_with_clock(|_| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for (until, code) in [
        (json!("2001-01-01T00:00:00Z"), "out_of_range"),
        (json!("9999-01-01T00:00:00Z"), "out_of_range"),
        (json!("tomorrow"), "invalid_type"),
        (json!("2030-01-01T00:00:00"), "invalid_type"),
        (json!(7), "invalid_type"),
        (json!([]), "invalid_type"),
    ] {
        let reply = mute(&ada, &bob, json!({ "until": until })).await;
        let body = reply.expect_code(400, "invalid_fields");
        assert_eq!(body["errors"][0]["field"], "until");
        assert_eq!(body["errors"][0]["code"], code, "{until}");
    }
    let created = ada.get("/users/profile").await.expect(200)["user"]["createdAt"].clone();
    mute(&ada, &bob, json!({ "until": created }))
        .await
        .expect_code(400, "invalid_fields");
    // Without a body there is no end.
    let bare = ada.request(Method::POST, &format!("/users/{}/mute", bob.id));
    let done = ada.send(bare).await.expect(200);
    let expected =
        json!({ "userId": bob.id, "isBlocked": false, "isMuted": true, "mutedUntil": null });
    assert_eq!(done["data"], expected);
    let rows = list(&ada, "/users/muted", "users").await;
    assert_eq!(ids(&rows), [&bob.id]);
    let expected = ["avatar", "id", "mutedAt", "mutedUntil", "name", "username"];
    assert_eq!(keys(&rows[0]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_is_silent_and_one_sided() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let own = ada.write("Mine").await;
    befriend(&ada, &bob).await;
    bob.comment(&own, None, "Before").await;
    assert_eq!(told(&server, &ada).await.len(), 3);
    let seen_before = bob
        .get(&format!("/users/profile/{}", ada.id))
        .await
        .expect(200);

    mute(&ada, &bob, json!({})).await.expect(200);
    let posts = [
        bob.write("Hear me, @ada").await,
        bob.write_for("You too, @ada", "followers").await,
    ];
    like(&bob, &own).await;
    let comment = bob.comment(&own, None, "After, @ada").await;
    bob.comment(&own, Some(&comment), "And again").await;
    assert_eq!(told(&server, &ada).await, ["You created a new post!"]);
    // Not where posts of many stand, and everywhere else.
    assert_eq!(ids(&list(&ada, "/posts", "posts").await), [&own]);
    let of_bob = list(&ada, &format!("/posts/user/{}", bob.id), "posts").await;
    assert_eq!(of_bob.len(), 2);
    for post in &posts {
        ada.get(&format!("/posts/{post}")).await.expect(200);
    }
    assert_eq!(
        list(&ada, &format!("/posts/comment/{own}"), "data")
            .await
            .len(),
        3
    );
    let seen = ada
        .get(&format!("/users/profile/{}", bob.id))
        .await
        .expect(200);
    let fields = ["isMuted", "isFollowing", "followsMe"].map(|field| seen["user"][field].clone());
    assert_eq!(fields, [true, true, true].map(Value::from));

    // Bob notices nothing.
    assert_eq!(
        bob.get(&format!("/users/profile/{}", ada.id))
            .await
            .expect(200),
        seen_before
    );
    let later = ada.write("@bob, do you hear?").await;
    assert_eq!(ids(&list(&bob, "/posts", "posts").await)[0], later);
    assert!(
        told(&server, &bob)
            .await
            .contains(&"ada the First mentioned you in a post".to_owned())
    );
    assert_eq!(
        list(&bob, "/users/muted", "users").await,
        Vec::<Value>::new()
    );

    // What was not told is not told later, and what is done later is.
    ada.delete(&format!("/users/{}/mute", bob.id))
        .await
        .expect(200);
    bob.write("Now, @ada").await;
    let expected = [
        "bob the First mentioned you in a post",
        "You created a new post!",
        "You created a new post!",
    ];
    assert_eq!(told(&server, &ada).await, expected);
    let server = server.restart_without("events").await;
    assert_eq!(told(&server, &ada.at(&server)).await, expected);
    assert_eq!(list(&ada.at(&server), "/posts", "posts").await.len(), 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_ends_by_itself() {
    let server = Server::start_with_clock(|_| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let own = ada.write("Mine").await;
    let now = ada.get("/users/profile").await.expect(200)["user"]["createdAt"].clone();
    let soon = after_minutes(&now, 10);
    mute(&ada, &bob, json!({ "until": after_minutes(&now, 60) })).await;
    // Again sets the end anew.
    let done = mute(&ada, &bob, json!({ "until": soon })).await.expect(200);
    assert_eq!(done["data"]["mutedUntil"], soon.as_str());
    assert_eq!(
        list(&ada, "/users/muted", "users").await[0]["mutedUntil"],
        soon.as_str()
    );
    let during = bob.write("@ada, during").await;
    like(&bob, &own).await;
    server.advance(Duration::from_mins(9));
    assert_eq!(ids(&list(&ada, "/posts", "posts").await), [&own]);

    server.advance(Duration::from_mins(1));
    assert_eq!(ids(&list(&ada, "/posts", "posts").await), [&during, &own]);
    let seen = ada
        .get(&format!("/users/profile/{}", bob.id))
        .await
        .expect(200);
    assert_eq!(seen["user"]["isMuted"], false);
    assert_eq!(
        list(&ada, "/users/muted", "users").await,
        Vec::<Value>::new()
    );
    bob.comment(&own, None, "After").await;
    let expected = [
        "bob the First commented on your post",
        "You created a new post!",
    ];
    assert_eq!(told(&server, &ada).await, expected);
}

/// A time in a profile, some minutes later.
fn after_minutes(time: &Value, minutes: i64) -> String {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    let later = time + jiff::SignedDuration::from_mins(minutes);
    format!("{later:.3}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_takes_notifications_along_for_good() {
    let server = Server::start().await;
    let [ada, bob, cleo] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("cleo").await,
    ];
    let (own, of_bob) = (ada.write("Mine").await, bob.write("Bob's, @ada").await);
    befriend(&ada, &bob).await;
    for person in [&bob, &cleo] {
        like(person, &own).await;
    }
    like(&ada, &of_bob).await;
    ada.comment(&of_bob, None, "Nice").await;
    assert_eq!(told(&server, &ada).await.len(), 5);
    // Some of them read, some not.
    ada.get("/notify/notifications").await.expect(200);
    bob.comment(&own, None, "Unread").await;
    assert_eq!(told(&server, &bob).await.len(), 4);

    block(&ada, &bob).await.expect(200);
    let of_ada = ["cleo the First liked your post", "You created a new post!"];
    let of_bob = ["You created a new post!"];
    assert_eq!(told(&server, &ada).await, of_ada);
    assert_eq!(told(&server, &bob).await, of_bob);

    // Beneath somebody else's post they pass each other by.
    let common = cleo.write("Come in, all").await;
    let first = bob.comment(&common, None, "@ada is here, too").await;
    let body = json!({ "content": "@bob", "parentCommentId": first });
    ada.post(&format!("/posts/comment/{common}"), body)
        .await
        .expect_code(404, "comment_not_found");
    ada.comment(&common, None, "@bob").await;
    bob.write("@ada").await;
    ada.patch(&format!("/posts/{own}"), json!({ "content": "@bob" }))
        .await
        .expect(200);
    assert_eq!(told(&server, &ada).await, of_ada);
    assert_eq!(told(&server, &bob).await, ["You created a new post!"; 2]);

    unblock(&ada, &bob).await.expect(200);
    let server = server.restart_without("events").await;
    assert_eq!(told(&server, &ada.at(&server)).await, of_ada);
    assert_eq!(
        told(&server, &bob.at(&server)).await,
        ["You created a new post!"; 2]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_a_hidden_comment_stay_and_are_counted() {
    let server = Server::start().await;
    let [ada, bob, cleo] = [
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("cleo").await,
    ];
    let post = cleo.write("Come in, all").await;
    let answered = bob.comment(&post, None, "Bob, answered").await;
    let answer = cleo.comment(&post, Some(&answered), "Cleo").await;
    bob.comment(&post, Some(&answered), "Bob, within").await;
    bob.comment(&post, None, "Bob, alone").await;
    let own = ada.comment(&post, Some(&answer), "Ada").await;
    let seen_before = cleo
        .get(&format!("/posts/comment/{post}?nested=true"))
        .await
        .expect(200);
    block(&bob, &ada).await.expect(200);

    let nested = list(&ada, &format!("/posts/comment/{post}?nested=true"), "data").await;
    let [place] = nested.as_slice() else {
        panic!("only what has answers keeps its place: {nested:?}")
    };
    assert_eq!(place["id"], answered.as_str());
    for field in ["author", "authorId", "authorUsername", "content"] {
        assert!(place[field].is_null(), "{field}");
    }
    assert_eq!(
        (&place["isDelete"], &place["repliesCount"]),
        (&json!(true), &json!(1))
    );
    assert!(place.get("repliesCursor").is_none(), "nothing follows");
    let replies = place["replies"].as_array().unwrap();
    assert_eq!(ids(replies), [&answer]);
    assert_eq!(ids(replies[0]["replies"].as_array().unwrap()), [&own]);
    let beneath = list(&ada, &format!("/posts/comments/{answered}/replies"), "data").await;
    assert_eq!(ids(&beneath), [&answer]);
    let flat = list(&ada, &format!("/posts/comment/{post}"), "data").await;
    assert_eq!(ids(&flat), [&own, &answer], "none that is not there");

    // Ada may still change her own, others see what they saw, and it all comes back.
    ada.patch(
        &format!("/posts/comment/{own}"),
        json!({ "content": "Ada, still" }),
    )
    .await
    .expect(200);
    ada.patch(
        &format!("/posts/comment/{own}"),
        json!({ "content": "Ada" }),
    )
    .await
    .expect(200);
    let path = format!("/posts/comment/{post}?nested=true");
    let theirs = cleo.get(&path).await.expect(200);
    assert_eq!(
        theirs["data"].as_array().unwrap().len(),
        seen_before["data"].as_array().unwrap().len()
    );
    unblock(&bob, &ada).await.expect(200);
    assert_eq!(
        ids(&list(&ada, &path, "data").await),
        ids(theirs["data"].as_array().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rules_beneath_ones_own_post_and_admins_rule_everywhere() {
    let server = Server::start().await;
    let admin = server.set_up("admin").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let (own, of_bob) = (ada.write("Mine").await, bob.write("Bob's").await);
    let beneath = bob.comment(&own, None, "Spam").await;
    let other = bob.comment(&of_bob, None, "More").await;
    block(&bob, &ada).await.expect(200);
    block(&bob, &admin).await.expect(200);
    ada.delete(&format!("/posts/comment/{beneath}"))
        .await
        .expect(200);
    ada.delete(&format!("/posts/comment/{other}"))
        .await
        .expect_code(404, "comment_not_found");
    admin
        .delete(&format!("/posts/comment/{other}"))
        .await
        .expect(200);
    admin.delete(&format!("/posts/{of_bob}")).await.expect(200);
    let status = json!({ "status": "suspended" });
    let path = format!("/api/v1/admin/users/{}/status", bob.id);
    admin.patch(&path, status).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_bounded() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut others = Vec::new();
    for n in 0..5 {
        let other = server.sign_up(&format!("other{n}")).await;
        mute(&ada, &other, json!({})).await.expect(200);
        others.insert(0, other.id.clone());
    }
    assert_eq!(ids(&ada.walk("/users/muted", "users", 2).await), others);
    for other in others.iter().rev() {
        ada.post(&format!("/users/{other}/block"), json!({}))
            .await
            .expect(200);
    }
    assert_eq!(ids(&ada.walk("/users/blocked", "users", 2).await), others);
    // Who is blocked is not there even for a mute.
    assert_eq!(
        list(&ada, "/users/muted", "users").await,
        Vec::<Value>::new()
    );

    let mine = ada.id.clone();
    let server = server
        .edit(move |database| {
            let fill = "
                INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
                WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 10000)
                SELECT id, 'x' || id, 'x' || id, 'x' || id, 'x', 'USER', 'active', 0, 0 FROM n;
                DELETE FROM blocks;
                DELETE FROM mutes;
                INSERT INTO blocks SELECT $ada, id, id, 0, NULL FROM users WHERE id <= 9999;
                INSERT INTO mutes SELECT $ada, id, id, 0, NULL FROM users WHERE id <= 9999;";
            database.execute_batch(&fill.replace("$ada", &mine)).unwrap();
        })
        .await;
    let ada = ada.at(&server);
    for (what, code) in [("block", "too_many_blocks"), ("mute", "too_many_mutes")] {
        let path = |id: &str| format!("/users/{id}/{what}");
        ada.post(&path(&others[0]), json!({})).await.expect(200);
        ada.post(&path(&others[1]), json!({}))
            .await
            .expect_code(409, code);
        ada.post(&path(&others[0]), json!({})).await.expect(200);
        ada.delete(&path(&others[0])).await.expect(200);
    }
    server.stop().await;
}
