//! Search: posts, comments, people, hashtags and chat messages, with one query, as far as each may see them.
//!
//! The index (tantivy) is derived from the rows and the event log, lies in its own directory, and can be deleted. It
//! knows words and ids, no texts: what is shown is read from the rows, by the domain whose it is.
//!
//! * `query`: what somebody typed, read; `words`: texts as terms; `highlight`: where those stand in a text. Pure;
//! * `schema`, `index`, `shelf`: a document, one index, and the indexes in their directory;
//! * `sight`: what somebody may see, asked of each document as it is found; `stale`: what the index has otherwise than
//!   the rows for a moment, and nobody finds;
//! * `plan`, `settled`, `gather`, `tags`: what is looked for, and the best of it;
//! * `keeper`, `verify`: the event log's side, filling, and comparing with the rows;
//! * `reading`: the asker's side; `pool`: the threads on which is searched and written; `sql`: the rows.
//!
//! Who runs the consumer is not known here.

mod gather;
mod highlight;
mod index;
mod keeper;
mod plan;
mod pool;
mod query;
mod reading;
mod schema;
mod settled;
mod shelf;
mod sight;
mod sql;
mod stale;
mod tags;
mod verify;
mod words;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::chat::{Chat, Message};
use crate::clock::Clock;
use crate::config;
use crate::disk::DiskGuard;
use crate::error::Result;
use crate::posts::comments::Comment;
use crate::posts::{Post, Posts};
use crate::store::Store;
use crate::tasks::Tasks;
use crate::users::Person;

use pool::Pool;
use shelf::Shelf;
use stale::Stale;

pub use highlight::{Highlight, Segment};
pub use keeper::TOPICS;
pub use query::{MAX_CHARS, MAX_CLAUSES};
pub use reading::Wanted;
pub use verify::{Verification, Verified};

/// The name of the consumer, and of the directory in the data directory.
pub const NAME: &str = "search";

/// A part of an answer.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// By their names.
    People,
    /// By how they begin.
    Tags,
    /// By what they say, their tags, their authors.
    Posts,
    /// The same.
    Comments,
    /// The same, in the rooms and conversations that one is in.
    Messages,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::People,
        Self::Tags,
        Self::Posts,
        Self::Comments,
        Self::Messages,
    ];

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "people" => Self::People,
            "tags" => Self::Tags,
            "posts" => Self::Posts,
            "comments" => Self::Comments,
            "messages" => Self::Messages,
            _ => return None,
        })
    }
}

/// The best of one kind.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part<T> {
    /// How many there are, counted up to a thousand.
    pub total: usize,
    /// Whether there may be more than that.
    pub is_capped: bool,
    /// The best of them, the best first.
    pub hits: Vec<T>,
    /// Where the next ones are; null when there are none.
    #[serde(rename = "next_cursor")]
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self {
            total: 0,
            is_capped: false,
            hits: Vec::new(),
            next_cursor: None,
        }
    }
}

/// A person who was found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PersonHit {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// What fits in their name and username.
    pub highlights: Vec<Highlight>,
}

/// A hashtag that was found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagHit {
    /// Without `#`, in the form in which tags are compared.
    #[schema(example = "rust")]
    pub name: String,
    /// Posts under it that one may see, counted up to a thousand.
    pub posts_count: usize,
}

/// A post that was found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PostHit {
    /// The post.
    pub post: Post,
    /// What fits in its content and caption.
    pub highlights: Vec<Highlight>,
}

/// A comment that was found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct CommentHit {
    /// The comment.
    pub comment: Comment,
    /// What fits in it.
    pub highlights: Vec<Highlight>,
}

/// A message that was found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct MessageHit {
    /// The message.
    pub message: Message,
    /// What fits in it.
    pub highlights: Vec<Highlight>,
}

/// What was found. A section that was not asked for is absent.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Results {
    /// Whether the index is being made: then there may be more than is found.
    pub rebuilding: bool,
    /// The sections in which something was found, the one with what fits best first.
    pub order: Vec<Section>,
    /// Without oneself being left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<Part<PersonHit>>,
    /// Hashtags of posts: as many as are wanted, and whether there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Part<TagHit>>,
    /// Posts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posts: Option<Part<PostHit>>,
    /// Comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<Part<CommentHit>>,
    /// Messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Part<MessageHit>>,
}

/// What a name or tag that somebody begins to write may become.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Suggestions {
    /// Whether the index is being made.
    pub rebuilding: bool,
    /// People.
    pub people: Vec<Person>,
    /// Hashtags.
    pub tags: Vec<TagHit>,
}

