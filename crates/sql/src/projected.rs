//! Partitions that a table's properties describe: those alone that a query's conditions leave are made.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use millpond_hive::projection::{Projection, Values};
use millpond_hive::types::Type;

use crate::failure::Problem;
use crate::prune;
use crate::types::arrow_of;
use crate::values::scalar_of;

/// Partitions that one query makes of a table, before conditions on several keys.
const MAX_PARTITIONS: u64 = 250_000;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// What conditions say of a key: all of it holds for the values that are read.
#[derive(Debug, Default)]
struct Bounds {
    any: Option<Vec<ScalarValue>>,
    low: Option<ScalarValue>,
    high: Option<ScalarValue>,
}

/// A partition: its values as the location has them, and as columns have them.
pub struct Projected {
    pub texts: Vec<String>,
    pub values: Vec<ScalarValue>,
}

/// One key.
struct Key<'a> {
    table: &'a str,
    name: &'a str,
    kind: &'a Type,
    values: &'a Values,
}

type Value = (String, ScalarValue);

/// The partitions that conditions on keys leave.
///
/// # Errors
/// They are too many; a value is none of its key's type; an injected key has no value.
pub fn partitions(
    session: &dyn Session,
    (projection, table): (&Projection, &str),
    keys: &[(String, Type)],
    filters: &[Expr],
) -> Result<Vec<Projected>> {
    let mut all = vec![Projected { texts: Vec::new(), values: Vec::new() }];
    for ((name, values), (_, kind)) in projection.keys().zip(keys) {
        let key = Key { table, name, kind, values };
        let chosen = key.chosen(session, filters)?;
        if (all.len() as u64).saturating_mul(chosen.len() as u64) > MAX_PARTITIONS {
            return Err(too_many(table));
        }
        let with = |one: &Projected, (text, value): &Value| Projected {
            texts: one.texts.iter().chain([text]).cloned().collect(),
            values: one.values.iter().chain([value]).cloned().collect(),
        };
        all = all.iter().flat_map(|one| chosen.iter().map(move |value| with(one, value))).collect();
    }
    Ok(all)
}

fn too_many(table: &str) -> datafusion::common::DataFusionError {
    let words = format!(
        "{table}: the projection has more than {MAX_PARTITIONS} partitions to read: name fewer by conditions on its partition keys"
    );
    Problem::Statement(words).into()
}

impl Key<'_> {
    /// The values that the conditions on this key alone leave, each once.
    fn chosen(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<Value>> {
        let schema = Arc::new(Schema::new(vec![Field::new(self.name, arrow_of(self.kind), true)]));
        let own = prune::of_keys(filters, &schema);
        let bounds = bounds(&own, self.name, &arrow_of(self.kind));
        let mut values = match (self.values, bounds.any) {
            (Values::Injected, any) => self.injected(any)?,
            (_, Some(any)) if self.ascends() || matches!(self.values, Values::Numbers(_)) => self.among(&any)?,
            (_, _) if self.ascends() => self.between(bounds.low.as_ref(), bounds.high.as_ref())?,
            _ => self.all(0, self.values.count())?,
        };
        let mut seen = BTreeSet::new();
        values.retain(|(text, _)| seen.insert(text.clone()));
        if values.is_empty() || own.is_empty() {
            return Ok(values);
        }
        let rows: Vec<Vec<ScalarValue>> = values.iter().map(|(_, value)| vec![value.clone()]).collect();
        let kept = prune::kept(session, &own, &schema, &rows)?;
        Ok(values.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(value, _)| value).collect())
    }

    /// Athena's message, in its words.
    fn injected(&self, any: Option<Vec<ScalarValue>>) -> Result<Vec<Value>> {
        let texts: Option<Vec<Value>> =
            any.and_then(|any| any.into_iter().map(|value| Some((text_of(&value)?, value))).collect());
        texts.filter(|texts| !texts.is_empty()).ok_or_else(|| {
            let words = format!(
                "CONSTRAINT_VIOLATION: For the injected projected partition column {}, the WHERE clause must contain only static equality conditions, and at least one such condition must be present.",
                self.name
            );
            Problem::Statement(words).into()
        })
    }

    /// Whether values ascend with their places, as the key's type compares them.
    fn ascends(&self) -> bool {
        match (self.kind, self.values) {
            (Type::String | Type::Varchar(_) | Type::Char(_), values) => values.ascends_as_text(),
            (Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt, Values::Numbers(_)) => true,
            (Type::Date | Type::Timestamp, Values::Dates(_)) => true,
            _ => false,
        }
    }

    fn at(&self, at: u64) -> Result<Value> {
        let value = self.values.text(at).map(|text| {
            let moment = self.values.moment(at);
            let value = match (self.kind, moment) {
                (Type::Date, Some(moment)) => {
                    i32::try_from(moment.div_euclid(DAY)).ok().map(|days| ScalarValue::Date32(Some(days)))
                }
                (Type::Timestamp, Some(moment)) => {
                    moment.checked_mul(1_000).map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), None))
                }
                _ => scalar_of(&text, self.kind),
            };
            (text, value)
        });
        match value {
            Some((text, Some(value))) => Ok((text, value)),
            Some((text, None)) => {
                let (table, name, kind) = (self.table, self.name, self.kind);
                let words = format!(
                    "HIVE_INVALID_PARTITION_VALUE: Invalid partition value '{text}' for {kind} partition key: {name}={text} (projection.{name} of {table})"
                );
                Err(Problem::Data(words).into())
            }
            None => Err(Problem::Internal(format!("a value of {} beyond the last", self.name)).into()),
        }
    }

    fn all(&self, from: u64, to: u64) -> Result<Vec<Value>> {
        if to.saturating_sub(from) > MAX_PARTITIONS {
            return Err(too_many(self.table));
        }
        (from..to).map(|at| self.at(at)).collect()
    }

    /// The first place whose value is not before a bound; with `over`, whose value is after it.
    fn place(&self, bound: &ScalarValue, over: bool) -> Result<u64> {
        let (mut from, mut to) = (0, self.values.count());
        while from < to {
            let middle = from + (to - from) / 2;
            let (_, value) = self.at(middle)?;
            let is_before = match value.partial_cmp(bound) {
                Some(Ordering::Less) => true,
                Some(Ordering::Equal) => over,
                _ => false,
            };
            if is_before {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    }

    fn between(&self, low: Option<&ScalarValue>, high: Option<&ScalarValue>) -> Result<Vec<Value>> {
        let from = low.map_or(Ok(0), |low| self.place(low, false))?;
        let to = high.map_or(Ok(self.values.count()), |high| self.place(high, true))?;
        self.all(from, to)
    }

    fn among(&self, any: &[ScalarValue]) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for value in any {
            if self.ascends() {
                found.extend(self.between(Some(value), Some(value))?);
            } else if let Some(at) = text_of(value).and_then(|text| self.values.find_number(&text)) {
                found.push(self.at(at)?);
            }
        }
        Ok(found)
    }
}

