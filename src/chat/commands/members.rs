//! Who comes and goes, keeps order, has to be quiet.

use serde::{Deserialize, Serialize};

use super::super::access::{self, Place};
use super::super::{Role, RoomKey, RoomKind, Sanction, Visibility, sql};
use super::rooms::close;
use super::{Said, announce, room as room_now, show};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Audience, Event};
use crate::id::UserId;
use crate::store::{Command, WriteTx};
use crate::users;

/// Invitations to one room.
const MAX_INVITATIONS: u32 = 1_000;
/// Invitations that one person has.
const MAX_INVITED: u32 = 100;

/// Tells what became of a member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberTold<'a> {
    room_id: &'a str,
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// `left`, `removed`, `banned`, `muted`, `unmuted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// A room in which somebody keeps order, and what they are there.
fn kept(
    tx: &WriteTx<'_>,
    key: &RoomKey,
    by: UserId,
    as_admin: bool,
    at: Timestamp,
) -> Result<(Place, Role)> {
    let place = access::readable(tx, by, key, at)?;
    if place.room.kind == RoomKind::Direct {
        return Err(Error::new(Code::Forbidden));
    }
    let role = place.check_rank(as_admin, Role::Moderator)?;
    Ok((place, role))
}

/// Errors: `forbidden` where somebody is no less than who keeps order, or looks after the server.
fn check_below(tx: &WriteTx<'_>, place: &Place, user: UserId, keeper: Role) -> Result<()> {
    let role = sql::find_role(tx, place.room.id, user)?;
    if role >= Some(keeper) || users::living(tx, user)?.role == users::Role::Admin {
        return Err(Code::Forbidden.into());
    }
    Ok(())
}

/// Errors: `forbidden` where somebody above decided otherwise.
fn check_not_above(
    tx: &WriteTx<'_>,
    place: &Place,
    user: UserId,
    kind: Sanction,
    keeper: Role,
) -> Result<()> {
    if let Some(by) = sql::sanctioned_by(tx, place.room.id, user, kind)?
        && sql::find_role(tx, place.room.id, by)? > Some(keeper)
    {
        return Err(Code::Forbidden.into());
    }
    Ok(())
}

/// Ends a membership, and with it what they see of the room. A room that loses its last owner gets another.
/// A group in which nobody is left is closed.
fn take_out(
    tx: &WriteTx<'_>,
    place: &Place,
    user: UserId,
    reason: &'static str,
    at: Timestamp,
) -> Result<()> {
    let room = &place.room;
    let role = sql::find_role(tx, room.id, user)?;
    sql::uninvite(tx, room.id, user)?;
    if sql::remove_member(tx, room.id, user, reason == "left")? {
        let told = MemberTold {
            room_id: &room.key,
            user_id: user,
            role: None,
            reason: Some(reason),
            until: None,
        };
        announce(tx, room.id, "member_removed", Said::by(user), &told)?;
    }
    tx.signal(Event::RoomLeft {
        room_id: room.id,
        user_id: user,
        reason: reason.to_owned(),
    });
    if room.kind == RoomKind::Group && room_now(tx, room.id)?.member_count == 0 {
        return close(tx, room.id, at);
    }
    if role == Some(Role::Owner)
        && !sql::has_other_owner(tx, room.id, user)?
        && let Some(heir) = sql::heir(tx, room.id)?
    {
        promote(tx, place, heir, Role::Owner)?;
    }
    Ok(())
}

fn promote(tx: &WriteTx<'_>, place: &Place, user: UserId, role: Role) -> Result<()> {
    sql::set_role(tx, place.room.id, user, role)?;
    let told = MemberTold {
        room_id: &place.room.key,
        user_id: user,
        role: Some(role),
        reason: None,
        until: None,
    };
    announce(
        tx,
        place.room.id,
        "member_updated",
        Said::by(told.user_id),
        &told,
    )
}

/// Gives a member another role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetRole {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub role: Role,
    pub at: Timestamp,
}

impl Command for SetRole {
    const NAME: &'static str = "chat.set_role";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let (place, keeper) = kept(tx, &self.key, self.by, self.as_admin, self.at)?;
        if keeper < Role::Owner {
            return Err(Error::new(Code::Forbidden));
        }
        let before =
            sql::find_role(tx, place.room.id, self.user_id)?.ok_or(Code::MemberNotFound)?;
        if before == self.role {
            return Ok(());
        }
        // An owner steps down and is not put down.
        if before == Role::Owner && self.user_id != self.by && !self.as_admin {
            return Err(Error::new(Code::Forbidden));
        }
        if before == Role::Owner && !sql::has_other_owner(tx, place.room.id, self.user_id)? {
            return Err(Error::new(Code::LastOwner));
        }
        promote(tx, &place, self.user_id, self.role)
    }
}

/// Takes a member out of a room; oneself, which is leaving, or somebody whom one is above.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMember {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub at: Timestamp,
}

impl Command for RemoveMember {
    const NAME: &'static str = "chat.remove_member";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if self.by == self.user_id {
            let place = access::readable(tx, self.by, &self.key, self.at)?;
            if place.room.kind == RoomKind::Direct {
                return Err(Error::new(Code::Forbidden));
            }
            place.role.ok_or(Code::NotInRoom)?;
            return take_out(tx, &place, self.user_id, "left", self.at);
        }
        let (place, keeper) = kept(tx, &self.key, self.by, self.as_admin, self.at)?;
        check_below(tx, &place, self.user_id, keeper)?;
        sql::find_role(tx, place.room.id, self.user_id)?.ok_or(Code::MemberNotFound)?;
        take_out(tx, &place, self.user_id, "removed", self.at)
    }
}

