//! Shapes, encodings, placeholders.

use super::*;

#[test]
fn formats_are_told_by_their_first_bytes() {
    for (format, file) in one_of_each(16, 8) {
        assert_eq!(sniff(&file[..64.min(file.len())]), Some(format));
    }
    for other in [
        &b""[..],
        b"\xFF\xD8",
        b"<svg",
        b"RIFF\0\0\0\0WAVE",
        b"BM",
        b"%PDF-1.7",
    ] {
        assert_eq!(sniff(other), None);
    }
}

#[test]
fn facts_are_those_of_the_decoded_picture() {
    for (format, file) in one_of_each(48, 20) {
        let facts = inspected(&file, format).unwrap();
        let picture = decode(&file, format).unwrap();
        assert_eq!((facts.width, facts.height), (48, 20));
        assert_eq!((picture.width(), picture.height()), (48, 20));
        assert!(!facts.is_animated);
        assert!(!picture.has_alpha());
    }
}

#[test]
fn alpha_is_kept_where_it_is_used_and_white_in_jpeg() {
    let image = RgbaImage::from_fn(40, 40, |x, _| {
        image::Rgba([200, 0, 0, if x < 20 { 0 } else { 255 }])
    });
    let picture = decode(&encoded(image, ImageFormat::Png), Format::Png).unwrap();
    assert!(picture.has_alpha());
    let rendered = picture.render(&Shape::Width(20)).unwrap();
    assert!(rendered.has_alpha());
    for encoding in [Encoding::WebP, Encoding::Png] {
        let shown = pixels(&rendered.encode(encoding).unwrap());
        assert_eq!(shown.get_pixel(2, 10).0[3], 0);
        assert_eq!(shown.get_pixel(17, 10).0[3], 255);
        // No dark seam along the edge: transparent pixels have no say in colours.
        assert!(
            shown
                .pixels()
                .all(|pixel| pixel.0[3] < 32 || pixel.0[0] > 180)
        );
    }
    let shown = pixels(&rendered.encode(Encoding::Jpeg).unwrap());
    assert!(is_near(rgb(*shown.get_pixel(2, 10)), [255; 3], 12));
    assert!(is_near(rgb(*shown.get_pixel(17, 10)), [200, 0, 0], 30));

    let idle = RgbaImage::from_pixel(5, 3, image::Rgba([1, 2, 3, 255]));
    let picture = decode(&encoded(idle, ImageFormat::Png), Format::Png).unwrap();
    assert!(!picture.has_alpha());
    assert_eq!(picture.dominant_color(), [1, 2, 3]);
}

#[test]
fn jpegs_are_progressive() {
    let file = encoded(quarters(64, 64), ImageFormat::Png);
    let rendered = decode(&file, Format::Png)
        .unwrap()
        .render(&Shape::Width(64))
        .unwrap();
    let served = rendered.encode(Encoding::Jpeg).unwrap();
    assert!(contains(&served, &[0xFF, 0xC2]));
    assert!(!contains(&served, &[0xFF, 0xC0]));
}

#[test]
fn widths_are_exact_and_proportions_kept() {
    let file = encoded(quarters(3000, 2000), ImageFormat::Jpeg);
    let picture = decode(&file, Format::Jpeg).unwrap();
    let renderings = picture
        .render_widths(&[320, 2048, 640, 1280, 9000, 320])
        .unwrap();
    let sizes: Vec<_> = renderings
        .iter()
        .map(|rendered| (rendered.width(), rendered.height()))
        .collect();
    assert_eq!(
        sizes,
        [
            (3000, 2000),
            (2048, 1365),
            (1280, 853),
            (640, 427),
            (320, 213)
        ]
    );
    for rendered in renderings.iter().skip(2) {
        for encoding in ALL {
            let shown = pixels(&rendered.encode(encoding).unwrap());
            assert_eq!(shown.dimensions(), (rendered.width(), rendered.height()));
            assert!(is_near(rgb(*shown.get_pixel(10, 10)), RED, 25));
        }
    }
}

