//! What bad input gets: a clear refusal, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, Server, raw};

/// Every route that takes a body, with one that would do.
fn bodies(post: &str) -> Vec<(Method, String, Value)> {
    let signup = json!({ "name": "Eve", "email": "eve@example.org", "username": "eve", "password": PASSWORD });
    vec![
        (Method::POST, "/auth/signup".into(), signup),
        (
            Method::POST,
            "/auth/login".into(),
            json!({ "identifier": "ada", "password": PASSWORD }),
        ),
        (
            Method::POST,
            "/auth/request-password-reset".into(),
            json!({ "email": "ada@example.org" }),
        ),
        (
            Method::POST,
            "/auth/verify-reset-otp/ada@example.org".into(),
            json!({ "otp": "123456" }),
        ),
        (
            Method::POST,
            "/auth/reset-password".into(),
            json!({ "email": "ada@example.org", "newPassword": "an entirely different one" }),
        ),
        (
            Method::POST,
            "/auth/verify-email".into(),
            json!({ "otp": "123456" }),
        ),
        (
            Method::POST,
            "/auth/password".into(),
            json!({ "password": PASSWORD, "newPassword": "an entirely different one" }),
        ),
        (
            Method::PATCH,
            "/users/profile".into(),
            json!({ "name": "Ada" }),
        ),
        (
            Method::PATCH,
            "/auth/profile".into(),
            json!({ "bio": "Ada" }),
        ),
        (
            Method::POST,
            "/posts/".into(),
            json!({ "content": "Hello" }),
        ),
        (
            Method::PATCH,
            format!("/posts/{post}"),
            json!({ "content": "Hello" }),
        ),
        (
            Method::POST,
            format!("/posts/comment/{post}"),
            json!({ "content": "Hello" }),
        ),
    ]
}

