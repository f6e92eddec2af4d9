//! What the index still has otherwise than the rows: it is left out until the index has caught up, so that nobody finds
//! or counts what was changed, hidden or removed a moment ago.
//!
//! The writer of the store notes here, with each commit and before its answer, which things changed. Each note goes when
//! what is searched has come past it. New things need none: they are not found yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::schema::Kind;
use crate::event::Event;
use crate::store::Committed;

/// Notes that are kept; beyond it nothing is searched until the index has caught up.
const MAX_NOTES: usize = 20_000;
/// Parts in which they are kept.
const PARTS: usize = 32;

/// How far something has come: in the event log, and in the messages, which have an order of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Position {
    /// An event's sequence.
    pub(super) log: u64,
    /// `messages.touched`.
    pub(super) messages: u64,
}

impl Position {
    pub(super) fn has_reached(self, other: Self) -> bool {
        self.log >= other.log && self.messages >= other.messages
    }
}

/// The notes at one moment, in parts by their ids: who notes something while somebody searches copies one part.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    parts: [Arc<Part>; PARTS],
    count: usize,
    /// How far the index must come to be trusted at all.
    due: Position,
}

#[derive(Clone, Debug, Default)]
struct Part {
    /// People, posts, comments and the event that changed them; messages and the touch that did.
    things: HashMap<(Kind, i64), u64>,
    /// Messages that their rooms no longer keep, and the event that said so.
    expired: HashMap<i64, u64>,
}

impl Part {
    fn len(&self) -> usize {
        self.things.len() + self.expired.len()
    }

    fn forget(&mut self, through: Position) {
        self.things
            .retain(|(kind, _), at| *at > order_of(*kind, through));
        self.expired.retain(|_, seq| *seq > through.log);
    }
}

/// How far something has come among the changes of this kind.
fn order_of(kind: Kind, position: Position) -> u64 {
    match kind {
        Kind::Message => position.messages,
        Kind::Person | Kind::Post | Kind::Comment => position.log,
    }
}

fn part_of(id: i64) -> usize {
    // Ids of one moment differ in their last bits, and in those above them.
    let id = id.unsigned_abs();
    usize::try_from((id ^ (id >> 13) ^ (id >> 21)) % PARTS as u64).unwrap_or(0)
}

impl Notes {
    /// Whether the index has this otherwise than it is.
    pub(super) fn hide(&self, kind: Kind, id: i64) -> bool {
        if self.count == 0 {
            return false;
        }
        let part = &self.parts[part_of(id)];
        part.things.contains_key(&(kind, id))
            || (kind == Kind::Message && part.expired.contains_key(&id))
    }

    /// Whether what was indexed up to there can be searched.
    pub(super) fn vouch_for(&self, position: Position) -> bool {
        position.has_reached(self.due)
    }

