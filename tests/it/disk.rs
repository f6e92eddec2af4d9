//! A disk that fills up, and a disk that lies: what is refused, what goes on, and how it comes back.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::json;

use crate::counts;
use crate::support::pictures::{part, recording, send, upload};
use crate::support::told::{assert_told_once, settle, told};
use crate::support::{Daemon, Person, Server, database, eventually};

/// A small file system of its own for a data directory; gone when dropped.
struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    /// `None` where nothing can be mounted, and where that is said to be no reason to fail.
    fn mount(data: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir(data).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,mode=0700"))
            .arg("tmpfs")
            .arg(data)
            .output();
        let reason = match mounted {
            Ok(output) if output.status.success() => {
                return Some(Self {
                    mounted: data.to_owned(),
                });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(
            std::env::var_os("SOCIALHUB_TESTS_WITHOUT_MOUNT").is_some(),
            "a file system of its own needs root's rights (SOCIALHUB_TESTS_WITHOUT_MOUNT=1 goes without): {reason}"
        );
        None
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    /// Takes all the room there is, but for this much.
    fn fill(&self, leave: u64) {
        let mut file = File::create(self.filler()).unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        // Until the file system says that it is full.
        while file.write_all(&chunk).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(leave)).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, in case that a failed test leaves the daemon in it.
        let unmounted = Command::new("umount").arg("-l").arg(&self.mounted).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Refused in time, by looking at the free room before each commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_refuses_writes_until_there_is_room() {
    fills_up(&[], 1024 * 1024).await;
}

/// Refused by the file system in the midst of a commit: the reserve is switched off.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_to_the_last_byte_refuses_writes_until_there_is_room() {
    fills_up(&[("SOCIALHUB_STORE__RESERVE_BYTES", "1")], 0).await;
}

async fn fills_up(env: &[(&str, &str)], leave: u64) {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("data"), 64) else {
        return;
    };
    let mut daemon = Daemon::start_in(dir, env).await;
    let admin = daemon.set_up("admin").await;
    let client = daemon.client();
    let (ada, bob) = (client.sign_up("ada").await, client.sign_up("bob").await);
    let first = ada.write("Before").await;

    // People go on writing while the disk fills up, until each has been refused.
    let writers = [&ada, &bob].map(write_until_refused);
    let filling = tokio::task::spawn_blocking(move || {
        disk.fill(leave);
        disk
    });
    let (written, disk) = tokio::join!(join_all(writers), filling);
    let disk = disk.unwrap();

    for person in [&ada, &bob] {
        refused(person).await;
        let read = person.get(&format!("/posts/{first}")).await.expect(200);
        assert_eq!(read["data"]["content"], "Before");
    }
    let body = json!({ "name": "Cleo", "email": "cleo@example.org", "username": "cleo", "password": "correct horse battery" });
    client
        .post("/auth/signup", body)
        .await
        .expect_code(507, "storage_full");
    client.get("/livez").await.expect(200);

    disk.free();
    let last = ada.write("After").await;
    like(&bob, &last).await;
    client.sign_up("cleo").await;
    let connection = database::connect(&daemon.data_dir());
    settle(&admin, &connection).await;
    let told = told(&connection);
    for person in [&ada, &bob] {
        assert_told_once(person, &told).await;
    }
    let kept = database::strings(&connection, "SELECT content FROM posts ORDER BY content");
    let mut expected: Vec<String> = written.concat();
    expected.extend(["Before".to_owned(), "After".to_owned()]);
    expected.sort();
    assert_eq!(kept, expected, "what was acknowledged and nothing else");
    counts::assert_exact(&connection);
    database::assert_sound(&connection);
    drop(connection);
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

/// Posts until that is refused for want of room; what was acknowledged.
async fn write_until_refused(person: &Person) -> Vec<String> {
    let mut written = Vec::new();
    for number in 0..100_000 {
        let content = format!("{} {number:06}", person.username);
        let body = json!({ "content": content });
        let reply = person.post("/posts/", body).await;
        if reply.status == 507 {
            return written;
        }
        reply.expect(201);
        written.push(content);
    }
    panic!("the disk never was full");
}

async fn refused(person: &Person) {
    let body = json!({ "content": "Not now" });
    let reply = person.post("/posts/", body).await;
    reply.expect_code(507, "storage_full");
}

/// The guard is switched off: the file system itself says that it is full, in the midst of a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_during_an_upload_refuses_that_one_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let media = dir.path().join("media");
    let Some(disk) = SmallDisk::mount(&media, 24) else {
        return;
    };
    let server = Server::start_with(|config| {
        config.media.dir = Some(media.clone());
        config.media.reserve_bytes = 1;
        "off".clone_into(&mut config.media.ffmpeg);
    })
    .await;
    let ada = server.sign_up("ada").await;
    let post = upload(&ada, "/posts/").await.expect(201)["post"].clone();
    let large = recording(30_000_000, 1);

    let form = Form::new().part("file", part(large.clone(), "a.wav", "audio/wav"));
    send(&ada, "/api/v1/media", form)
        .await
        .expect_code(507, "storage_full");
    // The name goes first, and then what it took.
    eventually("what had arrived is gone", || async {
        let space = rustix::fs::statvfs(&media).unwrap();
        let is_free = space.f_bavail * space.f_frsize > 20_000_000;
        (is_free && files(&media.join("incoming")).is_empty()).then_some(())
    })
    .await;

    // One that may go on later stays as far as it has come, until it is given up.
    let tus = |method: Method, path: &str| {
        let request = ada.request(method, path);
        request.header("tus-resumable", "1.0.0")
    };
    let begun = tus(Method::POST, "/api/v1/media/uploads").header("upload-length", "30000000");
    let begun = ada.send(begun).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let path = begun.header("location").to_owned();
    let piece = tus(Method::PATCH, &path)
        .header("upload-offset", "0")
        .header("content-type", "application/offset+octet-stream")
        .body(large);
    ada.send(piece).await.expect_code(507, "storage_full");
    let offset = ada.send(tus(Method::HEAD, &path)).await;
    assert!(offset.header("upload-offset").parse::<u64>().unwrap() < 30_000_000);
    ada.send(tus(Method::DELETE, &path)).await;

    // Then there is room again, and there always was for what is no file.
    upload(&ada, "/posts/").await.expect(201);
    disk.fill(0);
    ada.write("Words").await;
    upload(&ada, "/posts/")
        .await
        .expect_code(507, "storage_full");
    // What was never asked for in this form is shown all the same.
    let (_, path) = post["imageUrls"][0]
        .as_str()
        .unwrap()
        .split_once("/media/")
        .unwrap();
    let shown = server.get(&format!("/media/{path}/320.jpg")).await;
    assert_eq!(shown.status, 200);
    assert!(shown.bytes.starts_with(&[0xff, 0xd8]));
    disk.free();
    upload(&ada, "/posts/").await.expect(201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_log_is_made_again_and_nobody_misses_anything() {
    // What sled can read the beginning of goes on from there; what it cannot read at all is set aside.
    for (damage, is_certain) in [
        (scribble as fn(&Path), false),
        (cut_off, false),
        (replace_by_a_file, true),
    ] {
        let mut daemon = Daemon::start().await;
        let admin = daemon.set_up("admin").await;
        let client = daemon.client();
        let (ada, bob) = (client.sign_up("ada").await, client.sign_up("bob").await);
        for number in 0..20 {
            let post = ada.write(&format!("Post {number}")).await;
            like(&bob, &post).await;
        }
        settle(&admin, &database::connect(&daemon.data_dir())).await;
        assert_eq!(daemon.terminate().await.code(), Some(0));

        damage(&daemon.data_dir().join("events"));
        let daemon = daemon.restart().await;
        let client = daemon.client();
        let (admin, ada, bob) = (admin.at(&client), ada.at(&client), bob.at(&client));
        // Nobody waits for the log.
        let post = ada.write("Meanwhile").await;
        like(&bob, &post).await;
        let connection = database::connect(&daemon.data_dir());
        settle(&admin, &connection).await;
        let told = told(&connection);
        assert_eq!(told[&ada.id].len(), 42);
        assert_told_once(&ada, &told).await;
        eventually("all parts are ready", || async {
            let ready = client.get("/readyz").await;
            (ready.status == 200).then_some(())
        })
        .await;
        let is_said = daemon.log().contains("cannot be trusted");
        assert_eq!(is_said, is_set_aside(&daemon), "{}", daemon.log());
        assert!(is_said || !is_certain, "{}", daemon.log());
    }
}

/// Whether the damaged one is kept, for whoever wants to know what happened.
fn is_set_aside(daemon: &Daemon) -> bool {
    std::fs::read_dir(daemon.data_dir()).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with("events.damaged-")
    })
}

async fn like(person: &Person, post: &str) {
    person
        .post(&format!("/posts/like/{post}"), json!({}))
        .await
        .expect(200);
}

/// Noise over the middle of each large file.
fn scribble(events: &Path) {
    for path in files(events) {
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        if length < 64 {
            continue;
        }
        for (index, byte) in bytes[length / 8..length * 7 / 8].iter_mut().enumerate() {
            *byte = u8::try_from(index * 31 % 251).unwrap();
        }
        std::fs::write(path, bytes).unwrap();
    }
}

/// As if the second half had never reached the disk.
fn cut_off(events: &Path) {
    for path in files(events) {
        let file = File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length / 2).unwrap();
    }
}

fn replace_by_a_file(events: &Path) {
    std::fs::remove_dir_all(events).unwrap();
    std::fs::write(events, "not a directory").unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}
