//! Connections: accepted up to a number, given their time, and finished when the process stops.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics::gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};
use tracing::{debug, info, warn};

use super::Peer;
use crate::config;
use crate::tasks::Tasks;

/// Answers connections until `shutdown`, then finishes the requests under way, within the configured time.
pub async fn run<S>(
    listener: TcpListener,
    service: S,
    options: &config::Server,
    tasks: &Tasks,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let places = Arc::new(Semaphore::new(options.max_connections.max(1) as usize));
    let connections = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.header_timeout_ms))
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .keep_alive_interval(Duration::from_secs(30));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Taken before the connection is: further ones wait in the kernel.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: taking a breath lets some be closed.
                warn!(error = %error, "A connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        no_delay(&stream);
        let service = service
            .clone()
            .map_request(move |request: hyper::Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(Peer(peer));
                request
            });
        let connection = builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = connections.watch(connection);
        tasks.spawn("connection", async move {
            gauge!("socialhub_http_connections").increment(1);
            if let Err(error) = connection.await {
                debug!(error = %error, "A connection broke");
            }
            gauge!("socialhub_http_connections").decrement(1);
            drop(place);
        });
    }
    drop(listener);
    let patience = Duration::from_millis(options.shutdown_timeout_ms);
    match tokio::time::timeout(patience, connections.shutdown()).await {
        Ok(()) => info!("All requests are answered"),
        Err(_elapsed) => warn!("Some requests were still under way and are cut off"),
    }
}

/// Answers are written whole, so waiting for more to send only delays them.
fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = %error, "TCP_NODELAY could not be set");
    }
}
