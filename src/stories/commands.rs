//! Stories appear, are seen, are kept, and go.

use serde::{Deserialize, Serialize};

use super::circles::MAX_PEOPLE;
use super::highlights::MAX_HIGHLIGHTS;
use super::{Circle, Highlight, LASTS, MAX_AT_ONCE, Story, StoryAudience, author_of, react, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{HighlightId, MediaId, StoryId, UserId};
use crate::media::{self, Holder};
use crate::store::{Command, WriteTx};
use crate::users;

/// Shows something for a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostStory {
    pub id: StoryId,
    pub author_id: UserId,
    /// An upload of the author's: a picture or a video.
    pub media: Option<MediaId>,
    /// Valid; empty only beside an upload.
    pub text: String,
    /// Valid.
    pub background: Option<String>,
    pub audience: StoryAudience,
    pub at: Timestamp,
}

impl Command for PostStory {
    const NAME: &'static str = "stories.post";
    type Output = Story;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Story> {
        users::living(tx, self.author_id)?;
        if sql::count_of(tx, self.author_id, self.at)? >= MAX_AT_ONCE {
            return Err(Error::new(Code::TooManyStories));
        }
        sql::insert(tx, self, self.at.plus(LASTS))?;
        let holder = Holder::Story(self.id.get());
        media::attach(tx, self.author_id, self.media.as_slice(), holder, false)?;
        media::set_end(tx, holder, Some(self.at.plus(LASTS)))?;
        sql::find(tx, self.author_id, self.id, self.at)?.ok_or(Code::StoryNotFound.into())
    }
}

/// Takes a story back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteStory {
    pub id: StoryId,
    pub by: UserId,
    pub as_admin: bool,
    pub at: Timestamp,
}

impl Command for DeleteStory {
    const NAME: &'static str = "stories.delete";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let author = sql::find_author_of_any(tx, self.id, self.at)?;
        author
            .filter(|author| *author == self.by || self.as_admin)
            .ok_or(Code::StoryNotFound)?;
        for highlight in sql::highlights_with(tx, self.id)? {
            sql::take_out(tx, highlight, self.id)?;
        }
        end(tx, self.id, self.at)
    }
}

/// Ends a story before its time, with its file; what is left is swept.
fn end(tx: &WriteTx<'_>, id: StoryId, at: Timestamp) -> Result<()> {
    media::release(tx, Holder::Story(id.get()), at)?;
    sql::end(tx, id, at)
}

/// Notes that somebody has seen a story.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViewStory {
    pub id: StoryId,
    pub user_id: UserId,
    pub at: Timestamp,
}

impl Command for ViewStory {
    const NAME: &'static str = "stories.view";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.user_id)?;
        if author_of(tx, self.user_id, self.id, self.at)? != self.user_id {
            sql::add_view(tx, self.id, self.user_id, self.at)?;
        }
        Ok(())
    }
}

/// Takes a reaction back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnreactToStory {
    pub id: StoryId,
    pub user_id: UserId,
    pub at: Timestamp,
}

impl Command for UnreactToStory {
    const NAME: &'static str = "stories.unreact";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.user_id)?;
        react(tx, self.user_id, self.id, None, self.at)
    }
}

/// Takes somebody into a circle, or out of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetCircle {
    pub owner_id: UserId,
    pub circle: Circle,
    pub user_id: UserId,
    pub wants: bool,
    pub at: Timestamp,
}

impl Command for SetCircle {
    const NAME: &'static str = "stories.set_circle";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.owner_id)?;
        // Who is there no more is taken out all the same.
        let is_in = sql::is_in_circle(tx, self.owner_id, self.circle, self.user_id)?;
        if !self.wants && is_in {
            return sql::take_from_circle(tx, self.owner_id, self.circle, self.user_id);
        }
        users::visible(tx, self.owner_id, self.user_id)?;
        if self.owner_id == self.user_id {
            return Err(Error::new(Code::UserNotFound));
        }
        if !self.wants {
            return Ok(());
        }
        let is_full = sql::circle_count(tx, self.owner_id, self.circle)? >= MAX_PEOPLE;
        if is_full && !is_in {
            return Err(Error::new(Code::TooManyInCircle));
        }
        sql::add_to_circle(tx, self.owner_id, self.circle, self.user_id, self.at)
    }
}

/// Keeps stories on a profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateHighlight {
    pub id: HighlightId,
    pub owner_id: UserId,
    /// Valid.
    pub title: String,
    /// Valid: a few, none twice.
    pub story_ids: Vec<StoryId>,
    pub at: Timestamp,
}

