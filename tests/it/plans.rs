//! How SQLite carries out every statement of the source: by an index, in the index's order.
//!
//! The statements are taken from the source itself, so that a new one is looked at without a word here. One whose text is
//! put together from parts names them in [`PARTS`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use rusqlite::Connection;
use rusqlite::types::Value;
use socialhub::app;
use socialhub::config;
use socialhub::store::Store;
use tempfile::TempDir;

use crate::support::database;

/// What stands for `{...}` in a statement: each way it is called, and the texts that may come there. Where several parts
/// of one statement have as many texts, these go together.
const PARTS: &[(&str, &[&str])] = &[
    (
        "filter",
        &[
            "post_id = :of AND is_deleted = 0
             AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = comments.author_id)",
            "list_id = :of AND is_shown = 1
             AND (
                 replies_count > 0
                 OR NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = comments.author_id)
             )",
        ],
    ),
    ("after", &["id < :after AND :rank = 0", "id > :after AND :rank = 0"]),
    ("self.order(\"\")", &["id DESC", "id"]),
    (
        "sort.page(filter)",
        &[
            "SELECT id FROM comments WHERE list_id = :of AND is_shown = 1 AND id < :after AND :rank = 0
             ORDER BY id DESC LIMIT :limit OFFSET :offset",
            "SELECT id FROM comments WHERE list_id = :of AND is_shown = 1 AND id > :after AND :rank = 0
             ORDER BY id LIMIT :limit OFFSET :offset",
            "SELECT id FROM comments WHERE list_id = :of AND is_shown = 1 AND score = :rank AND id < :after
             ORDER BY id DESC LIMIT :limit OFFSET :offset",
        ],
    ),
    (
        "sort.order(\"c.\")",
        &["c.id DESC", "c.id", "c.score DESC, c.id DESC"],
    ),
    (
        "sort.order(\"\")",
        &["id DESC", "id", "score DESC, id DESC"],
    ),
    (
        "ids",
        &["SELECT id FROM posts
           WHERE author_id = :author AND is_deleted = 0 AND visibility = 0 AND id < :below
           UNION ALL
           SELECT id FROM posts
           WHERE author_id = :author AND is_deleted = 0 AND visibility = 1 AND id < :below"],
    ),
    ("which", &["b.conversion = 1", "b.is_as_it_came = 1"]),
    // A number in the text itself: `replace` puts it there.
    ("{}", &["1"]),
];

