//! What somebody typed into the search field, read: pure.
//!
//! | written                     | means                                                                          |
//! |-----------------------------|--------------------------------------------------------------------------------|
//! | `word`                      | has to be there, in whatever form                                              |
//! | `"some words"`              | has to be there as it stands                                                   |
//! | `-word`, `-"some words"`    | must not be there; so with `-#tag`, `-from:`                                   |
//! | `#tag`                      | carries this tag                                                               |
//! | `from:name`, `from:me`      | written by this person                                                         |
//! | `in:posts` (`comments`, `people`, `tags`, `messages`) | of this kind                                         |
//! | `in:room`, `in:@name`       | said in this room, or in the conversation with this person                     |
//! | `has:media`                 | brings pictures, videos or recordings                                          |
//! | `before:2026-01-31`, `after:2026-01` | before that day (month, year) begins, after it has ended, in UTC       |
//!
//! What looks like an operator and is none is a word.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

use super::Section;
use super::words::{Unit, units};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::text;

/// Characters of a query.
pub const MAX_CHARS: usize = 256;
/// Words, phrases and operators of a query.
pub const MAX_CLAUSES: usize = 16;

/// What has to be in a text, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    Unit(Unit),
    Phrase(String),
    Tag(String),
}

/// A query that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) wanted: Vec<Clause>,
    pub(super) unwanted: Vec<Clause>,
    /// Usernames, as typed; `me`.
    pub(super) from: Vec<String>,
    pub(super) not_from: Vec<String>,
    /// Of these kinds; of all, without.
    pub(super) sections: Vec<Section>,
    /// The room's name, or `@` and a username.
    pub(super) room: Option<String>,
    pub(super) has_media: bool,
    pub(super) before: Option<Timestamp>,
    pub(super) after: Option<Timestamp>,
}

impl Asked {
    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of a text is asked for, so that one can fit better than another.
    pub(super) fn has_words(&self) -> bool {
        self.wanted
            .iter()
            .any(|clause| !matches!(clause, Clause::Tag(_)))
    }

    /// Whether only people and tags can be meant by it: no operator is in it that they do not have.
    pub(super) fn is_plain(&self) -> bool {
        let operators = self.from.len() + self.not_from.len();
        operators == 0
            && self.room.is_none()
            && !self.has_media
            && self.before.is_none()
            && self.after.is_none()
    }
}

/// Reads a query. Errors: `invalid_query` where it is too long, and for what is no day.
pub(super) fn parse(raw: &str) -> Result<Asked> {
    if raw.chars().take(MAX_CHARS + 1).count() > MAX_CHARS {
        return Err(refused(format!(
            "A search has at most {MAX_CHARS} characters."
        )));
    }
    let mut asked = Asked::default();
    let mut count = 0;
    let mut rest = raw;
    while let Some(token) = next_token(&mut rest) {
        count += read(&token, &mut asked)?;
        if count > MAX_CLAUSES {
            return Err(refused(format!(
                "A search has at most {MAX_CLAUSES} words and operators."
            )));
        }
    }
    Ok(asked)
}

/// One thing between spaces, or in quotation marks.
struct Token<'a> {
    is_unwanted: bool,
    /// What stands before the colon.
    operator: Option<&'a str>,
    text: &'a str,
    is_quoted: bool,
}

/// Takes the next token off the front.
fn next_token<'a>(rest: &mut &'a str) -> Option<Token<'a>> {
    let start = rest.trim_start();
    if start.is_empty() {
        return None;
    }
    let (is_unwanted, body) = match start.strip_prefix('-') {
        Some(body) if !body.starts_with(char::is_whitespace) => (true, body),
        _ => (false, start),
    };
    let before = body
        .split_once(':')
        .map(|(before, _)| before)
        .filter(|before| !before.contains('"'));
    let operator = before.filter(|name| OPERATORS.iter().any(|one| one.eq_ignore_ascii_case(name)));
    let value = operator.map_or(body, |name| body.get(name.len() + 1..).unwrap_or_default());
    let (text, is_quoted, after) = if let Some(inside) = value.strip_prefix(is_quote) {
        // Without an end, to the end.
        let (text, after) = inside.split_once(is_quote).unwrap_or((inside, ""));
        (text, true, after)
    } else {
        let end = value.find(char::is_whitespace).unwrap_or(value.len());
        let (text, after) = value.split_at(end);
        (text, false, after)
    };
    *rest = after;
    Some(Token {
        is_unwanted,
        operator,
        text,
        is_quoted,
    })
}

const OPERATORS: &[&str] = &["from", "in", "has", "before", "after"];

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»')
}

