//! Ids: 63-bit integers in order of time, one type for each kind of thing.
//!
//! 42 bits of milliseconds since 2020, 8 bits of node, 13 bits of sequence. INTEGER PRIMARY KEY in SQLite, a decimal
//! string in JSON (JavaScript's numbers end at 53 bits). An id is made by the node that builds a command, before the
//! commit: it orders what one person sees, it does not answer "what is new since" (the event log's sequence does).
#![warn(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock, Timestamp};

/// 2020-01-01T00:00:00Z in milliseconds.
const EPOCH_MS: i64 = 1_577_836_800_000;
const NODE_BITS: u32 = 8;
const SEQUENCE_BITS: u32 = 13;

/// The text is not the decimal form of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct ParseIdError;

/// Only the canonical form counts: digits, no sign, no leading zero, within 63 bits, not zero.
fn parse(text: &str) -> Result<i64, ParseIdError> {
    let canonical = !text.is_empty()
        && text.len() <= 19
        && !text.starts_with('0')
        && text.bytes().all(|b| b.is_ascii_digit());
    if !canonical {
        return Err(ParseIdError);
    }
    text.parse().map_err(|_overflow| ParseIdError)
}

macro_rules! ids {
    ($( $(#[doc = $doc:literal])+ $name:ident; )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The integer, for an index or a codec.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl From<i64> for $name {
            fn from(raw: i64) -> Self {
                Self(raw)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(rusqlite::types::ToSqlOutput::from(self.0))
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some("^[1-9][0-9]{0,18}$"))
                    .examples([serde_json::json!("1745026836037632")])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+ };
}

ids! {
    /// A person with an account.
    UserId;
    /// A post.
    PostId;
    /// A comment, at the top of a post or beneath another comment.
    CommentId;
    /// One person's like or dislike of one post or comment.
    ReactionId;
    /// One person's following of another; kept when it ends, revived when it begins again.
    FollowId;
    /// A notification: the sequence of the event that it tells of.
    NotificationId;
    /// An uploaded picture, video or recording.
    MediaId;
    /// A log-in that has not ended.
    SessionId;
    /// A chat room, or a conversation of two.
    RoomId;
    /// A chat message.
    MessageId;
    /// A word or hashtag that somebody mutes.
    MutedTermId;
    /// A list of people.
    ListId;
    /// What somebody shows for a day.
    StoryId;
    /// Stories that are kept on a profile.
    HighlightId;
}

/// The smallest id that can be given at a time.
pub fn first_at(time: Timestamp) -> i64 {
    (time.as_millis() - EPOCH_MS).max(0) << (NODE_BITS + SEQUENCE_BITS)
}

/// Makes ids that grow, even when the clock steps back; over a restart, see [`skip_past`](Self::skip_past).
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    node: u8,
    last: Arc<AtomicI64>,
}

impl Ids {
    /// Ids of one node; `node` is 0 when alone.
    pub fn new(clock: Clock, node: u8) -> Self {
        Self {
            clock,
            node,
            last: Arc::new(AtomicI64::new(0)),
        }
    }

    /// The next id, greater than all before it from this node.
    pub fn next<T: From<i64>>(&self) -> T {
        let node = i64::from(self.node);
        let ticks = (self.clock.now().as_millis() - EPOCH_MS).max(1);
        // Time and sequence count as one number, so that a full sequence runs over into the next millisecond.
        let floor = ticks << SEQUENCE_BITS;
        let mut last = self.last.load(Ordering::Relaxed);
        let counter = loop {
            let next = floor.max(last + 1);
            match self
                .last
                .compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => break next,
                Err(seen) => last = seen,
            }
        };
        let sequence = counter & ((1 << SEQUENCE_BITS) - 1);
        let ticks = counter >> SEQUENCE_BITS;
        T::from((ticks << (NODE_BITS + SEQUENCE_BITS)) | (node << SEQUENCE_BITS) | sequence)
    }

    /// Makes all further ids greater than `id`: one that an earlier run gave, before the clock stepped back.
    pub fn skip_past(&self, id: i64) {
        let ticks = id >> (NODE_BITS + SEQUENCE_BITS);
        let counter = ((ticks + 1) << SEQUENCE_BITS) - 1;
        self.last.fetch_max(counter, Ordering::Relaxed);
    }

    /// The present moment of the clock that the ids follow.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ids_grow_within_a_millisecond_and_over_a_full_sequence() {
        let clock = Clock::manual(Timestamp::from_millis(EPOCH_MS + 5));
        let ids = Ids::new(clock.clone(), 7);
        let mut last = 0;
        for _ in 0..20_000 {
            let id = ids.next::<PostId>().get();
            assert!(id > last);
            assert_eq!((id >> SEQUENCE_BITS) & 0xff, 7);
            last = id;
        }
        clock.advance(Duration::from_millis(1));
        assert!(ids.next::<PostId>().get() > last);
    }

    #[test]
    fn ids_grow_over_a_restart_with_the_clock_set_back() {
        let later = Ids::new(Clock::manual(Timestamp::from_millis(EPOCH_MS + 9_000)), 0);
        let given = later.next::<PostId>().get();
        let ids = Ids::new(Clock::manual(Timestamp::from_millis(EPOCH_MS + 5)), 0);
        ids.skip_past(given);
        assert!(ids.next::<PostId>().get() > given);
    }

    #[test]
    fn only_the_canonical_form_is_an_id() {
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "01",
            " 1",
            "1.0",
            "9223372036854775808",
            "abc",
            "١",
        ] {
            assert_eq!(bad.parse::<UserId>(), Err(ParseIdError), "{bad:?}");
        }
        assert_eq!(
            "9223372036854775807".parse::<UserId>().unwrap().get(),
            i64::MAX
        );
    }
}
