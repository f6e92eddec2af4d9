//! Pages of a list by cursor: a page costs the same at the start and a million rows in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Code, Error, Result};

/// Rows on a page when the client does not say.
pub const DEFAULT_LIMIT: u32 = 20;
/// Rows on a page at most, whatever the client says.
pub const MAX_LIMIT: u32 = 100;
/// How far `page=` counts; beyond it, use the cursor.
pub const MAX_OFFSET: u32 = 100_000;

/// Where a page begins: the sort key of the last row before it. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The list's first order: a score, or 0 where the id alone decides.
    pub rank: i64,
    /// What makes the key unique.
    pub id: i64,
}

impl Cursor {
    /// The cursor of a list in order of ids.
    pub fn id(id: i64) -> Self {
        Self { rank: 0, id }
    }

    /// The form in which clients carry it.
    pub fn encode(self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.rank.to_be_bytes());
        bytes[8..].copy_from_slice(&self.id.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(text: &str) -> Result<Self> {
        let bad = || Error::new(Code::InvalidQuery).with_message("This cursor is not one of ours.");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_malformed| bad())?;
        let bytes: [u8; 16] = bytes.try_into().map_err(|_length| bad())?;
        let (rank, id) = bytes.split_at(8);
        let number =
            |half: &[u8]| i64::from_be_bytes(half.try_into().expect("a half is eight bytes"));
        Ok(Self {
            rank: number(rank),
            id: number(id),
        })
    }
}

/// The part of a list that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows wanted, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// After which row; `None` is the start.
    pub after: Option<Cursor>,
    /// Rows to pass over, for the contract's `page=`; 0 when a cursor is used.
    pub offset: u32,
}

impl Page {
    /// The start of a list.
    pub fn first(limit: u32) -> Self {
        Self {
            limit,
            after: None,
            offset: 0,
        }
    }

    /// The key to start below, in a list with the greatest id first.
    pub fn below(&self) -> i64 {
        self.after.map_or(i64::MAX, |cursor| cursor.id)
    }

    /// The key to start above, in a list with the smallest id first.
    pub fn above(&self) -> i64 {
        self.after.map_or(0, |cursor| cursor.id)
    }

    /// One row more than wanted, which tells whether there is a next page.
    pub fn fetch(&self) -> u32 {
        self.limit + 1
    }

    /// Cuts the extra row off and makes the next page's cursor.
    pub fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Cursor) -> Slice<T> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Slice { items: rows, next }
    }
}

/// One page of rows.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl<T> Slice<T> {
    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Slice<U> {
        Slice {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }

    /// The cursor as clients carry it.
    pub fn next_cursor(&self) -> Option<String> {
        self.next.map(Cursor::encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_survive_the_wire(rank: i64, id: i64) {
            let cursor = Cursor { rank, id };
            prop_assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_decode_panic(text in "\\PC*") {
            if let Ok(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
            }
        }
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::first(2);
        let slice = page.cut(vec![3, 2, 1], |id| Cursor::id(*id));
        assert_eq!((slice.items, slice.next), (vec![3, 2], Some(Cursor::id(2))));
        assert_eq!(page.cut(vec![1], |id| Cursor::id(*id)).next, None);
    }
}
