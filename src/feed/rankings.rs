//! Orders of the home feed: how one is made, and those in which people read at the moment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::home::Home;
use super::ranking::{self, Candidate, Ties};
use super::sql;
use crate::clock::Timestamp;
use crate::config;
use crate::error::Result;
use crate::id::{self, PostId, UserId};
use crate::store::ReadTx;
use crate::users;

/// Posts of the person's timeline that are looked at.
const FROM_HOME: usize = 300;
/// Posts of others that those whom one follows like.
const FROM_LIKES: usize = 100;
/// How far back likes of those whom one follows count.
const LIKES_SINCE: Duration = Duration::from_hours(72);
/// Those whom one follows whose likes count: whom one has most to do with, and whom one followed last.
const LIKERS: usize = 200;
/// Latest likes of each of them.
const LIKES_EACH: u32 = 20;
/// Latest likes and comments of the person's own that count.
const OWN_DEEDS: u32 = 200;
/// Authors whose visits count: those visited last. Others are forgotten.
pub(super) const VISITED: u32 = 1_000;
/// After this long a visit counts half.
const VISIT_HALF_LIFE: Duration = Duration::from_hours(30 * 24);

/// Orders of one person that are remembered: for the devices on which they read at once.
const EACH: usize = 4;
/// How long they are, from when the last was made.
const KEPT: Duration = Duration::from_mins(30);
/// What an order takes beside its lists, with its place among the others.
const BASE_BYTES: usize = 512;
/// What the likers of one post take beside themselves.
const LIKERS_BYTES: usize = 64;

/// An order once made, to be read page by page. What it says may be over by then, so it is asked again what is shown.
#[derive(Debug)]
pub(super) struct Ranking {
    /// Which one; cursors carry it.
    pub(super) number: i64,
    pub(super) posts: Vec<PostId>,
    /// Who of those whom one follows liked a post.
    likers: HashMap<PostId, Vec<UserId>>,
    /// The authors whom one often reads.
    pub(super) close: Vec<UserId>,
}

impl Ranking {
    pub(super) fn make(
        tx: &ReadTx<'_>,
        (viewer, home): (UserId, &mut Home),
        number: i64,
        now: Timestamp,
        weights: &config::Feed,
    ) -> Result<Self> {
        let ties = ties(tx, viewer, now)?;
        let mut likers: HashMap<PostId, Vec<UserId>> = HashMap::new();
        let since = id::first_at(now.minus(LIKES_SINCE));
        for (post, user) in sql::latest_likes(tx, &heard(home, &ties), since, LIKES_EACH)? {
            likers.entry(post).or_default().push(user);
        }
        let mut ids = liked(tx, viewer, &likers, now)?;
        let mut reading = home.reading();
        let (mut below, mut wanted) = (i64::MAX, FROM_HOME);
        while wanted > 0 {
            let more = home.below(tx, &mut reading, below, wanted)?;
            let Some(last) = more.last() else { break };
            below = last.get();
            wanted -= more.len();
            ids.extend(more);
        }
        ids.sort_unstable();
        ids.dedup();
        let mut candidates = sql::candidates(tx, &ids)?;
        for one in &mut candidates {
            one.liked_by_followed = likers.get(&one.id).map_or(0, |users| count(users));
        }
        let ordered: Vec<Candidate> = ranking::order(candidates, &ties, now, weights);
        let posts: Vec<PostId> = ordered.into_iter().map(|one| one.id).collect();
        likers.retain(|id, _| ids.binary_search(id).is_ok());
        let close = ties.iter().filter(|(_, ties)| ties.are_close());
        Ok(Self {
            number,
            close: close.map(|(author, _)| *author).collect(),
            posts,
            likers,
        })
    }

    /// Who of those whom the viewer follows and does not mute likes these posts still; posts that nobody does are absent.
    pub(super) fn likers_now(
        &self,
        tx: &ReadTx<'_>,
        viewer: UserId,
        posts: &[PostId],
        now: Timestamp,
    ) -> Result<HashMap<PostId, Vec<UserId>>> {
        let likes: Vec<(PostId, UserId)> = posts
            .iter()
            .filter_map(|post| Some((post, self.likers.get(post)?)))
            .flat_map(|(post, users)| users.iter().map(|user| (*post, *user)))
            .collect();
        let mut likers: HashMap<PostId, Vec<UserId>> = HashMap::new();
        if likes.is_empty() {
            return Ok(likers);
        }
        for (post, user) in sql::likes_of_followed(tx, viewer, &likes, now)? {
            likers.entry(post).or_default().push(user);
        }
        Ok(likers)
    }

