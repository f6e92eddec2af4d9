//! The statements over `users`, `user_terms` and `follows`.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params};

use super::{Follow, Person, PostCounts, ProfileChange, Role, Slot, User};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::UserStatus;
use crate::id::{FollowId, UserId};
use crate::links::Link;
use crate::page::Page;
use crate::store::{CachedRow, ReadTx, WriteTx};
use crate::text;

/// A person to be written.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub username: &'a str,
    pub name: &'a str,
    pub role: Role,
    pub at: Timestamp,
}

/// Writes a person; a taken username is a UNIQUE violation.
pub fn insert(tx: &WriteTx<'_>, user: &NewUser<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
         VALUES (:id, :username, :username_key, :username_skeleton, :name, :role, 'active', :at, :at)",
        named_params! {
            ":id": user.id,
            ":username": user.username,
            ":username_key": text::username_key(user.username),
            ":username_skeleton": text::username_skeleton(user.username),
            ":name": user.name,
            ":role": user.role,
            ":at": user.at,
        },
    )?;
    refresh_terms(tx, user.id)
}

impl CachedRow for User {
    const TABLE: &'static str = "users";

    fn read(tx: &ReadTx<'_>, ids: &[i64]) -> Result<Vec<(i64, Self)>> {
        let ids = serde_json::to_string(ids).map_err(Error::internal)?;
        tx.all(
            "SELECT id, username, name, avatar, bio, banner, role, status, followers_count, following_count,
                    public_posts, followers_posts, private_posts, created_at
             FROM users
             WHERE id IN (SELECT value FROM json_each(:ids))",
            named_params! { ":ids": ids },
            |row| {
                let user = Self {
                    person: person(row)?,
                    bio: row.get("bio")?,
                    banner: row.get("banner")?,
                    role: row.get("role")?,
                    status: row.get("status")?,
                    followers_count: row.get("followers_count")?,
                    following_count: row.get("following_count")?,
                    posts: PostCounts {
                        public: row.get("public_posts")?,
                        followers: row.get("followers_posts")?,
                        private: row.get("private_posts")?,
                    },
                    created_at: row.get("created_at")?,
                };
                Ok((row.get("id")?, user))
            },
        )
    }

    fn heap_bytes(&self) -> usize {
        let texts = [self.bio.as_deref(), self.banner.as_deref()];
        let texts = texts.into_iter().flatten().map(str::len);
        texts.sum::<usize>() + self.person.username.len() + self.person.name.len()
    }
}

/// The whole row.
pub fn find(tx: &ReadTx<'_>, id: UserId) -> Result<Option<Arc<User>>> {
    tx.row(id.get())
}

/// Username and status: what most commands ask.
pub fn find_status(tx: &ReadTx<'_>, id: UserId) -> Result<Option<(String, UserStatus)>> {
    tx.optional(
        "SELECT username, status FROM users WHERE id = :id",
        named_params! { ":id": id },
        |row| Ok((row.get("username")?, row.get("status")?)),
    )
}

/// The person of that username.
pub fn find_by_username_key(tx: &ReadTx<'_>, key: &str) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT id FROM users WHERE username_key = :key AND status <> 'deleted'",
        named_params! { ":key": key },
        |row| row.get("id"),
    )
}

/// Whether the name, or one that looks the same, is taken.
pub fn is_username_taken(tx: &ReadTx<'_>, key: &str, skeleton: &str) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM users WHERE username_key = :key OR username_skeleton = :skeleton",
        named_params! { ":key": key, ":skeleton": skeleton },
    )
}

/// Whether the server has an admin.
pub fn has_admin(tx: &ReadTx<'_>) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM users WHERE role = 'ADMIN' AND status = 'active'",
        [],
    )
}

/// The ids of these usernames (in the compared form), of people who are not gone.
pub fn ids_by_username_keys(tx: &ReadTx<'_>, keys: &[String]) -> Result<Vec<UserId>> {
    let keys = serde_json::to_string(keys).map_err(Error::internal)?;
    tx.all(
        "SELECT u.id
         FROM json_each(:keys) AS wanted
         JOIN users AS u ON u.username_key = wanted.value
         WHERE u.status <> 'deleted'
         ORDER BY u.id",
        named_params! { ":keys": keys },
        |row| row.get("id"),
    )
}

