//! Uploads that go on after a break (tus 1.0), as a client of the protocol sees them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;

use crate::support::pictures::jpeg;
use crate::support::{Client, Person, Reply, Server, eventually};

const PATH: &str = "/api/v1/media/uploads";

async fn tus(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut request = client
        .request(method, path)
        .header("tus-resumable", "1.0.0")
        .body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request).await
}

async fn create(client: &Client, length: usize) -> Reply {
    let metadata = format!(
        "filename {},filetype {},alt {}",
        STANDARD.encode("a.jpg"),
        STANDARD.encode("image/jpeg"),
        STANDARD.encode("A wheel"),
    );
    let length = length.to_string();
    let headers = [
        ("upload-length", length.as_str()),
        ("upload-metadata", &metadata),
    ];
    tus(client, Method::POST, PATH, &headers, &[]).await
}

async fn begin(client: &Client, length: usize) -> String {
    let reply = create(client, length).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.header("tus-resumable"), "1.0.0");
    assert!(reply.header("upload-expires").ends_with(" GMT"));
    let location = reply.header("location").to_owned();
    assert!(location.starts_with(&format!("{PATH}/")), "{location}");
    location
}

async fn append(
    client: &Client,
    path: &str,
    offset: usize,
    bytes: &[u8],
    more: &[(&str, &str)],
) -> Reply {
    let offset = offset.to_string();
    let headers = [
        &[
            ("upload-offset", offset.as_str()),
            ("content-type", "application/offset+octet-stream"),
        ],
        more,
    ]
    .concat();
    tus(client, Method::PATCH, path, &headers, bytes).await
}

