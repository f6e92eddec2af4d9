//! What has changed lately, as far as home feeds must know: one short list in memory for all of them, in the order of the
//! commits. A post is one entry, however many follow its author; each timeline looks for itself what it has missed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Event;
use crate::id::{PostId, UserId};

/// Changes that are kept; a timeline that has missed more is made anew.
const KEPT: usize = 65_536;
/// Changes that are looked through at once, so that nobody who writes waits for long.
const PART: usize = 4_096;

/// Something that a timeline may have to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A post appeared, or others may see it now.
    Post { id: PostId, author: UserId },
    /// Whom or what somebody follows, blocks or mutes is another now.
    Relations { of: UserId },
}

/// The latest changes.
#[derive(Default)]
pub(super) struct Changes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    list: VecDeque<Change>,
    /// How many there have ever been.
    end: u64,
}

impl Changes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place after the latest change.
    pub(super) fn end(&self) -> u64 {
        self.lock().end
    }

    /// Notes what the events of a commit change. Runs on the writer's thread.
    pub(super) fn note<'e>(&self, events: impl Iterator<Item = &'e Event>) {
        let changes: Vec<Change> = events.flat_map(changes_of).flatten().collect();
        if changes.is_empty() {
            return;
        }
        let mut state = self.lock();
        for change in changes {
            if state.list.len() == KEPT {
                state.list.pop_front();
            }
            state.list.push_back(change);
            state.end += 1;
        }
    }

    /// Calls `follow` with the changes from one place to another; false when some of them are not known any more, or
    /// `follow` says that there is no use in going on.
    pub(super) fn replay(
        &self,
        mut from: u64,
        to: u64,
        mut follow: impl FnMut(Change) -> bool,
    ) -> bool {
        let mut part = Vec::new();
        while from < to {
            {
                let state = self.lock();
                let first = state.end - state.list.len() as u64;
                let Some(skipped) = from.checked_sub(first) else {
                    return false;
                };
                let wanted = usize::try_from(to.min(state.end) - from).unwrap_or(PART);
                let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
                part.clear();
                part.extend(state.list.range(skipped..).take(wanted.min(PART)));
            }
            if part.is_empty() || !part.iter().all(|change| follow(*change)) {
                return false;
            }
            from += part.len() as u64;
        }
        true
    }
}

fn changes_of(event: &Event) -> [Option<Change>; 2] {
    let of = |of: &UserId| Some(Change::Relations { of: *of });
    match event {
        Event::PostCreated {
            post_id, author_id, ..
        }
        | Event::PostUpdated { post_id, author_id } => [
            Some(Change::Post {
                id: *post_id,
                author: *author_id,
            }),
            None,
        ],
        Event::FollowCreated { author_id, .. } => [of(author_id), None],
        Event::UnfollowCreated { user_id, .. }
        | Event::FollowedTagsChanged { user_id }
        | Event::UserMuted { user_id, .. }
        | Event::UserUnmuted { user_id, .. } => [of(user_id), None],
        // The follows of both end with their own events; hashtags bring posts of others.
        Event::UserBlocked {
            user_id,
            blocked_id,
        }
        | Event::UserUnblocked {
            user_id,
            blocked_id,
        } => [of(user_id), of(blocked_id)],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: i64) -> Event {
        Event::PostUpdated {
            post_id: id.into(),
            author_id: 7.into(),
        }
    }

    fn replayed(changes: &Changes, from: u64, to: u64) -> Option<Vec<i64>> {
        let mut seen = Vec::new();
        let is_whole = changes.replay(from, to, |change| {
            if let Change::Post { id, .. } = change {
                seen.push(id.get());
            }
            true
        });
        is_whole.then_some(seen)
    }

    #[test]
    fn changes_come_once_and_in_order() {
        let changes = Changes::default();
        let events: Vec<Event> = (0..10_000).map(post).collect();
        changes.note(events.iter());
        assert_eq!(changes.end(), 10_000);
        let all: Vec<i64> = (0..10_000).collect();
        assert_eq!(replayed(&changes, 0, 10_000), Some(all));
        assert_eq!(replayed(&changes, 9_998, 9_999), Some(vec![9_998]));
        assert_eq!(replayed(&changes, 10_000, 10_000), Some(Vec::new()));
    }

    #[test]
    fn who_missed_too_much_is_told_so() {
        let changes = Changes::default();
        let events: Vec<Event> = (0..70_000).map(post).collect();
        changes.note(events.iter());
        assert_eq!(replayed(&changes, 0, 70_000), None);
        let kept = KEPT as u64;
        let seen = replayed(&changes, 70_000 - kept, 70_000).unwrap();
        assert_eq!(seen.len(), KEPT);
    }
}
