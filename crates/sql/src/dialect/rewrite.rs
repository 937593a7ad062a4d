//! Names and functions of a statement, as the engine has them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, LimitClause, ObjectName, ObjectNamePart, Query, Select, SelectItem, TableAlias,
    TableFactor, Value, VisitorMut,
};

use super::quantified::Quantified;
use super::{columns, functions, lambdas, literals, unnest, whole};
use crate::failure::Problem;

/// Changes a statement in place.
#[derive(Debug, Default)]
pub struct Rewriting {
    names: columns::Names,
    quantified: Quantified,
}

pub fn lower(name: &mut Ident) {
    if name.value.chars().any(char::is_uppercase) {
        name.value = name.value.to_lowercase();
    }
}

pub fn lower_all(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(name) = part {
            lower(name);
        }
    }
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| lower(&mut column.name));
}

/// `FETCH FIRST n ROWS ONLY` is LIMIT, of one row where no number stands.
fn fetch(query: &mut Query) {
    let Some(fetch) = query.fetch.take() else { return };
    let one = || Expr::Value(Value::Number("1".to_owned(), false).into());
    let quantity = Some(fetch.quantity.unwrap_or_else(one));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) => *limit = quantity,
        clause => *clause = Some(LimitClause::LimitOffset { limit: quantity, offset: None, limit_by: Vec::new() }),
    }
}

impl VisitorMut for Rewriting {
    type Break = Problem;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Problem> {
        fetch(query);
        whole::query(query);
        if let Some(with) = &mut query.with {
            for table in &mut with.cte_tables {
                lower_alias(&mut table.alias);
                self.names.common(&mut table.alias, &table.query);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Problem> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                lower(alias);
            }
        }
        self.names.select(select);
        whole::select(select);
        for window in &mut select.named_window {
            lower(&mut window.0);
        }
        if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
            // GROUP BY (a, b) has the two in one set.
            let flat = groups.drain(..).flat_map(|group| match group {
                Expr::Tuple(inner) => inner,
                other => vec![other],
            });
            *groups = flat.collect::<Vec<_>>();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Problem> {
        lower_all(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Problem> {
        unnest::rewrite(factor);
        self.names.values(factor);
        match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. } => lower_alias(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Problem> {
        match self.quantified.rewritten(expr) {
            Ok(Some(other)) => {
                *expr = other;
                return ControlFlow::Continue(());
            }
            Ok(None) => {}
            Err(problem) => return ControlFlow::Break(problem),
        }
        match literals::rewritten(expr) {
            Ok(Some(other)) => {
                *expr = other;
                return ControlFlow::Continue(());
            }
            Ok(None) => {}
            Err(problem) => return ControlFlow::Break(problem),
        }
        match expr {
            Expr::InSubquery { subquery, .. } | Expr::Subquery(subquery) | Expr::Exists { subquery, .. } => {
                columns::outermost(subquery);
            }
            Expr::Identifier(name) => match functions::session(name) {
                Some(mut call) => {
                    functions::call(&mut call)?;
                    *expr = Expr::Function(call);
                }
                None => lower(name),
            },
            Expr::CompoundIdentifier(names) => names.iter_mut().for_each(lower),
            Expr::CompoundFieldAccess { access_chain, .. } => lambdas::fields(access_chain),
            Expr::Function(call) => return functions::call(call),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Problem> {
        whole::done(expr);
        functions::written(expr)
    }
}