/// How the index is doing, for an admin.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SearchStatus)]
pub struct Status {
    /// Whether one is being made.
    pub rebuilding: bool,
    /// Things that are found.
    pub documents: u64,
    /// The event up to which what happened is found.
    pub position: u64,
    /// The same of messages, by their own count.
    #[serde(rename = "messagesPosition")]
    pub messages_position: u64,
    /// What the latest comparison with the database found; null when there was none since the start.
    #[schema(required)]
    pub verification: Option<Verification>,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Search {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    posts: Posts,
    chat: Chat,
    clock: Clock,
    options: config::Search,
    tasks: Tasks,
    shelf: Shelf,
    stale: Stale,
    /// Where is searched.
    pool: Pool,
    /// Where the index is written.
    writing: Pool,
    /// Ends the filling that goes on.
    filling: std::sync::Mutex<CancellationToken>,
    /// Held while rows are read and written to the index, so that nothing older is written over something newer.
    turn: Mutex<()>,
    /// Something was said in a room.
    spoken: Notify,
    /// Something is to be committed.
    committing: Notify,
    /// The position may be another one.
    stirred: Notify,
    verification: std::sync::Mutex<Option<Verification>>,
}

/// What search needs of the others.
pub struct Needs {
    /// Reads the posts and comments that were found.
    pub posts: Posts,
    /// Reads the messages.
    pub chat: Chat,
    /// Says how old things are.
    pub clock: Clock,
}

impl Search {
    /// Search over the index in `data_dir`, whose free space `guard` watches. Opens no file yet: that is done by who keeps
    /// it up to date.
    pub async fn start(
        store: &Store,
        needs: Needs,
        options: &config::Search,
        data_dir: &Path,
        guard: DiskGuard,
        tasks: &Tasks,
    ) -> std::io::Result<Self> {
        let stale = Stale::default();
        let heap_bytes = options.memory_mib as usize * 1024 * 1024;
        let shelf = Shelf::new(data_dir.join(NAME), heap_bytes, guard, stale.clone());
        let inner = Arc::new(Inner {
            store: store.clone(),
            posts: needs.posts,
            chat: needs.chat,
            clock: needs.clock,
            options: options.clone(),
            tasks: tasks.clone(),
            shelf,
            stale,
            pool: Pool::to_search(options.threads, options.queue_capacity)?,
            writing: Pool::to_write()?,
            filling: std::sync::Mutex::default(),
            turn: Mutex::default(),
            spoken: Notify::new(),
            committing: Notify::new(),
            stirred: Notify::new(),
            verification: std::sync::Mutex::default(),
        });
        let observer = Arc::downgrade(&inner);
        store.observe(Box::new(move |events| {
            if let Some(inner) = observer.upgrade() {
                inner.observe(events);
            }
        }));
        // From here on changes are noted; what was before has to be indexed before anything is found.
        let newest = store
            .read(sql::newest)
            .await
            .map_err(std::io::Error::other)?;
        inner.stale.distrust_until(newest);
        let search = Self { inner };
        let background = [
            (
                "search-messages",
                futures_util::FutureExt::boxed(search.clone().follow_messages()),
            ),
            (
                "search-commits",
                futures_util::FutureExt::boxed(search.clone().commit_now_and_then()),
            ),
        ];
        for (name, work) in background {
            let stopping = tasks.stopping().clone();
            tasks.spawn(name, async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = work => {}
                }
            });
        }
        Ok(search)
    }

    /// How the index is doing.
    pub fn status(&self) -> Status {
        let view = self.inner.shelf.view();
        let position = view.as_ref().map(|view| view.position).unwrap_or_default();
        Status {
            rebuilding: self.is_rebuilding(),
            documents: view.map_or(0, |view| view.searcher.num_docs()),
            position: position.log,
            messages_position: position.messages,
            verification: self.verification(),
        }
    }

    /// Has the index made anew from the rows, unless that goes on already; until it is complete the present one is searched.
    pub async fn rebuild_anew(&self) -> Result<()> {
        self.discard(false).await
    }

    /// Commits what is written and closes the index. Blocks.
    pub fn close(&self) {
        self.inner.pool.close();
        self.inner.writing.close();
        self.inner.shelf.close();
    }

    fn is_rebuilding(&self) -> bool {
        self.inner.shelf.is_rebuilding()
    }
}
