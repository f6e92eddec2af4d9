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

/// A recording of this many bytes, which browsers play as it is.
pub(crate) fn recording(bytes: u32, seed: u8) -> Vec<u8> {
    let data = bytes - 44;
    let mut wav = Vec::with_capacity(bytes as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(bytes - 8).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    // 16 bytes of header: PCM, one channel, 48 kHz, 16 bits.
    for (value, size) in [
        (16, 4),
        (1, 2),
        (1, 2),
        (48_000, 4),
        (96_000, 4),
        (2, 2),
        (16, 2),
    ] {
        wav.extend_from_slice(&u32::to_le_bytes(value)[..size]);
    }
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&data.to_le_bytes());
    // No two pieces of it are the same.
    wav.extend((0..data).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed));
    wav
}
