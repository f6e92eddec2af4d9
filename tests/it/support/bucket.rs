//! A bucket: versitygw, an S3-compatible server, over a directory that the tests can look into.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use socialhub::config::S3;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::eventually;

const KEY: &str = "key-of-the-tests";
const SECRET: &str = "secret-of-the-tests";
const BUCKET: &str = "media";
const PREFIX: &str = "hub";

/// A running server with one bucket; killed when dropped.
pub(crate) struct Bucket {
    child: Option<Child>,
    address: SocketAddr,
    is_secure: bool,
    dir: TempDir,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    /// With TLS and a certificate that only [`S3::ca_file`] makes good.
    pub(crate) async fn start_secure() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(is_secure: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in ["root", "meta"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        std::fs::create_dir(dir.path().join("root").join(BUCKET)).unwrap();
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(
            dir.path().join("key.pem"),
            certificate.signing_key.serialize_pem(),
        )
        .unwrap();
        let mut bucket = Self {
            child: None,
            address: free_address(),
            is_secure,
            dir,
        };
        bucket.resume().await;
        bucket
    }

    /// What the daemon is to be told of it.
    pub(crate) fn options(&self) -> S3 {
        let scheme = if self.is_secure { "https" } else { "http" };
        S3 {
            bucket: Some(BUCKET.to_owned()),
            endpoint: Some(format!("{scheme}://{}", self.address)),
            access_key_id: Some(KEY.to_owned()),
            secret_access_key: Some(SECRET.to_owned()),
            prefix: PREFIX.to_owned(),
            ca_file: self.is_secure.then(|| self.dir.path().join("ca.pem")),
            ..S3::default()
        }
    }

    /// What lies in it, below the prefix.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root().join(PREFIX).join(part), &mut found);
        found
    }

    /// The parts of uploads that are not done.
    pub(crate) fn unfinished(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root().join(".sgwtmp").join("multipart"), &mut found);
        found
    }

    /// Takes the bucket away, with all that is in it.
    pub(crate) fn take_away(&self) {
        std::fs::rename(self.root(), self.dir.path().join("away")).unwrap();
    }

    /// Puts another one, in which nothing is, in its place.
    pub(crate) fn put_an_empty_one(&self) {
        std::fs::create_dir(self.root()).unwrap();
    }

    /// Brings it back.
    pub(crate) fn bring_back(&self) {
        std::fs::remove_dir_all(self.root()).unwrap();
        std::fs::rename(self.dir.path().join("away"), self.root()).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root").join(BUCKET)
    }

    /// Ends it; what is in the bucket stays.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Starts it, again.
    pub(crate) async fn resume(&mut self) {
        // `tests/run` builds for a named target, whose directory lies within that of a plain `cargo test`.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let named = target.join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
        let program = [target, &named]
            .map(|dir| dir.join("tests-tools/versitygw"))
            .into_iter()
            .find(|program| program.exists())
            .unwrap_or_default();
        let mut command = Command::new(&program);
        command
            .env_clear()
            .args(["--access", KEY, "--secret", SECRET, "--quiet", "--port"])
            .arg(self.address.to_string());
        if self.is_secure {
            let path = |name: &str| self.dir.path().join(name);
            command.arg("--cert").arg(path("ca.pem"));
            command.arg("--key").arg(path("key.pem"));
        }
        // The file system may not take the attributes that it would keep there.
        command
            .args(["posix", "--sidecar"])
            .arg(self.dir.path().join("meta"))
            .arg(self.dir.path().join("root"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn();
        self.child = Some(child.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `./tests/run --only rust` installs it",
                program.display()
            )
        }));
        eventually("the bucket's server listens", || async {
            tokio::net::TcpStream::connect(self.address).await.ok()
        })
        .await;
    }
}

/// An address for a server that has to be told its port, and that may be away for a while. None of those that the system
/// gives to who asks for any: another test would have it by then.
fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another process of the same tests begins elsewhere.
        let tried = std::process::id() * 101 + TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(tried % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
