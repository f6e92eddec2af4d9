//! The same by Node.js and `socket.io`, in one process as usual, from `tests/bench/node`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The server's directory, with what it needs.
pub(super) struct Installed {
    dir: PathBuf,
}

/// A running server.
pub(super) struct Node {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Installed {
    /// Installs what it needs from npm; none where there is no Node.js.
    pub(super) fn prepare() -> Option<Self> {
        if !["node", "npm"].into_iter().all(runs) {
            eprintln!(
                "no Node.js (on Debian: nodejs npm): the sockets are measured with nothing beside"
            );
            return None;
        }
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-node");
        std::fs::create_dir_all(&dir).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/node");
        for file in ["package.json", "server.mjs"] {
            std::fs::copy(source.join(file), dir.join(file)).unwrap();
        }
        eprintln!("installing from npm into {}: socket.io, ws", dir.display());
        let installed = Command::new("npm")
            .args([
                "install",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--silent",
            ])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(installed.success(), "npm install failed");
        Some(Self { dir })
    }

    pub(super) fn start(&self) -> Node {
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(&self.dir)
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("listening http://")
            .expect("the server says where it listens");
        Node {
            address: address.parse().unwrap(),
            child,
        }
    }
}

impl Node {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
