//! Values for `?`, put in their places as the expressions that they are (Trino documentation, "EXECUTE").

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::sqlparser::ast::{Expr, Spanned, Statement, Value, VisitMut, VisitorMut, visit_expressions};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::trino::Trino;
use crate::failure::Problem;

/// A value's expression: it names no columns and asks nothing.
fn read(text: &str) -> Result<Expr, Problem> {
    let wrong = |why: &dyn std::fmt::Display| {
        Problem::Statement(format!(
            "INVALID_PARAMETER_USAGE: {text} is no value of SQL: {why}. Texts stand in single quotes"
        ))
    };
    let mut parser = Parser::new(&Trino).try_with_sql(text).map_err(|error| wrong(&error))?;
    let value = parser.parse_expr().map_err(|error| wrong(&error))?;
    if parser.peek_token().token != Token::EOF {
        return Err(wrong(&"something stands behind it"));
    }
    let is_constant = visit_expressions(&value, |part| match part {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Subquery(_)
        | Expr::Exists { .. }
        | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if is_constant.is_break() { Err(wrong(&"it is not constant")) } else { Ok(value) }
}

fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Placeholder(mark) if mark == "?"))
}

/// Puts values in; each place is told by where it stands in the statement.
struct Binding {
    places: Vec<Location>,
    values: Vec<Expr>,
}

impl VisitorMut for Binding {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_placeholder(expr) {
            let start = expr.span().start;
            let value = self.places.iter().position(|place| *place == start).and_then(|at| self.values.get(at));
            if let Some(value) = value {
                *expr = Expr::Nested(Box::new(value.clone()));
            }
        }
        ControlFlow::Continue(())
    }
}

/// Puts values in the places of `?`, in the order in which they stand.
///
/// # Errors
/// There are more or fewer of them, or one is no value.
pub fn bind(statement: &mut Statement, parameters: &[String]) -> Result<()> {
    let mut places = Vec::new();
    let _: ControlFlow<()> = visit_expressions(&*statement, |expr| {
        if is_placeholder(expr) {
            places.push(expr.span().start);
        }
        ControlFlow::Continue(())
    });
    places.sort_unstable();
    if places.len() != parameters.len() {
        let words = format!(
            "INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected {} but found {}",
            places.len(),
            parameters.len()
        );
        return Err(Problem::Statement(words).into());
    }
    if !places.is_empty() {
        let values = parameters.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
        let _ = statement.visit(&mut Binding { places, values });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::bound;

    #[test]
    fn values_stand_where_they_were_asked_for() {
        let given = |text: &str, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            bound(text, &values).map(|it| it.statement.to_string()).map_err(|error| error.to_string())
        };
        let text = "WITH w AS (SELECT ? AS a) SELECT a + ? FROM w WHERE '?' = ? LIMIT ?";
        let expected = "WITH w AS (SELECT (1) AS a) SELECT a + (-2) FROM w WHERE '?' = ('it''s') LIMIT (4)";
        assert_eq!(given(text, &["1", "-2", "'it''s'", "4"]).as_deref(), Ok(expected));
        for (text, values, part) in [
            ("SELECT ?", &[][..], "expected 1 but found 0"),
            ("SELECT 1", &["1"], "expected 0 but found 1"),
            ("SELECT ?", &["a"], "not constant"),
            ("SELECT ?", &["1 FROM t"], "behind it"),
            ("SELECT ?", &["'open"], "no value"),
            ("SELECT ?", &["(SELECT 1)"], "not constant"),
        ] {
            assert!(
                given(text, values).is_err_and(|why| why.contains(part)),
                "{text} {values:?}: {:?}",
                given(text, values)
            );
        }
    }
}
