//! People: profiles, follows, search (contract, section 3).

use serde_json::{Value, json};

use crate::support::{Client, PASSWORD, Person, Server, ids, keys};

async fn profile(of: &Person, seen_by: &Client) -> Value {
    let path = format!("/users/profile/{}", of.id);
    seen_by.get(&path).await.expect(200)["user"].clone()
}

async fn counts(person: &Person) -> Value {
    person.get("/users/counts").await.expect(200)["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_signed_up_has_a_profile_at_once() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for prefix in ["", "/api/v1"] {
        let own = ada
            .get(&format!("{prefix}/users/profile"))
            .await
            .expect(200);
        assert_eq!(
            keys(&own["user"]),
            [
                "avatar",
                "banner",
                "bio",
                "createdAt",
                "followersCount",
                "followingCount",
                "followsMe",
                "id",
                "isBlocked",
                "isFollowing",
                "isMuted",
                "name",
                "postsCount",
                "username",
            ]
        );
        let path = format!("{prefix}/users/profile/{}", ada.id);
        assert_eq!(ada.get(&path).await.expect(200)["user"], own["user"]);
        assert_eq!(bob.get(&path).await.expect(200)["user"], own["user"]);
        let by_name = format!("{prefix}/users/by-username/ADA");
        assert_eq!(bob.get(&by_name).await.expect(200)["user"], own["user"]);
    }
    let own = profile(&ada, &ada).await;
    for absent in ["banner", "bio"] {
        assert!(own[absent].is_null(), "{absent} is null, not missing");
    }
    assert_eq!(own["isFollowing"], false);
    assert_eq!(own["followsMe"], false);
    for id in ["1", "999999999999", "abc", "-1", "99999999999999999999"] {
        let reply = bob.get(&format!("/users/profile/{id}")).await;
        reply.expect(404);
    }
    bob.get("/users/by-username/nobody")
        .await
        .expect_code(404, "user_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changes_ones_own_profile() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let change = json!({
        "name": "Countess of Lovelace", "bio": "Poetical\nscience.", "avatar": "https://example.org/ada.webp",
        "banner": "/media/1.webp", "username": "Lovelace",
    });
    let changed = ada
        .patch("/users/profile", change.clone())
        .await
        .expect(200);
    for field in ["name", "bio", "avatar", "username"] {
        assert_eq!(changed["user"][field], change[field], "{field}");
    }
    let banner = json!(server.url("/media/1.webp"));
    assert_eq!(changed["user"]["banner"], banner);
    assert_eq!(profile(&ada, &bob).await["bio"], "Poetical\nscience.");

    // Absent fields stay; null or an empty text empties.
    let changed = ada
        .patch("/users/profile", json!({ "bio": null, "avatar": "" }))
        .await
        .expect(200);
    assert!(changed["user"]["bio"].is_null());
    // Without a picture of her own there is the one that the server draws.
    let drawn = server.url(&format!("/media/avatars/{}", ada.id));
    assert_eq!(changed["user"]["avatar"], drawn);
    assert_eq!(changed["user"]["name"], change["name"]);
    assert_eq!(changed["user"]["banner"], banner);

    // The old name is free, the new one is hers, and both routes of the contract do the same.
    server.try_log_in("Lovelace", PASSWORD).await.expect(200);
    server
        .try_log_in("ada", PASSWORD)
        .await
        .expect_code(401, "invalid_credentials");
    bob.patch("/auth/profile", json!({ "username": "ada" }))
        .await
        .expect(200);
    bob.patch("/users/profile", json!({ "username": "LOVELACE" }))
        .await
        .expect_code(409, "username_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_takes_nothing_out_of_range() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for (field, bad) in [
        ("name", json!("")),
        ("name", json!("n".repeat(51))),
        ("name", json!("a\u{202E}b")),
        ("name", json!(7)),
        ("username", json!("ab")),
        ("username", json!("a b c")),
        ("bio", json!("b".repeat(501))),
        ("bio", json!("a\u{0}b")),
        ("bio", json!(["a"])),
        ("avatar", json!("javascript:alert(1)")),
        ("avatar", json!("https://example.org/a b")),
        (
            "banner",
            json!(format!("https://example.org/{}", "x".repeat(2_048))),
        ),
    ] {
        let reply = ada.patch("/users/profile", json!({ field: bad })).await;
        let body = reply.expect_code(400, "invalid_fields");
        assert_eq!(body["errors"][0]["field"], field);
    }
    ada.patch("/users/profile", json!({}))
        .await
        .expect_code(400, "nothing_to_change");
    ada.patch("/users/profile", json!({ "role": "ADMIN" }))
        .await
        .expect_code(400, "nothing_to_change");
    assert_eq!(profile(&ada, &ada).await["name"], "ada the First");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_is_one_row_however_often_it_begins_and_ends() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let (follow, unfollow) = (
        format!("/users/follow/{}", bob.id),
        format!("/users/unfollow/{}", bob.id),
    );
    let first = ada.post(&follow, json!({})).await.expect(200)["data"].clone();
    assert_eq!(
        keys(&first),
        [
            "createdAt",
            "followerId",
            "followingId",
            "id",
            "isActive",
            "isDeleted"
        ]
    );
    assert_eq!(first["followerId"], ada.id.as_str());
    assert_eq!(first["followingId"], bob.id.as_str());
    assert_eq!(
        (&first["isActive"], &first["isDeleted"]),
        (&json!(true), &json!(false))
    );

    let again = ada.post(&follow, json!({})).await.expect(200);
    assert_eq!(again["data"], first, "again changes nothing");
    assert_eq!(profile(&bob, &ada).await["followersCount"], 1);

    for _ in 0..2 {
        let ended = ada.post(&unfollow, json!({})).await.expect(200);
        assert_eq!(ended["data"], true);
        assert_eq!(profile(&bob, &ada).await["followersCount"], 0);
    }
    let revived = ada
        .post(&format!("/api/v1{follow}"), json!({}))
        .await
        .expect(200);
    assert_eq!(revived["data"], first, "with its id and its date");
    let ended = ada.delete(&format!("/api/v1{unfollow}")).await.expect(200);
    assert_eq!(ended["data"], true);
    assert_eq!(counts(&ada).await["following"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_moves_the_counts_by_one_and_shows_on_both_sides() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    ada.follow(&bob).await;
    let seen = profile(&bob, &ada).await;
    assert_eq!(
        (&seen["isFollowing"], &seen["followsMe"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&seen["followersCount"], &seen["followingCount"]),
        (&json!(1), &json!(0))
    );
    let seen = profile(&ada, &bob).await;
    assert_eq!(
        (&seen["isFollowing"], &seen["followsMe"]),
        (&json!(false), &json!(true))
    );
    bob.write("One").await;
    bob.write_for("Two", "private").await;
    assert_eq!(
        counts(&ada).await,
        json!({ "followers": 0, "following": 1, "posts": 0 })
    );
    assert_eq!(
        counts(&bob).await,
        json!({ "followers": 1, "following": 0, "posts": 2 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_follows_neither_oneself_nor_nobody() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for verb in ["follow", "unfollow"] {
        let path = format!("/users/{verb}/{}", ada.id);
        ada.post(&path, json!({}))
            .await
            .expect_code(400, "cannot_follow_self");
        for id in ["1", "abc", "99999999999999999999"] {
            ada.post(&format!("/users/{verb}/{id}"), json!({}))
                .await
                .expect(404);
        }
    }
    // A person without a body in the request follows all the same, as in the original.
    let bob = server.sign_up("bob").await;
    let request = ada.request(reqwest::Method::POST, &format!("/users/follow/{}", bob.id));
    ada.send(request).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_follows_page_newest_first_under_all_their_names() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut people = Vec::new();
    for number in 0..7 {
        let person = server.sign_up(&format!("person{number}")).await;
        person.follow(&ada).await;
        ada.follow(&person).await;
        people.push(person);
    }
    people.reverse();
    let newest_first: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    for list in ["followers", "following"] {
        for path in [
            format!("/users/{list}"),
            format!("/users/{list}/list"),
            format!("/users/{list}/{}", ada.id),
            format!("/api/v1/users/{list}"),
            format!("/api/v1/users/{list}/list"),
            format!("/api/v1/users/{list}/{}", ada.id),
        ] {
            let whole = ada.get(&path).await.expect(200);
            let found = whole[list].as_array().unwrap();
            assert_eq!(ids(found), newest_first, "{path}");
            assert_eq!(keys(&found[0]), ["avatar", "id", "name", "username"]);
            let walked = ada.walk(&path, list, 3).await;
            assert_eq!(ids(&walked), newest_first, "{path}");
        }
        let own = ada
            .get(&format!("/users/{list}/list?limit=3&page=2"))
            .await
            .expect(200);
        assert_eq!(
            own["pagination"],
            json!({ "currentPage": 2, "totalPages": 3, "hasMore": true, "total": 7 })
        );
        assert_eq!(ids(own[list].as_array().unwrap()), newest_first[3..6]);
        let rows = own["data"].as_array().unwrap();
        let side = if list == "followers" {
            "followerId"
        } else {
            "followingId"
        };
        let others: Vec<&str> = rows.iter().map(|row| row[side].as_str().unwrap()).collect();
        assert_eq!(
            others,
            newest_first[3..6],
            "the rows behind them, in the same order"
        );
    }
    // Who is followed no more leaves the list.
    people[0]
        .delete(&format!("/users/unfollow/{}", ada.id))
        .await
        .expect(200);
    let left = ada.get("/users/followers").await.expect(200);
    assert_eq!(
        ids(left["followers"].as_array().unwrap()),
        newest_first[1..]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_capped_and_refuses_what_is_no_page() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in [
        "/users/followers",
        "/users/following/list",
        "/users/mutuals",
        "/posts/",
        "/posts/getall",
        &format!("/posts/user/{}", ada.id),
    ] {
        for query in [
            "limit=0",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=1.5",
            "page=0",
            "page=-1",
            "page=x",
            "cursor=x",
            "cursor=%00",
            "page=9999999",
        ] {
            ada.get(&format!("{path}?{query}"))
                .await
                .expect_code(400, "invalid_query");
        }
        ada.get(&format!("{path}?limit=99999999999999999999&cursor="))
            .await
            .expect(200);
        ada.get(&format!("{path}?page=500")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_a_hundred_at_most() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for number in 0..103 {
        ada.write(&format!("Post {number}")).await;
    }
    for path in [
        "/posts/?limit=1000",
        "/posts/getall",
        "/posts/getall?limit=5000",
    ] {
        let page = ada.get(path).await.expect(200);
        assert_eq!(page["posts"].as_array().unwrap().len(), 100, "{path}");
        assert!(page["next_cursor"].is_string());
    }
    assert_eq!(ada.walk("/posts/getall", "posts", 100).await.len(), 103);
    assert_eq!(ada.get("/posts/getall").await.expect(200)["count"], 103);
}

#[tokio::test(flavor = "multi_thread")]
async fn mutuals_are_those_who_follow_each_other() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut mutual = Vec::new();
    for number in 0..5 {
        let person = server.sign_up(&format!("mutual{number}")).await;
        person.follow(&ada).await;
        ada.follow(&person).await;
        mutual.push(person.id);
    }
    let (fan, idol) = (server.sign_up("fan").await, server.sign_up("idol").await);
    fan.follow(&ada).await;
    ada.follow(&idol).await;
    let mut found: Vec<String> = Vec::new();
    for person in ada.walk("/users/mutuals", "users", 2).await {
        found.push(person["id"].as_str().unwrap().to_owned());
    }
    found.sort();
    assert_eq!(found, mutual);

    // "Followed by ... whom you know": of those who follow `ada`, the ones whom the fan follows.
    let known = format!("/users/mutuals/{}", ada.id);
    assert_eq!(fan.get(&known).await.expect(200)["users"], json!([]));
    let first = Person {
        id: mutual[0].clone(),
        ..fan.clone()
    };
    fan.follow(&first).await;
    let users = fan.get(&known).await.expect(200)["users"].clone();
    assert_eq!(ids(users.as_array().unwrap()), [mutual[0].as_str()]);
    fan.get("/users/mutuals/1")
        .await
        .expect_code(404, "user_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_the_beginning_of_a_name() {
    let server = Server::start().await;
    let ada = server.sign_up("ada_lovelace").await;
    ada.patch("/users/profile", json!({ "name": "Augusta King-Noël" }))
        .await
        .expect(200);
    let (maria, bob) = (server.sign_up("мария").await, server.sign_up("bob").await);
    let found = async |query: &str| {
        let request = bob
            .request(reqwest::Method::GET, "/users/search")
            .query(&[("query", query)]);
        let body = bob.send(request).await.expect(200);
        let mut usernames: Vec<String> = Vec::new();
        for user in body["users"].as_array().unwrap() {
            assert_eq!(keys(user), ["avatar", "id", "name", "username"]);
            usernames.push(user["username"].as_str().unwrap().to_owned());
        }
        usernames
    };
    for query in [
        "ada", "ADA_L", "@ada", "love", "aug", "king", "noël", " ada ",
    ] {
        assert_eq!(found(query).await, ["ada_lovelace"], "{query}");
    }
    assert_eq!(found("МАР").await, [maria.username.as_str()]);
    // What other searches take for a wildcard is text here.
    for query in ["%", "_", "a%", "ad_", "*", "%ada", "ada'--", "\\", "bob"] {
        assert_eq!(found(query).await, Vec::<String>::new(), "{query}");
    }
    for query in [
        "",
        "?query=",
        "?query=%20",
        &format!("?query={}", "x".repeat(101)),
    ] {
        bob.get(&format!("/users/search{query}")).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_twenty_at_most_and_never_oneself() {
    let server = Server::start().await;
    let mut last = server.sign_up("person00").await;
    for number in 1..23 {
        last = server.sign_up(&format!("person{number:02}")).await;
    }
    let found = last.get("/users/search?query=person").await.expect(200);
    let users = found["users"].as_array().unwrap();
    assert_eq!(users.len(), 20);
    assert!(!ids(users).contains(&last.id.as_str()));
    assert!(found["next_cursor"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_only_looks_different_is_taken() {
    let server = Server::start().await;
    for username in ["alice", "paypal", "Ian_m"] {
        server.sign_up(username).await;
    }
    for (number, lookalike) in [
        "аlice",
        "alicе",
        "ALICE",
        "ａｌｉｃｅ",
        "paypa1",
        "раураl",
        "lan_m",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({
            "name": "Eve", "email": format!("eve{number}@example.org"), "username": lookalike, "password": PASSWORD,
        });
        server
            .post("/auth/signup", body)
            .await
            .expect_code(409, "username_taken");
        let free = server
            .post(&format!("/auth/check/{lookalike}"), json!({}))
            .await
            .expect(200);
        assert_eq!(free["available"], false, "{lookalike}");
    }
    server.sign_up("alicia").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_about_people_wants_a_token() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in [
        "/users/profile",
        "/users/counts",
        "/users/followers",
        "/users/followers/list",
        "/users/following",
        "/users/search?query=ada",
        "/users/mutuals",
        "/users/nothing",
        &format!("/users/profile/{}", ada.id),
    ] {
        let reply = server.get(path).await;
        assert!(
            matches!(reply.status.as_u16(), 401 | 404),
            "{path}: {}",
            reply.status
        );
        reply.expect(reply.status.as_u16());
    }
}
