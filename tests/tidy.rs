//! The rules about the source itself that no compiler holds: which module may use which, where the clock is read, which
//! files are named. A failure lists every place, as `file:line: what`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of `src/`, top to bottom: a module uses only floors below its own, and modules on one floor do not know
/// each other. A module that is not there yet costs nothing; one that is not in the table fails.
const FLOORS: &[(u8, &[&str])] = &[
    (13, &["main", "lib"]),
    (12, &["cli"]),
    (11, &["app"]),
    (10, &["api", "realtime", "web"]),
    (9, &["gateway"]),
    (8, &["consume", "live"]),
    (
        7,
        &[
            "feed",
            "discovery",
            "notifications",
            "search",
            "calls",
            "moderation",
        ],
    ),
    (6, &["auth", "posts", "stories", "chat", "assist"]),
    (5, &["users"]),
    (4, &["eventlog", "media", "bridge"]),
    (
        3,
        &["actor", "store", "pubsub", "blobs", "telemetry", "mail"],
    ),
    (
        2,
        &[
            "config", "event", "links", "page", "tasks", "disk", "datadir",
        ],
    ),
    (1, &["error", "id", "clock", "text", "markdown", "random"]),
];

/// The only uses among neighbours: floor 1 is one small vocabulary, an actor carries the store's idempotency key, messages
/// point to posts and stories, and the list keeps this from becoming a knot.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("id", "clock"),
    ("text", "error"),
    ("random", "error"),
    ("actor", "store"),
    ("chat", "posts"),
    ("chat", "stories"),
];

/// More lines than this in one file of `src/` are two subjects.
const MAX_LINES: usize = 700;

/// What reads the wall clock, in any spelling that a call of it ends with.
const WALL_CLOCKS: &[&str] = &[
    "SystemTime::now",
    "jiff::Timestamp::now",
    "Zoned::now",
    "UtcDateTime::now",
    "Utc::now",
    "Local::now",
];

/// Where a path of this repository starts, as comments and documents write it.
const OUR_PATHS: &[&str] = &[
    "src/",
    "tests/",
    "migrations/",
    "assets/",
    "packaging/",
    "systemd/",
    ".ci/",
    ".config/",
];

#[test]
fn modules_use_only_the_floors_below_them() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let module = top_module(&file.path);
        if floor(&module).is_none() {
            faults.push(format!(
                "{}:1: `{module}` has no floor; give it one in tests/tidy.rs",
                file.path
            ));
            continue;
        }
        for used in uses(&file) {
            if let Some(fault) = fault_of(&module, &used.module) {
                faults.push(format!("{}:{}: {fault}", file.path, used.line));
            }
        }
    }
    report(&faults);
}

#[test]
fn only_the_clock_reads_the_wall_clock() {
    let mut faults = Vec::new();
    for file in sources("src") {
        if file.path == "src/clock.rs" {
            continue;
        }
        for (number, line) in numbered(&file.code) {
            for clock in WALL_CLOCKS.iter().filter(|clock| line.contains(**clock)) {
                faults.push(format!(
                    "{}:{number}: {clock}; take the time from `Clock`",
                    file.path
                ));
            }
        }
    }
    report(&faults);
}

/// Of two types with one name, the document at `/openapi.json` would describe one.
#[test]
fn each_schema_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources("src") {
        let (mut is_schema, mut name) = (false, None);
        for (number, line) in numbered(&file.text) {
            let line = line.trim();
            let is_comment = line.starts_with("//");
            is_schema |= !is_comment && line.contains("ToSchema");
            if let Some(given) = line.strip_prefix("#[schema(as = ") {
                name = Some(given.trim_end_matches(")]").to_owned());
            }
            let declared = ["struct ", "enum "]
                .iter()
                .find_map(|kind| line.trim_start_matches("pub ").strip_prefix(kind));
            if let Some(declared) = declared {
                let end = declared.find(|c: char| !c.is_alphanumeric());
                let declared = end.map_or(declared, |end| declared.split_at(end).0);
                let name = name.take().unwrap_or_else(|| declared.to_owned());
                if std::mem::take(&mut is_schema) {
                    let place = format!("{}:{number}", file.path);
                    places.entry(name).or_default().push(place);
                }
            } else if line.starts_with("impl") || line.starts_with("use ") {
                is_schema = false;
            }
        }
    }
    assert!(places.len() > 50, "{} schemas were found", places.len());
    let doubles = places.into_iter().filter(|(_, places)| places.len() > 1);
    let faults = doubles
        .map(|(name, places)| format!("{}: the name of another schema: {name}", places.join(", ")));
    report(&faults.collect::<Vec<_>>());
}

