//! Uploads, and what their addresses open (contract, "Media").

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::error::{Code, Error, FieldError, Result};
use crate::gateway::ranges::{self, FileBody, Source};
use crate::gateway::{Body, Caller, ErrorBody, Form, Path, Query, is_form, patch};
use crate::id::{MediaId, UserId};
use crate::media::{
    Claim, Content, Description, Focus, Media, MediaEdit, MediaItem, Served, Upload, Wish, pictures,
};

/// The fields in which clients of the original, and its documentation, send files.
const FILE_FIELDS: [&str; 4] = ["file", "files", "file[]", "media"];

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(upload, list))
        .routes(routes!(get, update, remove))
        .routes(routes!(drawn_avatar))
        .routes(routes!(file))
        .routes(routes!(file_by_name))
        .routes(routes!(ladder))
        .route(
            "/media/{id}/hls/{key}/{folder}/{file}",
            axum::routing::get(ladder_part),
        )
}

/// Reads a request that may bring files: a multipart form, or what [`Body`] reads.
pub(super) async fn read_form<T: DeserializeOwned + Send>(
    media: &Media,
    request: Request,
    caller: &mut Caller,
    max_files: usize,
    max_bytes: u64,
) -> Result<(T, Vec<Upload>)> {
    use axum::extract::FromRequest;
    if !is_form(&request) {
        let Body(body) = Body::from_request(request, &()).await?;
        return Ok((body, Vec::new()));
    }
    let mut form = Form::open(request, max_bytes, media.pause())?;
    let mut uploads = Vec::new();
    while let Some(mut file) = form.next_file().await? {
        if !FILE_FIELDS.contains(&file.field.as_str()) {
            let name = file.field;
            let message = "Files are sent in the field `file`.";
            return Err(Error::invalid_fields(vec![FieldError::new(
                name,
                "unknown_file_field",
                message,
            )]));
        }
        if uploads.len() == max_files {
            let refused = Error::new(Code::TooManyFiles);
            return Err(if max_files == 1 {
                refused.with_message("Please send one file at a time.")
            } else {
                refused
            });
        }
        let claim = Claim {
            media_type: file.media_type.take(),
            file_name: file.file_name.take(),
        };
        let upload = media.receive(&claim, file.into_stream()).await?;
        uploads.push(upload);
    }
    let hashes = uploads
        .iter()
        .map(|upload| upload.fingerprint().to_string());
    let (body, once) = form.finish(hashes, caller.actor.once.take())?;
    caller.actor.once = once;
    Ok((body, uploads))
}

/// What is said of a file, in the fields of a form.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescriptionFields {
    pub(super) alt: Option<String>,
    /// `x,y`.
    pub(super) focus: Option<String>,
    pub(super) is_sensitive: Option<String>,
}

impl DescriptionFields {
    pub(super) fn parse(&self) -> Result<Description> {
        let mut wrong = Vec::new();
        let focus = match &self.focus {
            None => Focus::default(),
            Some(raw) => parse_focus(raw).unwrap_or_else(|| {
                wrong.push(FieldError::new(
                    "focus",
                    "invalid_type",
                    "A focus is two numbers from -1 to 1, with a comma between.",
                ));
                Focus::default()
            }),
        };
        let is_sensitive = match self.is_sensitive.as_deref().map(str::trim) {
            Some("true" | "1" | "on") => true,
            None | Some("false" | "0" | "off" | "") => false,
            Some(_) => {
                wrong.push(FieldError::new(
                    "isSensitive",
                    "invalid_type",
                    "isSensitive is `true` or `false`.",
                ));
                false
            }
        };
        let description = Description::parse(&mut wrong, self.alt.as_deref(), focus, is_sensitive);
        if wrong.is_empty() {
            Ok(description)
        } else {
            Err(Error::invalid_fields(wrong))
        }
    }
}

fn parse_focus(raw: &str) -> Option<Focus> {
    let (x, y) = raw.split_once(',')?;
    let part = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|part: &f32| part.is_finite())
    };
    Some(Focus {
        x: part(x)?,
        y: part(y)?,
    })
}

