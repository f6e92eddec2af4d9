//! Plain SQLite on the same database: the statements that a command or a read runs, without the server around them.
//!
//! They are written out from `src/*/sql.rs`; what is left out is the savepoint around each command, which is the store's.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

use crate::Scale;
use crate::seed::{self, PEOPLE, POSTS, Seeded};

/// A command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Follow,
    Like,
    Post,
    /// In a room; there have to be some.
    Message,
}

/// Commands a second, so many to a commit.
pub(crate) fn writes(seeded: &Seeded, scale: &Scale, write: Write, batch: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "a batch is small")]
    let batch = (batch.round() as i64).max(1);
    let connection = seed::connect(seeded.data_dir());
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < scale.measure {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..batch {
            apply(&connection, write, number);
            number += 1;
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    number as f64 / started.elapsed().as_secs_f64()
}

/// The one of this number; different from all that the server was asked for.
fn apply(connection: &Connection, write: Write, number: i64) {
    // New ids, above those that the server made.
    let id = i64::MAX / 2 + number * 3 + write as i64;
    let at = 1_800_000_000_000_i64;
    let half = PEOPLE / 2;
    match write {
        Write::Follow => {
            // The first half follows the second half's people as far as it did not yet, and then again.
            let follower = seed::person(half + number % half);
            let following = seed::person(half + (number % half + 1 + number / half) % half);
            for person in [follower, following] {
                query(
                    connection,
                    "SELECT username, status FROM users WHERE id = ?1",
                    &[person],
                );
            }
            let find = "SELECT id AS follow_id, created_at, follower_id, following_id, is_active
                        FROM follows
                        WHERE follower_id = ?1 AND following_id = ?2";
            query(connection, find, &[follower, following]);
            let seq = emit(
                connection,
                "USER_TOPIC",
                follower,
                at,
                r#"{"timestamp":"2027-01-15T08:00:00.000Z","eventType":"follow.created","data":{"followId":"400000000000000000","authorId":"400000000000000000","followingId":"400000000000000000","newfollower":"person1000","followedUsername":"person1"}}"#,
            );
            run(
                connection,
                "INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?4)
                 ON CONFLICT (id) DO UPDATE
                 SET is_active = 1, event_seq = excluded.event_seq, event_at = excluded.event_at",
                params![id, follower, following, at, seq],
            );
            run(
                connection,
                "UPDATE users SET following_count = following_count + ?2 WHERE id = ?1",
                params![follower, 1],
            );
            run(
                connection,
                "UPDATE users SET followers_count = followers_count + ?2 WHERE id = ?1",
                params![following, 1],
            );
            query(connection, find, &[follower, following]);
        }
        Write::Like => {
            let user = seed::person(number % half);
            let post = seed::post(number / half % POSTS);
            query(
                connection,
                "SELECT author_id, visibility FROM posts WHERE id = ?1 AND is_deleted = 0",
                &[post],
            );
            query(connection, FIND_USER, &[user]);
            query(
                connection,
                "SELECT id, value, created_at, event_seq FROM reactions WHERE post_id = ?1 AND user_id = ?2",
                &[post, user],
            );
            let seq = emit(
                connection,
                "POST_TOPIC",
                post,
                at,
                r#"{"timestamp":"2027-01-15T08:00:00.000Z","eventType":"like.created","data":{"likeId":"400000000000000000","postId":"400000000000000000","authorId":"400000000000000000","recipientId":"400000000000000000"}}"#,
            );
            run(
                connection,
                "INSERT INTO reactions (id, post_id, user_id, value, created_at, event_seq)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET value = excluded.value, event_seq = excluded.event_seq",
                params![id, post, user, at, seq],
            );
            run(
                connection,
                "UPDATE posts
                 SET likes_count = likes_count + ?2, dislikes_count = dislikes_count + ?3
                 WHERE id = ?1",
                params![post, 1, 0],
            );
            query(
                connection,
                "SELECT likes_count, dislikes_count FROM posts WHERE id = ?1",
                &[post],
            );
        }
        Write::Post => {
            let author = seed::person(number % PEOPLE);
            query(connection, FIND_USER, &[author]);
            let seq = emit(
                connection,
                "POST_TOPIC",
                id,
                at,
                r#"{"timestamp":"2027-01-15T08:00:00.000Z","eventType":"post.created","data":{"postId":"400000000000000000","authorId":"400000000000000000","username":"person1000","mentions":[]}}"#,
            );
            run(
                connection,
                "INSERT INTO posts (id, author_id, content, caption, hashtags, visibility, created_at, updated_at, event_seq)
                 VALUES (?1, ?2, ?3, NULL, '[]', 0, ?4, ?4, ?5)",
                params![id, author, format!("Post number {number}, of the usual length of a post that somebody writes."), at, seq],
            );
            run(
                connection,
                "DELETE FROM post_hashtags WHERE post_id = ?1",
                params![id],
            );
            run(
                connection,
                "DELETE FROM post_mentions WHERE post_id = ?1",
                params![id],
            );
            run(
                connection,
                "UPDATE users SET public_posts = public_posts + ?2 WHERE id = ?1",
                params![author, 1],
            );
        }
        Write::Message => {
            let (sender, room) = (
                seed::person(number % PEOPLE),
                format!("room {}", number % 100),
            );
            let room: i64 = connection
                .prepare_cached(
                    "SELECT id, key, kind, last_number, created_at FROM rooms WHERE key = ?1",
                )
                .unwrap()
                .query_row([room], |row| row.get(0))
                .unwrap();
            run(
                connection,
                "UPDATE rooms SET last_number = last_number + 1 WHERE id = ?1",
                params![room],
            );
            query(
                connection,
                "SELECT last_number FROM rooms WHERE id = ?1",
                &[room],
            );
            run(
                connection,
                "INSERT INTO messages (id, room_id, number, sender_id, body, has_media, reply_to, client_id, created_at)
                 SELECT ?1, id, last_number, ?3, ?4, 0, NULL, NULL, ?5 FROM rooms WHERE id = ?2",
                params![id, room, sender, format!("{number} Hello, this is what people usually say in a room."), at],
            );
            run(
                connection,
                "UPDATE room_members
                 SET read_number = (SELECT last_number FROM rooms WHERE id = ?1)
                 WHERE room_id = ?1 AND user_id = ?2",
                params![room, sender],
            );
            query(
                connection,
                "SELECT m.id, r.key, m.number, m.sender_id, u.username, u.name, u.avatar, m.body, m.reply_to, m.client_id,
                        m.created_at, m.edited_at, m.deleted_at,
                        (SELECT json_group_array(json_array(x.emoji, x.user_id))
                         FROM message_reactions AS x
                         WHERE x.message_id = m.id) AS reactions
                 FROM messages AS m
                 JOIN rooms AS r ON r.id = m.room_id
                 JOIN users AS u ON u.id = m.sender_id
                 WHERE m.id = ?1",
                &[id],
            );
        }
    }
}

/// What is said in rooms: how many messages, and their ids, put together by XOR.
pub(crate) struct Messages {
    pub(crate) count: u64,
    pub(crate) ids: u64,
}

pub(crate) fn messages(seeded: &Seeded) -> Messages {
    let connection = seed::connect(seeded.data_dir());
    let mut statement = connection.prepare("SELECT id FROM messages").unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    let none = Messages { count: 0, ids: 0 };
    ids.fold(none, |seen, id: rusqlite::Result<u64>| Messages {
        count: seen.count + 1,
        ids: seen.ids ^ id.unwrap(),
    })
}

const FIND_USER: &str =
    "SELECT id, username, name, avatar, bio, banner, role, status, followers_count, following_count,
            public_posts, followers_posts, private_posts, created_at
     FROM users
     WHERE id = ?1";

fn emit(connection: &Connection, topic: &str, key: i64, at: i64, envelope: &str) -> i64 {
    run(
        connection,
        "INSERT INTO outbox (topic, key, at, envelope)
         VALUES (?1, ?2, ?3, ?4)",
        params![topic, key, at, envelope],
    );
    connection.last_insert_rowid()
}

fn run(connection: &Connection, sql: &str, params: impl rusqlite::Params) {
    connection
        .prepare_cached(sql)
        .unwrap()
        .execute(params)
        .unwrap();
}

/// Runs a query and reads every column, as whoever asks would; how many rows there were.
fn query(connection: &Connection, sql: &str, params: &[i64]) -> usize {
    let mut statement = connection.prepare_cached(sql).unwrap();
    let width = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(params)).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        for column in 0..width {
            std::hint::black_box(row.get_ref(column).unwrap());
        }
        count += 1;
    }
    count
}

