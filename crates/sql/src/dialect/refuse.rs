//! What the parser takes and Trino does not, or what of Trino's is not carried out: told with its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableFactor, TableWithJoins, Visitor, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

use super::{refuse_expr, tokens};
use crate::failure::Problem;

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Trino has no such words.
    Syntax,
    /// Trino has it, and here it is not carried out.
    Absent,
}

/// Something that is refused: the words that it stands in, and what is said of it.
pub type Refusal = (&'static [&'static str], Why, &'static str);

/// Looks for what is refused.
#[derive(Debug)]
pub struct Refusing<'a> {
    /// Where words stand.
    pub tokens: &'a [TokenWithSpan],
    /// How many lambdas the expression stands in.
    pub lambdas: usize,
}

/// The most lambdas within each other, `try` among them: each is planned more than once.
const MAX_LAMBDAS: usize = 10;

/// Whether what is in an expression is planned as a lambda.
fn is_lambda(expr: &Expr) -> bool {
    match expr {
        Expr::Lambda(_) => true,
        Expr::Function(call) => call.name.to_string().eq_ignore_ascii_case("try"),
        _ => false,
    }
}

/// The words of a refusal, with the place.
pub fn problem(why: Why, place: &str, words: &str) -> Problem {
    let code = match why {
        Why::Syntax => "SYNTAX_ERROR",
        Why::Absent => "NOT_SUPPORTED",
    };
    Problem::Statement(format!("{code}: {place}{words}"))
}

impl Refusing<'_> {
    /// The error of a refusal. Where its words do not stand as they are, the place is that of what has a place.
    pub fn refuse(&self, (words, why, said): Refusal, at: &impl Spanned) -> ControlFlow<Problem> {
        let found = tokens::place(self.tokens, words);
        let place = if found.is_empty() { tokens::shown(at.span()) } else { found };
        ControlFlow::Break(problem(why, &place, said))
    }

    fn first(&self, refused: &[(bool, Refusal)], at: &impl Spanned) -> ControlFlow<Problem> {
        match refused.iter().find(|(is, _)| *is) {
            Some((_, refusal)) => self.refuse(*refusal, at),
            None => ControlFlow::Continue(()),
        }
    }

    fn joins(&self, joined: &TableWithJoins) -> ControlFlow<Problem> {
        joined.joins.iter().try_for_each(|join| match join_refused(join) {
            Some(refusal) => self.refuse(refusal, &join.relation),
            None => ControlFlow::Continue(()),
        })
    }

    fn item(&self, item: &SelectItem) -> ControlFlow<Problem> {
        let refusal = match item {
            SelectItem::ExprWithAliases { .. } => Some((&["AS", "("][..], Why::Syntax, "a column has one name")),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                Some((&[".", "*"][..], Why::Absent, "the fields of a row as columns: name them one by one"))
            }
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => star(options),
            _ => None,
        };
        refusal.map_or(ControlFlow::Continue(()), |refusal| self.refuse(refusal, item))
    }

    fn set(&self, body: &SetExpr) -> ControlFlow<Problem> {
        let refused: Refusal = match body {
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                use SetQuantifier::{All, AllByName, ByName, DistinctByName};
                if *op == SetOperator::Minus {
                    (&["MINUS"], Why::Syntax, "MINUS is not Trino's: write EXCEPT")
                } else if matches!(set_quantifier, AllByName | ByName | DistinctByName) {
                    (&["BY", "NAME"], Why::Syntax, "columns are united by their places, not BY NAME")
                } else if *set_quantifier == All && *op == SetOperator::Intersect {
                    (
                        &["INTERSECT", "ALL"],
                        Why::Absent,
                        "INTERSECT ALL is not carried out: number equal rows with row_number()",
                    )
                } else if *set_quantifier == All && *op == SetOperator::Except {
                    (
                        &["EXCEPT", "ALL"],
                        Why::Absent,
                        "EXCEPT ALL is not carried out: number equal rows with row_number()",
                    )
                } else {
                    self.set(left)?;
                    return self.set(right);
                }
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                (&["WITH"], Why::Absent, "a query with a change in it is not carried out")
            }
            _ => return ControlFlow::Continue(()),
        };
        self.refuse(refused, body)
    }
}