/// A file, and what is said of it.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a form that is read field by field")]
struct UploadForm {
    /// The file.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// What it shows; at most 1,500 characters.
    #[schema(max_length = 1_500)]
    alt: Option<String>,
    /// What should stay in sight when it is cropped: `x,y`, each from -1 to 1.
    #[schema(example = "0.0,-0.5")]
    focus: Option<String>,
    /// `true` to have people asked before it is shown.
    #[schema(example = "false")]
    is_sensitive: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct MediaReply {
    #[schema(example = true)]
    success: bool,
    media: MediaItem,
    /// How far its conversion is, from 0 to 1; null when there is nothing to wait for.
    #[schema(required)]
    progress: Option<f32>,
}

/// Upload a picture, a video or a recording
///
/// To be attached to a post later, by its id, within a day. A picture is narrowed and re-encoded, and what a camera wrote
/// into it stays behind; so is a video where the server has ffmpeg, and `status` tells when it is ready, or
/// `errorCode` why it never will be. Without it, a video that browsers play is served as it is, with what its camera wrote
/// into it.
#[utoipa::path(
    post, path = "/api/v1/media", tag = "media", security(("token" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "It is here.", body = MediaReply),
        (status = 413, description = "`file_too_large`, `quota_exceeded`.", body = ErrorBody),
        (status = 415, description = "`unsupported_file`, `mismatched_file`.", body = ErrorBody),
        (
            status = 422, body = ErrorBody,
            description = "`broken_file`, `too_many_pixels`, `too_long`, `conversion_timed_out`, `conversion_crashed`, \
                `conversion_failed`.",
        ),
    )
)]
async fn upload(
    State(media): State<Media>,
    mut caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<MediaReply>)> {
    if !is_form(&request) {
        return Err(Error::new(Code::UnsupportedMediaType)
            .with_message("Please send the file in a multipart form."));
    }
    let max_bytes = media.max_form_bytes();
    let (fields, uploads): (DescriptionFields, _) =
        read_form(&media, request, &mut caller, 1, max_bytes).await?;
    let upload = one_file(uploads)?.described(fields.parse()?);
    let item = media.add(&caller.actor, upload).await?;
    let reply = reply(&media, item).await?;
    Ok((StatusCode::CREATED, reply))
}

async fn reply(media: &Media, item: MediaItem) -> Result<Json<MediaReply>> {
    Ok(Json(MediaReply {
        success: true,
        progress: media.progress(item.id).await?,
        media: item,
    }))
}

/// The file that a form has to bring.
pub(super) fn one_file(uploads: Vec<Upload>) -> Result<Upload> {
    uploads.into_iter().next().ok_or_else(|| {
        Error::invalid_field(
            "file",
            "required",
            "Please send a file in the field `file`.",
        )
    })
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct MediaListReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first.
    media: Vec<MediaItem>,
    /// What all of one's uploads take, in bytes.
    used_bytes: u64,
    /// What they may take; null for no limit.
    #[schema(required)]
    quota_bytes: Option<u64>,
    #[serde(rename = "next_cursor")]
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One's own uploads
#[utoipa::path(
    get, path = "/api/v1/media", tag = "media", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = MediaListReply))
)]
async fn list(
    State(media): State<Media>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<MediaListReply>> {
    let (slice, used_bytes) = media.list(&caller.actor, query.parse()?).await?;
    Ok(Json(MediaListReply {
        success: true,
        used_bytes,
        quota_bytes: media.quota_bytes(),
        next_cursor: slice.next_cursor(),
        media: slice.items,
    }))
}

/// One of one's own uploads
#[utoipa::path(
    get, path = "/api/v1/media/{id}", tag = "media", security(("token" = [])), params(("id" = MediaId, Path)),
    responses((status = 200, description = "It.", body = MediaReply))
)]
async fn get(
    State(media): State<Media>,
    caller: Caller,
    Path(id): Path<MediaId>,
) -> Result<Json<MediaReply>> {
    let item = media.get(&caller.actor, id).await?;
    reply(&media, item).await
}

/// Absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct MediaEditBody {
    /// What it shows; at most 1,500 characters. Null for nothing.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, max_length = 1_500)]
    alt: Option<Option<String>>,
    /// What should stay in sight when it is cropped.
    focus: Option<Focus>,
    /// Whether to ask before it is shown.
    is_sensitive: Option<bool>,
}

/// Change what is said of an upload
#[utoipa::path(
    patch, path = "/api/v1/media/{id}", tag = "media", security(("token" = [])), params(("id" = MediaId, Path)),
    request_body = MediaEditBody,
    responses((status = 200, description = "As it is now.", body = MediaReply))
)]
async fn update(
    State(media): State<Media>,
    caller: Caller,
    Path(id): Path<MediaId>,
    Body(body): Body<MediaEditBody>,
) -> Result<Json<MediaReply>> {
    let edit = MediaEdit {
        alt: body.alt,
        focus: body.focus,
        is_sensitive: body.is_sensitive,
    };
    let item = media.update(&caller.actor, id, edit).await?;
    reply(&media, item).await
}

