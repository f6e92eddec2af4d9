//! How long requests take, by route, for Prometheus.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use metrics::{Histogram, histogram};

/// Histograms by method and status, then by route.
type Known = HashMap<(Method, StatusCode), HashMap<Box<str>, Histogram>>;

thread_local! {
    /// The registry finds a histogram by hashing all its labels; here each thread remembers those it found. Bounded by
    /// the routes that there are, the methods that are known and the statuses that we give.
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Counts one request.
pub(super) fn record(
    method: &Method,
    route: Option<&MatchedPath>,
    status: StatusCode,
    took: Duration,
) {
    // Clients can make methods up.
    let method = match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.clone(),
        _ => Method::TRACE,
    };
    let route = route.map_or("none", MatchedPath::as_str);
    KNOWN.with_borrow_mut(|known| {
        let by_route = known.entry((method.clone(), status)).or_default();
        if let Some(histogram) = by_route.get(route) {
            histogram.record(took);
            return;
        }
        let histogram = histogram!(
            "socialhub_http_request_seconds",
            "method" => method.as_str().to_owned(),
            "route" => route.to_owned(),
            "status" => status.as_str().to_owned()
        );
        histogram.record(took);
        by_route.insert(route.into(), histogram);
    });
}
