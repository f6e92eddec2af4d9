//! Notifications (contract, section 5), and what the original only promised of them.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::error::{Code, Error, Result};
use crate::gateway::{Caller, Path, Query};
use crate::id::NotificationId;
use crate::notifications::{Filter, Notification, NotificationGroup, Notifications, Topic};
use crate::page::Page;

/// How many the contract's route gives at once.
const TAKEN_AT_ONCE: u32 = 50;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(take_unread))
        .routes(routes!(list, remove_all))
        .routes(routes!(unread_count))
        .routes(routes!(mark_all_read))
        .routes(routes!(mark_read))
        .routes(routes!(remove))
}

#[derive(Serialize, utoipa::ToSchema)]
struct TakenReply {
    #[schema(example = true)]
    success: bool,
    message: String,
    /// Newest first, at most fifty.
    data: Vec<Notification>,
    /// Always null: what is left comes with the next call.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Take what is new
///
/// The newest that were not read, at most fifty, whatever page is asked for. They count as read from now on, and those
/// left out do not.
#[utoipa::path(
    get, path = "/api/v1/notify/notifications", tag = "notifications", security(("token" = [])),
    params(PageQuery), responses((status = 200, description = "What was not read before.", body = TakenReply))
)]
async fn take_unread(
    State(notifications): State<Notifications>,
    caller: Caller,
    method: Method,
    Query(page): Query<PageQuery>,
) -> Result<Json<TakenReply>> {
    page.parse()?;
    let data = if method == Method::HEAD {
        // Who asks for the head alone has read nothing.
        let filter = Filter {
            unread_only: true,
            ..Filter::default()
        };
        notifications
            .list(caller.id(), Page::first(TAKEN_AT_ONCE), filter)
            .await?
            .items
    } else {
        notifications
            .take_unread(caller.id(), TAKEN_AT_ONCE)
            .await?
    };
    let message = match data.len() {
        0 => "There is nothing new.".to_owned(),
        1 => "1 new notification.".to_owned(),
        count => format!("{count} new notifications."),
    };
    Ok(Json(TakenReply {
        success: true,
        message,
        data,
        next_cursor: None,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct NotificationsQuery {
    /// Only those that were not read.
    #[serde(default)]
    unread: bool,
    /// Only those of these types, separated by commas: `POST`, `CONNECTION`, `ENGAGEMENT`, `PROFILE`.
    #[serde(rename = "type")]
    #[param(
        rename = "type",
        pattern = "^((POST|CONNECTION|ENGAGEMENT|PROFILE)(,(POST|CONNECTION|ENGAGEMENT|PROFILE))*)?$"
    )]
    topics: Option<String>,
    /// Whether those of one kind about one thing come as one: "Ada and 4 others liked your post".
    #[serde(default)]
    group: bool,
}

impl NotificationsQuery {
    fn filter(&self) -> Result<Filter> {
        let topics = self
            .topics
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| match name {
                "POST" => Ok(Topic::Post),
                "CONNECTION" => Ok(Topic::Connection),
                "ENGAGEMENT" => Ok(Topic::Engagement),
                "PROFILE" => Ok(Topic::Profile),
                _ => Err(Error::new(Code::InvalidQuery)
                    .with_message("There is no such type of notification.")),
            })
            .collect::<Result<_>>()?;
        Ok(Filter {
            unread_only: self.unread,
            topics,
        })
    }
}

/// One, or a group of them.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
enum Listed {
    Single(Notification),
    Group(NotificationGroup),
}

#[derive(Serialize, utoipa::ToSchema)]
struct NotificationsReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first: notifications, or groups of them when asked for.
    data: Vec<Listed>,
    /// How many are not read, of all.
    unread: u64,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// All notifications
#[utoipa::path(
    get, path = "/api/v1/notifications", tag = "notifications", security(("token" = [])),
    params(NotificationsQuery, PageQuery),
    responses((status = 200, description = "One page of them, read or not.", body = NotificationsReply))
)]
async fn list(
    State(notifications): State<Notifications>,
    caller: Caller,
    Query(query): Query<NotificationsQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<NotificationsReply>> {
    let (filter, page) = (query.filter()?, page.parse()?);
    let slice = if query.group {
        let groups = notifications
            .list_grouped(caller.id(), page, filter)
            .await?;
        groups.map(Listed::Group)
    } else {
        let single = notifications.list(caller.id(), page, filter).await?;
        single.map(Listed::Single)
    };
    let unread = notifications.unread_count(caller.id()).await?;
    Ok(Json(NotificationsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        data: slice.items,
        unread,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct UnreadReply {
    #[schema(example = true)]
    success: bool,
    /// How many are not read.
    count: u64,
}

/// How many are not read
#[utoipa::path(
    get, path = "/api/v1/notifications/unread/count", tag = "notifications", security(("token" = [])),
    responses((status = 200, description = "The number.", body = UnreadReply))
)]
async fn unread_count(
    State(notifications): State<Notifications>,
    caller: Caller,
) -> Result<Json<UnreadReply>> {
    let count = notifications.unread_count(caller.id()).await?;
    Ok(Json(UnreadReply {
        success: true,
        count,
    }))
}

/// Mark all as read
#[utoipa::path(
    patch, path = "/api/v1/notifications/read-all", tag = "notifications", security(("token" = [])),
    responses((status = 200, description = "All there were are read.", body = Done))
)]
async fn mark_all_read(
    State(notifications): State<Notifications>,
    caller: Caller,
) -> Result<Json<Done>> {
    notifications.mark_all_read(caller.id()).await?;
    Ok(Done::new("All are read."))
}

/// Mark one as read
#[utoipa::path(
    patch, path = "/api/v1/notifications/{id}/read", tag = "notifications", security(("token" = [])),
    params(("id" = NotificationId, Path)),
    responses((status = 200, description = "It is read.", body = Done))
)]
async fn mark_read(
    State(notifications): State<Notifications>,
    caller: Caller,
    Path(id): Path<NotificationId>,
) -> Result<Json<Done>> {
    notifications.mark_one_read(caller.id(), id).await?;
    Ok(Done::new("It is read."))
}

/// Throw one away
#[utoipa::path(
    delete, path = "/api/v1/notifications/{id}", tag = "notifications", security(("token" = [])),
    params(("id" = NotificationId, Path)),
    responses((status = 200, description = "It is gone.", body = Done))
)]
async fn remove(
    State(notifications): State<Notifications>,
    caller: Caller,
    Path(id): Path<NotificationId>,
) -> Result<Json<Done>> {
    notifications.remove(caller.id(), id).await?;
    Ok(Done::new("It is gone."))
}

/// Throw all away
#[utoipa::path(
    delete, path = "/api/v1/notifications", tag = "notifications", security(("token" = [])),
    responses((status = 200, description = "All there were are gone.", body = Done))
)]
async fn remove_all(
    State(notifications): State<Notifications>,
    caller: Caller,
) -> Result<Json<Done>> {
    notifications.remove_all(caller.id()).await?;
    Ok(Done::new("All are gone."))
}
