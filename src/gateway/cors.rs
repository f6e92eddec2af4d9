//! Cross-origin requests (the Fetch standard's CORS protocol), for the configured origins.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The origins whose scripts may call.
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
    any: bool,
}

impl Cors {
    pub(super) fn new(origins: &[String]) -> Self {
        Self {
            origins: origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin.trim_end_matches('/')).ok())
                .collect(),
            any: origins.iter().any(|origin| origin == "*"),
        }
    }

    /// Names the origin in a response, on errors too. The answer depends on the origin, so caches are told.
    pub(super) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin else { return };
        if self.origins.contains(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        } else if self.any {
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            );
        } else {
            // Without the origin's name a browser keeps the answer from the script; the rest would only confuse.
            for name in [
                header::ACCESS_CONTROL_ALLOW_METHODS,
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                header::ACCESS_CONTROL_MAX_AGE,
            ] {
                headers.remove(name);
            }
            return;
        }
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, etag, x-user-payload, \
                 location, media-id, tus-resumable, tus-version, tus-extension, tus-max-size, tus-checksum-algorithm, \
                 upload-offset, upload-length, upload-expires, upload-metadata, content-range, accept-ranges",
            ),
        );
    }
}

/// Whether a browser asks, on a script's behalf, what it may send.
pub(super) fn is_preflight(request: &Request) -> bool {
    request
        .headers()
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight: 204, asking for no token.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, X-Requested-With, Idempotency-Key, If-None-Match, If-Match, If-Range, X-Request-Id, \
             Range, X-HTTP-Method-Override, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, Upload-Checksum",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "1728000"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to any other `OPTIONS`, from the one that the routes gave, which know none: a 405 names the methods of the
/// path. `is_api` when the path is under the API's prefixes, where the contract wants 204 whether it is known or not.
pub(super) fn options(answer: Response<Body>, is_api: bool) -> Response<Body> {
    // A route that has something to say itself.
    if answer.status().is_success() {
        return answer;
    }
    let allowed = answer
        .headers()
        .get(header::ALLOW)
        .filter(|_| answer.status() == StatusCode::METHOD_NOT_ALLOWED)
        .and_then(|allowed| allowed.to_str().ok());
    let allowed = match allowed {
        Some("") => Some("OPTIONS".to_owned()),
        Some(methods) => Some(format!("{}, OPTIONS", methods.replace(',', ", "))),
        None if is_api => None,
        None => return answer,
    };
    let mut response = preflight();
    if let Some(allowed) = allowed.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, allow: Option<&'static str>) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        if let Some(allow) = allow {
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }

    #[test]
    fn options_tell_the_methods_of_the_path() {
        let known = || answer(StatusCode::METHOD_NOT_ALLOWED, Some("GET,HEAD,POST"));
        for is_api in [true, false] {
            let told = options(known(), is_api);
            assert_eq!(told.status(), StatusCode::NO_CONTENT);
            assert_eq!(told.headers()[header::ALLOW], "GET, HEAD, POST, OPTIONS");
        }
        let unknown = options(answer(StatusCode::NOT_FOUND, None), true);
        assert_eq!(unknown.status(), StatusCode::NO_CONTENT);
        assert!(!unknown.headers().contains_key(header::ALLOW));
        let elsewhere = options(answer(StatusCode::NOT_FOUND, None), false);
        assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
    }
}
