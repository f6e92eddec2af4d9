//! Signing up and in, what a token is worth, sessions (contract, section 2).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Server, claims_of, database, ids, keys, sign, unsigned};

const SECRET: &str = "a secret that the tests know";

fn draft(username: &str) -> Value {
    json!({
        "name": "Ada", "email": format!("{username}@example.org"), "username": username, "password": PASSWORD,
    })
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

async fn server_with_known_secret() -> Server {
    Server::start_with(|config| config.auth.jwt_secret = Some(SECRET.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_answers_the_account_and_a_token() {
    let server = Server::start().await;
    for (prefix, username) in [("", "ada"), ("/api/v1", "bob")] {
        let reply = server
            .post(&format!("{prefix}/auth/signup"), draft(username))
            .await;
        let body = reply.expect(201);
        assert_eq!(keys(&body), ["message", "success", "token", "user"]);
        assert_eq!(
            keys(&body["user"]),
            ["email", "id", "isVerified", "name", "role", "username"]
        );
        assert_eq!(body["success"], true);
        assert_eq!(body["user"]["username"], username);
        assert_eq!(body["user"]["role"], "USER");
        assert_eq!(body["user"]["isVerified"], false);
        // The original's script takes the token out of the text.
        assert!(reply.text.contains("\"token\":\""), "{}", reply.text);
        assert!(!reply.text.contains("assword"), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_it_is_and_lasts_a_day() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let (header, claims) = claims_of(&ada.token);
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
    assert_eq!(
        keys(&claims),
        [
            "email",
            "exp",
            "iat",
            "id",
            "isVerified",
            "jti",
            "role",
            "username"
        ]
    );
    assert_eq!(claims["id"], ada.id.as_str());
    assert_eq!(claims["username"], "ada");
    assert_eq!(claims["email"], ada.email.as_str());
    assert_eq!(claims["role"], "USER");
    assert_eq!(claims["isVerified"], false);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        86_400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_takes_what_is_in_range_and_names_what_is_not() {
    let server = Server::start().await;
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        draft(&format!("person{number}"))
    };
    for (field, good) in [
        ("name", "A".to_owned()),
        ("name", "n".repeat(50)),
        ("name", "Zoë 👩‍🚀".to_owned()),
        ("username", "abc".to_owned()),
        ("username", "x".repeat(30)),
        ("username", "日本語".to_owned()),
        ("username", "мария".to_owned()),
        ("username", "a_b.c-d".to_owned()),
        ("password", "e".repeat(8)),
        ("password", "f".repeat(256)),
        ("password", "Password123!".to_owned()),
        ("password", "SecurePass123!".to_owned()),
        ("email", "first.last+tag@sub.example.org".to_owned()),
    ] {
        let reply = server
            .post("/auth/signup", with(fresh(), field, good.as_str()))
            .await;
        assert_eq!(reply.status, 201, "{field} {good}: {}", reply.text);
    }
    for (field, bad) in [
        ("name", String::new()),
        ("name", "  ".to_owned()),
        ("name", "n".repeat(51)),
        ("username", "ab".to_owned()),
        ("username", "y".repeat(31)),
        ("username", "a b c".to_owned()),
        ("username", "a/b".to_owned()),
        ("password", "1234567".to_owned()),
        ("password", "g".repeat(257)),
        ("password", "password".to_owned()),
        ("password", "12345678".to_owned()),
        ("password", "ILoveYou".to_owned()),
        ("email", "nobody".to_owned()),
        ("email", "a@b".to_owned()),
        ("email", "a..b@example.org".to_owned()),
        ("email", "a@example.org\r\nBcc: b@example.org".to_owned()),
    ] {
        let reply = server
            .post("/auth/signup", with(fresh(), field, bad.as_str()))
            .await;
        let body = reply.expect_code(400, "invalid_fields");
        assert_eq!(body["errors"][0]["field"], field, "{bad}");
    }
    for field in ["name", "email", "username", "password"] {
        let mut body = fresh();
        body.as_object_mut().unwrap().remove(field);
        let body = server
            .post("/auth/signup", body)
            .await
            .expect_code(400, "invalid_fields");
        assert_eq!(body["errors"][0]["field"], field);
        assert_eq!(body["errors"][0]["code"], "required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_up_as_an_admin() {
    let server = Server::start().await;
    let body = with(with(draft("eve"), "role", "ADMIN"), "isVerified", true);
    let body = server.post("/auth/signup", body).await.expect(201);
    assert_eq!(body["user"]["role"], "USER");
    assert_eq!(body["user"]["isVerified"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_username_belong_to_one_person() {
    let server = Server::start().await;
    server.sign_up("Ada").await;
    for email in ["Ada@example.org", "ADA@EXAMPLE.ORG"] {
        let again = with(draft("other"), "email", email);
        server
            .post("/auth/signup", again)
            .await
            .expect_code(409, "email_taken");
    }
    for username in ["Ada", "ada", "ADA"] {
        let again = with(
            with(draft("other"), "username", username),
            "email",
            "new@example.org",
        );
        server
            .post("/auth/signup", again)
            .await
            .expect_code(409, "username_taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_one_name_at_once_one_gets_it() {
    let server = Server::start().await;
    let attempts = (0..8).map(|number| {
        let body = with(draft("wanted"), "email", format!("p{number}@example.org"));
        server.post("/auth/signup", body)
    });
    let replies = futures_util::future::join_all(attempts).await;
    let won = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(won, 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.expect_code(409, "username_taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_in_by_address_or_username_in_any_case() {
    let server = Server::start().await;
    let ada = server.sign_up("Ada").await;
    for (field, value) in [
        ("identifier", "Ada"),
        ("identifier", "ada"),
        ("identifier", "Ada@example.org"),
        ("identifier", "ada@EXAMPLE.org"),
        ("username", "ada"),
        ("email", "ada@example.org"),
    ] {
        for prefix in ["", "/api/v1"] {
            let body = json!({ field: value, "password": PASSWORD });
            let body = server
                .post(&format!("{prefix}/auth/login"), body)
                .await
                .expect(200);
            assert_eq!(keys(&body), ["message", "success", "token", "user"]);
            assert_eq!(body["user"]["id"], ada.id.as_str());
            assert_eq!(body["user"]["username"], "Ada", "stored as typed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_get_one_answer() {
    let server = Server::start().await;
    server.sign_up("ada").await;
    let wrong = server.try_log_in("ada", "not her password").await;
    wrong.expect_code(401, "invalid_credentials");
    for identifier in [
        "nobody",
        "nobody@example.org",
        "ada@example.com",
        "'; --",
        "",
    ] {
        let unknown = server.try_log_in(identifier, PASSWORD).await;
        assert_eq!(
            (unknown.status, &unknown.text),
            (wrong.status, &wrong.text),
            "{identifier}"
        );
    }
    let body = json!({ "identifier": "ada" });
    server
        .post("/auth/login", body)
        .await
        .expect_code(400, "invalid_fields");
    let body = json!({ "password": PASSWORD });
    server
        .post("/auth/login", body)
        .await
        .expect_code(400, "invalid_fields");
    let endless = "x".repeat(100_000);
    server
        .try_log_in("ada", &endless)
        .await
        .expect_code(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_a_refusal_takes_does_not_tell_who_has_an_account() {
    // Enough work that the hash outweighs everything else.
    let server = Server::start_with(|config| config.auth.argon2_memory_kib = 4096).await;
    server.sign_up("ada").await;
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..5 {
        for (slot, identifier) in quickest.iter_mut().zip(["ada", "nobody"]) {
            let started = Instant::now();
            server
                .try_log_in(identifier, "not the password")
                .await
                .expect(401);
            *slot = started.elapsed().min(*slot);
        }
    }
    let [known, unknown] = quickest;
    assert!(
        unknown * 2 > known && known * 2 > unknown,
        "{known:?} {unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_answered_with_its_claims_in_a_header() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in ["/auth/verify-user", "/api/v1/auth/verify-user"] {
        let reply = ada.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
        let payload: Value = serde_json::from_str(reply.header("x-user-payload")).unwrap();
        assert_eq!(payload, claims_of(&ada.token).1);
    }
    // The scheme is not looked at, as in the original.
    let token = server.with("authorization", &format!("Token {}", ada.token));
    token.get("/auth/verify-user").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_11_a_username_beyond_latin_1_travels_as_ascii() {
    let server = Server::start().await;
    for username in ["日本語さん", "мария", "zoë", "𝒶𝒷𝒸x"] {
        let email = format!("{}@example.org", username.len());
        let body = with(draft(username), "email", email);
        let body = server.post("/auth/signup", body).await.expect(201);
        let client = server.with_token(body["token"].as_str().unwrap());
        let reply = client.get("/auth/verify-user").await;
        assert_eq!(reply.status, 200);
        let header = reply.header("x-user-payload");
        assert!(!header.is_empty() && header.is_ascii(), "{header}");
        let payload: Value = serde_json::from_str(header).unwrap();
        assert_eq!(payload["username"], body["user"]["username"]);
        client.get("/users/profile").await.expect(200);
        client
            .post("/posts/", json!({ "content": "hi" }))
            .await
            .expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_of_ours_is_refused_everywhere() {
    let server = server_with_known_secret().await;
    let ada = server.sign_up("ada").await;
    let (_, claims) = claims_of(&ada.token);
    let without = |field: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(field);
        claims
    };
    // The forgery itself is sound: with nothing changed it is let in.
    let forged = server.with_token(&sign(&claims, SECRET));
    forged.get("/auth/verify-user").await.expect(200);

    let mut cut = ada.token.clone();
    cut.pop();
    let bob = server.sign_up("bob").await;
    for (what, token) in [
        ("junk", "junk".to_owned()),
        ("three parts of junk", "a.b.c".to_owned()),
        ("a cut signature", cut),
        ("alg none", unsigned(&claims)),
        ("another secret", sign(&claims, "another secret")),
        (
            "expired",
            sign(&with(claims.clone(), "exp", 1_600_000_000), SECRET),
        ),
        ("no exp", sign(&without("exp"), SECRET)),
        ("no jti", sign(&without("jti"), SECRET)),
        (
            "an unknown jti",
            sign(&with(claims.clone(), "jti", "123456789"), SECRET),
        ),
        (
            "somebody else's jti",
            sign(&with(claims.clone(), "id", bob.id.as_str()), SECRET),
        ),
        ("a long one", "x".repeat(8_000)),
    ] {
        let client = server.with_token(&token);
        let reply = client.get("/auth/verify-user").await;
        assert_eq!(
            (reply.status.as_u16(), reply.text.as_str()),
            (401, ""),
            "{what}"
        );
        assert_eq!(reply.header("x-user-payload"), "", "{what}");
        let reply = client.get("/users/profile").await;
        assert_eq!(reply.status, 401, "{what}");
        reply.expect_code(401, "unauthenticated");
    }
    for header in ["Bearer", "", ada.token.as_str()] {
        let client = server.with("authorization", header);
        assert_eq!(
            client.get("/auth/verify-user").await.status,
            401,
            "{header}"
        );
    }
    let reply = server.get("/auth/verify-user").await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (401, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_written_into_a_token_is_not_believed() {
    let server = server_with_known_secret().await;
    let ada = server.sign_up("ada").await;
    let bob = server.sign_up("bob").await;
    let (_, claims) = claims_of(&ada.token);
    let forged = server.with_token(&sign(&with(claims, "role", "ADMIN"), SECRET));
    let path = format!("/api/v1/admin/users/{}/status", bob.id);
    let body = json!({ "status": "deleted" });
    forged
        .patch(&path, body)
        .await
        .expect_code(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_7_a_token_ends_after_its_day() {
    let server = Server::start_with_clock(|_config| {}).await;
    let ada = server.sign_up("ada").await;
    server.advance(Duration::from_secs(86_399));
    ada.get("/auth/verify-user").await.expect(200);
    server.advance(Duration::from_secs(1));
    assert_eq!(ada.get("/auth/verify-user").await.status, 401);
    ada.get("/users/profile")
        .await
        .expect_code(401, "unauthenticated");
    server
        .log_in(&ada)
        .await
        .get("/users/profile")
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_question_is_not_asked_from_outside() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in ["/auth/verify", "/auth/verify/", "/api/v1/auth/verify"] {
        ada.get(path).await.expect_code(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_is_free_until_it_is_taken() {
    let server = Server::start().await;
    server.sign_up("ada").await;
    for prefix in ["", "/api/v1"] {
        for (username, available) in [
            ("ada", false),
            ("ADA", false),
            ("bob", true),
            ("аda", false),
        ] {
            let path = format!("{prefix}/auth/check/{username}");
            let body = server.post(&path, json!({})).await.expect(200);
            assert_eq!(body["available"], available, "{username}");
            assert_eq!(keys(&body), ["available", "message"]);
        }
        for username in ["ab", "a%20b%20c", "%E2%80%AEabc"] {
            let path = format!("{prefix}/auth/check/{username}");
            server
                .post(&path, json!({}))
                .await
                .expect_code(400, "invalid_fields");
        }
    }
    // It takes no body at all.
    let reply = server
        .send(server.request(Method::POST, "/auth/check/bob"))
        .await;
    assert_eq!(reply.expect(200)["available"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_that_token_alone() {
    let server = Server::start().await;
    let first = server.sign_up("ada").await;
    let second = server.log_in(&first).await;
    first.post("/auth/logout", json!({})).await.expect(200);
    assert_eq!(first.get("/auth/verify-user").await.status, 401);
    first.post("/auth/logout", json!({})).await.expect(401);
    second.get("/auth/verify-user").await.expect(200);
    // What was said once stands after a start, too.
    let server = server.restart().await;
    let of = |token: &str| server.with_token(token);
    assert_eq!(of(&first.token).get("/auth/verify-user").await.status, 401);
    assert_eq!(of(&second.token).get("/auth/verify-user").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sees_and_ends_ones_own_sessions() {
    let server = Server::start().await;
    let first = server
        .with("user-agent", "The first client")
        .sign_up("ada")
        .await;
    let second = server.log_in(&first).await;
    let list = second.get("/auth/sessions").await.expect(200);
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(list["next_cursor"].is_null());
    assert_eq!(
        keys(&sessions[0]),
        [
            "createdAt",
            "expiresAt",
            "id",
            "ip",
            "isCurrent",
            "userAgent"
        ]
    );
    assert_eq!(sessions[0]["isCurrent"], true, "newest first");
    assert_eq!(sessions[1]["userAgent"], "The first client");
    assert_eq!(sessions[1]["ip"], "127.0.0.1");

    // Somebody else's session is not there for one.
    let bob = server.sign_up("bob").await;
    let path = format!("/auth/sessions/{}", ids(sessions)[1]);
    bob.delete(&path)
        .await
        .expect_code(404, "session_not_found");
    first.get("/auth/me").await.expect(200);

    second.delete(&path).await.expect(200);
    first.get("/auth/me").await.expect(401);
    second
        .delete(&path)
        .await
        .expect_code(404, "session_not_found");

    let third = server.log_in(&second).await;
    third.delete("/auth/sessions").await.expect(200);
    second.get("/auth/me").await.expect(401);
    third.get("/auth/me").await.expect(200);
    bob.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_all_other_sessions() {
    let server = Server::start().await;
    let here = server.sign_up("ada").await;
    let elsewhere = server.log_in(&here).await;
    let change = |password: &str, new: &str| json!({ "password": password, "newPassword": new });
    let new = "an entirely different one";
    let refused = here
        .post("/auth/password", change("wrong guess", new))
        .await;
    assert_eq!(
        refused.expect_code(400, "invalid_fields")["errors"][0]["code"],
        "wrong_password"
    );
    let refused = here
        .post("/auth/password", change(PASSWORD, "password"))
        .await;
    assert_eq!(
        refused.expect_code(400, "invalid_fields")["errors"][0]["code"],
        "password_leaked"
    );
    elsewhere.get("/auth/me").await.expect(200);

    here.post("/auth/password", change(PASSWORD, new))
        .await
        .expect(200);
    here.get("/auth/me").await.expect(200);
    elsewhere.get("/auth/me").await.expect(401);
    server
        .try_log_in("ada", PASSWORD)
        .await
        .expect_code(401, "invalid_credentials");
    server.try_log_in("ada", new).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_of_weaker_settings_is_made_anew_at_the_next_log_in() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let hash = |connection: &rusqlite::Connection| {
        database::text(connection, "SELECT password_hash FROM credentials")
    };
    let before = hash(&database::connect_to_write(&server.config.data_dir));
    assert!(
        before.starts_with("$argon2id$v=19$m=64,t=1,p=1$"),
        "{before}"
    );

    let server = server
        .restart_with(|config| config.auth.argon2_passes = 2)
        .await;
    server
        .try_log_in("ada", "not her password")
        .await
        .expect(401);
    assert_eq!(
        hash(&database::connect_to_write(&server.config.data_dir)),
        before
    );
    server.log_in(&ada).await;
    let after = hash(&database::connect_to_write(&server.config.data_dir));
    assert!(after.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{after}");
    server.log_in(&ada).await;
    assert_eq!(
        hash(&database::connect_to_write(&server.config.data_dir)),
        after
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_the_original_log_in_with_the_password_they_had() {
    let server = Server::start().await;
    let people = [server.sign_up("ada").await, server.sign_up("bob").await];
    // Cost 4 instead of the original's 10, to be quick.
    let server = server
        .edit(|connection| {
            for (person, prefix) in people.iter().zip(["$2a$", "$2b$"]) {
                let hash = bcrypt::hash(PASSWORD, 4)
                    .unwrap()
                    .replacen("$2b$", prefix, 1);
                connection
                    .execute(
                        "UPDATE credentials SET password_hash = ?1 WHERE user_id = ?2",
                        (hash, &person.id),
                    )
                    .unwrap();
            }
        })
        .await;
    for person in &people {
        server
            .try_log_in(&person.username, "not the password")
            .await
            .expect(401);
        server.log_in(person).await;
    }
    let database = database::connect_to_write(&server.config.data_dir);
    let upgraded: i64 = database
        .query_row(
            "SELECT count(*) FROM credentials WHERE password_hash LIKE '$argon2id$%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(upgraded, 2);
    for person in &people {
        server.log_in(person).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_person_is_out_at_once_and_comes_back_with_what_they_had() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let ada = server.sign_up("ada").await;
    let path = format!("/api/v1/admin/users/{}/status", ada.id);
    admin
        .patch(&path, json!({ "status": "suspended" }))
        .await
        .expect(200);
    assert_eq!(ada.get("/auth/verify-user").await.status, 401);
    ada.post("/posts/", json!({ "content": "still here" }))
        .await
        .expect(401);
    server
        .try_log_in("ada", PASSWORD)
        .await
        .expect_code(403, "account_suspended");
    // Who does not know the password learns nothing of it.
    server
        .try_log_in("ada", "a wrong guess")
        .await
        .expect_code(401, "invalid_credentials");

    admin
        .patch(&path, json!({ "status": "active" }))
        .await
        .expect(200);
    assert_eq!(
        ada.get("/auth/verify-user").await.status,
        401,
        "the old token stays dead"
    );
    server
        .log_in(&ada)
        .await
        .get("/users/profile")
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_person_is_gone_for_good() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let path = format!("/api/v1/admin/users/{}/status", ada.id);
    admin
        .patch(&path, json!({ "status": "deleted" }))
        .await
        .expect(200);
    assert_eq!(ada.get("/auth/verify-user").await.status, 401);
    server
        .try_log_in("ada", PASSWORD)
        .await
        .expect_code(401, "invalid_credentials");
    bob.get(&format!("/users/profile/{}", ada.id))
        .await
        .expect_code(404, "user_not_found");
    bob.post(&format!("/users/follow/{}", ada.id), json!({}))
        .await
        .expect_code(404, "user_not_found");
    let found = bob.get("/users/search?query=ada").await.expect(200);
    assert_eq!(found["users"], json!([]));
    admin
        .patch(&path, json!({ "status": "active" }))
        .await
        .expect_code(404, "user_not_found");
    let server = server.restart().await;
    let reply = server.with_token(&ada.token).get("/auth/verify-user").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_link_makes_one_admin_once() {
    let server = Server::start().await;
    let secret = server.setup_secret();
    // 128 bits and more, in any usual alphabet.
    assert!(secret.len() >= 22, "{secret}");
    let page = server.get(&format!("/setup?token={secret}")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");

    let body = with(draft("root"), "token", "not the secret");
    server
        .post("/api/v1/setup", body)
        .await
        .expect_code(403, "invalid_setup_token");
    let body = with(
        with(draft("root"), "token", secret.as_str()),
        "password",
        "short",
    );
    server
        .post("/api/v1/setup", body)
        .await
        .expect_code(400, "invalid_fields");

    let body = with(draft("root"), "token", secret.as_str());
    let made = server.post("/api/v1/setup", body).await.expect(201);
    assert_eq!(made["user"]["role"], "ADMIN");
    let again = with(draft("second"), "token", secret.as_str());
    server
        .post("/api/v1/setup", again.clone())
        .await
        .expect_code(403, "invalid_setup_token");

    let server = server.restart().await;
    assert_eq!(server.app.setup_link(), None);
    server
        .post("/api/v1/setup", again)
        .await
        .expect_code(403, "invalid_setup_token");
    let admin = server.try_log_in("root", PASSWORD).await.expect(200);
    assert_eq!(admin["user"]["role"], "ADMIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_open_the_setup_link_at_once_one_becomes_admin() {
    let server = Server::start().await;
    let secret = server.setup_secret();
    let attempts = (0..4).map(|number| {
        let body = with(draft(&format!("root{number}")), "token", secret.as_str());
        server.post("/api/v1/setup", body)
    });
    let replies = futures_util::future::join_all(attempts).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_for_admins_to_set_and_never_their_own() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let of = |id: &str| format!("/api/v1/admin/users/{id}/status");
    let suspended = || json!({ "status": "suspended" });
    server.patch(&of(&bob.id), suspended()).await.expect(401);
    ada.patch(&of(&bob.id), suspended())
        .await
        .expect_code(403, "forbidden");
    ada.patch(&of(&ada.id), suspended())
        .await
        .expect_code(403, "forbidden");
    admin
        .patch(&of(&admin.id), suspended())
        .await
        .expect_code(403, "forbidden");
    admin
        .patch(&of("1"), suspended())
        .await
        .expect_code(404, "user_not_found");
    admin
        .patch(&of(&bob.id), json!({ "status": "gone" }))
        .await
        .expect_code(400, "invalid_fields");
    bob.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_account_routes_work_for_honest_clients() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for prefix in ["", "/api/v1"] {
        let found = bob
            .get(&format!("{prefix}/auth/search?query=ad"))
            .await
            .expect(200);
        let user = &found["users"][0];
        assert_eq!(keys(user), ["avatar", "email", "id", "name", "username"]);
        assert_eq!(user["id"], ada.id.as_str());
        assert!(
            user["email"].is_null(),
            "an address is its owner's business"
        );
        let own = ada
            .get(&format!("{prefix}/auth/search?query=ada"))
            .await
            .expect(200);
        assert_eq!(
            own["users"],
            json!([]),
            "the caller is not among those found"
        );
        bob.get(&format!("{prefix}/auth/search")).await.expect(400);
        bob.get(&format!("{prefix}/auth/search?query="))
            .await
            .expect(400);
        server
            .get(&format!("{prefix}/auth/search?query=ad"))
            .await
            .expect(401);

        let path = format!("{prefix}/auth/profile/{}", ada.id);
        let seen = bob.get(&path).await.expect(200);
        assert!(seen["user"]["email"].is_null());
        assert!(seen["user"]["createdAt"].as_str().unwrap().ends_with('Z'));
        let own = ada.get(&path).await.expect(200);
        assert_eq!(own["user"]["email"], ada.email.as_str());
        server.get(&path).await.expect(401);
        bob.get(&format!("{prefix}/auth/profile/1"))
            .await
            .expect_code(404, "user_not_found");

        let change = json!({ "name": "Countess", "avatar": "https://example.org/a.webp", "bio": "Numbers." });
        let path = format!("{prefix}/auth/profile");
        let changed = ada.patch(&path, change.clone()).await.expect(200);
        for field in ["name", "avatar", "bio"] {
            assert_eq!(changed["user"][field], change[field]);
        }
        server.patch(&path, change).await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_1_a_client_cannot_name_itself_in_a_header() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let as_ada = claims_of(&ada.token).1.to_string();
    let nobody = server.with("x-user-payload", &as_ada);
    for (method, path) in [
        (Method::PATCH, "/auth/profile"),
        (Method::PATCH, "/api/v1/auth/profile"),
        (Method::PATCH, "/users/profile"),
        (Method::POST, "/posts/"),
        (Method::GET, "/auth/search?query=bob"),
        (Method::GET, "/users/profile"),
    ] {
        let body = json!({ "name": "Taken over", "content": "Taken over" });
        let request = nobody.request(method, path).json(&body);
        nobody
            .send(request)
            .await
            .expect_code(401, "unauthenticated");
    }
    // Beside a token it says nothing either.
    let bob_as_ada = bob.with("x-user-payload", &as_ada);
    bob_as_ada
        .patch("/auth/profile", json!({ "name": "Bob himself" }))
        .await
        .expect(200);
    let payload = bob_as_ada.get("/auth/verify-user").await;
    assert!(payload.header("x-user-payload").contains(&bob.id));
    let profile = bob
        .get(&format!("/users/profile/{}", ada.id))
        .await
        .expect(200);
    assert_eq!(profile["user"]["name"], "ada the First");
}
