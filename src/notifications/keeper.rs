//! The event log's side: what a consumer needs in order to keep the notifications up to date.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Notifications;
use super::entry::{POSITION, SUMMARIES, summary_user};
use super::ledger::{Ledger, has_older, read_seq};
use super::sql::{self, Source};
use super::stories::{Effect, effect};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Mark, Topic};
use crate::eventlog::{Batch, Fault, Record};
use crate::id::UserId;
use crate::store::outbox;
use crate::tasks::{Tasks, blocking};
use crate::users;

/// The topics that tell something.
pub const TOPICS: &[Topic] = &Topic::ALL;

/// Rows read in one go from a table that is told again.
const PAGE: u32 = 1_000;
/// How often notifications that are too old are looked for; people who look at theirs never see them.
const PERIOD: Duration = Duration::from_hours(1);

impl Notifications {
    /// The sequence up to which every event is told; `None` when nothing is there.
    pub async fn position(&self) -> Result<Option<u64>> {
        self.derived
            .read(|tree| Ok(read_seq(tree, POSITION)?))
            .await
    }

    /// Applies the records and moves the position, both or neither.
    pub async fn apply(&self, batch: Batch) -> Result<()> {
        let Batch {
            mut after,
            records,
            through,
        } = batch;
        let effects = blocking(move || effects(&records)).await?;
        let mut gathered = Vec::with_capacity(effects.len());
        for (seq, effect) in effects {
            let Effect::Forget(user) = effect else {
                gathered.push((seq, effect));
                continue;
            };
            // What they did is found through the rows, so all that was told before must be there first.
            let before = after.max(seq - 1);
            self.apply_effects(after, std::mem::take(&mut gathered), before)
                .await?;
            after = before;
            self.forget(user, seq).await?;
        }
        self.apply_effects(after, gathered, through).await
    }

    /// Tells again, from the rows, of events up to `through`, which then is the position. Those that people marked come
    /// back as they were marked. What no row keeps (that a password was changed) is lost.
    pub async fn rebuild(&self, through: u64) -> Result<()> {
        let newest = self.store.read(outbox::newest).await?;
        self.change(move |ledger| {
            // Whatever the log brings later may have been marked or told before.
            ledger.expect_again(newest);
            Ok(())
        })
        .await?;
        self.restore_marks().await?;
        for source in Source::ALL {
            self.retell(source, through).await?;
        }
        self.change(move |ledger| {
            ledger.set_position(through);
            Ok(())
        })
        .await
    }

    /// Starts the task that clears away what is too old.
    pub fn start(&self, tasks: &Tasks) {
        let stopping = tasks.stopping().clone();
        tasks.spawn("notification-ageing", self.clone().run(stopping));
    }

