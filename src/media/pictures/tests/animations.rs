//! What moves.

use image::AnimationDecoder;
use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
use image::metadata::LoopCount;

use super::*;

/// All frames with their durations in milliseconds.
fn frames(file: &[u8]) -> Vec<(RgbaImage, u32)> {
    let file = Cursor::new(file);
    let frames = if sniff(file.get_ref()) == Some(Format::Gif) {
        GifDecoder::new(file).unwrap().into_frames()
    } else {
        let mut decoder = WebPDecoder::new(file).unwrap();
        decoder.set_background_color(image::Rgba([0; 4])).unwrap();
        decoder.into_frames()
    };
    frames
        .map(|frame| {
            let frame = frame.unwrap();
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            (frame.into_buffer(), numerator / denominator)
        })
        .collect()
}

/// What the file says of loops, in its format's own way of counting; 0 is for ever.
fn loops(file: &[u8]) -> u32 {
    let loops = if sniff(file) == Some(Format::Gif) {
        GifDecoder::new(Cursor::new(file)).unwrap().loop_count()
    } else {
        WebPDecoder::new(Cursor::new(file)).unwrap().loop_count()
    };
    match loops {
        LoopCount::Infinite => 0,
        LoopCount::Finite(count) => count.get(),
    }
}

#[test]
fn frames_and_durations_are_kept() {
    for (format, file) in [(Format::Gif, moving_gif()), (Format::WebP, moving_webp())] {
        let facts = inspected(&file, format).unwrap();
        assert!(facts.is_animated);
        assert_eq!((facts.width, facts.height), (96, 64));
        let animation = open(&file, format).unwrap();
        assert_eq!(animation.frames(), 8);
        for encoding in [AnimatedEncoding::WebP, AnimatedEncoding::Gif] {
            let served = animation.encode(48, encoding).unwrap();
            let frames = frames(&served);
            let durations: Vec<u32> = frames.iter().map(|(_, duration)| *duration).collect();
            assert_eq!(durations, [70, 80, 90, 100, 110, 120, 130, 140]);
            for (number, (frame, _)) in (0..).zip(&frames) {
                assert_eq!(frame.dimensions(), (48, 32));
                assert!(
                    is_near(rgb(*frame.get_pixel(number * 6 + 3, 16)), RED, 60),
                    "{format} as {encoding:?}, frame {number}"
                );
                assert!(is_near(rgb(*frame.get_pixel(3, 3)), BLUE, 40));
                if number > 0 {
                    assert!(is_near(rgb(*frame.get_pixel(3, 16)), BLUE, 60));
                }
            }
        }
    }
}

#[test]
fn an_animation_is_played_as_often_as_before() {
    let repeats = |repeat: Option<::gif::Repeat>| {
        let mut encoder = ::gif::Encoder::new(Vec::new(), 2, 2, &[1, 2, 3, 4, 5, 6]).unwrap();
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).unwrap();
        }
        for shade in [0, 1] {
            let frame = ::gif::Frame {
                width: 2,
                height: 2,
                buffer: vec![shade; 4].into(),
                ..::gif::Frame::default()
            };
            encoder.write_frame(&frame).unwrap();
        }
        encoder.into_inner().unwrap()
    };
    for (repeat, plays_as_webp) in [
        (None, 1),
        (Some(::gif::Repeat::Infinite), 0),
        (Some(::gif::Repeat::Finite(3)), 4),
    ] {
        let file = repeats(repeat);
        let animation = open(&file, Format::Gif).unwrap();
        let gif = animation.encode(2, AnimatedEncoding::Gif).unwrap();
        assert_eq!(loops(&gif), loops(&file));
        let webp = animation.encode(2, AnimatedEncoding::WebP).unwrap();
        assert_eq!(loops(&webp), plays_as_webp);
        let again = open(&webp, Format::WebP)
            .unwrap()
            .encode(2, AnimatedEncoding::Gif)
            .unwrap();
        assert_eq!(loops(&again), loops(&file));
    }
}

