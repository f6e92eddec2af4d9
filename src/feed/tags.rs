//! Hashtags, and following them.

use serde::{Deserialize, Serialize};

use super::commands::FollowTag;
use super::muted::Muted;
use super::{Feed, sql, timeline};
use crate::actor::Actor;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::page::{Page, Slice};
use crate::posts::Post;
use crate::text;

/// Hashtags that one person can follow.
pub(super) const MAX_FOLLOWED: u32 = 100;

/// Hashtags that are looked at for those that begin so: the first by name, and those with the most posts.
const LOOKED_AT: u32 = 1_000;

/// A hashtag as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tag {
    /// As tags are compared: folded, without `#`.
    pub name: String,
    /// Public posts that carry it.
    pub posts_count: u64,
    /// How many follow it.
    pub followers_count: u64,
    /// Whether one follows it.
    pub is_following: bool,
}

impl Tag {
    /// One that nobody has used or followed.
    pub(super) fn unused(name: String) -> Self {
        Self {
            name,
            posts_count: 0,
            followers_count: 0,
            is_following: false,
        }
    }
}

/// A hashtag as it stands in an address. Errors: `invalid_fields`.
fn parse(raw: &str) -> Result<String> {
    text::hashtag("tag", raw).map_err(|fault| Error::invalid_fields(vec![fault]))
}

impl Feed {
    /// A hashtag; one that nobody used has no posts.
    pub async fn tag(&self, viewer: UserId, raw: &str) -> Result<Tag> {
        let name = parse(raw)?;
        self.inner
            .store
            .read(move |tx| {
                Ok(sql::find_tag(tx, viewer, &name)?.unwrap_or_else(|| Tag::unused(name)))
            })
            .await
    }

    /// The hashtags that begin so, or all, with the most public posts first; without those that one mutes. `raw` may have
    /// its `#`. Where very many begin so, those with few posts are not all looked at.
    pub async fn tags(&self, viewer: UserId, raw: &str, limit: u32) -> Result<Vec<Tag>> {
        let is_all = matches!(raw.trim(), "" | "#");
        let prefix = if is_all {
            String::new()
        } else {
            text::hashtag("prefix", raw).map_err(|fault| Error::invalid_fields(vec![fault]))?
        };
        let now = self.now();
        self.inner
            .store
            .read(move |tx| {
                let mut tags = sql::top_tags(tx, viewer, LOOKED_AT)?;
                if !is_all {
                    tags.retain(|tag| tag.name.starts_with(&prefix));
                    tags.extend(sql::tags_beginning(tx, viewer, &prefix, LOOKED_AT)?);
                }
                let muted = Muted::of(tx, viewer, now)?;
                tags.retain(|tag| !muted.has_tag(&tag.name));
                tags.sort_by(|a, b| (b.posts_count, &a.name).cmp(&(a.posts_count, &b.name)));
                tags.dedup();
                tags.truncate(limit as usize);
                Ok(tags)
            })
            .await
    }

    /// The public posts with a hashtag, newest first.
    pub async fn tagged(&self, viewer: UserId, raw: &str, page: Page) -> Result<Slice<Post>> {
        let (name, now) = (parse(raw)?, self.now());
        self.inner
            .store
            .read(move |tx| {
                let ids = |below, limit| sql::tagged(tx, &name, (0.into(), below), limit);
                timeline::page(tx, viewer, now, &page, ids, |_| true)
            })
            .await
    }

    /// The hashtags that somebody follows, by name.
    pub async fn followed_tags(&self, viewer: UserId) -> Result<Vec<Tag>> {
        self.inner
            .store
            .read(move |tx| sql::followed_tags(tx, viewer, MAX_FOLLOWED))
            .await
    }

    /// Begins or ends following a hashtag: its public posts stand in one's home feed. Again changes nothing.
    ///
    /// Errors: `invalid_fields`, `too_many_followed_tags`.
    pub async fn follow_tag(&self, actor: &Actor, raw: &str, wants: bool) -> Result<Tag> {
        let command = FollowTag {
            user_id: actor.user_id,
            tag: parse(raw)?,
            wants,
            at: self.now(),
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }
}
