//! Connections: accepted up to a number, given their time, and finished when the process stops.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Version;
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};
use tracing::{debug, info, warn};

use super::sending::{Place, Sending};
use super::{Peer, unreadable};
use crate::config;
use crate::tasks::Tasks;

/// Bytes that are read ahead on one connection, and so also of one head: more than the longest address (64 KiB), and a
/// fifth of the usual, since a form keeps as much again of every upload.
const MAX_BUFFER: usize = 80 * 1024;

/// Requests of one connection of HTTP/2 at once: what RFC 9113 asks for at least (section 6.5.2), since each may hold a
/// piece of a file that its client does not take.
const MAX_STREAMS: u32 = 100;

/// Bytes that wait on one such request for the client, beside the piece that is there already.
const MAX_STREAM_BUFFER: usize = 64 * 1024;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Raises the number of files and connections that the process may have open to what it may be raised to: the usual soft
/// limit is for programs that still use `select`.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(error = %error, "The limit of open files could not be raised");
    }
}

/// How many connections may be open at once: as many as are wanted, in at most three quarters of the open files that the
/// process may have, since the databases need some as well.
fn places(wanted: u32) -> usize {
    let wanted = wanted.max(1);
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return wanted as usize;
    };
    let share = u32::try_from(files / 4 * 3).unwrap_or(u32::MAX).max(1);
    if share < wanted {
        warn!(
            connections = share,
            "server.max_connections is {wanted}, but only {files} files may be open: {share} connections are taken at once"
        );
    }
    wanted.min(share) as usize
}

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
    let places = Arc::new(Semaphore::new(places(options.max_connections)));
    let patience = Duration::from_millis(options.header_timeout_ms);
    let write_patience = Duration::from_millis(options.write_timeout_ms);
    let connections = GracefulShutdown::new();
    // Cancelled when no request is waited for any more, and when no answer is.
    let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_BUFFER)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_STREAM_BUFFER)
        .keep_alive_interval(Duration::from_secs(30));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Taken before the connection is: further ones wait in the kernel.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let Ok(permit) = place else { break };
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
        let place = Place::new(permit);
        let service = service.clone();
        let (builder, watcher) = (builder.clone(), connections.watcher());
        let (stopping, cut) = (stopping.clone(), cut.clone());
        tasks.spawn("connection", async move {
            // Nobody is owed an answer yet: a client that says nothing is not waited for, by the stopping process least.
            let version = tokio::select! {
                biased;
                version = tokio::time::timeout(patience, version(&stream)) => version.unwrap_or(None),
                () = stopping.cancelled() => None,
            };
            if let Some(version) = version {
                let io = TokioIo::new(Sending::new(stream, write_patience, place));
                let (io, requests) = unreadable::watch(io, version);
                let answers = requests.clone();
                let service = service
                    .map_request(move |request: hyper::Request<Incoming>| {
                        requests.begin();
                        let mut request = request.map(Body::new);
                        request.extensions_mut().insert(Peer(peer));
                        request
                    })
                    .map_response(move |response: Response| {
                        response.map(|body| answers.answer(body))
                    });
                let connection = builder
                    .serve_connection_with_upgrades(io, TowerToHyperService::new(service))
                    .into_owned();
                let served = cut.run_until_cancelled(watcher.watch(connection)).await;
                if let Some(Err(error)) = served {
                    debug!(error = %error, "A connection broke");
                }
            }
        });
    }
    drop(listener);
    stopping.cancel();
    let patience = Duration::from_millis(options.shutdown_timeout_ms);
    match tokio::time::timeout(patience, connections.shutdown()).await {
        Ok(()) => info!("All requests are answered"),
        Err(_elapsed) => {
            warn!("Some requests were still under way and are cut off");
            cut.cancel();
        }
    }
}

/// Waits until the client has sent enough to tell HTTP/1 from HTTP/2; none when it never will. From there on the timers
/// of the two run, but there is none over the telling itself.
async fn version(stream: &TcpStream) -> Option<Version> {
    let mut start = [0; PREFACE.len()];
    loop {
        let Ok(count @ 1..) = stream.peek(&mut start).await else {
            return None;
        };
        let known = start.get(..count).unwrap_or_default();
        if !PREFACE.starts_with(known) {
            return Some(Version::HTTP_11);
        }
        if count == PREFACE.len() {
            return Some(Version::HTTP_2);
        }
        // What was looked at stays readable, so only time tells whether there is more.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Answers are written whole, so waiting for more to send only delays them.
fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = %error, "TCP_NODELAY could not be set");
    }
}
