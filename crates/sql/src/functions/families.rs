//! Kinds of types between which Trino casts nothing by itself.

use arrow::datatypes::DataType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Bool,
    Number,
    Text,
    Json,
    Bytes,
    /// Dates and timestamps.
    Moment,
    /// Times of a day.
    Time,
    Interval,
    Array,
    Map,
    Row,
}

/// `None` for what is like anything.
pub fn family(kind: &DataType) -> Option<Family> {
    Some(match kind {
        DataType::Dictionary(_, value) => return family(value),
        DataType::Boolean => Family::Bool,
        kind if kind.is_numeric() => Family::Number,
        DataType::LargeUtf8 => Family::Json,
        kind if kind.is_string() => Family::Text,
        kind if kind.is_binary() => Family::Bytes,
        DataType::Date32 | DataType::Timestamp(..) => Family::Moment,
        DataType::Time32(_) | DataType::Time64(_) => Family::Time,
        DataType::Interval(_) | DataType::Duration(_) => Family::Interval,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Family::Array,
        DataType::Map(..) => Family::Map,
        DataType::Struct(_) => Family::Row,
        _ => return None,
    })
}

/// Whether values of both types may be put together.
pub fn are_alike(left: &DataType, right: &DataType) -> bool {
    match (family(left), family(right)) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    }
}
