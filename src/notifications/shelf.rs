//! One person's notifications in memory, read from the tree as far as needed, and written back as far as changed.

use sled::Tree;

use super::changes::Changes;
use super::entry::{
    CHUNK, Entry, Item, Object, Row, Summary, chunk_key, chunk_seq, digest, head_from_bytes,
    head_key, head_to_bytes, items_from_bytes, items_to_bytes, name_key, summary_from_bytes,
};
use crate::clock::Timestamp;
use crate::event::Mark;
use crate::id::UserId;

/// Where and what the tree has of a chunk.
#[derive(Clone, Copy)]
struct Stored {
    /// The sequence in the key.
    seq: u64,
    digest: u64,
}

/// A chunk of items older than the head.
struct Chunk {
    stored: Option<Stored>,
    items: Vec<Item>,
    is_changed: bool,
}

impl Chunk {
    fn first(&self) -> Option<u64> {
        self.items.first().map(|item| item.seq)
    }
}

/// All that is kept for one person.
pub(super) struct Shelf {
    user: UserId,
    summary: Summary,
    /// The newest items; empty only when there is nothing at all.
    head: Vec<Item>,
    is_changed: bool,
    /// The digest of what the tree has of the head.
    stored: u64,
    /// The older items, oldest chunk first, once they were needed.
    older: Option<Vec<Chunk>>,
    /// Chunks that left the head since.
    spilled: Vec<Chunk>,
    /// Chunks that have nothing left.
    emptied: Vec<Stored>,
    /// Keys of mentions that are gone.
    unnamed: Vec<Vec<u8>>,
}

impl Shelf {
    pub(super) fn read(tree: &Tree, user: UserId) -> sled::Result<Self> {
        let key = head_key(user);
        let mut stored = 0;
        let mut summary = Summary::default();
        let mut head = Vec::new();
        if let Some(value) = tree.get(&key)? {
            stored = digest(&key, &value);
            (summary, head) = head_from_bytes(&value).ok_or_else(corrupt)?;
        }
        Ok(Self {
            user,
            summary,
            head,
            is_changed: false,
            stored,
            older: None,
            spilled: Vec::new(),
            emptied: Vec::new(),
            unnamed: Vec::new(),
        })
    }

    /// Puts what changed into `changes`.
    pub(super) fn write(&self, changes: &mut Changes) {
        if self.is_changed {
            let value = head_to_bytes(&self.summary, &self.head);
            changes.put(head_key(self.user), value, self.stored);
        }
        let chunks = || self.older.iter().flatten().chain(&self.spilled);
        // All removals first: what one chunk leaves, another may have taken.
        let moved = chunks().filter_map(|chunk| {
            chunk
                .stored
                .filter(|stored| chunk.first() != Some(stored.seq))
        });
        for stored in self.emptied.iter().copied().chain(moved) {
            changes.remove(chunk_key(self.user, stored.seq), stored.digest);
        }
        for chunk in chunks().filter(|chunk| chunk.is_changed) {
            if let Some(first) = chunk.first() {
                let before = chunk
                    .stored
                    .filter(|stored| stored.seq == first)
                    .map_or(0, |stored| stored.digest);
                let key = chunk_key(self.user, first);
                changes.put(key, items_to_bytes(&chunk.items), before);
            }
        }
        for key in &self.unnamed {
            changes.remove(key.clone(), digest(key, &[]));
        }
    }

    /// Adds an entry, unless it is there or was taken away before, which is false.
    pub(super) fn add(&mut self, tree: &Tree, seq: u64, entry: Entry) -> sled::Result<bool> {
        if seq <= self.summary.floor {
            return Ok(false);
        }
        let mut is_read = false;
        if let Some((item, is_part_changed)) = self.find(tree, seq)? {
            if item.row != Row::ReadAhead {
                return Ok(false);
            }
            is_read = true;
            item.row = Row::Entry { entry, is_read };
            *is_part_changed = true;
            self.summary.placeholders -= 1;
        } else {
            let row = Row::Entry { entry, is_read };
            self.insert(tree, Item { seq, row })?;
        }
        if self.summary.total == 0 || entry.at < self.summary.oldest {
            self.summary.oldest = entry.at;
        }
        self.summary.total += 1;
        if !is_read && seq > self.summary.read_through {
            self.summary.unread += 1;
        }
        self.is_changed = true;
        Ok(true)
    }

