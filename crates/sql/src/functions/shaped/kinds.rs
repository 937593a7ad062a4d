//! Types of arguments as Trino's documentation writes them: `split_part(varchar, varchar, bigint) -> varchar`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

/// Text. Literals are `Utf8` until they are coerced.
pub const TEXT: DataType = DataType::Utf8View;
/// JSON: no other value is held so. It is written without blanks, the names of an object in order.
pub const JSON: DataType = DataType::LargeUtf8;
/// A time without a zone.
pub const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A time in a zone.
pub fn zoned(zone: &str) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}

pub fn array_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

pub fn map_of(key: DataType, value: DataType) -> DataType {
    let fields = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(fields), false)), false)
}

pub fn row_of(fields: impl IntoIterator<Item = (String, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect())
}

/// A type with places for others.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Kind {
    /// This one.
    Exact(DataType),
    /// A decimal number, of any size.
    #[default]
    Decimal,
    /// As the first argument, without digits behind the point.
    Whole,
    /// As the first argument, with one digit more.
    Wider,
    /// A time in whatever zone.
    Zoned,
    /// The zone that the argument at the place names, or has.
    ZoneOf(usize),
    /// Whatever stands for the letter.
    Any(char),
    Array(Box<Kind>),
    Map(Box<Kind>, Box<Kind>),
    Row(Vec<Kind>),
}

/// What letters stand for.
#[derive(Clone, Debug, Default)]
pub struct Bound(Vec<(char, DataType)>);

impl Bound {
    fn get(&self, letter: char) -> Option<&DataType> {
        self.0.iter().find(|(known, _)| *known == letter).map(|(_, kind)| kind)
    }

    fn set(&mut self, letter: char, kind: DataType) {
        match self.0.iter_mut().find(|(known, _)| *known == letter) {
            Some(place) => place.1 = kind,
            None => self.0.push((letter, kind)),
        }
    }
}

fn split_top(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    let last = text[from..].trim();
    if !last.is_empty() || !parts.is_empty() {
        parts.push(last);
    }
    parts
}

