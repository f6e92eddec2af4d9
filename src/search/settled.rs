//! A query whose documents may be left out of another's.
//!
//! tantivy leaves documents out by `seek_danger`, which may be asked of a scorer at its end. A phrase's (0.27) then fails an
//! assertion in builds that have them. By `seek` alone nothing is asked that a scorer cannot answer.

use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentReader};

/// Matches what the query within matches.
#[derive(Debug)]
pub(super) struct Settled(pub(super) Box<dyn Query>);

impl Clone for Settled {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

struct SettledWeight(Box<dyn Weight>);

struct SettledScorer(Box<dyn Scorer>);

impl Query for Settled {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(SettledWeight(self.0.weight(scoring)?)))
    }
}

impl Weight for SettledWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(SettledScorer(self.0.scorer(reader, boost)?)))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

impl DocSet for SettledScorer {
    fn advance(&mut self) -> DocId {
        self.0.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.0.seek(target)
    }

    fn doc(&self) -> DocId {
        self.0.doc()
    }

    fn size_hint(&self) -> u32 {
        self.0.size_hint()
    }
}

impl Scorer for SettledScorer {
    fn score(&mut self) -> Score {
        self.0.score()
    }
}

#[cfg(test)]
mod tests {
    use tantivy::collector::Count;
    use tantivy::query::{BooleanQuery, Occur, PhraseQuery, TermQuery};
    use tantivy::schema::{IndexRecordOption, Schema, TEXT};
    use tantivy::{Index, IndexWriter, Term, doc};

    use super::*;

    #[test]
    fn a_phrase_that_is_nowhere_is_left_out_of_nothing() {
        let mut schema = Schema::builder();
        let text = schema.add_text_field("text", TEXT);
        let index = Index::create_in_ram(schema.build());
        let mut writer: IndexWriter = index.writer_with_num_threads(1, 16 * 1024 * 1024).unwrap();
        for said in ["fine", "fine hat old", "fine old hat"] {
            writer.add_document(doc!(text => said)).unwrap();
        }
        writer.commit().unwrap();
        let searcher = index.reader().unwrap().searcher();
        let term = |word| Term::from_field_text(text, word);
        for (phrase, left) in [(["old", "hat"], 2), (["hat", "fine"], 3)] {
            let wanted = TermQuery::new(term("fine"), IndexRecordOption::Basic);
            let unwanted = Settled(Box::new(PhraseQuery::new(phrase.map(term).to_vec())));
            let query = BooleanQuery::new(vec![
                (Occur::Must, Box::new(wanted)),
                (Occur::MustNot, Box::new(unwanted)),
            ]);
            assert_eq!(searcher.search(&query, &Count).unwrap(), left, "{phrase:?}");
        }
    }
}
