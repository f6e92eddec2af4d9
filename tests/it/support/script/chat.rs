//! What people do in rooms.

use std::time::Duration;

use socialhub::chat::{
    AddToGroup, AnswerRequest, ClearConversation, CloseRoom, CreateGroup, CreateRoom,
    DeleteMessage, EditMessage, ExpireMessages, InviteToRoom, JoinRoom, LiftSanction,
    MarkDelivered, MarkRead, NoteSeen, PinMessage, ReactToMessage, RemoveMember, Role, RoomChange,
    RoomKey, Sanction, SanctionMember, SendMessage, SetChatSettings, SetRole, StartConversation,
    StoryAnswer, UpdateRoom, Visibility, WhoMayMessage, WithdrawInvitation,
};
use socialhub::id::{MessageId, UserId};
use socialhub::store::{Encoded, Once};

use super::{Making, Script, encode};
use crate::support::dice::Dice;

impl Script {
    pub(super) fn chat_command(
        &mut self,
        name: &str,
        once: Option<Once>,
        dice: &mut Dice,
    ) -> Encoded {
        match name {
            "chat.edit_message" | "chat.delete_message" | "chat.react" | "chat.pin_message" => {
                self.about_message(name, once, dice)
            }
            "chat.join_room"
            | "chat.create_room"
            | "chat.update_room"
            | "chat.close_room"
            | "chat.expire_messages" => self.about_room(name, once, dice),
            "chat.set_role"
            | "chat.remove_member"
            | "chat.invite"
            | "chat.withdraw_invitation"
            | "chat.sanction_member"
            | "chat.lift_sanction" => self.about_member(name, once, dice),
            "chat.send_message" => self.say(once, dice),
            _ => self.about_conversation(name, once, dice),
        }
    }

    fn say(&mut self, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let (key, sender_id, id) = (self.room(dice), self.member(dice), self.ids.next());
        let answered = dice.recent(&self.messages).filter(|_| dice.is_one_in(3));
        let (upload, owner) = self.upload_and_its_owner(dice);
        let brings = owner == sender_id && dice.is_one_in(2);
        self.making = Some(Making::Message(key.clone(), id, sender_id));
        encode(
            once,
            &SendMessage {
                id,
                room_id: self.ids.next(),
                key,
                sender_id,
                body: self.words(dice),
                html: dice.is_one_in(4).then(|| "<p>words</p>".to_owned()),
                client_id: dice
                    .is_one_in(2)
                    .then(|| format!("client-{}", dice.below(20))),
                reply_to: answered.map(|(_, id, _)| id),
                target: dice.is_one_in(10).then(|| self.person(dice)),
                media: if brings { vec![upload] } else { Vec::new() },
                post_id: dice
                    .recent(&self.posts)
                    .filter(|_| dice.is_one_in(8))
                    .map(|(post, _)| post),
                linked_post: dice
                    .recent(&self.posts)
                    .filter(|_| dice.is_one_in(8))
                    .map(|(post, _)| post),
                story: dice
                    .recent(&self.stories)
                    .filter(|_| dice.is_one_in(3))
                    .map(|(id, _)| StoryAnswer {
                        id,
                        is_reaction: dice.is_one_in(2),
                    }),
                may_create: !dice.is_one_in(4),
                at: self.now(),
            },
        )
    }

    fn about_message(&self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let (_, id, by) = self.message(dice);
        let (at, as_admin) = (self.now(), dice.is_one_in(5));
        match name {
            "chat.edit_message" => {
                let body = self.words(dice);
                let html = None;
                encode(
                    once,
                    &EditMessage {
                        id,
                        by,
                        body,
                        html,
                        at,
                    },
                )
            }
            "chat.delete_message" => encode(
                once,
                &DeleteMessage {
                    id,
                    by,
                    as_admin,
                    at,
                },
            ),
            "chat.react" => encode(
                once,
                &ReactToMessage {
                    id,
                    user_id: self.member(dice),
                    emoji: dice.one_of(&["👍", "❤️", "🎉"]).to_owned(),
                    wants: !dice.is_one_in(3),
                    at,
                },
            ),
            _ => encode(
                once,
                &PinMessage {
                    id,
                    by,
                    as_admin,
                    wants: !dice.is_one_in(3),
                    at,
                },
            ),
        }
    }

