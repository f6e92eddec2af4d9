//! `socialhub health`: for container checks, without a shell or curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::config::Config;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Reports come in a few kilobytes.
const MAX_REPLY: u64 = 64 * 1024;

#[expect(clippy::print_stdout, reason = "the command line speaks to its person")]
pub(super) fn run(config: &Config) -> Result<()> {
    let address = reachable(config.server.listen);
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .with_context(|| format!("no server answers on {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut reply = String::new();
    stream
        .take(MAX_REPLY)
        .read_to_string(&mut reply)
        .with_context(|| format!("{address} did not answer in time"))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    if head.split_ascii_whitespace().nth(1) == Some("200") {
        println!("{body}");
        Ok(())
    } else {
        bail!("the server on {address} is not ready: {body}")
    }
}

/// A server that listens everywhere is asked on this machine.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}
