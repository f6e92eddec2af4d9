//! The state of all notifications, read, changed and written as a whole.
//!
//! A [`Ledger`] gathers changes in memory, over what the tree holds, and writes them in one atomic batch. Whatever the
//! order in which events, marks and replays come, the same set of them gives the same state.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use sled::{Batch, IVec, Tree};

use super::entry::{
    Entry, HIGHEST, Object, POSITION, Row, Summary, index_key, owner, row_key, summary_key, to_seq,
};
use crate::clock::Timestamp;
use crate::event::Mark;
use crate::id::UserId;

pub(super) struct Ledger<'t> {
    tree: &'t Tree,
    /// Entries kept for one person.
    keep: u64,
    /// Changes to the tree that are not written; `None` removes.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    summaries: HashMap<UserId, Summary>,
    /// The greatest position ever: an event after it cannot have left anything behind.
    highest: u64,
}

impl<'t> Ledger<'t> {
    pub(super) fn open(tree: &'t Tree, keep: u64) -> sled::Result<Self> {
        Ok(Self {
            tree,
            keep,
            changes: BTreeMap::new(),
            summaries: HashMap::new(),
            highest: read_seq(tree, HIGHEST)?.unwrap_or(0),
        })
    }

    /// Writes everything at once. People with more than is kept lose their oldest.
    pub(super) fn write(mut self) -> sled::Result<()> {
        let crowded: Vec<UserId> = self
            .summaries
            .iter()
            .filter(|(_, summary)| self.is_crowded(summary))
            .map(|(user, _)| *user)
            .collect();
        for user in crowded {
            self.thin_out(user)?;
        }
        let mut batch = Batch::default();
        for (key, value) in self.changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        for (user, summary) in self.summaries {
            batch.insert(summary_key(user), summary.to_bytes());
        }
        self.tree.apply_batch(batch)
    }

    /// The consumer's position before anything is written.
    pub(super) fn position(&self) -> sled::Result<Option<u64>> {
        read_seq(self.tree, POSITION)
    }

    /// Moves the consumer's position.
    pub(super) fn set_position(&mut self, seq: u64) {
        self.put(POSITION.to_vec(), seq.to_be_bytes().to_vec());
        self.expect_again(seq);
    }

    /// Events up to `seq` may come again, or may have left marks already.
    pub(super) fn expect_again(&mut self, seq: u64) {
        if seq > self.highest {
            self.highest = seq;
            self.put(HIGHEST.to_vec(), seq.to_be_bytes().to_vec());
        }
    }

    /// Tells `user` of event `seq`, unless that was done before.
    pub(super) fn add(&mut self, user: UserId, seq: u64, entry: Entry) -> sled::Result<()> {
        let mut summary = self.summary(user)?;
        if seq <= summary.floor {
            return Ok(());
        }
        let key = row_key(user, seq);
        let before = if seq > self.highest && !self.changes.contains_key(&key) {
            None
        } else {
            self.row(&key)?
        };
        let is_read = match before {
            Some(Row::Entry { .. } | Row::Gone) => return Ok(()),
            Some(Row::ReadAhead) => true,
            None => {
                summary.rows += 1;
                false
            }
        };
        summary.total += 1;
        if !is_read && seq > summary.read_through {
            summary.unread += 1;
        }
        self.summaries.insert(user, summary);
        self.put(key, Row::Entry { entry, is_read }.to_bytes());
        if let Some(index) = index_key(user, seq, &entry) {
            self.put(index, Vec::new());
        }
        Ok(())
    }