    /// Marks one; one that is not there yet will be when it comes.
    pub(super) fn mark(&mut self, tree: &Tree, seq: u64, mark: Mark) -> sled::Result<()> {
        if seq <= self.summary.floor {
            return Ok(());
        }
        let mut summary = self.summary;
        let user = self.user;
        let mut unnamed = None;
        if let Some((item, is_part_changed)) = self.find(tree, seq)? {
            let before = *item;
            if !set_mark(item, mark, &mut summary) {
                return Ok(());
            }
            *is_part_changed = true;
            if mark == Mark::Deleted {
                unnamed = name_of(user, &before);
            }
        } else {
            let row = match mark {
                Mark::Read => Row::ReadAhead,
                Mark::Deleted => Row::Gone,
            };
            summary.placeholders += 1;
            self.insert(tree, Item { seq, row })?;
        }
        self.summary = summary;
        self.is_changed = true;
        self.unnamed.extend(unnamed);
        Ok(())
    }

    /// Marks everything up to `through`.
    pub(super) fn mark_all(&mut self, tree: &Tree, through: u64, mark: Mark) -> sled::Result<()> {
        match mark {
            Mark::Read if through > self.summary.read_through => {
                self.summary.read_through = through;
                self.summary.unread = 0;
                if self.head.last().is_some_and(|newest| newest.seq > through) {
                    self.recount(tree)?;
                }
            }
            Mark::Deleted if through > self.summary.floor => {
                self.summary.floor = through;
                self.retain(tree, |item| item.seq > through)?;
            }
            Mark::Read | Mark::Deleted => return Ok(()),
        }
        self.is_changed = true;
        Ok(())
    }

    /// Takes away all entries about something that went with event `gone_at`. Later ones are of its return, and a replay
    /// must not touch them.
    pub(super) fn remove(&mut self, tree: &Tree, object: Object, gone_at: u64) -> sled::Result<()> {
        let mut summary = self.summary;
        let user = self.user;
        let mut unnamed = Vec::new();
        self.load(tree)?;
        for (items, is_part_changed) in self.parts() {
            for item in items {
                if let Row::Entry { entry, .. } = item.row
                    && item.seq < gone_at
                    && object.concerns(&entry)
                {
                    unnamed.extend(name_of(user, item));
                    *is_part_changed |= set_mark(item, Mark::Deleted, &mut summary);
                }
            }
        }
        self.is_changed |= summary != self.summary;
        self.summary = summary;
        self.unnamed.append(&mut unnamed);
        Ok(())
    }

    /// Takes away what is older than `before`.
    pub(super) fn age(&mut self, tree: &Tree, before: Timestamp) -> sled::Result<()> {
        self.load(tree)?;
        let (user, mut summary) = (self.user, self.summary);
        let (mut through, mut is_behind_younger) = (None, false);
        let mut unnamed = Vec::new();
        for (items, is_part_changed) in self.parts() {
            for item in items {
                let Row::Entry { entry, .. } = item.row else {
                    continue;
                };
                if entry.at >= before {
                    is_behind_younger = true;
                } else if is_behind_younger {
                    // Clocks step back, and are put right.
                    unnamed.extend(name_of(user, item));
                    *is_part_changed |= set_mark(item, Mark::Deleted, &mut summary);
                } else {
                    through = Some(item.seq);
                }
            }
        }
        self.summary = summary;
        self.unnamed.append(&mut unnamed);
        match through {
            Some(through) => self.mark_all(tree, through, Mark::Deleted),
            None => self.recount(tree),
        }
    }

    /// Drops the oldest of too many entries, for good, and some more, so that not every new one has to do so; likewise
    /// with too many placeholders. Those only spare a replay some detours, so nobody can drive real entries out by doing
    /// and undoing something.
    pub(super) fn thin_out(&mut self, tree: &Tree, keep: u64) -> sled::Result<()> {
        let room = keep / 8;
        let excess = |count: u64| {
            if count > keep {
                count - (keep - room)
            } else {
                0
            }
        };
        let mut entries = excess(self.summary.total);
        let mut placeholders = excess(self.summary.placeholders);
        if entries == 0 && placeholders == 0 {
            return Ok(());
        }
        let mut floor = self.summary.floor;
        self.retain(tree, |item| {
            let left = if matches!(item.row, Row::Entry { .. }) {
                &mut entries
            } else {
                &mut placeholders
            };
            let stays = *left == 0;
            *left = left.saturating_sub(1);
            if !stays && matches!(item.row, Row::Entry { .. }) {
                floor = item.seq;
            }
            stays
        })?;
        if floor > self.summary.floor {
            self.mark_all(tree, floor, Mark::Deleted)?;
        }
        Ok(())
    }

