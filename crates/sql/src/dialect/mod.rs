//! Trino's SQL, as Athena takes it, into what the engine plans.
//!
//! Athena User Guide, "DML queries, functions, and operators"; Trino documentation, "SQL language".

mod aggregates;
mod bind;
mod cast;
mod columns;
mod explain;
mod functions;
mod lambdas;
mod literals;
mod names;
mod placed;
mod quantified;
mod refuse;
mod refuse_expr;
mod rewrite;
mod stars;
mod tokens;
mod trino;
mod unnest;
mod whole;

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Query, SelectItem, SetExpr, Statement, Visit, VisitMut};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::failure::Problem;

pub use columns::{MARK, shown};
pub use explain::{Asked, Form};
pub use names::spoken;
pub use placed::placed;
pub use stars::{HIDDEN, Known, has_star, without_hidden};

/// The longest statement in bytes (Athena's "Service Quotas", query string length).
pub const MAX_STATEMENT: usize = 262_144;

/// A statement that was understood.
#[derive(Debug)]
pub struct Understood {
    /// What the engine plans.
    pub statement: Parsed,
    /// Whether it is run or explained.
    pub asked: Asked,
    /// The names of the result's columns where the statement gives them in quotes, by place: there alone case matters.
    pub names: Vec<Option<String>>,
    /// Whether it names a column of [`HIDDEN`].
    pub hidden: bool,
}

/// Reads a statement. Its parameters (`?`) are expressions, bound by their order.
///
/// # Errors
/// It is none, is several, or asks for what is not carried out; the error has the place.
pub fn understand(text: &str, parameters: &[String]) -> Result<Understood> {
    if text.len() > MAX_STATEMENT {
        let words = format!("a statement has at most {MAX_STATEMENT} bytes");
        return Err(Problem::Statement(words).into());
    }
    let words = tokens::of(text).map_err(|error| unreadable(text, &error.into()))?;
    Ok(read(text, &words, parameters)?)
}

fn read(text: &str, words: &[TokenWithSpan], parameters: &[String]) -> Result<Understood, Problem> {
    let (asked, body) = explain::asked(words)?;
    refuse_tokens(body)?;
    let mut statement = parsed(text, body)?;
    bind::bind(&mut statement, bind::count(body), parameters)?;
    if let ControlFlow::Break(problem) = statement.visit(&mut refuse::Refusing { tokens: body, lambdas: 0 }) {
        return Err(problem);
    }
    let Statement::Query(query) = &mut statement else {
        let what = body.first().map(|token| token.token.to_string()).unwrap_or_default();
        return Err(Problem::Statement(format!(
            "SYNTAX_ERROR: {} statements are not carried out here",
            what.to_uppercase()
        )));
    };
    let names = names(query);
    columns::outermost(query);
    match query.visit(&mut rewrite::Rewriting::default()) {
        ControlFlow::Break(problem) => Err(problem),
        ControlFlow::Continue(()) => {
            let hidden = stars::names_hidden(body);
            Ok(Understood { statement: Parsed::Statement(Box::new(statement)), asked, names, hidden })
        }
    }
}

/// What tokens alone tell.
fn refuse_tokens(words: &[TokenWithSpan]) -> Result<(), Problem> {
    if let Some(equal) = words.iter().find(|token| token.token == Token::DoubleEq) {
        let place = tokens::shown(equal.span);
        return Err(refuse::problem(refuse::Why::Syntax, &place, "== is not Trino's: write ="));
    }
    if let Some(digits) = words.windows(2).find_map(tokens::begins_with_digits) {
        let place = tokens::shown(digits);
        let said = "identifiers must not start with a digit; surround the identifier with double quotes";
        return Err(refuse::problem(refuse::Why::Syntax, &place, said));
    }
    let swapped = words
        .windows(3)
        .find(|some| matches!(some, [limit, _, offset] if tokens::is(limit, "LIMIT") && tokens::is(offset, "OFFSET")));
    match swapped {
        Some([.., offset]) => {
            let place = tokens::shown(offset.span);
            Err(refuse::problem(refuse::Why::Syntax, &place, "mismatched input 'OFFSET': it stands before LIMIT"))
        }
        _ => Ok(()),
    }
}

