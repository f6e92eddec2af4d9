//! Media in a bucket, and on the move between a bucket and the disk, against a real S3-compatible server.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use socialhub::config::{Config, MediaStore, S3};
use tokio::task::JoinSet;

use crate::support::bucket::Bucket;
use crate::support::gate::{Gate, Watched};
use crate::support::pictures::{form, jpeg, part, recording, send};
use crate::support::{Person, Server, eventually, http_client};

/// Everything in the bucket, and nothing kept here longer than needed.
fn in_bucket(bucket: &Bucket) -> impl FnOnce(&mut Config) + use<> {
    kept_in(bucket.options())
}

fn kept_in(options: S3) -> impl FnOnce(&mut Config) {
    move |config| {
        config.media.store = MediaStore::S3;
        config.s3 = options;
        config.s3.cache_mib = 0;
        config.server.max_body_bytes = 32 * 1024 * 1024;
        "off".clone_into(&mut config.media.ffmpeg);
    }
}

/// Posts a file; the post.
async fn post(person: &Person, file: Vec<u8>, media_type: &str) -> Value {
    let form = Form::new().part("file", part(file, "file", media_type));
    send(person, "/posts/", form).await.expect(201)["post"].clone()
}

/// A file that is there.
async fn bytes(server: &Server, path: &str) -> bytes::Bytes {
    let reply = server.get(path).await;
    assert_eq!(reply.status, 200, "{path}");
    reply.bytes
}

fn path_of(address: &Value) -> String {
    let (_, rest) = address.as_str().unwrap().split_once("://").unwrap();
    format!("/{}", rest.split_once('/').unwrap().1)
}

