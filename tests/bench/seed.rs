//! A database with people in it, written directly, since a million follows by request would take its time.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};
use socialhub::app;
use socialhub::auth::Claims;
use socialhub::config;
use socialhub::id::{SessionId, UserId};
use socialhub::store::{self, Store};
use socialhub::users::Role;
use tempfile::TempDir;

use crate::Scale;
use crate::daemon::JWT_SECRET;

/// People; the first half follows, the second follows nobody yet.
pub(crate) const PEOPLE: i64 = 2_000;
/// Posts to like.
pub(crate) const POSTS: i64 = 2_000;
/// Comments of one post, in a row, and of another, one beneath the other.
pub(crate) const COMMENTS: i64 = 10_000;
/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// In milliseconds since 1970, and far enough ahead.
const CREATED: i64 = 1_760_000_000_000;
const EXPIRES: i64 = 4_000_000_000_000;

/// The post with comments in a row, and the one with comments one beneath the other.
pub(crate) const FLAT_POST: i64 = post(POSTS);
pub(crate) const DEEP_POST: i64 = post(POSTS + 1);

/// Ids as the server makes them have this many digits, which is what they cost in JSON.
const BASE: i64 = 400_000_000_000_000_000;

pub(crate) const fn person(number: i64) -> i64 {
    BASE + number
}

pub(crate) const fn post(number: i64) -> i64 {
    BASE + 1_000_000 + number
}

/// The comment of this number in the flat thread.
pub(crate) const fn flat_comment(number: i64) -> i64 {
    BASE + 2_000_000 + number
}

const fn deep_comment(number: i64) -> i64 {
    BASE + 3_000_000 + number
}

/// The data directory, and the tokens of its people.
pub(crate) struct Seeded {
    data: PathBuf,
    _dir: TempDir,
    tokens: Vec<String>,
}

