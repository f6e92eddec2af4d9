//! Lists and histories, as each may see them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    Chat, ChatSettings, ChatType, Conversation, Folder, History, Invitation, Member, Message,
    MessageEdit, Presence, Reach, Role, Room, RoomKey, RoomKind, RoomView, Sanctioned, Span,
    Status, access, sql,
};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{MessageId, RoomId, UserId};
use crate::page::{Cursor, MAX_LIMIT, Page, Slice};
use crate::store::ReadTx;
use crate::users::{self, Person};

/// Messages that one answer holds at most.
pub const MAX_MESSAGES: u32 = 100;
/// People in a room who are named.
pub const MAX_ONLOOKERS: usize = 1_000;
/// People from whom a connection is kept apart at once: all whom they may block, and of those who block them as many as
/// fit. Whoever is blocked by more is not shown to the rest by what is read; only what passes while both look might.
const MAX_APART: u32 = 50_000;
/// Earlier texts of a message that are shown.
const MAX_EDITS: u32 = 100;
/// Pinned messages that are shown: all that there may be.
const MAX_PINS: u32 = 100;

impl Chat {
    /// A room that somebody is in already, and may go to without a word; none where going there is a change.
    pub async fn known(
        &self,
        user: UserId,
        key: RoomKey,
        target: Option<UserId>,
    ) -> Result<Option<Room>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                access::check_target(tx, user, &key, target)?;
                let place = access::find_place(tx, user, &key, now)?;
                Ok(place
                    .filter(|place| place.role.is_some() && !place.is_banned)
                    .map(|place| place.room))
            })
            .await
    }

    /// A room in which somebody may read.
    pub async fn get(&self, user: UserId, key: RoomKey) -> Result<Room> {
        let now = self.ids.now();
        self.store
            .read(move |tx| Ok(access::readable(tx, user, &key, now)?.room))
            .await
    }

    /// A room as somebody sees it. Who may not read there but may find it sees what it is.
    pub async fn view(&self, user: UserId, key: RoomKey) -> Result<RoomView> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::find_place(tx, user, &key, now)?.ok_or(Code::RoomNotFound)?;
                place.check_may_find()?;
                Ok(match sql::room_of(tx, place.room.id, user)? {
                    Some(view) => view,
                    None => RoomView {
                        room: place.room,
                        role: None,
                        unread_count: 0,
                        mention_count: 0,
                    },
                })
            })
            .await
    }

    /// The rooms that somebody is in; conversations have a list of their own.
    pub async fn rooms(&self, user: UserId, page: Page) -> Result<Slice<RoomView>> {
        self.store
            .read(move |tx| {
                let rows = sql::rooms_of(tx, user, &page)?;
                Ok(page.cut(rows, |one| Cursor::id(one.room.id.get())))
            })
            .await
    }

    /// The rooms that everybody finds and whose names begin like that, by name.
    pub async fn directory(&self, prefix: String, page: Page) -> Result<Slice<Room>> {
        self.store
            .read(move |tx| {
                let rows = sql::listed_rooms(tx, &prefix, &page)?;
                Ok(page.cut(rows, |room| Cursor::id(room.id.get())))
            })
            .await
    }

    /// Who is in a room.
    pub async fn members(&self, user: UserId, key: RoomKey, page: Page) -> Result<Slice<Member>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let room = access::readable(tx, user, &key, now)?.room;
                let rows = sql::members(tx, room.id, user, room.kind, &page)?;
                Ok(page.cut(rows, |one| Cursor::id(one.person.id.get())))
            })
            .await
    }

    /// Who looks at a room just now, as far as they are there for somebody: their number, and some of them.
    pub async fn onlookers(&self, user: UserId, key: RoomKey) -> Result<(usize, Vec<UserId>)> {
        let now = self.ids.now();
        let presence = self.presence.clone();
        self.store
            .read(move |tx| {
                // Nobody is where nothing has begun.
                let Some(place) = access::find_readable(tx, user, &key, now)? else {
                    return Ok((0, Vec::new()));
                };
                let mut people =
                    shown_in(tx, place.room.id, presence.in_room(place.room.id), user)?;
                let apart = sql::apart(tx, user, &people)?;
                people.retain(|id| !apart.contains(id));
                let count = people.len();
                people.truncate(MAX_ONLOOKERS);
                Ok((count, people))
            })
            .await
    }

    /// Of those who look at a room, who may be shown to be there to this one, themselves among them.
    pub async fn shown_in_room(
        &self,
        viewer: UserId,
        room: RoomId,
        people: Vec<UserId>,
    ) -> Result<Vec<UserId>> {
        self.store
            .read(move |tx| shown_in(tx, room, people, viewer))
            .await
    }

    /// Of these people in rooms, those who may be shown to be there.
    pub async fn shown_in_rooms(
        &self,
        seats: Vec<(RoomId, UserId)>,
    ) -> Result<Vec<(RoomId, UserId)>> {
        self.store
            .read(move |tx| sql::shown_in_rooms(tx, &seats))
            .await
    }

    /// Who is not there for somebody, nor they for them.
    pub async fn apart_from(&self, user: UserId) -> Result<Vec<UserId>> {
        self.store
            .read(move |tx| sql::all_apart(tx, user, MAX_APART))
            .await
    }

    /// A room in which somebody may write just now, but for slow mode; and whether they may be shown to be there.
    ///
    /// Errors: moreover `muted_in_room`, `room_read_only`, `cannot_message`.
    pub async fn get_to_write(&self, user: UserId, key: RoomKey) -> Result<(Room, bool)> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                place.check_may_take_part()?;
                access::check_still_open(tx, &place, &key, user)?;
                let is_shown = !sql::shown_in_rooms(tx, &[(place.room.id, user)])?.is_empty();
                Ok((place.room, is_shown))
            })
            .await
    }

    /// Who is muted or banned in a room; for who keeps order there.
    pub async fn sanctions(
        &self,
        user: UserId,
        is_admin: bool,
        key: RoomKey,
        page: Page,
    ) -> Result<Slice<Sanctioned>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                place.check_rank(is_admin, Role::Moderator)?;
                let rows = sql::sanctions(tx, place.room.id, now, &page)?;
                Ok(page.cut(rows, |one| Cursor {
                    rank: one.kind as i64,
                    id: one.person.id.get(),
                }))
            })
            .await
    }

    /// Who is invited to a room; for who keeps order there.
    pub async fn invitations_to(
        &self,
        user: UserId,
        is_admin: bool,
        key: RoomKey,
        page: Page,
    ) -> Result<Slice<Invitation>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                place.check_rank(is_admin, Role::Moderator)?;
                let rows = sql::invitations_to(tx, place.room.id, &page)?;
                Ok(page.cut(rows, |one| Cursor::id(one.person.id.get())))
            })
            .await
    }

    /// The invitations that somebody has.
    pub async fn invitations(&self, user: UserId, page: Page) -> Result<Slice<Invitation>> {
        self.store
            .read(move |tx| {
                let rows = sql::invitations_of(tx, user, &page)?;
                Ok(page.cut(rows, |one| Cursor {
                    rank: one.created_at.as_millis(),
                    id: one.room.id.get(),
                }))
            })
            .await
    }

    /// A part of what was said in a room. A conversation that has not begun is empty.
    ///
    /// Errors: `room_not_found`, `forbidden`, `message_not_found`.
    pub async fn history(
        &self,
        user: UserId,
        key: RoomKey,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        let limit = limit.clamp(1, MAX_MESSAGES);
        let now = self.ids.now();
        self.store
            .read(
                move |tx| match access::find_readable(tx, user, &key, now)? {
                    Some(place) => history(tx, user, &place, span, limit),
                    None => match key {
                        RoomKey::Direct(..) => Ok(History::default()),
                        RoomKey::Named(_) | RoomKey::Numbered(_) => {
                            Err(Error::new(Code::RoomNotFound))
                        }
                    },
                },
            )
            .await
    }

    /// What has changed in a room after a change, among the messages up to a number: those messages as they are now, the
    /// number of the latest change, and whether there are more.
    pub async fn changes(
        &self,
        user: UserId,
        key: RoomKey,
        after: Option<u64>,
        through: u64,
    ) -> Result<(Vec<Message>, u64, bool)> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                let room = place.room.id;
                let last = sql::last_change(tx, room)?;
                let Some(after) = after.filter(|after| *after < last) else {
                    return Ok((Vec::new(), last, false));
                };
                let wanted = (after, through);
                let rows = sql::messages_changed(tx, room, user, wanted, MAX_MESSAGES + 1)?;
                let (mut messages, has_more) = cut(rows, MAX_MESSAGES);
                let last = match messages.last().and_then(|message| message.change) {
                    Some(change) if has_more => change,
                    _ => last,
                };
                messages.retain(|message| message.number > place.cleared_number);
                Ok((messages, last, has_more))
            })
            .await
    }

    /// The messages of a room that bring files, the newest first, before a number.
    pub async fn media(
        &self,
        user: UserId,
        key: RoomKey,
        before: Option<u64>,
        limit: u32,
    ) -> Result<History> {
        let limit = limit.clamp(1, MAX_MESSAGES);
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                let before = before.unwrap_or(u64::MAX);
                let after = place.cleared_number;
                let rows =
                    sql::messages_with_media(tx, place.room.id, user, before, after, limit + 1)?;
                let (messages, has_older) = cut(rows, limit);
                Ok(History {
                    messages,
                    has_older,
                    has_newer: false,
                })
            })
            .await
    }

    /// The pinned messages of a room, the latest pinned first.
    pub async fn pins(&self, user: UserId, key: RoomKey) -> Result<Vec<Message>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::readable(tx, user, &key, now)?;
                sql::pinned(tx, place.room.id, user, place.cleared_number, MAX_PINS)
            })
            .await
    }

    /// One message.
    pub async fn message(&self, user: UserId, id: MessageId) -> Result<Message> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let stub = sql::find_stub(tx, id)?.ok_or(Code::MessageNotFound)?;
                access::of_message(tx, user, &stub, now)?;
                sql::find_message_for(tx, id, user)?.ok_or(Code::MessageNotFound.into())
            })
            .await
    }

    /// Those of these messages that somebody may read.
    pub async fn get_many(&self, user: UserId, ids: Vec<MessageId>) -> Result<Vec<Message>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let mut places: HashMap<String, Option<access::Place>> = HashMap::new();
                let mut messages = Vec::new();
                let found = sql::find_messages(tx, &ids)?;
                let authors: Vec<UserId> = found.iter().map(|one| one.user_id).collect();
                let apart = sql::apart(tx, user, &authors)?;
                for message in found {
                    let place = match places.entry(message.room_id.clone()) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let key = RoomKey::parse(&message.room_id)?;
                            new.insert(access::if_readable(tx, user, &key, now)?)
                        }
                    };
                    let is_there = place
                        .as_ref()
                        .is_some_and(|place| message.number > place.cleared_number);
                    if is_there && !apart.contains(&message.user_id) {
                        messages.push(message);
                    }
                }
                Ok(messages)
            })
            .await
    }

    /// What of a room somebody may read; nothing where a conversation has not begun.
    ///
    /// Errors: `room_not_found`, `forbidden`, `user_not_found`, `banned_from_room`, `invitation_needed`.
    pub async fn reach(&self, user: UserId, key: RoomKey) -> Result<Option<Reach>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let place = access::find_readable(tx, user, &key, now)?;
                match (place, key) {
                    (Some(place), _) => Ok(Some(Reach {
                        room_id: place.room.id,
                        cleared_number: i64::try_from(place.cleared_number).unwrap_or(i64::MAX),
                    })),
                    (None, RoomKey::Direct(..)) => Ok(None),
                    (None, RoomKey::Named(_) | RoomKey::Numbered(_)) => {
                        Err(Error::new(Code::RoomNotFound))
                    }
                }
            })
            .await
    }

    /// The texts that a message had before, the latest first.
    pub async fn edits(&self, user: UserId, id: MessageId) -> Result<Vec<MessageEdit>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let stub = sql::find_stub(tx, id)?.ok_or(Code::MessageNotFound)?;
                access::of_message(tx, user, &stub, now)?;
                sql::edits(tx, id, MAX_EDITS)
            })
            .await
    }

    /// The ids of people who follow somebody and whom they follow.
    pub async fn chatable(&self, user: UserId) -> Result<Vec<UserId>> {
        self.store
            .read(move |tx| sql::mutuals(tx, user, MAX_LIMIT))
            .await
    }

    /// What somebody has set.
    pub async fn settings(&self, user: UserId) -> Result<ChatSettings> {
        self.store.read(move |tx| sql::settings(tx, user)).await
    }

    /// Whether these people are there, as far as somebody may know; those of whom they may not are left out.
    pub async fn presence_of(&self, viewer: UserId, people: Vec<UserId>) -> Result<Vec<Presence>> {
        let showing = self
            .store
            .read(move |tx| sql::showing_presence(tx, viewer, &people))
            .await?;
        let told = |(user_id, seen_at): (UserId, Option<Timestamp>)| {
            let status = self.presence.status(user_id);
            Presence {
                user_id,
                status,
                last_seen_at: (status == Status::Offline)
                    .then(|| self.presence.gone_at(user_id).max(seen_at))
                    .flatten(),
            }
        };
        Ok(showing.into_iter().map(told).collect())
    }

    /// People by their ids, to show.
    pub async fn people(&self, ids: Vec<UserId>) -> Result<HashMap<UserId, Person>> {
        self.store.read(move |tx| users::summaries(tx, &ids)).await
    }

    /// Somebody's conversations, the latest first.
    pub async fn conversations(
        &self,
        user: UserId,
        folder: Folder,
        page: Page,
    ) -> Result<Slice<Conversation>> {
        self.store
            .read(move |tx| {
                let rows = sql::conversations(tx, user, folder, &page)?;
                let mut slice = page.cut(rows, |one| Cursor {
                    rank: one.last_message_at.as_millis(),
                    id: one.room_id.get(),
                });
                fill(tx, user, &mut slice.items)?;
                Ok(slice)
            })
            .await
    }

    /// One of somebody's conversations.
    pub async fn conversation(&self, user: UserId, key: RoomKey) -> Result<Conversation> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let room = access::readable(tx, user, &key, now)?.room;
                if room.kind == RoomKind::Named {
                    return Err(Error::new(Code::RoomNotFound));
                }
                let found = sql::find_conversation(tx, user, room.id)?.ok_or(Code::RoomNotFound)?;
                let mut one = [found];
                fill(tx, user, &mut one)?;
                let [one] = one;
                Ok(one)
            })
            .await
    }

    /// Messages that somebody has not read, in all conversations that they accepted, of people whom they do not mute;
    /// counted up to a thousand.
    pub async fn unread_total(&self, user: UserId) -> Result<u64> {
        let now = self.ids.now();
        self.store
            .read(move |tx| sql::unread_total(tx, user, now))
            .await
    }

    /// Conversations that wait for somebody to accept them; counted up to a thousand.
    pub async fn request_count(&self, user: UserId) -> Result<u64> {
        let now = self.ids.now();
        self.store
            .read(move |tx| sql::request_count(tx, user, now))
            .await
    }
}

