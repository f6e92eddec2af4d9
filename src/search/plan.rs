//! From what is asked to what tantivy looks for. What only narrows (who, where, what it brings) counts nothing in the
//! order.

use tantivy::query::{
    BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, FuzzyTermQuery, Occur,
    PhrasePrefixQuery, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::query::{Asked, Clause};
use super::schema::{FIELDS, Kind};
use super::settled::Settled;
use super::words::{Unit, units};

/// Rooms by which messages are looked up; of more, each message is asked for its room.
const MAX_ROOMS: usize = 128;
/// Letters of a name from which one of them may be wrong, and two.
const ONE_WRONG: usize = 4;
const TWO_WRONG: usize = 8;
/// Pairs that may begin with the last character of a phrase.
const MAX_EXPANSIONS: u32 = 1_000;
/// How much a name that is written so counts, one that begins so, and one that is like it.
const AS_WRITTEN: f32 = 8.0;
const BEGINS: f32 = 4.0;
const ALIKE: f32 = 1.0;

/// What narrows a search, by ids; none means that there can be no answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Narrowing {
    /// Who wrote it: one of those.
    pub(super) from: Option<Vec<i64>>,
    /// The rooms of messages.
    pub(super) rooms: Vec<i64>,
}

type Clauses = Vec<(Occur, Box<dyn Query>)>;

