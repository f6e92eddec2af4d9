//! From text to the terms that are found: pure, the same for what is indexed, what is asked, and what is highlighted.
//!
//! A **word** is a run of letters, digits and marks. It gives one term as it is written (folded: no case, no accents) and
//! one for each language that the text may be in, marked with [`STEM`]: what is left of it without its endings. Phrases
//! look for the former, words for the latter.
//!
//! Scripts that put no spaces between words (Chinese, Japanese, Thai, ...) and Korean, which glues particles to them, are
//! cut into overlapping **pairs** of characters: two or more characters are then found wherever they stand, as a phrase of
//! such pairs.

use std::borrow::Cow;
use std::collections::BTreeSet;

use frostem::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use whichlang::Lang;

use crate::text::is_unspaced;

/// Begins the terms that are stems. No word holds it.
pub(super) const STEM: char = '\u{1}';

/// Characters of a word beyond which it is none: an address of a file, a key.
const MAX_WORD_CHARS: usize = 64;
/// Bytes of a text by which its language is told.
const SAMPLE: usize = 1_000;
/// Letters below which a text may be in English all the same, whatever the detection says.
const SHORT: usize = 60;

/// What the detection knows, of the languages in Latin letters that have a stemmer.
const LATIN: &[Algorithm] = &[
    Algorithm::English,
    Algorithm::German,
    Algorithm::French,
    Algorithm::Spanish,
    Algorithm::Italian,
    Algorithm::Portuguese,
    Algorithm::Dutch,
    Algorithm::Swedish,
    Algorithm::Turkish,
];

/// A term and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) text: String,
    /// Bytes of the text.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Counts words and characters of runs.
    pub(super) position: usize,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Word {
        /// As it is written.
        exact: String,
        /// The stems that it may have, each marked.
        stems: Vec<String>,
    },
    /// Pairs of characters, one after the other.
    Run(Vec<String>),
    /// One character of a script without spaces, alone: whatever has it.
    Character(String),
}

/// A stretch of a text, of its bytes.
enum Piece<'a> {
    Word(usize, &'a str),
    Run(Vec<(usize, char)>),
}

/// The terms of a text that is indexed or highlighted, in order.
pub(super) fn terms(text: &str) -> Vec<Term> {
    let languages = latin_languages(text);
    let mut found = Vec::new();
    let mut position = 0;
    pieces(text, |piece| match piece {
        Piece::Word(from, raw) => {
            let to = from + raw.len();
            let Some(exact) = fold_word(raw) else { return };
            let stems = stems(raw, &exact, &languages);
            for text in std::iter::once(exact).chain(stems) {
                found.push(Term {
                    text,
                    from,
                    to,
                    position,
                });
            }
            position += 1;
        }
        Piece::Run(run) => {
            for (at, pair) in pairs_to_index(&run).into_iter().enumerate() {
                let last = run.get(at + 1).or_else(|| run.get(at));
                let to = last.map_or(0, |(from, c)| from + c.len_utf8());
                found.push(Term {
                    text: pair,
                    from: run[at].0,
                    to,
                    position: position + at,
                });
            }
            position += run.len();
        }
    });
    found
}

/// What is asked for with these words, whatever language they are in.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    pieces(text, |piece| {
        units.push(match piece {
            Piece::Word(_, raw) => {
                let Some(exact) = fold_word(raw) else { return };
                Unit::Word {
                    stems: stems(raw, &exact, LATIN),
                    exact,
                }
            }
            Piece::Run(run) if run.len() == 1 => Unit::Character(fold_one(run[0].1)),
            Piece::Run(run) => {
                let mut pairs = pairs_to_index(&run);
                // The single character at the end is in the index for who asks for one alone: each character begins a pair,
                // or stands there.
                pairs.pop();
                Unit::Run(pairs)
            }
        });
    });
    units
}

/// The terms under which a name is found: as it is written, its words, their parts.
pub(super) fn name_terms(name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for term in terms(name) {
        if term.text.starts_with(STEM) {
            continue;
        }
        found.extend(
            term.text
                .split('_')
                .filter(|part| !part.is_empty())
                .map(str::to_owned),
        );
        found.insert(term.text);
    }
    found
}

/// Each pair of characters, and the last one alone.
fn pairs_to_index(run: &[(usize, char)]) -> Vec<String> {
    let folded: Vec<String> = run.iter().map(|(_, c)| fold_one(*c)).collect();
    let mut pairs: Vec<String> = folded.windows(2).map(<[String]>::concat).collect();
    pairs.extend(folded.last().cloned());
    pairs
}

