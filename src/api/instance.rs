//! What this server offers, for clients to know beforehand.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use crate::assist::{Assist, Offer};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new().routes(routes!(get))
}

#[derive(Serialize, utoipa::ToSchema)]
struct InstanceReply {
    #[schema(example = true)]
    success: bool,
    /// The server's release.
    version: &'static str,
    /// Which writing help there is.
    assist: Offer,
}

/// What this server offers
#[utoipa::path(
    get, path = "/api/v1/instance", tag = "instance",
    responses((status = 200, description = "What there is.", body = InstanceReply))
)]
async fn get(State(assist): State<Assist>) -> Json<InstanceReply> {
    Json(InstanceReply {
        success: true,
        version: env!("CARGO_PKG_VERSION"),
        assist: assist.offer(),
    })
}