    /// The item of that sequence, and the mark to set when it is changed.
    fn find(&mut self, tree: &Tree, seq: u64) -> sled::Result<Option<(&mut Item, &mut bool)>> {
        // The newest is the common case, and settles it without a look at the older ones.
        let is_in_head = self.head.first().is_none_or(|first| seq >= first.seq);
        if !is_in_head {
            self.load(tree)?;
        }
        for (items, is_changed) in self.parts_from(is_in_head) {
            if let Ok(place) = items.binary_search_by_key(&seq, |item| item.seq) {
                return Ok(items.get_mut(place).map(|item| (item, is_changed)));
            }
        }
        Ok(None)
    }

    /// Puts in an item that is not there.
    fn insert(&mut self, tree: &Tree, item: Item) -> sled::Result<()> {
        if self.head.first().is_none_or(|first| item.seq >= first.seq) {
            insert_sorted(&mut self.head, item);
        } else {
            self.load(tree)?;
            let older = self.older.get_or_insert_default();
            let later =
                older.partition_point(|chunk| chunk.first().is_none_or(|first| first <= item.seq));
            match older.get_mut(later.saturating_sub(1)) {
                Some(chunk) => {
                    insert_sorted(&mut chunk.items, item);
                    chunk.is_changed = true;
                    if chunk.items.len() > 2 * CHUNK {
                        let items = chunk.items.split_off(CHUNK);
                        let second = Chunk {
                            stored: None,
                            items,
                            is_changed: true,
                        };
                        older.insert(later.max(1), second);
                    }
                }
                None => insert_sorted(&mut self.head, item),
            }
        }
        while self.head.len() > CHUNK {
            let newest = self.head.split_off(CHUNK);
            let chunk = Chunk {
                stored: None,
                items: std::mem::replace(&mut self.head, newest),
                is_changed: true,
            };
            match &mut self.older {
                Some(older) => older.push(chunk),
                None => self.spilled.push(chunk),
            }
        }
        self.is_changed = true;
        Ok(())
    }

    /// Keeps the items that are wanted and counts anew.
    fn retain(
        &mut self,
        tree: &Tree,
        mut is_wanted: impl FnMut(&Item) -> bool,
    ) -> sled::Result<()> {
        self.load(tree)?;
        let user = self.user;
        let mut unnamed = Vec::new();
        for (items, is_changed) in self.parts() {
            let count = items.len();
            items.retain(|item| {
                let stays = is_wanted(item);
                if !stays {
                    unnamed.extend(name_of(user, item));
                }
                stays
            });
            *is_changed |= items.len() != count;
        }
        self.unnamed.append(&mut unnamed);
        let older = self.older.get_or_insert_default();
        // The head must not be empty while older items are there.
        if self.head.is_empty()
            && let Some(last) = older.iter_mut().rfind(|chunk| !chunk.items.is_empty())
        {
            self.head = std::mem::take(&mut last.items);
        }
        older.retain(|chunk| {
            if chunk.items.is_empty() {
                self.emptied.extend(chunk.stored);
            }
            !chunk.items.is_empty()
        });
        self.recount(tree)
    }

    /// Counts everything anew.
    fn recount(&mut self, tree: &Tree) -> sled::Result<()> {
        self.load(tree)?;
        let mut summary = Summary {
            total: 0,
            unread: 0,
            placeholders: 0,
            oldest: Timestamp::default(),
            ..self.summary
        };
        for item in self.parts().flat_map(|(items, _)| items) {
            match item.row {
                Row::Entry { entry, .. } => {
                    if summary.total == 0 || entry.at < summary.oldest {
                        summary.oldest = entry.at;
                    }
                    summary.total += 1;
                    summary.unread += u64::from(summary.is_unread(item));
                }
                Row::Gone | Row::ReadAhead => summary.placeholders += 1,
            }
        }
        self.summary = summary;
        self.is_changed = true;
        Ok(())
    }

