//! Tables of expressions and what they are, in Trino's documentation or by its rules.

use millpond_query::Run;

use crate::world::{Given, Lake, pool, run_in};

/// 2021-03-04 05:06:07.890, in nanoseconds.
pub const NOW: u64 = 1_614_834_367_890_000_000;

/// A row: an expression, and its text; `NULL` for none.
pub type Row = (&'static str, &'static str);

fn shown(given: &Given) -> String {
    let line = given.rows.trim_end_matches('\n');
    match line.strip_prefix('"').and_then(|line| line.strip_suffix('"')) {
        Some(text) => text.replace("\"\"", "\""),
        None => "NULL".to_owned(),
    }
}

async fn answers(expressions: impl Iterator<Item = &'static str>) -> Vec<(&'static str, Result<Given, String>)> {
    let (pool, lake) = (pool(256 << 20), Lake::default());
    let mut answers = Vec::new();
    for expression in expressions {
        let run = Run { statement: format!("SELECT {expression}"), now: NOW, ..Run::default() };
        answers.push((expression, run_in(&pool, &lake, run).await.map_err(|error| error.to_string())));
    }
    answers
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every expression is what its row says.
pub async fn are(rows: &[Row]) {
    let mut wrong = Vec::new();
    for ((expression, given), (_, due)) in answers(rows.iter().map(|row| row.0)).await.into_iter().zip(rows) {
        let given = given.as_ref().map_or_else(|error| format!("! {error}"), shown);
        if given != *due {
            wrong.push(format!("  {expression}: {given} rather than {due}"));
        }
    }
    report(&wrong);
}

/// Every expression has the type of its row.
pub async fn have_types(rows: &[Row]) {
    let mut wrong = Vec::new();
    for ((expression, given), (_, due)) in answers(rows.iter().map(|row| row.0)).await.into_iter().zip(rows) {
        let kind = |given: &Given| given.columns.first().map_or(String::new(), |column| column.kind.clone());
        let given = given.as_ref().map_or_else(|error| format!("! {error}"), kind);
        if given != *due {
            wrong.push(format!("  {expression}: {given} rather than {due}"));
        }
    }
    report(&wrong);
}

/// Words without the place that they begin with.
fn without_place(words: &str) -> String {
    match words.split_once("line 1:") {
        Some((before, after)) => before.to_owned() + after.split_once(": ").map_or(after, |(_, said)| said),
        None => words.to_owned(),
    }
}

/// Every expression fails with words in which its row's are, with their place or without.
pub async fn fail(rows: &[Row]) {
    let mut wrong = Vec::new();
    for ((expression, given), (_, due)) in answers(rows.iter().map(|row| row.0)).await.into_iter().zip(rows) {
        let given = given.as_ref().map_or_else(|error| format!("! {error}"), shown);
        if !(given.starts_with("! ") && (given.contains(due) || without_place(&given).contains(due))) {
            wrong.push(format!("  {expression}: {given} rather than {due}"));
        }
    }
    report(&wrong);
}