    /// Marks one notification; one that is not there yet will be when it comes.
    pub(super) fn mark(&mut self, user: UserId, seq: u64, mark: Mark) -> sled::Result<()> {
        let mut summary = self.summary(user)?;
        if seq <= summary.floor {
            return Ok(());
        }
        let key = row_key(user, seq);
        let before = self.row(&key)?;
        let after = match (before, mark) {
            (Some(Row::Gone), _) | (Some(Row::ReadAhead), Mark::Read) => return Ok(()),
            (Some(Row::Entry { entry, .. }), Mark::Read) => Row::Entry {
                entry,
                is_read: true,
            },
            (None, Mark::Read) => Row::ReadAhead,
            (_, Mark::Deleted) => Row::Gone,
        };
        match before {
            Some(Row::Entry { entry, is_read }) => {
                if !is_read && seq > summary.read_through {
                    summary.unread -= 1;
                }
                if mark == Mark::Deleted {
                    summary.total -= 1;
                    if let Some(index) = index_key(user, seq, &entry) {
                        self.changes.insert(index, None);
                    }
                }
            }
            Some(_) => {}
            None => summary.rows += 1,
        }
        self.summaries.insert(user, summary);
        self.put(key, after.to_bytes());
        Ok(())
    }

    /// Marks everything up to `through`.
    pub(super) fn mark_all(&mut self, user: UserId, through: u64, mark: Mark) -> sled::Result<()> {
        let mut summary = self.summary(user)?;
        match mark {
            Mark::Read if through > summary.read_through => {
                let mut unread = 0;
                for (_, row) in self.rows(user, through.saturating_add(1), u64::MAX)? {
                    if matches!(row, Row::Entry { is_read: false, .. }) {
                        unread += 1;
                    }
                }
                summary.unread = unread;
                summary.read_through = through;
                self.summaries.insert(user, summary);
            }
            Mark::Deleted if through > summary.floor => {
                for (seq, row) in self.rows(user, 0, through)? {
                    self.drop_row(user, seq, row, &mut summary);
                }
                summary.floor = through;
                self.summaries.insert(user, summary);
            }
            Mark::Read | Mark::Deleted => {}
        }
        Ok(())
    }

    /// Takes away all entries about something that is gone.
    pub(super) fn remove(&mut self, object: Object) -> sled::Result<()> {
        for key in self.keys(&object.prefix())? {
            let (user, seq) = owner(&key).ok_or_else(corrupt)?;
            self.mark(user, seq, Mark::Deleted)?;
        }
        Ok(())
    }

    /// Takes away what is older than `before`, from the oldest on.
    pub(super) fn age(&mut self, user: UserId, before: Timestamp) -> sled::Result<()> {
        let mut through = None;
        for (seq, row) in self.rows(user, 0, u64::MAX)? {
            match row {
                Row::Entry { entry, .. } if entry.at < before => through = Some(seq),
                Row::Entry { .. } => break,
                Row::Gone | Row::ReadAhead => {}
            }
        }
        match through {
            Some(through) => self.mark_all(user, through, Mark::Deleted),
            None => Ok(()),
        }
    }

    fn is_crowded(&self, summary: &Summary) -> bool {
        summary.total > self.keep || summary.rows - summary.total > self.keep
    }

    /// Drops the oldest of too many entries, for good; and of too many rows in place of entries, the older half. Those
    /// only spare a replay some detours, so nobody can drive real entries out by doing and undoing something.
    fn thin_out(&mut self, user: UserId) -> sled::Result<()> {
        let mut summary = self.summary(user)?;
        let mut placeholders = (summary.rows - summary.total).saturating_sub(self.keep);
        if placeholders > 0 {
            placeholders += self.keep / 2;
        }
        for (seq, row) in self.rows(user, 0, u64::MAX)? {
            let is_entry = matches!(row, Row::Entry { .. });
            if is_entry && summary.total > self.keep {
                summary.floor = seq;
            } else if !is_entry && (placeholders > 0 || summary.total > self.keep) {
                placeholders = placeholders.saturating_sub(1);
            } else if placeholders == 0 {
                break;
            } else {
                continue;
            }
            self.drop_row(user, seq, row, &mut summary);
        }
        self.summaries.insert(user, summary);
        Ok(())
    }

