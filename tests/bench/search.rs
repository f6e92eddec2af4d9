//! Search in a made community, beside tantivy called directly over the same texts; at a tenth of the size and at the whole.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socialhub::app::App;
use socialhub::clock::Clock;
use socialhub::config::Config;
use socialhub::id::UserId;
use socialhub::page::Page;
use socialhub::search::{Search, Section, Wanted};
use socialhub::telemetry;
use tantivy::collector::{Count, TopDocs};
use tantivy::query::{BooleanQuery, ConstScoreQuery, PhraseQuery, Query, TermQuery, TermSetQuery};
use tantivy::schema::{Field, INDEXED, IndexRecordOption, STORED, Schema, TEXT};
use tantivy::snippet::SnippetGenerator;
use tantivy::{Index, IndexWriter, TantivyDocument, Term};

use crate::Scale;
use crate::community::{READERS, Size, word};
use crate::daemon::Daemon;
use crate::feed;
use crate::figures::Figures;
use crate::load::{Plan, Request};
use crate::seed;

/// Connections where it is about how much can be done.
const CONNECTIONS: usize = 32;
/// Different queries of each kind.
const QUERIES: u32 = 500;
/// Hits that are wanted.
const HITS: u32 = 10;
/// Memory for tantivy's writer, in both cases.
const HEAP: usize = 64 * 1024 * 1024;

/// What is asked for, and its words.
#[derive(Clone, Copy)]
enum Ask {
    /// One of the words that most posts have.
    Common,
    /// One of all words, as often as they come up in posts.
    Word,
    /// Two of them.
    Words,
    /// Two of them, one after the other.
    Phrase,
}

impl Ask {
    const ALL: [Self; 4] = [Self::Common, Self::Word, Self::Words, Self::Phrase];

    fn name(self) -> &'static str {
        match self {
            Self::Common => "a common word",
            Self::Word => "a word",
            Self::Words => "two words",
            Self::Phrase => "a phrase",
        }
    }

    /// The same each time.
    fn words(self, number: u32) -> Vec<String> {
        // As posts have them: the cube of an even share of the places.
        let place = |share: u32| {
            let cube = u64::from(share % 1_000).pow(3) * 20_000 / 1_000_000_000;
            word(u32::try_from(cube).unwrap())
        };
        match self {
            Self::Common => vec![word(number % 20)],
            Self::Word => vec![place(number * 37)],
            Self::Words | Self::Phrase => vec![place(number * 37), place(number * 211 + 5)],
        }
    }

    fn text(self, number: u32) -> String {
        let words = self.words(number).join(" ");
        match self {
            Self::Phrase => format!("\"{words}\""),
            Self::Common | Self::Word | Self::Words => words,
        }
    }
}

pub(crate) fn measure(figures: &mut Figures, scale: &Scale) {
    for size in [scale.community.part(10), scale.community] {
        measure_in(figures, scale, size);
    }
}