/// Gives conversations their people and their last messages: three queries, however many they are.
fn fill(tx: &ReadTx<'_>, user: UserId, conversations: &mut [Conversation]) -> Result<()> {
    let rooms: Vec<RoomId> = conversations.iter().map(|one| one.room_id).collect();
    let pairs = sql::participants(tx, &rooms)?;
    let mut ids: Vec<UserId> = pairs.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let apart = sql::apart(tx, user, &ids)?;
    ids.retain(|id| !apart.contains(id));
    let people = users::summaries(tx, &ids)?;
    let mut by_room: HashMap<RoomId, Vec<Person>> = HashMap::new();
    for (room, id) in pairs {
        if let Some(person) = people.get(&id) {
            by_room.entry(room).or_default().push(person.clone());
        }
    }
    let mut last: HashMap<String, Message> = sql::last_messages(tx, &rooms, user)?
        .into_iter()
        .map(|message| (message.room_id.clone(), message))
        .collect();
    for one in conversations {
        one.participants = by_room.remove(&one.room_id).unwrap_or_default();
        if one.chat_type == ChatType::Single {
            let partner = one.participants.iter().find(|person| person.id != user);
            one.partner = partner.cloned();
        }
        one.last_message = last
            .remove(&one.conversation_id)
            .filter(|message| message.number > one.cleared_number);
        one.last_message_by = one.last_message.as_ref().map(|message| message.user_id);
    }
    Ok(())
}

