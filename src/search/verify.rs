//! Comparing the index with the rows, while it serves: every file by its checksum, every thing by its digest. What is
//! missing, other than it is, or there although it should not be, is put right.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing::{info, warn};

use super::index::{self, Change, Entry};
use super::schema::{Kind, column};
use super::{Search, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::tasks::blocking_in_turn;

/// Rows compared in one go.
const PAGE: u32 = 500;
/// Faults that are put right; where there are more, the index is made anew.
const MAX_FAULTS: usize = 10_000;
/// How long the index may take to come to where the rows are.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked whether it has.
const STEP: Duration = Duration::from_millis(20);

/// A comparison of the index with the database.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// When it began.
    pub begun_at: Timestamp,
    /// What it found; null while it goes on.
    #[schema(required)]
    pub result: Option<Verified>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Things that were compared.
    pub checked: u64,
    /// Those that were not in the index.
    pub missing: u64,
    /// Those that were otherwise.
    pub outdated: u64,
    /// Those that should not have been there.
    pub surplus: u64,
    /// Files that are not as they were written; then the index is made anew.
    pub damaged_files: Vec<String>,
    /// Why it could not be ended; null when it could.
    #[schema(required)]
    pub error: Option<String>,
}

/// Things that are not as they should be.
type Faults = BTreeSet<(Kind, i64)>;

impl Search {
    /// Begins a comparison with the rows; [`status`](Self::status) says what it found. Errors: `repairing` while an index
    /// is being made, or another comparison goes on.
    pub fn verify(&self) -> Result<()> {
        let begun_at = self.inner.clock.now();
        {
            let mut last = self
                .inner
                .verification
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let goes_on = last.as_ref().is_some_and(|last| last.result.is_none());
            if goes_on || self.is_rebuilding() {
                return Err(Error::new(Code::Repairing));
            }
            *last = Some(Verification {
                begun_at,
                result: None,
            });
        }
        let (search, stopping) = (self.clone(), self.inner.tasks.stopping().clone());
        self.inner.tasks.spawn("search-verification", async move {
            let result = tokio::select! {
                () = stopping.cancelled() => return,
                result = search.compare() => result,
            };
            let result = result.unwrap_or_else(|error| Verified {
                error: Some(error.to_string()),
                ..Verified::default()
            });
            info!(
                search.missing = result.missing,
                search.outdated = result.outdated,
                search.surplus = result.surplus,
                "The search index was compared with the database: {} things",
                result.checked
            );
            *search
                .inner
                .verification
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(Verification {
                begun_at,
                result: Some(result),
            });
        });
        Ok(())
    }

