//! People: their profiles, and whom they follow, block and mute.
//!
//! * `commands`: profiles change, follows begin and end;
//! * `relations`: blocks and mutes;
//! * `erasure`: deleted accounts of which something is left;
//! * `sql`: the statements over people and follows.
//!
//! Credentials and sessions are `auth`'s. Whether somebody follows somebody is decided here, and what that allows to
//! see is decided in `posts`.

mod commands;
mod erasure;
mod relations;
pub mod sql;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, FieldError, Result};
use crate::event::UserStatus;
use crate::id::{FollowId, Ids, MediaId, UserId};
use crate::links::Link;
use crate::media::{self, Holder, Media, Received, Upload};
use crate::page::{Cursor, Page, Slice};
use crate::store::{ReadTx, Registry, Store, WriteTx};
use crate::text;

pub use commands::{FollowUser, ProfileChange, SetPicture, UnfollowUser, UpdateProfile};
pub use erasure::{EndErasure, is_to_be_erased};
pub use relations::{
    BlockUser, BlockedPerson, Deed, MAX_RELATIONS, MuteUser, MutedPerson, PruneRelations,
    Relationship, UnblockUser, UnmuteUser, is_blocked_pair, is_welcome, muters_among, set_welcome,
    untold, visible,
};

/// People that one search finds at most.
const SEARCH_LIMIT: usize = 20;

/// A picture of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The square one.
    Avatar,
    /// The wide one above.
    Banner,
}

/// Removes the pictures of a profile.
pub fn release_pictures(tx: &WriteTx<'_>, user: UserId, at: Timestamp) -> Result<()> {
    for slot in [Slot::Avatar, Slot::Banner] {
        media::release(tx, slot.holder(user), at)?;
    }
    Ok(())
}

impl Slot {
    fn holder(self, user: UserId) -> Holder {
        match self {
            Self::Avatar => Holder::Avatar(user.get()),
            Self::Banner => Holder::Banner(user.get()),
        }
    }

    /// Where the picture is, as the row has it.
    pub fn path(self, media: MediaId) -> String {
        match self {
            Self::Avatar => format!("/media/{media}/avatar-400"),
            Self::Banner => format!("/media/{media}/banner-1500"),
        }
    }
}

/// A person in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Their unique name, as typed.
    pub username: String,
    /// The name they go by.
    pub name: String,
    /// The address of their picture; the server draws one for those who brought none.
    pub avatar: Link,
}

/// What a person may do on this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Takes part.
    User,
    /// Looks after the server.
    Admin,
}

/// A person with what their own row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub person: Person,
    pub bio: Option<String>,
    pub banner: Option<String>,
    pub role: Role,
    pub status: UserStatus,
    pub followers_count: u64,
    pub following_count: u64,
    pub posts: PostCounts,
    pub created_at: Timestamp,
}

/// Somebody's posts, by who may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostCounts {
    pub public: u64,
    pub followers: u64,
    pub private: u64,
}

/// How the one who looks stands to the one who is looked at; decides what may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// One's own.
    Oneself,
    /// Follows them.
    Follower,
    /// Does not.
    Stranger,
    /// Blocks them, or is blocked by them: nothing of theirs is there.
    Blocked,
}

/// A person as seen by somebody (contract, section 3 and "Details").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Their id.
    pub id: UserId,
    /// Their unique name, as typed.
    pub username: String,
    /// The name they go by.
    pub name: String,
    /// What they say of themselves.
    #[schema(required)]
    pub bio: Option<String>,
    /// The address of their picture; the server draws one for those who brought none.
    pub avatar: Link,
    /// The address of the wide picture above their profile.
    #[schema(required)]
    pub banner: Option<Link>,
    /// Whether the caller follows them.
    pub is_following: bool,
    /// Whether they follow the caller.
    pub follows_me: bool,
    /// Whether the caller blocks them: false, since who is blocked has no profile for the caller.
    pub is_blocked: bool,
    /// Whether the caller mutes them.
    pub is_muted: bool,
    /// People who follow them.
    pub followers_count: u64,
    /// People whom they follow.
    pub following_count: u64,
    /// Posts of theirs that the caller may see.
    pub posts_count: u64,
    /// When they signed up.
    pub created_at: Timestamp,
}

/// One person's following of another (contract, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Follow {
    /// The row's id; kept when the follow ends and begins again.
    pub id: FollowId,
    /// When it first began.
    pub created_at: Timestamp,
    /// Who follows.
    pub follower_id: UserId,
    /// Who is followed.
    pub following_id: UserId,
    /// Whether it holds.
    pub is_active: bool,
    /// Whether it was taken back.
    pub is_deleted: bool,
}

/// The two ends of a follow, as a list to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those who follow somebody.
    Followers,
    /// Those whom somebody follows.
    Following,
}

/// Somebody's counts as they see them themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// People who follow them.
    pub followers: u64,
    /// People whom they follow.
    pub following: u64,
    /// Posts of theirs, of every visibility.
    pub posts: u64,
}

