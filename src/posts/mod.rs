//! Posts and what people do with them.
//!
//! * `visibility`: who may see a post, in one place;
//! * `commands`: posts appear, change, go;
//! * `reactions`: likes and dislikes;
//! * `comments`: the tree beneath a post;
//! * `sql`: the statements over posts and reactions.

mod commands;
pub mod comments;
mod reactions;
pub mod sql;
mod visibility;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, FieldError, Result};
use crate::id::{Ids, MediaId, PostId, UserId};
use crate::links::Link;
use crate::media::{MAX_PER_POST, Media, MediaItem, Received, Upload};
use crate::page::{Cursor, Page, Slice};
use crate::store::{ReadTx, Registry, Store};
use crate::text;
use crate::users::{self, Person, Relation};

pub use commands::{CreatePost, DeletePost, PostChange, UpdatePost};
pub use reactions::{Like, Reacted, SetReaction, Wish};
pub use visibility::Visibility;

/// Characters in the text of a post.
pub const MAX_CONTENT_CHARS: usize = 10_000;
/// Characters in the caption of a post.
pub const MAX_CAPTION_CHARS: usize = 2_200;

/// A post as somebody sees it (contract, section 4 and "Details").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    /// Its id.
    pub id: PostId,
    /// Who wrote it.
    pub author_id: UserId,
    /// Their username.
    pub author_username: String,
    /// Who wrote it, to show.
    pub author: Person,
    /// Its text.
    #[schema(required)]
    pub content: Option<String>,
    /// The text beneath its pictures.
    #[schema(required)]
    pub caption: Option<String>,
    /// Always null: accepted from clients of the original, which did not store it either.
    #[schema(required)]
    pub ai_content: Option<String>,
    /// Always null, likewise.
    #[serde(rename = "aicaption")]
    #[schema(required)]
    pub ai_caption: Option<String>,
    /// Addresses of its pictures.
    pub image_urls: Vec<Link>,
    /// Ids of its pictures.
    pub image_public_ids: Vec<MediaId>,
    /// Its pictures, with what is known of them.
    pub media: Vec<MediaItem>,
    /// Its tags, folded, without `#`.
    pub hashtags: Vec<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// How many like it.
    pub likes: u64,
    /// How many dislike it.
    pub dislikes: u64,
    /// Whether the reader likes it.
    pub is_liked: bool,
    /// Whether the reader dislikes it.
    pub is_disliked: bool,
    /// Likes and comments, in the original's form.
    #[serde(rename = "_count")]
    pub count: Count,
    /// Whether its text is not the first; the earlier ones are at `/posts/{id}/history`.
    pub is_edited: bool,
    /// The opposite of `isDeleted`.
    pub is_active: bool,
    /// Whether it was removed.
    pub is_deleted: bool,
    /// When it appeared.
    pub created_at: Timestamp,
    /// When its text or its visibility last changed.
    pub updated_at: Timestamp,
}

/// Counts in the original's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Count {
    /// How many like it.
    pub likes: u64,
    /// How many comments it has, answers included, removed ones not.
    pub comments: u64,
}

/// A text that a post had before it was edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    /// 1 for the first text, counting up.
    pub number: u32,
    /// The text.
    #[schema(required)]
    pub content: Option<String>,
    /// The caption.
    #[schema(required)]
    pub caption: Option<String>,
    /// The tags.
    pub hashtags: Vec<String>,
    /// When the next text took its place.
    pub edited_at: Timestamp,
}

/// A post to write, as its author sent it.
#[derive(Debug, Default)]
pub struct PostDraft {
    pub content: Option<String>,
    pub caption: Option<String>,
    pub hashtags: Vec<String>,
    pub visibility: Visibility,
    /// Files that came along, first.
    pub uploads: Vec<Upload>,
    /// Uploads from before.
    pub media: Vec<MediaId>,
}

/// What to change in a post; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct PostEdit {
    pub content: Option<String>,
    pub caption: Option<String>,
    pub hashtags: Option<Vec<String>>,
    pub visibility: Option<Visibility>,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Posts {
    store: Store,
    ids: Ids,
    media: Media,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<CreatePost>();
    registry.add::<UpdatePost>();
    registry.add::<DeletePost>();
    registry.add::<SetReaction>();
    registry.cache::<sql::PostRow>();
    comments::register(registry);
}

impl Posts {
    pub fn new(store: Store, ids: Ids, media: Media) -> Self {
        Self { store, ids, media }
    }

