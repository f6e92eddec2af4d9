//! How several packets stand in the body of one request or answer of long polling. Revision 4 puts a separator between
//! them, revision 3 a length before each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Revision;
use super::session::Frame;

/// Between two packets, in revision 4.
const SEPARATOR: char = '\u{1e}';

/// What a body was that is no list of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A body to answer with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) body: Bytes,
    pub(super) is_binary: bool,
}

/// Writes packets. Binary messages become text unless revision 3 may send them as they are.
pub(super) fn encode(frames: &[Frame], revision: Revision, wants_base64: bool) -> Payload {
    let has_binary = frames.iter().any(|frame| matches!(frame, Frame::Binary(_)));
    match revision {
        Revision::Four => {
            let texts: Vec<String> = frames.iter().map(|frame| as_text(frame, "b")).collect();
            Payload {
                body: texts.join(&SEPARATOR.to_string()).into(),
                is_binary: false,
            }
        }
        Revision::Three if has_binary && !wants_base64 => Payload {
            body: frames
                .iter()
                .fold(BytesMut::new(), with_binary_length)
                .freeze(),
            is_binary: true,
        },
        Revision::Three => {
            let mut body = String::new();
            for frame in frames {
                let text = as_text(frame, "b4");
                // Counted as JavaScript counts.
                body.push_str(&text.encode_utf16().count().to_string());
                body.push(':');
                body.push_str(&text);
            }
            Payload {
                body: body.into(),
                is_binary: false,
            }
        }
    }
}

fn as_text(frame: &Frame, binary: &str) -> String {
    match frame {
        Frame::Text(text) => text.as_str().to_owned(),
        Frame::Binary(bytes) => format!("{binary}{}", STANDARD.encode(bytes)),
    }
}

/// Revision 3: 0 for text or 1 for binary, the length in decimal digits, each a byte, 255, and the packet.
fn with_binary_length(mut body: BytesMut, frame: &Frame) -> BytesMut {
    let (kind, length, start): (u8, usize, &[u8]) = match frame {
        Frame::Text(text) => (0, text.len(), &[]),
        // A message, by its kind.
        Frame::Binary(bytes) => (1, bytes.len() + 1, &[4]),
    };
    body.put_u8(kind);
    for digit in length.to_string().bytes() {
        body.put_u8(digit - b'0');
    }
    body.put_u8(255);
    body.extend_from_slice(start);
    match frame {
        Frame::Text(text) => body.extend_from_slice(text.as_bytes()),
        Frame::Binary(bytes) => body.extend_from_slice(bytes),
    }
    body
}

/// Reads packets.
pub(super) fn decode(
    body: &Bytes,
    revision: Revision,
    is_binary: bool,
) -> Result<Vec<Frame>, Malformed> {
    if revision == Revision::Three && is_binary {
        return decode_binary(body);
    }
    let text = std::str::from_utf8(body).map_err(|_not_text| Malformed)?;
    match revision {
        Revision::Four => text
            .split(SEPARATOR)
            .map(|one| from_text(one, "b"))
            .collect(),
        Revision::Three => decode_lengths(text),
    }
}

fn from_text(text: &str, binary: &str) -> Result<Frame, Malformed> {
    if let Some(encoded) = text.strip_prefix(binary) {
        let bytes = STANDARD.decode(encoded).map_err(|_no_base64| Malformed)?;
        return Ok(Frame::Binary(bytes.into()));
    }
    Ok(Frame::Text(Utf8Bytes::from(text)))
}

fn decode_lengths(mut text: &str) -> Result<Vec<Frame>, Malformed> {
    let mut frames = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once(':').ok_or(Malformed)?;
        let length: usize = length.parse().map_err(|_no_number| Malformed)?;
        // As JavaScript counts, again.
        let (mut units, mut end) = (0, 0);
        for c in rest.chars() {
            if units >= length {
                break;
            }
            units += c.len_utf16();
            end += c.len_utf8();
        }
        if units != length {
            return Err(Malformed);
        }
        let (packet, rest) = rest.split_at(end);
        frames.push(from_text(packet, "b4")?);
        text = rest;
    }
    Ok(frames)
}

