//! What is kept of a notification, and in what form.
//!
//! One tree holds everything, so that one batch changes it as a whole. sled pays for each key it writes and hardly for
//! the length of what it writes there, so a person's notifications stand together: the newest with the counts under one
//! key, which is all that a new one touches, and the older ones in [`chunks`](CHUNK). Keys, all numbers big-endian:
//!
//! * `p`: the consumer's position;
//! * `s`: the sum of [`digest`]s of all that follows, to tell whether something is missing;
//! * `h` user: the [`Summary`] and the newest items, in order;
//! * `c` user seq: a chunk of older items, in order; `seq` is its first. All chunks are older than the head;
//! * `n` post comment user seq: this entry is there because a text named the person; `comment` is 0 for the post's own.
//!   Whom else an entry about something went to is told by the rows, but a text may be edited.

use crate::clock::Timestamp;
use crate::id::UserId;

pub(super) const POSITION: &[u8] = b"p";
pub(super) const SUM: &[u8] = b"s";
pub(super) const HEADS: &[u8] = b"h";
/// Items under one key before they are divided.
pub(super) const CHUNK: usize = 16;

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

    /// Whether it is told because a text names somebody.
    pub(super) fn is_mention(self) -> bool {
        matches!(self, Self::PostMention | Self::CommentMention)
    }

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

/// A row and the sequence of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) row: Row,
}

const UNREAD: u8 = 0;
const READ: u8 = 1;
const GONE: u8 = 2;
const READ_AHEAD: u8 = 3;

/// What an entry is about, to find those about something that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Post(i64),
    Comment(i64),
    PostLike(i64),
    CommentLike(i64),
    Follow(i64),
    /// Whatever this person did.
    Deeds(UserId),
}

impl Object {
    /// Whether the entry is about it.
    pub(super) fn concerns(self, entry: &Entry) -> bool {
        match self {
            Self::Post(post) => entry.post == post,
            Self::Comment(comment) => entry.comment == comment,
            Self::PostLike(like) => entry.story == Story::PostLike && entry.link == like,
            Self::CommentLike(like) => entry.story == Story::CommentLike && entry.link == like,
            Self::Follow(follow) => entry.story == Story::Follow && entry.link == follow,
            Self::Deeds(actor) => entry.actor == actor,
        }
    }
}

/// A person's counts and watermarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Entries.
    pub(super) total: u64,
    /// Entries that were not read.
    pub(super) unread: u64,
    /// What stands in place of entries.
    pub(super) placeholders: u64,
    /// Everything up to this sequence is gone for good.
    pub(super) floor: u64,
    /// Everything up to this sequence was read.
    pub(super) read_through: u64,
    /// No entry happened before this moment.
    pub(super) oldest: Timestamp,
}

impl Summary {
    const BYTES: usize = 48;

    /// Whether that item still counts, and was not read.
    pub(super) fn is_unread(&self, item: &Item) -> bool {
        matches!(item.row, Row::Entry { is_read: false, .. }) && item.seq > self.read_through
    }

    /// Whether there may be an entry from before this moment.
    pub(super) fn has_older(&self, before: Timestamp) -> bool {
        self.total > 0 && self.oldest < before
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for number in [
            self.total,
            self.unread,
            self.placeholders,
            self.floor,
            self.read_through,
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.oldest.as_millis().to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8);
        let mut next = || to_seq(numbers.next()?);
        Some(Self {
            total: next()?,
            unread: next()?,
            placeholders: next()?,
            floor: next()?,
            read_through: next()?,
            oldest: Timestamp::from_millis(number(numbers.next()?)?),
        })
    }
}

pub(super) fn head_to_bytes(summary: &Summary, items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(Summary::BYTES + items.len() * 50);
    summary.write(&mut bytes);
    write_items(items, &mut bytes);
    bytes
}

pub(super) fn head_from_bytes(bytes: &[u8]) -> Option<(Summary, Vec<Item>)> {
    let (summary, items) = bytes.split_at_checked(Summary::BYTES)?;
    Some((Summary::read(summary)?, items_from_bytes(items)?))
}

