//! Trino's SQL, as Athena takes it, into what the engine plans.
//!
//! Athena User Guide, "DML queries, functions, and operators"; Trino documentation, "SQL language".

mod aggregates;
mod cast;
mod functions;
mod names;
mod rewrite;
mod trino;

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement, VisitMut};

use crate::failure::Problem;

/// The longest statement in bytes (Athena's "Service Quotas", query string length).
pub const MAX_STATEMENT: usize = 262_144;

/// A statement that was understood.
#[derive(Debug)]
pub struct Understood {
    /// What the engine plans.
    pub statement: Parsed,
    /// The names of the result's columns where the statement gives them in quotes, by place: there alone case matters.
    pub names: Vec<Option<String>>,
}

/// Reads a statement.
///
/// # Errors
/// It is none, is several, or asks for what is not carried out; the error has the place.
pub fn understand(text: &str) -> Result<Understood> {
    if text.len() > MAX_STATEMENT {
        let words = format!("a statement has at most {MAX_STATEMENT} bytes");
        return Err(Problem::Statement(words).into());
    }
    if let Some(at) = text.find(['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}']) {
        let words = format!("SYNTAX_ERROR: {}: a typographic quote: names stand in \", texts in '", place(text, at));
        // Within a text in quotes it is a character like any other: only what cannot be read is told so.
        if parsed(text).is_err() {
            return Err(Problem::Statement(words).into());
        }
    }
    let mut statement = parsed(text)?;
    let Parsed::Statement(inner) = &mut statement else {
        return Err(Problem::Statement("SYNTAX_ERROR: this statement is not carried out".to_owned()).into());
    };
    let names = names(inner);
    let mut rewriting = rewrite::Rewriting::default();
    match inner.visit(&mut rewriting) {
        ControlFlow::Break(problem) => Err(problem.into()),
        ControlFlow::Continue(()) => Ok(Understood { statement, names }),
    }
}

fn parsed(text: &str) -> Result<Parsed> {
    let mut statements = DFParserBuilder::new(text).with_dialect(&trino::Trino).build()?.parse_statements()?;
    match (statements.pop_front(), statements.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Problem::Statement("SYNTAX_ERROR: the statement is empty".to_owned()).into()),
        (Some(_), more) => {
            let words = format!("Only one sql statement is allowed. Got: {}", more + 1);
            Err(Problem::Statement(words).into())
        }
    }
}

/// A place in a text as people count: from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}:{column}")
}

/// What the outermost list of columns calls them in quotes.
fn names(statement: &Statement) -> Vec<Option<String>> {
    let Statement::Query(query) = statement else { return Vec::new() };
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
        understand(text).unwrap().statement.to_string()
    }

    fn refused(text: &str) -> String {
        understand(text).unwrap_err().to_string()
    }

    #[test]
    fn names_are_lower_case_whatever_their_quotes() {
        assert_eq!(
            read("SELECT \"LineItem\", b.Key FROM Db.\"Tab\" b WHERE \"B\".\"X\" = 'Y'"),
            "SELECT \"lineitem\", b.key FROM db.\"tab\" AS b WHERE \"b\".\"x\" = 'Y'"
        );
        let names = understand("SELECT a AS \"Usage Units\", b AS Cost FROM t").unwrap().names;
        assert_eq!(names, [Some("Usage Units".to_owned()), None]);
    }

    #[test]
    fn functions_have_the_engines_names() {
        assert_eq!(
            read("SELECT STDDEV_SAMP(a), if(b, 1), concat(a, 'x', b)"),
            "SELECT stddev(a), CASE WHEN b THEN 1 END, a || 'x' || b"
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
            ("SELECT ngrams(a, 2) FROM t", "NOT_SUPPORTED: line 1:8: Function 'ngrams' is not carried out"),
        ] {
            let words = refused(text);
            assert!(words.contains(part), "{text}: {words}");
        }
        read("SELECT '\u{201c}' FROM t");
    }
}
