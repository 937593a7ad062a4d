//! Which partitions of a table a query reads.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::temporal_conversions::date32_to_datetime;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};
use millpond_hive::predicate::MAX_EXPRESSION_CHARS;
use millpond_hive::types::Type;

/// Whether a condition is about partition keys alone.
fn is_of_keys(filter: &Expr, keys: &SchemaRef) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| keys.field_with_name(&column.name).is_ok())
}

/// The conditions that are about partition keys alone.
pub fn of_keys(filters: &[Expr], keys: &SchemaRef) -> Vec<Expr> {
    filters.iter().filter(|filter| is_of_keys(filter, keys)).cloned().collect()
}

/// GetPartitions' `Expression`: what it can say of the conditions, those first that stand first. The rest is for [`kept`].
pub fn expression(filters: &[Expr], keys: &[(String, Type)]) -> String {
    let mut all = String::new();
    for filter in filters {
        let Some(said) = tight(filter, &Saying { keys, exact: false, depth: 0 }) else { continue };
        let joint = if all.is_empty() { "" } else { " AND " };
        if all.chars().count() + joint.len() + said.chars().count() <= MAX_EXPRESSION_CHARS {
            all = all + joint + &said;
        }
    }
    all
}

/// How deep what is said may nest, well within [`millpond_hive::predicate::MAX_DEPTH`].
const MAX_SAID_DEPTH: usize = 32;

/// How a condition is said.
#[derive(Clone, Copy)]
struct Saying<'a> {
    keys: &'a [(String, Type)],
    /// Whether all of it has to be said: less of a condition holds for more partitions, and its negation for fewer.
    exact: bool,
    depth: usize,
}

/// A condition as an operand of AND.
fn tight(filter: &Expr, saying: &Saying<'_>) -> Option<String> {
    if !matches!(filter, Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. })) {
        return said(filter, saying);
    }
    let deeper = Saying { depth: saying.depth + 1, ..*saying };
    Some(format!("({})", said(filter, &deeper)?))
}

fn said(filter: &Expr, saying: &Saying<'_>) -> Option<String> {
    if saying.depth > MAX_SAID_DEPTH {
        return None;
    }
    let keys = saying.keys;
    let not = |negated: bool| if negated { "NOT " } else { "" };
    let text = match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (tight(left, saying), tight(right, saying)) {
                (Some(left), Some(right)) => format!("{left} AND {right}"),
                (one, other) if !saying.exact => one.or(other)?,
                _ => return None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            format!("{} OR {}", said(left, saying)?, said(right, saying)?)
        }
        Expr::Not(inner) => {
            format!("NOT ({})", said(inner, &Saying { exact: true, depth: saying.depth + 1, ..*saying })?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            format!("{} {} {}", key(left, keys)?, word(*op)?, literal(right, left, keys)?)
        }
        Expr::InList(InList { expr, list, negated }) => {
            let values: Option<Vec<String>> = list.iter().map(|value| literal(value, expr, keys)).collect();
            format!("{} {}IN ({})", key(expr, keys)?, not(*negated), values?.join(", "))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (low, high) = (literal(low, expr, keys)?, literal(high, expr, keys)?);
            format!("{} {}BETWEEN {low} AND {high}", key(expr, keys)?, not(*negated))
        }
        Expr::Like(Like { expr, negated, pattern, escape_char: None, case_insensitive: false }) => {
            // The engine takes a backslash for an escape, the expression's language does not.
            let pattern = literal(pattern, expr, keys).filter(|it| it.starts_with('\'') && !it.contains('\\'))?;
            format!("{} {}LIKE {pattern}", key(expr, keys)?, not(*negated))
        }
        _ => return None,
    };
    (text.len() <= MAX_EXPRESSION_CHARS * 4).then_some(text)
}

fn word(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    })
}

/// A key's name. In quotes only where it has to be: the catalog finds ranges of partitions by names without.
fn key(expr: &Expr, keys: &[(String, Type)]) -> Option<String> {
    let Expr::Column(column) = expr else { return None };
    let name = &column.name;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.eq_ignore_ascii_case("not");
    let known = keys.iter().any(|(key, _)| key == name);
    known.then(|| if plain { name.clone() } else { format!("\"{}\"", name.replace('"', "\"\"")) })
}

