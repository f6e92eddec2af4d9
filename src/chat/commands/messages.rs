//! What is said, changed, taken back.

use serde::{Deserialize, Serialize};

use super::super::access::{self, Place};
use super::super::{Delivery, MAX_GROUP, Message, Role, Room, RoomKey, RoomKind, sql};
use super::{Said, announce, enter, recount, show};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Audience;
use crate::id::{MediaId, MessageId, PostId, RoomId, StoryId, UserId};
use crate::media::{self, Holder};
use crate::store::{Command, ReadTx, WriteTx};
use crate::{posts, stories, text, users};

/// Different emoji that one person may leave on one message.
const MAX_REACTIONS: u32 = 20;
/// Reactions that one message may have: each says whose it is.
const MAX_REACTIONS_OF_ALL: u32 = 1_000;
/// Messages that may be pinned in a room.
const MAX_PINS: u32 = 50;

/// Says something in a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendMessage {
    pub id: MessageId,
    /// The room's id, if there is none yet.
    pub room_id: RoomId,
    pub key: RoomKey,
    pub sender_id: UserId,
    /// Valid; empty only beside something else.
    pub body: String,
    /// The same as HTML.
    pub html: Option<String>,
    pub client_id: Option<String>,
    pub reply_to: Option<MessageId>,
    pub target: Option<UserId>,
    /// Uploads of the sender's.
    pub media: Vec<MediaId>,
    /// A post to point to.
    pub post_id: Option<PostId>,
    /// A post whose address stands in the text: pointed to if the sender may see it.
    pub linked_post: Option<PostId>,
    /// A story of the partner's that it answers.
    pub story: Option<StoryAnswer>,
    pub may_create: bool,
    pub at: Timestamp,
}

/// How a message answers a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryAnswer {
    pub id: StoryId,
    /// Whether the text is an emoji, which its author also sees at the story.
    pub is_reaction: bool,
}

impl Command for SendMessage {
    const NAME: &'static str = "chat.send_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let sender = self.sender_id;
        let place = enter(
            tx,
            &self.key,
            sender,
            self.room_id,
            self.may_create,
            self.at,
        )?;
        let room = &place.room;
        if let Some(client_id) = &self.client_id
            && let Some(known) = sql::find_by_client_id(tx, sender, room.id, client_id)?
        {
            return sql::find_message(tx, known)?.ok_or(Code::MessageNotFound.into());
        }
        place.check_may_write(self.at)?;
        access::check_target(tx, sender, &self.key, self.target)?;
        if let Some(partner) = self.key.partner(sender) {
            write_to(tx, room, sender, partner)?;
        } else if place.role.is_none() {
            // Who says something has come in.
            access::check_may_be_in_more(tx, sender)?;
            sql::add_member(tx, room.id, sender, Role::Member, self.at)?;
        }
        if let Some(answered) = self.reply_to {
            sql::find_stub(tx, answered)?
                .filter(|stub| stub.room_id == room.id && !stub.is_deleted)
                .filter(|stub| stub.number > place.cleared_number)
                .ok_or(Code::MessageNotFound)?;
        }
        if let Some(known) = self.answer_story(tx, &place)? {
            return Ok(known);
        }
        let new = sql::NewMessage {
            id: self.id,
            room_id: room.id,
            number: sql::next_number(tx, room.id)?,
            sender_id: sender,
            body: &self.body,
            html: self.html.as_deref(),
            has_media: !self.media.is_empty(),
            post_id: self.pointed_post(tx)?,
            story_id: self.story.map(|story| story.id),
            reply_to: self.reply_to,
            client_id: self.client_id.as_deref(),
            at: self.at,
        };
        sql::insert_message(tx, &new)?;
        if let Some(story) = self.story.filter(|story| story.is_reaction) {
            stories::set_reaction_message(tx, sender, story.id, self.id)?;
        }
        media::attach(
            tx,
            sender,
            &self.media,
            Holder::Message(self.id.get()),
            false,
        )?;
        let mentioned = mentioned(tx, &place, &self.body)?;
        if !mentioned.is_empty() {
            sql::put_mentions(tx, self.id, &mentioned)?;
        }
        if room.kind != RoomKind::Named {
            sql::touch_members(tx, room.id, self.at)?;
        }
        // Who says something has seen what was there.
        sql::put_sent(tx, room.id, sender, new.number, self.at)?;
        recount(tx, sender);
        let message = find(tx, self.id)?;
        let said = Said {
            by: sender,
            number: Some(new.number),
        };
        announce(tx, room.id, "new_message", said, &message)?;
        self.tell_others(tx, room, &message, &mentioned)?;
        Ok(message)
    }
}

