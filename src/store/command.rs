//! What a write is.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CachedRow, Once, WriteTx};
use crate::error::{Error, Result};

/// A write as a plain value: all that is random or depends on the clock is already in it, so that applying it to the
/// same database gives the same result on any node.
///
/// What must hold (existence, uniqueness, permission) is checked in [`apply`](Self::apply), where it cannot race. An
/// error undoes this command alone. Read nothing but the transaction there: no clock, no randomness, no file.
pub trait Command: Serialize + DeserializeOwned + Send + 'static {
    /// `domain.verb_noun`; part of the log's format, so it stays. A command whose meaning changes gets a new name.
    const NAME: &'static str;
    /// What the caller learns; kept for repeats of the same request, so it holds all that the reply needs.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Makes the change.
    fn apply(&self, tx: &WriteTx<'_>) -> Result<Self::Output>;
}

/// A command in the form in which it is kept or sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Encoded {
    /// [`Command::NAME`].
    pub name: String,
    /// The command's fields.
    pub command: Value,
    /// Present when the request must happen once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
}

impl Encoded {
    /// The serialised form of a command.
    pub fn new<C: Command>(command: &C, once: Option<Once>) -> Result<Self> {
        let command = serde_json::to_value(command).map_err(Error::internal)?;
        Ok(Self {
            name: C::NAME.to_owned(),
            command,
            once,
        })
    }
}

type Apply = fn(&Value, Option<&Once>, &WriteTx<'_>) -> Result<Value>;

/// All commands by name, and the tables whose rows are kept in memory.
#[derive(Default)]
pub struct Registry {
    commands: BTreeMap<&'static str, Apply>,
    tables: Vec<&'static str>,
}

impl Registry {
    /// Adds a command; each name once.
    ///
    /// # Panics
    /// When the name is taken: two commands of one name would make the log ambiguous.
    pub fn add<C: Command>(&mut self) {
        let before = self.commands.insert(C::NAME, |encoded, once, tx| {
            let command: C = C::deserialize(encoded).map_err(Error::internal)?;
            let output = super::once::apply(&command, once, tx)?;
            serde_json::to_value(output).map_err(Error::internal)
        });
        assert!(before.is_none(), "two commands are named {}", C::NAME);
    }

    /// Has the rows of a table kept in memory.
    pub fn cache<T: CachedRow>(&mut self) {
        self.tables.push(T::TABLE);
    }

    /// The tables whose rows are kept in memory.
    pub(super) fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.tables.iter().copied()
    }

    /// Whether there is such a command.
    pub fn contains(&self, name: &str) -> bool {
        self.commands.contains_key(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.commands.keys().copied()
    }

    /// Applies a serialised command.
    pub(super) fn apply(&self, encoded: &Encoded, tx: &WriteTx<'_>) -> Result<Value> {
        let apply = self
            .commands
            .get(encoded.name.as_str())
            .ok_or_else(|| Error::internal(format!("no command is named {}", encoded.name)))?;
        apply(&encoded.command, encoded.once.as_ref(), tx)
    }
}
