//! The state of all notifications, read, changed and written as a whole.
//!
//! A [`Ledger`] gathers changes in memory, over what the tree holds, and writes them in one atomic batch. Whatever the
//! order in which events, marks and replays come, the same set of them gives the same state.

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use sled::Tree;

use super::Change;
use super::changes::Changes;
use super::entry::{Entry, Object, POSITION, name_key, name_user, to_seq};
use super::reading::id;
use super::shelf::{Shelf, corrupt};
use crate::clock::Timestamp;
use crate::event::Mark;
use crate::id::{NotificationId, UserId};

pub(super) struct Ledger<'t> {
    tree: &'t Tree,
    /// Entries kept for one person.
    keep: u64,
    position: Option<u64>,
    shelves: HashMap<UserId, Shelf>,
    /// Keys of new mentions.
    named: BTreeSet<Vec<u8>>,
    /// What people are told just now.
    new: HashMap<UserId, Vec<NotificationId>>,
}

impl<'t> Ledger<'t> {
    pub(super) fn new(tree: &'t Tree, keep: u64) -> Self {
        Self {
            tree,
            keep,
            position: None,
            shelves: HashMap::new(),
            named: BTreeSet::new(),
            new: HashMap::new(),
        }
    }

    /// Writes everything at once. People with more than is kept lose their oldest.
    pub(super) fn write(mut self) -> sled::Result<Vec<Change>> {
        let mut changes = Changes::default();
        // Before the shelves, which may have lost them again.
        for key in self.named {
            changes.put(key, Vec::new(), 0);
        }
        for shelf in self.shelves.values_mut() {
            shelf.thin_out(self.tree, self.keep)?;
            shelf.write(&mut changes);
        }
        if let Some(position) = self.position {
            changes.set_position(position);
        }
        changes.apply(self.tree)?;
        let mut new = self.new;
        Ok(self
            .shelves
            .into_keys()
            .map(|user_id| Change {
                user_id,
                new: new.remove(&user_id).unwrap_or_default(),
            })
            .collect())
    }

    /// The consumer's position before anything is written.
    pub(super) fn position(&self) -> sled::Result<Option<u64>> {
        read_position(self.tree)
    }

    /// Moves the consumer's position.
    pub(super) fn set_position(&mut self, seq: u64) {
        self.position = Some(seq);
    }

    /// Tells `user` of event `seq`, which happened just now, unless that was done before.
    pub(super) fn tell(&mut self, user: UserId, seq: u64, entry: Entry) -> sled::Result<()> {
        if self.add(user, seq, entry)? {
            self.new.entry(user).or_default().push(id(seq).into());
        }
        Ok(())
    }

    /// Tells `user` of event `seq`, unless that was done before, which is false.
    pub(super) fn add(&mut self, user: UserId, seq: u64, entry: Entry) -> sled::Result<bool> {
        let tree = self.tree;
        let is_new = self.shelf(user)?.add(tree, seq, entry)?;
        if is_new && entry.story.is_mention() {
            self.named.insert(name_key(&entry, user, seq));
        }
        Ok(is_new)
    }

    /// The people named in a post or a comment, by what the keys of these mentions begin with.
    pub(super) fn named(&self, prefix: &[u8]) -> sled::Result<Vec<UserId>> {
        let mut people = read_named(self.tree, prefix)?;
        let fresh = (Bound::Included(prefix), Bound::Unbounded);
        let fresh = self
            .named
            .range::<[u8], _>(fresh)
            .take_while(|key| key.starts_with(prefix));
        people.extend(fresh.filter_map(|key| name_user(key)));
        Ok(people)
    }

    /// Marks one notification; one that is not there yet will be when it comes.
    pub(super) fn mark(&mut self, user: UserId, seq: u64, mark: Mark) -> sled::Result<()> {
        let tree = self.tree;
        self.shelf(user)?.mark(tree, seq, mark)
    }

    /// Marks everything up to `through`.
    pub(super) fn mark_all(&mut self, user: UserId, through: u64, mark: Mark) -> sled::Result<()> {
        let tree = self.tree;
        self.shelf(user)?.mark_all(tree, through, mark)
    }

    /// Takes away what a person was told about something that went with event `gone_at`.
    pub(super) fn remove(
        &mut self,
        user: UserId,
        object: Object,
        gone_at: u64,
    ) -> sled::Result<()> {
        let tree = self.tree;
        self.shelf(user)?.remove(tree, object, gone_at)
    }

    /// Takes away what is older than `before`.
    pub(super) fn age(&mut self, user: UserId, before: Timestamp) -> sled::Result<()> {
        let tree = self.tree;
        self.shelf(user)?.age(tree, before)
    }

    fn shelf(&mut self, user: UserId) -> sled::Result<&mut Shelf> {
        Ok(match self.shelves.entry(user) {
            Place::Occupied(shelf) => shelf.into_mut(),
            Place::Vacant(place) => place.insert(Shelf::read(self.tree, user)?),
        })
    }
}

/// The people whom the tree knows to be named under this prefix.
pub(super) fn read_named(tree: &Tree, prefix: &[u8]) -> sled::Result<Vec<UserId>> {
    let mut people = Vec::new();
    for key in tree.scan_prefix(prefix).keys() {
        people.push(name_user(&key?).ok_or_else(corrupt)?);
    }
    Ok(people)
}

pub(super) fn read_position(tree: &Tree) -> sled::Result<Option<u64>> {
    let value = tree.get(POSITION)?;
    value
        .map(|value| to_seq(&value).ok_or_else(corrupt))
        .transpose()
}
