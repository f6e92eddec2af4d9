//! Whatever comes as a picture is refused, or becomes what is promised: within its limits, of the size that was said, in
//! the form that was asked for, with nothing in it but pixels.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::{Corpus, fuzz_target};
use socialhub::media::pictures::{
    self, AnimatedEncoding, Animation, Crop, Encoding, Excess, Facts, Format, Limits, Picture,
    PictureError, Rendered, Shape,
};
use socialhub_fuzz::{Choices, attempt, peak, prepare};

/// Small, so that many inputs are tried.
const LIMITS: Limits = Limits {
    max_pixels: 16 * 1024,
    max_side: 2_000,
    max_memory_bytes: 24 << 20,
    max_frames: 6,
    max_total_pixels: 48 * 1024,
};

/// What is made of them is as large at most, in more frames never.
const OURS: Limits = Limits {
    max_pixels: 64 * 1024,
    max_side: 16_383,
    max_memory_bytes: 64 << 20,
    max_frames: LIMITS.max_frames,
    max_total_pixels: 1 << 20,
};

fuzz_target!(init: prepare(), |file: &[u8]| -> Corpus { attempt(|| all_of(file)) });

fn all_of(file: &[u8]) -> Corpus {
    let format = pictures::sniff(file);
    assert_eq!(pictures::sniff(&file[..file.len().min(64)]), format);
    let Some(format) = format else {
        return Corpus::Reject;
    };
    let mut choices = Choices::of(file);
    let facts = inspected(file, format);
    if let Some(picture) = decoded(file, format, &facts) {
        summaries(&picture);
        stills(&picture, &mut choices);
    }
    animation(file, format, &facts, &mut choices);
    Corpus::Keep
}

fn inspected(file: &[u8], format: Format) -> Result<Facts, PictureError> {
    let (facts, held) = peak(|| pictures::inspect(Cursor::new(file), format, &LIMITS));
    assert!(
        held <= 64 * 1024 + 3 * file.len(),
        "{held} bytes for the headers"
    );
    match &facts {
        Ok(facts) => {
            assert!(facts.width > 0 && facts.height > 0);
            assert!(facts.width.max(facts.height) <= LIMITS.max_side);
            assert!(pixels(facts.width, facts.height) <= LIMITS.max_pixels);
        }
        Err(error) => is_refusal(error),
    }
    facts
}

/// Refused for what it is, not for a fault of ours.
fn is_refusal(error: &PictureError) {
    match error {
        PictureError::Broken { .. }
        | PictureError::Unsupported { .. }
        | PictureError::TooLarge(_) => {}
        PictureError::Read(_) | PictureError::Encoding(_) => panic!("{error}: {error:?}"),
    }
}

fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// What the decoders may hold beside the file and a fixed number of bytes for each pixel.
fn overhead(format: Format) -> usize {
    match format {
        // A text or profile as it unpacks; a part of the bitstream, as large as it says that it is.
        Format::Png | Format::WebP => 20 << 20,
        Format::Jpeg | Format::Gif => 3 << 20,
    }
}

fn decoded(file: &[u8], format: Format, facts: &Result<Facts, PictureError>) -> Option<Picture> {
    let (picture, held) = peak(|| Picture::decode(Cursor::new(file), format, &LIMITS));
    let most = LIMITS.max_pixels as usize * 16 + 3 * file.len() + overhead(format);
    assert!(held <= most, "{format}: {held} bytes to decode");
    match (picture, facts) {
        (Ok(picture), Ok(facts)) => {
            assert_eq!(
                (picture.width(), picture.height()),
                (facts.width, facts.height)
            );
            Some(picture)
        }
        // One frame may be shown though all of them are too much.
        (Ok(picture), Err(PictureError::TooLarge(Excess::Frames | Excess::TotalPixels))) => {
            assert!(pixels(picture.width(), picture.height()) <= LIMITS.max_pixels);
            Some(picture)
        }
        (Ok(_), Err(error)) => panic!("decoded in spite of its headers: {error}"),
        (Err(error), _) => {
            is_refusal(&error);
            None
        }
    }
}

fn summaries(picture: &Picture) {
    let hash = picture.thumbhash();
    assert!((5..=40).contains(&hash.len()), "{} bytes", hash.len());
    let (width, height, shown) = thumbhash::thumb_hash_to_rgba(&hash).expect("a thumbhash");
    assert!((1..=32).contains(&width) && (1..=32).contains(&height));
    assert_eq!(shown.len(), width * height * 4);
    picture.dominant_color();
}

