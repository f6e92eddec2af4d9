//! The indexes in their directory: the one that is searched, and the one that is being made to take its place.
//!
//! `current.json` says which subdirectory is the index, and in what form; it is written when that one is complete. What
//! else lies there is of no use. An index that cannot be opened, that is damaged or of another form is put away, and a
//! new one made from the rows; until it is complete it is searched as far as it has come. One that is made anew although
//! the old one is sound takes its place when it is complete; until then both are written, so that what happens meanwhile
//! is found.
//!
//! Who searches never waits here: what is searched, and whether it is all, is published.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::index::{Advance, Change, Entry, Generation, View};
use super::schema::FORMAT;
use super::stale::{Position, Stale};
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Kind, Result};

const CURRENT: &str = "current.json";

/// After so many failures in a row an index is made anew.
const MAX_FAILURES: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Current {
    format: u32,
    dir: String,
}

/// What is there of indexes.
#[derive(Default)]
struct State {
    is_opened: bool,
    /// Searched and written.
    live: Option<Generation>,
    /// Being made: written as well, and searched where there is no other.
    next: Option<Generation>,
    /// Another one is to be made.
    is_unwanted: bool,
    /// The newest number of a directory.
    number: u64,
    /// Failures in a row, but for want of room.
    failures: u32,
}

impl State {
    /// The one that is searched. It has come no further than the other.
    fn shown(&self) -> Option<&Generation> {
        self.live.as_ref().or(self.next.as_ref())
    }

    fn shown_mut(&mut self) -> Option<&mut Generation> {
        self.live.as_mut().or(self.next.as_mut())
    }

    /// The one that is being made, if it is this one.
    fn being_made(&mut self, number: u64) -> Result<&mut Generation> {
        let next = self.next.as_mut().filter(|next| next.number == number);
        next.ok_or(Code::Repairing.into())
    }
}

/// All indexes.
pub(super) struct Shelf {
    dir: PathBuf,
    heap_bytes: usize,
    guard: DiskGuard,
    stale: Stale,
    state: Mutex<State>,
    view: RwLock<Option<Arc<View>>>,
    is_rebuilding: AtomicBool,
}

impl Shelf {
    pub(super) fn new(dir: PathBuf, heap_bytes: usize, guard: DiskGuard, stale: Stale) -> Self {
        Self {
            dir,
            heap_bytes,
            guard,
            stale,
            state: Mutex::default(),
            view: RwLock::default(),
            is_rebuilding: AtomicBool::new(true),
        }
    }

