//! Videos and recordings: kept and served as they are, or made into what every browser plays (contract, "Media").

use std::io::Cursor;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::Value;
use socialhub::media::container::{self, Container};

use crate::support::pictures::{part, send};
use crate::support::{Daemon, Person, Reply, Server, eventually};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/media/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

async fn upload(person: &Person, name: &str, media_type: &str) -> Reply {
    let form = Form::new().part("file", part(fixture(name), name, media_type));
    send(person, "/api/v1/media", form).await
}

async fn without_ffmpeg() -> Server {
    Server::start_with(|config| "off".clone_into(&mut config.media.ffmpeg)).await
}

/// The path and query of an address of ours.
fn path_of(address: &Value) -> String {
    let (_, rest) = address.as_str().unwrap().split_once("://").unwrap();
    format!("/{}", rest.split_once('/').unwrap().1)
}

/// Whether a line of a master playlist names a rung.
fn is_rung(line: &str) -> bool {
    !line.starts_with('#') && line.contains(".m3u8")
}

/// Waits until the health report says so.
async fn says_of_videos(server: &Server, what: &str) {
    eventually(what, || async {
        let ready = server.get("/readyz").await.json();
        let videos = ready["parts"]["media"]["videos"].as_str()?.to_owned();
        videos.contains(what).then_some(())
    })
    .await;
}

