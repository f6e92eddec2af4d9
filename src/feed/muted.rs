//! Words and hashtags that somebody does not want to read of, where posts of many people stand together.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use super::commands::{MuteTerm, UnmuteTerm};
use super::{Feed, sql};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Error, FieldError, Result};
use crate::id::{MutedTermId, UserId};
use crate::posts::Post;
use crate::store::ReadTx;
use crate::text;

/// Words and hashtags that one person can mute.
pub(super) const MAX_TERMS: u32 = 200;
/// Characters of a word or phrase.
const MAX_TERM_CHARS: usize = 100;

/// What is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MutedKind {
    /// A word or a phrase, wherever it stands on its own in a text.
    Word,
    /// A hashtag.
    Tag,
}

/// A muted word, phrase or hashtag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutedTerm {
    /// Its id.
    pub id: MutedTermId,
    /// What it is.
    pub kind: MutedKind,
    /// As it was typed; a hashtag without `#`.
    pub text: String,
    /// As it is compared: folded.
    #[serde(skip_serializing, default)]
    pub(super) key: String,
    /// When it ends; null without an end.
    #[schema(required)]
    pub muted_until: Option<Timestamp>,
}

/// All that somebody mutes at a time.
pub(super) struct Muted {
    words: Vec<String>,
    tags: Vec<String>,
}

impl Muted {
    pub(super) fn of(tx: &ReadTx<'_>, viewer: UserId, now: Timestamp) -> Result<Self> {
        let (mut words, mut tags) = (Vec::new(), Vec::new());
        for term in sql::muted_terms(tx, viewer, now, MAX_TERMS)? {
            match term.kind {
                MutedKind::Word => words.push(term.key),
                MutedKind::Tag => tags.push(term.key),
            }
        }
        Ok(Self { words, tags })
    }

    /// Whether a hashtag is muted.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|muted| muted == tag)
    }

    /// Whether a post says or carries something of it.
    pub(super) fn hides(&self, post: &Post) -> bool {
        if post.hashtags.iter().any(|tag| self.has_tag(tag)) {
            return true;
        }
        if self.words.is_empty() {
            return false;
        }
        let texts = [post.content.as_deref(), post.caption.as_deref()];
        texts.into_iter().flatten().any(|raw| {
            let said = text::search_key(raw);
            self.words.iter().any(|word| has_word(&said, word))
        })
    }
}

/// Whether a text has a word or phrase, and not as a part of a longer word; [scripts](text::is_unspaced) that do not part
/// their words have no such parts.
fn has_word(said: &str, word: &str) -> bool {
    let joins = |one: Option<char>, other: Option<char>| {
        let is_letter =
            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !text::is_unspaced(c));
        is_letter(one) && is_letter(other)
    };
    said.match_indices(word).any(|(at, _)| {
        let (before, after) = said.split_at(at);
        let (_, after) = after.split_at(word.len());
        !joins(before.chars().next_back(), word.chars().next())
            && !joins(word.chars().next_back(), after.chars().next())
    })
}

impl Feed {
    /// The words and hashtags that somebody mutes, the latest first.
    pub async fn muted_terms(&self, viewer: UserId) -> Result<Vec<MutedTerm>> {
        let now = self.now();
        self.inner
            .store
            .read(move |tx| sql::muted_terms(tx, viewer, now, MAX_TERMS))
            .await
    }

    /// Takes away the posts of others that have what somebody mutes.
    pub async fn drop_muted(&self, viewer: UserId, posts: &mut Vec<Post>) -> Result<()> {
        let now = self.now();
        let muted = self
            .inner
            .store
            .read(move |tx| Muted::of(tx, viewer, now))
            .await?;
        posts.retain(|post| post.author_id == viewer || !muted.hides(post));
        Ok(())
    }

    /// Mutes a word, a phrase or a hashtag; again sets another end.
    ///
    /// Errors: `invalid_fields`, `too_many_muted_terms`.
    pub async fn mute_term(
        &self,
        actor: &Actor,
        kind: MutedKind,
        raw: &str,
        until: Option<Timestamp>,
    ) -> Result<MutedTerm> {
        let now = self.now();
        let one = |fault: FieldError| Error::invalid_fields(vec![fault]);
        let (text, key) = match kind {
            MutedKind::Tag => {
                let tag = text::hashtag("text", raw).map_err(one)?;
                (tag.clone(), tag)
            }
            MutedKind::Word => {
                let squeezed = raw.split_whitespace().collect::<Vec<_>>().join(" ");
                let text = text::body("text", &squeezed, 1, MAX_TERM_CHARS).map_err(one)?;
                let key = text::search_key(&text);
                if !key.chars().any(char::is_alphanumeric) {
                    let message = "A word has letters or digits.";
                    return Err(Error::invalid_field("text", "invalid_characters", message));
                }
                (text, key)
            }
        };
        if until.is_some_and(|until| until <= now) {
            let message = "The end must be in the future.";
            return Err(Error::invalid_field("until", "in_the_past", message));
        }
        let command = MuteTerm {
            id: self.inner.ids.next(),
            user_id: actor.user_id,
            kind,
            text,
            key,
            until,
            at: now,
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }

    /// Mutes something no more.
    ///
    /// Errors: `muted_term_not_found`.
    pub async fn unmute_term(&self, actor: &Actor, id: MutedTermId) -> Result<()> {
        let command = UnmuteTerm {
            id,
            user_id: actor.user_id,
        };
        let store = &self.inner.store;
        store.submit_once(command, actor.once.clone()).await
    }
}

impl ToSql for MutedKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Word => 0,
            Self::Tag => 1,
        }))
    }
}

impl FromSql for MutedKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Word),
            1 => Ok(Self::Tag),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_where_it_stands_on_its_own() {
        for (said, word, is_there) in [
            ("the cat sat", "cat", true),
            ("cat", "cat", true),
            ("a cat, a dog", "cat", true),
            ("concatenate", "cat", false),
            ("cats", "cat", false),
            ("category or cat?", "cat", true),
            ("season finale of it", "season finale", true),
            ("season finales", "season finale", false),
            ("c++ is hard", "c++", true),
            ("我喜欢足球比赛", "足球", true),
            ("내일 서울에서 봐", "서울", true),
            ("ใน๕๐ปี", "๕", false),
            ("größe", "größe", true),
            ("größer", "größe", false),
        ] {
            assert_eq!(has_word(said, word), is_there, "{word} in {said}");
        }
    }
}
