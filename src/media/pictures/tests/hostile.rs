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

/// Bits from the lowest of each byte on, as lossless WebP has them.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, value: u32, count: usize) {
        for place in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> place & 1 == 1);
            *self.bytes.last_mut().unwrap() |= bit << (self.count % 8);
            self.count += 1;
        }
    }

    /// A code of one symbol.
    fn put_single(&mut self, symbol: u32) {
        self.put(0b101, 3);
        self.put(symbol, 8);
    }

    /// A code in which the first 2^`length` symbols are all of this length.
    fn put_even(&mut self, length: u32) {
        const ORDER: [u32; 16] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12];
        let count = ORDER.iter().position(|other| *other == length).unwrap() + 1;
        self.put(0, 1);
        self.put(u32::try_from(count).unwrap() - 4, 4);
        for other in &ORDER[..count] {
            self.put(u32::from(*other == length), 3);
        }
        // So many symbols, in a number of twelve bits.
        self.put(1 | 5 << 1, 4);
        self.put((1 << length) - 2, 12);
    }
}

/// The bits of one pixel that names `sets` of codes, each of which takes some 70 kilobytes.
fn codes(sets: u32, has_header: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    if has_header {
        bits.put(0x2F, 8);
        bits.put(0, 32);
    }
    // No transform, a cache of 2,048 colours, and a map of the sets, of one pixel and without a cache.
    bits.put(0, 1);
    bits.put(1 | 11 << 1, 5);
    bits.put(1, 4);
    bits.put(0, 1);
    for symbol in [(sets - 1) & 0xFF, (sets - 1) >> 8, 0, 0, 0] {
        bits.put_single(symbol);
    }
    for _ in 0..sets {
        for length in [11, 8, 8, 8, 5] {
            bits.put_even(length);
        }
    }
    bits.put(0, 32);
    bits.put(0, 32);
    bits.bytes
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    riff_chunk(*b"RIFF", &[b"WEBP".to_vec(), chunks.concat()].concat())
}

fn extended(flags: u8, (width, height): (u32, u32)) -> Vec<u8> {
    let mut body = vec![flags, 0, 0, 0];
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    riff_chunk(*b"VP8X", &body)
}

/// A frame at the top left.
fn frame((width, height): (u32, u32), chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 6];
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body.extend([40, 0, 0, 0]);
    riff_chunk(*b"ANMF", &[body, chunks.concat()].concat())
}

/// The bitstream of a lossy WebP of one colour.
fn lossy(width: u32, height: u32) -> Vec<u8> {
    let pixels = vec![90; (width * height * 3) as usize];
    let file = webp::Encoder::from_rgb(&pixels, width, height).encode(50.0);
    assert_eq!(&file[12..16], b"VP8 ");
    file[12..].to_vec()
}

fn is_too_much<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(PictureError::TooLarge(Excess::Bytes)))
}

fn is_broken<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(PictureError::Broken { .. }))
}

#[test]
fn codes_that_would_take_too_much_memory_are_refused() {
    let one = (1, 1);
    let lossless = |sets| riff(&[riff_chunk(*b"VP8L", &codes(sets, true))]);
    assert!(decode(&lossless(3), Format::WebP).is_ok());
    let hidden = |sets| {
        let alpha = [vec![1], codes(sets, false)].concat();
        [riff_chunk(*b"ALPH", &alpha), lossy(1, 1)].concat()
    };
    let still = |sets| riff(&[extended(0x10, one), hidden(sets)]);
    assert!(decode(&still(3), Format::WebP).is_ok());
    let animation = |sets| {
        riff(&[
            extended(0x12, one),
            riff_chunk(*b"ANIM", &[0; 6]),
            frame(one, &[lossy(1, 1)]),
            frame(one, &[hidden(sets)]),
        ])
    };
    let moves = open(&animation(3), Format::WebP).unwrap();
    moves.encode(1, AnimatedEncoding::WebP).unwrap();

    let sets = 65_536;
    assert!(lossless(sets).len() < 2_500_000);
    let limits = Limits {
        max_memory_bytes: 40 << 20,
        ..LIMITS
    };
    for file in [lossless(sets), still(sets), animation(sets)] {
        let decoded = Picture::decode(Cursor::new(&file), Format::WebP, &limits);
        assert!(is_too_much(&decoded));
        let opened = Animation::open(Cursor::new(&file), Format::WebP, &limits);
        assert!(is_too_much(&opened));
    }
}

