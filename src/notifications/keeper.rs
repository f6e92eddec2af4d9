//! The event log's side: what a consumer needs in order to keep the notifications up to date.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Notifications;
use super::changes::is_whole;
use super::entry::{
    Entry, HEADS, Object, comment_names, head_user, post_names, summary_from_bytes,
};
use super::ledger::{Ledger, read_named, read_position};
use super::shelf::corrupt;
use super::sql::{self, Made, Source};
use super::stories::{Effect, Removal, effect};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Mark, Topic};
use crate::eventlog::{Batch, Fault, Record};
use crate::id::{PostId, UserId};
use crate::store::ReadTx;
use crate::tasks::{Tasks, blocking};
use crate::users::{self, Deed};

/// The topics that tell something.
pub const TOPICS: &[Topic] = &Topic::ALL;

/// Rows read in one go from a table that is told again.
const PAGE: u32 = 1_000;
/// People whose notifications are changed in one go, where they may have to be read whole.
const PEOPLE: u32 = 256;
/// Removals applied in one go, for the same reason.
const MAX_REMOVALS: usize = 256;
/// How often notifications that are too old are looked for; people who look at theirs never see them.
const PERIOD: Duration = Duration::from_hours(1);

impl Notifications {
    /// The sequence up to which every event is told; `None` when nothing is there. Reads everything when the tree was
    /// opened since the last time, and has it made anew when something is missing.
    pub async fn position(&self) -> Result<Option<u64>> {
        let openings = self.derived.openings();
        let is_checked = self.checked.load(Ordering::SeqCst) == openings;
        let writing = Arc::clone(&self.writing);
        let position = self
            .derived
            .read(move |tree| {
                if !is_checked {
                    let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
                    if !is_whole(tree)? {
                        return Err(Fault::damage());
                    }
                }
                Ok(read_position(tree)?)
            })
            .await?;
        self.checked.store(openings, Ordering::SeqCst);
        Ok(position)
    }

    /// Applies the records and moves the position, both or neither; a long batch in several such steps.
    pub async fn apply(&self, batch: Batch) -> Result<()> {
        let Batch {
            mut after,
            records,
            through,
        } = batch;
        let effects = blocking(move || effects(&records)).await?;
        let mut gathered = Vec::with_capacity(effects.len());
        let mut removals = 0;
        for (seq, effect) in effects {
            let is_wide = matches!(&effect, Effect::Remove(removal) if removal.is_wide());
            if matches!(effect, Effect::Remove(_) | Effect::Silence(_)) {
                removals += 1;
                if is_wide || removals > MAX_REMOVALS {
                    // People are found through the rows, and what they were told before must be there first.
                    let before = after.max(seq - 1);
                    let effects = std::mem::take(&mut gathered);
                    self.apply_effects(after, effects, before).await?;
                    after = before;
                    removals = 0;
                }
            }
            match effect {
                Effect::Remove(Removal::Post(post)) => self.remove_post(post, seq).await?,
                Effect::Remove(Removal::User(user)) => self.remove_user(user, seq).await?,
                effect => gathered.push((seq, effect)),
            }
        }
        self.apply_effects(after, gathered, through).await
    }