impl SendMessage {
    /// Notes the reaction, if it is one; another reaction to the same story changes the message that told of the first,
    /// which is returned. Errors: `story_not_found` for what the sender may not see; `forbidden` for a story of somebody
    /// else's than to whom it is said.
    fn answer_story(&self, tx: &WriteTx<'_>, place: &Place) -> Result<Option<Message>> {
        let Some(story) = self.story else {
            return Ok(None);
        };
        let author = stories::author_of(tx, self.sender_id, story.id, self.at)?;
        if self.key.partner(self.sender_id) != Some(author) {
            return Err(Error::new(Code::Forbidden));
        }
        if !story.is_reaction {
            return Ok(None);
        }
        stories::react(tx, self.sender_id, story.id, Some(&self.body), self.at)?;
        let Some(told) = stories::reaction_message(tx, self.sender_id, story.id)? else {
            return Ok(None);
        };
        let Some(stub) = sql::find_stub(tx, told)?
            .filter(|stub| !stub.is_deleted && stub.number > place.cleared_number)
        else {
            return Ok(None);
        };
        let now = (self.body.as_str(), self.html.as_deref());
        change_text(tx, told, (&stub, place), now, self.at)?;
        seen(tx, told, self.sender_id).map(Some)
    }

    /// The post that it points to. Errors: `post_not_found` for what the sender may not see.
    fn pointed_post(&self, tx: &WriteTx<'_>) -> Result<Option<PostId>> {
        if let Some(post) = self.post_id {
            return if posts::is_visible(tx, self.sender_id, post)? {
                Ok(Some(post))
            } else {
                Err(Error::new(Code::PostNotFound))
            };
        }
        match self.linked_post {
            Some(post) if posts::is_visible(tx, self.sender_id, post)? => Ok(Some(post)),
            _ => Ok(None),
        }
    }

    /// Tells those whom it concerns and who do not look: everybody in a conversation, those who are named in a room.
    fn tell_others(
        &self,
        tx: &WriteTx<'_>,
        room: &Room,
        message: &Message,
        mentioned: &[UserId],
    ) -> Result<()> {
        let people = match room.kind {
            RoomKind::Named => mentioned.iter().map(|user| (*user, 0)).collect(),
            RoomKind::Direct | RoomKind::Group => sql::member_requests(tx, room.id, MAX_GROUP)?,
        };
        let ids: Vec<UserId> = people.iter().map(|(user, _)| *user).collect();
        let apart = sql::apart(tx, self.sender_id, &ids)?;
        let muting = users::muters_among(tx, self.sender_id, &ids, self.at)?;
        // One event for those who have accepted it, and one for those to whom it is a request.
        for request in [0, 1] {
            let user_ids: Vec<UserId> = people
                .iter()
                .filter(|(user, theirs)| *user != self.sender_id && *theirs == request)
                .filter(|(user, _)| !apart.contains(user) && !muting.contains(user))
                .map(|(user, _)| *user)
                .collect();
            if user_ids.is_empty() {
                continue;
            }
            let unread_count = match (room.kind, user_ids.as_slice()) {
                (RoomKind::Direct, [partner]) => Some(sql::unread_in(tx, room.id, *partner)?),
                _ => None,
            };
            let notice = Notice {
                conversation_id: room.key.clone(),
                message: message.clone(),
                unread_count,
                is_request: request == 1,
            };
            let audience = Audience::PeopleOutside {
                user_ids,
                room_id: room.id,
            };
            show(
                tx,
                audience,
                "new_message_notification",
                Said::by(self.sender_id),
                &notice,
            )?;
        }
        Ok(())
    }
}

/// Tells people of a message in a conversation that they do not look at, or in which they are named (contract, section 13).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::chat) struct Notice {
    conversation_id: String,
    message: Message,
    /// Messages that they have not read there; between two people alone.
    unread_count: Option<u64>,
    is_request: bool,
}

