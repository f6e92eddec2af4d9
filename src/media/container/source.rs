//! Reading anywhere in a file, through one small window and on a budget.
//!
//! Parsers ask for a few bytes at a place; the window turns many small questions into few reads, and each refill is paid
//! from the budget. So the work is bounded by [`MAX_READS`] whatever loops a file tries to lead a parser into.

use std::io::{Read, Seek, SeekFrom};

use super::ContainerError;

/// How much one read brings in. Small, because most reads look at one header and then jump over what it heads.
pub(super) const WINDOW: usize = 1024;
/// Reads that one file may cost: enough for the frames of some ten minutes where nothing else tells the length.
pub(super) const MAX_READS: u32 = 32 * 1024;
/// Questions that one file may cost, also those that the window answers.
const MAX_QUESTIONS: u32 = 1024 * 1024;

/// No file is larger; places in it can be added up without overflow.
const MAX_LEN: u64 = 1 << 62;

/// A file of which small pieces are read.
pub(super) struct Source<R> {
    reader: R,
    len: u64,
    window: [u8; WINDOW],
    start: u64,
    filled: usize,
    reads: u32,
    questions: u32,
}

impl<R: Read + Seek> Source<R> {
    /// Finds out the file's length, and reads nothing yet.
    pub(super) fn new(mut reader: R) -> Result<Self, ContainerError> {
        let len = reader.seek(SeekFrom::End(0)).map_err(ContainerError::Io)?;
        let len = len.min(MAX_LEN);
        Ok(Self {
            reader,
            len,
            window: [0; WINDOW],
            start: 0,
            filled: 0,
            reads: 0,
            questions: 0,
        })
    }

    /// The file's length in bytes: the only size that is no claim.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The `N` bytes at `at`.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], ContainerError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.bytes(at, N)?);
        Ok(bytes)
    }

    /// The `len` bytes at `at`, at most [`WINDOW`].
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8], ContainerError> {
        let found = self.bytes_up_to(at, len)?;
        if found.len() < len {
            return Err(ContainerError::Truncated);
        }
        Ok(found)
    }

    /// The bytes at `at`: `len` of them, at most [`WINDOW`], and fewer where the file ends.
    pub(super) fn bytes_up_to(&mut self, at: u64, len: usize) -> Result<&[u8], ContainerError> {
        self.questions += 1;
        if self.questions > MAX_QUESTIONS {
            return Err(ContainerError::TooIntricate);
        }
        let left = self.len.saturating_sub(at);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        let within = at
            .checked_sub(self.start)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip.saturating_add(len) <= self.filled);
        let skip = if let Some(skip) = within {
            skip
        } else {
            self.refill(at)?;
            0
        };
        let end = (skip + len).min(self.filled);
        Ok(self.window.get(skip..end).unwrap_or_default())
    }

    fn refill(&mut self, at: u64) -> Result<(), ContainerError> {
        self.reads += 1;
        if self.reads > MAX_READS {
            return Err(ContainerError::TooIntricate);
        }
        (self.start, self.filled) = (at, 0);
        self.reader
            .seek(SeekFrom::Start(at))
            .map_err(ContainerError::Io)?;
        while self.filled < WINDOW {
            match self.reader.read(&mut self.window[self.filled..]) {
                Ok(0) => break,
                Ok(read) => self.filled += read.min(WINDOW - self.filled),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    self.reads += 1;
                    if self.reads > MAX_READS {
                        return Err(ContainerError::TooIntricate);
                    }
                }
                Err(error) => return Err(ContainerError::Io(error)),
            }
        }
        Ok(())
    }

    /// The byte at `at`.
    pub(super) fn u8(&mut self, at: u64) -> Result<u8, ContainerError> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    /// 16 bits, the first byte being the highest.
    pub(super) fn u16(&mut self, at: u64) -> Result<u16, ContainerError> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// 32 bits, the first byte being the highest.
    pub(super) fn u32(&mut self, at: u64) -> Result<u32, ContainerError> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// 64 bits, the first byte being the highest.
    pub(super) fn u64(&mut self, at: u64) -> Result<u64, ContainerError> {
        self.array(at).map(u64::from_be_bytes)
    }
}
