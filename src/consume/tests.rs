//! Consumers over a real store and a real log.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::disk::DiskGuard;
use crate::event::{Event, UserStatus};
use crate::store::testing::{self, Emit, Execute};

const PATIENCE: Duration = Duration::from_secs(20);

/// A store, its log, and consumers.
struct Rig {
    store: Store,
    log: EventLog,
    tasks: Tasks,
    consumers: Consumers,
    _dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::over(TempDir::new().unwrap())
    }

    fn over(dir: TempDir) -> Self {
        let store = testing::open(dir.path(), |_| {});
        let options = config::Events {
            batch: 7,
            max_attempts: 2,
            ..config::Events::default()
        };
        let guard = DiskGuard::new(dir.path(), 1);
        let log = EventLog::new(dir.path(), &options, guard, Clock::system());
        let tasks = Tasks::new();
        log.start(&store, &tasks);
        let consumers = Consumers::new(log.clone(), &store, tasks.clone(), &options);
        Self {
            store,
            log,
            tasks,
            consumers,
            _dir: dir,
        }
    }

    async fn emit(&self, users: impl IntoIterator<Item = i64>) {
        let events = users
            .into_iter()
            .map(|user| Event::UserStatusChanged {
                user_id: user.into(),
                status: UserStatus::Active,
            })
            .collect();
        let at = Timestamp::from_millis(1_700_000_000_000);
        self.store.submit(Emit { at, events }).await.unwrap();
    }

    async fn settle(&self) {
        assert!(self.consumers.settle(PATIENCE).await, "consumers keep up");
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
        self.log.close();
        self.store.close();
    }
}

/// Counts what it is told; fails as it is told to.
#[derive(Clone, Default)]
struct Tally {
    state: Arc<Mutex<State>>,
    is_out_of_order: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    position: Option<u64>,
    /// How often each event was applied.
    seen: HashMap<u64, u32>,
    rebuilt_through: Vec<u64>,
}

/// This event's user is one that nobody can take.
const POISON: i64 = 13;
const PANIC: i64 = 14;

impl Consumer for Tally {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::User]
    }

    async fn position(&self) -> Result<Option<u64>> {
        Ok(self.state.lock().unwrap().position)
    }

    async fn rebuild(&self, through: u64) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        state.rebuilt_through.push(through);
        state.position = Some(through);
        Ok(())
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        if self.is_out_of_order.load(Ordering::SeqCst) {
            return Err(Error::new(Code::StorageFull));
        }
        let poisoned = |user| batch.records.iter().any(|record| record.key == user);
        if self.refuses.load(Ordering::SeqCst) && poisoned(POISON) {
            return Err(Error::internal("poison"));
        }
        if self.refuses.load(Ordering::SeqCst) {
            assert!(!poisoned(PANIC), "as asked to");
        }
        let mut state = self.state.lock().unwrap();
        if state.position != Some(batch.after) {
            return Err(Error::new(Code::Repairing));
        }
        for record in &batch.records {
            *state.seen.entry(record.seq).or_default() += 1;
        }
        state.position = Some(batch.through);
        Ok(())
    }
}

impl Tally {
    fn seen(&self) -> HashMap<u64, u32> {
        self.state.lock().unwrap().seen.clone()
    }
}

fn each_once(through: u64) -> HashMap<u64, u32> {
    (1..=through).map(|seq| (seq, 1)).collect()
}

