//! What people show for a day, and keep.

use std::time::Duration;

use socialhub::id::{HighlightId, StoryId};
use socialhub::store::{Encoded, Once};
use socialhub::stories::{
    Circle, CreateHighlight, DeleteHighlight, DeleteStory, EraseStories, PostStory, SetCircle,
    StoryAudience, SweepStories, UnreactToStory, UpdateHighlight, ViewStory,
};

use super::{Making, Script, encode};
use crate::support::dice::Dice;

impl Script {
    pub(super) fn story_command(
        &mut self,
        name: &str,
        once: Option<Once>,
        dice: &mut Dice,
    ) -> Encoded {
        let (at, user_id) = (self.now(), self.person(dice));
        let known = dice.recent(&self.stories);
        let (story, author) = known.unwrap_or((StoryId::from(1), user_id));
        match name {
            "stories.post" => {
                let (upload, owner) = self.upload_and_its_owner(dice);
                let id: StoryId = self.ids.next();
                let media = dice.is_one_in(2).then_some(upload);
                let author_id = if media.is_some() { owner } else { user_id };
                self.making = Some(Making::Story(id, author_id));
                encode(
                    once,
                    &PostStory {
                        id,
                        author_id,
                        media,
                        text: dice.sentence(),
                        background: media.is_none().then(|| "#4f46e5".to_owned()),
                        audience: dice.one_of(&[
                            StoryAudience::Public,
                            StoryAudience::Followers,
                            StoryAudience::Close,
                        ]),
                        at,
                    },
                )
            }
            "stories.delete" => encode(
                once,
                &DeleteStory {
                    id: story,
                    by: if dice.is_one_in(3) { user_id } else { author },
                    as_admin: dice.is_one_in(5),
                    at,
                },
            ),
            "stories.view" => encode(
                once,
                &ViewStory {
                    id: story,
                    user_id,
                    at,
                },
            ),
            "stories.unreact" => encode(
                once,
                &UnreactToStory {
                    id: story,
                    user_id,
                    at,
                },
            ),
            "stories.set_circle" => encode(
                once,
                &SetCircle {
                    owner_id: user_id,
                    circle: dice.one_of(&[Circle::CloseFriends, Circle::HiddenFrom]),
                    user_id: self.person(dice),
                    wants: !dice.is_one_in(3),
                    at,
                },
            ),
            "stories.sweep" => encode(
                once,
                &SweepStories {
                    // The world is hours old.
                    at: at.plus(Duration::from_hours(12 * dice.below(3))),
                    limit: 3,
                },
            ),
            "stories.erase" => encode(
                once,
                &EraseStories {
                    user_id,
                    at,
                    limit: 3,
                },
            ),
            _ => self.about_highlight(name, once, dice),
        }
    }

    fn about_highlight(&mut self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let at = self.now();
        let known = dice.recent(&self.stories);
        let (story, author) = known.unwrap_or((StoryId::from(1), self.person(dice)));
        let other = dice.recent(&self.stories).filter(|(id, _)| *id != story);
        let story_ids: Vec<StoryId> = std::iter::once(story)
            .chain(other.map(|(id, _)| id))
            .collect();
        let known = dice.recent(&self.highlights);
        let (id, owner_id) = known.unwrap_or((HighlightId::from(1), author));
        match name {
            "stories.create_highlight" => {
                let id: HighlightId = self.ids.next();
                self.making = Some(Making::Highlight(id, author));
                encode(
                    once,
                    &CreateHighlight {
                        id,
                        owner_id: author,
                        title: dice.sentence(),
                        story_ids: if dice.is_one_in(3) {
                            story_ids
                        } else {
                            vec![story]
                        },
                        at,
                    },
                )
            }
            "stories.update_highlight" => encode(
                once,
                &UpdateHighlight {
                    id,
                    owner_id,
                    title: dice.is_one_in(2).then(|| dice.sentence()),
                    story_ids: dice.is_one_in(2).then_some(story_ids),
                    at,
                },
            ),
            "stories.delete_highlight" => encode(once, &DeleteHighlight { id, owner_id }),
            _ => panic!("no generator for {name}"),
        }
    }
}