fn decode_binary(body: &Bytes) -> Result<Vec<Frame>, Malformed> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let is_text = match body.get(at) {
            Some(0) => true,
            Some(1) => false,
            _ => return Err(Malformed),
        };
        let digits = body.get(at + 1..).ok_or(Malformed)?;
        let count = digits
            .iter()
            .take(10)
            .position(|b| *b == 255)
            .ok_or(Malformed)?;
        let length = digits
            .iter()
            .take(count)
            .try_fold(0_usize, |length, digit| {
                (*digit < 10).then(|| length * 10 + usize::from(*digit))
            });
        let start = at + 1 + count + 1;
        let end = start
            .checked_add(length.ok_or(Malformed)?)
            .ok_or(Malformed)?;
        if end > body.len() || end == start {
            return Err(Malformed);
        }
        let packet = body.slice(start..end);
        frames.push(if is_text {
            let text = Utf8Bytes::try_from(packet).map_err(|_not_text| Malformed)?;
            Frame::Text(text)
        } else if packet.first() == Some(&4) {
            Frame::Binary(packet.slice(1..))
        } else {
            return Err(Malformed);
        });
        at = end;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Frame {
        Frame::Text(text.into())
    }

    #[test]
    fn revision_4_is_written_as_the_protocol_has_it() {
        let frames = [
            text("4hello"),
            Frame::Binary(Bytes::from_static(&[1, 2, 3, 4])),
        ];
        let payload = encode(&frames, Revision::Four, false);
        assert_eq!(payload.body, "4hello\u{1e}bAQIDBA==");
    }

    #[test]
    fn revision_3_is_written_as_the_protocol_has_it() {
        let payload = encode(&[text("4€"), text("4hello")], Revision::Three, false);
        assert_eq!(payload.body, "2:4€6:4hello");
        let frames = [text("4€"), Frame::Binary(Bytes::from_static(&[1, 2, 3, 4]))];
        let payload = encode(&frames, Revision::Three, true);
        assert_eq!(payload.body, "2:4€10:b4AQIDBA==");
        let payload = encode(&frames, Revision::Three, false);
        assert!(payload.is_binary);
        let wanted: &[u8] = &[0, 4, 255, b'4', 0xe2, 0x82, 0xac, 1, 5, 255, 4, 1, 2, 3, 4];
        assert_eq!(payload.body, wanted);
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        let refused = |body: &'static [u8], revision, is_binary| {
            decode(&Bytes::from_static(body), revision, is_binary).is_err()
        };
        assert!(refused(b"bno base64", Revision::Four, false));
        assert!(refused(b"\xff", Revision::Four, false));
        assert!(refused(b"5:4a", Revision::Three, false));
        assert!(refused(b"x:4a", Revision::Three, false));
        assert!(refused(&[1, 9, 255, 4], Revision::Three, true));
        assert!(refused(&[1, 1, 1, 1], Revision::Three, true));
        assert!(refused(&[2, 1, 255, 4], Revision::Three, true));
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(
            parts in prop::collection::vec(
                prop_oneof![
                    "4[^\u{1e}]{0,20}".prop_map(|one| text(&one)),
                    prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Frame::Binary(bytes.into())),
                ],
                1..6,
            ),
            wants_base64: bool,
            is_three: bool,
        ) {
            let revision = if is_three { Revision::Three } else { Revision::Four };
            let payload = encode(&parts, revision, wants_base64);
            prop_assert_eq!(decode(&payload.body, revision, payload.is_binary), Ok(parts));
        }

        #[test]
        fn no_bytes_make_decode_panic(bytes: Vec<u8>, is_three: bool, is_binary: bool) {
            let revision = if is_three { Revision::Three } else { Revision::Four };
            decode(&bytes.into(), revision, is_binary).ok();
        }
    }
}
