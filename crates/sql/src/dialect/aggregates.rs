//! Aggregates of Trino's that are written with the engine's.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArgumentClause, FunctionArguments, OrderByExpr,
    OrderByOptions, Value,
};

use super::functions::{Written, broken, called, case};
use crate::failure::Problem;

/// Their names.
pub const WRITTEN: &[&str] = &[
    "approx_percentile",
    "count_if",
    "geometric_mean",
    "histogram",
    "listagg",
    "map_agg",
    "map_union",
    "max",
    "max_by",
    "min",
    "min_by",
    "multimap_agg",
];

/// The standard error of the engine's `approx_distinct`, and the greatest that Trino takes.
const LEAST_ERROR: f64 = 0.008_125;
const MOST_ERROR: f64 = 0.26;

fn ascending(expr: Expr) -> OrderByExpr {
    let options = OrderByOptions { asc: Some(true), nulls_first: None };
    OrderByExpr { expr, options, with_fill: None }
}

/// An aggregate over the rows that a call is of, without those where `present` is NULL.
fn over(call: &Function, name: &str, arguments: Vec<Expr>, present: Option<&Expr>) -> Function {
    let Expr::Function(mut made) = called(name, arguments) else { return call.clone() };
    let present = present.map(|expr| Expr::IsNotNull(Box::new(Expr::Nested(Box::new(expr.clone())))));
    made.over.clone_from(&call.over);
    made.filter = match (call.filter.clone(), present) {
        (Some(left), Some(right)) => Some(Box::new(Expr::BinaryOp {
            left: Box::new(Expr::Nested(left)),
            op: BinaryOperator::And,
            right: Box::new(right),
        })),
        (filter, present) => filter.or(present.map(Box::new)),
    };
    if let (FunctionArguments::List(made), FunctionArguments::List(given)) = (&mut made.args, &call.args) {
        made.duplicate_treatment = given.duplicate_treatment;
    }
    made
}

fn ordered(mut call: Function, by: Vec<OrderByExpr>) -> Expr {
    if let FunctionArguments::List(list) = &mut call.args {
        list.clauses.push(FunctionArgumentClause::OrderBy(by));
    }
    Expr::Function(call)
}

/// An array of the first values in an order.
fn first(call: &Function, value: &Expr, by: &Expr, is_ascending: bool, count: &Expr) -> Expr {
    let options = OrderByOptions { asc: Some(is_ascending), nulls_first: None };
    let by_it = OrderByExpr { expr: by.clone(), options, with_fill: None };
    let all = ordered(over(call, "array_agg", vec![value.clone()], Some(by)), vec![by_it]);
    called("slice", vec![all, Expr::value(Value::Number("1".to_owned(), false)), count.clone()])
}

/// Whether an error is not smaller than the engine's.
fn is_rough(error: &Expr) -> bool {
    match error {
        Expr::Value(one) => {
            one.value.to_string().parse::<f64>().is_ok_and(|error| (LEAST_ERROR..=MOST_ERROR).contains(&error))
        }
        _ => false,
    }
}

/// One percentile, or an array of them.
fn percentiles(
    call: &Function,
    value: &Expr,
    weight: Option<&Expr>,
    shares: &Expr,
) -> Result<Expr, ControlFlow<Problem>> {
    let least = || Expr::Function(over(call, "min", vec![value.clone()], weight));
    let one = |share: &Expr| {
        let mut made = match weight {
            None => over(call, "approx_percentile_cont", vec![share.clone()], None),
            Some(weight) => {
                let arguments = vec![called("$weight", vec![weight.clone()]), share.clone()];
                over(call, "approx_percentile_cont_with_weight", arguments, Some(weight))
            }
        };
        made.within_group = vec![ascending(value.clone())];
        // Of the values' own type.
        called("$like", vec![Expr::Function(made), least()])
    };
    match shares {
        Expr::Array(list) => {
            let elem = list.elem.iter().map(one).collect();
            let all = Expr::Array(Array { elem, named: true });
            Ok(case(Expr::IsNotNull(Box::new(least())), all, None))
        }
        Expr::Value(_) | Expr::Cast { .. } | Expr::Nested(_) | Expr::Function(_) | Expr::UnaryOp { .. } => {
            Ok(one(shares))
        }
        _ => {
            Err(broken(call, "NOT_SUPPORTED", "the percentages of 'approx_percentile' have to stand in the statement"))
        }
    }
}

/// A call as the engine has it.
pub fn written(call: &Function, name: &str, given: Option<Vec<Expr>>) -> Written {
    let given = given.unwrap_or_default();
    let gather =
        |expr: &Expr, present: &Expr| Expr::Function(over(call, "array_agg", vec![expr.clone()], Some(present)));
    Ok(Some(match (name, given.as_slice()) {
        ("count_if", [test]) => {
            let one = case(test.clone(), Expr::value(Value::Number("1".to_owned(), false)), None);
            Expr::Function(over(call, "count", vec![one], None))
        }
        ("geometric_mean", [value]) => {
            called("exp", vec![Expr::Function(over(call, "avg", vec![called("ln", vec![value.clone()])], None))])
        }
        ("approx_percentile", [value, share]) => percentiles(call, value, None, share)?,
        ("approx_percentile", [value, weight, share]) => percentiles(call, value, Some(weight), share)?,
        ("max_by", [value, by]) => {
            ordered(over(call, "last_value", vec![value.clone()], Some(by)), vec![ascending(by.clone())])
        }
        ("min_by", [value, by]) => {
            ordered(over(call, "first_value", vec![value.clone()], Some(by)), vec![ascending(by.clone())])
        }
        ("max_by", [value, by, count]) => first(call, value, by, false, count),
        ("min_by", [value, by, count]) => first(call, value, by, true, count),
        ("max", [value, count]) => first(call, value, value, false, count),
        ("min", [value, count]) => first(call, value, value, true, count),
        ("max" | "min", _) => return Ok(None),
        ("approx_distinct", [value, error]) if is_rough(error) => {
            let count = over(call, "approx_distinct", vec![value.clone()], None);
            Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::Function(count)),
                data_type: DataType::BigInt(None),
                array: false,
                format: None,
            }
        }
        ("map_agg", [key, value]) => called("$map_agg", vec![gather(key, key), gather(value, key)]),
        ("multimap_agg", [key, value]) => called("$multimap_agg", vec![gather(key, key), gather(value, key)]),
        ("map_union", [value]) => called("$map_union", vec![gather(value, value)]),
        ("histogram", [value]) => called("$histogram", vec![gather(value, value)]),
        ("listagg", [value] | [value, _]) => {
            let between =
                given.get(1).cloned().unwrap_or_else(|| Expr::value(Value::SingleQuotedString(String::new())));
            let all = over(call, "array_agg", vec![value.clone()], Some(value));
            let all = if call.within_group.is_empty() {
                Expr::Function(all)
            } else {
                ordered(all, call.within_group.clone())
            };
            called("array_join", vec![all, between])
        }
        _ => {
            let words = format!("Function '{name}' is not carried out with these arguments");
            return Err(broken(call, "NOT_SUPPORTED", &words));
        }
    }))
}
