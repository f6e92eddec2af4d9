//! Goes through what matches, and keeps the best of what may be seen.
//!
//! What fits is counted up to [`MAX_COUNTED`]. If there is no more, the same round has found the best of it already;
//! otherwise a second round looks for them alone, and passes over what cannot be among them without looking at it: by
//! what its words can count at most (block WAND), or, in order of time, by its time. Both ask the same [`Sieve`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use tantivy::query::{EnableScoring, Query, Weight};
use tantivy::{DocId, DocSet, Score, Searcher, SegmentReader, TERMINATED};

use super::schema::Kind;
use super::sight::{Bounds, Sieve, Sight};
use super::stale::Notes;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};

/// Up to where is counted.
pub(super) const MAX_COUNTED: usize = 1_000;
/// Documents between two looks at the time.
const STRIDE: u32 = 4_096;
/// Documents in order of time that are gone through from the end: an index has the newest last, mostly.
const STRETCH: usize = 16_384;
/// Steps between two scores that are told apart: finer ones would depend on the order in which they were added up.
const STEPS: f32 = 64.0;
/// In so many days the part of a score that depends on age is halved.
const HALF_LIFE_DAYS: f32 = 30.0;
/// The part of a score that depends on age, or on being close.
const PART: f32 = 0.5;

/// A thing that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// The order: how well it fits, or when it was made.
    pub(super) rank: i64,
    pub(super) id: i64,
}

/// The best of what was found, the best first.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) hits: Vec<Hit>,
    /// How many there are, counted up to [`MAX_COUNTED`].
    pub(super) total: usize,
    pub(super) is_more: bool,
}

/// In which order, and which part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// The newest first, rather than what fits best.
    pub(super) by_time: bool,
    pub(super) now: Timestamp,
    /// Only what comes after this.
    pub(super) after: Option<Hit>,
    pub(super) limit: usize,
}

/// Where is looked, for whom, and until when.
pub(super) struct Field<'a> {
    pub(super) searcher: &'a Searcher,
    pub(super) sight: &'a Sight,
    pub(super) notes: &'a Notes,
    pub(super) bounds: &'a Bounds,
    pub(super) deadline: Instant,
}

impl Field<'_> {
    /// The best of what matches. Errors: `timed_out`.
    pub(super) fn search(&self, kind: Kind, query: &dyn Query, order: Order) -> Result<Found> {
        let weight = self.weight(query)?;
        let mut best = Best::new(order);
        let total = self.count(kind, weight.as_ref(), &mut best)?;
        if total > MAX_COUNTED {
            best = Best::new(order);
            if order.by_time {
                self.find_newest(kind, weight.as_ref(), &mut best)?;
            } else {
                self.find_best(kind, weight.as_ref(), &mut best)?;
            }
        }
        let (hits, has_more) = best.into_hits();
        Ok(Found {
            hits,
            total: total.min(MAX_COUNTED),
            is_more: has_more,
        })
    }

    /// How many match, up to [`MAX_COUNTED`], as far as they are found among `budget` documents, which it uses up.
    pub(super) fn total(&self, kind: Kind, query: &dyn Query, budget: &mut u32) -> Result<usize> {
        let schema = self.searcher.schema();
        let weight = query
            .weight(EnableScoring::disabled_from_schema(schema))
            .map_err(Error::internal)?;
        let mut total = 0;
        for reader in self.searcher.segment_readers() {
            let sieve = self.sieve(kind, reader)?;
            let mut scorer = weight.scorer(reader, 1.0).map_err(Error::internal)?;
            let mut doc = scorer.doc();
            while doc != TERMINATED && *budget > 0 && total < MAX_COUNTED {
                *budget -= 1;
                total += usize::from(sieve.lets_through(doc));
                doc = scorer.advance();
            }
        }
        Ok(total)
    }

    fn weight(&self, query: &dyn Query) -> Result<Box<dyn Weight>> {
        query
            .weight(EnableScoring::enabled_from_searcher(self.searcher))
            .map_err(Error::internal)
    }

    fn sieve<'a>(&'a self, kind: Kind, reader: &'a SegmentReader) -> Result<Sieve<'a>> {
        Sieve::new(kind, self.sight, self.bounds, self.notes, reader).map_err(Error::internal)
    }

    /// Counts what fits, and gathers the best; stops where there is too much to count.
    fn count(&self, kind: Kind, weight: &dyn Weight, best: &mut Best) -> Result<usize> {
        let mut total = 0;
        for reader in self.searcher.segment_readers() {
            let sieve = self.sieve(kind, reader)?;
            let mut scorer = weight.scorer(reader, 1.0).map_err(Error::internal)?;
            let mut steps = 0_u32;
            let mut doc = scorer.doc();
            while doc != TERMINATED {
                steps += 1;
                if steps.is_multiple_of(STRIDE) {
                    self.check_time()?;
                }
                if sieve.lets_through(doc) {
                    total += 1;
                    if total > MAX_COUNTED {
                        return Ok(total);
                    }
                    let score = if best.order.by_time {
                        0.0
                    } else {
                        scorer.score()
                    };
                    best.offer(&sieve, doc, score);
                }
                doc = scorer.advance();
            }
        }
        Ok(total)
    }

    /// The newest of very many: the newest segments first, each stretch by stretch from its end, so that few are asked for
    /// that newer ones push out.
    fn find_newest(&self, kind: Kind, weight: &dyn Weight, best: &mut Best) -> Result<()> {
        let readers = self.searcher.segment_readers().iter();
        let mut segments = readers
            .map(|reader| Ok((self.sieve(kind, reader)?, reader)))
            .collect::<Result<Vec<_>>>()?;
        segments.sort_by_key(|(sieve, _)| Reverse(sieve.newest()));
        let mut stretch = Vec::with_capacity(STRETCH);
        for (sieve, reader) in segments {
            if !best.takes_of(sieve.newest()) {
                break;
            }
            let mut scorer = weight.scorer(reader, 1.0).map_err(Error::internal)?;
            let mut doc = scorer.doc();
            while doc != TERMINATED {
                self.check_time()?;
                while doc != TERMINATED && stretch.len() < STRETCH {
                    stretch.push(doc);
                    doc = scorer.advance();
                }
                while let Some(doc) = stretch.pop() {
                    let at = sieve.at(doc);
                    let is_after = best.order.after.is_none_or(|after| at <= after.rank);
                    if is_after && best.takes_of(at) && sieve.lets_through(doc) {
                        best.offer(&sieve, doc, 0.0);
                    }
                }
            }
        }
        Ok(())
    }

    fn find_best(&self, kind: Kind, weight: &dyn Weight, best: &mut Best) -> Result<()> {
        let mut steps = 0_u32;
        for reader in self.searcher.segment_readers() {
            self.check_time()?;
            let sieve = self.sieve(kind, reader)?;
            let mut is_late = false;
            let threshold = best.threshold();
            let mut take = |doc: DocId, score: Score| {
                steps = steps.wrapping_add(1);
                if steps.is_multiple_of(STRIDE) && Instant::now() > self.deadline {
                    is_late = true;
                }
                if is_late {
                    return Score::MAX;
                }
                if sieve.lets_through(doc) {
                    best.offer(&sieve, doc, score);
                }
                best.threshold()
            };
            weight
                .for_each_pruning(threshold, reader, &mut take)
                .map_err(Error::internal)?;
            if is_late {
                return Err(Error::new(Code::TimedOut));
            }
        }
        Ok(())
    }

    pub(super) fn check_time(&self) -> Result<()> {
        if Instant::now() > self.deadline {
            Err(Error::new(Code::TimedOut))
        } else {
            Ok(())
        }
    }
}

