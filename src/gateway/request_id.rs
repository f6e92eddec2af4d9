//! A name for each request, in every log line and in `X-Request-Id`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName};

/// The header, in both directions.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest foreign id that is taken over.
const MAX_FOREIGN: usize = 64;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The client's own id when it is short and plain, else a new one.
pub(super) fn of(headers: &HeaderMap) -> String {
    headers
        .get(NAME)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=MAX_FOREIGN).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        })
        .map_or_else(make, str::to_owned)
}

/// Unique within this process; the process's own number keeps the lines of two runs apart.
fn make() -> String {
    format!(
        "{:x}-{:x}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
