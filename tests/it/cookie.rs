//! The cookie of the web client: it says who asks where a browser can give no token along, to our own pages alone.

use reqwest::Method;
use serde_json::json;

use crate::support::events::Events;
use crate::support::socket::Socket;
use crate::support::{Person, Reply, Server};

/// The cookie as a browser sends it back, of an answer that sets it.
fn kept(reply: &Reply) -> String {
    let (cookie, _) = reply.header("set-cookie").split_once(';').unwrap();
    cookie.to_owned()
}

async fn cookie_of(person: &Person) -> String {
    let reply = person.post("/auth/cookie", json!({})).await;
    reply.expect(200);
    kept(&reply)
}

/// The origin of the server's own pages.
fn own(server: &Server) -> String {
    server.url("")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_the_tokens_and_no_script_reads_it() {
    let server = Server::start_with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let ada = server.sign_up("ada").await;
    let reply = ada.post("/api/v1/auth/cookie", json!({})).await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with(&format!("socialhub_session={};", ada.token)));
    for part in ["; Path=/;", "; HttpOnly;", "; SameSite=Strict;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (_, seconds) = cookie.split_once("Max-Age=").unwrap();
    let seconds: i64 = seconds.parse().unwrap();
    assert!((86_000..=86_400).contains(&seconds), "{cookie}");
    let proxied = ada.with("x-forwarded-proto", "https");
    let reply = proxied.post("/auth/cookie", json!({})).await;
    assert!(reply.header("set-cookie").ends_with("; Secure"));
    for reply in [
        server.delete("/auth/cookie").await,
        ada.post("/auth/logout", json!({})).await,
    ] {
        reply.expect(200);
        let cookie = reply.header("set-cookie");
        assert!(cookie.starts_with("socialhub_session=;") && cookie.contains("Max-Age=0"));
    }
    let reply = ada.post("/auth/cookie", json!({})).await;
    reply.expect_code(401, "unauthenticated");
    assert_eq!(reply.header("set-cookie"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_our_own_connects_with_it_and_no_other_page_does() {
    let server = Server::start_with(|config| {
        config.server.public_url = Some("https://social.example.org/".to_owned());
    })
    .await;
    let ada = server.sign_up("ada").await;
    let cookie = cookie_of(&ada).await;
    let own = own(&server);
    for (header, value, is_let_in) in [
        ("origin", own.as_str(), true),
        ("origin", "https://social.example.org", true),
        ("sec-fetch-site", "same-origin", true),
        ("origin", "https://evil.example", false),
        ("origin", "http://localhost:5173", false),
        ("origin", "null", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("x-nothing", "said", false),
    ] {
        let headers = [("cookie", cookie.as_str()), (header, value)];
        let socket = Socket::open_with(&server, "", &headers).await;
        let told = socket.unwrap().ask_in().await;
        assert_eq!(told.starts_with("40{"), is_let_in, "{value}: {told}");
        assert_eq!(told.contains("unauthenticated"), !is_let_in, "{told}");
    }
    // Nor does a page that has another one's cookie beside ours.
    let two = format!("{cookie}; socialhub_session=x");
    let headers = [("cookie", two.as_str()), ("origin", own.as_str())];
    let mut socket = Socket::open_with(&server, "", &headers).await.unwrap();
    assert!(socket.ask_in().await.starts_with("44"));
    // Long polling begins in the same way.
    for (origin, is_let_in) in [(own.as_str(), true), ("https://evil.example", false)] {
        let page = server.with("cookie", &cookie).with("origin", origin);
        let greeting = page.get("/socket.io/?EIO=3&transport=polling").await.text;
        assert_eq!(
            greeting.contains("Authentication error"),
            !is_let_in,
            "{greeting}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_our_own_reads_the_stream_with_it_and_no_other_page_does() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let page = server.with("cookie", &cookie_of(&ada).await);
    // A browser says where the page is from, and of its own no origin.
    let own_page = page.with("sec-fetch-site", "same-origin");
    let request = own_page.request(Method::GET, "/api/v1/stream");
    let mut stream = Events::of(request.send().await.unwrap()).await;
    assert_eq!(stream.next("counts").await["messages"], 0);
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("x-nothing", "said"),
    ] {
        page.with(header, value)
            .get("/api/v1/stream")
            .await
            .expect_code(401, "unauthenticated");
    }
    // It ends with the session, as on sockets.
    ada.post("/auth/logout", json!({})).await.expect(200);
    assert_eq!(stream.next("error").await["code"], "unauthenticated");
    stream.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_does_nothing_elsewhere() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let page = server
        .with("cookie", &cookie_of(&ada).await)
        .with("origin", &own(&server))
        .with("sec-fetch-site", "same-origin");
    for path in ["/auth/me", "/chat/unread-count", "/notify/notifications"] {
        page.get(path).await.expect_code(401, "unauthenticated");
    }
    for path in ["/auth/logout", "/auth/cookie", "/posts/", "/chat/r/message"] {
        let body = json!({ "content": "x", "message": "x" });
        page.post(path, body)
            .await
            .expect_code(401, "unauthenticated");
    }
    ada.get("/auth/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_ends_with_its_session() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let (cookie, own) = (cookie_of(&ada).await, own(&server));
    let headers = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    let mut socket = Socket::open_with(&server, "", &headers).await.unwrap();
    assert!(socket.ask_in().await.starts_with("40{"));
    ada.post("/auth/logout", json!({})).await.expect(200);
    assert_eq!(socket.next("error").await["code"], "unauthenticated");
    socket.ended().await;
    let mut late = Socket::open_with(&server, "", &headers).await.unwrap();
    assert!(late.ask_in().await.contains("unauthenticated"));
}
