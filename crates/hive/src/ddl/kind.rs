//! What a text is, before anything reads it: DDL of this crate, a query, or something else by its name.
//!
//! Strings are Trino's here (a quote doubled stands for one); only their ends matter.

use super::MAX_STATEMENT_BYTES;
use super::error::{DdlError, Fault, shown};
use super::lex;

/// What a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For [`super::parse`].
    Ddl,
    /// A query.
    Query(QueryKind),
    /// `CREATE TABLE ... AS`
    CreateTableAs,
    /// `INSERT INTO`
    Insert,
    /// `UNLOAD`
    Unload,
    /// `MERGE`, `UPDATE`, `DELETE`, `OPTIMIZE`, `VACUUM`: of Iceberg tables. The word, in capitals.
    Iceberg(&'static str),
    /// `PREPARE`
    Prepare,
    /// `EXECUTE`
    Execute,
    /// `DEALLOCATE`
    Deallocate,
    /// Anything else: its first word as written.
    Other(String),
}

/// What a query begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum QueryKind {
    Select,
    With,
    Values,
    Table,
    Explain,
    /// An opening parenthesis.
    Parenthesis,
}

/// Tells what a text is. An empty one is an error, as is one too long.
pub fn kind_of(sql: &str) -> Result<Kind, DdlError> {
    if sql.len() > MAX_STATEMENT_BYTES {
        return Err(DdlError::at(sql, 0, Fault::TooLong { bytes: sql.len() }));
    }
    let mut at = lex::skip(sql, 0)?;
    // Semicolons before the statement say nothing.
    while sql.get(at..).is_some_and(|rest| rest.starts_with(';')) {
        at = lex::skip(sql, at + 1)?;
    }
    let rest = sql.get(at..).unwrap_or_default();
    let word = first_word(rest);
    if rest.starts_with('(') {
        return Ok(Kind::Query(QueryKind::Parenthesis));
    }
    Ok(match word.to_ascii_lowercase().as_str() {
        "" if rest.is_empty() => return Err(DdlError::at(sql, 0, Fault::Empty)),
        "select" => Kind::Query(QueryKind::Select),
        "with" => Kind::Query(QueryKind::With),
        "values" => Kind::Query(QueryKind::Values),
        "table" => Kind::Query(QueryKind::Table),
        "explain" => Kind::Query(QueryKind::Explain),
        "insert" => Kind::Insert,
        "unload" => Kind::Unload,
        "merge" => Kind::Iceberg("MERGE"),
        "update" => Kind::Iceberg("UPDATE"),
        "delete" => Kind::Iceberg("DELETE"),
        "optimize" => Kind::Iceberg("OPTIMIZE"),
        "vacuum" => Kind::Iceberg("VACUUM"),
        "prepare" => Kind::Prepare,
        "execute" => Kind::Execute,
        "deallocate" => Kind::Deallocate,
        "create" if is_table_as(sql, at).unwrap_or(false) => Kind::CreateTableAs,
        "create" | "drop" | "alter" | "msck" | "show" | "describe" | "desc" => Kind::Ddl,
        "" => Kind::Other(rest.chars().take(1).collect()),
        _ => Kind::Other(shown(word)),
    })
}

fn first_word(rest: &str) -> &str {
    rest.get(..rest.find(|c| !lex::is_word(c)).unwrap_or(rest.len())).unwrap_or_default()
}

/// Whether `CREATE TABLE` has `AS` outside of parentheses.
fn is_table_as(sql: &str, from: usize) -> Result<bool, DdlError> {
    let mut words = Vec::new();
    let mut depth = 0usize;
    let mut pieces = Pieces { sql, at: from };
    while let Some((piece, _)) = pieces.next_piece()? {
        match piece {
            Piece::Other('(') => depth += 1,
            Piece::Other(')') => depth = depth.saturating_sub(1),
            Piece::Other(';') => break,
            Piece::Word(word) if depth == 0 && words.len() < 2 => {
                words.push(word.to_ascii_lowercase());
                // `STORED AS` and others are in tables of other words.
                if words.len() == 2 && words.get(1).is_none_or(|second| second != "table") {
                    return Ok(false);
                }
            }
            Piece::Word(word) if depth == 0 && word.eq_ignore_ascii_case("as") => {
                let next = pieces.next_piece()?;
                let query = ["select", "with", "values", "table"];
                return Ok(match next {
                    Some((Piece::Other('('), _)) => true,
                    Some((Piece::Word(word), _)) => query.iter().any(|q| word.eq_ignore_ascii_case(q)),
                    _ => false,
                });
            }
            _ => {}
        }
    }
    Ok(false)
}

/// A query's text without semicolons around it. Several statements are refused.
pub fn single(sql: &str) -> Result<&str, DdlError> {
    let mut start = lex::skip(sql, 0)?;
    while sql.get(start..).is_some_and(|rest| rest.starts_with(';')) {
        start = lex::skip(sql, start + 1)?;
    }
    let (end, _) = extent(sql, start)?;
    let text = sql.get(start..end).unwrap_or_default().trim_end();
    if text.is_empty() { Err(DdlError::at(sql, 0, Fault::Empty)) } else { Ok(text) }
}

/// A view's query, and where the text ends.
pub(super) fn body(sql: &str, from: usize) -> Result<(String, usize), DdlError> {
    let (end, all) = extent(sql, from)?;
    let text = sql.get(from..end).unwrap_or_default().trim();
    if lex::skip(text, 0)? == text.len() {
        let fault = Fault::Unexpected { found: "'<EOF>'".into(), expected: "a query".into() };
        return Err(DdlError::at(sql, end, fault));
    }
    Ok((text.to_owned(), all))
}

/// Where the statement ends, without semicolons, and where the text does.
fn extent(sql: &str, from: usize) -> Result<(usize, usize), DdlError> {
    let mut pieces = Pieces { sql, at: from };
    let mut end = None;
    while let Some((piece, start)) = pieces.next_piece()? {
        match (piece, end) {
            (Piece::Other(';'), None) => end = Some(start),
            (Piece::Other(';'), Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err(DdlError::at(sql, start, Fault::Several { sql: shown(sql.trim()) }));
            }
        }
    }
    Ok((end.unwrap_or(sql.len()), sql.len()))
}

enum Piece<'a> {
    Word(&'a str),
    /// A string or a name in quotes.
    Quoted,
    Other(char),
}

struct Pieces<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    fn next_piece(&mut self) -> Result<Option<(Piece<'a>, usize)>, DdlError> {
        self.at = lex::skip(self.sql, self.at)?;
        let start = self.at;
        let rest = self.sql.get(start..).unwrap_or_default();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (piece, length) = match first {
            '\'' | '"' | '`' => {
                // One that is doubled is the end of one and the beginning of the next: the ends are the same.
                let Some(end) = rest.get(1..).and_then(|inside| inside.find(first)) else {
                    return Err(DdlError::at(self.sql, start, Fault::Unterminated { what: "what stands in quotes" }));
                };
                (Piece::Quoted, end + 2)
            }
            c if lex::is_word(c) => {
                let word = first_word(rest);
                (Piece::Word(word), word.len())
            }
            c => (Piece::Other(c), c.len_utf8()),
        };
        self.at += length;
        Ok(Some((piece, start)))
    }
}
