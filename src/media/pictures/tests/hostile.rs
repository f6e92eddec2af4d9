//! Files that are broken, or meant to break.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Everything that is done with a file; whether any of it worked.
fn try_all(file: &[u8], format: Format, limits: &Limits) -> bool {
    let inspected = inspect(Cursor::new(file), format, limits);
    let decoded = Picture::decode(Cursor::new(file), format, limits);
    if let Ok(picture) = &decoded {
        picture.thumbhash();
        picture.dominant_color();
        for rendered in picture.render_widths(&[64, 16]).unwrap() {
            rendered.encode(Encoding::WebP).unwrap();
            rendered.encode(Encoding::Jpeg).unwrap();
        }
    }
    let animated = Animation::open(Cursor::new(file), format, limits).and_then(|animation| {
        let targets = [(24, AnimatedEncoding::WebP), (24, AnimatedEncoding::Gif)];
        animation.encode_all(&targets)
    });
    inspected.is_ok() || decoded.is_ok() || animated.is_ok()
}

#[test]
fn a_file_cut_short_is_refused() {
    let mut files = one_of_each(64, 48);
    files.push((Format::Gif, moving_gif()));
    files.push((Format::WebP, moving_webp()));
    for (format, file) in files {
        assert!(decode(&file, format).is_ok());
        let step = (file.len() / 60).max(1);
        let lengths = (0..file.len()).step_by(step).chain([file.len() - 1]);
        for length in lengths {
            let cut = &file[..length];
            // A PNG whose last chunk alone is missing has all of its pixels.
            let has_pixels = format == Format::Png && length >= file.len() - 12;
            assert!(
                matches!(decode(cut, format), Err(PictureError::Broken { .. })) || has_pixels,
                "{format}: {length} of {}",
                file.len()
            );
            if matches!(format, Format::Gif | Format::WebP) {
                assert!(open(cut, format).is_err());
            }
        }
    }
}

#[test]
fn nothing_is_not_a_picture() {
    for format in [Format::Jpeg, Format::Png, Format::Gif, Format::WebP] {
        assert!(matches!(
            inspected(b"", format),
            Err(PictureError::Broken { .. })
        ));
        assert!(!try_all(b"", format, &LIMITS));
    }
}

#[test]
fn a_format_claimed_wrongly_is_refused() {
    for (format, file) in one_of_each(16, 16) {
        for claimed in [Format::Jpeg, Format::Png, Format::Gif, Format::WebP] {
            if claimed != format {
                assert!(!try_all(&file, claimed, &LIMITS), "{format} as {claimed}");
            }
        }
    }
}

/// The headers of pictures of 30,000 by 30,000 (16,384 by 16,384 for WebP, which knows no more).
fn giants() -> Vec<(Format, Vec<u8>)> {
    let side = 30_000_u16;
    let png = [
        png_header(side.into(), side.into()),
        png_chunk(*b"IDAT", &[0x78, 0x01]),
    ]
    .concat();
    let frame = [
        &[8][..],
        &side.to_be_bytes(),
        &side.to_be_bytes(),
        &[3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1],
    ]
    .concat();
    let jpeg = [
        vec![0xFF, 0xD8],
        segment(0xC2, b"", &frame),
        segment(0xDA, b"", &[1, 1, 0, 0, 63, 0]),
        vec![0xFF, 0xD9],
    ]
    .concat();
    let gif = [
        b"GIF89a",
        &side.to_le_bytes()[..],
        &side.to_le_bytes(),
        &[0, 0, 0, 0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 0, 0x3B],
    ]
    .concat();
    let webp = riff_chunk(
        *b"RIFF",
        &[
            b"WEBP".to_vec(),
            riff_chunk(*b"VP8L", &[0x2F, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0, 0]),
        ]
        .concat(),
    );
    vec![
        (Format::Png, png),
        (Format::Jpeg, jpeg),
        (Format::Gif, gif),
        (Format::WebP, webp),
    ]
}

#[test]
fn giants_are_refused_at_sight() {
    let limits = Limits {
        max_side: u32::MAX,
        ..LIMITS
    };
    for (format, file) in giants() {
        let started = Instant::now();
        assert!(matches!(
            inspect(Cursor::new(&file), format, &limits),
            Err(PictureError::TooLarge(Excess::Pixels))
        ));
        assert!(matches!(
            Picture::decode(Cursor::new(&file), format, &limits),
            Err(PictureError::TooLarge(Excess::Pixels))
        ));
        assert!(started.elapsed() < Duration::from_millis(100), "{format}");
        assert!(matches!(
            inspected(&file, format),
            Err(PictureError::TooLarge(_))
        ));
    }
}