#[test]
fn squares_and_banners_are_cut_from_what_there_is() {
    let file = encoded(quarters(100, 60), ImageFormat::Png);
    let picture = decode(&file, Format::Png).unwrap();
    let size = |shape| {
        let rendered = picture.render(&shape).unwrap();
        (rendered.width(), rendered.height())
    };
    let square = |side, crop| Shape::Square { side, crop };
    let crop = |x, y, width, height| {
        Some(Crop {
            x,
            y,
            width,
            height,
        })
    };
    assert_eq!(size(square(48, None)), (48, 48));
    assert_eq!(size(square(400, None)), (60, 60));
    assert_eq!(size(square(400, crop(10, 10, 20, 30))), (20, 20));
    assert_eq!(size(square(48, crop(0, 0, 0, 0))), (1, 1));
    assert_eq!(
        size(square(0, crop(u32::MAX, 5, u32::MAX, u32::MAX))),
        (1, 1)
    );
    assert_eq!(
        size(square(u32::MAX, crop(90, 50, u32::MAX, u32::MAX))),
        (10, 10)
    );
    for x in [-1.0, 1.0, 7.0, f32::NAN, f32::NEG_INFINITY] {
        let cover = |width, height| Shape::Cover {
            width,
            height,
            focus: (x, x),
        };
        assert_eq!(size(cover(90, 30)), (90, 30));
        assert_eq!(size(cover(1500, 500)), (100, 33));
        assert_eq!(size(cover(0, u32::MAX)), (1, 60));
    }
    let left = picture
        .render(&Shape::Square {
            side: 10,
            crop: crop(0, 0, 20, 20),
        })
        .unwrap();
    let shown = pixels(&left.encode(Encoding::Png).unwrap());
    assert!(is_near(rgb(*shown.get_pixel(9, 9)), RED, 5));
}

#[test]
fn the_smallest_and_the_longest_pictures_are_shown() {
    for (width, height) in [(1, 1), (1, 10_000), (10_000, 1), (2, 19_000), (3, 1)] {
        let file = encoded(quarters(width, height), ImageFormat::Png);
        let picture = decode(&file, Format::Png).unwrap();
        assert!(!picture.thumbhash().is_empty());
        picture.dominant_color();
        for shape in [
            Shape::Width(640),
            Shape::Width(0),
            Shape::Square {
                side: 96,
                crop: None,
            },
            Shape::Cover {
                width: 1500,
                height: 500,
                focus: (0.3, -0.3),
            },
        ] {
            let rendered = picture.render(&shape).unwrap();
            assert!(rendered.width() <= width && rendered.height() <= height);
            for encoding in ALL {
                let shown = pixels(&rendered.encode(encoding).unwrap());
                assert_eq!(shown.dimensions(), (rendered.width(), rendered.height()));
            }
        }
    }
}

#[test]
fn the_thumbhash_shows_about_the_colours_of_the_picture() {
    for (format, file) in one_of_each(300, 200) {
        let picture = decode(&file, format).unwrap();
        let hash = picture.thumbhash();
        assert!((5..=25).contains(&hash.len()), "{format}");
        let (width, height, shown) = thumbhash::thumb_hash_to_rgba(&hash).unwrap();
        assert!(width > height);
        let mut sums = [0_u64; 3];
        for pixel in shown.chunks_exact(4) {
            for (sum, channel) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(*channel);
            }
        }
        let average = sums.map(|sum| u8::try_from(sum / (width * height) as u64).unwrap());
        assert!(is_near(average, [127, 120, 77], 20), "{average:?}");
    }
}

#[test]
fn the_dominant_colour_is_one_that_the_picture_has() {
    // Mostly blue, some red; the average would be neither.
    let image = RgbaImage::from_fn(50, 50, |x, y| {
        image::Rgba(match (x < 15, y < 20) {
            (_, true) => [0, 255, 0, 10],
            (true, _) => [220, 30, 30, 255],
            (false, _) => [30, 30, 220, 255],
        })
    });
    let picture = decode(&encoded(image, ImageFormat::Png), Format::Png).unwrap();
    assert!(is_near(picture.dominant_color(), BLUE, 12));
    let nothing = RgbaImage::new(5, 5);
    let picture = decode(&encoded(nothing, ImageFormat::Png), Format::Png).unwrap();
    assert_eq!(picture.dominant_color(), [255; 3]);
    assert!(!picture.thumbhash().is_empty());
}
