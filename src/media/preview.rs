//! A picture in small, for parts of the server that look at it rather than serve it.

use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::serving::Content;
use super::variants::{Form, Size, Variant, WIDTHS};
use super::{Kind, Media};
use crate::actor::Actor;
use crate::error::{Code, Error, Result};
use crate::id::MediaId;
use crate::tasks;

/// The largest file that is read, in bytes: several times what a JPEG of this width takes.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

impl Media {
    /// One of one's own pictures as a JPEG of 640 pixels in width at most; of one that moves, the first frame.
    ///
    /// Errors: `media_not_found`, also for other people's; `invalid_fields` where it is no picture; those of making it.
    pub async fn preview(&self, actor: &Actor, id: MediaId) -> Result<Bytes> {
        if self.get(actor, id).await?.kind != Kind::Image {
            return Err(Error::invalid_field(
                "mediaId",
                "not_a_picture",
                "mediaId is not the id of a picture.",
            ));
        }
        let file = self.find_file(id).await?;
        let variant = Variant {
            size: Size::Width(WIDTHS[1]),
            form: Form::Jpeg,
        };
        let name = variant.file_name(file.focus);
        read(self.open_picture(&file, variant, &name).await?).await
    }
}

async fn read(content: Content) -> Result<Bytes> {
    let size_bytes = match &content {
        Content::Memory(bytes) => return Ok(bytes.clone()),
        Content::File { size_bytes, .. } => *size_bytes,
        Content::Object(object) => object.size_bytes(),
    };
    if size_bytes > MAX_BYTES {
        return Err(Error::new(Code::FileTooLarge));
    }
    match content {
        Content::Memory(bytes) => Ok(bytes),
        Content::File { file, .. } => {
            let length = usize::try_from(size_bytes).map_err(Error::internal)?;
            tasks::blocking(move || {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, 0).map_err(Error::internal)?;
                Ok(bytes.into())
            })
            .await
        }
        Content::Object(object) => {
            let pieces = object.read(0..size_bytes);
            let add = |mut all: Vec<u8>, piece: Bytes| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            };
            Ok(pieces.try_fold(Vec::new(), add).await?.into())
        }
    }
}
