//! Events on their way: from the outbox into the log, and from the log into notifications.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::params;
use socialhub::app;
use socialhub::clock::{Clock, Timestamp};
use socialhub::config;
use socialhub::consume::Consumers;
use socialhub::disk::DiskGuard;
use socialhub::event::{self, Event};
use socialhub::eventlog::EventLog;
use socialhub::id::UserId;
use socialhub::notifications::Notifications;
use socialhub::store::Store;
use socialhub::tasks::Tasks;

use crate::Scale;
use crate::figures::Figures;
use crate::seed;

/// How long it may take at most.
const PATIENCE: Duration = Duration::from_mins(5);

/// People who are told.
const PEOPLE: i64 = 2_000;

pub(crate) fn measure(figures: &mut Figures, scale: &Scale) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &config::Store::default(), app::registry()).unwrap();
    store.close();
    fill_outbox(dir.path(), scale.events);
    let count = u64::from(scale.events);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (relayed, told) = runtime.block_on(async {
        let (store, _) =
            Store::open(dir.path(), &config::Store::default(), app::registry()).unwrap();
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let (events, options) = (config::Events::default(), config::Notifications::default());
        let log = EventLog::new(
            dir.path(),
            &events,
            DiskGuard::new(dir.path(), 0),
            clock.clone(),
        );
        let notifications = Notifications::new(store.clone(), &log, clock, &options);
        let started = Instant::now();
        log.start(&store, &tasks);
        let mut reach = log.reach();
        reach
            .wait_for(|reach| reach.is_some_and(|reach| reach.end >= count))
            .await
            .unwrap();
        let relayed = started.elapsed();
        let started = Instant::now();
        let consumers = Consumers::new(log.clone(), &store, tasks.clone(), &events);
        consumers.start(notifications.clone());
        assert!(consumers.settle(PATIENCE).await);
        let told = started.elapsed();
        let somebody = UserId::from(seed::person(1));
        assert!(notifications.unread_count(somebody).await.unwrap() > 0);
        tasks.stop(PATIENCE).await;
        let closing = tokio::task::spawn_blocking(move || {
            log.close();
            store.close();
        });
        closing.await.unwrap();
        (relayed, told)
    });
    figures.note(
        "outbox -> relay -> event log (wanted: 10,000)",
        "1/s",
        f64::from(scale.events) / relayed.as_secs_f64(),
        format!("{} events waiting in the outbox", scale.events),
    );
    figures.note(
        "event log -> notifications (wanted: 50,000)",
        "1/s",
        f64::from(scale.events) / told.as_secs_f64(),
        format!("for {PEOPLE} people"),
    );
}

/// Likes, comments and follows, as people would make them.
fn fill_outbox(dir: &Path, count: u32) {
    let mut connection = seed::connect(dir);
    let tx = connection.transaction().unwrap();
    let mut insert = tx
        .prepare("INSERT INTO outbox (topic, key, at, envelope) VALUES (?1, ?2, ?3, ?4)")
        .unwrap();
    // Lately, so that retention keeps them.
    let now = Clock::system().now();
    for number in 0..i64::from(count) {
        let at = Timestamp::from_millis(now.as_millis() - i64::from(count) + number);
        let author_id = UserId::from(seed::person(number * 7 % PEOPLE));
        // A few are told far more than the others.
        let told = if number % 3 == 0 {
            number % 10
        } else {
            number * 13 % PEOPLE
        };
        let recipient_id = UserId::from(seed::person(told));
        let post_id = seed::post(told).into();
        let event = match number % 4 {
            0 | 1 => Event::LikeCreated {
                like_id: seed::flat_comment(number).into(),
                post_id,
                author_id,
                recipient_id,
            },
            2 => Event::CommentCreated {
                comment_id: seed::flat_comment(number).into(),
                post_id,
                author_id,
                author_username: "person7".to_owned(),
                recipient_id,
                parent_author_id: None,
                created_at: at,
                mentions: Vec::new(),
            },
            _ => Event::FollowCreated {
                follow_id: seed::flat_comment(number).into(),
                author_id,
                following_id: recipient_id,
                new_follower: "person7".to_owned(),
                followed_username: "person8".to_owned(),
            },
        };
        let envelope = event::to_envelope(at, &event).unwrap();
        insert
            .execute(params![event.topic().as_str(), event.key(), at, envelope])
            .unwrap();
    }
    drop(insert);
    tx.commit().unwrap();
}
