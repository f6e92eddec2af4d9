//! What changes people and follows.

use serde::{Deserialize, Serialize};

use super::{Follow, Profile, ProfileDraft, Slot, or_username_taken, profile, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, FieldError, Result};
use crate::event::{Event, UserStatus};
use crate::id::{FollowId, UserId};
use crate::media::{self, NewMedia};
use crate::store::{Command, ReadTx, WriteTx};
use crate::text;

/// A profile's change, valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    pub name: Option<String>,
    pub username: Option<String>,
    pub bio: Option<Option<String>>,
    pub avatar: Option<Option<String>>,
    pub banner: Option<Option<String>>,
}

impl ProfileChange {
    /// Checks what the client wants; an empty text for an optional field empties it.
    pub fn parse(draft: ProfileDraft) -> Result<Self> {
        let mut wrong = Vec::new();
        let mut keep =
            |checked: Result<String, FieldError>| checked.map_err(|field| wrong.push(field)).ok();
        let change = Self {
            name: draft
                .name
                .and_then(|raw| keep(text::display_name("name", &raw))),
            username: draft
                .username
                .and_then(|raw| keep(text::username("username", &raw))),
            bio: draft.bio.map(|bio| {
                bio.filter(|raw| !raw.trim().is_empty())
                    .and_then(|raw| keep(text::body("bio", &raw, 1, 500)))
            }),
            avatar: draft.avatar.map(|url| {
                url.filter(|raw| !raw.is_empty())
                    .and_then(|raw| keep(picture("avatar", raw)))
            }),
            banner: draft.banner.map(|url| {
                url.filter(|raw| !raw.is_empty())
                    .and_then(|raw| keep(picture("banner", raw)))
            }),
        };
        if !wrong.is_empty() {
            return Err(Error::invalid_fields(wrong));
        }
        if change == Self::default() {
            return Err(Error::new(Code::NothingToChange));
        }
        Ok(change)
    }
}

/// The address of a picture: a web address or one of ours.
fn picture(field: &'static str, url: String) -> Result<String, FieldError> {
    let known = ["https://", "http://", "/media/"]
        .iter()
        .any(|start| url.starts_with(start));
    let plain = url.len() <= 2_048 && url.bytes().all(|b| b.is_ascii_graphic());
    if known && plain {
        Ok(url)
    } else {
        Err(FieldError::new(
            field,
            "invalid_url",
            format!("{field} is not the address of a picture."),
        ))
    }
}

/// Changes somebody's profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateProfile {
    pub user_id: UserId,
    pub change: ProfileChange,
    pub at: Timestamp,
}

impl UpdateProfile {
    /// The change without pictures that stay. Clients send a profile back as they got it, with the whole addresses of
    /// our own pictures.
    fn with_pictures(&self, tx: &WriteTx<'_>) -> Result<ProfileChange> {
        let mut change = self.change.clone();
        for (slot, wanted) in [
            (Slot::Avatar, &mut change.avatar),
            (Slot::Banner, &mut change.banner),
        ] {
            let Some(address) = wanted else { continue };
            let drawn = sql::default_avatar(self.user_id);
            if address
                .as_ref()
                .is_some_and(|address| address.ends_with(&drawn))
            {
                *address = None;
            }
            let present = sql::picture(tx, self.user_id, slot)?;
            let stays = present
                .filter(|path| path.starts_with('/'))
                .is_some_and(|path| {
                    address
                        .as_ref()
                        .is_some_and(|address| address.ends_with(&path))
                });
            if stays {
                *wanted = None;
            } else {
                media::release(tx, slot.holder(self.user_id), self.at)?;
            }
        }
        Ok(change)
    }
}

/// Gives somebody a picture of their own, or takes it away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetPicture {
    pub user_id: UserId,
    pub slot: Slot,
    pub upload: Option<NewMedia>,
    pub at: Timestamp,
}

