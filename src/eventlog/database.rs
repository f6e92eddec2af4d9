//! The trees, and the form of a record in them.

use sled::{Batch as Writes, Db, IVec, Tree};
use tracing::error;

use super::{Batch, Reach, Record, TopicSpan};
use crate::clock::Timestamp;
use crate::event::Topic;
use crate::store::outbox::OutboxRow;

/// The log's notes about itself.
const NOTES: &str = "log";
const START: &[u8] = b"start";
const END: &[u8] = b"end";
const DEAD_LETTERS: &str = "dead_letters";

/// Records at each end of a tree that are read on opening; the rest is read later, in the background.
const SAMPLE: usize = 256;

/// An open database. Trees: one for each topic, by sequence; notes; dead letters; and those of whoever derives.
pub(super) struct Database {
    db: Db,
    topics: Vec<(Topic, Tree)>,
    notes: Tree,
    pub(super) dead_letters: Tree,
}

impl Database {
    pub(super) fn new(db: Db) -> sled::Result<Self> {
        let topics = Topic::ALL
            .into_iter()
            .map(|topic| Ok((topic, db.open_tree(topic.as_str())?)))
            .collect::<sled::Result<_>>()?;
        let notes = db.open_tree(NOTES)?;
        let dead_letters = db.open_tree(DEAD_LETTERS)?;
        Ok(Self {
            db,
            topics,
            notes,
            dead_letters,
        })
    }

    /// The tree of somebody who derives.
    pub(super) fn tree(&self, name: &str) -> sled::Result<Tree> {
        self.db.open_tree(name)
    }

    /// What the log holds; `None` when it has not been begun.
    pub(super) fn reach(&self) -> sled::Result<Option<Reach>> {
        let start = self.notes.get(START)?.as_deref().and_then(to_seq);
        let end = self.notes.get(END)?.as_deref().and_then(to_seq);
        Ok(start.zip(end).map(|(start, end)| Reach { start, end }))
    }

    /// Notes that the log is to hold what comes after `seq`.
    pub(super) fn begin(&self, seq: u64) -> sled::Result<Reach> {
        let mut writes = Writes::default();
        writes.insert(START, &seq.to_be_bytes());
        writes.insert(END, &seq.to_be_bytes());
        self.notes.apply_batch(writes)?;
        self.db.flush()?;
        Ok(Reach {
            start: seq,
            end: seq,
        })
    }

