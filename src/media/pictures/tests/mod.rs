//! Pictures made for the tests, by the crates that encode and by hand.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};

use super::*;

mod animations;
mod avatars;
mod hostile;
mod stills;
mod uploads;

const LIMITS: Limits = Limits {
    max_pixels: 60_000_000,
    max_side: 20_000,
    max_memory_bytes: 512 << 20,
    max_frames: 500,
    max_total_pixels: 500_000_000,
};

const ALL: [Encoding; 3] = [Encoding::WebP, Encoding::Jpeg, Encoding::Png];

/// What must not be found in anything that is served.
const SECRET: &[u8] = b"SECRET-PLACE";

fn decode(file: &[u8], format: Format) -> Result<Picture> {
    Picture::decode(Cursor::new(file), format, &LIMITS)
}

fn inspected(file: &[u8], format: Format) -> Result<Facts> {
    inspect(Cursor::new(file), format, &LIMITS)
}

fn open(file: &[u8], format: Format) -> Result<Animation> {
    Animation::open(Cursor::new(file), format, &LIMITS)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn pixels(file: &[u8]) -> RgbaImage {
    image::load_from_memory(file).unwrap().into_rgba8()
}

fn is_near(a: [u8; 3], b: [u8; 3], tolerance: u8) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= tolerance)
}

fn rgb(pixel: image::Rgba<u8>) -> [u8; 3] {
    let [r, g, b, _] = pixel.0;
    [r, g, b]
}

fn contains(file: &[u8], part: &[u8]) -> bool {
    file.windows(part.len()).any(|window| window == part)
}

const RED: [u8; 3] = [220, 30, 30];
const GREEN: [u8; 3] = [30, 200, 30];
const BLUE: [u8; 3] = [30, 30, 220];
const YELLOW: [u8; 3] = [230, 220, 30];

/// Red top left, green top right, blue bottom left, yellow bottom right.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    })
}

/// An EXIF block with an orientation, and a place.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x02\0".to_vec();
    block.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    block.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0]);
    block.extend([0; 4]);
    block.extend(SECRET);
    block
}

fn segment(marker: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len() + body.len() + 2).unwrap();
    [&[0xFF, marker], &length.to_be_bytes()[..], name, body].concat()
}

/// Segments, put after the start of a JPEG.
fn with_segments(jpeg: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    [&jpeg[..2], &segments.concat(), &jpeg[2..]].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn png_chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let named = [&kind[..], body].concat();
    [&length[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// Chunks, put after the header of a PNG.
fn with_chunks(png: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [&png[..33], &chunks.concat(), &png[33..]].concat()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    [b"\x89PNG\r\n\x1A\n".to_vec(), png_chunk(*b"IHDR", &header)].concat()
}

fn riff_chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let padding: &[u8] = if body.len() % 2 == 1 { &[0] } else { &[] };
    [&kind[..], &length, body, padding].concat()
}

/// A simple WebP made an extended one, with chunks before and behind its pixels.
fn with_riff_chunks(
    webp: &[u8],
    (width, height): (u32, u32),
    flags: u8,
    before: &[Vec<u8>],
    behind: &[Vec<u8>],
) -> Vec<u8> {
    let mut extended = vec![flags, 0, 0, 0];
    extended.extend(&(width - 1).to_le_bytes()[..3]);
    extended.extend(&(height - 1).to_le_bytes()[..3]);
    let body = [
        b"WEBP".to_vec(),
        riff_chunk(*b"VP8X", &extended),
        before.concat(),
        webp[12..].to_vec(),
        behind.concat(),
    ]
    .concat();
    riff_chunk(*b"RIFF", &body)
}

/// One file of each format.
fn one_of_each(width: u32, height: u32) -> Vec<(Format, Vec<u8>)> {
    let image = quarters(width, height);
    let picture = decode(&encoded(image.clone(), ImageFormat::Png), Format::Png).unwrap();
    let lossy = picture
        .render(&Shape::Width(width))
        .unwrap()
        .encode(Encoding::WebP)
        .unwrap();
    let lossless = encoded(image.clone(), ImageFormat::WebP);
    vec![
        (Format::Jpeg, encoded(image.clone(), ImageFormat::Jpeg)),
        (Format::Png, encoded(image.clone(), ImageFormat::Png)),
        (Format::Gif, encoded(image, ImageFormat::Gif)),
        (Format::WebP, lossy),
        (Format::WebP, lossless),
    ]
}

/// A block moving over a still ground: GIF, 8 frames.
fn moving_gif() -> Vec<u8> {
    let mut encoder = ::gif::Encoder::new(Vec::new(), 96, 64, &[]).unwrap();
    encoder.set_repeat(::gif::Repeat::Finite(4)).unwrap();
    for number in 0..8_u16 {
        let mut pixels: Vec<u8> = (0..64_u16)
            .flat_map(|y| (0..96_u16).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let is_block = x / 12 == number && (20..44).contains(&y);
                let [r, g, b] = if is_block { RED } else { BLUE };
                [r, g, b, 255]
            })
            .collect();
        let mut frame = ::gif::Frame::from_rgba_speed(96, 64, &mut pixels, 10);
        frame.delay = 7 + number;
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

/// The same as WebP.
fn moving_webp() -> Vec<u8> {
    open(&moving_gif(), Format::Gif)
        .unwrap()
        .encode(96, AnimatedEncoding::WebP)
        .unwrap()
}
