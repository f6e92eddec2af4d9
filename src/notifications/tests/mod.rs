//! Notifications over a real store and a real log; in place of the consumer's task, the rig hands over the batches.

mod history;
mod loss;

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::disk::DiskGuard;
use crate::event::{Event, UserStatus};
use crate::eventlog::Batch;
use crate::page::Page;
use crate::store::testing::{self, Emit, Execute};
use crate::tasks::Tasks;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const PATIENCE: Duration = Duration::from_secs(30);

/// People 1 to 5 ("P1", ...), posts 11 to 14 of people 1 to 4, comments 21 to 24 beneath post 11: 21 and 22 at the top by
/// people 2 and 3, 23 beneath 21 by person 4, who names person 5, and 24 beneath 23 by person 1.
struct Rig {
    store: Store,
    log: EventLog,
    tasks: Tasks,
    notifications: Notifications,
    clock: Clock,
    dir: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let rig = Self::over(dir, Clock::manual(START));
        rig.execute(&[
            "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
             SELECT value, 'p' || value, 'p' || value, 'p' || value, 'P' || value, 'USER', 'active', 0, 0
             FROM json_each('[1,2,3,4,5]')",
            "INSERT INTO posts (id, author_id, content, hashtags, visibility, created_at, updated_at, event_seq)
             SELECT 10 + value, value, 'x', '[]', 0, 1700000000000, 0, 0 FROM json_each('[1,2,3,4]')",
            "INSERT INTO comments (id, post_id, parent_id, author_id, content, created_at, updated_at, event_seq)
             VALUES (21, 11, NULL, 2, 'x', 1700000000000, 0, 0), (22, 11, NULL, 3, 'x', 1700000000000, 0, 0),
                 (23, 11, 21, 4, 'x', 1700000000000, 0, 0), (24, 11, 23, 1, 'x', 1700000000000, 0, 0)",
            "INSERT INTO comment_mentions (comment_id, user_id) VALUES (23, 5)",
            "INSERT INTO post_mentions (post_id, user_id) VALUES (12, 5)",
        ])
        .await;
        rig
    }

    fn over(dir: TempDir, clock: Clock) -> Self {
        let store = testing::open(dir.path(), register);
        let options = config::Events::default();
        let guard = DiskGuard::new(dir.path(), 1);
        let log = EventLog::new(dir.path(), &options, guard, clock.clone());
        let tasks = Tasks::new();
        log.start(&store, &tasks);
        let notifications = Notifications::new(
            store.clone(),
            &log,
            clock.clone(),
            &config::Notifications::default(),
        );
        Self {
            store,
            log,
            tasks,
            notifications,
            clock,
            dir,
        }
    }

    async fn execute(&self, statements: &[&str]) {
        let statements = statements.iter().map(|sql| (*sql).to_owned()).collect();
        self.store.submit(Execute(statements)).await.unwrap();
    }

    /// Lets things happen, and waits until everybody was told; the sequences.
    async fn emit(&self, events: impl IntoIterator<Item = Event>) -> Vec<u64> {
        let at = self.clock.now();
        let events = events.into_iter().collect();
        let seqs = self.store.submit(Emit { at, events }).await.unwrap();
        self.settle().await;
        seqs
    }

    /// Hands over everything, a few events at a time.
    async fn settle(&self) {
        let newest = *self.store.commits().borrow();
        let all = async {
            loop {
                match self.hand_over(newest).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => {
                        assert_eq!(error.code(), Code::Repairing);
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await;
        in_time.expect("notifications keep up");
    }

    /// One step; true when everything up to `newest` is done.
    async fn hand_over(&self, newest: u64) -> Result<bool> {
        let mut reach = self.log.reach();
        let there = reach.wait_for(|reach| reach.is_some_and(|reach| reach.end >= newest));
        let start = there.await.unwrap().map_or(0, |reach| reach.start);
        let position = self.notifications.position().await?;
        let Some(position) = position.filter(|position| *position >= start) else {
            self.notifications.rebuild(start).await?;
            return Ok(false);
        };
        if position < newest {
            let batch = self.log.after(TOPICS, position, 7).await?;
            self.notifications.apply(batch).await?;
        }
        Ok(position >= newest)
    }

    /// Lets everything from sequence `from` on come again.
    async fn replay(&self, from: u64) {
        let position = self.notifications.position().await.unwrap().unwrap();
        let back = Batch::empty(position, position.min(from - 1));
        self.notifications.apply(back).await.unwrap();
    }

    async fn list(&self, user: i64) -> Vec<Notification> {
        let page = self
            .notifications
            .list(user.into(), Page::first(100), Filter::default());
        page.await.unwrap().items
    }

    async fn messages(&self, user: i64) -> Vec<String> {
        let list = self.list(user).await;
        list.into_iter().map(|one| one.message).collect()
    }

    async fn unread(&self, user: i64) -> u64 {
        let count = self.notifications.unread_count(user.into());
        count.await.unwrap()
    }

    /// Stops, does something to the files, and starts again.
    async fn restart(self, harm: impl FnOnce(&std::path::Path)) -> Self {
        assert!(self.tasks.stop(PATIENCE).await);
        self.log.close();
        self.store.close();
        harm(self.dir.path());
        let rig = Self::over(self.dir, self.clock);
        rig.settle().await;
        rig
    }

    async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await);
        self.log.close();
        self.store.close();
    }
}