/// A literal of the key's own type; comparisons across types mean different things here and there.
fn literal(value: &Expr, of: &Expr, keys: &[(String, Type)]) -> Option<String> {
    let (Expr::Literal(value, _), Expr::Column(column)) = (value, of) else { return None };
    let (_, kind) = keys.iter().find(|(name, _)| *name == column.name)?;
    match (kind, value) {
        (
            Type::String | Type::Varchar(_),
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)),
        ) => Some(format!("'{}'", text.replace('\'', "''"))),
        (Type::TinyInt, ScalarValue::Int8(Some(number))) => Some(number.to_string()),
        (Type::SmallInt, ScalarValue::Int16(Some(number))) => Some(number.to_string()),
        (Type::Int, ScalarValue::Int32(Some(number))) => Some(number.to_string()),
        (Type::BigInt, ScalarValue::Int64(Some(number))) => Some(number.to_string()),
        (Type::Date, ScalarValue::Date32(Some(days))) => {
            let date = date32_to_datetime(*days)?.date().to_string();
            // Years of other lengths have a sign, which dates of partitions do not.
            (date.len() == "yyyy-mm-dd".len()).then(|| format!("'{date}'"))
        }
        _ => None,
    }
}

/// Which of the partitions all conditions hold for. `values` has those of the keys, a row a partition.
pub fn kept(
    session: &dyn Session,
    filters: &[Expr],
    keys: &SchemaRef,
    values: &[impl AsRef<[ScalarValue]>],
) -> Result<Vec<bool>> {
    let mut keep = vec![true; values.len()];
    if filters.is_empty() {
        return Ok(keep);
    }
    let columns = &batch(keys, values)?;
    let schema = DFSchema::try_from(Schema::clone(keys))?;
    for filter in filters {
        let filter = session.create_physical_expr(filter.clone(), &schema)?;
        let holds = filter.evaluate(columns)?.into_array(columns.num_rows())?;
        let holds = arrow::compute::cast(&holds, &arrow::datatypes::DataType::Boolean)?;
        let Some(holds) = holds.as_any().downcast_ref::<BooleanArray>() else { continue };
        for (keep, holds) in keep.iter_mut().zip(holds.iter()) {
            *keep &= holds == Some(true);
        }
    }
    Ok(keep)
}

/// The values of partitions, a row each.
fn batch(keys: &SchemaRef, values: &[impl AsRef<[ScalarValue]>]) -> Result<RecordBatch> {
    let columns: Result<Vec<_>> = (0..keys.fields().len())
        .map(|at| ScalarValue::iter_to_array(values.iter().filter_map(|row| row.as_ref().get(at)).cloned()))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(keys), columns?, &options)?)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn what_is_said_of_conditions() {
        let keys = [("dt".to_owned(), Type::String), ("n".to_owned(), Type::Int), ("day".to_owned(), Type::Date)];
        let unsaid = || col("n").is_null();
        for (filter, expected) in [
            (col("dt").eq(lit("it's")), "dt = 'it''s'"),
            (col("n").not_eq(lit(1_i32)), "n <> 1"),
            (col("n").eq(lit(1_i64)), ""),
            (col("n").in_list(vec![lit(1_i32), lit(2_i32)], true), "n NOT IN (1, 2)"),
            (col("dt").between(lit("a"), lit("b")), "dt BETWEEN 'a' AND 'b'"),
            (col("dt").like(lit("2019-%")), "dt LIKE '2019-%'"),
            (col("dt").like(lit("a\\_%")), ""),
            (col("day").gt(lit(ScalarValue::Date32(Some(17_897)))), "day > '2019-01-01'"),
            (col("n").eq(lit(1_i32)).or(col("dt").eq(lit("a"))), "(n = 1 OR dt = 'a')"),
            (col("n").eq(lit(1_i32)).or(unsaid()), ""),
            (col("n").eq(lit(1_i32)).and(unsaid()), "n = 1"),
            (Expr::Not(Box::new(col("n").eq(lit(1_i32)).and(unsaid()))), ""),
            (Expr::Not(Box::new(col("n").eq(lit(1_i32)).or(col("n").eq(lit(2_i32))))), "NOT (n = 1 OR n = 2)"),
        ] {
            assert_eq!(expression(std::slice::from_ref(&filter), &keys), expected, "{filter}");
        }
        let odd = [("not".to_owned(), Type::Int)];
        assert_eq!(expression(&[col("not").eq(lit(1_i32))], &odd), "\"not\" = 1");
        let long = col("dt").in_list((0..900).map(|n| lit(format!("{n}"))).collect(), false);
        assert_eq!(expression(&[long, col("n").eq(lit(1_i32))], &keys), "n = 1");
    }
}