impl Command for SetPicture {
    const NAME: &'static str = "users.set_picture";
    type Output = Profile;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Profile> {
        active(tx, self.user_id)?;
        let holder = self.slot.holder(self.user_id);
        media::release(tx, holder, self.at)?;
        let mut path = None;
        if let Some(upload) = &self.upload {
            media::insert(tx, upload)?;
            media::attach(tx, self.user_id, &[upload.id], holder, true)?;
            path = Some(self.slot.path(upload.id));
        }
        sql::set_picture(tx, self.user_id, self.slot, path.as_deref(), self.at)?;
        tx.emit(
            self.at,
            Event::UserUpdated {
                user_id: self.user_id,
            },
        )?;
        profile(tx, self.user_id, self.user_id, self.at)
    }
}

impl Command for UpdateProfile {
    const NAME: &'static str = "users.update_profile";
    type Output = Profile;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Profile> {
        active(tx, self.user_id)?;
        let change = self.with_pictures(tx)?;
        sql::update_profile(tx, self.user_id, &change, self.at).map_err(or_username_taken)?;
        sql::refresh_terms(tx, self.user_id)?;
        tx.emit(
            self.at,
            Event::UserUpdated {
                user_id: self.user_id,
            },
        )?;
        profile(tx, self.user_id, self.user_id, self.at)
    }
}

/// Begins a follow, or revives the one there was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowUser {
    /// The row's id, if there is none yet.
    pub id: FollowId,
    pub follower_id: UserId,
    pub following_id: UserId,
    pub at: Timestamp,
}

impl Command for FollowUser {
    const NAME: &'static str = "users.follow";
    type Output = Follow;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Follow> {
        if self.follower_id == self.following_id {
            return Err(Error::new(Code::CannotFollowSelf));
        }
        let new_follower = active(tx, self.follower_id)?;
        let followed = super::visible(tx, self.follower_id, self.following_id)?;
        let followed_username = followed.person.username.clone();
        let before = sql::find_follow(tx, self.follower_id, self.following_id)?;
        if let Some(follow) = before.as_ref().filter(|follow| follow.is_active) {
            return Ok(follow.clone());
        }
        let id = before.map_or(self.id, |follow| follow.id);
        let event = Event::FollowCreated {
            follow_id: id,
            author_id: self.follower_id,
            following_id: self.following_id,
            new_follower,
            followed_username,
        };
        let seq = tx.emit(self.at, event)?;
        sql::put_follow(tx, id, self.follower_id, self.following_id, self.at, seq)?;
        sql::add_follow_counts(tx, self.follower_id, self.following_id, 1)?;
        sql::find_follow(tx, self.follower_id, self.following_id)?
            .ok_or_else(|| Error::internal("a follow is gone that was just written"))
    }
}

/// Ends a follow, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnfollowUser {
    pub follower_id: UserId,
    pub following_id: UserId,
    pub at: Timestamp,
}

impl Command for UnfollowUser {
    const NAME: &'static str = "users.unfollow";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if self.follower_id == self.following_id {
            return Err(
                Error::new(Code::CannotFollowSelf).with_message("You cannot unfollow yourself.")
            );
        }
        if super::is_blocked_pair(tx, self.follower_id, self.following_id)? {
            return Err(Error::new(Code::UserNotFound));
        }
        match sql::find_follow(tx, self.follower_id, self.following_id)? {
            Some(follow) => end_follow(tx, &follow, self.at),
            None => sql::find(tx, self.following_id)?
                .map(drop)
                .ok_or(Code::UserNotFound.into()),
        }
    }
}

/// Ends a follow, unless it has ended.
pub(super) fn end_follow(tx: &WriteTx<'_>, follow: &Follow, at: Timestamp) -> Result<()> {
    if !follow.is_active {
        return Ok(());
    }
    sql::end_follow(tx, follow.id)?;
    sql::add_follow_counts(tx, follow.follower_id, follow.following_id, -1)?;
    let event = Event::UnfollowCreated {
        follow_id: follow.id,
        user_id: follow.follower_id,
        following_id: follow.following_id,
    };
    tx.emit(at, event)?;
    Ok(())
}

/// The username of somebody whose account is in use.
pub(super) fn active(tx: &ReadTx<'_>, id: UserId) -> Result<String> {
    sql::find_status(tx, id)?
        .filter(|(_, status)| *status == UserStatus::Active)
        .map(|(username, _)| username)
        .ok_or(Code::UserNotFound.into())
}