#[test]
fn a_bitstream_is_as_large_as_the_frame_that_it_stands_for() {
    let (small, large) = ((2, 2), (64, 64));
    let body = |(width, height)| lossy(width, height);
    let still = |canvas, body| riff(&[extended(0, canvas), body]);
    assert!(decode(&still(small, body(small)), Format::WebP).is_ok());
    assert!(is_broken(&decode(&still(small, body(large)), Format::WebP)));
    let animation = |body| {
        let animation = riff_chunk(*b"ANIM", &[0; 6]);
        riff(&[extended(0x02, large), animation, frame(small, &[body])])
    };
    assert!(open(&animation(body(small)), Format::WebP).is_ok());
    assert!(is_broken(&open(&animation(body(large)), Format::WebP)));
}

/// The decoder would look for chunks a little behind the end, and for frames without padding.
#[test]
fn a_webp_is_what_lies_within_its_bounds() {
    let (small, large) = ((2, 2), (64, 64));
    let mut file = riff(&[extended(0, small)]);
    file.extend(lossy(2, 2));
    assert!(decode(&file, Format::WebP).is_err());
    let mut file = riff(&[extended(0, small), lossy(2, 2)]);
    file.extend(lossy(64, 64));
    assert!(decode(&file, Format::WebP).is_ok());

    let chunks = [&frame(small, &[lossy(2, 2)])[8..], &[0]].concat();
    let odd = riff(&[
        extended(0x02, large),
        riff_chunk(*b"ANIM", &[0; 6]),
        riff_chunk(*b"ANMF", &chunks),
    ]);
    assert!(is_broken(&open(&odd, Format::WebP)));
    let still = riff(&[
        extended(0, small),
        lossy(2, 2),
        frame(small, &[lossy(2, 2)]),
    ]);
    assert!(is_broken(&decode(&still, Format::WebP)));
}

/// What libwebp writes without loss: with transforms, colours in a list, and several sets of codes.
#[test]
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is left is noise enough"
)]
fn lossless_pictures_are_weighed_right() {
    type Color = fn(u32, u32, u8) -> [u8; 3];
    let noise = |x: u32, y: u32| (x * 7 + y * 13 + x * y % 31) as u8;
    let pictures: [(u32, u32, Color); 4] = [
        (1, 1, |_, _, _| [7, 8, 9]),
        (300, 200, |x, y, n| [x as u8, y as u8, n]),
        (257, 129, |x, y, n| {
            if x < 90 {
                [n, n, 0]
            } else if y < 60 {
                [9, n, 200]
            } else {
                [0, 0, n / 4]
            }
        }),
        (200, 90, |x, _, n| [(x / 20) as u8 * 20, 0, n & 1]),
    ];
    for (width, height, color) in pictures {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb(color(x, y, noise(x, y))));
        let file = webp::Encoder::from_rgb(&image, width, height).encode_lossless();
        assert_eq!(&file[12..16], b"VP8L");
        let picture = decode(&file, Format::WebP).unwrap();
        let rendered = picture.render(&Shape::Width(width)).unwrap();
        let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
        assert_eq!(DynamicImage::ImageRgba8(shown).into_rgb8(), image);
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

#[test]
fn what_decoding_takes_is_told_before() {
    let weigh = |file: &[u8], format| weigh(Cursor::new(file), format, &LIMITS).unwrap();
    let image = quarters(400, 300);
    let pixels = 400 * 300;
    for (format, written) in [
        (Format::Jpeg, ImageFormat::Jpeg),
        (Format::Png, ImageFormat::Png),
        (Format::WebP, ImageFormat::WebP),
    ] {
        let file = encoded(image.clone(), written);
        let bytes = weigh(&file, format);
        assert!(
            (pixels * 3..pixels * 20).contains(&bytes),
            "{format}: {bytes}"
        );
        let limits = Limits {
            max_memory_bytes: bytes,
            ..LIMITS
        };
        Picture::decode(Cursor::new(&file), format, &limits).unwrap();
    }
    // A canvas, and what is laid on it.
    let bytes = weigh(&moving_gif(), Format::Gif);
    assert!(bytes >= 96 * 64 * 16, "{bytes}");
    // The codes of a lossless one count as well.
    let small = riff(&[riff_chunk(*b"VP8L", &codes(100, true))]);
    assert!(weigh(&small, Format::WebP) > 2_000_000);
}
