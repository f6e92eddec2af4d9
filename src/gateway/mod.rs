//! What every request passes before its route, and every response after it.
//!
//! * `serve`: connections; `sending`: to whom, and how fast, answers leave them;
//! * `unreadable`: what does not even become a request;
//! * `request_id`, `real_ip`, `paths`: what the request is;
//! * `cors`, `limits`: whether it may go on;
//! * `caller`, `cookies`: who asks;
//! * `idempotency`: whether it was asked before;
//! * `extract`, `form`: what it says;
//! * `error`: how a refusal looks;
//! * `etag`, `ranges`: whether the answer is known already, or a part of it is enough;
//! * `measures`: what is counted of it;
//! * `leftover`: what a refused request still sends.
//!
//! Nothing here knows a domain but `auth`, and no route by name but for its limits.

mod caller;
mod cookies;
mod cors;
mod error;
mod etag;
mod extract;
mod form;
mod idempotency;
mod leftover;
mod limits;
mod measures;
mod paths;
pub mod ranges;
mod real_ip;
mod request_id;
mod sending;
pub mod serve;
mod unreadable;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::{Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tracing::{Instrument, debug, info, info_span, warn};

use crate::auth::Auth;
use crate::clock::Clock;
use crate::config::{Config, Network};
use crate::error::{Code, Error};
use crate::links::{Links, Signer};
use crate::tasks::Tasks;

pub use caller::{Admin, Caller, bearer_token, carried_token};
pub use cookies::{CookieToken, SESSION as SESSION_COOKIE, cookie};
pub use error::{ErrorBody, FieldErrorBody, status};
pub use extract::{Body, BodyLimits, MAX_FORM_FIELDS, OneOrMany, Path, Query, patch};
pub use form::{Form, is_form};
pub use limits::Limits;

/// A request that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The peer of a connection, as the kernel knows it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Where a request comes from: the peer, or what a trusted proxy says.
#[derive(Clone, Copy, Debug)]
pub struct ClientIp(pub IpAddr);

/// Whether the client's connection is encrypted, as far as a trusted proxy says so: we speak no TLS ourselves.
#[derive(Clone, Copy, Debug)]
pub struct OverTls(pub bool);

/// What the edge needs to decide.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    auth: Auth,
    clock: Clock,
    limits: Limits,
    cors: cors::Cors,
    trusted_proxies: Vec<Network>,
    timeout: Duration,
    upload_timeout: Duration,
    /// What stands before the paths of our own files; none means the host that the client asked.
    media_base: Option<Arc<str>>,
    /// The origin of our own pages, where it is configured, as browsers write it.
    public_origin: Option<String>,
    signer: Signer,
    max_body_bytes: u64,
    max_json_bytes: u64,
    in_progress: idempotency::InProgress,
    tasks: Tasks,
}

impl Edge {
    pub fn new(
        config: &Config,
        auth: Auth,
        clock: Clock,
        limits: Limits,
        signer: Signer,
        tasks: Tasks,
    ) -> Self {
        let media_base = config.media.public_base_url.as_deref();
        let media_base = media_base.or(config.server.public_url.as_deref());
        Self {
            shared: Arc::new(Shared {
                auth,
                clock,
                limits,
                cors: cors::Cors::new(&config.server.cors_origins),
                trusted_proxies: config.server.trusted_proxies.clone(),
                timeout: Duration::from_millis(config.server.request_timeout_ms),
                upload_timeout: Duration::from_secs(config.media.upload_timeout_s.into()),
                media_base: media_base.map(|base| base.trim_end_matches('/').into()),
                public_origin: config.server.public_url.as_deref().and_then(paths::origin),
                signer,
                max_body_bytes: config.server.max_body_bytes,
                max_json_bytes: config.server.max_json_bytes,
                in_progress: idempotency::InProgress::default(),
                tasks,
            }),
        }
    }

    /// Puts the edge around the routes. It has to be outside of them, because it decides which one a path means.
    pub fn around(
        self,
        routes: Router,
    ) -> impl Service<Request, Response = Response, Error = std::convert::Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let routes = routes
            .route_layer(from_fn(name_route))
            .fallback(|| async { Error::new(Code::NotFound) })
            .method_not_allowed_fallback(|| async { Error::new(Code::MethodNotAllowed) });
        // Around the router as a whole rather than by `Router::layer`, which would box each layer for each route.
        ServiceBuilder::new()
            .layer(from_fn_with_state(self.clone(), pass))
            .layer(CompressionLayer::new().compress_when(worth_compressing()))
            .layer(from_fn(repeat_errors))
            .layer(from_fn(etag::tag))
            .layer(CatchPanicLayer::custom(error::panicked))
            .layer(from_fn_with_state(self, idempotency::once))
            // Our own limits, per kind of body, hold instead.
            .layer(DefaultBodyLimit::disable())
            .service(routes.into_service())
    }
}

/// Not what is compressed already, and what is asked for in parts.
fn worth_compressing() -> impl Predicate {
    DefaultPredicate::new()
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("audio/"))
        .and(NotForContentType::const_new("multipart/"))
        // Their tags are of the bytes as they are.
        .and(NotForContentType::const_new("image/svg+xml"))
        .and(NotForContentType::const_new(
            "application/vnd.apple.mpegurl",
        ))
}

/// The route that answered, for metrics.
#[derive(Clone)]
struct RouteName(MatchedPath);

async fn name_route(request: Request, next: Next) -> Response {
    let name = request
        .extensions()
        .get::<MatchedPath>()
        .cloned()
        .map(RouteName);
    let mut response = next.run(request).await;
    if let Some(name) = name {
        response.extensions_mut().insert(name);
    }
    response
}

