//! How a file gets into a bucket: at once, or, where it is large, in parts.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStoreExt};
use tokio::runtime::Handle;
use tracing::warn;

use super::super::io;
use super::Bucket;
use crate::error::{Error, Result};
use crate::tasks::{Backoff, blocking_in_turn};

/// Bytes that are sent at once: no part but the last may be smaller, and a slow line has to bring each there in time.
pub(super) const PART: u64 = 5 * 1024 * 1024;

/// The most parts of one object.
const MAX_PARTS: u64 = 10_000;

/// How often an upload that was given up is taken back, and with which pauses, while that fails.
const ABORTS: usize = 8;
const ABORT_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// An upload in parts, whose parts are taken back unless it is done: also when nobody waits for it any more.
struct Begun {
    bucket: Bucket,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Bucket {
    pub(super) async fn send(&self, path: &ObjectPath, file: Arc<File>, size: u64) -> Result<()> {
        if size <= PART {
            let bytes = piece_of(file, 0..size).await?;
            let put = self.inner.store.put(path, bytes.into());
            return self.demand("put", size, put).await.map(|_result| ());
        }
        let begin = self.inner.store.put_multipart(path);
        let mut begun = Begun {
            bucket: self.clone(),
            upload: Some(self.demand("begin", 0, begin).await?),
        };
        if let Some(upload) = begun.upload.as_deref_mut() {
            self.send_parts(upload, file, size).await?;
        }
        begun.upload = None;
        Ok(())
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        file: Arc<File>,
        size: u64,
    ) -> Result<()> {
        let part = PART.max(size.div_ceil(MAX_PARTS));
        let mut start = 0;
        while start < size {
            let end = (start + part).min(size);
            let bytes = piece_of(Arc::clone(&file), start..end).await?;
            let put = upload.put_part(bytes.into());
            self.demand("part", end - start, put).await?;
            start = end;
        }
        let done = self.demand("complete", 0, upload.complete()).await;
        done.map(|_result| ())
    }

    async fn abort(&self, mut upload: Box<dyn MultipartUpload>) {
        let mut pauses = Backoff::new(ABORT_PAUSES.0, ABORT_PAUSES.1);
        for _ in 0..ABORTS {
            if self.ask("abort", 0, upload.abort()).await.is_ok() {
                return;
            }
            tokio::time::sleep(pauses.pause()).await;
        }
        warn!("Parts of an upload that failed stay in the bucket, until its own rule removes them");
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Outside of the runtime the process ends, and the bucket's own rule has to do.
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            let bucket = self.bucket.clone();
            runtime.spawn(async move { bucket.abort(upload).await });
        }
    }
}

async fn piece_of(file: Arc<File>, range: Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(Error::internal)?;
    blocking_in_turn(move || {
        let mut piece = vec![0; length];
        file.read_exact_at(&mut piece, range.start).map_err(io)?;
        Ok(piece.into())
    })
    .await
}
