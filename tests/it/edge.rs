//! What every request passes: origins, limits, proxies, sizes, methods, headers (contract, section 1 and "Details").

use std::io::Read;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use socialhub::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{
    Client, Daemon, PASSWORD, PATIENCE, Reply, Server, eventually, http_client, pictures, raw,
};

const ORIGIN: &str = "http://localhost:5173";

async fn send(client: &Client, method: Method, path: &str) -> Reply {
    client.send(client.request(method, path)).await
}

fn varies_by(reply: &Reply, name: &str) -> bool {
    let all = reply.headers.get_all("vary").iter();
    let mut names = all.flat_map(|value| value.to_str().unwrap().split(','));
    names.any(|one| one.trim().eq_ignore_ascii_case(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_page_may_call_from_its_origin_and_sees_errors_too() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let page = ada.with("origin", ORIGIN);
    for (method, path, status) in [
        (Method::GET, "/users/profile", 200),
        (Method::GET, "/posts/1", 404),
        (Method::GET, "/nowhere", 404),
        (Method::POST, "/posts/", 415),
        (Method::DELETE, "/posts/", 405),
        (Method::GET, "/auth/verify-user", 200),
    ] {
        let reply = send(&page, method, path).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(
            reply.header("access-control-allow-origin"),
            ORIGIN,
            "{path}"
        );
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            "true",
            "{path}"
        );
        assert!(
            reply
                .header("access-control-expose-headers")
                .contains("x-request-id"),
            "{path}"
        );
        assert!(varies_by(&reply, "origin"), "{path}");
    }
    let nobody = server.with("origin", ORIGIN);
    for prefix in ["auth/me", "users/profile", "posts/", "notify/notifications"] {
        let reply = nobody.get(&format!("/{prefix}")).await;
        reply.expect_code(401, "unauthenticated");
        assert_eq!(
            reply.header("access-control-allow-origin"),
            ORIGIN,
            "{prefix}"
        );
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_are_named_only_when_configured() {
    let server = Server::start().await;
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:5174",
        "http://localhost:5173.evil.example",
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            let reply = send(&server.with("origin", origin), method, "/users/profile").await;
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
            assert_eq!(
                reply.header("access-control-allow-credentials"),
                "",
                "{origin}"
            );
            assert!(
                varies_by(&reply, "origin"),
                "a cache must not give this answer to others"
            );
        }
    }
    let configured = ["https://a.example", "https://b.example"];
    let server = Server::start_with(|config| {
        config.server.cors_origins = configured.map(str::to_owned).to_vec();
    })
    .await;
    for origin in configured {
        let reply = server.with("origin", origin).get("/livez").await;
        assert_eq!(reply.header("access-control-allow-origin"), origin);
    }
    let reply = server.with("origin", ORIGIN).get("/livez").await;
    assert_eq!(reply.header("access-control-allow-origin"), "");

    let server =
        Server::start_with(|config| config.server.cors_origins = vec!["*".to_owned()]).await;
    let reply = server
        .with("origin", "https://anywhere.example")
        .get("/livez")
        .await;
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(
        reply.header("access-control-allow-credentials"),
        "",
        "never beside a star"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_token() {
    let server = Server::start().await;
    let page = server
        .with("origin", ORIGIN)
        .with("access-control-request-method", "PATCH");
    for path in [
        "/auth/login",
        "/posts/",
        "/notify/notifications",
        "/users/profile",
        "/chat/x",
        "/feed/x",
        "/api/v1/posts",
        "/posts",
        "/chat/health",
    ] {
        let reply = send(&page, Method::OPTIONS, path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text.as_str()),
            (204, ""),
            "{path}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(reply.header("access-control-max-age"), "1728000");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert!(
                reply
                    .header("access-control-allow-methods")
                    .contains(method),
                "{path}: {method}"
            );
        }
        let headers = reply.header("access-control-allow-headers").to_lowercase();
        for header in [
            "authorization",
            "content-type",
            "x-requested-with",
            "idempotency-key",
        ] {
            assert!(headers.contains(header), "{path}: {header}");
        }
    }
    let plain = send(&server, Method::OPTIONS, "/posts/").await;
    assert_eq!(plain.status, 204);
    let allow = plain.header("allow");
    assert!(
        allow.contains("POST") && !allow.contains("PATCH"),
        "{allow}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_is_no_other_place() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in [
        "/users/profile",
        "/posts",
        "/api/v1/posts",
        "/auth/me",
        "/livez",
        "/openapi.json",
        "/posts/getall",
    ] {
        let without = ada.get(path).await;
        let with = ada.get(&format!("{path}/")).await;
        assert_eq!(
            (with.status.as_u16(), &with.text),
            (200, &without.text),
            "{path}"
        );
        let with = ada.get(&format!("{path}//?x=1")).await;
        assert_eq!(with.status, 200, "{path}");
    }
    let body = json!({ "identifier": "ada", "password": PASSWORD });
    server.post("/auth/login/", body).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_a_get_without_its_body() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for path in [
        "/users/profile",
        "/posts/",
        "/livez",
        "/openapi.json",
        "/auth/verify-user",
    ] {
        let get = ada.get(path).await;
        let head = send(&ada, Method::HEAD, path).await;
        assert_eq!(
            (head.status, head.text.as_str()),
            (get.status, ""),
            "{path}"
        );
        for name in ["content-type", "x-user-payload", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
    let head = send(&server, Method::HEAD, "/users/profile").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (401, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_changes_nothing() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    ada.write("Hello").await;
    server.settle().await;
    let path = "/notify/notifications";
    assert_eq!(send(&ada, Method::HEAD, path).await.status, 200);
    let taken = ada.get(path).await.expect(200)["data"].clone();
    assert_eq!(taken.as_array().unwrap().len(), 1, "a GET takes it");
    assert_eq!(ada.get(path).await.expect(200)["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_route_lacks_is_405_with_those_it_has() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for (method, path, has) in [
        (Method::DELETE, "/posts/", &["GET", "HEAD", "POST"][..]),
        (Method::PUT, "/auth/login", &["POST"]),
        (Method::GET, "/auth/login", &["POST"]),
        (Method::POST, "/livez", &["GET", "HEAD"]),
        (Method::POST, "/users/profile", &["GET", "HEAD", "PATCH"]),
        (Method::PUT, "/posts/1", &["GET", "PATCH", "DELETE"]),
    ] {
        let reply = send(&ada, method.clone(), path).await;
        reply.expect_code(405, "method_not_allowed");
        let allowed = reply.header("allow");
        for method in has {
            assert!(
                allowed.split(',').any(|one| one.trim() == *method),
                "{path}: {allowed}"
            );
        }
        assert!(
            !allowed.split(',').any(|one| one.trim() == method.as_str()),
            "{path}: {allowed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nowhere_is_404_in_our_shape() {
    let server = Server::start().await;
    for path in [
        "/",
        "//",
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/nowhere",
        "/auth",
        "/auth/",
        "/users/nowhere/at/all",
        "/%ff",
        "/index.html",
        "/.env",
        "/postscript",
        "/favicon.ico",
        "/..%2f..%2fetc/passwd",
    ] {
        let reply = server.get(path).await;
        reply.expect_code(404, "not_found");
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
    }
    // A person who opens the address that the start printed is shown something.
    let browser = server
        .request(Method::GET, "/")
        .header("accept", "text/html");
    let reply = server.send(browser).await;
    assert_eq!(reply.status, 303);
    assert_eq!(reply.header("location"), "/docs/");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_its_request() {
    let server = Server::start().await;
    let mut seen = std::collections::HashSet::new();
    for path in ["/livez", "/nowhere", "/users/profile", "/livez"] {
        let reply = server.get(path).await;
        let id = reply.header("x-request-id").to_owned();
        assert!(
            !id.is_empty() && id.len() <= 64 && seen.insert(id),
            "{path}"
        );
    }
    let preflight = send(&server, Method::OPTIONS, "/posts/").await;
    assert_ne!(preflight.header("x-request-id"), "");
    for own in ["abc-123", "trace:1.2_3", &"x".repeat(64)] {
        let reply = server.with("x-request-id", own).get("/livez").await;
        assert_eq!(reply.header("x-request-id"), own);
    }
    for foreign in [
        "",
        "a b",
        "<script>",
        "a\"b",
        &"x".repeat(65),
        &"x".repeat(5_000),
    ] {
        let reply = server.with("x-request-id", foreign).get("/livez").await;
        let id = reply.header("x-request-id");
        assert!(
            !id.is_empty() && id.len() <= 64 && id != foreign,
            "{foreign}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_kept_from_being_misread() {
    let server = Server::start().await;
    for path in ["/livez", "/nowhere", "/users/profile", "/docs/", "/setup"] {
        let reply = server.get(path).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
        assert!(!reply.header("referrer-policy").is_empty(), "{path}");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src"),
            "{path}: {policy}"
        );
        assert_eq!(reply.header("server"), "", "{path}");
        assert!(!reply.header("cache-control").contains("public"), "{path}");
    }
    // What is refused to one must not be shown to the next.
    let refused = server.get("/users/profile").await;
    assert_eq!(refused.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_for_who_wants_that() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    ada.write(&"Hello ".repeat(1_000)).await;
    let plain = ada.get("/posts/").await;
    assert_eq!(plain.header("content-encoding"), "");
    assert!(varies_by(&plain, "accept-encoding"));
    for (encoding, decode) in [("gzip", gunzip as fn(&[u8]) -> Vec<u8>), ("br", unbrotli)] {
        let request = ada
            .request(Method::GET, "/posts/")
            .header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        let vary: Vec<_> = response.headers().get_all("vary").iter().collect();
        assert!(vary.iter().any(|one| {
            one.to_str()
                .unwrap()
                .to_lowercase()
                .contains("accept-encoding")
        }));
        let bytes = response.bytes().await.unwrap();
        assert!(
            bytes.len() * 5 < plain.text.len(),
            "{} of {}",
            bytes.len(),
            plain.text.len()
        );
        assert_eq!(decode(&bytes), plain.text.as_bytes(), "{encoding}");
    }
    let unknown = ada.with("accept-encoding", "zstd").get("/posts/").await;
    assert_eq!(
        (unknown.header("content-encoding"), &unknown.text),
        ("", &plain.text)
    );
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn unbrotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::Decompressor::new(bytes, 4096)
        .read_to_end(&mut out)
        .unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_answer_is_told_just_that() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    for path in [
        format!("/posts/{post}"),
        "/users/profile".to_owned(),
        "/posts/".to_owned(),
    ] {
        let first = ada.get(&path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        for known in [
            tag.clone(),
            format!("\"other\", {tag}"),
            tag.trim_start_matches("W/").to_owned(),
            "*".to_owned(),
        ] {
            let again = ada.with("if-none-match", &known).get(&path).await;
            assert_eq!(
                (again.status.as_u16(), again.text.as_str()),
                (304, ""),
                "{path} {known}"
            );
            assert_eq!(again.header("etag"), tag);
        }
        let other = ada.with("if-none-match", "\"other\"").get(&path).await;
        assert_eq!(other.status, 200);
    }
    let before = ada
        .get(&format!("/posts/{post}"))
        .await
        .header("etag")
        .to_owned();
    ada.patch(&format!("/posts/{post}"), json!({ "content": "Changed" }))
        .await
        .expect(200);
    let after = ada
        .with("if-none-match", &before)
        .get(&format!("/posts/{post}"))
        .await;
    assert_eq!(after.expect(200)["data"]["content"], "Changed");
    // A refusal is never "not modified".
    server
        .with("if-none-match", "*")
        .get("/users/profile")
        .await
        .expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_be_large_and_not_larger() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let megabytes = |number: usize| vec![b' '; number * 1024 * 1024];
    // Also without a token and on a route that takes no body: whoever writes it all gets to read the reason.
    for (client, path, status) in [
        (&ada.client, "/posts/", 413),
        (&ada.client, "/auth/login", 413),
        (&*server, "/auth/login", 413),
        (&*server, "/posts/", 401),
        (&*server, "/nowhere", 404),
    ] {
        let request = client.request(Method::POST, path);
        let request = request
            .header("content-type", "application/json")
            .body(megabytes(11));
        let reply = client.send(request).await;
        reply.expect(status);
    }
    // Chunked, so that nothing is declared beforehand.
    let chunks =
        futures_util::stream::iter((0..11).map(move |_| Ok::<_, std::io::Error>(megabytes(1))));
    let request = ada
        .request(Method::POST, "/posts/")
        .header("content-type", "application/json");
    let reply = ada
        .send(request.body(reqwest::Body::wrap_stream(chunks)))
        .await;
    reply.expect_code(413, "body_too_large");

    let server = Server::start_with(|config| config.server.max_json_bytes = 200).await;
    let ada = server.sign_up("ada").await;
    let of = |bytes: usize| json!({ "content": "x".repeat(bytes - "{\"content\":\"\"}".len()) });
    ada.post("/posts/", of(200)).await.expect(201);
    ada.post("/posts/", of(201))
        .await
        .expect_code(413, "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_writes_everything_before_it_reads_learns_the_reason() {
    let server = Server::start().await;
    let address = server.url("").trim_start_matches("http://").to_owned();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST /posts/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 11_000_000]).await.unwrap();
        // The connection is still good for the next request.
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends_is_refused_before_it_sends() {
    let server = Server::start().await;
    let head = "POST /posts/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11000000\r\n\
                Expect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = raw(&server.url(""), head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let server = Server::start_with(|config| config.server.request_timeout_ms = 150).await;
    let ada = server.sign_up("ada").await;
    let head = format!(
        "POST /posts/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nConnection: close\r\n\r\n{{",
        ada.token
    );
    let address = server.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("timed_out") && answer.to_lowercase().contains("retry-after: "),
        "{answer}"
    );
    drop(stream);
    // A writer that is held up holds nobody's answer.
    let hold = server.hold_writes();
    ada.post("/posts/", json!({ "content": "x" }))
        .await
        .expect_code(503, "timed_out");
    drop(hold);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_finishes_its_head_is_dropped() {
    let server = Server::start_with(|config| config.server.header_timeout_ms = 150).await;
    let answer = raw(
        &server.url(""),
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    server.get("/livez").await.expect(200);
}

/// Settings under which a recording is served as it came.
fn without_patience(config: &mut Config) {
    config.server.write_timeout_ms = 500;
    "off".clone_into(&mut config.media.ffmpeg);
}

/// More than the kernel keeps for a client that does not read.
async fn large_recording(server: &Server) -> (Vec<u8>, String) {
    let bytes = pictures::recording(12_000_000, 3);
    let form = Form::new().part("file", pictures::part(bytes.clone(), "a.wav", "audio/wav"));
    let ada = server.sign_up("ada").await;
    let reply = pictures::send(&ada, "/api/v1/media", form)
        .await
        .expect(201);
    let address = reply["media"]["url"].as_str().unwrap().to_owned();
    let path = address.strip_prefix(&server.url("")).unwrap().to_owned();
    (bytes, path)
}

/// A client that has room for little.
async fn narrow(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let address = server
        .url("")
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    socket.connect(address).await.unwrap()
}

/// A request in HTTP/2 by a client that takes as much as there is.
fn request_in_http_2(path: &str) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        [&length[1..], &[kind, flags], &stream, payload].concat()
    };
    let most = 0x7fff_ffff_u32;
    let window = [&[0, 4][..], &most.to_be_bytes()].concat();
    let more = (most - 65_535).to_be_bytes();
    // GET, http, then a path and a host without compression (RFC 7541 appendix A).
    let length = u8::try_from(path.len()).unwrap();
    let mut head = vec![0x82, 0x86, 0x04];
    if length < 127 {
        head.push(length);
    } else {
        head.extend([127, length - 127]);
    }
    head.extend(path.as_bytes());
    head.extend([0x01, 1, b'x']);
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &window),
        frame(8, 0, 0, &more),
        frame(1, 5, 1, &head),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_its_answer_is_dropped() {
    let server = Server::start_with(without_patience).await;
    let (bytes, path) = large_recording(&server).await;
    let in_http_1 = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    for request in [in_http_1, request_in_http_2(&path)] {
        let mut stream = narrow(&server).await;
        stream.write_all(&request).await.unwrap();
        let dropped = stream.ready(Interest::ERROR);
        tokio::time::timeout(PATIENCE, dropped)
            .await
            .expect("the connection is closed")
            .unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap_err();
        // It was no refusal.
        let begun = &bytes[..1_000];
        assert!(read.windows(begun.len()).any(|some| some == begun));
        assert!(read.len() < bytes.len());
    }
    server.get("/livez").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let server = Server::start_with(without_patience).await;
    let (bytes, path) = large_recording(&server).await;
    let mut stream = narrow(&server).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, started) = (Vec::new(), Instant::now());
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
        // Slowness is what this is about, for longer than nothing may be taken.
        if started.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(started.elapsed() > Duration::from_secs(1));
    assert!(answer.ends_with(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_whole_in_http_2_as_well() {
    let server = Server::start_with(without_patience).await;
    let (bytes, path) = large_recording(&server).await;
    let http = http_client().http2_prior_knowledge().build().unwrap();
    for (range, part) in [
        ("bytes=0-", &bytes[..]),
        ("bytes=99999-399999", &bytes[99_999..400_000]),
    ] {
        let request = http.get(server.url(&path)).header("range", range);
        let response = request.send().await.unwrap();
        assert_eq!(response.version(), reqwest::Version::HTTP_2);
        assert_eq!(response.status(), 206);
        assert!(response.bytes().await.unwrap() == part);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_nothing_to_take_is_waited_for() {
    let server = Server::start_with(|config| config.server.write_timeout_ms = 50).await;
    let mut stream = narrow(&server).await;
    for _ in 0..3 {
        let request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        // It asks again later than it might take nothing of an answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn limit_headers(reply: &Reply) -> (u32, u32, u32) {
    let number = |name: &str| {
        reply
            .header(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name}: {reply:?}"))
    };
    (
        number("ratelimit-limit"),
        number("ratelimit-remaining"),
        number("ratelimit-reset"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_how_much_is_left() {
    let server = Server::start_with(|config| config.limits.enabled = true).await;
    let ada = server.sign_up("ada").await;
    let (limit, remaining, _) = limit_headers(&ada.get("/users/profile").await);
    assert!(
        remaining < limit && limit >= 1_000,
        "{remaining} of {limit}"
    );
    let (limit, first, _) = limit_headers(&ada.post("/posts/", json!({ "content": "x" })).await);
    let (_, second, _) = limit_headers(&ada.post("/posts/", json!({ "content": "x" })).await);
    assert!(
        limit >= 100 && second < first,
        "{first}, {second} of {limit}"
    );
    limit_headers(&server.get("/nowhere").await);
    limit_headers(&server.get("/users/profile").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_too_fast_is_told_when_to_come_back() {
    let server = Server::start_with(|config| {
        config.limits.enabled = true;
        config.limits.writes_burst = 3;
        config.limits.writes_per_minute = 1;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for _ in 0..3 {
        ada.post("/posts/", json!({ "content": "x" }))
            .await
            .expect(201);
    }
    let refused = ada
        .with("origin", ORIGIN)
        .post("/posts/", json!({ "content": "x" }))
        .await;
    refused.expect_code(429, "rate_limited");
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(limit_headers(&refused), (3, 0, wait));
    assert_eq!(refused.header("access-control-allow-origin"), ORIGIN);
    // Reading goes on, and others are not concerned.
    assert_eq!(ada.get("/posts/getall").await.expect(200)["count"], 3);
    bob.post("/posts/", json!({ "content": "x" }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_slow_however_it_is_spread() {
    // From one address.
    let server = Server::start_with(|config| {
        config.limits.enabled = true;
        config.limits.logins_burst = 5;
        config.limits.logins_per_minute = 1;
    })
    .await;
    for number in 0..5 {
        server
            .try_log_in(&format!("person{number}"), "a guess")
            .await
            .expect_code(401, "invalid_credentials");
    }
    let refused = server.try_log_in("person", "a guess").await;
    refused.expect_code(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);

    // From many addresses at one account.
    let server = Server::start_with(|config| {
        config.limits.enabled = true;
        config.limits.logins_burst = 5;
        config.limits.logins_per_minute = 1;
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let from = |number: u32| server.with("x-forwarded-for", &format!("203.0.113.{number}"));
    // Ten times as many as from one address, since whoever uses them up keeps the owner out as well.
    for number in 0..50 {
        from(number)
            .try_log_in(if number % 2 == 0 { "ada" } else { " ADA " }, "a guess")
            .await
            .expect_code(401, "invalid_credentials");
    }
    from(60)
        .try_log_in("Ada", "a guess")
        .await
        .expect_code(429, "rate_limited");
    from(61)
        .try_log_in("bob", "a guess")
        .await
        .expect_code(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_limits_let_a_lively_person_through() {
    let server = Server::start_with(|config| config.limits.enabled = true).await;
    let ada = server.sign_up("ada").await;
    let post = ada.write("Hello").await;
    let path = format!("/posts/comment/{post}");
    let comments = (0..60).map(|_| ada.post(&path, json!({ "content": "x" })));
    for reply in futures_util::future::join_all(comments).await {
        reply.expect(200);
    }
    // 150 wrong log-ins from one address, and not endlessly many more.
    let mut wrong = 0;
    while server
        .try_log_in(&format!("nobody{}", wrong % 20), "a guess")
        .await
        .status
        == 401
    {
        wrong += 1;
        assert!(wrong < 400, "there is no limit");
    }
    assert!(wrong >= 149, "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_says_where_a_request_is_from() {
    let seen_from = async |server: &Server, forwarded: &str| {
        let client = server.with("x-forwarded-for", forwarded);
        let person = client
            .sign_up(&format!("p{}", forwarded.replace([',', ' '], "_")))
            .await;
        let list = person.get("/auth/sessions").await.expect(200);
        list["sessions"][0]["ip"].as_str().unwrap().to_owned()
    };
    let server = Server::start().await;
    assert_eq!(seen_from(&server, "203.0.113.9").await, "127.0.0.1");
    let server = Server::start_with(|config| {
        config.server.trusted_proxies =
            vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (forwarded, ip) in [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.8", "203.0.113.8"),
        ("203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("nonsense", "127.0.0.1"),
    ] {
        assert_eq!(seen_from(&server, forwarded).await, ip, "{forwarded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_says_how_it_is() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    assert_eq!(client.get("/livez").await.expect(200)["status"], "ok");
    let ready = daemon.ready().await;
    assert_eq!(ready["status"], "ready");
    for part in ["store", "events", "consumers"] {
        assert!(
            ready["parts"][part].is_object() || ready["parts"][part].is_array(),
            "{part}: {ready}"
        );
    }
    client.sign_up("ada").await.write("Hello").await;
    let metrics = client.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for name in [
        "socialhub_store_queue_depth",
        "socialhub_store_batch_size",
        "socialhub_store_commit_seconds",
        "socialhub_http_request_seconds",
    ] {
        assert!(metrics.text.contains(name), "{name}:\n{}", metrics.text);
    }
    assert!(!metrics.text.contains("ada"), "no names in metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_or_for_who_has_the_token() {
    let server =
        Server::start_with(|config| config.metrics.token = Some("metrics secret".to_owned())).await;
    assert_eq!(server.get("/metrics").await.status, 200);
    // Through a proxy on this machine others come, too.
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let far = server.with(header, "203.0.113.9");
        far.get("/metrics").await.expect_code(403, "forbidden");
        far.with_token("wrong")
            .get("/metrics")
            .await
            .expect_code(403, "forbidden");
        assert_eq!(
            far.with_token("metrics secret")
                .get("/metrics")
                .await
                .status,
            200
        );
    }
    let server = Server::start().await;
    let far = server.with("x-forwarded-for", "203.0.113.9");
    far.with_token("")
        .get("/metrics")
        .await
        .expect_code(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_describes_itself_without_any_outside_host() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert!(
        !document.text.contains("nextCursor"),
        "it is `next_cursor` in every list"
    );
    let document: Value = document.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v1/auth/signup",
        "/api/v1/posts",
        "/api/v1/users/follow/{id}",
        "/api/v1/posts/{id}/like",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    assert!(
        document["info"]["description"]
            .as_str()
            .unwrap()
            .contains("<code>invalid_credentials</code>")
    );

    let page = server.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let mut files: Vec<String> = vec!["swagger-initializer.js".to_owned()];
    let named = page.text.split(['"', '\'']);
    files.extend(named.filter_map(|part| part.strip_prefix("./").map(str::to_owned)));
    assert!(files.len() > 3, "{files:?}");
    for file in &files {
        let served = server.get(&format!("/docs/{file}")).await;
        assert_eq!(served.status, 200, "{file}");
        // The policy keeps the page to this server, whatever its scripts name.
        assert!(
            served
                .header("content-security-policy")
                .contains("default-src 'self'"),
            "{file}"
        );
    }
    for attribute in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
        assert!(!page.text.contains(attribute), "{attribute}");
    }
    let bare = server.get("/docs").await;
    assert!(
        bare.status == 200 || bare.status.is_redirection(),
        "{}",
        bare.status
    );
    let initializer = server.get("/docs/swagger-initializer.js").await;
    assert!(initializer.text.contains("/openapi.json"));
    assert!(!initializer.text.contains("://"), "{}", initializer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_http_2_is_answered_the_same() {
    let server = Server::start().await;
    let http = http_client().http2_prior_knowledge().build().unwrap();
    let response = http.get(server.url("/livez")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_does_not_hold_up_the_stop() {
    let server = Server::start().await;
    let address = server.url("").trim_start_matches("http://").to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    tokio::time::timeout(Duration::from_secs(4), server.stop())
        .await
        .expect("it stops");
    eventually("the connection is closed", || async {
        let refused = TcpStream::connect(&address).await.is_err();
        refused.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_read_is_refused_like_everything_else() {
    let server = Server::start().await;
    let long = "x".repeat(1 << 20);
    let many = "X-A: 1\r\n".repeat(200);
    for (head, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), 400, "malformed_request"),
        (
            "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (
            "GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000)),
            414,
            "address_too_long",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            431,
            "headers_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
            431,
            "headers_too_large",
        ),
    ] {
        let answer = refused(&server, &[], head.as_bytes()).await;
        expect_refusal(&answer, status, code);
        // The connection may have served before; what follows an answer is looked at as well.
        let answer = refused(
            &server,
            b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
            head.as_bytes(),
        )
        .await;
        expect_refusal(&answer, status, code);
    }
}

/// What the server says to a head that it cannot read, on a connection that was answered something before.
async fn refused(server: &Server, before: &[u8], head: &[u8]) -> String {
    let address = server.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    if !before.is_empty() {
        stream.write_all(before).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
    }
    // The server may have refused and closed before it was sent whole.
    stream.write_all(head).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

#[track_caller]
fn expect_refusal(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("\r\nx-request-id: "), "{answer}");
    assert!(
        head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
        "{answer}"
    );
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["code"], code);
    assert_eq!(body["success"], false);
}
