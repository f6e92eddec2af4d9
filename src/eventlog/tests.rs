//! The log over a real store and real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::event::UserStatus;
use crate::store::testing::{self, Emit, Execute};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const PATIENCE: Duration = Duration::from_secs(20);

/// A store with its log, running.
struct Rig {
    store: Store,
    log: EventLog,
    tasks: Tasks,
    clock: Clock,
}

impl Rig {
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, Clock::manual(START), 1)
    }

    fn start_with(dir: &Path, clock: Clock, reserve_bytes: u64) -> Self {
        let store = testing::open(dir, |_| {});
        let guard = DiskGuard::new(dir, reserve_bytes);
        let log = EventLog::new(dir, &config::Events::default(), guard, clock.clone());
        let tasks = Tasks::new();
        log.start(&store, &tasks);
        Self {
            store,
            log,
            tasks,
            clock,
        }
    }

    async fn emit(&self, events: Vec<Event>) -> Vec<u64> {
        let at = self.clock.now();
        self.store.submit(Emit { at, events }).await.unwrap()
    }

    /// Waits until the log has everything, and returns it. The last of some damage may be found only while one reads.
    async fn records(&self) -> Vec<Record> {
        let newest = *self.store.commits().borrow();
        loop {
            self.reaches(newest).await;
            match self.log.after(&Topic::ALL, 0, usize::MAX).await {
                Ok(batch) if batch.through >= newest => return batch.records,
                Ok(_) => {}
                Err(error) => assert_eq!(error.code(), crate::error::Code::Repairing),
            }
        }
    }

    async fn reaches(&self, seq: u64) {
        let mut reach = self.log.reach();
        let there = reach.wait_for(|reach| reach.is_some_and(|reach| reach.end >= seq));
        tokio::time::timeout(PATIENCE, there)
            .await
            .expect("the log keeps up")
            .unwrap();
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
        self.log.close();
        self.store.close();
    }
}

fn post(id: i64) -> Event {
    Event::PostUpdated {
        post_id: id.into(),
        author_id: 1.into(),
    }
}

fn user(id: i64) -> Event {
    Event::UserStatusChanged {
        user_id: id.into(),
        status: UserStatus::Active,
    }
}

fn some(count: i64) -> Vec<Event> {
    (1..=count)
        .map(|id| if id % 3 == 0 { user(id) } else { post(id) })
        .collect()
}

fn set_aside(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("events.damaged-"))
        .collect()
}

#[tokio::test]
async fn events_arrive_in_order_whatever_their_topic() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    let seqs = rig.emit(some(5_000)).await;
    let records = rig.records().await;
    assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), seqs);
    for (record, event) in records.iter().zip(some(5_000)) {
        assert_eq!(record.event().unwrap(), event);
        assert_eq!(
            (record.topic, record.key, record.at),
            (event.topic(), event.key(), START)
        );
    }

    let batch = rig.log.after(&[Topic::User], 10, 3).await.unwrap();
    assert_eq!(
        batch.records.iter().map(|r| r.seq).collect::<Vec<_>>(),
        [12, 15, 18]
    );
    assert_eq!(batch.through, 18);
    let rest = rig.log.after(&[Topic::User], 4_999, 3).await.unwrap();
    assert_eq!((rest.records.len(), rest.through), (0, 5_000));
    rig.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_ended() {
    let dir = TempDir::new().unwrap();
    for round in 1..=3 {
        let rig = Rig::start(dir.path());
        rig.emit(some(100)).await;
        assert_eq!(rig.records().await.len(), round * 100);
        rig.stop().await;
    }
    assert_eq!(set_aside(dir.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn damage_is_set_aside_and_rebuilt() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 12] = [
        ("truncated", |dir| {
            each_file(dir, |bytes| bytes.truncate(bytes.len() / 2));
        }),
        ("emptied", |dir| each_file(dir, Vec::clear)),
        ("zeroed", |dir| each_file(dir, |bytes| bytes.fill(0))),
        ("zeroed at the head", |dir| {
            each_file(dir, |bytes| fill(bytes, 0, 4096, |_| 0));
        }),
        ("noise everywhere", |dir| {
            each_file(dir, |bytes| fill(bytes, 0, usize::MAX, noise));
        }),
        ("noise in the middle", |dir| {
            each_file(dir, |bytes| {
                let third = bytes.len() / 3;
                fill(bytes, third, 20_000, noise);
            });
        }),
        ("ones", |dir| each_file(dir, |bytes| bytes.fill(0xff))),
        ("no db", |dir| fs::remove_file(dir.join("db")).unwrap()),
        ("no conf", |dir| fs::remove_file(dir.join("conf")).unwrap()),
        ("no snapshots", |dir| {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.to_string_lossy().contains("snap") {
                    fs::remove_file(path).unwrap();
                }
            }
        }),
        ("noise in db", |dir| {
            let mut bytes = fs::read(dir.join("db")).unwrap();
            fill(&mut bytes, 0, usize::MAX, noise);
            fs::write(dir.join("db"), bytes).unwrap();
        }),
        ("a file in its place", |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, b"not a directory").unwrap();
        }),
    ];
    for (name, harm) in harms {
        let dir = TempDir::new().unwrap();
        let rig = Rig::start(dir.path());
        rig.emit(some(3_000)).await;
        let before = rig.records().await;
        rig.stop().await;

        harm(&dir.path().join(DIR));
        let rig = Rig::start(dir.path());
        rig.emit(some(10)).await;
        let after = rig.records().await;
        assert_eq!(after.len(), before.len() + 10, "{name}");
        assert_eq!(after[..before.len()], before, "{name}");
        rig.stop().await;
    }
}

