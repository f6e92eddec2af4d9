//! Stories that people keep on their profile.

use serde::{Deserialize, Serialize};

use super::{CreateHighlight, DeleteHighlight, Stories, Story, UpdateHighlight, sql};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{HighlightId, StoryId, UserId};
use crate::text;
use crate::users;

/// Highlights of one person.
pub(super) const MAX_HIGHLIGHTS: u32 = 50;
/// Stories in one highlight.
pub(super) const MAX_STORIES: usize = 100;
/// Characters of a title.
const MAX_TITLE_CHARS: usize = 40;

/// Some of somebody's stories, kept under a title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Highlight {
    /// Its id.
    pub id: HighlightId,
    /// Whose it is.
    pub owner_id: UserId,
    /// What it is called.
    pub title: String,
    /// How many stories in it one may see.
    pub story_count: u32,
    /// The first of them.
    pub cover: Story,
    /// When it was made.
    pub created_at: Timestamp,
}

fn check_title(raw: &str) -> Result<String> {
    text::body("title", raw.trim(), 1, MAX_TITLE_CHARS)
        .map_err(|fault| Error::invalid_fields(vec![fault]))
}

fn check_stories(ids: &[StoryId]) -> Result<()> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if ids.is_empty() || ids.len() > MAX_STORIES || sorted.len() < ids.len() {
        let message = format!("1 to {MAX_STORIES} different stories can be named.");
        return Err(Error::invalid_field("storyIds", "out_of_range", message));
    }
    Ok(())
}

impl Stories {
    /// Somebody's highlights in which one may see something, the latest first.
    ///
    /// Errors: `user_not_found`.
    pub async fn highlights(&self, viewer: UserId, owner: UserId) -> Result<Vec<Highlight>> {
        self.store
            .read(move |tx| {
                users::visible(tx, viewer, owner)?;
                sql::highlights_of(tx, viewer, owner, MAX_HIGHLIGHTS)
            })
            .await
    }

    /// A highlight, and the stories in it that one may see.
    ///
    /// Errors: `highlight_not_found`, also where there are none.
    pub async fn highlight(
        &self,
        viewer: UserId,
        id: HighlightId,
    ) -> Result<(Highlight, Vec<Story>)> {
        self.store
            .read(move |tx| {
                let found = sql::find_highlight(tx, viewer, id)?.ok_or(Code::HighlightNotFound)?;
                Ok((found, sql::highlight_stories(tx, viewer, id)?))
            })
            .await
    }

    /// Keeps stories of one's own, in this order.
    ///
    /// Errors: `invalid_fields`, `story_not_found`, `too_many_highlights`.
    pub async fn create_highlight(
        &self,
        actor: &Actor,
        title: &str,
        story_ids: Vec<StoryId>,
    ) -> Result<Highlight> {
        check_stories(&story_ids)?;
        let command = CreateHighlight {
            id: self.ids.next(),
            owner_id: actor.user_id,
            title: check_title(title)?,
            story_ids,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Gives a highlight another title, or other stories; what is absent stays.
    ///
    /// Errors: `invalid_fields`, `nothing_to_change`, `highlight_not_found`, `story_not_found`.
    pub async fn update_highlight(
        &self,
        actor: &Actor,
        id: HighlightId,
        title: Option<&str>,
        story_ids: Option<Vec<StoryId>>,
    ) -> Result<Highlight> {
        if title.is_none() && story_ids.is_none() {
            return Err(Error::new(Code::NothingToChange));
        }
        if let Some(ids) = &story_ids {
            check_stories(ids)?;
        }
        let command = UpdateHighlight {
            id,
            owner_id: actor.user_id,
            title: title.map(check_title).transpose()?,
            story_ids,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Removes a highlight; stories whose time is over go with it, if no other has them.
    ///
    /// Errors: `highlight_not_found`.
    pub async fn delete_highlight(&self, actor: &Actor, id: HighlightId) -> Result<()> {
        let command = DeleteHighlight {
            id,
            owner_id: actor.user_id,
        };
        self.store.submit_once(command, actor.once.clone()).await
    }
}