fn measure_in(figures: &mut Figures, scale: &Scale, size: Size) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (community, readers, _) = feed::settle(&data, size);
    let name = |what: &str| format!("search, {} posts: {what}", size.posts);

    let (plain, seconds) = index_directly(&data, &dir.path().join("plain"));
    let things = size.posts + size.comments + size.people;
    let daemon = Daemon::start(&data);
    let began = Instant::now();
    daemon.wait_until_ready();
    daemon.wait_until_indexed(things);
    figures.compare(
        &name("indexed, posts, comments and people"),
        "1/s",
        f64::from(things) / began.elapsed().as_secs_f64(),
        f64::from(size.posts) / seconds,
        "raw: tantivy alone, the texts of the posts, no stems",
    );
    let bytes = directory_bytes(&data.join("search"));
    figures.note(
        &name("size of the index"),
        "MiB",
        mib(bytes),
        format!(
            "tantivy alone: {:.0}",
            mib(directory_bytes(&dir.path().join("plain")))
        ),
    );
    figures.note(
        &name("memory after indexing"),
        "MiB",
        daemon.anonymous_mib(),
        "in no file",
    );
    for ask in Ask::ALL {
        let values: Vec<String> = (0..QUERIES)
            .map(|number| ask.text(number).replace('"', "%22").replace(' ', "+"))
            .collect();
        for (what, path) in [
            ("posts", "/api/v1/search?types=posts&q={value}"),
            ("everything", "/api/v1/search?q={value}"),
        ] {
            let plan = Plan {
                address: daemon.address(),
                server: daemon.pid(),
                connections: 1,
                warm_up: scale.warm_up,
                measure: scale.measure,
                rate: None,
                request: Request {
                    values: values.clone(),
                    ..Request::get(path, &readers)
                },
            };
            let alone = plan.run();
            figures.note(
                &name(&format!("{what}, {}", ask.name())),
                "ms",
                alone.p50_ms,
                alone.describe(),
            );
            let all = Plan {
                connections: CONNECTIONS,
                ..plan
            }
            .run();
            figures.note(
                &name(&format!("{what}, {}, all at once", ask.name())),
                "1/s",
                all.per_second(),
                all.describe(),
            );
        }
    }
    figures.note(
        &name("memory afterwards"),
        "MiB",
        daemon.anonymous_mib(),
        "in no file",
    );
    daemon.stop();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(async {
        let mut config = Config {
            data_dir: data.clone(),
            ..Config::default()
        };
        config.server.listen = ([127, 0, 0, 1], 0).into();
        let metrics = telemetry::start_metrics().unwrap();
        App::start(config, Clock::system(), metrics).await.unwrap()
    });
    assert!(runtime.block_on(app.search().settle(Duration::from_mins(5))));
    let viewer = community.person(READERS / 2);
    let followed: Vec<i64> = seed::connect(&data)
        .prepare("SELECT following_id FROM follows WHERE follower_id = ?1")
        .and_then(|mut statement| statement.query_map([viewer], |row| row.get(0))?.collect())
        .unwrap();
    for ask in Ask::ALL {
        let bare = ask_directly(&plain, ask, Direct::Bare, scale.measure);
        let direct = ask_directly(&plain, ask, Direct::Whole(&followed), scale.measure);
        let asking = ask_service(app.search(), viewer.into(), ask, scale.measure);
        let service = runtime.block_on(asking);
        figures.compare(
            &name(&format!(
                "posts one may see, {} (wanted: 70%)",
                ask.name()
            )),
            "1/s",
            service,
            direct,
            format!(
                "raw: tantivy alone, the same answer of its own stored texts; its ten best of everybody's, no texts: {bare:.0}"
            ),
        );
    }
    runtime.block_on(app.stop());
}

/// An index of tantivy's own making.
struct Plain {
    index: Index,
    text: Field,
    /// For whom a post is: the author's id for those who follow them, 0 for everybody, -1 for nobody else.
    audience: Field,
}

/// The texts of all posts in an index of tantivy's own making, with its default words; how long that took, in seconds.
fn index_directly(data: &Path, dir: &Path) -> (Plain, f64) {
    std::fs::create_dir(dir).unwrap();
    let mut schema = Schema::builder();
    let text = schema.add_text_field("text", TEXT | STORED);
    let audience = schema.add_i64_field("audience", INDEXED);
    let index = Index::create_in_dir(dir, schema.build()).unwrap();
    let mut writer: IndexWriter = index.writer_with_num_threads(1, HEAP).unwrap();
    let connection = seed::connect(data);
    let mut statement = connection
        .prepare(
            "SELECT content, CASE visibility WHEN 0 THEN 0 WHEN 1 THEN author_id ELSE -1 END FROM posts
             WHERE is_deleted = 0 ORDER BY id",
        )
        .unwrap();
    let began = Instant::now();
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
        .unwrap();
    for row in rows {
        let (content, for_whom) = row.unwrap();
        let mut document = TantivyDocument::default();
        document.add_text(text, content);
        document.add_i64(audience, for_whom);
        writer.add_document(document).unwrap();
    }
    writer.commit().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    writer.wait_merging_threads().unwrap();
    let plain = Plain {
        index,
        text,
        audience,
    };
    (plain, seconds)
}

