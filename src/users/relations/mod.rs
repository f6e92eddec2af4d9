//! Whom somebody blocks or mutes.
//!
//! A **block** ends the follows between the two, and from then on neither is there for the other: no profile, no place
//! in lists, no posts, no comments, no notifications; the answers are those for people whom nobody knows. Only the one
//! who blocked still sees the other, in [the list of those](Users::blocked), and can take it back. Neither gets the
//! follows or the notifications back when it ends.
//!
//! A **mute** is one-sided and silent: who mutes is told nothing of what the other does, and does not see their posts
//! where posts of many people stand together. Everything else stays as it was, and the muted person notices nothing. It
//! holds until it is taken back, or until a time that was set.
//!
//! What counts people or what they did (followers, likes, comments of a post) counts everybody.

mod commands;
mod sql;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Person, User, Users};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::UserId;
use crate::page::{Cursor, Page, Slice};
use crate::store::{ReadTx, Registry, WriteTx};

pub use commands::{BlockUser, MuteUser, PruneRelations, UnblockUser, UnmuteUser};

/// People whom one person can block, and people whom one can mute.
pub const MAX_RELATIONS: u64 = 10_000;

/// How far ahead a mute can end.
const MAX_MUTE: Duration = Duration::from_hours(24 * 3_653);

/// Rows that one step of [`Users::prune`] forgets.
const PRUNE_STEP: u32 = 1_000;

/// How somebody treats another person; that person is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Relationship {
    /// The other person.
    pub user_id: UserId,
    /// Whether one blocks them.
    pub is_blocked: bool,
    /// Whether one mutes them.
    pub is_muted: bool,
    /// When the mute ends; null without an end, and without a mute.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
}

/// A person whom one blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedPerson {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// Since when.
    pub blocked_at: Timestamp,
    #[serde(skip)]
    event_seq: i64,
}

/// A person whom one mutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutedPerson {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// When that began, or got another end.
    pub muted_at: Timestamp,
    /// Until when; null without an end.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
    #[serde(skip)]
    event_seq: i64,
}

/// Something that one person did and another would be told of.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    /// Who would be told.
    pub told: UserId,
    /// Who did it.
    pub actor: UserId,
    /// When.
    pub at: Timestamp,
}

/// Adds the commands.
pub(super) fn register(registry: &mut Registry) {
    registry.add::<BlockUser>();
    registry.add::<UnblockUser>();
    registry.add::<MuteUser>();
    registry.add::<UnmuteUser>();
    registry.add::<PruneRelations>();
}

impl Users {
    /// Blocks somebody; doing so twice changes nothing.
    pub async fn block(&self, actor: &Actor, blocked_id: UserId) -> Result<Relationship> {
        let command = BlockUser {
            blocker_id: actor.user_id,
            blocked_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Blocks somebody no more; so does doing it twice.
    pub async fn unblock(&self, actor: &Actor, blocked_id: UserId) -> Result<Relationship> {
        let command = UnblockUser {
            blocker_id: actor.user_id,
            blocked_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Mutes somebody until a time, or until it is taken back. Again sets the end anew.
    pub async fn mute(
        &self,
        actor: &Actor,
        muted_id: UserId,
        until: Option<Timestamp>,
    ) -> Result<Relationship> {
        let at = self.ids.now();
        if until.is_some_and(|until| until <= at || until > at.plus(MAX_MUTE)) {
            return Err(Error::invalid_field(
                "until",
                "out_of_range",
                "until must be a time to come, and within ten years.",
            ));
        }
        let command = MuteUser {
            muter_id: actor.user_id,
            muted_id,
            until,
            at,
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Mutes somebody no more; so does doing it twice.
    pub async fn unmute(&self, actor: &Actor, muted_id: UserId) -> Result<Relationship> {
        let command = UnmuteUser {
            muter_id: actor.user_id,
            muted_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// People whom somebody blocks, the latest first.
    pub async fn blocked(&self, by: UserId, page: Page) -> Result<Slice<BlockedPerson>> {
        self.store
            .read(move |tx| {
                let rows = sql::blocked(tx, by, &page)?;
                Ok(page.cut(rows, |one| Cursor::id(one.event_seq)))
            })
            .await
    }

    /// People whom somebody mutes, the latest first.
    pub async fn muted(&self, by: UserId, page: Page) -> Result<Slice<MutedPerson>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let rows = sql::muted(tx, by, now, &page)?;
                Ok(page.cut(rows, |one| Cursor::id(one.event_seq)))
            })
            .await
    }

    /// Forgets blocks and mutes that ended longer ago than anything of that time is told; called now and then.
    pub async fn prune(&self, keep: Duration) -> Result<()> {
        let command = PruneRelations {
            before: self.ids.now().minus(keep),
            limit: PRUNE_STEP,
        };
        while self.store.submit(command.clone()).await? >= PRUNE_STEP as usize {}
        Ok(())
    }
}

/// Whether one of the two blocks the other, so that neither is there for the other. In SQL: the view `blocked_pairs`.
pub fn is_blocked_pair(tx: &ReadTx<'_>, one: UserId, other: UserId) -> Result<bool> {
    sql::is_blocked_pair(tx, one, other)
}

/// Those of these people with whom somebody is a blocked pair.
pub(super) fn blocked_among(
    tx: &ReadTx<'_>,
    of: UserId,
    people: &[UserId],
) -> Result<HashSet<UserId>> {
    Ok(sql::blocked_among(tx, of, people)?.into_iter().collect())
}

/// A person who is there for the viewer: not gone, and no block between the two.
pub fn visible(tx: &ReadTx<'_>, viewer: UserId, id: UserId) -> Result<Arc<User>> {
    if is_blocked_pair(tx, viewer, id)? {
        return Err(Error::new(Code::UserNotFound));
    }
    super::living(tx, id)
}

/// Which of these deeds, by their place, are not to be told: of people whom the one who would be told mutes, or with
/// whom they are a blocked pair, now or at a time after the deed.
pub fn untold(tx: &ReadTx<'_>, deeds: &[Deed]) -> Result<HashSet<usize>> {
    if deeds.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(sql::untold(tx, deeds)?.into_iter().collect())
}

/// Whether one lets the other write to them, whatever their settings say.
pub fn is_welcome(tx: &ReadTx<'_>, host: UserId, guest: UserId) -> Result<bool> {
    sql::is_welcome(tx, host, guest)
}

/// One lets the other write to them from now on, or no more. A block ends it as well.
pub fn set_welcome(tx: &WriteTx<'_>, host: UserId, guest: UserId, is_welcome: bool) -> Result<()> {
    if is_welcome {
        sql::put_welcome(tx, host, guest)
    } else {
        sql::end_welcome(tx, host, guest)
    }
}

/// Those of these people who mute somebody.
pub fn muters_among(
    tx: &ReadTx<'_>,
    of: UserId,
    people: &[UserId],
    now: Timestamp,
) -> Result<Vec<UserId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    sql::muters_among(tx, of, people, now)
}

/// Whether, and until when, `muter` mutes somebody at `now`.
pub(super) fn is_muting(
    tx: &ReadTx<'_>,
    muter: UserId,
    muted: UserId,
    now: Timestamp,
) -> Result<bool> {
    Ok(sql::find_mute(tx, muter, muted, now)?.is_some())
}