fn pieces<'a>(text: &'a str, mut take: impl FnMut(Piece<'a>)) {
    let mut run: Vec<(usize, char)> = Vec::new();
    let mut word: Option<usize> = None;
    let end_word = |word: &mut Option<usize>, to: usize, take: &mut dyn FnMut(Piece<'a>)| {
        let Some(from) = word.take() else { return };
        let raw = text.get(from..to).unwrap_or_default();
        if raw.chars().any(char::is_alphanumeric)
            && raw.chars().take(MAX_WORD_CHARS + 1).count() <= MAX_WORD_CHARS
        {
            take(Piece::Word(from, raw));
        }
    };
    for (at, c) in text.char_indices() {
        if is_unspaced(c) {
            end_word(&mut word, at, &mut take);
            run.push((at, c));
            continue;
        }
        if !run.is_empty() {
            take(Piece::Run(std::mem::take(&mut run)));
        }
        if is_of_word(c) {
            word.get_or_insert(at);
        } else {
            end_word(&mut word, at, &mut take);
        }
    }
    end_word(&mut word, text.len(), &mut take);
    if !run.is_empty() {
        take(Piece::Run(run));
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_joiner(c) || (!c.is_ascii() && is_combining_mark(c))
}

/// The joiner and the non-joiner, which shape letters within a word.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// A word as it is compared: without case, accents, width, the short vowels of Arabic.
pub(super) fn fold(raw: &str) -> String {
    if raw.is_ascii() {
        return raw.to_ascii_lowercase();
    }
    raw.nfkd()
        .filter(|c| !is_accent(*c) && !is_joiner(*c))
        .flat_map(char::to_lowercase)
        .filter(|c| !is_accent(*c))
        .nfc()
        .collect()
}

/// The same, unless nothing is left of it: of an Arabic letter that only draws a line, or bears a vowel.
fn fold_word(raw: &str) -> Option<String> {
    Some(fold(raw)).filter(|word| word.chars().any(char::is_alphanumeric))
}

fn fold_one(c: char) -> String {
    std::iter::once(c)
        .nfkc()
        .flat_map(char::to_lowercase)
        .collect()
}

/// Marks that people leave out: not the vowels of Hindi and its like, which are marks as well.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0640}' | '\u{064B}'..='\u{065F}' | '\u{0670}')
}

/// The stems of a word, marked: of the languages that its letters can be, at least the word itself.
fn stems(raw: &str, exact: &str, latin: &[Algorithm]) -> Vec<String> {
    let algorithms: &[Algorithm] = match raw.chars().find(|c| c.is_alphabetic()) {
        Some('a'..='z' | 'A'..='Z' | '\u{00C0}'..='\u{024F}' | '\u{1E00}'..='\u{1EFF}') => latin,
        Some('\u{0370}'..='\u{03FF}' | '\u{1F00}'..='\u{1FFF}') => &[Algorithm::Greek],
        Some('\u{0400}'..='\u{04FF}') => &[Algorithm::Russian],
        Some('\u{0600}'..='\u{06FF}') => &[Algorithm::Arabic],
        Some('\u{0B80}'..='\u{0BFF}') => &[Algorithm::Tamil],
        _ => &[],
    };
    let mut found: Vec<String> = Vec::with_capacity(1);
    let mut add = |stem: &str| {
        let mut marked = String::with_capacity(STEM.len_utf8() + stem.len());
        marked.push(STEM);
        if stem.is_ascii() {
            marked.push_str(stem);
            marked.make_ascii_lowercase();
        } else {
            marked.push_str(&fold(stem));
        }
        if !found.contains(&marked) {
            found.push(marked);
        }
    };
    // Stemmers know words in small letters, with their accents. Most are plain, and then that is how they are compared.
    let lower: Cow<'_, str> = if raw.is_ascii() {
        Cow::Borrowed(exact)
    } else {
        Cow::Owned(raw.nfc().flat_map(char::to_lowercase).collect())
    };
    for algorithm in algorithms {
        add(&Stemmer::new(*algorithm).stem(&lower));
    }
    if algorithms.is_empty() {
        add(exact);
    }
    found
}

