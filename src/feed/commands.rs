//! What people choose to read, and not to.

use serde::{Deserialize, Serialize};

use super::lists::{List, MAX_LISTS, MAX_MEMBERS};
use super::muted::{MAX_TERMS, MutedKind, MutedTerm};
use super::rankings::VISITED;
use super::sql;
use super::tags::{MAX_FOLLOWED, Tag};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{ListId, MutedTermId, UserId};
use crate::store::{Command, WriteTx};
use crate::users;

/// Begins or ends following a hashtag.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowTag {
    pub user_id: UserId,
    /// Folded, without `#`.
    pub tag: String,
    pub wants: bool,
    pub at: Timestamp,
}

impl Command for FollowTag {
    const NAME: &'static str = "feed.follow_tag";
    type Output = Tag;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Tag> {
        users::living(tx, self.user_id)?;
        let known = sql::find_tag(tx, self.user_id, &self.tag)?;
        let is_following = known.as_ref().is_some_and(|tag| tag.is_following);
        if is_following != self.wants {
            if self.wants {
                let others = sql::followed_tags(tx, self.user_id, MAX_FOLLOWED)?;
                if others.len() >= MAX_FOLLOWED as usize {
                    return Err(Error::new(Code::TooManyFollowedTags));
                }
                sql::follow_tag(tx, self.user_id, &self.tag, self.at)?;
            } else {
                sql::unfollow_tag(tx, self.user_id, &self.tag)?;
            }
            tx.signal(Event::FollowedTagsChanged {
                user_id: self.user_id,
            });
        }
        let tag = sql::find_tag(tx, self.user_id, &self.tag)?;
        Ok(tag.unwrap_or_else(|| Tag::unused(self.tag.clone())))
    }
}

/// Mutes a word or hashtag, or sets another end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MuteTerm {
    pub id: MutedTermId,
    pub user_id: UserId,
    pub kind: MutedKind,
    pub text: String,
    /// The text folded.
    pub key: String,
    /// When it ends by itself; later than `at`.
    pub until: Option<Timestamp>,
    pub at: Timestamp,
}

impl Command for MuteTerm {
    const NAME: &'static str = "feed.mute_term";
    type Output = MutedTerm;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<MutedTerm> {
        users::living(tx, self.user_id)?;
        sql::forget_ended_terms(tx, self.user_id, self.at)?;
        let is_new = sql::find_muted_term(tx, self.user_id, self.kind, &self.key)?.is_none();
        let all = sql::muted_terms(tx, self.user_id, self.at, MAX_TERMS)?;
        if is_new && all.len() >= MAX_TERMS as usize {
            return Err(Error::new(Code::TooManyMutedTerms));
        }
        let term = MutedTerm {
            id: self.id,
            kind: self.kind,
            text: self.text.clone(),
            key: self.key.clone(),
            muted_until: self.until,
        };
        sql::put_muted_term(tx, self.user_id, &term, self.at)?;
        let kept = sql::find_muted_term(tx, self.user_id, self.kind, &self.key)?;
        Ok(kept.unwrap_or(term))
    }
}

/// Mutes a word or hashtag no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnmuteTerm {
    pub id: MutedTermId,
    pub user_id: UserId,
}

impl Command for UnmuteTerm {
    const NAME: &'static str = "feed.unmute_term";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if sql::delete_muted_term(tx, self.user_id, self.id)? {
            Ok(())
        } else {
            Err(Error::new(Code::MutedTermNotFound))
        }
    }
}

/// Makes a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateList {
    pub id: ListId,
    pub owner_id: UserId,
    pub title: String,
    pub at: Timestamp,
}

impl Command for CreateList {
    const NAME: &'static str = "feed.create_list";
    type Output = List;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<List> {
        users::living(tx, self.owner_id)?;
        if sql::lists(tx, self.owner_id, MAX_LISTS)?.len() >= MAX_LISTS as usize {
            return Err(Error::new(Code::TooManyLists));
        }
        sql::insert_list(tx, self.id, self.owner_id, &self.title, self.at)?;
        own_list(tx, self.owner_id, self.id)
    }
}

/// Gives a list another title.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameList {
    pub id: ListId,
    pub owner_id: UserId,
    pub title: String,
}

