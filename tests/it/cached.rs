//! What is read through the rows in memory is what the database has, whatever is written meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::{Row, named_params};
use serde_json::{Value, json};
use socialhub::app;
use socialhub::config;
use socialhub::error::Result;
use socialhub::id::{PostId, UserId};
use socialhub::posts::{self, Post};
use socialhub::store::{ReadTx, Store};
use socialhub::users;

use crate::support::Daemon;
use crate::support::dice::Dice;
use crate::support::script::Script;

/// Commands of one world.
const STEPS: usize = 400;
/// Those who read all the time, whatever is written.
const READERS: usize = 3;

/// What there is to read.
#[derive(Clone, Default)]
struct Known {
    posts: Vec<PostId>,
    people: Vec<UserId>,
}

impl Known {
    /// A reader, and some of the posts and people, mostly new ones.
    fn some(&self, dice: &mut Dice) -> (UserId, Vec<PostId>, Vec<UserId>) {
        let viewer = dice.one_of(&self.people);
        let posts = (0..12).filter_map(|_| dice.recent(&self.posts)).collect();
        let people = (0..6).filter_map(|_| dice.recent(&self.people)).collect();
        (viewer, posts, people)
    }
}

#[test]
fn what_is_in_memory_is_what_the_database_has() {
    let settings = ProptestConfig {
        cases: 4,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    TestRunner::new(settings)
        .run(&any::<u64>().no_shrink(), |seed| {
            runtime.block_on(compare(seed));
            Ok(())
        })
        .unwrap();
}

async fn compare(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let options = config::Store {
        // Too small for all of it in every other world.
        row_cache_mib: u32::try_from(seed % 2).unwrap(),
        ..config::Store::default()
    };
    let (store, _) = Store::open(dir.path(), &options, app::registry()).unwrap();
    let known = Mutex::new(Known::default());
    let is_over = AtomicBool::new(false);
    let readers =
        (0..READERS as u64).map(|number| read_on(&store, &known, &is_over, seed ^ number));
    let writer = async {
        let mut script = Script::new(seed);
        let mut dice = Dice::new(seed);
        for _step in 0..STEPS {
            // Now and then a crowd that shares a commit, and of which nobody knows what became.
            let crowd = if dice.is_one_in(4) { dice.below(8) } else { 0 };
            let strays: Vec<_> = (0..crowd).map(|_| script.next()).collect();
            let command = script.next();
            let text = serde_json::to_string(&command).unwrap();
            let strays = strays.into_iter().map(|stray| store.submit_encoded(stray));
            let (outcome, _) = tokio::join!(store.submit_encoded(command), join_all(strays));
            script.learn(outcome.is_ok());
            let now = Known {
                posts: script.posts(),
                people: script.people(),
            };
            if !now.people.is_empty() {
                look(&store, now.some(&mut dice), text).await;
            }
            *known.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(writer, join_all(readers));
    store.close();
}

/// Looks on and on, whatever is being written, so that there is always somebody who is late with what was before.
async fn read_on(store: &Store, known: &Mutex<Known>, is_over: &AtomicBool, seed: u64) {
    let mut dice = Dice::new(seed);
    while !is_over.load(Ordering::Relaxed) {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.people.is_empty() {
            tokio::task::yield_now().await;
        } else {
            look(store, known.some(&mut dice), "meanwhile".to_owned()).await;
        }
    }
}

/// What the server shows is what the rows say, in the same snapshot.
async fn look(
    store: &Store,
    (viewer, ids, people): (UserId, Vec<PostId>, Vec<UserId>),
    when: String,
) {
    let look = move |tx: &ReadTx<'_>| {
        let shown = posts::readable(tx, viewer, &ids)?;
        let shown = shown.iter().map(|post| (post.id.get(), said(post)));
        let shown: BTreeMap<i64, Value> = shown.collect();
        assert_eq!(shown, posts_in(tx, viewer, &ids)?, "{when}");
        for id in people {
            let user = users::sql::find(tx, id)?.unwrap();
            let shown = json!([
                user.person.username,
                user.person.name,
                user.bio,
                user.banner,
                user.followers_count,
                user.following_count,
                user.posts.public,
                user.posts.followers,
                user.posts.private,
                user.role,
                user.created_at.as_millis(),
            ]);
            assert_eq!(shown, person_in(tx, id)?, "{when}");
        }
        Ok(())
    };
    store.read(look).await.unwrap();
}

fn said(post: &Post) -> Value {
    json!([
        post.content,
        post.caption,
        post.hashtags,
        post.visibility,
        post.likes,
        post.dislikes,
        post.count.comments,
        post.is_edited,
        post.is_liked,
        post.is_disliked,
        post.updated_at.as_millis(),
        post.author.username,
        post.author.name,
        post.media.len(),
    ])
}

/// Those that somebody may see, by a statement that knows nothing of how the server does it.
fn posts_in(tx: &ReadTx<'_>, viewer: UserId, ids: &[PostId]) -> Result<BTreeMap<i64, Value>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).unwrap();
    let rows = tx.all(
        "SELECT p.id,
                json_array(
                    p.content, p.caption, json(p.hashtags),
                    CASE p.visibility WHEN 0 THEN 'public' WHEN 1 THEN 'followers' ELSE 'private' END,
                    p.likes_count, p.dislikes_count, p.comments_count,
                    json(iif(EXISTS (SELECT 1 FROM post_edits WHERE post_id = p.id), 'true', 'false')),
                    json(iif(r.value IS 1, 'true', 'false')), json(iif(r.value IS -1, 'true', 'false')),
                    p.updated_at, u.username, u.name, p.media_count
                )
         FROM json_each(:ids) AS wanted
         JOIN posts AS p ON p.id = wanted.value
         JOIN users AS u ON u.id = p.author_id
         LEFT JOIN reactions AS r ON r.post_id = p.id AND r.user_id = :viewer
         WHERE p.is_deleted = 0
               AND CASE
                       WHEN p.author_id = :viewer THEN true
                       WHEN p.author_id IN (SELECT other_id FROM blocked_pairs WHERE user_id = :viewer) THEN false
                       WHEN p.visibility = 0 THEN true
                       WHEN p.visibility = 2 THEN false
                       ELSE p.author_id IN (
                           SELECT following_id FROM follows WHERE follower_id = :viewer AND is_active = 1
                       )
                   END",
        named_params! { ":ids": ids, ":viewer": viewer },
        |row| Ok((row.get(0)?, parsed(row)?)),
    )?;
    Ok(rows.into_iter().collect())
}

fn person_in(tx: &ReadTx<'_>, id: UserId) -> Result<Value> {
    tx.one(
        "SELECT id,
                json_array(username, name, bio, banner, followers_count, following_count, public_posts,
                           followers_posts, private_posts, role, created_at)
         FROM users WHERE id = :id",
        named_params! { ":id": id },
        parsed,
    )
}

fn parsed(row: &Row<'_>) -> rusqlite::Result<Value> {
    let json: String = row.get(1)?;
    Ok(serde_json::from_str(&json).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_say_how_often_memory_helped() {
    // A process of its own, whose metrics are its own.
    let daemon = Daemon::start().await;
    let ada = daemon.client().sign_up("ada").await;
    let post = ada.write("Hello").await;
    let metric = |name: &str, text: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().parse().unwrap_or(f64::NAN)
    };
    for _ in 0..5 {
        ada.get(&format!("/api/v1/posts/{post}")).await.expect(200);
    }
    let text = daemon.client().get("/metrics").await.text;
    for table in ["posts", "users"] {
        let of = |name: &str| {
            metric(
                &format!("socialhub_cache_{name}{{table=\"{table}\"}}"),
                &text,
            )
        };
        let (hits, misses) = (of("hits_total"), of("misses_total"));
        assert!(
            hits >= 4.0 && misses >= 1.0,
            "{hits} and {misses} of {table}"
        );
        let ratio = of("hit_ratio");
        assert!(
            (ratio - hits / (hits + misses)).abs() < 0.001,
            "{ratio}: {hits}, {misses}"
        );
    }
    assert!(metric("socialhub_cache_bytes", &text) > 100.0);
    assert!(metric("socialhub_cache_rows", &text) >= 2.0);
}