/// SQLite names no row that a `REPLACE` takes away, nor those of a `DELETE` without `WHERE`: copies in memory would stay.
#[test]
fn rows_that_are_kept_in_memory_go_one_by_one() {
    let sources = sources("src");
    let mut tables = Vec::new();
    for file in &sources {
        let named = file.text.split("const TABLE: &'static str = \"").skip(1);
        tables.extend(named.filter_map(|rest| rest.split('"').next()));
    }
    assert!(tables.contains(&"posts") && tables.contains(&"users"));
    let mut faults = Vec::new();
    for file in &sources {
        let text = file.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for table in &tables {
            if text.contains(&format!("REPLACE INTO {table} ")) {
                faults.push(format!("{}:1: REPLACE INTO {table}", file.path));
            }
            for rest in text.split(&format!("DELETE FROM {table}")).skip(1) {
                if !rest.starts_with(" WHERE") && !rest.starts_with('_') {
                    faults.push(format!(
                        "{}:1: DELETE FROM {table} without WHERE",
                        file.path
                    ));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn a_source_file_has_one_subject() {
    let faults: Vec<_> = sources("src")
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path}:{lines}: longer than {MAX_LINES} lines"))
        .collect();
    report(&faults);
}

#[test]
fn every_migration_is_applied_in_order() {
    let list = read("src/store/migrate.rs");
    let applied: Vec<_> = list
        .split("../../migrations/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let mut files: Vec<_> = files_under("migrations", "sql")
        .into_iter()
        .filter_map(|path| path.strip_prefix("migrations/").map(ToOwned::to_owned))
        .collect();
    files.sort();
    assert_eq!(
        applied, files,
        "src/store/migrate.rs lists on the left, migrations/ has on the right"
    );
    let faults: Vec<_> = (1..)
        .zip(&files)
        .filter(|(number, name)| !name.starts_with(&format!("{number:04}_")))
        .map(|(number, name)| format!("migrations/{name}:1: its number should be {number:04}"))
        .collect();
    report(&faults);
}

#[test]
fn files_that_are_named_exist() {
    let mut faults = Vec::new();
    let mut look = |path: &str, text: &str| {
        for (number, line) in numbered(text) {
            for named in paths_in(line).filter(|named| !root().join(named).exists()) {
                faults.push(format!(
                    "{path}:{number}: names `{named}`, which does not exist"
                ));
            }
        }
    };
    for extension in ["md", "sql", "toml"] {
        for path in files_under(".", extension) {
            look(&path, &read(&path));
        }
    }
    for file in sources("src").into_iter().chain(sources("tests")) {
        look(&file.path, &file.comments);
    }
    report(&faults);
}

#[test]
fn the_common_passwords_are_sorted_and_worth_listing() {
    const PATH: &str = "assets/auth/common-passwords.txt";
    let text = read(PATH);
    let mut faults = Vec::new();
    let mut before = "";
    for (number, word) in numbered(&text) {
        if word <= before {
            faults.push(format!(
                "{PATH}:{number}: `{word}` is out of order or there twice"
            ));
        }
        if word.chars().count() < 8 || word.to_lowercase() != word {
            faults.push(format!(
                "{PATH}:{number}: `{word}` is short, or not in lower case"
            ));
        }
        before = word;
    }
    report(&faults);
}

/// The reader of sources below, on what it could get wrong.
#[test]
fn uses_are_found_and_comments_and_strings_are_not() {
    let text = r##"
//! See [`crate::doc`].
use crate::{
    alpha::{self, Thing},
    beta, /* crate::comment /* nested */ still */
};
const QUOTES: &str = "crate::string \" crate::escaped"; // crate::trailing
const RAW: &str = r#"crate::raw " "#;
fn lifetime<'a>(c: char) -> bool { c == '"' || c == '\'' || c == crate::gamma::C }
pub(in crate::delta) struct Narrow;
macro_rules! m { () => { $crate::epsilon::f() } }
use super::zeta;
use super::super::outside;
mod tests { use super::inner; use super::super::eta; use super::super::super::theta; }
"##;
    let file = Source::new("src/store/writer.rs".to_owned(), text.to_owned());
    let found: Vec<_> = uses(&file)
        .into_iter()
        .map(|used| format!("{} {}", used.line, used.module))
        .collect();
    assert_eq!(
        found,
        [
            "4 alpha",
            "5 beta",
            "9 gamma",
            "10 delta",
            "11 epsilon",
            "13 outside",
            "14 theta"
        ]
    );
    assert!(file.comments.contains("crate::trailing"));
    assert!(fault_of("store", "store").is_none());
    assert!(fault_of("store", "clock").is_none());
    assert!(fault_of("store", "users").is_some());
    assert!(fault_of("posts", "auth").is_some());
    assert!(fault_of("posts", "nowhere").is_some());
}

// ---- the floors

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(_, modules)| modules.contains(&module))
        .map(|(floor, _)| *floor)
}

/// What is wrong with `module` using `used`.
fn fault_of(module: &str, used: &str) -> Option<String> {
    if module == used || NEIGHBOURS.contains(&(module, used)) {
        return None;
    }
    let Some(below) = floor(used) else {
        return Some(format!(
            "`crate::{used}` is no module with a floor in tests/tidy.rs"
        ));
    };
    let own = floor(module)?;
    match below.cmp(&own) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(format!(
            "`{module}` uses its neighbour `{used}`: both are on floor {own}, and neighbours do not know each other"
        )),
        std::cmp::Ordering::Greater => Some(format!(
            "`{module}` (floor {own}) uses `{used}` (floor {below}): imports point down"
        )),
    }
}

/// The module of `src/` that a file belongs to.
fn top_module(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// One mention of a top module.
struct Use {
    line: usize,
    module: String,
}

/// The top modules that a file names by way of `crate::` or of enough `super::`.
fn uses(file: &Source) -> Vec<Use> {
    let tokens = tokens(&file.code);
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    let mut found = Vec::new();
    // How deep below the crate's root the file's module is, and the braces that are open: true where one opened an
    // inline module.
    let depth = module_depth(&file.path);
    let mut open = Vec::new();
    let mut at = 0;
    while at < texts.len() {
        match texts[at..] {
            ["{", ..] => {
                open.push(at >= 2 && texts[at - 2] == "mod");
                at += 1;
            }
            ["}", ..] => {
                open.pop();
                at += 1;
            }
            ["crate", "::", ..] => at = heads(&tokens, at + 2, &mut found),
            ["super", "::", ..] => {
                let pairs = texts[at..].chunks(2);
                let ups = pairs.take_while(|pair| **pair == ["super", "::"]).count();
                at += 2 * ups;
                if ups == depth + open.iter().filter(|inline| **inline).count() {
                    at = heads(&tokens, at, &mut found);
                }
            }
            _ => at += 1,
        }
    }
    found
}

/// Notes what follows `crate::`: one name, or the first name of each branch of a group. Returns where to read on, which
/// is before the rest of a path and inside a group, so that nothing nested is missed and braces still pair.
fn heads(tokens: &[Token<'_>], at: usize, found: &mut Vec<Use>) -> usize {
    let mut note = |token: &Token<'_>| {
        found.push(Use {
            line: token.line,
            module: token.text.to_owned(),
        });
    };
    let Some(first) = tokens.get(at) else {
        return at;
    };
    if first.text != "{" {
        note(first);
        return at + 1;
    }
    let mut nesting = 0;
    let mut starts = false;
    for token in &tokens[at..] {
        match token.text {
            "{" => {
                nesting += 1;
                starts = nesting == 1;
            }
            "}" => {
                nesting -= 1;
                if nesting == 0 {
                    break;
                }
            }
            "," if nesting == 1 => starts = true,
            _ if starts && nesting == 1 => {
                note(token);
                starts = false;
            }
            _ => {}
        }
    }
    at
}

/// `src/page.rs` and `src/store/mod.rs` are 1 below the root, `src/store/writer.rs` is 2, `src/lib.rs` is the root.
fn module_depth(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let parts = inside.split('/').count();
    match inside.rsplit('/').next() {
        Some("mod.rs" | "lib.rs" | "main.rs") => parts - 1,
        _ => parts,
    }
}

// ---- reading sources

/// A Rust file, with its code and its comments apart. Both keep the line breaks, so that line numbers agree.
struct Source {
    path: String,
    text: String,
    code: String,
    comments: String,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let (code, comments) = split(&text);
        Self {
            path,
            text,
            code,
            comments,
        }
    }
}

/// Parts code from comments; what is in string and character literals goes to neither.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut comments = String::new();
    let mut at = 0;
    while at < chars.len() {
        let end = match (peek(at), peek(at + 1)) {
            ('/', '/') => find(&chars, at, |at| peek(at) == '\n'),
            ('/', '*') => end_of_block_comment(&chars, at),
            _ => at,
        };
        if end > at {
            comments.extend(&chars[at..end]);
            code.extend(chars[at..end].iter().filter(|c| **c == '\n'));
            code.push(' ');
            at = end;
            continue;
        }
        let end = end_of_literal(&chars, at);
        if end > at {
            let breaks = chars[at..end].iter().filter(|c| **c == '\n');
            code.extend(breaks.clone());
            comments.extend(breaks);
            code.push(' ');
            at = end;
            continue;
        }
        if peek(at) == '\n' {
            comments.push('\n');
        }
        code.push(peek(at));
        at += 1;
    }
    (code, comments)
}

fn find(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len())
        .find(|at| stop(*at))
        .unwrap_or(chars.len())
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut nesting = 0;
    let mut at = start;
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => {
                nesting += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                nesting -= 1;
                at += 2;
                if nesting == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// The end of the string, raw string or character literal that starts here; `start` itself where none does.
fn end_of_literal(chars: &[char], start: usize) -> usize {
    let after_a_word = start > 0 && is_word(chars[start - 1]);
    match chars[start..] {
        ['"', ..] => end_of_quoted(chars, start, '"'),
        // A lifetime has no closing quote after its first character.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => end_of_quoted(chars, start, '\''),
        ['r', '"' | '#', ..] if !after_a_word => end_of_raw(chars, start, start + 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !after_a_word => end_of_raw(chars, start, start + 2),
        _ => start,
    }
}

fn end_of_quoted(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `hashes` is where the `#`s before the quote begin; `r#name` is an identifier, and no literal.
fn end_of_raw(chars: &[char], start: usize, hashes: usize) -> usize {
    let quote = find(chars, hashes, |at| chars[at] != '#');
    if chars.get(quote) != Some(&'"') {
        return start;
    }
    let closing: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', quote - hashes))
        .collect();
    find(chars, quote + 1, |at| chars[at..].starts_with(&closing)) + closing.len()
}

/// A word, a `::`, or one other character.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, text) in numbered(code) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            tokens.push(Token { text, line });
            rest = after.trim_start();
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths of this repository that a line names; patterns such as `tests/*.rs` and `src/<noun>` are none.
fn paths_in(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || "`\"'()[]|,;=".contains(c))
        .map(|word| {
            word.trim_start_matches("./")
                .trim_end_matches(['.', ':', '?', '!'])
        })
        .filter(|word| OUR_PATHS.iter().any(|start| word.starts_with(start)))
        .filter(|word| !word.contains(['*', '<', '>', '{', '}', '$', '…']) && !word.contains(".."))
        // `src/lib.rs:12` and `README.md#data`
        .filter_map(|word| word.split([':', '#']).next())
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

fn sources(dir: &str) -> Vec<Source> {
    files_under(dir, "rs")
        .into_iter()
        .map(|path| {
            let text = read(&path);
            Source::new(path, text)
        })
        .collect()
}

/// The files below `dir` with this extension, as paths from the repository's root, sorted. Hidden directories but for
/// `.config`, and what is built or run here, are left out.
fn files_under(dir: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", dir.display()));
        for entry in entries {
            let path = entry.expect("a directory entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let passed_over =
                (name.starts_with('.') && name != ".config") || name == "target" || name == "data";
            if path.is_dir() && !passed_over {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let inside = path
                    .strip_prefix(root())
                    .expect("it was found below the root");
                found.push(inside.to_string_lossy().trim_start_matches("./").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Fails with every fault on a line of its own.
#[track_caller]
fn report(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "in {} places:\n{}\n",
        faults.len(),
        faults.join("\n")
    );
}