    fn bytes(&self) -> usize {
        let likers = self.likers.values();
        let likers = likers.map(|users| LIKERS_BYTES + users.capacity() * size_of::<UserId>());
        BASE_BYTES
            + self.posts.capacity() * size_of::<PostId>()
            + self.close.capacity() * size_of::<UserId>()
            + likers.sum::<usize>()
    }
}

pub(super) fn count(users: &[UserId]) -> u32 {
    u32::try_from(users.len()).unwrap_or(u32::MAX)
}

/// What a person has to do with each author, from their latest deeds.
fn ties(tx: &ReadTx<'_>, viewer: UserId, now: Timestamp) -> Result<HashMap<UserId, Ties>> {
    let mut ties: HashMap<UserId, Ties> = HashMap::new();
    for (author, likes) in sql::likes_by_author(tx, viewer, OWN_DEEDS)? {
        ties.entry(author).or_default().likes = likes;
    }
    for (author, comments) in sql::comments_by_author(tx, viewer, OWN_DEEDS)? {
        ties.entry(author).or_default().comments = comments;
    }
    for (author, visits, at) in sql::visits(tx, viewer, VISITED)? {
        let halves = now.since(at).as_secs_f64() / VISIT_HALF_LIFE.as_secs_f64();
        ties.entry(author).or_default().visits = f64::from(visits) * (-halves).exp2();
    }
    // One's own posts need no closeness.
    ties.remove(&viewer);
    Ok(ties)
}

/// Those whom the person follows whose likes count: the closest first.
fn heard(home: &Home, ties: &HashMap<UserId, Ties>) -> Vec<UserId> {
    let mut people: Vec<UserId> = home.followees().to_vec();
    if people.len() > LIKERS {
        let affinity = |id: &UserId| ties.get(id).map_or(0.0, |ties| ties.affinity());
        // Ids grow with time: among those with whom there is nothing, the newest members.
        people.sort_by(|a, b| affinity(b).total_cmp(&affinity(a)).then(b.cmp(a)));
        people.truncate(LIKERS);
    }
    people
}

/// The posts with the most likers, of those that the person may see and whose authors they do not mute.
fn liked(
    tx: &ReadTx<'_>,
    viewer: UserId,
    likers: &HashMap<PostId, Vec<UserId>>,
    now: Timestamp,
) -> Result<Vec<PostId>> {
    let counts = likers
        .iter()
        .map(|(id, users)| (*id, f64::from(count(users))));
    let most_first = ranking::top(counts.collect(), usize::MAX);
    let mut shown = Vec::new();
    for part in most_first.chunks(FROM_LIKES) {
        let ids: Vec<PostId> = part.iter().map(|(id, _)| *id).collect();
        let candidates = sql::candidates(tx, &ids)?;
        let mut authors: Vec<UserId> = candidates.iter().map(|one| one.author).collect();
        authors.sort_unstable();
        authors.dedup();
        let relations = users::relations(tx, viewer, &authors)?;
        let muted = sql::muted_among(tx, viewer, &authors, now)?;
        let is_shown = |one: &&Candidate| {
            let relation = relations.get(&one.author);
            relation.is_some_and(|relation| one.visibility.allows(*relation))
                && !muted.contains(&one.author)
        };
        let readable: HashSet<PostId> = candidates
            .iter()
            .filter(is_shown)
            .map(|one| one.id)
            .collect();
        shown.extend(ids.into_iter().filter(|id| readable.contains(id)));
        if shown.len() >= FROM_LIKES {
            shown.truncate(FROM_LIKES);
            break;
        }
    }
    Ok(shown)
}

/// The orders that are remembered: of each person the last few.
pub(super) struct Rankings {
    kept: Cache<UserId, Vec<Arc<Ranking>>>,
}

impl Rankings {
    /// Room for so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |_viewer: &UserId, kept: &Vec<Arc<Ranking>>| {
            let bytes: usize = kept.iter().map(|ranking| ranking.bytes()).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            kept: Cache::builder()
                .max_capacity(bytes)
                .weigher(weigh)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(KEPT)
                .build(),
        }
    }

    pub(super) fn find(&self, viewer: UserId, number: i64) -> Option<Arc<Ranking>> {
        let kept = self.kept.get(&viewer)?;
        kept.into_iter().find(|ranking| ranking.number == number)
    }

    pub(super) fn keep(&self, viewer: UserId, ranking: Arc<Ranking>) {
        self.kept.entry(viewer).and_upsert_with(|known| {
            let mut kept = known.map_or_else(Vec::new, moka::Entry::into_value);
            kept.push(ranking);
            if kept.len() > EACH {
                kept.remove(0);
            }
            kept
        });
    }

    pub(super) fn forget(&self, viewer: UserId) {
        self.kept.invalidate(&viewer);
    }
}
