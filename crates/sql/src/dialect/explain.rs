//! EXPLAIN and its options (Trino documentation, "EXPLAIN" and "EXPLAIN ANALYZE"; Athena User Guide, "Using EXPLAIN").

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::refuse::{Why, problem};
use super::tokens::{is, shown};
use crate::failure::Problem;

/// What is to be done with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is run.
    Rows,
    /// Its plan is told.
    Plan(Form),
    /// It is only checked.
    Validate,
    /// It is run, and what that took is told.
    Analyze,
}

/// How a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The operators that run (`TYPE DISTRIBUTED`, the default).
    Physical,
    /// The relational plan (`TYPE LOGICAL`).
    Logical,
    /// `FORMAT JSON`
    Json,
    /// `FORMAT GRAPHVIZ`
    Graphviz,
}

/// What a statement asks for, and the statement that it asks it of.
pub fn asked(words: &[TokenWithSpan]) -> Result<(Asked, &[TokenWithSpan]), Problem> {
    match words {
        [explain, analyze, verbose, rest @ ..]
            if is(explain, "EXPLAIN") && is(analyze, "ANALYZE") && is(verbose, "VERBOSE") =>
        {
            Ok((Asked::Analyze, rest))
        }
        [explain, analyze, rest @ ..] if is(explain, "EXPLAIN") && is(analyze, "ANALYZE") => match rest {
            [open, ..] if open.token == Token::LParen && !is_query(rest) => {
                let (form, rest) = options(rest)?;
                match form {
                    Asked::Plan(Form::Physical) => Ok((Asked::Analyze, rest)),
                    _ => Err(problem(Why::Absent, &shown(open.span), "EXPLAIN ANALYZE has FORMAT TEXT alone")),
                }
            }
            _ => Ok((Asked::Analyze, rest)),
        },
        [explain, rest @ ..] if is(explain, "EXPLAIN") => match rest {
            [open, ..] if open.token == Token::LParen && !is_query(rest) => options(rest),
            _ => Ok((Asked::Plan(Form::Physical), rest)),
        },
        _ => Ok((Asked::Rows, words)),
    }
}

/// Whether what stands in the parenthesis is a query.
fn is_query(words: &[TokenWithSpan]) -> bool {
    let first = words.iter().find(|token| token.token != Token::LParen);
    first.is_some_and(|token| ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| is(token, word)))
}

fn options(words: &[TokenWithSpan]) -> Result<(Asked, &[TokenWithSpan]), Problem> {
    let end = words.iter().position(|token| token.token == Token::RParen).unwrap_or(words.len());
    let (inside, rest) = words.split_at_checked(end).unwrap_or((words, &[]));
    let (mut kind, mut format) = (Asked::Plan(Form::Physical), None);
    for option in inside.get(1..).unwrap_or_default().split(|token| token.token == Token::Comma) {
        let [name, value] = option else {
            let place = words.first().map(|token| shown(token.span)).unwrap_or_default();
            return Err(problem(Why::Syntax, &place, "an option of EXPLAIN is FORMAT or TYPE and one word"));
        };
        let (name, word) = (name.token.to_string().to_uppercase(), value.token.to_string().to_uppercase());
        match (name.as_str(), word.as_str()) {
            ("TYPE", "DISTRIBUTED") => kind = Asked::Plan(Form::Physical),
            ("TYPE", "LOGICAL") => kind = Asked::Plan(Form::Logical),
            ("TYPE", "VALIDATE") => kind = Asked::Validate,
            ("TYPE", "IO") => {
                return Err(problem(
                    Why::Absent,
                    &shown(value.span),
                    "EXPLAIN (TYPE IO) is not carried out: EXPLAIN ANALYZE has what each table reads",
                ));
            }
            ("FORMAT", "TEXT") => format = None,
            ("FORMAT", "JSON") => format = Some(Form::Json),
            ("FORMAT", "GRAPHVIZ") => format = Some(Form::Graphviz),
            _ => {
                let said = format!("{name} {word} is no option of EXPLAIN");
                return Err(problem(Why::Syntax, &shown(value.span), &said));
            }
        }
    }
    let asked = match (kind, format) {
        (Asked::Plan(_), Some(form)) => Asked::Plan(form),
        (kind, _) => kind,
    };
    Ok((asked, rest.get(1..).unwrap_or_default()))
}