/// The counts alone.
pub(super) fn summary_from_bytes(bytes: &[u8]) -> Option<Summary> {
    Summary::read(bytes.get(..Summary::BYTES)?)
}

pub(super) fn items_to_bytes(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(items.len() * 50);
    write_items(items, &mut bytes);
    bytes
}

fn write_items(items: &[Item], bytes: &mut Vec<u8>) {
    for Item { seq, row } in items {
        bytes.extend_from_slice(&seq.to_be_bytes());
        match row {
            Row::Entry { entry, is_read } => {
                bytes.push(if *is_read { READ } else { UNREAD });
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
            }
            Row::Gone => bytes.push(GONE),
            Row::ReadAhead => bytes.push(READ_AHEAD),
        }
    }
}

pub(super) fn items_from_bytes(mut bytes: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::with_capacity(CHUNK + 1);
    while let Some((seq, rest)) = bytes.split_first_chunk() {
        let (state, rest) = rest.split_first()?;
        let (row, rest) = match *state {
            GONE => (Row::Gone, rest),
            READ_AHEAD => (Row::ReadAhead, rest),
            state => {
                let (entry, rest) = rest.split_at_checked(41)?;
                let is_read = state == READ;
                let entry = entry_from_bytes(entry)?;
                (Row::Entry { entry, is_read }, rest)
            }
        };
        items.push(Item {
            seq: u64::from_be_bytes(*seq),
            row,
        });
        bytes = rest;
    }
    bytes.is_empty().then_some(items)
}

fn entry_from_bytes(bytes: &[u8]) -> Option<Entry> {
    let (story, rest) = bytes.split_first()?;
    let mut numbers = rest.chunks_exact(8);
    let mut next = || number(numbers.next()?);
    Some(Entry {
        story: Story::from_byte(*story)?,
        at: Timestamp::from_millis(next()?),
        actor: next()?.into(),
        post: next()?,
        comment: next()?,
        link: next()?,
    })
}

pub(super) fn head_key(user: UserId) -> Vec<u8> {
    [HEADS, &user.get().to_be_bytes()].concat()
}

/// The person of a head's key.
pub(super) fn head_user(key: &[u8]) -> Option<UserId> {
    number(key.strip_prefix(HEADS)?).map(UserId::from)
}

pub(super) fn chunk_key(user: UserId, seq: u64) -> Vec<u8> {
    [b"c", &user.get().to_be_bytes()[..], &seq.to_be_bytes()].concat()
}

pub(super) fn chunk_seq(key: &[u8]) -> Option<u64> {
    key.split_last_chunk()
        .map(|(_, seq)| u64::from_be_bytes(*seq))
}

/// What the keys of mentions in a post begin with.
pub(super) fn post_names(post: i64) -> Vec<u8> {
    [b"n", &post.to_be_bytes()[..]].concat()
}

/// What the keys of mentions in a comment begin with.
pub(super) fn comment_names(post: i64, comment: i64) -> Vec<u8> {
    [&*post_names(post), &comment.to_be_bytes()].concat()
}

pub(super) fn name_key(entry: &Entry, user: UserId, seq: u64) -> Vec<u8> {
    let mut key = comment_names(entry.post, entry.comment);
    key.extend_from_slice(&user.get().to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Whom a key of a mention names.
pub(super) fn name_user(key: &[u8]) -> Option<UserId> {
    let (rest, _) = key.split_last_chunk::<8>()?;
    let (_, user) = rest.split_last_chunk()?;
    Some(UserId::from(i64::from_be_bytes(*user)))
}

/// A number for a key and its value. Added up over a tree it is another one when an entry is missing or an older one;
/// nobody's ill will needs to be feared here, so it may be simple, and it must be quick.
pub(super) fn digest(key: &[u8], value: &[u8]) -> u64 {
    let mut digest = value.len() as u64;
    for part in [key, value] {
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            digest = (digest.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
    digest ^ (digest >> 32)
}

pub(super) fn to_seq(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn number(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}
