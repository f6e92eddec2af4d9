//! A bucket of an S3-compatible service.

mod mark;
mod sending;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use metrics::{counter, histogram};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{
    Certificate, ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tracing::{info, warn};

use super::backend::{Backend, Key, Listed, Object, Opened, Part, ReadRanges, place};
use super::{BlobHash, io};
use crate::config;
use crate::error::{Code, Error, Result};
use crate::tasks::blocking_in_turn;

/// Bytes that are fetched at once to be put down here.
const FETCHED: u64 = 2 * 1024 * 1024;

/// Bytes that are fetched at once for somebody who reads: as much of the memory as one who stalls has.
const PIECE: u64 = 128 * 1024;

/// Those who read at once: together they take 64 MiB at most.
const READERS: usize = 512;

/// Pieces that are fetched at once for those who read.
const READS: usize = 64;

/// Contents that are sent at once. Each keeps a [`sending::PART`] in memory.
const SENDS: usize = 4;

/// Contents that are fetched at once to be copied here. Each keeps [`FETCHED`] bytes in memory. Not the places of those
/// that are sent: a slow way out is no reason to wait for what comes in.
const FETCHES: usize = 8;

/// Sizes that are remembered. They never change.
const SIZES: u64 = 20_000;

/// What is listed at once.
const PAGE: usize = 1_000;

/// How long one request may take, with all its attempts, beside the time for what it brings or fetches.
const PATIENCE: Duration = Duration::from_mins(1);

/// The slowest line that is good enough, in bytes a second.
const SLOWEST: u64 = 16 * 1024;

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// When somebody who was refused may try again, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// How often a request that failed is made again, and for how long.
const ATTEMPTS: usize = 3;
const ATTEMPTS_FOR: Duration = Duration::from_secs(15);

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    store: AmazonS3,
    prefix: String,
    sends: Semaphore,
    fetches: Semaphore,
    readers: Arc<Semaphore>,
    reads: Semaphore,
    sizes: moka::sync::Cache<Key, u64>,
    /// Whether the last request failed.
    is_failing: AtomicBool,
    mark: mark::Known,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.inner.store)
    }
}