    async fn run(self, stopping: CancellationToken) {
        loop {
            let round = async {
                tokio::time::sleep(PERIOD).await;
                if let Err(error) = self.age_all().await {
                    warn!(error = %error, causes = error.causes(), "Old notifications could not be cleared away; the next hour tries again");
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = round => {}
            }
        }
    }

    /// Clears away, person by person, what is too old.
    pub(super) async fn age_all(&self) -> Result<()> {
        let mut from = Some(SUMMARIES.to_vec());
        while let Some(key) = from {
            let before = self.too_old();
            let (people, next) = self
                .derived
                .read(move |tree| {
                    let mut people = Vec::new();
                    let mut last = None;
                    let mut seen = 0;
                    for key in tree.range(key..).keys().take(PAGE as usize) {
                        let key = key?;
                        seen += 1;
                        if !key.starts_with(SUMMARIES) {
                            return Ok((people, None));
                        }
                        if let Some(user) = summary_user(&key)
                            && has_older(tree, user, before)?
                        {
                            people.push(user);
                        }
                        last = Some(key);
                    }
                    let next = last
                        .filter(|_| seen == PAGE)
                        .map(|key| [&*key, &[0]].concat());
                    Ok((people, next))
                })
                .await?;
            if !people.is_empty() {
                self.change(move |ledger| {
                    for user in people {
                        ledger.age(user, before)?;
                    }
                    Ok(())
                })
                .await?;
            }
            from = next;
        }
        Ok(())
    }

    async fn apply_effects(
        &self,
        after: u64,
        effects: Vec<(u64, Effect)>,
        through: u64,
    ) -> Result<()> {
        self.change(move |ledger| {
            if ledger.position()? != Some(after) {
                return Err(Error::new(Code::Repairing)
                    .with_source("the notifications are not where this batch begins")
                    .into());
            }
            for (seq, effect) in effects {
                apply_one(ledger, seq, effect)?;
            }
            ledger.set_position(through);
            Ok(())
        })
        .await
    }

    /// Takes away what a person was told, and what others were told of them.
    async fn forget(&self, user: UserId, seq: u64) -> Result<()> {
        self.change(move |ledger| Ok(ledger.mark_all(user, seq, Mark::Deleted)?))
            .await?;
        for source in Source::ALL {
            let mut below = i64::MAX;
            loop {
                let made = self
                    .store
                    .read(move |tx| source.made_by(tx, user, below, PAGE))
                    .await?;
                let Some((last, _)) = made.last() else { break };
                below = *last;
                self.change(move |ledger| {
                    for (_, object) in made {
                        ledger.remove(object)?;
                    }
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn restore_marks(&self) -> Result<()> {
        let mut after = 0;
        loop {
            let page = self
                .store
                .read(move |tx| sql::watermarks_after(tx, after, PAGE))
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = last.get();
            self.change(move |ledger| {
                for (user, marked) in page {
                    ledger.mark_all(user, marked.read_through, Mark::Read)?;
                    ledger.mark_all(user, marked.deleted_through, Mark::Deleted)?;
                }
                Ok(())
            })
            .await?;
        }
        let mut after = (0, 0);
        loop {
            let page = self
                .store
                .read(move |tx| sql::marks_after(tx, after, PAGE))
                .await?;
            let Some((user, id, _)) = page.last() else {
                break;
            };
            after = (user.get(), *id);
            self.change(move |ledger| {
                for (user, id, mark) in page {
                    ledger.mark(user, id, mark)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Tells of the rows of one table that events up to `through` told of.
    async fn retell(&self, source: Source, through: u64) -> Result<()> {
        if through == 0 {
            return Ok(());
        }
        let mut below = i64::MAX;
        let mut count = 0;
        loop {
            let page = self
                .store
                .read(move |tx| {
                    let rows = source.below(tx, below, PAGE)?;
                    let next = rows.last().map(|row| row.id);
                    let mut entries = Vec::new();
                    for row in rows {
                        if (1..=through).contains(&row.seq)
                            && let Effect::Tell(told) = effect(row.event, row.at)
                        {
                            entries.extend(
                                told.into_iter().map(|(user, entry)| (user, row.seq, entry)),
                            );
                        }
                    }
                    let people: Vec<UserId> = entries
                        .iter()
                        .flat_map(|(user, _, entry)| [*user, entry.actor])
                        .collect();
                    let living = users::summaries(tx, &people)?;
                    entries.retain(|(user, _, entry)| {
                        living.contains_key(user) && living.contains_key(&entry.actor)
                    });
                    Ok((entries, next))
                })
                .await?;
            let (entries, Some(next)) = page else { break };
            below = next;
            count += entries.len();
            self.change(move |ledger| {
                for (user, seq, entry) in entries {
                    ledger.add(user, seq, entry)?;
                }
                Ok(())
            })
            .await?;
        }
        info!("Told again of {count} events from {source:?}");
        Ok(())
    }

    /// What happened before this moment is too old.
    pub(super) fn too_old(&self) -> Timestamp {
        let days = u64::from(self.options.keep_days);
        self.clock.now().minus(Duration::from_hours(24 * days))
    }
}

fn effects(records: &[Record]) -> Result<Vec<(u64, Effect)>> {
    records
        .iter()
        .map(|record| Ok((record.seq, effect(record.event()?, record.at))))
        .collect()
}

fn apply_one(ledger: &mut Ledger<'_>, seq: u64, effect: Effect) -> Result<(), Fault> {
    match effect {
        Effect::None | Effect::Forget(_) => {}
        Effect::Tell(told) => {
            for (user, entry) in told {
                ledger.add(user, seq, entry)?;
            }
        }
        Effect::Remove(object) => ledger.remove(object)?,
        Effect::Mark { user, ids, mark } => {
            for id in ids {
                ledger.mark(user, id, mark)?;
            }
        }
        Effect::MarkAll {
            user,
            through,
            mark,
        } => ledger.mark_all(user, through, mark)?,
    }
    Ok(())
}
