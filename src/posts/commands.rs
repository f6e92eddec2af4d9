//! Posts appear, change, go.

use serde::{Deserialize, Serialize};

use super::{Count, Post, Visibility, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Event, UserStatus};
use crate::id::{MediaId, PostId, UserId};
use crate::media::{self, Holder, NewMedia};
use crate::store::{Command, ReadTx, WriteTx};
use crate::text;
use crate::users::{self, Person};

/// Publishes a post; its texts are valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreatePost {
    pub id: PostId,
    pub author_id: UserId,
    pub content: Option<String>,
    pub caption: Option<String>,
    /// The tags given beside the text; those in the text are added.
    pub hashtags: Vec<String>,
    pub visibility: Visibility,
    /// Files that came along.
    pub uploads: Vec<NewMedia>,
    /// Uploads of the author's from before; they come after those.
    pub media: Vec<MediaId>,
    pub at: Timestamp,
}

impl CreatePost {
    fn bring_media(&self, tx: &WriteTx<'_>) -> Result<()> {
        for upload in &self.uploads {
            media::insert(tx, upload)?;
        }
        let uploaded = self.uploads.iter().map(|upload| upload.id);
        let ids: Vec<MediaId> = uploaded.chain(self.media.iter().copied()).collect();
        let holder = Holder::Post(self.id.get());
        let is_public = self.visibility == Visibility::Public;
        media::attach(tx, self.author_id, &ids, holder, is_public)
    }
}

impl Command for CreatePost {
    const NAME: &'static str = "posts.create";
    type Output = Post;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Post> {
        let author = active_person(tx, self.author_id)?;
        let texts = [self.content.as_deref(), self.caption.as_deref()];
        let hashtags = merge_hashtags(&self.hashtags, texts);
        let mentioned = mentioned(tx, texts)?;
        let event = Event::PostCreated {
            post_id: self.id,
            author_id: self.author_id,
            username: author.username.clone(),
            mentions: those_who_may_see(tx, &mentioned, self.author_id, self.visibility)?,
        };
        let event_seq = tx.emit(self.at, event)?;
        sql::insert(tx, self, &hashtags, event_seq)?;
        self.bring_media(tx)?;
        sql::put_hashtags(tx, self.id, self.visibility, &hashtags)?;
        sql::put_mentions(tx, self.id, &mentioned)?;
        sql::add_post_count(tx, self.author_id, self.visibility, 1)?;
        if !self.uploads.is_empty() || !self.media.is_empty() {
            return sql::find(tx, self.author_id, self.id)?.ok_or(Code::PostNotFound.into());
        }
        Ok(Post {
            id: self.id,
            author_id: author.id,
            author_username: author.username.clone(),
            author,
            content: self.content.clone(),
            caption: self.caption.clone(),
            ai_content: None,
            ai_caption: None,
            image_urls: Vec::new(),
            image_public_ids: Vec::new(),
            media: Vec::new(),
            hashtags,
            visibility: self.visibility,
            likes: 0,
            dislikes: 0,
            is_liked: false,
            is_disliked: false,
            count: Count {
                likes: 0,
                comments: 0,
            },
            is_edited: false,
            is_active: true,
            is_deleted: false,
            created_at: self.at,
            updated_at: self.at,
        })
    }
}

/// What changes in a post; its texts are valid, and `Some(None)` empties one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostChange {
    pub content: Option<Option<String>>,
    pub caption: Option<Option<String>>,
    pub hashtags: Option<Vec<String>>,
    pub visibility: Option<Visibility>,
}

/// Changes one's own post.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdatePost {
    pub id: PostId,
    pub author_id: UserId,
    pub change: PostChange,
    pub at: Timestamp,
}