    /// Publishes a post.
    pub async fn create(&self, actor: &Actor, draft: PostDraft) -> Result<Post> {
        let mut wrong = Vec::new();
        let content = optional(
            &mut wrong,
            "content",
            draft.content.as_deref(),
            MAX_CONTENT_CHARS,
        );
        let caption = optional(
            &mut wrong,
            "caption",
            draft.caption.as_deref(),
            MAX_CAPTION_CHARS,
        );
        let hashtags = given_hashtags(&mut wrong, &draft.hashtags);
        if !wrong.is_empty() {
            return Err(Error::invalid_fields(wrong));
        }
        let files = draft.uploads.len() + draft.media.len();
        if content.is_none() && caption.is_none() && files == 0 {
            return Err(Error::new(Code::EmptyPost));
        }
        if files > MAX_PER_POST {
            return Err(Error::new(Code::TooManyFiles));
        }
        let received = self.media.take_in_all(draft.uploads).await?;
        let uploads = received
            .iter()
            .map(|one| self.media.new_media(actor, one))
            .collect();
        let command = CreatePost {
            id: self.ids.next(),
            author_id: actor.user_id,
            content,
            caption,
            hashtags,
            visibility: draft.visibility,
            uploads,
            media: draft.media,
            at: self.ids.now(),
        };
        let created = self.store.submit_once(command, actor.once.clone()).await;
        if created.is_ok() {
            received.into_iter().for_each(Received::confirm);
        }
        created
    }

    /// A post that the viewer may see.
    pub async fn get(&self, viewer: UserId, id: PostId) -> Result<Post> {
        self.store.read(move |tx| get_visible(tx, viewer, id)).await
    }

    /// Those of these posts that the viewer may see, in the order of the ids; for who shows many at once.
    pub async fn get_many(&self, viewer: UserId, ids: Vec<PostId>) -> Result<Vec<Post>> {
        self.store
            .read(move |tx| {
                let mut posts = readable(tx, viewer, &ids)?;
                posts.sort_by_key(|post| ids.iter().position(|id| *id == post.id));
                Ok(posts)
            })
            .await
    }

    /// Changes one's own post; the text before is kept.
    pub async fn update(&self, actor: &Actor, id: PostId, edit: PostEdit) -> Result<Post> {
        let mut wrong = Vec::new();
        let change = PostChange {
            content: edit
                .content
                .map(|raw| optional(&mut wrong, "content", Some(&raw), MAX_CONTENT_CHARS)),
            caption: edit
                .caption
                .map(|raw| optional(&mut wrong, "caption", Some(&raw), MAX_CAPTION_CHARS)),
            hashtags: edit.hashtags.map(|tags| given_hashtags(&mut wrong, &tags)),
            visibility: edit.visibility,
        };
        if !wrong.is_empty() {
            return Err(Error::invalid_fields(wrong));
        }
        if change == PostChange::default() {
            return Err(Error::new(Code::NothingToChange));
        }
        let command = UpdatePost {
            id,
            author_id: actor.user_id,
            change,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Removes one's own post, or as an admin anybody's.
    pub async fn delete(&self, actor: &Actor, id: PostId) -> Result<()> {
        let command = DeletePost {
            id,
            by: actor.user_id,
            as_admin: actor.is_admin,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// The texts that a post had, newest first, as far as the viewer could have seen them then.
    pub async fn history(&self, viewer: UserId, id: PostId, page: Page) -> Result<Slice<Edit>> {
        self.store
            .read(move |tx| {
                let post = get_visible(tx, viewer, id)?;
                let relation = users::relation(tx, viewer, post.author_id)?;
                let edits = sql::edits(tx, id, Visibility::seen_by(relation), &page)?;
                Ok(page.cut(edits, |edit| Cursor::id(i64::from(edit.number))))
            })
            .await
    }

    /// Somebody's posts that the viewer may see, newest first, and how many there are.
    pub async fn by_author(
        &self,
        viewer: UserId,
        author: UserId,
        page: Page,
    ) -> Result<(Slice<Post>, u64)> {
        self.store
            .read(move |tx| {
                let user = users::visible(tx, viewer, author)?;
                let relation = users::relation(tx, viewer, author)?;
                let posts =
                    sql::by_author(tx, viewer, author, Visibility::seen_by(relation), &page)?;
                Ok((page.cut(posts, cursor), user.posts.visible(relation)))
            })
            .await
    }

    /// Of posts that somebody has written: how many their followers may see, and which of these people are that and do not
    /// mute them.
    pub async fn follower_audience(
        &self,
        author: UserId,
        posts: Vec<PostId>,
        people: Arc<[UserId]>,
    ) -> Result<(usize, Vec<UserId>)> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let (count, mut readers) = follower_audience(tx, author, &posts, &people)?;
                let muters = users::muters_among(tx, author, &readers, now)?;
                readers.retain(|reader| !muters.contains(reader));
                Ok((count, readers))
            })
            .await
    }

    /// All public posts and one's own, newest first, without those of people whom one mutes.
    pub async fn timeline(&self, viewer: UserId, page: Page) -> Result<Slice<Post>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| Ok(page.cut(sql::timeline(tx, viewer, now, &page)?, cursor)))
            .await
    }

    /// Those who like a post, newest like first.
    pub async fn likers(&self, viewer: UserId, id: PostId, page: Page) -> Result<Slice<Person>> {
        self.store
            .read(move |tx| {
                get_visible(tx, viewer, id)?;
                let rows = sql::likers(tx, viewer, id, &page)?;
                Ok(page
                    .cut(rows, |(like, _)| Cursor::id(like.get()))
                    .map(|(_, person)| person))
            })
            .await
    }

    /// Likes or dislikes a post, or takes that back.
    pub async fn react(&self, actor: &Actor, post_id: PostId, wish: Wish) -> Result<Reacted> {
        let command = SetReaction {
            id: self.ids.next(),
            post_id,
            user_id: actor.user_id,
            wish,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }
}