/// What would be refused, and why it stands: a piece of the statement, a piece of the plan, the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "FROM sqlite_schema LIMIT 0",
        "SCAN sqlite_schema",
        "no row is looked at: it begins the snapshot",
    ),
    (
        "FROM erasures ORDER BY",
        "SCAN erasures",
        "it is a queue, read from its front",
    ),
    (
        "LIMIT 1000)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "ORDER BY id DESC LIMIT :looked_at) AS",
        "SCAN ",
        "what is gone through was found by an index, and is bounded",
    ),
    (
        "ORDER BY id DESC LIMIT :limit) AS",
        "SCAN ",
        "what is gone through was found by an index, and is bounded",
    ),
    (
        "GROUP BY p.author_id",
        "USE TEMP B-TREE FOR GROUP BY",
        "somebody's latest deeds: a few hundred at most",
    ),
    (
        "ORDER BY posts_count DESC, tag LIMIT :looked_at) AS used",
        "SCAN ",
        "what is gone through comes from an index, in its order, and is bounded",
    ),
    (
        "LIMIT 100)) AS unread",
        "SCAN (subquery-",
        "what is counted was found by an index, and is a hundred at most",
    ),
    (
        "WHERE room_id = :room LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "FROM authors AS u CROSS JOIN stories AS s",
        "SCAN u",
        "those whom one follows and who show something: a few hundred, found by the index of follows",
    ),
    (
        "FROM authors AS u CROSS JOIN stories AS s",
        "USE TEMP B-TREE FOR",
        "the same, in the order of what is unseen",
    ),
    (
        "AND r.kind = 0 AND r.closed_at IS NULL LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "AND kind = 0 AND closed_at IS NULL LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "AND r.kind = 2 AND r.closed_at IS NULL LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "AND p.request = 1 LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a hundred at most",
    ),
    (
        "AND is_declined = 0 LIMIT :limit)",
        "SCAN (subquery-1)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "s.ends_at > :now)) LIMIT 1000)",
        "SCAN (subquery-3)",
        "what is counted was found by an index, and is a thousand at most",
    ),
    (
        "FROM messages WHERE room_id = :room ORDER BY number LIMIT :limit",
        "SCAN (subquery-1)",
        "the oldest of a room, found by an index: as many as one command removes",
    ),
    (
        "FROM (SELECT other_id FROM blocked_pairs",
        "SCAN pair",
        "what is gone through was found by an index, and is bounded",
    ),
    (
        "AND score < :rank ORDER BY score DESC",
        "SCAN (subquery",
        "one page: the limit is within, where both ranges are read in order",
    ),
    (
        "ORDER BY c.score DESC, c.id DESC",
        "USE TEMP B-TREE FOR ORDER BY",
        "answers that one reply shows: a few hundred, each found by its place in a list",
    ),
    (
        "FROM json_each(:keys) AS wanted",
        "USE TEMP B-TREE FOR ORDER BY",
        "those whom one text mentions: a few dozen at most",
    ),
    (
        "SELECT seq FROM outbox ORDER BY seq",
        "SCAN outbox",
        "one row, at the end of the table where it begins",
    ),
    (
        "WHERE password_hash GLOB '$2*'",
        "SCAN credentials USING INDEX credentials_imported",
        "one row of an index that has nothing else",
    ),
    (
        "FROM sqlite_sequence",
        "SCAN sqlite_sequence",
        "SQLite's own, with a row for each table that is AUTOINCREMENT: one",
    ),
    (
        "GROUP BY m.owner_id LIMIT 10000",
        "SCAN b USING COVERING INDEX blobs_",
        "indexes that have nothing but what waits to be converted",
    ),
    (
        "GROUP BY m.owner_id LIMIT 10000",
        "USE TEMP B-TREE FOR GROUP BY",
        "what waits to be converted: a group for each person",
    ),
    (
        "FROM posts WHERE author_id = :user AND id < :id ORDER BY id DESC",
        "USE TEMP B-TREE FOR ORDER BY",
        "one person's posts, looked through when their account is closed or restored",
    ),
    (
        "FROM follows WHERE follower_id = :user AND id < :id ORDER BY id DESC",
        "USE TEMP B-TREE FOR ORDER BY",
        "one person's follows, looked through when their account is closed or restored",
    ),
];

/// A statement of the source.
#[derive(Debug)]
struct Statement {
    file: String,
    sql: String,
}

