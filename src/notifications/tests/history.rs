//! Whatever happens, in whatever order: what people see is what a simple reading of the whole history gives.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use super::*;
use crate::notifications::stories::{Effect, effect};

/// What people and the server may do, in small numbers.
#[derive(Clone, Debug)]
enum Step {
    Happens(Event),
    Read(i64, usize),
    Remove(i64, usize),
    Take(i64),
    ReadAll(i64),
    RemoveAll(i64),
    Settle,
    Replay(u64),
    LoseEverything,
}

fn happening() -> impl Strategy<Value = Event> {
    let person = || 1..6_i64;
    let (post, comment) = (11..15_i64, 21..25_i64);
    let link = 100..112_i64;
    let mentions = prop::collection::vec(1..6_i64, 0..3);
    prop_oneof![
        1 => (post.clone(), mentions.clone())
            .prop_map(|(post, named)| posted(post, post - 10, &named)),
        1 => (comment.clone(), mentions).prop_map(|(comment, named)| {
            commented(comment, comment_author(comment), parent_author(comment), &named)
        }),
        4 => (link.clone(), post.clone(), person()).prop_map(|(l, p, a)| liked(l, p, a)),
        2 => (link.clone(), post.clone(), person()).prop_map(|(l, p, a)| unliked(l, p, a)),
        2 => (link.clone(), comment.clone(), person()).prop_map(|(l, c, a)| comment_liked(l, c, a)),
        1 => (link.clone(), comment.clone(), person()).prop_map(|(l, c, a)| {
            Event::CommentUnliked {
                like_id: l.into(),
                comment_id: c.into(),
                post_id: 11.into(),
                author_id: a.into(),
            }
        }),
        2 => (link.clone(), person(), person()).prop_map(|(l, a, b)| followed(l, a, b)),
        1 => (link, person(), person()).prop_map(|(l, a, b)| unfollowed(l, a, b)),
        1 => (person(), person()).prop_map(|(a, b)| blocked(a, b)),
        1 => (person(), person()).prop_map(|(a, b)| muted(a, b)),
        1 => post.prop_map(post_deleted),
        1 => comment.prop_map(comment_deleted),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let person = || 1..6_i64;
    prop_oneof![
        20 => happening().prop_map(Step::Happens),
        3 => (person(), 0..30_usize).prop_map(|(user, n)| Step::Read(user, n)),
        3 => (person(), 0..30_usize).prop_map(|(user, n)| Step::Remove(user, n)),
        1 => person().prop_map(Step::Take),
        1 => person().prop_map(Step::ReadAll),
        1 => person().prop_map(Step::RemoveAll),
        6 => Just(Step::Settle),
        2 => (1..100_u64).prop_map(Step::Replay),
        1 => Just(Step::LoseEverything),
    ]
}

/// Reads the whole history from the start, in the simplest way: each person's notifications, and whether they are read.
fn expected(history: &[(u64, Event)]) -> BTreeMap<i64, BTreeMap<u64, bool>> {
    let mut lists: BTreeMap<i64, BTreeMap<u64, (Event, bool)>> = BTreeMap::new();
    for (seq, event) in history {
        let is_gone = |told: &Event| match (event, told) {
            (Event::PostDeleted { post_id, .. }, told) => post_of(told) == Some(post_id.get()),
            (
                Event::CommentDeleted { comment_id, .. },
                Event::CommentCreated { comment_id: id, .. }
                | Event::CommentLiked { comment_id: id, .. },
            ) => comment_id == id,
            (
                Event::LikeRemoved {
                    like_id, post_id, ..
                },
                Event::LikeCreated {
                    like_id: id,
                    post_id: post,
                    ..
                },
            ) => (like_id, post_id) == (id, post),
            (
                Event::CommentUnliked {
                    like_id,
                    comment_id,
                    ..
                },
                Event::CommentLiked {
                    like_id: id,
                    comment_id: comment,
                    ..
                },
            ) => (like_id, comment_id) == (id, comment),
            (
                Event::UnfollowCreated {
                    follow_id,
                    following_id,
                    ..
                },
                Event::FollowCreated {
                    follow_id: id,
                    following_id: following,
                    ..
                },
            ) => (follow_id, following_id) == (id, following),
            _ => false,
        };
        for list in lists.values_mut() {
            list.retain(|_, (told, _)| !is_gone(told));
        }
        match effect(event.clone(), START) {
            Effect::Tell(told) => {
                for (user, _) in told {
                    let list = lists.entry(user.get()).or_default();
                    list.insert(*seq, (event.clone(), false));
                }
            }
            Effect::Mark { user, ids, mark } => {
                let list = lists.entry(user.get()).or_default();
                for id in ids {
                    mark_in_model(list, |seq| seq == id, mark);
                }
            }
            Effect::MarkAll {
                user,
                through,
                mark,
            } => {
                let list = lists.entry(user.get()).or_default();
                mark_in_model(list, |seq| seq <= through, mark);
            }
            Effect::Silence(pairs) => {
                for (user, actor) in pairs {
                    let list = lists.entry(user.get()).or_default();
                    list.retain(|_, (told, _)| actor_of(told) != actor.get());
                }
            }
            Effect::None | Effect::Remove(_) => {}
        }
    }
    lists
        .into_iter()
        .map(|(user, list)| {
            let read = list.into_iter().map(|(seq, (_, is_read))| (seq, is_read));
            (user, read.collect())
        })
        .collect()
}

fn mark_in_model(
    list: &mut BTreeMap<u64, (Event, bool)>,
    is_meant: impl Fn(u64) -> bool,
    mark: Mark,
) {
    match mark {
        Mark::Deleted => list.retain(|seq, _| !is_meant(*seq)),
        Mark::Read => {
            for (_, (_, is_read)) in list.iter_mut().filter(|(seq, _)| is_meant(**seq)) {
                *is_read = true;
            }
        }
    }
}

/// Who did what somebody was told of.
fn actor_of(event: &Event) -> i64 {
    match event {
        Event::PostCreated { author_id, .. }
        | Event::CommentCreated { author_id, .. }
        | Event::LikeCreated { author_id, .. }
        | Event::CommentLiked { author_id, .. }
        | Event::FollowCreated { author_id, .. } => author_id.get(),
        _ => 0,
    }
}

fn post_of(event: &Event) -> Option<i64> {
    match event {
        Event::PostCreated { post_id, .. }
        | Event::CommentCreated { post_id, .. }
        | Event::LikeCreated { post_id, .. }
        | Event::CommentLiked { post_id, .. } => Some(post_id.get()),
        _ => None,
    }
}

async fn history(store: &Store) -> Vec<(u64, Event)> {
    let rows = store
        .read(|tx| crate::store::outbox::after(tx, 0, 10_000))
        .await
        .unwrap();
    rows.into_iter()
        .map(|row| (row.seq, crate::event::from_envelope(&row.envelope).unwrap()))
        .collect()
}

/// What it was about may go while one looks at it.
fn unless_gone(outcome: Result<()>) {
    if let Err(error) = outcome {
        assert_eq!(error.code(), Code::NotificationNotFound);
    }
}

async fn take(rig: Rig, step: Step) -> Rig {
    let notifications = &rig.notifications;
    match step {
        Step::Happens(event) => {
            let events = vec![event];
            rig.store.submit(Emit { at: START, events }).await.unwrap();
        }
        Step::Read(user, n) => {
            if let Some(one) = rig.list(user).await.get(n) {
                unless_gone(notifications.mark_one_read(user.into(), one.id).await);
            }
        }
        Step::Remove(user, n) => {
            if let Some(one) = rig.list(user).await.get(n) {
                unless_gone(notifications.remove(user.into(), one.id).await);
            }
        }
        Step::Take(user) => drop(notifications.take_unread(user.into(), 5).await.unwrap()),
        Step::ReadAll(user) => drop(notifications.mark_all_read(user.into()).await.unwrap()),
        Step::RemoveAll(user) => notifications.remove_all(user.into()).await.unwrap(),
        Step::Settle => rig.settle().await,
        Step::Replay(from) => rig.replay(from).await,
        Step::LoseEverything => {
            let lose = |dir: &std::path::Path| {
                std::fs::remove_dir_all(dir.join("events")).unwrap();
            };
            return rig.restart(lose).await;
        }
    }
    rig
}

#[test]
fn whatever_happens_lists_and_counts_are_those_of_the_history() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let steps = prop::collection::vec(step(), 1..80);
    let mut runner = TestRunner::new(Cases {
        cases: 24,
        failure_persistence: None,
        ..Cases::default()
    });
    runner
        .run(&steps, |steps| {
            runtime.block_on(async {
                let mut rig = Rig::new().await;
                rig.settle().await;
                for step in steps {
                    rig = take(rig, step).await;
                }
                rig.settle().await;
                let expected = expected(&history(&rig.store).await);
                for user in 1..6 {
                    let list: BTreeMap<u64, bool> = rig
                        .list(user)
                        .await
                        .into_iter()
                        .map(|one| (one.id.get().cast_unsigned(), one.is_read))
                        .collect();
                    let expected = expected.get(&user).cloned().unwrap_or_default();
                    let unread = expected.values().filter(|is_read| !**is_read).count() as u64;
                    assert_eq!(list, expected, "person {user}");
                    assert_eq!(rig.unread(user).await, unread, "person {user}");
                }
                rig.stop().await;
            });
            Ok(())
        })
        .unwrap();
}
