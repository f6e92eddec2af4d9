//! Keeps the search index up to date.

use super::Consumer;
use crate::error::Result;
use crate::event::Topic;
use crate::eventlog::Batch;
use crate::search::{NAME, Search, TOPICS};

impl Consumer for Search {
    fn name(&self) -> &'static str {
        NAME
    }

    fn topics(&self) -> &'static [Topic] {
        TOPICS
    }

    async fn position(&self) -> Result<Option<u64>> {
        self.position().await
    }

    async fn rebuild(&self, through: u64) -> Result<()> {
        self.rebuild(through).await
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        self.apply(batch).await
    }

    async fn stirred(&self) {
        self.stirred().await;
    }
}