impl Bucket {
    /// The bucket that the configuration names; it is asked for nothing yet. `owner` is what its mark says when it is
    /// ours, and `note` a file for what is to be remembered of it. Blocks.
    pub(super) fn open(options: &config::S3, owner: &str, note: PathBuf) -> anyhow::Result<Self> {
        // The one way to TLS without C and assembly that need cmake. A second one is as good as the first.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut client = ClientOptions::new()
            // Each request has its own, by its size.
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_PATIENCE)
            .with_allow_http(
                options
                    .endpoint
                    .as_deref()
                    .is_some_and(|endpoint| endpoint.starts_with("http://")),
            );
        // Beside those of the machine: a container may have none.
        for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            client = client.with_root_certificate(Certificate::from_der(certificate)?);
        }
        if let Some(path) = &options.ca_file {
            for certificate in Certificate::from_pem_bundle(&fs::read(path)?)? {
                client = client.with_root_certificate(certificate);
            }
        }
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(RetryConfig {
                max_retries: ATTEMPTS,
                retry_timeout: ATTEMPTS_FOR,
                ..RetryConfig::default()
            })
            .with_bucket_name(options.bucket.as_deref().unwrap_or_default())
            .with_region(&options.region)
            .with_access_key_id(options.access_key_id.as_deref().unwrap_or_default())
            .with_secret_access_key(options.secret_access_key.as_deref().unwrap_or_default())
            .with_virtual_hosted_style_request(!options.path_style);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let prefix = options.prefix.trim_matches('/');
        Ok(Self {
            inner: Arc::new(Inner {
                store: builder.build()?,
                prefix: if prefix.is_empty() {
                    String::new()
                } else {
                    format!("{prefix}/")
                },
                sends: Semaphore::new(SENDS),
                fetches: Semaphore::new(FETCHES),
                readers: Arc::new(Semaphore::new(READERS)),
                reads: Semaphore::new(READS),
                sizes: moka::sync::Cache::new(SIZES),
                is_failing: AtomicBool::new(false),
                mark: mark::Known::new(owner, note),
            }),
        })
    }

    /// Whether the last request went well, and the bucket is the one that it should be; true before the first.
    pub(super) fn is_well(&self) -> bool {
        !self.inner.is_failing.load(Ordering::Relaxed) && !self.inner.mark.is_wrong()
    }

    /// How it is, for the health report.
    pub(super) fn state(&self) -> &'static str {
        if self.inner.mark.is_wrong() {
            "lacks the mark of this server"
        } else if self.is_well() {
            "answers"
        } else {
            "does not answer"
        }
    }

    /// Asks whether it is well again.
    pub(super) async fn look_again(&self) {
        // What comes of it is noted, and told.
        self.is_itself().await.ok();
    }

    /// A place for one more [`fetch`](Backend::fetch), as soon as there is one.
    pub(super) async fn place_to_fetch(&self) -> Result<SemaphorePermit<'_>> {
        self.inner.fetches.acquire().await.map_err(Error::internal)
    }

    /// The same if there is one now.
    pub(super) fn free_place_to_fetch(&self) -> Option<SemaphorePermit<'_>> {
        self.inner.fetches.try_acquire().ok()
    }

    fn path(&self, below: &str) -> ObjectPath {
        ObjectPath::from(format!("{}{below}", self.inner.prefix))
    }

    fn key(&self, path: &ObjectPath) -> Option<Key> {
        Key::parse(path.as_ref().strip_prefix(&self.inner.prefix)?)
    }

    /// How many bytes are under a name, for who wants to read them; none when there is nothing.
    pub(super) async fn known_size(&self, key: &Key) -> Result<Option<u64>> {
        // While it is not well, what could not be read shall not seem to be there.
        let known = self.inner.sizes.get(key).filter(|_| self.is_well());
        let size = match known {
            Some(size) => Some(size),
            None => self.size(key).await?,
        };
        if size.is_none() {
            self.is_itself().await?;
        }
        Ok(size)
    }

    /// The same, asked anew, and for who does no harm where the bucket is not itself.
    pub(super) async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let path = self.path(&key.path());
        let head = self.ask("head", 0, self.inner.store.head(&path)).await?;
        if let Some(head) = &head {
            self.inner.sizes.insert(key.clone(), head.size);
        }
        Ok(head.map(|head| head.size))
    }

    /// Waits for an answer, counts it, and tells what is not there from what does not work. `size` is what the request
    /// brings or fetches, in bytes.
    async fn ask<T>(
        &self,
        what: &'static str,
        size: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>> {
        let started = Instant::now();
        let answer = match tokio::time::timeout(patience(size), request).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(unavailable(error)),
            Err(elapsed) => Err(unavailable(elapsed)),
        };
        histogram!("socialhub_media_bucket_seconds", "request" => what).record(started.elapsed());
        let is_failing = answer.is_err();
        if is_failing {
            counter!("socialhub_media_bucket_errors_total", "request" => what).increment(1);
        }
        if self.inner.is_failing.swap(is_failing, Ordering::Relaxed) != is_failing {
            if is_failing {
                warn!("The bucket of the media does not answer as it should");
            } else {
                info!("The bucket of the media answers again");
            }
        }
        answer
    }

    /// The same where nothing is as wrong as a refusal.
    async fn demand<T>(
        &self,
        what: &'static str,
        size: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        self.ask(what, size, request)
            .await?
            .ok_or_else(|| unavailable("the bucket, or what was begun in it, is not there"))
    }

    async fn list_below(&self, below: &str) -> Result<Vec<ObjectMeta>> {
        let below = self.path(below);
        // They come by the page, and each page has its time.
        let mut pages = self.inner.store.list(Some(&below)).ready_chunks(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = async {
                let page = pages.next().await;
                page.into_iter().flatten().collect::<Result<Vec<_>, _>>()
            };
            let page = self.demand("list", 0, page).await?;
            if page.is_empty() {
                return Ok(objects);
            }
            objects.extend(page);
        }
    }

    /// Some of what is under a name; none when there is nothing.
    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>> {
        let (path, size) = (self.path(&key.path()), range.end - range.start);
        let get = self.inner.store.get_range(&path, range);
        let piece = self.ask("get", size, get).await?;
        if piece.is_none() {
            self.inner.sizes.invalidate(key);
            self.is_itself().await?;
        }
        Ok(piece)
    }
}

