//! Who needs a content just now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BlobHash;
use crate::error::{Code, Error, Result};

/// How many keep each content; none while it is being removed.
type Counts = HashMap<BlobHash, Option<usize>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Pins(Arc<Mutex<Counts>>);

/// Keeps a content from being removed, until the database says that it is used.
#[derive(Debug)]
pub struct Pin {
    pins: Pins,
    hash: BlobHash,
}

/// The right to remove a content, while nobody keeps it.
#[derive(Debug)]
pub(super) struct Claim {
    pins: Pins,
    hash: BlobHash,
}

impl Pins {
    /// Errors: `overloaded` while the content is being removed.
    pub(super) fn pin(&self, hash: BlobHash) -> Result<Pin> {
        let mut counts = self.lock();
        let Some(count) = counts.entry(hash).or_insert(Some(0)) else {
            return Err(Error::new(Code::Overloaded));
        };
        *count += 1;
        Ok(Pin {
            pins: self.clone(),
            hash,
        })
    }

    /// None while somebody keeps it.
    pub(super) fn claim(&self, hash: BlobHash) -> Option<Claim> {
        let mut counts = self.lock();
        if counts.contains_key(&hash) {
            return None;
        }
        counts.insert(hash, None);
        Some(Claim {
            pins: self.clone(),
            hash,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.lock();
        if let Some(Some(count)) = counts.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.hash);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.pins.lock().remove(&self.hash);
    }
}
