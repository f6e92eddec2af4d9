//! A made community of any size, the same for the same seed: people, whom they follow, what they write, comment and like.
//!
//! Who is followed, who writes, which words and which hashtags come up is heavy-tailed, as it is among people. It is
//! written into the database directly and in the order of the indexes, since five million follows by request would take
//! hours; only `rusqlite` is needed, so tests may take this file as it is.

use std::collections::HashSet;
use std::fmt::Write;

use rusqlite::{Connection, Transaction, params};

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) people: u32,
    pub(crate) posts: u32,
    pub(crate) follows: u32,
    pub(crate) comments: u32,
    pub(crate) likes: u32,
}

impl Size {
    /// 100,000 people, 1,000,000 posts, 5,000,000 follows.
    pub(crate) const WHOLE: Self = Self {
        people: 100_000,
        posts: 1_000_000,
        follows: 5_000_000,
        comments: 500_000,
        likes: 1_000_000,
    };

    /// One in so many.
    pub(crate) const fn part(self, of: u32) -> Self {
        Self {
            people: self.people / of,
            posts: self.posts / of,
            follows: self.follows / of,
            comments: self.comments / of,
            likes: self.likes / of,
        }
    }
}

/// People who follow [`MANY`] others, from number 1 on; number 0 is followed by everybody.
pub(crate) const READERS: u32 = 100;
/// How many those follow.
pub(crate) const MANY: u32 = 1_000;
/// Followed by everybody.
pub(crate) const FAMOUS: u32 = 0;
/// Different hashtags.
const TAGS: u32 = 5_000;
/// Different words.
const WORDS: u32 = 20_000;
/// How long the posts reach back.
const SPAN_MS: i64 = 200 * DAY_MS;
const DAY_MS: i64 = 24 * 3_600_000;
/// How long the stories reach back: they are there for some hours yet.
const STORIES_MS: u32 = 18 * 3_600_000;

/// When the sessions end that those have who read, in milliseconds since 1970: far enough ahead.
const SESSIONS_END: i64 = 4_000_000_000_000;

/// Ids begin in 2020, and have 21 bits below the millisecond.
const ID_EPOCH_MS: i64 = 1_577_836_800_000;
const ID_SHIFT: u32 = 21;

/// The community; everything in it follows from these.
pub(crate) struct Community {
    pub(crate) size: Size,
    /// When the newest post was written, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    seed: u64,
}

impl Community {
    pub(crate) fn new(size: Size, seed: u64, now_ms: i64) -> Self {
        Self { size, now_ms, seed }
    }

    /// The id of a person by their number.
    pub(crate) fn person(&self, number: u32) -> i64 {
        self.id(self.now_ms - SPAN_MS - 1_000, i64::from(number))
    }

    /// The id of a post by its number; the highest is the newest.
    pub(crate) fn post(&self, number: u32) -> i64 {
        self.id(self.post_at(number), i64::from(number % 8_192))
    }

    fn post_at(&self, number: u32) -> i64 {
        let ago = i64::from(self.size.posts - number) * SPAN_MS / i64::from(self.size.posts);
        self.now_ms - ago
    }

    #[expect(clippy::unused_self, reason = "an id of this community's")]
    fn id(&self, at_ms: i64, sequence: i64) -> i64 {
        ((at_ms - ID_EPOCH_MS) << ID_SHIFT) + sequence
    }