/// How long a request of this size may take.
fn patience(size: u64) -> Duration {
    PATIENCE + Duration::from_secs(size / SLOWEST)
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::MediaStoreUnavailable)
        .with_retry_after(RETRY_AFTER_S)
        .with_source(source)
}

impl Backend for Bucket {
    fn name(&self) -> &'static str {
        "the bucket"
    }

    fn put<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<()>> {
        async move {
            let _place = self.inner.sends.acquire().await;
            let path = file.to_owned();
            let opened = blocking_in_turn(move || {
                let file = File::open(path).map_err(io)?;
                let size = file.metadata().map_err(io)?.len();
                Ok((Arc::new(file), size))
            });
            let (file, size) = opened.await?;
            self.send(&self.path(&key.path()), file, size).await?;
            self.inner.sizes.insert(key.clone(), size);
            Ok(())
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<bool>> {
        async move {
            let Some(size) = self.known_size(key).await? else {
                return Ok(false);
            };
            let to = file.to_owned();
            let create = move || {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                options.open(to).map_err(io)
            };
            let mut file = blocking_in_turn(create).await?;
            let mut start = 0;
            while start < size {
                let end = (start + FETCHED).min(size);
                let Some(piece) = self.read_range(key, start..end).await? else {
                    return Ok(false);
                };
                let write = move || file.write_all(&piece).map(|()| file).map_err(io);
                file = blocking_in_turn(write).await?;
                start = end;
            }
            Ok(true)
        }
        .boxed()
    }

    fn open<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Opened>>> {
        async move {
            let Some(size_bytes) = self.known_size(key).await? else {
                return Ok(None);
            };
            let place = Arc::clone(&self.inner.readers).try_acquire_owned();
            let source = Remote {
                bucket: self.clone(),
                key: key.clone(),
                place: Arc::new(place.map_err(|_none| {
                    Error::new(Code::Overloaded).with_retry_after(RETRY_AFTER_S)
                })?),
            };
            let source = Arc::new(source);
            Ok(Some(Opened::Object(Object { size_bytes, source })))
        }
        .boxed()
    }

    fn remove(&self, hash: BlobHash) -> BoxFuture<'_, Result<()>> {
        async move {
            let made = format!("made/{}", place(hash));
            let made = self.list_below(&made).await?.into_iter();
            let original = Key::new(hash, Part::Original);
            // The original last, by which the rest is found.
            let paths = made.map(|object| object.location);
            for path in paths.chain([self.path(&original.path())]) {
                let deleted = self.ask("delete", 0, self.inner.store.delete(&path)).await;
                if let Some(key) = self.key(&path) {
                    self.inner.sizes.invalidate(&key);
                }
                deleted?;
            }
            Ok(())
        }
        .boxed()
    }

    fn list(&self, share: u8) -> BoxFuture<'_, Result<Vec<Listed>>> {
        async move {
            let mut found = Vec::new();
            for kind in ["originals", "made"] {
                let objects = self.list_below(&format!("{kind}/{share:02x}")).await?;
                found.extend(objects.into_iter().filter_map(|object| {
                    Some(Listed {
                        key: self.key(&object.location)?,
                        size_bytes: object.size,
                        modified: SystemTime::from(object.last_modified),
                    })
                }));
            }
            Ok(found)
        }
        .boxed()
    }
}

/// An object that is read in pieces, each a request of its own: a reader who takes long holds nothing open, and keeps one
/// piece at most.
struct Remote {
    bucket: Bucket,
    key: Key,
    /// Among the readers, until the last of its streams has ended.
    place: Arc<OwnedSemaphorePermit>,
}

impl ReadRanges for Remote {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let place = Arc::clone(&self.place);
        let state = (self.bucket.clone(), self.key.clone(), range, place);
        stream::try_unfold(state, |(bucket, key, range, place)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let end = range.end.min(range.start + PIECE);
            let piece = {
                let _turn = bucket.inner.reads.acquire().await;
                bucket.read_range(&key, range.start..end).await?
            };
            let piece = piece.ok_or_else(|| unavailable("it is gone from the bucket"))?;
            Ok(Some((piece, (bucket, key, end..range.end, place))))
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_time_for_what_is_sent_at_once() {
        let seconds = sending::PART / SLOWEST;
        assert!(patience(sending::PART) >= Duration::from_secs(seconds));
        assert_eq!(patience(0), PATIENCE);
    }
}