fn stills(picture: &Picture, choices: &mut Choices) {
    let (own_width, own_height) = (picture.width(), picture.height());
    let render = |shape: Shape| {
        let rendered = picture
            .render(&shape)
            .unwrap_or_else(|error| panic!("{shape:?}: {error:?}"));
        assert!(rendered.width() > 0 && rendered.height() > 0);
        assert_eq!(rendered.has_alpha(), picture.has_alpha());
        // Never larger than it was.
        assert!(
            rendered.width() <= own_width && rendered.height() <= own_height,
            "{shape:?} of {own_width}x{own_height}: {}x{}",
            rendered.width(),
            rendered.height()
        );
        rendered
    };

    let whole = render(Shape::Width(u32::MAX));
    assert_eq!((whole.width(), whole.height()), (own_width, own_height));
    for encoding in [Encoding::WebP, Encoding::Jpeg, Encoding::Png] {
        encoded(&whole, encoding);
    }

    let encodings = [Encoding::WebP, Encoding::Jpeg, Encoding::Png];
    let width = choices.length(300);
    let narrow = render(Shape::Width(width));
    assert_eq!(narrow.width(), width.clamp(1, own_width));
    encoded(&narrow, choices.one_of(&encodings));

    let side = choices.length(300);
    let crop = (choices.next() % 2 == 0).then(|| Crop {
        x: choices.length(own_width),
        y: choices.length(own_height),
        width: choices.length(own_width),
        height: choices.length(own_height),
    });
    let square = render(Shape::Square { side, crop });
    assert_eq!(square.width(), square.height());
    assert!(square.width() <= side.max(1));
    encoded(&square, choices.one_of(&encodings));

    let (width, height) = (choices.length(300), choices.length(300));
    let places = [-1.0, -0.3, 0.0, 0.5, 1.0, 7.0, f32::NAN, f32::NEG_INFINITY];
    let focus = (choices.one_of(&places), choices.one_of(&places));
    let cover = render(Shape::Cover {
        width,
        height,
        focus,
    });
    assert!(cover.width() <= width.max(1) && cover.height() <= height.max(1));
    encoded(&cover, choices.one_of(&encodings));

    let mut wanted = [(); 4].map(|()| choices.length(300));
    let rendered = picture.render_widths(&wanted).expect("several widths");
    wanted = wanted.map(|width| width.clamp(1, own_width));
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    let (mut widths, mut heights) = (wanted.to_vec(), Vec::new());
    widths.dedup();
    for rendered in &rendered {
        let alone = picture
            .render(&Shape::Width(rendered.width()))
            .expect("one width");
        heights.push((rendered.height(), alone.height()));
    }
    assert!(rendered.iter().map(Rendered::width).eq(widths));
    assert!(heights.iter().all(|(together, alone)| together == alone));
}

/// Encoded, it is what it says, of the same size, whole, and bare.
fn encoded(rendered: &Rendered, encoding: Encoding) {
    let file = rendered
        .encode(encoding)
        .expect("what was rendered can be encoded");
    let format = match encoding {
        Encoding::WebP => Format::WebP,
        Encoding::Jpeg => Format::Jpeg,
        Encoding::Png => Format::Png,
    };
    assert_eq!(pictures::sniff(&file), Some(format));
    bare::check(&file, format);
    let facts = pictures::inspect(Cursor::new(&file), format, &OURS).expect("our own headers");
    assert_eq!(
        (facts.width, facts.height),
        (rendered.width(), rendered.height())
    );
    assert!(!facts.is_animated);
    let again = Picture::decode(Cursor::new(&file), format, &OURS).expect("our own picture");
    assert_eq!(
        (again.width(), again.height()),
        (rendered.width(), rendered.height())
    );
    assert!(rendered.has_alpha() || !again.has_alpha());
    assert!(!(encoding == Encoding::Jpeg && again.has_alpha()));
}

fn animation(
    file: &[u8],
    format: Format,
    facts: &Result<Facts, PictureError>,
    choices: &mut Choices,
) {
    let animation = match Animation::open(Cursor::new(file), format, &LIMITS) {
        Ok(animation) => animation,
        Err(error) => return is_refusal(&error),
    };
    let facts = facts
        .as_ref()
        .expect("headers that were fit for an animation");
    assert_eq!(
        (animation.width(), animation.height()),
        (facts.width, facts.height)
    );
    assert_eq!(animation.frames() > 1, facts.is_animated);
    assert!((1..=LIMITS.max_frames).contains(&animation.frames()));
    let targets = [
        (choices.length(200), AnimatedEncoding::WebP),
        (choices.length(200), AnimatedEncoding::Gif),
    ];
    let files = match animation.encode_all(&targets) {
        Ok(files) => files,
        Err(error) => return is_refusal(&error),
    };
    assert_eq!(files.len(), targets.len());
    for (made, (width, encoding)) in files.iter().zip(targets) {
        let format = match encoding {
            AnimatedEncoding::WebP => Format::WebP,
            AnimatedEncoding::Gif => Format::Gif,
        };
        assert_eq!(pictures::sniff(made), Some(format));
        bare::check(made, format);
        let again = Animation::open(Cursor::new(made), format, &OURS).expect("our own animation");
        assert_eq!(again.frames(), animation.frames());
        assert_eq!(again.width(), width.clamp(1, facts.width));
        assert!(again.height() <= facts.height);
        // Every frame can be decoded.
        again.encode(8, encoding).expect("our own frames");
    }
}

