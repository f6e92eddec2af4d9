//! Writing help (contract, section 4): what the provider is asked, and what becomes of its answer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use socialhub::config::Assist;
use tokio::task::JoinSet;

use crate::support::provider::{Asked, KEY, Play, Provider};
use crate::support::{Daemon, Person, Reply, Server, command, eventually, keys, pictures};

const DAY: Duration = Duration::from_hours(24);

const CONTENT: &str = "/posts/generate-content";
const CAPTION: &str = "/posts/generate-caption";
const ALT: &str = "/api/v1/assist/alt-text";

/// A server that asks this provider.
async fn asking(options: Assist) -> Server {
    Server::start_with(|config| config.assist = options).await
}

async fn content(person: &Person) -> Reply {
    let body = json!({ "topic": "our garden", "tone": "casual" });
    person.post(CONTENT, body).await
}

/// Waits until so many are waiting for the provider's answer.
async fn under_way(provider: &Provider, number: usize) {
    eventually("so many are under way", || async {
        (provider.under_way() == number).then_some(())
    })
    .await;
}

fn only(provider: &Provider) -> Asked {
    let mut asked = provider.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

async fn upload(person: &Person, width: u32, height: u32) -> Value {
    let jpeg = pictures::picture(width, height, 7, image::ImageFormat::Jpeg);
    let form =
        reqwest::multipart::Form::new().part("file", pictures::part(jpeg, "a.jpg", "image/jpeg"));
    let reply = pictures::send(person, "/api/v1/media", form)
        .await
        .expect(201);
    reply["media"]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_writes_posts_and_captions() {
    let provider = Provider::start().await;
    let server = asking(provider.gemini()).await;
    let ada = server.sign_up("ada").await;

    provider.plays(Play::Says("Autumn is here.\n".to_owned()));
    let reply = content(&ada).await.expect(200);
    assert_eq!(
        reply,
        json!({ "topic": "our garden", "tone": "casual", "content": "Autumn is here." })
    );
    let asked = only(&provider);
    assert_eq!(
        asked.target,
        "/v1beta/models/gemini-2.5-flash:generateContent"
    );
    assert_eq!(asked.headers["x-goog-api-key"], KEY);
    assert_eq!(asked.headers["content-type"], "application/json");
    assert!(asked.headers.get("authorization").is_none());
    let body = asked.body;
    assert_eq!(
        body["contents"],
        json!([{ "role": "user", "parts": [{ "text": "Topic: our garden\nTone: casual" }] }])
    );
    assert!(
        body["systemInstruction"]["parts"][0]["text"]
            .as_str()
            .is_some_and(|task| !task.contains("garden"))
    );
    assert_eq!(
        body["generationConfig"],
        json!({ "maxOutputTokens": 1024, "temperature": 0.7, "thinkingConfig": { "thinkingBudget": 0 } })
    );

    provider.plays(Play::Says("Leaves! #autumn #garden #home".to_owned()));
    let reply = ada
        .post(
            &format!("/api/v1{CAPTION}"),
            json!({ "topic": "our garden" }),
        )
        .await
        .expect(200);
    assert_eq!(
        reply,
        json!({ "topic": "our garden", "caption": "Leaves! #autumn #garden #home" })
    );
    assert!(only(&provider).body.to_string().contains("three hashtags"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_as_openai_writes_too() {
    let provider = Provider::start().await;
    let server = asking(provider.openai()).await;
    let ada = server.sign_up("ada").await;
    let reply = content(&ada).await.expect(200);
    assert_eq!(keys(&reply), ["content", "tone", "topic"]);
    assert_eq!(reply["content"], "A fine text.");
    let asked = only(&provider);
    assert_eq!(asked.target, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        keys(&asked.body),
        ["max_tokens", "messages", "model", "stream"]
    );
    assert_eq!(asked.body["model"], "qwen2.5:7b");
    assert_eq!(asked.body["stream"], false);
    assert_eq!(asked.body["max_tokens"], 1024);
    assert_eq!(asked.body["messages"][0]["role"], "system");
    assert_eq!(
        asked.body["messages"][1],
        json!({ "role": "user", "content": "Topic: our garden\nTone: casual" })
    );

    // A local one wants no key.
    let mut options = provider.openai();
    options.api_key = None;
    let server = server.restart_with(|config| config.assist = options).await;
    let ada = ada.at(&server);
    let caption = json!({ "topic": "our garden" });
    ada.post(CAPTION, caption).await.expect(200);
    assert!(only(&provider).headers.get("authorization").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_described_in_small() {
    let provider = Provider::start().await;
    for is_gemini in [true, false] {
        let options = if is_gemini {
            provider.gemini()
        } else {
            provider.openai()
        };
        let server = asking(options).await;
        let ada = server.sign_up("ada").await;
        let id = upload(&ada, 1_600, 1_200).await;
        provider.plays(Play::Says("A garden in autumn.".to_owned()));
        let reply = ada.post(ALT, json!({ "mediaId": id })).await.expect(200);
        assert_eq!(
            reply,
            json!({ "success": true, "alt": "A garden in autumn." })
        );
        let body = only(&provider).body;
        let data = if is_gemini {
            let part = &body["contents"][0]["parts"][0]["inlineData"];
            assert_eq!(part["mimeType"], "image/jpeg");
            part["data"].as_str().unwrap().to_owned()
        } else {
            let parts = &body["messages"][1]["content"];
            assert_eq!(parts[0]["type"], "text");
            assert_eq!(parts[1]["type"], "image_url");
            let url = parts[1]["image_url"]["url"].as_str().unwrap();
            let data = url.strip_prefix("data:image/jpeg;base64,");
            data.unwrap().to_owned()
        };
        let jpeg = STANDARD.decode(data).unwrap();
        let seen = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((seen.width(), seen.height()), (640, 480));
        // It was only asked for.
        let id = id.as_str().unwrap();
        let kept = ada.get(&format!("/api/v1/media/{id}")).await.expect(200);
        assert_eq!(kept["media"]["alt"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_no_writing_help_and_clients_know() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let offer = server.get("/api/v1/instance").await.expect(200)["assist"].clone();
    assert_eq!(offer["writes"], false);
    assert_eq!(offer["describesPictures"], false);
    let id = upload(&ada, 40, 30).await;
    for (path, body) in [
        (CONTENT, json!({ "topic": "gardens", "tone": "casual" })),
        (CAPTION, json!({ "topic": "gardens" })),
        (ALT, json!({ "mediaId": id })),
    ] {
        let refused = ada.post(path, body).await;
        refused.expect_code(503, "assist_disabled");
        assert_eq!(refused.header("retry-after"), "3600");
    }

    let provider = Provider::start().await;
    let mut options = provider.openai();
    options.vision = false;
    options.max_topic_chars = 80;
    let server = server.restart_with(|config| config.assist = options).await;
    let offer = server.get("/api/v1/instance").await.expect(200)["assist"].clone();
    assert_eq!(offer["writes"], true);
    assert_eq!(offer["describesPictures"], false);
    assert_eq!(offer["maxTopicChars"], 80);
    assert_eq!(offer["tones"].as_array().unwrap().len(), 6);
    ada.at(&server)
        .post(ALT, json!({ "mediaId": id }))
        .await
        .expect_code(503, "assist_disabled");
    assert_eq!(provider.asked().len(), 0);
    let server = server
        .restart_with(|config| config.assist = provider.gemini())
        .await;
    let offer = server.get("/api/v1/instance").await.expect(200)["assist"].clone();
    assert_eq!(offer["describesPictures"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_asked_does_not_reach_the_provider() {
    let provider = Provider::start().await;
    let server = asking(provider.gemini()).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    for path in [CONTENT, CAPTION, ALT] {
        server
            .post(path, json!({ "topic": "gardens", "tone": "casual" }))
            .await
            .expect_code(401, "unauthenticated");
    }
    for (path, body, fields) in [
        (CONTENT, json!({ "tone": "casual" }), vec!["topic"]),
        (CONTENT, json!({ "topic": "gardens" }), vec!["tone"]),
        (
            CONTENT,
            json!({ "topic": " ", "tone": "" }),
            vec!["topic", "tone"],
        ),
        (
            CONTENT,
            json!({ "topic": 5, "tone": "casual" }),
            vec!["topic"],
        ),
        (CAPTION, json!({ "topic": "x".repeat(501) }), vec!["topic"]),
        (CAPTION, json!({ "topic": "a\u{0}b" }), vec!["topic"]),
        (
            CONTENT,
            json!({ "topic": "gardens", "tone": "x".repeat(51) }),
            vec!["tone"],
        ),
        (ALT, json!({}), vec!["mediaId"]),
        (ALT, json!({ "mediaId": "picture" }), vec!["mediaId"]),
    ] {
        let reply = ada.post(path, body.clone()).await;
        let reply = reply.expect_code(400, "invalid_fields");
        let named: Vec<_> = reply["errors"].as_array().unwrap().iter().collect();
        let named: Vec<_> = named
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    // Somebody else's picture is not there, posted or not; a recording is none.
    let id = upload(&ada, 40, 30).await;
    for _ in 0..2 {
        bob.post(ALT, json!({ "mediaId": id }))
            .await
            .expect_code(404, "media_not_found");
        let post = json!({ "content": "Look", "mediaIds": [id] });
        ada.post("/posts/", post).await;
    }
    let wav = pictures::part(pictures::recording(2_000, 1), "a.wav", "audio/wav");
    let form = reqwest::multipart::Form::new().part("file", wav);
    let reply = pictures::send(&ada, "/api/v1/media", form)
        .await
        .expect(201);
    let reply = ada
        .post(ALT, json!({ "mediaId": reply["media"]["id"] }))
        .await;
    let reply = reply.expect_code(400, "invalid_fields");
    assert_eq!(reply["errors"][0]["code"], "not_a_picture");
    assert_eq!(provider.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_the_provider_has_its_code() {
    let provider = Provider::start().await;
    let status = |status: u16| Play::Status(status, vec![], format!("{{\"error\": \"{KEY}\"}}"));
    let wait = |seconds: &str| {
        let headers = vec![("retry-after", seconds.to_owned())];
        Play::Status(429, headers, String::new())
    };
    let elsewhere = Play::Status(
        307,
        vec![("location", "/v1/chat/completions".to_owned())],
        String::new(),
    );
    let gemini = |finish: &str, parts: Value| {
        Play::Json(json!({
            "candidates": [{ "finishReason": finish, "content": { "parts": parts } }],
            "usageMetadata": { "promptTokenCount": 9 },
        }))
    };
    let text = json!([{ "text": "Halfway" }]);
    let blocked = json!({
        "promptFeedback": { "blockReason": "SAFETY" },
        "usageMetadata": { "promptTokenCount": 9 },
    });
    let openai = |finish: &str, message: Value| {
        Play::Json(json!({ "choices": [{ "finish_reason": finish, "message": message }] }))
    };
    let both = [
        (wait("7"), 503, "assist_unavailable", "7"),
        (wait("86400"), 503, "assist_unavailable", "3600"),
        (wait("soon"), 503, "assist_unavailable", "10"),
        (status(500), 503, "assist_unavailable", "10"),
        (status(503), 503, "assist_unavailable", "10"),
        (status(401), 503, "assist_unavailable", "10"),
        (status(403), 503, "assist_unavailable", "10"),
        (status(400), 502, "assist_bad_answer", ""),
        (status(404), 502, "assist_bad_answer", ""),
        (elsewhere, 502, "assist_bad_answer", ""),
        (
            Play::Status(200, vec![], "<html>".to_owned()),
            502,
            "assist_bad_answer",
            "",
        ),
        (
            Play::Status(200, vec![], "[".repeat(10_000)),
            502,
            "assist_bad_answer",
            "",
        ),
        (Play::Json(json!([])), 502, "assist_bad_answer", ""),
        (
            Play::Says(" \u{200B}\n ".to_owned()),
            502,
            "assist_bad_answer",
            "",
        ),
        (Play::Floods(3 * 1024 * 1024), 502, "assist_bad_answer", ""),
        (Play::Silence, 504, "assist_timed_out", ""),
        (Play::Stalls, 504, "assist_timed_out", ""),
    ];
    let of_gemini = [
        (Play::Json(json!({})), 502, "assist_bad_answer", ""),
        (
            gemini("MAX_TOKENS", json!([])),
            502,
            "assist_bad_answer",
            "",
        ),
        (
            gemini("STOP", json!([{ "text": "I think", "thought": true }])),
            502,
            "assist_bad_answer",
            "",
        ),
        (gemini("SAFETY", text), 422, "assist_blocked", ""),
        (
            gemini("PROHIBITED_CONTENT", json!([])),
            422,
            "assist_blocked",
            "",
        ),
        (Play::Json(blocked), 422, "assist_blocked", ""),
    ];
    let of_openai = [
        (
            Play::Json(json!({ "choices": [] })),
            502,
            "assist_bad_answer",
            "",
        ),
        (
            Play::Json(json!({ "choices": 1 })),
            502,
            "assist_bad_answer",
            "",
        ),
        (
            openai("stop", json!({ "content": null })),
            502,
            "assist_bad_answer",
            "",
        ),
        (
            openai("content_filter", json!({ "content": "Half" })),
            422,
            "assist_blocked",
            "",
        ),
        (
            openai("stop", json!({ "content": null, "refusal": "No." })),
            422,
            "assist_blocked",
            "",
        ),
    ];
    for (mut options, own) in [
        (provider.gemini(), of_gemini.to_vec()),
        (provider.openai(), of_openai.to_vec()),
    ] {
        options.timeout_ms = 300;
        let server = asking(options).await;
        let ada = server.sign_up("ada").await;
        for (play, status, code, retry_after) in both.iter().cloned().chain(own) {
            let told = format!("{play:?}");
            let told: String = told.chars().take(200).collect();
            provider.plays(play);
            let reply = content(&ada).await;
            assert_eq!(
                (reply.status.as_u16(), &reply.json()["code"]),
                (status, &json!(code)),
                "{told}"
            );
            assert_eq!(reply.header("retry-after"), retry_after, "{told}");
            assert!(!reply.text.contains(KEY), "{told}");
            only(&provider);
        }
        // None of it harms the next.
        provider.plays(Play::Says("At last.".to_owned()));
        content(&ada).await.expect(200);
        only(&provider);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_told_and_costs_nothing() {
    let provider = Provider::start().await;
    let options = provider.openai();
    drop(provider);
    let server = asking(options).await;
    let admin = server.set_up("root").await;
    let refused = content(&admin).await;
    refused.expect_code(503, "assist_unavailable");
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(usage(&admin).await["months"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_says_is_text_of_a_stranger() {
    let provider = Provider::start().await;
    let server = asking(provider.openai()).await;
    let ada = server.sign_up("ada").await;
    let raw = "  \u{1b}[2J<script>alert(1)</script>\u{0}\r\n\u{202E}[x](javascript:1)\u{7} ";
    provider.plays(Play::Says(raw.to_owned()));
    let reply = content(&ada).await;
    // As it is, in JSON that no browser takes for a page.
    assert_eq!(
        reply.expect(200)["content"],
        "[2J<script>alert(1)</script>\n[x](javascript:1)"
    );
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");

    provider.plays(Play::Says("ä".repeat(20_000)));
    let chars = |reply: Value, field: &str| reply[field].as_str().unwrap().chars().count();
    assert_eq!(chars(content(&ada).await.expect(200), "content"), 10_000);
    let caption = ada.post(CAPTION, json!({ "topic": "x" })).await;
    assert_eq!(chars(caption.expect(200), "caption"), 2_200);
    let id = upload(&ada, 40, 30).await;
    let alt = ada.post(ALT, json!({ "mediaId": id })).await;
    assert_eq!(chars(alt.expect(200), "alt"), 1_500);
}

async fn usage(admin: &Person) -> Value {
    admin.get("/api/v1/admin/assist").await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_money_are_counted_by_the_month() {
    let provider = Provider::start().await;
    let mut options = provider.gemini();
    options.timeout_ms = 300;
    options.input_price = 0.3;
    options.output_price = 2.5;
    options.monthly_budget = 12.5;
    let server = Server::start_with_clock(|config| config.assist = options).await;
    let admin = server.set_up("root").await;
    assert_eq!(
        usage(&admin).await,
        json!({ "success": true, "budgetMicros": 12_500_000, "months": [] })
    );
    for _ in 0..2 {
        content(&admin).await.expect(200);
    }
    // 100 * 0.3 + 20 * 2.5, each.
    let mut month = json!({
        "month": "2027-01", "calls": 2, "failedCalls": 0, "estimatedCalls": 0,
        "inputTokens": 200, "outputTokens": 40, "costMicros": 160,
    });
    assert_eq!(usage(&admin).await["months"], json!([month]));

    // What the provider did not do costs nothing; what it thought, and what it refused to say, does.
    provider.plays(Play::Status(500, vec![], String::new()));
    content(&admin).await.expect(503);
    provider.plays(Play::Json(json!({
        "candidates": [{ "finishReason": "SAFETY" }],
        "usageMetadata": { "promptTokenCount": 50, "candidatesTokenCount": 5, "thoughtsTokenCount": 15 },
    })));
    content(&admin).await.expect(422);
    month["calls"] = 3.into();
    month["failedCalls"] = 1.into();
    month["inputTokens"] = 250.into();
    month["outputTokens"] = 60.into();
    month["costMicros"] = 225.into();
    assert_eq!(usage(&admin).await["months"], json!([month]));

    // A provider that says nothing of its tokens, and one of whose work nothing is known.
    provider.plays(Play::Json(
        json!({ "candidates": [{ "content": { "parts": [{ "text": "Twelve bytes" }] } }] }),
    ));
    content(&admin).await.expect(200);
    let seen = usage(&admin).await["months"][0].clone();
    assert_eq!(
        (&seen["calls"], &seen["estimatedCalls"]),
        (&4.into(), &1.into())
    );
    assert_eq!(seen["outputTokens"], 63);
    provider.plays(Play::Silence);
    content(&admin).await.expect(504);
    let seen = usage(&admin).await["months"][0].clone();
    assert_eq!(
        (&seen["failedCalls"], &seen["estimatedCalls"]),
        (&2.into(), &2.into())
    );
    assert_eq!(seen["outputTokens"], 63 + 1024);
    // A lie as large as numbers go.
    provider.plays(Play::Json(json!({
        "candidates": [{ "content": { "parts": [{ "text": "Hi" }] } }],
        "usageMetadata": { "promptTokenCount": u64::MAX, "candidatesTokenCount": u64::MAX, "thoughtsTokenCount": 1 },
    })));
    content(&admin).await.expect(200);
    let lied = usage(&admin).await["months"][0].clone();
    assert_eq!(lied["outputTokens"], 63 + 1024 + 10_000_000);

    // It is kept, and a new month begins at nothing.
    let server = server.restart().await;
    let admin = admin.at(&server);
    assert_eq!(usage(&admin).await["months"], json!([lied]));
    server.advance(DAY * 20);
    let admin = server.log_in(&admin).await;
    provider.plays(Play::Says("February.".to_owned()));
    content(&admin).await.expect(200);
    let months = usage(&admin).await["months"].clone();
    assert_eq!(months[0]["month"], "2027-02");
    assert_eq!(months[0]["costMicros"], 80);
    assert_eq!(months[1], lied);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_once_the_budget_is_spent() {
    let provider = Provider::start().await;
    let mut options = provider.openai();
    options.input_price = 1.0;
    options.output_price = 5.0;
    // Two calls of 200 millionths.
    options.monthly_budget = 0.000_4;
    let server = Server::start_with_clock(|config| config.assist = options).await;
    let ada = server.sign_up("ada").await;
    content(&ada).await.expect(200);
    content(&ada).await.expect(200);
    assert_eq!(provider.asked().len(), 2);
    let refused = content(&ada).await;
    refused.expect_code(503, "assist_budget_spent");
    assert_eq!(provider.asked().len(), 0);
    // From 2027-01-15T08:00:00Z to the end of the month.
    let seconds = 16 * 86_400 + 16 * 3_600;
    assert_eq!(refused.header("retry-after"), seconds.to_string());
    server.advance(Duration::from_secs(seconds));
    let ada = server.log_in(&ada).await;
    content(&ada).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_may_ask_so_often() {
    let provider = Provider::start().await;
    let server = Server::start_with(|config| {
        config.assist = provider.openai();
        config.limits.enabled = true;
        config.limits.assist_burst = 2;
        config.limits.assist_per_minute = 1;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let first = content(&ada).await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-remaining"), "1");
    ada.post(CAPTION, json!({ "topic": "x" })).await.expect(200);
    for path in [CONTENT, "/api/v1/posts/generate-content/", CAPTION, ALT] {
        let refused = ada
            .post(path, json!({ "topic": "x", "tone": "y", "mediaId": "1" }))
            .await;
        refused.expect_code(429, "rate_limited");
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(provider.asked().len(), 2);
    // What else she does, and what others do, is not concerned.
    ada.write("Hello").await;
    content(&bob).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_ends_the_call_and_it_is_noted() {
    let provider = Provider::start().await;
    let server = asking(provider.openai()).await;
    let admin = server.set_up("root").await;
    for play in [Play::Silence, Play::Stalls] {
        provider.plays(play);
        let (mut waiting, person) = (JoinSet::new(), admin.clone());
        waiting.spawn(async move { content(&person).await });
        under_way(&provider, 1).await;
        waiting.shutdown().await;
        under_way(&provider, 0).await;
    }
    eventually("both are noted", || async {
        let month = usage(&admin).await["months"][0].clone();
        let counts = ["calls", "failedCalls", "estimatedCalls"].map(|name| month[name].clone());
        (counts == [2, 2, 2].map(Value::from)).then_some(())
    })
    .await;
    // Its place is free.
    provider.plays(Play::Says("Hello".to_owned()));
    content(&admin).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_are_asked_for_at_once_and_the_rest_is_refused() {
    let provider = Provider::start().await;
    let mut options = provider.openai();
    options.max_calls = 1;
    options.queue_capacity = 0;
    let server = asking(options).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    provider.plays(Play::Silence);
    let (mut waiting, person) = (JoinSet::new(), ada.clone());
    waiting.spawn(async move { content(&person).await });
    under_way(&provider, 1).await;
    let refused = content(&bob).await;
    refused.expect_code(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "5");
    only(&provider);
    // The place is free as soon as she goes away.
    provider.plays(Play::Says("Hello".to_owned()));
    waiting.shutdown().await;
    eventually("a free place", || async {
        (content(&bob).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_ends_with_a_whole_sentence() {
    let provider = Provider::start().await;
    let gemini = |text: &str| {
        Play::Json(json!({ "candidates": [{
            "finishReason": "MAX_TOKENS", "content": { "parts": [{ "text": text }] },
        }]}))
    };
    let openai = |text: &str| {
        Play::Json(
            json!({ "choices": [{ "finish_reason": "length", "message": { "content": text } }] }),
        )
    };
    let (long, short) = ("Autumn is here! The leaves fall. And then", "Autumn is");
    for (options, cut, hopeless) in [
        (provider.gemini(), gemini(long), gemini(short)),
        (provider.openai(), openai(long), openai(short)),
    ] {
        let server = asking(options).await;
        let ada = server.sign_up("ada").await;
        provider.plays(cut);
        let reply = content(&ada).await.expect(200);
        assert_eq!(reply["content"], "Autumn is here! The leaves fall.");
        provider.plays(hopeless);
        content(&ada).await.expect_code(502, "assist_bad_answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_places_of_all() {
    let provider = Provider::start().await;
    let server = asking(provider.openai()).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    provider.plays(Play::Silence);
    let mut waiting = JoinSet::new();
    let mut refused = 0;
    for _ in 0..5 {
        let person = ada.clone();
        waiting.spawn(async move { content(&person).await });
    }
    // One asks, two wait, the others hear that at once.
    while refused < 2 {
        let reply = waiting.join_next().await.unwrap().unwrap();
        reply.expect_code(503, "overloaded");
        refused += 1;
    }
    under_way(&provider, 1).await;
    provider.plays(Play::Says("Hello".to_owned()));
    content(&bob).await.expect(200);
    waiting.shutdown().await;
    eventually("a free place", || async {
        (content(&ada).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_one_call_at_once() {
    let provider = Provider::start().await;
    let server = asking(provider.openai()).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    provider.plays(Play::Silence);
    let mut waiting = JoinSet::new();
    let mut asks = |person: &Person, topic: &'static str| {
        let person = person.clone();
        waiting.spawn(async move { person.post(CAPTION, json!({ "topic": topic })).await })
    };
    let first = asks(&ada, "first");
    under_way(&provider, 1).await;
    asks(&ada, "second");
    asks(&bob, "third");
    under_way(&provider, 2).await;
    let topics: Vec<_> = provider
        .asked()
        .iter()
        .map(|asked| asked.body["messages"][1]["content"].clone())
        .collect();
    assert_eq!(topics, ["Topic: first", "Topic: third"]);
    // Hers goes on when her first is over.
    provider.plays(Play::Says("Hello".to_owned()));
    first.abort();
    while let Some(ended) = waiting.join_next().await {
        if let Ok(reply) = ended {
            assert_eq!(reply.expect(200)["topic"], "second");
            break;
        }
    }
    // The third still waits.
    under_way(&provider, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_twice_is_asked_and_paid_once() {
    let provider = Provider::start().await;
    let server = asking(provider.gemini()).await;
    let admin = server.set_up("root").await;
    let body = json!({ "topic": "our garden", "tone": "casual" });
    let once = |body: Value| admin.once("key", Method::POST, CONTENT, body);
    // A failure is no answer.
    provider.plays(Play::Status(500, vec![], String::new()));
    once(body.clone()).await.expect(503);
    provider.plays(Play::Says("The first.".to_owned()));
    let first = once(body.clone()).await.expect(200);
    provider.plays(Play::Says("The second.".to_owned()));
    assert_eq!(once(body).await.expect(200), first);
    assert_eq!(provider.asked().len(), 2);
    assert_eq!(usage(&admin).await["months"][0]["calls"], 1);
    once(json!({ "topic": "our house", "tone": "casual" }))
        .await
        .expect_code(422, "idempotency_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_comes_from_a_file_or_the_environment_and_is_never_told() {
    let provider = Provider::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let mut options = provider.openai();
    options.api_key = None;
    options.api_key_file = Some(file.clone());
    let server = asking(options).await;
    content(&server.sign_up("ada").await).await.expect(200);
    let asked = only(&provider);
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));

    let base = provider.gemini().base_url.unwrap();
    let mut daemon = Daemon::start_with(&[
        ("GEMINI_API_KEY", KEY),
        ("SOCIALHUB_ASSIST__BASE_URL", &base),
        ("SOCIALHUB_ASSIST__OUTPUT_PRICE", "2.5"),
        (
            "SOCIALHUB_LOG__LEVEL",
            "info,socialhub=trace,hyper=trace,reqwest=trace",
        ),
    ])
    .await;
    let client = daemon.client();
    let ada = client.sign_up("ada").await;
    content(&ada).await.expect(200);
    assert_eq!(only(&provider).headers["x-goog-api-key"], KEY);
    provider.plays(Play::Status(
        400,
        vec![],
        format!("API key {KEY} not valid"),
    ));
    content(&ada).await.expect(502);
    let metrics = client.get("/metrics").await.text;
    for line in [
        "socialhub_assist_calls_total{outcome=\"written\"} 1",
        "socialhub_assist_calls_total{outcome=\"assist_bad_answer\"} 1",
        "direction=\"input\"} 100",
        "direction=\"output\"} 20",
        "socialhub_assist_month_cost{month=",
        "} 0.00005",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let log = daemon.log();
    assert!(log.contains("the provider answered 400"), "{log}");
    for secret in [KEY, "our garden", "A fine text"] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{secret}"
        );
    }
    // After a restart the month is told before anything is asked.
    daemon.terminate().await;
    let daemon = daemon.restart().await;
    let metrics = daemon.client().get("/metrics").await.text;
    assert!(metrics.contains("direction=\"output\"} 20"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    for content in [None, Some(" \n".to_owned()), Some("k".repeat(5_000))] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let started = command(&dir.path().join("data"))
            .arg("serve")
            .env("SOCIALHUB_ASSIST__PROVIDER", "gemini")
            .env("SOCIALHUB_ASSIST__API_KEY_FILE", &file)
            .output()
            .await
            .unwrap();
        assert!(!started.status.success());
        let said = String::from_utf8_lossy(&started.stderr);
        assert!(said.contains("assist.api_key_file"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_nobody_vouches_for_is_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = dir.path().join("provider.pem");
    let provider = Provider::start_secure(&certificate).await;
    let server = asking(provider.gemini()).await;
    let ada = server.sign_up("ada").await;
    content(&ada).await.expect_code(503, "assist_unavailable");
    assert_eq!(provider.asked().len(), 0);
    let server = server
        .restart_with(|config| config.assist.ca_file = Some(certificate))
        .await;
    content(&ada.at(&server)).await.expect(200);
    only(&provider);
}