#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let (connection, _dir) = empty_database();
    let statements = statements();
    assert!(statements.len() > 80, "only {} found", statements.len());
    let mut faults = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for Statement { file, sql } in &statements {
        for step in plan(&connection, file, sql) {
            if !is_bad(&step) {
                continue;
            }
            let allowed = ALLOWED
                .iter()
                .position(|(of, what, _)| squeeze(sql).contains(of) && step.contains(what));
            match allowed {
                Some(index) => used[index] = true,
                None => faults.push(format!("{file}: {step}\n    {}", squeeze(sql))),
            }
        }
    }
    for ((of, what, _), used) in ALLOWED.iter().zip(used) {
        if !used {
            faults.push(format!(
                "nothing needs the exception for `{what}` in `{of}`"
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_reference_can_be_followed_back_by_an_index() {
    let (connection, _dir) = empty_database();
    let references = database::rows(
        &connection,
        "SELECT t.name, f.\"from\",
                EXISTS (
                    SELECT 1
                    FROM pragma_index_list(t.name) AS i
                    JOIN pragma_index_info(i.name) AS c ON c.seqno = 0
                    WHERE c.name = f.\"from\" AND i.partial = 0
                )
                OR EXISTS (SELECT 1 FROM pragma_table_info(t.name) AS c WHERE c.pk = 1 AND c.name = f.\"from\")
         FROM pragma_table_list AS t
         JOIN pragma_foreign_key_list(t.name) AS f
         WHERE t.schema = 'main'",
    );
    assert!(references.len() > 20);
    for reference in references {
        assert_eq!(reference[2], Value::Integer(1), "{reference:?}");
    }
}

/// Reads whole tables or indexes, sorts, or makes an index of its own on the way.
fn is_bad(step: &str) -> bool {
    let scans = step.starts_with("SCAN ")
        // A list that came as a parameter.
        && !step.contains("VIRTUAL TABLE")
        && step != "SCAN CONSTANT ROW";
    scans || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
}

fn plan(connection: &Connection, file: &str, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{file}: {error}\n{sql}"));
    // A plan needs no values for the parameters.
    statement
        .raw_query()
        .mapped(|row| row.get("detail"))
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

fn empty_database() -> (Connection, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &config::Store::default(), app::registry()).unwrap();
    store.close();
    (database::connect(dir.path()), dir)
}

/// Every statement in `src/`, in each of its forms.
fn statements() -> Vec<Statement> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect_files(&root.join("src"), &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let tokens: TokenStream = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let mut source = Source::default();
        source.read(tokens);
        source
    };
    let with_source = |path: PathBuf| {
        let source = read(&path);
        (path, source)
    };
    let mut sources: Vec<(PathBuf, Source)> = files.into_iter().map(with_source).collect();
    // The files of one folder of statements share their strings.
    let mut shared: BTreeMap<PathBuf, BTreeMap<String, String>> = BTreeMap::new();
    for (path, source) in &sources {
        let folder = path.parent().unwrap();
        if folder.ends_with("sql") {
            let names = shared.entry(folder.to_owned()).or_default();
            names.extend(source.named.clone());
        }
    }
    let mut statements = Vec::new();
    for (path, source) in &mut sources {
        let file = path.strip_prefix(root).unwrap().display().to_string();
        for (name, text) in shared.get(path.parent().unwrap()).into_iter().flatten() {
            let own = source.named.entry(name.clone());
            own.or_insert_with(|| text.clone());
        }
        for (text, arguments) in &source.texts {
            for sql in source.forms(text, arguments) {
                if is_statement(&sql) {
                    statements.push(Statement {
                        file: file.clone(),
                        sql,
                    });
                }
            }
        }
    }
    statements
}

fn collect_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // Tests within the source may do as they like.
        let is_test = path
            .file_stem()
            .is_some_and(|name| name == "tests" || name == "testing");
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn begins_as_statement(text: &str) -> bool {
    let verbs = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"];
    let first = text.split_whitespace().next();
    first.is_some_and(|first| verbs.contains(&first))
}

fn is_statement(text: &str) -> bool {
    let words = squeeze(text);
    let Some((verb, rest)) = words.split_once(' ') else {
        return false;
    };
    match verb {
        "SELECT" | "WITH" => rest.contains("FROM "),
        "INSERT" => rest.starts_with("INTO ") || rest.starts_with("OR "),
        "UPDATE" => rest.contains(" SET "),
        "DELETE" => rest.starts_with("FROM "),
        _ => false,
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The strings of one file: named ones, and all with what is put into them.
#[derive(Default)]
struct Source {
    named: BTreeMap<String, String>,
    texts: Vec<(String, Vec<String>)>,
}

impl Source {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Literal(literal) => {
                    let Some(text) = unquote(&literal.to_string()) else {
                        continue;
                    };
                    if let Some(name) = name_of(&tokens[..at]) {
                        self.named.insert(name, text);
                    } else {
                        self.texts.push((text, Vec::new()));
                    }
                }
                TokenTree::Group(group) if follows_format(&tokens[..at]) => {
                    self.read_format(group.stream());
                }
                // Likewise.
                TokenTree::Group(group)
                    if group.delimiter() == Delimiter::Brace && is_tests(&tokens[..at]) => {}
                TokenTree::Group(group) => self.read(group.stream()),
                _ => {}
            }
        }
    }

    /// `"text {}", argument, argument`.
    fn read_format(&mut self, tokens: TokenStream) {
        let mut arguments = vec![String::new()];
        let mut text = None;
        for token in tokens {
            match &token {
                TokenTree::Punct(comma) if comma.as_char() == ',' => arguments.push(String::new()),
                TokenTree::Literal(literal) if text.is_none() => {
                    text = unquote(&literal.to_string());
                }
                _ => {
                    if let Some(argument) = arguments.last_mut() {
                        argument.push_str(&token.to_string());
                    }
                }
            }
        }
        if let Some(text) = text {
            arguments.remove(0);
            self.texts.push((text, arguments));
        }
    }

    /// The text with the named string that it begins with, if any, in place.
    fn with_its_head(&self, text: &str) -> String {
        let head = hole(text).filter(|(before, ..)| before.is_empty());
        let named = head.and_then(|(_, name, after)| Some((self.named.get(name)?, after)));
        named.map_or_else(|| text.to_owned(), |(head, after)| format!("{head}{after}"))
    }

    /// The text with its parts in place, in every way that [`PARTS`] knows.
    fn forms(&self, text: &str, arguments: &[String]) -> Vec<String> {
        let mut forms = vec![self.with_its_head(text)];
        if !begins_as_statement(&forms[0]) {
            return Vec::new();
        }
        let mut arguments = arguments.iter();
        while let Some((_, inside, _)) = hole(&forms[0]) {
            let part = if inside.is_empty() {
                arguments.next().map_or("{}", |argument| argument.as_str())
            } else {
                inside
            };
            let named: Vec<&str> = self
                .named
                .get(part)
                .map(String::as_str)
                .into_iter()
                .collect();
            let ways = PARTS
                .iter()
                .find(|(name, _)| *name == part)
                .map_or(named.as_slice(), |(_, ways)| ways);
            assert!(
                !ways.is_empty(),
                "tests/it/plans.rs should say what `{part}` may be in:\n{text}"
            );
            let count = forms.len().max(ways.len());
            forms = forms
                .iter()
                .cycle()
                .zip(ways.iter().cycle())
                .take(count)
                .map(|(form, way)| {
                    let (before, _, after) = hole(form).unwrap();
                    format!("{before}{way}{after}")
                })
                .collect();
        }
        forms
    }
}

/// What stands before, in and after the first `{...}`.
fn hole(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    Some((before, inside, after))
}

/// The name in `const NAME: &str = `, just before a string.
fn name_of(before: &[TokenTree]) -> Option<String> {
    let texts: Vec<String> = before
        .iter()
        .rev()
        .take(6)
        .map(ToString::to_string)
        .collect();
    match texts.as_slice() {
        [equals, kind, and, colon, name, keyword]
            if [equals, kind, and, colon, keyword] == ["=", "str", "&", ":", "const"] =>
        {
            Some(name.clone())
        }
        _ => None,
    }
}

fn follows_format(before: &[TokenTree]) -> bool {
    matches!(before, [.., name, bang] if name.to_string() == "format" && bang.to_string() == "!")
}

fn is_tests(before: &[TokenTree]) -> bool {
    matches!(before, [.., keyword, name] if keyword.to_string() == "mod" && name.to_string() == "tests")
}

/// What a string literal says; `None` for other literals.
fn unquote(literal: &str) -> Option<String> {
    let inside = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            // A line that goes on: what the next one begins with is left out.
            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            Some('n') => text.push('\n'),
            Some(c) => text.push(c),
            None => {}
        }
    }
    Some(text)
}

/// The reader of the source above, on what it could get wrong.
#[test]
fn statements_are_found_with_their_parts() {
    let mut source = Source::default();
    let text = r#"
        const COLUMNS: &str = "a, \
                               b";
        fn f() { tx.all(&format!("SELECT {COLUMNS} FROM t ORDER BY {}", sort.order("")), []); }
        fn g() { log("SELECT nothing"); tx.one("DELETE FROM t WHERE a = 'it''s \"so\"'") }
        mod tests { fn h() { tx.one("DELETE FROM everything") } }
    "#;
    source.read(text.parse().unwrap());
    let mut found: Vec<String> = source
        .texts
        .iter()
        .flat_map(|(text, arguments)| source.forms(text, arguments))
        .filter(|sql| is_statement(sql))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "DELETE FROM t WHERE a = 'it''s \"so\"'",
            "SELECT a, b FROM t ORDER BY id",
            "SELECT a, b FROM t ORDER BY id DESC",
            "SELECT a, b FROM t ORDER BY score DESC, id DESC",
        ]
    );
}