fn files_here(server: &Server, name: &str) -> Vec<PathBuf> {
    fn walk(dir: PathBuf, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                walk(entry.path(), found);
            } else {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    walk(server.config.data_dir.join("media").join(name), &mut found);
    found
}

/// The name of a content in the bucket.
fn hash_of(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// The contents that lie in these files.
fn names(files: Vec<PathBuf>) -> BTreeSet<String> {
    let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    files.into_iter().map(name).collect()
}

/// Posts a recording, for each of these; where they are served.
async fn post_recordings(person: &Person, recordings: &[Vec<u8>]) -> Vec<String> {
    let mut paths = Vec::new();
    for recording in recordings {
        let post = post(person, recording.clone(), "audio/wav").await;
        paths.push(path_of(&post["imageUrls"][0]));
    }
    paths
}

/// What the health report says of the bucket.
async fn bucket_is(server: &Server, what: &str) {
    eventually(what, || async {
        let ready = server.get("/readyz").await.json();
        (ready["parts"]["media"]["contents"]["bucket"] == what).then_some(())
    })
    .await;
}

/// Waits until so many requests were stopped at the gate.
async fn came(watched: &Watched, count: usize) {
    eventually("the requests come", || async {
        (watched.came() >= count).then_some(())
    })
    .await;
}

async fn no_copies_are_left(server: &Server) {
    eventually("no copies are left", || async {
        let left = files_here(server, "originals").len() + files_here(server, "variants").len();
        (left == 0).then_some(())
    })
    .await;
}

/// What the health report says of the move.
async fn moved(server: &Server) {
    eventually("all media are where they are kept", || async {
        let ready = server.get("/readyz").await.json();
        let moving = ready["parts"]["media"]["contents"]["moving"]
            .as_str()?
            .to_owned();
        moving.contains("all are there").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_lies_in_the_bucket_and_is_served_from_there() {
    let bucket = Bucket::start().await;
    let server = Server::start_with(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    let picture = post(&ada, jpeg(1), "image/jpeg").await;
    // More than what is sent in one go, and than what is copied before it is served.
    let sound = recording(20_000_000, 1);
    let voice = post(&ada, sound.clone(), "audio/wav").await;
    assert_eq!(bucket.files("originals").len(), 2);
    // The same again is there already.
    post(&ada, jpeg(1), "image/jpeg").await;
    assert_eq!(bucket.files("originals").len(), 2);

    // Copies go; the start looks after that.
    let server = server.restart().await;
    no_copies_are_left(&server).await;
    let path = path_of(&picture["imageUrls"][0]);
    let request = server.request(Method::GET, &path);
    let webp = server.send(request.header("accept", "image/webp")).await;
    assert_eq!(webp.header("content-type"), "image/webp");
    assert!(webp.bytes.starts_with(b"RIFF"));

    let path = path_of(&voice["imageUrls"][0]);
    let whole = server.get(&path).await;
    assert_eq!(whole.header("content-length"), "20000000");
    assert!(whole.bytes == sound, "the recording is another");
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=1048570-3145740", 1_048_570..3_145_741),
        ("bytes=-5", 19_999_995..20_000_000),
    ] {
        let request = server.request(Method::GET, &path).header("range", range);
        let reply = server.send(request).await;
        assert_eq!(reply.status, 206);
        assert!(reply.bytes == sound[part], "{range}");
    }
    // Only the picture was worth a copy.
    assert_eq!(files_here(&server, "originals").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_uses_goes_from_the_bucket_as_well() {
    let bucket = Bucket::start().await;
    let server = Server::start_with_clock(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    let picture = post(&ada, jpeg(1), "image/jpeg").await;
    post(&ada, jpeg(2), "image/jpeg").await;
    let path = format!("/posts/{}", picture["id"].as_str().unwrap());
    ada.delete(&path).await.expect(200);
    server.advance(Duration::from_hours(1));
    eventually("the picture of the removed post is gone", || async {
        server.app.media().sweep().await.unwrap();
        (bucket.files("originals").len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_move_to_a_bucket_and_back_while_they_are_served() {
    let bucket = Bucket::start().await;
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut paths = Vec::new();
    for seed in 1..=12 {
        let picture = post(&ada, jpeg(seed), "image/jpeg").await;
        paths.push(path_of(&picture["imageUrls"][0]));
    }
    let form = Form::new().part(
        "file",
        part(fixture("faststart.mp4"), "film.mp4", "video/mp4"),
    );
    let reply = send(&ada, "/posts/", form).await.expect(201);
    let film = reply["post"]["media"][0].clone();
    let film_path = format!("/api/v1/media/{}", film["id"].as_str().unwrap());
    let film = eventually("the film is converted", || async {
        let reply = ada.get(&film_path).await.expect(200);
        (reply["media"]["status"] == "ready").then(|| reply["media"].clone())
    })
    .await;
    paths.push(path_of(&film["hlsUrl"]));
    paths.push(path_of(&film["posterUrl"]));
    paths.push(path_of(&film["url"]));
    let mut known = Vec::new();
    for path in &paths {
        known.push(bytes(&server, path).await);
    }
    let made = files_here(&server, "made").len();

    // There.
    let options = bucket.options();
    let to_bucket = options.clone();
    let server = server
        .restart_with(move |config| {
            config.media.store = MediaStore::S3;
            config.s3 = to_bucket;
            config.s3.cache_mib = 0;
        })
        .await;
    for (path, bytes) in paths.iter().zip(&known) {
        assert!(server.get(path).await.bytes == *bytes, "{path}");
    }
    moved(&server).await;
    no_copies_are_left(&server).await;
    assert_eq!(bucket.files("originals").len(), 13);
    assert_eq!(bucket.files("made").len(), made);
    for (path, bytes) in paths.iter().zip(&known) {
        assert!(server.get(path).await.bytes == *bytes, "{path}");
    }

    // And back, also what is not copied here any more.
    let server = server
        .restart_with(move |config| {
            config.media.store = MediaStore::Disk;
            config.s3 = options;
        })
        .await;
    for (path, bytes) in paths.iter().zip(&known) {
        assert!(server.get(path).await.bytes == *bytes, "{path}");
    }
    moved(&server).await;
    drop(bucket);
    let server = server.restart_with(|config| config.s3.bucket = None).await;
    assert_eq!(files_here(&server, "originals").len(), 13);
    assert_eq!(files_here(&server, "made").len(), made);
    for (path, bytes) in paths.iter().zip(&known) {
        assert!(server.get(path).await.bytes == *bytes, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_refuses_uploads_and_nothing_else() {
    let mut bucket = Bucket::start().await;
    let server = Server::start_with(|config| {
        in_bucket(&bucket)(config);
        config.s3.cache_mib = 100;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let picture = post(&ada, jpeg(1), "image/jpeg").await;
    bucket.stop().await;
    let refused = crate::support::pictures::upload(&ada, "/posts/").await;
    refused.expect_code(503, "media_store_unavailable");
    assert!(!refused.header("retry-after").is_empty());
    ada.post("/posts/", json!({ "content": "words" }))
        .await
        .expect(201);
    bytes(&server, &path_of(&picture["imageUrls"][0])).await;
    let ready = server.get("/readyz").await.json();
    assert_eq!(
        ready["parts"]["media"]["contents"]["bucket"],
        "does not answer"
    );
    bucket.resume().await;
    // Nobody has to ask for anything.
    bucket_is(&server, "answers").await;
    post(&ada, jpeg(2), "image/jpeg").await;
    // What was refused may have been moved there meanwhile, as all that is here.
    eventually("what was refused is gone", || async {
        let (there, here) = (bucket.files("originals"), files_here(&server, "originals"));
        (there.len() == 2 && here.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_another_server_is_left_alone() {
    let bucket = Bucket::start().await;
    let server = Server::start_with_clock(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    post(&ada, jpeg(1), "image/jpeg").await;

    // As one whose configuration was copied, and that knows none of it.
    let other = Server::start_with_clock(in_bucket(&bucket)).await;
    other.advance(Duration::from_hours(24 * 365));
    let bob = other.sign_up("bob").await;
    crate::support::pictures::upload(&bob, "/posts/")
        .await
        .expect_code(503, "media_store_unavailable");
    other.app.media().sweep().await.unwrap_err();
    assert_eq!(bucket.files("originals").len(), 1);
    post(&ada, jpeg(2), "image/jpeg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_not_said_to_be_there() {
    let bucket = Bucket::start().await;
    let server = Server::start_with(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    post(&ada, jpeg(1), "image/jpeg").await;
    post(&ada, jpeg(2), "image/jpeg").await;
    let server = server.restart().await;
    no_copies_are_left(&server).await;
    let object = bucket.files("originals").swap_remove(0);
    let mut damaged = std::fs::read(&object).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(object, damaged).unwrap();
    let server = server
        .restart_with(|config| config.media.store = MediaStore::Disk)
        .await;
    eventually("what is left is told", || async {
        let ready = server.get("/readyz").await.json();
        let moving = ready["parts"]["media"]["contents"]["moving"]
            .as_str()?
            .to_owned();
        (moving == "1 could not be moved, 1 moved").then_some(())
    })
    .await;
    assert_eq!(files_here(&server, "originals").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_object_is_not_taken_for_the_content() {
    let bucket = Bucket::start().await;
    let server = Server::start_with(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    let picture = post(&ada, jpeg(1), "image/jpeg").await;
    let [object] = bucket.files("originals").try_into().unwrap();
    let mut damaged = std::fs::read(&object).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(object, damaged).unwrap();
    let server = server.restart().await;
    no_copies_are_left(&server).await;
    let path = path_of(&picture["imageUrls"][0]);
    server.get(&path).await.expect_code(500, "internal");
    assert!(files_here(&server, "originals").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_behind_tls_is_trusted_by_its_certificate_alone() {
    let bucket = Bucket::start_secure().await;
    let server = Server::start_with(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    post(&ada, jpeg(1), "image/jpeg").await;
    assert_eq!(bucket.files("originals").len(), 1);
    let server = server.restart_with(|config| config.s3.ca_file = None).await;
    let ada = ada.at(&server);
    let form = form().part("file", part(jpeg(2), "b.jpg", "image/jpeg"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(503, "media_store_unavailable");
    assert_eq!(bucket.files("originals").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_by_the_bucket() {
    let bucket = Bucket::start().await;
    let server = Server::start_with(|config| {
        in_bucket(&bucket)(config);
        config.s3.secret_access_key = Some("another".to_owned());
    })
    .await;
    let ada = server.sign_up("ada").await;
    crate::support::pictures::upload(&ada, "/posts/")
        .await
        .expect_code(503, "media_store_unavailable");
    assert!(bucket.files("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_bucket_is_read_while_uploads_wait_for_it() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let server = Server::start_with(kept_in(gate.options(&bucket))).await;
    let ada = server.sign_up("ada").await;
    let old = recording(100_000, 0);
    let [path] = post_recordings(&ada, std::slice::from_ref(&old))
        .await
        .try_into()
        .unwrap();
    let server = server.restart().await;
    no_copies_are_left(&server).await;
    let ada = ada.at(&server);

    let held = gate.hold(|method, path| method == "PUT" && path.contains("/originals/"));
    let mut uploads = JoinSet::new();
    for seed in 1..=6 {
        let ada = ada.clone();
        uploads.spawn(async move { post(&ada, recording(100_000, seed), "audio/wav").await });
    }
    // As many as are sent at once.
    came(&held, 4).await;
    assert!(bytes(&server, &path).await == old);
    assert_eq!(held.came(), 4);
    drop(held);
    uploads.join_all().await;
    assert_eq!(bucket.files("originals").len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_to_wait_to_be_copied_is_read_from_the_bucket() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let server = Server::start_with(kept_in(gate.options(&bucket))).await;
    let ada = server.sign_up("ada").await;
    let recordings: Vec<_> = (0..9).map(|seed| recording(200_000, seed)).collect();
    let paths = post_recordings(&ada, &recordings).await;
    let server = server.restart().await;
    no_copies_are_left(&server).await;

    // As many as are copied at once.
    let slow: Vec<String> = recordings.iter().take(8).map(|one| hash_of(one)).collect();
    let held = gate
        .hold(move |method, path| method == "GET" && slow.iter().any(|hash| path.ends_with(hash)));
    let mut reads = JoinSet::new();
    for path in paths.iter().take(8) {
        let (client, path) = (ada.at(&server).client, path.clone());
        reads.spawn(async move { client.get(&path).await.bytes });
    }
    came(&held, 8).await;
    assert!(bytes(&server, &paths[8]).await == recordings[8]);
    assert!(files_here(&server, "originals").is_empty());
    drop(held);
    for read in reads.join_all().await {
        assert!(recordings.contains(&read.to_vec()));
    }
    assert_eq!(files_here(&server, "originals").len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_readers_than_there_is_memory_for_are_refused() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let server = Server::start_with(kept_in(gate.options(&bucket))).await;
    let ada = server.sign_up("ada").await;
    // Too large to be copied before it is served.
    let large = recording(9_000_000, 1);
    let [path] = post_recordings(&ada, std::slice::from_ref(&large))
        .await
        .try_into()
        .unwrap();
    let server = server.restart().await;
    no_copies_are_left(&server).await;

    let held = gate.hold(|method, path| method == "GET" && path.contains("/originals/"));
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        // One connection takes many.
        let http = http_client().http2_prior_knowledge().build().unwrap();
        for _ in 0..64 {
            let request = http.get(server.url(&path));
            readers.spawn(async move { request.send().await.unwrap() });
        }
    }
    let readers = readers.join_all().await;
    assert!(readers.iter().all(|reader| reader.status() == 200));
    let refused = server.get(&path).await;
    refused.expect_code(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "5");
    drop(held);
    drop(readers);
    eventually("there is room again", || async {
        let reply = server.get(&path).await;
        (reply.status == 200 && reply.bytes == large).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_of_an_upload_that_the_bucket_refuses_or_that_is_given_up() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let options = gate.options(&bucket);
    let server = Server::start_with(|config| {
        kept_in(options)(config);
        config.server.shutdown_timeout_ms = 100;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let is_second = |method: &str, path: &str| method == "PUT" && path.contains("partNumber=2");
    let upload = |seed| {
        let file = part(recording(12_000_000, seed), "file", "audio/wav");
        let ada = ada.clone();
        async move { send(&ada, "/posts/", Form::new().part("file", file)).await }
    };
    let nothing_is_left = async || {
        eventually("no parts are left", || async {
            bucket.unfinished().is_empty().then_some(())
        })
        .await;
        assert!(bucket.files("originals").is_empty());
    };

    let refused = gate.refuse(is_second);
    upload(1).await.expect_code(503, "media_store_unavailable");
    assert!(refused.came() > 0);
    nothing_is_left().await;
    drop(refused);

    let held = gate.hold(is_second);
    let mut uploads = JoinSet::new();
    uploads.spawn(upload(2));
    came(&held, 1).await;
    assert!(!bucket.unfinished().is_empty());
    // It waits for nobody who takes longer than that.
    server.stop().await;
    nothing_is_left().await;
    uploads.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_gone_or_was_emptied_is_not_believed() {
    let bucket = Bucket::start().await;
    let server = Server::start_with(in_bucket(&bucket)).await;
    let ada = server.sign_up("ada").await;
    let recordings = [recording(100_000, 1), recording(9_000_000, 2)];
    let paths = post_recordings(&ada, &recordings).await;
    let server = server.restart().await;
    no_copies_are_left(&server).await;
    let refuses_all = async |server: &Server, ada: Person, seed: u8| {
        bucket_is(server, "lacks the mark of this server").await;
        for path in &paths {
            let refused = server.get(path).await;
            refused.expect_code(503, "media_store_unavailable");
        }
        let form = Form::new().part("file", part(jpeg(seed), "a.jpg", "image/jpeg"));
        send(&ada, "/posts/", form)
            .await
            .expect_code(503, "media_store_unavailable");
    };

    bucket.take_away();
    // Who reads finds it out. What was known to be there before that may be cut off rather than refused.
    let reply = server.request(Method::GET, &paths[0]);
    if let Ok(reply) = server.try_send(reply).await {
        reply.expect_code(503, "media_store_unavailable");
    }
    refuses_all(&server, ada.at(&server), 1).await;
    bucket.put_an_empty_one();
    refuses_all(&server, ada.at(&server), 2).await;
    // A restart does not make it ours.
    let server = server.restart().await;
    refuses_all(&server, ada.at(&server), 3).await;
    assert!(bucket.files("").is_empty());

    bucket.bring_back();
    bucket_is(&server, "answers").await;
    for (path, recording) in paths.iter().zip(&recordings) {
        assert!(bytes(&server, path).await == *recording);
    }
    post(&ada.at(&server), jpeg(4), "image/jpeg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_waits_for_a_bucket_that_is_not_itself_and_is_then_converted() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let options = gate.options(&bucket);
    let server = Server::start_with(move |config| {
        kept_in(options)(config);
        "auto".clone_into(&mut config.media.ffmpeg);
    })
    .await;
    let ada = server.sign_up("ada").await;
    let refused = gate.refuse(|method, path| method == "PUT" && path.ends_with("/film.mp4"));
    let film = post(&ada, fixture("faststart.mp4"), "video/mp4").await["media"][0].clone();
    came(&refused, 1).await;
    let server = server
        .restart_with(|config| {
            // As if nothing of it had stayed here.
            for name in ["originals", "made"] {
                std::fs::remove_dir_all(config.data_dir.join("media").join(name)).unwrap();
            }
            bucket.take_away();
            bucket.put_an_empty_one();
        })
        .await;
    drop(refused);
    bucket_is(&server, "lacks the mark of this server").await;
    // What is asked for first: what is made last. It is asked for again, soon.
    let held = gate.hold(|method, path| method == "HEAD" && path.ends_with("/master.m3u8"));
    came(&held, 1).await;
    bucket.bring_back();
    drop(held);
    let ada = ada.at(&server);
    let path = format!("/api/v1/media/{}", film["id"].as_str().unwrap());
    eventually("the film is converted", || async {
        let reply = ada.get(&path).await.expect(200);
        (reply["media"]["status"] == "ready").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_goes_on_by_itself_when_the_bucket_answers_again() {
    let mut bucket = Bucket::start().await;
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let mut paths = Vec::new();
    for seed in 1..=3 {
        let picture = post(&ada, jpeg(seed), "image/jpeg").await;
        paths.push(path_of(&picture["imageUrls"][0]));
    }
    bucket.stop().await;
    let server = server.restart_with(in_bucket(&bucket)).await;
    let ada = ada.at(&server);
    bucket_is(&server, "does not answer").await;
    for path in &paths {
        bytes(&server, path).await;
    }
    crate::support::pictures::upload(&ada, "/posts/")
        .await
        .expect_code(503, "media_store_unavailable");
    bucket.resume().await;
    moved(&server).await;
    bucket_is(&server, "answers").await;
    eventually("those and no others are in the bucket", || async {
        (bucket.files("originals").len() == 3).then_some(())
    })
    .await;
    post(&ada, jpeg(4), "image/jpeg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_and_removed_during_a_move_is_where_it_should_be_after_it() {
    let bucket = Bucket::start().await;
    let gate = Gate::start(&bucket).await;
    let server = Server::start_with_clock(|_config| {}).await;
    let ada = server.sign_up("ada").await;
    // They move in the order of their hashes.
    let mut pictures: Vec<Vec<u8>> = (1..=6).map(jpeg).collect();
    pictures.sort_by_key(|picture| hash_of(picture));
    let hashes: Vec<String> = pictures.iter().map(|picture| hash_of(picture)).collect();
    let shares: BTreeSet<&str> = hashes.iter().filter_map(|hash| hash.get(..2)).collect();
    assert_eq!(shares.len(), 6, "two of them move in no order");
    let mut posts = Vec::new();
    for picture in &pictures {
        posts.push(post(&ada, picture.clone(), "image/jpeg").await);
    }
    let remove = async |ada: &Person, post: &Value| {
        let path = format!("/posts/{}", post["id"].as_str().unwrap());
        ada.delete(&path).await.expect(200);
    };

    // There: two have moved, and the third is on its way.
    let third = hashes[2].clone();
    let held = gate.hold(move |method, path| method == "PUT" && path.ends_with(&third));
    let options = gate.options(&bucket);
    let server = server.restart_with(kept_in(options.clone())).await;
    let ada = ada.at(&server);
    came(&held, 1).await;
    eventually("what has moved makes room already", || async {
        (names(files_here(&server, "originals")) == hashes[2..].iter().cloned().collect())
            .then_some(())
    })
    .await;
    for seed in [20, 21] {
        posts.push(post(&ada, jpeg(seed), "image/jpeg").await);
    }
    for removed in [0, 2, 4] {
        remove(&ada, &posts[removed]).await;
    }
    server.advance(Duration::from_hours(1));
    server.app.media().sweep().await.unwrap();
    drop(held);
    moved(&server).await;
    server.app.media().sweep().await.unwrap();
    let mut left: BTreeSet<String> = [&hashes[1], &hashes[3], &hashes[5]]
        .into_iter()
        .cloned()
        .chain([20, 21].map(|seed| hash_of(&jpeg(seed))))
        .collect();
    assert_eq!(names(bucket.files("originals")), left);

    // And back: one has moved at most when another is removed that has not.
    no_copies_are_left(&server).await;
    let fourth = hashes[3].clone();
    let held = gate.hold(move |method, path| method == "GET" && path.ends_with(&fourth));
    let server = server
        .restart_with(|config| config.media.store = MediaStore::Disk)
        .await;
    let ada = ada.at(&server);
    came(&held, 1).await;
    posts.push(post(&ada, jpeg(22), "image/jpeg").await);
    remove(&ada, &posts[5]).await;
    server.advance(Duration::from_hours(1));
    server.app.media().sweep().await.unwrap();
    drop(held);
    moved(&server).await;
    left.remove(&hashes[5]);
    left.insert(hash_of(&jpeg(22)));
    drop(bucket);
    assert_eq!(names(files_here(&server, "originals")), left);
    for kept in [1, 3, 6, 7, 8] {
        bytes(&server, &path_of(&posts[kept]["imageUrls"][0])).await;
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/media/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}