    fn take(&mut self, committed: &Committed) {
        let seq = committed.seq.unwrap_or(0);
        match &committed.event {
            Event::PostUpdated { post_id, .. } | Event::PostDeleted { post_id, .. } => {
                self.note(Kind::Post, post_id.get(), seq);
            }
            Event::CommentUpdated { comment_id, .. } | Event::CommentDeleted { comment_id, .. } => {
                self.note(Kind::Comment, comment_id.get(), seq);
            }
            Event::UserUpdated { user_id } | Event::UserStatusChanged { user_id, .. } => {
                self.note(Kind::Person, user_id.get(), seq);
            }
            Event::MessageTouched {
                message_id,
                touched,
                is_new: false,
            } => self.note(Kind::Message, message_id.get(), *touched),
            Event::MessagesExpired { message_ids, .. } => {
                for id in message_ids {
                    self.change(id.get(), |part| {
                        part.expired.insert(id.get(), seq);
                    });
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, kind: Kind, id: i64, at: u64) {
        self.change(id, |part| {
            part.things.insert((kind, id), at);
        });
    }

    fn change(&mut self, id: i64, change: impl FnOnce(&mut Part)) {
        self.change_part(part_of(id), change);
        // Too many to keep: then all is left out until they have been indexed.
        if self.count > MAX_NOTES {
            self.give_up();
        }
    }

    fn change_part(&mut self, number: usize, change: impl FnOnce(&mut Part)) {
        let part = Arc::make_mut(&mut self.parts[number]);
        let before = part.len();
        change(part);
        self.count = self.count - before + part.len();
    }

    fn give_up(&mut self) {
        for part in std::mem::take(&mut self.parts) {
            for ((kind, _), at) in &part.things {
                match kind {
                    Kind::Message => self.due.messages = self.due.messages.max(*at),
                    Kind::Person | Kind::Post | Kind::Comment => {
                        self.due.log = self.due.log.max(*at);
                    }
                }
            }
            for seq in part.expired.values() {
                self.due.log = self.due.log.max(*seq);
            }
        }
        self.count = 0;
    }
}

/// The notes, for all who write and read them; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Stale(Arc<Mutex<Arc<Notes>>>);

impl Stale {
    /// The notes now. Who searches takes them before it takes what is searched.
    pub(super) fn now(&self) -> Arc<Notes> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what was committed.
    pub(super) fn take(&self, events: &[Committed]) {
        if events.iter().any(|one| is_change(&one.event)) {
            self.change(|notes| events.iter().for_each(|one| notes.take(one)));
        }
    }

    /// What is searched has come as far as that.
    pub(super) fn forget(&self, through: Position) {
        // Part by part, so that who notes something waits for no more than one.
        for number in 0..PARTS {
            self.change(|notes| {
                if notes.parts[number].len() > 0 {
                    notes.change_part(number, |part| part.forget(through));
                }
            });
        }
    }

    /// Nothing is to be searched before the index has come as far as that.
    pub(super) fn distrust_until(&self, due: Position) {
        self.change(|notes| {
            notes.due.log = notes.due.log.max(due.log);
            notes.due.messages = notes.due.messages.max(due.messages);
        });
    }

    /// While somebody searches by the notes of before, they keep those.
    fn change(&self, change: impl FnOnce(&mut Notes)) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut notes));
    }
}

fn is_change(event: &Event) -> bool {
    matches!(
        event,
        Event::PostUpdated { .. }
            | Event::PostDeleted { .. }
            | Event::CommentUpdated { .. }
            | Event::CommentDeleted { .. }
            | Event::UserUpdated { .. }
            | Event::UserStatusChanged { .. }
            | Event::MessageTouched { is_new: false, .. }
            | Event::MessagesExpired { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(post: i64, seq: u64) -> Committed {
        let event = Event::PostUpdated {
            post_id: post.into(),
            author_id: 1.into(),
        };
        Committed {
            seq: Some(seq),
            event,
        }
    }

    fn at(log: u64) -> Position {
        Position { log, messages: 0 }
    }

    #[test]
    fn what_changed_is_hidden_until_it_is_indexed() {
        let stale = Stale::default();
        stale.take(&[updated(7, 3), updated(8, 4), updated(7, 5)]);
        stale.forget(at(4));
        assert!(stale.now().hide(Kind::Post, 7));
        assert!(!stale.now().hide(Kind::Post, 8));
        assert!(!stale.now().hide(Kind::Comment, 7));
        stale.forget(at(5));
        assert!(!stale.now().hide(Kind::Post, 7));
    }

    #[test]
    fn too_many_changes_hide_everything_until_they_are_indexed() {
        let stale = Stale::default();
        let count = MAX_NOTES as u64 + 1;
        for seq in 1..=count {
            stale.take(&[updated(i64::try_from(seq).unwrap(), seq)]);
        }
        assert!(!stale.now().vouch_for(at(count - 1)));
        assert!(stale.now().vouch_for(at(count)));
        stale.take(&[updated(5, count + 1)]);
        assert!(stale.now().hide(Kind::Post, 5));
    }

    #[test]
    fn who_searches_keeps_the_notes_of_before() {
        let stale = Stale::default();
        stale.take(&[updated(7, 3)]);
        let before = stale.now();
        stale.take(&[updated(8, 4)]);
        stale.forget(at(3));
        assert!(before.hide(Kind::Post, 7) && !before.hide(Kind::Post, 8));
        assert!(!stale.now().hide(Kind::Post, 7) && stale.now().hide(Kind::Post, 8));
    }
}
