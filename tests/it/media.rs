//! Pictures, from the upload to the bytes that are served (contract, "Media").

use std::path::Path;
use std::time::Duration;

use image::{GenericImageView, ImageFormat};
use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use socialhub::media::pictures;
use tokio::io::AsyncWriteExt;

use crate::support::pictures::{jpeg, part, picture, send, upload};
use crate::support::{Client, Person, Reply, Server, eventually};

/// All files beneath a directory.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn files_in(server: &Server, part: &str) -> usize {
    files(&server.config.data_dir.join("media").join(part)).len()
}

/// Waits until so many contents are kept: what is refused goes a moment later.
async fn originals_become(server: &Server, count: usize) {
    eventually("what was refused is gone", || async {
        (files_in(server, "originals") == count).then_some(())
    })
    .await;
}

/// Sweeps until so many contents are kept: what is still worked on stays until then.
async fn swept_to(server: &Server, count: usize) {
    eventually("what nobody uses is gone", || async {
        server.app.media().sweep().await.unwrap();
        (files_in(server, "originals") == count).then_some(())
    })
    .await;
}

/// The path and query of an address of ours.
fn path_of(address: &Value) -> String {
    let address = address.as_str().unwrap();
    let (_, rest) = address.split_once("://").unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    format!("/{path}")
}

async fn fetch(client: &Client, path: &str, accept: &str) -> Reply {
    fetch_with(client, path, &[("accept", accept)]).await
}

async fn fetch_with(client: &Client, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = client.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request).await
}

