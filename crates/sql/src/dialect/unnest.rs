//! UNNEST where a table stands. The parser takes it for a function.

use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, ObjectName, TableFactor};

/// Whether a table's name is UNNEST.
pub fn is_unnest(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|name| name.quote_style.is_none() && name.value.eq_ignore_ascii_case("unnest")))
}

/// The function as what it is.
pub fn rewrite(factor: &mut TableFactor) {
    let TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } = factor else { return };
    if !is_unnest(name) {
        return;
    }
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let Some(array_exprs) = args.args.iter().map(plain).collect::<Option<Vec<_>>>() else { return };
    *factor = TableFactor::UNNEST {
        alias: alias.take(),
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    };
}