/// Byte by byte what else a disk may do to the file that holds everything.
#[tokio::test]
async fn no_single_wound_is_fatal() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(3_000)).await;
    let before = rig.records().await;
    rig.stop().await;
    let db = dir.path().join(DIR).join("db");
    let whole = fs::read(&db).unwrap();
    for wound in 0..24 {
        let mut bytes = whole.clone();
        fill(&mut bytes, wound * whole.len() / 24, 700, noise);
        fs::write(&db, bytes).unwrap();
        let rig = Rig::start(dir.path());
        rig.emit(some(1)).await;
        let after = rig.records().await;
        assert_eq!(after[..before.len()], before, "wound {wound}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_log_ahead_of_the_database_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(10)).await;
    rig.records().await;
    rig.stop().await;
    let old = TempDir::new().unwrap();
    fs::copy(
        dir.path().join(crate::store::FILE),
        old.path().join(crate::store::FILE),
    )
    .unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(10)).await;
    rig.records().await;
    rig.stop().await;

    fs::copy(
        old.path().join(crate::store::FILE),
        dir.path().join(crate::store::FILE),
    )
    .unwrap();
    let rig = Rig::start(dir.path());
    assert_eq!(rig.records().await.len(), 10);
    rig.emit(vec![user(99)]).await;
    assert_eq!(
        rig.records().await.last().unwrap().event().unwrap(),
        user(99)
    );
    assert_eq!(set_aside(dir.path()).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_log_that_tells_another_story_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(10)).await;
    rig.records().await;
    rig.store
        .submit(Execute(vec![
            "UPDATE outbox SET envelope = replace(envelope, 'post.updated', 'post.deleted') WHERE seq = 10".to_owned(),
        ]))
        .await
        .unwrap();
    rig.stop().await;
    let rig = Rig::start(dir.path());
    let records = rig.records().await;
    assert!(records.last().unwrap().envelope.contains("post.deleted"));
    assert_eq!(set_aside(dir.path()).len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_log_too_far_behind_begins_anew() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(10)).await;
    rig.records().await;
    rig.stop().await;
    let store = testing::open(dir.path(), |_| {});
    let events = some(10);
    store.submit(Emit { at: START, events }).await.unwrap();
    store
        .submit(Execute(vec![
            "DELETE FROM outbox WHERE seq <= 15".to_owned(),
        ]))
        .await
        .unwrap();
    store.close();

    let rig = Rig::start(dir.path());
    let records = rig.records().await;
    assert_eq!(records.len(), 5);
    let reach = rig.log.reach().borrow().unwrap();
    assert_eq!(reach, Reach { start: 15, end: 20 });
    rig.stop().await;
}

