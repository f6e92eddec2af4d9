//! Comments: nested to any depth, paged, removed (contract, section 4).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Client, Person, Server, ids};

async fn count(person: &Client, post: &str) -> u64 {
    let reply = person.get(&format!("/posts/{post}")).await.expect(200);
    reply["data"]["_count"]["comments"].as_u64().unwrap()
}

async fn flat(person: &Client, post: &str) -> Vec<Value> {
    let reply = person
        .get(&format!("/posts/comment/{post}"))
        .await
        .expect(200);
    reply["data"].as_array().unwrap().clone()
}

async fn nested(person: &Client, post: &str) -> Vec<Value> {
    let path = format!("/posts/comment/{post}?nested=true&sort=oldest");
    person.get(&path).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_answered_and_listed_newest_first() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let empty = ada.get(&format!("/posts/comment/{post}")).await.expect(200);
    assert_eq!(empty["data"], json!([]));
    assert!(empty["message"].is_string());
    let mut written = Vec::new();
    for path in [
        format!("/posts/comment/{post}"),
        format!("/posts/{post}/comments"),
        format!("/posts/{post}/comment"),
        format!("/api/v1/posts/comment/{post}"),
    ] {
        let reply = bob
            .post(&path, json!({ "content": "Well said" }))
            .await
            .expect(200);
        assert_eq!(reply["author"], json!({ "id": bob.id }));
        let comment = &reply["data"];
        for field in [
            "id",
            "postId",
            "authorUsername",
            "authorId",
            "content",
            "createdAt",
            "updatedAt",
            "isActive",
            "isDelete",
            "parentCommentId",
        ] {
            assert!(
                comment.get(field).is_some(),
                "{field} is missing: {comment}"
            );
        }
        assert_eq!(comment["postId"], post.as_str());
        assert_eq!(comment["authorId"], bob.id.as_str());
        assert!(comment["parentCommentId"].is_null());
        assert!(comment.get("replies").is_none(), "flat unless asked");
        written.insert(0, comment["id"].as_str().unwrap().to_owned());
    }
    for path in [
        format!("/posts/comment/{post}"),
        format!("/posts/{post}/comments"),
        format!("/posts/{post}/comment"),
        format!("/api/v1/posts/comment/{post}"),
    ] {
        let list = ada.get(&path).await.expect(200);
        assert_eq!(ids(list["data"].as_array().unwrap()), written, "{path}");
        assert!(list["next_cursor"].is_null());
    }
    assert_eq!(count(&ada, &post).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_needs_a_text_and_a_place() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let (post, other) = (ada.write("Hello").await, ada.write("Elsewhere").await);
    let path = format!("/posts/comment/{post}");
    for wrong in [
        json!({}),
        json!({ "content": "" }),
        json!({ "content": " \n" }),
        json!({ "content": 7 }),
        json!({ "content": "x".repeat(5_001) }),
        json!({ "content": "a\u{0}b" }),
        json!({ "content": "x", "parentCommentId": "abc" }),
        json!({ "content": "x", "parentCommentId": 7 }),
    ] {
        ada.post(&path, wrong)
            .await
            .expect_code(400, "invalid_fields");
    }
    ada.comment(&post, None, &"日".repeat(5_000)).await;
    // Defect 13: a comment on what is not there leaves nothing behind.
    for id in ["1", "abc", "99999999999999999999"] {
        ada.post(&format!("/posts/comment/{id}"), json!({ "content": "x" }))
            .await
            .expect(404);
        ada.get(&format!("/posts/comment/{id}")).await.expect(404);
    }
    let elsewhere = ada.comment(&other, None, "There").await;
    for parent in ["1", elsewhere.as_str()] {
        let body = json!({ "content": "x", "parentCommentId": parent });
        ada.post(&path, body)
            .await
            .expect_code(404, "comment_not_found");
    }
    assert_eq!(count(&ada, &post).await, 1);
    assert_eq!(count(&ada, &other).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_13_a_deleted_post_takes_no_comments() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    ada.delete(&format!("/posts/{post}")).await.expect(200);
    let path = format!("/posts/comment/{post}");
    ada.post(&path, json!({ "content": "x" }))
        .await
        .expect_code(404, "post_not_found");
    ada.get(&path).await.expect_code(404, "post_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_hang_beneath_what_they_answer() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let first = bob.comment(&post, None, "First").await;
    let second = bob.comment(&post, None, "Second").await;
    let answer = ada.comment(&post, Some(&first), "Answer").await;
    let deeper = bob.comment(&post, Some(&answer), "Deeper").await;

    let tree = nested(&ada, &post).await;
    assert_eq!(ids(&tree), [first.as_str(), &second]);
    let replies = tree[0]["replies"].as_array().unwrap();
    assert_eq!(ids(replies), [answer.as_str()]);
    assert_eq!(replies[0]["parentCommentId"], first.as_str());
    assert_eq!(
        ids(replies[0]["replies"].as_array().unwrap()),
        [deeper.as_str()]
    );
    assert_eq!(
        (&tree[0]["repliesCount"], &replies[0]["repliesCount"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(tree[1]["replies"], json!([]));

    let all = flat(&ada, &post).await;
    assert_eq!(ids(&all), [deeper.as_str(), &answer, &second, &first]);
    assert_eq!(all[0]["parentCommentId"], answer.as_str());
    assert_eq!(count(&ada, &post).await, 4, "answers count");
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_comment_is_ones_own_to_change() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let eve = server.sign_up("eve").await;
    let post = ada.write("Hello").await;
    let comment = bob.comment(&post, None, "Frist").await;
    let path = format!("/posts/comment/{comment}");
    let changed = bob
        .patch(&path, json!({ "content": "First" }))
        .await
        .expect(200);
    assert_eq!(changed["data"]["content"], "First");
    assert_eq!(changed["data"]["id"], comment.as_str());
    for wrong in [
        json!({}),
        json!({ "content": "" }),
        json!({ "content": ["x"] }),
    ] {
        bob.patch(&path, wrong).await.expect(400);
    }
    // Not even the post's author puts words into another's mouth.
    for person in [&ada, &eve] {
        person
            .patch(&path, json!({ "content": "Mine" }))
            .await
            .expect_code(403, "forbidden");
    }
    eve.delete(&path).await.expect_code(403, "forbidden");
    assert_eq!(flat(&eve, &post).await[0]["content"], "First");
    for id in ["1", "abc"] {
        bob.patch(&format!("/posts/comment/{id}"), json!({ "content": "x" }))
            .await
            .expect(404);
        bob.delete(&format!("/posts/comment/{id}"))
            .await
            .expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_removed_by_its_author_by_the_posts_or_by_an_admin() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    for remover in [&bob, &ada, &admin] {
        let comment = bob.comment(&post, None, "Regretted").await;
        assert_eq!(count(&ada, &post).await, 1);
        let path = format!("/posts/comment/{comment}");
        let removed = remover.delete(&path).await.expect(200)["data"].clone();
        assert_eq!(
            (&removed["isActive"], &removed["isDelete"]),
            (&json!(false), &json!(true))
        );
        assert!(removed["content"].is_null() && removed["authorId"].is_null());
        // Again changes nothing; the counts neither.
        assert_eq!(remover.delete(&path).await.expect(200)["data"], removed);
        assert_eq!(
            count(&ada, &post).await,
            0,
            "defect 13: removed ones are not counted"
        );
        assert_eq!(
            flat(&ada, &post).await,
            Vec::<Value>::new(),
            "defect 13: nor listed"
        );
        assert_eq!(nested(&ada, &post).await, Vec::<Value>::new());
        bob.patch(&path, json!({ "content": "x" }))
            .await
            .expect_code(404, "comment_not_found");
        bob.post(&format!("/posts/comments/{comment}/like"), json!({}))
            .await
            .expect_code(404, "comment_not_found");
        let answer = json!({ "content": "x", "parentCommentId": comment });
        bob.post(&format!("/posts/comment/{post}"), answer)
            .await
            .expect_code(404, "comment_not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_comment_keeps_its_place_while_it_has_answers() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let top = bob.comment(&post, None, "Something regretted").await;
    let middle = ada.comment(&post, Some(&top), "What?").await;
    let leaf = bob.comment(&post, Some(&middle), "Never mind").await;
    let remove = async |id: &str| {
        ada.delete(&format!("/posts/comment/{id}"))
            .await
            .expect(200);
    };
    remove(&top).await;
    let tree = nested(&ada, &post).await;
    assert_eq!(ids(&tree), [top.as_str()]);
    assert!(
        tree[0]["content"].is_null()
            && tree[0]["author"].is_null()
            && tree[0]["authorUsername"].is_null()
    );
    assert_eq!(tree[0]["isDelete"], true);
    assert_eq!(tree[0]["replies"][0]["content"], "What?");
    let text = ada
        .get(&format!("/posts/comment/{post}?nested=true"))
        .await
        .text;
    assert!(!text.contains("regretted"), "its text is gone");
    assert_eq!(ids(&flat(&ada, &post).await), [leaf.as_str(), &middle]);
    assert_eq!(count(&ada, &post).await, 2);

    remove(&middle).await;
    let tree = nested(&ada, &post).await;
    assert_eq!(tree[0]["replies"][0]["replies"][0]["id"], leaf.as_str());
    // With the last answer the placeholders above it go.
    remove(&leaf).await;
    assert_eq!(nested(&ada, &post).await, Vec::<Value>::new());
    assert_eq!(count(&ada, &post).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_can_be_liked() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let comment = bob.comment(&post, None, "Well said").await;
    let path = format!("/posts/comments/{comment}/like");
    let state = |reply: Value| {
        (
            reply["liked"].as_bool().unwrap(),
            reply["likes"].as_u64().unwrap(),
        )
    };
    assert_eq!(
        state(ada.put(&path, json!({})).await.expect(200)),
        (true, 1)
    );
    assert_eq!(
        state(ada.put(&path, json!({})).await.expect(200)),
        (true, 1)
    );
    assert_eq!(
        state(bob.post(&path, json!({})).await.expect(200)),
        (true, 2)
    );
    let seen = &flat(&ada, &post).await[0];
    assert_eq!(
        (&seen["likes"], &seen["isLiked"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        state(bob.post(&path, json!({})).await.expect(200)),
        (false, 1)
    );
    assert_eq!(state(ada.delete(&path).await.expect(200)), (false, 0));
    assert_eq!(state(ada.delete(&path).await.expect(200)), (false, 0));
    assert_eq!(flat(&ada, &post).await[0]["likes"], 0);
}

/// A thread of `number` comments, hung by a fixed pattern, with some likes; their ids in order of writing, and each
/// one's parent.
async fn thread(
    ada: &Person,
    bob: &Person,
    post: &str,
    number: usize,
) -> (Vec<String>, BTreeMap<String, String>) {
    let mut written: Vec<String> = Vec::with_capacity(number);
    let mut parents = BTreeMap::new();
    for n in 0..number {
        let parent = match n % 7 {
            0 => None,
            1..=3 => written.get(n / 2).cloned(),
            _ => written.last().cloned(),
        };
        let id = ada
            .comment(post, parent.as_deref(), &format!("Number {n}"))
            .await;
        if let Some(parent) = parent {
            parents.insert(id.clone(), parent);
        }
        if n % 5 == 0 {
            bob.put(&format!("/posts/comments/{id}/like"), json!({}))
                .await
                .expect(200);
        }
        written.push(id);
    }
    (written, parents)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_walks_every_comment_exactly_once() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let post = ada.write("Hello").await;
    let (written, parents) = thread(&ada, &bob, &post, 60).await;
    let tops: Vec<&String> = written
        .iter()
        .filter(|id| !parents.contains_key(*id))
        .collect();
    for limit in [1, 7, 100] {
        let walk = async |query: &str| {
            bob.walk(&format!("/posts/comment/{post}?{query}"), "data", limit)
                .await
        };
        let oldest = walk("sort=oldest").await;
        assert_eq!(ids(&oldest), written);
        let newest = walk("sort=newest").await;
        assert!(ids(&newest).iter().eq(written.iter().rev()));
        assert_eq!(newest, walk("").await, "newest is what one gets unasked");
        let best = walk("sort=best").await;
        let score = |comment: &Value| {
            comment["likes"].as_u64().unwrap() + comment["repliesCount"].as_u64().unwrap()
        };
        assert!(best.is_sorted_by(|a, b| score(a) >= score(b)));
        let different: BTreeSet<&str> = ids(&best).into_iter().collect();
        assert_eq!((best.len(), different.len()), (60, 60));

        let top = walk("sort=oldest&nested=true").await;
        assert!(ids(&top).iter().eq(tops.iter()));
        let best = walk("sort=best&nested=true").await;
        assert!(best.is_sorted_by(|a, b| score(a) >= score(b)));
        assert_eq!(best.len(), tops.len());
    }
    bob.get(&format!("/posts/comment/{post}?sort=worst"))
        .await
        .expect_code(400, "invalid_query");
    bob.get(&format!("/posts/comment/{post}?nested=perhaps"))
        .await
        .expect_code(400, "invalid_query");
}

/// Collects a nested list and, by the cursors in it, everything that hangs beneath.
async fn descend(client: &Client, list: Vec<Value>, found: &mut Vec<Value>) {
    let mut open = list;
    while let Some(mut comment) = open.pop() {
        if let Some(Value::Array(replies)) = comment.as_object_mut().unwrap().remove("replies") {
            let mut replies = replies;
            if let Some(cursor) = comment["repliesCursor"].as_str() {
                let id = comment["id"].as_str().unwrap();
                let mut next = Some(cursor.to_owned());
                while let Some(cursor) = next {
                    let path = format!("/posts/comments/{id}/replies?sort=oldest&cursor={cursor}");
                    let more = client.get(&path).await.expect(200);
                    replies.extend(more["data"].as_array().unwrap().iter().cloned());
                    next = more["next_cursor"].as_str().map(str::to_owned);
                }
            }
            assert_eq!(
                replies.len() as u64,
                comment["repliesCount"].as_u64().unwrap()
            );
            for reply in &replies {
                assert_eq!(reply["parentCommentId"], comment["id"]);
            }
            open.extend(replies);
        }
        found.push(comment);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_and_deep_thread_is_read_whole_by_its_cursors() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    let top = ada.comment(&post, None, "Top").await;
    let mut written = BTreeSet::from([top.clone()]);
    // Wider than one reply shows, and deeper than one goes.
    for number in 0..25 {
        written.insert(
            ada.comment(&post, Some(&top), &format!("Wide {number}"))
                .await,
        );
    }
    let mut last = top.clone();
    for number in 0..60 {
        last = ada
            .comment(&post, Some(&last), &format!("Deep {number}"))
            .await;
        written.insert(last.clone());
    }
    let list = nested(&ada, &post).await;
    let mut found = Vec::new();
    descend(&ada, list, &mut found).await;
    let different: BTreeSet<String> = ids(&found).into_iter().map(str::to_owned).collect();
    assert_eq!(found.len(), written.len(), "each once");
    assert_eq!(different, written);
    ada.get("/posts/comments/1/replies")
        .await
        .expect_code(404, "comment_not_found");
    ada.get("/posts/comments/abc/replies").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_a_thousand_is_read_whole_in_every_order() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    let path = format!("/posts/comment/{post}");
    let mut written: Vec<String> = Vec::with_capacity(1_000);
    while written.len() < 1_000 {
        // Fifty at once, as by a crowd, beneath what stands there already; every tenth at the top.
        let wave = (0..50).map(|n| {
            let parent = if n % 10 == 0 {
                None
            } else {
                written.get(written.len().wrapping_sub(n))
            };
            ada.post(
                &path,
                json!({ "content": "Hear, hear", "parentCommentId": parent }),
            )
        });
        for reply in futures_util::future::join_all(wave).await {
            written.push(reply.expect(200)["data"]["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(count(&ada, &post).await, 1_000);
    let expected: BTreeSet<&str> = written.iter().map(String::as_str).collect();
    for sort in ["newest", "oldest", "best"] {
        let walked = ada.walk(&format!("{path}?sort={sort}"), "data", 100).await;
        let different: BTreeSet<&str> = ids(&walked).into_iter().collect();
        assert_eq!((walked.len(), &different), (1_000, &expected), "{sort}");
    }
    let tops = ada
        .walk(&format!("{path}?sort=oldest&nested=true"), "data", 100)
        .await;
    let mut found = Vec::new();
    descend(&ada, tops, &mut found).await;
    let different: BTreeSet<&str> = ids(&found).into_iter().collect();
    assert_eq!((found.len(), &different), (1_000, &expected));
}