    pub(super) fn verification(&self) -> Option<Verification> {
        self.inner
            .verification
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn compare(&self) -> Result<Verified> {
        let mut found = Verified {
            damaged_files: self.check_files().await?,
            ..Verified::default()
        };
        if !found.damaged_files.is_empty() {
            return Ok(found);
        }
        self.caught_up().await?;
        let mut faults = Faults::new();
        for kind in Kind::ALL {
            found.checked += self.find_faults(kind, &mut faults).await?;
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        if faults.len() >= MAX_FAULTS {
            self.discard(true).await?;
            found.missing = faults.len() as u64;
            return Ok(found);
        }
        // What changed in between looks like a fault: so once more, when the index has come to the same.
        self.caught_up().await?;
        let _turn = self.inner.turn.lock().await;
        for kind in Kind::ALL {
            let ids: Vec<i64> = faults
                .iter()
                .filter(|(of, _)| *of == kind)
                .map(|(_, id)| *id)
                .collect();
            for some in ids.chunks(PAGE as usize) {
                self.put_right(kind, some.to_vec(), &mut found).await?;
            }
        }
        self.inner.committing.notify_one();
        Ok(found)
    }

    /// The files that are not as they were written; when there are some, the index is made anew.
    pub(super) async fn check_files(&self) -> Result<Vec<String>> {
        let inner = Arc::clone(&self.inner);
        let damaged = blocking_in_turn(move || {
            let index = inner.shelf.checkable();
            Ok(index.map_or_else(Vec::new, |index| index::damaged_files(&index)))
        })
        .await?;
        if !damaged.is_empty() {
            warn!(
                "The search index is damaged and is made anew: {}",
                damaged.join(", ")
            );
            self.discard(true).await?;
        }
        Ok(damaged)
    }

    /// Waits until all that is committed now can be found; false when that takes longer than `patience`.
    pub async fn settle(&self, patience: Duration) -> bool {
        let reached = async {
            let due = self.inner.store.read(sql::newest).await.ok()?;
            loop {
                let view = self.inner.shelf.view();
                if !self.is_rebuilding() && view.is_some_and(|view| view.position.has_reached(due))
                {
                    return Some(());
                }
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(patience, reached)
            .await
            .is_ok_and(|reached| reached.is_some())
    }

    async fn caught_up(&self) -> Result<()> {
        if self.settle(PATIENCE).await {
            Ok(())
        } else {
            Err(Error::new(Code::Repairing))
        }
    }

    /// Compares all things of a kind; how many there are.
    async fn find_faults(&self, kind: Kind, faults: &mut Faults) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let indexed = blocking_in_turn(move || {
            let view = inner.shelf.view().ok_or(Code::Repairing)?;
            let mut ids = index::ids(&view.searcher, kind).map_err(Error::internal)?;
            ids.sort_unstable();
            Ok(ids)
        })
        .await?;
        let mut indexed = indexed.into_iter().peekable();
        let (mut after, mut checked) = (0, 0);
        loop {
            let docs = self
                .inner
                .store
                .read(move |tx| sql::after(tx, kind, after, PAGE))
                .await?;
            let Some(last) = docs.last() else { break };
            after = last.id;
            checked += docs.len() as u64;
            for doc in &docs {
                // What is in the index and not among the rows, and what is there twice.
                while faults.len() < MAX_FAULTS
                    && let Some(id) = indexed.next_if(|id| *id < doc.id)
                {
                    faults.insert((kind, id));
                }
                indexed.next_if_eq(&doc.id);
                while indexed.next_if_eq(&doc.id).is_some() {
                    faults.insert((kind, doc.id));
                }
            }
            let inner = Arc::clone(&self.inner);
            let other = blocking_in_turn(move || {
                let view = inner.shelf.view().ok_or(Code::Repairing)?;
                let mut other = Vec::new();
                for doc in docs {
                    if digests_of(&view, kind, doc.id)? != [doc.digest()] {
                        other.push(doc.id);
                    }
                }
                Ok(other)
            })
            .await?;
            faults.extend(other.into_iter().map(|id| (kind, id)));
            if faults.len() >= MAX_FAULTS {
                return Ok(checked);
            }
        }
        let room = MAX_FAULTS.saturating_sub(faults.len());
        faults.extend(indexed.take(room).map(|id| (kind, id)));
        Ok(checked)
    }

    /// Looks once more at what seemed wrong, and puts right what is.
    async fn put_right(&self, kind: Kind, ids: Vec<i64>, found: &mut Verified) -> Result<()> {
        let wanted = ids.clone();
        let docs = self
            .inner
            .store
            .read(move |tx| sql::of_ids(tx, kind, &wanted))
            .await?;
        let inner = Arc::clone(&self.inner);
        let (changes, counted) = blocking_in_turn(move || {
            let view = inner.shelf.view().ok_or(Code::Repairing)?;
            let mut counted = Verified::default();
            let mut changes = Vec::new();
            let there: BTreeSet<i64> = docs.iter().map(|doc| doc.id).collect();
            for doc in docs {
                match digests_of(&view, kind, doc.id)?.as_slice() {
                    [digest] if *digest == doc.digest() => continue,
                    [] => counted.missing += 1,
                    _ => counted.outdated += 1,
                }
                changes.push(Change::Put(Box::new(Entry::from(&doc))));
            }
            for id in ids.iter().filter(|id| !there.contains(id)) {
                if !digests_of(&view, kind, *id)?.is_empty() {
                    counted.surplus += 1;
                    changes.push(Change::Remove(kind, *id));
                }
            }
            Ok((changes, counted))
        })
        .await?;
        found.missing += counted.missing;
        found.outdated += counted.outdated;
        found.surplus += counted.surplus;
        self.write(move || changes).await
    }
}

/// What the index has of one thing: once, unless something went wrong.
fn digests_of(view: &index::View, kind: Kind, id: i64) -> Result<Vec<i64>> {
    index::column_of(&view.searcher, kind, id, column::DIGEST).map_err(Error::internal)
}
