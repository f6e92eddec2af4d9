//! Whom to follow, and why.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::commands::DismissSuggestion;
use super::{Discovery, sql};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::UserId;
use crate::store::ReadTx;
use crate::users::{self, Person};

/// Those whom somebody followed last, whose follows are looked at; and how many of each.
const FOLLOWEES: u32 = 100;
const FOLLOWS_EACH: u32 = 100;
/// Hashtags of somebody's that are looked at, and posts of each; and posts of their own that tell which.
const TAGS: usize = 20;
const POSTS_EACH: u32 = 50;
const OWN_POSTS: u32 = 50;
/// People who came last, for who knows nobody yet.
const NEWEST: u32 = 200;
/// Candidates of whom it is found out at once whether they may be suggested, and how often that is done.
const ROUND: usize = 200;
const MAX_ROUNDS: usize = 10;
/// What somebody who follows them counts, beside a shared hashtag.
const FOLLOW_WEIGHT: usize = 2;
const TAG_WEIGHT: usize = 3;
/// People and hashtags that a reason names.
const NAMED: usize = 3;

/// Somebody to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Suggestion {
    /// Who.
    pub user: Person,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Why somebody is suggested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = SuggestionReason)]
pub enum Reason {
    /// People whom one follows follow them.
    FollowedByFollowed {
        /// How many, as far as was looked.
        count: usize,
        /// Some of them.
        users: Vec<Person>,
    },
    /// They write under hashtags that one uses or follows.
    SharedTags {
        /// Some of them.
        tags: Vec<String>,
    },
    /// They came here lately.
    New,
}

/// What speaks for a person.
#[derive(Debug, Default)]
struct Evidence {
    followed_by: Vec<UserId>,
    tags: Vec<String>,
}

impl Evidence {
    fn weight(&self) -> usize {
        FOLLOW_WEIGHT * self.followed_by.len() + TAG_WEIGHT * self.tags.len()
    }

    /// As it is told; `known` are the people whom it may name.
    fn reasons(&self, known: &HashMap<UserId, Person>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if !self.followed_by.is_empty() {
            let users = self.followed_by.iter().take(NAMED);
            reasons.push(Reason::FollowedByFollowed {
                count: self.followed_by.len(),
                users: users.filter_map(|id| known.get(id).cloned()).collect(),
            });
        }
        if !self.tags.is_empty() {
            reasons.push(Reason::SharedTags {
                tags: self.tags.iter().take(NAMED).cloned().collect(),
            });
        }
        reasons
    }
}

impl Discovery {
    /// People whom somebody may want to follow, most likely first: by who of those whom they follow does, and by hashtags;
    /// then those who came last.
    pub async fn suggestions(&self, viewer: UserId, limit: u32) -> Result<Vec<Suggestion>> {
        let (now, limit) = (self.clock.now(), limit as usize);
        self.store
            .read(move |tx| {
                let mut suggestions = explained(tx, viewer, now, limit)?;
                if suggestions.len() < limit {
                    let others = newest(tx, viewer, now, &suggestions)?;
                    suggestions.extend(others);
                    suggestions.truncate(limit);
                }
                Ok(suggestions)
            })
            .await
    }

    /// Suggests a person to somebody no more; again changes nothing. Errors: `user_not_found`.
    pub async fn dismiss(&self, actor: &Actor, other: UserId) -> Result<()> {
        let command = DismissSuggestion {
            user_id: actor.user_id,
            other_id: other,
            at: self.clock.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }
}

/// Those for whom something speaks, who may be suggested; the most first, among equals who came last.
fn explained(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Suggestion>> {
    let mut found = find(tx, viewer, now)?;
    // Many of whom those follow whom one follows, one follows oneself: they would take the places of the others.
    for followed in users::sql::following_ids(tx, viewer)? {
        found.remove(&followed);
    }
    let mut candidates: Vec<(UserId, Evidence)> = found.into_iter().collect();
    candidates.sort_by(|(one, a), (other, b)| (b.weight(), other).cmp(&(a.weight(), one)));
    let mut chosen: Vec<(Person, &Evidence)> = Vec::with_capacity(limit);
    for round in candidates.chunks(ROUND).take(MAX_ROUNDS) {
        let ids: Vec<UserId> = round.iter().map(|(id, _)| *id).collect();
        let people = sql::suggestible(tx, viewer, now, &ids)?;
        let mut people: HashMap<UserId, Person> =
            people.into_iter().map(|one| (one.id, one)).collect();
        let allowed = round
            .iter()
            .filter_map(|(id, evidence)| Some((people.remove(id)?, evidence)));
        chosen.extend(allowed.take(limit - chosen.len()));
        if chosen.len() == limit {
            break;
        }
    }
    let named = chosen
        .iter()
        .flat_map(|(_, one)| one.followed_by.iter().take(NAMED));
    let named: HashSet<UserId> = named.copied().collect();
    let named: Vec<UserId> = named.into_iter().collect();
    let named = users::summaries(tx, &named)?;
    let suggestions = chosen.into_iter().map(|(user, evidence)| Suggestion {
        user,
        reasons: evidence.reasons(&named),
    });
    Ok(suggestions.collect())
}

/// Those of the people who came last who may be suggested and are not yet, the newest first.
fn newest(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    suggested: &[Suggestion],
) -> Result<Vec<Suggestion>> {
    let known: HashSet<UserId> = suggested.iter().map(|one| one.user.id).collect();
    let newest = sql::newest_people(tx, i64::MAX, NEWEST)?.into_iter();
    let ids: Vec<UserId> = newest
        .map(|(_, id)| id)
        .filter(|id| !known.contains(id))
        .collect();
    let mut people = sql::suggestible(tx, viewer, now, &ids)?;
    people.sort_by_key(|person| std::cmp::Reverse(person.id));
    let suggestions = people.into_iter().map(|user| Suggestion {
        user,
        reasons: vec![Reason::New],
    });
    Ok(suggestions.collect())
}

/// People whom those follow whom the viewer follows, and who write of what the viewer writes of: whether or not they may be
/// suggested. Whom the viewer mutes tells nothing.
fn find(tx: &ReadTx<'_>, viewer: UserId, now: Timestamp) -> Result<HashMap<UserId, Evidence>> {
    let mut found: HashMap<UserId, Evidence> = HashMap::new();
    for followee in sql::latest_heard(tx, viewer, now, FOLLOWEES)? {
        for user in sql::latest_followees(tx, followee, FOLLOWS_EACH)? {
            found.entry(user).or_default().followed_by.push(followee);
        }
    }
    let mut seen = HashSet::new();
    let (followed, written) = sql::own_tags(tx, viewer, now, OWN_POSTS)?;
    // Half of the places for what they follow, if they write of other things.
    let mut followed = followed.into_iter();
    let first: Vec<String> = followed.by_ref().take(TAGS / 2).collect();
    let tags = first.into_iter().chain(written).chain(followed);
    let tags = tags.filter(|tag| seen.insert(tag.clone()));
    for tag in tags.take(TAGS) {
        for user in sql::latest_authors(tx, &tag, POSTS_EACH)? {
            let evidence = found.entry(user).or_default();
            if evidence.tags.last() != Some(&tag) {
                evidence.tags.push(tag.clone());
            }
        }
    }
    Ok(found)
}