#[tokio::test]
async fn every_event_comes_once_and_in_time() {
    let rig = Rig::new();
    let tally = Tally::default();
    rig.emit(1..=10).await;
    rig.consumers.start(tally.clone());
    rig.settle().await;
    rig.emit(1..=100).await;
    rig.settle().await;
    assert_eq!(tally.seen(), each_once(110));
    assert!(rig.consumers.are_ready());
    let status = rig.consumers.status().await.unwrap();
    assert_eq!(
        status,
        [Status {
            name: "tally",
            position: Some(110),
            lag: 0,
            dead_letters: 0,
            error: None,
        }]
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_poisoned_event_is_parked_and_the_others_pass() {
    let rig = Rig::new();
    let tally = Tally::default();
    tally.refuses.store(true, Ordering::SeqCst);
    rig.consumers.start(tally.clone());
    rig.emit((1..=20).chain([PANIC])).await;
    rig.settle().await;
    // POISON is event 13, PANIC 14 and 21.
    let mut expected = each_once(21);
    for parked in [13, 14, 21] {
        expected.remove(&parked);
    }
    assert_eq!(tally.seen(), expected);
    let parked = rig.consumers.dead_letters("tally", 0, 10).await.unwrap();
    assert_eq!(
        parked
            .iter()
            .map(|letter| (letter.seq, letter.attempts))
            .collect::<Vec<_>>(),
        [(13, 2), (14, 2), (21, 2)]
    );
    assert!(parked[0].error.contains("poison"));

    // Still poison: it stays parked.
    assert!(rig.consumers.retry("tally", 13).await.is_err());
    tally.refuses.store(false, Ordering::SeqCst);
    assert!(rig.consumers.retry("tally", 13).await.unwrap());
    assert!(!rig.consumers.retry("tally", 13).await.unwrap());
    assert!(rig.consumers.discard("tally", 14).await.unwrap());
    let status = rig.consumers.status().await.unwrap();
    assert_eq!(status[0].dead_letters, 1);
    assert_eq!(tally.seen().get(&13), Some(&1));
    rig.stop().await;
}

#[tokio::test]
async fn what_fails_for_want_of_room_waits_and_is_not_parked() {
    let rig = Rig::new();
    let tally = Tally::default();
    tally.is_out_of_order.store(true, Ordering::SeqCst);
    rig.consumers.start(tally.clone());
    rig.emit(1..=5).await;
    let mut progress = rig.consumers.find("tally").unwrap().progress;
    let failing = progress.wait_for(|progress| progress.error.is_some());
    tokio::time::timeout(PATIENCE, failing)
        .await
        .unwrap()
        .unwrap();
    tally.is_out_of_order.store(false, Ordering::SeqCst);
    rig.settle().await;
    assert_eq!(tally.seen(), each_once(5));
    assert_eq!(rig.consumers.status().await.unwrap()[0].dead_letters, 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_replay_goes_through_everything_again() {
    let rig = Rig::new();
    let tally = Tally::default();
    rig.consumers.start(tally.clone());
    rig.emit(1..=30).await;
    rig.settle().await;
    rig.consumers.replay("tally", 11).await.unwrap();
    rig.emit([1]).await;
    rig.settle().await;
    let mut expected = each_once(31);
    for seq in 11..=30 {
        expected.insert(seq, 2);
    }
    assert_eq!(tally.seen(), expected);
    let unknown = rig.consumers.replay("nobody", 1).await.unwrap_err();
    assert_eq!(unknown.code(), Code::ConsumerNotFound);
    rig.stop().await;
}

#[tokio::test]
async fn what_the_log_forgot_comes_from_the_rows() {
    let dir = TempDir::new().unwrap();
    let store = testing::open(dir.path(), |_| {});
    let event = Event::UserUpdated { user_id: 1.into() };
    let at = Timestamp::from_millis(1_700_000_000_000);
    let events = vec![event; 20];
    store.submit(Emit { at, events }).await.unwrap();
    store
        .submit(Execute(vec![
            "DELETE FROM outbox WHERE seq <= 15".to_owned(),
            // Young enough to stay.
            "UPDATE outbox SET at = 9999999999999".to_owned(),
        ]))
        .await
        .unwrap();
    store.close();
    let rig = Rig::over(dir);
    let tally = Tally::default();
    rig.consumers.start(tally.clone());
    rig.settle().await;
    assert_eq!(tally.seen(), (16..=20).map(|seq| (seq, 1)).collect());
    // A replay from before the log's start begins with the rows as well.
    rig.consumers.replay("tally", 3).await.unwrap();
    rig.settle().await;
    assert_eq!(tally.state.lock().unwrap().rebuilt_through, [15, 15]);
    assert_eq!(tally.seen().get(&16), Some(&2));
    rig.stop().await;
}
