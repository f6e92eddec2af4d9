//! Rooms appear, change, forget.

use serde::{Deserialize, Serialize};

use super::super::{Role, Room, RoomChange, RoomKey, RoomKind, Visibility, access, sql};
use super::{Said, announce, enter, make, room};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{MessageId, RoomId, UserId};
use crate::media::{self, Holder};
use crate::store::{Command, WriteTx};
use crate::users::Slot;

/// Rooms that forget, looked at by one command.
const ROOMS_AT_ONCE: u32 = 100;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Makes somebody a member of a room, which is made if there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRoom {
    /// The room's id, if there is none yet.
    pub id: RoomId,
    pub key: RoomKey,
    pub user_id: UserId,
    /// Whether a name that nobody used before makes a room.
    pub may_create: bool,
    pub at: Timestamp,
}

impl Command for JoinRoom {
    const NAME: &'static str = "chat.join_room";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        let user = self.user_id;
        let known = access::find_place(tx, user, &self.key, self.at)?;
        let place = match known {
            Some(place) => place,
            None => enter(tx, &self.key, user, self.id, self.may_create, self.at)?,
        };
        place.check_may_join()?;
        if place.role.is_none() && place.room.kind == RoomKind::Named {
            access::check_may_be_in_more(tx, user)?;
        }
        // Whoever comes into an empty room looks after it.
        let role = match place.room.member_count {
            0 if place.room.kind == RoomKind::Named => Role::Owner,
            _ => Role::Member,
        };
        sql::add_member(tx, place.room.id, user, role, self.at)?;
        sql::uninvite(tx, place.room.id, user)?;
        room(tx, place.room.id)
    }
}

/// Makes a room on purpose; who makes it owns it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRoom {
    pub id: RoomId,
    /// Its name, or none: then its id is its name.
    pub key: RoomKey,
    pub by: UserId,
    /// Valid.
    pub change: RoomChange,
    pub at: Timestamp,
}

impl Command for CreateRoom {
    const NAME: &'static str = "chat.create_room";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        if access::find_place(tx, self.by, &self.key, self.at)?.is_some() {
            return Err(Error::new(Code::RoomExists));
        }
        access::check_may_make_more(tx, self.by, RoomKind::Named)?;
        make(tx, self.id, &self.key, RoomKind::Named, self.by, self.at)?;
        sql::add_member(tx, self.id, self.by, Role::Owner, self.at)?;
        change(tx, self.id, self.by, &self.change, self.at)?;
        room(tx, self.id)
    }
}

/// Changes what a room is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateRoom {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    /// Valid.
    pub change: RoomChange,
    pub at: Timestamp,
}

impl Command for UpdateRoom {
    const NAME: &'static str = "chat.update_room";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        let place = access::readable(tx, self.by, &self.key, self.at)?;
        let is_group_matter = place.room.kind == RoomKind::Group
            && self.change
                == RoomChange {
                    title: self.change.title.clone(),
                    avatar: self.change.avatar,
                    ..RoomChange::default()
                };
        let least = match place.room.kind {
            RoomKind::Named if self.change.is_for_owners() => Role::Owner,
            RoomKind::Named => Role::Moderator,
            RoomKind::Group if is_group_matter => Role::Member,
            RoomKind::Group | RoomKind::Direct => return Err(Error::new(Code::Forbidden)),
        };
        place.check_rank(self.as_admin, least)?;
        if !self.as_admin {
            place.check_may_take_part()?;
        }
        change(tx, place.room.id, self.by, &self.change, self.at)?;
        let room = room(tx, place.room.id)?;
        announce(tx, room.id, "room_updated", Said::by(self.by), &room)?;
        Ok(room)
    }
}

fn change(
    tx: &WriteTx<'_>,
    id: RoomId,
    by: UserId,
    change: &RoomChange,
    at: Timestamp,
) -> Result<()> {
    sql::update_room(tx, id, change)?;
    if matches!(
        change.visibility,
        Some(Visibility::Invite | Visibility::Hidden)
    ) {
        sql::end_casual_invitations(tx, id)?;
    }
    let Some(avatar) = change.avatar else {
        return Ok(());
    };
    let holder = Holder::Room(id.get());
    media::release(tx, holder, at)?;
    if let Some(upload) = avatar {
        media::attach(tx, by, &[upload], holder, true)?;
    }
    let path = avatar.map(|upload| Slot::Avatar.path(upload));
    sql::set_avatar(tx, id, path.as_deref())
}

/// Closes a room: it is there for nobody any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CloseRoom {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub at: Timestamp,
}

impl Command for CloseRoom {
    const NAME: &'static str = "chat.close_room";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let place = access::readable(tx, self.by, &self.key, self.at)?;
        // A conversation belongs to all who are in it.
        if place.room.kind != RoomKind::Named {
            return Err(Error::new(Code::Forbidden));
        }
        place.check_rank(self.as_admin, Role::Owner)?;
        close(tx, place.room.id, self.at)
    }
}

/// What is left of a room goes step by step: see [`ExpireMessages`].
pub(super) fn close(tx: &WriteTx<'_>, room: RoomId, at: Timestamp) -> Result<()> {
    media::release(tx, Holder::Room(room.get()), at)?;
    sql::close_room(tx, room, at)?;
    tx.signal(Event::RoomClosed { room_id: room });
    Ok(())
}

/// Removes messages that are older than their room keeps them, and what is left of rooms that are closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExpireMessages {
    /// Rooms after this one; all, without.
    pub after: Option<RoomId>,
    pub at: Timestamp,
    /// Rows, at most.
    pub limit: u32,
}

/// How far messages were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    pub count: u32,
    /// After which room it goes on, if it does.
    pub next: Option<RoomId>,
    pub has_more: bool,
}

impl Command for ExpireMessages {
    const NAME: &'static str = "chat.expire_messages";
    type Output = Expired;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Expired> {
        let rooms = sql::rooms_that_forget(tx, self.after, ROOMS_AT_ONCE)?;
        let (mut count, mut passed) = (0, self.after);
        for forgetting in &rooms {
            let room = forgetting.room;
            let before = match forgetting.days {
                Some(days) => self.at.as_millis() - days * DAY_MS,
                None => i64::MAX,
            };
            let before = Timestamp::from_millis(before);
            let old = sql::oldest_messages(tx, room, before, self.limit - count)?;
            count += u32::try_from(old.len()).map_err(Error::internal)?;
            let message_ids: Vec<MessageId> = old.iter().map(|(id, _)| *id).collect();
            for (id, has_media) in old {
                if has_media {
                    media::release(tx, Holder::Message(id.get()), self.at)?;
                }
                sql::forget_message(tx, id)?;
            }
            if !message_ids.is_empty() {
                let room_id = room;
                tx.emit(
                    self.at,
                    Event::MessagesExpired {
                        room_id,
                        message_ids,
                    },
                )?;
            }
            if forgetting.days.is_none() && count < self.limit {
                count += sql::forget_room(tx, room, self.limit - count)?;
            }
            // The rest of this room comes with the next command.
            if count >= self.limit {
                return Ok(Expired {
                    count,
                    next: passed,
                    has_more: true,
                });
            }
            passed = Some(room);
        }
        Ok(Expired {
            count,
            next: passed,
            has_more: rooms.len() == ROOMS_AT_ONCE as usize,
        })
    }
}