/// Where the clients of a route look for the text of an error under another name, says it there as well; before the answer is
/// compressed.
async fn repeat_errors(request: Request, next: Next) -> Response {
    let repeats = paths::repeats_errors(request.uri().path());
    let response = next.run(request).await;
    if repeats {
        error::repeat_as_error(response)
    } else {
        response
    }
}

async fn pass(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id::of(request.headers());
    paths::rewrite(request.uri_mut());
    if *request.method() == Method::POST
        && let Some(meant) = paths::meant(request.uri().path(), request.headers())
    {
        *request.method_mut() = meant;
    }
    let method = request.method().clone();
    let is_socket = paths::is_socket(request.uri().path());
    // The id alone: a span's fields are formatted for every request, the last line's only where it is written.
    let span = info_span!("request", request.id = %id);
    let (request, leftover) = leftover::watch(request);
    let mut response = edge.answer(request, next).instrument(span.clone()).await;
    leftover.throw_away(&edge.shared.tasks);
    if let Ok(id) = HeaderValue::from_maybe_shared(bytes::Bytes::from(id)) {
        response.headers_mut().insert(request_id::NAME, id);
    }
    let took = started.elapsed();
    let status = response.status();
    let route = response.extensions_mut().remove::<RouteName>();
    measures::record(&method, route.as_ref().map(|name| &name.0), status, took);
    span.in_scope(|| {
        // Not the path itself, which may hold an e-mail address.
        let route = route.as_ref().map_or("unmatched", |name| name.0.as_str());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (verb, code) = (method.as_str(), status.as_u16());
        if status.is_server_error() {
            info!(
                http.method = verb,
                http.route = route,
                http.status = code,
                ms,
                "{method} {route} failed with {status}"
            );
        } else if took > SLOW && !is_socket {
            warn!(
                http.method = verb,
                http.route = route,
                http.status = code,
                ms,
                "{method} {route} took {ms} ms"
            );
        } else {
            debug!(
                http.method = verb,
                http.route = route,
                http.status = code,
                ms,
                "{method} {route} {status}"
            );
        }
    });
    response
}

impl Edge {
    async fn answer(&self, mut request: Request, next: Next) -> Response {
        let shared = &*self.shared;
        // It would name the caller, were it believed; only we may write it.
        request
            .headers_mut()
            .remove(HeaderName::from_static("x-user-payload"));
        let peer = request
            .extensions()
            .get::<Peer>()
            .map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0.ip());
        let ip = real_ip::of(peer, request.headers(), &shared.trusted_proxies);
        request.extensions_mut().insert(ClientIp(ip));
        let over_tls = OverTls(real_ip::is_over_tls(&request, &shared.trusted_proxies));
        request.extensions_mut().insert(over_tls);
        let origin = request.headers().get(header::ORIGIN).cloned();
        let repeats_errors = paths::repeats_errors(request.uri().path());
        let mut response = if request.method() != Method::OPTIONS {
            self.admit(request, next, ip).await
        } else if cors::is_preflight(&request) {
            cors::preflight()
        } else {
            let is_api = paths::is_api(request.uri().path());
            cors::options(next.run(request).await, is_api)
        };
        if repeats_errors {
            response = error::repeat_as_error(response);
        }
        shared.cors.apply(origin.as_ref(), response.headers_mut());
        secure(&mut response);
        response
    }

    /// How addresses of our own files are written in the answer.
    fn links(&self, request: &Request) -> Links {
        let shared = &*self.shared;
        let base = match &shared.media_base {
            Some(base) => Arc::clone(base),
            None => real_ip::base(request, &shared.trusted_proxies).into(),
        };
        Links {
            base,
            signer: shared.signer.clone(),
            now: shared.clock.now(),
        }
    }

    /// Runs the route, if the limits let the request through.
    async fn admit(&self, mut request: Request, next: Next, ip: IpAddr) -> Response {
        let shared = &*self.shared;
        let cookie = cookies::session_token(&request, |origin| {
            shared.public_origin.as_deref() == Some(origin)
                || origin == real_ip::base(&request, &shared.trusted_proxies)
        });
        let identity = caller::identify(&shared.auth, request.headers(), cookie.as_ref());
        let actor = identity.as_ref().ok().map(|(_, actor)| actor.user_id);
        let checked = shared
            .limits
            .check(request.method(), request.uri().path(), ip, actor);
        let mut response = if let Some(refusal) = checked.refused() {
            refusal.into_response()
        } else {
            request.extensions_mut().insert(Arc::new(identity));
            if let Some(cookie) = cookie {
                request.extensions_mut().insert(cookie);
            }
            request.extensions_mut().insert(BodyLimits {
                any: shared.max_body_bytes,
                text: shared.max_json_bytes,
            });
            let is_socket = paths::is_socket(request.uri().path());
            let takes_files = paths::takes_files(request.method(), request.uri().path());
            let is_text = !is_form(&request) && request.method() != Method::PATCH;
            let patience = if takes_files && !is_text {
                shared.upload_timeout
            } else {
                shared.timeout
            };
            let links = self.links(&request);
            let answer = links.scope(next.run(request));
            if is_socket {
                answer.await
            } else {
                tokio::time::timeout(patience, answer)
                    .await
                    .unwrap_or_else(|_elapsed| Error::new(Code::TimedOut).into_response())
            }
        };
        checked.describe(response.headers_mut());
        response
    }
}

/// Headers that keep browsers from being too clever, on every response.
fn secure(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        // A page that needs more says so itself.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
}
