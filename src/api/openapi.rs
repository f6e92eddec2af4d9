//! The document that describes the API, and the page to read it.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::Redirect;
use axum::routing::get;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    ResponseBuilder, tag::TagBuilder,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::error::{Code, Error, Result};
use crate::gateway::{ErrorBody, FieldErrorBody, status};

/// The document, generated from the routes.
pub fn openapi() -> OpenApi {
    finish(super::described().into_openapi())
}

/// What stands before the routes.
pub(super) fn preface() -> OpenApi {
    let mut description = String::from(
        "Everything under `/api/v1/auth`, `/users`, `/posts`, `/notify`, `/chat` and `/feed` also answers under the short \
         paths of the original (`/auth/...`, `/posts/...`). A changing \
         request with a token and an `Idempotency-Key` happens once, however often it is sent within a day.\n\n<details><summary>All error codes</summary>\n<table><tr><th>status</th><th>code</th><th>meaning</th></tr>\n",
    );
    for code in Code::ALL {
        // Writing into a String cannot fail.
        writeln!(
            description,
            "<tr><td>{}</td><td><code>{code}</code></td><td>{}</td></tr>",
            status(code.kind()).as_u16(),
            code.meaning().trim().replace('`', "")
        )
        .ok();
    }
    description.push_str("</table></details>\n");
    let info = InfoBuilder::new()
        .title("SocialHub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT")
                .identifier(Some("MIT"))
                .build(),
        ))
        .build();
    // In the order in which a newcomer wants them.
    let tags = [
        ("auth", "Accounts, sessions, codes by mail"),
        ("users", "Profiles, search, who follows whom"),
        ("posts", "Posts, and what people think of them"),
        ("feed", "What one reads at home"),
        ("discovery", "How people find each other"),
        ("comments", "Comments, as deep as people go"),
        ("stories", "What people show for a day"),
        ("media", "Pictures, videos and recordings"),
        ("assist", "Texts that a language model writes"),
        ("notifications", "What happened while one was away"),
        ("instance", "What this server offers"),
        ("setup", "The first admin"),
        ("admin", "For those who look after the server"),
    ]
    .map(|(name, about)| {
        TagBuilder::new()
            .name(name)
            .description(Some(about))
            .build()
    });
    OpenApiBuilder::new().info(info).tags(Some(tags)).build()
}

/// Adds what all routes share: the token, and the refusals that the edge and the extractors make.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .build(),
        ),
    );
    for (name, schema) in [
        (
            <ErrorBody as utoipa::ToSchema>::name(),
            <ErrorBody as utoipa::PartialSchema>::schema(),
        ),
        (
            <FieldErrorBody as utoipa::ToSchema>::name(),
            <FieldErrorBody as utoipa::PartialSchema>::schema(),
        ),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    for item in document.paths.paths.values_mut() {
        let operations = [
            (&mut item.get, false),
            (&mut item.post, true),
            (&mut item.put, true),
            (&mut item.patch, true),
            (&mut item.delete, true),
        ];
        for (operation, changes) in operations {
            if let Some(operation) = operation {
                add_refusals(operation, changes);
            }
        }
    }
    document
}

fn add_refusals(operation: &mut Operation, changes: bool) {
    let has_parameter = |place: &ParameterIn| {
        operation
            .parameters
            .iter()
            .flatten()
            .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == *place))
    };
    let in_path = has_parameter(&ParameterIn::Path);
    let in_query = has_parameter(&ParameterIn::Query);
    let has_body = operation.request_body.is_some();
    let has_token = operation.security.is_some();
    let shared = [
        (
            400,
            in_path || in_query || has_body || changes,
            "A field, a parameter or the body is not as it should be.",
        ),
        (401, has_token, "No token, or one that does not stand."),
        (
            404,
            in_path || has_token,
            "There is no such thing, or not for the caller.",
        ),
        (
            409,
            changes && has_token,
            "The first request with this `Idempotency-Key` is still under way.",
        ),
        (413, has_body, "Larger than the server takes."),
        (415, has_body, "Neither JSON nor a form."),
        (
            422,
            changes && has_token,
            "The `Idempotency-Key` was used for a different request.",
        ),
        (
            429,
            true,
            "Too often; `Retry-After` says when to try again.",
        ),
        (500, true, "A fault of the server."),
        (
            503,
            true,
            "Overloaded, starting or stopping; `Retry-After` says when to try again.",
        ),
        (507, changes, "The disk is full."),
    ];
    for (status, applies, description) in shared {
        if applies {
            operation
                .responses
                .responses
                .entry(status.to_string())
                .or_insert_with(|| RefOr::T(refusal(description)));
        }
    }
}

fn refusal(description: &str) -> utoipa::openapi::Response {
    let name = <ErrorBody as utoipa::ToSchema>::name();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(name)))
        .build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}

/// `/openapi.json`, and `/docs` to read it; the page's files are in the binary.
pub(super) fn routes(document: OpenApi) -> Router {
    // Written once: it does not change while the process runs.
    let json: Arc<str> = document.to_json().unwrap_or_default().into();
    let served = get(move || async move {
        (
            [(header::CONTENT_TYPE, "application/json")],
            json.to_string(),
        )
    });
    let config = Config::from("/openapi.json")
        .use_base_layout()
        .filter(true)
        .doc_expansion("list")
        .default_models_expand_depth(-1);
    let page = Router::from(SwaggerUi::new("/docs").config(config)).layer(
        axum::middleware::map_response(|mut response: axum::response::Response| async {
            let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
            response
                .headers_mut()
                .insert(header::CONTENT_SECURITY_POLICY, axum::http::HeaderValue::from_static(policy));
            response
        }),
    );
    Router::new()
        .route("/openapi.json", served)
        .route("/", get(welcome))
        .merge(page)
}

/// Somebody who opens the server's address in a browser is shown what there is to see; a program is told that there is
/// nothing.
async fn welcome(headers: HeaderMap) -> Result<Redirect> {
    let accept = headers.get(header::ACCEPT);
    let is_browser = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if is_browser {
        Ok(Redirect::to("/docs/"))
    } else {
        Err(Error::new(Code::NotFound))
    }
}