fn posted(post: i64, author: i64, mentions: &[i64]) -> Event {
    Event::PostCreated {
        post_id: post.into(),
        author_id: author.into(),
        username: format!("p{author}"),
        mentions: mentions.iter().map(|id| UserId::from(*id)).collect(),
    }
}

fn commented(comment: i64, author: i64, parent: Option<i64>, mentions: &[i64]) -> Event {
    Event::CommentCreated {
        comment_id: comment.into(),
        post_id: 11.into(),
        author_id: author.into(),
        author_username: format!("p{author}"),
        recipient_id: 1.into(),
        parent_author_id: parent.map(UserId::from),
        created_at: START,
        mentions: mentions.iter().map(|id| UserId::from(*id)).collect(),
    }
}

fn liked(like: i64, post: i64, author: i64) -> Event {
    Event::LikeCreated {
        like_id: like.into(),
        post_id: post.into(),
        author_id: author.into(),
        recipient_id: (post - 10).into(),
    }
}

fn unliked(like: i64, post: i64, author: i64) -> Event {
    Event::LikeRemoved {
        like_id: like.into(),
        post_id: post.into(),
        author_id: author.into(),
    }
}

fn parent_author(comment: i64) -> Option<i64> {
    match comment {
        23 => Some(2),
        24 => Some(4),
        _ => None,
    }
}

fn comment_liked(like: i64, comment: i64, author: i64) -> Event {
    Event::CommentLiked {
        like_id: like.into(),
        comment_id: comment.into(),
        post_id: 11.into(),
        author_id: author.into(),
        recipient_id: Some(comment_author(comment).into()),
    }
}

fn comment_author(comment: i64) -> i64 {
    match comment {
        21 => 2,
        22 => 3,
        23 => 4,
        _ => 1,
    }
}

fn followed(follow: i64, follower: i64, following: i64) -> Event {
    Event::FollowCreated {
        follow_id: follow.into(),
        author_id: follower.into(),
        following_id: following.into(),
        new_follower: format!("p{follower}"),
        followed_username: format!("p{following}"),
    }
}

fn unfollowed(follow: i64, follower: i64, following: i64) -> Event {
    Event::UnfollowCreated {
        follow_id: follow.into(),
        user_id: follower.into(),
        following_id: following.into(),
    }
}

fn blocked(user: i64, other: i64) -> Event {
    Event::UserBlocked {
        user_id: user.into(),
        blocked_id: other.into(),
    }
}

fn muted(user: i64, other: i64) -> Event {
    Event::UserMuted {
        user_id: user.into(),
        muted_id: other.into(),
        until: None,
    }
}

