//! Search: what is found, by what, and how soon; and that an index that is lost, damaged or old makes no difference.
//! That nobody finds what they may not see is shown in `search_model`.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, Daemon, Person, Server, database, eventually, pictures};

/// An address with this query.
pub(crate) fn path(query: &str, more: &str) -> String {
    let bytes = query.bytes().map(|byte| format!("%{byte:02X}"));
    let query = bytes.collect::<Vec<_>>().concat();
    format!("/api/v1/search?q={query}{more}")
}

pub(crate) async fn found(person: &Client, query: &str) -> Value {
    person.get(&path(query, "")).await.expect(200)
}

/// The ids of what is found in a section.
pub(crate) fn hits(answer: &Value, section: &str) -> Vec<String> {
    let thing = section.trim_end_matches('s');
    let hits = answer[section]["hits"].as_array().unwrap();
    let id = |hit: &Value| match section {
        "people" => hit["id"].as_str().unwrap().to_owned(),
        "tags" => hit["name"].as_str().unwrap().to_owned(),
        _ => hit[thing]["id"].as_str().unwrap().to_owned(),
    };
    hits.iter().map(id).collect()
}

pub(crate) async fn posts(person: &Client, query: &str) -> Vec<String> {
    hits(&found(person, query).await, "posts")
}

async fn befriend(one: &Person, other: &Person) {
    one.follow(other).await;
    other.follow(one).await;
}

pub(crate) async fn say(person: &Person, room: &str, text: &str) -> String {
    let body = json!({ "message": text });
    let reply = person.post(&format!("/chat/{room}/message"), body).await;
    reply.expect(200)["data"]["id"].as_str().unwrap().to_owned()
}

fn conversation(one: &Person, other: &Person) -> String {
    let mut ids = [one.id.as_str(), other.id.as_str()];
    ids.sort_unstable();
    ids.join("_")
}