fn parsed(text: &str, words: &[TokenWithSpan]) -> Result<Statement, Problem> {
    let words = tokens::prepared(words.to_vec());
    let mut statements = Parser::new(&trino::Trino)
        .with_tokens_with_locations(words)
        .parse_statements()
        .map_err(|error| unreadable(text, &error))?;
    match (statements.pop(), statements.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Problem::Statement("SYNTAX_ERROR: the statement is empty".to_owned())),
        (Some(_), more) => Err(Problem::Statement(format!("Only one sql statement is allowed. Got: {}", more + 1))),
    }
}

/// What the parser says, in Trino's words: the place first.
fn unreadable(text: &str, error: &ParserError) -> Problem {
    // Within a text in quotes it is a character like any other: only what cannot be read is told so.
    if let Some(at) = text.find(['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}']) {
        let words = format!("SYNTAX_ERROR: {}: a typographic quote: names stand in \", texts in '", place(text, at));
        return Problem::Statement(words);
    }
    let (ParserError::ParserError(said) | ParserError::TokenizerError(said)) = error else {
        return Problem::Statement("SYNTAX_ERROR: the statement nests too deep".to_owned());
    };
    let (said, place) = match said.rsplit_once(" at Line: ") {
        Some((said, place)) => (said, format!("line {}: ", place.replace(", Column: ", ":"))),
        // The end has no place of the parser's.
        None => (said.as_str(), format!("{}: ", place(text, text.trim_end().len()))),
    };
    let said = match said.strip_prefix("Expected: ").and_then(|said| said.rsplit_once(", found: ")) {
        Some((wanted, "EOF")) => format!("mismatched input '<EOF>'. Expecting: {wanted}"),
        Some((wanted, found)) => format!("mismatched input '{found}'. Expecting: {wanted}"),
        None => said.to_owned(),
    };
    Problem::Statement(format!("SYNTAX_ERROR: {place}{said}"))
}

/// A place in a text as people count: from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}:{column}")
}

/// What the outermost list of columns calls them in quotes.
fn names(query: &Query) -> Vec<Option<String>> {
    let mut body = &*query.body;
    loop {
        match body {
            SetExpr::Query(inner) => body = &inner.body,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Select(select) => {
                let quoted = |item: &SelectItem| match item {
                    SelectItem::ExprWithAlias { alias, .. } if alias.quote_style.is_some() => Some(alias.value.clone()),
                    _ => None,
                };
                let has_all = select
                    .projection
                    .iter()
                    .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
                // Behind a star nobody knows the places.
                return if has_all { Vec::new() } else { select.projection.iter().map(quoted).collect() };
            }
            _ => return Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        understand(text, &[]).unwrap().statement.to_string()
    }

    fn refused(text: &str) -> String {
        understand(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn names_are_lower_case_whatever_their_quotes() {
        assert_eq!(
            read("SELECT \"LineItem\", b.Key FROM Db.\"Tab\" b WHERE \"B\".\"X\" = 'Y'"),
            "SELECT \"lineitem\", b.key FROM db.\"tab\" b WHERE \"b\".\"x\" = 'Y'"
        );
        let names = understand("SELECT a AS \"Usage Units\", b AS Cost FROM t", &[]).unwrap().names;
        assert_eq!(names, [Some("Usage Units".to_owned()), None]);
    }

    #[test]
    fn functions_have_the_engines_names() {
        assert_eq!(
            read("SELECT STDDEV_SAMP(a) AS x, if(b, 'c') AS y, concat(a, 'x', b) AS z"),
            "SELECT stddev(a) AS x, CASE WHEN b THEN 'c' END AS y, a || 'x' || b AS z"
        );
    }

    #[test]
    fn what_is_not_carried_out_is_refused() {
        for (text, part) in [
            ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
            ("SELECT 1; SELECT 2", "Only one sql statement"),
            ("", "empty"),
            ("SELECT \u{201c}a\u{201d} FROM t", "line 1:8: a typographic quote"),
            ("SELECT to_char(a, 'YYYY') FROM t", "FUNCTION_NOT_FOUND: line 1:8: Function 'to_char' not registered"),
            ("SELECT tdigest_agg(a) FROM t", "NOT_SUPPORTED: line 1:8: Function 'tdigest_agg' is not carried out"),
        ] {
            let words = refused(text);
            assert!(words.contains(part), "{text}: {words}");
        }
        read("SELECT '\u{201c}' FROM t");
    }
}