/// Changes what is given; a taken username is a UNIQUE violation.
pub fn update_profile(
    tx: &WriteTx<'_>,
    id: UserId,
    change: &ProfileChange,
    at: Timestamp,
) -> Result<()> {
    let username = change.username.as_deref();
    tx.execute(
        "UPDATE users
         SET name = COALESCE(:name, name),
             username = COALESCE(:username, username),
             username_key = COALESCE(:username_key, username_key),
             username_skeleton = COALESCE(:username_skeleton, username_skeleton),
             bio = IIF(:sets_bio, :bio, bio),
             avatar = IIF(:sets_avatar, :avatar, avatar),
             banner = IIF(:sets_banner, :banner, banner),
             updated_at = :at
         WHERE id = :id",
        named_params! {
            ":id": id,
            ":name": change.name,
            ":username": username,
            ":username_key": username.map(text::username_key),
            ":username_skeleton": username.map(text::username_skeleton),
            ":sets_bio": change.bio.is_some(),
            ":bio": change.bio.as_ref().and_then(Option::as_deref),
            ":sets_avatar": change.avatar.is_some(),
            ":avatar": change.avatar.as_ref().and_then(Option::as_deref),
            ":sets_banner": change.banner.is_some(),
            ":banner": change.banner.as_ref().and_then(Option::as_deref),
            ":at": at,
        },
    )?;
    Ok(())
}

/// One of somebody's pictures: a path of ours, or an address elsewhere.
pub fn picture(tx: &ReadTx<'_>, id: UserId, slot: Slot) -> Result<Option<String>> {
    let found = tx.optional(
        "SELECT avatar, banner FROM users WHERE id = :id",
        named_params! { ":id": id },
        |row| match slot {
            Slot::Avatar => row.get("avatar"),
            Slot::Banner => row.get("banner"),
        },
    )?;
    Ok(found.flatten())
}

/// Sets one of somebody's pictures.
pub fn set_picture(
    tx: &WriteTx<'_>,
    id: UserId,
    slot: Slot,
    path: Option<&str>,
    at: Timestamp,
) -> Result<()> {
    let sql = match slot {
        Slot::Avatar => "UPDATE users SET avatar = :path, updated_at = :at WHERE id = :id",
        Slot::Banner => "UPDATE users SET banner = :path, updated_at = :at WHERE id = :id",
    };
    tx.execute(sql, named_params! { ":id": id, ":path": path, ":at": at })?;
    Ok(())
}

/// Sets whether the account may be used.
pub fn set_status(
    tx: &WriteTx<'_>,
    id: UserId,
    status: UserStatus,
    at: Timestamp,
) -> Result<usize> {
    tx.execute(
        "UPDATE users SET status = :status, updated_at = :at WHERE id = :id",
        named_params! { ":id": id, ":status": status, ":at": at },
    )
}

/// Takes a person's name off what they leave behind. The new username is one that nobody can choose.
pub fn anonymise(tx: &WriteTx<'_>, id: UserId) -> Result<()> {
    tx.execute(
        "UPDATE users
         SET username = 'deleted~' || id, username_key = 'deleted~' || id, username_skeleton = 'deleted~' || id,
             name = 'Deleted account', bio = NULL, avatar = NULL, banner = NULL
         WHERE id = :id",
        named_params! { ":id": id },
    )?;
    refresh_terms(tx, id)
}

/// Notes that what a deleted account had is to be removed.
pub fn begin_erasure(tx: &WriteTx<'_>, id: UserId) -> Result<()> {
    tx.execute(
        "INSERT INTO erasures (user_id) VALUES (:id) ON CONFLICT DO NOTHING",
        named_params! { ":id": id },
    )?;
    Ok(())
}

pub(super) fn end_erasure(tx: &WriteTx<'_>, id: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM erasures WHERE user_id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

pub(super) fn is_to_be_erased(tx: &ReadTx<'_>, id: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM erasures WHERE user_id = :id",
        named_params! { ":id": id },
    )
}

pub(super) fn erasures(tx: &ReadTx<'_>, limit: u32) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT user_id FROM erasures ORDER BY user_id LIMIT :limit",
        named_params! { ":limit": limit },
        |row| row.get("user_id"),
    )
}

/// Writes the words under which somebody is found anew, from their row.
pub fn refresh_terms(tx: &WriteTx<'_>, id: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM user_terms WHERE user_id = :id",
        named_params! { ":id": id },
    )?;
    let names: Option<(String, String)> = tx.optional(
        "SELECT username, name FROM users WHERE id = :id AND status <> 'deleted'",
        named_params! { ":id": id },
        |row| Ok((row.get("username")?, row.get("name")?)),
    )?;
    let Some((username, name)) = names else {
        return Ok(());
    };
    for term in text::search_terms(&username, &name) {
        tx.execute(
            "INSERT INTO user_terms (term, user_id) VALUES (:term, :id)",
            named_params! { ":term": term, ":id": id },
        )?;
    }
    Ok(())
}