/// Whether one of two may write to the other, and what that makes of their conversation: who writes lets the other answer,
/// and accepts it; to who does not follow the writer it is a request.
///
/// Errors: `cannot_message`.
fn write_to(tx: &WriteTx<'_>, room: &Room, sender: UserId, partner: UserId) -> Result<()> {
    let stands = access::acquaintance(tx, sender, partner)?;
    let is_let_in = users::is_welcome(tx, partner, sender)?;
    let theirs = sql::find_request(tx, room.id, partner)?;
    if theirs == Some(access::DECLINED) || !(stands.is_welcome || is_let_in) {
        return Err(Error::new(Code::CannotMessage));
    }
    sql::set_request(tx, room.id, sender, 0)?;
    if !stands.is_welcome_back {
        users::set_welcome(tx, sender, partner, true)?;
    }
    // What they have said something in is no request to them any more.
    let is_accepted = stands.is_followed || is_let_in || has_written(tx, room, partner)?;
    sql::set_request(tx, room.id, partner, u8::from(!is_accepted))
}

fn has_written(tx: &ReadTx<'_>, room: &Room, user: UserId) -> Result<bool> {
    Ok(room.last_number > 0 && sql::has_written(tx, room.id, user)?)
}

/// The members of a room who are named in a text; the sender need not be told.
fn mentioned(tx: &ReadTx<'_>, place: &Place, body: &str) -> Result<Vec<UserId>> {
    let keys = text::mentions(body);
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let people = users::sql::ids_by_username_keys(tx, &keys)?;
    sql::members_among(tx, place.room.id, &people)
}

/// Changes the text of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EditMessage {
    pub id: MessageId,
    pub by: UserId,
    /// Valid; empty only beside something else.
    pub body: String,
    /// The same as HTML.
    pub html: Option<String>,
    pub at: Timestamp,
}

impl Command for EditMessage {
    const NAME: &'static str = "chat.edit_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let (stub, place) = readable(tx, self.id, self.by, self.at)?;
        if stub.sender_id != self.by {
            return Err(Error::new(Code::Forbidden));
        }
        changeable(tx, &stub, &place, self.by)?;
        if self.body.is_empty() && !stub.has_media && !stub.has_post {
            return Err(Error::new(Code::EmptyMessage));
        }
        let now = (self.body.as_str(), self.html.as_deref());
        change_text(tx, self.id, (&stub, &place), now, self.at)?;
        seen(tx, self.id, self.by)
    }
}

/// Gives a message another text, and the same as HTML; what it said before is kept.
fn change_text(
    tx: &WriteTx<'_>,
    id: MessageId,
    (stub, place): (&sql::Stub, &Place),
    now: (&str, Option<&str>),
    at: Timestamp,
) -> Result<()> {
    if stub.body == now.0 {
        return Ok(());
    }
    sql::edit_message(tx, id, &stub.body, now, at)?;
    sql::put_mentions(tx, id, &mentioned(tx, place, now.0)?)?;
    sql::put_change(tx, stub.room_id, id)?;
    let message = find(tx, id)?;
    let by = Said::by(stub.sender_id);
    announce(tx, stub.room_id, "message_edited", by, &message)
}

/// Takes a message back, for all. It keeps its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteMessage {
    pub id: MessageId,
    pub by: UserId,
    pub as_admin: bool,
    pub at: Timestamp,
}

/// Tells of a message that was taken back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted<'a> {
    message_id: MessageId,
    room_id: &'a str,
    conversation_id: &'a str,
    number: u64,
    change: Option<u64>,
}

impl Command for DeleteMessage {
    const NAME: &'static str = "chat.delete_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let (stub, place) = readable(tx, self.id, self.by, self.at)?;
        let is_keeper = place.room.kind == RoomKind::Named
            && place.rank(self.as_admin) >= Some(Role::Moderator);
        if stub.sender_id != self.by && !is_keeper {
            return Err(Error::new(Code::Forbidden));
        }
        let mut told = find(tx, self.id)?.mentions;
        if stub.has_media {
            media::release(tx, Holder::Message(self.id.get()), self.at)?;
        }
        sql::delete_message(tx, self.id, self.at)?;
        sql::put_change(tx, stub.room_id, self.id)?;
        let message = find(tx, self.id)?;
        let deleted = Deleted {
            message_id: message.id,
            room_id: &message.room_id,
            conversation_id: &message.room_id,
            number: message.number,
            change: message.change,
        };
        announce(
            tx,
            stub.room_id,
            "message_deleted",
            Said::by(stub.sender_id),
            &deleted,
        )?;
        if place.room.kind != RoomKind::Named {
            let members = sql::member_requests(tx, stub.room_id, MAX_GROUP)?;
            told = members.into_iter().map(|(user, _)| user).collect();
        }
        // Those who were told of it and do not look.
        let apart = sql::apart(tx, stub.sender_id, &told)?;
        told.retain(|user| !apart.contains(user));
        if !told.is_empty() {
            let audience = Audience::PeopleOutside {
                user_ids: told,
                room_id: stub.room_id,
            };
            show(
                tx,
                audience,
                "message_deleted",
                Said::by(stub.sender_id),
                &deleted,
            )?;
        }
        Ok(message)
    }
}

