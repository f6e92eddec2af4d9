//! Lists of people, which are a feed of their own.

use serde::{Deserialize, Serialize};

use super::commands::{AddToList, CreateList, DeleteList, RemoveFromList, RenameList};
use super::merge::Merged;
use super::{Feed, sql, timeline};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{ListId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::posts::Post;
use crate::text;
use crate::users::Person;

/// Lists that one person can have.
pub(super) const MAX_LISTS: u32 = 50;
/// People on one list.
pub(super) const MAX_MEMBERS: u32 = 500;
/// Characters of a title.
const MAX_TITLE_CHARS: usize = 80;

/// A list of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// What its owner calls it.
    pub title: String,
    /// How many are on it, with those who are not there for one at the moment.
    pub member_count: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

fn check_title(raw: &str) -> Result<String> {
    text::body("title", raw.trim(), 1, MAX_TITLE_CHARS)
        .map_err(|fault| Error::invalid_fields(vec![fault]))
}

impl Feed {
    /// Somebody's lists, the latest first.
    pub async fn lists(&self, owner: UserId) -> Result<Vec<List>> {
        self.inner
            .store
            .read(move |tx| sql::lists(tx, owner, MAX_LISTS))
            .await
    }

    /// A list of somebody's. Errors: `list_not_found`, also for other people's.
    pub async fn list(&self, owner: UserId, id: ListId) -> Result<List> {
        self.inner
            .store
            .read(move |tx| sql::find_list(tx, owner, id)?.ok_or(Code::ListNotFound.into()))
            .await
    }

    /// The people of a list who are there for its owner.
    pub async fn list_members(
        &self,
        owner: UserId,
        id: ListId,
        page: Page,
    ) -> Result<Slice<Person>> {
        self.inner
            .store
            .read(move |tx| {
                sql::find_list(tx, owner, id)?.ok_or(Code::ListNotFound)?;
                let rows = sql::list_members(tx, owner, id, &page)?;
                Ok(page.cut(rows, |person| Cursor::id(person.id.get())))
            })
            .await
    }

    /// What the people of a list write, as far as its owner may see it, newest first.
    pub async fn list_posts(&self, owner: UserId, id: ListId, page: Page) -> Result<Slice<Post>> {
        let now = self.now();
        self.inner
            .store
            .read(move |tx| {
                sql::find_list(tx, owner, id)?.ok_or(Code::ListNotFound)?;
                let mut members = Merged::of(sql::list_member_ids(tx, id, MAX_MEMBERS)?.into());
                let ids = |below, limit| members.newest(tx, (0.into(), below), limit);
                timeline::page(tx, owner, now, &page, ids, |_| true)
            })
            .await
    }

    /// Makes a list. Errors: `invalid_fields`, `too_many_lists`.
    pub async fn create_list(&self, actor: &Actor, title: &str) -> Result<List> {
        let command = CreateList {
            id: self.inner.ids.next(),
            owner_id: actor.user_id,
            title: check_title(title)?,
            at: self.now(),
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }

    /// Gives a list another title. Errors: `invalid_fields`, `list_not_found`.
    pub async fn rename_list(&self, actor: &Actor, id: ListId, title: &str) -> Result<List> {
        let command = RenameList {
            id,
            owner_id: actor.user_id,
            title: check_title(title)?,
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }

    /// Removes a list. Errors: `list_not_found`.
    pub async fn delete_list(&self, actor: &Actor, id: ListId) -> Result<()> {
        let command = DeleteList {
            id,
            owner_id: actor.user_id,
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }

    /// Puts people on a list: all of them, or none.
    ///
    /// Errors: `list_not_found`, `user_not_found`, `too_many_list_members`, `invalid_fields`.
    pub async fn add_to_list(
        &self,
        actor: &Actor,
        id: ListId,
        user_ids: Vec<UserId>,
    ) -> Result<List> {
        if user_ids.is_empty() || user_ids.len() > MAX_MEMBERS as usize {
            let message = format!("1 to {MAX_MEMBERS} people can be named.");
            return Err(Error::invalid_field("userIds", "out_of_range", message));
        }
        let command = AddToList {
            id,
            owner_id: actor.user_id,
            user_ids,
            at: self.now(),
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }

    /// Takes somebody off a list; nobody there changes nothing. Errors: `list_not_found`.
    pub async fn remove_from_list(&self, actor: &Actor, id: ListId, user: UserId) -> Result<List> {
        let command = RemoveFromList {
            id,
            owner_id: actor.user_id,
            user_id: user,
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }
}
