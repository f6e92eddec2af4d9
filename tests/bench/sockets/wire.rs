//! The client's half of a WebSocket, as lean as can be: it shares the machine with what it measures, and takes apart in
//! place what it has read, for which it has one buffer for all connections.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// What is read at once.
const READ: usize = 64 * 1024;

/// Connections from one address of ours: a machine has some 28,000 ports to offer for each.
const PER_ADDRESS: usize = 5_000;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// A connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// The beginning of a frame whose end is still to come.
    rest: RefCell<Vec<u8>>,
}

impl Wire {
    /// Opens a WebSocket of Engine.IO, from an address that goes by the connection's number.
    pub(super) async fn open(server: SocketAddr, number: usize) -> Self {
        let host = u8::try_from(1 + number / PER_ADDRESS).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind((Ipv4Addr::new(127, 0, 0, host), 0).into())
            .unwrap();
        let stream = socket.connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let wire = Self {
            stream,
            rest: RefCell::default(),
        };
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {server}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.stream.writable().await.unwrap();
        wire.write(request.as_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            wire.stream.readable().await.unwrap();
            // One byte at a time: what comes after the head are frames.
            let mut byte = [0];
            match wire.stream.try_read(&mut byte) {
                Ok(read) => {
                    assert!(read > 0, "the server closed the connection");
                    head.extend_from_slice(&byte);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        wire
    }

    /// Sends a text.
    pub(super) fn say(&self, text: &str) {
        self.write(&frame(text));
    }

    /// At once: nobody says so much that the kernel could not take it.
    fn write(&self, bytes: &[u8]) {
        let written = self.stream.try_write(bytes).unwrap();
        assert_eq!(written, bytes.len());
    }

    /// Waits for news, and shows each text; answers pings by itself.
    pub(super) async fn read(&self, mut show: impl FnMut(&[u8])) {
        self.stream.readable().await.unwrap();
        BUFFER.with_borrow_mut(|buffer| {
            let read = match self.stream.try_read(buffer) {
                Ok(read) => read,
                Err(error) => return assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            };
            assert!(read > 0, "the server closed the connection");
            let mut each = |opcode, payload: &[u8]| {
                assert_eq!(opcode, 1, "{}", String::from_utf8_lossy(payload));
                if payload == b"2" {
                    self.say("3");
                } else {
                    show(payload);
                }
            };
            let (news, _) = buffer.split_at(read);
            let mut rest = self.rest.borrow_mut();
            if rest.is_empty() {
                let taken = take_apart(news, &mut each);
                rest.extend_from_slice(&news[taken..]);
            } else {
                rest.extend_from_slice(news);
                let taken = take_apart(&rest, &mut each);
                rest.drain(..taken);
            }
        });
    }
}

/// Shows all frames that are whole, with their kind; how many bytes they take.
fn take_apart(bytes: &[u8], each: &mut impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some((opcode, start, end)) = next_frame(&bytes[at..]) {
        each(opcode, &bytes[at + start..at + end]);
        at += end;
    }
    at
}

/// The kind of the first frame, and where its payload begins and ends, if it is all there.
fn next_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            (10, usize::try_from(length).unwrap())
        }
        length => (2, usize::from(length)),
    };
    let end = start + length;
    (bytes.len() >= end).then_some((bytes[0] & 0x0f, start, end))
}

/// A text in a frame with the mask of all zeros, which spares the work.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).unwrap() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0xfe);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}
