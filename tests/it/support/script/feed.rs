//! What people choose to read, and not to.

use std::time::Duration;

use socialhub::feed::{
    AddToList, CreateList, DeleteList, EraseChoices, FollowTag, MuteTerm, MutedKind, NoteVisits,
    RemoveFromList, RenameList, SetFeedOrder, UnmuteTerm, Visits,
};
use socialhub::id::{ListId, MutedTermId};
use socialhub::store::{Encoded, Once};

use super::{Making, Script, encode};
use crate::support::dice::Dice;

const WORDS: [&str; 4] = ["cats", "dogs", "rain", "snow"];

impl Script {
    pub(super) fn feed_command(
        &mut self,
        name: &str,
        once: Option<Once>,
        dice: &mut Dice,
    ) -> Encoded {
        let at = self.now();
        let user_id = self.person(dice);
        let word = dice.one_of(&WORDS).to_owned();
        match name {
            "feed.follow_tag" => encode(
                once,
                &FollowTag {
                    user_id,
                    tag: word,
                    wants: !dice.is_one_in(3),
                    at,
                },
            ),
            "feed.mute_term" => {
                let id: MutedTermId = self.ids.next();
                self.making = Some(Making::MutedTerm(id, user_id));
                encode(
                    once,
                    &MuteTerm {
                        id,
                        user_id,
                        kind: dice.one_of(&[MutedKind::Word, MutedKind::Tag]),
                        key: word.clone(),
                        text: word,
                        until: dice
                            .is_one_in(2)
                            .then(|| at.plus(Duration::from_secs(1 + dice.below(600)))),
                        at,
                    },
                )
            }
            "feed.unmute_term" => {
                let known = dice.recent(&self.muted_terms);
                let (id, user_id) = known.unwrap_or((MutedTermId::from(1), user_id));
                encode(once, &UnmuteTerm { id, user_id })
            }
            "feed.create_list" => {
                let id: ListId = self.ids.next();
                self.making = Some(Making::List(id, user_id));
                encode(
                    once,
                    &CreateList {
                        id,
                        owner_id: user_id,
                        title: word,
                        at,
                    },
                )
            }
            "feed.set_order" => encode(
                once,
                &SetFeedOrder {
                    user_id,
                    is_ranked: !dice.is_one_in(3),
                },
            ),
            "feed.note_visits" => {
                let visit = |script: &Self, dice: &mut Dice| Visits {
                    user_id: script.person(dice),
                    author_id: script.person(dice),
                    visits: 1 + u32::try_from(dice.below(3)).unwrap(),
                };
                let visits = vec![visit(self, dice), visit(self, dice)];
                encode(once, &NoteVisits { visits, at })
            }
            "feed.erase" => encode(once, &EraseChoices { user_id, limit: 3 }),
            _ => self.about_list(name, once, dice),
        }
    }

    fn about_list(&self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let known = dice.recent(&self.lists);
        let (id, owner) = known.unwrap_or((ListId::from(1), self.person(dice)));
        let owner_id = if dice.is_one_in(6) {
            self.person(dice)
        } else {
            owner
        };
        let other = self.person(dice);
        match name {
            "feed.rename_list" => encode(
                once,
                &RenameList {
                    id,
                    owner_id,
                    title: dice.one_of(&WORDS).to_owned(),
                },
            ),
            "feed.delete_list" => encode(once, &DeleteList { id, owner_id }),
            "feed.add_to_list" => encode(
                once,
                &AddToList {
                    id,
                    owner_id,
                    user_ids: vec![other, self.person(dice)],
                    at: self.now(),
                },
            ),
            "feed.remove_from_list" => encode(
                once,
                &RemoveFromList {
                    id,
                    owner_id,
                    user_id: other,
                },
            ),
            _ => panic!("no generator for {name}"),
        }
    }
}
