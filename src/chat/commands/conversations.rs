//! What only conversations have: requests, groups, settings.

use serde::{Deserialize, Serialize};

use super::super::access::{self, ChatSettings, WhoMayMessage};
use super::super::{MAX_GROUP, Role, Room, RoomKey, RoomKind, sql};
use super::{Said, announce, enter, make, recount, room};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{RoomId, UserId};
use crate::store::{Command, WriteTx};
use crate::users;

/// Begins a conversation of two, or finds the one there is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartConversation {
    /// The room's id, if there is none yet.
    pub id: RoomId,
    pub by: UserId,
    pub with: UserId,
    pub at: Timestamp,
}

impl Command for StartConversation {
    const NAME: &'static str = "chat.start_conversation";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        if self.by == self.with {
            return Err(Error::new(Code::CannotMessage));
        }
        users::living(tx, self.with)?;
        let key = RoomKey::direct(self.by, self.with);
        let place = enter(tx, &key, self.by, self.id, true, self.at)?;
        // In the list of who began it alone: the other sees what is said, not what is meant to be.
        sql::touch_member(tx, place.room.id, self.by, self.at)?;
        room(tx, place.room.id)
    }
}

/// Begins a conversation of a few.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateGroup {
    pub id: RoomId,
    pub by: UserId,
    /// The others.
    pub people: Vec<UserId>,
    /// Valid.
    pub title: Option<String>,
    pub at: Timestamp,
}

impl Command for CreateGroup {
    const NAME: &'static str = "chat.create_group";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        let key = RoomKey::Numbered(self.id);
        // Whether they may act at all.
        access::find_place(tx, self.by, &key, self.at)?;
        access::check_may_make_more(tx, self.by, RoomKind::Group)?;
        make(tx, self.id, &key, RoomKind::Group, self.by, self.at)?;
        sql::add_member(tx, self.id, self.by, Role::Owner, self.at)?;
        sql::touch_member(tx, self.id, self.by, self.at)?;
        let change = super::super::RoomChange {
            title: Some(self.title.clone()),
            ..Default::default()
        };
        sql::update_room(tx, self.id, &change)?;
        take_in(tx, self.id, self.by, &self.people, self.at)?;
        room(tx, self.id)
    }
}

/// Takes people into a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddToGroup {
    pub key: RoomKey,
    pub by: UserId,
    pub people: Vec<UserId>,
    pub at: Timestamp,
}

impl Command for AddToGroup {
    const NAME: &'static str = "chat.add_to_group";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        let place = access::readable(tx, self.by, &self.key, self.at)?;
        if place.room.kind != RoomKind::Group {
            return Err(Error::new(Code::Forbidden));
        }
        place.check_may_take_part()?;
        take_in(tx, place.room.id, self.by, &self.people, self.at)?;
        let room = room(tx, place.room.id)?;
        announce(tx, room.id, "room_updated", Said::by(self.by), &room)?;
        Ok(room)
    }
}

/// Tells that somebody was taken into a group.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberAdded<'a> {
    room_id: &'a str,
    user_id: UserId,
    added_by: UserId,
}

/// Each must let `by` write to them; for who does not follow `by`, the group is a request.
///
/// Errors: `cannot_message`, `user_not_found`, `banned_from_room`, `too_many_members`.
fn take_in(
    tx: &WriteTx<'_>,
    id: RoomId,
    by: UserId,
    people: &[UserId],
    at: Timestamp,
) -> Result<()> {
    for &person in people.iter().filter(|person| **person != by) {
        let stands = access::check_may_message(tx, by, person)?;
        let key = RoomKey::Numbered(id);
        let theirs = access::find_place(tx, person, &key, at)?;
        if theirs.as_ref().is_some_and(|theirs| theirs.is_banned) {
            return Err(Error::new(Code::BannedFromRoom).with_message("They are banned here."));
        }
        if theirs.is_none_or(|theirs| theirs.role.is_none()) {
            let leavings = sql::leavings(tx, id, person)?;
            // Who went twice does not want to be here.
            if leavings > 1 {
                return Err(Error::new(Code::CannotMessage));
            }
            let is_request = !stands.is_followed || leavings > 0;
            if is_request {
                access::check_may_ask_more(tx, by)?;
            }
            sql::add_member(tx, id, person, Role::Member, at)?;
            // As with two: they see what is said, not what is meant to be.
            if room(tx, id)?.last_number > 0 {
                sql::touch_member(tx, id, person, at)?;
            }
            let told = MemberAdded {
                room_id: &key.as_text(),
                user_id: person,
                added_by: by,
            };
            // Not to those for whom they are not there.
            announce(tx, id, "member_added", Said::by(person), &told)?;
            sql::set_request(tx, id, person, u8::from(is_request))?;
            recount(tx, person);
        }
    }
    if room(tx, id)?.member_count > MAX_GROUP {
        return Err(Error::new(Code::TooManyMembers));
    }
    Ok(())
}

/// Accepts a conversation that somebody else began, or declines it: then they write no more, until it is accepted after all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerRequest {
    pub key: RoomKey,
    pub user_id: UserId,
    pub accepts: bool,
    pub at: Timestamp,
}

impl Command for AnswerRequest {
    const NAME: &'static str = "chat.answer_request";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let room = access::readable(tx, self.user_id, &self.key, self.at)?.room;
        if room.kind == RoomKind::Named {
            return Err(Error::new(Code::Forbidden));
        }
        let request = if self.accepts { 0 } else { access::DECLINED };
        sql::set_request(tx, room.id, self.user_id, request)?;
        if let Some(partner) = self.key.partner(self.user_id) {
            users::set_welcome(tx, self.user_id, partner, self.accepts)?;
        }
        recount(tx, self.user_id);
        Ok(())
    }
}

/// Takes a conversation out of one's list, with all that was said so far. What is said later brings it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClearConversation {
    pub key: RoomKey,
    pub user_id: UserId,
    pub at: Timestamp,
}

impl Command for ClearConversation {
    const NAME: &'static str = "chat.clear_conversation";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let room = access::readable(tx, self.user_id, &self.key, self.at)?.room;
        if room.kind == RoomKind::Named {
            return Err(Error::new(Code::Forbidden));
        }
        sql::clear(tx, room.id, self.user_id, room.last_number)?;
        recount(tx, self.user_id);
        Ok(())
    }
}

/// Sets who may write to somebody, and whether they are seen; what is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetChatSettings {
    pub user_id: UserId,
    pub who_may_message: Option<WhoMayMessage>,
    pub shows_presence: Option<bool>,
}

impl Command for SetChatSettings {
    const NAME: &'static str = "chat.set_settings";
    type Output = ChatSettings;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<ChatSettings> {
        users::living(tx, self.user_id)?;
        let before = sql::settings(tx, self.user_id)?;
        let now = ChatSettings {
            who_may_message: self.who_may_message.unwrap_or(before.who_may_message),
            shows_presence: self.shows_presence.unwrap_or(before.shows_presence),
        };
        sql::put_settings(tx, self.user_id, now)?;
        if before.shows_presence && !now.shows_presence {
            tx.signal(Event::PresenceHidden {
                user_id: self.user_id,
            });
        }
        Ok(now)
    }
}

/// Notes when people were there, but of those who hide it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteSeen {
    /// A thousand at most.
    pub people: Vec<(UserId, Timestamp)>,
}

impl Command for NoteSeen {
    const NAME: &'static str = "chat.note_seen";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        sql::put_seen(tx, &self.people)
    }
}