fn cursor(post: &Post) -> Cursor {
    Cursor::id(post.id.get())
}

/// Those of these people who follow an author, and how many of these posts of theirs they may see.
fn follower_audience(
    tx: &ReadTx<'_>,
    author: UserId,
    posts: &[PostId],
    people: &[UserId],
) -> Result<(usize, Vec<UserId>)> {
    let mut count = 0;
    for post in posts {
        let stub = sql::find_stub(tx, *post)?;
        count += usize::from(stub.is_some_and(|stub| stub.visibility.allows(Relation::Follower)));
    }
    if count == 0 {
        return Ok((0, Vec::new()));
    }
    Ok((count, users::followers_among(tx, author, people)?))
}

/// A post that is there and that the viewer may see.
fn get_visible(tx: &ReadTx<'_>, viewer: UserId, id: PostId) -> Result<Post> {
    let post = sql::find(tx, viewer, id)?.ok_or(Code::PostNotFound)?;
    if post.visibility.allows_viewer(tx, viewer, post.author_id)? {
        Ok(post)
    } else {
        Err(Error::new(Code::PostNotFound))
    }
}

/// Whether somebody may see a post; one that is removed is seen by nobody.
pub fn is_visible(tx: &ReadTx<'_>, viewer: UserId, id: PostId) -> Result<bool> {
    match sql::find_stub(tx, id)? {
        Some(stub) => stub.visibility.allows_viewer(tx, viewer, stub.author_id),
        None => Ok(false),
    }
}

/// Those of these posts that somebody may see, newest first: a few statements, however many they are.
pub fn readable(tx: &ReadTx<'_>, viewer: UserId, ids: &[PostId]) -> Result<Vec<Post>> {
    sql::readable(tx, viewer, ids)
}

/// A text that may be absent; an empty one counts as absent.
fn optional(
    wrong: &mut Vec<FieldError>,
    field: &'static str,
    raw: Option<&str>,
    max: usize,
) -> Option<String> {
    let raw = raw.filter(|raw| text::is_visible(raw))?;
    text::body(field, raw, 1, max)
        .map_err(|error| wrong.push(error))
        .ok()
}

fn given_hashtags(wrong: &mut Vec<FieldError>, raw: &[String]) -> Vec<String> {
    if raw.len() > text::MAX_HASHTAGS {
        let message = format!("A post may carry at most {} hashtags.", text::MAX_HASHTAGS);
        wrong.push(FieldError::new("hashtags", "too_many", message));
        return Vec::new();
    }
    let mut tags: Vec<String> = Vec::with_capacity(raw.len());
    for tag in raw {
        match text::hashtag("hashtags", tag) {
            Ok(tag) if tags.contains(&tag) => {}
            Ok(tag) => tags.push(tag),
            Err(error) => {
                wrong.push(error);
                break;
            }
        }
    }
    tags
}