/// What is looked for among texts of this kind; none where such a text cannot be meant.
pub(super) fn texts(
    searcher: &Searcher,
    kind: Kind,
    asked: &Asked,
    narrowing: &Narrowing,
) -> tantivy::Result<Option<Box<dyn Query>>> {
    if (asked.has_media && kind == Kind::Comment) || (asked.room.is_some() && kind != Kind::Message)
    {
        return Ok(None);
    }
    let mut clauses: Clauses = Vec::new();
    for clause in &asked.wanted {
        clauses.push((Occur::Must, clause_query(searcher, kind, clause)?));
    }
    let mut narrow: Vec<Box<dyn Query>> = Vec::new();
    if let Some(from) = &narrowing.from {
        narrow.push(any_of(FIELDS.author, from));
    }
    if kind == Kind::Message {
        if narrowing.rooms.is_empty() {
            return Ok(None);
        }
        if narrowing.rooms.len() <= MAX_ROOMS {
            narrow.push(any_of(FIELDS.room, &narrowing.rooms));
        }
    }
    if asked.has_media {
        let term = Term::from_field_text(FIELDS.has, "media");
        narrow.push(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
    }
    // The fields of words are of one kind alone; the others are not.
    if !asked.has_words() {
        narrow.push(Box::new(TermQuery::new(
            kind.term(),
            IndexRecordOption::Basic,
        )));
    }
    clauses.extend(narrow.into_iter().map(|query| {
        let query = ConstScoreQuery::new(query, 0.0);
        (Occur::Must, Box::new(query) as Box<dyn Query>)
    }));
    for clause in &asked.unwanted {
        let query = Settled(clause_query(searcher, kind, clause)?);
        clauses.push((Occur::MustNot, Box::new(query)));
    }
    Ok(Some(all_of(clauses)))
}

/// What is looked for among people: their names, as written, as they begin, or nearly so.
pub(super) fn people(asked: &Asked) -> Option<Box<dyn Query>> {
    let mut clauses: Clauses = Vec::new();
    for clause in &asked.wanted {
        match clause {
            Clause::Unit(unit) => clauses.push((Occur::Must, name_query(unit))),
            Clause::Phrase(phrase) => {
                clauses.extend(
                    units(phrase)
                        .iter()
                        .map(|unit| (Occur::Must, name_query(unit))),
                );
            }
            Clause::Tag(_) => return None,
        }
    }
    if clauses.is_empty() || !asked.is_plain() {
        return None;
    }
    for clause in &asked.unwanted {
        let (Clause::Unit(_) | Clause::Phrase(_)) = clause else {
            continue;
        };
        let words = match clause {
            Clause::Unit(unit) => vec![unit.clone()],
            Clause::Phrase(phrase) => units(phrase),
            Clause::Tag(_) => Vec::new(),
        };
        let exact = words
            .iter()
            .flat_map(|unit| exact_queries(FIELDS.names, unit));
        let exact = exact.map(|query| (Occur::Must, query));
        clauses.push((Occur::MustNot, all_of(exact.collect())));
    }
    Some(all_of(clauses))
}

/// The beginnings of tags that are asked for.
pub(super) fn tag_prefixes(asked: &Asked) -> Vec<String> {
    let mut prefixes = Vec::new();
    for clause in &asked.wanted {
        match clause {
            Clause::Tag(tag) => prefixes.push(tag.clone()),
            Clause::Unit(Unit::Word { exact, .. }) => prefixes.push(exact.clone()),
            Clause::Unit(Unit::Run(pairs)) => prefixes.push(joined(pairs)),
            Clause::Unit(Unit::Character(one)) => prefixes.push(one.clone()),
            Clause::Phrase(_) => {}
        }
    }
    prefixes
}

/// The characters of a run, from its pairs.
fn joined(pairs: &[String]) -> String {
    let mut all: String = pairs.first().cloned().unwrap_or_default();
    for pair in pairs.iter().skip(1) {
        all.extend(pair.chars().last());
    }
    all
}

fn clause_query(
    searcher: &Searcher,
    kind: Kind,
    clause: &Clause,
) -> tantivy::Result<Box<dyn Query>> {
    let field = kind.text();
    Ok(match clause {
        Clause::Unit(Unit::Word { stems, .. }) => word_query(searcher, field, stems)?,
        Clause::Unit(Unit::Run(pairs)) => run_query(field, pairs),
        Clause::Unit(Unit::Character(one)) => character_query(field, one),
        Clause::Phrase(phrase) => phrase_query(field, phrase),
        Clause::Tag(tag) => {
            let term = Term::from_field_text(kind.tags(), tag);
            Box::new(TermQuery::new(term, IndexRecordOption::Basic))
        }
    })
}

/// One of the stems of a word, as far as there are any: a single one can be looked up faster.
fn word_query(
    searcher: &Searcher,
    field: Field,
    stems: &[String],
) -> tantivy::Result<Box<dyn Query>> {
    let mut found: Vec<Box<dyn Query>> = Vec::with_capacity(1);
    for stem in stems {
        let term = Term::from_field_text(field, stem);
        if searcher.doc_freq(&term)? > 0 {
            found.push(Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)));
        }
    }
    Ok(match found.len() {
        0 => Box::new(EmptyQuery),
        1 => found.remove(0),
        _ => Box::new(BooleanQuery::union(found)),
    })
}

fn run_query(field: Field, pairs: &[String]) -> Box<dyn Query> {
    let term = |pair: &String| Term::from_field_text(field, pair);
    match pairs {
        [] => Box::new(EmptyQuery),
        [pair] => Box::new(TermQuery::new(term(pair), IndexRecordOption::WithFreqs)),
        pairs => Box::new(PhraseQuery::new(pairs.iter().map(term).collect())),
    }
}

/// One character: whatever begins with it, and it alone at the end of a run.
fn character_query(field: Field, character: &str) -> Box<dyn Query> {
    let term = Term::from_field_text(field, character);
    Box::new(FuzzyTermQuery::new_prefix(term, 0, true))
}