impl Kind {
    /// Reads `array(T)`, `bigint` and the like; `None` for what is no type.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix("array(").and_then(|rest| rest.strip_suffix(')')) {
            return Some(Self::Array(Box::new(Self::parse(inner)?)));
        }
        if let Some(inner) = text.strip_prefix("map(").and_then(|rest| rest.strip_suffix(')')) {
            let parts = split_top(inner);
            let [key, value] = parts.as_slice() else { return None };
            return Some(Self::Map(Box::new(Self::parse(key)?), Box::new(Self::parse(value)?)));
        }
        if let Some(inner) = text.strip_prefix("row(").and_then(|rest| rest.strip_suffix(')')) {
            return split_top(inner).into_iter().map(Self::parse).collect::<Option<_>>().map(Self::Row);
        }
        if let Some(inner) = text.strip_prefix("zone(").and_then(|rest| rest.strip_suffix(')')) {
            return inner.parse().ok().map(Self::ZoneOf);
        }
        Some(match text {
            "boolean" => Self::Exact(DataType::Boolean),
            "tinyint" => Self::Exact(DataType::Int8),
            "smallint" => Self::Exact(DataType::Int16),
            "integer" => Self::Exact(DataType::Int32),
            "bigint" => Self::Exact(DataType::Int64),
            "real" => Self::Exact(DataType::Float32),
            "double" => Self::Exact(DataType::Float64),
            "varchar" => Self::Exact(TEXT),
            "varbinary" => Self::Exact(DataType::BinaryView),
            "json" => Self::Exact(JSON),
            "date" => Self::Exact(DataType::Date32),
            "timestamp" => Self::Exact(TIMESTAMP),
            "months" => Self::Exact(DataType::Interval(arrow::datatypes::IntervalUnit::YearMonth)),
            "interval" => Self::Exact(DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano)),
            "decimal" => Self::Decimal,
            "whole" => Self::Whole,
            "wider" => Self::Wider,
            "zoned" => Self::Zoned,
            _ => {
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) if letter.is_ascii_uppercase() => Self::Any(letter),
                    _ => return None,
                }
            }
        })
    }

    /// Binds letters to what an argument is; the cost of making it so, `None` where Trino does not.
    pub fn bind(&self, given: &DataType, bound: &mut Bound) -> Option<u32> {
        match self {
            Self::Exact(wanted) => coercion(given, wanted),
            Self::Decimal => match given {
                DataType::Decimal128(..) => Some(0),
                DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(20),
                DataType::Null => Some(2),
                _ => None,
            },
            Self::Zoned => match given {
                DataType::Timestamp(_, Some(_)) => Some(0),
                DataType::Timestamp(_, None) => Some(2),
                DataType::Date32 => Some(3),
                DataType::Null => Some(1),
                _ => None,
            },
            Self::ZoneOf(_) | Self::Whole | Self::Wider => None,
            Self::Any(letter) => {
                let common = match bound.get(*letter) {
                    Some(known) => common(known, given)?,
                    None => normal(given),
                };
                bound.set(*letter, common);
                Some(1)
            }
            Self::Array(item) => match given {
                DataType::List(field) | DataType::FixedSizeList(field, _) | DataType::LargeList(field) => {
                    item.bind(field.data_type(), bound)
                }
                DataType::Null => item.bind(&DataType::Null, bound).map(|cost| cost + 1),
                _ => None,
            },
            Self::Map(key, value) => match given {
                DataType::Map(entries, _) => {
                    let DataType::Struct(fields) = entries.data_type() else { return None };
                    let [key_is, value_is] = &fields[..] else { return None };
                    Some(key.bind(key_is.data_type(), bound)? + value.bind(value_is.data_type(), bound)?)
                }
                DataType::Null => Some(key.bind(&DataType::Null, bound)? + value.bind(&DataType::Null, bound)? + 1),
                _ => None,
            },
            Self::Row(kinds) => match given {
                DataType::Struct(fields) if fields.len() == kinds.len() => kinds
                    .iter()
                    .zip(fields)
                    .try_fold(0, |cost, (kind, field)| Some(cost + kind.bind(field.data_type(), bound)?)),
                _ => None,
            },
        }
    }

    /// The type with its letters replaced; an argument's own where it is any of a family.
    pub fn resolve(&self, given: Option<&DataType>, bound: &Bound) -> DataType {
        match self {
            Self::Exact(kind) => kind.clone(),
            Self::Decimal => match given {
                Some(kind @ DataType::Decimal128(..)) => kind.clone(),
                Some(DataType::Int64) => DataType::Decimal128(19, 0),
                Some(kind) if kind.is_integer() => DataType::Decimal128(10, 0),
                _ => DataType::Decimal128(38, 0),
            },
            Self::Whole => match given {
                Some(DataType::Decimal128(precision, scale)) => {
                    let whole = precision.cast_signed() - scale + (*scale).min(1);
                    DataType::Decimal128(whole.clamp(1, 38).cast_unsigned(), 0)
                }
                _ => DataType::Decimal128(38, 0),
            },
            Self::Wider => match given {
                Some(DataType::Decimal128(precision, scale)) => DataType::Decimal128((precision + 1).min(38), *scale),
                _ => DataType::Decimal128(38, 0),
            },
            Self::Zoned | Self::ZoneOf(_) => match given {
                Some(DataType::Timestamp(_, Some(zone))) => zoned(zone),
                _ => zoned("UTC"),
            },
            Self::Any(letter) => bound.get(*letter).cloned().unwrap_or(DataType::Null),
            Self::Array(item) => array_of(item.resolve(None, bound)),
            Self::Map(key, value) => map_of(key.resolve(None, bound), value.resolve(None, bound)),
            Self::Row(kinds) => {
                row_of(kinds.iter().enumerate().map(|(at, kind)| (format!("field{at}"), kind.resolve(None, bound))))
            }
        }
    }
}

/// The form in which a type is worked on: text and bytes in their one form, lists as lists.
pub fn normal(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8 => TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::BinaryView,
        DataType::Dictionary(_, value) => normal(value),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            array_of(normal(field.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                map_of(normal(fields[0].data_type()), normal(fields[1].data_type()))
            }
            _ => kind.clone(),
        },
        DataType::Struct(fields) => {
            row_of(fields.iter().map(|field| (field.name().clone(), normal(field.data_type()))))
        }
        other => other.clone(),
    }
}

fn whole_digits(kind: &DataType) -> Option<u8> {
    Some(match kind {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        DataType::Int64 => 19,
        _ => return None,
    })
}

/// The cost of taking one type for another as Trino does by itself (`TypeCoercion`); `None` where it does not.
pub fn coercion(from: &DataType, to: &DataType) -> Option<u32> {
    if normal(from) == normal(to) {
        return Some(0);
    }
    common(from, to).filter(|common| *common == normal(to))?;
    let rank = |kind: &DataType| match kind {
        DataType::Int8 | DataType::Date32 => 1,
        DataType::Int16 => 2,
        DataType::Int32 => 3,
        DataType::Int64 => 4,
        DataType::Decimal128(..) => 5,
        DataType::Float32 => 6,
        DataType::Float64 => 7,
        DataType::Timestamp(_, None) => 8,
        DataType::Timestamp(_, Some(_)) => 9,
        _ => 0,
    };
    Some(1 + u32::abs_diff(rank(from), rank(to)))
}

