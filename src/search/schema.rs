//! What the index has of each thing: enough to find it, to know who may see it, and to tell whether it is out of date.
//! The text itself is not kept: what is shown comes from the rows.

use std::sync::LazyLock;

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use tantivy::{Index, TantivyDocument, Term};

use super::words::{self, name_terms};

/// Another number means another form of the index: one of an older form is made anew. A test in `words` pins it to the terms
/// that texts have.
pub(super) const FORMAT: u32 = 2;

/// What a document of the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Person,
    Post,
    Comment,
    Message,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Person, Self::Post, Self::Comment, Self::Message];

    fn letter(self) -> char {
        match self {
            Self::Person => 'u',
            Self::Post => 'p',
            Self::Comment => 'c',
            Self::Message => 'm',
        }
    }

    /// The field that its words are in.
    pub(super) fn text(self) -> Field {
        match self {
            Self::Person => FIELDS.names,
            Self::Post => FIELDS.posts,
            Self::Comment => FIELDS.comments,
            Self::Message => FIELDS.messages,
        }
    }

    /// The field that its tags are in: those of posts apart, since they are counted.
    pub(super) fn tags(self) -> Field {
        match self {
            Self::Post => FIELDS.tags,
            Self::Person | Self::Comment | Self::Message => FIELDS.other_tags,
        }
    }

    /// The term that all of the kind have.
    pub(super) fn term(self) -> Term {
        Term::from_field_text(FIELDS.kind, &self.letter().to_string())
    }

    /// The term that one thing alone has.
    pub(super) fn key(self, id: i64) -> Term {
        Term::from_field_text(FIELDS.key, &format!("{}{id}", self.letter()))
    }
}

/// The fields; `i64` unless it says otherwise. Those that are read while searching are columns.
pub(super) struct Fields {
    pub(super) key: Field,
    pub(super) kind: Field,
    pub(super) names: Field,
    pub(super) posts: Field,
    pub(super) comments: Field,
    pub(super) messages: Field,
    pub(super) tags: Field,
    pub(super) other_tags: Field,
    /// `media`.
    pub(super) has: Field,
    pub(super) author: Field,
    pub(super) post: Field,
    pub(super) room: Field,
    number: Field,
    id: Field,
    post_author: Field,
    visibility: Field,
    at: Field,
    digest: Field,
}

/// The columns by their names.
pub(super) mod column {
    pub(in crate::search) const ID: &str = "id";
    pub(in crate::search) const AUTHOR: &str = "author";
    pub(in crate::search) const POST: &str = "post";
    pub(in crate::search) const POST_AUTHOR: &str = "post_author";
    pub(in crate::search) const VISIBILITY: &str = "visibility";
    pub(in crate::search) const ROOM: &str = "room";
    pub(in crate::search) const NUMBER: &str = "number";
    pub(in crate::search) const AT: &str = "at";
    pub(in crate::search) const DIGEST: &str = "digest";
}

static BUILT: LazyLock<(Schema, Fields)> = LazyLock::new(build);

/// The fields of every index.
pub(super) static FIELDS: LazyLock<&'static Fields> = LazyLock::new(|| &BUILT.1);

/// The schema of every index.
pub(super) fn schema() -> Schema {
    BUILT.0.clone()
}

fn build() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = |tokenizer: &str, record: IndexRecordOption| {
        let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer);
        TextOptions::default().set_indexing_options(indexing.set_index_option(record))
    };
    let texts = words(TEXTS, IndexRecordOption::WithFreqsAndPositions);
    let fields = Fields {
        key: schema.add_text_field("key", STRING),
        kind: schema.add_text_field("kind", STRING),
        names: schema.add_text_field("names", words(NAMES, IndexRecordOption::Basic)),
        posts: schema.add_text_field("posts", texts.clone()),
        comments: schema.add_text_field("comments", texts.clone()),
        messages: schema.add_text_field("messages", texts),
        tags: schema.add_text_field("tags", STRING),
        other_tags: schema.add_text_field("other_tags", STRING),
        has: schema.add_text_field("has", STRING),
        author: schema.add_i64_field(column::AUTHOR, INDEXED | FAST),
        post: schema.add_i64_field(column::POST, INDEXED | FAST),
        room: schema.add_i64_field(column::ROOM, INDEXED | FAST),
        number: schema.add_i64_field(column::NUMBER, FAST),
        id: schema.add_i64_field(column::ID, FAST),
        post_author: schema.add_i64_field(column::POST_AUTHOR, FAST),
        visibility: schema.add_i64_field(column::VISIBILITY, FAST),
        at: schema.add_i64_field(column::AT, FAST),
        digest: schema.add_i64_field(column::DIGEST, FAST),
    };
    (schema.build(), fields)
}