/// An upload once it is converted.
async fn converted(person: &Person, media: &Value) -> Value {
    let path = format!("/api/v1/media/{}", media["id"].as_str().unwrap());
    eventually("the video is converted", || async {
        let reply = person.get(&path).await.expect(200);
        match reply["media"]["status"].as_str().unwrap() {
            "processing" => {
                // It may have come to its end just now.
                let progress = reply["progress"].as_f64();
                assert!(progress.is_none_or(|progress| (0.0..=1.0).contains(&progress)));
                None
            }
            status => {
                assert_eq!(status, "ready");
                assert!(reply["progress"].is_null());
                Some(reply["media"].clone())
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_what_browsers_play_is_served_as_it_is() {
    let server = without_ffmpeg().await;
    says_of_videos(&server, "as they are").await;
    let ada = server.sign_up("ada").await;
    for (name, media_type, kind) in [
        ("faststart.mp4", "video/mp4", "video"),
        ("film.webm", "video/webm", "video"),
        ("voice.m4a", "audio/mp4", "audio"),
        ("voice.mp3", "audio/mpeg", "audio"),
        ("voice.ogg", "audio/ogg", "audio"),
        ("voice.wav", "audio/wav", "audio"),
        ("voice.flac", "audio/flac", "audio"),
    ] {
        let reply = upload(&ada, name, media_type).await.expect(201);
        let media = &reply["media"];
        assert_eq!(
            (&media["type"], &media["status"]),
            (&kind.into(), &"ready".into()),
            "{name}"
        );
        assert_eq!(media["width"].is_number(), kind == "video", "{name}");
        assert!(media["posterUrl"].is_null() && media["hlsUrl"].is_null());
        assert!(reply["progress"].is_null());
        let body = serde_json::json!({ "mediaIds": [media["id"]] });
        let post = ada.post("/posts", body).await.expect(201)["post"].clone();
        let path = path_of(&post["imageUrls"][0]);
        let file = server.get(&path).await;
        assert_eq!(file.header("content-type"), media_type);
        assert_eq!(
            file.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(file.bytes, fixture(name));
        let request = server
            .request(Method::GET, &path)
            .header("range", "bytes=10-19");
        assert_eq!(server.send(request).await.bytes, fixture(name)[10..20]);
        server
            .get(&format!("{path}/hls/open/master.m3u8"))
            .await
            .expect_code(404, "media_not_found");
    }
    for name in ["film.mkv", "film.avi", "film.ogv"] {
        upload(&ada, name, "video/mp4")
            .await
            .expect_code(415, "unsupported_file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_film_is_refused_each_for_its_own_reason() {
    for ffmpeg in ["off", "auto"] {
        let server = Server::start_with(|config| {
            config.media.ffmpeg = ffmpeg.to_owned();
            config.media.max_video_bytes = 100_000;
            config.media.max_video_seconds = 600;
        })
        .await;
        let ada = server.sign_up("ada").await;
        let whole = fixture("faststart.mp4");
        let playlist =
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n".to_vec();
        let cases: [(&str, Vec<u8>, &str, u16, &str); 6] = [
            ("a.mp4", Vec::new(), "video/mp4", 400, "empty_file"),
            ("a.mp4", playlist, "video/mp4", 415, "unsupported_file"),
            (
                "a.mp4",
                b"not a film at all".to_vec(),
                "video/mp4",
                415,
                "unsupported_file",
            ),
            ("a.png", whole.clone(), "image/png", 415, "mismatched_file"),
            (
                "a.mp4",
                whole[..600].to_vec(),
                "video/mp4",
                422,
                "broken_file",
            ),
            (
                "a.mp4",
                [whole, vec![0; 100_000]].concat(),
                "video/mp4",
                413,
                "file_too_large",
            ),
        ];
        for (name, bytes, kind, status, code) in cases {
            let form = Form::new().part("file", part(bytes, name, kind));
            send(&ada, "/api/v1/media", form)
                .await
                .expect_code(status, code);
        }
    }
    let short = Server::start_with(|config| config.media.max_video_seconds = 0).await;
    let ada = short.sign_up("ada").await;
    upload(&ada, "faststart.mp4", "video/mp4")
        .await
        .expect_code(422, "too_long");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ffmpeg_a_film_is_made_into_what_every_browser_plays() {
    let server = Server::start().await;
    // Install ffmpeg for this test, should it be missing.
    says_of_videos(&server, "converted by ffmpeg").await;
    let ada = server.sign_up("ada").await;
    let form = Form::new().text("caption", "A film").part(
        "file",
        part(fixture("recorded.mov"), "a.mov", "video/quicktime"),
    );
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    let media = converted(&ada, &post["media"][0]).await;
    assert_eq!(media["type"], "video");
    assert!(media["durationMs"].as_u64().unwrap() > 0);
    assert!(media["thumbhash"].is_string() && media["dominantColor"].is_string());
    let poster = server.get(&path_of(&media["posterUrl"])).await;
    assert_eq!(poster.header("content-type"), "image/jpeg");

    let film = server.get(&path_of(&media["url"])).await;
    assert_eq!(film.header("content-type"), "video/mp4");
    assert_eq!(
        film.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let facts = container::inspect(Cursor::new(&film.bytes[..]), Container::Mp4).unwrap();
    assert_eq!(facts.video_codec.as_deref(), Some("h264"));
    assert!(facts.is_faststart && facts.plays_in_browsers());

    let master = path_of(&media["hlsUrl"]);
    let playlist = server.get(&master).await;
    assert_eq!(
        playlist.header("content-type"),
        "application/vnd.apple.mpegurl"
    );
    let (folder, _) = master.rsplit_once('/').unwrap();
    let mut segments = 0;
    for rung in playlist.text.lines().filter(|line| is_rung(line)) {
        let rung = format!("{folder}/{rung}");
        let (folder, _) = rung.rsplit_once('/').unwrap();
        for line in server.get(&rung).await.text.lines() {
            let name = line
                .strip_prefix("#EXT-X-MAP:URI=\"")
                .and_then(|rest| rest.split('"').next())
                .or_else(|| (!line.starts_with('#') && !line.is_empty()).then_some(line));
            if let Some(name) = name {
                let segment = server.get(&format!("{folder}/{name}")).await;
                assert_eq!(
                    (segment.status.as_u16(), segment.header("content-type")),
                    (200, "video/mp4")
                );
                segments += 1;
            }
        }
    }
    assert!(segments >= 2, "{}", playlist.text);
    for wrong in [
        "../film.mp4",
        "..%2ffilm.mp4",
        "x.m3u8",
        "master.txt",
        ".hidden.m3u8",
    ] {
        let reply = server.get(&format!("{folder}/{wrong}")).await;
        assert_eq!(reply.status, 404, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_that_is_not_for_all_opens_by_its_own_addresses() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let form = Form::new()
        .text("visibility", "followers")
        .part("file", part(fixture("faststart.mp4"), "a.mp4", "video/mp4"));
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    let media = converted(&ada, &post["media"][0]).await;
    let id = media["id"].as_str().unwrap();
    let master = path_of(&media["hlsUrl"]);
    let playlist = server.get(&master).await;
    assert_eq!(playlist.status, 200);
    assert!(playlist.header("cache-control").starts_with("private"));
    let rung = playlist.text.lines().find(|line| is_rung(line)).unwrap();
    let (folder, _) = master.rsplit_once('/').unwrap();
    assert_eq!(server.get(&format!("{folder}/{rung}")).await.status, 200);
    assert_eq!(server.get(&path_of(&media["url"])).await.status, 200);
    for refused in [
        format!("/media/{id}"),
        format!("/media/{id}/320"),
        format!("/media/{id}/hls/open/master.m3u8"),
        format!("/media/{id}/hls/99999999999-x/master.m3u8"),
    ] {
        server
            .get(&refused)
            .await
            .expect_code(403, "invalid_signature");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_goes_on_after_a_restart() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let media = upload(&ada, "film.mkv", "video/x-matroska")
        .await
        .expect(201)["media"]
        .clone();
    let server = server.restart().await;
    let ada = ada.at(&server);
    let media = converted(&ada, &media).await;
    assert_eq!(
        server
            .get(&path_of(&media["url"]))
            .await
            .header("content-type"),
        "video/mp4"
    );
}

/// A helper that tells its version and its coders like a whole one, and then does this.
fn helper(dir: &std::path::Path, then: &str) -> String {
    let script = format!(
        "case \"$*\" in\n*-version*) echo 'ffmpeg version 9 of a test' ;;\n\
         *-encoders*) echo ' V..... libx264'; echo ' A..... aac' ;;\n*) {then} ;;\nesac"
    );
    helper_by(dir, &script)
}

/// A helper that does its work but for what writes this file, where it does something else first.
fn helper_but(dir: &std::path::Path, written: &str, first: &str) -> String {
    let script = format!("case \"$*\" in *{written}) {first} ;; esac\nexec ${{0##*/}} \"$@\"");
    helper_by(dir, &script)
}

fn helper_by(dir: &std::path::Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    for name in ["ffmpeg", "ffprobe"] {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir.join("ffmpeg").display().to_string()
}

/// An upload once its conversion has failed for good.
async fn failed(person: &Person, media: &Value) -> Value {
    let path = format!("/api/v1/media/{}", media["id"].as_str().unwrap());
    eventually("the conversion has failed", || async {
        let media = person.get(&path).await.expect(200)["media"].clone();
        assert_ne!(media["status"], "ready");
        (media["status"] == "failed").then_some(media)
    })
    .await
}

/// The directory in which the helper works, and uploads under way.
fn under_way(server: &Server) -> usize {
    let incoming = server.config.data_dir.join("media/incoming");
    std::fs::read_dir(incoming).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_hangs_holds_up_films_alone() {
    let dir = tempfile::tempdir().unwrap();
    let program = helper(dir.path(), "trap '' TERM; sleep 600");
    let server = Server::start_with(|config| config.media.ffmpeg = program).await;
    let ada = server.sign_up("ada").await;
    let film = upload(&ada, "film.mkv", "video/x-matroska");
    let pictures = async {
        eventually("the helper is at work", || async {
            // The film, and the directory in which it works.
            (under_way(&server) >= 2).then_some(())
        })
        .await;
        for _ in 0..3 {
            crate::support::pictures::upload(&ada, "/posts/")
                .await
                .expect(201);
        }
    };
    tokio::select! {
        reply = film => panic!("the helper hangs, and yet: {}", reply.text),
        () = pictures => {}
    }
    // It is not waited for.
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_hangs_or_crashes_at_the_first_look_refuses_the_film() {
    for (then, code) in [
        ("kill -SEGV $$", "conversion_crashed"),
        ("sleep 600", "conversion_timed_out"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let program = helper(dir.path(), then);
        let server = Server::start_with(|config| {
            config.media.ffmpeg = program;
            config.media.video_patience_s = 1;
        })
        .await;
        let ada = server.sign_up("ada").await;
        // Also what browsers would play: nobody has looked at what its camera wrote into it.
        for name in ["film.mkv", "faststart.mp4"] {
            upload(&ada, name, "video/mp4").await.expect_code(422, code);
        }
        ada.write("All else goes on").await;
        let originals = server.config.data_dir.join("media/originals");
        eventually("nothing is left", || async {
            let kept = walk(&originals);
            (under_way(&server) == 0 && kept.is_empty()).then_some(())
        })
        .await;
    }
}

/// All files beneath a directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_that_hangs_or_crashes_is_told_and_shows_nothing_of_the_camera() {
    for (first, code) in [
        ("kill -SEGV $$", "conversion_crashed"),
        ("sleep 600", "conversion_timed_out"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let tries = dir.path().join("tries");
        let first = format!("echo x >>{}; {first}", tries.display());
        let program = helper_but(dir.path(), "/film.mp4", &first);
        let server = Server::start_with(|config| {
            config.media.ffmpeg = program;
            config.media.video_patience_s = 4;
        })
        .await;
        let ada = server.sign_up("ada").await;
        let form = Form::new().part("file", part(fixture("faststart.mp4"), "a.mp4", "video/mp4"));
        let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
        let media = failed(&ada, &post["media"][0]).await;
        assert_eq!(media["errorCode"], code);
        assert!(media["hlsUrl"].is_null());
        server
            .get(&path_of(&media["url"]))
            .await
            .expect_code(422, code);
        // It would end the same way again.
        assert_eq!(std::fs::read_to_string(&tries).unwrap(), "x\n");
        assert_eq!(under_way(&server), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_converted_before_the_rest_failed_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let program = helper_but(dir.path(), "/index.m3u8", "kill -SEGV $$");
    let server = Server::start_with(|config| config.media.ffmpeg = program).await;
    let ada = server.sign_up("ada").await;
    let form = Form::new().part(
        "file",
        part(fixture("recorded.mov"), "a.mov", "video/quicktime"),
    );
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    let media = failed(&ada, &post["media"][0]).await;
    assert_eq!(media["errorCode"], "conversion_crashed");
    let film = server.get(&path_of(&media["url"])).await;
    assert_eq!(film.header("content-type"), "video/mp4");
    assert_ne!(film.bytes, fixture("recorded.mov"));
    let facts = container::inspect(Cursor::new(&film.bytes[..]), Container::Mp4).unwrap();
    assert!(facts.is_faststart && facts.plays_in_browsers());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_films_of_one_do_not_hold_up_the_one_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (order, gate) = (dir.path().join("order"), dir.path().join("gate"));
    // Each waits for the gate; what is read is named by its hash.
    let first = format!(
        "echo \"$*\" | sed 's/.*originals.......\\([0-9a-f]*\\).*/\\1/' >>{}; until [ -e {} ]; do sleep 0.02; done",
        order.display(),
        gate.display(),
    );
    let program = helper_but(dir.path(), "/film.mp4", &first);
    let server = Server::start_with(|config| config.media.ffmpeg = program).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let add = async |person: &Person, name: &str| {
        let media = upload(person, name, "video/mp4").await.expect(201)["media"].clone();
        (blake3::hash(&fixture(name)).to_string(), media)
    };
    let first = add(&ada, "faststart.mp4").await;
    let begun = || std::fs::read_to_string(&order).unwrap_or_default();
    eventually("the first is under way", || async {
        (begun().lines().count() == 1).then_some(())
    })
    .await;
    let second = add(&ada, "film.webm").await;
    let third = add(&ada, "fragments.mp4").await;
    let others = add(&bob, "recorded.mov").await;
    std::fs::write(&gate, "").unwrap();
    for (person, (_, media)) in [(&ada, &second), (&ada, &third), (&bob, &others)] {
        converted(person, media).await;
    }
    let begun = begun();
    let begun: Vec<&str> = begun.lines().collect();
    assert_eq!(begun, [first.0, others.0, second.0, third.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_that_a_kill_interrupts_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (pid, gate) = (dir.path().join("pid"), dir.path().join("gate"));
    // The film is there and some of the ladder, when it gets slow; as the real one does, it tells its progress.
    let first = format!(
        "if [ ! -e {gate} ]; then echo part >partial.m4s; echo $$ >{pid}; while echo frame=1; do sleep 0.02; done; fi",
        gate = gate.display(),
        pid = pid.display(),
    );
    let program = helper_but(dir.path(), "/index.m3u8", &first);
    let mut daemon = Daemon::start_with(&[("SOCIALHUB_MEDIA__FFMPEG", &program)]).await;
    let ada = daemon.client().sign_up("ada").await;
    let media = upload(&ada, "recorded.mov", "video/quicktime").await;
    let media = media.expect(201)["media"].clone();
    let helper = eventually("the conversion is under way", || async {
        let pid = std::fs::read_to_string(&pid).ok()?;
        pid.trim().parse::<u32>().ok()
    })
    .await;
    let kept = daemon.data_dir().join("media");
    let is_there = |dir: &str, name: &str| {
        let files = walk(&kept.join(dir));
        files.iter().any(|path| path.ends_with(name))
    };
    assert!(is_there("made", "film.mp4") && !is_there("made", "hls/master.m3u8"));
    assert!(is_there("incoming", "partial.m4s"));
    daemon.kill_now().await;
    // Nobody listens to it any more.
    eventually("the helper is gone", || async {
        (!std::path::Path::new(&format!("/proc/{helper}")).exists()).then_some(())
    })
    .await;

    std::fs::write(&gate, "").unwrap();
    let daemon = daemon.restart().await;
    let ada = ada.at(&daemon.client());
    let media = converted(&ada, &media).await;
    let film = ada.get(&path_of(&media["url"])).await;
    assert_eq!(film.header("content-type"), "video/mp4");
    let master = ada.get(&path_of(&media["hlsUrl"])).await;
    assert!(master.text.lines().any(is_rung), "{}", master.text);
    assert!(!is_there("made", "partial.m4s"));
    assert_eq!(
        walk(&kept.join("incoming")),
        Vec::<std::path::PathBuf>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_there_was_ffmpeg_is_converted_once_there_is() {
    let server = without_ffmpeg().await;
    let ada = server.sign_up("ada").await;
    let mut uploads = Vec::new();
    for (name, media_type) in [("faststart.mp4", "video/mp4"), ("voice.wav", "audio/wav")] {
        let media = upload(&ada, name, media_type).await.expect(201)["media"].clone();
        assert!(media["hlsUrl"].is_null());
        uploads.push(media);
    }
    let server = server
        .restart_with(|config| "auto".clone_into(&mut config.media.ffmpeg))
        .await;
    let ada = ada.at(&server);
    for (media, media_type) in uploads.iter().zip(["video/mp4", "audio/mp4"]) {
        let path = format!("/api/v1/media/{}", media["id"].as_str().unwrap());
        eventually("it is converted", || async {
            // It is shown all the time.
            let media = ada.get(&path).await.expect(200)["media"].clone();
            assert_eq!(media["status"], "ready");
            let file = server.get(&path_of(&media["url"])).await;
            assert_eq!(file.status, 200);
            let is_new = file.header("content-type") == media_type;
            let has_ladder = media["hlsUrl"].is_string() || media["type"] == "audio";
            (is_new && has_ladder).then_some(())
        })
        .await;
    }
}
