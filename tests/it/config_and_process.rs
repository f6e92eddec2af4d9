//! The process: its settings, its directory, its log, its start and its end (contract, "Details").

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    Client, Daemon, PASSWORD, PATIENCE, Person, claims_of, command, database, eventually, sign,
};

/// Runs the program to its end.
async fn run(data_dir: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = command(data_dir);
    command.args(arguments).envs(env.iter().copied());
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("it ends by itself")
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_says_where_everything_is() {
    let dir = tempfile::tempdir().unwrap();
    // As a person would: in an empty directory, with nothing set but the port.
    let mut child = command(dir.path())
        .current_dir(dir.path())
        .env_clear()
        .env("PORT", "0")
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut greeting = String::new();
    while !greeting.contains("listening") {
        use tokio::io::AsyncBufReadExt;
        assert!(
            out.read_line(&mut greeting).await.unwrap() > 0,
            "{greeting}"
        );
    }
    let data = dir.path().canonicalize().unwrap().join("data");
    assert!(greeting.contains(data.to_str().unwrap()), "{greeting}");
    let (_, link) = greeting.split_once("http://").unwrap();
    let (host, secret) = link
        .lines()
        .next()
        .unwrap()
        .split_once("/setup?token=")
        .unwrap();
    assert!(secret.trim().len() >= 22, "128 bits and more: {greeting}");
    assert!(
        host.starts_with("127.0.0.1:"),
        "only this machine, unless told: {greeting}"
    );
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_for_its_owner_and_one_process() {
    let daemon = Daemon::start().await;
    let data = daemon.data_dir();
    assert_eq!(mode(&data), 0o700);
    for file in ["secrets.toml", "socialhub.db", "socialhub.lock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    let second = run(&data, &["serve"], &[]).await;
    assert_eq!(second.status.code(), Some(1));
    let says = text(&second.stderr);
    assert!(
        says.contains(&format!("process {}", daemon.pid())),
        "{says}"
    );
    assert!(says.contains(data.to_str().unwrap()), "{says}");
    daemon.client().get("/livez").await.expect(200);
    // Whoever was killed holds nothing.
    daemon
        .kill_and_restart()
        .await
        .client()
        .get("/livez")
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_sessions_outlive_the_process() {
    let mut daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let before = std::fs::read(daemon.data_dir().join("secrets.toml")).unwrap();
    assert_eq!(daemon.terminate().await.code(), Some(0));
    let daemon = daemon.kill_and_restart().await;
    daemon
        .client()
        .with_token(&ada.token)
        .get("/users/profile")
        .await
        .expect(200);
    assert_eq!(
        std::fs::read(daemon.data_dir().join("secrets.toml")).unwrap(),
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_means_nothing_is_refused_with_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("socialhub.toml");
    let data = dir.path().join("data");
    for (written, says) in [
        ("[servr]\n", "`server`"),
        ("[server]\nlisten_on = \"127.0.0.1:0\"\n", "`server.listen`"),
        ("[limits]\nenabeld = true\n", "`limits.enabled`"),
        ("[server]\nmax_connections = \"many\"\n", "not valid"),
        ("[server\n", "not valid TOML"),
        ("[log]\nformat = \"xml\"\n", "not valid"),
    ] {
        std::fs::write(&file, written).unwrap();
        let refused = run(&data, &["serve", "--config", file.to_str().unwrap()], &[]).await;
        assert_eq!(refused.status.code(), Some(1), "{written}");
        let error = text(&refused.stderr);
        assert!(error.contains(says), "{written}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    for (name, value, says) in [
        ("SOCIALHUB_SERVER__LISTN", "x", "`server.listen`"),
        ("SOCIALHUB_LIMITS__ENABLED", "perhaps", "`true` or `false`"),
        ("PORT", "eighty", "PORT"),
        ("SOCIALHUB_CONFIG", "/nonexistent.toml", "/nonexistent.toml"),
    ] {
        let refused = run(&data, &["serve"], &[(name, value)]).await;
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let error = text(&refused.stderr);
        assert!(error.contains(says), "{name}: {error}");
    }
    assert!(!data.exists(), "nothing was made");
    let refused = run(&data, &["serve", "--nonsense"], &[]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_name_in_the_environment_is_passed_over_and_said() {
    // Kubernetes sets these beside a service of our name.
    let daemon = Daemon::start_with(&[
        ("SOCIALHUB_PORT", "tcp://10.0.0.1:8080"),
        ("SOCIALHUB_DATADIR", "x"),
    ])
    .await;
    assert!(daemon.log().contains("SOCIALHUB_PORT"));
    assert!(
        daemon.log().contains("SOCIALHUB_DATA_DIR"),
        "what was meant"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), &["serve", "--listen", &address], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains(&address),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_variables_are_understood() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path())
        .env_remove("SOCIALHUB_LISTEN")
        .env("PORT", port.to_string())
        .env("JWT_SECRET", "the original's secret")
        .arg("serve")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    eventually("the daemon answers", || async {
        client
            .try_send(client.request(Method::GET, "/livez"))
            .await
            .ok()
    })
    .await;
    let ada = client.sign_up("ada").await;
    // Whoever knows the secret can check tokens, and make them.
    let (_, claims) = claims_of(&ada.token);
    let made = client.with_token(&sign(&claims, "the original's secret"));
    made.get("/users/profile").await.expect(200);
    let forged = client.with_token(&sign(&claims, "another secret"));
    forged.get("/users/profile").await.expect(401);
    let secrets = std::fs::read_to_string(dir.path().join("secrets.toml")).unwrap();
    assert!(!secrets.contains("the original's secret"));
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_under_way() {
    let mut daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let address = daemon
        .client()
        .url("")
        .trim_start_matches("http://")
        .to_owned();
    let hold = database::Hold::new(&daemon.data_dir());
    let writing = ada.post("/posts/", json!({ "content": "Under way" }));
    let stopping = async {
        // Long enough under way to have arrived: it answers nobody else, and is not answered.
        ada.get("/livez").await.expect(200);
        tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>())
            .await
            .ok();
        daemon.ask_to_stop();
        eventually("new connections are refused", || async {
            TcpStream::connect(&address).await.is_err().then_some(())
        })
        .await;
        drop(hold);
    };
    let (written, ()) = tokio::join!(writing, stopping);
    let id = written.expect(201)["post"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(daemon.ended().await.code(), Some(0));
    let daemon = daemon.kill_and_restart().await;
    let ada = daemon.client().with_token(&ada.token);
    ada.get(&format!("/posts/{id}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_left_alone() {
    let mut daemon = Daemon::start().await;
    daemon.client().sign_up("ada").await;
    daemon.terminate().await;
    let dir = daemon.kill().await;
    let data = dir.path().join("data");
    let newer = database::connect_to_write(&data);
    newer.pragma_update(None, "user_version", 4711).unwrap();
    drop(newer);
    let refused = run(&data, &["serve"], &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    let error = text(&refused.stderr);
    assert!(error.contains("4711"), "{error}");
    let version: i64 = database::connect_to_write(&data)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 4711);
    let username = database::text(
        &database::connect_to_write(&data),
        "SELECT username FROM users",
    );
    assert_eq!(username, "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_an_exit_code() {
    let mut daemon = Daemon::start().await;
    let address = daemon
        .client()
        .url("")
        .trim_start_matches("http://")
        .to_owned();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let data = daemon.data_dir();
    daemon.ready().await;
    // By the environment that `serve` reads, or by a flag.
    for (arguments, env) in [
        (
            &["health"][..],
            &[("SOCIALHUB_LISTEN", address.as_str())][..],
        ),
        (&["health", "--listen", &address], &[]),
        (
            &["health"],
            &[("SOCIALHUB_LISTEN", &format!("0.0.0.0:{port}"))],
        ),
    ] {
        let healthy = run(&data, arguments, env).await;
        assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stderr));
        assert!(
            text(&healthy.stdout).contains("\"ready\""),
            "{}",
            text(&healthy.stdout)
        );
    }
    daemon.terminate().await;
    let gone = run(&data, &["health", "--listen", &address], &[]).await;
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr).contains(&address),
        "{}",
        text(&gone.stderr)
    );
}

/// The whole life of an account, with everything in it that is nobody else's business; those things.
async fn live(daemon: &Daemon) -> Vec<String> {
    let client = daemon.client();
    let link = daemon.setup_link().unwrap();
    let (_, secret) = link.split_once("token=").unwrap();
    let root = client.set_up(secret, "root").await;
    let ada = client.sign_up("ada").await;
    client
        .try_log_in(&ada.email, "a secret guess")
        .await
        .expect(401);
    let again = client.log_in(&ada).await;
    ada.post("/auth/request-verification", json!({}))
        .await
        .expect(200);
    let verification = code(daemon).await;
    ada.post("/auth/verify-email", json!({ "otp": verification }))
        .await
        .expect(200);
    client
        .post(
            "/auth/request-password-reset",
            json!({ "email": ada.email }),
        )
        .await
        .expect(200);
    let reset = code(daemon).await;
    let path = format!("/auth/verify-reset-otp/{}", ada.email);
    let encoded = path.replace('@', "%40");
    client
        .post(&encoded, json!({ "otp": "-" }))
        .await
        .expect(400);
    let verified = client
        .post(&path, json!({ "otp": reset }))
        .await
        .expect(200);
    let token = verified["resetToken"].as_str().unwrap().to_owned();
    let new = "an entirely different one";
    let body = json!({ "email": ada.email, "newPassword": new, "resetToken": token });
    client.post("/auth/reset-password", body).await.expect(200);
    let profile = client.get(&format!("/setup?token={secret}")).await;
    assert_eq!(profile.status, 200);
    root.write("Words for my readers").await;
    let mut secrets = vec![
        secret.to_owned(),
        verification,
        reset,
        token,
        ada.email.replace('@', "%40"),
        PASSWORD.to_owned(),
        new.to_owned(),
        "a secret guess".to_owned(),
        "Words for my readers".to_owned(),
    ];
    for Person { email, token, .. } in [root, ada, again] {
        secrets.extend([email, token]);
    }
    secrets
}

/// The code in the one message there; takes it away.
async fn code(daemon: &Daemon) -> String {
    let outbox = daemon.data_dir().join("outbox");
    eventually("a message", || async {
        for entry in std::fs::read_dir(&outbox).ok()? {
            let path = entry.ok()?.path();
            if path.extension().is_some_and(|end| end == "eml") {
                let text = std::fs::read_to_string(&path).ok()?;
                std::fs::remove_file(&path).ok()?;
                let (_, body) = text.split_once("\r\n\r\n")?;
                let mut runs = body.split(|c: char| !c.is_ascii_digit());
                return runs.find(|run| run.len() == 6).map(str::to_owned);
            }
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_holds_nothing_that_is_somebodys_own() {
    // At its most talkative.
    let daemon = Daemon::start_with(&[("SOCIALHUB_LOG__LEVEL", "trace")]).await;
    let secrets = live(&daemon).await;
    let log = daemon.log();
    assert!(
        log.contains("/api/v1/auth/verify-reset-otp/"),
        "it tells of the requests at all"
    );
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "the log holds {secret:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_about_a_request_names_it() {
    let daemon = Daemon::start_with(&[("SOCIALHUB_LOG__LEVEL", "debug")]).await;
    let client = daemon.client().with("x-request-id", "the-one-we-look-for");
    let ada = client.sign_up("ada").await;
    ada.write("Hello").await;
    let lines: Vec<Value> = eventually("lines about the requests", || async {
        let log = daemon.log();
        let lines = log.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
        });
        let lines: Vec<Value> = lines
            .filter(|line: &Value| line["span"]["name"] == "request")
            .collect();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    for line in &lines {
        assert_eq!(line["span"]["request.id"], "the-one-we-look-for", "{line}");
        assert!(
            line["timestamp"].is_string()
                && line["level"].is_string()
                && line["message"].is_string()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_text_where_a_person_asks_for_it() {
    let daemon = Daemon::start_with(&[("SOCIALHUB_LOG__FORMAT", "text")]).await;
    let log = daemon.log();
    assert!(log.contains("Listening on 127.0.0.1:"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with('{')), "{log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_have_a_listener_of_their_own() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let daemon = Daemon::start_with(&[("SOCIALHUB_METRICS__LISTEN", &address)]).await;
    daemon
        .client()
        .get("/metrics")
        .await
        .expect_code(404, "not_found");
    let metrics = Client::new(&format!("http://{address}"))
        .get("/metrics")
        .await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("socialhub_"), "{}", metrics.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_survives_a_kill() {
    let daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let writes = (0..200).map(|n| {
        let ada = ada.clone();
        async move {
            let request = ada
                .request(Method::POST, "/posts/")
                .json(&json!({ "content": format!("{n}") }));
            let reply = ada.try_send(request).await.ok()?;
            let id = reply.json()["post"]["id"].as_str()?.to_owned();
            (reply.status == 201).then_some(id)
        }
    });
    let writing = futures_util::future::join_all(writes);
    let killing = async {
        eventually("some are written", || async {
            let count = ada.get("/posts/getall").await.json()["count"].as_u64()?;
            (count > 0).then_some(())
        })
        .await;
        daemon.kill_and_restart().await
    };
    let (acknowledged, daemon) = tokio::join!(writing, killing);
    let ada = daemon.client().with_token(&ada.token);
    let kept = ada.walk("/posts/getall", "posts", 100).await;
    let ids = crate::support::ids(&kept);
    for id in acknowledged.iter().flatten() {
        assert!(
            ids.contains(&id.as_str()),
            "{id} was acknowledged and is gone"
        );
    }
    assert_eq!(
        ada.get("/posts/getall").await.expect(200)["count"],
        kept.len()
    );
}
