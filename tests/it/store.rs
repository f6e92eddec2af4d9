//! The store through its public face: group commit, refusals, snapshots, migrations.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use socialhub::clock::Timestamp;
use socialhub::config;
use socialhub::error::{Code, Error, Result};
use socialhub::event::Event;
use socialhub::id::UserId;
use socialhub::store::{
    self, Command, MigrateError, OpenError, ReadTx, Registry, SCHEMA_VERSION, Store, WriteTx,
    is_unique_violation, outbox,
};
use tempfile::TempDir;

use crate::support::database;

/// Makes a person and says so, and then perhaps goes wrong.
#[derive(Serialize, Deserialize)]
struct Make {
    id: i64,
    then: Then,
    #[serde(skip)]
    gate: Option<Gate>,
}

#[derive(Serialize, Deserialize)]
enum Then {
    Succeed,
    Refuse,
    Panic,
}

/// Stops a command in its midst: it says that it has begun, and goes on when it is told to.
struct Gate {
    begun: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Command for Make {
    const NAME: &'static str = "test.make";
    type Output = i64;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<i64> {
        if let Some(gate) = &self.gate {
            gate.begun.send(()).unwrap();
            // Ends as well when the test has failed and is gone.
            gate.go_on.recv().ok();
        }
        tx.execute(
            "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
             VALUES (?1, ?1, ?1, ?1, ?1, 'USER', 'active', 0, 0)",
            [self.id],
        )?;
        tx.emit(
            Timestamp::from_millis(0),
            Event::UserUpdated {
                user_id: UserId::from(self.id),
            },
        )?;
        match self.then {
            Then::Succeed => Ok(self.id),
            Then::Refuse => Err(Error::new(Code::Forbidden)),
            Then::Panic => panic!("a command that goes wrong, as a test wants it"),
        }
    }
}

fn make(id: i64) -> Make {
    Make {
        id,
        then: Then::Succeed,
        gate: None,
    }
}

/// A command that stops in its midst, with the ends of its gate.
fn stopping(id: i64) -> (Make, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((begun, has_begun), (go_on, told)) = (mpsc::channel(), mpsc::channel());
    let gate = Gate { begun, go_on: told };
    let command = Make {
        gate: Some(gate),
        ..make(id)
    };
    (command, has_begun, go_on)
}

/// A store in a directory of its own.
struct Fixture {
    store: Store,
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_options| {})
    }

    fn with(change: impl FnOnce(&mut config::Store)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = config::Store::default();
        change(&mut options);
        let (store, _) = open(dir.path(), &options).unwrap();
        Self { store, dir }
    }

    /// Keeps the writer busy until the answer is told to go on; what is submitted meanwhile makes one batch.
    async fn hold(&self, id: i64) -> mpsc::Sender<()> {
        let (command, has_begun, go_on) = stopping(id);
        let mut submitted = Box::pin(self.store.submit(command));
        assert!((&mut submitted).now_or_never().is_none());
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
            .await
            .unwrap();
        // Nobody waits for its answer: once begun, it stands all the same.
        drop(submitted);
        go_on
    }

    async fn people(&self) -> Vec<i64> {
        self.store.read(people).await.unwrap()
    }

    /// Of whom the outbox tells, and under which sequences.
    async fn told(&self) -> Vec<(u64, i64)> {
        let rows = self.store.read(|tx| outbox::after(tx, 0, 10_000)).await;
        rows.unwrap()
            .into_iter()
            .map(|row| (row.seq, row.key))
            .collect()
    }

    /// The events of each commit from now on.
    fn commits(&self) -> Arc<Mutex<Vec<Vec<u64>>>> {
        let commits = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&commits);
        self.store.observe(Box::new(move |events| {
            let seqs = events.iter().filter_map(|event| event.seq).collect();
            noted.lock().unwrap().push(seqs);
        }));
        commits
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.store.close();
    }
}

fn open(dir: &Path, options: &config::Store) -> Result<(Store, store::Migrated), OpenError> {
    let mut registry = Registry::default();
    registry.add::<Make>();
    Store::open(dir, options, registry)
}

