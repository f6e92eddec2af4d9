//! Word between the hubs of one community: what passes and nobody keeps, such as who is where and who is typing.
//!
//! A node has one hub, and alone nobody to tell ([`Alone`]). Nodes that share their commands show what is committed each
//! from its own database; the rest goes from one to the others through a [`PubSub`]. [`Loopback`] joins hubs within one
//! process, which is how the tests see that nothing else does.
#![warn(missing_docs)]

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::{self, error::RecvError};

/// Which hub.
pub type HubId = u64;

/// Words that wait for one hub, at most; more are lost, and the hub asks the others where they stand.
const CAPACITY: usize = 4_096;

/// What one hub tells the others.
#[derive(Clone, Debug)]
pub struct Word {
    /// Who says it.
    pub from: HubId,
    /// What it is about: `chat:room:{id}`, `presence`.
    pub channel: Arc<str>,
    /// As it goes over a wire.
    pub payload: Arc<[u8]>,
}

/// What one hub hears.
#[derive(Debug)]
pub enum Heard {
    /// A word of another hub's.
    Word(Word),
    /// Some words were lost on the way.
    Gap,
}

/// Joins hubs. Words of one hub arrive in their order, once, or not at all.
pub trait PubSub: Send + Sync + 'static {
    /// Tells the other hubs. Never waits.
    fn publish(&self, word: Word);

    /// What the others say from now on; none where there are no others.
    fn subscribe(&self, hub: HubId) -> Option<Ear>;
}

/// The words that come to one hub, of all channels; it ends when no more can come. Whatever a [`PubSub`] goes over makes its
/// own: over Redis, a subscription to the pattern `chat:room:*` and to `presence`.
pub type Ear = BoxStream<'static, Heard>;

/// There is one hub, and nobody to tell.
pub struct Alone;

impl PubSub for Alone {
    fn publish(&self, _word: Word) {}

    fn subscribe(&self, _hub: HubId) -> Option<Ear> {
        None
    }
}

/// Several hubs in one process, which share nothing else.
pub struct Loopback {
    words: broadcast::Sender<Word>,
}

impl Default for Loopback {
    fn default() -> Self {
        Self {
            words: broadcast::channel(CAPACITY).0,
        }
    }
}

impl PubSub for Loopback {
    fn publish(&self, word: Word) {
        // Nobody else may be there yet.
        self.words.send(word).ok();
    }

    fn subscribe(&self, hub: HubId) -> Option<Ear> {
        let words = stream::unfold(self.words.subscribe(), move |mut words| async move {
            loop {
                let heard = match words.recv().await {
                    Ok(word) if word.from == hub => continue,
                    Ok(word) => Heard::Word(word),
                    Err(RecvError::Lagged(_)) => Heard::Gap,
                    Err(RecvError::Closed) => return None,
                };
                return Some((heard, words));
            }
        });
        Some(words.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(from: HubId, text: &str) -> Word {
        Word {
            from,
            channel: "presence".into(),
            payload: text.as_bytes().into(),
        }
    }

    #[tokio::test]
    async fn a_hub_hears_the_others_in_their_order_and_not_itself() {
        let bus = Loopback::default();
        let mut ear = bus.subscribe(1).unwrap();
        for (from, text) in [(2, "a"), (1, "own"), (3, "b"), (2, "c")] {
            bus.publish(word(from, text));
        }
        for expected in ["a", "b", "c"] {
            match ear.next().await {
                Some(Heard::Word(word)) => assert_eq!(&*word.payload, expected.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
        drop(bus);
        assert!(ear.next().await.is_none());
    }

    #[tokio::test]
    async fn who_cannot_follow_learns_that() {
        let bus = Loopback::default();
        let mut ear = bus.subscribe(1).unwrap();
        for _ in 0..=CAPACITY {
            bus.publish(word(2, "x"));
        }
        assert!(matches!(ear.next().await, Some(Heard::Gap)));
        assert!(matches!(ear.next().await, Some(Heard::Word(_))));
    }
}
