//! Pictures that move, at other sizes, with the pace that they had.
//!
//! One frame at a time is decoded, resized and encoded: what an animation takes grows with its size, not its length.

use std::io::{BufRead, Cursor, Seek};

use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, Rgba};

use super::color::ToSrgb;
use super::decode::{fault, guarded, read_all};
use super::headers::{Header, is_turned};
use super::picture::{MAX_RENDERED_SIDE, scaled};
use super::raster::{Channels, Raster, Region};
use super::{Format, Limits, PictureError, Result, broken};

mod changes;
mod gif;
mod webp;

/// A GIF or WebP file of any number of frames, checked but not yet decoded.
pub struct Animation {
    file: Vec<u8>,
    header: Header,
}

/// How an animation is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnimatedEncoding {
    /// Lossy; keeps transparency.
    WebP,
    /// 256 colours a frame; a pixel is transparent or it is not.
    Gif,
}

/// An animation on its way into a file.
trait Track {
    /// Adds a frame of the size that the track was begun with, in four channels.
    fn push(&mut self, frame: Raster, duration_ms: u32) -> Result<()>;

    fn finish(self: Box<Self>) -> Result<Vec<u8>>;
}

impl Animation {
    /// Reads a file from its start, and refuses one that is over the limits or has lost its end. Damage in its midst shows
    /// only as it is encoded.
    pub fn open(mut reader: impl BufRead + Seek, format: Format, limits: &Limits) -> Result<Self> {
        if !matches!(format, Format::Gif | Format::WebP) {
            return Err(PictureError::Unsupported {
                format,
                source: "only GIF and WebP move".into(),
            });
        }
        let header = Header::read(&mut reader, format)?;
        header.check(limits)?;
        header.check_animation(limits)?;
        let file = read_all(reader, &header)?;
        header.check_file(&file, limits)?;
        Ok(Self { file, header })
    }

    /// As shown, that is upright.
    pub fn width(&self) -> u32 {
        self.header.shown_size().0
    }

    /// As shown, that is upright.
    pub fn height(&self) -> u32 {
        self.header.shown_size().1
    }

    pub fn frames(&self) -> u32 {
        self.header.frames
    }

    /// The animation at this width, or its own if that is less.
    pub fn encode(&self, width: u32, encoding: AnimatedEncoding) -> Result<Vec<u8>> {
        let mut files = self.encode_all(&[(width, encoding)])?;
        files
            .pop()
            .ok_or_else(|| super::encoding("no file for a target"))
    }

    /// Several files in the order asked for, from decoding once.
    pub fn encode_all(&self, targets: &[(u32, AnimatedEncoding)]) -> Result<Vec<Vec<u8>>> {
        let mut tracks = Vec::with_capacity(targets.len());
        for (width, encoding) in targets {
            let (width, height) = self.size_at(*width);
            let plays = self.header.plays;
            let track: Box<dyn Track> = match encoding {
                AnimatedEncoding::WebP => Box::new(webp::Track::new(width, height, plays)),
                AnimatedEncoding::Gif => Box::new(gif::Track::new(width, height, plays)?),
            };
            tracks.push((width, height, track));
        }
        let format = self.header.format;
        let (mut frames, to_srgb) = guarded(format, || self.frames_in_order())?;
        let mut count = 0;
        while let Some(frame) = guarded(format, || Ok(frames.next()))? {
            let frame = frame.map_err(|error| fault(format, error))?;
            count += 1;
            if count > self.header.frames {
                return Err(broken(format));
            }
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            let duration_ms = numerator / denominator.max(1);
            let image = frame.into_buffer();
            let canvas = Raster {
                width: image.width(),
                height: image.height(),
                channels: Channels::Rgba,
                pixels: image.into_raw(),
            };
            for (width, height, track) in &mut tracks {
                let resized = self.resized(&canvas, *width, *height, to_srgb.as_ref())?;
                track.push(resized, duration_ms)?;
            }
        }
        if count < self.header.frames {
            return Err(broken(format));
        }
        tracks
            .into_iter()
            .map(|(_, _, track)| track.finish())
            .collect()
    }

    /// All frames as they are to be seen, laid over those before them.
    fn frames_in_order(&self) -> Result<(Frames<'_>, Option<ToSrgb>)> {
        let fault = |error| fault(self.header.format, error);
        let file = Cursor::new(&*self.file);
        if self.header.format == Format::Gif {
            let mut decoder = GifDecoder::new(file).map_err(fault)?;
            let to_srgb = self.prepare(&mut decoder)?;
            return Ok((decoder.into_frames(), to_srgb));
        }
        let mut decoder = WebPDecoder::new(file).map_err(fault)?;
        if !decoder.has_animation() {
            let to_srgb = self.prepare(&mut decoder)?;
            let image = DynamicImage::from_decoder(decoder).map_err(fault)?;
            let frame = Ok(image::Frame::new(image.into_rgba8()));
            return Ok((Frames::new(Box::new(std::iter::once(frame))), to_srgb));
        }
        // Without a colour to clear with, the decoder clears nothing. Browsers clear to transparency, whatever the file
        // names as its background.
        decoder.set_background_color(Rgba([0; 4])).map_err(fault)?;
        let to_srgb = self.prepare(&mut decoder)?;
        Ok((decoder.into_frames(), to_srgb))
    }

    fn prepare(&self, decoder: &mut impl ImageDecoder) -> Result<Option<ToSrgb>> {
        if decoder.dimensions() != (self.header.width, self.header.height) {
            return Err(broken(self.header.format));
        }
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(self.header.canvas_limit_bytes());
        decoder
            .set_limits(limits)
            .map_err(|error| fault(self.header.format, error))?;
        let profile = decoder.icc_profile().unwrap_or_default();
        Ok(profile.and_then(|profile| ToSrgb::from_profile(&profile, Channels::Rgba, false)))
    }

    fn resized(
        &self,
        canvas: &Raster,
        width: u32,
        height: u32,
        to_srgb: Option<&ToSrgb>,
    ) -> Result<Raster> {
        let orientation = self.header.orientation;
        let (width, height) = if is_turned(orientation) {
            (height, width)
        } else {
            (width, height)
        };
        let whole = Region::whole(canvas.width, canvas.height);
        let mut frame = canvas.resized(whole, width, height)?;
        if let Some(to_srgb) = to_srgb {
            to_srgb.apply(&mut frame);
        }
        frame.oriented(orientation)
    }

    fn size_at(&self, width: u32) -> (u32, u32) {
        let (own_width, own_height) = self.header.shown_size();
        let width = width.clamp(1, own_width.min(MAX_RENDERED_SIDE));
        let height = scaled(own_height, width, own_width);
        if height > MAX_RENDERED_SIDE {
            return (
                scaled(own_width, MAX_RENDERED_SIDE, own_height),
                MAX_RENDERED_SIDE,
            );
        }
        (width, height)
    }
}
