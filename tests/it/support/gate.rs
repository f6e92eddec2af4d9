//! What stands between the daemon and a bucket: passes requests on as they are, unless a test keeps some waiting or
//! refuses them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use socialhub::config::S3;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bucket::Bucket;
use super::http_client;

/// A running gate; gone when dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

/// Requests that a test looks after, until this is dropped.
pub(crate) struct Watched {
    came: Arc<AtomicUsize>,
    _lifted: watch::Sender<()>,
}

struct Shared {
    bucket: String,
    http: reqwest::Client,
    rules: Mutex<Vec<Rule>>,
}

/// Says whether a rule is for a request, by its method, and its path with the query.
type IsFor = dyn Fn(&str, &str) -> bool + Send + Sync;

#[derive(Clone)]
struct Rule {
    is_for: Arc<IsFor>,
    outcome: Outcome,
    came: Arc<AtomicUsize>,
    lifted: watch::Receiver<()>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Waits,
    IsRefused,
}

impl Gate {
    pub(crate) async fn start(bucket: &Bucket) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            bucket: bucket.options().endpoint.unwrap(),
            http: http_client().build().unwrap(),
            rules: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    /// What the daemon is to be told of the bucket behind it.
    pub(crate) fn options(&self, bucket: &Bucket) -> S3 {
        S3 {
            endpoint: Some(format!("http://{}", self.address)),
            ..bucket.options()
        }
    }

    /// Keeps requests waiting.
    pub(crate) fn hold(
        &self,
        is_for: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Watched {
        self.add(Outcome::Waits, is_for)
    }

    /// Refuses requests.
    pub(crate) fn refuse(
        &self,
        is_for: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Watched {
        self.add(Outcome::IsRefused, is_for)
    }

    fn add(
        &self,
        outcome: Outcome,
        is_for: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Watched {
        let (sender, lifted) = watch::channel(());
        let came = Arc::default();
        self.shared.rules.lock().unwrap().push(Rule {
            is_for: Arc::new(is_for),
            outcome,
            came: Arc::clone(&came),
            lifted,
        });
        Watched {
            came,
            _lifted: sender,
        }
    }
}

impl Watched {
    /// How many came so far.
    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let rule = shared.rules.lock().unwrap().iter().find_map(|rule| {
        let is_lifted = rule.lifted.has_changed().is_err();
        (!is_lifted && (rule.is_for)(parts.method.as_str(), &path)).then(|| rule.clone())
    });
    if let Some(mut rule) = rule {
        rule.came.fetch_add(1, Ordering::SeqCst);
        match rule.outcome {
            Outcome::Waits => rule.lifted.changed().await.unwrap_err(),
            Outcome::IsRefused => return StatusCode::FORBIDDEN.into_response(),
        };
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    // With the host that the client named, which it has signed.
    let request = shared
        .http
        .request(parts.method, format!("{}{path}", shared.bucket))
        .headers(parts.headers)
        .body(body);
    let Ok(answer) = request.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove(header::CONNECTION);
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    response
}
