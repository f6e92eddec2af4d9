//! Where what was asked stands in a text: as data, which a client shows in its own way. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use super::query::{Asked, Clause};
use super::words::{STEM, Unit, fold, terms, units};

/// Characters of a text that are shown around the first place.
const WINDOW: usize = 200;
/// Characters of them before it.
const BEFORE: usize = 60;
/// Characters of a text that are looked through.
const MAX_LOOKED: usize = 20_000;

/// A part of a text, and what of it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SearchHighlight)]
pub struct Highlight {
    /// The field whose text it is.
    #[schema(example = "content")]
    pub field: &'static str,
    /// The text, one piece after the other.
    pub segments: Vec<Segment>,
    /// Whether there is more of the text before.
    pub has_before: bool,
    /// Whether there is more of it after.
    pub has_after: bool,
}

/// A piece of a text: text, never HTML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// The piece.
    pub text: String,
    /// Whether it is what was asked for.
    pub is_match: bool,
}

/// What is to be marked.
#[derive(Clone, Debug, Default)]
pub(super) struct Marker {
    terms: BTreeSet<String>,
    /// Characters of scripts without spaces, wherever they stand.
    characters: BTreeSet<String>,
    /// Begin what is to be marked, in names.
    prefixes: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl Marker {
    pub(super) fn new(asked: &Asked) -> Self {
        let mut marker = Self::default();
        for clause in &asked.wanted {
            match clause {
                Clause::Unit(unit) => {
                    match unit {
                        Unit::Word { exact, stems } => {
                            marker.terms.extend(stems.iter().cloned());
                            marker.prefixes.insert(exact.clone());
                        }
                        Unit::Run(pairs) => marker.prefixes.extend(pairs.iter().cloned()),
                        Unit::Character(one) => {
                            marker.prefixes.insert(one.clone());
                        }
                    }
                    marker.add_characters(unit);
                }
                Clause::Phrase(phrase) => {
                    for unit in units(phrase) {
                        if let Unit::Word { exact, .. } = &unit {
                            marker.terms.insert(exact.clone());
                        }
                        marker.add_characters(&unit);
                    }
                }
                Clause::Tag(tag) => {
                    marker.tags.insert(tag.clone());
                }
            }
        }
        marker
    }

    fn add_characters(&mut self, unit: &Unit) {
        match unit {
            Unit::Run(pairs) => self.terms.extend(pairs.iter().cloned()),
            Unit::Character(one) => {
                self.characters.insert(one.clone());
            }
            Unit::Word { .. } => {}
        }
    }

    /// The part of a text around the first place that is asked for; none where there is no such place.
    pub(super) fn of_text(&self, field: &'static str, text: &str) -> Option<Highlight> {
        let looked = cut(text, MAX_LOOKED);
        let mut marks: Vec<Range<usize>> = terms(looked)
            .into_iter()
            .filter_map(|term| {
                if self.terms.contains(&term.text) {
                    return Some(term.from..term.to);
                }
                // Each character begins a pair, or stands alone at the end.
                let begins = |one: &String| term.text.starts_with(one);
                let first = looked.get(term.from..term.to)?.chars().next()?;
                let is_match = self.characters.iter().any(begins);
                is_match.then(|| term.from..term.from + first.len_utf8())
            })
            .collect();
        marks.extend(self.tag_marks(looked));
        show(field, text, marks)
    }

    /// The same of a name, which may be found by how its words begin.
    pub(super) fn of_name(&self, field: &'static str, name: &str) -> Option<Highlight> {
        let mut marks = Vec::new();
        for term in terms(name) {
            if term.text.starts_with(STEM) {
                continue;
            }
            // The parts of `ada_lovelace` are words as well.
            let word = name.get(term.from..term.to).unwrap_or_default();
            let parts = word.match_indices('_').map(|(at, _)| at + 1);
            for at in std::iter::once(0).chain(parts) {
                let part = word.get(at..).unwrap_or_default();
                let folded = fold(part);
                let begins = |prefix: &&String| folded.starts_with(*prefix);
                let longest = self.prefixes.iter().filter(begins);
                if let Some(longest) = longest.max_by_key(|one| one.len()) {
                    let from = term.from + at;
                    marks.push(from..from + folded_end(part, longest));
                }
            }
        }
        show(field, name, marks)
    }

    fn tag_marks(&self, text: &str) -> Vec<Range<usize>> {
        let mut marks = Vec::new();
        if self.tags.is_empty() {
            return marks;
        }
        for (at, _) in text.match_indices('#') {
            let run = text.get(at + 1..).unwrap_or_default();
            let end = run
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(run.len());
            let raw = run.get(..end).unwrap_or_default();
            if self.tags.contains(&crate::text::search_key(raw)) {
                marks.push(at..at + 1 + end);
            }
        }
        marks
    }
}

/// How many bytes of a word its folded beginning takes.
fn folded_end(word: &str, beginning: &str) -> usize {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    let mut ends = ends.filter(|end| {
        let head = word.get(..*end).unwrap_or_default();
        fold(head).len() >= beginning.len()
    });
    ends.next().unwrap_or(word.len())
}

/// The first characters of a text.
fn cut(text: &str, chars: usize) -> &str {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

fn show(field: &'static str, text: &str, mut marks: Vec<Range<usize>>) -> Option<Highlight> {
    marks.sort_by_key(|mark| (mark.start, mark.end));
    let first = marks.first()?.start;
    let head = text.get(..first)?;
    let from = match head.char_indices().rev().nth(BEFORE) {
        // At the end of a word, where there is one near.
        Some((at, _)) => {
            let near = head.get(at..)?;
            at + near.find(char::is_whitespace).map_or(0, |space| space + 1)
        }
        None => 0,
    };
    let window = cut(text.get(from..)?, WINDOW);
    let to = from + window.len();
    let mut segments: Vec<Segment> = Vec::new();
    let mut push = |range: Range<usize>, is_match| {
        let piece = text.get(range).filter(|piece| !piece.is_empty())?;
        match segments.last_mut().filter(|last| last.is_match == is_match) {
            Some(last) => last.text.push_str(piece),
            None => segments.push(Segment {
                text: piece.to_owned(),
                is_match,
            }),
        }
        Some(())
    };
    let mut at = from;
    for mark in marks {
        let (start, end) = (mark.start.max(at), mark.end.min(to));
        if start >= end {
            continue;
        }
        push(at..start, false);
        push(start..end, true);
        at = end;
    }
    push(at..to, false);
    Some(Highlight {
        field,
        segments,
        has_before: from > 0,
        has_after: to < text.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::query::parse;
    use super::*;
    use proptest::prelude::*;

    fn marked(query: &str, text: &str) -> String {
        let marker = Marker::new(&parse(query).unwrap());
        let highlight = marker.of_text("content", text);
        plain(&highlight.map_or_else(Vec::new, |one| one.segments))
    }

    fn plain(segments: &[Segment]) -> String {
        segments
            .iter()
            .map(|one| {
                if one.is_match {
                    format!("[{}]", one.text)
                } else {
                    one.text.clone()
                }
            })
            .collect()
    }

    #[test]
    fn what_was_asked_is_marked_in_whatever_form() {
        for (query, text, expected) in [
            (
                "run",
                "We were <b>running</b>.",
                "We were <b>[running]</b>.",
            ),
            ("house", "No such thing", ""),
            ("東京", "昨日東京に", "昨日[東京]に"),
            ("京", "東京都、京", "東[京]都、[京]"),
            ("\"京\"", "東京都", "東[京]都"),
            ("\"big cat\"", "a big cat", "a [big] [cat]"),
            ("#rust", "on #Rust, #rusty", "on [#Rust], #rusty"),
            (
                "haus",
                "Die alten Häuser stehen noch",
                "Die alten [Häuser] stehen noch",
            ),
        ] {
            assert_eq!(marked(query, text), expected, "{query}");
        }
        let marker = Marker::new(&parse("lov").unwrap());
        let name = marker.of_name("name", "Ada Lovelace").unwrap();
        assert_eq!(plain(&name.segments), "Ada [Lov]elace");
    }

    #[test]
    fn of_a_long_text_a_part_is_shown() {
        let text = format!("{} needle {}", "hay ".repeat(100), "stack ".repeat(100));
        let marker = Marker::new(&parse("needle").unwrap());
        let highlight = marker.of_text("content", &text).unwrap();
        assert!(highlight.has_before && highlight.has_after);
        let shown: String = highlight
            .segments
            .iter()
            .map(|one| one.text.as_str())
            .collect();
        assert!(text.contains(&shown));
        assert!(shown.chars().count() <= WINDOW);
        assert!(plain(&highlight.segments).contains("[needle]"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_of_the_text(query in "\\PC{0,20}", text in "\\PC{0,300}") {
            let Ok(asked) = parse(&query) else { return Ok(()) };
            let marker = Marker::new(&asked);
            for highlight in [marker.of_text("content", &text), marker.of_name("name", &text)].into_iter().flatten() {
                let shown: String = highlight.segments.iter().map(|one| one.text.as_str()).collect();
                prop_assert!(text.contains(&shown));
                prop_assert!(highlight.segments.iter().any(|one| one.is_match));
            }
        }
    }
}