/// A thing as the index has it.
#[derive(Clone, Debug)]
pub(super) struct Doc {
    pub(super) kind: Kind,
    pub(super) id: i64,
    /// Who wrote it; a person themselves.
    pub(super) author: i64,
    pub(super) at: i64,
    /// Content and caption; name and username.
    pub(super) texts: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) has_media: bool,
    /// The post itself, or that of a comment; its author, and who may see it.
    pub(super) post: Option<(i64, i64, i64)>,
    /// The room of a message, and its number there.
    pub(super) room: Option<(i64, i64)>,
    /// Of a message that is as it was written, the touch that did; not indexed.
    pub(super) first_touch: Option<u64>,
}

impl Doc {
    /// Says whether two are the same in all that is indexed.
    pub(super) fn digest(&self) -> i64 {
        let mut hasher = blake3::Hasher::new();
        let numbers = [
            self.id,
            self.author,
            self.at,
            i64::from(self.has_media),
            self.post.map_or(0, |(post, ..)| post),
            self.post.map_or(0, |(_, author, _)| author),
            self.post.map_or(0, |(.., visibility)| visibility),
            self.room.map_or(0, |(room, _)| room),
            self.room.map_or(0, |(_, number)| number),
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        for text in self.texts.iter().chain(&self.tags) {
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        i64::from_le_bytes(first)
    }

    pub(super) fn to_document(&self) -> TantivyDocument {
        let fields = &*FIELDS;
        let mut document = TantivyDocument::default();
        document.add_text(fields.key, format!("{}{}", self.kind.letter(), self.id));
        document.add_text(fields.kind, self.kind.letter().to_string());
        document.add_i64(fields.id, self.id);
        document.add_i64(fields.author, self.author);
        document.add_i64(fields.at, self.at);
        document.add_i64(fields.digest, self.digest());
        if let Some((post, author, visibility)) = self.post {
            document.add_i64(fields.post, post);
            document.add_i64(fields.post_author, author);
            document.add_i64(fields.visibility, visibility);
        }
        if let Some((room, number)) = self.room {
            document.add_i64(fields.room, room);
            document.add_i64(fields.number, number);
        }
        if self.has_media {
            document.add_text(fields.has, "media");
        }
        for tag in &self.tags {
            document.add_text(self.kind.tags(), tag);
        }
        for text in &self.texts {
            document.add_text(self.kind.text(), text);
        }
        document
    }
}

/// How texts and names are made terms, as the schema calls it.
const TEXTS: &str = "texts";
const NAMES: &str = "names";

/// Tells an index how texts and names are made terms. Tantivy does that on the threads on which it writes, and so nobody
/// waits for it.
pub(super) fn register_tokenizers(index: &Index) {
    let tokenizers = index.tokenizers();
    tokenizers.register(TEXTS, Words(text_tokens));
    tokenizers.register(NAMES, Words(name_tokens));
}

#[derive(Clone)]
struct Words(fn(&str) -> Vec<Token>);

impl Tokenizer for Words {
    type TokenStream<'a> = Tokens;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens {
        Tokens {
            rest: (self.0)(text).into_iter(),
            token: Token::default(),
        }
    }
}

struct Tokens {
    rest: std::vec::IntoIter<Token>,
    token: Token,
}

impl TokenStream for Tokens {
    fn advance(&mut self) -> bool {
        let next = self.rest.next();
        let is_there = next.is_some();
        self.token = next.unwrap_or_default();
        is_there
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

fn text_tokens(text: &str) -> Vec<Token> {
    let terms = words::terms(text).into_iter();
    terms.map(|term| token(term.text, term.position)).collect()
}

fn name_tokens(name: &str) -> Vec<Token> {
    let terms = name_terms(name).into_iter().enumerate();
    terms
        .map(|(position, term)| token(term, position))
        .collect()
}

fn token(text: String, position: usize) -> Token {
    Token {
        offset_from: 0,
        offset_to: 0,
        position,
        text,
        position_length: 1,
    }
}
