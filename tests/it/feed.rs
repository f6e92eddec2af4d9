//! What people read at home.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::{Person, Server, ids};

async fn home(person: &Person) -> Vec<String> {
    let reply = person.get("/api/v1/feed?limit=100").await.expect(200);
    owned(&reply["posts"])
}

fn owned(posts: &Value) -> Vec<String> {
    let posts = posts.as_array().unwrap();
    ids(posts).into_iter().map(ToOwned::to_owned).collect()
}

/// The whole feed, page by page.
async fn pages(person: &Person, limit: u64) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/feed?limit={limit}&cursor={cursor}");
        let reply = person.get(&path).await.expect(200);
        seen.extend(owned(&reply["posts"]));
        match reply["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return seen,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_has_ones_own_posts_and_those_of_whom_one_follows() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    assert_eq!(home(&ada).await, Vec::<String>::new());
    let before = bob.write("before").await;
    ada.follow(&bob).await;
    // What they wrote before one followed them is there as well.
    assert_eq!(home(&ada).await, [before.as_str()]);
    let mine = ada.write_for("mine", "private").await;
    let friends = bob.write_for("for friends", "followers").await;
    let secret = bob.write_for("for himself", "private").await;
    eve.write("of somebody else").await;
    assert_eq!(home(&ada).await, [&*friends, &*mine, &*before]);
    assert_eq!(home(&bob).await, [&*secret, &*friends, &*before]);

    // What changes is followed: who may see it, and whether it is there.
    let edit = |visibility: &str| json!({ "visibility": visibility });
    bob.patch(&format!("/posts/{secret}"), edit("public"))
        .await
        .expect(200);
    assert_eq!(home(&ada).await, [&*secret, &*friends, &*mine, &*before]);
    bob.patch(&format!("/posts/{before}"), edit("private"))
        .await
        .expect(200);
    bob.delete(&format!("/posts/{friends}")).await.expect(200);
    assert_eq!(home(&ada).await, [&*secret, &*mine]);

    let liked = format!("/posts/like/{secret}");
    ada.post(&liked, json!({})).await.expect(200);
    let first = ada.get("/api/v1/feed").await.expect(200)["posts"][0].clone();
    assert_eq!(
        (&first["isLiked"], &first["author"]["username"]),
        (&json!(true), &json!("bob"))
    );
    ada.delete(&format!("/users/unfollow/{}", bob.id))
        .await
        .expect(200);
    assert_eq!(home(&ada).await, [&*mine]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_hides_while_it_lasts() {
    let server = Server::start_with_clock(|_| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let first = bob.write("one").await;
    assert_eq!(home(&ada).await, [&*first]);
    let mute = format!("/users/{}/mute", bob.id);
    let until = "2027-01-15T09:00:00.000Z";
    ada.post(&mute, json!({ "until": until })).await.expect(200);
    let second = bob.write("two").await;
    assert_eq!(home(&ada).await, Vec::<String>::new());
    server.advance(Duration::from_hours(1));
    assert_eq!(home(&ada).await, [&*second, &*first]);
    ada.post(&mute, json!({})).await.expect(200);
    assert_eq!(home(&ada).await, Vec::<String>::new());
    ada.delete(&mute).await.expect(200);
    assert_eq!(home(&ada).await, [&*second, &*first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reads_on_as_far_as_there_is_something() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut authors = Vec::new();
    for number in 0..4 {
        let author = server.sign_up(&format!("author{number}")).await;
        ada.follow(&author).await;
        authors.push(author);
    }
    let mut written: Vec<String> = Vec::new();
    let mut dice = Dice::shaken();
    for number in 0..230_u32 {
        let author = dice.among(&authors).unwrap();
        written.push(author.write(&format!("number {number}")).await);
        if number == 120 {
            // From here on the timeline follows; before, it is read from the rows.
            assert_eq!(home(&ada).await[..2], [&*written[120], &*written[119]]);
        }
    }
    written.reverse();
    assert_eq!(pages(&ada, 7).await, written);
    // Once more, from what is known now; and somebody who comes for the first time.
    assert_eq!(pages(&ada, 100).await, written);
    ada.delete(&format!("/feed/{}", ada.id)).await.expect(200);
    assert_eq!(pages(&ada, 33).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_clients_get_the_ids_of_their_own_feed() {
    let server = Server::start().await;
    let (ada, bob, eve) = (
        server.sign_up("ada").await,
        server.sign_up("bob").await,
        server.sign_up("eve").await,
    );
    ada.follow(&bob).await;
    let (first, second) = (bob.write("one").await, bob.write("two").await);
    ada.post(&format!("/posts/like/{first}"), json!({}))
        .await
        .expect(200);
    ada.post(
        &format!("/posts/comment/{first}"),
        json!({ "content": "Hm" }),
    )
    .await
    .expect(200);
    let own = format!("/feed/{}", ada.id);
    let reply = ada.get(&own).await.expect(200);
    assert_eq!(
        reply,
        json!({
            "success": true, "total": 2, "page": 1, "limit": 20, "hasMore": false, "regenerated": false,
            "posts": [
                { "postId": second, "engagementScore": 0 },
                { "postId": first, "engagementScore": 3 },
            ],
        })
    );
    let reply = ada.get(&format!("{own}?page=2&limit=1")).await.expect(200);
    assert_eq!(reply["posts"][0]["postId"], json!(first));
    assert_eq!(reply["hasMore"], false);
    // Of the short path: the caller's, with all that there is of the posts.
    let reply = ada.get("/feed/").await.expect(200);
    assert_eq!(reply["posts"][0]["content"], "two");

    let regenerate = format!("/feed/regenerate/{}", ada.id);
    let body = json!({ "followingIds": [eve.id] });
    ada.post(&regenerate, body.clone()).await.expect(200);
    let batch = json!({ "userIds": [ada.id] });
    ada.post("/feed/batch-regenerate", batch).await.expect(200);
    let told = json!({ "authorId": bob.id, "postId": first, "username": "bob" });
    bob.post("/feed/post", told.clone()).await.expect(200);
    let known = json!({ "userId": ada.id, "followerIds": [eve.id] });
    ada.post("/feed/cache-followers", known).await.expect(200);
    let known = json!({ "userId": ada.id, "followingIds": [eve.id] });
    ada.post("/feed/cache-following", known).await.expect(200);
    assert_eq!(
        server.get("/feed/health").await.expect(200)["service"],
        "feed-service"
    );
    // Nothing that was said changes what is true.
    assert_eq!(home(&ada).await, [&*second, &*first]);
    assert_eq!(home(&eve).await, Vec::<String>::new());

    // Of others nobody reads or changes anything.
    for refused in [
        eve.get(&own).await,
        eve.delete(&own).await,
        eve.post(&regenerate, body).await,
        eve.post(
            "/feed/batch-regenerate",
            json!({ "userIds": [eve.id, ada.id] }),
        )
        .await,
        eve.post("/feed/post", told).await,
        eve.post("/feed/post", json!({ "authorId": eve.id, "postId": first }))
            .await,
        eve.post(
            "/feed/cache-followers",
            json!({ "userId": ada.id, "followerIds": [] }),
        )
        .await,
        eve.post(
            "/feed/cache-following",
            json!({ "userId": ada.id, "followingIds": [] }),
        )
        .await,
    ] {
        refused.expect_code(403, "forbidden");
    }
    let bad = ada
        .post("/feed/batch-regenerate", json!({ "userIds": [] }))
        .await;
    bad.expect(400);
    let too_many = json!({ "userIds": vec![&ada.id; 101] });
    ada.post("/feed/batch-regenerate", too_many)
        .await
        .expect_code(400, "invalid_fields");
    let most = json!({ "userIds": vec![&ada.id; 100] });
    ada.post("/feed/batch-regenerate", most).await.expect(200);
    ada.post(&regenerate, json!({ "followingIds": "all" }))
        .await
        .expect(400);
    // A list with numbered pages alone.
    let next = ada.get("/api/v1/feed?limit=1").await.expect(200)["next_cursor"].clone();
    ada.get(&format!("{own}?cursor={}", next.as_str().unwrap()))
        .await
        .expect_code(400, "invalid_query");
    // The clients of feeds look for the text as `error`.
    assert_eq!(eve.get(&own).await.json()["error"], "You may not do this.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_in_its_own_order_alone() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for number in 0..3 {
        ada.write(&format!("number {number}")).await;
    }
    let paths = [
        "/api/v1/feed?order=latest",
        "/api/v1/feed?order=ranked",
        "/api/v1/feed/personalized?",
    ];
    let mut cursors = Vec::new();
    for path in paths {
        let page = ada.get(&format!("{path}&limit=1")).await.expect(200);
        cursors.push(page["next_cursor"].as_str().unwrap().to_owned());
    }
    for (number, path) in paths.iter().enumerate() {
        for (of, cursor) in cursors.iter().enumerate() {
            let reply = ada.get(&format!("{path}&cursor={cursor}")).await;
            if (number == 0) == (of == 0) {
                assert_eq!(reply.expect(200)["posts"].as_array().unwrap().len(), 2);
            } else {
                reply.expect_code(400, "invalid_query");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_many_times_at_once_sees_the_same() {
    let server = Server::start_with(|config| config.store.readers = 2).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let mut written = Vec::new();
    for number in 0..120 {
        written.push(bob.write(&format!("number {number}")).await);
    }
    written.reverse();
    let looks = (0..20).map(|number| pages(&ada, 10 + number));
    for seen in futures_util::future::join_all(looks).await {
        assert_eq!(seen, written);
    }
    // What comes meanwhile is there for who looks afterwards, whichever copy was left last.
    let (mut seen, later) = tokio::join!(
        futures_util::future::join_all((0..20).map(|_| pages(&ada, 50))),
        bob.write("later"),
    );
    written.insert(0, later);
    seen.push(pages(&ada, 50).await);
    assert_eq!(seen.last(), Some(&written));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_followed_hashtags_are_one_feed() {
    const TAGS: u64 = 12;
    // Once from what is remembered, once from the rows alone.
    for kib in [1_024, 0] {
        let server = Server::start_with(|config| config.feed.timelines_kib = kib).await;
        let (ada, bob, eve) = (
            server.sign_up("ada").await,
            server.sign_up("bob").await,
            server.sign_up("eve").await,
        );
        for number in 0..TAGS {
            let path = format!("/api/v1/tags/tag{number}/follow");
            ada.post(&path, json!({})).await.expect(200);
        }
        let mut dice = Dice::shaken();
        let mut written = Vec::new();
        for number in 0..150 {
            // Nobody followed at first; later one whose posts stand between those of the hashtags.
            if number == 60 {
                ada.follow(&eve).await;
            }
            let tags: Vec<String> = (0..dice.below(5))
                .map(|_| format!("#tag{}", dice.below(2 * TAGS)))
                .collect();
            let author = if dice.is_one_in(4) { &eve } else { &bob };
            let id = author.write(&format!("{number} {}", tags.join(" "))).await;
            let is_followed = (0..TAGS).any(|number| tags.contains(&format!("#tag{number}")));
            if is_followed || author.id == eve.id {
                written.push(id);
            }
        }
        written.reverse();
        for limit in [1, 7, 40, 100] {
            assert_eq!(
                pages(&ada, limit).await,
                written,
                "{limit} a page, {kib} KiB"
            );
        }
    }
}

const PEOPLE: usize = 5;

/// What is true, by the places of people and posts.
#[derive(Default)]
struct Model {
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    mutes: BTreeSet<(usize, usize)>,
    /// Id, author, visibility; none when it is removed.
    posts: Vec<(String, usize, Option<&'static str>)>,
}

impl Model {
    fn home(&self, viewer: usize) -> Vec<&str> {
        let is_shown = |author: usize, visibility: Option<&str>| {
            let is_from_followed = self.follows.contains(&(viewer, author))
                && !self.mutes.contains(&(viewer, author))
                && visibility != Some("private");
            visibility.is_some() && (author == viewer || is_from_followed)
        };
        let newest_first = self.posts.iter().rev();
        newest_first
            .filter(|(_, author, visibility)| is_shown(*author, *visibility))
            .map(|(id, ..)| id.as_str())
            .collect()
    }

    fn are_apart(&self, one: usize, other: usize) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }
}

const VISIBILITIES: [&str; 3] = ["public", "followers", "private"];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_home_shows_what_it_should() {
    // Too little room, so that timelines come and go.
    let server = Server::start_with(|config| config.feed.timelines_kib = 2).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(server.sign_up(&format!("person{number}")).await);
    }
    let mut model = Model::default();
    let mut dice = Dice::shaken();
    for _ in 0..200 {
        let (one, other) = (
            usize::try_from(dice.below(PEOPLE as u64)).unwrap(),
            usize::try_from(dice.below(PEOPLE as u64)).unwrap(),
        );
        let pair = (one, other);
        let path = |what: &str| format!("/users/{}/{what}", people[other].id);
        let follow = format!("/users/follow/{}", people[other].id);
        let unfollow = format!("/users/unfollow/{}", people[other].id);
        let person = &people[one];
        let posts = u64::try_from(model.posts.len()).unwrap();
        match dice.below(16) {
            0..3 if one != other && !model.are_apart(one, other) => {
                person.post(&follow, json!({})).await.expect(200);
                model.follows.insert(pair);
            }
            3 if model.follows.remove(&pair) => {
                person.delete(&unfollow).await.expect(200);
            }
            4 if one != other && !model.are_apart(one, other) => {
                person.post(&path("block"), json!({})).await.expect(200);
                model.blocks.insert(pair);
                model.follows.remove(&pair);
                model.follows.remove(&(other, one));
            }
            5 | 6 if model.blocks.remove(&pair) => {
                person.delete(&path("block")).await.expect(200);
            }
            7 if one != other && !model.are_apart(one, other) => {
                person.post(&path("mute"), json!({})).await.expect(200);
                model.mutes.insert(pair);
            }
            8 if !model.are_apart(one, other) && model.mutes.remove(&pair) => {
                person.delete(&path("mute")).await.expect(200);
            }
            9 | 10 if posts > 0 => {
                let at = usize::try_from(dice.below(posts)).unwrap();
                let (id, author, visibility) = &mut model.posts[at];
                if visibility.is_some() {
                    let now = dice.one_of(&VISIBILITIES);
                    let reply = people[*author]
                        .patch(&format!("/posts/{id}"), json!({ "visibility": now }))
                        .await;
                    reply.expect(200);
                    *visibility = Some(now);
                }
            }
            11 if posts > 0 => {
                let at = usize::try_from(dice.below(posts)).unwrap();
                let (id, author, visibility) = &mut model.posts[at];
                if visibility.take().is_some() {
                    let path = format!("/posts/{id}");
                    let request = people[*author].request(Method::DELETE, &path);
                    people[*author].send(request).await.expect(200);
                }
            }
            _ => {
                let visibility = dice.one_of(&VISIBILITIES);
                let id = person.write_for("x", visibility).await;
                model.posts.push((id, one, Some(visibility)));
            }
        }
        let viewer = usize::try_from(dice.below(PEOPLE as u64)).unwrap();
        let limit = 1 + dice.below(20);
        assert_eq!(pages(&people[viewer], limit).await, model.home(viewer));
    }
}