/// The words of a phrase as they are written, one after the other.
fn phrase_query(field: Field, phrase: &str) -> Box<dyn Query> {
    let mut terms: Vec<(usize, Term)> = Vec::new();
    let mut at = 0;
    let mut push = |at, text: &str| terms.push((at, Term::from_field_text(field, text)));
    let units = units(phrase);
    for unit in &units {
        match unit {
            Unit::Word { exact, .. } => {
                push(at, exact);
                at += 1;
            }
            // What comes after it in the phrase is no part of its run, so that here it ends one.
            Unit::Character(one) => {
                push(at, one);
                at += 1;
            }
            Unit::Run(pairs) => {
                for (i, pair) in pairs.iter().enumerate() {
                    push(at + i, pair);
                }
                at += pairs.len() + 1;
            }
        }
    }
    match (units.last(), terms.len()) {
        (_, 0) => Box::new(EmptyQuery),
        (Some(Unit::Character(one)), 1) => character_query(field, one),
        (_, 1) => Box::new(TermQuery::new(
            terms.remove(0).1,
            IndexRecordOption::WithFreqs,
        )),
        // At the end, its run may go on.
        (Some(Unit::Character(_)), _) => {
            let mut query = PhrasePrefixQuery::new_with_offset(terms);
            query.set_max_expansions(MAX_EXPANSIONS);
            Box::new(query)
        }
        _ => Box::new(PhraseQuery::new_with_offset(terms)),
    }
}

/// What has a unit as it is written.
fn exact_queries(field: Field, unit: &Unit) -> Vec<Box<dyn Query>> {
    let exact = |text: &String| -> Box<dyn Query> {
        let term = Term::from_field_text(field, text);
        Box::new(TermQuery::new(term, IndexRecordOption::Basic))
    };
    match unit {
        Unit::Word { exact: word, .. } => vec![exact(word)],
        Unit::Run(pairs) => pairs.iter().map(exact).collect(),
        Unit::Character(one) => vec![character_query(field, one)],
    }
}

fn name_query(unit: &Unit) -> Box<dyn Query> {
    let term = |text: &str| Term::from_field_text(FIELDS.names, text);
    let counting = |query: Box<dyn Query>, score| -> Box<dyn Query> {
        Box::new(ConstScoreQuery::new(query, score))
    };
    let mut ways = Vec::new();
    match unit {
        Unit::Word { exact, .. } => {
            let written = TermQuery::new(term(exact), IndexRecordOption::Basic);
            let begins = FuzzyTermQuery::new_prefix(term(exact), 0, true);
            ways.push(counting(Box::new(written), AS_WRITTEN));
            ways.push(counting(Box::new(begins), BEGINS));
            let letters = exact.chars().count();
            if letters >= ONE_WRONG {
                let alike = FuzzyTermQuery::new_prefix(term(exact), 1, true);
                ways.push(counting(Box::new(alike), ALIKE));
            }
            if letters >= TWO_WRONG {
                let alike = FuzzyTermQuery::new(term(exact), 2, true);
                ways.push(counting(Box::new(alike), ALIKE));
            }
        }
        Unit::Run(pairs) => {
            let all = pairs.iter().map(|pair| {
                let begins = FuzzyTermQuery::new_prefix(term(pair), 0, true);
                (Occur::Must, Box::new(begins) as Box<dyn Query>)
            });
            ways.push(counting(all_of(all.collect()), AS_WRITTEN));
        }
        Unit::Character(one) => {
            ways.push(counting(character_query(FIELDS.names, one), BEGINS));
        }
    }
    Box::new(DisjunctionMaxQuery::new(ways))
}

/// What tantivy has under one of these ids.
fn any_of(field: Field, ids: &[i64]) -> Box<dyn Query> {
    let terms = ids.iter().map(|id| {
        let term = Term::from_field_i64(field, *id);
        Box::new(TermQuery::new(term, IndexRecordOption::Basic)) as Box<dyn Query>
    });
    let mut queries: Vec<Box<dyn Query>> = terms.collect();
    match queries.len() {
        0 => Box::new(EmptyQuery),
        1 => queries.remove(0),
        _ => Box::new(BooleanQuery::union(queries)),
    }
}

fn all_of(mut clauses: Clauses) -> Box<dyn Query> {
    match clauses.as_slice() {
        [(Occur::Must, _)] => clauses.remove(0).1,
        _ => Box::new(BooleanQuery::new(clauses)),
    }
}
