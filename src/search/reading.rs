//! The asker's side: from what was typed to what is shown.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gather::{Field, Found, Hit, MAX_COUNTED, Order};
use super::highlight::Marker;
use super::plan::{self, Narrowing};
use super::query::{self, Asked, Clause};
use super::schema::Kind;
use super::sight::{Bounds, Sight};
use super::tags::{self, Tag};
use super::{
    CommentHit, MessageHit, Part, PersonHit, PostHit, Results, Search, Section, Suggestions,
    TagHit, sql, words,
};
use crate::chat::{Reach, RoomKey};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Kind as ErrorKind, Result};
use crate::id::UserId;
use crate::page::{Cursor, Page};
use crate::store::ReadTx;
use crate::{text, users};

/// Characters of what somebody begins to write.
const MAX_BEGUN: usize = 64;
/// Hashtags of public posts that are counted for the viewer, of each beginning.
const MAX_TAGS: u32 = 100;
/// A cursor of a list by how well things fit holds the minute of the first page above this bit, so that ages stay the
/// same from page to page; one of a list by time has nothing there.
const MINUTE_SHIFT: u32 = 32;
const BY_TIME_BELOW: i64 = 1 << 48;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As it was typed.
    pub text: String,
    /// Of which kinds; of all, when empty.
    pub sections: Vec<Section>,
    /// Which part of the list; with a cursor only one section can be meant.
    pub page: Page,
    /// The newest first, rather than what fits best.
    pub newest_first: bool,
}

/// All that is needed to search, and nothing that waits.
struct Task {
    asked: Asked,
    sections: Vec<Section>,
    sight: Sight,
    bounds: Bounds,
    narrowing: Narrowing,
    tags: tags::Wanted,
    order: Order,
}

/// What was found, as ids.
#[derive(Default)]
struct Findings {
    parts: Vec<(Section, Found)>,
    /// And whether there may be more.
    tags: Option<(Vec<Tag>, bool)>,
}

/// For what people and names are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// All that somebody asks for.
    Search,
    /// Names and tags that somebody begins to write, letter by letter: without those that they mute, and read as quickly
    /// as can be.
    Suggestion,
}

/// What is read of people and names before a search.
#[derive(Default)]
struct Circumstances {
    sight: Sight,
    from: Option<Vec<i64>>,
    not_from: Vec<i64>,
    tags: tags::Wanted,
    /// With whom the conversation is that is searched, if there is such a person.
    partner: Option<UserId>,
}

