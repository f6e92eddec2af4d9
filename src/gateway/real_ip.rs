//! Where a request comes from, when proxies stand between.

use std::net::IpAddr;

use axum::http::HeaderMap;

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