    /// Tells again, from the rows, of events up to `through`, which then is the position. Those that people marked come
    /// back as they were marked. What no row keeps (that a password was changed) is lost.
    pub async fn rebuild(&self, through: u64) -> Result<()> {
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
        let mut from = Some(HEADS.to_vec());
        while let Some(key) = from {
            let before = self.too_old();
            let (people, next) = self
                .derived
                .read(move |tree| {
                    let mut people = Vec::new();
                    let mut last = None;
                    let mut seen = 0;
                    for pair in tree.range(key..).take(PAGE as usize) {
                        let (key, value) = pair?;
                        seen += 1;
                        let Some(user) = head_user(&key) else {
                            return Ok((people, None));
                        };
                        if summary_from_bytes(&value)
                            .ok_or_else(corrupt)?
                            .has_older(before)
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
        let effects = self.without_untold(effects).await?;
        let removals: Vec<Removal> = effects
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::Remove(removal) => Some(*removal),
                _ => None,
            })
            .collect();
        let told = if removals.is_empty() {
            Vec::new()
        } else {
            self.store
                .read(move |tx| removals.into_iter().map(|gone| told_of(tx, gone)).collect())
                .await?
        };
        self.change(move |ledger| {
            if ledger.position()? != Some(after) {
                return Err(Error::new(Code::Repairing)
                    .with_source("the notifications are not where this batch begins")
                    .into());
            }
            let mut told = told.into_iter();
            for (seq, effect) in effects {
                apply_one(ledger, seq, effect, &mut told)?;
            }
            ledger.set_position(through);
            Ok(())
        })
        .await
    }

    /// The effects without what people are told of those whom they mute, or with whom they are a blocked pair.
    async fn without_untold(&self, mut effects: Vec<(u64, Effect)>) -> Result<Vec<(u64, Effect)>> {
        let told = effects.iter().flat_map(|(_, effect)| match effect {
            Effect::Tell(told) => told.as_slice(),
            _ => &[],
        });
        let deeds: Vec<Deed> = told.map(|(user, entry)| deed(*user, entry)).collect();
        if deeds.iter().all(|deed| deed.told == deed.actor) {
            return Ok(effects);
        }
        let untold = self.store.read(move |tx| users::untold(tx, &deeds)).await?;
        let mut places = 0..;
        for (_, effect) in &mut effects {
            if let Effect::Tell(told) = effect {
                told.retain(|_| places.next().is_none_or(|place| !untold.contains(&place)));
            }
        }
        Ok(effects)
    }

    /// Takes away what anybody was told about a post and what stands beneath it: its author, those whom its texts name,
    /// and those who wrote beneath it.
    async fn remove_post(&self, post: PostId, seq: u64) -> Result<()> {
        let mut people = self
            .derived
            .read(move |tree| Ok(read_named(tree, &post_names(post.get()))?))
            .await?;
        people.extend(
            self.store
                .read(move |tx| sql::post_author(tx, post))
                .await?,
        );
        self.remove_from(people, Removal::Post(post), seq).await?;
        let mut place = (false, 0);
        loop {
            let some = self
                .store
                .read(move |tx| sql::commenters(tx, post, place, PAGE))
                .await?;
            let Some((_, last)) = some.last() else {
                return Ok(());
            };
            place = *last;
            let people = some.into_iter().map(|(author, _)| author).collect();
            self.remove_from(people, Removal::Post(post), seq).await?;
        }
    }

    /// Takes away what a person was told, and what others were told of them and of their posts.
    async fn remove_user(&self, user: UserId, seq: u64) -> Result<()> {
        self.change(move |ledger| Ok(ledger.mark_all(user, seq, Mark::Deleted)?))
            .await?;
        for source in Source::ALL {
            let mut below = i64::MAX;
            loop {
                let made = self
                    .store
                    .read(move |tx| source.made_by(tx, user, below, PEOPLE))
                    .await?;
                let Some(last) = made.last() else { break };
                below = last.id;
                match source {
                    Source::Posts => {
                        for post in made {
                            self.remove_post(post.id.into(), seq).await?;
                        }
                    }
                    Source::Comments => {
                        let people = self
                            .derived
                            .read(move |tree| {
                                let mut people = Vec::new();
                                for Made { id, post, told } in made {
                                    people.extend(told);
                                    people.extend(read_named(tree, &comment_names(post, id))?);
                                }
                                Ok(people)
                            })
                            .await?;
                        self.remove_from(people, Removal::User(user), seq).await?;
                    }
                    Source::Likes | Source::CommentLikes | Source::Follows => {
                        let people = made.into_iter().flat_map(|made| made.told).collect();
                        self.remove_from(people, Removal::User(user), seq).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn remove_from(&self, mut people: Vec<UserId>, gone: Removal, seq: u64) -> Result<()> {
        people.sort_unstable();
        people.dedup();
        for some in people.chunks(PEOPLE as usize) {
            let some = some.to_vec();
            self.change(move |ledger| {
                for user in some {
                    ledger.remove(user, gone.object(), seq)?;
                }
                Ok(())
            })
            .await?;
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
                    let deeds: Vec<Deed> = entries
                        .iter()
                        .map(|(user, _, entry)| deed(*user, entry))
                        .collect();
                    let untold = users::untold(tx, &deeds)?;
                    let mut places = 0..;
                    entries.retain(|_| places.next().is_none_or(|place| !untold.contains(&place)));
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

fn deed(told: UserId, entry: &Entry) -> Deed {
    Deed {
        told,
        actor: entry.actor,
        at: entry.at,
    }
}

/// Who may have been told of something that is gone, but for those whom its text names.
fn told_of(tx: &ReadTx<'_>, gone: Removal) -> Result<Vec<UserId>> {
    Ok(match gone {
        Removal::Comment(comment, _) => sql::told_of_comment(tx, comment)?,
        Removal::PostLike(_, post) => sql::post_author(tx, post)?.into_iter().collect(),
        Removal::CommentLike(_, comment) => sql::comment_author(tx, comment)?.into_iter().collect(),
        Removal::Follow(_, user) => vec![user],
        // These are too many for one go.
        Removal::Post(_) | Removal::User(_) => Vec::new(),
    })
}

/// Applies an effect; `told` has the people of each removal, in their order.
fn apply_one(
    ledger: &mut Ledger<'_>,
    seq: u64,
    effect: Effect,
    told: &mut impl Iterator<Item = Vec<UserId>>,
) -> Result<(), Fault> {
    match effect {
        Effect::None => {}
        Effect::Tell(told) => {
            for (user, entry) in told {
                ledger.tell(user, seq, entry)?;
            }
        }
        Effect::Remove(gone) => {
            let mut people = told.next().unwrap_or_default();
            if let Removal::Comment(comment, post) = gone {
                people.extend(ledger.named(&comment_names(post.get(), comment.get()))?);
            }
            for user in people {
                ledger.remove(user, gone.object(), seq)?;
            }
        }
        Effect::Silence(pairs) => {
            for (user, actor) in pairs {
                ledger.remove(user, Object::Deeds(actor), seq)?;
            }
        }
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