/// People with a word that begins with `prefix`, some of them more than once; without the viewer.
pub fn search(tx: &ReadTx<'_>, prefix: &str, viewer: UserId) -> Result<Vec<Person>> {
    tx.all(
        "SELECT u.id, u.username, u.name, u.avatar
         FROM user_terms AS t
         JOIN users AS u ON u.id = t.user_id
         WHERE t.term >= :prefix AND t.term < :end AND t.user_id <> :viewer AND u.status = 'active'
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = t.user_id)
         ORDER BY t.term, t.user_id
         LIMIT 80",
        // No text sorts after the last code point.
        named_params! { ":prefix": prefix, ":end": format!("{prefix}\u{10FFFF}"), ":viewer": viewer },
        person,
    )
}

/// Whether one follows the other now.
pub fn is_following(tx: &ReadTx<'_>, follower: UserId, following: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1
         FROM follows
         WHERE follower_id = :follower AND following_id = :following AND is_active = 1",
        named_params! { ":follower": follower, ":following": following },
    )
}

/// The row between two people, active or not.
pub fn find_follow(tx: &ReadTx<'_>, follower: UserId, following: UserId) -> Result<Option<Follow>> {
    tx.optional(
        "SELECT id AS follow_id, created_at, follower_id, following_id, is_active
         FROM follows
         WHERE follower_id = :follower AND following_id = :following",
        named_params! { ":follower": follower, ":following": following },
        follow,
    )
}

/// Begins or revives a follow.
pub fn put_follow(
    tx: &WriteTx<'_>,
    id: FollowId,
    follower: UserId,
    following: UserId,
    at: Timestamp,
    event_seq: u64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
         VALUES (:id, :follower, :following, 1, :at, :event_seq, :at)
         ON CONFLICT (follower_id, following_id) DO UPDATE
         SET is_active = 1, event_seq = excluded.event_seq, event_at = excluded.event_at",
        named_params! {
            ":id": id, ":follower": follower, ":following": following, ":at": at, ":event_seq": event_seq,
        },
    )?;
    Ok(())
}

/// Ends a follow; its row stays.
pub fn end_follow(tx: &WriteTx<'_>, id: FollowId) -> Result<()> {
    tx.execute(
        "UPDATE follows SET is_active = 0 WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// Keeps the two counts that a follow changes.
pub fn add_follow_counts(
    tx: &WriteTx<'_>,
    follower: UserId,
    following: UserId,
    by: i64,
) -> Result<()> {
    tx.execute(
        "UPDATE users SET following_count = following_count + :by WHERE id = :id",
        named_params! { ":id": follower, ":by": by },
    )?;
    tx.execute(
        "UPDATE users SET followers_count = followers_count + :by WHERE id = :id",
        named_params! { ":id": following, ":by": by },
    )?;
    Ok(())
}

/// Those who follow somebody and are there for the viewer, newest first.
pub fn followers(
    tx: &ReadTx<'_>,
    viewer: UserId,
    of: UserId,
    page: &Page,
) -> Result<Vec<(Follow, Person)>> {
    tx.all(
        "SELECT f.id AS follow_id, f.created_at, f.follower_id, f.following_id, f.is_active,
                u.id, u.username, u.name, u.avatar
         FROM follows AS f
         JOIN users AS u ON u.id = f.follower_id
         WHERE f.following_id = :of AND f.is_active = 1 AND f.id < :below
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = f.follower_id)
         ORDER BY f.id DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":viewer": viewer, ":of": of, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| Ok((follow(row)?, person(row)?)),
    )
}

/// The ids of those who follow somebody.
pub fn follower_ids(tx: &ReadTx<'_>, of: UserId) -> Result<HashSet<UserId>> {
    let ids = tx.all(
        "SELECT follower_id FROM follows WHERE following_id = :of AND is_active = 1",
        named_params! { ":of": of },
        |row| row.get(0),
    )?;
    Ok(ids.into_iter().collect())
}

/// The ids of those whom somebody follows.
pub fn following_ids(tx: &ReadTx<'_>, of: UserId) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT following_id FROM follows WHERE follower_id = :of AND is_active = 1",
        named_params! { ":of": of },
        |row| row.get(0),
    )
}