/// Remove an upload
///
/// Not one that is in use.
#[utoipa::path(
    delete, path = "/api/v1/media/{id}", tag = "media", security(("token" = [])), params(("id" = MediaId, Path)),
    responses(
        (status = 200, description = "It is gone.", body = Done),
        (status = 409, description = "`media_in_use`.", body = ErrorBody),
    )
)]
async fn remove(
    State(media): State<Media>,
    caller: Caller,
    Path(id): Path<MediaId>,
) -> Result<Json<Done>> {
    media.remove(&caller.actor, id).await?;
    Ok(Done::new("It is gone."))
}

/// What opens a file that is not public.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SignatureQuery {
    /// The end of the address's validity, in seconds since 1970.
    expires: Option<i64>,
    /// Proves that the server wrote the address.
    signature: Option<String>,
}

/// A file
///
/// A picture comes in the form that `Accept` asks for, at most 2,048 pixels wide. Whoever may see what has it is given
/// its address, signed where it is not for everybody. Takes `Range`, `If-Range`, `If-Match` and `If-None-Match`.
#[utoipa::path(
    get, path = "/media/{id}", tag = "media", params(("id" = MediaId, Path), SignatureQuery),
    responses(
        (status = 200, description = "The file.", content_type = "image/*"),
        (status = 206, description = "The parts of it that were asked for.", content_type = "image/*"),
        (status = 304, description = "The client has it."),
        (status = 403, description = "`invalid_signature`: it is not for everybody.", body = ErrorBody),
        (status = 412, description = "`precondition_failed`.", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`.", body = ErrorBody),
        (status = 422, description = "The `errorCode` of a video that could not be converted.", body = ErrorBody),
        (status = 503, description = "`media_processing`.", body = ErrorBody),
    )
)]
async fn file(
    State(media): State<Media>,
    method: Method,
    headers: HeaderMap,
    Path(id): Path<MediaId>,
    Query(query): Query<SignatureQuery>,
) -> Result<Response> {
    serve(&media, &method, &headers, id, None, &query).await
}

/// A file in some size
///
/// `320`, `640`, `1280` or `2048` for a picture that wide at most, `avatar-96`, `avatar-400`, `banner-600` or
/// `banner-1500` for a part of it; with `.webp`, `.jpg` or (of what moves) `.gif` for one form, else in the form that
/// `Accept` asks for.
#[utoipa::path(
    get, path = "/media/{id}/{name}", tag = "media",
    params(("id" = MediaId, Path), ("name" = String, Path, example = "640.webp"), SignatureQuery),
    responses(
        (status = 200, description = "The file.", content_type = "image/*"),
        (status = 206, description = "The parts of it that were asked for.", content_type = "image/*"),
        (status = 304, description = "The client has it."),
        (status = 403, description = "`invalid_signature`: it is not for everybody.", body = ErrorBody),
        (status = 412, description = "`precondition_failed`.", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`.", body = ErrorBody),
    )
)]
async fn file_by_name(
    State(media): State<Media>,
    method: Method,
    headers: HeaderMap,
    Path((id, name)): Path<(MediaId, String)>,
    Query(query): Query<SignatureQuery>,
) -> Result<Response> {
    serve(&media, &method, &headers, id, Some(&name), &query).await
}

/// The picture of somebody who brought none
///
/// Drawn by the server, always the same for one person: `123.svg`, `123.png`, or `123` for what `Accept` asks for.
#[utoipa::path(
    get, path = "/media/avatars/{name}", tag = "media", params(("name" = String, Path, example = "1745026836037632")),
    responses(
        (status = 200, description = "The picture.", content_type = "image/svg+xml"),
        (status = 304, description = "The client has it."),
        (status = 403, description = "`invalid_signature`: it is not for everybody.", body = ErrorBody),
        (status = 412, description = "`precondition_failed`.", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`.", body = ErrorBody),
    )
)]
async fn drawn_avatar(
    State(media): State<Media>,
    method: Method,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response> {
    let (id, form) = match name.rsplit_once('.') {
        Some((id, form)) => (id, Some(form)),
        None => (name.as_str(), None),
    };
    let id: UserId = id.parse().map_err(|_malformed| Code::MediaNotFound)?;
    let is_png = match form {
        Some("svg") => false,
        Some("png") => true,
        Some(_) => return Err(Error::new(Code::MediaNotFound)),
        None => wants_png(&headers),
    };
    let (bytes, media_type) = if is_png {
        (media.drawn_avatar(id).await?, "image/png")
    } else {
        let svg = pictures::default_avatar_svg(&id.get().to_be_bytes(), "");
        (svg.into(), "image/svg+xml")
    };
    // Another release may draw another one.
    let hash = blake3::hash(&bytes).to_hex();
    let body = FileBody {
        etag: format!("\"{}\"", hash.get(..22).unwrap_or_default()),
        source: Source::Memory(bytes),
        media_type,
        cache_control: "public, max-age=86400".into(),
    };
    let mut response = ranges::respond(&method, &headers, &body);
    if form.is_none() {
        let value = HeaderValue::from_static("accept");
        response.headers_mut().append(header::VARY, value);
    }
    Ok(response)
}

/// Whether a client takes PNG and does not say that it takes SVG.
fn wants_png(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    accept.contains("image/png") && !accept.contains("image/svg+xml")
}

/// A part of a video for changing connections
///
/// `hlsUrl` of a video names the first; it names the others (HLS, RFC 8216).
#[utoipa::path(
    get, path = "/media/{id}/hls/{key}/{file}", tag = "media",
    params(
        ("id" = MediaId, Path), ("key" = String, Path, example = "open"),
        ("file" = String, Path, example = "master.m3u8"),
    ),
    responses(
        (status = 200, description = "The file.", content_type = "application/vnd.apple.mpegurl"),
        (status = 206, description = "The parts of it that were asked for.", content_type = "video/mp4"),
        (status = 304, description = "The client has it."),
        (status = 403, description = "`invalid_signature`: it is not for everybody.", body = ErrorBody),
        (status = 412, description = "`precondition_failed`.", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`.", body = ErrorBody),
    )
)]
async fn ladder(
    State(media): State<Media>,
    method: Method,
    headers: HeaderMap,
    Path((id, key, file)): Path<(MediaId, String, String)>,
) -> Result<Response> {
    let served = media.open_ladder(id, &key, &file).await?;
    Ok(send(&method, &headers, served))
}