/// Those of these people in a room who may be shown to be there, and the viewer.
fn shown_in(
    tx: &ReadTx<'_>,
    room: RoomId,
    people: Vec<UserId>,
    viewer: UserId,
) -> Result<Vec<UserId>> {
    let seats: Vec<(RoomId, UserId)> = people.iter().map(|user| (room, *user)).collect();
    let mut shown: Vec<UserId> = sql::shown_in_rooms(tx, &seats)?
        .into_iter()
        .map(|(_, user)| user)
        .collect();
    if people.contains(&viewer) && !shown.contains(&viewer) {
        shown.push(viewer);
    }
    shown.sort_unstable();
    Ok(shown)
}

/// Cuts off the row that tells whether there are more.
fn cut(mut rows: Vec<Message>, limit: u32) -> (Vec<Message>, bool) {
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    (rows, has_more)
}

fn history(
    tx: &ReadTx<'_>,
    viewer: UserId,
    place: &access::Place,
    span: Span,
    limit: u32,
) -> Result<History> {
    let (room, cleared) = (&place.room, place.cleared_number);
    let older = |before, limit| -> Result<(Vec<Message>, bool)> {
        let rows = sql::messages_before(tx, room.id, viewer, before, cleared, limit + 1)?;
        let (mut messages, has_more) = cut(rows, limit);
        messages.reverse();
        Ok((messages, has_more))
    };
    let newer = |after: u64, limit| -> Result<(Vec<Message>, bool)> {
        let rows = sql::messages_after(tx, room.id, viewer, after.max(cleared), limit + 1)?;
        Ok(cut(rows, limit))
    };
    Ok(match span {
        Span::Latest => {
            let (messages, has_older) = older(u64::MAX, limit)?;
            History {
                messages,
                has_older,
                has_newer: false,
            }
        }
        Span::Before(number) => {
            let (messages, has_older) = older(number, limit)?;
            History {
                messages,
                has_older,
                has_newer: number <= room.last_number,
            }
        }
        Span::Until(at) => {
            let number = sql::first_number_since(tx, room, at)?;
            let (messages, has_older) = older(number, limit)?;
            History {
                messages,
                has_older,
                has_newer: number <= room.last_number,
            }
        }
        Span::After(number) => {
            let (messages, has_newer) = newer(number, limit)?;
            History {
                messages,
                has_older: number > cleared,
                has_newer,
            }
        }
        Span::Around(id) => {
            let number = sql::number_of(tx, room.id, id)?
                .filter(|number| *number > cleared)
                .ok_or(Code::MessageNotFound)?;
            let (mut messages, has_older) = older(number, limit / 2)?;
            let (rest, has_newer) = newer(number - 1, limit - limit / 2)?;
            messages.extend(rest);
            History {
                messages,
                has_older,
                has_newer,
            }
        }
    })
}
