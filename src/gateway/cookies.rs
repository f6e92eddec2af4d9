//! The cookie with which a page of ours says who asks, where a browser lets it give no header along: when it opens a
//! WebSocket, or a stream of events.
//!
//! A browser sends it along for whatever page asks, so it counts there and nowhere else, and only when the browser says
//! that the page is our own: a foreign one may open a WebSocket to us, and would read all (cross-site WebSocket hijacking).

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};

use super::paths;

/// The name of the cookie; it holds a token.
pub const SESSION: &str = "socialhub_session";

/// The token in the cookie of a request, where it counts.
#[derive(Clone)]
pub struct CookieToken(pub String);

/// The value of a cookie; none when there are two of that name, since one of them may have been set by a neighbour under
/// the same domain.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value);
    found.next().filter(|_| found.next().is_none())
}

/// The token in the cookie, where it counts. `is_ours` tells of an origin whether it is one of this server's.
pub(super) fn session_token(
    request: &Request,
    is_ours: impl FnOnce(&str) -> bool,
) -> Option<CookieToken> {
    let is_for_it =
        *request.method() == Method::GET && paths::can_carry_no_header(request.uri().path());
    if !is_for_it {
        return None;
    }
    let headers = request.headers();
    let token = cookie(headers, SESSION)?;
    // What opens a WebSocket names its origin; a page that asks its own server for something else may not.
    let is_own_page = match headers.get(header::ORIGIN) {
        Some(origin) => origin.to_str().is_ok_and(is_ours),
        None => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "same-origin"),
    };
    is_own_page.then(|| CookieToken(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const OURS: &str = "https://social.example.org";

    fn counts(method: Method, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        session_token(&request, |origin| origin == OURS).is_some()
    }

    #[test]
    fn the_cookie_counts_for_our_own_pages_alone() {
        let cookie = ("cookie", "a=b; socialhub_session=x");
        for (says, is_own) in [
            (&[("origin", OURS)][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", OURS), ("sec-fetch-site", "cross-site")], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "http://social.example.org")], false),
            (&[("origin", "https://social.example.org:8443")], false),
            (
                &[("origin", "https://social.example.org.evil.example")],
                false,
            ),
            (
                &[
                    ("origin", "https://evil.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            let headers: Vec<_> = [cookie].into_iter().chain(says.iter().copied()).collect();
            for path in ["/socket.io", "/chat/socket.io", "/api/v1/stream"] {
                assert_eq!(
                    counts(Method::GET, path, &headers),
                    is_own,
                    "{path} {says:?}"
                );
            }
        }
    }

    #[test]
    fn the_cookie_counts_where_no_header_can_be_given_along() {
        let headers = [("cookie", "socialhub_session=x"), ("origin", OURS)];
        assert!(counts(Method::GET, "/socket.io", &headers));
        assert!(!counts(Method::POST, "/socket.io", &headers));
        for path in ["/api/v1/auth/me", "/api/v1/stream/x", "/socket.io/x", "/"] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                assert!(!counts(method, path, &headers), "{path}");
            }
        }
        for cookies in ["", "x=y", "socialhub_session=x; socialhub_session=y"] {
            let headers = [("cookie", cookies), ("origin", OURS)];
            assert!(!counts(Method::GET, "/socket.io", &headers), "{cookies}");
        }
    }
}
