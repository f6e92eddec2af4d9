//! Which route a path means: the original's prefixes are short for `/api/v1/...`, and a slash at the end is no other
//! place (contract, section 1).

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri};

/// The original's prefixes.
const PREFIXES: [&str; 6] = ["auth", "users", "posts", "notify", "chat", "feed"];

/// Where the API stands.
const API: &str = "/api/v1";

/// Whether a path, rewritten or not, is under the API's prefixes.
pub(super) fn is_api(path: &str) -> bool {
    let is_under = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let first = path.trim_start_matches('/').split('/').next();
    is_under(API) || first.is_some_and(|first| PREFIXES.contains(&first))
}

/// Whether it is a socket: a request there may wait for news as long as it likes, and has limits of its own.
pub(super) fn is_socket(path: &str) -> bool {
    matches!(path, "/socket.io" | "/chat/socket.io" | "/engine.io")
}

/// Where browsers can give no header along; see `cookies`.
pub(super) fn can_carry_no_header(path: &str) -> bool {
    is_socket(path) || path == "/api/v1/stream"
}

/// The origin of an address, as browsers write it (RFC 6454 section 6.2): in lower case, without the usual port.
pub(super) fn origin(address: &str) -> Option<String> {
    let address: Uri = address.parse().ok()?;
    let (scheme, host) = (address.scheme_str()?, address.host()?);
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = address.port_u16().filter(|port| *port != usual);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}").to_ascii_lowercase())
}

/// Whether clients of a route look for the text of an error as `error`.
pub(super) fn repeats_errors(path: &str) -> bool {
    path.strip_prefix(API)
        .is_some_and(|path| path.starts_with("/chat/") || path.starts_with("/feed"))
}

/// Whether a route takes files. They are read as they arrive, and may take long.
pub(super) fn takes_files(method: &Method, path: &str) -> bool {
    let Some(path) = path.strip_prefix(API) else {
        return false;
    };
    match *method {
        Method::POST => matches!(path, "/posts" | "/media"),
        Method::PATCH => path.starts_with("/media/uploads/"),
        Method::PUT => matches!(path, "/users/profile/avatar" | "/users/profile/banner"),
        _ => false,
    }
}

/// What is meant by a request to a resumable upload: proxies let `POST` through that stop `PATCH` (tus 1.0,
/// `X-HTTP-Method-Override`).
pub(super) fn meant(path: &str, headers: &HeaderMap) -> Option<Method> {
    let is_upload = path
        .strip_prefix(API)
        .is_some_and(|path| path.starts_with("/media/uploads"));
    let named = headers.get("x-http-method-override")?.to_str().ok()?;
    [Method::HEAD, Method::PATCH, Method::DELETE, Method::OPTIONS]
        .into_iter()
        .find(|method| is_upload && method.as_str() == named)
}

/// Brings the path into the form in which the routes know it.
pub(super) fn rewrite(uri: &mut Uri) {
    let Some(path) = rewritten(uri.path()) else {
        return;
    };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let Ok(target) = PathAndQuery::try_from(target) else {
        return;
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    // Only path and query changed, and both came from a valid address.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// The path as the routes know it; `None` when it is so already.
fn rewritten(path: &str) -> Option<String> {
    let trimmed = path.trim_end_matches('/');
    let first = trimmed.strip_prefix('/')?.split('/').next()?;
    // The files of the API's page name each other relative to `/docs/`.
    if first == "docs" {
        return None;
    }
    // The gateway of the original asked this one of itself; outside there was nothing (contract, section 1).
    if trimmed == "/auth/verify" {
        return None;
    }
    if PREFIXES.contains(&first)
        && !trimmed.ends_with("/socket.io")
        && !trimmed.contains("/socket.io/")
    {
        return Some(format!("{API}{trimmed}"));
    }
    (trimmed.len() < path.len()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_paths_are_known() {
        for path in [
            "/api/v1",
            "/api/v1/posts",
            "/auth/verify",
            "/chat/socket.io",
        ] {
            assert!(is_api(path), "{path}");
        }
        for path in ["/", "/livez", "/api/v10", "/postscript", "/docs/"] {
            assert!(!is_api(path), "{path}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for (address, meant) in [
            ("https://social.example.org", "https://social.example.org"),
            (
                "HTTPS://Social.example.org:443/at/",
                "https://social.example.org",
            ),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(address).as_deref(), Some(meant));
        }
        assert_eq!(origin("social.example.org"), None);
    }

    #[test]
    fn prefixes_and_slashes_lead_to_one_route() {
        for (given, meant) in [
            ("/posts/", "/api/v1/posts"),
            ("/posts/12?x=1", "/api/v1/posts/12?x=1"),
            ("/auth/login/", "/api/v1/auth/login"),
            ("/api/v1/posts/", "/api/v1/posts"),
            ("/", "/"),
            ("/livez", "/livez"),
            ("/docs/", "/docs/"),
            ("/postscript", "/postscript"),
            ("/auth/verify", "/auth/verify"),
            ("/chat/socket.io/", "/chat/socket.io"),
        ] {
            let mut uri: Uri = given.parse().unwrap();
            rewrite(&mut uri);
            assert_eq!(uri.to_string(), meant, "{given}");
        }
    }
}
