//! Rooms, who is in them, and who keeps order.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::chat::{
    Chat, Invitation, Member, Message, Role, Room, RoomChange, RoomKey, RoomView, Sanction,
    SanctionDraft, Sanctioned, Visibility,
};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::gateway::{Body, Caller, ErrorBody, Path, Query, patch};
use crate::id::{MediaId, UserId};
use crate::page::DEFAULT_LIMIT;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(mine, create))
        .routes(routes!(directory))
        .routes(routes!(get, update, close))
        .routes(routes!(join))
        .routes(routes!(members, take_in))
        .routes(routes!(set_role, remove))
        .routes(routes!(invitations, invite))
        .routes(routes!(uninvite))
        .routes(routes!(my_invitations))
        .routes(routes!(sanctions))
        .routes(routes!(mute, unmute))
        .routes(routes!(ban, unban))
        .routes(routes!(pins))
}

/// Absent fields stay.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct RoomBody {
    /// What to show instead of its name; at most 80 characters. Null for nothing.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, max_length = 80, example = "Gardeners")]
    title: Option<Option<String>>,
    /// What it is about; at most 500 characters. Null for nothing.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, max_length = 500)]
    topic: Option<Option<String>>,
    /// An upload of one's own, to be its picture. Null for none.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<MediaId>)]
    avatar_id: Option<Option<MediaId>>,
    /// Who finds it, and may come in; for owners.
    visibility: Option<Visibility>,
    /// Seconds that a member waits between two messages.
    #[schema(maximum = 21_600)]
    slow_mode_seconds: Option<u32>,
    /// Whether only moderators write.
    is_read_only: Option<bool>,
    /// Days after which messages go; null when they stay. For owners.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 3_650)]
    retention_days: Option<Option<u32>>,
}

