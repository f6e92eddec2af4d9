//! What a client says that a file is, by its type and its name. The content decides; what is said can only contradict it.

use serde::{Deserialize, Serialize};

use super::pictures::Format;

/// What came with a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claim {
    /// Its `Content-Type`.
    pub media_type: Option<String>,
    /// Its name at the client's.
    pub file_name: Option<String>,
}

/// What is said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing: it is bytes.
    Nothing,
    /// A picture of one of our formats, or of another.
    Picture(Option<Format>),
    /// Recordings call themselves videos and the other way round.
    Film,
    /// Something that we never take.
    Other,
}

impl Claim {
    /// Whether all that is said fits a picture of this format; none is a video or a recording.
    pub(super) fn fits(&self, picture: Option<Format>) -> bool {
        let said = [
            self.media_type.as_deref().map(by_type),
            self.file_name.as_deref().map(by_name),
        ];
        said.into_iter().flatten().all(|said| match said {
            Said::Nothing => true,
            Said::Picture(format) => picture.is_some() && (format.is_none() || format == picture),
            Said::Film => picture.is_none(),
            Said::Other => false,
        })
    }
}

fn by_type(media_type: &str) -> Said {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match essence.split_once('/') {
        _ if essence.is_empty() => Said::Nothing,
        Some(("image", subtype)) => Said::Picture(match subtype {
            "jpeg" | "jpg" | "pjpeg" | "jfif" => Some(Format::Jpeg),
            "png" | "x-png" | "apng" | "vnd.mozilla.apng" => Some(Format::Png),
            "gif" => Some(Format::Gif),
            "webp" => Some(Format::WebP),
            // Phones turn their own formats into JPEG on the way, and some leave the old type on it.
            _ => None,
        }),
        Some(("video" | "audio", _) | ("application", "mp4" | "ogg")) => Said::Film,
        Some(("application", "octet-stream")) => Said::Nothing,
        _ => Said::Other,
    }
}

/// Endings that we do not know say nothing.
fn by_name(file_name: &str) -> Said {
    let ending = file_name.rsplit_once('.').map(|(_, ending)| ending);
    match ending.unwrap_or_default().to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" | "pjpeg" | "pjp" => Said::Picture(Some(Format::Jpeg)),
        "png" | "apng" => Said::Picture(Some(Format::Png)),
        "gif" => Said::Picture(Some(Format::Gif)),
        "webp" => Said::Picture(Some(Format::WebP)),
        "mp4" | "m4v" | "mov" | "webm" | "mkv" | "ogv" | "avi" | "3gp" | "m4a" | "mp3" | "ogg"
        | "oga" | "opus" | "wav" | "flac" => Said::Film,
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(media_type: &str, file_name: &str, picture: Option<Format>) -> bool {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        let claim = Claim {
            media_type: some(media_type),
            file_name: some(file_name),
        };
        claim.fits(picture)
    }

    #[test]
    fn what_clients_send_fits() {
        let (jpeg, png, film) = (Some(Format::Jpeg), Some(Format::Png), None);
        for (media_type, file_name, picture) in [
            ("-", "-", jpeg),
            ("", "", png),
            ("application/octet-stream", "blob", png),
            ("Application/Octet-Stream; charset=binary", "-", film),
            ("image/jpeg", "IMG_1.JPG", jpeg),
            ("image/jpg", "a.jfif", jpeg),
            ("image/pjpeg", "a.b.jpeg", jpeg),
            ("image/heic", "IMG_1.HEIC", jpeg),
            ("image/apng", "a.png", png),
            ("image/png", "a", png),
            ("image/png", "report.pdf", png),
            ("video/mp4", "voice.m4a", film),
            ("audio/ogg", "film.ogv", film),
        ] {
            assert!(
                fits(media_type, file_name, picture),
                "{media_type} {file_name}"
            );
        }
    }

    #[test]
    fn what_belies_the_content_does_not() {
        let (jpeg, png, film) = (Some(Format::Jpeg), Some(Format::Png), None);
        for (media_type, file_name, picture) in [
            ("image/jpeg", "-", png),
            ("image/png", "a.jpg", png),
            ("application/octet-stream", "a.gif", jpeg),
            ("image/webp", "a.webp", jpeg),
            ("video/mp4", "-", png),
            ("-", "a.mp4", png),
            ("image/gif", "-", film),
            ("video/mp4", "a.png", film),
            ("application/pdf", "-", png),
            ("text/html", "-", film),
            ("nonsense", "-", png),
        ] {
            assert!(
                !fits(media_type, file_name, picture),
                "{media_type} {file_name}"
            );
        }
    }
}
