//! People who use the server over HTTP.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The password of everybody who signs up here.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Talks to one server, as nobody or with a token.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) bytes: bytes::Bytes,
}

/// Somebody with an account and a token.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) client: Client,
}

/// A client in the making. It may speak TLS, since the daemon's own does, and has to be told how.
pub(crate) fn http_client() -> reqwest::ClientBuilder {
    // The second one is not taken, and the first as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = http_client()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            base: base.to_owned(),
            headers: HeaderMap::new(),
        }
    }

    /// The same client with a header on each request.
    pub(crate) fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        client
    }

    /// The same client with a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request to shape further; send it with [`send`](Self::send).
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, self.url(path))
            .headers(self.headers.clone())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.unwrap()
    }

    /// Like [`send`](Self::send), where the server may not answer.
    pub(crate) async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> reqwest::Result<Reply> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = headers.get("content-type");
        let bytes = if kind.is_some_and(|kind| kind == "text/event-stream") {
            // It has no end.
            bytes::Bytes::new()
        } else {
            response.bytes().await?
        };
        Ok(Reply {
            status,
            headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(&body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Signs somebody up; everything follows from the username.
    pub(crate) async fn sign_up(&self, username: &str) -> Person {
        self.try_sign_up(username).await.unwrap()
    }

    /// Like [`sign_up`](Self::sign_up), where the server may not answer.
    pub(crate) async fn try_sign_up(&self, username: &str) -> reqwest::Result<Person> {
        // Addresses are ASCII, whatever the name is.
        let local = if username.is_ascii() {
            username.to_owned()
        } else {
            let bytes = username.bytes().map(|byte| format!("{byte:x}"));
            bytes.collect::<Vec<_>>().concat()
        };
        let email = format!("{local}@example.org");
        let body = json!({ "name": format!("{username} the First"), "email": email, "username": username, "password": PASSWORD });
        let request = self.request(Method::POST, "/auth/signup").json(&body);
        let reply = self.try_send(request).await?.expect(201);
        Ok(Person::signed_in(self, &reply))
    }

    /// Makes the first admin with the secret of the one-time link.
    pub(crate) async fn set_up(&self, token: &str, username: &str) -> Person {
        let email = format!("{username}@example.org");
        let body = json!({ "token": token, "name": username, "email": email, "username": username, "password": PASSWORD });
        let reply = self.post("/api/v1/setup", body).await.expect(201);
        Person::signed_in(self, &reply)
    }

    /// Logs somebody in anew.
    pub(crate) async fn log_in(&self, person: &Person) -> Person {
        let body = json!({ "identifier": person.username, "password": PASSWORD });
        let reply = self.post("/auth/login", body).await.expect(200);
        Person::signed_in(self, &reply)
    }

    /// Tries to log in; the answer whatever it is.
    pub(crate) async fn try_log_in(&self, identifier: &str, password: &str) -> Reply {
        let body = json!({ "identifier": identifier, "password": password });
        self.post("/auth/login", body).await
    }

    /// Sends a change that must happen once.
    pub(crate) async fn once(&self, key: &str, method: Method, path: &str, body: Value) -> Reply {
        let client = self.with("idempotency-key", key);
        client.send(client.request(method, path).json(&body)).await
    }

    /// All rows of a list, page by page with the cursor; fails when a page is too large or the walk does not end.
    pub(crate) async fn walk(&self, path: &str, list: &str, limit: usize) -> Vec<Value> {
        let join = if path.contains('?') { '&' } else { '?' };
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        for _page in 0..1_000 {
            let at = format!("{path}{join}limit={limit}{cursor}");
            let reply = self.get(&at).await.expect(200);
            let page = reply[list].as_array().unwrap();
            assert!(page.len() <= limit);
            rows.extend(page.iter().cloned());
            let next = &reply["next_cursor"];
            let Some(next) = next.as_str() else {
                assert!(next.is_null(), "a list ends in null: {reply}");
                return rows;
            };
            cursor = format!("&cursor={next}");
        }
        panic!("{path} has no end");
    }
}

impl Person {
    /// The same person, talking to another server over the same data.
    pub(crate) fn at(&self, server: &Client) -> Self {
        Self {
            client: server.with_token(&self.token),
            ..self.clone()
        }
    }

    /// Whom the reply to a sign-up or log-in is about.
    pub(crate) fn signed_in(client: &Client, reply: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let token = text(&reply["token"]);
        Self {
            id: text(&reply["user"]["id"]),
            username: text(&reply["user"]["username"]),
            email: text(&reply["user"]["email"]),
            client: client.with_token(&token),
            token,
        }
    }

    /// Writes a public post; its id.
    pub(crate) async fn write(&self, content: &str) -> String {
        self.write_for(content, "public").await
    }

    /// Writes a post for some; its id.
    pub(crate) async fn write_for(&self, content: &str, visibility: &str) -> String {
        let reply = self
            .post(
                "/posts/",
                json!({ "content": content, "visibility": visibility }),
            )
            .await
            .expect(201);
        reply["post"]["id"].as_str().unwrap().to_owned()
    }

    /// Comments on a post, or beneath a comment; the comment's id.
    pub(crate) async fn comment(&self, post: &str, parent: Option<&str>, content: &str) -> String {
        let body = json!({ "content": content, "parentCommentId": parent });
        let reply = self
            .post(&format!("/posts/comment/{post}"), body)
            .await
            .expect(200);
        reply["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Follows somebody.
    pub(crate) async fn follow(&self, other: &Self) {
        self.post(&format!("/users/follow/{}", other.id), json!({}))
            .await
            .expect(200);
    }
}

/// The `id`s of a list, in its order.
pub(crate) fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// The keys of an object, sorted.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

impl std::ops::Deref for Person {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body, if the status is the expected one; with `success` and our error shape checked.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        if status >= 400 && !self.text.is_empty() {
            assert_eq!(body["success"], false, "{}", self.text);
            assert!(
                body["code"].is_string() && body["message"].is_string(),
                "{}",
                self.text
            );
        }
        body
    }

    /// The body of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn expect_code(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{}", self.text);
        body
    }

    /// A header's text; empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}