impl RoomBody {
    fn into_change(self) -> RoomChange {
        RoomChange {
            title: self.title,
            topic: self.topic,
            avatar: self.avatar_id,
            visibility: self.visibility,
            slow_mode_s: self.slow_mode_seconds,
            is_read_only: self.is_read_only,
            retention_days: self.retention_days,
        }
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct NewRoomBody {
    /// 1 to 128 printable characters; without one its id is its name.
    #[schema(min_length = 1, max_length = 128, example = "garden")]
    name: Option<String>,
    #[serde(flatten)]
    room: RoomBody,
}

#[derive(Serialize, utoipa::ToSchema)]
struct RoomReply {
    #[schema(example = true)]
    success: bool,
    room: Room,
}

impl RoomReply {
    fn of(room: Room) -> Json<Self> {
        Json(Self {
            success: true,
            room,
        })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct RoomViewReply {
    #[schema(example = true)]
    success: bool,
    room: RoomView,
}

#[derive(Serialize, utoipa::ToSchema)]
struct MyRoomsReply {
    #[schema(example = true)]
    success: bool,
    rooms: Vec<RoomView>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The rooms that one is in
#[utoipa::path(
    get, path = "/api/v1/chat/rooms", tag = "chat", security(("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "The latest made first; conversations have a list of their own.", body = MyRoomsReply),
    )
)]
async fn mine(
    State(chat): State<Chat>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<MyRoomsReply>> {
    let slice = chat
        .rooms(caller.id(), page.parse_unnumbered(DEFAULT_LIMIT)?)
        .await?;
    Ok(Json(MyRoomsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        rooms: slice.items,
    }))
}

/// Make a room
#[utoipa::path(
    post, path = "/api/v1/chat/rooms", tag = "chat", security(("token" = [])),
    request_body = NewRoomBody,
    responses(
        (status = 201, description = "The room, which the caller owns.", body = RoomReply),
        (status = 403, description = "`forbidden`: here only admins make rooms.", body = ErrorBody),
        (status = 409, description = "`room_exists`.", body = ErrorBody),
    )
)]
async fn create(
    State(chat): State<Chat>,
    caller: Caller,
    Body(body): Body<NewRoomBody>,
) -> Result<(StatusCode, Json<RoomReply>)> {
    let change = body.room.into_change();
    let room = chat
        .create_room(&caller.actor, body.name.as_deref(), change)
        .await?;
    Ok((StatusCode::CREATED, RoomReply::of(room)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DirectoryQuery {
    /// What their names begin with.
    q: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct DirectoryReply {
    #[schema(example = true)]
    success: bool,
    rooms: Vec<Room>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The rooms that everybody finds
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/directory", tag = "chat", security(("token" = [])),
    params(DirectoryQuery, PageQuery),
    responses(
        (status = 200, description = "By name.", body = DirectoryReply),
    )
)]
async fn directory(
    State(chat): State<Chat>,
    _caller: Caller,
    Query(query): Query<DirectoryQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<DirectoryReply>> {
    let slice = chat
        .directory(
            query.q.unwrap_or_default(),
            page.parse_unnumbered(DEFAULT_LIMIT)?,
        )
        .await?;
    Ok(Json(DirectoryReply {
        success: true,
        next_cursor: slice.next_cursor(),
        rooms: slice.items,
    }))
}

/// What a room is
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/{roomId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "The room, for all who may find it.", body = RoomViewReply),
        (status = 403, description = "`forbidden`: other people's conversation.", body = ErrorBody),
    )
)]
async fn get(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<RoomViewReply>> {
    let key = RoomKey::parse(&room)?;
    let room = chat.view(caller.id(), key).await?;
    Ok(Json(RoomViewReply {
        success: true,
        room,
    }))
}

/// Change what a room is
///
/// By who keeps order; who may come in and how long messages stay, by owners. A group's title and picture, by all in it.
#[utoipa::path(
    patch, path = "/api/v1/chat/rooms/{roomId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = RoomBody,
    responses(
        (status = 200, description = "The room as it is now.", body = RoomReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn update(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<RoomBody>,
) -> Result<Json<RoomReply>> {
    let key = RoomKey::parse(&room)?;
    let change = body.into_change();
    Ok(RoomReply::of(
        chat.update_room(&caller.actor, key, change).await?,
    ))
}

/// Close a room
///
/// For all, with everything that was said in it. By its owners; its name is free then.
#[utoipa::path(
    delete, path = "/api/v1/chat/rooms/{roomId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "It is closed.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's room, or a conversation.", body = ErrorBody),
    )
)]
async fn close(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.close_room(&caller.actor, key).await?;
    Ok(Done::new("The room is closed."))
}

/// Become a member of a room
///
/// Whoever is invited accepts in this way.
#[utoipa::path(
    post, path = "/api/v1/chat/rooms/{roomId}/join", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "The room.", body = RoomReply),
        (status = 403, description = "`invitation_needed`, `banned_from_room`.", body = ErrorBody),
    )
)]
async fn join(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<RoomReply>> {
    let key = RoomKey::parse(&room)?;
    Ok(RoomReply::of(chat.join(&caller.actor, key, None).await?))
}

#[derive(Serialize, utoipa::ToSchema)]
struct MembersReply {
    #[schema(example = true)]
    success: bool,
    members: Vec<Member>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Who is in a room
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/{roomId}/members", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), PageQuery),
    responses(
        (status = 200, description = "A page of them.", body = MembersReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn members(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<MembersReply>> {
    let key = RoomKey::parse(&room)?;
    let slice = chat
        .members(caller.id(), key, page.parse_unnumbered(DEFAULT_LIMIT)?)
        .await?;
    Ok(Json(MembersReply {
        success: true,
        next_cursor: slice.next_cursor(),
        members: slice.items,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct PeopleBody {
    /// Up to 49.
    #[schema(min_items = 1, max_items = 49)]
    user_ids: Vec<UserId>,
}

/// Take people into a group
#[utoipa::path(
    post, path = "/api/v1/chat/rooms/{roomId}/members", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = PeopleBody,
    responses(
        (status = 200, description = "The group.", body = RoomReply),
        (status = 403, description = "`forbidden`, `cannot_message`, `banned_from_room`.", body = ErrorBody),
        (status = 409, description = "`too_many_members`.", body = ErrorBody),
    )
)]
async fn take_in(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<PeopleBody>,
) -> Result<Json<RoomReply>> {
    let key = RoomKey::parse(&room)?;
    let room = chat.add_to_group(&caller.actor, key, body.user_ids).await?;
    Ok(RoomReply::of(room))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct RoleBody {
    role: Role,
}

/// Give a member another role
///
/// By owners.
#[utoipa::path(
    patch, path = "/api/v1/chat/rooms/{roomId}/members/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)), request_body = RoleBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
        (status = 409, description = "`last_owner`.", body = ErrorBody),
    )
)]
async fn set_role(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
    Body(body): Body<RoleBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.set_role(&caller.actor, key, user, body.role).await?;
    Ok(Done::new("Changed."))
}

/// Take a member out of a room, or leave it
///
/// Oneself, or somebody below one's own role.
#[utoipa::path(
    delete, path = "/api/v1/chat/rooms/{roomId}/members/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn remove(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.remove_member(&caller.actor, key, user).await?;
    Ok(Done::new("Done."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct InvitationsReply {
    #[schema(example = true)]
    success: bool,
    invitations: Vec<Invitation>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct InvitationBody {
    user_id: UserId,
}

/// Who is invited to a room
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/{roomId}/invitations", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), PageQuery),
    responses(
        (status = 200, description = "A page of them.", body = InvitationsReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn invitations(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<InvitationsReply>> {
    let key = RoomKey::parse(&room)?;
    let is_admin = caller.actor.is_admin;
    let slice = chat
        .invitations_to(
            caller.id(),
            is_admin,
            key,
            page.parse_unnumbered(DEFAULT_LIMIT)?,
        )
        .await?;
    Ok(Json(InvitationsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        invitations: slice.items,
    }))
}

/// Invite somebody to a room
///
/// Into an open room by any member, else by who keeps order.
#[utoipa::path(
    post, path = "/api/v1/chat/rooms/{roomId}/invitations", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = InvitationBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`, `banned_from_room`.", body = ErrorBody),
        (status = 409, description = "`too_many_invitations`.", body = ErrorBody),
    )
)]
async fn invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<InvitationBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.invite(&caller.actor, key, body.user_id).await?;
    Ok(Done::new("Invited."))
}

/// Take an invitation back, or decline it
#[utoipa::path(
    delete, path = "/api/v1/chat/rooms/{roomId}/invitations/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn uninvite(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.uninvite(&caller.actor, key, user).await?;
    Ok(Done::new("Done."))
}

/// The invitations that one has
#[utoipa::path(
    get, path = "/api/v1/chat/invitations", tag = "chat", security(("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "The newest first.", body = InvitationsReply),
    )
)]
async fn my_invitations(
    State(chat): State<Chat>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<InvitationsReply>> {
    let slice = chat
        .invitations(caller.id(), page.parse_unnumbered(DEFAULT_LIMIT)?)
        .await?;
    Ok(Json(InvitationsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        invitations: slice.items,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct SanctionsReply {
    #[schema(example = true)]
    success: bool,
    sanctions: Vec<Sanctioned>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
struct SanctionBody {
    /// Until when; without it, until it is taken back.
    until: Option<Timestamp>,
    /// Why; at most 300 characters.
    #[schema(max_length = 300)]
    reason: Option<String>,
}

impl SanctionBody {
    fn into_draft(self, user_id: UserId, kind: Sanction) -> SanctionDraft {
        SanctionDraft {
            user_id,
            kind,
            until: self.until,
            reason: self.reason,
        }
    }
}

/// Who is muted in a room, or banned from it
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/{roomId}/sanctions", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), PageQuery),
    responses(
        (status = 200, description = "A page of them.", body = SanctionsReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn sanctions(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<SanctionsReply>> {
    let key = RoomKey::parse(&room)?;
    let is_admin = caller.actor.is_admin;
    let slice = chat
        .sanctions(
            caller.id(),
            is_admin,
            key,
            page.parse_unnumbered(DEFAULT_LIMIT)?,
        )
        .await?;
    Ok(Json(SanctionsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        sanctions: slice.items,
    }))
}

/// Let somebody read in a room and not write
///
/// By who keeps order, to somebody below their own role.
#[utoipa::path(
    put, path = "/api/v1/chat/rooms/{roomId}/mutes/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)), request_body = SanctionBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn mute(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
    Body(body): Body<SanctionBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    let draft = body.into_draft(user, Sanction::Mute);
    chat.sanction(&caller.actor, key, draft).await?;
    Ok(Done::new("Muted."))
}

/// Let somebody write again
#[utoipa::path(
    delete, path = "/api/v1/chat/rooms/{roomId}/mutes/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn unmute(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.lift(&caller.actor, key, user, Sanction::Mute).await?;
    Ok(Done::new("Muted no more."))
}

/// Ban somebody from a room
///
/// By who keeps order, to somebody below their own role.
#[utoipa::path(
    put, path = "/api/v1/chat/rooms/{roomId}/bans/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)), request_body = SanctionBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn ban(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
    Body(body): Body<SanctionBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    let draft = body.into_draft(user, Sanction::Ban);
    chat.sanction(&caller.actor, key, draft).await?;
    Ok(Done::new("Banned."))
}

/// Let somebody come back
#[utoipa::path(
    delete, path = "/api/v1/chat/rooms/{roomId}/bans/{userId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), ("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn unban(
    State(chat): State<Chat>,
    caller: Caller,
    Path((room, user)): Path<(String, UserId)>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.lift(&caller.actor, key, user, Sanction::Ban).await?;
    Ok(Done::new("Banned no more."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct PinsReply {
    #[schema(example = true)]
    success: bool,
    /// The latest pinned first.
    messages: Vec<Message>,
}

/// The pinned messages of a room
#[utoipa::path(
    get, path = "/api/v1/chat/rooms/{roomId}/pins", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "All of them.", body = PinsReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn pins(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<PinsReply>> {
    let key = RoomKey::parse(&room)?;
    Ok(Json(PinsReply {
        success: true,
        messages: chat.pins(caller.id(), key).await?,
    }))
}
