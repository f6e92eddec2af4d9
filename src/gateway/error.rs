//! How a refusal looks on the wire: one shape, made in one place.

use std::any::Any;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use tracing::{error, warn};

use crate::error::{Code, Error, Kind};

/// Every answer that is not a success.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// What went wrong, stable; see the list of codes.
    #[schema(example = "post_not_found")]
    code: &'static str,
    /// The same for a person.
    #[schema(example = "This post is not here.")]
    message: String,
    /// The same again, where clients of chat and of the feed look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The fields that broke their rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldErrorBody>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FieldErrorBody {
    /// The field's name.
    #[schema(example = "username")]
    field: String,
    /// The rule that was broken, stable.
    #[schema(example = "too_short")]
    code: String,
    /// The rule in words.
    #[schema(example = "username needs at least 3 characters.")]
    message: String,
}

/// The status of each kind of error.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::UriTooLong => StatusCode::URI_TOO_LONG,
        Kind::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Kind::ChecksumMismatch => StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
        Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::BadGateway => StatusCode::BAD_GATEWAY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        Kind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// An error that was answered, for who has to say it in another form.
#[derive(Clone)]
struct Told(Arc<Error>);

/// Says an error once more as `error`, as the clients of chat and of the feed expect it (contract, section 7).
pub(super) fn repeat_as_error(response: Response<Body>) -> Response<Body> {
    // Said already, before it was compressed.
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Some(Told(error)) = parts.extensions.remove::<Told>() else {
        return Response::from_parts(parts, body);
    };
    let body = ErrorBody {
        error: Some(error.message().to_owned()),
        ..ErrorBody::from(&*error)
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Json(body).into_response().into_body())
}

impl From<&Error> for ErrorBody {
    fn from(error: &Error) -> Self {
        let fields = error.fields().iter().map(|field| FieldErrorBody {
            field: field.field.to_string(),
            code: field.code.to_string(),
            message: field.message.to_string(),
        });
        Self {
            success: false,
            code: error.code().as_str(),
            message: error.message().to_owned(),
            error: None,
            errors: fields.collect(),
        }
    }
}

impl IntoResponse for Error {
    /// Writes the error for the client and, where somebody should act or may want to know, its causes into the log:
    /// the one place that does.
    fn into_response(self) -> Response<Body> {
        match self.kind() {
            Kind::Internal => {
                error!(error = %self, causes = self.causes(), "A request failed: {self}");
            }
            Kind::Unavailable | Kind::StorageFull | Kind::BadGateway | Kind::GatewayTimeout => {
                warn!(error = %self, causes = self.causes(), "A request was refused: {self}");
            }
            _ => {}
        }
        let body = ErrorBody::from(&self);
        let mut response = (status(self.kind()), Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind() == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Told(Arc::new(self)));
        response
    }
}

/// A handler that panicked harms its own request alone.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(Code::Internal)
        .with_source(format!("a handler panicked: {text}"))
        .into_response()
}