    /// Removes a row for good; the caller raises the floor.
    fn drop_row(&mut self, user: UserId, seq: u64, row: Row, summary: &mut Summary) {
        summary.rows -= 1;
        if let Row::Entry { entry, is_read } = row {
            summary.total -= 1;
            if !is_read && seq > summary.read_through {
                summary.unread -= 1;
            }
            if let Some(index) = index_key(user, seq, &entry) {
                self.changes.insert(index, None);
            }
        }
        self.changes.insert(row_key(user, seq), None);
    }

    fn summary(&mut self, user: UserId) -> sled::Result<Summary> {
        if let Some(summary) = self.summaries.get(&user) {
            return Ok(*summary);
        }
        read_summary(self.tree, user)
    }

    fn row(&self, key: &[u8]) -> sled::Result<Option<Row>> {
        let value = match self.changes.get(key) {
            Some(None) => None,
            Some(Some(value)) => Some(parse_row(value)?),
            None => self
                .tree
                .get(key)?
                .map(|value| parse_row(&value))
                .transpose()?,
        };
        Ok(value)
    }

    /// A person's rows from `first` to `last`, as they will be when this is written.
    fn rows(&self, user: UserId, first: u64, last: u64) -> sled::Result<Vec<(u64, Row)>> {
        let range = row_key(user, first)..=row_key(user, last);
        let mut rows = BTreeMap::new();
        for entry in self.tree.range(range.clone()) {
            let (key, value) = entry?;
            let (_, seq) = owner(&key).ok_or_else(corrupt)?;
            rows.insert(seq, parse_row(&value)?);
        }
        for (key, value) in self.changes.range(range) {
            let (_, seq) = owner(key).ok_or_else(corrupt)?;
            match value {
                Some(value) => rows.insert(seq, parse_row(value)?),
                None => rows.remove(&seq),
            };
        }
        Ok(rows.into_iter().collect())
    }

    /// All keys that begin with `prefix`, as they will be when this is written.
    fn keys(&self, prefix: &[u8]) -> sled::Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        for key in self.tree.scan_prefix(prefix).keys() {
            let key = key?;
            if !self.changes.contains_key(&*key) {
                keys.push(key.to_vec());
            }
        }
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, value) in self.changes.range::<[u8], _>(from) {
            if !key.starts_with(prefix) {
                break;
            }
            if value.is_some() {
                keys.push(key.clone());
            }
        }
        Ok(keys)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }
}

pub(super) fn read_seq(tree: &Tree, key: &[u8]) -> sled::Result<Option<u64>> {
    let value = tree.get(key)?;
    value
        .map(|value| to_seq(&value).ok_or_else(corrupt))
        .transpose()
}

pub(super) fn read_summary(tree: &Tree, user: UserId) -> sled::Result<Summary> {
    tree.get(summary_key(user))?
        .map_or(Ok(Summary::default()), |value| {
            Summary::from_bytes(&value).ok_or_else(corrupt)
        })
}

pub(super) fn parse_row(value: &[u8]) -> sled::Result<Row> {
    Row::from_bytes(value).ok_or_else(corrupt)
}

/// Whether a person's oldest entry is from before this moment.
pub(super) fn has_older(tree: &Tree, user: UserId, before: Timestamp) -> sled::Result<bool> {
    for value in tree
        .range(row_key(user, 0)..=row_key(user, u64::MAX))
        .values()
    {
        if let Row::Entry { entry, .. } = parse_row(&value?)? {
            return Ok(entry.at < before);
        }
    }
    Ok(false)
}

/// The row of a key and value of the tree.
pub(super) fn parse_pair((key, value): (IVec, IVec)) -> sled::Result<(u64, Row)> {
    let (_, seq) = owner(&key).ok_or_else(corrupt)?;
    Ok((seq, parse_row(&value)?))
}

/// What sled itself says of bytes that cannot be what was written.
fn corrupt() -> sled::Error {
    sled::Error::Corruption { at: None, bt: () }
}
