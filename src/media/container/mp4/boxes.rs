//! The boxes of MP4: a size, a name, and what is inside.

use std::io::{Read, Seek};

use super::{ContainerError, Source};

/// Boxes looked at in one parent: most have a handful, a film in fragments thousands.
const MAX_BOXES: u32 = 100_000;

/// A box: its name, and the stretch of the file that its content takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom {
    pub(super) name: [u8; 4],
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Atom {
    pub(super) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Where the content at `offset` stands, if `len` bytes from there are still in the box.
    pub(super) fn at(&self, offset: u64, len: u64) -> Result<u64, ContainerError> {
        let needed = offset.checked_add(len);
        if needed.is_some_and(|needed| needed <= self.size()) {
            Ok(self.start + offset)
        } else {
            Err(ContainerError::Damaged("a box is too short"))
        }
    }
}

/// Walks through the boxes from `start` to `end`, one after the other.
///
/// Every box ends after it starts and within what holds it, so a walk always ends.
pub(super) struct Walk {
    at: u64,
    end: u64,
    is_top: bool,
    seen: u32,
}

impl Walk {
    /// The boxes of a whole file.
    pub(super) fn file(len: u64) -> Self {
        Self {
            at: 0,
            end: len,
            is_top: true,
            seen: 0,
        }
    }

    /// The boxes in `parent`, after the first `skip` bytes of its content.
    pub(super) fn inside(parent: Atom, skip: u64) -> Self {
        Self {
            at: parent.start.saturating_add(skip),
            end: parent.end,
            is_top: false,
            seen: 0,
        }
    }

    /// The next box.
    pub(super) fn next<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
    ) -> Result<Option<Atom>, ContainerError> {
        if self.at >= self.end {
            return Ok(None);
        }
        self.seen += 1;
        if self.seen > MAX_BOXES {
            return Err(ContainerError::TooIntricate);
        }
        if self.end - self.at < 8 {
            // QuickTime ends some lists with four zeros.
            return if self.is_top {
                Err(ContainerError::Truncated)
            } else {
                Ok(None)
            };
        }
        let size = u64::from(source.u32(self.at)?);
        let name = source.array(self.at + 4)?;
        let (head, size) = match size {
            1 if self.end - self.at < 16 => return Err(ContainerError::Truncated),
            1 => (16, source.u64(self.at + 8)?),
            // Such a box reaches to the end of the file; recorders that cannot go back leave it so.
            0 if self.is_top && &name == b"mdat" => (8, self.end - self.at),
            size => (8, size),
        };
        if size < head {
            return Err(ContainerError::Damaged("a box smaller than its head"));
        }
        let end = self
            .at
            .checked_add(size)
            .filter(|end| *end <= self.end)
            .ok_or(ContainerError::Truncated)?;
        let found = Atom {
            name,
            start: self.at + head,
            end,
        };
        self.at = end;
        Ok(Some(found))
    }
}

/// The first box of a name in `parent`.
pub(super) fn find<R: Read + Seek>(
    source: &mut Source<R>,
    parent: Atom,
    name: [u8; 4],
) -> Result<Option<Atom>, ContainerError> {
    let mut walk = Walk::inside(parent, 0);
    while let Some(found) = walk.next(source)? {
        if found.name == name {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
