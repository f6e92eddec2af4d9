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
        .filter(|key| groups.iter().any(|group| key.starts_with(group)) || key.contains("Comment"))
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
        assert_tells_nothing(&world.served(&media, name).await).await;
    }
}

/// That nothing is in a file of what the tests wrote into the one that was uploaded.
async fn assert_tells_nothing(file: &Path) {
    let name = file.display();
    assert_eq!(secrets(file).await, Vec::<String>::new(), "{name}");
    let bytes = std::fs::read(file).unwrap();
    for secret in [&b"Babbage"[..], b"1837", b"secret", b"GPS"] {
        let is_there = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!is_there, "{name}: {}", String::from_utf8_lossy(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_into_other_formats_stays_behind_as_well() {
    let world = World::new().await;
    for (name, frames, media_type, least) in [
        ("a.png", 1, "image/png", 5),
        ("a.webp", 1, "image/webp", 5),
        ("still.gif", 1, "image/gif", 4),
        ("moving.gif", 3, "image/gif", 4),
    ] {
        let file = world.dir.path().join(name);
        let made = ["xc:red", "xc:green", "xc:blue"];
        let made = [&["-delay", "12", "-size", "700x500"], &made[..frames]].concat();
        run("convert", &made, &file).await;
        let notes = [
            "-overwrite_original",
            "-GPSLatitude=48.8584",
            "-GPSLatitudeRef=N",
            "-Make=Babbage",
            "-XMP:Creator=secret",
            "-XMP:GPSLatitude=48.8584",
            "-XMP:SerialNumber=1837",
            "-Comment=secret",
        ];
        run("exiftool", &notes, &file).await;
        let told = secrets(&file).await;
        assert!(told.len() >= least, "{name}: {told:?}");
        let media = world.post(&file, media_type).await;
        let forms: &[&str] = if frames > 1 {
            &["320.webp", "640.webp", "2048.webp", "320.gif", "320.jpg"]
        } else {
            &["320.webp", "2048.webp", "2048.jpg", "avatar-96.webp"]
        };
        for form in forms {
            assert_tells_nothing(&world.served(&media, form).await).await;
        }
    }
}

/// The colour in the middle of a picture, in whole numbers, as `ImageMagick` sees it after these steps.
async fn color(file: &Path, steps: &[&str]) -> Vec<u8> {
    let file = file.to_str().unwrap();
    let middle = ["-gravity", "center", "-crop", "1x1+0+0", "-depth", "8"];
    let arguments = [&[file], steps, &middle].concat();
    let output = Command::new("convert")
        .args(arguments)
        .arg("rgb:-")
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn colors_look_the_same_without_the_profile() {
    let world = World::new().await;
    let profile = |name, profile: moxcms::ColorProfile| {
        let mut bytes = profile.encode().unwrap();
        // Those who read PNG want whole words, and the first to count them.
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let size = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        world.file(name, &bytes)
    };
    let wide = profile("p3.icc", moxcms::ColorProfile::new_display_p3());
    let srgb = profile("srgb.icc", moxcms::ColorProfile::new_srgb());
    for (name, media_type) in [("a.jpg", "image/jpeg"), ("a.png", "image/png")] {
        let file = world.dir.path().join(name);
        let made = ["-size", "800x600", "xc:rgb(200,90,60)", "-quality", "95"];
        run("convert", &made, &file).await;
        let embed = format!("-ICC_Profile<={}", wide.display());
        run("exiftool", &["-overwrite_original", &embed], &file).await;
        let plain = color(&file, &["-strip"]).await;
        let meant = color(&file, &["-profile", srgb.to_str().unwrap()]).await;
        let distance = |one: &[u8], other: &[u8]| {
            let parts = one.iter().zip(other);
            parts
                .map(|(one, other)| one.abs_diff(*other))
                .max()
                .unwrap()
        };
        // It makes a difference.
        assert!(distance(&plain, &meant) > 10, "{plain:?} {meant:?}");
        let media = world.post(&file, media_type).await;
        for form in ["320.jpg", "320.webp", "2048.jpg"] {
            let served = world.served(&media, form).await;
            assert_tells_nothing(&served).await;
            let shown = color(&served, &[]).await;
            assert!(distance(&shown, &meant) <= 4, "{form}: {shown:?} {meant:?}");
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
        "testsrc2=size=640x360:rate=24:duration=9",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=9",
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
    let media = eventually("the film is converted", || async {
        let media = world.ada.get(&path).await.expect(200)["media"].clone();
        (media["status"] == "ready").then_some(media)
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
    let master = media["hlsUrl"].as_str().unwrap();
    let (_, master) = master.split_once("/media/").unwrap();
    assert_ladder_is_as_it_says(&world, &format!("/media/{master}"), 9.0).await;
    let poster = world.served(&media, "320.webp").await;
    assert_eq!(
        run("identify", &["-format", "%m %wx%h"], &poster).await,
        "WEBP 320x180"
    );
}

/// What ffprobe says of the one video stream in a file: its codec and size.
async fn video(file: &Path) -> String {
    let stream = "stream=codec_name,width,height";
    let arguments = [
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        stream,
        "-of",
        "csv=p=0",
    ];
    run("ffprobe", &arguments, file).await.trim().to_owned()
}

/// How long all the frames in a file take, as ffprobe adds them up.
async fn seconds(file: &Path) -> f64 {
    let arguments = [
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "packet=duration_time",
        "-of",
        "csv=p=0",
    ];
    let told = run("ffprobe", &arguments, file).await;
    let frames = told.lines().map(|line| line.trim_end_matches(','));
    frames.map(|line| line.parse::<f64>().unwrap()).sum()
}

/// Every size of a film in segments: what the playlists say is what is in them.
async fn assert_ladder_is_as_it_says(world: &World, master: &str, film_seconds: f64) {
    let get = async |path: &str| {
        let reply = world.server.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        reply
    };
    let (folder, _) = master.rsplit_once('/').unwrap();
    let playlist = get(master).await.text;
    let lines: Vec<&str> = playlist.lines().collect();
    let mut sizes = Vec::new();
    for pair in lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("#EXT-X-STREAM-INF:"))
    {
        let (_, size) = pair[0].split_once("RESOLUTION=").unwrap();
        let size = size.split(',').next().unwrap();
        let rung = format!("{folder}/{}", pair[1]);
        let (folder, _) = rung.rsplit_once('/').unwrap();
        let playlist = get(&rung).await.text;
        let (_, init) = playlist.split_once("#EXT-X-MAP:URI=\"").unwrap();
        let init = init.split('"').next().unwrap();
        let init = get(&format!("{folder}/{init}")).await.bytes;
        let (mut whole, mut announced) = (init.to_vec(), 0.0);
        let lines: Vec<&str> = playlist.lines().collect();
        for pair in lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("#EXTINF:"))
        {
            let length = pair[0].trim_start_matches("#EXTINF:");
            let length: f64 = length.trim_end_matches(',').parse().unwrap();
            let segment = get(&format!("{folder}/{}", pair[1])).await.bytes;
            whole.extend(&segment);
            // Each plays with nothing but the set-up before it.
            let alone = world.file("segment.mp4", &[&init[..], &segment].concat());
            assert_eq!(
                video(&alone).await,
                format!("h264,{}", size.replace('x', ","))
            );
            let told = seconds(&alone).await;
            assert!(
                (told - length).abs() < 0.1,
                "{}: {told} for {length}",
                pair[1]
            );
            announced += length;
        }
        let whole = world.file("rung.mp4", &whole);
        let told = seconds(&whole).await;
        assert!((told - film_seconds).abs() < 0.15, "{size}: {told}");
        assert!(
            (announced - film_seconds).abs() < 0.15,
            "{size}: {announced}"
        );
        sizes.push(size);
    }
    assert_eq!(sizes, ["426x240", "640x360"]);
}
