//! A batch of writes that keeps the tree's sum, and the check of it.
//!
//! sled may lose pages of a damaged file, or give back older ones, without a word. The sum says whether the tree is what
//! was written.

use sled::{Batch, Tree};

use super::entry::{POSITION, SUM, digest, to_seq};
use super::shelf::corrupt;

/// Writes that will be made at once. Who replaces or removes something says what digest it had; 0 when it was not there.
#[derive(Default)]
pub(super) struct Changes {
    batch: Batch,
    /// What the sum will grow by, around the end of the numbers.
    growth: u64,
}

impl Changes {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>, before: u64) {
        self.growth = self
            .growth
            .wrapping_add(digest(&key, &value))
            .wrapping_sub(before);
        self.batch.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: Vec<u8>, before: u64) {
        self.growth = self.growth.wrapping_sub(before);
        self.batch.remove(key);
    }

    /// Moves the consumer's position, which is not summed.
    pub(super) fn set_position(&mut self, seq: u64) {
        self.batch.insert(POSITION, &seq.to_be_bytes());
    }

    pub(super) fn apply(mut self, tree: &Tree) -> sled::Result<()> {
        if self.growth != 0 {
            let sum = read_sum(tree)?.wrapping_add(self.growth);
            self.batch.insert(SUM, &sum.to_be_bytes());
        }
        tree.apply_batch(self.batch)
    }
}

/// Whether the tree is what was written. Reads everything; nobody may write meanwhile.
pub(super) fn is_whole(tree: &Tree) -> sled::Result<bool> {
    let mut sum = 0_u64;
    for pair in tree {
        let (key, value) = pair?;
        if *key != *POSITION && *key != *SUM {
            sum = sum.wrapping_add(digest(&key, &value));
        }
    }
    Ok(sum == read_sum(tree)?)
}

fn read_sum(tree: &Tree) -> sled::Result<u64> {
    tree.get(SUM)?
        .map_or(Ok(0), |value| to_seq(&value).ok_or_else(corrupt))
}
