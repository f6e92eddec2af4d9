//! Codes by mail: a forgotten password, a proven address, and how the messages leave (contract, section 2).

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use socialhub::config::SmtpTls;

use crate::support::smtp::MailServer;
use crate::support::{Daemon, PASSWORD, Person, Reply, Server, claims_of, eventually};

const NEW: &str = "an entirely different one";

async fn ask(server: &Server, email: &str) -> Reply {
    server
        .post("/auth/request-password-reset", json!({ "email": email }))
        .await
}

async fn check(server: &Server, email: &str, code: &str) -> Reply {
    let path = format!("/auth/verify-reset-otp/{email}");
    server.post(&path, json!({ "otp": code })).await
}

/// A code that this one is not.
fn other_than(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

async fn code(server: &Server, person: &Person) -> String {
    ask(server, &person.email).await.expect(200);
    server.code_for(&person.email).await
}

async fn reset_token(server: &Server, person: &Person) -> String {
    let code = code(server, person).await;
    let body = check(server, &person.email, &code).await.expect(200);
    body["resetToken"].as_str().unwrap().to_owned()
}

fn new_password(email: &str) -> Value {
    json!({ "email": email, "newPassword": NEW })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_by_a_code() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let elsewhere = server.log_in(&ada).await;
    let body = ask(&server, &ada.email).await.expect(200);
    assert!(body["message"].is_string());
    let code = server.code_for(&ada.email).await;
    let checked = check(&server, &ada.email, &code).await;
    let body = checked.expect(200);
    let token = body["resetToken"].as_str().unwrap();
    let cookie = checked.header("set-cookie");
    assert!(
        cookie.starts_with(&format!("resetToken={token};")),
        "{cookie}"
    );
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );

    let body = json!({ "email": ada.email, "newPassword": NEW, "resetToken": token });
    let done = server.post("/auth/reset-password", body.clone()).await;
    done.expect(200);
    assert!(
        done.header("set-cookie").contains("Max-Age=0"),
        "the cookie is cleared"
    );

    // Defect 7: all sessions end with the password.
    ada.get("/users/profile").await.expect(401);
    elsewhere.get("/users/profile").await.expect(401);
    server
        .try_log_in("ada", PASSWORD)
        .await
        .expect_code(401, "invalid_credentials");
    server.try_log_in("ada", NEW).await.expect(200);
    // Once.
    server
        .post("/auth/reset-password", body)
        .await
        .expect_code(401, "invalid_reset_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permission_to_reset_comes_in_the_body_a_cookie_or_as_bearer() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for prefix in ["", "/api/v1"] {
        let path = format!("{prefix}/auth/reset-password");
        let post = |token: String, header: &'static str, value: String| {
            let mut body = new_password("ADA@example.org");
            if header.is_empty() {
                body["resetToken"] = token.into();
            }
            let request = server.request(Method::POST, &path).json(&body);
            server.send(if header.is_empty() {
                request
            } else {
                request.header(header, value)
            })
        };
        let token = reset_token(&server, &ada).await;
        post(token, "", String::new()).await.expect(200);
        let token = reset_token(&server, &ada).await;
        let cookie = format!("theme=dark; resetToken={token}; x=y");
        post(token, "cookie", cookie).await.expect(200);
        let token = reset_token(&server, &ada).await;
        let bearer = format!("Bearer {token}");
        post(token, "authorization", bearer).await.expect(200);
    }
    let body = new_password(&ada.email);
    server
        .post("/auth/reset-password", body.clone())
        .await
        .expect_code(401, "invalid_reset_token");
    // Neither does a session allow it.
    let signed_in = server.try_log_in("ada", NEW).await.expect(200);
    let client = server.with_token(signed_in["token"].as_str().unwrap());
    client
        .post("/auth/reset-password", body)
        .await
        .expect_code(401, "invalid_reset_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_itself_sets_a_new_password_too() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let code = code(&server, &ada).await;
    let with_code = |code: &str| json!({ "email": ada.email, "newPassword": NEW, "otp": code });
    let wrong = with_code(&other_than(&code));
    server
        .post("/auth/reset-password", wrong)
        .await
        .expect_code(400, "invalid_otp");
    // A password that is refused does not use the code up.
    let mut weak = with_code(&code);
    weak["newPassword"] = "password".into();
    server
        .post("/auth/reset-password", weak)
        .await
        .expect_code(400, "invalid_fields");
    server
        .post("/auth/reset-password", with_code(&code))
        .await
        .expect(200);
    server.try_log_in("ada", NEW).await.expect(200);
    server
        .post("/auth/reset-password", with_code(&code))
        .await
        .expect_code(400, "invalid_otp");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_after_five_wrong_tries_the_right_code_is_worth_nothing() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let right = code(&server, &ada).await;
    let wrong = other_than(&right);
    for _ in 0..5 {
        check(&server, &ada.email, &wrong)
            .await
            .expect_code(400, "invalid_otp");
    }
    check(&server, &ada.email, &right)
        .await
        .expect_code(400, "invalid_otp");

    // Four leave it good.
    let right = code(&server, &ada).await;
    let wrong = other_than(&right);
    for _ in 0..4 {
        check(&server, &ada.email, &wrong)
            .await
            .expect_code(400, "invalid_otp");
    }
    check(&server, &ada.email, &right).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_once_and_for_five_minutes() {
    let server = Server::start_with_clock(|_config| {}).await;
    let ada = server.sign_up("ada").await;
    let first = code(&server, &ada).await;
    server.advance(Duration::from_secs(299));
    check(&server, &ada.email, &first).await.expect(200);
    check(&server, &ada.email, &first)
        .await
        .expect_code(400, "invalid_otp");
    let second = code(&server, &ada).await;
    server.advance(Duration::from_mins(5));
    check(&server, &ada.email, &second)
        .await
        .expect_code(400, "invalid_otp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_makes_the_first_code_worth_nothing() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let first = code(&server, &ada).await;
    let mut second = code(&server, &ada).await;
    // One time in a million they are the same.
    while second == first {
        second = code(&server, &ada).await;
    }
    check(&server, &ada.email, &first)
        .await
        .expect_code(400, "invalid_otp");
    check(&server, &ada.email, &second).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_code_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let path = format!("/auth/verify-reset-otp/{}", ada.email);
    check(&server, &ada.email, "123456")
        .await
        .expect_code(400, "invalid_otp");
    let right = code(&server, &ada).await;
    let number: u32 = right.parse().unwrap();
    server
        .post(&path, json!({ "otp": number }))
        .await
        .expect_code(400, "invalid_fields");
    server
        .post(&path, json!({}))
        .await
        .expect_code(400, "invalid_fields");
    check(&server, &ada.email, "").await.expect(400);
    check(&server, "nobody@example.org", &right)
        .await
        .expect_code(400, "invalid_otp");
    let without_body = server.send(server.request(Method::POST, &path)).await;
    without_body.expect(415);
    check(&server, &ada.email, &right).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_a_reset_token_is_no_session() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let token = reset_token(&server, &ada).await;
    let client = server.with_token(&token);
    assert_eq!(client.get("/auth/verify-user").await.status, 401);
    client.get("/users/profile").await.expect(401);
    // The sessions there are go on: nothing has changed yet.
    ada.get("/users/profile").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_token_is_for_its_address_and_some_minutes() {
    let server = Server::start_with_clock(|_config| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let token = reset_token(&server, &ada).await;
    let with_token = |email: &str, token: &str| json!({ "email": email, "newPassword": NEW, "resetToken": token });
    for email in [bob.email.as_str(), "nobody@example.org"] {
        let body = with_token(email, &token);
        server
            .post("/auth/reset-password", body)
            .await
            .expect_code(401, "invalid_reset_token");
    }
    server.try_log_in("bob", PASSWORD).await.expect(200);
    let mut weak = with_token(&ada.email, &token);
    weak["newPassword"] = "1234567".into();
    server
        .post("/auth/reset-password", weak)
        .await
        .expect_code(400, "invalid_fields");
    server.advance(Duration::from_secs(899));
    server
        .post("/auth/reset-password", with_token(&ada.email, &token))
        .await
        .expect(200);

    let token = reset_token(&server, &ada).await;
    server.advance(Duration::from_mins(15));
    let body = with_token(&ada.email, &token);
    server
        .post("/auth/reset-password", body)
        .await
        .expect_code(401, "invalid_reset_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_reset_does_not_learn_who_has_an_account() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let unknown = ask(&server, "nobody@example.org").await;
    let known = ask(&server, &ada.email).await;
    known.expect(200);
    assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
    server.code_for(&ada.email).await;
    ask(&server, "not an address")
        .await
        .expect_code(400, "invalid_fields");
    // Hers was asked for last and is there: nothing else was written.
    assert_eq!(server.outbox(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_person_gets_no_code() {
    let server = Server::start().await;
    let admin = server.set_up("root").await;
    let ada = server.sign_up("ada").await;
    let path = format!("/api/v1/admin/users/{}/status", ada.id);
    admin
        .patch(&path, json!({ "status": "suspended" }))
        .await
        .expect(200);
    ask(&server, &ada.email).await.expect(200);
    let bob = server.sign_up("bob").await;
    code(&server, &bob).await;
    assert_eq!(server.outbox(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_proven_by_a_code() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let verify = |code: String| ada.post("/auth/verify-email", json!({ "otp": code }));
    ada.post("/auth/request-verification", json!({}))
        .await
        .expect(200);
    let code = server.code_for(&ada.email).await;
    verify(other_than(&code))
        .await
        .expect_code(400, "invalid_otp");
    // It is for this alone.
    check(&server, &ada.email, &code)
        .await
        .expect_code(400, "invalid_otp");
    assert_eq!(
        ada.get("/auth/me").await.expect(200)["user"]["isVerified"],
        false
    );
    verify(code.clone()).await.expect(200);
    assert_eq!(
        ada.get("/auth/me").await.expect(200)["user"]["isVerified"],
        true
    );
    verify(code).await.expect_code(400, "invalid_otp");
    let again = server.log_in(&ada).await;
    assert_eq!(claims_of(&again.token).1["isVerified"], true);
    server
        .post("/auth/request-verification", json!({}))
        .await
        .expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_code_that_is_sent_twice_sends_one() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let path = "/auth/request-verification";
    for _ in 0..3 {
        ada.once("k", Method::POST, path, json!({}))
            .await
            .expect(200);
    }
    let code = server.code_for(&ada.email).await;
    ada.post("/auth/verify-email", json!({ "otp": code }))
        .await
        .expect(200);
    ada.once("k", Method::POST, path, json!({ "other": 1 }))
        .await
        .expect_code(422, "idempotency_mismatch");
    // Messages leave in their order: a further one of the first request would be there before this one.
    ada.once("another", Method::POST, path, json!({}))
        .await
        .expect(200);
    let messages = eventually("a message", || async {
        let messages = server.outbox();
        (!messages.is_empty()).then_some(messages)
    });
    assert_eq!(messages.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_asked_for_is_sent_before_the_server_stops() {
    let mut daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let body = json!({ "email": ada.email });
    daemon
        .client()
        .post("/auth/request-password-reset", body)
        .await
        .expect(200);
    assert_eq!(daemon.terminate().await.code(), Some(0));
    let outbox = daemon.data_dir().join("outbox");
    assert_eq!(std::fs::read_dir(outbox).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_reset_stays_on_encrypted_connections_where_there_are_some() {
    for (url, is_secure) in [
        (None, false),
        (Some("http://social.example.org"), false),
        (Some("https://social.example.org"), true),
    ] {
        let server = Server::start_with(|config| {
            config.server.public_url = url.map(str::to_owned);
        })
        .await;
        let ada = server.sign_up("ada").await;
        let reply = check(&server, &ada.email, &code(&server, &ada).await).await;
        let cookie = reply.header("set-cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{url:?}: {cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_code_for_a_reset_proves_the_address_too() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let code = code(&server, &ada).await;
    check(&server, &ada.email, &code).await.expect(200);
    assert_eq!(
        ada.get("/auth/me").await.expect(200)["user"]["isVerified"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_in_a_file_for_its_owner_alone() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    ask(&server, &ada.email).await.expect(200);
    let (to, text) = eventually("a message", || async { server.outbox().pop() }).await;
    assert_eq!(to, ada.email);
    let dir = server.config.data_dir.join("outbox");
    let file = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
    assert_eq!(file.path().extension().unwrap(), "eml");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file.path()), 0o600);
    assert_eq!(mode(&dir), 0o700);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let runs = body.split(|c: char| !c.is_ascii_digit());
    let codes: Vec<&str> = runs.filter(|run| run.len() >= 6).collect();
    assert_eq!(codes.len(), 1, "{body}");
    assert_eq!(codes[0].len(), 6);
}

async fn through(tls: SmtpTls) -> (Server, MailServer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(tls, dir.path()).await;
    let settings = mail.settings();
    let server = Server::start_with(|config| config.mail = settings).await;
    (server, mail, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_leave_by_smtp_when_there_is_a_mail_server() {
    for tls in [SmtpTls::None, SmtpTls::Starttls, SmtpTls::Implicit] {
        let (server, mail, _dir) = through(tls).await;
        let ada = server.sign_up("ada").await;
        // Where mail reaches people, a new account is asked to prove its address.
        let welcome = mail
            .message_for(&ada.email, "Confirm your e-mail address")
            .await;
        let body = json!({ "otp": welcome.code() });
        ada.post("/auth/verify-email", body).await.expect(200);

        ask(&server, &ada.email).await.expect(200);
        let reset = mail.message_for(&ada.email, "Reset your password").await;
        assert_eq!(reset.is_secured, tls != SmtpTls::None, "{tls:?}");
        assert_eq!(reset.login, None);
        assert!(
            reset.text.contains("From: SocialHub <socialhub@localhost>"),
            "{}",
            reset.text
        );
        check(&server, &ada.email, &reset.code()).await.expect(200);
        assert_eq!(server.outbox(), [], "no file beside it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_servers_name_and_password_are_used_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(SmtpTls::Starttls, dir.path()).await;
    let mut settings = mail.settings();
    settings.smtp_username = Some("socialhub".to_owned());
    settings.smtp_password = Some("mail secret".to_owned());
    let server = Server::start_with(|config| config.mail = settings).await;
    server.sign_up("ada").await;
    let message = mail.message_for("ada@example.org", "Confirm").await;
    assert!(message.is_secured);
    assert!(message.login.unwrap().starts_with("AUTH PLAIN "));
}

async fn nothing_is_handed_to_a_stranger(tls: SmtpTls) {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(tls, dir.path()).await;
    let mut settings = mail.settings();
    settings.smtp_ca_file = None;
    let server = Server::start_with(|config| config.mail = settings).await;
    server.sign_up("ada").await;
    // Tried, refused, and given up by the end of the stop.
    server.stop().await;
    assert!(mail.messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_nobody_vouches_for_gets_no_mail_after_starttls() {
    nothing_is_handed_to_a_stranger(SmtpTls::Starttls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_nobody_vouches_for_gets_no_mail_over_tls() {
    nothing_is_handed_to_a_stranger(SmtpTls::Implicit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_without_starttls_gets_no_mail_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(SmtpTls::None, dir.path()).await;
    let mut settings = mail.settings();
    settings.smtp_tls = SmtpTls::Starttls;
    let server = Server::start_with(|config| config.mail = settings).await;
    server.sign_up("ada").await;
    server.stop().await;
    assert!(mail.messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_flood_of_requests_is_not_mailed() {
    let server = Server::start_with(|config| config.limits.enabled = true).await;
    let ada = server.sign_up("ada").await;
    for _ in 0..8 {
        ask(&server, &ada.email).await.expect(200);
    }
    // Bob's comes after all of hers.
    let bob = server.sign_up("bob").await;
    code(&server, &bob).await;
    let all_hers = eventually("five messages", || async {
        let messages = server.outbox();
        (messages.len() >= 5).then_some(messages)
    });
    assert_eq!(all_hers.await.len(), 5);
}
