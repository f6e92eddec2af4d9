//! What the hubs of one community tell each other: who is where, who is there, and what passes in a room.
//!
//! What is committed needs no word: each hub sees it in its own database's commits. The rest is told as it happens, and
//! all of it again now and then, so that a lost word is mended and a hub that died is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Shared;
use crate::chat::{Snapshot, Status};
use crate::event::{Audience, Live};
use crate::id::{RoomId, UserId};
use crate::live::Happening;
use crate::pubsub::{Ear, Heard, HubId, Word};

/// How often each hub says how it stands.
const EVERY: Duration = Duration::from_secs(10);
/// How long a hub is believed to be there that says nothing.
const SILENCE: Duration = Duration::from_secs(35);

/// About people, and not about a room.
const PRESENCE: &str = "presence";

/// A word, as it goes over the wire.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// A hub begins, or has missed something: the others say how they stand.
    Hello,
    /// How a hub stands.
    Standing(Snapshot),
    /// A hub ends.
    Gone,
    /// Somebody looks at a room, or does no more.
    Room {
        room: RoomId,
        user: UserId,
        username: String,
        is_there: bool,
    },
    /// Somebody is there, or not.
    Person {
        user: UserId,
        username: String,
        status: Status,
    },
    /// Shows something that nobody keeps to all in a room but one person.
    Show {
        room: RoomId,
        but: UserId,
        name: String,
        payload: String,
    },
}

impl Said {
    fn channel(&self) -> String {
        match self {
            Self::Room { room, .. } | Self::Show { room, .. } => format!("chat:room:{room}"),
            Self::Hello | Self::Standing(_) | Self::Gone | Self::Person { .. } => {
                PRESENCE.to_owned()
            }
        }
    }
}

impl Shared {
    /// Tells the other hubs.
    pub(super) fn say(&self, said: &Said) {
        if !self.has_others {
            return;
        }
        match serde_json::to_vec(said) {
            Ok(payload) => self.bus.publish(Word {
                from: self.id,
                channel: said.channel().into(),
                payload: payload.into(),
            }),
            Err(error) => warn!(error = %error, "A word to the other hubs could not be written"),
        }
    }

    /// Hears what the other hubs say, until the daemon stops.
    pub(super) async fn listen(&self, mut ear: Ear) {
        let mut last_heard: HashMap<HubId, Instant> = HashMap::new();
        let mut ticks = tokio::time::interval(EVERY);
        self.say(&Said::Hello);
        loop {
            tokio::select! {
                heard = ear.next() => match heard {
                    None => return,
                    Some(Heard::Gap) => self.say(&Said::Hello),
                    Some(Heard::Word(word)) => {
                        last_heard.insert(word.from, Instant::now());
                        self.hear(&word);
                    }
                },
                _ = ticks.tick() => {
                    let presences = self.hub.presences();
                    self.say(&Said::Standing(presences.snapshot()));
                    let silent = last_heard.extract_if(|_, heard| heard.elapsed() > SILENCE);
                    for (hub, _) in silent {
                        presences.replace(hub, None, self.clock.now());
                    }
                }
                () = self.tasks.stopping().cancelled() => {
                    self.say(&Said::Gone);
                    return;
                }
            }
        }
    }

    fn hear(&self, word: &Word) {
        let (presences, now) = (self.hub.presences(), self.clock.now());
        let said = match serde_json::from_slice(&word.payload) {
            Ok(said) => said,
            Err(error) => {
                // Of a later release, perhaps.
                debug!(error = %error, channel = %word.channel, "A word of another hub's was not understood");
                return;
            }
        };
        match said {
            Said::Hello => self.say(&Said::Standing(presences.snapshot())),
            Said::Standing(snapshot) => presences.replace(word.from, Some(snapshot), now),
            Said::Gone => presences.replace(word.from, None, now),
            Said::Room {
                room,
                user,
                username,
                is_there,
            } => presences.heard(word.from, room, user, &username, is_there),
            Said::Person {
                user,
                username,
                status,
            } => presences.heard_status(word.from, user, &username, status, now),
            Said::Show {
                room,
                but,
                name,
                payload,
            } => self.hub.show_others(room, but, &name, &payload),
        }
    }

    /// Shows something that nobody keeps to all in a room but one person, wherever they are connected.
    pub(super) fn show_to_others(&self, room: RoomId, but: UserId, name: &str, payload: String) {
        self.hub.show_others(room, but, name, &payload);
        self.say(&Said::Show {
            room,
            but,
            name: name.to_owned(),
            payload,
        });
    }
}

/// All hubs of this process: one, but where it is told otherwise.
pub(super) struct Hubs {
    all: Vec<Arc<Shared>>,
}

impl Hubs {
    pub(super) fn new(all: Vec<Arc<Shared>>) -> Self {
        Self { all }
    }

    /// The hub of a connection: each takes its turn.
    pub(super) fn of(&self, connection: u64) -> &Arc<Shared> {
        let count = self.all.len() as u64;
        let at = usize::try_from(connection % count).unwrap_or_default();
        // There is at least one, and `at` is less than their count.
        self.all.get(at).unwrap_or(&self.all[0])
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Shared> {
        self.all.iter().map(Arc::as_ref)
    }

    /// Tells somebody what was found out for them, on all their connections.
    pub(super) fn tell(&self, user: UserId, happening: &Happening) {
        let told = Live {
            audience: Audience::Person(user),
            by: user,
            name: happening.name.clone(),
            number: None,
            payload: happening.payload.clone(),
        };
        for shared in self.all() {
            shared.hub.show(&told, &shared.signer, shared.clock.now());
        }
    }

    /// Somebody's connections in this process.
    pub(super) fn count_of(&self, user: UserId) -> usize {
        self.all()
            .map(|shared| shared.hub.guests_of(user).len())
            .sum()
    }

    pub(super) fn first(&self) -> &Arc<Shared> {
        self.of(0)
    }
}