    fn about_room(&mut self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let at = self.now();
        match name {
            "chat.join_room" => encode(
                once,
                &JoinRoom {
                    id: self.ids.next(),
                    key: self.room(dice),
                    user_id: self.member(dice),
                    may_create: !dice.is_one_in(4),
                    at,
                },
            ),
            "chat.create_room" => {
                let id = self.ids.next();
                let key = if dice.is_one_in(3) {
                    RoomKey::Named(format!("room {}", dice.below(8)))
                } else {
                    RoomKey::Numbered(id)
                };
                self.making = Some(Making::Room(key.clone()));
                let (by, change) = (self.member(dice), self.room_change(dice));
                encode(
                    once,
                    &CreateRoom {
                        id,
                        key,
                        by,
                        change,
                        at,
                    },
                )
            }
            "chat.update_room" => encode(
                once,
                &UpdateRoom {
                    key: self.room(dice),
                    by: self.member(dice),
                    as_admin: dice.is_one_in(5),
                    change: self.room_change(dice),
                    at,
                },
            ),
            "chat.close_room" => encode(
                once,
                &CloseRoom {
                    key: self.room(dice),
                    by: self.member(dice),
                    as_admin: dice.is_one_in(5),
                    at,
                },
            ),
            _ => encode(
                once,
                &ExpireMessages {
                    after: None,
                    // The world is hours old, and rooms forget after days.
                    at: at.plus(Duration::from_hours(24 * dice.below(3))),
                    limit: 3,
                },
            ),
        }
    }

    fn about_member(&self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let (key, by, user_id) = (self.room(dice), self.member(dice), self.member(dice));
        let (at, as_admin) = (self.now(), dice.is_one_in(4));
        let kind = dice.one_of(&[Sanction::Mute, Sanction::Ban]);
        match name {
            "chat.set_role" => encode(
                once,
                &SetRole {
                    key,
                    by,
                    as_admin,
                    user_id,
                    role: dice.one_of(&[Role::Member, Role::Moderator, Role::Owner]),
                    at,
                },
            ),
            "chat.remove_member" => encode(
                once,
                &RemoveMember {
                    key,
                    by,
                    as_admin,
                    user_id,
                    at,
                },
            ),
            "chat.invite" => encode(
                once,
                &InviteToRoom {
                    key,
                    by,
                    as_admin,
                    user_id,
                    at,
                },
            ),
            "chat.withdraw_invitation" => encode(
                once,
                &WithdrawInvitation {
                    key,
                    by,
                    as_admin,
                    user_id,
                    at,
                },
            ),
            "chat.sanction_member" => encode(
                once,
                &SanctionMember {
                    key,
                    by,
                    as_admin,
                    user_id,
                    kind,
                    until: dice
                        .is_one_in(2)
                        .then(|| at.plus(Duration::from_mins(dice.below(60)))),
                    reason: self.words_or_none(dice),
                    at,
                },
            ),
            _ => encode(
                once,
                &LiftSanction {
                    key,
                    by,
                    as_admin,
                    user_id,
                    kind,
                    at,
                },
            ),
        }
    }