/// What is asked of tantivy.
#[derive(Clone, Copy)]
enum Direct<'a> {
    /// The ten best of all and their number: no texts, and no look at who may see them.
    Bare,
    /// What the service answers: of what somebody may see, who follows these people, the ten best with their texts and
    /// what fits in them, and their number.
    Whole(&'a [i64]),
}

/// Queries a second on every core.
fn ask_directly(plain: &Plain, ask: Ask, direct: Direct<'_>, time: Duration) -> f64 {
    let searcher = plain.index.reader().unwrap().searcher();
    let may_see: Option<Box<dyn Query>> = match direct {
        Direct::Bare => None,
        Direct::Whole(followed) => {
            let audiences = followed.iter().chain([&0]);
            let terms = audiences.map(|one| Term::from_field_i64(plain.audience, *one));
            let any = TermSetQuery::new(terms);
            Some(Box::new(ConstScoreQuery::new(Box::new(any), 0.0)))
        }
    };
    let queries: Vec<Box<dyn Query>> = (0..QUERIES)
        .map(|number| {
            let query = query_directly(plain.text, ask, number);
            match &may_see {
                Some(filter) => {
                    let both = vec![query, filter.box_clone()];
                    Box::new(BooleanQuery::intersection(both)) as Box<dyn Query>
                }
                None => query,
            }
        })
        .collect();
    let answer = |query: &dyn Query| {
        let collector = (TopDocs::with_limit(HITS as usize).order_by_score(), Count);
        let (best, _count) = searcher.search(query, &collector).unwrap();
        if let Direct::Whole(_) = direct {
            let snippets = SnippetGenerator::create(&searcher, query, plain.text).unwrap();
            for (_score, address) in best {
                let document: TantivyDocument = searcher.doc(address).unwrap();
                std::hint::black_box(snippets.snippet_from_doc(&document));
            }
        }
    };
    let (done, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for core in 0..cores() {
            let (queries, done, is_over, answer) = (&queries, &done, &is_over, &answer);
            scope.spawn(move || {
                for number in core.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    answer(queries[number % queries.len()].as_ref());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        is_over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

fn query_directly(text: Field, ask: Ask, number: u32) -> Box<dyn Query> {
    let terms = ask.words(number).into_iter();
    let mut terms: Vec<Term> = terms
        .map(|word| Term::from_field_text(text, &word))
        .collect();
    match ask {
        Ask::Phrase => Box::new(PhraseQuery::new(terms)),
        Ask::Common | Ask::Word => Box::new(TermQuery::new(
            terms.remove(0),
            IndexRecordOption::WithFreqs,
        )),
        Ask::Words => {
            let terms = terms.into_iter().map(|term| {
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                Box::new(query) as Box<dyn Query>
            });
            Box::new(BooleanQuery::intersection(terms.collect()))
        }
    }
}

/// The same of the service, with all that a route gets of it.
async fn ask_service(search: &Search, viewer: UserId, ask: Ask, time: Duration) -> f64 {
    let began = Instant::now();
    let tasks = (0..4 * u32::try_from(cores()).unwrap()).map(|first| {
        let search = search.clone();
        tokio::spawn(async move {
            let mut done = 0_u64;
            for number in first.. {
                if began.elapsed() > time {
                    break;
                }
                let wanted = Wanted {
                    text: ask.text(number % QUERIES),
                    sections: vec![Section::Posts],
                    page: Page::first(HITS),
                    newest_first: false,
                };
                search.search(viewer, wanted).await.unwrap();
                done += 1;
            }
            done
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / began.elapsed().as_secs_f64()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn directory_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            directory_bytes(&entry.path())
        } else {
            metadata.len()
        }
    });
    sizes.sum()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
