//! Rows in memory: each one what the database has, for whoever reads it.
//!
//! Nobody has to say what changed. SQLite itself names each row that the writer touches (its update hook), and from that
//! moment the copies of that row count no more.
//!
//! A copy is as old as the snapshot that it was read from. So the cache counts commits: a reader notes the count before its
//! snapshot begins, and what it puts here is stamped with it. A row that was touched on the way to commit `n` is taken from
//! here only
//!
//! * when the copy's stamp is `n` or more, so a reader that read the old row, and puts it here after the new one was
//!   committed, spoils nothing;
//! * when the reader's own stamp is `n` or more, so that its snapshot has that commit as well. For others, and while the
//!   commit is under way, the row comes from the snapshot.
//!
//! Thus what is taken from here is what the snapshot has, neither older nor newer, and nobody waits for anybody.
//!
//! While a command is applied nothing is taken from here: the rows may be such as nobody else sees yet.
//!
//! Readers are as many as cores, so no more than that read the same row at the same time; they need no turns.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{counter, gauge};
use rusqlite::{Connection, named_params};

use super::{ReadTx, Registry};
use crate::error::Result;

/// Counts of commits for the rows of a table: each stands for those whose id falls on it. Two rows that share one are read
/// anew together, which costs no more than that.
const SLOTS: usize = 16_384;
/// What a copy takes beside itself, in bytes.
const OVERHEAD: usize = 128;

/// A row that may be kept in memory: all of it is of one row of its table, or changes only together with that row.
pub trait CachedRow: Send + Sync + 'static {
    /// Its table. SQLite has to name all that happens to its rows, so: its ids are row ids (`INTEGER PRIMARY KEY`, not
    /// `WITHOUT ROWID`) and never change; no `REPLACE` takes the place of a row; a `DELETE` has a `WHERE`.
    const TABLE: &'static str;

    /// Those of these rows that are there, with their ids: one statement.
    fn read(tx: &ReadTx<'_>, ids: &[i64]) -> Result<Vec<(i64, Self)>>
    where
        Self: Sized;

    /// What it takes, in bytes, beside the size of its type.
    fn heap_bytes(&self) -> usize;
}

/// A row in memory.
#[derive(Clone)]
struct Copied {
    /// Commits that the snapshot had at least.
    stamp: u64,
    bytes: u32,
    row: Arc<dyn Any + Send + Sync>,
}

/// One table's.
struct Table {
    name: &'static str,
    /// The commit by which a row of the slot was touched last.
    touched: Box<[AtomicU64]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Table {
    fn slot(&self, id: i64) -> Option<&AtomicU64> {
        // Ids count milliseconds in their higher bits, so the lower ones alone would fall on few slots.
        let mixed = id.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50;
        self.touched.get(usize::try_from(mixed).ok()?)
    }
}

/// The rows of all tables, within one budget of memory.
pub(super) struct Cache {
    rows: moka::sync::Cache<(usize, i64), Copied>,
    tables: Arc<[Table]>,
    /// Transactions of the writer that have ended.
    commits: Arc<AtomicU64>,
}

impl Cache {
    /// A cache for the rows that the registry names.
    pub(super) fn new(registry: &Registry, max_bytes: u64) -> Self {
        let table = |name| Table {
            name,
            touched: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        Self {
            rows: moka::sync::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_key, copied: &Copied| copied.bytes)
                .build(),
            tables: registry.tables().map(table).collect(),
            commits: Arc::default(),
        }
    }

    /// Notes from now on which rows the writer's connection touches.
    pub(super) fn watch(&self, connection: &Connection) -> rusqlite::Result<()> {
        for table in self.tables.iter() {
            // Of another kind of table SQLite would say nothing.
            connection.query_row(
                "SELECT 1 FROM pragma_table_list(:name) WHERE type = 'table' AND wr = 0",
                named_params! { ":name": table.name },
                |_row| Ok(()),
            )?;
        }
        let (tables, commits) = (Arc::clone(&self.tables), Arc::clone(&self.commits));
        connection.update_hook(Some(
            move |_action, _database: &str, table: &str, id: i64| {
                let table = tables.iter().find(|one| one.name == table);
                if let Some(slot) = table.and_then(|table| table.slot(id)) {
                    slot.store(commits.load(Ordering::Relaxed) + 1, Ordering::Release);
                }
            },
        ))
    }

    /// After the writer's transaction ended, however: who begins to read now has the rows that it touched.
    pub(super) fn end_commit(&self) {
        self.commits.fetch_add(1, Ordering::Release);
    }

    /// A reader's part in it, to be had before its snapshot begins.
    pub(super) fn view(&self) -> View<'_> {
        View {
            cache: self,
            stamp: self.commits.load(Ordering::Acquire),
        }
    }