impl Seeded {
    pub(crate) fn new(scale: &Scale) -> Self {
        eprintln!("seeding a database with {} follows", scale.follows);
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (store, _) = Store::open(&data, &config::Store::default(), app::registry()).unwrap();
        store.close();
        let mut connection = connect(&data);
        let tx = connection.transaction().unwrap();
        people(&tx);
        follows(&tx, i64::from(scale.follows));
        posts(&tx);
        comments(&tx);
        tx.commit().unwrap();
        connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        let tokens = (0..PEOPLE)
            .map(|number| token(person(number), &format!("person{number}")))
            .collect();
        Self {
            data,
            _dir: dir,
            tokens,
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The tokens of all.
    pub(crate) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The tokens of those who follow many.
    pub(crate) fn following(&self) -> &[String] {
        self.tokens.split_at(self.tokens.len() / 2).0
    }

    /// The tokens of those who follow nobody.
    pub(crate) fn newcomers(&self) -> &[String] {
        self.tokens.split_at(self.tokens.len() / 2).1
    }
}

/// A connection with the settings of the store's.
pub(crate) fn connect(data_dir: &Path) -> Connection {
    let connection = Connection::open(data_dir.join(store::FILE)).unwrap();
    connection.set_prepared_statement_cache_capacity(256);
    for (name, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("wal_autocheckpoint", "4096"),
        ("foreign_keys", "ON"),
        ("cache_size", "-4096"),
        ("temp_store", "MEMORY"),
    ] {
        connection.pragma_update(None, name, value).unwrap();
    }
    connection
}

fn people(tx: &Transaction<'_>) {
    let mut user = tx
        .prepare(
            "INSERT INTO users (id, username, username_key, username_skeleton, name, role, status, created_at, updated_at)
             VALUES (?1, ?2, ?2, ?2, ?3, 'USER', 'active', ?4, ?4)",
        )
        .unwrap();
    let mut credentials = tx
        .prepare("INSERT INTO credentials (user_id, email, email_key, password_hash, is_verified) VALUES (?1, ?2, ?2, ?3, 1)")
        .unwrap();
    let mut session = tx
        .prepare(
            "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?1, ?1, ?2, ?3)",
        )
        .unwrap();
    let hash = password_hash();
    for number in 0..PEOPLE {
        let (id, name) = (person(number), format!("person{number}"));
        user.execute(params![
            id,
            name,
            format!("Person Number {number}"),
            CREATED
        ])
        .unwrap();
        credentials
            .execute(params![id, format!("{name}@example.org"), hash])
            .unwrap();
        session.execute(params![id, CREATED, EXPIRES]).unwrap();
    }
}

/// As the server makes them by default.
fn password_hash() -> String {
    use argon2::password_hash::PasswordHasher;
    let params = argon2::Params::new(19 * 1024, 2, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    hasher
        .hash_password_with_salt(PASSWORD.as_bytes(), b"sixteen bytes...")
        .unwrap()
        .to_string()
}

fn follows(tx: &Transaction<'_>, count: i64) {
    let mut follow = tx
        .prepare(
            "INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
             VALUES (?1, ?2, ?3, 1, ?4, 0, ?4)",
        )
        .unwrap();
    let followers = PEOPLE / 2;
    let each = count / followers;
    for number in 0..count {
        let (round, follower) = (number / followers, number % followers);
        let following = (follower + 1 + round) % PEOPLE;
        follow
            .execute(params![
                BASE + 10_000_000 + number,
                person(follower),
                person(following),
                CREATED
            ])
            .unwrap();
    }
    assert!(each < PEOPLE);
    tx.execute_batch(
        "UPDATE users SET
             following_count = (SELECT COUNT(*) FROM follows WHERE follower_id = users.id AND is_active = 1),
             followers_count = (SELECT COUNT(*) FROM follows WHERE following_id = users.id AND is_active = 1)",
    )
    .unwrap();
}

fn posts(tx: &Transaction<'_>) {
    let mut insert = tx
        .prepare(
            "INSERT INTO posts (id, author_id, content, hashtags, visibility, comments_count, created_at, updated_at, event_seq)
             VALUES (?1, ?2, 'A post to like, of the usual length of a post that somebody writes.', '[]', 0, ?3, ?4, ?4, 0)",
        )
        .unwrap();
    for number in 0..POSTS + 2 {
        let comments = if number < POSTS { 0 } else { COMMENTS };
        insert
            .execute(params![
                post(number),
                person(number % PEOPLE),
                comments,
                CREATED
            ])
            .unwrap();
    }
    tx.execute_batch(
        "UPDATE users SET public_posts = (SELECT COUNT(*) FROM posts WHERE author_id = users.id)",
    )
    .unwrap();
}

fn comments(tx: &Transaction<'_>) {
    let mut insert = tx
        .prepare(
            "INSERT INTO comments (id, post_id, parent_id, author_id, content, likes_count, replies_count,
                                   created_at, updated_at, event_seq)
             VALUES (?1, ?2, ?3, ?4, 'A comment of the usual length.', ?5, ?6, ?7, ?7, 0)",
        )
        .unwrap();
    for number in 0..COMMENTS {
        let author = person(number % PEOPLE);
        insert
            .execute(params![
                flat_comment(number),
                FLAT_POST,
                None::<i64>,
                author,
                0,
                0,
                CREATED
            ])
            .unwrap();
        let parent = (number > 0).then(|| deep_comment(number - 1));
        let answers = i64::from(number + 1 < COMMENTS);
        insert
            .execute(params![
                deep_comment(number),
                DEEP_POST,
                parent,
                author,
                0,
                answers,
                CREATED
            ])
            .unwrap();
    }
}

/// The token of a person whose session has the person's own id.
pub(crate) fn token(id: i64, username: &str) -> String {
    let claims = Claims {
        id: UserId::from(id),
        username: username.to_owned(),
        role: Role::User,
        email: format!("{username}@example.org"),
        is_verified: true,
        iat: CREATED / 1000,
        exp: EXPIRES / 1000,
        jti: SessionId::from(id),
    };
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}