/// The size of a picture, whatever its format.
fn size_of(reply: &Reply) -> (u32, u32) {
    image::load_from_memory(&reply.bytes).unwrap().dimensions()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_a_picture_is_shown_to_everybody_in_the_form_they_take() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let original = picture(1_600, 1_200, 1, ImageFormat::Png);
    let form = Form::new()
        .text("caption", "The engine")
        .text("hashtags", "Engines")
        .text("alt", "Brass wheels")
        .part("file", part(original, "engine.png", "image/png"));
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    assert_eq!(post["caption"], "The engine");
    assert_eq!(post["hashtags"], json!(["engines"]));
    let media = &post["media"][0];
    assert_eq!(media["type"], "image");
    assert_eq!(
        (&media["width"], &media["height"]),
        (&json!(1_600), &json!(1_200))
    );
    assert_eq!(media["alt"], "Brass wheels");
    assert!(media["thumbhash"].as_str().unwrap().len() > 20);
    let color = media["dominantColor"].as_str().unwrap();
    assert!(color.len() == 7 && color.starts_with('#'), "{color}");
    assert_eq!(post["imageUrls"], json!([media["url"]]));
    assert_eq!(post["imagePublicIds"], json!([media["id"]]));
    // Everywhere else the post looks the same.
    let bob = server.sign_up("bob").await;
    let id = post["id"].as_str().unwrap();
    let seen = bob.get(&format!("/posts/{id}")).await.expect(200);
    assert_eq!(seen["post"]["media"], post["media"]);
    let listed = bob.get("/posts").await.expect(200);
    assert_eq!(listed["posts"][0]["media"], post["media"]);

    // Without a token, in either form.
    let address = media["url"].as_str().unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    let path = path_of(&media["url"]);
    let mut tags = Vec::new();
    for (accept, kind, magic) in [
        ("image/avif,image/webp,*/*", "image/webp", &b"RIFF"[..]),
        ("image/jpeg", "image/jpeg", &b"\xff\xd8\xff"[..]),
        ("*/*", "image/jpeg", &b"\xff\xd8\xff"[..]),
    ] {
        let reply = fetch(&server, &path, accept).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), kind);
        assert!(reply.bytes.starts_with(magic));
        assert_eq!(size_of(&reply), (1_600, 1_200));
        assert_eq!(
            reply.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let varies = reply.headers.get_all("vary").iter();
        assert!(
            varies
                .filter_map(|v| v.to_str().ok())
                .any(|v| v.contains("accept"))
        );
        let tag = reply.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1]);
    assert_eq!(tags[1], tags[2]);
    for (width, height) in [(320, 240), (640, 480), (1_280, 960)] {
        let variant = media["variants"]
            .as_array()
            .unwrap()
            .iter()
            .find(|variant| variant["width"] == width)
            .unwrap();
        assert_eq!(variant["height"], height);
        for accept in ["image/webp", "image/jpeg"] {
            let reply = fetch(&server, &path_of(&variant["url"]), accept).await;
            assert_eq!(size_of(&reply), (width, height));
        }
        let explicit = fetch(&server, &format!("{path}/{width}.jpg"), "image/webp").await;
        assert_eq!(explicit.header("content-type"), "image/jpeg");
    }
    for wrong in [
        "/321",
        "/320.png",
        "/320.gif",
        "/original",
        "/..%2f..",
        "/0320.webp",
    ] {
        fetch(&server, &format!("{path}{wrong}"), "*/*")
            .await
            .expect_code(404, "media_not_found");
    }
    fetch(&server, "/media/1", "*/*")
        .await
        .expect_code(404, "media_not_found");
    fetch(&server, "/media/x", "*/*")
        .await
        .expect_code(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_in_any_of_the_fields_and_up_to_ten_of_them() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    for (number, field) in ["file", "files", "file[]", "media"].into_iter().enumerate() {
        let bytes = jpeg(u8::try_from(number).unwrap());
        let form = Form::new().part(field, part(bytes, "a.jpg", "image/jpeg"));
        let post = send(&ada, "/api/v1/posts", form).await.expect(201);
        assert_eq!(
            post["post"]["media"].as_array().unwrap().len(),
            1,
            "{field}"
        );
    }
    let many = |count: u8| {
        (0..count).fold(Form::new().text("content", "Many"), |form, number| {
            form.part("files", part(jpeg(100 + number), "a.jpg", "image/jpeg"))
        })
    };
    let post = send(&ada, "/posts/", many(10)).await.expect(201);
    assert_eq!(post["post"]["imageUrls"].as_array().unwrap().len(), 10);
    send(&ada, "/posts/", many(11))
        .await
        .expect_code(400, "too_many_files");
    let two = send(&ada, "/api/v1/media", many(2)).await;
    let two = two.expect_code(400, "too_many_files");
    assert_eq!(two["message"], "Please send one file at a time.");
    let form = Form::new().part("image", part(jpeg(1), "a.jpg", "image/jpeg"));
    let refused = send(&ada, "/posts/", form).await;
    let refused = refused.expect_code(400, "invalid_fields");
    assert_eq!(refused["errors"][0]["code"], "unknown_file_field");
    // What is wrong with the texts is told all the same, and no file stays.
    let form = Form::new()
        .text("content", "x".repeat(10_001))
        .part("file", part(jpeg(200), "a.jpg", "image/jpeg"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(400, "invalid_fields");
    eventually("what was refused is gone", || async {
        (files_in(&server, "incoming") == 0).then_some(())
    })
    .await;
    assert_eq!(files_in(&server, "originals"), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_each_for_its_own_reason() {
    let server = Server::start_with(|config| {
        config.media.max_picture_bytes = 300_000;
        config.server.max_body_bytes = 500_000;
        config.media.max_pixels = 4_000_000;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let whole = picture(400, 300, 1, ImageFormat::Png);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let many_pixels = picture(3_000, 2_000, 1, ImageFormat::Png);
    let cases: [(&str, Vec<u8>, &str, u16, &str); 11] = [
        ("a.jpg", Vec::new(), "image/jpeg", 400, "empty_file"),
        (
            "a.png",
            b"plain text".to_vec(),
            "image/png",
            415,
            "unsupported_file",
        ),
        (
            "a.svg",
            svg.to_vec(),
            "image/svg+xml",
            415,
            "unsupported_file",
        ),
        (
            "a.png",
            b"<html><script>alert(1)</script>".to_vec(),
            "image/png",
            415,
            "unsupported_file",
        ),
        ("a.mp4", whole.clone(), "video/mp4", 415, "mismatched_file"),
        (
            "a.pdf",
            whole.clone(),
            "application/pdf",
            415,
            "mismatched_file",
        ),
        (
            "a.png",
            whole[..whole.len() / 2].to_vec(),
            "image/png",
            422,
            "broken_file",
        ),
        (
            "a.jpg",
            jpeg(1)[..900].to_vec(),
            "image/jpeg",
            422,
            "broken_file",
        ),
        (
            "a.png",
            [&whole[..60], &[0xff; 2_000]].concat(),
            "image/png",
            422,
            "broken_file",
        ),
        ("a.png", many_pixels, "image/png", 422, "too_many_pixels"),
        (
            "a.jpg",
            [jpeg(1), vec![0; 300_000]].concat(),
            "image/jpeg",
            413,
            "file_too_large",
        ),
    ];
    for path in ["/posts/", "/api/v1/media"] {
        for (name, bytes, kind, status, code) in &cases {
            let form = Form::new().part("file", part(bytes.clone(), name, kind));
            send(&ada, path, form).await.expect_code(*status, code);
        }
    }
    let form = Form::new().part("file", part(vec![0xff; 600_000], "a.jpg", "image/jpeg"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(413, "body_too_large");
    let no_file = Form::new().text("alt", "Nothing");
    send(&ada, "/api/v1/media", no_file)
        .await
        .expect_code(400, "invalid_fields");
    ada.post("/api/v1/media", json!({}))
        .await
        .expect_code(415, "unsupported_media_type");
    // And the next one is taken.
    eventually("nothing of all that is left", || async {
        let left = files_in(&server, "incoming") + files_in(&server, "originals");
        (left == 0).then_some(())
    })
    .await;
    upload(&ada, "/posts/").await.expect(201);
}

/// The head of a PNG that claims to be this large, and a little that inflates to nothing but zeros.
fn bomb(side: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut bytes = u32::try_from(data.len()).unwrap().to_be_bytes().to_vec();
        let body = [kind.as_slice(), data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        bytes.extend(body);
        bytes.extend(crc.sum().to_be_bytes());
        bytes
    };
    let mut header = [side.to_be_bytes(), side.to_be_bytes()].concat();
    header.extend([8, 6, 0, 0, 0]);
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut zeros, &vec![0; 40_000_000]).unwrap();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &zeros.finish().unwrap()),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_before_it_goes_off() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let form = Form::new().part("file", part(bomb(30_000), "a.png", "image/png"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(422, "too_many_pixels");
    let form = Form::new().part("file", part(bomb(5_000), "a.png", "image/png"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(422, "broken_file");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_post_may_not_see_its_pictures() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let form = crate::support::pictures::form().text("visibility", "followers");
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    let id = post["media"][0]["id"].as_str().unwrap();
    let signed = path_of(&post["imageUrls"][0]);
    let bare = format!("/media/{id}");
    assert!(signed.starts_with(&format!("{bare}?expires=")), "{signed}");
    let reply = fetch(&server, &signed, "image/webp").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("cache-control").starts_with("private"));
    // Its sizes open by the signature in their own addresses.
    let narrow = path_of(&post["media"][0]["variants"][0]["url"]);
    assert_eq!(fetch(&server, &narrow, "image/webp").await.status, 200);
    let (_, query) = signed.split_once('?').unwrap();
    let other = upload(&ada, "/api/v1/media").await.expect(201);
    let other = other["media"]["id"].as_str().unwrap().to_owned();
    let tampered = signed.replace("signature=", "signature=A");
    for refused in [
        bare.clone(),
        format!("{bare}/320"),
        format!("{bare}/320.webp"),
        format!("{bare}?expires=99999999999&signature=x"),
        format!("/media/{other}?{query}"),
        tampered,
    ] {
        for client in [&*server, &*ada] {
            fetch(client, &refused, "*/*")
                .await
                .expect_code(403, "invalid_signature");
        }
    }
    // Open to all, and closed again.
    let path = format!("/posts/{}", post["id"].as_str().unwrap());
    let change = ada.patch(&path, json!({ "visibility": "public" })).await;
    assert_eq!(path_of(&change.expect(200)["post"]["imageUrls"][0]), bare);
    assert_eq!(fetch(&server, &bare, "*/*").await.status, 200);
    let change = ada.patch(&path, json!({ "visibility": "private" })).await;
    change.expect(200);
    fetch(&server, &bare, "*/*")
        .await
        .expect_code(403, "invalid_signature");
    // Removed with its post.
    ada.delete(&path).await.expect(200);
    fetch(&server, &signed, "*/*")
        .await
        .expect_code(404, "media_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_ends() {
    let server = Server::start_with_clock(|_| {}).await;
    let ada = server.sign_up("ada").await;
    let media = upload(&ada, "/api/v1/media").await.expect(201)["media"].clone();
    let path = path_of(&media["url"]);
    server.advance(Duration::from_mins(59));
    assert_eq!(fetch(&server, &path, "*/*").await.status, 200);
    server.advance(Duration::from_mins(62));
    fetch(&server, &path, "*/*")
        .await
        .expect_code(403, "invalid_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_attached_later_once_and_by_its_owner() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let form = crate::support::pictures::form()
        .text("alt", "A wheel")
        .text("focus", "0.5,-0.25")
        .text("isSensitive", "true");
    let media = send(&ada, "/api/v1/media", form).await.expect(201)["media"].clone();
    assert_eq!(media["alt"], "A wheel");
    assert_eq!(media["focus"], json!({ "x": 0.5, "y": -0.25 }));
    assert_eq!(media["isSensitive"], true);
    let id = media["id"].as_str().unwrap();
    let path = format!("/api/v1/media/{id}");
    let edit = json!({ "alt": null, "focus": { "x": 0, "y": 1 }, "isSensitive": false });
    let edited = ada.patch(&path, edit).await.expect(200)["media"].clone();
    assert!(edited["alt"].is_null() && edited["isSensitive"] == false);
    for (wrong, field) in [
        (json!({ "alt": "x".repeat(1_501) }), "alt"),
        (json!({ "focus": { "x": 2, "y": 0 } }), "focus"),
    ] {
        let refused = ada
            .patch(&path, wrong)
            .await
            .expect_code(400, "invalid_fields");
        assert_eq!(refused["errors"][0]["field"], field);
    }
    let body = json!({ "content": "Look", "mediaIds": [id] });
    bob.post("/posts", body.clone())
        .await
        .expect_code(404, "media_not_found");
    let second = upload(&ada, "/api/v1/media").await.expect(201)["media"]["id"].clone();
    let body = json!({ "mediaIds": [id, second] });
    let post = ada.post("/posts", body.clone()).await.expect(201)["post"].clone();
    let order: Vec<&Value> = post["media"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["id"])
        .collect();
    assert_eq!(order, [&json!(id), &second]);
    ada.post("/posts", body)
        .await
        .expect_code(404, "media_not_found");
    ada.delete(&path).await.expect_code(409, "media_in_use");
    for wrong in [json!(["x"]), json!(["-1"])] {
        ada.post("/posts", json!({ "mediaIds": wrong }))
            .await
            .expect_code(400, "invalid_fields");
    }
    let listed = ada.get("/api/v1/media").await.expect(200);
    assert_eq!(listed["media"].as_array().unwrap().len(), 2);
    assert_eq!(listed["usedBytes"], 2 * jpeg(7).len());
    assert!(
        bob.get("/api/v1/media").await.expect(200)["media"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_file_and_conditions_are_as_the_standard_has_them() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    // One that is read as it is sent, beside one that is remembered.
    for (side, seed) in [(400, 1), (2_000, 2)] {
        let noise = noise(side, seed);
        let form = Form::new().part("file", part(noise, "a.jpg", "image/jpeg"));
        let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
        let path = path_of(&post["imageUrls"][0]);
        let whole = fetch(&server, &path, "image/webp").await;
        let (size, tag) = (whole.bytes.len(), whole.header("etag").to_owned());
        assert_eq!(whole.header("accept-ranges"), "bytes");
        let get = async |headers: &[(&str, &str)]| {
            let headers = [headers, &[("accept", "image/webp")]].concat();
            fetch_with(&server, &path, &headers).await
        };
        let one = get(&[("range", "bytes=100-299")]).await;
        assert_eq!(one.status, 206);
        assert_eq!(one.header("content-range"), format!("bytes 100-299/{size}"));
        assert_eq!(one.bytes, whole.bytes[100..300]);
        let end = get(&[("range", "bytes=-50")]).await;
        assert_eq!(end.bytes, whole.bytes[size - 50..]);
        let all = get(&[("range", "bytes=0-")]).await;
        assert_eq!((all.status.as_u16(), all.bytes == whole.bytes), (206, true));

        let two = get(&[("range", "bytes=0-9, 200-299")]).await;
        assert_eq!(two.status, 206);
        let kind = two.header("content-type");
        let boundary = kind
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let head = |range: &str| {
            format!(
                "\r\n--{boundary}\r\ncontent-type: image/webp\r\ncontent-range: bytes {range}/{size}\r\n\r\n"
            )
        };
        let expected = [
            head("0-9").as_bytes(),
            &whole.bytes[..10],
            head("200-299").as_bytes(),
            &whole.bytes[200..300],
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat();
        assert_eq!(two.bytes, expected);

        let beyond = get(&[("range", "bytes=99999999-")]).await;
        beyond.expect_code(416, "range_not_satisfiable");
        assert_eq!(beyond.header("cache-control"), "no-store");
        assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
        assert_eq!(get(&[("range", "bytes=5-1")]).await.status, 200);
        let known = get(&[("if-none-match", &tag)]).await;
        assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));
        assert_eq!(known.header("etag"), &tag);
        assert_eq!(get(&[("if-none-match", "\"x\"")]).await.status, 200);
        assert_eq!(get(&[("if-match", &tag)]).await.status, 200);
        get(&[("if-match", "\"x\"")])
            .await
            .expect_code(412, "precondition_failed");
        let range = ("range", "bytes=0-1");
        assert_eq!(get(&[range, ("if-range", &tag)]).await.status, 206);
        assert_eq!(get(&[range, ("if-range", "\"x\"")]).await.status, 200);
        let request = server
            .request(Method::HEAD, &path)
            .header("accept", "image/webp");
        let head = server.send(request).await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), size.to_string());
        assert_eq!(head.header("etag"), &tag);
    }
}

/// A picture that does not get small by compression.
fn noise(side: u32, seed: u64) -> Vec<u8> {
    let mut dice = crate::support::dice::Dice::new(seed);
    let picture = image::RgbImage::from_fn(side, side, |_, _| {
        let [red, green, blue, ..] = dice.roll().to_le_bytes();
        image::Rgb([red, green, blue])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::from(picture);
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60);
    picture.write_with_encoder(encoder).unwrap();
    bytes.into_inner()
}

/// A fast client has sent the next file before the one before it is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn large_pictures_arrive_together_over_http_2() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let http = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let mut form = Form::new().text("caption", "hi");
    for seed in 1..=3 {
        form = form.part("file", part(noise(900, seed), "a.jpg", "image/jpeg"));
    }
    let post = http.post(server.url("/posts/")).bearer_auth(&ada.token);
    let answer = post.multipart(form).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_one_file_until_nobody_uses_it() {
    let server = Server::start_with_clock(|_| {}).await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let first = upload(&ada, "/posts/").await.expect(201)["post"].clone();
    let second = upload(&bob, "/posts/").await.expect(201)["post"].clone();
    assert_ne!(first["media"][0]["id"], second["media"][0]["id"]);
    assert_eq!(
        first["media"][0]["thumbhash"],
        second["media"][0]["thumbhash"]
    );
    assert_eq!(files_in(&server, "originals"), 1);
    let sweep = async || {
        server.advance(Duration::from_mins(11));
        server.app.media().sweep().await.unwrap();
    };
    let delete = async |person: &Person, post: &Value| {
        let path = format!("/posts/{}", post["id"].as_str().unwrap());
        person.delete(&path).await.expect(200);
    };
    delete(&ada, &first).await;
    sweep().await;
    assert_eq!(files_in(&server, "originals"), 1);
    let path = path_of(&second["imageUrls"][0]);
    assert_eq!(fetch(&server, &path, "image/jpeg").await.status, 200);
    delete(&bob, &second).await;
    server.advance(Duration::from_mins(11));
    swept_to(&server, 0).await;
    assert_eq!(files_in(&server, "variants"), 0);
    // And it may come again.
    let third = upload(&bob, "/posts/").await.expect(201)["post"].clone();
    let path = path_of(&third["imageUrls"][0]);
    assert_eq!(fetch(&server, &path, "image/webp").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_attached_goes_after_a_day_and_what_nothing_knows_as_well() {
    let server = Server::start_with_clock(|_| {}).await;
    let ada = server.sign_up("ada").await;
    let media = upload(&ada, "/api/v1/media").await.expect(201)["media"].clone();
    let stray = server.config.data_dir.join("media/originals/ab/cd");
    std::fs::create_dir_all(&stray).unwrap();
    let stray = std::fs::File::create(stray.join("abcd".repeat(16))).unwrap();
    // As if it had come in the midst of an upload, and then long ago.
    let time = |secs: u64| std::time::UNIX_EPOCH + Duration::from_secs(secs);
    stray.set_modified(time(9_000_000_000)).unwrap();
    server.app.media().sweep().await.unwrap();
    assert_eq!(files_in(&server, "originals"), 2);
    stray.set_modified(time(1_000_000_000)).unwrap();
    swept_to(&server, 1).await;
    server.advance(Duration::from_hours(25));
    server.app.media().sweep().await.unwrap();
    server.advance(Duration::from_mins(11));
    swept_to(&server, 0).await;
    let path = path_of(&media["url"]);
    fetch(&server, &path, "*/*")
        .await
        .expect_code(404, "media_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_limited_for_each_and_for_all() {
    let size = jpeg(0).len() as u64;
    let server = Server::start_with(|config| {
        config.media.quota_bytes = 2 * size + size / 2;
        config.media.cap_bytes = 3 * size + size / 2;
    })
    .await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let add = async |person: &Person, seed: u8| {
        let form = Form::new().part("file", part(jpeg(seed), "a.jpg", "image/jpeg"));
        send(person, "/posts/", form).await
    };
    add(&ada, 1).await.expect(201);
    let second = add(&ada, 2).await.expect(201)["post"]["id"].clone();
    add(&ada, 3).await.expect_code(413, "quota_exceeded");
    originals_become(&server, 2).await;
    // Another's room is another's; what is there already takes no more of everybody's.
    add(&bob, 3).await.expect(201);
    add(&bob, 4).await.expect_code(507, "storage_full");
    add(&bob, 1).await.expect(201);
    let path = format!("/posts/{}", second.as_str().unwrap());
    ada.delete(&path).await.expect(200);
    add(&ada, 3).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_stop_before_the_disk_is_full_and_all_else_goes_on() {
    let server = Server::start_with(|config| config.media.reserve_bytes = u64::MAX).await;
    let ada = server.sign_up("ada").await;
    upload(&ada, "/posts/")
        .await
        .expect_code(507, "storage_full");
    upload(&ada, "/api/v1/media")
        .await
        .expect_code(507, "storage_full");
    ada.write("Words take little").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let address = server.app.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /posts/ HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 5000000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n",
        ada.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&jpeg(1)).await.unwrap();
    stream.write_all(&vec![0; 400_000]).await.unwrap();
    eventually("the upload begins", || async {
        (files_in(&server, "incoming") == 1).then_some(())
    })
    .await;
    drop(stream);
    eventually("its file is gone", || async {
        (files_in(&server, "incoming") == 0).then_some(())
    })
    .await;
    assert_eq!(files_in(&server, "originals"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_with_a_picture_that_is_sent_twice_appears_once() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let ada = ada.with("idempotency-key", "k");
    let form = |seed: u8, text: &'static str| {
        Form::new()
            .text("content", text)
            .part("file", part(jpeg(seed), "a.jpg", "image/jpeg"))
    };
    // Each time under another boundary.
    let first = send(&ada, "/posts/", form(1, "Hello")).await.expect(201);
    let again = send(&ada, "/posts/", form(1, "Hello")).await.expect(201);
    assert_eq!(first["post"]["id"], again["post"]["id"]);
    assert_eq!(first["post"]["imageUrls"], again["post"]["imageUrls"]);
    for other in [form(2, "Hello"), form(1, "Hallo")] {
        send(&ada, "/posts/", other)
            .await
            .expect_code(422, "idempotency_mismatch");
    }
    originals_become(&server, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_has_a_picture_of_its_own_or_one_that_is_drawn() {
    let server = Server::start().await;
    let (ada, bob) = (server.sign_up("ada").await, server.sign_up("bob").await);
    let profile = async |of: &Person| {
        bob.get(&format!("/users/profile/{}", of.id))
            .await
            .expect(200)
    };
    let drawn = path_of(&profile(&ada).await["user"]["avatar"]);
    assert_eq!(drawn, format!("/media/avatars/{}", ada.id));
    let svg = fetch(&server, &drawn, "*/*").await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.text.starts_with("<svg") && !svg.text.contains("script"));
    assert_eq!(
        svg.text,
        fetch(&server, &format!("{drawn}.svg"), "*/*").await.text
    );
    let png = fetch(&server, &drawn, "image/png").await;
    assert_eq!(png.header("content-type"), "image/png");
    assert_eq!(size_of(&png), (400, 400));
    let other = path_of(&profile(&bob).await["user"]["avatar"]);
    assert_ne!(fetch(&server, &other, "*/*").await.text, svg.text);

    let large = |seed: u8| picture(1_600, 900, seed, ImageFormat::Jpeg);
    let set = async |slot: &str, seed: u8| {
        let form = Form::new().part("file", part(large(seed), "a.jpg", "image/jpeg"));
        let path = format!("/api/v1/users/profile/{slot}");
        ada.send(ada.request(Method::PUT, &path).multipart(form))
            .await
    };
    let user = set("avatar", 1).await.expect(200)["user"].clone();
    let avatar = path_of(&user["avatar"]);
    assert_eq!(
        size_of(&fetch(&server, &avatar, "image/webp").await),
        (400, 400)
    );
    let small = avatar.replace("avatar-400", "avatar-96");
    assert_eq!(
        size_of(&fetch(&server, &small, "image/jpeg").await),
        (96, 96)
    );
    let user = set("banner", 2).await.expect(200)["user"].clone();
    let banner = fetch(&server, &path_of(&user["banner"]), "image/webp").await;
    assert_eq!(size_of(&banner), (1_500, 500));
    assert_eq!(path_of(&user["avatar"]), avatar);
    // Where the author of a post is shown, so is the picture.
    ada.write("Hello").await;
    let posts = bob.get("/posts").await.expect(200);
    assert_eq!(path_of(&posts["posts"][0]["author"]["avatar"]), avatar);

    // A profile that is sent back as it came changes nothing.
    let back = json!({ "name": "Ada", "avatar": user["avatar"], "banner": user["banner"] });
    let same = ada.patch("/users/profile", back).await.expect(200)["user"].clone();
    assert_eq!(
        (&same["avatar"], &same["banner"]),
        (&user["avatar"], &user["banner"])
    );
    // A new one takes the place of the old, and the old is gone.
    let user = set("avatar", 3).await.expect(200)["user"].clone();
    assert_ne!(path_of(&user["avatar"]), avatar);
    fetch(&server, &avatar, "*/*")
        .await
        .expect_code(404, "media_not_found");
    let user = ada.delete("/api/v1/users/profile/avatar").await.expect(200)["user"].clone();
    assert_eq!(path_of(&user["avatar"]), drawn);
    let user = ada
        .patch("/users/profile", json!({ "banner": null }))
        .await
        .expect(200);
    assert!(user["user"]["banner"].is_null());
    let listed = ada.get("/api/v1/media").await.expect(200);
    assert_eq!(listed["media"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_written_for_the_host_that_was_asked() {
    let trusting = Server::start_with(|config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let ada = trusting.sign_up("ada").await;
    let address = async |client: &Client| {
        let reply = client.get("/users/profile").await.expect(200);
        reply["user"]["avatar"].as_str().unwrap().to_owned()
    };
    let drawn = format!("/media/avatars/{}", ada.id);
    let asked = ada.with("host", "social.example.org");
    assert_eq!(
        address(&asked).await,
        format!("http://social.example.org{drawn}")
    );
    let behind = asked.with("x-forwarded-proto", "https");
    assert_eq!(
        address(&behind).await,
        format!("https://social.example.org{drawn}")
    );
    for wrong in ["a/b", "a\"b", "<x>"] {
        assert_eq!(address(&ada.with("host", wrong)).await, drawn, "{wrong}");
    }
    let configured = Server::start_with(|config| {
        config.server.public_url = Some("https://social.example.org/".to_owned());
        config.media.public_base_url = Some("https://cdn.example.org".to_owned());
    })
    .await;
    let ada = configured.sign_up("ada").await;
    let drawn = format!("/media/avatars/{}", ada.id);
    assert_eq!(
        address(&ada).await,
        format!("https://cdn.example.org{drawn}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_signature_for_what_they_may_not_see() {
    let server = Server::start().await;
    let (ada, mallory) = (server.sign_up("ada").await, server.sign_up("mallory").await);
    let form = crate::support::pictures::form().text("visibility", "private");
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    let id = post["media"][0]["id"].as_str().unwrap();
    // As addresses of her own picture, also where the answer is a stored one.
    let mallory = mallory.with("idempotency-key", "k");
    for trick in [
        format!("/media/{id}/{{key}}"),
        format!("/media/{id}?sign"),
        format!("/media/{id}/hls/{{key}}/x"),
        format!("signed:/media/{id}"),
        format!("signed-within:/media/{id}/{{key}}"),
    ] {
        for slot in ["avatar", "banner"] {
            for _ in 0..2 {
                let reply = mallory
                    .patch("/users/profile", json!({ slot: trick }))
                    .await;
                for told in ["signature=", "/17", "/18", "/19"] {
                    assert!(!reply.text.contains(told), "{trick}: {}", reply.text);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_given_up_while_it_is_worked_on_leaves_nothing() {
    let server = Server::start_with(|config| config.media.quota_bytes = 1_000).await;
    let ada = server.sign_up("ada").await;
    let gone = async || {
        eventually("nothing is left", || async {
            let left = files_in(&server, "originals")
                + files_in(&server, "variants")
                + files_in(&server, "incoming");
            (left == 0).then_some(())
        })
        .await;
    };
    let large = picture(1_600, 1_200, 1, ImageFormat::Jpeg);
    let form = Form::new().part("file", part(large.clone(), "a.jpg", "image/jpeg"));
    send(&ada, "/posts/", form)
        .await
        .expect_code(413, "quota_exceeded");
    gone().await;
    // Whole, and then gone before the answer.
    let mut stream = tokio::net::TcpStream::connect(server.app.address())
        .await
        .unwrap();
    let mut body =
        b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\r\n"
            .to_vec();
    body.extend(&large);
    body.extend(b"\r\n--b--\r\n");
    let head = format!(
        "POST /posts/ HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n",
        ada.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    eventually("it is being worked on", || async {
        let begun = files_in(&server, "incoming") + files_in(&server, "variants");
        (begun > 0).then_some(())
    })
    .await;
    drop(stream);
    gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_before_a_file_is_bounded() {
    let server = Server::start_with(|config| config.server.max_body_bytes = 50_000_000).await;
    let ada = server.sign_up("ada").await;
    let send_raw = async |body: Vec<u8>| {
        let request = ada
            .request(Method::POST, "/posts/")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body);
        ada.send(request).await
    };
    let endless_head = [&b"--b\r\nx-y: "[..], &vec![b'a'; 20_000_000]].concat();
    for body in [vec![b'a'; 20_000_000], endless_head] {
        send_raw(body).await.expect_code(400, "invalid_body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_leaves_no_picture_of_themselves() {
    let server = Server::start().await;
    let (admin, ada) = (server.set_up("admin").await, server.sign_up("ada").await);
    let form = Form::new().part("file", part(jpeg(1), "a.jpg", "image/jpeg"));
    let path = "/api/v1/users/profile/avatar";
    let request = ada.request(Method::PUT, path).multipart(form);
    let user = ada.send(request).await.expect(200)["user"].clone();
    let path = path_of(&user["avatar"]);
    assert_eq!(fetch(&server, &path, "*/*").await.status, 200);
    let change = json!({ "status": "deleted" });
    let status = format!("/api/v1/admin/users/{}/status", ada.id);
    admin.patch(&status, change).await.expect(200);
    fetch(&server, &path, "*/*")
        .await
        .expect_code(404, "media_not_found");
}

/// A WebP or GIF of three frames of noise.
fn moving(format: Moving) -> Vec<u8> {
    let frames = (1..=3_u64).map(|seed| {
        let still = image::load_from_memory(&noise(400, seed)).unwrap();
        image::Frame::from_parts(
            still.into_rgba8(),
            0,
            0,
            image::Delay::from_numer_denom_ms(100, 1),
        )
    });
    let mut gif = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(&mut gif, 30);
    encoder.encode_frames(frames).unwrap();
    drop(encoder);
    if format == Moving::Gif {
        return gif;
    }
    let limits = pictures::Limits {
        max_pixels: 1_000_000,
        max_side: 1_000,
        max_memory_bytes: 100_000_000,
        max_frames: 10,
        max_total_pixels: 10_000_000,
    };
    let gif = std::io::Cursor::new(gif);
    let gif = pictures::Animation::open(gif, pictures::Format::Gif, &limits).unwrap();
    gif.encode(400, pictures::AnimatedEncoding::WebP).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moving {
    Gif,
    WebP,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_there_with_the_answer_and_whole() {
    let server = Server::start_with(|config| config.media.workers = 1).await;
    let ada = server.sign_up("ada").await;
    for (format, media_type) in [(Moving::WebP, "image/webp"), (Moving::Gif, "image/gif")] {
        let whole = moving(format);
        let send_file = async |bytes: Vec<u8>| {
            let form = Form::new().part("file", part(bytes, "a", media_type));
            send(&ada, "/api/v1/media", form).await
        };
        let variants = files_in(&server, "variants");
        if format == Moving::WebP {
            // Its last frame claims to begin with more than there is of it.
            let mut damaged = whole.clone();
            let last = whole.windows(4).rposition(|name| name == b"ANMF").unwrap();
            assert_eq!(&whole[last + 24..last + 28], b"VP8 ");
            damaged[last + 33..last + 35].fill(0xff);
            send_file(damaged).await.expect_code(422, "broken_file");
            eventually("what was refused is gone", || async {
                (files_in(&server, "variants") == variants).then_some(())
            })
            .await;
        }
        let media = send_file(whole).await.expect(201)["media"].clone();
        assert_eq!(media["isAnimated"], true);
        assert!(files_in(&server, "variants") > variants, "{format:?}");
        // The others follow: what its own address shows, and 640 where it is that wide.
        eventually("the rest is there", || async {
            (files_in(&server, "variants") == variants + 2).then_some(())
        })
        .await;
        let path = path_of(&media["url"]);
        let shown = fetch(&server, &path, "image/webp").await;
        assert_eq!(size_of(&shown), (400, 400));
        assert_eq!(files_in(&server, "variants"), variants + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_not_tried_again_with_each_request() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let media = upload(&ada, "/api/v1/media").await.expect(201)["media"].clone();
    let (path, query) = {
        let path = path_of(&media["url"]);
        let (path, query) = path.split_once('?').unwrap();
        (path.to_owned(), query.to_owned())
    };
    let original = files(&server.config.data_dir.join("media/originals")).remove(0);
    let whole = std::fs::read(&original).unwrap();
    let ask = async |name: &str| {
        let path = format!("{path}/{name}?{query}");
        fetch(&server, &path, "*/*").await
    };
    // As a disk that loses what it was given.
    std::fs::write(&original, &whole[..whole.len() / 2]).unwrap();
    ask("640.jpg").await.expect_code(422, "broken_file");
    std::fs::write(&original, &whole).unwrap();
    ask("640.jpg").await.expect_code(422, "broken_file");
    assert_eq!(ask("320.jpg").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_need_more_memory_than_there_is_are_taken_one_by_one() {
    let server = Server::start_with(|config| {
        config.media.workers = 4;
        config.media.picture_memory_mib = 1;
    })
    .await;
    let ada = server.sign_up("ada").await;
    let form = (0..10).fold(Form::new(), |form, seed| {
        let bytes = picture(800, 600, seed, ImageFormat::Png);
        form.part("file", part(bytes, "a.png", "image/png"))
    });
    let post = send(&ada, "/posts/", form).await.expect(201)["post"].clone();
    for address in post["imageUrls"].as_array().unwrap() {
        let reply = fetch(&server, &path_of(address), "image/jpeg").await;
        assert_eq!(size_of(&reply), (800, 600));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_said_to_be_of_another_format_is_refused() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let (png, jpeg) = (picture(40, 30, 1, ImageFormat::Png), jpeg(1));
    for (bytes, name, media_type) in [
        (&png, "a.png", "image/jpeg"),
        (&png, "a.jpg", "image/png"),
        (&png, "a.JPG", "application/octet-stream"),
        (&png, "a.mp4", "image/png"),
        (&jpeg, "a.jpg", "image/webp"),
    ] {
        for path in ["/posts/", "/api/v1/media"] {
            let form = Form::new().part("file", part(bytes.clone(), name, media_type));
            let reply = send(&ada, path, form).await;
            reply.expect_code(415, "mismatched_file");
        }
    }
    for (bytes, name, media_type) in [
        (&png, "blob", "application/octet-stream"),
        (&png, "a.png", "application/octet-stream"),
        (&jpeg, "a.jpg", "image/jpg"),
        (&jpeg, "a.jfif", "image/pjpeg"),
        (&jpeg, "IMG_1.HEIC", "image/heic"),
    ] {
        let form = Form::new().part("file", part(bytes.clone(), name, media_type));
        send(&ada, "/api/v1/media", form).await.expect(201);
    }
    let named = reqwest::multipart::Part::bytes(jpeg).file_name("a.jpg");
    let form = Form::new().part("file", named);
    send(&ada, "/api/v1/media", form).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_for_another_focus_or_by_an_earlier_release_goes() {
    let server = Server::start().await;
    let ada = server.sign_up("ada").await;
    let form = Form::new().part("file", part(jpeg(1), "a.jpg", "image/jpeg"));
    let request = ada.request(Method::PUT, "/api/v1/users/profile/avatar");
    let user = ada.send(request.multipart(form)).await.expect(200)["user"].clone();
    let path = path_of(&user["avatar"]);
    let dir = server.config.data_dir.join("media/variants");
    let crops = || {
        let names = files(&dir).into_iter();
        let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let mut crops: Vec<_> = names.filter(|name| name.contains('@')).collect();
        crops.sort();
        crops
    };
    let first = fetch(&server, &path, "image/webp").await;
    let before = crops();
    assert_eq!(before.len(), 1);
    let id = path.split('/').nth(2).unwrap();
    let edit = json!({ "focus": { "x": 1, "y": 0 } });
    ada.patch(&format!("/api/v1/media/{id}"), edit)
        .await
        .expect(200);
    assert_eq!(crops(), Vec::<String>::new());
    let second = fetch(&server, &path, "image/webp").await;
    assert_ne!(first.header("etag"), second.header("etag"));
    let after = crops();
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");

    // Its tag names the encoder, which its file does as well.
    assert!(second.header("etag").contains(&after[0]), "{}", after[0]);
    let current = files(&dir)
        .into_iter()
        .find(|path| path.ends_with(&after[0]));
    let current = current.unwrap();
    let old = current.with_file_name("320.0.webp");
    let older = current.with_file_name("320.webp");
    for path in [&old, &older] {
        std::fs::write(path, "as it was").unwrap();
    }
    server.app.media().sweep().await.unwrap();
    assert!(current.exists() && !old.exists() && !older.exists());
}