/// Leaves an emoji on a message, or takes it away; again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReactToMessage {
    pub id: MessageId,
    pub user_id: UserId,
    /// Valid.
    pub emoji: String,
    pub wants: bool,
    pub at: Timestamp,
}

/// Tells of a reaction (contract, section 13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reacted<'a> {
    message_id: MessageId,
    room_id: &'a str,
    user_id: UserId,
    emoji: &'a str,
    change: Option<u64>,
    reactions: &'a [super::super::Reaction],
}

impl Command for ReactToMessage {
    const NAME: &'static str = "chat.react";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let (stub, place) = readable(tx, self.id, self.user_id, self.at)?;
        changeable(tx, &stub, &place, self.user_id)?;
        let changed = if self.wants {
            let has = sql::reaction_count(tx, self.id, self.user_id)?;
            let added = sql::add_reaction(tx, self.id, self.user_id, &self.emoji, self.at)?;
            let is_full =
                has >= MAX_REACTIONS || sql::reaction_total(tx, self.id)? > MAX_REACTIONS_OF_ALL;
            if added && is_full {
                return Err(Error::new(Code::TooManyReactions));
            }
            added
        } else {
            sql::remove_reaction(tx, self.id, self.user_id, &self.emoji)?
        };
        if changed {
            sql::put_change(tx, stub.room_id, self.id)?;
        }
        let message = find(tx, self.id)?;
        if changed {
            let reacted = Reacted {
                message_id: message.id,
                room_id: &message.room_id,
                user_id: self.user_id,
                emoji: &self.emoji,
                change: message.change,
                reactions: &message.reactions,
            };
            let name = if self.wants {
                "reaction_added"
            } else {
                "reaction_removed"
            };
            announce(tx, stub.room_id, name, Said::by(self.user_id), &reacted)?;
        }
        seen(tx, self.id, self.user_id)
    }
}

/// Notes how far somebody has read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkRead {
    pub key: RoomKey,
    pub user_id: UserId,
    /// The number of the last message; all that there are without one.
    pub number: Option<u64>,
    pub at: Timestamp,
}

/// Tells how far somebody has read (contract, section 13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Read<'a> {
    conversation_id: &'a str,
    room_id: &'a str,
    user_id: UserId,
    number: u64,
}

/// Tells how far a message, and those before it, have come with all the others (contract, section 13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusTold<'a> {
    conversation_id: &'a str,
    message_id: MessageId,
    status: Delivery,
}

/// Tells those who look at a conversation how far somebody has come.
fn tell_mark(
    tx: &WriteTx<'_>,
    room: &Room,
    name: &str,
    user_id: UserId,
    number: u64,
) -> Result<()> {
    let read = Read {
        conversation_id: &room.key,
        room_id: &room.key,
        user_id,
        number,
    };
    announce(tx, room.id, name, Said::by(user_id), &read)?;
    let Some(message_id) = sql::last_of_others(tx, room.id, user_id, number)? else {
        return Ok(());
    };
    match find(tx, message_id)?.in_conversation {
        Some(names) if names.status != Delivery::Sent => {
            let told = StatusTold {
                conversation_id: &room.key,
                message_id,
                status: names.status,
            };
            announce(
                tx,
                room.id,
                "message_status_update",
                Said::by(user_id),
                &told,
            )
        }
        _ => Ok(()),
    }
}

