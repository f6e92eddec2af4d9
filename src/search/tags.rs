//! Hashtags by how they begin: those under which the viewer may see a post, with as many posts as they may see.
//!
//! Those of public posts come from the rows, which count them; those that are only on other posts are looked for in the
//! index, as far as there is room left.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use tantivy::query::TermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{Searcher, Term};

use super::gather::Field;
use super::schema::{FIELDS, Kind};
use crate::error::{Error, Result};

/// Tags of one segment that are looked at for those that are on no public post.
const MAX_LOOKED: usize = 2_000;
/// Posts that are looked at to count those that may be seen.
const MAX_POSTS: u32 = 300_000;

/// A tag, and how many posts the viewer may see under it, counted up to a thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) posts: usize,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// How they begin.
    pub(super) prefixes: Vec<String>,
    /// Those of public posts that begin so, the most used first.
    pub(super) public: Vec<String>,
    /// Not these.
    pub(super) muted: HashSet<String>,
    pub(super) limit: usize,
}

/// The tags that begin with one of these, the most used first; those that are written so before all others. And whether
/// there may be more.
pub(super) fn find(field: &Field<'_>, wanted: &Wanted) -> Result<(Vec<Tag>, bool)> {
    let mut gathered = Gathered {
        field,
        wanted,
        seen: wanted.muted.clone(),
        budget: MAX_POSTS,
        tags: Vec::new(),
    };
    let mut is_complete = true;
    for name in wanted.prefixes.iter().chain(&wanted.public) {
        is_complete = is_complete && gathered.take(name)?;
    }
    if is_complete {
        let names = names(field.searcher, &wanted.prefixes).map_err(Error::internal)?;
        for name in names {
            is_complete = is_complete && gathered.take(&name)?;
        }
    }
    let mut tags = gathered.tags;
    tags.sort_by_cached_key(|tag| {
        let is_written = wanted.prefixes.contains(&tag.name);
        (!is_written, Reverse(tag.posts), tag.name.clone())
    });
    Ok((tags, !is_complete))
}

struct Gathered<'a> {
    field: &'a Field<'a>,
    wanted: &'a Wanted,
    seen: HashSet<String>,
    budget: u32,
    tags: Vec<Tag>,
}

impl Gathered<'_> {
    /// Takes a tag in, where the viewer may see a post with it; false where there is no room for more.
    fn take(&mut self, name: &str) -> Result<bool> {
        if self.seen.contains(name) {
            return Ok(true);
        }
        if self.tags.len() >= self.wanted.limit || self.budget == 0 {
            return Ok(false);
        }
        self.field.check_time()?;
        let term = Term::from_field_text(FIELDS.tags, name);
        let query = TermQuery::new(term, IndexRecordOption::Basic);
        let posts = self.field.total(Kind::Post, &query, &mut self.budget)?;
        self.seen.insert(name.to_owned());
        if posts > 0 {
            self.tags.push(Tag {
                name: name.to_owned(),
                posts,
            });
        }
        Ok(true)
    }
}

/// The first tags by name that begin so, whoever may see their posts.
fn names(searcher: &Searcher, prefixes: &[String]) -> tantivy::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for prefix in prefixes {
        for reader in searcher.segment_readers() {
            let index = reader.inverted_index(FIELDS.tags)?;
            let mut stream = index.terms().range().ge(prefix.as_bytes()).into_stream()?;
            let mut looked = 0;
            while stream.advance() && looked < MAX_LOOKED {
                let Ok(name) = std::str::from_utf8(stream.key()) else {
                    continue;
                };
                if !name.starts_with(prefix) {
                    break;
                }
                names.insert(name.to_owned());
                looked += 1;
            }
        }
    }
    Ok(names)
}