#[tokio::test]
async fn a_failure_of_the_database_is_got_over() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(100)).await;
    rig.records().await;
    let faults: [fn() -> Fault; 3] = [
        || sled::Error::Io(std::io::Error::other("the disk is gone")).into(),
        || sled::Error::Corruption { at: None, bt: () }.into(),
        || panic!("as sled does"),
    ];
    for fault in faults {
        let failed = rig.log.run(move |_| Err::<(), _>(fault())).await;
        assert!(failed.is_err());
        rig.emit(some(1)).await;
        rig.records().await;
    }
    assert_eq!(rig.records().await.len(), 103);
    // Only the one that sled itself calls damage.
    assert_eq!(set_aside(dir.path()).len(), 1);
    // The worker's own failures close nothing.
    let own = rig.log.run(|_| Err::<(), _>(Error::internal("own").into()));
    assert!(own.await.is_err());
    assert!(rig.log.is_open());
    rig.stop().await;
}

#[tokio::test]
async fn what_is_past_retention_goes_in_both_places() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(2_500)).await;
    rig.records().await;
    rig.clock.advance(Duration::from_hours(24 * 6));
    rig.emit(some(20)).await;
    rig.records().await;
    retention::sweep(&rig.log, &rig.store).await.unwrap();
    assert_eq!(rig.records().await.len(), 2_520);

    rig.clock.advance(Duration::from_hours(24 * 2));
    retention::sweep(&rig.log, &rig.store).await.unwrap();
    assert_eq!(rig.records().await.len(), 20);
    let span = rig.store.read(crate::store::outbox::span).await.unwrap();
    assert_eq!(span, Some((2_501, 2_520)));
    let reach = *rig.log.reach().borrow();
    assert_eq!(
        reach,
        Some(Reach {
            start: 2_500,
            end: 2_520
        })
    );

    rig.clock.advance(Duration::from_hours(24 * 8));
    retention::sweep(&rig.log, &rig.store).await.unwrap();
    assert_eq!(rig.records().await.len(), 0);
    rig.stop().await;
    // An empty log goes on where it ended, too.
    let rig = Rig::start(dir.path());
    rig.emit(some(3)).await;
    assert_eq!(rig.records().await.len(), 3);
    assert_eq!(set_aside(dir.path()).len(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn nothing_is_written_without_room() {
    let dir = TempDir::new().unwrap();
    // A reserve that no disk has free: the log has no room, while the store has its own guard.
    let rig = Rig::start_with(dir.path(), Clock::manual(START), u64::MAX);
    rig.emit(some(3)).await;
    let full = rig.log.check_room().unwrap_err();
    assert_eq!(full.code(), crate::error::Code::StorageFull);
    assert!(rig.log.reach().borrow().is_none_or(|reach| reach.end == 0));
    rig.stop().await;
    let rig = Rig::start(dir.path());
    assert_eq!(rig.records().await.len(), 3);
    rig.stop().await;
}

#[tokio::test]
async fn dead_letters_are_kept_by_consumer() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::start(dir.path());
    rig.emit(some(3)).await;
    for record in rig.records().await {
        rig.log
            .park("one", record, "no".to_owned(), 5)
            .await
            .unwrap();
    }
    let record = rig.records().await.remove(0);
    rig.log
        .park("on", record.clone(), "no".to_owned(), 5)
        .await
        .unwrap();
    assert_eq!(rig.log.count_dead_letters("one").await.unwrap(), 3);
    assert_eq!(rig.log.count_dead_letters("on").await.unwrap(), 1);
    let letters = rig.log.dead_letters("one", 1, 10).await.unwrap();
    assert_eq!(letters.iter().map(|l| l.seq).collect::<Vec<_>>(), [2, 3]);
    let letter = rig.log.find_dead_letter("on", 1).await.unwrap().unwrap();
    assert_eq!(letter.record().unwrap(), record);
    assert!(rig.log.remove_dead_letter("one", 2).await.unwrap());
    assert!(!rig.log.remove_dead_letter("one", 2).await.unwrap());

    rig.clock.advance(Duration::from_hours(24 * 30));
    retention::sweep(&rig.log, &rig.store).await.unwrap();
    assert_eq!(rig.log.count_dead_letters("one").await.unwrap(), 0);
    rig.stop().await;
}

fn each_file(dir: &Path, harm: fn(&mut Vec<u8>)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, harm);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            harm(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    }
}

fn fill(bytes: &mut [u8], from: usize, count: usize, with: fn(usize) -> u8) {
    for (i, byte) in bytes.iter_mut().enumerate().skip(from).take(count) {
        *byte = with(i);
    }
}

/// Bytes without a pattern, the same in each run.
fn noise(i: usize) -> u8 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}
