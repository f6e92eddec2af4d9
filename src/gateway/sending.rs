//! How bytes leave a connection: in pieces of a size that TCP is quick with, and only to clients that take them.

use std::io::{Error as IoError, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::gauge;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tracing::debug;

/// Bytes that are given to the kernel at once. Where it paces (BBR), a file of 222 KiB as a whole costs it 75 µs, and in
/// pieces 50 µs; where it does not, 37 µs and 43 µs. A file of the kernel's own (`sendfile`) gains nothing over pieces.
const PIECE: usize = 96 * 1024;

/// Slices of one piece at most. A head and a body are two.
const MAX_SLICES: usize = 16;

/// A connection's place among those that may be open at once. It goes with the bytes' way, which outlives HTTP where it
/// becomes a `WebSocket`.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        gauge!("socialhub_http_connections").increment(1);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("socialhub_http_connections").decrement(1);
    }
}

/// A connection whose client is expected to read.
#[derive(Debug)]
pub(super) struct Sending {
    stream: TcpStream,
    /// How long a client may take nothing of what is there for it.
    patience: Duration,
    /// Runs while nothing is taken.
    stall: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl Sending {
    pub(super) fn new(stream: TcpStream, patience: Duration, place: Place) -> Self {
        Self {
            stream,
            patience,
            stall: None,
            _place: place,
        }
    }

    /// Passes on what became of a write of `slices`, and ends the connection when it has waited too long.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<Result<usize, IoError>>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, IoError>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stall.as_mut().poll(context));
        self.stall = None;
        // The kernel says that there is room when a third of its buffer is free, which may be a megabyte: from a slow
        // client it takes bytes long before.
        let first = slices.iter().find(|slice| !slice.is_empty());
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match first.map_or(Ok(0), |slice| send(&self.stream, slice, flags)) {
            Err(Errno::AGAIN) => Poll::Ready(Err(self.abort())),
            written => Poll::Ready(written.map_err(IoError::from)),
        }
    }

    /// Why nothing more is sent. What is in the kernel's buffer goes with the connection, instead of waiting there.
    fn abort(&self) -> IoError {
        if let Err(error) = self.stream.set_zero_linger() {
            debug!(error = %error, "SO_LINGER could not be set");
        }
        IoError::new(ErrorKind::TimedOut, "the client takes nothing")
    }
}

/// The first slices, up to the length of a piece: these many of the array.
fn piece<'a>(slices: &'a [IoSlice<'_>]) -> ([IoSlice<'a>; MAX_SLICES], usize) {
    let mut piece = [IoSlice::new(&[]); MAX_SLICES];
    let (mut count, mut room) = (0, PIECE);
    for (place, slice) in piece.iter_mut().zip(slices) {
        let part = slice.get(..room).unwrap_or(slice);
        *place = IoSlice::new(part);
        count += 1;
        room -= part.len();
        if room == 0 {
            break;
        }
    }
    (piece, count)
}

impl AsyncRead for Sending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), IoError>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, IoError>> {
        let part = bytes.get(..PIECE).unwrap_or(bytes);
        let written = Pin::new(&mut self.stream).poll_write(context, part);
        self.watch(context, written, &[IoSlice::new(part)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, IoError>> {
        let (piece, count) = piece(slices);
        let part = piece.get(..count).unwrap_or_default();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, part);
        self.watch(context, written, part)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), IoError>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), IoError>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// No two pieces of which are the same.
    fn bytes_to_send(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    #[test]
    fn a_piece_is_the_beginning_of_what_there_is() {
        let whole = bytes_to_send(3 * PIECE);
        for lengths in [
            &[0][..],
            &[1],
            &[PIECE],
            &[PIECE + 1],
            &[442, 2 * PIECE],
            &[PIECE - 1, 0, 1, 1],
            &[PIECE - 1, 2],
            &[1; 40],
        ] {
            let mut rest = &whole[..];
            let slices: Vec<_> = lengths
                .iter()
                .map(|length| IoSlice::new(rest.split_off(..*length).unwrap()))
                .collect();
            let (piece, count) = piece(&slices);
            let taken: Vec<u8> = piece[..count]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            let total: usize = lengths.iter().sum();
            let most = total.min(PIECE);
            assert!(taken.len() <= most && whole.starts_with(&taken));
            assert!(taken.len() == most || count == MAX_SLICES, "{lengths:?}");
            assert!(taken.is_empty() == (total == 0));
        }
    }

    fn place() -> Place {
        let places = Arc::new(Semaphore::new(1));
        Place::new(places.try_acquire_owned().unwrap())
    }

    /// Both ends of a connection over which little is under way at once.
    async fn narrow(patience: Duration) -> (Sending, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let far = socket.connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(listener.accept(), far);
        let (near, _) = near.unwrap();
        (Sending::new(near, patience, place()), far.unwrap())
    }

    #[tokio::test]
    async fn all_arrives_in_order_however_narrow_the_connection() {
        let (mut near, mut far) = narrow(Duration::from_mins(1)).await;
        let sent = bytes_to_send(5_000_000);
        let (head, body) = sent.split_at(442);
        let writing = async {
            let mut both = bytes::Buf::chain(head, body);
            while bytes::Buf::has_remaining(&both) {
                near.write_buf(&mut both).await.unwrap();
            }
            drop(near);
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(writing, far.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent);
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_who_takes_little_is_not() {
        let (mut near, mut far) = narrow(Duration::from_millis(100)).await;
        let bytes = vec![7; 64 * 1024];
        // Fills what the kernel keeps, and waits.
        let error = loop {
            if let Err(error) = near.write_all(&bytes).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Too little for the kernel to call it room, and enough to go on with.
        let mut some = vec![0; 512 * 1024];
        far.read_exact(&mut some).await.unwrap();
        near.write_all(&[7]).await.unwrap();
    }
}