/// The type that both are taken for (`TypeCoercion.getCommonSuperType`).
pub fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Decimal128, Float32, Float64, List, Map, Null, Struct, Timestamp};
    let (left, right) = (normal(left), normal(right));
    if left == right {
        return Some(left);
    }
    Some(match (&left, &right) {
        (Null, other) | (other, Null) => other.clone(),
        (Decimal128(p1, s1), Decimal128(p2, s2)) => {
            let scale = (*s1).max(*s2);
            let whole = (p1.cast_signed() - s1).max(p2.cast_signed() - s2);
            Decimal128((whole + scale).clamp(1, 38).cast_unsigned(), scale)
        }
        (Decimal128(..), other) | (other, Decimal128(..)) if whole_digits(other).is_some() => {
            let decimal = if matches!(left, Decimal128(..)) { &left } else { &right };
            return common(decimal, &Decimal128(whole_digits(other)?, 0));
        }
        (Float32 | Float64, Decimal128(..)) => left.clone(),
        (Decimal128(..), Float32 | Float64) => right.clone(),
        (Float32, Float64) | (Float64, Float32) => Float64,
        (Float32 | Float64, other) if whole_digits(other).is_some() => left.clone(),
        (other, Float32 | Float64) if whole_digits(other).is_some() => right.clone(),
        (a, b) if whole_digits(a).is_some() && whole_digits(b).is_some() => {
            if whole_digits(a) > whole_digits(b) {
                left
            } else {
                right
            }
        }
        (DataType::Duration(_), DataType::Interval(_)) => right,
        (DataType::Interval(_), DataType::Duration(_)) => left,
        (Date32, Timestamp(..)) => right,
        (Timestamp(..), Date32) => left,
        (Timestamp(_, Some(_)), Timestamp(..)) => left,
        (Timestamp(_, None), Timestamp(_, Some(_))) => right,
        (List(a), List(b)) => array_of(common(a.data_type(), b.data_type())?),
        (Map(a, _), Map(b, _)) => match (a.data_type(), b.data_type()) {
            (Struct(a), Struct(b)) if a.len() == 2 && b.len() == 2 => {
                map_of(common(a[0].data_type(), b[0].data_type())?, common(a[1].data_type(), b[1].data_type())?)
            }
            _ => return None,
        },
        (Struct(a), Struct(b)) if a.len() == b.len() => {
            let each = a.iter().zip(b).map(|(a, b)| Some((a.name().clone(), common(a.data_type(), b.data_type())?)));
            row_of(each.collect::<Option<Vec<_>>>()?)
        }
        _ => return None,
    })
}

/// A function's arguments and result.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub name: String,
    pub takes: Vec<Kind>,
    /// Whether the last argument may stand any number of times.
    pub more: bool,
    pub gives: Kind,
}

impl Shape {
    /// Reads `name(kind, kind...) -> kind`.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, gives) = text.rsplit_once(" -> ")?;
        let (name, rest) = head.split_once('(')?;
        let inner = rest.strip_suffix(')')?;
        let more = inner.ends_with("...");
        let takes = split_top(inner.trim_end_matches('.')).into_iter().map(Kind::parse).collect::<Option<_>>()?;
        Some(Self { name: name.to_owned(), takes, more, gives: Kind::parse(gives)? })
    }

    fn kind(&self, at: usize) -> Option<&Kind> {
        self.takes.get(at).or(if self.more { self.takes.last() } else { None })
    }

    /// What the arguments are to be made, and what that costs.
    pub fn fit(&self, given: &[DataType]) -> Option<(Vec<DataType>, u32, Bound)> {
        if given.len() < self.takes.len() || (given.len() > self.takes.len() && !self.more) {
            return None;
        }
        let (mut bound, mut cost) = (Bound::default(), 0);
        for (at, kind) in given.iter().enumerate() {
            cost += self.kind(at)?.bind(kind, &mut bound)?;
        }
        let each = given.iter().enumerate().map(|(at, kind)| Some(self.kind(at)?.resolve(Some(kind), &bound)));
        Some((each.collect::<Option<Vec<_>>>()?, cost, bound))
    }
}

/// A type in Trino's words.
pub fn word(kind: &DataType) -> String {
    match kind {
        DataType::Null => "unknown".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::LargeUtf8 => "json".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "varbinary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time(3)".to_owned(),
        DataType::Timestamp(_, None) => "timestamp(3)".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp(3) with time zone".to_owned(),
        DataType::Interval(arrow::datatypes::IntervalUnit::YearMonth) => "interval year to month".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval day to second".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => format!("array({})", word(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map({}, {})", word(fields[0].data_type()), word(fields[1].data_type()))
            }
            _ => "map".to_owned(),
        },
        DataType::Struct(fields) => {
            let one = |field: &Arc<Field>| match field.name().as_str() {
                name if name.is_empty() || name.starts_with("field") => word(field.data_type()),
                name => format!("{name} {}", word(field.data_type())),
            };
            format!("row({})", fields.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