    /// Writes it into an empty database of this version's.
    pub(crate) fn write(&self, connection: &mut Connection) {
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144",
            )
            .unwrap();
        let tx = connection.transaction().unwrap();
        let indexes = drop_indexes(&tx, &["follows", "posts", "reactions", "comments"]);
        self.write_people(&tx);
        self.write_follows(&tx);
        let authors = self.write_posts(&tx);
        self.write_comments(&tx, &authors);
        self.write_likes(&tx);
        self.write_stories(&tx);
        for index in indexes {
            tx.execute_batch(&index).unwrap();
        }
        count(&tx);
        tx.commit().unwrap();
        connection
            .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
    }

    fn write_people(&self, tx: &Transaction<'_>) {
        let mut user = tx
            .prepare(
                "INSERT INTO users (id, username, username_key, username_skeleton, name, bio, role, status,
                                    created_at, updated_at)
                 VALUES (?1, ?2, ?2, ?2, ?3, ?4, 'USER', 'active', ?5, ?5)",
            )
            .unwrap();
        let mut term = tx
            .prepare("INSERT OR IGNORE INTO user_terms (term, user_id) VALUES (?1, ?2)")
            .unwrap();
        let mut session = tx
            .prepare("INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?1, ?1, ?2, ?3)")
            .unwrap();
        let mut chance = self.chance(1);
        let at = self.now_ms - SPAN_MS;
        for number in 0..self.size.people {
            let id = self.person(number);
            let (first, last) = (word(chance.tail(WORDS)), word(chance.tail(WORDS)));
            let username = format!("{first}{number}");
            let bio = text(&mut chance, 6);
            user.execute(params![id, username, format!("{first} {last}"), bio, at])
                .unwrap();
            for word in [username.as_str(), &first, &last] {
                term.execute(params![word, id]).unwrap();
            }
            if number <= READERS {
                session.execute(params![id, at, SESSIONS_END]).unwrap();
            }
        }
    }

    fn write_follows(&self, tx: &Transaction<'_>) {
        let mut follow = tx
            .prepare(
                "INSERT INTO follows (id, follower_id, following_id, is_active, created_at, event_seq, event_at)
                 VALUES (?1, ?2, ?3, 1, ?4, 0, ?4)",
            )
            .unwrap();
        let mut chance = self.chance(2);
        let people = self.size.people;
        let at = self.now_ms - SPAN_MS;
        let mut left = self.size.follows;
        let mut sequence = 0;
        for follower in 0..people {
            let rest = people - follower;
            // Most follow few, some follow many; all together as many as wanted.
            let mean = f64::from(left) / f64::from(rest);
            let wanted = match follower {
                FAMOUS => 0,
                1..=READERS => MANY,
                _ => chance.about(mean),
            };
            let wanted = wanted.min(people / 4).min(left);
            let mut following = HashSet::with_capacity(wanted as usize + 1);
            if follower != FAMOUS {
                following.insert(FAMOUS);
            }
            while following.len() < wanted as usize {
                let other = self.popular(chance.tail(people));
                if other != follower {
                    following.insert(other);
                }
            }
            let mut following: Vec<u32> = following.into_iter().collect();
            following.sort_unstable();
            left = left.saturating_sub(following.len().try_into().unwrap());
            for other in following {
                sequence += 1;
                let id = self.id(at, sequence);
                follow
                    .execute(params![id, self.person(follower), self.person(other), at])
                    .unwrap();
            }
        }
    }

    /// Who has that place among those who are popular; so it is not the first ones who are.
    fn popular(&self, place: u32) -> u32 {
        let people = u64::from(self.size.people);
        u32::try_from((u64::from(place) * 7_919 + 1) % people).unwrap()
    }

    fn write_posts(&self, tx: &Transaction<'_>) -> Vec<u32> {
        let mut post = tx
            .prepare(
                "INSERT INTO posts (id, author_id, content, hashtags, visibility, created_at, updated_at, event_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)",
            )
            .unwrap();
        let mut tag = tx
            .prepare("INSERT OR IGNORE INTO post_hashtags (tag, post_id) VALUES (?1, ?2)")
            .unwrap();
        let mut chance = self.chance(3);
        let mut authors = Vec::with_capacity(self.size.posts as usize);
        for number in 0..self.size.posts {
            let author = self.popular(chance.tail(self.size.people));
            authors.push(author);
            let length = 5 + chance.below(30);
            let mut content = text(&mut chance, length);
            let mut tags = Vec::new();
            if chance.below(5) == 0 {
                let name = format!("tag{}", chance.tail(TAGS));
                write!(content, " #{name}").unwrap();
                tags.push(name);
            }
            let visibility = match chance.below(20) {
                0 => 2,
                1 | 2 => 1,
                _ => 0,
            };
            let id = self.post(number);
            let list = if tags.is_empty() {
                "[]".to_owned()
            } else {
                format!("[\"{}\"]", tags.join("\",\""))
            };
            let at = self.post_at(number);
            let author = self.person(author);
            post.execute(params![id, author, content, list, visibility, at])
                .unwrap();
            for name in tags {
                tag.execute(params![name, id]).unwrap();
            }
        }
        authors
    }

    fn write_comments(&self, tx: &Transaction<'_>, authors: &[u32]) {
        let mut comment = tx
            .prepare(
                "INSERT INTO comments (id, post_id, author_id, content, created_at, updated_at, event_seq)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)",
            )
            .unwrap();
        let mut chance = self.chance(4);
        for number in 0..self.size.comments {
            let post = self.lately(&mut chance);
            // Half of them by who wrote it.
            let author = match chance.below(2) {
                0 => authors[post as usize],
                _ => chance.below(self.size.people),
            };
            let at = self.post_at(post) + 1_000;
            let id = self.id(self.now_ms - SPAN_MS, i64::from(number));
            let content = text(&mut chance, 8);
            comment
                .execute(params![
                    id,
                    self.post(post),
                    self.person(author),
                    content,
                    at
                ])
                .unwrap();
        }
    }

    fn write_likes(&self, tx: &Transaction<'_>) {
        let mut like = tx
            .prepare(
                "INSERT OR IGNORE INTO reactions (id, post_id, user_id, value, created_at, event_seq)
                 VALUES (?1, ?2, ?3, 1, ?4, 0)",
            )
            .unwrap();
        let mut chance = self.chance(5);
        for number in 0..self.size.likes {
            let post = self.lately(&mut chance);
            let ago = i64::from(self.size.likes - number) * SPAN_MS / i64::from(self.size.likes);
            let at = self.now_ms - ago;
            let id = self.id(at, i64::from(number % 8_192));
            let user = self.person(chance.below(self.size.people));
            like.execute(params![id, self.post(post), user, at])
                .unwrap();
        }
    }

    /// One in five has shown something today.
    fn write_stories(&self, tx: &Transaction<'_>) {
        let mut story = tx
            .prepare(
                "INSERT INTO stories (id, author_id, text, background, has_media, audience, created_at, expires_at)
                 VALUES (?1, ?2, ?3, '#4f46e5', 0, ?4, ?5, ?6)",
            )
            .unwrap();
        let mut chance = self.chance(6);
        for number in 0..self.size.people {
            if chance.below(5) > 0 {
                continue;
            }
            for _story in 0..=chance.below(4) {
                let at = self.now_ms - 1 - i64::from(chance.below(STORIES_MS));
                let id = self.id(at, i64::from(number) << 2 | i64::from(chance.below(4)));
                let (content, audience) = (text(&mut chance, 6), chance.below(3).min(1));
                story
                    .execute(params![
                        id,
                        self.person(number),
                        content,
                        audience,
                        at,
                        at + DAY_MS
                    ])
                    .unwrap();
            }
        }
    }

    /// A post, rather a newer one.
    fn lately(&self, chance: &mut Chance) -> u32 {
        self.size.posts - 1 - chance.tail(self.size.posts)
    }

    fn chance(&self, part: u64) -> Chance {
        Chance(self.seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Takes the indexes of these tables away, and returns how to make them again: rows go in faster without.
fn drop_indexes(tx: &Transaction<'_>, tables: &[&str]) -> Vec<String> {
    let mut statement = tx
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")
        .unwrap();
    let mut made = Vec::new();
    for table in tables {
        let indexes: Vec<(String, String)> = statement
            .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for (name, sql) in indexes {
            tx.execute_batch(&format!("DROP INDEX {name}")).unwrap();
            made.push(sql);
        }
    }
    made
}

/// What the commands would have counted.
fn count(tx: &Transaction<'_>) {
    tx.execute_batch(
        "UPDATE users SET
             following_count = (SELECT count(*) FROM follows WHERE follower_id = users.id AND is_active = 1),
             followers_count = (SELECT count(*) FROM follows WHERE following_id = users.id AND is_active = 1),
             public_posts = (SELECT count(*) FROM posts WHERE author_id = users.id AND is_deleted = 0 AND visibility = 0),
             followers_posts = (SELECT count(*) FROM posts WHERE author_id = users.id AND is_deleted = 0 AND visibility = 1),
             private_posts = (SELECT count(*) FROM posts WHERE author_id = users.id AND is_deleted = 0 AND visibility = 2),
             latest_public_post = (SELECT max(id) FROM posts WHERE author_id = users.id AND is_deleted = 0 AND visibility = 0);
         UPDATE posts SET
             likes_count = (SELECT count(*) FROM reactions WHERE post_id = posts.id AND value = 1),
             comments_count = (SELECT count(*) FROM comments WHERE post_id = posts.id AND is_deleted = 0);",
    )
    .unwrap();
}

/// A word by its place: the first ones are short, as in a language.
pub(crate) fn word(place: u32) -> String {
    const SYLLABLES: [&str; 20] = [
        "ka", "lo", "mi", "ne", "ru", "sa", "ti", "vo", "be", "du", "fa", "go", "hi", "ja", "pe",
        "qua", "wy", "xo", "zu", "ya",
    ];
    let mut rest = place + 20;
    let mut word = String::new();
    while rest > 0 {
        word.push_str(SYLLABLES[(rest % 20) as usize]);
        rest /= 20;
    }
    word
}

fn text(chance: &mut Chance, words: u32) -> String {
    let mut text = String::new();
    for number in 0..words {
        if number > 0 {
            text.push(' ');
        }
        text.push_str(&word(chance.tail(WORDS)));
    }
    text
}

/// `SplitMix64`: chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below the bound, which is small"
    )]
    fn below(&mut self, bound: u32) -> u32 {
        (self.unit() * f64::from(bound)) as u32
    }

    /// Below the bound, and rather near zero: one in a hundred has a fifth of all.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below the bound, which is small"
    )]
    fn tail(&mut self, bound: u32) -> u32 {
        (self.unit().powi(3) * f64::from(bound)) as u32
    }

    /// About so many: mostly fewer, at times far more.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn about(&mut self, mean: f64) -> u32 {
        (self.unit().powi(3) * mean * 4.0).round() as u32
    }
}
