//! Where a request comes from and goes to, when proxies stand between.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};

use super::Peer;
use crate::config::Network;

/// The peer; or, when the peer is a trusted proxy, the last address in `X-Forwarded-For` that is not one itself.
pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(peer) {
        return peer;
    }
    let mut last = peer;
    let values: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    for part in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        // What stands before a part that is no address cannot be believed either.
        let Ok(ip) = part.trim().parse() else { break };
        last = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    last
}

/// What stands before a path on this server, as the client reaches it: `https://social.example.org`. Nothing when that
/// cannot be told, so that a path stays one.
pub(super) fn base(request: &Request, trusted: &[Network]) -> String {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(header::HOST).or_else(|| request.uri().host());
    let is_plain = |host: &str| {
        host.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    };
    let Some(host) = asked.filter(|host| !host.is_empty() && host.len() <= 255 && is_plain(host))
    else {
        return String::new();
    };
    let scheme = if is_over_tls(request, trusted) {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{host}")
}

/// Whether the client speaks TLS, which a trusted proxy says of it.
pub(super) fn is_over_tls(request: &Request, trusted: &[Network]) -> bool {
    let is_trusted = request.extensions().get::<Peer>().is_some_and(|peer| {
        let ip = peer.0.ip();
        trusted.iter().any(|net| net.contains(ip))
    });
    let forwarded = request.headers().get("x-forwarded-proto");
    is_trusted && forwarded.is_some_and(|scheme| scheme == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let local = ["127.0.0.0/8", "10.0.0.0/8"];
        assert_eq!(seen("127.0.0.1", &["203.0.113.9"], &[]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &["203.0.113.9"], &local), "203.0.113.9");
        assert_eq!(
            seen(
                "127.0.0.1",
                &["198.51.100.1, 203.0.113.9, 10.1.1.1"],
                &local
            ),
            "203.0.113.9"
        );
        assert_eq!(
            seen("127.0.0.1", &["198.51.100.1", "203.0.113.9"], &local),
            "203.0.113.9"
        );
        assert_eq!(seen("127.0.0.1", &["nonsense"], &local), "127.0.0.1");
        assert_eq!(
            seen("203.0.113.7", &["198.51.100.1"], &local),
            "203.0.113.7"
        );
    }
}
