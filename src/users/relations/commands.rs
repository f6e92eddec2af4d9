//! Blocks and mutes begin and end.

use serde::{Deserialize, Serialize};

use super::super::commands::{active, end_follow};
use super::{MAX_RELATIONS, Relationship, is_blocked_pair, sql, visible};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::UserId;
use crate::store::{Command, ReadTx, WriteTx};
use crate::users;

/// Begins a block and ends the follows between the two.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockUser {
    pub blocker_id: UserId,
    pub blocked_id: UserId,
    pub at: Timestamp,
}

impl Command for BlockUser {
    const NAME: &'static str = "users.block";
    type Output = Relationship;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Relationship> {
        let (blocker, blocked) = (self.blocker_id, self.blocked_id);
        if blocker == blocked {
            return Err(Error::new(Code::CannotBlockSelf));
        }
        active(tx, blocker)?;
        if !sql::is_blocking(tx, blocker, blocked)? {
            // Who blocks one cannot be blocked back: that would tell that they are there.
            visible(tx, blocker, blocked)?;
            if sql::count_blocks(tx, blocker)? >= MAX_RELATIONS {
                return Err(Error::new(Code::TooManyBlocks));
            }
            for (follower, following) in [(blocker, blocked), (blocked, blocker)] {
                if let Some(follow) = users::sql::find_follow(tx, follower, following)? {
                    end_follow(tx, &follow, self.at)?;
                }
                sql::end_welcome(tx, follower, following)?;
            }
            let event = Event::UserBlocked {
                user_id: blocker,
                blocked_id: blocked,
            };
            let seq = tx.emit(self.at, event)?;
            sql::put_block(tx, blocker, blocked, self.at, seq)?;
        }
        relationship(tx, blocker, blocked, self.at)
    }
}

/// Ends a block, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnblockUser {
    pub blocker_id: UserId,
    pub blocked_id: UserId,
    pub at: Timestamp,
}

impl Command for UnblockUser {
    const NAME: &'static str = "users.unblock";
    type Output = Relationship;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Relationship> {
        let (blocker, blocked) = (self.blocker_id, self.blocked_id);
        if blocker == blocked {
            return Err(
                Error::new(Code::CannotBlockSelf).with_message("You cannot unblock yourself.")
            );
        }
        if sql::is_blocking(tx, blocker, blocked)? {
            sql::end_block(tx, blocker, blocked, self.at)?;
            let event = Event::UserUnblocked {
                user_id: blocker,
                blocked_id: blocked,
            };
            tx.emit(self.at, event)?;
        } else {
            visible(tx, blocker, blocked)?;
        }
        relationship(tx, blocker, blocked, self.at)
    }
}

/// Begins a mute, or sets its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MuteUser {
    pub muter_id: UserId,
    pub muted_id: UserId,
    /// When it ends by itself; later than `at`.
    pub until: Option<Timestamp>,
    pub at: Timestamp,
}

impl Command for MuteUser {
    const NAME: &'static str = "users.mute";
    type Output = Relationship;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Relationship> {
        let (muter, muted) = (self.muter_id, self.muted_id);
        if muter == muted {
            return Err(Error::new(Code::CannotMuteSelf));
        }
        active(tx, muter)?;
        visible(tx, muter, muted)?;
        let before = sql::find_mute(tx, muter, muted, self.at)?;
        if before.is_none() && sql::count_mutes(tx, muter, self.at)? >= MAX_RELATIONS {
            return Err(Error::new(Code::TooManyMutes));
        }
        if before != Some(self.until) {
            let event = Event::UserMuted {
                user_id: muter,
                muted_id: muted,
                until: self.until,
            };
            let seq = tx.emit(self.at, event)?;
            sql::put_mute(tx, muter, muted, self.until, self.at, seq)?;
        }
        relationship(tx, muter, muted, self.at)
    }
}

/// Ends a mute, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnmuteUser {
    pub muter_id: UserId,
    pub muted_id: UserId,
    pub at: Timestamp,
}

impl Command for UnmuteUser {
    const NAME: &'static str = "users.unmute";
    type Output = Relationship;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Relationship> {
        let (muter, muted) = (self.muter_id, self.muted_id);
        if muter == muted {
            return Err(
                Error::new(Code::CannotMuteSelf).with_message("You cannot unmute yourself.")
            );
        }
        if is_blocked_pair(tx, muter, muted)? {
            return Err(Error::new(Code::UserNotFound));
        }
        if sql::find_mute(tx, muter, muted, self.at)?.is_some() {
            sql::end_mute(tx, muter, muted, self.at)?;
            let event = Event::UserUnmuted {
                user_id: muter,
                muted_id: muted,
            };
            tx.emit(self.at, event)?;
        } else {
            users::living(tx, muted)?;
        }
        relationship(tx, muter, muted, self.at)
    }
}

/// Forgets blocks and mutes that ended long ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneRelations {
    pub before: Timestamp,
    /// Of each kind at most; a long backlog takes several commands.
    pub limit: u32,
}

impl Command for PruneRelations {
    const NAME: &'static str = "users.prune_relations";
    /// How many were forgotten.
    type Output = usize;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<usize> {
        sql::delete_ended(tx, self.before, self.limit)
    }
}

fn relationship(
    tx: &ReadTx<'_>,
    user: UserId,
    other: UserId,
    now: Timestamp,
) -> Result<Relationship> {
    let mute = sql::find_mute(tx, user, other, now)?;
    Ok(Relationship {
        user_id: other,
        is_blocked: sql::is_blocking(tx, user, other)?,
        is_muted: mute.is_some(),
        muted_until: mute.flatten(),
    })
}
