//! The names of columns: those that a statement leaves unnamed, and those that it names twice.
//!
//! The engine wants every column of a list to have a name of its own. Such columns get one that no statement can write: what is to be shown,
//! [`MARK`], and a number. Shown without a name is `_col` and the place, as Trino has it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor,
    TableWithJoins,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::trino::Trino;

/// What separates the name that is shown from a number.
pub const MARK: char = '\u{1}';

/// Makes names that no other column has.
#[derive(Debug, Default)]
pub struct Names(usize);

impl Names {
    fn next(&mut self, shown: &str) -> Ident {
        self.0 += 1;
        Ident::with_quote('"', format!("{shown}{MARK}{}", self.0))
    }

    /// Names the columns of a list.
    pub fn select(&mut self, select: &mut Select) {
        let relations = relations(&select.from);
        let mut seen = HashSet::new();
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    let is_new = seen.insert(alias.value.clone());
                    *alias = if is_new { alias.clone() } else { self.next(&alias.value) };
                }
                SelectItem::UnnamedExpr(expr) => {
                    let alias = match plain(expr) {
                        Some(names) => {
                            let last = names.last().map(|name| name.value.to_lowercase()).unwrap_or_default();
                            let whole: Vec<String> = names.iter().map(|name| name.value.to_lowercase()).collect();
                            let twice = !seen.insert(whole.join("."));
                            if twice {
                                Some(self.next(&last))
                            } else {
                                is_field(&whole, &relations).then(|| Ident::with_quote('"', last))
                            }
                        }
                        None => Some(self.next("")),
                    };
                    if let Some(alias) = alias {
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                    }
                }
                _ => {}
            }
        }
    }

    /// Names the columns of VALUES that stand where a table does.
    pub fn values(&mut self, factor: &mut TableFactor) {
        let TableFactor::Derived { subquery, alias, .. } = factor else { return };
        let Some(width) = width(&subquery.body) else { return };
        let alias = alias.get_or_insert_with(|| unnamed(self.next("")));
        self.columns(alias, width);
    }

    /// Names the columns of a WITH that is VALUES.
    pub fn common(&mut self, alias: &mut TableAlias, query: &Query) {
        if let Some(width) = width(&query.body) {
            self.columns(alias, width);
        }
    }

    fn columns(&mut self, alias: &mut TableAlias, width: usize) {
        if alias.columns.is_empty() {
            let column = |_| TableAliasColumnDef { name: self.next(""), data_type: None };
            alias.columns = (0..width).map(column).collect();
        }
    }
}

fn unnamed(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

/// The columns of VALUES; `None` for what is something else.
fn width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Values(values) => values.rows.first().map(|row| row.len()),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Query(query) => width(&query.body),
        _ => None,
    }
}

/// The names of a column that stands alone.
fn plain(expr: &Expr) -> Option<&[Ident]> {
    match expr {
        Expr::Identifier(name) => Some(std::slice::from_ref(name)),
        Expr::CompoundIdentifier(names) => Some(names),
        Expr::Nested(inner) => plain(inner),
        _ => None,
    }
}

/// The names that tables go by in a FROM.
fn relations(from: &[TableWithJoins]) -> HashSet<String> {
    let factors =
        from.iter().flat_map(|one| std::iter::once(&one.relation).chain(one.joins.iter().map(|join| &join.relation)));
    let name = |factor: &TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => vec![alias.name.value.to_lowercase()],
        TableFactor::Table { name, .. } => {
            name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase()).into_iter().collect()
        }
        TableFactor::NestedJoin { table_with_joins, .. } => {
            relations(std::slice::from_ref(&**table_with_joins)).into_iter().collect()
        }
        _ => Vec::new(),
    };
    factors.flat_map(name).collect()
}

/// Whether names lead to a field of a row rather than to a column of a table.
fn is_field(names: &[String], relations: &HashSet<String>) -> bool {
    match names {
        [] | [_] => false,
        [first, _] => !relations.contains(first),
        [first, second, ..] => relations.contains(first) || !relations.contains(second) || names.len() > 3,
    }
}

/// VALUES as a whole statement get a SELECT around them, whose columns have no names.
pub fn outermost(query: &mut Query) {
    around(&mut query.body);
}

fn around(body: &mut Box<SetExpr>) {
    if let SetExpr::SetOperation { left, .. } = &mut **body {
        return around(left);
    }
    if !matches!(**body, SetExpr::Values(_)) {
        return;
    }
    let around =
        Parser::parse_sql(&Trino, "SELECT * FROM (VALUES (1))").ok().and_then(|mut statements| statements.pop());
    let Some(Statement::Query(mut around)) = around else { return };
    let SetExpr::Select(select) = &mut *around.body else { return };
    if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
        std::mem::swap(&mut subquery.body, body);
        std::mem::swap(body, &mut around.body);
    }
}

/// The columns as they are shown, some under names that the statement gives them in quotes.
pub fn shown(schema: &Schema, names: &[Option<String>]) -> Schema {
    let shown =
        |(at, field): (usize, &FieldRef)| match (names.get(at).and_then(Option::as_ref), field.name().split_once(MARK))
        {
            (Some(name), _) => Arc::new(Field::clone(field).with_name(name)),
            (None, Some(("", _))) => Arc::new(Field::clone(field).with_name(format!("_col{at}"))),
            (None, Some((name, _))) => Arc::new(Field::clone(field).with_name(name)),
            _ => Arc::clone(field),
        };
    Schema::new(schema.fields().iter().enumerate().map(shown).collect::<Vec<_>>())
}