    /// What is searched now; none while there is nothing, or nothing to trust.
    pub(super) fn view(&self) -> Option<Arc<View>> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether an index is being made.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.is_rebuilding.load(Ordering::Acquire)
    }

    /// Opens the index, unless that was done before; whether it was not. Blocks.
    pub(super) fn open_once(&self, newest: Position) -> bool {
        let mut state = self.state();
        if state.is_opened {
            return false;
        }
        state.is_opened = true;
        self.open(&mut state, newest);
        self.publish(&state);
        true
    }

    /// How far what is written has come; none when an index has to be made. Blocks.
    pub(super) fn position(&self) -> Option<Position> {
        let state = self.state();
        if state.is_unwanted {
            return None;
        }
        state.shown().map(|generation| generation.written)
    }

    fn open(&self, state: &mut State, newest: Position) {
        let found = match self.find_current() {
            Ok(found) => found,
            Err(reason) => {
                warn!("The search index is made anew: {reason}");
                None
            }
        };
        state.number = self.clear_away(found);
        let Some(number) = found else { return };
        match Generation::open(&self.dir, number, self.heap_bytes, newest) {
            Ok(opened) if newest.has_reached(opened.written) => state.live = Some(opened),
            Ok(opened) => {
                warn!("The search index is made anew: it is ahead of the database");
                put_away(opened);
            }
            Err(error) => {
                warn!(error = %error, "The search index is made anew: it cannot be opened");
                remove(&self.dir.join(number.to_string()));
            }
        }
    }

    fn find_current(&self) -> Result<Option<u64>, String> {
        let text = match std::fs::read_to_string(self.dir.join(CURRENT)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let current: Current = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if current.format != FORMAT {
            return Err(format!("it has format {}, not {FORMAT}", current.format));
        }
        let number = current.dir.parse();
        number
            .map(Some)
            .map_err(|_no_number| "it is nowhere".to_owned())
    }

    /// Removes the directories but this one; returns the greatest number among all.
    fn clear_away(&self, keep: Option<u64>) -> u64 {
        let mut greatest = 0;
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return 0;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| *name != CURRENT) else {
                continue;
            };
            let number = name.parse().ok();
            greatest = greatest.max(number.unwrap_or(0));
            if number.is_none() || number != keep {
                remove(&entry.path());
            }
        }
        greatest
    }

    /// Another index is to be made, unless that goes on already: at once instead of this one where it is not to be
    /// trusted. Blocks.
    pub(super) fn discard(&self, is_damaged: bool) {
        let mut state = self.state();
        state.is_unwanted = state.next.is_none();
        if is_damaged {
            state.live.take().into_iter().for_each(put_away);
        }
        self.publish(&state);
    }

    /// Begins a new index that is to have what is written from this position on, and gives up the one that was being made;
    /// its number. One that is searched is of no use to who can tell it no more than what came after `told`, unless it has
    /// come there. Blocks.
    pub(super) fn begin(&self, position: Position, told: u64) -> Result<u64> {
        self.guard.check()?;
        let mut state = self.state();
        state.next.take().into_iter().for_each(put_away);
        if let Some(cut_off) = state.live.take_if(|live| live.written.log < told) {
            put_away(cut_off);
        }
        self.publish(&state);
        state.number += 1;
        make_private(&self.dir)?;
        let number = state.number;
        let dir = self.dir.join(number.to_string());
        remove(&dir);
        let next = Generation::create(&self.dir, number, self.heap_bytes, position)
            .inspect_err(|_failed| remove(&dir))?;
        state.next = Some(next);
        state.is_unwanted = false;
        self.publish(&state);
        Ok(number)
    }

    /// Another index is to be made instead of the one of this number that is being made. Blocks.
    pub(super) fn give_up(&self, number: u64) {
        let mut state = self.state();
        if state.being_made(number).is_ok() {
            state.next.take().into_iter().for_each(put_away);
            state.is_unwanted = true;
            self.publish(&state);
        }
    }

    /// Writes to what is searched, and to what is being made. Blocks.
    ///
    /// Errors: `repairing` where there is nothing to write to, or it does not go on from where it is.
    pub(super) fn write(&self, changes: Vec<Change>, advance: Advance) -> Result<()> {
        self.guard.check()?;
        let mut state = self.state();
        let has_live = state.live.is_some();
        if let Some(next) = state.next.as_mut().filter(|_| has_live)
            && let Err(error) = next.write(changes.clone())
        {
            self.lose_next(&mut state, &error);
        }
        let shown = state.shown_mut().ok_or(Code::Repairing)?;
        if let Err(error) = shown.write(changes) {
            self.failed(&mut state, &error);
            return Err(error);
        }
        let has_advanced = shown.advance(advance);
        // Where nothing was changed, what is searched has come as far already.
        let is_current = !shown.needs_commit();
        if !has_advanced {
            return Err(Error::new(Code::Repairing));
        }
        if let Some(next) = state.next.as_mut().filter(|_| has_live) {
            // It was begun at the newest there was, and so is never behind.
            next.advance(advance);
        }
        if is_current {
            self.publish(&state);
        }
        Ok(())
    }

    /// Adds to the index of this number, which is being made, what it has not yet. Blocks.
    ///
    /// Errors: `repairing` where it is no longer being made.
    pub(super) fn fill(&self, number: u64, entries: Vec<Entry>) -> Result<()> {
        self.guard.check()?;
        let mut state = self.state();
        if let Err(error) = state.being_made(number)?.fill(entries) {
            self.lose_next(&mut state, &error);
            return Err(error);
        }
        Ok(())
    }

    /// The index that was being made cannot be written: what was filled in is lost in part, and nobody knows which.
    fn lose_next(&self, state: &mut State, error: &Error) {
        warn!(error = %error, causes = error.causes(), "The new search index cannot be written and is given up");
        state.next.take().into_iter().for_each(put_away);
        state.is_unwanted = true;
        self.publish(state);
    }

    /// Goes back to where what is searched was sound; begins anew where that is of no use.
    fn failed(&self, state: &mut State, error: &Error) {
        if error.kind() != Kind::StorageFull {
            state.failures += 1;
        }
        let Some(live) = &mut state.live else {
            return self.lose_next(state, error);
        };
        if live.roll_back().is_err() || state.failures >= MAX_FAILURES {
            warn!(error = %error, causes = error.causes(), "The search index cannot be written and is made anew");
            state.live.take().into_iter().for_each(put_away);
            state.is_unwanted = state.next.is_none();
            state.failures = 0;
        }
        self.publish(state);
    }

    /// Whether a post or a comment on it is indexed for others than these. Blocks.
    pub(super) fn has_otherwise(&self, post: i64, visibility: i64) -> bool {
        let state = self.state();
        let all = [&state.live, &state.next];
        let mut all = all.into_iter().flatten();
        all.any(|generation| generation.has_otherwise(post, visibility))
    }

    /// Commits what is written, so that it is searched; whether there was something. What is being made beside it, nobody
    /// needs to see. Blocks.
    pub(super) fn commit(&self) -> Result<bool> {
        let mut state = self.state();
        if !state.shown().is_some_and(Generation::needs_commit) {
            return Ok(false);
        }
        self.commit_shown(&mut state)?;
        Ok(true)
    }

    fn commit_shown(&self, state: &mut State) -> Result<()> {
        self.guard.check()?;
        let Some(shown) = state.shown_mut() else {
            return Ok(());
        };
        if let Err(error) = shown.commit() {
            self.failed(state, &error);
            return Err(error);
        }
        state.failures = 0;
        self.publish(state);
        Ok(())
    }

    /// The index of this number is complete, from rows that have come as far as `newest`, and takes the place of the other.
    /// Blocks.
    ///
    /// Errors: `repairing` where it is no longer being made.
    pub(super) fn finish(&self, number: u64, newest: Position) -> Result<()> {
        self.guard.check()?;
        let mut state = self.state();
        let next = state.being_made(number)?;
        next.end_filling(newest);
        let done = next
            .commit()
            .and_then(|()| self.name_current(number).map_err(Error::internal));
        if let Err(error) = done {
            self.lose_next(&mut state, &error);
            return Err(error);
        }
        let next = state.next.take();
        let old = std::mem::replace(&mut state.live, next);
        state.failures = 0;
        self.publish(&state);
        old.into_iter().for_each(put_away);
        info!("The search index is complete");
        Ok(())
    }

    fn name_current(&self, number: u64) -> std::io::Result<()> {
        use std::io::Write;
        let current = Current {
            format: FORMAT,
            dir: number.to_string(),
        };
        let text = serde_json::to_string(&current)?;
        let draft = self.dir.join("current.new");
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, self.dir.join(CURRENT))?;
        std::fs::File::open(&self.dir)?.sync_all()
    }

    /// The index whose files can be checked.
    pub(super) fn checkable(&self) -> Option<tantivy::Index> {
        self.state().live.as_ref().map(Generation::index)
    }

    /// Commits what is written and closes the files. Blocks.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if let Err(error) = self.commit_shown(&mut state) {
            warn!(error = %error, causes = error.causes(), "The search index could not be written to the end; what is missing comes again");
        }
        let closed = std::mem::replace(
            &mut *state,
            State {
                is_opened: true,
                ..State::default()
            },
        );
        self.publish(&state);
        drop(state);
        for generation in closed.live.into_iter().chain(closed.next) {
            generation.close();
        }
    }

    /// Lets others search what there is now.
    fn publish(&self, state: &State) {
        let view = state.shown().map(|generation| Arc::new(generation.view()));
        let position = view.as_ref().map(|view| view.position);
        let is_rebuilding = state.next.is_some() || state.live.is_none() || state.is_unwanted;
        self.is_rebuilding.store(is_rebuilding, Ordering::Release);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        if let Some(position) = position {
            self.stale.forget(position);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes an index and takes it off the disk.
fn put_away(generation: Generation) {
    let dir = generation.dir().to_owned();
    generation.close();
    remove(&dir);
}

fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::internal)
}

