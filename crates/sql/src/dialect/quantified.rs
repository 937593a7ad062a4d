//! Comparisons with all rows of a query, or with any of them, as expressions that the engine has.
//!
//! Trino documentation, "Comparison functions and operators", "Quantified comparison predicates".

use datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, Expr, Query, SetExpr, Statement, TableFactor, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::functions::case;
use super::trino::Trino;
use crate::failure::Problem;

/// The most of them in a statement: each is written with copies of its query, and one within another with copies of copies.
const MAX_QUANTIFIED: usize = 64;

/// Counts them.
#[derive(Debug, Default)]
pub struct Quantified(usize);

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_owned(), false))
}

fn binary(left: Expr, op: Op, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

fn not(expr: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }))
}

/// What `aggregate` is of the rows of a query.
fn of(aggregate: &str, query: &Query) -> Option<Expr> {
    let text = format!("SELECT {aggregate} FROM (SELECT 1) AS \"$rows\" (\"$value\")");
    let Statement::Query(mut around) = Parser::parse_sql(&Trino, &text).ok()?.pop()? else { return None };
    let SetExpr::Select(select) = &mut *around.body else { return None };
    match &mut select.from.first_mut()?.relation {
        TableFactor::Derived { subquery, .. } => **subquery = query.clone(),
        _ => return None,
    }
    Some(Expr::Subquery(around))
}

/// Which row decides: no other makes the comparison true where this one makes it false, or the other way round.
fn deciding(left: &Expr, op: &Op, query: &Query, is_all: bool) -> Option<Expr> {
    let (least, greatest) = (|| of("min(\"$value\")", query), || of("max(\"$value\")", query));
    let compared = |op: &Op, with: Expr| binary(left.clone(), op.clone(), with);
    Some(match op {
        Op::Gt | Op::GtEq => compared(op, if is_all { greatest()? } else { least()? }),
        Op::Lt | Op::LtEq => compared(op, if is_all { least()? } else { greatest()? }),
        Op::Eq if is_all => binary(compared(op, least()?), Op::And, compared(op, greatest()?)),
        Op::NotEq if !is_all => binary(compared(op, least()?), Op::Or, compared(op, greatest()?)),
        _ => return None,
    })
}

impl Quantified {
    /// What an expression is to be instead; `None` to let it be.
    ///
    /// # Errors
    /// There are too many, or it is a comparison of another kind.
    pub fn rewritten(&mut self, expr: &Expr) -> Result<Option<Expr>, Problem> {
        let (left, op, right, is_all) = match expr {
            Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, false),
            Expr::AllOp { left, compare_op, right } => (left, compare_op, right, true),
            _ => return Ok(None),
        };
        let Expr::Subquery(query) = &**right else { return Ok(None) };
        self.0 += 1;
        if self.0 > MAX_QUANTIFIED {
            let words = format!("NOT_SUPPORTED: a statement has at most {MAX_QUANTIFIED} comparisons with ANY or ALL");
            return Err(Problem::Statement(words));
        }
        let within = |negated| Expr::InSubquery { expr: left.clone(), subquery: query.clone(), negated };
        if matches!((op, is_all), (Op::Eq, false) | (Op::NotEq, true)) {
            return Ok(Some(within(is_all)));
        }
        let written = deciding(left, op, query, is_all).and_then(|test| known(test, query, is_all));
        written.map(Some).ok_or_else(|| Problem::Statement(format!("SYNTAX_ERROR: {op} does not go with ANY or ALL")))
    }
}

/// Without rows ALL is true and ANY false; a NULL among them leaves open what no other row decides.
fn known(test: Expr, query: &Query, is_all: bool) -> Option<Expr> {
    let none = binary(of("count(*)", query)?, Op::Eq, number("0"));
    let nulls = binary(of("count(*) - count(\"$value\")", query)?, Op::Gt, number("0"));
    let undecided = if is_all { test.clone() } else { not(test.clone()) };
    let open = case(binary(undecided, Op::And, nulls), Expr::value(Value::Null), Some(test));
    let empty = Expr::value(Value::Boolean(is_all));
    Some(Expr::Nested(Box::new(case(none, empty, Some(Expr::Nested(Box::new(open)))))))
}