/// The same for what lies in a folder of its own.
async fn ladder_part(
    State(media): State<Media>,
    method: Method,
    headers: HeaderMap,
    Path((id, key, folder, file)): Path<(MediaId, String, String, String)>,
) -> Result<Response> {
    let name = format!("{folder}/{file}");
    let served = media.open_ladder(id, &key, &name).await?;
    Ok(send(&method, &headers, served))
}

async fn serve(
    media: &Media,
    method: &Method,
    headers: &HeaderMap,
    id: MediaId,
    name: Option<&str>,
    query: &SignatureQuery,
) -> Result<Response> {
    let takes_webp = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(takes_webp);
    let wish = Wish {
        id,
        name,
        takes_webp,
        signature: query.expires.zip(query.signature.as_deref()),
    };
    let mut response = send(method, headers, media.open(wish).await?);
    let is_negotiated = name.is_none_or(|name| !name.contains('.'));
    if is_negotiated {
        let value = HeaderValue::from_static("accept");
        response.headers_mut().append(header::VARY, value);
    }
    Ok(response)
}

fn send(method: &Method, headers: &HeaderMap, served: Served) -> Response {
    let body = FileBody {
        source: match served.content {
            Content::Memory(bytes) => Source::Memory(bytes),
            Content::File { file, size_bytes } => Source::File { file, size_bytes },
            Content::Object(object) => Source::Remote {
                size_bytes: object.size_bytes(),
                read: Arc::new(move |range| object.read(range)),
            },
        },
        media_type: served.media_type,
        etag: served.etag,
        cache_control: match (served.is_public, served.is_fixed) {
            (true, true) => "public, max-age=31536000, immutable".into(),
            // Its focus may be moved.
            (true, false) => "public, max-age=3600".into(),
            (false, _) => format!("private, max-age={}", served.fresh_for.as_secs()).into(),
        },
    };
    let mut response = ranges::respond(method, headers, &body);
    if body.media_type == "application/octet-stream" {
        let value = HeaderValue::from_static("attachment");
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Whether an `Accept` names WebP. A mere `*/*` is not enough: those who cannot show it send that too.
fn takes_webp(accept: &str) -> bool {
    accept.split(',').any(|part| {
        let mut parameters = part.split(';').map(str::trim);
        let names = parameters
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("image/webp"));
        let refused = parameters.any(|parameter| {
            parameter
                .split_once('=')
                .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .and_then(|(_, q)| q.trim().parse::<f32>().ok())
                .is_some_and(|q| q <= 0.0)
        });
        names && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webp_is_for_those_who_name_it() {
        assert!(takes_webp("image/avif,image/webp,*/*;q=0.8"));
        assert!(takes_webp("image/webp; q=0.5"));
        assert!(takes_webp("image/jpeg , Image/WebP ; Q = 0.1"));
        assert!(!takes_webp("image/webp;q=0, image/jpeg"));
        assert!(!takes_webp("image/webp;Q=0.000"));
        assert!(!takes_webp("image/webp ; v=1 ; q = 0"));
        assert!(!takes_webp("*/*"));
        assert!(!takes_webp("image/jpeg"));
    }
}