impl Visitor for Refusing<'_> {
    type Break = Problem;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Problem> {
        let limit_by =
            matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
        let comma = matches!(query.limit_clause, Some(LimitClause::OffsetCommaLimit { .. }));
        let all = query.order_by.as_ref().is_some_and(|order| matches!(order.kind, OrderByKind::All(_)));
        let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
        let percent = query.fetch.as_ref().is_some_and(|fetch| fetch.percent);
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        let kept = query.with.iter().flat_map(|with| &with.cte_tables).any(|table| table.materialized.is_some());
        let both = query.fetch.is_some()
            && matches!(query.limit_clause, Some(LimitClause::LimitOffset { limit: Some(_), .. }));
        let extras = query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some();
        self.first(
            &[
                (recursive, (&["RECURSIVE"], Why::Absent, "WITH RECURSIVE is not carried out")),
                (kept, (&["MATERIALIZED"], Why::Syntax, "MATERIALIZED is not Trino's")),
                (limit_by, (&["LIMIT"], Why::Syntax, "LIMIT ... BY is not Trino's: number the rows with row_number()")),
                (comma, (&["LIMIT"], Why::Syntax, "LIMIT with a comma is not Trino's: write OFFSET n LIMIT m")),
                (all, (&["ORDER", "BY", "ALL"], Why::Syntax, "ORDER BY ALL is not Trino's: name the columns")),
                (ties, (&["TIES"], Why::Absent, "FETCH ... WITH TIES is not carried out: choose rows by rank()")),
                (percent, (&["PERCENT"], Why::Syntax, "FETCH takes rows, not PERCENT")),
                (both, (&["FETCH"], Why::Syntax, "a query has LIMIT or FETCH, not both")),
                (extras, (&[], Why::Syntax, "FOR, SETTINGS and FORMAT are not Trino's")),
                (!query.locks.is_empty(), (&["FOR"], Why::Syntax, "FOR UPDATE and FOR SHARE are not Trino's")),
                (!query.pipe_operators.is_empty(), (&["|>"], Why::Syntax, "pipes are not Trino's")),
            ],
            query,
        )?;
        self.set(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Problem> {
        let modified = matches!(&select.group_by, GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers) if !modifiers.is_empty());
        let on = matches!(select.distinct, Some(Distinct::On(_)));
        let sorted = !select.cluster_by.is_empty() || !select.distribute_by.is_empty() || !select.sort_by.is_empty();
        let extras = select.select_modifiers.is_some()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard;
        self.first(
            &[
                (
                    on,
                    (&["DISTINCT", "ON"], Why::Syntax, "DISTINCT ON is not Trino's: number the rows with row_number()"),
                ),
                (select.top.is_some(), (&["TOP"], Why::Syntax, "TOP is not Trino's: write LIMIT")),
                (select.exclude.is_some(), (&["EXCLUDE"], Why::Syntax, "EXCLUDE is not Trino's: name the columns")),
                (select.into.is_some(), (&["INTO"], Why::Syntax, "SELECT INTO is not Trino's")),
                (
                    select.qualify.is_some(),
                    (&["QUALIFY"], Why::Syntax, "QUALIFY is not Trino's: put the query into another one with WHERE"),
                ),
                (
                    !select.lateral_views.is_empty(),
                    (&["LATERAL", "VIEW"], Why::Syntax, "LATERAL VIEW is Hive's: write CROSS JOIN UNNEST"),
                ),
                (
                    modified,
                    (&["WITH"], Why::Syntax, "GROUP BY ... WITH is not Trino's: write ROLLUP (...) or CUBE (...)"),
                ),
                (
                    matches!(select.group_by, GroupByExpr::All(_)),
                    (&["GROUP", "BY", "ALL"], Why::Syntax, "GROUP BY ALL is not Trino's: name the columns"),
                ),
                (sorted, (&[], Why::Syntax, "CLUSTER BY, DISTRIBUTE BY and SORT BY are Hive's: write ORDER BY")),
                (extras, (&[], Why::Syntax, "this SELECT is not Trino's")),
                (
                    select.projection.is_empty(),
                    (&["FROM"], Why::Syntax, "mismatched input 'FROM'. Expecting: an expression"),
                ),
            ],
            select,
        )?;
        select.projection.iter().try_for_each(|item| self.item(item))?;
        select.from.iter().try_for_each(|from| self.joins(from))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Problem> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            self.joins(table_with_joins)?;
        }
        factor_refused(factor).map_or(ControlFlow::Continue(()), |refusal| self.refuse(refusal, factor))
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Problem> {
        self.lambdas -= usize::from(is_lambda(expr));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Problem> {
        self.lambdas += usize::from(is_lambda(expr));
        if self.lambdas > MAX_LAMBDAS {
            return self.refuse((&[], Why::Absent, "more than 10 lambdas within each other"), expr);
        }
        refuse_expr::refused(expr).map_or(ControlFlow::Continue(()), |refusal| self.refuse(refusal, expr))
    }
}

fn star(options: &WildcardAdditionalOptions) -> Option<Refusal> {
    let said = "a star takes no more words in Trino: name the columns";
    let words: &'static [&'static str] = match options {
        WildcardAdditionalOptions { opt_ilike: Some(_), .. } => &["ILIKE"],
        WildcardAdditionalOptions { opt_exclude: Some(_), .. } => &["EXCLUDE"],
        WildcardAdditionalOptions { opt_except: Some(_), .. } => &["EXCEPT"],
        WildcardAdditionalOptions { opt_replace: Some(_), .. } => &["REPLACE"],
        WildcardAdditionalOptions { opt_rename: Some(_), .. } => &["RENAME"],
        WildcardAdditionalOptions { opt_alias: Some(_), .. } => &["*", "AS"],
        _ => return None,
    };
    Some((words, Why::Syntax, said))
}

