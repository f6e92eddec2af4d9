//! A bucket of an S3-compatible service.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use metrics::{counter, histogram};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{
    Certificate, ClientOptions, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    RetryConfig,
};
use tokio::sync::{OnceCell, Semaphore};
use tracing::{info, warn};

use super::backend::{Backend, Key, Listed, Object, Opened, Part, ReadRanges, place};
use super::{BlobHash, io};
use crate::config;
use crate::error::{Code, Error, Result};
use crate::tasks::blocking_in_turn;

/// The object that says whose the others are.
const OWNER: &str = "socialhub-owner";

/// Bytes that are sent or fetched at once; no part but the last may be smaller than 5 MiB.
const PART: u64 = 8 * 1024 * 1024;

/// Bytes that are fetched at once for somebody who reads.
const PIECE: u64 = 1024 * 1024;

/// Whole things that are sent or fetched at once: each keeps a [`PART`] in memory.
const TRANSFERS: usize = 4;

/// Pieces that are fetched at once.
const READS: usize = 64;

/// Sizes that are remembered. They never change.
const SIZES: u64 = 20_000;

/// How long one request may take, and to connect for it.
const PATIENCE: Duration = Duration::from_mins(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

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
    transfers: Semaphore,
    reads: Semaphore,
    sizes: moka::sync::Cache<Key, u64>,
    /// Whether the last request failed.
    is_failing: AtomicBool,
    owner: String,
    /// Whether it has our mark, once that is known.
    is_ours: OnceCell<bool>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.inner.store)
    }
}

impl Bucket {
    /// The bucket that the configuration names; it is asked for nothing yet. Blocks.
    pub(super) fn open(options: &config::S3, owner: &str) -> anyhow::Result<Self> {
        // The one way to TLS without C and assembly that need cmake. A second one is as good as the first.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut client = ClientOptions::new()
            .with_timeout(PATIENCE)
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
                transfers: Semaphore::new(TRANSFERS),
                reads: Semaphore::new(READS),
                sizes: moka::sync::Cache::new(SIZES),
                is_failing: AtomicBool::new(false),
                owner: owner.to_owned(),
                is_ours: OnceCell::new(),
            }),
        })
    }

    /// Whether the last request went well; true before the first.
    pub(super) fn is_well(&self) -> bool {
        !self.inner.is_failing.load(Ordering::Relaxed)
    }

    /// Makes sure that nobody else keeps their contents under the same names: what one of two does not know, it would
    /// remove, and it might be all that the other has. Asked once.
    ///
    /// Errors: `media_store_unavailable`, also where the mark is another's.
    pub(super) async fn belongs_to_us(&self) -> Result<()> {
        let is_ours = self.inner.is_ours.get_or_try_init(|| self.mark()).await?;
        if *is_ours {
            Ok(())
        } else {
            Err(unavailable(format!(
                "the bucket is marked, in {OWNER}, as that of another server"
            )))
        }
    }

    async fn mark(&self) -> Result<bool> {
        let path = self.path(OWNER);
        for _ in 0..2 {
            let found = self.ask("get", self.inner.store.get(&path)).await?;
            if let Some(found) = found {
                let mark = self.demand("get", found.bytes()).await?;
                return Ok(mark == self.inner.owner.as_bytes());
            }
            // Where another was quicker, theirs is read next.
            let mark = Bytes::from(self.inner.owner.clone());
            let put = async {
                match self
                    .inner
                    .store
                    .put_opts(&path, mark.into(), PutMode::Create.into())
                    .await
                {
                    Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                    put => put.map(|_result| ()),
                }
            };
            self.demand("put", put).await?;
        }
        Ok(false)
    }

    fn path(&self, below: &str) -> ObjectPath {
        ObjectPath::from(format!("{}{below}", self.inner.prefix))
    }

    fn key(&self, path: &ObjectPath) -> Option<Key> {
        Key::parse(path.as_ref().strip_prefix(&self.inner.prefix)?)
    }

    /// How many bytes are under a name, for who wants to read them; none when there is nothing.
    async fn known_size(&self, key: &Key) -> Result<Option<u64>> {
        match self.inner.sizes.get(key) {
            Some(size) => Ok(Some(size)),
            None => self.size(key).await,
        }
    }

    /// The same, asked anew.
    pub(super) async fn size(&self, key: &Key) -> Result<Option<u64>> {
        let path = self.path(&key.path());
        let head = self.ask("head", self.inner.store.head(&path)).await?;
        if let Some(head) = &head {
            self.inner.sizes.insert(key.clone(), head.size);
        }
        Ok(head.map(|head| head.size))
    }

    /// Waits for an answer, counts it, and tells what is not there from what does not work.
    async fn ask<T>(
        &self,
        what: &'static str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>> {
        let started = Instant::now();
        let answer = request.await;
        histogram!("socialhub_media_bucket_seconds", "request" => what).record(started.elapsed());
        let is_failing = matches!(&answer, Err(error) if !is_missing(error));
        if self.inner.is_failing.swap(is_failing, Ordering::Relaxed) != is_failing {
            if is_failing {
                warn!("The bucket of the media does not answer as it should");
            } else {
                info!("The bucket of the media answers again");
            }
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                counter!("socialhub_media_bucket_errors_total", "request" => what).increment(1);
                Err(unavailable(error))
            }
        }
    }

    /// The same where nothing is as wrong as a refusal.
    async fn demand<T>(
        &self,
        what: &'static str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        self.ask(what, request)
            .await?
            .ok_or_else(|| unavailable("the bucket, or what was begun in it, is not there"))
    }

    async fn list_below(&self, below: &str) -> Result<Vec<ObjectMeta>> {
        let below = self.path(below);
        let objects = self.inner.store.list(Some(&below)).try_collect();
        self.demand("list", objects).await
    }

    async fn read_range(&self, path: &ObjectPath, range: Range<u64>) -> Result<Option<Bytes>> {
        self.ask("get", self.inner.store.get_range(path, range))
            .await
    }

    async fn send(&self, path: &ObjectPath, file: Arc<File>, size: u64) -> Result<()> {
        if size <= PART {
            let bytes = piece_of(file, 0..size).await?;
            let put = self.inner.store.put(path, bytes.into());
            return self.demand("put", put).await.map(|_result| ());
        }
        let begin = self.inner.store.put_multipart(path);
        let mut upload = self.demand("begin", begin).await?;
        let sent = self.send_parts(&mut *upload, file, size).await;
        if sent.is_err() {
            // Services forget what was begun after some days as well.
            self.ask("abort", upload.abort()).await.ok();
        }
        sent
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        file: Arc<File>,
        size: u64,
    ) -> Result<()> {
        let mut start = 0;
        while start < size {
            let end = (start + PART).min(size);
            let bytes = piece_of(Arc::clone(&file), start..end).await?;
            self.demand("part", upload.put_part(bytes.into())).await?;
            start = end;
        }
        let done = self.demand("complete", upload.complete()).await;
        done.map(|_result| ())
    }
}

fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::MediaStoreUnavailable)
        .with_retry_after(5)
        .with_source(source)
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

impl Backend for Bucket {
    fn name(&self) -> &'static str {
        "the bucket"
    }

    fn put<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<()>> {
        async move {
            let _place = self.inner.transfers.acquire().await;
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
            let _place = self.inner.transfers.acquire().await;
            let Some(size) = self.known_size(key).await? else {
                return Ok(false);
            };
            let (from, to) = (self.path(&key.path()), file.to_owned());
            let create = move || {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                options.open(to).map_err(io)
            };
            let mut file = blocking_in_turn(create).await?;
            let mut start = 0;
            while start < size {
                let end = (start + PART).min(size);
                let Some(piece) = self.read_range(&from, start..end).await? else {
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
            let size = self.known_size(key).await?;
            Ok(size.map(|size_bytes| {
                let source = Arc::new(Remote {
                    bucket: self.clone(),
                    path: self.path(&key.path()),
                });
                Opened::Object(Object { size_bytes, source })
            }))
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
                let deleted = self.ask("delete", self.inner.store.delete(&path)).await;
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

/// An object that is read in pieces, each a request of its own: a reader who takes long holds nothing open.
struct Remote {
    bucket: Bucket,
    path: ObjectPath,
}

impl ReadRanges for Remote {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let (bucket, path) = (self.bucket.clone(), self.path.clone());
        stream::try_unfold((bucket, path, range), |(bucket, path, range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let end = range.end.min(range.start + PIECE);
            let piece = {
                let _place = bucket.inner.reads.acquire().await;
                bucket.read_range(&path, range.start..end).await?
            };
            let piece = piece.ok_or_else(|| unavailable("it is gone from the bucket"))?;
            Ok(Some((piece, (bucket, path, end..range.end))))
        })
        .boxed()
    }
}
