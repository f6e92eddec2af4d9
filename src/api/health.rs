//! How the process is doing, for supervisors and for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::consume::Consumers;
use crate::error::{Code, Error};
use crate::eventlog::EventLog;
use crate::gateway::Peer;
use crate::media::Media;
use crate::store::Store;

/// A part's state, asked for each report.
pub type Probe = Arc<dyn Fn() -> Result<Value, Value> + Send + Sync>;

/// What the reports are made of.
#[derive(Clone)]
pub struct Health {
    /// The parts by name, in the order of the report.
    pub probes: Arc<Vec<(&'static str, Probe)>>,
    /// Says how much it keeps in memory.
    pub store: Store,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Opens the metrics to other machines.
    pub metrics_token: Option<Arc<str>>,
}

/// Uploads are taken; and what becomes of videos.
pub fn media_probe(media: Media) -> Probe {
    Arc::new(move || Ok(media.report()))
}

/// `/livez`, `/readyz`, and `/metrics` unless it has a listener of its own.
pub fn routes(health: Health, with_metrics: bool) -> Router {
    let mut router = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready));
    if with_metrics {
        router = router.route("/metrics", get(guarded_metrics));
    }
    router.with_state(health)
}

/// `/metrics` on its own listener, which says by its address who may read it.
pub fn metrics_routes(health: Health) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// The process is up: true even while it migrates or stops.
async fn live() -> Json<Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    parts: Map<String, Value>,
}

/// Each part's state; 503 while one of them is not ready.
async fn ready(State(health): State<Health>) -> Response {
    let mut parts = Map::new();
    let mut is_ready = true;
    for (name, probe) in health.probes.iter() {
        let state = probe();
        is_ready &= state.is_ok();
        parts.insert((*name).to_owned(), state.unwrap_or_else(|failure| failure));
    }
    let (status, text) = if is_ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (
        status,
        Json(Report {
            status: text,
            parts,
        }),
    )
        .into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    health.store.measure();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        health.metrics.render(),
    )
        .into_response()
}

/// For this machine, or with the token. A proxy on this machine speaks for others, so what it forwards needs the token.
async fn guarded_metrics(
    health: State<Health>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let forwarded = ["x-forwarded-for", "forwarded", "x-real-ip"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let is_local =
        !forwarded && peer.is_some_and(|Extension(Peer(address))| address.ip().is_loopback());
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let has_token = match (token, &health.metrics_token) {
        (Some(token), Some(expected)) => {
            blake3::hash(token.as_bytes()) == blake3::hash(expected.as_bytes())
        }
        _ => false,
    };
    if is_local || has_token {
        Ok(metrics(health).await)
    } else {
        Err(Error::new(Code::Forbidden))
    }
}

/// Whether the store can read and write.
pub fn store_probe(store: Store) -> Probe {
    Arc::new(move || {
        let room = store.check_room().is_ok();
        let state = serde_json::json!({ "writer": store.is_alive(), "room": room });
        if store.is_alive() {
            Ok(state)
        } else {
            Err(state)
        }
    })
}

/// Whether the event log is open.
pub fn log_probe(log: EventLog) -> Probe {
    Arc::new(move || {
        let reach = *log.reach().borrow();
        let state = serde_json::json!({
            "open": log.is_open(), "start": reach.map(|reach| reach.start), "end": reach.map(|reach| reach.end),
        });
        if log.is_open() { Ok(state) } else { Err(state) }
    })
}

/// Whether all consumers run.
pub fn consumers_probe(consumers: Consumers) -> Probe {
    Arc::new(move || {
        let state = serde_json::json!({ "running": consumers.are_ready() });
        if consumers.are_ready() {
            Ok(state)
        } else {
            Err(state)
        }
    })
}