impl Command for UpdatePost {
    const NAME: &'static str = "posts.update";
    type Output = Post;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Post> {
        active_person(tx, self.author_id)?;
        let before = sql::find(tx, self.author_id, self.id)?
            .filter(|post| post.author_id == self.author_id)
            .ok_or(Code::PostNotFound)?;
        let content = self
            .change
            .content
            .clone()
            .unwrap_or_else(|| before.content.clone());
        let caption = self
            .change
            .caption
            .clone()
            .unwrap_or_else(|| before.caption.clone());
        if content.is_none() && caption.is_none() && before.media.is_empty() {
            return Err(Error::new(Code::EmptyPost));
        }
        let old_texts = [before.content.as_deref(), before.caption.as_deref()];
        let texts = [content.as_deref(), caption.as_deref()];
        // Tags that stood in the old text go with it; those given beside it stay, unless given anew.
        let given = self.change.hashtags.clone().unwrap_or_else(|| {
            let extracted = merge_hashtags(&[], old_texts);
            before
                .hashtags
                .iter()
                .filter(|tag| !extracted.contains(tag))
                .cloned()
                .collect()
        });
        let hashtags = merge_hashtags(&given, texts);
        let visibility = self.change.visibility.unwrap_or(before.visibility);
        let edits_text =
            content != before.content || caption != before.caption || hashtags != before.hashtags;
        if edits_text {
            sql::keep_edit(tx, &before, self.at)?;
        }
        sql::update(
            tx,
            self.id,
            content.as_deref(),
            caption.as_deref(),
            &hashtags,
            visibility,
            self.at,
        )?;
        sql::clear_hashtags(tx, self.id)?;
        sql::put_hashtags(tx, self.id, visibility, &hashtags)?;
        sql::put_mentions(tx, self.id, &mentioned(tx, texts)?)?;
        if visibility != before.visibility {
            sql::add_post_count(tx, self.author_id, before.visibility, -1)?;
            sql::add_post_count(tx, self.author_id, visibility, 1)?;
            let is_public = visibility == Visibility::Public;
            media::publish(tx, Holder::Post(self.id.get()), is_public)?;
        }
        tx.emit(
            self.at,
            Event::PostUpdated {
                post_id: self.id,
                author_id: self.author_id,
            },
        )?;
        sql::find(tx, self.author_id, self.id)?.ok_or(Code::PostNotFound.into())
    }
}

/// Removes a post; its rows stay, unseen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeletePost {
    pub id: PostId,
    pub by: UserId,
    /// Admins may remove what others wrote.
    pub as_admin: bool,
    pub at: Timestamp,
}

impl Command for DeletePost {
    const NAME: &'static str = "posts.delete";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        active_person(tx, self.by)?;
        let stub = sql::find_stub(tx, self.id)?
            .filter(|stub| stub.author_id == self.by || self.as_admin)
            .ok_or(Code::PostNotFound)?;
        sql::mark_deleted(tx, self.id, self.at)?;
        media::release(tx, Holder::Post(self.id.get()), self.at)?;
        sql::clear_hashtags(tx, self.id)?;
        sql::add_post_count(tx, stub.author_id, stub.visibility, -1)?;
        tx.emit(
            self.at,
            Event::PostDeleted {
                post_id: self.id,
                author_id: stub.author_id,
            },
        )?;
        Ok(())
    }
}

/// A person whose account is in use.
pub(super) fn active_person(tx: &ReadTx<'_>, id: UserId) -> Result<Person> {
    users::sql::find(tx, id)?
        .filter(|user| user.status == UserStatus::Active)
        .map(|user| user.person.clone())
        .ok_or(Code::UserNotFound.into())
}

/// The people named in a text.
pub(super) fn mentioned<const N: usize>(
    tx: &ReadTx<'_>,
    texts: [Option<&str>; N],
) -> Result<Vec<UserId>> {
    let mut keys: Vec<String> = Vec::new();
    for key in texts.into_iter().flatten().flat_map(text::mentions) {
        if !keys.contains(&key) && keys.len() < text::MAX_MENTIONS {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        Ok(Vec::new())
    } else {
        users::sql::ids_by_username_keys(tx, &keys)
    }
}

/// Those of `people` who may see a post of `author`, but the author.
pub(super) fn those_who_may_see(
    tx: &ReadTx<'_>,
    people: &[UserId],
    author: UserId,
    visibility: Visibility,
) -> Result<Vec<UserId>> {
    let mut seeing = Vec::with_capacity(people.len());
    for &person in people {
        if person != author && visibility.allows_viewer(tx, person, author)? {
            seeing.push(person);
        }
    }
    Ok(seeing)
}

fn merge_hashtags(given: &[String], texts: [Option<&str>; 2]) -> Vec<String> {
    let mut tags = given.to_vec();
    for tag in texts.into_iter().flatten().flat_map(text::hashtags) {
        if !tags.contains(&tag) && tags.len() < text::MAX_HASHTAGS {
            tags.push(tag);
        }
    }
    tags
}
