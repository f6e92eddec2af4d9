//! One index on the disk: opened, written, committed together with how far it has come, and read.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tantivy::directory::MmapDirectory;
use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::IndexRecordOption;
use tantivy::{
    DocSet, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, SegmentReader,
    TERMINATED, TantivyDocument, TantivyError, Term,
};
use tracing::warn;

use super::schema::{Doc, FIELDS, Kind, column, register_tokenizers, schema};
use super::stale::Position;
use crate::error::{Code, Error, Result};

/// Bytes of memory that tantivy wants at least.
const MIN_HEAP: usize = 16 * 1024 * 1024;

/// A thing that is ready to be written: made so by who has no lock.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    kind: Kind,
    id: i64,
    /// The post that it is or belongs to, and who may see that.
    post: Option<(i64, i64)>,
    first_touch: Option<u64>,
    document: TantivyDocument,
}

impl From<&Doc> for Entry {
    fn from(doc: &Doc) -> Self {
        Self {
            kind: doc.kind,
            id: doc.id,
            post: doc.post.map(|(post, _, visibility)| (post, visibility)),
            first_touch: doc.first_touch,
            document: doc.to_document(),
        }
    }
}

/// What is to be made other.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A thing is there, or is other than it was.
    Put(Box<Entry>),
    Remove(Kind, i64),
    /// A post, with its comments.
    RemovePost(i64),
}

/// How much further what is written has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Advance {
    /// Not at all.
    No,
    /// From one event to another.
    Log { after: u64, through: u64 },
    /// From one touch of a message to another.
    Messages { after: u64, through: u64 },
}

/// What is searched: it stays as it is while others are written.
#[derive(Clone)]
pub(super) struct View {
    pub(super) searcher: Searcher,
    pub(super) position: Position,
}

/// An index that is being written.
pub(super) struct Generation {
    /// Which one: the name of its directory.
    pub(super) number: u64,
    dir: PathBuf,
    index: Index,
    writer: IndexWriter,
    reader: IndexReader,
    /// How far what is written has come, committed or not.
    pub(super) written: Position,
    /// How far it had come at the last commit.
    committed: Position,
    /// Whether something is written and not committed.
    has_changes: bool,
    /// Posts of which something is written and not to be read yet, and who may see that: a bit for each.
    recent: HashMap<i64, u8>,
    /// What was written while the rest is still being filled in: that is newer than what is filled in.
    filling: Option<HashSet<(Kind, i64)>>,
    /// Messages that were written with a later touch come here by their turn alone, and so are not here before.
    filled_through: u64,
}

impl Generation {
    /// A new index in an empty directory, to be filled. Blocks.
    pub(super) fn create(
        parent: &Path,
        number: u64,
        heap_bytes: usize,
        position: Position,
    ) -> Result<Self> {
        let dir = parent.join(number.to_string());
        std::fs::create_dir_all(&dir).map_err(|error| fault(error.into()))?;
        let directory = MmapDirectory::open(&dir).map_err(|error| fault(error.into()))?;
        let index = Index::create(directory, schema(), IndexSettings::default()).map_err(fault)?;
        let mut created = Self::with(dir, number, index, heap_bytes).map_err(fault)?;
        created.written = position;
        created.filling = Some(HashSet::new());
        Ok(created)
    }

    /// Opens an index, which knows of nothing newer than what there is now. Blocks.
    pub(super) fn open(
        parent: &Path,
        number: u64,
        heap_bytes: usize,
        newest: Position,
    ) -> tantivy::Result<Self> {
        let dir = parent.join(number.to_string());
        let index = Index::open_in_dir(&dir)?;
        if index.schema() != schema() {
            return Err(TantivyError::SchemaError("another schema".to_owned()));
        }
        let payload = index.load_metas()?.payload.unwrap_or_default();
        let position: Position = serde_json::from_str(&payload)
            .map_err(|error| TantivyError::InvalidArgument(error.to_string()))?;
        let mut opened = Self::with(dir, number, index, heap_bytes)?;
        opened.written = position;
        opened.committed = position;
        opened.filled_through = newest.messages;
        Ok(opened)
    }

