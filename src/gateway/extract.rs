//! What a request says: path, query and body, each refused in our own shape.

use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::form::Form;
use crate::error::{Code, Error, FieldError, Result};

/// Fields of a form at most.
pub const MAX_FORM_FIELDS: usize = 200;

/// How long a client may pause within a form.
const PAUSE: Duration = Duration::from_secs(30);

/// How deep JSON may nest, as deep as its usual readers go; nothing here needs more than a few levels.
const MAX_DEPTH: usize = 127;

/// How much of a body is read, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Of any body.
    pub any: u64,
    /// Of JSON and of the fields of a form.
    pub text: u64,
}

/// A part of the path; what is not of its form does not exist.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        use axum::extract::path::{ErrorKind, Path as AxumPath};
        use axum::extract::rejection::PathRejection;
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(match error.kind() {
                ErrorKind::InvalidUtf8InPathParam { .. } => Error::new(Code::InvalidPath),
                _ => Error::new(Code::NotFound),
            }),
            Err(other) => Err(Error::internal(other)),
        }
    }
}

/// The query.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| Error::new(Code::InvalidQuery).with_source(error))
    }
}

/// The body, as JSON, as a URL-encoded form, or as the fields of a multipart form; in this order of preference for
/// clients, and all the same to handlers.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let limits = request
            .extensions()
            .get::<BodyLimits>()
            .copied()
            .ok_or(Code::Internal)?;
        match essence(request.headers()).as_str() {
            "application/json" => {
                let bytes = body(request, limits.text).await?;
                if nests_too_deep(&bytes) {
                    return Err(Error::new(Code::InvalidBody)
                        .with_message("The body of the request nests too deep."));
                }
                let text = std::str::from_utf8(&bytes)
                    .map_err(|error| Error::new(Code::InvalidBody).with_source(error))?;
                let mut json = serde_json::Deserializer::from_str(text);
                let value = serde_path_to_error::deserialize(&mut json)
                    .map_err(|error| from_json(&error, is_json(text)))?;
                json.end()
                    .map_err(|error| Error::new(Code::InvalidBody).with_source(error))?;
                Ok(Self(value))
            }
            "application/x-www-form-urlencoded" => {
                let bytes = body(request, limits.text).await?;
                let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(&bytes)
                    .map_err(|error| Error::new(Code::InvalidBody).with_source(error))?;
                from_fields(pairs)
            }
            "multipart/form-data" => from_fields(read_texts(request, limits).await?),
            _ => Err(Error::new(Code::UnsupportedMediaType)),
        }
    }
}

/// A body that may be left out.
impl<T, S> OptionalFromRequest<S> for Body<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>> {
        if request.body().is_end_stream() {
            Ok(None)
        } else {
            <Self as FromRequest<S>>::from_request(request, state)
                .await
                .map(Some)
        }
    }
}

/// The media type without its parameters; `+json` counts as JSON.
pub(super) fn essence(headers: &HeaderMap) -> String {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind.starts_with("application/") && kind.ends_with("+json") {
        "application/json".to_owned()
    } else {
        kind
    }
}

async fn body(request: Request, limit: u64) -> Result<Bytes> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit) {
        return Err(Error::new(Code::BodyTooLarge));
    }
    collect(request.into_body(), limit).await
}

/// Reads a body whole, up to a limit.
pub(super) async fn collect(body: axum::body::Body, limit: u64) -> Result<Bytes> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::new(Code::BodyTooLarge)),
        Err(error) => Err(Error::new(Code::InvalidBody).with_source(error)),
    }
}

/// The texts of a form that has no files.
async fn read_texts(request: Request, limits: BodyLimits) -> Result<Vec<(String, String)>> {
    let mut form = Form::open(request, limits.any, PAUSE)?;
    if let Some(file) = form.next_file().await? {
        return Err(Error::invalid_fields(vec![FieldError::new(
            file.field,
            "files_not_taken",
            "This address takes no files.",
        )]));
    }
    Ok(form.into_texts())
}

/// A form as the JSON object that it means: a name that repeats, or ends in `[]`, is a list.
pub(super) fn from_fields<T: DeserializeOwned>(fields: Vec<(String, String)>) -> Result<Body<T>> {
    if fields.len() > MAX_FORM_FIELDS {
        return Err(Error::new(Code::InvalidBody).with_message("This form has too many fields."));
    }
    let mut object = Map::new();
    for (name, text) in fields {
        let (name, is_list) = match name.strip_suffix("[]") {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        let text = Value::String(text);
        match object.get_mut(&name) {
            Some(Value::Array(list)) => list.push(text),
            Some(first) => *first = Value::Array(vec![first.take(), text]),
            None if is_list => drop(object.insert(name, Value::Array(vec![text]))),
            None => drop(object.insert(name, text)),
        }
    }
    serde_path_to_error::deserialize(Value::Object(object))
        .map(Body)
        .map_err(|error| from_json(&error, true))
}

/// Whether JSON nests deeper than it may, also where nobody reads it: the deserialiser would pass over that.
fn nests_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Which field a deserialiser stumbled over. Some wrong types look like wrong syntax to it (a number for one of a set
/// of names), hence `is_json`.
fn from_json(error: &serde_path_to_error::Error<serde_json::Error>, is_json: bool) -> Error {
    let inner = error.inner();
    if !is_json {
        return Error::new(Code::InvalidBody).with_source(inner.to_string());
    }
    let text = inner.to_string();
    // serde names a missing field in its text alone.
    let missing = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let path = error.path().to_string();
    match missing {
        Some(name) => Error::invalid_fields(vec![FieldError::new(
            name.to_owned(),
            "required",
            format!("{name} is required."),
        )]),
        // The body as a whole is no object.
        None if path == "." => Error::new(Code::InvalidBody).with_source(text),
        None => Error::invalid_fields(vec![FieldError::new(
            path.clone(),
            "invalid_type",
            format!("{path} is not of the right type."),
        )]),
    }
}

/// A list of texts, or one text that stands for a list of one, as forms write it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

impl From<OneOrMany> for Vec<String> {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::Many(many) => many,
            OneOrMany::One(one) => vec![one],
        }
    }
}

/// A field that may be absent (`None`), null (`Some(None)`) or there.
pub fn patch<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