    /// Says how much is in it and how often that helped.
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    pub(super) fn measure(&self) {
        self.rows.run_pending_tasks();
        gauge!("socialhub_cache_bytes").set(self.rows.weighted_size() as f64);
        gauge!("socialhub_cache_rows").set(self.rows.entry_count() as f64);
        for table in self.tables.iter() {
            let hits = table.hits.load(Ordering::Relaxed);
            let misses = table.misses.load(Ordering::Relaxed);
            counter!("socialhub_cache_hits_total", "table" => table.name).absolute(hits);
            counter!("socialhub_cache_misses_total", "table" => table.name).absolute(misses);
            let ratio = hits as f64 / ((hits + misses) as f64).max(1.0);
            gauge!("socialhub_cache_hit_ratio", "table" => table.name).set(ratio);
        }
    }
}

/// The cache as one reader may use it.
#[derive(Clone, Copy)]
pub(super) struct View<'c> {
    cache: &'c Cache,
    stamp: u64,
}

impl View<'_> {
    /// Calls `each` with those of these rows that are there: from memory, and for the others from the snapshot.
    pub(super) fn rows<T: CachedRow>(
        &self,
        tx: &ReadTx<'_>,
        ids: &[i64],
        mut each: impl FnMut(i64, Arc<T>),
    ) -> Result<()> {
        let cache = self.cache;
        let found = cache.tables.iter().position(|one| one.name == T::TABLE);
        let number = found.unwrap_or(usize::MAX);
        let Some(table) = cache.tables.get(number) else {
            let rows = T::read(tx, ids)?.into_iter();
            rows.for_each(|(id, row)| each(id, Arc::new(row)));
            return Ok(());
        };
        let mut missing = Vec::new();
        for &id in ids {
            match self.get::<T>(table, number, id) {
                Some(row) => each(id, row),
                None => missing.push(id),
            }
        }
        let hits = ids.len() - missing.len();
        table.hits.fetch_add(hits as u64, Ordering::Relaxed);
        if missing.is_empty() {
            return Ok(());
        }
        table
            .misses
            .fetch_add(missing.len() as u64, Ordering::Relaxed);
        for (id, row) in T::read(tx, &missing)? {
            let row = Arc::new(row);
            self.put(table, number, id, &row);
            each(id, row);
        }
        Ok(())
    }

    fn get<T: CachedRow>(&self, table: &Table, number: usize, id: i64) -> Option<Arc<T>> {
        let copied = self.cache.rows.get(&(number, id))?;
        // Looked at after the snapshot began: whatever that has is known here.
        let touched = table.slot(id)?.load(Ordering::Acquire);
        (copied.stamp >= touched && self.stamp >= touched)
            .then(|| copied.row.downcast::<T>().ok())
            .flatten()
    }

    fn put<T: CachedRow>(&self, table: &Table, number: usize, id: i64, row: &Arc<T>) {
        let is_current = table
            .slot(id)
            .is_some_and(|slot| self.stamp >= slot.load(Ordering::Acquire));
        // An older one would only take the place of a newer one.
        if is_current {
            let bytes = OVERHEAD + size_of::<T>() + row.heap_bytes();
            let copied = Copied {
                stamp: self.stamp,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                row: Arc::<T>::clone(row),
            };
            self.cache.rows.insert((number, id), copied);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::error::Error;
    use crate::store::Store;
    use crate::store::testing::{self, Execute};

    struct Number {
        value: i64,
    }

    impl CachedRow for Number {
        const TABLE: &'static str = "numbers";

        fn read(tx: &ReadTx<'_>, ids: &[i64]) -> Result<Vec<(i64, Self)>> {
            let ids = serde_json::to_string(ids).map_err(Error::internal)?;
            tx.all(
                "SELECT id, value FROM numbers WHERE id IN (SELECT value FROM json_each(:ids))",
                named_params! { ":ids": ids },
                |row| {
                    let value = row.get("value")?;
                    Ok((row.get("id")?, Self { value }))
                },
            )
        }

        fn heap_bytes(&self) -> usize {
            0
        }
    }

    async fn run(store: &Store, statement: &str) -> Result<()> {
        store.submit(Execute(vec![statement.to_owned()])).await
    }

    async fn store(dir: &std::path::Path) -> Store {
        let store = testing::open(dir, |_registry| {});
        let table = "CREATE TABLE numbers (id INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT";
        run(&store, table).await.unwrap();
        store.close();
        let store = testing::open(dir, Registry::cache::<Number>);
        run(&store, "INSERT INTO numbers VALUES (1, 10), (2, 20)")
            .await
            .unwrap();
        store
    }

    async fn values(store: &Store) -> HashMap<i64, i64> {
        let read = |tx: &ReadTx<'_>| tx.rows::<Number>(&[1, 2, 3]);
        let rows = store.read(read).await.unwrap();
        rows.into_iter().map(|(id, row)| (id, row.value)).collect()
    }

    fn hits_and_misses(store: &Store) -> (u64, u64) {
        let table = &store.inner.cache.tables[0];
        let hits = table.hits.load(Ordering::Relaxed);
        (hits, table.misses.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn rows_are_read_once_and_again_when_they_were_touched() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let before = HashMap::from([(1, 10), (2, 20)]);
        assert_eq!(values(&store).await, before);
        assert_eq!(hits_and_misses(&store), (0, 3));
        assert_eq!(values(&store).await, before);
        // What is not there is looked for each time.
        assert_eq!(hits_and_misses(&store), (2, 4));
        for (statement, after) in [
            (
                "UPDATE numbers SET value = 11 WHERE id = 1",
                vec![(1, 11), (2, 20)],
            ),
            ("DELETE FROM numbers WHERE id = 2", vec![(1, 11)]),
            ("INSERT INTO numbers VALUES (3, 30)", vec![(1, 11), (3, 30)]),
        ] {
            run(&store, statement).await.unwrap();
            let after: HashMap<i64, i64> = after.into_iter().collect();
            assert_eq!(values(&store).await, after, "{statement}");
        }
        store.close();
    }

    #[tokio::test]
    async fn what_was_undone_was_never_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let before = values(&store).await;
        let undone = ["UPDATE numbers SET value = 99", "DELETE FROM nowhere"];
        let undone = undone.map(str::to_owned).to_vec();
        store.submit(Execute(undone)).await.unwrap_err();
        assert_eq!(values(&store).await, before);
        store.close();
    }

    #[tokio::test]
    async fn a_reader_who_comes_late_does_not_bring_back_what_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let (begun, mut has_begun) = mpsc::channel(1);
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let late = store.read(move |tx| {
            // The snapshot begins with the first row that is read.
            assert!(tx.exists("SELECT 1 FROM numbers", [])?);
            begun.blocking_send(()).unwrap();
            may_go_on.blocking_recv().unwrap();
            Ok(tx.row::<Number>(1)?.map(|row| row.value))
        });
        let meanwhile = async {
            has_begun.recv().await.unwrap();
            let update = "UPDATE numbers SET value = 11 WHERE id = 1";
            run(&store, update).await.unwrap();
            go_on.send(()).unwrap();
        };
        let (late, ()) = tokio::join!(late, meanwhile);
        assert_eq!(late.unwrap(), Some(10), "its own snapshot");
        assert_eq!(values(&store).await, HashMap::from([(1, 11), (2, 20)]));
        store.close();
    }

    #[tokio::test]
    async fn a_commit_that_fails_leaves_all_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let before = values(&store).await;
        run(
            &store,
            "CREATE TABLE children (number INTEGER NOT NULL REFERENCES numbers (id)) STRICT",
        )
        .await
        .unwrap();
        let failing = [
            "PRAGMA defer_foreign_keys = ON",
            "UPDATE numbers SET value = 99",
            "INSERT INTO children VALUES (77)",
        ];
        let failing = failing.map(str::to_owned).to_vec();
        store.submit(Execute(failing)).await.unwrap_err();
        assert_eq!(values(&store).await, before);
        run(&store, "UPDATE numbers SET value = 21 WHERE id = 2")
            .await
            .unwrap();
        assert_eq!(values(&store).await, HashMap::from([(1, 10), (2, 21)]));
        store.close();
    }

    #[tokio::test]
    async fn a_reader_gets_what_its_snapshot_has_though_there_is_something_newer() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let (begun, mut has_begun) = mpsc::channel(1);
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let early = store.read(move |tx| {
            begun.blocking_send(()).unwrap();
            may_go_on.blocking_recv().unwrap();
            let row = tx.row::<Number>(1)?.map(|row| row.value);
            let value = tx.one("SELECT value FROM numbers WHERE id = 1", [], |row| {
                row.get(0)
            })?;
            Ok((row, Some(value)))
        });
        let meanwhile = async {
            has_begun.recv().await.unwrap();
            let update = "UPDATE numbers SET value = 11 WHERE id = 1";
            run(&store, update).await.unwrap();
            // Another reader brings it here.
            assert_eq!(values(&store).await[&1], 11);
            go_on.send(()).unwrap();
        };
        let (early, ()) = tokio::join!(early, meanwhile);
        assert_eq!(early.unwrap(), (Some(10), Some(10)));
        store.close();
    }

    #[test]
    fn a_table_of_which_sqlite_says_nothing_is_refused() {
        struct Once;
        impl CachedRow for Once {
            const TABLE: &'static str = "blobs";
            fn read(_tx: &ReadTx<'_>, _ids: &[i64]) -> Result<Vec<(i64, Self)>> {
                Ok(Vec::new())
            }
            fn heap_bytes(&self) -> usize {
                0
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        registry.cache::<Once>();
        let options = crate::config::Store::default();
        assert!(Store::open(dir.path(), &options, registry).is_err());
    }
}
