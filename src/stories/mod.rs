//! Stories: what people show for a day.
//!
//! A story is there until its time, to the millisecond: each read compares with the clock. What is left of it is swept
//! later. A highlight keeps stories on the profile; who may see them is the same before and after.
//!
//! * `commands`: posting, seeing, keeping, sweeping;
//! * `circles`: close friends, and from whom one's stories are hidden;
//! * `highlights`: what is kept;
//! * `sql`: the statements; `VISIBLE` says who may see a story, here and nowhere else.

mod circles;
mod commands;
mod highlights;
mod sql;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{Ids, MediaId, MessageId, StoryId, UserId};
use crate::media::MediaItem;
use crate::page::{Cursor, Page, Slice};
use crate::store::{ReadTx, Registry, Store, WriteTx};
use crate::text;
use crate::users::{self, Person};

pub use circles::Circle;
pub use commands::{
    CreateHighlight, DeleteHighlight, DeleteStory, EraseStories, PostStory, SetCircle,
    SweepStories, UnreactToStory, UpdateHighlight, ViewStory,
};
pub use highlights::Highlight;

/// How long a story is there.
pub const LASTS: Duration = Duration::from_hours(24);
/// Stories that one person may show at once.
const MAX_AT_ONCE: u32 = 100;
/// Characters of a story.
pub const MAX_TEXT_CHARS: usize = 500;
/// People whom the tray shows.
const MAX_TRAY: u32 = 200;
/// Rows that one command sweeps.
const SWEEP_STEP: u32 = 200;
/// What stands behind a text, where nothing was chosen.
const BACKGROUND: &str = "#4f46e5,#db2777";

/// Who may see a story, beside its author; never those from whom the author hides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoryAudience {
    /// Everybody with an account.
    Public,
    /// Those who follow the author.
    #[default]
    Followers,
    /// Those whom the author chose as close friends.
    Close,
}

/// A story, as one person sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Its id.
    pub id: StoryId,
    /// Who shows it.
    pub author: Person,
    /// A picture or a video.
    #[schema(required)]
    pub media: Option<MediaItem>,
    /// What it says; may be empty beside a picture or a video.
    pub text: String,
    /// What stands behind a text alone: `#rrggbb`, or two of them joined by a comma, for a gradient.
    #[schema(required)]
    pub background: Option<String>,
    /// Who may see it.
    pub audience: StoryAudience,
    /// When it was posted.
    pub created_at: Timestamp,
    /// Until when it is there; after that, in highlights alone.
    pub expires_at: Timestamp,
    /// Whether one has seen it; one's own, always.
    pub is_seen: bool,
    /// How one reacted.
    #[schema(required)]
    pub reaction: Option<String>,
    /// How many have seen it, those included who are not there for its author any more; for its author.
    #[schema(required)]
    pub view_count: Option<u32>,
    /// How many of these reacted; for its author.
    #[schema(required)]
    pub reaction_count: Option<u32>,
}

/// One person's stories in the tray.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrayEntry {
    /// Whose they are.
    pub author: Person,
    /// How many there are.
    pub story_count: u32,
    /// How many of them one has not seen.
    pub unseen_count: u32,
    /// Whether one of those was shown to close friends alone.
    pub is_close: bool,
    /// When the latest was posted.
    pub latest_at: Timestamp,
    /// Where to begin: the first that one has not seen, else the first.
    pub first_id: StoryId,
}

/// Somebody who has seen a story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoryViewer {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// When they saw it first.
    pub seen_at: Timestamp,
    /// How they reacted.
    #[schema(required)]
    pub reaction: Option<String>,
}

