//! What one person may see, of everything that is in the index: asked of each document while it is found, so that what
//! they may not see is in no count and on no page.
//!
//! The people, follows and rooms come from the rows at the moment of the search; the index itself knows who wrote what,
//! for whom, and where.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tantivy::SegmentReader;
use tantivy::columnar::ColumnValues;

use super::schema::{Kind, column};
use super::stale::Notes;
use crate::clock::Timestamp;

/// What one person may see.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    pub(super) viewer: i64,
    /// Who is not there for them, nor they for those.
    pub(super) apart: HashSet<i64>,
    /// Whom they follow, where it is about posts.
    pub(super) followed: HashSet<i64>,
    /// People whom they mute, where they are not to be named.
    pub(super) muted: HashSet<i64>,
    /// Rooms whose messages are looked at, and the number up to which the viewer has thrown them away.
    pub(super) rooms: HashMap<i64, i64>,
}

impl Sight {
    fn is_there(&self, person: i64) -> bool {
        self.apart.is_empty() || !self.apart.contains(&person)
    }

    /// Whether a post of this author and with this visibility is for them.
    fn allows(&self, author: i64, visibility: i64) -> bool {
        match visibility {
            0 => true,
            1 => author == self.viewer || self.followed.contains(&author),
            _ => author == self.viewer,
        }
    }
}

/// What is to be left out beside what may not be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub(super) before: Option<Timestamp>,
    pub(super) after: Option<Timestamp>,
    pub(super) not_from: Vec<i64>,
}

/// Lets the documents of one segment through that may be seen.
pub(super) struct Sieve<'a> {
    kind: Kind,
    sight: &'a Sight,
    bounds: &'a Bounds,
    notes: &'a Notes,
    reader: &'a SegmentReader,
    id: Column,
    at: Column,
    author: Column,
    post: Column,
    post_author: Column,
    visibility: Column,
    room: Column,
    number: Column,
}

type Column = Arc<dyn ColumnValues<i64>>;

impl<'a> Sieve<'a> {
    pub(super) fn new(
        kind: Kind,
        sight: &'a Sight,
        bounds: &'a Bounds,
        notes: &'a Notes,
        reader: &'a SegmentReader,
    ) -> tantivy::Result<Self> {
        let column = |name| reader.fast_fields().column_first_or_default::<i64>(name);
        Ok(Self {
            kind,
            sight,
            bounds,
            notes,
            reader,
            id: column(column::ID)?,
            at: column(column::AT)?,
            author: column(column::AUTHOR)?,
            post: column(column::POST)?,
            post_author: column(column::POST_AUTHOR)?,
            visibility: column(column::VISIBILITY)?,
            room: column(column::ROOM)?,
            number: column(column::NUMBER)?,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn id(&self, doc: u32) -> i64 {
        self.id.get_val(doc)
    }

    pub(super) fn at(&self, doc: u32) -> i64 {
        self.at.get_val(doc)
    }

    /// The latest time in the segment.
    pub(super) fn newest(&self) -> i64 {
        self.at.max_value()
    }

    /// Whether it is the viewer's own, or a post or comment of somebody whom they follow.
    pub(super) fn is_close(&self, doc: u32) -> bool {
        let author = self.author.get_val(doc);
        let is_of_post = matches!(self.kind, Kind::Post | Kind::Comment);
        author == self.sight.viewer || (is_of_post && self.sight.followed.contains(&author))
    }

    /// Whether the document is there, for the viewer, and within the bounds.
    pub(super) fn lets_through(&self, doc: u32) -> bool {
        let is_removed = self
            .reader
            .alive_bitset()
            .is_some_and(|alive| alive.is_deleted(doc));
        !is_removed && self.is_within(doc) && self.may_be_seen(doc)
    }

    fn is_within(&self, doc: u32) -> bool {
        let Bounds {
            before,
            after,
            not_from,
        } = self.bounds;
        let at = || self.at.get_val(doc);
        before.is_none_or(|before| at() < before.as_millis())
            && after.is_none_or(|after| at() >= after.as_millis())
            && (not_from.is_empty() || !not_from.contains(&self.author.get_val(doc)))
    }

    fn may_be_seen(&self, doc: u32) -> bool {
        let sight = self.sight;
        let id = self.id(doc);
        if self.notes.hide(self.kind, id) {
            return false;
        }
        match self.kind {
            Kind::Person => sight.is_there(id) && !sight.muted.contains(&id),
            Kind::Post => {
                let author = self.author.get_val(doc);
                sight.is_there(author) && sight.allows(author, self.visibility.get_val(doc))
            }
            Kind::Comment => {
                let of = self.post_author.get_val(doc);
                sight.is_there(self.author.get_val(doc))
                    && sight.is_there(of)
                    && sight.allows(of, self.visibility.get_val(doc))
                    && !self.notes.hide(Kind::Post, self.post.get_val(doc))
            }
            Kind::Message => {
                let (room, number) = (self.room.get_val(doc), self.number.get_val(doc));
                let cleared = sight.rooms.get(&room);
                cleared.is_some_and(|cleared| number > *cleared)
                    && sight.is_there(self.author.get_val(doc))
            }
        }
    }
}