    /// Reads the older items, once.
    fn load(&mut self, tree: &Tree) -> sled::Result<()> {
        if self.older.is_some() {
            return Ok(());
        }
        let mut older = Vec::new();
        let range = chunk_key(self.user, 0)..=chunk_key(self.user, u64::MAX);
        for pair in tree.range(range) {
            let (key, value) = pair?;
            older.push(Chunk {
                stored: Some(Stored {
                    seq: chunk_seq(&key).ok_or_else(corrupt)?,
                    digest: digest(&key, &value),
                }),
                items: items_from_bytes(&value).ok_or_else(corrupt)?,
                is_changed: false,
            });
        }
        older.append(&mut self.spilled);
        self.older = Some(older);
        Ok(())
    }

    /// All items in order, by parts, each with its mark of being changed.
    fn parts(&mut self) -> impl Iterator<Item = (&mut Vec<Item>, &mut bool)> {
        self.parts_from(false)
    }

    fn parts_from(
        &mut self,
        head_alone: bool,
    ) -> impl Iterator<Item = (&mut Vec<Item>, &mut bool)> {
        let older = if head_alone {
            None
        } else {
            self.older.as_mut()
        };
        older
            .into_iter()
            .flatten()
            .map(|chunk| (&mut chunk.items, &mut chunk.is_changed))
            .chain([(&mut self.head, &mut self.is_changed)])
    }
}

fn insert_sorted(items: &mut Vec<Item>, item: Item) {
    let place = items.partition_point(|other| other.seq < item.seq);
    items.insert(place, item);
}

/// The key of the mention that an item is made of, if it is.
fn name_of(user: UserId, item: &Item) -> Option<Vec<u8>> {
    match item.row {
        Row::Entry { entry, .. } if entry.story.is_mention() => {
            Some(name_key(&entry, user, item.seq))
        }
        _ => None,
    }
}

/// Marks an item, and keeps the counts; false when that changes nothing.
fn set_mark(item: &mut Item, mark: Mark, summary: &mut Summary) -> bool {
    match (item.row, mark) {
        (Row::Gone, _) | (Row::ReadAhead | Row::Entry { is_read: true, .. }, Mark::Read) => {
            return false;
        }
        (Row::Entry { entry, .. }, Mark::Read) => {
            summary.unread -= u64::from(summary.is_unread(item));
            item.row = Row::Entry {
                entry,
                is_read: true,
            };
        }
        (Row::Entry { .. }, Mark::Deleted) => {
            summary.unread -= u64::from(summary.is_unread(item));
            summary.total -= 1;
            summary.placeholders += 1;
            item.row = Row::Gone;
        }
        (Row::ReadAhead, Mark::Deleted) => item.row = Row::Gone,
    }
    true
}

/// A person's counts.
pub(super) fn read_summary(tree: &Tree, user: UserId) -> sled::Result<Summary> {
    tree.get(head_key(user))?
        .map_or(Ok(Summary::default()), |value| {
            summary_from_bytes(&value).ok_or_else(corrupt)
        })
}

/// A person's counts, and what `choose` makes of their items below `below`, newest first, at most `limit`.
pub(super) fn read_items<T>(
    tree: &Tree,
    user: UserId,
    below: u64,
    limit: usize,
    choose: impl Fn(&Summary, Item) -> Option<T>,
) -> sled::Result<Vec<T>> {
    let Some(value) = tree.get(head_key(user))? else {
        return Ok(Vec::new());
    };
    let (summary, head) = head_from_bytes(&value).ok_or_else(corrupt)?;
    let mut chosen = Vec::new();
    let range = chunk_key(user, 0)..chunk_key(user, below);
    let mut chunks = tree.range(range).values().rev();
    let mut items = head;
    // What a writer moves meanwhile may be met twice: only what is older than the last one counts.
    let mut below = below;
    loop {
        for item in items.into_iter().rev() {
            if item.seq >= below {
                continue;
            }
            below = item.seq;
            chosen.extend(choose(&summary, item));
            if chosen.len() >= limit {
                return Ok(chosen);
            }
        }
        let Some(value) = chunks.next().transpose()? else {
            return Ok(chosen);
        };
        items = items_from_bytes(&value).ok_or_else(corrupt)?;
    }
}

/// What sled itself says of bytes that cannot be what was written.
pub(super) fn corrupt() -> sled::Error {
    sled::Error::Corruption { at: None, bt: () }
}

#[cfg(test)]
mod tests;
