//! Names and functions of a statement, as the engine has them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Spanned, TableAlias,
    TableFactor, VisitorMut,
};

use super::{columns, literals, unnest};
use crate::failure::Problem;

/// Functions of Trino's under the engine's names, where they mean the same.
const NAMES: &[(&str, &str)] = &[
    ("array_join", "array_to_string"),
    ("array_agg", "array_agg"),
    ("ceiling", "ceil"),
    ("codepoint", "ascii"),
    ("contains", "array_has"),
    ("stddev_samp", "stddev"),
    ("var_samp", "var_sample"),
    ("variance", "var_sample"),
    ("week_of_year", "week"),
];

/// Functions that the engine has and Trino has not, or has with another meaning.
const REFUSED: &[&str] = &[
    "to_char",
    "to_date",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_timestamp_nanos",
    "to_local_time",
    "to_unixtime",
    "element_at",
    "date_format",
    "date_bin",
    "date_part",
    "datepart",
    "datetrunc",
    "instr",
    "left",
    "right",
    "nvl",
    "nvl2",
    "ifnull",
    "make_date",
    "encode",
    "decode",
    "list_element",
    "array_element",
    "split_part_index",
    "arrow_cast",
    "arrow_typeof",
    "input_file_name",
    "version",
    "named_struct",
    "struct",
    "make_array",
    "map_extract",
    "approx_percentile_cont",
    "approx_median",
    "median",
    "string_agg",
    "first_value_agg",
    "get_field",
    "union_extract",
    "union_tag",
    "find_in_set",
    "substr_index",
    "substring_index",
    "overlay",
    "uuid",
];

/// Changes a statement in place.
#[derive(Debug, Default)]
pub struct Rewriting {
    names: columns::Names,
}

fn lower(name: &mut Ident) {
    if name.value.chars().any(char::is_uppercase) {
        name.value = name.value.to_lowercase();
    }
}

fn lower_all(name: &mut ObjectName) {
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

fn refused(at: &impl Spanned, what: &str) -> ControlFlow<Problem> {
    let start = at.span().start;
    let place = if start.line > 0 { format!("line {}:{}: ", start.line, start.column) } else { String::new() };
    ControlFlow::Break(Problem::Statement(format!("NOT_SUPPORTED: {place}{what}")))
}

fn function(function: &mut Function) -> ControlFlow<Problem> {
    lower_all(&mut function.name);
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice() else { return ControlFlow::Continue(()) };
    if REFUSED.contains(&name.value.as_str()) {
        let words = format!("Function '{}' is not carried out", name.value);
        return refused(&*function, &words);
    }
    if let Some((_, known)) = NAMES.iter().find(|(trino, _)| *trino == name.value) {
        name.value = (*known).to_owned();
    }
    ControlFlow::Continue(())
}

impl VisitorMut for Rewriting {
    type Break = Problem;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Problem> {
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
        match literals::rewritten(expr) {
            Ok(Some(other)) => {
                *expr = other;
                return ControlFlow::Continue(());
            }
            Ok(None) => {}
            Err(problem) => return ControlFlow::Break(problem),
        }
        match expr {
            Expr::Identifier(name) => lower(name),
            Expr::CompoundIdentifier(names) => names.iter_mut().for_each(lower),
            Expr::Function(call) => return function(call),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