/// Pages of what one of so many people follow, a second, on as many threads as there are cores.
pub(crate) fn following_lists(seeded: &Seeded, scale: &Scale, people: i64, limit: i64) -> f64 {
    let threads = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let measure = scale.measure;
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let connection = seed::connect(seeded.data_dir());
            std::thread::spawn(move || {
                let mut count = 0;
                while started.elapsed() < measure {
                    let person = seed::person((count * 7 + i64::try_from(thread).unwrap()) % people);
                    connection.execute_batch("BEGIN").unwrap();
                    query(&connection, FIND_USER, &[person]);
                    let rows = query(
                        &connection,
                        "SELECT f.id AS follow_id, f.created_at, f.follower_id, f.following_id, f.is_active,
                                u.id, u.username, u.name, u.avatar
                         FROM follows AS f
                         JOIN users AS u ON u.id = f.following_id
                         WHERE f.follower_id = ?1 AND f.is_active = 1 AND f.id < ?2
                         ORDER BY f.id DESC
                         LIMIT ?3 OFFSET 0",
                        &[person, i64::MAX, limit + 1],
                    );
                    connection.execute_batch("ROLLBACK").unwrap();
                    assert!(rows > 0);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: i64 = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    count as f64 / started.elapsed().as_secs_f64()
}

/// Pages of twenty of these posts with their authors, on every core: pages in a second.
pub(crate) fn pages_of_posts(data_dir: &Path, scale: &Scale, ids: &[i64]) -> f64 {
    let threads = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let measure = scale.measure;
    // What people read lately.
    let pages: Vec<String> = ids
        .chunks(20)
        .take(500)
        .map(|page| serde_json::to_string(page).unwrap())
        .collect();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let connection = seed::connect(data_dir);
            let pages = pages.clone();
            std::thread::spawn(move || {
                let mut count = thread;
                while started.elapsed() < measure {
                    connection.execute_batch("BEGIN").unwrap();
                    let mut statement = connection
                        .prepare_cached(
                            "SELECT p.id, p.content, p.caption, p.hashtags, p.visibility, p.likes_count, p.dislikes_count,
                                    p.comments_count, p.created_at, p.updated_at, u.username, u.name, u.avatar
                             FROM posts AS p
                             JOIN users AS u ON u.id = p.author_id
                             WHERE p.id IN (SELECT value FROM json_each(?1))
                             ORDER BY p.id DESC",
                        )
                        .unwrap();
                    let mut rows = statement.query([&pages[count % pages.len()]]).unwrap();
                    while let Some(row) = rows.next().unwrap() {
                        std::hint::black_box(row.get::<_, Option<String>>(1).unwrap());
                    }
                    drop(rows);
                    drop(statement);
                    connection.execute_batch("ROLLBACK").unwrap();
                    count += 1;
                }
                count - thread
            })
        })
        .collect();
    let count: usize = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    count as f64 / started.elapsed().as_secs_f64()
}
