//! What happens in rooms.
//!
//! * `rooms`: they appear, change, forget;
//! * `members`: who comes and goes, keeps order, has to be quiet;
//! * `messages`: what is said, changed, taken back;
//! * `conversations`: what only conversations have: requests, groups, settings.

mod conversations;
mod members;
mod messages;
mod rooms;

use serde::Serialize;

use super::access::{self, Place};
use super::{Role, Room, RoomKey, RoomKind, Visibility, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Audience, Event, Live};
use crate::id::{RoomId, UserId};
use crate::store::{Registry, WriteTx};

pub use conversations::{
    AddToGroup, AnswerRequest, ClearConversation, CreateGroup, NoteSeen, SetChatSettings,
    StartConversation,
};
pub use members::{
    InviteToRoom, LiftSanction, RemoveMember, SanctionMember, SetRole, WithdrawInvitation,
};
pub(super) use messages::Notice;
pub use messages::{
    DeleteMessage, EditMessage, MarkDelivered, MarkRead, PinMessage, ReactToMessage, SendMessage,
    StoryAnswer,
};
pub use rooms::{CloseRoom, CreateRoom, ExpireMessages, JoinRoom, UpdateRoom};

pub(super) fn register(registry: &mut Registry) {
    registry.add::<AddToGroup>();
    registry.add::<AnswerRequest>();
    registry.add::<ClearConversation>();
    registry.add::<CloseRoom>();
    registry.add::<CreateGroup>();
    registry.add::<CreateRoom>();
    registry.add::<DeleteMessage>();
    registry.add::<EditMessage>();
    registry.add::<ExpireMessages>();
    registry.add::<InviteToRoom>();
    registry.add::<JoinRoom>();
    registry.add::<LiftSanction>();
    registry.add::<MarkDelivered>();
    registry.add::<MarkRead>();
    registry.add::<NoteSeen>();
    registry.add::<PinMessage>();
    registry.add::<ReactToMessage>();
    registry.add::<RemoveMember>();
    registry.add::<SanctionMember>();
    registry.add::<SendMessage>();
    registry.add::<SetChatSettings>();
    registry.add::<SetRole>();
    registry.add::<StartConversation>();
    registry.add::<UpdateRoom>();
    registry.add::<WithdrawInvitation>();
}

/// The room of that name, made if there is none, where somebody may read.
fn enter(
    tx: &WriteTx<'_>,
    key: &RoomKey,
    user: UserId,
    id: RoomId,
    may_create: bool,
    at: Timestamp,
) -> Result<Place> {
    if let Some(place) = access::find_readable(tx, user, key, at)? {
        return Ok(place);
    }
    match key {
        RoomKey::Numbered(_) => return Err(Error::new(Code::RoomNotFound)),
        RoomKey::Named(_) if !may_create => return Err(Error::new(Code::RoomNotFound)),
        RoomKey::Named(_) => {
            access::check_may_make_more(tx, user, RoomKind::Named)?;
            make(tx, id, key, RoomKind::Named, user, at)?;
            sql::add_member(tx, id, user, Role::Owner, at)?;
        }
        RoomKey::Direct(one, other) => {
            if let Some(partner) = key.partner(user)
                && !access::check_may_message(tx, user, partner)?.is_followed
            {
                access::check_may_ask_more(tx, user)?;
            }
            make(tx, id, key, RoomKind::Direct, user, at)?;
            sql::add_member(tx, id, *one, Role::Member, at)?;
            sql::add_member(tx, id, *other, Role::Member, at)?;
        }
    }
    access::readable(tx, user, key, at)
}

fn make(
    tx: &WriteTx<'_>,
    id: RoomId,
    key: &RoomKey,
    kind: RoomKind,
    by: UserId,
    at: Timestamp,
) -> Result<()> {
    let visibility = match kind {
        RoomKind::Named => Visibility::Open,
        RoomKind::Direct | RoomKind::Group => Visibility::Hidden,
    };
    let new = sql::NewRoom {
        id,
        key: &key.as_text(),
        kind,
        visibility,
        by,
        at,
    };
    sql::insert_room(tx, &new)
}

fn room(tx: &WriteTx<'_>, id: RoomId) -> Result<Room> {
    sql::find_room(tx, id)?.ok_or(Code::RoomNotFound.into())
}

/// What is told of an event beside what it says.
#[derive(Clone, Copy)]
struct Said {
    /// Whose doing it is: those for whom they are not there do not see it.
    by: UserId,
    /// The place among a room's messages, where it is one.
    number: Option<u64>,
}

impl Said {
    fn by(by: UserId) -> Self {
        Self { by, number: None }
    }
}

/// Tells those who look at a room.
fn announce(
    tx: &WriteTx<'_>,
    room_id: RoomId,
    name: &str,
    said: Said,
    payload: &impl Serialize,
) -> Result<()> {
    show(tx, Audience::Room(room_id), name, said, payload)
}

/// How much waits for somebody may have changed.
fn recount(tx: &WriteTx<'_>, user_id: UserId) {
    tx.signal(Event::ChatCountsChanged { user_id });
}

fn show(
    tx: &WriteTx<'_>,
    audience: Audience,
    name: &str,
    said: Said,
    payload: &impl Serialize,
) -> Result<()> {
    tx.signal(Event::Live(Live {
        audience,
        by: said.by,
        name: name.to_owned(),
        number: said.number,
        payload: serde_json::to_string(payload).map_err(Error::internal)?,
    }));
    Ok(())
}