/// Each frame is cleared before the next.
fn hopping_gif() -> Vec<u8> {
    let mut encoder = ::gif::Encoder::new(Vec::new(), 40, 40, &[]).unwrap();
    for number in 0..4_u16 {
        let mut pixels = [200, 30, 30, 255].repeat(100);
        let mut frame = ::gif::Frame::from_rgba_speed(10, 10, &mut pixels, 10);
        frame.left = number * 10;
        frame.top = 11;
        frame.delay = 5;
        frame.dispose = ::gif::DisposalMethod::Background;
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

#[test]
fn what_vanishes_from_a_transparent_animation_is_gone() {
    let gif = hopping_gif();
    let webp = open(&gif, Format::Gif)
        .unwrap()
        .encode(40, AnimatedEncoding::WebP)
        .unwrap();
    for (format, file) in [(Format::Gif, gif), (Format::WebP, webp)] {
        let animation = open(&file, format).unwrap();
        let targets = [(40, AnimatedEncoding::WebP), (40, AnimatedEncoding::Gif)];
        for served in animation.encode_all(&targets).unwrap() {
            let frames = frames(&served);
            assert_eq!(frames.len(), 4);
            for (number, (frame, _)) in (0..).zip(frames) {
                for (x, y, pixel) in frame.enumerate_pixels() {
                    let is_block = x / 10 == number && (11..21).contains(&y);
                    let alpha = pixel.0[3];
                    assert_eq!(alpha, if is_block { 255 } else { 0 }, "{number}: {x}, {y}");
                }
            }
        }
    }
}

#[test]
fn a_still_of_an_animation_is_its_first_frame() {
    for (format, file) in [(Format::Gif, moving_gif()), (Format::WebP, moving_webp())] {
        let picture = decode(&file, format).unwrap();
        assert!(!picture.has_alpha());
        let rendered = picture.render(&Shape::Width(96)).unwrap();
        let shown = pixels(&rendered.encode(Encoding::Png).unwrap());
        assert!(is_near(rgb(*shown.get_pixel(6, 32)), RED, 40), "{format}");
        assert!(is_near(rgb(*shown.get_pixel(60, 32)), BLUE, 40), "{format}");
    }
}

#[test]
fn what_does_not_move_stores_next_to_nothing() {
    let one = moving_webp().len();
    let noise = RgbaImage::from_fn(200, 200, |x, y| {
        let [r, g, b, _] = (x * 7919 + y * 104_729)
            .wrapping_mul(2_654_435_761)
            .to_le_bytes();
        image::Rgba([r, g, b, 255])
    });
    let still = |frames: u32| {
        let mut encoder = ::gif::Encoder::new(Vec::new(), 200, 200, &[]).unwrap();
        for _ in 0..frames {
            let mut pixels = noise.clone().into_raw();
            let frame = ::gif::Frame::from_rgba_speed(200, 200, &mut pixels, 30);
            encoder.write_frame(&frame).unwrap();
        }
        let file = encoder.into_inner().unwrap();
        let targets = [(200, AnimatedEncoding::WebP), (200, AnimatedEncoding::Gif)];
        open(&file, Format::Gif)
            .unwrap()
            .encode_all(&targets)
            .unwrap()
    };
    for (one, ten) in still(1).iter().zip(still(10)) {
        assert!(
            ten.len() < one.len() + 2_000,
            "{} and {}",
            one.len(),
            ten.len()
        );
    }
    assert!(one < moving_gif().len() * 2);
}

#[test]
fn odd_durations_add_up() {
    // A WebP of 33 ms a frame, in hundredths: 3, 4, 3, 3, 4 ...
    let mut webp = moving_webp();
    let mut at = 0;
    while let Some(found) = webp[at..].windows(4).position(|window| window == b"ANMF") {
        at += found + 20;
        webp[at..at + 3].copy_from_slice(&[33, 0, 0]);
    }
    let gif = open(&webp, Format::WebP)
        .unwrap()
        .encode(48, AnimatedEncoding::Gif)
        .unwrap();
    let durations: Vec<u32> = frames(&gif).iter().map(|(_, duration)| *duration).collect();
    assert_eq!(durations.iter().sum::<u32>(), 260);
    assert!(durations.iter().all(|duration| [30, 40].contains(duration)));
}

#[test]
fn animations_over_a_limit_are_refused() {
    let file = moving_gif();
    let with = |limits: Limits| {
        let inspected = inspect(Cursor::new(&file), Format::Gif, &limits).map(|_| ());
        let opened = Animation::open(Cursor::new(&file), Format::Gif, &limits).map(|_| ());
        assert_eq!(inspected.is_ok(), opened.is_ok());
        opened
    };
    assert!(with(LIMITS).is_ok());
    assert!(matches!(
        with(Limits {
            max_frames: 7,
            ..LIMITS
        }),
        Err(PictureError::TooLarge(Excess::Frames))
    ));
    assert!(matches!(
        with(Limits {
            max_total_pixels: 8 * 96 * 64 - 1,
            ..LIMITS
        }),
        Err(PictureError::TooLarge(Excess::TotalPixels))
    ));
    assert!(matches!(
        with(Limits {
            max_side: 95,
            ..LIMITS
        }),
        Err(PictureError::TooLarge(Excess::PixelsAlongASide))
    ));
}

#[test]
fn an_animation_carries_no_metadata() {
    let block = exif(6);
    let webp = moving_webp();
    // Behind the frames, as its own chunk; the flag says so.
    let mut body = webp[8..].to_vec();
    body[12] |= 0x08;
    body.extend(riff_chunk(*b"EXIF", &block));
    let file = riff_chunk(*b"RIFF", &body);
    let animation = open(&file, Format::WebP).unwrap();
    // It lay on its side.
    assert_eq!((animation.width(), animation.height()), (64, 96));
    for encoding in [AnimatedEncoding::WebP, AnimatedEncoding::Gif] {
        let served = animation.encode(64, encoding).unwrap();
        assert!(!contains(&served, SECRET) && !contains(&served, b"EXIF"));
        assert_eq!(frames(&served)[0].0.dimensions(), (64, 96));
    }
}

#[test]
fn only_what_can_move_is_an_animation() {
    for (format, file) in one_of_each(16, 16) {
        let opened = open(&file, format);
        if matches!(format, Format::Jpeg | Format::Png) {
            assert!(matches!(opened, Err(PictureError::Unsupported { .. })));
        } else {
            let animation = opened.unwrap();
            assert_eq!(animation.frames(), 1);
            let served = animation.encode(8, AnimatedEncoding::WebP).unwrap();
            assert_eq!(frames(&served).len(), 1);
        }
    }
}