/// Invites somebody. Into an open room any member may; else who keeps order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InviteToRoom {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub at: Timestamp,
}

/// Tells somebody that they are invited.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvitationTold<'a> {
    room_id: &'a str,
    title: Option<&'a str>,
    invited_by: UserId,
}

impl Command for InviteToRoom {
    const NAME: &'static str = "chat.invite";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let place = access::readable(tx, self.by, &self.key, self.at)?;
        let room = &place.room;
        if room.kind != RoomKind::Named {
            return Err(Error::new(Code::Forbidden));
        }
        let least = match room.visibility {
            Visibility::Open => Role::Member,
            Visibility::Invite | Visibility::Hidden => Role::Moderator,
        };
        place.check_rank(self.as_admin, least)?;
        place.check_may_take_part()?;
        access::check_may_message(tx, self.by, self.user_id)?;
        let theirs = access::find_place(tx, self.user_id, &self.key, self.at)?;
        let theirs = theirs.ok_or(Code::RoomNotFound)?;
        if theirs.is_banned {
            return Err(Error::new(Code::BannedFromRoom).with_message("They are banned here."));
        }
        if theirs.role.is_some() || theirs.is_invited {
            return Ok(());
        }
        let is_full = sql::invitation_count(tx, room.id, MAX_INVITATIONS)? >= MAX_INVITATIONS
            || sql::invited_count(tx, self.user_id, MAX_INVITED)? >= MAX_INVITED;
        if is_full {
            return Err(Error::new(Code::TooManyInvitations));
        }
        // Whoever declined is not asked again, and the asker not told.
        if !sql::invite(tx, room.id, self.user_id, self.by, self.at)? {
            return Ok(());
        }
        // Who mutes the asker finds the invitation when they look.
        if !users::muters_among(tx, self.by, &[self.user_id], self.at)?.is_empty() {
            return Ok(());
        }
        let invited = InvitationTold {
            room_id: &room.key,
            title: room.title.as_deref(),
            invited_by: self.by,
        };
        let audience = Audience::Person(self.user_id);
        show(tx, audience, "room_invitation", Said::by(self.by), &invited)
    }
}

/// Takes an invitation back, or declines it; so does doing it twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithdrawInvitation {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub at: Timestamp,
}

impl Command for WithdrawInvitation {
    const NAME: &'static str = "chat.withdraw_invitation";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if self.by == self.user_id {
            let place = access::find_place(tx, self.by, &self.key, self.at)?;
            let place = place.filter(|place| place.is_invited);
            let room = place.ok_or(Code::RoomNotFound)?.room;
            return sql::decline(tx, room.id, self.user_id).map(drop);
        }
        let (place, _) = kept(tx, &self.key, self.by, self.as_admin, self.at)?;
        sql::uninvite(tx, place.room.id, self.user_id).map(drop)
    }
}

/// Mutes somebody in a room, or bans them from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SanctionMember {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub kind: Sanction,
    pub until: Option<Timestamp>,
    /// Valid.
    pub reason: Option<String>,
    pub at: Timestamp,
}

impl Command for SanctionMember {
    const NAME: &'static str = "chat.sanction_member";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let (place, keeper) = kept(tx, &self.key, self.by, self.as_admin, self.at)?;
        users::living(tx, self.user_id)?;
        if self.user_id == self.by {
            return Err(Error::new(Code::Forbidden));
        }
        check_below(tx, &place, self.user_id, keeper)?;
        check_not_above(tx, &place, self.user_id, self.kind, keeper)?;
        let new = sql::NewSanction {
            room_id: place.room.id,
            user_id: self.user_id,
            kind: self.kind,
            until: self.until,
            reason: self.reason.as_deref(),
            by: self.by,
            at: self.at,
        };
        sql::put_sanction(tx, &new)?;
        match self.kind {
            Sanction::Ban => take_out(tx, &place, self.user_id, "banned", self.at),
            Sanction::Mute => {
                let told = MemberTold {
                    room_id: &place.room.key,
                    user_id: self.user_id,
                    role: None,
                    reason: Some("muted"),
                    until: self.until,
                };
                announce(
                    tx,
                    place.room.id,
                    "member_updated",
                    Said::by(told.user_id),
                    &told,
                )
            }
        }
    }
}

/// Takes a mute or a ban back; so does doing it twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiftSanction {
    pub key: RoomKey,
    pub by: UserId,
    pub as_admin: bool,
    pub user_id: UserId,
    pub kind: Sanction,
    pub at: Timestamp,
}

impl Command for LiftSanction {
    const NAME: &'static str = "chat.lift_sanction";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let (place, keeper) = kept(tx, &self.key, self.by, self.as_admin, self.at)?;
        if self.user_id == self.by && !self.as_admin {
            return Err(Error::new(Code::Forbidden));
        }
        check_not_above(tx, &place, self.user_id, self.kind, keeper)?;
        let has_ended = sql::end_sanction(tx, place.room.id, self.user_id, self.kind)?;
        if has_ended && self.kind == Sanction::Mute {
            let told = MemberTold {
                room_id: &place.room.key,
                user_id: self.user_id,
                role: None,
                reason: Some("unmuted"),
                until: None,
            };
            announce(
                tx,
                place.room.id,
                "member_updated",
                Said::by(told.user_id),
                &told,
            )?;
        }
        Ok(())
    }
}
