//! Pictures: posts a second beside the work that they cannot do without, and files a second beside nginx.

use std::io::Cursor;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use socialhub::media::pictures::{Encoding, Format, Limits, Picture};

use crate::Scale;
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::load::{Outcome, Plan, Request};
use crate::uploads;

/// Posts under way at once.
const POSTERS: usize = 8;

/// Connections that load files.
const READERS: usize = 32;

/// Sizes of the photo that is posted: three megapixels.
const PHOTO: (u32, u32) = (2_000, 1_500);

pub(crate) fn measure(figures: &mut Figures, scale: &Scale) {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    daemon.wait_until_ready();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Arc::new(runtime.block_on(Client::sign_up(daemon.address())));
    let photo = photo();
    let (mut best, mut raw) = (0.0_f64, 0.0_f64);
    for _ in 0..2 {
        raw = raw.max(raw_rate(&photo, scale.measure));
        let posted = client.post_rate(&photo, scale.measure);
        best = best.max(runtime.block_on(posted));
    }
    figures.compare(
        "picture post (wanted: 85%)",
        "1/s",
        best,
        raw,
        "raw: decode, resize and encode on every core",
    );
    files(figures, scale, &daemon, dir.path());
    daemon.stop();
    uploads::measure(figures, scale, &photo);
}

/// A picture as cameras make them: soft shapes with some noise.
fn photo() -> Vec<u8> {
    let mut state = 7_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 28
    };
    let picture = image::RgbImage::from_fn(PHOTO.0, PHOTO.1, |x, y| {
        let wave = |of: u32, by: u32| u8::try_from((of / by + (x * y) / 40_000) % 200).unwrap();
        let grain = u8::try_from(noise()).unwrap();
        image::Rgb([
            wave(x, 9) + grain,
            wave(y, 7) + grain,
            wave(x + y, 13) + grain,
        ])
    });
    let mut bytes = Cursor::new(Vec::new());
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 88);
    image::DynamicImage::from(picture)
        .write_with_encoder(encoder)
        .unwrap();
    bytes.into_inner()
}

/// What each picture costs at least, on as many threads as there are cores.
fn raw_rate(photo: &[u8], measure: Duration) -> f64 {
    let threads = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.elapsed() < measure {
                    work(photo);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn work(photo: &[u8]) {
    let limits = Limits {
        max_pixels: 64_000_000,
        max_side: 30_000,
        max_memory_bytes: 1 << 30,
        max_frames: 1,
        max_total_pixels: 64_000_000,
    };
    let picture = Picture::decode(Cursor::new(photo), Format::Jpeg, &limits).unwrap();
    picture.dominant_color();
    picture.thumbhash();
    for widths in [&[320][..], &[2_048, 1_280, 640]] {
        for rendered in picture.render_widths(widths).unwrap() {
            rendered.encode(Encoding::WebP).unwrap();
        }
    }
}

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) token: String,
    sent: AtomicU64,
}

impl Client {
    pub(crate) async fn sign_up(address: SocketAddr) -> Self {
        // The daemon's own client speaks TLS, and so may this one; it has to be told how.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let http = reqwest::Client::new();
        let base = format!("http://{address}");
        let body = serde_json::json!({
            "name": "Ada", "username": "ada", "email": "ada@example.org", "password": "Password123!"
        });
        let reply = http.post(format!("{base}/auth/signup")).json(&body).send();
        let reply: serde_json::Value = reply.await.unwrap().json().await.unwrap();
        Self {
            token: reply["token"].as_str().unwrap().to_owned(),
            http,
            base,
            sent: AtomicU64::new(0),
        }
    }

    /// Sends the file as another content each time: what follows a picture's end is not looked at.
    pub(crate) async fn send(&self, path: &str, bytes: &[u8]) -> reqwest::StatusCode {
        let mut bytes = bytes.to_vec();
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        bytes.extend(number.to_le_bytes());
        let form = Form::new().part("file", Part::bytes(bytes).file_name("a.jpg"));
        let request = self.http.post(format!("{}{path}", self.base));
        let request = request.bearer_auth(&self.token).multipart(form);
        let response = request.send().await.unwrap();
        let status = response.status();
        response.bytes().await.unwrap();
        status
    }

    async fn post_rate(self: &Arc<Self>, photo: &[u8], measure: Duration) -> f64 {
        let started = Instant::now();
        let posters: Vec<_> = (0..POSTERS)
            .map(|_| {
                let (client, photo) = (Arc::clone(self), photo.to_vec());
                tokio::spawn(async move {
                    let mut count = 0_u32;
                    while started.elapsed() < measure {
                        assert_eq!(client.send("/posts/", &photo).await, 201);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let mut count = 0;
        for poster in posters {
            count += poster.await.unwrap();
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    }
}

/// Files as they lie on the disk, from us and from nginx.
fn files(figures: &mut Figures, scale: &Scale, daemon: &Daemon, data_dir: &Path) {
    let media = data_dir.join("media");
    let Some(nginx) = Nginx::start(&media) else {
        figures.note("files beside nginx", "1/s", 0.0, "nginx is not installed");
        return;
    };
    let found = rusqlite::Connection::open(data_dir.join("socialhub.db")).unwrap();
    let (id, place): (i64, String) = found
        .query_row(
            "SELECT id, printf('%s/%s/%s', substr(hex, 1, 2), substr(hex, 3, 2), hex)
             FROM (SELECT id, lower(hex(hash)) AS hex FROM media LIMIT 1)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let variants = std::fs::read_dir(media.join("variants").join(&place)).unwrap();
    let variants: Vec<String> = variants
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["320.webp", "2048.webp"] {
        // On the disk, the version of the encoder stands between.
        let (width, form) = name.split_once('.').unwrap();
        let is_it = |file: &&String| {
            file.starts_with(&format!("{width}.")) && file.ends_with(&format!(".{form}"))
        };
        let path = format!("variants/{place}/{}", variants.iter().find(is_it).unwrap());
        let size = std::fs::metadata(media.join(&path)).unwrap().len();
        let plan = |address, server, path: &str| Plan {
            address,
            server,
            connections: READERS,
            warm_up: scale.warm_up,
            measure: scale.measure,
            rate: None,
            request: Request::get(path, &[]),
        };
        let ours = || -> Outcome {
            plan(
                daemon.address(),
                daemon.pid(),
                &format!("/media/{id}/{name}"),
            )
            .run()
        };
        let theirs = || plan(nginx.address, nginx.child.id(), &format!("/{path}")).run();
        let (mut best, mut raw) = (ours(), theirs().per_second());
        let again = ours();
        if again.per_second() > best.per_second() {
            best = again;
        }
        raw = raw.max(theirs().per_second());
        figures.compare(
            &format!("a file of {} KiB (wanted: 60%)", size / 1024),
            "1/s",
            best.per_second(),
            raw,
            format!("raw: nginx with sendfile; {}", best.describe()),
        );
    }
}

struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    /// Serves a directory; none where it is not installed.
    fn start(root: &Path) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())?;
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let at = dir.path().display();
        let configuration = format!(
            "user root; worker_processes auto; daemon off; pid {at}/pid; error_log {at}/error;
             events {{ worker_connections 1024; }}
             http {{
                 access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
                 open_file_cache max=1000; types {{ image/webp webp; }}
                 client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
                 uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
                 server {{ listen {address}; root {}; }}
             }}",
            root.display()
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "nginx did not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self {
            child,
            address,
            _dir: dir,
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers go with it only when it is asked.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        self.child.wait().ok();
    }
}
