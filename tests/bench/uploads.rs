//! Large uploads, many at once: how much memory they take.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};

use crate::Scale;
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::pictures::Client;

/// What stays free on the disk, for the databases and the server's own reserve.
const SPARE: u64 = 2 << 30;

/// The length of a recording's header.
const HEADER: usize = 44;

/// Samples are sent in pieces of this length.
const PIECE: usize = 64 * 1024;

pub(crate) fn measure(figures: &mut Figures, scale: &Scale, photo: &[u8]) {
    let (count, wanted) = if scale.measure < Duration::from_secs(2) {
        (20, 10_000_000)
    } else {
        (100, 100_000_000)
    };
    let dir = tempfile::tempdir().unwrap();
    let room = free_space(dir.path()).saturating_sub(SPARE) / count as u64;
    let size = usize::try_from(room).unwrap().min(wanted);
    let daemon = Daemon::start_with(
        dir.path(),
        &[
            ("SOCIALHUB_MEDIA__QUOTA_BYTES", "0"),
            // Each of them takes long enough for a line in the log.
            ("SOCIALHUB_LOG__LEVEL", "error"),
        ],
    );
    daemon.wait_until_ready();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = AtomicBool::new(false);
    let anonymous = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !done.load(Ordering::Relaxed) {
                most = most.max(daemon.anonymous_mib());
                std::thread::sleep(Duration::from_millis(20));
            }
            most
        });
        runtime.block_on(upload_all(&daemon, count, size, photo));
        done.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    let mut note = format!("all at once, distinct and accepted; {anonymous:.0} anonymous");
    if size < wanted {
        note += "; the disk has no room for larger ones";
    }
    figures.note(
        &format!(
            "peak memory, {count} uploads of {} MB (wanted: 150)",
            size / 1_000_000
        ),
        "MiB",
        daemon.peak_mib(),
        note,
    );
    daemon.stop();
}

fn free_space(dir: &Path) -> u64 {
    let space = rustix::fs::statvfs(dir).unwrap();
    space.f_bavail * space.f_frsize
}

async fn upload_all(daemon: &Daemon, count: usize, size: usize, photo: &[u8]) {
    let client = Arc::new(Client::sign_up(daemon.address()).await);
    let noise = noise();
    let uploads: Vec<_> = (0..count)
        .map(|number| {
            let (client, noise) = (Arc::clone(&client), noise.clone());
            tokio::spawn(async move { client.upload(number, size, noise).await })
        })
        .collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap(), 201);
    }
    // Another one is taken as ever.
    assert_eq!(client.send("/posts/", photo).await, 201);
}

/// Samples of which every recording takes its own.
fn noise() -> Bytes {
    let mut state = 7_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(16 * PIECE).collect()
}

/// How a recording begins that browsers play: 48 kHz, two channels, 16 bits.
fn header(size: usize) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    [
        &b"RIFF"[..],
        &number(size - 8),
        b"WAVEfmt \x10\0\0\0\x01\0\x02\0",
        &number(48_000),
        &number(192_000),
        b"\x04\0\x10\0data",
        &number(size - HEADER),
    ]
    .concat()
}

impl Client {
    /// Sends a recording that no other is like, made while it is sent.
    async fn upload(&self, number: usize, size: usize, noise: Bytes) -> reqwest::StatusCode {
        let size = size / 4 * 4;
        let mut head = header(size);
        head.extend(u64::try_from(number).unwrap().to_le_bytes());
        let begun = head.len();
        let samples = (begun..size).step_by(PIECE).map(move |at| {
            // Each piece begins a little further on, and elsewhere than in the others.
            let from = (at + number * 4_099) % (noise.len() - PIECE);
            noise.slice(from..from + PIECE.min(size - at))
        });
        let stream = std::iter::once(Bytes::from(head)).chain(samples);
        let stream = futures_util::stream::iter(stream.map(Ok::<_, std::io::Error>));
        let part = Part::stream(reqwest::Body::wrap_stream(stream))
            .file_name("a.wav")
            .mime_str("audio/wav")
            .unwrap();
        let request = self.http.post(format!("{}/api/v1/media", self.base));
        let request = request
            .bearer_auth(&self.token)
            .multipart(Form::new().part("file", part));
        let response = request.send().await.unwrap();
        let status = response.status();
        response.bytes().await.unwrap();
        status
    }
}