/// The best so far, and one more, which tells whether there are any.
struct Best {
    order: Order,
    heap: BinaryHeap<Reverse<Hit>>,
}

impl Best {
    fn new(order: Order) -> Self {
        Self {
            order,
            heap: BinaryHeap::with_capacity(order.limit + 2),
        }
    }

    fn offer(&mut self, sieve: &Sieve<'_>, doc: DocId, score: Score) {
        let rank = if self.order.by_time {
            sieve.at(doc)
        } else {
            self.rank(sieve, doc, score)
        };
        let hit = Hit {
            rank,
            id: sieve.id(doc),
        };
        if self.order.after.is_some_and(|after| hit >= after) {
            return;
        }
        if self.heap.len() <= self.order.limit {
            self.heap.push(Reverse(hit));
        } else if self.heap.peek().is_some_and(|worst| hit > worst.0) {
            self.heap.pop();
            self.heap.push(Reverse(hit));
        }
    }

    /// In order of time: whether something of that time is new enough.
    fn takes_of(&self, at: i64) -> bool {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() > self.order.limit => at >= worst.rank,
            _ => true,
        }
    }

    /// Never more than the score itself, so that what is passed over for its score could not have been kept.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a score"
    )]
    fn rank(&self, sieve: &Sieve<'_>, doc: DocId, score: Score) -> i64 {
        let age_ms = self
            .order
            .now
            .as_millis()
            .saturating_sub(sieve.at(doc))
            .max(0);
        let days = age_ms as f32 / 86_400_000.0;
        let fresh = match sieve.kind() {
            // Nobody fits less for having been there longer.
            Kind::Person => 0.0,
            Kind::Post | Kind::Comment | Kind::Message => (-days / HALF_LIFE_DAYS).exp2(),
        };
        let close = if sieve.is_close(doc) { 1.0 } else { fresh };
        let factor = (1.0 - PART) + PART * fresh.midpoint(close);
        (score * factor * STEPS).round() as i64
    }

    /// The score that has to be exceeded.
    #[expect(clippy::cast_precision_loss, reason = "a score")]
    fn threshold(&self) -> Score {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() > self.order.limit => {
                ((worst.rank - 1).max(0) as f32 / STEPS).max(0.0)
            }
            _ => Score::MIN,
        }
    }

    fn into_hits(self) -> (Vec<Hit>, bool) {
        let mut hits: Vec<Hit> = self.heap.into_iter().map(|Reverse(hit)| hit).collect();
        hits.sort_unstable_by(|one, other| other.cmp(one));
        let has_more = hits.len() > self.order.limit;
        hits.truncate(self.order.limit);
        (hits, has_more)
    }
}
