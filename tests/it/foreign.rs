//! What is served, as programs of others read it: exiftool, `ImageMagick`, ffprobe. `./tests/run` installs them.

use std::path::{Path, PathBuf};

use reqwest::multipart::Form;
use serde_json::Value;
use tokio::process::Command;

use crate::support::pictures::{part, picture, send};
use crate::support::{Person, Server, eventually};

/// Runs a program of somebody else's; what it says.
async fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

struct World {
    server: Server,
    ada: Person,
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let server = Server::start().await;
        Self {
            ada: server.sign_up("ada").await,
            server,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn post(&self, path: &Path, media_type: &str) -> Value {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(path).unwrap();
        let form = Form::new().part("file", part(bytes, name, media_type));
        let reply = send(&self.ada, "/posts/", form).await.expect(201);
        reply["post"]["media"][0].clone()
    }

    /// What an address of an upload gives, as a file.
    async fn served(&self, media: &Value, name: &str) -> PathBuf {
        let path = format!("/media/{}/{name}", media["id"].as_str().unwrap());
        let reply = self.server.get(path.trim_end_matches('/')).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let name = if name.is_empty() { "whole" } else { name };
        self.file(&format!("served-{name}"), &reply.bytes)
    }
}

/// Names of what a camera or a person wrote into a file.
async fn secrets(file: &Path) -> Vec<String> {
    let told = run("exiftool", &["-json", "-G1", "-a"], file).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let groups = [
        "ExifIFD", "IFD0", "GPS", "XMP", "IPTC", "ICC", "Keys", "UserData", "ItemList",
    ];
    told[0]
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| groups.iter().any(|group| key.starts_with(group)))
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_writes_into_a_picture_stays_behind() {
    let world = World::new().await;
    let jpeg = picture(1_500, 1_000, 1, image::ImageFormat::Jpeg);
    let photo = world.file("photo.jpg", &jpeg);
    let notes = [
        "-overwrite_original",
        "-GPSLatitude=48.8584",
        "-GPSLatitudeRef=N",
        "-GPSLongitude=2.2945",
        "-GPSLongitudeRef=E",
        "-Make=Babbage",
        "-SerialNumber=1837",
        "-XMP:Creator=Ada",
        "-IPTC:Keywords=secret",
        "-Comment=secret",
        "-Orientation#=6",
    ];
    run("exiftool", &notes, &photo).await;
    assert!(secrets(&photo).await.len() > 6);
    let media = world.post(&photo, "image/jpeg").await;
    // It was held upright.
    assert_eq!(
        (&media["width"], &media["height"]),
        (&1_000.into(), &1_500.into())
    );
    for name in [
        "320.jpg",
        "640.webp",
        "2048.jpg",
        "2048.webp",
        "avatar-400.jpg",
    ] {
        let file = world.served(&media, name).await;
        assert_eq!(secrets(&file).await, Vec::<String>::new(), "{name}");
        let bytes = std::fs::read(&file).unwrap();
        for secret in [&b"Babbage"[..], b"1837", b"secret", b"GPS"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{name}: {}", String::from_utf8_lossy(secret));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_what_they_are_said_to_be() {
    let world = World::new().await;
    let png = picture(1_500, 1_000, 2, image::ImageFormat::Png);
    let media = world.post(&world.file("a.png", &png), "image/png").await;
    for (name, says) in [
        ("320.webp", "WEBP 320x213"),
        ("1280.webp", "WEBP 1280x853"),
        ("2048.webp", "WEBP 1500x1000"),
        ("320.jpg", "JPEG 320x213 JPEG"),
        ("2048.jpg", "JPEG 1500x1000 JPEG"),
        ("banner-600.jpg", "JPEG 600x200 JPEG"),
    ] {
        let file = world.served(&media, name).await;
        let format = if says.ends_with(" JPEG") {
            // The interlacing of a progressive one is called JPEG.
            "%m %wx%h %[interlace]"
        } else {
            "%m %wx%h"
        };
        assert_eq!(
            run("identify", &["-format", format], &file).await,
            says,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_keeps_moving() {
    let world = World::new().await;
    let gif = world.dir.path().join("a.gif");
    let frames = [
        "-delay", "12", "-size", "900x600", "xc:red", "xc:green", "xc:blue", "-loop", "0",
    ];
    run("convert", &frames, &gif).await;
    let media = world.post(&gif, "image/gif").await;
    assert_eq!(media["isAnimated"], true);
    for (name, says) in [
        (
            "320.webp",
            "WEBP 320x213 12;WEBP 320x213 12;WEBP 320x213 12;",
        ),
        ("320.gif", "GIF 320x213 12;GIF 320x213 12;GIF 320x213 12;"),
        ("320.jpg", "JPEG 320x213 0;"),
    ] {
        let file = world.served(&media, name).await;
        let said = run("identify", &["-format", "%m %wx%h %T;"], &file).await;
        assert_eq!(said, says, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_is_what_its_players_expect() {
    let world = World::new().await;
    let film = world.dir.path().join("a.mp4");
    let make = [
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=24:duration=1",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=1",
        "-c:v",
        "mpeg4",
        "-c:a",
        "aac",
        "-metadata",
        "location=+48.8584+002.2945/",
        "-metadata",
        "title=secret",
    ];
    run("ffmpeg", &make, &film).await;
    let media = world.post(&film, "video/mp4").await;
    let path = format!("/api/v1/media/{}", media["id"].as_str().unwrap());
    eventually("the film is converted", || async {
        let reply = world.ada.get(&path).await.expect(200);
        (reply["media"]["status"] == "ready").then_some(())
    })
    .await;
    let served = world.served(&media, "").await;
    let entries = [
        "-v",
        "error",
        "-show_entries",
        "stream=codec_name,width,pix_fmt",
        "-of",
        "csv=p=0",
    ];
    let said = run("ffprobe", &entries, &served).await;
    assert_eq!(said.trim(), "h264,640,yuv420p\naac");
    let bytes = std::fs::read(&served).unwrap();
    for secret in [&b"secret"[..], b"48.8584"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    let poster = world.served(&media, "320.webp").await;
    assert_eq!(
        run("identify", &["-format", "%m %wx%h"], &poster).await,
        "WEBP 320x180"
    );
}
