//! What is kept of a notification, and under which keys.
//!
//! One tree holds everything, so that one batch changes it as a whole. Keys, all numbers big-endian:
//!
//! * `p`, `h`: the consumer's position, and the greatest it ever had;
//! * `m` user: the person's [`Summary`];
//! * `e` user seq: a [`Row`]: the entry made of event `seq`, or what is known of it beforehand or afterwards;
//! * `o` post comment like user seq: entries about a post, a comment (or 0), a like (or 0);
//! * `f` follow user seq: entries about a follow.

use crate::clock::Timestamp;
use crate::id::UserId;

pub(super) const POSITION: &[u8] = b"p";
pub(super) const HIGHEST: &[u8] = b"h";
pub(super) const SUMMARIES: &[u8] = b"m";

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Story {
    OwnPost = 1,
    PostMention = 2,
    Comment = 3,
    Reply = 4,
    CommentMention = 5,
    PostLike = 6,
    CommentLike = 7,
    Follow = 8,
    PasswordChanged = 9,
    EmailVerified = 10,
}

impl Story {
    const ALL: [Self; 10] = [
        Self::OwnPost,
        Self::PostMention,
        Self::Comment,
        Self::Reply,
        Self::CommentMention,
        Self::PostLike,
        Self::CommentLike,
        Self::Follow,
        Self::PasswordChanged,
        Self::EmailVerified,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|story| *story as u8 == byte)
    }
}

/// What somebody is to be told, in ids; names are looked up when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) story: Story,
    pub(super) at: Timestamp,
    /// Who did it.
    pub(super) actor: UserId,
    /// What it is about; 0 where there is none.
    pub(super) post: i64,
    pub(super) comment: i64,
    /// The like or the follow.
    pub(super) link: i64,
}

/// What is known of one event for one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// A notification.
    Entry { entry: Entry, is_read: bool },
    /// Was one, or would have been: thrown away, or what it told of is gone. Stays, so that a replay does not bring it
    /// back.
    Gone,
    /// Will be one that was read already: marks can be known before the event comes again.
    ReadAhead,
}

const UNREAD: u8 = 0;
const READ: u8 = 1;
const GONE: u8 = 2;
const READ_AHEAD: u8 = 3;

impl Row {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Entry { entry, is_read } => {
                let mut bytes = Vec::with_capacity(42);
                bytes.push(if is_read { READ } else { UNREAD });
                bytes.push(entry.story as u8);
                for number in [
                    entry.at.as_millis(),
                    entry.actor.get(),
                    entry.post,
                    entry.comment,
                    entry.link,
                ] {
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                bytes
            }
            Self::Gone => vec![GONE],
            Self::ReadAhead => vec![READ_AHEAD],
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (state, rest) = bytes.split_first()?;
        let is_read = match *state {
            GONE => return Some(Self::Gone),
            READ_AHEAD => return Some(Self::ReadAhead),
            state => state == READ,
        };
        let (story, rest) = rest.split_first()?;
        let mut numbers = rest.chunks_exact(8).map(number);
        let mut next = || numbers.next()?;
        let entry = Entry {
            story: Story::from_byte(*story)?,
            at: Timestamp::from_millis(next()?),
            actor: next()?.into(),
            post: next()?,
            comment: next()?,
            link: next()?,
        };
        Some(Self::Entry { entry, is_read })
    }
}

/// A person's counts and watermarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Entries.
    pub(super) total: u64,
    /// Entries that were not read.
    pub(super) unread: u64,
    /// Rows: entries, and what is kept in place of some.
    pub(super) rows: u64,
    /// Everything up to this sequence is gone for good.
    pub(super) floor: u64,
    /// Everything up to this sequence was read.
    pub(super) read_through: u64,
}

impl Summary {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [
            self.total,
            self.unread,
            self.rows,
            self.floor,
            self.read_through,
        ]
        .map(u64::to_be_bytes)
        .concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).map(to_seq);
        let mut next = || numbers.next()?;
        Some(Self {
            total: next()?,
            unread: next()?,
            rows: next()?,
            floor: next()?,
            read_through: next()?,
        })
    }
}

pub(super) fn summary_key(user: UserId) -> Vec<u8> {
    [SUMMARIES, &user.get().to_be_bytes()].concat()
}

/// The person of a summary's key.
pub(super) fn summary_user(key: &[u8]) -> Option<UserId> {
    number(key.get(1..)?).map(UserId::from)
}

pub(super) fn row_key(user: UserId, seq: u64) -> Vec<u8> {
    [b"e", &user.get().to_be_bytes()[..], &seq.to_be_bytes()].concat()
}

/// What an entry is about: the front part of its key in the index, which every index key of the same object shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Post {
        post: i64,
    },
    Comment {
        post: i64,
        comment: i64,
    },
    /// A like, of a post when `comment` is 0.
    Like {
        post: i64,
        comment: i64,
        like: i64,
    },
    Follow {
        follow: i64,
    },
}

impl Object {
    pub(super) fn prefix(self) -> Vec<u8> {
        let (letter, numbers): (&[u8], &[i64]) = match &self {
            Self::Post { post } => (b"o", &[*post]),
            Self::Comment { post, comment } => (b"o", &[*post, *comment]),
            Self::Like {
                post,
                comment,
                like,
            } => (b"o", &[*post, *comment, *like]),
            Self::Follow { follow } => (b"f", &[*follow]),
        };
        let mut key = Vec::with_capacity(41);
        key.extend_from_slice(letter);
        for number in numbers {
            key.extend_from_slice(&number.to_be_bytes());
        }
        key
    }
}

/// The key in the index of what `entry` is about, if anything that can be removed.
pub(super) fn index_key(user: UserId, seq: u64, entry: &Entry) -> Option<Vec<u8>> {
    let object = match entry.story {
        Story::PasswordChanged | Story::EmailVerified => return None,
        Story::Follow => Object::Follow { follow: entry.link },
        _ => Object::Like {
            post: entry.post,
            comment: entry.comment,
            like: entry.link,
        },
    };
    let mut key = object.prefix();
    key.extend_from_slice(&user.get().to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    Some(key)
}

/// Whose entry a key of rows or of the index names.
pub(super) fn owner(key: &[u8]) -> Option<(UserId, u64)> {
    let (rest, seq) = key.split_last_chunk()?;
    let (_, user) = rest.split_last_chunk()?;
    Some((
        UserId::from(i64::from_be_bytes(*user)),
        u64::from_be_bytes(*seq),
    ))
}

pub(super) fn to_seq(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn number(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}