impl Command for CreateHighlight {
    const NAME: &'static str = "stories.create_highlight";
    type Output = Highlight;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Highlight> {
        users::living(tx, self.owner_id)?;
        if sql::highlight_count(tx, self.owner_id)? >= MAX_HIGHLIGHTS {
            return Err(Error::new(Code::TooManyHighlights));
        }
        sql::insert_highlight(tx, self.id, self.owner_id, &self.title, self.at)?;
        put_stories(tx, self.id, self.owner_id, (&self.story_ids, &[]), self.at)?;
        highlight(tx, self.owner_id, self.id)
    }
}

/// What was there before may come again, though its time is over.
///
/// Errors: `story_not_found` for what is not one's own, or not there any more.
fn put_stories(
    tx: &WriteTx<'_>,
    highlight: HighlightId,
    owner: UserId,
    (ids, before): (&[StoryId], &[StoryId]),
    at: Timestamp,
) -> Result<()> {
    for (position, id) in (0..).zip(ids) {
        if !before.contains(id) && sql::find_author_of_any(tx, *id, at)? != Some(owner) {
            return Err(Error::new(Code::StoryNotFound));
        }
        sql::put_in(tx, highlight, position, *id)?;
    }
    Ok(())
}

fn highlight(tx: &WriteTx<'_>, owner: UserId, id: HighlightId) -> Result<Highlight> {
    sql::find_highlight(tx, owner, id)?.ok_or(Code::HighlightNotFound.into())
}

/// Gives a highlight another title, or other stories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateHighlight {
    pub id: HighlightId,
    pub owner_id: UserId,
    /// Valid.
    pub title: Option<String>,
    /// Valid: a few, none twice.
    pub story_ids: Option<Vec<StoryId>>,
    pub at: Timestamp,
}

impl Command for UpdateHighlight {
    const NAME: &'static str = "stories.update_highlight";
    type Output = Highlight;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Highlight> {
        check_owner(tx, self.id, self.owner_id)?;
        if let Some(title) = &self.title {
            sql::set_title(tx, self.id, title)?;
        }
        if let Some(ids) = &self.story_ids {
            // Those that stay must not be taken for gone in between.
            let before = sql::empty(tx, self.id)?;
            put_stories(tx, self.id, self.owner_id, (ids, &before), self.at)?;
            sql::forget_unkept(tx, &before)?;
        }
        highlight(tx, self.owner_id, self.id)
    }
}

fn check_owner(tx: &WriteTx<'_>, id: HighlightId, owner: UserId) -> Result<()> {
    if sql::owner_of_highlight(tx, id)? == Some(owner) {
        Ok(())
    } else {
        Err(Error::new(Code::HighlightNotFound))
    }
}

/// Removes a highlight.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteHighlight {
    pub id: HighlightId,
    pub owner_id: UserId,
}

impl Command for DeleteHighlight {
    const NAME: &'static str = "stories.delete_highlight";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        check_owner(tx, self.id, self.owner_id)?;
        delete_highlight(tx, self.id)?;
        Ok(())
    }
}

/// Removes a highlight; returns how many stories were in it.
fn delete_highlight(tx: &WriteTx<'_>, id: HighlightId) -> Result<usize> {
    let before = sql::empty(tx, id)?;
    sql::forget_unkept(tx, &before)?;
    sql::delete_highlight(tx, id)?;
    Ok(before.len())
}

/// Removes what is left of stories whose time is over and that no highlight has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepStories {
    pub at: Timestamp,
    /// Rows, at most.
    pub limit: u32,
}

impl Command for SweepStories {
    const NAME: &'static str = "stories.sweep";
    type Output = u32;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<u32> {
        let mut gone = 0;
        for id in sql::over(tx, self.at, self.limit)? {
            gone += sql::forget_views(tx, id, self.limit - gone)?;
            if gone >= self.limit {
                break;
            }
            media::release(tx, Holder::Story(id.get()), self.at)?;
            sql::forget(tx, id)?;
            gone += 1;
            if gone >= self.limit {
                break;
            }
        }
        Ok(gone)
    }
}

/// Removes what a deleted account showed, kept and chose, and it from what others chose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EraseStories {
    pub user_id: UserId,
    pub at: Timestamp,
    /// Rows, about.
    pub limit: u32,
}

impl Command for EraseStories {
    const NAME: &'static str = "stories.erase";
    /// Whether something is left.
    type Output = bool;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<bool> {
        if !users::is_to_be_erased(tx, self.user_id)? {
            return Ok(false);
        }
        let most = self.limit as usize;
        let mut gone = 0;
        for highlight in sql::highlight_ids_of(tx, self.user_id, self.limit)? {
            gone += 1 + delete_highlight(tx, highlight)?;
            if gone >= most {
                return Ok(true);
            }
        }
        for story in sql::showing(tx, self.user_id, self.at, self.limit)? {
            end(tx, story, self.at)?;
            gone += 1;
        }
        gone += sql::leave_circles(tx, self.user_id, self.limit)?;
        Ok(gone >= most)
    }
}