async fn nothing_happened(ada: &Person, post: &str) {
    assert_eq!(ada.get("/posts/getall").await.expect(200)["count"], 1);
    let seen = ada.get(&format!("/posts/{post}")).await.expect(200);
    assert_eq!(seen["data"]["content"], "Untouched");
    assert_eq!(seen["data"]["_count"]["comments"], 0);
    assert_eq!(
        ada.get("/auth/me").await.expect(200)["user"]["name"],
        "ada the First"
    );
    ada.try_log_in("eve", PASSWORD).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_it_claims_to_be_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Untouched").await;
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
    for (method, path, good) in bodies(&post) {
        let good = good.to_string();
        let send = async |kind: Option<&str>, body: Vec<u8>| {
            let mut request = ada.request(method.clone(), &path).body(body);
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            ada.send(request).await
        };
        let json = Some("application/json");
        let with_deep_rest = format!(
            "{},\"more\":{}}}",
            &good.trim_end_matches('}'),
            deep("[", "]")
        );
        for (what, body) in [
            ("nothing", String::new()),
            ("not JSON", "content=Hello".to_owned()),
            ("truncated JSON", good.trim_end_matches('}').to_owned()),
            (
                "JSON cut within a text",
                good.split_at(good.len() / 2).0.to_owned(),
            ),
            ("JSON and more", format!("{good} {good}")),
            ("a list", "[]".to_owned()),
            ("a text", "\"Hello\"".to_owned()),
            ("null", "null".to_owned()),
            ("5,000 lists", deep("[", "]")),
            ("5,000 objects", deep("{\"content\":", "}")),
            ("5,000 lists beside what is right", with_deep_rest),
            ("a lone surrogate", good.replace(':', ":\"\\ud800\",\"x\":")),
        ] {
            let reply = send(json, body.into_bytes()).await;
            assert_eq!(reply.status, 400, "{method} {path}: {what}: {}", reply.text);
            reply.expect(400);
        }
        let mut broken = good.clone().into_bytes();
        let middle = broken.len() - 3;
        broken.insert(middle, 0xff);
        send(json, broken).await.expect_code(400, "invalid_body");
        for kind in [
            None,
            Some("text/plain"),
            Some("application/xml"),
            Some("application/octet-stream"),
            Some("x"),
        ] {
            let reply = send(kind, good.clone().into_bytes()).await;
            reply.expect_code(415, "unsupported_media_type");
        }
        for kind in ["multipart/form-data", "multipart/form-data; boundary=x"] {
            send(Some(kind), b"--y\r\nnonsense".to_vec())
                .await
                .expect_code(400, "invalid_body");
        }
    }
    nothing_happened(&ada, &post).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_wrong_type_is_named() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Untouched").await;
    for (method, path, good) in bodies(&post) {
        for field in good.as_object().unwrap().keys() {
            for wrong in [
                json!(7),
                json!(-1.5),
                json!(true),
                json!(["x"]),
                json!({ "x": "y" }),
            ] {
                let mut body = good.clone();
                body[field] = wrong.clone();
                let request = ada.request(method.clone(), &path).json(&body);
                let reply = ada.send(request).await;
                assert_eq!(
                    reply.status, 400,
                    "{method} {path} {field}: {wrong}: {}",
                    reply.text
                );
                let body = reply.expect_code(400, "invalid_fields");
                assert_eq!(
                    body["errors"][0]["field"],
                    field.as_str(),
                    "{method} {path}: {wrong}"
                );
            }
        }
    }
    for wrong in [
        json!(1),
        json!(true),
        json!({}),
        json!(["public"]),
        json!("none"),
    ] {
        let body = json!({ "content": "x", "visibility": wrong });
        let body = ada
            .post("/posts/", body)
            .await
            .expect_code(400, "invalid_fields");
        assert_eq!(body["errors"][0]["field"], "visibility");
    }
    nothing_happened(&ada, &post).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_are_no_text() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Untouched").await;
    for bad in ["a\u{0}b", "a\u{7}b", "a\u{1b}[31mb", "a\u{7f}b", "a\u{85}b"] {
        for (method, path, field) in [
            (Method::POST, "/posts/".to_owned(), "content"),
            (Method::POST, "/posts/".to_owned(), "caption"),
            (Method::PATCH, format!("/posts/{post}"), "content"),
            (Method::POST, format!("/posts/comment/{post}"), "content"),
            (Method::PATCH, "/users/profile".to_owned(), "name"),
            (Method::PATCH, "/users/profile".to_owned(), "bio"),
            (Method::PATCH, "/users/profile".to_owned(), "username"),
        ] {
            let request = ada.request(method, &path).json(&json!({ field: bad }));
            let body = ada.send(request).await.expect_code(400, "invalid_fields");
            assert_eq!(
                body["errors"][0]["code"], "invalid_characters",
                "{path} {field} {bad:?}"
            );
        }
    }
    nothing_happened(&ada, &post).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_hide_and_reorder_nothing() {
    let server = Server::start().await;
    for (number, trick) in [
        "ada\u{202E}nimda",
        "\u{202A}ada",
        "\u{2066}ada\u{2069}",
        "ad\u{200B}a",
        "ad\u{200C} a",
        "\u{FEFF}ada",
        "ada\u{200D}",
        "\u{200F}ada",
        "a\u{00AD}da",
        "ada\u{2028}x",
        "ad\u{2060}a",
        "\u{3164}\u{3164}\u{3164}",
        "ada\u{E0001}",
    ]
    .iter()
    .enumerate()
    {
        for field in ["name", "username"] {
            let mut body = json!({
                "name": "Eve", "email": format!("eve{number}@example.org"), "username": format!("eve{number}"),
                "password": PASSWORD,
            });
            body[field] = (*trick).into();
            let body = server
                .post("/auth/signup", body)
                .await
                .expect_code(400, "invalid_fields");
            assert_eq!(body["errors"][0]["field"], field, "{trick:?}");
            assert_eq!(body["errors"][0]["code"], "invalid_characters", "{trick:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_of_text_are_too_large() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Untouched").await;
    let text = "x".repeat(10 * 1024 * 1024);
    for (method, path, mut body) in bodies(&post) {
        let field = body.as_object().unwrap().keys().next().unwrap().clone();
        body[&field] = text.as_str().into();
        let reply = ada.send(ada.request(method, &path).json(&body)).await;
        reply.expect_code(413, "body_too_large");
    }
    let form = [("content", text.as_str())];
    let reply = ada
        .send(ada.request(Method::POST, "/posts/").form(&form))
        .await;
    reply.expect_code(413, "body_too_large");
    let form = reqwest::multipart::Form::new().text("content", text);
    let reply = ada
        .send(ada.request(Method::POST, "/posts/").multipart(form))
        .await;
    reply.expect_code(413, "body_too_large");
    nothing_happened(&ada, &post).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_countless_fields_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let fields: Vec<(String, &str)> = (0..300)
        .map(|number| (format!("field{number}"), "x"))
        .collect();
    let reply = ada
        .send(ada.request(Method::POST, "/posts/").form(&fields))
        .await;
    reply.expect_code(400, "invalid_body");
    let form = fields
        .iter()
        .fold(reqwest::multipart::Form::new(), |form, (name, text)| {
            form.text(name.clone(), (*text).to_owned())
        });
    let reply = ada
        .send(ada.request(Method::POST, "/posts/").multipart(form))
        .await;
    reply.expect_code(400, "invalid_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_9_a_malformed_id_is_404_on_every_route() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let content = || json!({ "content": "x" });
    for id in [
        "0",
        "-1",
        "+1",
        "01",
        "1.5",
        "1e9",
        "abc",
        "null",
        "undefined",
        "9223372036854775808",
        "99999999999999999999999999999999",
        "507f1f77bcf86cd799439011",
        "clh1234567890abcdefghijkl",
        "1%27%20OR%201=1",
        "%00",
        "%E2%80%AE1",
        "%F0%9F%98%80",
        "1%2F2",
        "..%2f..%2fetc%2fpasswd",
    ] {
        for path in [
            "/posts/{id}",
            "/posts/user/{id}",
            "/posts/comment/{id}",
            "/posts/{id}/comments",
            "/posts/{id}/comment",
            "/posts/{id}/history",
            "/posts/{id}/likes",
            "/posts/comments/{id}/replies",
            "/users/profile/{id}",
            "/users/followers/{id}",
            "/users/following/{id}",
            "/users/mutuals/{id}",
            "/auth/profile/{id}",
        ] {
            let path = path.replace("{id}", id);
            let reply = ada.get(&path).await;
            assert_eq!(reply.status, 404, "GET {path}: {}", reply.text);
            reply.expect(404);
        }
        for (method, path, body) in [
            (Method::PATCH, "/posts/{id}", content()),
            (Method::DELETE, "/posts/{id}", json!({})),
            (Method::POST, "/posts/comment/{id}", content()),
            (Method::PATCH, "/posts/comment/{id}", content()),
            (Method::DELETE, "/posts/comment/{id}", json!({})),
            (Method::POST, "/posts/{id}/comments", content()),
            (Method::POST, "/posts/like/{id}", json!({})),
            (Method::PATCH, "/posts/like/{id}", json!({})),
            (Method::POST, "/posts/{id}/like", json!({})),
            (Method::POST, "/posts/dislike/{id}", json!({})),
            (Method::POST, "/posts/comments/{id}/like", json!({})),
            (Method::POST, "/users/follow/{id}", json!({})),
            (Method::POST, "/users/unfollow/{id}", json!({})),
            (Method::DELETE, "/users/unfollow/{id}", json!({})),
            (Method::DELETE, "/auth/sessions/{id}", json!({})),
        ] {
            let path = path.replace("{id}", id);
            let reply = ada
                .send(ada.request(method.clone(), &path).json(&body))
                .await;
            assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text);
            reply.expect(404);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_no_text_is_refused_in_our_shape() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in [
        "/posts/%ff",
        "/users/profile/%c3%28",
        "/users/by-username/%ff",
        "/auth/profile/%ed%a0%80",
    ] {
        let reply = ada.get(path).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 404),
            "{path}: {}",
            reply.status
        );
        reply.expect(reply.status.as_u16());
    }
    server.post("/auth/check/%ff", json!({})).await.expect(400);
    server.get("/%ff").await.expect(404);
    // Bytes that no address may hold at all.
    let head =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for target in ["/posts/\u{e9}", "/auth/check/日本語", "/posts/<1>"] {
        let answer = raw(&server.url(""), head(target).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{target}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_no_text_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for query in ["query=%ff", "query=%00", "query=a&query=b"] {
        let reply = ada.get(&format!("/users/search?{query}")).await;
        assert!(
            reply.status == 400 || reply.status == 200,
            "{query}: {}",
            reply.text
        );
        reply.expect(reply.status.as_u16());
    }
    ada.get("/posts/?limit=1&limit=2").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_queue_holds_is_put_off_and_nothing_is_lost() {
    let server = Server::start_with(|config| {
        config.store.queue_capacity = 1;
        config.store.max_batch = 1;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let hold = server.hold_writes();
    let writes = futures_util::future::join_all(
        (0..8).map(|n| ada.post("/posts/", json!({ "content": format!("{n}") }))),
    );
    let reading = async {
        // Reading goes on meanwhile.
        ada.get("/users/profile").await.expect(200);
        crate::support::eventually("a refusal", || async {
            let reply = ada.try_send(
                ada.request(Method::POST, "/posts/")
                    .timeout(std::time::Duration::from_millis(300))
                    .json(&json!({ "content": "one more" })),
            );
            let reply = reply.await.ok()?;
            (reply.status == 503).then(|| reply.expect_code(503, "overloaded"))
        })
        .await;
        drop(hold);
    };
    let (replies, ()) = tokio::join!(writes, reading);
    let mut written = 0;
    for reply in &replies {
        if reply.status == 201 {
            written += 1;
        } else {
            reply.expect_code(503, "overloaded");
            assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
        }
    }
    assert!((1..8).contains(&written), "{written}");
    // Those whose client went away are not written for nobody; all that were answered are there.
    let kept = ada.get("/posts/getall").await.expect(200)["count"]
        .as_u64()
        .unwrap();
    assert!(kept >= written, "{kept} of {written}");
    ada.post("/posts/", json!({ "content": "Later" }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    ada.write("Hello").await;
    // More than any disk has left.
    let server = server
        .restart_with(|config| config.store.reserve_bytes = u64::MAX)
        .await;
    let reader = server.with_token(&ada.token);
    assert_eq!(reader.get("/posts/getall").await.expect(200)["count"], 1);
    for (path, body) in [
        ("/posts/", json!({ "content": "x" })),
        (
            "/auth/login",
            json!({ "identifier": "ada", "password": PASSWORD }),
        ),
        ("/auth/logout", json!({})),
    ] {
        reader
            .post(path, body)
            .await
            .expect_code(507, "storage_full");
    }
    let ready = reader.get("/readyz").await;
    assert_eq!(
        ready.json()["parts"]["store"]["room"],
        false,
        "{}",
        ready.text
    );
    let server = server
        .restart_with(|config| config.store.reserve_bytes = 0)
        .await;
    let writer = server.with_token(&ada.token);
    writer
        .post("/posts/", json!({ "content": "x" }))
        .await
        .expect(201);
}
