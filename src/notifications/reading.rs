//! A person's notifications, newest first, singly or in groups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sled::Tree;

use super::entry::{self, Entry, Row, Story, Summary};
use super::shelf::{read_items, read_summary};
use super::{Filter, Notification, NotificationGroup, Notifications, wording};
use crate::error::Result;
use crate::id::{NotificationId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::users::{self, Person};

/// People named with a group at most.
const ACTORS: usize = 3;

/// A notification in ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) entry: Entry,
    pub(super) is_read: bool,
}

impl Notifications {
    /// A page of notifications. One whose cause is an account that is gone is left out.
    pub async fn list(
        &self,
        user: UserId,
        page: Page,
        filter: Filter,
    ) -> Result<Slice<Notification>> {
        let limit = (page.offset + page.fetch()) as usize;
        let below = seq(page.below());
        let items = self
            .look(user, move |tree, _| {
                items_below(tree, user, below, &filter, limit)
            })
            .await?;
        let items = items.into_iter().skip(page.offset as usize).collect();
        let slice = page.cut(items, |item: &Item| Cursor::id(id(item.seq)));
        Ok(Slice {
            items: self.describe(user, slice.items).await?,
            next: slice.next,
        })
    }

    /// A page of notifications, those of the same kind about the same thing as one.
    pub async fn list_grouped(
        &self,
        user: UserId,
        page: Page,
        filter: Filter,
    ) -> Result<Slice<NotificationGroup>> {
        // A group gathers from the whole list, which is bounded.
        let items = self.newest(user, filter, usize::MAX).await?;
        let below = seq(page.below());
        let groups = group(items)
            .into_iter()
            .filter(|items| items.first().is_some_and(|newest| newest.seq < below))
            .skip(page.offset as usize)
            .take(page.fetch() as usize)
            .collect();
        let slice = page.cut(groups, |items: &Vec<Item>| {
            Cursor::id(items.first().map_or(0, |newest| id(newest.seq)))
        });
        let people = self.people(slice.items.iter().flatten()).await?;
        Ok(Slice {
            items: slice
                .items
                .iter()
                .filter_map(|items| describe_group(items, &people))
                .collect(),
            next: slice.next,
        })
    }

    /// How many are not read; costs the same however many.
    pub async fn unread_count(&self, user: UserId) -> Result<u64> {
        self.look(user, |_, summary| Ok(summary.unread)).await
    }

    /// The newest, at most `limit`.
    pub(super) async fn newest(
        &self,
        user: UserId,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<Item>> {
        self.look(user, move |tree, _| {
            items_below(tree, user, u64::MAX, &filter, limit)
        })
        .await
    }

    /// Those of these ids that are there.
    pub(super) async fn items(&self, user: UserId, ids: Vec<NotificationId>) -> Result<Vec<Item>> {
        self.look(user, move |tree, _| {
            read_items(tree, user, u64::MAX, ids.len(), |summary, found| {
                item(found, summary).filter(|item| ids.contains(&id(item.seq).into()))
            })
        })
        .await
    }

    /// Those of these ids that are there, newest first.
    pub async fn describe_ids(
        &self,
        user: UserId,
        ids: Vec<NotificationId>,
    ) -> Result<Vec<Notification>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let items = self.items(user, ids).await?;
        self.describe(user, items).await
    }

    /// Up to where everything is gone for good.
    pub(super) async fn floor(&self, user: UserId) -> Result<u64> {
        self.look(user, |_, summary| Ok(summary.floor)).await
    }

    /// The notifications in names and texts.
    pub(super) async fn describe(
        &self,
        user: UserId,
        items: Vec<Item>,
    ) -> Result<Vec<Notification>> {
        let people = self.people(&items).await?;
        Ok(items
            .iter()
            .filter_map(|item| Some(describe(user, item, people.get(&item.entry.actor)?)))
            .collect())
    }

    /// Looks at a person's part of the tree, from which what is too old was cleared away.
    async fn look<T: Send + 'static>(
        &self,
        user: UserId,
        look: impl Fn(&Tree, &Summary) -> sled::Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let before = self.too_old();
        let look = Arc::new(look);
        let first = Arc::clone(&look);
        let seen = self
            .derived
            .read(move |tree| {
                let summary = read_summary(tree, user)?;
                if summary.has_older(before) {
                    return Ok(None);
                }
                Ok(Some(first(tree, &summary)?))
            })
            .await?;
        if let Some(seen) = seen {
            return Ok(seen);
        }
        // Where nothing can be written, what is too old is shown a little longer.
        drop(
            self.change(move |ledger| Ok(ledger.age(user, before)?))
                .await,
        );
        self.derived
            .read(move |tree| Ok(look(tree, &read_summary(tree, user)?)?))
            .await
    }

    async fn people<'a>(
        &self,
        items: impl IntoIterator<Item = &'a Item>,
    ) -> Result<HashMap<UserId, Person>> {
        let mut ids: Vec<UserId> = items.into_iter().map(|item| item.entry.actor).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.store.read(move |tx| users::summaries(tx, &ids)).await
    }
}

