//! Uploads that go on after a break: tus 1.0 with creation, expiration, checksum and termination
//! (<https://tus.io/protocols/resumable-upload>), at `/api/v1/media/uploads`.
//!
//! `Upload-Metadata` may have `filetype`, `filename`, `alt`, `focus` (`x,y`) and `isSensitive`, as the form of `POST /api/v1/media`
//! does. The answer to the last `PATCH` names the upload in `Media-Id`.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use utoipa_axum::router::OpenApiRouter;

use super::SharedDomains;
use super::media::DescriptionFields;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::gateway::{Caller, Path};
use crate::media::{Claim, Media, MediaItem, Resumable, ResumableDraft};

const VERSION: &str = "1.0.0";
/// Characters of what a client says of an upload: enough for the longest description.
const MAX_METADATA: usize = 16 * 1024;

const EXTENSIONS: &str = "creation,expiration,checksum,termination";

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    let at = |methods: MethodRouter<SharedDomains>| methods.route_layer(from_fn(speak_tus));
    OpenApiRouter::new()
        .route("/api/v1/media/uploads", at(post(create).options(discover)))
        .route(
            "/api/v1/media/uploads/{name}",
            at(axum::routing::head(offset).patch(append).delete(abandon)),
        )
}

/// Both sides name the version of the protocol.
async fn speak_tus(request: Request, next: Next) -> Response {
    let speaks = request
        .headers()
        .get("tus-resumable")
        .is_some_and(|version| version == VERSION);
    let mut response = if speaks || *request.method() == Method::OPTIONS {
        next.run(request).await
    } else {
        Error::new(Code::PreconditionFailed)
            .with_message("Please send `Tus-Resumable: 1.0.0`.")
            .into_response()
    };
    let headers = response.headers_mut();
    headers.insert("tus-resumable", HeaderValue::from_static(VERSION));
    headers.insert("tus-version", HeaderValue::from_static(VERSION));
    response
}

/// What the server can do.
async fn discover(State(media): State<Media>) -> Response {
    let max = HeaderValue::from(media.max_upload_bytes());
    (
        StatusCode::NO_CONTENT,
        [
            ("tus-extension", HeaderValue::from_static(EXTENSIONS)),
            ("tus-max-size", max),
            ("tus-checksum-algorithm", HeaderValue::from_static("sha1")),
        ],
    )
        .into_response()
}

