//! What comes with the pixels: orientation, metadata, colour spaces.

use super::*;

/// How a picture must be stored to stand upright when shown with an orientation: that orientation, undone.
fn stored_for(orientation: u8, upright: &RgbImage) -> RgbImage {
    use image::imageops::{flip_horizontal, flip_vertical, rotate90, rotate180, rotate270};
    match orientation {
        2 => flip_horizontal(upright),
        3 => rotate180(upright),
        4 => flip_vertical(upright),
        5 => rotate270(&flip_horizontal(upright)),
        6 => rotate270(upright),
        7 => rotate90(&flip_horizontal(upright)),
        8 => rotate90(upright),
        _ => upright.clone(),
    }
}

fn with_orientation(image: &RgbImage, orientation: u8) -> [(Format, Vec<u8>); 3] {
    let block = exif(orientation);
    let jpeg = encoded(image.clone(), ImageFormat::Jpeg);
    let png = encoded(image.clone(), ImageFormat::Png);
    let webp = encoded(image.clone(), ImageFormat::WebP);
    [
        (
            Format::Jpeg,
            with_segments(&jpeg, &[segment(0xE1, b"Exif\0\0", &block)]),
        ),
        (
            Format::Png,
            with_chunks(&png, &[png_chunk(*b"eXIf", &block)]),
        ),
        (
            Format::WebP,
            with_riff_chunks(
                &webp,
                image.dimensions(),
                0x08,
                &[],
                &[riff_chunk(*b"EXIF", &block)],
            ),
        ),
    ]
}

#[test]
fn every_orientation_ends_upright() {
    let upright = quarters(64, 40);
    for orientation in 1..=8 {
        let stored = stored_for(orientation, &upright);
        for (format, file) in with_orientation(&stored, orientation) {
            let facts = inspected(&file, format).unwrap();
            assert_eq!(
                (facts.width, facts.height),
                (64, 40),
                "{format} {orientation}"
            );
            let picture = decode(&file, format).unwrap();
            assert_eq!((picture.width(), picture.height()), (64, 40));
            // Both as it is and made smaller.
            for width in [64, 32] {
                let rendered = picture.render(&Shape::Width(width)).unwrap();
                let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
                let height = width * 40 / 64;
                assert_eq!(shown.dimensions(), (width, height));
                for (x, y, color) in [
                    (3, 3, RED),
                    (width - 4, 3, GREEN),
                    (3, height - 4, BLUE),
                    (width - 4, height - 4, YELLOW),
                ] {
                    assert!(
                        is_near(rgb(*shown.get_pixel(x, y)), color, 20),
                        "{format}, orientation {orientation}, at {x}, {y}"
                    );
                }
            }
            // A crop is of the picture as shown: the green quarter.
            let crop = Some(Crop {
                x: 36,
                y: 2,
                width: 16,
                height: 16,
            });
            let rendered = picture.render(&Shape::Square { side: 8, crop }).unwrap();
            let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
            assert!(shown.pixels().all(|pixel| is_near(rgb(*pixel), GREEN, 20)));
            // And so is the focus of a banner: the lower edge.
            let shape = Shape::Cover {
                width: 64,
                height: 10,
                focus: (0.0, 1.0),
            };
            let rendered = picture.render(&shape).unwrap();
            let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
            assert!(is_near(rgb(*shown.get_pixel(5, 5)), BLUE, 20));
            assert!(is_near(rgb(*shown.get_pixel(59, 5)), YELLOW, 20));
        }
    }
}

