//! "3 new posts": tells those who are there how many posts those whom they follow have written since they were told last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tracing::warn;

use super::Shared;
use crate::id::{PostId, UserId};
use crate::tasks::Tasks;

/// Posts that wait for a round; of more, nobody is told.
const MAX_POSTS: usize = 10_000;

/// Posts of which nobody was told yet.
#[derive(Default)]
pub(super) struct FeedHints {
    posts: Mutex<Vec<(UserId, PostId)>>,
    due: Notify,
}

impl FeedHints {
    /// Somebody has written a post.
    pub(super) fn note(&self, author: UserId, post: PostId) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        if posts.len() < MAX_POSTS {
            posts.push((author, post));
            drop(posts);
            self.due.notify_one();
        }
    }

    fn take(&self) -> HashMap<UserId, Vec<PostId>> {
        let posts = {
            let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *posts)
        };
        let mut by_author: HashMap<UserId, Vec<PostId>> = HashMap::new();
        for (author, post) in posts {
            by_author.entry(author).or_default().push(post);
        }
        by_author
    }
}

pub(super) fn start(shared: &Arc<Shared>, tasks: &Tasks) {
    let shared = Arc::clone(shared);
    tasks.spawn("feed hints", async move {
        tokio::select! {
            () = rounds(&shared) => {}
            () = shared.stopping.cancelled() => {}
        }
    });
}

async fn rounds(shared: &Shared) {
    let pause = Duration::from_millis(shared.options.feed_hint_ms);
    loop {
        shared.hints.due.notified().await;
        let people: Arc<[UserId]> = shared.people.all().into();
        let mut counts: HashMap<UserId, usize> = HashMap::new();
        for (author, posts) in shared.hints.take() {
            let audience = shared
                .posts
                .follower_audience(author, posts, Arc::clone(&people));
            match audience.await {
                Ok((count, readers)) => {
                    for reader in readers {
                        *counts.entry(reader).or_default() += count;
                    }
                }
                Err(error) => {
                    warn!(error = %error, causes = error.causes(), "Nobody is told that somebody has written a post");
                }
            }
        }
        for (reader, count) in counts {
            shared.tell(reader, "feed_hint", &json!({ "count": count }));
        }
        tokio::time::sleep(pause).await;
    }
}