async fn offset(client: &Client, path: &str) -> String {
    let reply = tus(client, Method::HEAD, path, &[], &[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.header("upload-offset").to_owned()
}

fn open_files(server: &Server) -> usize {
    let dir = server.config.data_dir.join("media/uploads");
    std::fs::read_dir(dir).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_was_even_after_a_restart() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bytes = jpeg(1);
    let path = begin(&ada, bytes.len()).await;
    assert_eq!(offset(&ada, &path).await, "0");
    let reply = append(&ada, &path, 0, &bytes[..1_000], &[]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("upload-offset")),
        (204, "1000")
    );
    assert_eq!(reply.header("media-id"), "");
    let server = server.restart().await;
    let ada: Person = ada.at(&server);
    assert_eq!(offset(&ada, &path).await, "1000");
    for wrong in [0, 999, 1_001] {
        append(&ada, &path, wrong, &bytes[1_000..], &[])
            .await
            .expect_code(409, "upload_conflict");
    }
    let reply = append(&ada, &path, 1_000, &bytes[1_000..], &[]).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("upload-offset"), bytes.len().to_string());
    let id = reply.header("media-id");
    let media = ada.get(&format!("/api/v1/media/{id}")).await.expect(200);
    assert_eq!(media["media"]["alt"], "A wheel");
    assert_eq!(media["media"]["width"], 400);
    // It is over, and nothing is left of it but the picture.
    append(&ada, &path, bytes.len(), &[], &[])
        .await
        .expect_code(404, "upload_not_found");
    assert_eq!(open_files(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_keeps_what_had_arrived() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let path = begin(&ada, 1_000_000).await;
    let mut stream = tokio::net::TcpStream::connect(server.app.address())
        .await
        .unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: 1000000\r\n\r\n",
        ada.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; 300_000]).await.unwrap();
    eventually("some of it arrives", || async {
        (offset(&ada, &path).await != "0").then_some(())
    })
    .await;
    // Nobody else adds to it meanwhile.
    append(&ada, &path, 0, &[1], &[])
        .await
        .expect_code(409, "upload_busy");
    drop(stream);
    eventually("all that was sent is kept", || async {
        (offset(&ada, &path).await == "300000").then_some(())
    })
    .await;
    // Once the last of what arrived is written, it can go on.
    let reply = eventually("the upload is free again", || async {
        let reply = append(&ada, &path, 300_000, &[7; 10], &[]).await;
        (reply.status == 204).then_some(reply)
    })
    .await;
    assert_eq!(reply.header("upload-offset"), "300010");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_was_damaged_on_the_way_is_thrown_away() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bytes = jpeg(1);
    let path = begin(&ada, bytes.len()).await;
    let sum = |bytes: &[u8]| format!("sha1 {}", STANDARD.encode(Sha1::digest(bytes)));
    let (right, wrong) = (sum(&bytes[..500]), sum(&bytes[..499]));
    let reply = append(
        &ada,
        &path,
        0,
        &bytes[..500],
        &[("upload-checksum", &wrong)],
    )
    .await;
    reply.expect_code(460, "checksum_mismatch");
    assert_eq!(offset(&ada, &path).await, "0");
    for malformed in ["sha1", "md5 AAAA", "sha1 AAAA", "sha1 !"] {
        append(
            &ada,
            &path,
            0,
            &bytes[..500],
            &[("upload-checksum", malformed)],
        )
        .await
        .expect_code(400, "invalid_fields");
    }
    let reply = append(
        &ada,
        &path,
        0,
        &bytes[..500],
        &[("upload-checksum", &right)],
    )
    .await;
    assert_eq!(reply.header("upload-offset"), "500");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_protocol_is_refused() {
    let server = Server::start_with_clock(|config| config.media.max_video_bytes = 20_000_000).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let reply = tus(&server, Method::OPTIONS, PATH, &[], &[]).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("tus-version"), "1.0.0");
    assert_eq!(
        reply.header("tus-extension"),
        "creation,expiration,checksum,termination"
    );
    assert_eq!(reply.header("tus-max-size"), "20000000");
    assert_eq!(reply.header("tus-checksum-algorithm"), "sha1");

    create(&server, 10)
        .await
        .expect_code(401, "unauthenticated");
    let bare = ada.send(ada.request(Method::POST, PATH)).await;
    bare.expect_code(412, "precondition_failed");
    assert_eq!(bare.header("tus-version"), "1.0.0");
    tus(&ada, Method::POST, PATH, &[], &[])
        .await
        .expect_code(400, "invalid_fields");
    for wrong in ["-1", "x", ""] {
        tus(&ada, Method::POST, PATH, &[("upload-length", wrong)], &[])
            .await
            .expect_code(400, "invalid_fields");
    }
    for (name, wrong) in [
        ("alt", "x".repeat(1_501)),
        ("focus", "middle".to_owned()),
        ("isSensitive", "maybe".to_owned()),
    ] {
        let metadata = format!("{name} {}", STANDARD.encode(wrong));
        let headers = [("upload-length", "10"), ("upload-metadata", &metadata)];
        tus(&ada, Method::POST, PATH, &headers, &[])
            .await
            .expect_code(400, "invalid_fields");
    }
    create(&ada, 0).await.expect_code(400, "empty_file");
    create(&ada, 20_000_001)
        .await
        .expect_code(413, "file_too_large");

    let path = begin(&ada, 1_000).await;
    // Somebody else's is not there; nor is what is no name.
    for (client, path) in [
        (&bob, path.clone()),
        (&ada, format!("{PATH}/x")),
        (&ada, format!("{PATH}/{}", "x".repeat(43))),
        (&ada, format!("{PATH}/..%2f..%2fsecrets.toml")),
    ] {
        append(client, &path, 0, &[1], &[])
            .await
            .expect_code(404, "upload_not_found");
        tus(client, Method::DELETE, &path, &[], &[])
            .await
            .expect_code(404, "upload_not_found");
        assert_eq!(tus(client, Method::HEAD, &path, &[], &[]).await.status, 404);
    }
    tus(&ada, Method::PATCH, &path, &[("upload-offset", "0")], &[1])
        .await
        .expect_code(415, "unsupported_media_type");
    append(&ada, &path, 0, &[1; 1_001], &[])
        .await
        .expect_code(413, "file_too_large");
    assert_eq!(offset(&ada, &path).await, "0");
    // What turns out to be no picture is not kept.
    append(&ada, &path, 0, &[1; 1_000], &[])
        .await
        .expect_code(415, "unsupported_file");
    assert_eq!(open_files(&server), 0);

    let path = begin(&ada, 1_000).await;
    // Behind a proxy that knows no more than POST.
    let meant = [("x-http-method-override", "DELETE")];
    let reply = tus(&ada, Method::POST, &path, &meant, &[]).await;
    assert_eq!(reply.status, 204);
    assert_eq!(tus(&ada, Method::HEAD, &path, &[], &[]).await.status, 404);
    for _ in 0..20 {
        begin(&ada, 1_000).await;
    }
    create(&ada, 1_000)
        .await
        .expect_code(409, "too_many_uploads");
    begin(&bob, 1_000).await;
    server.advance(std::time::Duration::from_hours(25));
    server.app.media().sweep().await.unwrap();
    assert_eq!(open_files(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_upload_that_was_not_taken_in_is_taken_in_when_it_is_asked_for() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let bytes = jpeg(1);
    let path = begin(&ada, bytes.len()).await;
    append(&ada, &path, 0, &bytes[..1_000], &[]).await;
    // As a kill between the last byte and what follows would leave it.
    let name = path.rsplit_once('/').unwrap().1;
    let data = server
        .config
        .data_dir
        .join("media/uploads")
        .join(name)
        .join("data");
    std::fs::write(data, &bytes).unwrap();
    let reply = tus(&ada, Method::HEAD, &path, &[], &[]).await;
    assert_eq!(reply.header("upload-offset"), bytes.len().to_string());
    let media = ada
        .get(&format!("/api/v1/media/{}", reply.header("media-id")))
        .await;
    assert_eq!(media.expect(200)["media"]["width"], 400);
    assert_eq!(open_files(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_promised_counts_against_the_room_there_is() {
    let server = Server::start_with(|config| {
        config.media.quota_bytes = 1_000_000;
        config.media.cap_bytes = 1_500_000;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    begin(&ada, 600_000).await;
    create(&ada, 600_000)
        .await
        .expect_code(413, "quota_exceeded");
    let path = begin(&ada, 400_000).await;
    create(&bob, 600_000).await.expect_code(507, "storage_full");
    tus(&ada, Method::DELETE, &path, &[], &[]).await;
    begin(&bob, 600_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_upload_is_said_again_and_holds() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let picture = jpeg(3);
    let pair = |name: &str, value: &str| format!("{name} {}", STANDARD.encode(value));
    // Also of its format.
    for belied in [pair("filename", "a.png"), pair("filetype", "image/gif")] {
        let length = picture.len().to_string();
        let headers = [
            ("upload-length", length.as_str()),
            ("upload-metadata", &belied),
        ];
        let reply = tus(&ada, Method::POST, PATH, &headers, &[]).await;
        append(&ada, reply.header("location"), 0, &picture, &[])
            .await
            .expect_code(415, "mismatched_file");
    }
    let metadata = [
        pair("filename", "a.jpg"),
        pair("focus", "0.5,-0.5"),
        pair("isSensitive", "true"),
    ]
    .join(",");
    let length = picture.len().to_string();
    let headers = [
        ("upload-length", length.as_str()),
        ("upload-metadata", &metadata),
    ];
    let path = tus(&ada, Method::POST, PATH, &headers, &[])
        .await
        .header("location")
        .to_owned();
    let reply = tus(&ada, Method::HEAD, &path, &[], &[]).await;
    assert_eq!(reply.header("upload-metadata"), metadata);
    let reply = append(&ada, &path, 0, &picture, &[]).await;
    let path = format!("/api/v1/media/{}", reply.header("media-id"));
    let media = ada.get(&path).await.expect(200)["media"].clone();
    assert_eq!(media["isSensitive"], true);
    assert_eq!(media["focus"]["y"], -0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_which_nothing_comes_holds_its_room_for_an_hour() {
    let server = Server::start_with_clock(|config| config.media.quota_bytes = 1_000_000).await;
    let ada = server.sign_up("ada").await;
    let (empty, begun) = (begin(&ada, 500_000).await, begin(&ada, 400_000).await);
    append(&ada, &begun, 0, &[0xff], &[]).await;
    server.advance(std::time::Duration::from_mins(59));
    create(&ada, 500_000)
        .await
        .expect_code(413, "quota_exceeded");
    assert_eq!(offset(&ada, &empty).await, "0");
    server.advance(std::time::Duration::from_mins(2));
    let reply = tus(&ada, Method::HEAD, &empty, &[], &[]).await;
    assert_eq!(reply.status, 404);
    // What has begun is kept for its day, and holds its room, also after a restart.
    let server = server.restart().await;
    let ada: Person = ada.at(&server);
    assert_eq!(offset(&ada, &begun).await, "1");
    create(&ada, 700_000)
        .await
        .expect_code(413, "quota_exceeded");
    begin(&ada, 500_000).await;
    server.app.media().sweep().await.unwrap();
    assert_eq!(open_files(&server), 2);
}