/// Whether there is nothing in a file but what it takes to show pixels: no text, no place, no profile.
mod bare {
    use super::Format;

    pub(crate) fn check(file: &[u8], format: Format) {
        let is_bare = match format {
            Format::Jpeg => jpeg(file),
            Format::Png => png(file),
            Format::Gif => gif(file),
            Format::WebP => webp(file),
        };
        assert_eq!(is_bare, Some(()), "{format}: {}", file.escape_ascii());
    }

    fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(taken)
    }

    fn known(is_known: bool) -> Option<()> {
        is_known.then_some(())
    }

    fn jpeg(mut rest: &[u8]) -> Option<()> {
        known(take(&mut rest, 2)? == [0xFF, 0xD8])?;
        loop {
            let [0xFF, marker] = *take(&mut rest, 2)? else {
                return None;
            };
            if marker == 0xD9 {
                return known(rest.is_empty());
            }
            let length = take(&mut rest, 2)?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let body = take(&mut rest, length.checked_sub(2)?)?;
            match marker {
                // Two numbers, and a preview that is not there.
                0xE0 => known(body.starts_with(b"JFIF\0") && body.len() == 14)?,
                0xDB | 0xC4 | 0xC0 | 0xC2 | 0xDD => {}
                0xDA => {
                    let scan = rest.windows(2).position(|two| {
                        two[0] == 0xFF && two[1] != 0 && !(0xD0..=0xD7).contains(&two[1])
                    });
                    take(&mut rest, scan?)?;
                }
                _ => return None,
            }
        }
    }

    fn png(mut rest: &[u8]) -> Option<()> {
        known(take(&mut rest, 8)? == b"\x89PNG\r\n\x1A\n")?;
        let mut kind: &[u8] = b"";
        while !rest.is_empty() {
            let length = u32::from_be_bytes(*take(&mut rest, 4)?.first_chunk()?);
            kind = take(&mut rest, 4)?;
            known([&b"IHDR"[..], b"IDAT", b"IEND"].contains(&kind))?;
            take(&mut rest, usize::try_from(length).ok()? + 4)?;
        }
        known(kind == b"IEND")
    }

    fn gif(mut rest: &[u8]) -> Option<()> {
        known(take(&mut rest, 6)? == b"GIF89a")?;
        palette(&mut rest, 4, 2)?;
        loop {
            match take(&mut rest, 1)? {
                [0x3B] => return known(rest.is_empty()),
                [0x2C] => {
                    palette(&mut rest, 8, 0)?;
                    take(&mut rest, 1)?;
                }
                [0x21] => match take(&mut rest, 2)? {
                    [0xF9, 4] => {
                        take(&mut rest, 4)?;
                    }
                    [0xFF, 11] => known(take(&mut rest, 11)? == b"NETSCAPE2.0")?,
                    _ => return None,
                },
                _ => return None,
            }
            loop {
                match usize::from(take(&mut rest, 1)?[0]) {
                    0 => break,
                    length => take(&mut rest, length)?,
                };
            }
        }
    }

    /// Passes over some bytes, flags, some more bytes, and the palette that the flags announce.
    fn palette(rest: &mut &[u8], before: usize, after: usize) -> Option<()> {
        take(rest, before)?;
        let flags = take(rest, 1)?[0];
        take(rest, after)?;
        if flags & 0x80 != 0 {
            take(rest, 3 << ((flags & 7) + 1))?;
        }
        Some(())
    }

    fn webp(mut rest: &[u8]) -> Option<()> {
        let (kind, mut body) = chunk(&mut rest)?;
        known(kind == *b"RIFF" && rest.is_empty() && take(&mut body, 4)? == b"WEBP")?;
        while !body.is_empty() {
            let (kind, mut inside) = chunk(&mut body)?;
            match &kind {
                b"VP8 " | b"ALPH" | b"ANIM" => {}
                // No flag of a profile, EXIF or XMP.
                b"VP8X" => known(inside.len() == 10 && inside[0] & 0x2C == 0)?,
                b"ANMF" => {
                    take(&mut inside, 16)?;
                    while !inside.is_empty() {
                        let (kind, _) = chunk(&mut inside)?;
                        known(matches!(&kind, b"VP8 " | b"ALPH"))?;
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn chunk<'a>(rest: &mut &'a [u8]) -> Option<([u8; 4], &'a [u8])> {
        let kind = *take(rest, 4)?.first_chunk()?;
        let length = u32::from_le_bytes(*take(rest, 4)?.first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let body = take(rest, length)?;
        take(rest, length % 2)?;
        Some((kind, body))
    }
}
