//! A name for each request, in every log line and in `X-Request-Id`.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName};

use crate::random;

/// The header, in both directions.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The longest foreign id that is taken over.
const MAX_FOREIGN: usize = 64;

/// Of this run. Random, because a process's number is 1 in every container.
static RUN: LazyLock<String> = LazyLock::new(|| {
    // Without randomness nothing else would work either; the names then are unique within the run alone.
    let number = random::bytes().map_or(0, u64::from_le_bytes);
    format!("{number:016x}")
});

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

/// Unique within this run; the run's own name keeps the lines of two apart.
pub(super) fn make() -> String {
    format!("{}-{:x}", *RUN, NEXT.fetch_add(1, Ordering::Relaxed))
}