/// A JPEG, a PNG and a WebP with all that they can say beside their pixels.
pub(super) fn talkative(profile: &[u8]) -> Vec<(Format, Vec<u8>)> {
    let image = quarters(40, 40);
    let block = exif(1);
    let xmp = [b"<x:xmpmeta>", SECRET].concat();
    let jpeg = with_segments(
        &encoded(image.clone(), ImageFormat::Jpeg),
        &[
            segment(0xE1, b"Exif\0\0", &block),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0", &xmp),
            segment(0xE2, b"ICC_PROFILE\0\x01\x01", profile),
            segment(0xED, b"Photoshop 3.0\0", SECRET),
            segment(0xFE, b"", SECRET),
        ],
    );
    let mut png = encoded(image.clone(), ImageFormat::Png);
    png = with_chunks(
        &png,
        &[
            png_chunk(*b"iCCP", &[b"name\0\0", &deflated(profile)[..]].concat()),
            png_chunk(*b"eXIf", &block),
            png_chunk(
                *b"iTXt",
                &[b"XML:com.adobe.xmp\0\0\0\0\0", &xmp[..]].concat(),
            ),
            png_chunk(*b"tEXt", &[b"Comment\0", SECRET].concat()),
        ],
    );
    let webp = with_riff_chunks(
        &encoded(image, ImageFormat::WebP),
        (40, 40),
        0x2C,
        &[riff_chunk(*b"ICCP", profile)],
        &[riff_chunk(*b"EXIF", &block), riff_chunk(*b"XMP ", &xmp)],
    );
    vec![
        (Format::Jpeg, jpeg),
        (Format::Png, png),
        (Format::WebP, webp),
    ]
}

/// A zlib stream of stored blocks.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let length = u16::try_from(bytes.len()).unwrap();
    stream.push(1);
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(bytes);
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend(((b << 16) | a).to_be_bytes());
    stream
}

#[test]
fn nothing_but_pixels_is_served() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    for (format, file) in talkative(&profile) {
        assert!(contains(&file, SECRET));
        let picture = decode(&file, format).unwrap();
        for rendered in picture.render_widths(&[40, 20]).unwrap() {
            for encoding in ALL {
                let served = rendered.encode(encoding).unwrap();
                for part in [
                    SECRET,
                    b"Exif",
                    b"EXIF",
                    b"eXIf",
                    b"xmp",
                    b"XMP",
                    b"ICC",
                    b"iCCP",
                    b"acsp",
                    b"GPS",
                    b"tEXt",
                    b"tIME",
                    b"Photoshop",
                ] {
                    assert!(!contains(&served, part), "{format} as {encoding:?}");
                }
            }
        }
    }
}

#[test]
fn colours_of_a_wider_space_become_srgb() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    for (format, file) in talkative(&profile) {
        let picture = decode(&file, format).unwrap();
        let rendered = picture.render(&Shape::Width(40)).unwrap();
        let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
        // The green of Display P3 is greener than any of sRGB: its red falls to nothing.
        let [r, g, _] = rgb(*shown.get_pixel(35, 5));
        assert!(r < 10 && g > 195, "{format}: {:?}", shown.get_pixel(35, 5));
    }
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    for (format, file) in talkative(&srgb) {
        let picture = decode(&file, format).unwrap();
        let rendered = picture.render(&Shape::Width(40)).unwrap();
        let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
        assert!(is_near(rgb(*shown.get_pixel(35, 5)), GREEN, 8), "{format}");
    }
    // What is no profile at all is not missed.
    for (format, file) in talkative(b"no profile") {
        assert!(decode(&file, format).is_ok(), "{format}");
    }
}

#[test]
fn sixteen_bits_and_grey_become_eight_bits_and_colour() {
    let deep =
        image::ImageBuffer::from_pixel(9, 7, image::Rgba([0x1234_u16, 0x8000, 0xFFFF, 0x8000]));
    let file = encoded(deep, ImageFormat::Png);
    let picture = decode(&file, Format::Png).unwrap();
    assert!(picture.has_alpha());
    let rendered = picture.render(&Shape::Width(9)).unwrap();
    let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
    assert!(is_near(rgb(*shown.get_pixel(4, 4)), [0x12, 0x80, 0xFF], 1));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let grey = image::GrayImage::from_pixel(9, 7, image::Luma([77]));
        let file = encoded(grey, format);
        let picture = decode(&file, sniff(&file).unwrap()).unwrap();
        assert!(is_near(picture.dominant_color(), [77; 3], 1));
    }
}