fn remove(path: &Path) {
    let gone = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    if let Err(error) = gone
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn!(error = %error, "{} could not be removed", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Doc, Kind as Thing};
    use super::*;

    fn shelf(dir: &Path) -> Shelf {
        let guard = DiskGuard::new(dir, 1);
        let shelf = Shelf::new(dir.join("search"), 0, guard, Stale::default());
        assert!(shelf.open_once(Position::default()));
        shelf
    }

    fn post(id: i64) -> Entry {
        Entry::from(&Doc {
            kind: Thing::Post,
            id,
            author: 1,
            at: id,
            texts: vec!["word".to_owned()],
            tags: Vec::new(),
            has_media: false,
            post: Some((id, 1, 0)),
            room: None,
            first_touch: None,
        })
    }

    fn put(id: i64) -> Vec<Change> {
        vec![Change::Put(Box::new(post(id)))]
    }

    fn log(after: u64, through: u64) -> Advance {
        Advance::Log { after, through }
    }

    fn finish(shelf: &Shelf, number: u64) -> Result<()> {
        shelf.finish(number, Position::default())
    }

    fn found(shelf: &Shelf) -> u64 {
        shelf.view().map_or(0, |view| view.searcher.num_docs())
    }

    fn directories(shelf: &Shelf) -> usize {
        let entries = std::fs::read_dir(&shelf.dir).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }

    #[test]
    fn an_index_that_was_given_up_is_neither_filled_nor_finished() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path());
        let first = shelf.begin(Position::default(), 0).unwrap();
        shelf.fill(first, vec![post(1), post(2)]).unwrap();
        let second = shelf.begin(Position::default(), 0).unwrap();
        for refused in [shelf.fill(first, vec![post(1)]), finish(&shelf, first)] {
            assert_eq!(refused.unwrap_err().code(), Code::Repairing);
        }
        // Nor does its end make it the present one's.
        shelf.give_up(first);
        assert!(shelf.is_rebuilding());
        shelf.fill(second, vec![post(1), post(2), post(3)]).unwrap();
        finish(&shelf, second).unwrap();
        assert_eq!((found(&shelf), directories(&shelf)), (3, 1));
        assert!(!shelf.is_rebuilding());
        assert!(finish(&shelf, second).is_err());
    }

    #[test]
    fn both_indexes_are_written_while_one_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path());
        let first = shelf.begin(Position::default(), 0).unwrap();
        finish(&shelf, first).unwrap();
        // The log has come to 5, and tells on from 0.
        let at = Position {
            log: 5,
            messages: 0,
        };
        let second = shelf.begin(at, 0).unwrap();
        shelf.write(put(1), log(0, 5)).unwrap();
        shelf.write(put(2), log(5, 7)).unwrap();
        assert!(shelf.commit().unwrap());
        assert_eq!((found(&shelf), shelf.position().unwrap().log), (2, 7));
        shelf.fill(second, vec![post(1), post(2), post(3)]).unwrap();
        finish(&shelf, second).unwrap();
        assert_eq!((found(&shelf), shelf.position().unwrap().log), (3, 7));
        // Who goes back is given all of it again.
        shelf.write(Vec::new(), log(7, 2)).unwrap();
        assert_eq!(shelf.position().unwrap().log, 2);
        assert!(shelf.write(put(4), log(3, 4)).is_err());
    }

    #[test]
    fn an_index_that_cannot_be_made_leaves_the_sound_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path());
        let first = shelf.begin(Position::default(), 0).unwrap();
        shelf.fill(first, vec![post(1)]).unwrap();
        finish(&shelf, first).unwrap();
        let second = shelf.begin(Position::default(), 0).unwrap();
        shelf.fill(second, vec![post(1), post(2)]).unwrap();
        // Its files come one by one.
        let dir = shelf.dir.join(second.to_string());
        while std::fs::remove_dir_all(&dir).is_err() {}
        assert!(finish(&shelf, second).is_err());
        assert_eq!((found(&shelf), directories(&shelf)), (1, 1));
        // Another one is asked for; until then nothing is filled into the one that is there.
        assert!(shelf.position().is_none() && shelf.is_rebuilding());
        assert!(shelf.fill(second, vec![post(2)]).is_err());
        let third = shelf.begin(Position::default(), 0).unwrap();
        shelf.fill(third, vec![post(1), post(2)]).unwrap();
        finish(&shelf, third).unwrap();
        assert_eq!((found(&shelf), directories(&shelf)), (2, 1));
    }

    #[test]
    fn an_index_that_the_log_cannot_bring_up_to_date_is_put_away() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = shelf(dir.path());
        let first = shelf.begin(Position::default(), 0).unwrap();
        finish(&shelf, first).unwrap();
        let at = Position {
            log: 9,
            messages: 0,
        };
        let second = shelf.begin(at, 4).unwrap();
        assert_eq!(shelf.position().unwrap().log, 9);
        assert_eq!(directories(&shelf), 1);
        finish(&shelf, second).unwrap();
        assert!(!shelf.is_rebuilding());
    }
}