    fn with(dir: PathBuf, number: u64, index: Index, heap_bytes: usize) -> tantivy::Result<Self> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(heap_bytes.max(MIN_HEAP))
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        register_tokenizers(&index);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(1)
            .try_into()?;
        Ok(Self {
            number,
            dir,
            writer: index.writer_with_options(options)?,
            reader,
            index,
            written: Position::default(),
            committed: Position::default(),
            has_changes: false,
            recent: HashMap::new(),
            filling: None,
            filled_through: u64::MAX,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is to be searched now.
    pub(super) fn view(&self) -> View {
        View {
            searcher: self.reader.searcher(),
            // What is written beyond changes nothing that could be found.
            position: if self.has_changes {
                self.committed
            } else {
                self.written
            },
        }
    }

    /// Writes changes; they are searched after the next commit. Blocks.
    pub(super) fn write(&mut self, changes: Vec<Change>) -> Result<()> {
        for change in changes {
            if let Some(filling) = &mut self.filling {
                match &change {
                    Change::Put(entry) => filling.insert((entry.kind, entry.id)),
                    Change::Remove(kind, id) => filling.insert((*kind, *id)),
                    Change::RemovePost(id) => filling.insert((Kind::Post, *id)),
                };
            }
            self.apply(change).map_err(fault)?;
        }
        Ok(())
    }

    /// What is written has come further; false where it had not come to the beginning of that, and so lacks something.
    pub(super) fn advance(&mut self, advance: Advance) -> bool {
        let (position, after, through) = match advance {
            Advance::No => return true,
            Advance::Log { after, through } => (&mut self.written.log, after, through),
            Advance::Messages { after, through } => (&mut self.written.messages, after, through),
        };
        if *position < after {
            return false;
        }
        // Who goes back wants everything from there on once more.
        *position = if through < after {
            through.min(*position)
        } else {
            through.max(*position)
        };
        true
    }

    /// Adds what is not written yet. Blocks.
    pub(super) fn fill(&mut self, entries: Vec<Entry>) -> Result<()> {
        for entry in entries {
            let is_known = self
                .filling
                .as_ref()
                .is_some_and(|known| known.contains(&(entry.kind, entry.id)));
            if !is_known {
                self.add(entry).map_err(fault)?;
            }
        }
        Ok(())
    }

    /// All is filled in, from rows that have come as far as this.
    pub(super) fn end_filling(&mut self, newest: Position) {
        self.filling = None;
        self.filled_through = newest.messages;
    }

    fn apply(&mut self, change: Change) -> tantivy::Result<()> {
        self.has_changes = true;
        match change {
            Change::Put(entry) => {
                // To look for what is not there takes as long as a quarter of all else.
                let is_new = entry
                    .first_touch
                    .is_some_and(|touch| touch > self.filled_through);
                if !is_new {
                    self.writer.delete_term(entry.kind.key(entry.id));
                }
                self.add(*entry)?;
            }
            Change::Remove(kind, id) => {
                self.writer.delete_term(kind.key(id));
            }
            Change::RemovePost(post) => {
                self.writer
                    .delete_term(Term::from_field_i64(FIELDS.post, post));
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry) -> tantivy::Result<()> {
        self.has_changes = true;
        // While it is being filled in, nobody asks.
        if let (Some((post, visibility)), None) = (entry.post, &self.filling) {
            *self.recent.entry(post).or_default() |= bit(visibility);
        }
        self.writer.add_document(entry.document)?;
        Ok(())
    }

    /// Whether a post, or a comment on it, was indexed for others than these. While it is being filled in, that is not
    /// known, and so it may be.
    pub(super) fn has_otherwise(&self, post: i64, visibility: i64) -> bool {
        let is_recent = self.recent.get(&post);
        self.filling.is_some()
            || is_recent.is_some_and(|bits| bits & !bit(visibility) != 0)
            || has_other(&self.reader.searcher(), post, visibility).unwrap_or(true)
    }

    /// Whether there is something to commit.
    pub(super) fn needs_commit(&self) -> bool {
        self.has_changes
    }

    /// Brings what is written to the disk, together with how far it has come; then it is searched. Blocks.
    pub(super) fn commit(&mut self) -> Result<()> {
        if !self.has_changes && self.committed == self.written {
            return Ok(());
        }
        let payload = serde_json::to_string(&self.written).map_err(Error::internal)?;
        let mut prepared = self.writer.prepare_commit().map_err(fault)?;
        prepared.set_payload(&payload);
        prepared.commit().map_err(fault)?;
        self.reader.reload().map_err(fault)?;
        self.committed = self.written;
        self.has_changes = false;
        self.recent.clear();
        Ok(())
    }

    /// Goes back to the last commit. Blocks.
    pub(super) fn roll_back(&mut self) -> Result<()> {
        self.writer.rollback().map_err(fault)?;
        self.written = self.committed;
        self.has_changes = false;
        self.recent.clear();
        Ok(())
    }

    /// Ends it, once the merges that are under way have written their files. Blocks.
    pub(super) fn close(self) {
        if let Err(error) = self.writer.wait_merging_threads() {
            warn!(error = %error, "A merge of the search index failed; the next commit makes another");
        }
    }

    /// The files, for who checks them without keeping the writer.
    pub(super) fn index(&self) -> Index {
        self.index.clone()
    }
}

/// One of the three kinds of people who may see a post.
fn bit(visibility: i64) -> u8 {
    1 << visibility.clamp(0, 7)
}

/// Whether something of a post is to be read for others than these.
fn has_other(searcher: &Searcher, post: i64, visibility: i64) -> tantivy::Result<bool> {
    let term = Term::from_field_i64(FIELDS.post, post);
    let mut has_other = false;
    for reader in searcher.segment_readers() {
        each_with(reader, &term, column::VISIBILITY, |value| {
            has_other |= value != visibility;
        })?;
    }
    Ok(has_other)
}

/// A column of one thing, as often as it is there.
pub(super) fn column_of(
    searcher: &Searcher,
    kind: Kind,
    id: i64,
    name: &str,
) -> tantivy::Result<Vec<i64>> {
    let mut values = Vec::new();
    for reader in searcher.segment_readers() {
        each_with(reader, &kind.key(id), name, |value| values.push(value))?;
    }
    Ok(values)
}

/// The ids of all things of a kind in the index.
pub(super) fn ids(searcher: &Searcher, kind: Kind) -> tantivy::Result<Vec<i64>> {
    let mut ids = Vec::new();
    for reader in searcher.segment_readers() {
        each_with(reader, &kind.term(), column::ID, |id| ids.push(id))?;
    }
    Ok(ids)
}

/// A column of all in a segment that have this term.
fn each_with(
    reader: &SegmentReader,
    term: &Term,
    name: &str,
    mut take: impl FnMut(i64),
) -> tantivy::Result<()> {
    let index = reader.inverted_index(term.field())?;
    let Some(mut postings) = index.read_postings(term, IndexRecordOption::Basic)? else {
        return Ok(());
    };
    let column = reader.fast_fields().column_first_or_default::<i64>(name)?;
    let mut doc = postings.doc();
    while doc != TERMINATED {
        let is_removed = reader
            .alive_bitset()
            .is_some_and(|alive| alive.is_deleted(doc));
        if !is_removed {
            take(column.get_val(doc));
        }
        doc = postings.advance();
    }
    Ok(())
}

/// The files of an index that are not as they were written; an error stands for all of them.
pub(super) fn damaged_files(index: &Index) -> Vec<String> {
    match index.validate_checksum() {
        Ok(files) => files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// What tantivy says, for who tries again: with no room left as that, all else as `repairing`.
pub(super) fn fault(error: TantivyError) -> Error {
    let text = error.to_string();
    let is_full = text.contains("No space left") || text.contains("StorageFull");
    let code = if is_full {
        Code::StorageFull
    } else {
        Code::Repairing
    };
    Error::new(code).with_source(text)
}
