//! What only admins may do.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Done, SharedDomains};
use crate::auth::Auth;
use crate::error::Result;
use crate::event::UserStatus;
use crate::gateway::{Admin, Body, ErrorBody, Path};
use crate::id::UserId;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new().routes(routes!(set_status))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct StatusBody {
    /// `deleted` is for good.
    status: UserStatus,
}

/// Suspend, restore or delete an account
///
/// Sessions end at once unless the status is `active`.
#[utoipa::path(
    patch, path = "/api/v1/admin/users/{id}/status", tag = "admin", security(("token" = [])),
    params(("id" = UserId, Path)), request_body = StatusBody,
    responses(
        (status = 200, description = "So it is now.", body = Done),
        (status = 403, description = "`forbidden`: not an admin, or one's own account.", body = ErrorBody),
    )
)]
async fn set_status(
    State(auth): State<Auth>,
    Admin(caller): Admin,
    Path(id): Path<UserId>,
    Body(body): Body<StatusBody>,
) -> Result<Json<Done>> {
    auth.set_status(&caller.actor, id, body.status).await?;
    Ok(Done::new("The account's status is set."))
}