/// Adds a token to what is asked; how many clauses it is.
fn read(token: &Token<'_>, asked: &mut Asked) -> Result<usize> {
    let text = token.text;
    match token.operator.map(str::to_ascii_lowercase).as_deref() {
        Some("from") => {
            let name = text.strip_prefix('@').unwrap_or(text).to_owned();
            let list = if token.is_unwanted {
                &mut asked.not_from
            } else {
                &mut asked.from
            };
            list.push(name);
        }
        Some("in") if !token.is_unwanted => match Section::from_name(text) {
            Some(section) => asked.sections.push(section),
            None => asked.room = Some(text.to_owned()),
        },
        Some("has") if !token.is_unwanted && text.eq_ignore_ascii_case("media") => {
            asked.has_media = true;
        }
        Some("before") if !token.is_unwanted => asked.before = Some(days(text)?.0),
        Some("after") if !token.is_unwanted => asked.after = Some(days(text)?.1),
        Some(operator) => {
            return Err(refused(format!(
                "{operator}:{text} cannot be searched for."
            )));
        }
        None => return Ok(read_words(token, asked)),
    }
    Ok(1)
}

fn read_words(token: &Token<'_>, asked: &mut Asked) -> usize {
    let list = if token.is_unwanted {
        &mut asked.unwanted
    } else {
        &mut asked.wanted
    };
    let before = list.len();
    if token.is_quoted {
        if !units(token.text).is_empty() {
            list.push(Clause::Phrase(token.text.to_owned()));
        }
    } else if let Some(tag) = token.text.strip_prefix('#')
        && let Ok(tag) = text::hashtag("q", tag)
    {
        list.push(Clause::Tag(tag));
    } else if token.is_unwanted && units(token.text).len() > 1 {
        // `-well-known` is one thing.
        list.push(Clause::Phrase(token.text.to_owned()));
    } else {
        list.extend(units(token.text).into_iter().map(Clause::Unit));
    }
    list.len() - before
}

/// When a day, month or year begins, and when it has ended.
fn days(text: &str) -> Result<(Timestamp, Timestamp)> {
    let bad = || {
        refused(format!(
            "{text} is no day: write it as 2026-01-31, 2026-01 or 2026."
        ))
    };
    let (padded, length): (String, Span) = match text.len() {
        10 => (text.to_owned(), 1.day()),
        7 => (format!("{text}-01"), 1.month()),
        4 => (format!("{text}-01-01"), 1.year()),
        _ => return Err(bad()),
    };
    let first: Date = padded.parse().map_err(|_no_date| bad())?;
    let next = first.checked_add(length).map_err(|_too_late| bad())?;
    let moment = |day: Date| {
        let start = day.to_zoned(TimeZone::UTC).map_err(|_none| bad())?;
        Ok::<_, Error>(Timestamp::from_millis(start.timestamp().as_millisecond()))
    };
    Ok((moment(first)?, moment(next)?))
}

fn refused(message: String) -> Error {
    Error::new(Code::InvalidQuery).with_message(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(text: &str) -> Clause {
        Clause::Unit(units(text).remove(0))
    }

    #[test]
    fn everything_that_can_be_written_is_read() {
        let asked = parse(
            r#"hello "big world" -rain -"old hat" #Rust -#spam from:@Ada -from:bob in:posts in:general has:media
               before:2026-02-01 after:2025 http://x.y"#,
        )
        .unwrap();
        let day = |text: &str| {
            let moment: jiff::Timestamp = text.parse().unwrap();
            Some(Timestamp::from_millis(moment.as_millisecond()))
        };
        let expected = Asked {
            wanted: vec![
                word("hello"),
                Clause::Phrase("big world".to_owned()),
                Clause::Tag("rust".to_owned()),
                word("http"),
                word("x"),
                word("y"),
            ],
            unwanted: vec![
                word("rain"),
                Clause::Phrase("old hat".to_owned()),
                Clause::Tag("spam".to_owned()),
            ],
            from: vec!["Ada".to_owned()],
            not_from: vec!["bob".to_owned()],
            sections: vec![Section::Posts],
            room: Some("general".to_owned()),
            has_media: true,
            before: day("2026-02-01T00:00:00Z"),
            after: day("2026-01-01T00:00:00Z"),
        };
        assert_eq!(asked, expected);
    }

    #[test]
    fn what_is_left_open_is_read_to_the_end() {
        let asked = parse("\"never ends").unwrap();
        assert_eq!(asked.wanted, [Clause::Phrase("never ends".to_owned())]);
        assert!(parse("  - \"\" ##").unwrap().is_empty());
        let room = parse("in:\"my room\" x").unwrap().room;
        assert_eq!(room.as_deref(), Some("my room"));
    }

    #[test]
    fn too_much_and_no_days_are_refused() {
        let many = "a ".repeat(MAX_CLAUSES + 1);
        for bad in [
            &"x".repeat(MAX_CHARS + 1),
            &many,
            "before:yesterday",
            "after:2026-13",
            "after:2026-02-30",
            "before:",
            "has:nothing",
            "-has:media",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code(), Code::InvalidQuery, "{bad}");
        }
        assert!(parse(&"a ".repeat(MAX_CLAUSES)).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,100}|[-\":#@a-z0-9 ]{0,100}|(from:|in:|before:|has:|\"| |-|é){0,30}") {
            if let Ok(asked) = parse(&text) {
                let count = asked.wanted.len() + asked.unwanted.len() + asked.from.len() + asked.not_from.len();
                prop_assert!(count <= MAX_CLAUSES);
            }
        }
    }
}