    /// Adds rows and returns when they are on disk. The same rows again change nothing.
    ///
    /// The end is noted after the flush: what sled finds again after a crash is what was written up to some moment, so
    /// an end that is there has everything before it. A lost end means no more than some rows twice.
    pub(super) fn append(&self, rows: &[OutboxRow]) -> sled::Result<()> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        for (topic, tree) in &self.topics {
            let mut writes = Writes::default();
            for row in rows.iter().filter(|row| row.topic == topic.as_str()) {
                writes.insert(&row.seq.to_be_bytes(), to_value(row));
            }
            tree.apply_batch(writes)?;
        }
        for row in rows
            .iter()
            .filter(|row| Topic::from_name(&row.topic).is_none())
        {
            error!(
                event.seq = row.seq,
                "An event of an unknown topic stays out of the log"
            );
        }
        self.db.flush()?;
        self.notes.insert(END, &last.seq.to_be_bytes())?;
        Ok(())
    }

    /// The records of these topics in `after..=end`, merged in order.
    pub(super) fn after(
        &self,
        topics: &[Topic],
        after: u64,
        end: u64,
        limit: usize,
    ) -> sled::Result<Batch> {
        let mut records = Vec::with_capacity(limit.min(1024));
        let mut streams = Vec::with_capacity(topics.len());
        if after < end {
            for (topic, tree) in self
                .topics
                .iter()
                .filter(|(topic, _)| topics.contains(topic))
            {
                let range = (after + 1).to_be_bytes()..=end.to_be_bytes();
                let mut rest = tree.range(range);
                if let Some(head) = next(*topic, &mut rest)? {
                    streams.push((*topic, head, rest));
                }
            }
        }
        while records.len() < limit {
            let Some(first) = (0..streams.len()).min_by_key(|i| streams[*i].1.seq) else {
                break;
            };
            let (topic, head, rest) = &mut streams[first];
            if let Some(following) = next(*topic, rest)? {
                records.push(std::mem::replace(head, following));
            } else {
                records.push(streams.swap_remove(first).1);
            }
        }
        let through = match records.last() {
            Some(last) if records.len() == limit => last.seq,
            _ => end.max(after),
        };
        Ok(Batch {
            after,
            records,
            through,
        })
    }

    /// Whether there is a record of each of these sequences, which are in order, and none between them.
    pub(super) fn has_exactly(&self, after: u64, seqs: &[u64]) -> sled::Result<bool> {
        let Some(last) = seqs.last() else {
            return Ok(true);
        };
        let mut found = Vec::with_capacity(seqs.len());
        for (_, tree) in &self.topics {
            let range = (after + 1).to_be_bytes()..=last.to_be_bytes();
            for key in tree.range(range).keys() {
                found.push(key_seq(&key?)?);
            }
        }
        found.sort_unstable();
        Ok(found == seqs)
    }

    /// The newest record up to `seq` of all topics.
    pub(super) fn newest(&self, seq: u64) -> sled::Result<Option<Record>> {
        let mut newest: Option<Record> = None;
        for (topic, tree) in &self.topics {
            let Some((key, value)) = tree.range(..=seq.to_be_bytes()).next_back().transpose()?
            else {
                continue;
            };
            let record = from_value(*topic, key_seq(&key)?, &value)?;
            if newest.as_ref().is_none_or(|newest| newest.seq < record.seq) {
                newest = Some(record);
            }
        }
        Ok(newest)
    }

    pub(super) fn spans(&self) -> sled::Result<Vec<TopicSpan>> {
        self.topics
            .iter()
            .map(|(topic, tree)| {
                let seq =
                    |found: Option<(IVec, IVec)>| found.map(|(key, _)| key_seq(&key)).transpose();
                Ok(TopicSpan {
                    topic: *topic,
                    first: seq(tree.first()?)?,
                    last: seq(tree.last()?)?,
                })
            })
            .collect()
    }

    /// Forgets the oldest records when they are from before `before`: looks at `limit` of them and returns the new start
    /// if there is one. What is younger but stands among them goes with them, so that a clock that was wrong for a while
    /// keeps nothing for ever.
    pub(super) fn forget(&self, before: Timestamp, limit: usize) -> sled::Result<Option<u64>> {
        let Some(reach) = self.reach()? else {
            return Ok(None);
        };
        let oldest = self.after(&Topic::ALL, 0, reach.end, limit)?;
        let Some(last) = oldest.records.iter().rfind(|record| record.at < before) else {
            return Ok(None);
        };
        let start = last.seq.max(reach.start);
        // First, so that nobody takes a log with holes for whole.
        self.notes.insert(START, &start.to_be_bytes())?;
        for (topic, tree) in &self.topics {
            let mut writes = Writes::default();
            for record in oldest
                .records
                .iter()
                .take_while(|record| record.seq <= start)
            {
                if record.topic == *topic {
                    writes.remove(&record.seq.to_be_bytes());
                }
            }
            tree.apply_batch(writes)?;
        }
        self.db.flush()?;
        Ok(Some(start))
    }

    /// Reads both ends of each tree, which brings most kinds of damage to light.
    pub(super) fn sample(&self) -> sled::Result<()> {
        self.reach()?;
        for name in self.tree_names() {
            self.read_through(&name, &[], SAMPLE)?;
            for entry in self.db.open_tree(&name)?.iter().rev().take(SAMPLE) {
                entry?;
            }
        }
        Ok(())
    }

    /// The names of all trees.
    pub(super) fn tree_names(&self) -> Vec<IVec> {
        self.db.tree_names()
    }

    /// Reads at most `limit` entries of a tree from `key` on: the key to go on from, `None` at the end.
    pub(super) fn read_through(
        &self,
        name: &[u8],
        key: &[u8],
        limit: usize,
    ) -> sled::Result<Option<Vec<u8>>> {
        let is_log = self
            .topics
            .iter()
            .any(|(topic, _)| topic.as_str().as_bytes() == name);
        let mut last = None;
        let mut count = 0;
        for entry in self.db.open_tree(name)?.range(key..).take(limit) {
            let entry = entry?;
            if is_log {
                check(&entry)?;
            }
            last = Some(entry.0);
            count += 1;
        }
        Ok(last
            .filter(|_| count == limit)
            .map(|key| [&*key, &[0]].concat()))
    }

    pub(super) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }
}

fn next(topic: Topic, rest: &mut sled::Iter) -> sled::Result<Option<Record>> {
    let Some((key, value)) = rest.next().transpose()? else {
        return Ok(None);
    };
    from_value(topic, key_seq(&key)?, &value).map(Some)
}

fn check((key, value): &(IVec, IVec)) -> sled::Result<()> {
    from_value(Topic::Post, key_seq(key)?, value).map(drop)
}

/// Key: the sequence. Value: the event's key, its time, its envelope.
fn to_value(row: &OutboxRow) -> Vec<u8> {
    let mut value = Vec::with_capacity(16 + row.envelope.len());
    value.extend_from_slice(&row.key.to_be_bytes());
    value.extend_from_slice(&row.at.as_millis().to_be_bytes());
    value.extend_from_slice(row.envelope.as_bytes());
    value
}

fn from_value(topic: Topic, seq: u64, value: &[u8]) -> sled::Result<Record> {
    let fields = || {
        let (key, rest) = value.split_first_chunk()?;
        let (at, envelope) = rest.split_first_chunk()?;
        Some(Record {
            seq,
            topic,
            key: i64::from_be_bytes(*key),
            at: Timestamp::from_millis(i64::from_be_bytes(*at)),
            envelope: std::str::from_utf8(envelope).ok()?.to_owned(),
        })
    };
    fields().ok_or_else(corrupt)
}

fn key_seq(key: &[u8]) -> sled::Result<u64> {
    to_seq(key).ok_or_else(corrupt)
}

fn to_seq(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// What sled itself says of bytes that cannot be what was written.
fn corrupt() -> sled::Error {
    sled::Error::Corruption { at: None, bt: () }
}