async fn create(
    State(media): State<Media>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response> {
    let length = number(&headers, "upload-length").ok_or_else(|| {
        Error::invalid_field("Upload-Length", "required", "Upload-Length is required.")
    })?;
    let raw = headers.get("upload-metadata");
    if raw.is_some_and(|raw| raw.len() > MAX_METADATA) {
        return Err(Error::invalid_field(
            "Upload-Metadata",
            "too_long",
            "Upload-Metadata is too long.",
        ));
    }
    let description = DescriptionFields {
        alt: metadata(&headers, "alt"),
        focus: metadata(&headers, "focus"),
        is_sensitive: metadata(&headers, "isSensitive"),
    };
    let draft = ResumableDraft {
        length,
        claim: Claim {
            media_type: metadata(&headers, "filetype"),
            file_name: metadata(&headers, "filename"),
        },
        description: description.parse()?,
        metadata: raw.and_then(|raw| Some(raw.to_str().ok()?.to_owned())),
    };
    let upload = media.begin(&caller.actor, draft).await?;
    let location = format!("/api/v1/media/uploads/{}", upload.name);
    let location = HeaderValue::from_str(&location).map_err(Error::internal)?;
    let mut response = progress(StatusCode::CREATED, &upload)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

async fn offset(
    State(media): State<Media>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response> {
    let (upload, item) = media.resumable(&caller.actor, &name).await?;
    let mut response = progress(StatusCode::OK, &upload)?;
    name_media(&mut response, item.as_ref())?;
    let headers = response.headers_mut();
    headers.insert("upload-length", HeaderValue::from(upload.length));
    if let Some(metadata) = &upload.metadata {
        let metadata = HeaderValue::from_str(metadata).map_err(Error::internal)?;
        headers.insert("upload-metadata", metadata);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn append(
    State(media): State<Media>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let headers = request.headers();
    let kind = headers.get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/offset+octet-stream") {
        return Err(Error::new(Code::UnsupportedMediaType)
            .with_message("Please send application/offset+octet-stream."));
    }
    let offset = number(headers, "upload-offset").ok_or_else(|| {
        Error::invalid_field("Upload-Offset", "required", "Upload-Offset is required.")
    })?;
    let checksum = checksum(headers)?;
    let pause = media.pause();
    let pieces = request
        .into_body()
        .into_data_stream()
        .map_err(|error| Error::new(Code::InvalidBody).with_source(error));
    let pieces = futures_util::stream::try_unfold(Box::pin(pieces), move |mut pieces| async move {
        let next = tokio::time::timeout(pause, pieces.try_next());
        let piece = next.await.map_err(|_elapsed| Code::TimedOut)??;
        Ok::<_, Error>(piece.map(|piece| (piece, pieces)))
    });
    let (upload, item) = media
        .append(&caller.actor, &name, offset, checksum, pieces)
        .await?;
    let mut response = progress(StatusCode::NO_CONTENT, &upload)?;
    name_media(&mut response, item.as_ref())?;
    Ok(response)
}

/// Names what an upload has become.
fn name_media(response: &mut Response, item: Option<&MediaItem>) -> Result<()> {
    if let Some(item) = item {
        let id = HeaderValue::from_str(&item.id.to_string()).map_err(Error::internal)?;
        response.headers_mut().insert("media-id", id);
    }
    Ok(())
}

async fn abandon(
    State(media): State<Media>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    media.abandon(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn progress(status: StatusCode, upload: &Resumable) -> Result<Response> {
    let expires = HeaderValue::from_str(&http_date(upload.expires_at)).map_err(Error::internal)?;
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert("upload-offset", HeaderValue::from(upload.offset));
    headers.insert("upload-expires", expires);
    Ok(response)
}

/// What the headers of an upload say, for the fuzz targets.
#[cfg(fuzzing)]
pub struct TusHeaders {
    pub length: Option<u64>,
    pub offset: Option<u64>,
    pub media_type: Option<String>,
    pub alt: Option<String>,
    pub checksum: Result<Option<[u8; 20]>>,
}

/// Reads them as the routes do.
#[cfg(fuzzing)]
pub fn tus_headers(headers: &HeaderMap) -> TusHeaders {
    TusHeaders {
        length: number(headers, "upload-length"),
        offset: number(headers, "upload-offset"),
        media_type: metadata(headers, "filetype"),
        alt: metadata(headers, "alt"),
        checksum: checksum(headers),
    }
}

/// The form of RFC 9110 section 5.6.7.
fn http_date(at: Timestamp) -> String {
    let seconds = u64::try_from(at.as_secs()).unwrap_or(0);
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    httpdate::fmt_http_date(moment)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// A value of `Upload-Metadata`: `key base64,key base64`.
fn metadata(headers: &HeaderMap, key: &str) -> Option<String> {
    let text = headers.get("upload-metadata")?.to_str().ok()?;
    let value = text.split(',').find_map(|pair| {
        let (name, value) = pair.trim().split_once(' ')?;
        (name == key).then_some(value)
    })?;
    String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()
}

/// `Upload-Checksum: sha1 base64`.
fn checksum(headers: &HeaderMap) -> Result<Option<[u8; 20]>> {
    let name = HeaderName::from_static("upload-checksum");
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let sum = value.to_str().ok().and_then(|text| {
        let (algorithm, sum) = text.split_once(' ')?;
        let sum = STANDARD.decode(sum.trim()).ok()?;
        (algorithm == "sha1").then(|| sum.try_into().ok()).flatten()
    });
    sum.map(Some).ok_or_else(|| {
        Error::invalid_field(
            "Upload-Checksum",
            "invalid_type",
            "Upload-Checksum is `sha1` and the hash in Base64.",
        )
    })
}
