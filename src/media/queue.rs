//! Whose film is converted next: of those who wait, of whom one was converted longest ago, or who came first. So fifty
//! films of one person do not hold up the one of another, and nobody waits for ever.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::Kind;
use crate::blobs::BlobHash;
use crate::clock::Timestamp;
use crate::id::{MediaId, UserId};

/// How often one that fails for no fault of its own is tried.
const ATTEMPTS: u32 = 3;

/// How long to wait before such a one is tried again.
const PAUSE: Duration = Duration::from_mins(1);

/// The first pause where nothing is wrong but what passes by itself, such as a bucket that does not answer. Each further
/// one is twice as long, up to [`PAUSE`].
const HINDERED: Duration = Duration::from_secs(2);

/// How long it is remembered of one that it failed: it may have been removed meanwhile.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The first film of a person that waits to be converted.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) owner: UserId,
    pub(super) id: MediaId,
    pub(super) hash: BlobHash,
    pub(super) kind: Kind,
    pub(super) since: Timestamp,
}

/// How an attempt at a conversion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// There is nothing more to do about it.
    Over,
    /// It may go better another time.
    Failed,
    /// By something that has nothing to do with it, and passes.
    Hindered,
}

/// What is remembered from one conversion to the next.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// When one of somebody's was converted, of those who wait for another.
    served: HashMap<UserId, Timestamp>,
    setbacks: HashMap<BlobHash, Setback>,
}

#[derive(Clone, Copy, Debug)]
struct Setback {
    tries: u32,
    /// How often in a row it was hindered.
    hindrances: u32,
    until: Instant,
}

impl Queue {
    /// Those that are not to be tried yet.
    pub(super) fn put_off(&mut self, now: Instant) -> Vec<BlobHash> {
        self.setbacks
            .retain(|_, setback| setback.until + REMEMBERED > now);
        let waits = self
            .setbacks
            .iter()
            .filter(|(_, setback)| setback.until > now);
        waits.map(|(hash, _)| *hash).collect()
    }

    /// When the first of them may be tried again.
    pub(super) fn resumes_at(&self, now: Instant) -> Option<Instant> {
        let ends = self.setbacks.values().map(|setback| setback.until);
        ends.filter(|until| *until > now).min()
    }

    /// Picks one of those who wait.
    pub(super) fn next(&mut self, waiting: Vec<Waiting>) -> Option<Waiting> {
        let owners: HashSet<UserId> = waiting.iter().map(|film| film.owner).collect();
        self.served.retain(|owner, _| owners.contains(owner));
        waiting.into_iter().min_by_key(|film| {
            let served = self.served.get(&film.owner).copied();
            let since = served.map_or(film.since, |served| served.max(film.since));
            (since, served.is_some(), film.id)
        })
    }

    /// Whether it is given up if it fails once more.
    pub(super) fn is_last_try(&self, hash: BlobHash) -> bool {
        self.tries(hash) + 1 >= ATTEMPTS
    }

    fn tries(&self, hash: BlobHash) -> u32 {
        self.setbacks.get(&hash).map_or(0, |setback| setback.tries)
    }

    /// Notes how it went with one.
    pub(super) fn note(&mut self, film: &Waiting, attempt: Attempt, at: Timestamp, now: Instant) {
        self.served.insert(film.owner, at);
        let before = self.setbacks.get(&film.hash).copied();
        let tries = before.map_or(0, |setback| setback.tries);
        let hindrances = before.map_or(0, |setback| setback.hindrances);
        let setback = match attempt {
            Attempt::Over => {
                self.setbacks.remove(&film.hash);
                return;
            }
            Attempt::Failed => Setback {
                tries: tries + 1,
                hindrances: 0,
                until: now + PAUSE,
            },
            Attempt::Hindered => Setback {
                tries,
                hindrances: hindrances + 1,
                until: now + PAUSE.min(HINDERED * (1 << hindrances.min(8))),
            },
        };
        self.setbacks.insert(film.hash, setback);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(owner: i64, id: i64) -> Waiting {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&id.to_be_bytes());
        Waiting {
            owner: UserId::from(owner),
            id: MediaId::from(id),
            hash: BlobHash::new(hash),
            kind: Kind::Video,
            since: Timestamp::from_millis(id),
        }
    }

    /// What is converted in which order, each taking this long; films come at the time that their id says.
    fn order(mut films: Vec<Waiting>, takes_ms: i64) -> Vec<i64> {
        let (mut queue, mut order, mut time) = (Queue::default(), Vec::new(), 0);
        while !films.is_empty() {
            let mut firsts: HashMap<UserId, Waiting> = HashMap::new();
            for film in films.iter().filter(|film| film.since.as_millis() <= time) {
                firsts.entry(film.owner).or_insert_with(|| film.clone());
            }
            let Some(next) = queue.next(firsts.into_values().collect()) else {
                time += 1;
                continue;
            };
            films.retain(|film| film.id != next.id);
            time += takes_ms;
            queue.note(
                &next,
                Attempt::Over,
                Timestamp::from_millis(time),
                Instant::now(),
            );
            order.push(next.id.get());
        }
        order
    }

    #[test]
    fn people_take_turns_and_each_is_served_in_order() {
        let films = [(1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (2, 6)];
        let films: Vec<_> = films.map(|(owner, id)| film(owner, id)).into();
        assert_eq!(order(films, 10), [1, 4, 5, 2, 6, 3]);
    }

    #[test]
    fn who_comes_again_and_again_does_not_keep_another_waiting() {
        // One of another's is there whenever the first person could be served.
        let mut films: Vec<_> = (1..=3).map(|id| film(1, id)).collect();
        films.extend((0..30).map(|number| film(100 + number, 10 + number * 10)));
        let order = order(films, 10);
        let last = order.iter().position(|id| *id == 3).unwrap();
        assert!(last < 10, "{order:?}");
    }

    #[test]
    fn what_failed_is_put_off_and_given_up_in_the_end() {
        let (mut queue, film, now) = (Queue::default(), film(1, 1), Instant::now());
        let at = Timestamp::from_millis(0);
        assert!(!queue.is_last_try(film.hash));
        for attempt in [Attempt::Failed, Attempt::Hindered, Attempt::Failed] {
            assert!(!queue.is_last_try(film.hash));
            queue.note(&film, attempt, at, now);
        }
        assert!(queue.is_last_try(film.hash));
        assert_eq!(queue.put_off(now), [film.hash]);
        assert_eq!(queue.resumes_at(now), Some(now + PAUSE));
        assert_eq!(queue.put_off(now + PAUSE), []);
        assert_eq!(queue.resumes_at(now + PAUSE), None);
        // And forgotten, should nobody want it any more.
        queue.put_off(now + PAUSE + REMEMBERED);
        assert!(!queue.is_last_try(film.hash));
    }
}