    fn about_conversation(&mut self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let at = self.now();
        let (key, _, sender) = self.message(dice);
        let key = match dice.recent(&self.rooms) {
            Some(room) if dice.is_one_in(2) => room,
            _ => key,
        };
        let number = dice.is_one_in(2).then(|| dice.below(30));
        let user_id = if dice.is_one_in(2) {
            sender
        } else {
            self.member(dice)
        };
        match name {
            "chat.mark_read" => encode(
                once,
                &MarkRead {
                    key,
                    user_id,
                    number,
                    at,
                },
            ),
            "chat.mark_delivered" => encode(
                once,
                &MarkDelivered {
                    key,
                    user_id,
                    number,
                    at,
                },
            ),
            "chat.start_conversation" => encode(
                once,
                &StartConversation {
                    id: self.ids.next(),
                    by: self.member(dice),
                    with: self.member(dice),
                    at,
                },
            ),
            "chat.create_group" => {
                let id = self.ids.next();
                self.making = Some(Making::Room(RoomKey::Numbered(id)));
                let title = self.words_or_none(dice);
                encode(
                    once,
                    &CreateGroup {
                        id,
                        by: self.member(dice),
                        people: vec![self.member(dice), self.member(dice)],
                        title,
                        at,
                    },
                )
            }
            "chat.add_to_group" => encode(
                once,
                &AddToGroup {
                    key: dice.recent(&self.rooms).unwrap_or_else(|| self.room(dice)),
                    by: self.member(dice),
                    people: vec![self.person(dice)],
                    at,
                },
            ),
            "chat.answer_request" => encode(
                once,
                &AnswerRequest {
                    key,
                    user_id,
                    accepts: dice.is_one_in(2),
                    at,
                },
            ),
            "chat.clear_conversation" => encode(once, &ClearConversation { key, user_id, at }),
            "chat.note_seen" => encode(
                once,
                &NoteSeen {
                    people: vec![
                        (self.member(dice), at),
                        (
                            self.member(dice),
                            at.minus(Duration::from_secs(dice.below(90))),
                        ),
                        (UserId::from(1), at),
                    ],
                },
            ),
            "chat.set_settings" => encode(
                once,
                &SetChatSettings {
                    user_id: self.member(dice),
                    // Mostly such that they meet.
                    who_may_message: dice.one_of(&[
                        None,
                        Some(WhoMayMessage::Nobody),
                        Some(WhoMayMessage::Mutuals),
                        Some(WhoMayMessage::Followed),
                        Some(WhoMayMessage::Everyone),
                        Some(WhoMayMessage::Everyone),
                    ]),
                    shows_presence: dice.one_of(&[None, Some(true), Some(false)]),
                },
            ),
            other => panic!("there is no generator for {other}"),
        }
    }

    /// One of the few people who like to chat: they meet again and again.
    fn member(&self, dice: &mut Dice) -> UserId {
        if dice.is_one_in(4) {
            return self.person(dice);
        }
        let count = self.people.len().min(4) as u64;
        let at = usize::try_from(dice.below(count)).unwrap_or_default();
        self.people
            .get(at)
            .map_or_else(|| self.person(dice), |known| known.id)
    }

    /// One of a few rooms, or the conversation of two people, or a group.
    fn room(&self, dice: &mut Dice) -> RoomKey {
        match dice.below(6) {
            0 | 1 => RoomKey::direct(self.member(dice), self.member(dice)),
            2 | 3 => dice
                .recent(&self.rooms)
                .unwrap_or(RoomKey::Numbered(1.into())),
            _ => RoomKey::Named(format!("room {}", dice.below(4))),
        }
    }

    /// A message with its room, and mostly its sender.
    fn message(&self, dice: &mut Dice) -> (RoomKey, MessageId, UserId) {
        let (room, id, sender) = dice
            .recent(&self.messages)
            .unwrap_or_else(|| (self.room(dice), self.ids.next(), self.person(dice)));
        let by = if dice.is_one_in(5) {
            self.person(dice)
        } else {
            sender
        };
        (room, id, by)
    }

    fn room_change(&self, dice: &mut Dice) -> RoomChange {
        let (upload, _) = self.upload_and_its_owner(dice);
        RoomChange {
            title: dice.is_one_in(2).then(|| self.words_or_none(dice)),
            topic: dice.is_one_in(4).then(|| self.words_or_none(dice)),
            avatar: dice
                .is_one_in(6)
                .then(|| dice.is_one_in(2).then_some(upload)),
            visibility: dice
                .is_one_in(4)
                .then(|| dice.one_of(&[Visibility::Open, Visibility::Invite, Visibility::Hidden])),
            slow_mode_s: dice.is_one_in(2).then(|| dice.one_of(&[0, 600])),
            is_read_only: dice.is_one_in(6).then(|| dice.is_one_in(4)),
            retention_days: dice.is_one_in(3).then(|| dice.one_of(&[Some(1), None])),
        }
    }
}
