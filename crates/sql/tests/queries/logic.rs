//! Statements in files, and what they give: everything in `tests/slt`, whose README says how the files are written.
//!
//! `MILLPOND_SLT=joins` runs those files alone whose paths have `joins` in them.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use millpond_query::{Pool, PoolSettings, QueryError, Run};
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Normalizer, Record, Runner, strict_column_validator};

use crate::logic_lake;
use crate::world::{Given, Lake, run_in, settings};

/// The time of every statement: 2024-03-31 12:34:56 UTC.
const NOW: u64 = 1_711_888_496_000_000_000;
/// What the engine may use.
const MEMORY: u64 = 256 << 20;

/// A type of a column, as a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind(char);

/// Athena's words for types, and their letters.
const LETTERS: &[(&str, char)] = &[
    ("varchar", 'T'),
    ("tinyint", 'I'),
    ("smallint", 'I'),
    ("integer", 'I'),
    ("bigint", 'I'),
    ("float", 'R'),
    ("double", 'R'),
    ("decimal", 'N'),
    ("boolean", 'B'),
    ("date", 'D'),
    ("time", 'C'),
    ("timestamp", 'S'),
    ("timestamp with time zone", 'Z'),
    ("array", 'A'),
    ("map", 'M'),
    ("row", 'O'),
    ("json", 'J'),
    ("varbinary", 'X'),
    ("interval day to second", 'V'),
    ("unknown", 'U'),
];

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        LETTERS.iter().any(|(_, letter)| *letter == value).then_some(Self(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// What a statement fails with.
#[derive(Debug)]
struct Failed(QueryError);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

/// A file's lake, and the worker that all files share.
#[derive(Clone)]
struct Database {
    pool: Pool,
    lake: Lake,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Failed;
    type ColumnType = Kind;

    async fn run(&mut self, statement: &str) -> Result<DBOutput<Kind>, Failed> {
        let run = Run { statement: statement.into(), now: NOW, ..Run::default() };
        let given = run_in(&self.pool, &self.lake, run).await.map_err(Failed)?;
        let types = given.columns.iter().map(|column| kind(&column.kind)).collect();
        Ok(DBOutput::Rows { types, rows: rows(&given) })
    }

    async fn shutdown(&mut self) {}
}

fn kind(word: &str) -> Kind {
    let found = LETTERS.iter().find(|(known, _)| *known == word);
    Kind(found.unwrap_or_else(|| panic!("no letter stands for {word}")).1)
}

/// The values of a result file.
fn rows(given: &Given) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut value, mut inside) = (Vec::new(), Vec::new(), None::<String>, false);
    let mut letters = given.rows.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, inside) {
            ('"', true) if letters.peek() == Some(&'"') => value.as_mut().unwrap().extend(letters.next()),
            ('"', _) => {
                inside = !inside;
                value.get_or_insert_default();
            }
            (letter, true) => value.as_mut().unwrap().push(letter),
            (',', false) => row.push(shown(value.take())),
            ('\n', false) => {
                row.push(shown(value.take()));
                rows.push(std::mem::take(&mut row));
            }
            (letter, false) => panic!("{letter:?} stands outside of quotes in {:?}", given.rows),
        }
    }
    rows
}

/// A value as files have it: no two blanks in a row, and none at an end.
fn shown(value: Option<String>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    if value.is_empty() {
        return "(empty)".to_owned();
    }
    let mut text = String::new();
    for letter in value.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            ' ' if text.is_empty() || text.ends_with([' ', '\u{2423}']) => text.push('\u{2423}'),
            other => text.push(other),
        }
    }
    if text.ends_with(' ') {
        text.pop();
        text.push('\u{2423}');
    }
    text
}

/// Rows are the same when their values are, one for one: two blanks or more stand between them.
fn is_same(_: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let values = |line: &String| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    actual == expected.iter().map(values).collect::<Vec<_>>()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "slt") {
            found.push(path);
        }
    }
}

/// Runs a file to its end; what its records fail with.
async fn failures(pool: &Pool, path: &Path) -> (usize, Vec<String>) {
    let text = std::fs::read_to_string(path).unwrap();
    let database = Database { pool: pool.clone(), lake: logic_lake::read(&text, path) };
    let mut runner = Runner::new(|| {
        let database = database.clone();
        async move { Ok(database) }
    });
    runner.with_column_validator(strict_column_validator);
    runner.with_validator(is_same);
    let records: Vec<Record<Kind>> = sqllogictest::parse_file(path).unwrap_or_else(|error| panic!("{error}"));
    let (mut count, mut failures) = (0, Vec::new());
    for record in records {
        count += usize::from(matches!(record, Record::Query { .. } | Record::Statement { .. }));
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.display(false).to_string());
        }
    }
    (count, failures)
}

#[tokio::test]
async fn statements_in_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let wanted = std::env::var("MILLPOND_SLT").unwrap_or_default();
    let mut paths = Vec::new();
    files(&root, &mut paths);
    paths.retain(|path| path.to_string_lossy().contains(&wanted));
    paths.sort();
    assert!(!paths.is_empty(), "no file has {wanted} in its path");
    let pool = Pool::new(PoolSettings { workers: 1, ..settings(MEMORY) });
    let (mut count, mut failed) = (0, Vec::new());
    for path in paths {
        let begun = std::time::Instant::now();
        let (here, failures) = failures(&pool, &path).await;
        assert!(here > 0, "{} asks nothing", path.display());
        println!("{}: {here} in {} ms", path.display(), begun.elapsed().as_millis());
        count += here;
        failed.extend(failures);
    }
    assert!(failed.is_empty(), "{} of {count} statements:\n\n{}", failed.len(), failed.join("\n\n"));
}
