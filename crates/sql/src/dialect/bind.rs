//! Parameters of a statement: each is read as an expression, and stands where its `?` stood.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{tokens, trino, unreadable};
use crate::failure::Problem;

struct Binding(Vec<Expr>);

impl VisitorMut for Binding {
    type Break = Problem;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Problem> {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        let at = name.get(1..).and_then(|digits| digits.parse::<usize>().ok()).and_then(|at| at.checked_sub(1));
        match at.and_then(|at| self.0.get(at)) {
            Some(bound) => {
                *expr = bound.clone();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(Problem::Statement(format!("INVALID_PARAMETER_USAGE: {name} is no parameter"))),
        }
    }
}

/// How many parameters a statement has.
pub fn count(words: &[TokenWithSpan]) -> usize {
    words.iter().filter(|word| matches!(word.token, Token::Placeholder(_))).count()
}

/// Binds parameters.
pub fn bind(statement: &mut Statement, wanted: usize, parameters: &[String]) -> Result<(), Problem> {
    if wanted != parameters.len() {
        let found = parameters.len();
        return Err(Problem::Statement(format!(
            "INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected {wanted} but found {found}"
        )));
    }
    let bound: Result<Vec<Expr>, Problem> = parameters.iter().enumerate().map(|(at, text)| read(at, text)).collect();
    match statement.visit(&mut Binding(bound?)) {
        ControlFlow::Break(problem) => Err(problem),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn read(at: usize, text: &str) -> Result<Expr, Problem> {
    let wrong =
        |problem: &Problem| Problem::Statement(format!("INVALID_PARAMETER_USAGE: parameter {}: {problem}", at + 1));
    let words = tokens::of(text).map_err(|error| wrong(&unreadable(text, &error.into())))?;
    if count(&words) > 0 {
        return Err(wrong(&Problem::Statement("a parameter has none itself".to_owned())));
    }
    let mut parser = Parser::new(&trino::Trino).with_tokens_with_locations(tokens::prepared(words));
    let expr = parser.parse_expr().map_err(|error| wrong(&unreadable(text, &error)))?;
    match parser.next_token().token {
        Token::EOF => Ok(expr),
        more => Err(wrong(&Problem::Statement(format!("it is more than one expression: '{more}' follows")))),
    }
}