/// A story to be posted, as a client sent it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is what the field of a story is")]
pub struct StoryDraft {
    pub media_id: Option<MediaId>,
    pub text: String,
    pub background: Option<String>,
    pub audience: StoryAudience,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Stories {
    store: Store,
    ids: Ids,
}

/// Makes this domain's commands known.
pub fn register(registry: &mut Registry) {
    registry.add::<CreateHighlight>();
    registry.add::<DeleteHighlight>();
    registry.add::<DeleteStory>();
    registry.add::<EraseStories>();
    registry.add::<PostStory>();
    registry.add::<SetCircle>();
    registry.add::<SweepStories>();
    registry.add::<UnreactToStory>();
    registry.add::<UpdateHighlight>();
    registry.add::<ViewStory>();
}

/// Who shows a story that somebody may see now.
///
/// Errors: `story_not_found`.
pub fn author_of(tx: &ReadTx<'_>, viewer: UserId, id: StoryId, now: Timestamp) -> Result<UserId> {
    sql::find_author(tx, viewer, id, now)?.ok_or(Code::StoryNotFound.into())
}

/// Notes how somebody reacts to a story that they may see. To one's own one does not.
///
/// Errors: `story_not_found`.
pub fn react(
    tx: &WriteTx<'_>,
    user: UserId,
    id: StoryId,
    emoji: Option<&str>,
    at: Timestamp,
) -> Result<()> {
    if author_of(tx, user, id, at)? == user {
        return Ok(());
    }
    if emoji.is_some() {
        // Who reacts has seen it; who takes back what they never gave has not.
        sql::add_view(tx, id, user, at)?;
    } else if !sql::has_viewed(tx, id, user)? {
        return Ok(());
    }
    sql::set_reaction(tx, id, user, emoji)
}

/// The message that told a story's author how somebody reacted to it; it may be gone.
pub fn reaction_message(tx: &ReadTx<'_>, user: UserId, id: StoryId) -> Result<Option<MessageId>> {
    sql::reaction_message(tx, id, user)
}

/// Notes which message told a story's author how somebody reacted to it.
pub fn set_reaction_message(
    tx: &WriteTx<'_>,
    user: UserId,
    id: StoryId,
    message: MessageId,
) -> Result<()> {
    sql::set_reaction_message(tx, id, user, message)
}

impl StoryDraft {
    /// The text and the background as they are kept.
    fn check(&self) -> Result<(String, Option<String>)> {
        let least = usize::from(self.media_id.is_none());
        let text = if least == 0 && !text::is_visible(&self.text) {
            String::new()
        } else {
            text::body("text", self.text.trim(), least, MAX_TEXT_CHARS)
                .map_err(|fault| Error::invalid_fields(vec![fault]))?
        };
        let chosen = self.background.as_deref();
        let background = match (self.media_id, chosen) {
            (Some(_), None) => None,
            (Some(_), Some(_)) => {
                let message = "A background stands behind a text alone.";
                return Err(Error::invalid_field("background", "unexpected", message));
            }
            (None, chosen) => Some(chosen.unwrap_or(BACKGROUND).to_ascii_lowercase()),
        };
        if background.as_deref().is_some_and(|one| !is_background(one)) {
            let message = "A background is a colour like #4f46e5, or two joined by a comma.";
            return Err(Error::invalid_field(
                "background",
                "invalid_format",
                message,
            ));
        }
        Ok((text, background))
    }
}

/// One colour, or two.
fn is_background(text: &str) -> bool {
    let is_colour = |one: &str| {
        one.strip_prefix('#')
            .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match text.split_once(',') {
        Some((one, other)) => is_colour(one) && is_colour(other),
        None => is_colour(text),
    }
}

impl Stories {
    /// Over the store.
    pub fn new(store: Store, ids: Ids) -> Self {
        Self { store, ids }
    }

    /// Whose stories one may look at: one's own first, then those with something unseen, then the others; the latest first.
    pub async fn tray(&self, viewer: UserId) -> Result<Vec<TrayEntry>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                let mut all: Vec<TrayEntry> = sql::own_tray(tx, viewer, now)?.into_iter().collect();
                all.extend(sql::tray(tx, viewer, now, MAX_TRAY)?);
                Ok(all)
            })
            .await
    }

    /// A story that is there, as somebody sees it.
    ///
    /// Errors: `story_not_found`.
    pub async fn get(&self, viewer: UserId, id: StoryId) -> Result<Story> {
        let now = self.ids.now();
        self.store
            .read(move |tx| sql::find(tx, viewer, id, now)?.ok_or(Code::StoryNotFound.into()))
            .await
    }

    /// Somebody's stories, in the order in which they were posted.
    ///
    /// Errors: `user_not_found`.
    pub async fn of(&self, viewer: UserId, author: UserId) -> Result<Vec<Story>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                users::visible(tx, viewer, author)?;
                sql::stories_of(tx, viewer, author, now, MAX_AT_ONCE)
            })
            .await
    }

    /// Who has seen a story of one's own, the latest first.
    ///
    /// Errors: `story_not_found`, also for other people's.
    pub async fn viewers(
        &self,
        author: UserId,
        id: StoryId,
        page: Page,
    ) -> Result<Slice<StoryViewer>> {
        let now = self.ids.now();
        self.store
            .read(move |tx| {
                if author_of(tx, author, id, now)? != author {
                    return Err(Error::new(Code::StoryNotFound));
                }
                let rows = sql::viewers(tx, id, author, &page)?;
                Ok(page.cut(rows, |one| Cursor {
                    rank: one.seen_at.as_millis(),
                    id: one.person.id.get(),
                }))
            })
            .await
    }

    /// Shows something for a day.
    ///
    /// Errors: `invalid_fields`, `media_not_found`, `unsupported_file`, `too_many_stories`.
    pub async fn post(&self, actor: &Actor, draft: StoryDraft) -> Result<Story> {
        let (text, background) = draft.check()?;
        let command = PostStory {
            id: self.ids.next(),
            author_id: actor.user_id,
            media: draft.media_id,
            text,
            background,
            audience: draft.audience,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes a story back, from highlights as well; an admin takes anybody's.
    ///
    /// Errors: `story_not_found`.
    pub async fn delete(&self, actor: &Actor, id: StoryId) -> Result<()> {
        let command = DeleteStory {
            id,
            by: actor.user_id,
            as_admin: actor.is_admin,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Notes that somebody has seen a story; again changes nothing.
    ///
    /// Errors: `story_not_found`.
    pub async fn view(&self, actor: &Actor, id: StoryId) -> Result<()> {
        let command = ViewStory {
            id,
            user_id: actor.user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes one's reaction back.
    ///
    /// Errors: `story_not_found`.
    pub async fn unreact(&self, actor: &Actor, id: StoryId) -> Result<()> {
        let command = UnreactToStory {
            id,
            user_id: actor.user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Removes what a deleted account showed, kept and chose.
    pub async fn erase(&self, user_id: UserId) -> Result<()> {
        let command = EraseStories {
            user_id,
            at: self.ids.now(),
            limit: SWEEP_STEP,
        };
        while self.store.submit(command.clone()).await? {}
        Ok(())
    }

    /// Removes what is left of stories whose time is over and that no highlight has; some at a time.
    pub async fn sweep(&self) -> Result<()> {
        let command = SweepStories {
            at: self.ids.now(),
            limit: SWEEP_STEP,
        };
        while self.store.submit(command.clone()).await? >= SWEEP_STEP {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backgrounds_are_one_colour_or_two() {
        for good in ["#4f46e5", "#000000,#ffffff"] {
            assert!(is_background(good), "{good}");
        }
        for bad in [
            "",
            "#",
            "red",
            "#4f46e",
            "#4f46e5,",
            ",#4f46e5",
            "#4f46eg",
            "#4f46e5,#000000,#000000",
        ] {
            assert!(!is_background(bad), "{bad}");
        }
    }

    #[test]
    fn a_story_has_something_to_show() {
        let draft = |text: &str, media: bool, background: Option<&str>| StoryDraft {
            media_id: media.then(|| MediaId::from(1)),
            text: text.to_owned(),
            background: background.map(str::to_owned),
            audience: StoryAudience::Public,
        };
        assert_eq!(
            draft(" ", true, None).check().unwrap(),
            (String::new(), None)
        );
        let with_text = draft("Hi", false, Some("#ABCDEF")).check().unwrap();
        assert_eq!(with_text, ("Hi".to_owned(), Some("#abcdef".to_owned())));
        for bad in [
            draft(" ", false, None),
            draft("Hi", true, Some("#abcdef")),
            draft("Hi", false, Some("blue")),
            draft(&"x".repeat(501), true, None),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