#[test]
fn a_picture_that_would_take_too_much_memory_is_refused() {
    let limits = Limits {
        max_memory_bytes: 100_000,
        ..LIMITS
    };
    for (format, file) in one_of_each(300, 300) {
        assert!(matches!(
            Picture::decode(Cursor::new(&file), format, &limits),
            Err(PictureError::TooLarge(Excess::Bytes))
        ));
    }
}

/// A zlib stream of about `length` zeros: the pixels of a picture that is black.
fn bomb(length: u64) -> Vec<u8> {
    let rows = u32::try_from(length / 30_000).unwrap();
    let png = encoded(image::GrayImage::new(29_999, rows), ImageFormat::Png);
    let mut stream = Vec::new();
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if &png[at + 4..at + 8] == b"IDAT" {
            stream.extend(&png[at + 8..at + 8 + length]);
        }
        at += length + 12;
    }
    stream
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = bomb(600_000_000);
    assert!(bomb.len() < 5_000_000, "{}", bomb.len());
    let small = encoded(quarters(1, 1), ImageFormat::Png);
    let end = png_chunk(*b"IEND", b"");
    for file in [
        [png_header(1, 1), png_chunk(*b"IDAT", &bomb), end].concat(),
        with_chunks(
            &small,
            &[png_chunk(*b"iCCP", &[b"name\0\0", &bomb[..]].concat())],
        ),
        with_chunks(
            &small,
            &[png_chunk(*b"zTXt", &[b"name\0\0", &bomb[..]].concat())],
        ),
    ] {
        let started = Instant::now();
        assert!(inspected(&file, Format::Png).is_ok());
        assert!(started.elapsed() < Duration::from_millis(200));
        // Whether it is refused, or shown without what it tried, is the decoder's choice; how long it takes is not.
        let _either = decode(&file, Format::Png).is_ok();
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_frame_beyond_the_canvas_of_a_gif_counts_in_full() {
    let mut file = encoded(quarters(1, 1), ImageFormat::Gif);
    let canvas = 6;
    assert_eq!(&file[canvas..canvas + 4], [1, 0, 1, 0]);
    let at = file.iter().rposition(|byte| *byte == 0x2C).unwrap();
    assert_eq!(&file[at + 5..at + 9], [1, 0, 1, 0]);
    assert!(open(&file, Format::Gif).is_ok());
    file[at + 5..at + 9].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(
        decode(&file, Format::Gif),
        Err(PictureError::TooLarge(Excess::Pixels))
    ));
    assert!(matches!(
        open(&file, Format::Gif),
        Err(PictureError::TooLarge(Excess::Pixels))
    ));
}

/// One of the valid files, with some of its bytes replaced, dropped or doubled.
fn mutated() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let mut files = one_of_each(24, 20);
    files.push((Format::Gif, moving_gif()));
    files.push((Format::WebP, moving_webp()));
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    files.extend(uploads::talkative(&profile));
    let change = (any::<proptest::sample::Index>(), any::<u8>(), 0..4_u8);
    (
        proptest::sample::select(files),
        proptest::collection::vec(change, 1..8),
    )
        .prop_map(|((format, mut file), changes)| {
            for (index, byte, kind) in changes {
                let at = index.index(file.len());
                match kind {
                    0 => file[at] = byte,
                    1 => file[at] ^= 1 << (byte % 8),
                    2 => {
                        file.remove(at);
                    }
                    _ => file.insert(at, byte),
                }
            }
            (format, file)
        })
}

const SMALL: Limits = Limits {
    max_pixels: 1_000_000,
    max_side: 4_000,
    max_memory_bytes: 32 << 20,
    max_frames: 20,
    max_total_pixels: 2_000_000,
};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_are_a_reason_to_panic(
        mut file in proptest::collection::vec(any::<u8>(), 0..600),
        start in proptest::sample::select(vec![
            &b"\xFF\xD8\xFF\xE0\0\x10"[..],
            b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10",
            b"GIF89a\x10\0\x10\0\x80\0\0",
            b"RIFF\x40\0\0\0WEBPVP8 ",
            b"RIFF\x40\0\0\0WEBPVP8L",
            b"RIFF\x40\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0",
            b"",
        ]),
    ) {
        file.splice(0..0, start.iter().copied());
        sniff(&file);
        for format in [Format::Jpeg, Format::Png, Format::Gif, Format::WebP] {
            try_all(&file, format, &SMALL);
        }
    }

    #[test]
    fn no_damage_is_a_reason_to_panic((format, file) in mutated()) {
        try_all(&file, format, &SMALL);
    }
}