impl Command for RenameList {
    const NAME: &'static str = "feed.rename_list";
    type Output = List;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<List> {
        own_list(tx, self.owner_id, self.id)?;
        sql::rename_list(tx, self.id, &self.title)?;
        own_list(tx, self.owner_id, self.id)
    }
}

/// Removes a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteList {
    pub id: ListId,
    pub owner_id: UserId,
}

impl Command for DeleteList {
    const NAME: &'static str = "feed.delete_list";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        own_list(tx, self.owner_id, self.id)?;
        sql::delete_list(tx, self.id)
    }
}

/// Puts people on a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddToList {
    pub id: ListId,
    pub owner_id: UserId,
    pub user_ids: Vec<UserId>,
    pub at: Timestamp,
}

impl Command for AddToList {
    const NAME: &'static str = "feed.add_to_list";
    type Output = List;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<List> {
        own_list(tx, self.owner_id, self.id)?;
        for user in &self.user_ids {
            users::visible(tx, self.owner_id, *user)?;
            sql::add_to_list(tx, self.id, *user, self.at)?;
        }
        let list = own_list(tx, self.owner_id, self.id)?;
        if list.member_count > MAX_MEMBERS {
            return Err(Error::new(Code::TooManyListMembers));
        }
        Ok(list)
    }
}

/// Takes somebody off a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveFromList {
    pub id: ListId,
    pub owner_id: UserId,
    pub user_id: UserId,
}

impl Command for RemoveFromList {
    const NAME: &'static str = "feed.remove_from_list";
    type Output = List;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<List> {
        own_list(tx, self.owner_id, self.id)?;
        sql::remove_from_list(tx, self.id, self.user_id)?;
        own_list(tx, self.owner_id, self.id)
    }
}

/// Errors: `list_not_found`, also for other people's.
fn own_list(tx: &WriteTx<'_>, owner: UserId, id: ListId) -> Result<List> {
    sql::find_list(tx, owner, id)?.ok_or(Code::ListNotFound.into())
}

/// Sets whether somebody wants their home feed ranked. Without, whom they visited is forgotten.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetFeedOrder {
    pub user_id: UserId,
    pub is_ranked: bool,
}

impl Command for SetFeedOrder {
    const NAME: &'static str = "feed.set_order";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.user_id)?;
        sql::set_ranked(tx, self.user_id, self.is_ranked)?;
        if !self.is_ranked {
            sql::forget_visits(tx, self.user_id)?;
        }
        Ok(())
    }
}

/// How often somebody looked at somebody else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Visits {
    pub user_id: UserId,
    pub author_id: UserId,
    pub visits: u32,
}

/// Notes visits of those who want their feed ranked, and forgets what is too long ago to count; those of others are passed
/// over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoteVisits {
    pub visits: Vec<Visits>,
    pub at: Timestamp,
}

impl Command for NoteVisits {
    const NAME: &'static str = "feed.note_visits";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        for one in &self.visits {
            sql::add_visits(tx, one.user_id, one.author_id, one.visits, self.at)?;
        }
        let mut people: Vec<UserId> = self.visits.iter().map(|one| one.user_id).collect();
        people.sort_unstable();
        people.dedup();
        for person in people {
            sql::forget_oldest_visits(tx, person, VISITED)?;
        }
        Ok(())
    }
}

/// Removes what a deleted account chose to read and not to, and it from the lists and visits of others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EraseChoices {
    pub user_id: UserId,
    /// Rows, about.
    pub limit: u32,
}

impl Command for EraseChoices {
    const NAME: &'static str = "feed.erase";
    /// Whether something is left.
    type Output = bool;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<bool> {
        let user = self.user_id;
        if !users::is_to_be_erased(tx, user)? {
            return Ok(false);
        }
        let most = self.limit as usize;
        let mut gone = 0;
        for list in sql::lists(tx, user, MAX_LISTS)? {
            gone += 1 + list.member_count as usize;
            sql::delete_list(tx, list.id)?;
            if gone >= most {
                return Ok(true);
            }
        }
        for tag in sql::followed_tags(tx, user, self.limit)? {
            sql::unfollow_tag(tx, user, &tag.name)?;
            gone += 1;
        }
        gone += sql::forget_terms(tx, user)?;
        gone += sql::forget_order(tx, user)?;
        sql::forget_visits(tx, user)?;
        gone += sql::leave_lists(tx, user, self.limit)?;
        gone += sql::forget_visits_to(tx, user, self.limit)?;
        Ok(gone >= most)
    }
}