fn items_below(
    tree: &Tree,
    user: UserId,
    below: u64,
    filter: &Filter,
    limit: usize,
) -> sled::Result<Vec<Item>> {
    read_items(tree, user, below, limit, |summary, found| {
        item(found, summary).filter(|item| filter.wants(item))
    })
}

fn item(found: entry::Item, summary: &Summary) -> Option<Item> {
    match found.row {
        Row::Entry { entry, .. } => Some(Item {
            seq: found.seq,
            entry,
            is_read: !summary.is_unread(&found),
        }),
        Row::Gone | Row::ReadAhead => None,
    }
}

impl Filter {
    fn wants(&self, item: &Item) -> bool {
        let is_wanted = !self.unread_only || !item.is_read;
        let topic = wording::topic(item.entry.story);
        is_wanted && (self.topics.is_empty() || self.topics.contains(&topic))
    }
}

fn describe(user: UserId, item: &Item, actor: &Person) -> Notification {
    let Item {
        seq,
        entry,
        is_read,
    } = *item;
    let is_follow = entry.story == Story::Follow;
    let is_like = matches!(entry.story, Story::PostLike | Story::CommentLike);
    // The contract's entry of an own post has nothing but the link.
    let post = if entry.story == Story::OwnPost {
        0
    } else {
        entry.post
    };
    Notification {
        id: id(seq).into(),
        user_id: user,
        username: Some(actor.username.clone()),
        post_id: given(post).map(Into::into),
        comment_id: given(entry.comment).map(Into::into),
        like_id: given(entry.link).filter(|_| is_like).map(Into::into),
        follower_id: is_follow.then_some(entry.actor),
        following_id: is_follow.then_some(user),
        topic: wording::topic(entry.story),
        triggered_by_id: entry.actor,
        message: wording::message(entry.story, &[&actor.name], 1),
        link: wording::link(&entry),
        is_read,
        created_at: entry.at,
        updated_at: entry.at,
    }
}

/// Gathers what belongs together, in order of the newest of each.
fn group(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut groups: Vec<Vec<Item>> = Vec::new();
    let mut places = HashMap::new();
    for item in items {
        let Entry {
            story,
            post,
            comment,
            ..
        } = item.entry;
        let target = match story {
            Story::PostLike | Story::Comment | Story::Reply | Story::CommentMention => (post, 0),
            Story::CommentLike => (post, comment),
            Story::Follow => (0, 0),
            // Each of these stands alone.
            Story::OwnPost | Story::PostMention | Story::PasswordChanged | Story::EmailVerified => {
                (0, id(item.seq))
            }
        };
        let place = *places.entry((story, target)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

/// The group in names; `None` when all who caused it are gone.
fn describe_group(items: &[Item], people: &HashMap<UserId, Person>) -> Option<NotificationGroup> {
    let items: Vec<&Item> = items
        .iter()
        .filter(|item| people.contains_key(&item.entry.actor))
        .collect();
    let newest = *items.first()?;
    let mut actors: Vec<&Person> = Vec::new();
    let mut seen = HashSet::new();
    for item in &items {
        if seen.insert(item.entry.actor) {
            actors.extend(people.get(&item.entry.actor));
        }
    }
    let names: Vec<&String> = actors.iter().map(|person| &person.name).collect();
    let entry = newest.entry;
    Some(NotificationGroup {
        id: id(newest.seq).into(),
        topic: wording::topic(entry.story),
        message: wording::message(entry.story, &names, names.len()),
        link: wording::link(&entry),
        post_id: given(entry.post).map(Into::into),
        comment_id: given(entry.comment)
            .filter(|_| items.len() == 1 || entry.story == Story::CommentLike)
            .map(Into::into),
        count: actors.len(),
        ids: items.iter().map(|item| id(item.seq).into()).collect(),
        is_read: items.iter().all(|item| item.is_read),
        created_at: entry.at,
        actors: actors.into_iter().take(ACTORS).cloned().collect(),
    })
}

fn given(id: i64) -> Option<i64> {
    (id != 0).then_some(id)
}

/// Sequences are row ids of SQLite, so they fit.
pub(super) fn id(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn seq(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(0)
}
