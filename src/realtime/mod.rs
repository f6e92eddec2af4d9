//! What happens while one looks: Socket.IO.
//!
//! * `engine`: the transport, Engine.IO, as a route;
//! * `packet`, `sockets`: the Socket.IO protocol, for whatever application;
//! * `protocol_test`: the application that the official test suites talk to.

mod engine;
mod packet;
mod protocol_test;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::config;
use crate::tasks::Tasks;

/// Where the sockets are.
const PATHS: &[&str] = &["/socket.io", "/chat/socket.io"];

/// How long a client may take to go over to a WebSocket, as everywhere.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The routes of the sockets.
pub fn routes(options: &config::Realtime, tasks: &Tasks) -> Router {
    if options.protocol_test_profile {
        return test_routes(options, tasks);
    }
    Router::new()
}

fn engine_options(options: &config::Realtime) -> engine::Options {
    engine::Options {
        ping_interval: Duration::from_millis(options.ping_interval_ms),
        ping_timeout: Duration::from_millis(options.ping_timeout_ms),
        upgrade_timeout: UPGRADE_TIMEOUT,
        max_payload: options.max_payload_bytes as usize,
        queue_capacity: options.queue_capacity as usize,
        queue_bytes: options.queue_kib as usize * 1024,
        max_sessions: options.max_sessions as usize,
        assumes_revision_3: true,
    }
}

fn test_routes(options: &config::Realtime, tasks: &Tasks) -> Router {
    let options = engine::Options {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload: 1_000_000,
        assumes_revision_3: false,
        ..engine_options(options)
    };
    let echo = Arc::new(protocol_test::SocketIoEcho);
    let server = sockets::Server::new(echo, Duration::from_secs(1), tasks.clone());
    let sockets = engine::Engine::new(server, options, tasks.clone());
    let raw = engine::Engine::new(protocol_test::EngineIoEcho, options, tasks.clone());
    sockets.routes(PATHS).merge(raw.routes(&["/engine.io"]))
}