fn join_refused(join: &Join) -> Option<Refusal> {
    use JoinOperator as Op;
    let constraint = match &join.join_operator {
        Op::Join(c)
        | Op::Inner(c)
        | Op::Left(c)
        | Op::LeftOuter(c)
        | Op::Right(c)
        | Op::RightOuter(c)
        | Op::FullOuter(c) => c,
        Op::CrossJoin(JoinConstraint::None) if !join.global => return None,
        Op::CrossJoin(_) => return Some((&["CROSS", "JOIN"], Why::Syntax, "CROSS JOIN has no condition")),
        _ => {
            return Some((
                &["JOIN"],
                Why::Syntax,
                "this join is not Trino's: write JOIN, LEFT JOIN, RIGHT JOIN, FULL JOIN or CROSS JOIN",
            ));
        }
    };
    match constraint {
        // The engine takes the left side's column for both.
        JoinConstraint::Using(_)
            if matches!(join.join_operator, Op::FullOuter(_) | Op::Right(_) | Op::RightOuter(_)) =>
        {
            Some((
                &["USING"],
                Why::Absent,
                "USING is not carried out with RIGHT and FULL JOIN: write ON, and which side's column is meant",
            ))
        }
        JoinConstraint::Natural => Some((&["NATURAL"], Why::Absent, "Natural join not supported")),
        JoinConstraint::None => {
            Some((&["JOIN"], Why::Syntax, "a join needs ON or USING; without a condition it is CROSS JOIN"))
        }
        _ => join.global.then_some((&["GLOBAL"], Why::Syntax, "GLOBAL is not Trino's")),
    }
}

fn factor_refused(factor: &TableFactor) -> Option<Refusal> {
    use TableFactor as F;
    const FUNCTION: Refusal = (&[], Why::Absent, "tables that are functions are not carried out");
    let refusal: Refusal = match factor {
        F::Table { sample: Some(_), .. } | F::Derived { sample: Some(_), .. } => {
            (&["TABLESAMPLE"], Why::Absent, "TABLESAMPLE is not carried out: filter by random()")
        }
        F::Table { version: Some(_), .. } => (&["FOR"], Why::Absent, "versions of tables are not carried out"),
        F::Table { with_hints, partitions, json_path, index_hints, .. }
            if !with_hints.is_empty() || !partitions.is_empty() || json_path.is_some() || !index_hints.is_empty() =>
        {
            (&[], Why::Syntax, "a table takes no such words in Trino")
        }
        F::Table { name, args: Some(args), .. } if super::unnest::is_unnest(name) => {
            if args.settings.is_none() {
                return None;
            } else {
                FUNCTION
            }
        }
        F::Table { args: None, with_ordinality: false, .. } | F::Derived { .. } | F::NestedJoin { .. } => return None,
        F::Table { args: None, .. } => (&["ORDINALITY"], Why::Syntax, "WITH ORDINALITY belongs to UNNEST"),
        F::UNNEST { with_offset: false, with_offset_alias: None, .. } => return None,
        F::UNNEST { .. } => (&["OFFSET"], Why::Syntax, "WITH OFFSET is not Trino's: write WITH ORDINALITY"),
        F::Pivot { .. } => (&["PIVOT"], Why::Syntax, "PIVOT is not Trino's: write aggregates with FILTER"),
        F::Unpivot { .. } => (&["UNPIVOT"], Why::Syntax, "UNPIVOT is not Trino's: write CROSS JOIN UNNEST"),
        F::MatchRecognize { .. } => (&["MATCH_RECOGNIZE"], Why::Absent, "MATCH_RECOGNIZE is not carried out"),
        F::JsonTable { .. } => (&["JSON_TABLE"], Why::Absent, "JSON_TABLE is not carried out: use json_extract"),
        _ => FUNCTION,
    };
    Some(refusal)
}