/// A highlight with what fits in brackets.
fn marked(highlight: &Value) -> String {
    let segments = highlight["segments"].as_array().unwrap().iter();
    segments
        .map(|segment| {
            let text = segment["text"].as_str().unwrap();
            if segment["isMatch"] == true {
                format!("[{text}]")
            } else {
                text.to_owned()
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_finds_everything_within_a_second() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bob = server.sign_up("lighthouse").await;
    let began = std::time::Instant::now();
    let post = ada.write("The lighthouses of #lighthouse island").await;
    eventually("the post is found", || async {
        (!posts(&bob, "lighthouse").await.is_empty()).then_some(())
    })
    .await;
    // Generous, since all tests share the machine: it is a quarter of a second and a commit.
    assert!(began.elapsed().as_secs() < 5);
    let comment = bob.comment(&post, None, "<b>A lighthouse</b> & more").await;
    let message = say(&bob, "harbour", "Which lighthouse?").await;
    server.indexed().await;
    let answer = found(&bob, "lighthouse").await;
    assert_eq!(answer["rebuilding"], false);
    assert_eq!(hits(&answer, "posts"), [post]);
    assert_eq!(hits(&answer, "comments"), [comment]);
    assert_eq!(hits(&answer, "messages"), [message]);
    assert_eq!(hits(&answer, "people"), [bob.id.as_str()]);
    assert_eq!(hits(&answer, "tags"), ["lighthouse"]);
    for section in ["people", "tags", "posts", "comments", "messages"] {
        assert_eq!(answer[section]["total"], 1, "{section}");
        assert_eq!(answer[section]["isCapped"], false);
        assert!(
            answer["order"]
                .as_array()
                .unwrap()
                .contains(&json!(section))
        );
    }
    let shown = &answer["posts"]["hits"][0]["highlights"][0];
    assert_eq!(marked(shown), "The [lighthouses] of #[lighthouse] island");
    // Text, with nothing of HTML made or taken away.
    let shown = &answer["comments"]["hits"][0]["highlights"][0];
    assert_eq!(marked(shown), "<b>A [lighthouse]</b> & more");
    // Only what is asked for, and messages only of one's own rooms.
    let answer = ada.get(&path("lighthouse", "&types=posts,messages")).await;
    let answer = answer.expect(200);
    assert!(answer.get("people").is_none() && answer.get("comments").is_none());
    assert!(hits(&answer, "messages").is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operator_narrows() {
    let server = Server::start().await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| server.sign_up(name));
    let (ada, bob, eve) = tokio::join!(ada, bob, eve);
    let red = ada.write("A red boat #sea").await;
    let blue = bob.write("A blue boat, boat of #sail and rain").await;
    let order = ada.write("Boat red a").await;
    let picture = pictures::send(
        &bob,
        "/posts",
        pictures::form().text("content", "A boat in a picture"),
    )
    .await
    .expect(201)["post"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let comment = eve.comment(&red, None, "Nice boat").await;
    let said = say(&ada, "harbour", "A boat!").await;
    befriend(&ada, &bob).await;
    let whispered = say(&bob, &conversation(&ada, &bob), "Your boat is gone").await;
    server.indexed().await;
    let all = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    let expect = async |query: &str, wanted: &[&String]| {
        let seen = all(posts(&ada, query).await);
        let wanted = all(wanted.iter().map(|id| (*id).clone()).collect());
        assert_eq!(seen, wanted, "{query}");
    };
    expect("boat", &[&red, &blue, &order, &picture]).await;
    expect("boat red", &[&red, &order]).await;
    expect("\"red boat\"", &[&red]).await;
    expect("boat -red", &[&blue, &picture]).await;
    expect("boat -\"red boat\"", &[&blue, &order, &picture]).await;
    expect("#sea", &[&red]).await;
    expect("boat -#sea -#sail", &[&order, &picture]).await;
    expect("from:ada boat", &[&red, &order]).await;
    expect("from:@ADA boat", &[&red, &order]).await;
    expect("from:me", &[&red, &order]).await;
    expect("from:bob has:media", &[&picture]).await;
    expect("boat -from:ada", &[&blue, &picture]).await;
    expect("from:nobody-at-all boat", &[]).await;
    expect("has:media", &[&picture]).await;
    expect("boat after:2020-01-01", &[&red, &blue, &order, &picture]).await;
    expect("boat before:2020-01", &[]).await;
    expect("boat after:2090", &[]).await;
    let answer = found(&ada, "boat in:comments").await;
    assert_eq!(hits(&answer, "comments"), [comment]);
    assert!(answer.get("posts").is_none());
    let answer = found(&ada, "boat in:harbour").await;
    assert_eq!(hits(&answer, "messages"), [said.as_str()]);
    assert!(hits(&answer, "posts").is_empty());
    let answer = found(&ada, "boat in:@bob").await;
    assert_eq!(hits(&answer, "messages"), [whispered]);
    // An open room can be searched without being in it; others are as if there were nothing.
    let answer = found(&eve, "boat in:harbour").await;
    assert_eq!(hits(&answer, "messages"), [said]);
    for query in ["boat in:@bob", "boat in:nowhere", "boat in:@nobody"] {
        let answer = found(&eve, query).await;
        assert_eq!(answer["messages"]["total"], 0, "{query}");
    }
    // In order of time: the newest first.
    let answer = ada.get(&path("boat", "&types=posts&sort=newest")).await;
    let newest = hits(&answer.expect(200), "posts");
    assert_eq!(newest, [&picture, &order, &blue, &red].map(Clone::clone));
    for bad in [
        "",
        "   ",
        "\"",
        "before:then",
        "has:wings",
        &"x ".repeat(17),
        &"x".repeat(257),
    ] {
        let reply = ada.get(&path(bad, "")).await;
        reply.expect_code(400, "invalid_query");
    }
    for bad in ["&types=ships", "&cursor=x", "&page=2", "&sort=up"] {
        let reply = ada.get(&path("boat", bad)).await;
        assert_eq!(reply.status, 400, "{bad}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_found_in_their_languages() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let pairs = [
        ("run", "She was running along the river yesterday"),
        ("haus", "Die alten Häuser stehen noch am Fluss"),
        ("hauser", "Die alten Häuser am anderen Ufer sind verfallen"),
        ("chanson", "Nous écoutons de vieilles chansons françaises"),
        ("книга", "Я читаю интересные книги каждый вечер"),
        ("大学", "我昨天去了北京大学图书馆"),
        ("東京タワー", "昨日は東京タワーに登りました"),
        ("도서관", "오늘 도서관에서 책을 읽었다"),
        ("مكتبة", "قرأت الكتاب الجديد في مكتبة المدينة"),
        ("किताब", "मैंने कल एक नई किताब पढ़ी"),
        ("ภาษาไทย", "ฉันเรียนภาษาไทยทุกวัน"),
    ];
    let mut written = Vec::new();
    for (_, text) in pairs {
        written.push(ada.write(text).await);
    }
    server.indexed().await;
    for ((query, text), id) in pairs.iter().zip(&written) {
        let seen = posts(&ada, query).await;
        assert!(seen.contains(id), "{query} in {text}");
        let answer = found(&ada, query).await;
        let highlights = &answer["posts"]["hits"][0]["highlights"][0];
        assert!(marked(highlights).contains('['), "{answer}");
    }
    // One character alone, and at the end of what is quoted.
    for (query, shown) in [
        ("京", "昨日は東[京]タワーに登りました"),
        ("\"京\"", "昨日は東[京]タワーに登りました"),
        ("\"した\"", "昨日は東京タワーに登りま[した]"),
    ] {
        let answer = found(&ada, query).await;
        let hits = answer["posts"]["hits"].as_array().unwrap().iter();
        let texts: Vec<String> = hits.map(|hit| marked(&hit["highlights"][0])).collect();
        assert!(texts.iter().any(|text| text == shown), "{query}: {texts:?}");
    }
    // Parts of words that are none, and the same characters in another order.
    for query in ["riv", "京東", "学大"] {
        assert!(posts(&ada, query).await.is_empty(), "{query}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_tags_are_completed_and_forgiven_a_typo() {
    let server = Server::start().await;
    let ada = server.sign_up("ada_lovelace").await;
    let grace = server.sign_up("gracehopper").await;
    server.sign_up("日本太郎").await;
    ada.write("#rust #rustic").await;
    ada.write("#rust").await;
    ada.write_for("#rusty", "private").await;
    server.indexed().await;
    let suggest = async |person: &Person, begun: &str| {
        let path = path(begun, "").replace("/search?", "/search/suggest?");
        let reply = person.get(&path).await.expect(200);
        let names = |list: &str, field: &str| -> Vec<String> {
            let list = reply[list].as_array().unwrap().iter();
            list.map(|one| one[field].as_str().unwrap().to_owned())
                .collect()
        };
        (names("people", "username"), names("tags", "name"))
    };
    for begun in [
        "ada",
        "ADA_LOV",
        "lovel",
        "lovleace",
        "lovelace the",
        "@ada",
    ] {
        let (people, _) = suggest(&grace, begun).await;
        assert_eq!(people, ["ada_lovelace"], "{begun}");
    }
    let (people, _) = suggest(&grace, "gracehoper").await;
    assert_eq!(people, ["gracehopper"]);
    let (people, _) = suggest(&grace, "日本").await;
    assert_eq!(people, ["日本太郎"]);
    let (people, tags) = suggest(&grace, "#ru").await;
    assert!(people.is_empty());
    assert_eq!(tags, ["rust", "rustic"]);
    let (_, tags) = suggest(&ada, "rus").await;
    assert_eq!(tags, ["rust", "rustic", "rusty"]);
    let counts = found(&grace, "#rust").await["tags"]["hits"].clone();
    assert_eq!(counts[0], json!({ "name": "rust", "postsCount": 2 }));
    let shown = &found(&grace, "lovel").await["people"]["hits"][0]["highlights"];
    assert_eq!(marked(&shown[1]), "ada_[lovel]ace");
    assert_eq!(suggest(&grace, "").await, (vec![], vec![]));
    let long = path(&"x".repeat(65), "").replace("/search?", "/search/suggest?");
    grace.get(&long).await.expect_code(400, "invalid_query");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_removals_are_followed_at_once() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bob = server.sign_up("bob").await;
    let post = ada.write("apple").await;
    let comment = bob.comment(&post, None, "apple tart").await;
    let other = ada.write("apple too").await;
    let message = say(&ada, "kitchen", "apple pie").await;
    say(&bob, "kitchen", "hungry").await;
    server.indexed().await;
    // In the very next request, whatever the index has: nothing that is gone is found or counted.
    let counts = async |query: &str| {
        let answer = found(&bob, query).await;
        ["people", "posts", "comments", "messages"].map(|section| {
            let total = answer[section]["total"].as_u64().unwrap();
            assert_eq!(hits(&answer, section).len() as u64, total);
            total
        })
    };
    assert_eq!(counts("apple").await, [0, 2, 1, 1]);
    let hide = json!({ "visibility": "private" });
    ada.patch(&format!("/api/v1/posts/{post}"), hide)
        .await
        .expect(200);
    assert_eq!(counts("apple").await, [0, 1, 0, 1]);
    ada.delete(&format!("/api/v1/posts/{other}"))
        .await
        .expect(200);
    assert_eq!(counts("apple").await, [0, 0, 0, 1]);
    ada.delete(&format!("/chat/messages/{message}"))
        .await
        .expect(200);
    assert_eq!(counts("apple").await, [0; 4]);
    server.indexed().await;
    assert_eq!(counts("apple").await, [0; 4]);
    // And back, with another text.
    let show = json!({ "visibility": "public", "content": "pear" });
    ada.patch(&format!("/api/v1/posts/{post}"), show)
        .await
        .expect(200);
    let edit = json!({ "content": "pear tart" });
    bob.patch(&format!("/api/v1/posts/comment/{comment}"), edit)
        .await
        .expect(200);
    server.indexed().await;
    assert_eq!(counts("apple").await, [0; 4]);
    assert_eq!(counts("pear").await, [0, 1, 1, 0]);
    assert_eq!(counts("tart").await, [0, 0, 1, 0]);
    let name = json!({ "name": "Quincy" });
    ada.patch("/api/v1/users/profile", name).await.expect(200);
    server.indexed().await;
    assert_eq!(counts("quincy").await, [1, 0, 0, 0]);
    assert_eq!(counts("first").await, [1, 0, 0, 0]);
    // A block hides in the next request, and its end shows again.
    ada.post(&format!("/users/{}/block", bob.id), json!({}))
        .await
        .expect(200);
    assert_eq!(counts("pear").await, [0; 4]);
    assert_eq!(counts("quincy").await, [0; 4]);
    ada.delete(&format!("/users/{}/block", bob.id))
        .await
        .expect(200);
    assert_eq!(counts("pear").await, [0, 1, 1, 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_searched_by_those_who_are_in_it() {
    let server = Server::start().await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| server.sign_up(name));
    let (ada, bob, eve) = tokio::join!(ada, bob, eve);
    befriend(&ada, &bob).await;
    let room = conversation(&ada, &bob);
    for number in 1..=5 {
        say(&ada, &room, &format!("secret number {number}")).await;
    }
    say(&bob, "elsewhere", "secret").await;
    server.indexed().await;
    let path = format!("/chat/conversations/{room}/search?q=secret&limit=2");
    let rows = bob
        .walk(path.trim_end_matches("&limit=2"), "messages", 2)
        .await;
    let texts: Vec<&str> = rows
        .iter()
        .map(|row| row["message"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (1..=5)
        .rev()
        .map(|n| format!("secret number {n}"))
        .collect();
    assert_eq!(texts, expected);
    let reply = bob.get(&path).await.expect(200);
    assert_eq!(reply["total"], 5);
    assert_eq!(marked(&reply["highlights"][0][0]), "[secret] number 5");
    eve.get(&path).await.expect_code(403, "forbidden");
    bob.get(&format!("/chat/conversations/{room}/search?q="))
        .await
        .expect_code(400, "invalid_query");
    eve.get("/chat/conversations/nowhere/search?q=x")
        .await
        .expect_code(404, "room_not_found");
    // What one throws away for oneself is not found any more by oneself.
    bob.delete(&format!("/chat/conversations/{room}"))
        .await
        .expect(200);
    assert_eq!(bob.get(&path).await.expect(200)["total"], 0);
    assert_eq!(ada.get(&path).await.expect(200)["total"], 5);
    assert_eq!(found(&bob, "secret").await["messages"]["total"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut written: Vec<String> = join_all((0..60).map(|n| {
        let ada = &ada;
        // Of different lengths, so that they fit differently.
        async move {
            ada.write(&format!("harbour {}", "calm ".repeat(n % 7)))
                .await
        }
    }))
    .await;
    written.sort_unstable();
    server.indexed().await;
    for sort in ["best", "newest"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let more = format!("&types=posts&limit=7&sort={sort}{cursor}");
            let answer = ada.get(&path("harbour", &more)).await.expect(200);
            assert_eq!(answer["posts"]["total"], 60);
            let page = hits(&answer, "posts");
            assert!(!page.is_empty() && page.len() <= 7);
            seen.extend(page);
            match answer["posts"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, written, "{sort}");
    }
    let first = ada
        .get(&path("harbour", "&types=posts&limit=1"))
        .await
        .expect(200);
    let cursor = first["posts"]["next_cursor"].as_str().unwrap();
    for more in [
        format!("&cursor={cursor}"),
        format!("&types=posts&sort=newest&cursor={cursor}"),
    ] {
        let reply = ada.get(&path("harbour", &more)).await;
        reply.expect_code(400, "invalid_query");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_may_not_read_one_finds_nothing() {
    let server = Server::start_with_clock(|_config| {}).await;
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| server.sign_up(name));
    let (ada, bob, eve) = tokio::join!(ada, bob, eve);
    let counts = async |person: &Client, rooms: &[&str]| {
        let mut counts = vec![found(person, "password").await["messages"]["total"].clone()];
        for room in rooms {
            let answer = found(person, &format!("password in:{room}")).await;
            assert_eq!(hits(&answer, "messages").len(), answer["messages"]["total"]);
            counts.push(answer["messages"]["total"].clone());
        }
        counts
    };
    let search = |room: &str| format!("/chat/conversations/{room}/search?q=password");

    // Banned, and back.
    let den = json!({ "name": "den" });
    ada.post("/chat/rooms", den).await.expect(201);
    say(&ada, "den", "The password is rose").await;
    say(&bob, "den", "Thank you").await;
    server.indexed().await;
    assert_eq!(counts(&bob, &["den"]).await, [1, 1]);
    let ban = format!("/chat/rooms/den/bans/{}", bob.id);
    ada.put(&ban, json!({})).await.expect(200);
    assert_eq!(counts(&bob, &["den"]).await, [0, 0]);
    bob.get(&search("den"))
        .await
        .expect_code(403, "banned_from_room");
    ada.delete(&ban).await.expect(200);
    bob.post("/chat/rooms/den/join", json!({}))
        .await
        .expect(200);
    assert_eq!(counts(&bob, &["den"]).await, [1, 1]);

    // A room that is hidden from all who are not in it.
    let hidden = json!({ "name": "cellar", "visibility": "hidden" });
    ada.post("/chat/rooms", hidden).await.expect(201);
    say(&ada, "cellar", "Another password").await;
    server.indexed().await;
    assert_eq!(counts(&eve, &["cellar", "nowhere"]).await, [0, 0, 0]);
    for room in ["cellar", "nowhere"] {
        eve.get(&search(room))
            .await
            .expect_code(404, "room_not_found");
    }
    assert_eq!(counts(&ada, &["cellar"]).await, [2, 1]);

    // A request that was declined, and accepted after all.
    let settings = json!({ "whoMayMessage": "everyone" });
    eve.patch("/chat/settings", settings).await.expect(200);
    let room = conversation(&ada, &eve);
    say(&ada, &room, "Your password").await;
    server.indexed().await;
    assert_eq!(counts(&eve, &["@ada"]).await, [1, 1]);
    let answer = async |what: &str| {
        let path = format!("/chat/conversations/{room}/{what}");
        eve.post(&path, json!({})).await.expect(200);
    };
    answer("decline").await;
    assert_eq!(counts(&eve, &[]).await, [0]);
    answer("accept").await;
    assert_eq!(counts(&eve, &["@ada"]).await, [1, 1]);

    // What a room keeps no longer, at once.
    let keep = json!({ "retentionDays": 1 });
    ada.patch("/chat/rooms/den", keep).await.expect(200);
    server.advance(std::time::Duration::from_hours(25));
    let bob = server.log_in(&bob).await;
    server.app.chat().expire().await.unwrap();
    assert_eq!(counts(&bob, &["den"]).await, [0, 0]);
    server.indexed().await;
    assert_eq!(counts(&bob, &["den"]).await, [0, 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_mutes_is_not_suggested_and_can_be_asked_for() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let noisy = server.sign_up("noisy").await;
    noisy.write("#noise #noir").await;
    server.indexed().await;
    let suggested = async || {
        let reply = ada.get("/api/v1/search/suggest?q=noi").await.expect(200);
        let count = |list: &str| reply[list].as_array().unwrap().len();
        (count("people"), count("tags"))
    };
    assert_eq!(suggested().await, (1, 2));
    let mute = json!({ "kind": "tag", "text": "noise" });
    ada.post("/api/v1/mutes", mute).await.expect(201);
    ada.post(&format!("/users/{}/mute", noisy.id), json!({}))
        .await
        .expect(200);
    assert_eq!(suggested().await, (0, 1));
    let answer = found(&ada, "noi").await;
    assert_eq!(hits(&answer, "people"), [noisy.id.as_str()]);
    assert_eq!(hits(&answer, "tags"), ["noir", "noise"]);
    assert_eq!(posts(&ada, "#noise").await.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_nobody_may_see_push_out_none() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let eve = server.sign_up("eve").await;
    for _ in 0..3 {
        ada.write("#art #artist").await;
    }
    ada.write("#artist #ant").await;
    eve.write_for("#aa0", "private").await;
    let server = server
        .edit(|database| {
            database
                .execute_batch(
                    "UPDATE posts
                     SET hashtags = (WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 3000)
                                     SELECT json_group_array('aa' || n) FROM counted)
                     WHERE visibility = 2;
                     INSERT INTO tags (tag, posts_count)
                     WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 2000)
                     SELECT 'ab' || n, 1 FROM counted;",
                )
                .unwrap();
        })
        .await
        .restart_without("search")
        .await;
    let (ada, eve) = (ada.at(&server), eve.at(&server));
    server.indexed().await;
    let suggested = async |person: &Client, begun: &str| -> Vec<String> {
        let path = format!("/api/v1/search/suggest?q=%23{begun}&limit=2");
        let reply = person.get(&path).await.expect(200);
        let tags = reply["tags"].as_array().unwrap().iter();
        tags.map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(suggested(&ada, "a").await, ["artist", "art"]);
    assert_eq!(suggested(&ada, "aa").await, [""; 0]);
    assert_eq!(suggested(&eve, "aa2999").await, ["aa2999"]);
    assert_eq!(suggested(&eve, "aa").await.len(), 2);
    let answer = ada.get(&path("#ar", "&limit=1")).await.expect(200);
    assert_eq!(hits(&answer, "tags"), ["artist"]);
    assert_eq!(answer["tags"]["isCapped"], true);
    server.stop().await;
}

/// The directory of the present index, if it is complete.
fn index_path(server: &Server) -> Option<PathBuf> {
    let dir = server.app.data_dir().join("search");
    let current = std::fs::read_to_string(dir.join("current.json")).ok()?;
    let current: Value = serde_json::from_str(&current).ok()?;
    Some(dir.join(current["dir"].as_str()?))
}

fn index_dir(server: &Server) -> PathBuf {
    index_path(server).unwrap()
}

/// Writes something of each kind; what [`finds_all`] looks for.
async fn populate(server: &Server) -> Person {
    let ada = server.sign_up("ada").await;
    let post = ada.write("treasure #map").await;
    ada.comment(&post, None, "treasure").await;
    say(&ada, "island", "treasure").await;
    server.indexed().await;
    finds_all(&ada).await;
    ada
}

async fn finds_all(ada: &Client) {
    let answer = found(ada, "treasure").await;
    for section in ["posts", "comments", "messages"] {
        assert_eq!(answer[section]["total"], 1, "{section}: {answer}");
    }
    assert_eq!(hits(&found(ada, "#map").await, "tags"), ["map"]);
    assert_eq!(found(ada, "ada").await["people"]["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_lost_damaged_or_old_is_made_anew() {
    let server = Server::start().await;
    let ada = populate(&server).await;
    let server = server.restart().await;
    let ada = ada.at(&server);
    server.indexed().await;
    finds_all(&ada).await;
    let server = server.restart_without("search").await;
    let ada = ada.at(&server);
    server.indexed().await;
    finds_all(&ada).await;
    // Files that are not as they were written, and an index of another form.
    let mut server = server;
    for case in ["meta", "segment", "format", "current"] {
        let dir = index_dir(&server);
        server = server.edit(move |_database| damage(&dir, case)).await;
        let ada = ada.at(&server);
        server.indexed().await;
        finds_all(&ada).await;
    }
    server.stop().await;
}

fn damage(dir: &Path, case: &str) {
    let overwrite = |path: &Path| {
        let length = std::fs::metadata(path).unwrap().len();
        std::fs::write(path, vec![0xA5; usize::try_from(length).unwrap()]).unwrap();
    };
    let files = std::fs::read_dir(dir).unwrap();
    let is_of_terms = |path: &PathBuf| path.extension().is_some_and(|end| end == "term");
    let mut terms = files.map(|entry| entry.unwrap().path()).filter(is_of_terms);
    let current = dir.with_file_name("current.json");
    match case {
        "meta" => overwrite(&dir.join("meta.json")),
        "segment" => overwrite(&terms.next().unwrap()),
        "format" => std::fs::write(current, r#"{"format":0,"dir":"1"}"#).unwrap(),
        _ => std::fs::write(current, "x").unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_has_the_index_compared_and_made_anew_while_it_serves() {
    let server = Server::start().await;
    let ada = populate(&server).await;
    let admin = server.set_up("chief").await;
    server.indexed().await;
    let status = async || admin.get("/api/v1/admin/search").await.expect(200);
    let compared = async || {
        let reply = admin.post("/api/v1/admin/search/verify", json!({})).await;
        reply.expect(202);
        eventually("the index is compared", || async {
            let result = status().await["verification"]["result"].clone();
            (!result.is_null()).then_some(result)
        })
        .await
    };
    let sound = json!({
        "checked": 5, "missing": 0, "outdated": 0, "surplus": 0, "damagedFiles": [], "error": null,
    });
    assert_eq!(compared().await, sound);
    assert_eq!(status().await["documents"], 5);
    // Behind its back: one thing is gone, one is other, one is new.
    database::connect_to_write(server.app.data_dir())
        .execute_batch(
            "UPDATE posts SET content = 'gold';
             UPDATE comments SET is_deleted = 1;
             INSERT INTO messages (id, room_id, number, sender_id, body, has_media, created_at)
             SELECT id + 1, room_id, number + 1, sender_id, 'gold', 0, created_at FROM messages;",
        )
        .unwrap();
    let found_out = compared().await;
    for field in ["missing", "outdated", "surplus"] {
        assert_eq!(found_out[field], 1, "{field}: {found_out}");
    }
    eventually("what was wrong is put right", || async {
        let answer = found(&ada, "gold").await;
        (answer["posts"]["total"] == 1 && answer["messages"]["total"] == 1).then_some(())
    })
    .await;
    assert_eq!(
        found(&ada, "treasure in:comments").await["comments"]["total"],
        0
    );
    // Damaged while it serves.
    let dir = index_dir(&server);
    damage(&dir, "segment");
    admin
        .post("/api/v1/admin/search/verify", json!({}))
        .await
        .expect(202);
    eventually("another index", || async {
        (index_path(&server).is_some_and(|now| now != dir)).then_some(())
    })
    .await;
    server.indexed().await;
    assert_eq!(found(&ada, "gold").await["messages"]["total"], 1);
    // All the time there is an answer.
    let dir = index_dir(&server);
    admin
        .post("/api/v1/admin/search/rebuild", json!({}))
        .await
        .expect(202);
    eventually("another index", || async {
        assert_eq!(found(&ada, "gold").await["posts"]["total"], 1);
        (index_dir(&server) != dir).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_loses_nothing() {
    let mut daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let mut written = 0;
    for round in 0..3 {
        let client = daemon.client();
        let ada = &ada.at(&client);
        let some = (0..40).map(|n| async move {
            if n % 2 == 0 {
                ada.write("persistent").await;
            } else {
                say(ada, "cellar", "persistent").await;
            }
        });
        join_all(some).await;
        written += 20;
        // Something changes as well, so that not all is new.
        let post = ada.write("persistent").await;
        ada.delete(&format!("/api/v1/posts/{post}"))
            .await
            .expect(200);
        if round == 1 {
            // Not only in the middle of the first commits.
            tokio::time::timeout(
                std::time::Duration::from_millis(400),
                std::future::pending::<()>(),
            )
            .await
            .ok();
        }
        daemon = daemon.kill_and_restart().await;
        let ada = &ada.at(&daemon.client());
        eventually("all is found again", || async {
            let answer = found(ada, "persistent").await;
            let is_there = |section: &str| answer[section]["total"] == written;
            (answer["rebuilding"] == false && is_there("posts") && is_there("messages"))
                .then_some(())
        })
        .await;
    }
}