fn people(tx: &ReadTx<'_>) -> Result<Vec<i64>> {
    tx.all("SELECT id FROM users ORDER BY id", [], |row| row.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_committed_together() {
    let fixture = Fixture::new();
    let commits = fixture.commits();
    let go_on = fixture.hold(1).await;
    let submitted = join_all((2..=1_000).map(|id| fixture.store.submit(make(id))));
    let released = async { go_on.send(()).unwrap() };
    let (outputs, ()) = tokio::join!(submitted, released);
    let outputs: Vec<i64> = outputs.into_iter().collect::<Result<_>>().unwrap();
    assert_eq!(outputs, (2..=1_000).collect::<Vec<_>>());
    let commits = commits.lock().unwrap().clone();
    // One, but for a machine on which they take longer than a commit is let wait for.
    assert!(
        commits.len() < 100,
        "{} commits of 1,000 commands",
        commits.len()
    );
    assert_eq!(commits.concat(), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(*fixture.store.commits().borrow(), 1_000);
    assert_eq!(fixture.people().await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_undone_alone() {
    let fixture = Fixture::new();
    let commits = fixture.commits();
    let go_on = fixture.hold(1).await;
    let submit = |id, then| fixture.store.submit(Make { then, ..make(id) });
    let batch = join_all([
        submit(2, Then::Succeed),
        submit(3, Then::Refuse),
        submit(4, Then::Panic),
        // Taken by the one before.
        submit(2, Then::Succeed),
        submit(5, Then::Succeed),
    ]);
    let released = async { go_on.send(()).unwrap() };
    let (outcomes, ()) = tokio::join!(batch, released);
    let codes: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().map_err(Error::code))
        .collect();
    assert_eq!(
        codes,
        [
            Ok(&2),
            Err(Code::Forbidden),
            Err(Code::Internal),
            Err(Code::Internal),
            Ok(&5)
        ]
    );
    let taken = outcomes[3].as_ref().unwrap_err();
    assert!(is_unique_violation(taken, "users.id"), "{taken:?}");
    assert!(!is_unique_violation(taken, "users.username"));
    assert_eq!(fixture.people().await, [1, 2, 5]);
    // Their events went with them, and left no gap.
    assert_eq!(fixture.told().await, [(1, 1), (2, 2), (3, 5)]);
    assert_eq!(commits.lock().unwrap().concat(), [1, 2, 3]);
    assert!(fixture.store.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_know_before_the_caller_does() {
    let fixture = Fixture::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    fixture.store.observe(Box::new(|_| {
        panic!("an observer that goes wrong, as a test wants it")
    }));
    fixture.store.observe(Box::new(move |events| {
        counter.fetch_add(events.len(), Ordering::SeqCst);
    }));
    for id in 1..=50 {
        fixture.store.submit(make(id)).await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), usize::try_from(id).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_only_while_it_is_full() {
    let fixture = Fixture::with(|options| options.queue_capacity = 4);
    let go_on = fixture.hold(1).await;
    let mut waiting: Vec<_> = (2..=5)
        .map(|id| Box::pin(fixture.store.submit(make(id))))
        .collect();
    for submitted in &mut waiting {
        assert!(submitted.now_or_never().is_none());
    }
    let refused = fixture.store.submit(make(6)).now_or_never();
    let refused = refused.expect("it is known at once").unwrap_err();
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.retry_after_s().is_some());
    go_on.send(()).unwrap();
    for outcome in join_all(waiting).await {
        outcome.unwrap();
    }
    fixture.store.submit(make(6)).await.unwrap();
    assert_eq!(fixture.people().await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_too_long_is_not_applied() {
    let fixture = Fixture::with(|options| options.write_timeout_ms = 0);
    let late = fixture.store.submit(make(1)).await.unwrap_err();
    assert_eq!(late.code(), Code::TimedOut);
    assert_eq!(fixture.people().await, [] as [i64; 0]);
    assert_eq!(fixture.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_all_or_nothing() {
    let fixture = Fixture::new();
    // Goes away while its command is under way: that stands.
    let (command, has_begun, go_on) = stopping(1);
    let mut under_way = Box::pin(fixture.store.submit(command));
    assert!((&mut under_way).now_or_never().is_none());
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();
    drop(under_way);
    // Goes away before its turn: nothing happens.
    let mut queued = Box::pin(fixture.store.submit(make(2)));
    assert!((&mut queued).now_or_never().is_none());
    drop(queued);
    go_on.send(()).unwrap();
    fixture.store.submit(make(3)).await.unwrap();
    assert_eq!(fixture.people().await, [1, 3]);
    assert_eq!(fixture.told().await, [(1, 1), (2, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_one_moment() {
    let fixture = Fixture::new();
    fixture.store.submit(make(1)).await.unwrap();
    let ((begun, has_begun), (go_on, told)) = (mpsc::channel(), mpsc::channel::<()>());
    let reading = fixture.store.read(move |tx| {
        let before = people(tx)?;
        begun.send(()).unwrap();
        told.recv().ok();
        Ok((before, people(tx)?))
    });
    let writing = async {
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
            .await
            .unwrap();
        fixture.store.submit(make(2)).await.unwrap();
        go_on.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(reading, writing);
    assert_eq!(seen.unwrap(), (vec![1], vec![1]));
    assert_eq!(fixture.people().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_takes_too_long_is_cut_off_and_the_next_is_not() {
    let fixture = Fixture::with(|options| {
        options.readers = 1;
        options.read_timeout_ms = 20;
    });
    let endless =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n";
    let reading = fixture
        .store
        .read(|tx| tx.one(endless, [], |row| row.get::<_, i64>(0)));
    assert_eq!(reading.await.unwrap_err().code(), Code::TimedOut);
    assert_eq!(fixture.people().await, [] as [i64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_panics_leaves_its_connection_in_order() {
    let fixture = Fixture::with(|options| options.readers = 1);
    let broken: Result<()> = fixture
        .store
        .read(|_| panic!("a read that goes wrong, as a test wants it"))
        .await;
    assert_eq!(broken.unwrap_err().code(), Code::Internal);
    fixture.store.submit(make(1)).await.unwrap();
    assert_eq!(fixture.people().await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_reads_are_refused_at_once() {
    let fixture = Fixture::with(|options| {
        options.readers = 1;
        options.read_queue_capacity = 1;
    });
    let ((begun, has_begun), (go_on, told)) = (mpsc::channel(), mpsc::channel::<()>());
    let mut busy = Box::pin(fixture.store.read(move |_| {
        begun.send(()).unwrap();
        told.recv().ok();
        Ok(())
    }));
    assert!((&mut busy).now_or_never().is_none());
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();
    let mut waiting = Box::pin(fixture.store.read(people));
    assert!((&mut waiting).now_or_never().is_none());
    let refused = fixture.store.read(people).now_or_never();
    let refused = refused.expect("it is known at once").unwrap_err();
    assert_eq!(refused.code(), Code::Overloaded);
    go_on.send(()).unwrap();
    busy.await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cannot_write() {
    let fixture = Fixture::new();
    fixture.store.submit(make(1)).await.unwrap();
    for sql in [
        "DELETE FROM users RETURNING id",
        "UPDATE users SET name = 'changed' RETURNING id",
        "PRAGMA query_only = OFF",
        "CREATE TABLE mine (id INTEGER)",
    ] {
        let written = fixture
            .store
            .read(move |tx| tx.all(sql, [], |row| row.get::<_, i64>(0)));
        // A pragma may be answered; what counts is that it opens nothing.
        drop(written.await);
    }
    let name = |tx: &ReadTx<'_>| tx.one("SELECT name FROM users", [], |row| row.get(0));
    let name: String = fixture.store.read(name).await.unwrap();
    assert_eq!(name, "1");
    let tables = database::tables(fixture.dir.path());
    assert!(!tables.contains_key("mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_finishes_its_queue_and_refuses_the_rest() {
    let fixture = Fixture::new();
    let go_on = fixture.hold(1).await;
    let mut queued = Box::pin(fixture.store.submit(make(2)));
    assert!((&mut queued).now_or_never().is_none());
    let store = fixture.store.clone();
    let closing = tokio::task::spawn_blocking(move || store.close());
    go_on.send(()).unwrap();
    queued.await.unwrap();
    closing.await.unwrap();
    let late = fixture.store.submit(make(3)).await.unwrap_err();
    assert_eq!(late.code(), Code::NotReady);
    let late = fixture.store.read(people).await.unwrap_err();
    assert_eq!(late.code(), Code::NotReady);
    assert!(!fixture.store.is_alive());
    // All is in the one file.
    let log = fixture.dir.path().join(format!("{}-wal", store::FILE));
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0);
    assert_eq!(
        database::tables(fixture.dir.path())["users"].len(),
        2,
        "rows of users"
    );
}

/// A database as an earlier release left it: of the first `version` migrations, with a person in it.
fn older_database(dir: &Path, version: usize) {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), SCHEMA_VERSION);
    let connection = database::connect_to_write(dir);
    for file in &files[..version] {
        connection
            .execute_batch(&std::fs::read_to_string(file).unwrap())
            .unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
             VALUES (7, 'ada', 'ada', 'ada', 'Ada', 'USER', 'active', 0, 0)",
        )
        .unwrap();
    connection
        .pragma_update(None, "user_version", version)
        .unwrap();
}

fn version(dir: &Path) -> usize {
    database::connect(dir)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn an_older_database_is_copied_before_it_is_migrated() {
    for before in 2..SCHEMA_VERSION {
        let dir = tempfile::tempdir().unwrap();
        older_database(dir.path(), before);
        let (store, migrated) = open(dir.path(), &config::Store::default()).unwrap();
        assert_eq!((migrated.from, migrated.to), (before, SCHEMA_VERSION));
        assert_eq!(store.read(people).await.unwrap(), [7]);
        store.close();
        assert_eq!(version(dir.path()), SCHEMA_VERSION);
        // The copy is a database of the earlier release, in place of which it can be put back.
        let restored = tempfile::tempdir().unwrap();
        let backup = migrated.backup.expect("a copy was made");
        std::fs::copy(backup, restored.path().join(store::FILE)).unwrap();
        assert_eq!(version(restored.path()), before);
        assert_eq!(database::tables(restored.path())["users"].len(), 1);
    }
}

#[test]
fn a_new_or_present_database_needs_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    for from in [0, SCHEMA_VERSION] {
        let (store, migrated) = open(dir.path(), &config::Store::default()).unwrap();
        assert_eq!((migrated.from, migrated.to), (from, SCHEMA_VERSION));
        assert_eq!(migrated.backup, None);
        store.close();
    }
}

#[test]
fn a_database_of_a_later_release_is_refused_by_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), &config::Store::default()).unwrap();
    store.close();
    let later = SCHEMA_VERSION + 1;
    database::connect_to_write(dir.path())
        .pragma_update(None, "user_version", later)
        .unwrap();
    let before = database::tables(dir.path());
    let refused = open(dir.path(), &config::Store::default()).err().unwrap();
    assert!(
        matches!(refused, OpenError::Migrate(MigrateError::Newer { found }) if found == later),
        "{refused:?}"
    );
    let text = refused.to_string();
    assert!(
        text.contains(&later.to_string()) && text.contains(&SCHEMA_VERSION.to_string()),
        "{text}"
    );
    assert_eq!(version(dir.path()), later);
    assert_eq!(database::tables(dir.path()), before);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let before = 7;
    older_database(dir.path(), before);
    // In the way of a later migration, with others before it.
    database::connect_to_write(dir.path())
        .execute_batch("CREATE TABLE mutes (id INTEGER)")
        .unwrap();
    let tables = database::tables(dir.path());
    let failed = open(dir.path(), &config::Store::default()).err().unwrap();
    assert!(
        matches!(failed, OpenError::Migrate(MigrateError::Failed(_))),
        "{failed:?}"
    );
    assert_eq!(version(dir.path()), before);
    assert_eq!(database::tables(dir.path()), tables);
}