impl Search {
    /// What somebody may see of what fits. Errors: `invalid_query`; `overloaded`, `timed_out`.
    pub async fn search(&self, viewer: UserId, wanted: Wanted) -> Result<Results> {
        let asked = query::parse(&wanted.text)?;
        if asked.is_empty() {
            let message = "Say what to search for.";
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
        let sections = sections(&asked, &wanted.sections);
        if wanted.page.after.is_some() && sections.len() != 1 {
            let message = "A cursor goes with one of types.";
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
        let order = self.order(&asked, &wanted)?;
        let mut read = self
            .circumstances(viewer, &asked, &sections, Purpose::Search)
            .await?;
        if let Some(room) = &asked.room {
            let reach = self.room_named(viewer, room, read.partner).await?;
            read.sight.rooms = rooms_of(reach);
        }
        self.answer(viewer, asked, sections, read, order).await
    }

    /// What somebody may see of what fits, in one room in which they may read.
    ///
    /// Errors: moreover `room_not_found`, `forbidden`, and what else reading there may answer.
    pub async fn search_room(
        &self,
        viewer: UserId,
        key: RoomKey,
        wanted: Wanted,
    ) -> Result<Results> {
        let asked = query::parse(&wanted.text)?;
        if asked.is_empty() {
            let message = "Say what to search for.";
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
        let order = self.order(&asked, &wanted)?;
        let reach = self.inner.chat.reach(viewer, key).await?;
        // Of rooms, this one alone.
        let mut read = self
            .circumstances(viewer, &asked, &[], Purpose::Search)
            .await?;
        read.sight.rooms = rooms_of(reach);
        self.answer(viewer, asked, vec![Section::Messages], read, order)
            .await
    }

    /// People and tags that begin like that, or nearly so; without those that the viewer mutes. Tags are counted over
    /// public posts and the viewer's own.
    pub async fn suggest(&self, viewer: UserId, begun: &str, limit: usize) -> Result<Suggestions> {
        if begun.chars().take(MAX_BEGUN + 1).count() > MAX_BEGUN {
            let message = format!("What is to be completed has at most {MAX_BEGUN} characters.");
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
        let begun = begun.trim();
        let (sections, begun) = match (begun.strip_prefix('#'), begun.strip_prefix('@')) {
            (Some(tag), _) => (vec![Section::Tags], tag),
            (_, Some(name)) => (vec![Section::People], name),
            (None, None) => (vec![Section::People, Section::Tags], begun),
        };
        let asked = Asked {
            wanted: words::units(begun)
                .into_iter()
                .take(query::MAX_CLAUSES)
                .map(Clause::Unit)
                .collect(),
            ..Asked::default()
        };
        if asked.is_empty() {
            return Ok(Suggestions {
                rebuilding: self.is_rebuilding(),
                ..Suggestions::default()
            });
        }
        let order = Order {
            by_time: false,
            now: self.inner.clock.now(),
            after: None,
            limit,
        };
        let read = self
            .circumstances(viewer, &asked, &sections, Purpose::Suggestion)
            .await?;
        let results = self.answer(viewer, asked, sections, read, order).await?;
        let people = results.people.map_or_else(Vec::new, |part| part.hits);
        Ok(Suggestions {
            rebuilding: results.rebuilding,
            people: people.into_iter().map(|hit| hit.person).collect(),
            tags: results.tags.map_or_else(Vec::new, |part| part.hits),
        })
    }

    fn order(&self, asked: &Asked, wanted: &Wanted) -> Result<Order> {
        let by_time = wanted.newest_first || !asked.has_words();
        let mut order = Order {
            by_time,
            now: self.inner.clock.now(),
            after: None,
            limit: wanted.page.limit as usize,
        };
        if let Some(Cursor { rank, id }) = wanted.page.after {
            if by_time != (rank < BY_TIME_BELOW) {
                let message = "This cursor is from a list in another order.";
                return Err(Error::new(Code::InvalidQuery).with_message(message));
            }
            let rank = if by_time {
                rank
            } else {
                order.now = minute(rank >> MINUTE_SHIFT);
                rank & ((1 << MINUTE_SHIFT) - 1)
            };
            order.after = Some(Hit { rank, id });
        } else if !by_time {
            order.now = minute(order.now.as_millis() / 60_000);
        }
        Ok(order)
    }

    /// Who is there for somebody, and whom they mean: as much of it as these sections need.
    async fn circumstances(
        &self,
        viewer: UserId,
        asked: &Asked,
        sections: &[Section],
        purpose: Purpose,
    ) -> Result<Circumstances> {
        let now = self.inner.clock.now();
        let (asked, is_suggestion) = (asked.clone(), purpose == Purpose::Suggestion);
        let has = |section| sections.contains(&section);
        // Tags are counted over posts.
        let is_of_posts = has(Section::Posts) || has(Section::Comments) || has(Section::Tags);
        let has_rooms = has(Section::Messages) && asked.room.is_none();
        let has_tags = has(Section::Tags) && asked.is_plain();
        self.inner
            .store
            .read(move |tx| {
                let mut read = Circumstances::default();
                read.sight.viewer = viewer.get();
                read.sight.apart = sql::apart(tx, viewer)?;
                if is_of_posts && !is_suggestion {
                    read.sight.followed = sql::followed(tx, viewer)?;
                }
                if has_rooms {
                    read.sight.rooms = sql::rooms(tx, viewer, now)?;
                }
                if has_tags {
                    read.tags.prefixes = plan::tag_prefixes(&asked);
                    for prefix in &read.tags.prefixes {
                        let public = sql::public_tags(tx, prefix, MAX_TAGS)?;
                        read.tags.public.extend(public);
                    }
                }
                if is_suggestion {
                    read.sight.muted = sql::muted_people(tx, viewer, now)?;
                    read.tags.muted = sql::muted_tags(tx, viewer, now)?;
                }
                let named = |names: &[String]| -> Result<Vec<i64>> {
                    let mut ids = Vec::new();
                    for name in names {
                        ids.extend(person_named(tx, viewer, name)?.map(UserId::get));
                    }
                    Ok(ids)
                };
                if !asked.from.is_empty() {
                    read.from = Some(named(&asked.from)?);
                }
                read.not_from = named(&asked.not_from)?;
                let room = asked.room.as_deref();
                if let Some(name) = room.and_then(|room| room.strip_prefix('@')) {
                    read.partner = person_named(tx, viewer, name)?;
                }
                Ok(read)
            })
            .await
    }

    /// The room that is meant, if the viewer may read there.
    async fn room_named(
        &self,
        viewer: UserId,
        room: &str,
        partner: Option<UserId>,
    ) -> Result<Option<Reach>> {
        let key = match (room.strip_prefix('@'), partner) {
            (Some(_), Some(partner)) if partner != viewer => RoomKey::direct(viewer, partner),
            (Some(_), _) => return Ok(None),
            (None, _) => match RoomKey::parse(room) {
                Ok(key) => key,
                Err(_no_name) => return Ok(None),
            },
        };
        match self.inner.chat.reach(viewer, key).await {
            // To who may not read there, nothing is said there.
            Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
                Ok(None)
            }
            reach => reach,
        }
    }

    async fn answer(
        &self,
        viewer: UserId,
        asked: Asked,
        sections: Vec<Section>,
        read: Circumstances,
        order: Order,
    ) -> Result<Results> {
        let marker = Marker::new(&asked);
        let task = Task {
            narrowing: Narrowing {
                from: read.from,
                rooms: read.sight.rooms.keys().copied().collect(),
            },
            bounds: Bounds {
                before: asked.before,
                after: asked.after,
                not_from: read.not_from,
            },
            tags: tags::Wanted {
                limit: order.limit,
                ..read.tags
            },
            sections: sections.clone(),
            asked,
            sight: read.sight,
            order,
        };
        let patience = Duration::from_millis(u64::from(self.inner.options.timeout_ms));
        let (inner, deadline) = (Arc::clone(&self.inner), Instant::now() + patience);
        let outcome = self
            .inner
            .pool
            .run(move || {
                // The notes before the index: see `stale`.
                let notes = inner.stale.now();
                let view = inner.shelf.view();
                let Some(view) = view.filter(|view| notes.vouch_for(view.position)) else {
                    return Ok(None);
                };
                let field = Field {
                    searcher: &view.searcher,
                    sight: &task.sight,
                    notes: &notes,
                    bounds: &task.bounds,
                    deadline,
                };
                find(&field, &task).map(Some)
            })
            .await;
        let findings = match outcome {
            Ok(findings) => findings,
            Err(error) => {
                if error.kind() == ErrorKind::Internal {
                    self.doubt_files();
                }
                return Err(error);
            }
        };
        let is_complete = findings.is_some();
        let findings = findings.unwrap_or_default();
        let mut results = self
            .show(viewer, findings, &sections, marker, order)
            .await?;
        results.rebuilding = !is_complete || self.is_rebuilding();
        Ok(results)
    }

    /// Checks the files in the background: at the start, and when a search failed in a way that it should not.
    pub(super) fn doubt_files(&self) {
        let search = self.clone();
        self.inner.tasks.spawn("search-check", async move {
            if let Err(error) = search.check_files().await {
                tracing::warn!(error = %error, "The search index could not be checked");
            }
        });
    }

    /// Reads what was found, and marks in it what fits.
    async fn show(
        &self,
        viewer: UserId,
        findings: Findings,
        sections: &[Section],
        marker: Marker,
        order: Order,
    ) -> Result<Results> {
        let mut results = Results {
            order: best_first(&findings),
            ..Results::default()
        };
        let mut parts: HashMap<Section, Found> = findings.parts.into_iter().collect();
        let marker = Arc::new(marker);
        for section in sections {
            let found = parts.remove(section).unwrap_or_default();
            match section {
                Section::People => {
                    let people = self.people(viewer, &found).await?;
                    results.people = Some(
                        self.part(&found, order, people, &marker, person_hit)
                            .await?,
                    );
                }
                Section::Posts => {
                    let posts = self.inner.posts.get_many(viewer, ids(&found)).await?;
                    let posts = posts
                        .into_iter()
                        .map(|post| (post.id.get(), post))
                        .collect();
                    results.posts = Some(self.part(&found, order, posts, &marker, post_hit).await?);
                }
                Section::Comments => {
                    let comments = self.inner.posts.get_comments(viewer, ids(&found)).await?;
                    let comments = comments
                        .into_iter()
                        .map(|one| (one.id.get(), one))
                        .collect();
                    results.comments = Some(
                        self.part(&found, order, comments, &marker, comment_hit)
                            .await?,
                    );
                }
                Section::Messages => {
                    let messages = self.inner.chat.get_many(viewer, ids(&found)).await?;
                    let messages = messages
                        .into_iter()
                        .map(|one| (one.id.get(), one))
                        .collect();
                    results.messages = Some(
                        self.part(&found, order, messages, &marker, message_hit)
                            .await?,
                    );
                }
                Section::Tags => {
                    let (tags, is_more) = findings.tags.clone().unwrap_or_default();
                    results.tags = Some(tag_part(tags, is_more));
                }
            }
        }
        Ok(results)
    }

    async fn people(&self, viewer: UserId, found: &Found) -> Result<HashMap<i64, users::Person>> {
        let ids: Vec<UserId> = ids(found);
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        self.inner
            .store
            .read(move |tx| {
                let relations = users::relations(tx, viewer, &ids)?;
                let people = users::summaries(tx, &ids)?.into_iter();
                Ok(people
                    .filter(|(id, _)| relations.get(id) != Some(&users::Relation::Blocked))
                    .map(|(id, person)| (id.get(), person))
                    .collect())
            })
            .await
    }

    /// One section, in the order in which it was found.
    async fn part<T: Send + 'static, H: Send + 'static>(
        &self,
        found: &Found,
        order: Order,
        mut things: HashMap<i64, T>,
        marker: &Arc<Marker>,
        hit: fn(T, &Marker) -> H,
    ) -> Result<Part<H>> {
        let in_order: Vec<T> = found
            .hits
            .iter()
            .filter_map(|hit| things.remove(&hit.id))
            .collect();
        let hits = if in_order.is_empty() {
            Vec::new()
        } else {
            let marker = Arc::clone(marker);
            let work = move || Ok(in_order.into_iter().map(|one| hit(one, &marker)).collect());
            self.inner.pool.run(work).await?
        };
        let last = found.hits.last().filter(|_| found.is_more);
        Ok(Part {
            total: found.total,
            is_capped: found.total >= MAX_COUNTED,
            hits,
            next_cursor: last.map(|last| cursor(*last, order)),
        })
    }
}

/// Which sections are to be answered.
fn sections(asked: &Asked, wanted: &[Section]) -> Vec<Section> {
    let mut sections: Vec<Section> = Section::ALL.to_vec();
    sections.retain(|one| wanted.is_empty() || wanted.contains(one));
    sections.retain(|one| asked.sections.is_empty() || asked.sections.contains(one));
    sections
}

/// The room that is searched, if there is one.
fn rooms_of(reach: Option<Reach>) -> HashMap<i64, i64> {
    let room = reach.map(|one| (one.room_id.get(), one.cleared_number));
    room.into_iter().collect()
}

fn minute(number: i64) -> Timestamp {
    Timestamp::from_millis(number.saturating_mul(60_000))
}

fn cursor(last: Hit, order: Order) -> String {
    let rank = if order.by_time {
        last.rank
    } else {
        (order.now.as_millis() / 60_000) << MINUTE_SHIFT | last.rank
    };
    Cursor { rank, id: last.id }.encode()
}

/// The person of that name who is there for the viewer.
fn person_named(tx: &ReadTx<'_>, viewer: UserId, name: &str) -> Result<Option<UserId>> {
    if name.eq_ignore_ascii_case("me") {
        return Ok(Some(viewer));
    }
    let found = users::sql::find_by_username_key(tx, &text::username_key(name))?;
    let Some(id) = found else { return Ok(None) };
    let is_there = id == viewer || !users::is_blocked_pair(tx, viewer, id)?;
    Ok(is_there.then_some(id))
}

fn find(field: &Field<'_>, task: &Task) -> Result<Findings> {
    let mut findings = Findings::default();
    for section in &task.sections {
        field.check_time()?;
        let kind = match section {
            Section::People => Kind::Person,
            Section::Posts => Kind::Post,
            Section::Comments => Kind::Comment,
            Section::Messages => Kind::Message,
            Section::Tags => {
                if task.order.after.is_none() {
                    findings.tags = Some(tags::find(field, &task.tags)?);
                }
                continue;
            }
        };
        let query = match kind {
            Kind::Person => plan::people(&task.asked),
            Kind::Post | Kind::Comment | Kind::Message => {
                plan::texts(field.searcher, kind, &task.asked, &task.narrowing)
                    .map_err(Error::internal)?
            }
        };
        if let Some(query) = query {
            let found = field.search(kind, query.as_ref(), task.order)?;
            findings.parts.push((*section, found));
        }
    }
    Ok(findings)
}

/// The sections in which something was found, in the order of the best of each.
fn best_first(findings: &Findings) -> Vec<Section> {
    let firsts = findings.parts.iter().filter_map(|(section, found)| {
        let best = found.hits.first()?;
        Some((best.rank, *section))
    });
    let mut firsts: Vec<(i64, Section)> = firsts.collect();
    firsts.sort_by_key(|(rank, section)| (std::cmp::Reverse(*rank), *section));
    let mut order: Vec<Section> = firsts.into_iter().map(|(_, section)| section).collect();
    if findings
        .tags
        .as_ref()
        .is_some_and(|(tags, _)| !tags.is_empty())
    {
        order.push(Section::Tags);
    }
    order
}

fn ids<I: From<i64> + Eq + Hash>(found: &Found) -> Vec<I> {
    let mut seen = HashSet::new();
    let all = found.hits.iter().map(|hit| hit.id);
    all.filter(|id| seen.insert(*id)).map(I::from).collect()
}

fn tag_part(tags: Vec<Tag>, is_more: bool) -> Part<TagHit> {
    let hits = tags.into_iter().map(|tag| TagHit {
        name: tag.name,
        posts_count: tag.posts,
    });
    let hits: Vec<TagHit> = hits.collect();
    Part {
        total: hits.len(),
        is_capped: is_more,
        hits,
        next_cursor: None,
    }
}

fn person_hit(person: users::Person, marker: &Marker) -> PersonHit {
    let fields = [("name", &person.name), ("username", &person.username)];
    let highlights = fields
        .iter()
        .filter_map(|(field, text)| marker.of_name(field, text));
    PersonHit {
        highlights: highlights.collect(),
        person,
    }
}

fn post_hit(post: crate::posts::Post, marker: &Marker) -> PostHit {
    let fields = [("content", &post.content), ("caption", &post.caption)];
    let highlights = fields
        .iter()
        .filter_map(|(field, text)| marker.of_text(field, text.as_deref()?));
    PostHit {
        highlights: highlights.collect(),
        post,
    }
}

fn comment_hit(comment: crate::posts::comments::Comment, marker: &Marker) -> CommentHit {
    let text = comment.content.as_deref().unwrap_or_default();
    CommentHit {
        highlights: marker.of_text("content", text).into_iter().collect(),
        comment,
    }
}

fn message_hit(message: crate::chat::Message, marker: &Marker) -> MessageHit {
    MessageHit {
        highlights: marker
            .of_text("message", &message.message)
            .into_iter()
            .collect(),
        message,
    }
}
