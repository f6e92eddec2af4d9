//! Posts: writing, reading, who sees what (contract, section 4).

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server, ids, keys};

async fn create(person: &Person, body: Value) -> Value {
    person.post("/posts/", body).await.expect(201)["post"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_answered_whole() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in ["/posts/", "/posts", "/api/v1/posts", "/api/v1/posts/"] {
        let body = json!({ "content": "Hello", "visibility": "public", "title": "ignored", "tags": ["ignored"] });
        let created = ada.post(path, body).await.expect(201);
        assert_eq!(
            keys(&created),
            ["authorUsername", "message", "post", "success"]
        );
        assert_eq!(
            created["authorUsername"],
            json!({ "id": ada.id, "username": "ada" })
        );
        let post = &created["post"];
        for field in [
            "id",
            "authorId",
            "authorUsername",
            "caption",
            "content",
            "aicaption",
            "aiContent",
            "imageUrls",
            "imagePublicIds",
            "hashtags",
            "isActive",
            "isDeleted",
            "createdAt",
            "updatedAt",
            "visibility",
        ] {
            assert!(post.get(field).is_some(), "{field} is missing: {post}");
        }
        assert_eq!(post["authorId"], ada.id.as_str());
        assert_eq!(post["content"], "Hello");
        assert_eq!(post["visibility"], "public");
        for absent in ["caption", "aicaption", "aiContent"] {
            assert!(post[absent].is_null());
        }
        assert_eq!(post["imageUrls"], json!([]));
        assert_eq!(
            (&post["isActive"], &post["isDeleted"]),
            (&json!(true), &json!(false))
        );

        let id = post["id"].as_str().unwrap();
        let read = ada.get(&format!("/posts/{id}")).await.expect(200);
        assert_eq!(read["data"], *post);
        assert_eq!(read["post"], *post, "under both keys");
        assert_eq!(read["data"]["_count"], json!({ "likes": 0, "comments": 0 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_public_unless_its_author_says_otherwise() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    assert_eq!(
        create(&ada, json!({ "content": "x" })).await["visibility"],
        "public"
    );
    for visibility in ["public", "followers", "private"] {
        let post = create(&ada, json!({ "content": "x", "visibility": visibility })).await;
        assert_eq!(post["visibility"], visibility);
    }
    for wrong in [json!("secret"), json!("PUBLIC"), json!(1), json!("")] {
        let body = json!({ "content": "x", "visibility": wrong });
        ada.post("/posts/", body)
            .await
            .expect_code(400, "invalid_fields");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_14_an_empty_post_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for empty in [
        json!({}),
        json!({ "content": "" }),
        json!({ "content": null, "caption": null }),
        json!({ "content": " \n\t ", "caption": "" }),
        json!({ "hashtags": ["alone"] }),
        json!({ "aiContent": "not kept" }),
    ] {
        ada.post("/posts/", empty)
            .await
            .expect_code(400, "empty_post");
    }
    create(&ada, json!({ "caption": "A caption will do" })).await;
    let id = ada.write("Text").await;
    ada.patch(&format!("/posts/{id}"), json!({ "content": "" }))
        .await
        .expect_code(400, "empty_post");
    assert_eq!(ada.get("/posts/getall").await.expect(200)["count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_may_be_long_and_not_longer() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    // Characters count, not bytes.
    for (field, most) in [("content", 10_000), ("caption", 2_200)] {
        let whole = "日".repeat(most);
        assert_eq!(create(&ada, json!({ field: whole })).await[field], whole);
        let body = ada
            .post("/posts/", json!({ field: "x".repeat(most + 1) }))
            .await;
        let body = body.expect_code(400, "invalid_fields");
        assert_eq!(
            (&body["errors"][0]["field"], &body["errors"][0]["code"]),
            (&json!(field), &json!("too_long"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_12_one_hashtag_is_as_good_as_many() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let tags = |post: &Value| post["hashtags"].clone();
    let json_of = async |hashtags: Value| {
        tags(&create(&ada, json!({ "content": "x", "hashtags": hashtags })).await)
    };
    assert_eq!(json_of(json!("Rust")).await, json!(["rust"]));
    assert_eq!(
        json_of(json!(["#Rust", "rust", "日本"])).await,
        json!(["rust", "日本"])
    );
    assert_eq!(json_of(json!([])).await, json!([]));
    assert_eq!(json_of(json!(null)).await, json!([]));

    let urlencoded = async |pairs: &[(&str, &str)]| {
        let reply = ada
            .send(ada.request(Method::POST, "/posts/").form(pairs))
            .await;
        tags(&reply.expect(201)["post"])
    };
    let multipart = async |pairs: &[(&'static str, &'static str)]| {
        let form = pairs
            .iter()
            .fold(Form::new(), |form, (name, text)| form.text(*name, *text));
        let reply = ada
            .send(ada.request(Method::POST, "/posts/").multipart(form))
            .await;
        tags(&reply.expect(201)["post"])
    };
    for name in ["hashtags", "hashtags[]"] {
        assert_eq!(
            urlencoded(&[("content", "x"), (name, "a")]).await,
            json!(["a"])
        );
        assert_eq!(
            urlencoded(&[("content", "x"), (name, "a"), (name, "b")]).await,
            json!(["a", "b"])
        );
        assert_eq!(
            multipart(&[("content", "x"), (name, "a")]).await,
            json!(["a"])
        );
        assert_eq!(
            multipart(&[("content", "x"), (name, "a"), (name, "b")]).await,
            json!(["a", "b"])
        );
    }
    for wrong in [
        json!(7),
        json!([7]),
        json!(["a b"]),
        json!(["x".repeat(101)]),
        json!({ "a": 1 }),
    ] {
        let body = json!({ "content": "x", "hashtags": wrong });
        let body = ada
            .post("/posts/", body)
            .await
            .expect_code(400, "invalid_fields");
        assert!(
            body["errors"][0]["field"]
                .as_str()
                .unwrap()
                .starts_with("hashtags"),
            "{body}"
        );
    }
    let many: Vec<String> = (0..31).map(|number| format!("tag{number}")).collect();
    let body = json!({ "content": "x", "hashtags": many });
    ada.post("/posts/", body)
        .await
        .expect_code(400, "invalid_fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn hashtags_stand_in_the_text_too() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let body = json!({ "content": "Off to #Paris, #1 of a#b (#été)", "caption": "#paris #late", "hashtags": ["given"] });
    let post = create(&ada, body).await;
    assert_eq!(post["hashtags"], json!(["given", "paris", "été", "late"]));
    // Those of a text go with it; those given beside it stay.
    let path = format!("/posts/{}", post["id"].as_str().unwrap());
    let changed = ada
        .patch(&path, json!({ "content": "Back to #London" }))
        .await
        .expect(200);
    assert_eq!(
        changed["post"]["hashtags"],
        json!(["given", "london", "paris", "late"])
    );
    let changed = ada
        .patch(&path, json!({ "hashtags": "only" }))
        .await
        .expect(200);
    assert_eq!(
        changed["post"]["hashtags"],
        json!(["only", "london", "paris", "late"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_says_the_same_as_json() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let fields = [
        ("content", "Hello & good-bye"),
        ("caption", "Ünïcode"),
        ("visibility", "followers"),
    ];
    let form = fields
        .iter()
        .fold(Form::new(), |form, (name, text)| form.text(*name, *text));
    let requests = [
        ada.request(Method::POST, "/posts/").form(&fields),
        ada.request(Method::POST, "/posts/").multipart(form),
        ada.request(Method::POST, "/posts/")
            .header("content-type", "application/json; charset=utf-8")
            .body(r#"{"content":"Hello & good-bye","caption":"Ünïcode","visibility":"followers"}"#),
    ];
    for request in requests {
        let post = ada.send(request).await.expect(201)["post"].clone();
        for (field, text) in fields {
            assert_eq!(post[field], text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_no_id_is_404() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for id in [
        "1",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "0",
        "abc",
        "507f1f77bcf86cd799439011",
    ] {
        let path = format!("/posts/{id}");
        ada.get(&path).await.expect(404);
        ada.patch(&path, json!({ "content": "x" }))
            .await
            .expect(404);
        ada.delete(&path).await.expect(404);
        ada.post(&format!("{path}/like"), json!({}))
            .await
            .expect(404);
        ada.get(&format!("/posts/user/{id}")).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_keeps_the_text_before() {
    let server = Server::start_with_clock(|_config| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let id = ada.write("First #one").await;
    let (path, history) = (format!("/posts/{id}"), format!("/posts/{id}/history"));
    assert_eq!(ada.get(&history).await.expect(200)["edits"], json!([]));
    for text in ["Second", "Third"] {
        server.advance(Duration::from_mins(1));
        let changed = ada
            .patch(&path, json!({ "content": text }))
            .await
            .expect(200);
        let post = &changed["post"];
        assert_eq!(post["content"], text);
        assert_eq!(post["isEdited"], true);
        assert!(post["updatedAt"].as_str().unwrap() > post["createdAt"].as_str().unwrap());
    }
    // The same again, or another audience, is no edit of the text.
    ada.patch(&path, json!({ "content": "Third" }))
        .await
        .expect(200);
    ada.patch(&path, json!({ "visibility": "followers" }))
        .await
        .expect(200);
    ada.patch(&path, json!({ "visibility": "public" }))
        .await
        .expect(200);
    let edits = bob.walk(&history, "edits", 1).await;
    let texts: Vec<&str> = edits
        .iter()
        .map(|edit| edit["content"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["Second", "First #one"]);
    assert_eq!(edits[1]["hashtags"], json!(["one"]));
    assert_eq!(edits[1]["number"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_author_changes_or_removes_a_post() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let id = ada.write("Mine").await;
    let path = format!("/posts/{id}");
    bob.patch(&path, json!({ "content": "Yours" }))
        .await
        .expect_code(404, "post_not_found");
    bob.delete(&path).await.expect_code(404, "post_not_found");
    admin
        .patch(&path, json!({ "content": "Ours" }))
        .await
        .expect_code(404, "post_not_found");
    ada.patch(&path, json!({}))
        .await
        .expect_code(400, "nothing_to_change");
    ada.patch(&path, json!({ "authorId": bob.id }))
        .await
        .expect_code(400, "nothing_to_change");
    assert_eq!(bob.get(&path).await.expect(200)["data"]["content"], "Mine");
    // An admin looks after the server.
    admin.delete(&path).await.expect(200);
    ada.get(&path).await.expect_code(404, "post_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_post_is_nowhere() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let (kept, gone) = (ada.write("Kept").await, ada.write("Gone").await);
    let comment = bob.comment(&gone, None, "Nice").await;
    let path = format!("/posts/{gone}");
    assert!(ada.delete(&path).await.expect(200)["message"].is_string());
    for person in [&ada, &bob] {
        person.get(&path).await.expect_code(404, "post_not_found");
        person
            .get(&format!("{path}/history"))
            .await
            .expect_code(404, "post_not_found");
        person
            .get(&format!("{path}/likes"))
            .await
            .expect_code(404, "post_not_found");
        person
            .get(&format!("{path}/comments"))
            .await
            .expect_code(404, "post_not_found");
        person
            .post(&format!("{path}/like"), json!({}))
            .await
            .expect_code(404, "post_not_found");
        let replies = format!("/posts/comments/{comment}/replies");
        person
            .get(&replies)
            .await
            .expect_code(404, "comment_not_found");
        for list in ["/posts/".to_owned(), format!("/posts/user/{}", ada.id)] {
            let posts = person.get(&list).await.expect(200)["posts"].clone();
            assert_eq!(ids(posts.as_array().unwrap()), [kept.as_str()]);
        }
    }
    ada.delete(&path).await.expect_code(404, "post_not_found");
    ada.patch(&path, json!({ "content": "back" }))
        .await
        .expect_code(404, "post_not_found");
    assert_eq!(
        ada.get("/users/counts").await.expect(200)["data"]["posts"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_seen_by_those_it_is_for_and_by_nobody_else() {
    let server = Server::start().await;
    let author = server.sign_up("author").await;
    let (follower, stranger) = (
        server.sign_up("follower").await,
        server.sign_up("stranger").await,
    );
    follower.follow(&author).await;
    // Followed by the author is not a follower.
    author.follow(&stranger).await;
    let mut posts = Vec::new();
    for visibility in ["public", "followers", "private"] {
        let id = author.write_for(visibility, visibility).await;
        let comment = author.comment(&id, None, "A word").await;
        author
            .post(&format!("/posts/like/{id}"), json!({}))
            .await
            .expect(200);
        posts.push((visibility, id, comment));
    }
    for (person, sees) in [
        (&author, &["public", "followers", "private"][..]),
        (&follower, &["public", "followers"]),
        (&stranger, &["public"]),
    ] {
        for (visibility, id, comment) in &posts {
            let seen = sees.contains(visibility);
            let who = format!("{} and a {visibility} post", person.username);
            let judge = |reply: Reply, missing: &str, what: &str| {
                if seen {
                    assert_eq!(reply.status, 200, "{who}: {what}: {}", reply.text);
                } else {
                    assert_eq!(reply.status, 404, "{who}: {what}: {}", reply.text);
                    reply.expect_code(404, missing);
                }
            };
            for path in ["", "/history", "/likes", "/comments", "/comment"] {
                let path = format!("/posts/{id}{path}");
                judge(person.get(&path).await, "post_not_found", &path);
            }
            judge(
                person.get(&format!("/posts/comment/{id}")).await,
                "post_not_found",
                "comments",
            );
            for path in [
                format!("/posts/like/{id}"),
                format!("/posts/{id}/like"),
                format!("/posts/dislike/{id}"),
                format!("/posts/{id}/dislike"),
            ] {
                judge(person.post(&path, json!({})).await, "post_not_found", &path);
            }
            let path = format!("/posts/like/{id}");
            judge(
                person.patch(&path, json!({})).await,
                "post_not_found",
                "unlike",
            );
            for path in [
                format!("/posts/comment/{id}"),
                format!("/posts/{id}/comments"),
            ] {
                let body = json!({ "content": "Hello" });
                judge(person.post(&path, body).await, "post_not_found", &path);
            }
            let path = format!("/posts/comments/{comment}");
            judge(
                person.get(&format!("{path}/replies")).await,
                "comment_not_found",
                "replies",
            );
            judge(
                person.post(&format!("{path}/like"), json!({})).await,
                "comment_not_found",
                "like a comment",
            );
            judge(
                person.put(&format!("{path}/like"), json!({})).await,
                "comment_not_found",
                "like a comment",
            );
            judge(
                person.delete(&format!("{path}/like")).await,
                "comment_not_found",
                "unlike a comment",
            );
        }
        // Every list and every count holds what one may see, and nothing of the rest.
        let visible = |reply: &Value| -> Vec<String> {
            let posts = reply["posts"].as_array().unwrap().iter();
            posts
                .map(|post| post["visibility"].as_str().unwrap().to_owned())
                .collect()
        };
        let newest_first: Vec<&str> = sees.iter().rev().copied().collect();
        let list = person
            .get(&format!("/posts/user/{}", author.id))
            .await
            .expect(200);
        assert_eq!(visible(&list), newest_first, "{}", person.username);
        assert_eq!(
            list["pagination"],
            json!({ "currentPage": 1, "totalPages": 1, "totalPosts": sees.len(), "hasMore": false })
        );
        let profile = person
            .get(&format!("/users/profile/{}", author.id))
            .await
            .expect(200);
        assert_eq!(profile["user"]["postsCount"], sees.len());
        let timeline = visible(&person.get("/posts/").await.expect(200));
        let expected = if person.id == author.id {
            newest_first
        } else {
            vec!["public"]
        };
        assert_eq!(timeline, expected, "{}", person.username);
    }
    for (_, id, _) in &posts {
        server
            .get(&format!("/posts/{id}"))
            .await
            .expect_code(401, "unauthenticated");
        server
            .get(&format!("/posts/comment/{id}"))
            .await
            .expect_code(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_no_more_sees_no_more() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let id = ada.write_for("For friends", "followers").await;
    let path = format!("/posts/{id}");
    bob.get(&path).await.expect(404);
    bob.follow(&ada).await;
    bob.get(&path).await.expect(200);
    bob.post(&format!("/posts/like/{id}"), json!({}))
        .await
        .expect(200);
    bob.post(&format!("/users/unfollow/{}", ada.id), json!({}))
        .await
        .expect(200);
    bob.get(&path).await.expect(404);
    bob.post(&format!("/posts/like/{id}"), json!({}))
        .await
        .expect(404);
    // What he gave is his to take back.
    bob.patch(&format!("/posts/like/{id}"), json!({}))
        .await
        .expect(200);
    assert_eq!(ada.get(&path).await.expect(200)["post"]["likes"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_audience_moves_the_counts() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let id = ada.write("Now you see it").await;
    let path = format!("/posts/{id}");
    let counted = async || {
        let user = bob
            .get(&format!("/users/profile/{}", ada.id))
            .await
            .expect(200);
        user["user"]["postsCount"].as_u64().unwrap()
    };
    for (visibility, count) in [
        ("private", 0),
        ("followers", 0),
        ("public", 1),
        ("public", 1),
    ] {
        ada.patch(&path, json!({ "visibility": visibility }))
            .await
            .expect(200);
        assert_eq!(counted().await, count, "{visibility}");
        assert_eq!(bob.get(&path).await.status.is_success(), count == 1);
    }
    assert_eq!(
        ada.get("/users/counts").await.expect(200)["data"]["posts"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_posts_page_newest_first() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let (mut all, mut of_ada) = (Vec::new(), Vec::new());
    for number in 0..7 {
        let visibility = ["public", "private", "followers"][number % 3];
        let id = ada.write_for(&format!("Ada {number}"), visibility).await;
        of_ada.push(id.clone());
        all.push(id);
        all.push(bob.write(&format!("Bob {number}")).await);
    }
    all.reverse();
    of_ada.reverse();
    for prefix in ["", "/api/v1"] {
        let timeline = ada.walk(&format!("{prefix}/posts/"), "posts", 4).await;
        assert_eq!(ids(&timeline), all);
        let own = ada
            .walk(&format!("{prefix}/posts/getall"), "posts", 3)
            .await;
        assert_eq!(ids(&own), of_ada);
        let by_author = format!("{prefix}/posts/user/{}", ada.id);
        assert_eq!(ids(&ada.walk(&by_author, "posts", 2).await), of_ada);
        let page = ada
            .get(&format!("{by_author}?page=2&limit=3"))
            .await
            .expect(200);
        assert_eq!(ids(page["posts"].as_array().unwrap()), of_ada[3..6]);
        assert_eq!(
            page["pagination"],
            json!({ "currentPage": 2, "totalPages": 3, "totalPosts": 7, "hasMore": true })
        );
        // What one may not see takes no room on a page.
        let seen = bob.walk(&by_author, "posts", 2).await;
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|post| post["visibility"] == "public"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_posts_do_not_shift_the_pages_of_who_is_reading() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut written = Vec::new();
    for number in 0..4 {
        written.push(ada.write(&format!("{number}")).await);
    }
    let first = ada.get("/posts/?limit=2").await.expect(200);
    ada.write("Meanwhile").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = ada
        .get(&format!("/posts/?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(
        ids(second["posts"].as_array().unwrap()),
        [&written[1], &written[0]]
    );
    assert!(second["next_cursor"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_route_answers_the_claims() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let body = ada.get("/posts/test").await.expect(200);
    assert_eq!(body["userData"]["username"], "ada");
    assert_eq!(body["userData"]["id"], ada.id.as_str());
    server.get("/posts/test").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_text_and_not_markup() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let text = "<script>alert('x')</script> & \"quotes\" \\ \u{202B}right to left\u{202C} 👩‍👩‍👧 '; DROP TABLE posts; --";
    let id = ada.write(text).await;
    let read = ada.get(&format!("/posts/{id}")).await;
    assert_eq!(read.expect(200)["data"]["content"], text);
    assert_eq!(read.header("content-type"), "application/json");
    assert_eq!(read.header("x-content-type-options"), "nosniff");
}
