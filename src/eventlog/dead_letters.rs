//! Events that a consumer could not take, kept for a person to look into: as long as events are.

use serde::{Deserialize, Serialize};
use sled::{Batch as Writes, Tree};

use super::{EventLog, Record};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::Topic;

/// An event that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Who could not take it.
    pub consumer: String,
    /// The event's sequence.
    pub seq: u64,
    /// Its topic's name.
    pub topic: String,
    /// Its key.
    pub key: i64,
    /// When it happened.
    pub happened_at: Timestamp,
    /// The contract's envelope, JSON.
    pub envelope: String,
    /// What the last attempt said.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
}

impl DeadLetter {
    /// The event as the log had it; the log may have forgotten it since.
    pub fn record(&self) -> Result<Record> {
        let topic = Topic::from_name(&self.topic)
            .ok_or_else(|| Error::internal(format!("no topic is named {}", self.topic)))?;
        Ok(Record {
            seq: self.seq,
            topic,
            key: self.key,
            at: self.happened_at,
            envelope: self.envelope.clone(),
        })
    }
}

impl EventLog {
    /// Keeps an event that `consumer` gave up.
    pub async fn park(
        &self,
        consumer: &'static str,
        record: Record,
        error: String,
        attempts: u32,
    ) -> Result<()> {
        self.check_room()?;
        let letter = DeadLetter {
            consumer: consumer.to_owned(),
            seq: record.seq,
            topic: record.topic.as_str().to_owned(),
            key: record.key,
            happened_at: record.at,
            envelope: record.envelope,
            error,
            attempts,
            at: self.inner.clock.now(),
        };
        let value = serde_json::to_vec(&letter).map_err(Error::internal)?;
        self.run_in_turn(move |database| {
            database
                .dead_letters
                .insert(key(consumer, letter.seq), value)?;
            Ok(())
        })
        .await
    }

    /// The events that `consumer` gave up after sequence `after`, oldest first.
    pub async fn dead_letters(
        &self,
        consumer: &'static str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.run(move |database| {
            let range = key(consumer, after.saturating_add(1))..=key(consumer, u64::MAX);
            let mut letters = Vec::new();
            for entry in database.dead_letters.range(range).take(limit) {
                letters.push(from_value(&entry?.1)?);
            }
            Ok(letters)
        })
        .await
    }

    /// How many events `consumer` gave up.
    pub async fn count_dead_letters(&self, consumer: &'static str) -> Result<u64> {
        self.run(move |database| {
            let mut count = 0;
            let range = key(consumer, 0)..=key(consumer, u64::MAX);
            for entry in database.dead_letters.range(range) {
                entry?;
                count += 1;
            }
            Ok(count)
        })
        .await
    }

    /// One event that `consumer` gave up.
    pub async fn find_dead_letter(
        &self,
        consumer: &'static str,
        seq: u64,
    ) -> Result<Option<DeadLetter>> {
        self.run(move |database| {
            let value = database.dead_letters.get(key(consumer, seq))?;
            Ok(value.map(|value| from_value(&value)).transpose()?)
        })
        .await
    }

    /// Throws away an event that `consumer` gave up; false when there was none.
    pub async fn remove_dead_letter(&self, consumer: &'static str, seq: u64) -> Result<bool> {
        self.run(move |database| Ok(database.dead_letters.remove(key(consumer, seq))?.is_some()))
            .await
    }

    /// Throws away what was given up before `before`.
    pub(super) async fn forget_dead_letters(&self, before: Timestamp) -> Result<()> {
        self.run_in_turn(move |database| Ok(forget(&database.dead_letters, before)?))
            .await
    }
}

fn forget(letters: &Tree, before: Timestamp) -> sled::Result<()> {
    let mut writes = Writes::default();
    for entry in letters {
        let (key, value) = entry?;
        // One that cannot be read is of no use to anybody.
        if from_value(&value).is_ok_and(|letter| letter.at >= before) {
            continue;
        }
        writes.remove(key);
    }
    letters.apply_batch(writes)
}

/// The consumer's name, an end that no name contains, and the sequence.
fn key(consumer: &str, seq: u64) -> Vec<u8> {
    [consumer.as_bytes(), &[0], &seq.to_be_bytes()].concat()
}

fn from_value(value: &[u8]) -> Result<DeadLetter> {
    serde_json::from_slice(value).map_err(Error::internal)
}
