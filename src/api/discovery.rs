//! Whom to follow, who is here, and how one is found oneself.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::users::PeopleReply;
use super::{Done, SharedDomains};
use crate::discovery::{Discovery, DiscoverySettings, Order, Suggestion};
use crate::error::Result;
use crate::gateway::{Body, Caller, Path, Query};
use crate::id::UserId;
use crate::page::DEFAULT_LIMIT;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(suggestions))
        .routes(routes!(dismiss))
        .routes(routes!(directory))
        .routes(routes!(settings, set))
}

#[derive(Serialize, utoipa::ToSchema)]
struct SuggestionsReply {
    #[schema(example = true)]
    success: bool,
    suggestions: Vec<Suggestion>,
}

/// People to follow, and why
///
/// Those whom the people one followed last follow, and who write under hashtags that one uses or follows; then those who came
/// last. Nobody whom one follows, mutes or blocks, or who does not want it. There is one page.
#[utoipa::path(
    get, path = "/api/v1/suggestions", tag = "discovery", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "The most likely first.", body = SuggestionsReply))
)]
async fn suggestions(
    State(discovery): State<Discovery>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<SuggestionsReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(Json(SuggestionsReply {
        success: true,
        suggestions: discovery.suggestions(caller.id(), page.limit).await?,
    }))
}

/// Have a person suggested no more
///
/// Again changes nothing; of a thousand such people the oldest are forgotten.
#[utoipa::path(
    delete, path = "/api/v1/suggestions/{userId}", tag = "discovery", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "They are not.", body = Done))
)]
async fn dismiss(
    State(discovery): State<Discovery>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    discovery.dismiss(&caller.actor, id).await?;
    Ok(Done::new("They are suggested no more."))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OrderQuery {
    /// `active`: who last wrote a public post first, without those who wrote none. `new`: who came last first.
    #[param(inline)]
    order: Option<Order>,
}

/// The people who are here
///
/// Those who want to be found, by when they last wrote for everybody, without those whom one follows, mutes or blocks. A
/// page can have fewer people than wanted, even none, and others behind it: it ends where `next_cursor` is null. A cursor
/// belongs to the order of its page.
#[utoipa::path(
    get, path = "/api/v1/directory", tag = "discovery", security(("token" = [])), params(OrderQuery, PageQuery),
    responses((status = 200, description = "One page of them.", body = PeopleReply))
)]
async fn directory(
    State(discovery): State<Discovery>,
    caller: Caller,
    Query(order): Query<OrderQuery>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PeopleReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let order = order.order.unwrap_or_default();
    let slice = discovery.directory(caller.id(), order, page).await?;
    Ok(PeopleReply::of(slice))
}

#[derive(Serialize, utoipa::ToSchema)]
struct SettingsReply {
    #[schema(example = true)]
    success: bool,
    settings: DiscoverySettings,
}

/// How one can be found
#[utoipa::path(
    get, path = "/api/v1/discovery/settings", tag = "discovery", security(("token" = [])),
    responses((status = 200, description = "In which ways.", body = SettingsReply))
)]
async fn settings(
    State(discovery): State<Discovery>,
    caller: Caller,
) -> Result<Json<SettingsReply>> {
    Ok(Json(SettingsReply {
        success: true,
        settings: discovery.settings(caller.id()).await?,
    }))
}

/// Choose how one can be found
///
/// From then on, for everybody.
#[utoipa::path(
    put, path = "/api/v1/discovery/settings", tag = "discovery", security(("token" = [])),
    request_body = DiscoverySettings,
    responses((status = 200, description = "In which ways.", body = SettingsReply))
)]
async fn set(
    State(discovery): State<Discovery>,
    caller: Caller,
    Body(settings): Body<DiscoverySettings>,
) -> Result<Json<SettingsReply>> {
    discovery.set(&caller.actor, settings).await?;
    Ok(Json(SettingsReply {
        success: true,
        settings,
    }))
}