/// What a client wants changed in a profile: absent fields stay, `null` empties.
#[derive(Clone, Debug, Default)]
pub struct ProfileDraft {
    pub name: Option<String>,
    pub username: Option<String>,
    pub bio: Option<Option<String>>,
    pub avatar: Option<Option<String>>,
    pub banner: Option<Option<String>>,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Users {
    store: Store,
    ids: Ids,
    media: Media,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<UpdateProfile>();
    registry.add::<SetPicture>();
    registry.add::<FollowUser>();
    registry.add::<UnfollowUser>();
    registry.add::<EndErasure>();
    registry.cache::<User>();
    relations::register(registry);
}

impl Users {
    pub fn new(store: Store, ids: Ids, media: Media) -> Self {
        Self { store, ids, media }
    }

    /// Somebody's profile; people who are gone have none.
    pub async fn profile(&self, viewer: UserId, id: UserId) -> Result<Profile> {
        let now = self.ids.now();
        self.store
            .read(move |tx| profile(tx, viewer, id, now))
            .await
    }

    /// Somebody's profile by their username, in any case.
    pub async fn profile_by_username(&self, viewer: UserId, username: &str) -> Result<Profile> {
        let key = text::username_key(username);
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let id = sql::find_by_username_key(tx, &key)?.ok_or(Code::UserNotFound)?;
                profile(tx, viewer, id, now)
            })
            .await
    }

    /// Changes one's own profile.
    pub async fn update_profile(&self, actor: &Actor, draft: ProfileDraft) -> Result<Profile> {
        let change = ProfileChange::parse(draft)?;
        let command = UpdateProfile {
            user_id: actor.user_id,
            change,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Gives oneself a picture; the one before goes. Without one, the picture goes alone.
    pub async fn set_picture(
        &self,
        actor: &Actor,
        slot: Slot,
        upload: Option<Upload>,
    ) -> Result<Profile> {
        let received = match upload {
            Some(upload) => Some(self.media.take_in(upload).await?),
            None => None,
        };
        let upload = received
            .as_ref()
            .map(|one| self.media.new_media(actor, one));
        let command = SetPicture {
            user_id: actor.user_id,
            slot,
            upload,
            at: self.ids.now(),
        };
        let set = self.store.submit_once(command, actor.once.clone()).await;
        if set.is_ok() {
            received.into_iter().for_each(Received::confirm);
        }
        set
    }

    /// Follows somebody; doing so twice changes nothing.
    pub async fn follow(&self, actor: &Actor, following_id: UserId) -> Result<Follow> {
        let command = FollowUser {
            id: self.ids.next(),
            follower_id: actor.user_id,
            following_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Stops following somebody; so does doing it twice.
    pub async fn unfollow(&self, actor: &Actor, following_id: UserId) -> Result<()> {
        let command = UnfollowUser {
            follower_id: actor.user_id,
            following_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Those who follow somebody, or whom they follow, as far as they are there for the viewer; newest first. With the
    /// rows behind them and the number in all.
    pub async fn follows(
        &self,
        viewer: UserId,
        of: UserId,
        direction: Direction,
        page: Page,
    ) -> Result<(Slice<(Follow, Person)>, u64)> {
        self.store
            .read(move |tx| {
                let user = visible(tx, viewer, of)?;
                let (rows, total) = match direction {
                    Direction::Followers => {
                        (sql::followers(tx, viewer, of, &page)?, user.followers_count)
                    }
                    Direction::Following => {
                        (sql::following(tx, viewer, of, &page)?, user.following_count)
                    }
                };
                Ok((
                    page.cut(rows, |(follow, _)| Cursor::id(follow.id.get())),
                    total,
                ))
            })
            .await
    }

    /// People with whom one follows each other.
    pub async fn mutuals(&self, of: UserId, page: Page) -> Result<Slice<Person>> {
        self.store
            .read(move |tx| {
                let rows = sql::mutuals(tx, of, &page)?;
                Ok(page
                    .cut(rows, |(id, _)| Cursor::id(id.get()))
                    .map(|(_, person)| person))
            })
            .await
    }

    /// People whom the viewer follows and who follow somebody: "followed by ... whom you know".
    pub async fn known_followers(
        &self,
        viewer: UserId,
        of: UserId,
        page: Page,
    ) -> Result<Slice<Person>> {
        self.store
            .read(move |tx| {
                visible(tx, viewer, of)?;
                let rows = sql::known_followers(tx, viewer, of, &page)?;
                Ok(page
                    .cut(rows, |(id, _)| Cursor::id(id.get()))
                    .map(|(_, person)| person))
            })
            .await
    }

    /// One's own counts.
    pub async fn counts(&self, of: UserId) -> Result<Counts> {
        self.store
            .read(move |tx| {
                let user = sql::find(tx, of)?.ok_or(Code::UserNotFound)?;
                Ok(Counts {
                    followers: user.followers_count,
                    following: user.following_count,
                    posts: user.posts.visible(Relation::Oneself),
                })
            })
            .await
    }

    /// People whose username or name has a word that begins so; not the viewer, at most twenty.
    pub async fn search(&self, viewer: UserId, query: &str) -> Result<Vec<Person>> {
        let prefix = text::search_key(query.trim().trim_start_matches('@'));
        if prefix.is_empty() || prefix.chars().count() > 100 {
            return Err(Error::invalid_fields(vec![FieldError::new(
                "query",
                "required",
                "query must hold 1 to 100 characters.",
            )]));
        }
        self.store
            .read(move |tx| {
                let mut people: Vec<Person> = Vec::with_capacity(SEARCH_LIMIT);
                for person in sql::search(tx, &prefix, viewer)? {
                    if people.len() < SEARCH_LIMIT
                        && people.iter().all(|known| known.id != person.id)
                    {
                        people.push(person);
                    }
                }
                Ok(people)
            })
            .await
    }

    /// Whether a username can be had.
    pub async fn is_username_free(&self, username: &str) -> Result<bool> {
        let key = text::username_key(username);
        let skeleton = text::username_skeleton(username);
        self.store
            .read(move |tx| Ok(!sql::is_username_taken(tx, &key, &skeleton)?))
            .await
    }
}

impl PostCounts {
    /// How many of them somebody may see.
    pub fn visible(self, relation: Relation) -> u64 {
        match relation {
            Relation::Oneself => self.public + self.followers + self.private,
            Relation::Follower => self.public + self.followers,
            Relation::Stranger => self.public,
            Relation::Blocked => 0,
        }
    }
}

/// People by id, in one query at most; those who are gone are absent.
pub fn summaries(tx: &ReadTx<'_>, ids: &[UserId]) -> Result<HashMap<UserId, Person>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let people = tx.rows::<User>(&ids)?.into_iter();
    Ok(people
        .filter(|(_, user)| user.status != UserStatus::Deleted)
        .map(|(id, user)| (id.into(), user.person.clone()))
        .collect())
}

/// How `viewer` stands to `of`.
pub fn relation(tx: &ReadTx<'_>, viewer: UserId, of: UserId) -> Result<Relation> {
    Ok(if viewer == of {
        Relation::Oneself
    } else if sql::is_following(tx, viewer, of)? {
        // A block would have ended that.
        Relation::Follower
    } else if is_blocked_pair(tx, viewer, of)? {
        Relation::Blocked
    } else {
        Relation::Stranger
    })
}

/// How `viewer` stands to each of some people: in two statements.
pub fn relations(
    tx: &ReadTx<'_>,
    viewer: UserId,
    people: &[UserId],
) -> Result<HashMap<UserId, Relation>> {
    let followed: HashSet<UserId> = sql::following_among(tx, viewer, people)?
        .into_iter()
        .collect();
    let apart = relations::blocked_among(tx, viewer, people)?;
    let relation = |of: UserId| {
        if of == viewer {
            Relation::Oneself
        } else if followed.contains(&of) {
            Relation::Follower
        } else if apart.contains(&of) {
            Relation::Blocked
        } else {
            Relation::Stranger
        }
    };
    Ok(people.iter().map(|of| (*of, relation(*of))).collect())
}

/// Those of these people who follow somebody. Costs as much as there are of the one or of the other, whatever is less.
pub fn followers_among(tx: &ReadTx<'_>, of: UserId, people: &[UserId]) -> Result<Vec<UserId>> {
    let count = u64::try_from(people.len()).unwrap_or(u64::MAX);
    let has_more = sql::find(tx, of)?.is_some_and(|user| user.followers_count > count);
    if has_more {
        return sql::followers_among(tx, of, people);
    }
    let followers = sql::follower_ids(tx, of)?;
    Ok(people
        .iter()
        .filter(|one| followers.contains(one))
        .copied()
        .collect())
}

/// A person who is not gone.
pub fn living(tx: &ReadTx<'_>, id: UserId) -> Result<Arc<User>> {
    sql::find(tx, id)?
        .filter(|user| user.status != UserStatus::Deleted)
        .ok_or(Code::UserNotFound.into())
}

fn profile(tx: &ReadTx<'_>, viewer: UserId, id: UserId, now: Timestamp) -> Result<Profile> {
    let user = living(tx, id)?;
    let relation = relation(tx, viewer, id)?;
    if relation == Relation::Blocked {
        return Err(Error::new(Code::UserNotFound));
    }
    let follows_me = relation != Relation::Oneself && sql::is_following(tx, id, viewer)?;
    let Person {
        id,
        username,
        name,
        avatar,
    } = user.person.clone();
    Ok(Profile {
        id,
        username,
        name,
        bio: user.bio.clone(),
        avatar,
        banner: user.banner.clone().map(Link::public),
        is_following: relation == Relation::Follower,
        follows_me,
        is_blocked: false,
        is_muted: relations::is_muting(tx, viewer, id, now)?,
        followers_count: user.followers_count,
        following_count: user.following_count,
        posts_count: user.posts.visible(relation),
        created_at: user.created_at,
    })
}

/// The conflict that a taken username is, told from other failures.
pub fn or_username_taken(error: Error) -> Error {
    use crate::store::is_unique_violation;
    let taken = ["users.username_key", "users.username_skeleton"]
        .iter()
        .any(|column| is_unique_violation(&error, column));
    if taken {
        Error::new(Code::UsernameTaken)
    } else {
        error
    }
}