/// The languages that the words in Latin letters may be in.
fn latin_languages(text: &str) -> Vec<Algorithm> {
    let mut end = text.len().min(SAMPLE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let sample = text.get(..end).unwrap_or_default();
    let letters = sample
        .chars()
        .filter(|c| c.is_alphabetic())
        .take(SHORT)
        .count();
    if letters == 0 {
        return Vec::new();
    }
    let detected = match whichlang::detect_language(sample) {
        Lang::Eng => Some(Algorithm::English),
        Lang::Deu => Some(Algorithm::German),
        Lang::Fra => Some(Algorithm::French),
        Lang::Spa => Some(Algorithm::Spanish),
        Lang::Ita => Some(Algorithm::Italian),
        Lang::Por => Some(Algorithm::Portuguese),
        Lang::Nld => Some(Algorithm::Dutch),
        Lang::Swe => Some(Algorithm::Swedish),
        Lang::Tur => Some(Algorithm::Turkish),
        _ => None,
    };
    let mut languages: Vec<Algorithm> = detected.into_iter().collect();
    // A few words may be of any language, and a text in another script quotes English at most.
    if (letters < SHORT || detected.is_none()) && detected != Some(Algorithm::English) {
        languages.push(Algorithm::English);
    }
    languages
}

#[cfg(test)]
mod tests {
    use super::super::schema::FORMAT;
    use super::*;
    use proptest::prelude::*;

    /// Whether a text is found with these words: each unit has a term of the text.
    fn finds(query: &str, text: &str) -> bool {
        let terms: BTreeSet<String> = terms(text).into_iter().map(|term| term.text).collect();
        let units = units(query);
        !units.is_empty()
            && units.iter().all(|unit| match unit {
                Unit::Word { stems, .. } => stems.iter().any(|stem| terms.contains(stem)),
                Unit::Run(pairs) => pairs.iter().all(|pair| terms.contains(pair)),
                Unit::Character(one) => terms.iter().any(|term| term.starts_with(one)),
            })
    }

    #[test]
    fn words_are_found_in_other_forms() {
        for (query, text) in [
            ("run", "She was running along the river yesterday"),
            ("runs", "We run"),
            ("RUNNING shoe", "Two running shoes"),
            ("haus", "Die alten Häuser stehen noch am Fluss"),
            ("häuser", "Das Haus meiner Großmutter war klein"),
            ("hauser", "Die alten Häuser stehen noch am Fluss"),
            (
                "chanson",
                "Nous écoutons de vieilles chansons tous les soirs d'été",
            ),
            ("été", "Les soirs d'ete"),
            ("casa", "Las casas blancas del pueblo son muy antiguas"),
            ("книга", "Я читаю интересные книги каждый вечер"),
            ("كتاب", "قرأت الكتاب الجديد في المكتبة"),
            ("किताब", "मैंने कल एक नई किताब पढ़ी"),
            ("βιβλίο", "Διάβασα το ΒΙΒΛΙΟ χθες"),
            ("東京", "昨日東京に行きました"),
            ("東京タワー", "昨日は東京タワーに行きました"),
            ("京", "東京"),
            ("京", "東京都"),
            ("大学", "北京大学图书馆"),
            ("도서관", "도서관에서 책을 읽었다"),
            ("ภาษาไทย", "ฉันเรียนภาษาไทยทุกวัน"),
            ("ｒｕｓｔ", "Rust"),
            ("rust言語", "新しいRust言語です"),
        ] {
            assert!(finds(query, text), "{query} in {text}");
        }
        for (query, text) in [
            ("cat", "category"),
            ("京東", "東京"),
            ("किताब", "किताबें कहाँ"),
            ("a b", "a c"),
        ] {
            assert!(!finds(query, text), "{query} in {text}");
        }
    }

    #[test]
    fn words_of_which_nothing_is_left_are_none() {
        let text = "\u{FE71} \u{FE70} \u{0640}\u{0640}";
        assert_eq!((terms(text), units(text)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn names_are_found_by_their_parts() {
        let terms = name_terms("Ada_Lovelace-1 Grüße");
        for part in ["ada_lovelace", "ada", "lovelace", "1", "grusse"] {
            // A sharp s has no other form than itself here.
            let part = if part == "grusse" { "gruße" } else { part };
            assert!(terms.contains(part), "{part} in {terms:?}");
        }
    }

    /// An index holds the terms of the day on which it was made, and a query has those of today. So where this fails since
    /// terms are other than they were, they need another number in [`FORMAT`], as well as another snapshot here.
    #[test]
    fn terms_are_those_of_the_format() {
        let texts = [
            "She was running, and the houses' DOORS stood open_wide in 2024",
            "Die alten Häuser stehen noch am Fluss",
            "Nous écoutons de vieilles chansons tous les soirs d'été",
            "Las casas blancas del pueblo son muy antiguas",
            "Le città italiane sono bellissime quando arriva la primavera",
            "As crianças estavam brincando nos jardins da cidade",
            "De kinderen speelden gisteren in de grote tuinen",
            "Barnen lekte i de stora trädgårdarna hela dagen",
            "Çocuklar evlerin bahçelerinde oynuyorlardı",
            "Я читаю интересные книги каждый вечер",
            "Διάβασα το ΒΙΒΛΙΟ χθες",
            "قرأت الكتاب الجديد في المكتبة",
            "मैंने कल एक नई किताब पढ़ी",
            "昨日は東京タワーに、ｶﾀｶﾅ",
            "도서관에서 책을 읽었다",
            "ฉันเรียนภาษาไทยทุกวัน",
        ];
        let snapshot: Vec<String> = texts
            .iter()
            .map(|text| {
                let terms = terms(text).into_iter();
                let terms =
                    terms.map(|term| format!("{}{}", term.position, term.text.replace(STEM, "~")));
                terms.collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(FORMAT, 2);
        assert_eq!(snapshot, SNAPSHOT);
    }

    const SNAPSHOT: &[&str] = &[
        "0she 0~she 1was 1~was 2running 2~run 3and 3~and 4the 4~the 5houses 5~hous 6doors 6~door 7stood 7~stood 8open_wide 8~open_wid 9in 9~in 102024 10~2024",
        "0die 0~die 1alten 1~alt 1~alten 2hauser 2~haus 2~hauser 3stehen 3~steh 3~stehen 4noch 4~noch 5am 5~am 6fluss 6~fluss",
        "0nous 0~nous 1ecoutons 1~ecouton 2de 2~de 3vieilles 3~vieil 3~vieill 4chansons 4~chanson 5tous 5~tous 6les 6~le 6~les 7soirs 7~soir 8d 8~d 9ete 9~ete",
        "0las 0~las 1casas 1~cas 1~casa 2blancas 2~blanc 2~blanca 3del 3~del 4pueblo 4~puebl 4~pueblo 5son 5~son 6muy 6~muy 7antiguas 7~antigu 7~antigua",
        "0le 0~le 1citta 1~citt 1~citta 2italiane 2~italian 3sono 3~son 3~sono 4bellissime 4~bellissim 5quando 5~quand 5~quando 6arriva 6~arriv 6~arriva 7la 7~la 8primavera 8~primaver 8~primavera",
        "0as 0~as 1criancas 1~crianc 1~crianca 2estavam 2~estav 2~estavam 3brincando 3~brinc 3~brincando 4nos 4~nos 5jardins 5~jardins 5~jardin 6da 6~da 7cidade 7~cidad",
        "0de 0~de 1kinderen 1~kinder 1~kinderen 2speelden 2~speel 2~speelden 3gisteren 3~gister 3~gisteren 4in 4~in 5de 5~de 6grote 6~grote 7tuinen 7~tuin 7~tuinen",
        "0barnen 0~barn 0~barnen 1lekte 1~lekt 2i 2~i 3de 3~de 4stora 4~stor 4~stora 5tradgardarna 5~tradgard 5~tradgardarna 6hela 6~hel 6~hela 7dagen 7~dag 7~dagen",
        "0cocuklar 0~cocuk 0~cocuklar 1evlerin 1~ev 1~evlerin 2bahcelerinde 2~bahce 2~bahcelerind 3oynuyorlardı 3~oynuyor 3~oynuyorlardı",
        "0я 0~я 1читаю 1~чита 2интересные 2~интересн 3книги 3~книг 4каждыи 4~кажд 5вечер 5~вечер",
        "0διαβασα 0~διαβασ 1το 1~το 2βιβλιο 2~βιβλι 3χθες 3~χθ",
        "0قرات 0~قرء 1الكتاب 1~كتاب 2الجديد 2~جديد 3في 3~في 4المكتبة 4~مكتب",
        "0म\u{948}\u{902}न\u{947} 0~म\u{948}\u{902}न\u{947} 1कल 1~कल 2एक 2~एक 3नई 3~नई 4किताब 4~किताब 5पढ\u{93c}ी 5~पढ\u{93c}ी",
        "0昨日 1日は 2は東 3東京 4京タ 5タワ 6ワー 7ーに 8に 9カタ 10タカ 11カナ 12ナ",
        "0도서 1서관 2관에 3에서 4서 5책을 6을 7읽었 8었다 9다",
        "0ฉ\u{e31} 1\u{e31}น 2นเ 3เร 4ร\u{e35} 5\u{e35}ย 6ยน 7นภ 8ภา 9าษ 10ษา 11าไ 12ไท 13ทย 14ยท 15ท\u{e38} 16\u{e38}ก 17กว 18ว\u{e31} 19\u{e31}น 20น",
    ];

    proptest! {
        #[test]
        fn terms_stand_where_they_say(text in "\\PC{0,80}") {
            let mut position = 0;
            for term in terms(&text) {
                prop_assert!(text.get(term.from..term.to).is_some_and(|raw| !raw.is_empty()));
                prop_assert!(term.position >= position);
                position = term.position;
                prop_assert!(!term.text.is_empty());
            }
        }

        #[test]
        fn a_text_is_found_with_its_own_words(text in "[a-zäöüßéа-яα-ω東京語ก-ฮ ,.'_]{0,60}") {
            let units = units(&text);
            prop_assert!(units.is_empty() || finds(&text, &text));
        }
    }
}
