//! Whole numbers: those up to 2147483647 are `integer`s, but where a place or a count stands they are left to the engine.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, GroupByExpr, LimitClause, NamedWindowExpr, OrderByKind, Query, Select, Value,
    WindowFrameBound, WindowSpec, WindowType,
};

/// Marks a number that is to stay as it is.
pub fn keep(expr: &mut Expr) {
    match expr {
        Expr::Value(one) => {
            if let Value::Number(_, is_kept) = &mut one.value {
                *is_kept = true;
            }
        }
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter_mut().flatten().for_each(keep);
        }
        Expr::Tuple(parts) => parts.iter_mut().for_each(keep),
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => keep(inner),
        _ => {}
    }
}

/// Takes the mark of [`keep`] away.
pub fn done(expr: &mut Expr) {
    if let Expr::Value(one) = expr
        && let Value::Number(_, is_kept) = &mut one.value
    {
        *is_kept = false;
    }
}

/// Places of columns in ORDER BY, and how many rows are wanted.
pub fn query(query: &mut Query) {
    if let Some(order) = &mut query.order_by
        && let OrderByKind::Expressions(all) = &mut order.kind
    {
        all.iter_mut().for_each(|one| keep(&mut one.expr));
    }
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
        limit.iter_mut().for_each(keep);
        offset.iter_mut().for_each(|offset| keep(&mut offset.value));
    }
}

/// Places of columns in GROUP BY, and frames of windows.
pub fn select(select: &mut Select) {
    if let GroupByExpr::Expressions(all, _) = &mut select.group_by {
        all.iter_mut().for_each(keep);
    }
    for window in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = &mut window.1 {
            frame(spec);
        }
    }
}

/// The frame of a call's window.
pub fn over(window: &mut WindowType) {
    if let WindowType::WindowSpec(spec) = window {
        frame(spec);
    }
}

fn frame(spec: &mut WindowSpec) {
    let Some(frame) = &mut spec.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(count)) | WindowFrameBound::Following(Some(count)) = bound {
            keep(count);
        }
    }
}

/// A number with a minus before it: an `integer`, or the least `bigint`; `None` for others.
pub fn negative(digits: &str) -> Option<Expr> {
    let digits = format!("-{}", digits.replace('_', ""));
    integer(&digits).or_else(|| {
        (digits.parse() == Ok(i64::MIN)).then(|| {
            let mut least = Expr::value(Value::Number(digits, false));
            keep(&mut least);
            least
        })
    })
}

/// A number as an `integer`; `None` for one that is larger, or no whole one.
pub fn integer(digits: &str) -> Option<Expr> {
    let number: i32 = digits.parse().ok()?;
    let mut inner = Expr::value(Value::Number(number.to_string(), false));
    keep(&mut inner);
    Some(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(inner),
        data_type: DataType::Int(None),
        array: false,
        format: None,
    })
}
