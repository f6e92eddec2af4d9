//! A command gives the same result on every node: whatever the batches, and whether the process was restarted between.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use socialhub::app;
use socialhub::config;
use socialhub::error::Code;
use socialhub::store::{Encoded, Store};

use crate::support::database::{self, Tables};
use crate::support::script::{Outcome, Script, outcome};

/// Enough that the world has filled up before the second half.
const STEPS: std::ops::Range<usize> = 1_000..2_000;
/// Worlds at least, and at most while something has not happened in any.
const WORLDS: std::ops::Range<usize> = 3..40;

/// What commands should have been refused with, too.
const REFUSALS: [Code; 17] = [
    Code::UsernameTaken,
    Code::EmailTaken,
    Code::InvalidCredentials,
    Code::InvalidResetToken,
    Code::UserNotFound,
    Code::PostNotFound,
    Code::CommentNotFound,
    Code::Forbidden,
    Code::CannotFollowSelf,
    Code::CannotBlockSelf,
    Code::CannotMuteSelf,
    Code::IdempotencyMismatch,
    Code::RoomNotFound,
    Code::MessageNotFound,
    Code::CannotMessage,
    Code::InvitationNeeded,
    Code::BannedFromRoom,
];

/// What became of the commands in all cases.
#[derive(Default)]
struct Seen {
    succeeded: BTreeSet<String>,
    succeeded_once: BTreeSet<String>,
    refusals: BTreeSet<&'static str>,
}

#[test]
fn every_command_gives_the_same_rows_in_any_batches() {
    let settings = ProptestConfig {
        cases: 1,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = RefCell::new(Seen::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for world in 0..WORLDS.end {
        if world >= WORLDS.start && seen.borrow().missing().is_empty() {
            break;
        }
        TestRunner::new(settings.clone())
            .run(&(any::<u64>().no_shrink(), STEPS), |(seed, steps)| {
                runtime.block_on(compare(seed, steps, &seen));
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(seen.into_inner().missing(), Vec::<String>::new());
}

async fn compare(seed: u64, steps: usize, seen: &RefCell<Seen>) {
    let (one_by_one, together) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (commands, outcomes) = apply_one_by_one(one_by_one.path(), seed, steps).await;
    seen.borrow_mut().note(&commands, &outcomes);
    let again = apply_together(together.path(), &commands).await;
    for ((command, first), second) in commands.iter().zip(&outcomes).zip(&again) {
        assert_eq!(first, second, "{command}");
    }
    assert_same(
        &database::tables(one_by_one.path()),
        &database::tables(together.path()),
    );
    database::assert_sound(&database::connect(together.path()));
}

/// Each command in a commit of its own; learns on the way what there is to meet.
async fn apply_one_by_one(dir: &Path, seed: u64, steps: usize) -> (Vec<String>, Vec<Outcome>) {
    let store = open(dir);
    let mut script = Script::new(seed);
    let (mut commands, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        let text = serde_json::to_string(&script.next()).unwrap();
        let outcome = outcome(store.submit_encoded(decode(&text)).await);
        script.learn(outcome.is_ok());
        commands.push(text);
        outcomes.push(outcome);
    }
    store.close();
    (commands, outcomes)
}

/// All commands as fast as they can be handed over, with a restart in their midst.
async fn apply_together(dir: &Path, commands: &[String]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for half in commands.chunks(commands.len().div_ceil(2)) {
        let store = open(dir);
        // Polled in this order the first time, so that is the order in the queue.
        let submitted = half.iter().map(|text| store.submit_encoded(decode(text)));
        outcomes.extend(join_all(submitted).await.into_iter().map(outcome));
        store.close();
    }
    outcomes
}

fn open(dir: &Path) -> Store {
    let (store, _) = Store::open(dir, &config::Store::default(), app::registry()).unwrap();
    store
}

fn decode(text: &str) -> Encoded {
    serde_json::from_str(text).unwrap()
}

fn assert_same(left: &Tables, right: &Tables) {
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        right.keys().collect::<Vec<_>>()
    );
    for (name, rows) in left {
        let others = &right[name];
        for (number, (row, other)) in rows.iter().zip(others).enumerate() {
            assert_eq!(row, other, "row {number} of {name}");
        }
        assert_eq!(rows.len(), others.len(), "rows of {name}");
    }
    assert!(!left["outbox"].is_empty() && !left["once"].is_empty());
}

impl Seen {
    /// What should happen and has not yet.
    fn missing(&self) -> Vec<String> {
        app::registry()
            .names()
            .flat_map(|name| {
                let plain = (!self.succeeded.contains(name)).then(|| name.to_owned());
                let once =
                    (!self.succeeded_once.contains(name)).then(|| format!("{name} with `once`"));
                plain.into_iter().chain(once)
            })
            .chain(
                REFUSALS
                    .iter()
                    .map(|code| code.as_str())
                    .filter(|code| !self.refusals.contains(code))
                    .map(str::to_owned),
            )
            .collect()
    }

    fn note(&mut self, commands: &[String], outcomes: &[Outcome]) {
        for (text, outcome) in commands.iter().zip(outcomes) {
            let command = decode(text);
            match outcome {
                Ok(_) if command.once.is_some() => self.succeeded_once.insert(command.name),
                Ok(_) => self.succeeded.insert(command.name),
                Err((Code::Internal, message, _)) => {
                    panic!("the command failed by itself: {message}: {text}")
                }
                Err((code, ..)) => self.refusals.insert(code.as_str()),
            };
        }
    }
}
