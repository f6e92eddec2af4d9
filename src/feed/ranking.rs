//! What the ranked home feed goes by: a plain sum that anybody can follow, whose weights the configuration has.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config;
use crate::id::{PostId, UserId};
use crate::posts::Visibility;

/// How many of the posts before it count for the variety of authors.
const NEIGHBOURS: usize = 10;
/// Affinity from which on it is said to be a reason: a dozen likes, say.
const CLOSE: f64 = 2.5;

/// A post that may stand in the feed, with what speaks for it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: PostId,
    pub(super) author: UserId,
    pub(super) visibility: Visibility,
    pub(super) created_at: Timestamp,
    /// How many of those whom the person follows like it.
    pub(super) liked_by_followed: u32,
}

/// What somebody has to do with an author.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ties {
    /// Of the person's latest likes, those of the author's posts.
    pub(super) likes: u32,
    /// Of the person's latest comments, those beneath the author's posts.
    pub(super) comments: u32,
    /// Visits, the older the less.
    pub(super) visits: f64,
}

impl Ties {
    /// How close: 0 with nothing, and more slowly the more there is.
    pub(super) fn affinity(self) -> f64 {
        (f64::from(self.likes) + 2.0 * f64::from(self.comments) + 0.5 * self.visits).ln_1p()
    }

    /// Whether they are a reason worth naming.
    pub(super) fn are_close(self) -> bool {
        self.affinity() >= CLOSE
    }
}

/// What a post counts at a time, before the variety of authors.
pub(super) fn score(
    candidate: &Candidate,
    ties: Ties,
    now: Timestamp,
    weights: &config::Feed,
) -> f64 {
    let age = now.since(candidate.created_at);
    let half_life = Duration::from_hours(u64::from(weights.half_life_hours.max(1)));
    let recency = (-age.as_secs_f64() / half_life.as_secs_f64()).exp2();
    let engagement = f64::from(candidate.liked_by_followed).ln_1p();
    recency
        * (1.0 + weights.affinity_weight * ties.affinity() + weights.engagement_weight * engagement)
}

/// The order to show them in: always the one that counts most, where an author counts less for each post of theirs shortly
/// before.
pub(super) fn order(
    candidates: Vec<Candidate>,
    ties: &HashMap<UserId, Ties>,
    now: Timestamp,
    weights: &config::Feed,
) -> Vec<Candidate> {
    let mut left: Vec<(f64, Candidate)> = candidates
        .into_iter()
        .map(|one| {
            let ties = ties.get(&one.author).copied().unwrap_or_default();
            (score(&one, ties, now, weights), one)
        })
        .collect();
    // The newer first where they count the same, so that the order is always the same.
    left.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| other.id.cmp(&one.id)));
    let mut ordered: Vec<Candidate> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let recent = ordered.iter().rev().take(NEIGHBOURS);
        let mut counts: HashMap<UserId, f64> = HashMap::new();
        for one in recent {
            *counts.entry(one.author).or_default() += 1.0;
        }
        let mut best = (0, f64::MIN);
        for (place, (score, one)) in left.iter().enumerate() {
            // What follows counts no more than this, even without others of its author.
            if *score <= best.1 {
                break;
            }
            let repeats = counts.get(&one.author).copied().unwrap_or(0.0);
            let here = score / (1.0 + weights.variety_weight * repeats);
            if here > best.1 {
                best = (place, here);
            }
        }
        ordered.push(left.remove(best.0).1);
    }
    ordered
}

/// The posts of `counts` that count most, at most `limit`; the newer first where they count the same.
pub(super) fn top(counts: HashMap<PostId, f64>, limit: usize) -> Vec<(PostId, f64)> {
    let mut sorted: Vec<(PostId, f64)> = counts.into_iter().collect();
    sorted.sort_by(|(a, one), (b, other)| other.total_cmp(one).then(Reverse(a).cmp(&Reverse(b))));
    sorted.truncate(limit);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn post(id: i64, author: i64, hours_ago: u64, likes: u32) -> Candidate {
        Candidate {
            id: id.into(),
            author: author.into(),
            visibility: Visibility::Public,
            created_at: NOW.minus(Duration::from_hours(hours_ago)),
            liked_by_followed: likes,
        }
    }

    fn ids(ordered: &[Candidate]) -> Vec<i64> {
        ordered.iter().map(|one| one.id.get()).collect()
    }

    #[test]
    fn with_nothing_else_the_newer_comes_first() {
        let weights = config::Feed::default();
        let posts = vec![post(1, 1, 30, 0), post(2, 2, 20, 0), post(3, 3, 1, 0)];
        let ordered = order(posts, &HashMap::new(), NOW, &weights);
        assert_eq!(ids(&ordered), [3, 2, 1]);
    }

    #[test]
    fn what_friends_like_and_who_is_close_comes_sooner() {
        let weights = config::Feed::default();
        let posts = vec![post(1, 1, 5, 0), post(2, 2, 6, 8), post(3, 3, 6, 0)];
        let close = Ties {
            likes: 20,
            ..Ties::default()
        };
        let ties = HashMap::from([(UserId::from(3), close)]);
        let ordered = order(posts, &ties, NOW, &weights);
        assert_eq!(ordered.last().unwrap().id.get(), 1);
        let none = config::Feed {
            affinity_weight: 0.0,
            engagement_weight: 0.0,
            ..weights
        };
        let posts = vec![post(1, 1, 5, 0), post(2, 2, 6, 8), post(3, 3, 6, 0)];
        assert_eq!(ids(&order(posts, &ties, NOW, &none)), [1, 3, 2]);
    }

    #[test]
    fn one_author_does_not_fill_the_page() {
        let weights = config::Feed::default();
        let mut posts: Vec<Candidate> = (0..8).map(|n| post(100 + n, 1, 1, 0)).collect();
        posts.push(post(1, 2, 4, 0));
        posts.push(post(2, 3, 5, 0));
        let ordered = order(posts.clone(), &HashMap::new(), NOW, &weights);
        let first: Vec<i64> = ordered.iter().take(4).map(|one| one.author.get()).collect();
        assert!(first.contains(&2) && first.contains(&3), "{first:?}");
        assert_eq!(ordered.len(), posts.len());
        let alike = config::Feed {
            variety_weight: 0.0,
            ..weights
        };
        let ordered = order(posts, &HashMap::new(), NOW, &alike);
        assert_eq!(ids(&ordered)[8..], [1, 2]);
    }
}