/// Those of these people who follow somebody.
pub fn followers_among(tx: &ReadTx<'_>, of: UserId, people: &[UserId]) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT f.follower_id
         FROM json_each(:ids) AS wanted
         JOIN follows AS f ON f.follower_id = wanted.value AND f.following_id = :of
         WHERE f.is_active = 1",
        named_params! { ":ids": ids, ":of": of },
        |row| row.get(0),
    )
}

/// Those of these people whom somebody follows.
pub fn following_among(
    tx: &ReadTx<'_>,
    follower: UserId,
    people: &[UserId],
) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT f.following_id
         FROM json_each(:ids) AS wanted
         JOIN follows AS f ON f.follower_id = :follower AND f.following_id = wanted.value
         WHERE f.is_active = 1",
        named_params! { ":ids": ids, ":follower": follower },
        |row| row.get(0),
    )
}

/// Those whom somebody follows and who are there for the viewer, newest first.
pub fn following(
    tx: &ReadTx<'_>,
    viewer: UserId,
    of: UserId,
    page: &Page,
) -> Result<Vec<(Follow, Person)>> {
    tx.all(
        "SELECT f.id AS follow_id, f.created_at, f.follower_id, f.following_id, f.is_active,
                u.id, u.username, u.name, u.avatar
         FROM follows AS f
         JOIN users AS u ON u.id = f.following_id
         WHERE f.follower_id = :of AND f.is_active = 1 AND f.id < :below
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = f.following_id)
         ORDER BY f.id DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":viewer": viewer, ":of": of, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| Ok((follow(row)?, person(row)?)),
    )
}

/// Those whom somebody follows and who follow back, newest follow first.
pub fn mutuals(tx: &ReadTx<'_>, of: UserId, page: &Page) -> Result<Vec<(FollowId, Person)>> {
    tx.all(
        "SELECT f.id AS follow_id, u.id, u.username, u.name, u.avatar
         FROM follows AS f
         JOIN follows AS back ON back.follower_id = f.following_id AND back.following_id = f.follower_id
         JOIN users AS u ON u.id = f.following_id
         WHERE f.follower_id = :of AND f.is_active = 1 AND back.is_active = 1 AND f.id < :below
         ORDER BY f.id DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":of": of, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| Ok((row.get("follow_id")?, person(row)?)),
    )
}

/// Those whom the viewer follows and who follow somebody, the viewer's newest follow first.
pub fn known_followers(
    tx: &ReadTx<'_>,
    viewer: UserId,
    of: UserId,
    page: &Page,
) -> Result<Vec<(FollowId, Person)>> {
    tx.all(
        "SELECT f.id AS follow_id, u.id, u.username, u.name, u.avatar
         FROM follows AS f
         JOIN follows AS theirs ON theirs.follower_id = f.following_id AND theirs.following_id = :of
         JOIN users AS u ON u.id = f.following_id
         WHERE f.follower_id = :viewer AND f.is_active = 1 AND theirs.is_active = 1 AND f.id < :below
         ORDER BY f.id DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":viewer": viewer, ":of": of, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| Ok((row.get("follow_id")?, person(row)?)),
    )
}

/// Reads `id, username, name, avatar`.
pub fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let id = row.get("id")?;
    Ok(Person {
        id,
        username: row.get("username")?,
        name: row.get("name")?,
        avatar: avatar(id, row.get("avatar")?),
    })
}

/// Somebody's own picture, or the one that is drawn for them.
fn avatar(id: UserId, own: Option<String>) -> Link {
    Link::public(own.unwrap_or_else(|| default_avatar(id)))
}

/// Where the picture is that is drawn for somebody who has none.
pub fn default_avatar(id: UserId) -> String {
    format!("/media/avatars/{id}")
}

fn follow(row: &Row<'_>) -> rusqlite::Result<Follow> {
    let is_active: bool = row.get("is_active")?;
    Ok(Follow {
        id: row.get("follow_id")?,
        created_at: row.get("created_at")?,
        follower_id: row.get("follower_id")?,
        following_id: row.get("following_id")?,
        is_active,
        is_deleted: !is_active,
    })
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::User => "USER",
            Self::Admin => "ADMIN",
        }))
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "USER" => Ok(Self::User),
            "ADMIN" => Ok(Self::Admin),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl ToSql for UserStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }))
    }
}

impl FromSql for UserStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "deleted" => Ok(Self::Deleted),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