impl Command for MarkRead {
    const NAME: &'static str = "chat.mark_read";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let room = access::readable(tx, self.user_id, &self.key, self.at)?.room;
        let number = self
            .number
            .unwrap_or(room.last_number)
            .min(room.last_number);
        let has_changed = sql::put_read(tx, room.id, self.user_id, number)?;
        // Who has read what in a room of thousands is nobody's business, and would be told too often.
        if has_changed && room.kind != RoomKind::Named {
            recount(tx, self.user_id);
        }
        if has_changed && shows_reading(tx, &room, self.user_id)? {
            tell_mark(tx, &room, "messages_read", self.user_id, number)?;
        }
        Ok(())
    }
}

/// Notes how far messages have reached somebody's devices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkDelivered {
    pub key: RoomKey,
    pub user_id: UserId,
    /// The number of the last message; all that there are without one.
    pub number: Option<u64>,
    pub at: Timestamp,
}

impl Command for MarkDelivered {
    const NAME: &'static str = "chat.mark_delivered";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let room = access::readable(tx, self.user_id, &self.key, self.at)?.room;
        if room.kind == RoomKind::Named {
            return Ok(());
        }
        let number = self
            .number
            .unwrap_or(room.last_number)
            .min(room.last_number);
        let has_changed = sql::put_delivered(tx, room.id, self.user_id, number)?;
        if has_changed && shows_reading(tx, &room, self.user_id)? {
            tell_mark(tx, &room, "messages_delivered", self.user_id, number)?;
        }
        Ok(())
    }
}

/// Pins a message, or takes it down; again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PinMessage {
    pub id: MessageId,
    pub by: UserId,
    pub as_admin: bool,
    pub wants: bool,
    pub at: Timestamp,
}

/// Tells of a pin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PinTold<'a> {
    message_id: MessageId,
    room_id: &'a str,
    pinned_at: Option<Timestamp>,
    user_id: UserId,
    change: u64,
}

impl Command for PinMessage {
    const NAME: &'static str = "chat.pin_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let (stub, place) = readable(tx, self.id, self.by, self.at)?;
        if place.room.kind == RoomKind::Named {
            place.check_rank(self.as_admin, Role::Moderator)?;
        }
        changeable(tx, &stub, &place, self.by)?;
        if stub.is_pinned != self.wants {
            if self.wants && sql::pin_count(tx, stub.room_id)? >= MAX_PINS {
                return Err(Error::new(Code::TooManyPins));
            }
            let pinned_at = self.wants.then_some(self.at);
            sql::set_pinned(tx, self.id, pinned_at)?;
            let change = sql::put_change(tx, stub.room_id, self.id)?;
            let told = PinTold {
                message_id: self.id,
                room_id: &stub.room_key,
                pinned_at,
                user_id: self.by,
                change,
            };
            let name = if self.wants {
                "message_pinned"
            } else {
                "message_unpinned"
            };
            announce(tx, stub.room_id, name, Said::by(self.by), &told)?;
        }
        seen(tx, self.id, self.by)
    }
}

/// A message that is there, in a room in which somebody may read.
fn readable(
    tx: &WriteTx<'_>,
    id: MessageId,
    user: UserId,
    at: Timestamp,
) -> Result<(sql::Stub, Place)> {
    let stub = sql::find_stub(tx, id)?
        .filter(|stub| !stub.is_deleted)
        .ok_or(Code::MessageNotFound)?;
    let place = access::of_message(tx, user, &stub, at)?;
    Ok((stub, place))
}

/// Whether somebody may change what is there. Errors: `muted_in_room`, `room_read_only`, `cannot_message`.
fn changeable(tx: &WriteTx<'_>, stub: &sql::Stub, place: &Place, user: UserId) -> Result<()> {
    place.check_may_take_part()?;
    access::check_still_open(tx, place, &RoomKey::parse(&stub.room_key)?, user)
}

/// Whether others may know what somebody has read: not while they have not accepted the conversation.
fn shows_reading(tx: &WriteTx<'_>, room: &Room, user: UserId) -> Result<bool> {
    Ok(room.kind != RoomKind::Named && sql::find_request(tx, room.id, user)? == Some(0))
}

/// The message as it is, to be told.
fn find(tx: &WriteTx<'_>, id: MessageId) -> Result<Message> {
    sql::find_message(tx, id)?.ok_or(Code::MessageNotFound.into())
}

/// The message as somebody sees it, to answer them.
fn seen(tx: &WriteTx<'_>, id: MessageId, by: UserId) -> Result<Message> {
    sql::find_message_for(tx, id, by)?.ok_or(Code::MessageNotFound.into())
}