fn text_of(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8View(Some(text)) => Some(text.clone()),
        ScalarValue::Date32(Some(_)) => Some(value.to_string()),
        other if other.data_type().is_integer() && !other.is_null() => Some(other.to_string()),
        _ => None,
    }
}

/// What conditions that all hold say of a key. What cannot be said so is left out.
fn bounds(filters: &[Expr], key: &str, kind: &DataType) -> Bounds {
    let mut bounds = Bounds::default();
    for filter in filters {
        bounds.add(filter, key, kind);
    }
    bounds
}

impl Bounds {
    fn add(&mut self, filter: &Expr, key: &str, kind: &DataType) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.add(left, key, kind);
                self.add(right, key, kind);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_key(left, key) || is_key(right, key) => {
                let (value, op) = if is_key(left, key) { (right, Some(*op)) } else { (left, op.swap()) };
                let Some(value) = literal(value, kind) else { return };
                match op {
                    Some(Operator::Eq) => self.among(vec![value]),
                    Some(Operator::Gt | Operator::GtEq) => self.low = Some(value),
                    Some(Operator::Lt | Operator::LtEq) => self.high = Some(value),
                    _ => {}
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) if is_key(expr, key) => {
                self.low = literal(low, kind).or(self.low.take());
                self.high = literal(high, kind).or(self.high.take());
            }
            other => {
                if let Some(any) = any_of(other, key, kind) {
                    self.among(any);
                }
            }
        }
    }

    /// Two lists of values leave what is in both; the shorter is enough here, for all conditions are asked in the end.
    fn among(&mut self, any: Vec<ScalarValue>) {
        if self.any.as_ref().is_none_or(|known| any.len() < known.len()) {
            self.any = Some(any);
        }
    }
}

/// The values of `key IN (...)`, and of equalities with OR between them.
fn any_of(filter: &Expr, key: &str, kind: &DataType) -> Option<Vec<ScalarValue>> {
    match filter {
        Expr::InList(InList { expr, list, negated: false }) if is_key(expr, key) => {
            list.iter().map(|value| literal(value, kind)).collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut any = any_of(left, key, kind)?;
            any.extend(any_of(right, key, kind)?);
            Some(any)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (is_key(left, key), is_key(right, key))
        {
            (true, false) => Some(vec![literal(right, kind)?]),
            (false, true) => Some(vec![literal(left, kind)?]),
            _ => None,
        },
        _ => None,
    }
}

fn is_key(expr: &Expr, key: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == key)
}

/// A literal of the key's own type; comparisons across types are for [`prune::kept`].
fn literal(expr: &Expr, kind: &DataType) -> Option<ScalarValue> {
    let Expr::Literal(value, _) = expr else { return None };
    let value = match (kind, value) {
        (DataType::Utf8View, ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text)) => {
            ScalarValue::Utf8View(text.clone())
        }
        (_, value) => value.clone(),
    };
    (value.data_type() == *kind && !value.is_null()).then_some(value)
}
