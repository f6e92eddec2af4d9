//! Pictures to upload.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use reqwest::multipart::{Form, Part};

use super::{Client, Reply};

/// A picture of this size in which every pixel differs from its neighbours; `seed` makes it another one.
pub(crate) fn picture(width: u32, height: u32, seed: u8, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let part = |of: u32, whole: u32| u8::try_from(of * 255 / whole.max(1)).unwrap();
        Rgb([part(x, width), part(y, height), seed])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A small JPEG.
pub(crate) fn jpeg(seed: u8) -> Vec<u8> {
    picture(400, 300, seed, ImageFormat::Jpeg)
}

/// A file of a form.
pub(crate) fn part(bytes: Vec<u8>, name: &str, media_type: &str) -> Part {
    Part::bytes(bytes)
        .file_name(name.to_owned())
        .mime_str(media_type)
        .unwrap()
}

/// A form with one small picture.
pub(crate) fn form() -> Form {
    Form::new().part("file", part(jpeg(7), "a.jpg", "image/jpeg"))
}

/// Sends a form with one small picture.
pub(crate) async fn upload(client: &Client, path: &str) -> Reply {
    send(client, path, form()).await
}

/// Sends a form.
pub(crate) async fn send(client: &Client, path: &str, form: Form) -> Reply {
    client
        .send(client.request(Method::POST, path).multipart(form))
        .await
}
