//! What may be done inside a transaction.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::{self, Event};

use super::cache::{CachedRow, View};
use super::writer::Committed;

/// A snapshot to read from. Statements are prepared once per connection, so their text should be constant.
pub struct ReadTx<'c> {
    connection: &'c Connection,
    cache: Option<View<'c>>,
}

impl<'c> ReadTx<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            cache: None,
        }
    }

    /// The snapshot has to begin after `cache` was made.
    pub(super) fn cached(connection: &'c Connection, cache: View<'c>) -> Self {
        Self {
            connection,
            cache: Some(cache),
        }
    }

    /// Those of these rows that are there, by id; from memory where they are. Such a row may be newer than the snapshot,
    /// never older.
    pub fn rows<T: CachedRow>(&self, ids: &[i64]) -> Result<HashMap<i64, Arc<T>>> {
        let Some(cache) = &self.cache else {
            let rows = T::read(self, ids)?.into_iter();
            return Ok(rows.map(|(id, row)| (id, Arc::new(row))).collect());
        };
        let mut rows = HashMap::with_capacity(ids.len());
        cache.rows(self, ids, |id, row| {
            rows.insert(id, row);
        })?;
        Ok(rows)
    }

    /// One of [`rows`](Self::rows).
    pub fn row<T: CachedRow>(&self, id: i64) -> Result<Option<Arc<T>>> {
        Ok(self.rows(&[id])?.remove(&id))
    }

    /// The one row that must be there.
    pub fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(params, map)?)
    }

    /// The row, if there is one.
    pub fn optional<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(params, map)
            .optional()?)
    }

    /// All rows; the statement bounds their number.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether there is such a row.
    pub fn exists(&self, sql: &str, params: impl Params) -> Result<bool> {
        Ok(self.connection.prepare_cached(sql)?.exists(params)?)
    }
}

/// A [`ReadTx`] that may also write; exists only while a command is applied.
pub struct WriteTx<'c> {
    read: ReadTx<'c>,
    emitted: RefCell<Vec<Committed>>,
}

impl<'c> Deref for WriteTx<'c> {
    type Target = ReadTx<'c>;
    fn deref(&self) -> &ReadTx<'c> {
        &self.read
    }
}

impl<'c> WriteTx<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            read: ReadTx::new(connection),
            emitted: RefCell::default(),
        }
    }

    /// Changes rows; returns how many.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// Announces a fact that this transaction makes true, and returns its sequence in the log. The only way to do so:
    /// event and data cannot part.
    pub fn emit(&self, at: Timestamp, event: Event) -> Result<u64> {
        let envelope = event::to_envelope(at, &event).map_err(Error::internal)?;
        self.execute(
            "INSERT INTO outbox (topic, key, at, envelope)
             VALUES (:topic, :key, :at, :envelope)",
            named_params! {
                ":topic": event.topic().as_str(), ":key": event.key(), ":at": at, ":envelope": envelope,
            },
        )?;
        let seq = u64::try_from(self.connection.last_insert_rowid()).map_err(Error::internal)?;
        self.emitted.borrow_mut().push(Committed {
            seq: Some(seq),
            event,
        });
        Ok(seq)
    }

    /// Tells those in this process who [observe](super::Store::observe) commits, and no log: for what nobody needs to
    /// know later, because the rows say it.
    pub fn signal(&self, event: Event) {
        self.emitted
            .borrow_mut()
            .push(Committed { seq: None, event });
    }

    /// How many events were emitted so far; with [`forget_after`](Self::forget_after), a savepoint for them.
    pub(super) fn emitted_count(&self) -> usize {
        self.emitted.borrow().len()
    }

    /// Takes back the events of a command that was undone.
    pub(super) fn forget_after(&self, count: usize) {
        self.emitted.borrow_mut().truncate(count);
    }

    pub(super) fn into_emitted(self) -> Vec<Committed> {
        self.emitted.into_inner()
    }
}