fn post_deleted(post: i64) -> Event {
    Event::PostDeleted {
        post_id: post.into(),
        author_id: (post - 10).into(),
    }
}

fn comment_deleted(comment: i64) -> Event {
    Event::CommentDeleted {
        comment_id: comment.into(),
        post_id: 11.into(),
        author_id: comment_author(comment).into(),
    }
}

#[tokio::test]
async fn people_are_told_who_did_what() {
    let rig = Rig::new().await;
    let seqs = rig
        .emit([
            posted(11, 1, &[5, 1]),
            liked(31, 11, 2),
            commented(21, 2, None, &[]),
            commented(23, 4, Some(2), &[5, 1]),
            comment_liked(41, 21, 3),
            followed(51, 3, 1),
            Event::PasswordChanged { user_id: 1.into() },
            Event::EmailVerified { user_id: 1.into() },
            // One's own doing.
            liked(32, 11, 1),
            commented(24, 1, Some(1), &[1]),
        ])
        .await;
    assert_eq!(
        rig.messages(1).await,
        [
            "Your e-mail address is verified",
            "Your password was changed",
            "P3 started following you",
            "P4 commented on your post",
            "P2 commented on your post",
            "P2 liked your post",
            "You created a new post!",
        ]
    );
    assert_eq!(
        rig.messages(2).await,
        ["P3 liked your comment", "P4 replied to your comment"]
    );
    assert_eq!(
        rig.messages(5).await,
        [
            "P4 mentioned you in a comment",
            "P1 mentioned you in a post"
        ]
    );
    assert_eq!(rig.unread(1).await, 7);

    let list = rig.list(1).await;
    let wire = serde_json::to_value(&list[5]).unwrap();
    assert_eq!(
        wire,
        serde_json::json!({
            "id": seqs[1].to_string(), "userId": "1", "username": "p2", "postId": "11", "commentId": null,
            "likeId": "31", "followerId": null, "followingId": null, "type": "ENGAGEMENT", "triggeredById": "2",
            "message": "P2 liked your post", "link": "/posts/11", "is_read": false,
            "createdAt": "2023-11-14T22:13:20.000Z", "updatedAt": "2023-11-14T22:13:20.000Z",
        })
    );
    let own = list.last().unwrap();
    assert_eq!(
        (own.topic, own.link.as_deref(), own.post_id),
        (Topic::Post, Some("/posts/11"), None)
    );
    let follow = &list[2];
    assert_eq!(
        (follow.topic, follow.link.as_deref()),
        (Topic::Connection, Some("/users/3"))
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_is_gone_takes_its_notifications_along() {
    let rig = Rig::new().await;
    let told = || {
        [
            posted(12, 2, &[5]),
            posted(11, 1, &[]),
            commented(21, 2, None, &[]),
            commented(23, 4, Some(2), &[5]),
            comment_liked(41, 23, 3),
            liked(31, 11, 2),
            liked(31, 12, 1),
            followed(51, 3, 1),
        ]
    };
    rig.emit(told()).await;
    rig.emit([unliked(31, 11, 2), unfollowed(51, 3, 1)]).await;
    assert_eq!(
        rig.messages(1).await,
        [
            "P4 commented on your post",
            "P2 commented on your post",
            "You created a new post!"
        ]
    );
    assert_eq!(rig.unread(1).await, 3);
    rig.emit([comment_deleted(23)]).await;
    assert_eq!(rig.messages(4).await, [] as [&str; 0]);
    assert_eq!(rig.messages(5).await, ["P2 mentioned you in a post"]);
    assert_eq!(rig.unread(2).await, 2);
    rig.emit([post_deleted(11), post_deleted(12)]).await;
    for user in 1..=5 {
        assert_eq!(rig.messages(user).await, [] as [&str; 0], "person {user}");
        assert_eq!(rig.unread(user).await, 0, "person {user}");
    }
    // In one batch as in several.
    rig.emit(told().into_iter().chain([
        comment_deleted(23),
        unliked(31, 12, 1),
        unfollowed(51, 3, 1),
        post_deleted(12),
    ]))
    .await;
    assert_eq!(rig.unread(1).await, 3);
    assert_eq!(rig.unread(2).await, 0);
    assert_eq!(rig.unread(5).await, 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_person_who_is_gone_is_in_nobodys_list() {
    let rig = Rig::new().await;
    rig.emit([
        posted(11, 1, &[]),
        posted(12, 2, &[5]),
        liked(31, 11, 2),
        followed(51, 2, 1),
        followed(52, 3, 2),
        comment_liked(41, 23, 2),
    ])
    .await;
    rig.execute(&[
        "INSERT INTO reactions (id, post_id, user_id, value, created_at) VALUES (31, 11, 2, 1, 0)",
        "INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at) VALUES (51, 2, 1, 1, 0, 0, 0)",
        "INSERT INTO comment_likes (id, comment_id, user_id, is_active, created_at, event_seq) VALUES (41, 23, 2, 1, 0, 0)",
        "UPDATE users SET status = 'deleted' WHERE id = 2",
    ])
    .await;
    // At once hidden, and soon gone.
    assert_eq!(rig.messages(1).await, ["You created a new post!"]);
    rig.emit([Event::UserStatusChanged {
        user_id: 2.into(),
        status: UserStatus::Deleted,
    }])
    .await;
    assert_eq!(rig.messages(1).await, ["You created a new post!"]);
    assert_eq!(rig.unread(1).await, 1);
    for user in [2, 4, 5] {
        assert_eq!(rig.unread(user).await, 0, "person {user}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_contracts_list_marks_what_it_shows_and_no_more() {
    let rig = Rig::new().await;
    rig.emit((0..60).map(|n| liked(100 + n, 11, 2))).await;
    let user = UserId::from(1);
    let taken = rig.notifications.take_unread(user, 50).await.unwrap();
    assert_eq!(taken.len(), 50);
    assert!(taken.iter().all(|one| !one.is_read));
    // At once, before the log has brought the marks around.
    assert_eq!(rig.unread(1).await, 10);
    let rest = rig.notifications.take_unread(user, 50).await.unwrap();
    assert_eq!(rest.len(), 10);
    assert!(taken.last().unwrap().id > rest[0].id);
    let none = rig.notifications.take_unread(user, 50).await.unwrap();
    assert_eq!(none, []);
    rig.settle().await;
    assert_eq!(rig.unread(1).await, 0);
    assert!(rig.list(1).await.iter().all(|one| one.is_read));
    rig.stop().await;
}

#[tokio::test]
async fn marks_are_for_ones_own_and_for_good() {
    let rig = Rig::new().await;
    let seqs = rig.emit((0..5).map(|n| liked(100 + n, 11, 2))).await;
    let id = |n: usize| NotificationId::from(seqs[n].cast_signed());
    let (user, other) = (UserId::from(1), UserId::from(3));
    let of_others = rig.notifications.mark_one_read(other, id(0)).await;
    assert_eq!(of_others.unwrap_err().code(), Code::NotificationNotFound);
    rig.notifications.mark_one_read(user, id(0)).await.unwrap();
    rig.notifications.mark_one_read(user, id(0)).await.unwrap();
    assert_eq!(rig.unread(1).await, 4);
    rig.notifications.remove(user, id(1)).await.unwrap();
    let again = rig.notifications.remove(user, id(1)).await;
    assert_eq!(again.unwrap_err().code(), Code::NotificationNotFound);
    assert_eq!(rig.unread(1).await, 3);
    rig.notifications.mark_one_read(user, id(2)).await.unwrap();

    rig.settle().await;
    rig.replay(1).await;
    rig.settle().await;
    assert_eq!((rig.unread(1).await, rig.list(1).await.len()), (2, 4));

    assert_eq!(rig.notifications.mark_all_read(user).await.unwrap(), 2);
    assert_eq!(rig.unread(1).await, 0);
    rig.notifications.remove_all(user).await.unwrap();
    assert_eq!(rig.list(1).await, []);
    rig.emit([liked(200, 11, 2)]).await;
    assert_eq!((rig.unread(1).await, rig.list(1).await.len()), (1, 1));

    // All that is derived is lost: what was done is remembered.
    let rig = rig
        .restart(|dir| std::fs::remove_dir_all(dir.join("events")).unwrap())
        .await;
    assert_eq!((rig.unread(1).await, rig.list(1).await.len()), (1, 1));
    rig.stop().await;
}

#[tokio::test]
async fn what_belongs_together_can_be_read_as_one() {
    let rig = Rig::new().await;
    rig.emit([
        followed(51, 5, 1),
        liked(31, 11, 2),
        liked(32, 11, 3),
        followed(52, 2, 1),
        liked(33, 11, 4),
        liked(34, 11, 5),
        commented(21, 2, None, &[]),
    ])
    .await;
    let user = UserId::from(1);
    let grouped = |page| {
        rig.notifications
            .list_grouped(user, page, Filter::default())
    };
    let all = grouped(Page::first(10)).await.unwrap();
    let texts: Vec<_> = all.items.iter().map(|group| &*group.message).collect();
    assert_eq!(
        texts,
        [
            "P2 commented on your post",
            "P5 and 3 others liked your post",
            "P2 and P5 started following you"
        ]
    );
    let likes = &all.items[1];
    assert_eq!(
        (likes.count, likes.actors.len(), likes.ids.len()),
        (4, 3, 4)
    );

    let first = grouped(Page::first(2)).await.unwrap();
    let mut next = Page::first(2);
    next.after = first.next;
    let second = grouped(next).await.unwrap();
    assert_eq!(
        (first.items, second.items, second.next),
        (all.items[..2].to_vec(), all.items[2..].to_vec(), None)
    );
    rig.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let rig = Rig::new().await;
    rig.emit((0..70).map(|n| {
        if n % 7 == 0 {
            followed(100 + n, 2, 1)
        } else {
            liked(100 + n, 11, 2)
        }
    }))
    .await;
    let user = UserId::from(1);
    let all = rig.list(1).await;
    assert_eq!(all.len(), 70);
    let mut page = Page::first(9);
    let mut paged = Vec::new();
    loop {
        let slice = rig
            .notifications
            .list(user, page, Filter::default())
            .await
            .unwrap();
        paged.extend(slice.items);
        page.after = slice.next;
        if slice.next.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    let follows = Filter {
        unread_only: true,
        topics: vec![Topic::Connection],
    };
    let slice = rig
        .notifications
        .list(user, Page::first(100), follows)
        .await
        .unwrap();
    assert_eq!(slice.items.len(), 10);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_gone() {
    let rig = Rig::new().await;
    rig.emit((0..30).map(|n| liked(100 + n, 11, 2))).await;
    rig.emit((0..30).map(|n| liked(100 + n, 12, 3))).await;
    rig.clock.advance(Duration::from_hours(24 * 89));
    rig.emit([liked(200, 11, 2)]).await;
    assert_eq!(rig.unread(1).await, 31);
    rig.clock.advance(Duration::from_hours(24 * 2));
    assert_eq!(rig.unread(1).await, 1);
    assert_eq!(rig.list(1).await.len(), 1);
    rig.notifications.age_all().await.unwrap();
    assert_eq!(rig.unread(2).await, 0);

    let seqs = rig.emit((0..1_500).map(|n| liked(1_000 + n, 11, 2))).await;
    let unread = rig.unread(1).await;
    assert!((500..=1_000).contains(&unread), "{unread}");
    let newest = rig.list(1).await;
    assert_eq!(newest[0].id, seqs[1_499].cast_signed().into());
    let filter = Filter::default();
    let kept = rig.notifications.newest(1.into(), filter, usize::MAX);
    assert_eq!(kept.await.unwrap().len() as u64, unread);
    rig.stop().await;
}
