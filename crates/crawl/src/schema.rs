//! Types as they are inferred, and how those of several values, files and folders become one.

use millpond_hive::types::{Field, MAX_DEPTH, MAX_TYPE_BYTES, Type};

use crate::found::Column;

/// How much of two schemas must be the same so that they are one table's (Developer Guide: "the schemas that are similar exceed the 70% threshold").
pub const SIMILAR: f64 = 0.7;

/// A type on its way: what values have shown so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing but NULL.
    Null,
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `bigint`
    BigInt,
    /// `double`
    Double,
    /// `date`
    Date,
    /// `timestamp`
    Timestamp,
    /// `string`; also what goes together no other way.
    String,
    /// `array`
    Array(Box<Shape>),
    /// `struct`; names are in lower case.
    Struct(Vec<(String, Shape)>),
    /// Another type, which a file or a person declared.
    Known(Type),
}

impl Shape {
    /// Of a type that is declared.
    pub fn of(kind: Type) -> Self {
        match kind {
            Type::Boolean => Self::Boolean,
            Type::Int => Self::Int,
            Type::BigInt => Self::BigInt,
            Type::Double => Self::Double,
            Type::Date => Self::Date,
            Type::Timestamp => Self::Timestamp,
            Type::String => Self::String,
            Type::Array(item) => Self::Array(Box::new(Self::of(*item))),
            Type::Struct(fields) => {
                Self::Struct(fields.into_iter().map(|field| (field.name, Self::of(field.kind))).collect())
            }
            other => Self::Known(other),
        }
    }

    /// Hive's type. What has shown nothing, and what is too deep or too long for the catalog, is text.
    pub fn kind(&self) -> Type {
        let kind = self.nested(1);
        if kind.to_string().len() > MAX_TYPE_BYTES { Type::String } else { kind }
    }

    fn nested(&self, depth: usize) -> Type {
        match self {
            Self::Boolean => Type::Boolean,
            Self::Int => Type::Int,
            Self::BigInt => Type::BigInt,
            Self::Double => Type::Double,
            Self::Date => Type::Date,
            Self::Timestamp => Type::Timestamp,
            Self::Known(kind) => kind.clone(),
            Self::Array(item) if depth < MAX_DEPTH => Type::Array(Box::new(item.nested(depth + 1))),
            Self::Struct(fields) if depth < MAX_DEPTH && !fields.is_empty() => {
                let field =
                    |(name, shape): &(String, Self)| Field { name: name.clone(), kind: shape.nested(depth + 1) };
                Type::Struct(fields.iter().map(field).collect())
            }
            Self::Null | Self::String | Self::Array(_) | Self::Struct(_) => Type::String,
        }
    }

    /// Numbers by how wide they are.
    fn width(&self) -> Option<u8> {
        Some(match self {
            Self::Known(Type::TinyInt) => 1,
            Self::Known(Type::SmallInt) => 2,
            Self::Int => 3,
            Self::BigInt => 4,
            Self::Known(Type::Float) => 5,
            Self::Double => 6,
            _ => return None,
        })
    }

    /// Whether values of both can be in one column without becoming text.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => true,
            (Self::Array(a), Self::Array(b)) => a.is_like(b),
            (Self::Struct(_), Self::Struct(_)) => true,
            _ => self == other || !matches!(together(self.clone(), other.clone()), Self::String),
        }
    }
}

/// The type that holds values of both.
pub fn merged(a: Shape, b: Shape) -> Shape {
    match (a, b) {
        (Shape::Null, other) | (other, Shape::Null) => other,
        (Shape::Array(a), Shape::Array(b)) => Shape::Array(Box::new(merged(*a, *b))),
        (Shape::Struct(a), Shape::Struct(b)) => Shape::Struct(merged_fields(a, b)),
        (a, b) if a == b => a,
        (a, b) => together(a, b),
    }
}

fn together(a: Shape, b: Shape) -> Shape {
    if let (Some(left), Some(right)) = (a.width(), b.width()) {
        // A float has not the digits of whole numbers.
        let float = matches!((&a, &b), (Shape::Known(Type::Float), _) | (_, Shape::Known(Type::Float)));
        return match (left >= right, float) {
            _ if float => Shape::Double,
            (true, _) => a,
            (false, _) => b,
        };
    }
    match (&a, &b) {
        (Shape::Date, Shape::Timestamp) | (Shape::Timestamp, Shape::Date) => Shape::Timestamp,
        (
            Shape::Known(Type::Decimal { precision: p, scale: s }),
            Shape::Known(Type::Decimal { precision: q, scale: t }),
        ) => {
            let (whole, scale) = ((p.saturating_sub(*s)).max(q.saturating_sub(*t)), (*s).max(*t));
            match whole.checked_add(scale).filter(|precision| *precision <= 38) {
                Some(precision) => Shape::Known(Type::Decimal { precision, scale }),
                None => Shape::Double,
            }
        }
        (Shape::Known(Type::Map(key, value)), Shape::Known(Type::Map(other, more))) if key == other => {
            let value = merged(Shape::of((**value).clone()), Shape::of((**more).clone())).kind();
            Shape::Known(Type::Map(key.clone(), Box::new(value)))
        }
        _ => Shape::String,
    }
}

fn merged_fields(a: Vec<(String, Shape)>, b: Vec<(String, Shape)>) -> Vec<(String, Shape)> {
    let mut fields = a;
    for (at, (name, shape)) in b.into_iter().enumerate() {
        // Most objects have their keys in one order.
        let place = match fields.get(at) {
            Some((known, _)) if *known == name => Some(at),
            _ => fields.iter().position(|(known, _)| *known == name),
        };
        match place.and_then(|place| fields.get_mut(place)) {
            Some((_, known)) => *known = merged(std::mem::replace(known, Shape::Null), shape),
            None => fields.push((name, shape)),
        }
    }
    fields
}

/// How much of two schemas is the same: columns of one name and of types that go together, of all that there are. From 0 to 1.
pub fn similarity(a: &[Column], b: &[Column]) -> f64 {
    let find = |name: &str| b.iter().find(|column| column.name == name);
    let shared = a.iter().filter(|one| find(&one.name).is_some()).count();
    let like = a.iter().filter(|one| find(&one.name).is_some_and(|other| one.shape.is_like(&other.shape))).count();
    let all = a.len() + b.len() - shared;
    #[expect(clippy::cast_precision_loss, reason = "numbers of columns")]
    if all == 0 { 1.0 } else { like as f64 / all as f64 }
}

/// The columns of both, those of `a` first.
pub fn columns_of(a: &[Column], b: &[Column]) -> Vec<Column> {
    let mut columns = a.to_vec();
    for column in b {
        match columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) => {
                known.shape = merged(std::mem::replace(&mut known.shape, Shape::Null), column.shape.clone());
                known.gaps |= column.gaps;
            }
            None => columns.push(Column { gaps: true, ..column.clone() }),
        }
    }
    columns
}

/// A type with what another one has besides: fields of structs, at any depth; all else stays as it is (`MergeNewColumns`).
pub fn add_new(known: &Shape, found: &Shape) -> Shape {
    match (known, found) {
        (Shape::Struct(fields), Shape::Struct(more)) => {
            let find = |name: &str| more.iter().find(|(other, _)| other == name);
            let mut all: Vec<(String, Shape)> = fields
                .iter()
                .map(|(name, shape)| {
                    let with = find(name).map_or_else(|| shape.clone(), |(_, found)| add_new(shape, found));
                    (name.clone(), with)
                })
                .collect();
            all.extend(more.iter().filter(|(name, _)| !fields.iter().any(|(known, _)| known == name)).cloned());
            Shape::Struct(all)
        }
        (Shape::Array(item), Shape::Array(other)) => Shape::Array(Box::new(add_new(item, other))),
        (known, _) => known.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(Type::parse(text).unwrap())
    }

    #[test]
    fn types_go_together() {
        for (a, b, both) in [
            ("int", "bigint", "bigint"),
            ("bigint", "double", "double"),
            ("bigint", "string", "string"),
            ("boolean", "int", "string"),
            ("float", "bigint", "double"),
            ("tinyint", "smallint", "smallint"),
            ("date", "timestamp", "timestamp"),
            ("date", "string", "string"),
            ("decimal(10,2)", "decimal(8,4)", "decimal(12,4)"),
            ("decimal(38,0)", "decimal(38,30)", "double"),
            ("array<int>", "array<double>", "array<double>"),
            ("array<int>", "int", "string"),
            ("struct<a:int,b:string>", "struct<b:string,c:double>", "struct<a:int,b:string,c:double>"),
            ("struct<a:int>", "string", "string"),
            ("map<string,int>", "map<string,bigint>", "map<string,bigint>"),
            ("map<string,int>", "map<int,int>", "string"),
        ] {
            assert_eq!(merged(shape(a), shape(b)).kind().to_string(), both, "{a} {b}");
            assert_eq!(merged(shape(b), shape(a)).kind().to_string().len(), both.len(), "{b} {a}");
        }
        assert_eq!(merged(Shape::Null, Shape::Int), Shape::Int);
        assert_eq!(Shape::Array(Box::new(Shape::Null)).kind().to_string(), "array<string>");
        assert_eq!(Shape::Struct(Vec::new()).kind(), Type::String);
    }

    #[test]
    fn new_fields_are_added_and_others_stay() {
        let with = add_new(
            &shape("struct<a:int,b:array<struct<c:int>>>"),
            &shape("struct<a:string,b:array<struct<d:int>>,e:int>"),
        );
        assert_eq!(with.kind().to_string(), "struct<a:int,b:array<struct<c:int,d:int>>,e:int>");
        assert_eq!(add_new(&Shape::Int, &Shape::String), Shape::Int);
    }

    #[test]
    fn how_similar() {
        let columns = |names: &[(&str, &str)]| -> Vec<Column> {
            names.iter().map(|(name, kind)| Column::new(name, shape(kind))).collect()
        };
        let a = columns(&[("a", "int"), ("b", "string"), ("c", "double")]);
        for (b, expected) in [
            (a.clone(), 1.0),
            (columns(&[("a", "bigint"), ("b", "string"), ("c", "double")]), 1.0),
            (columns(&[("a", "string"), ("b", "string"), ("c", "double")]), 2.0 / 3.0),
            (columns(&[("a", "int"), ("b", "string"), ("c", "double"), ("d", "int")]), 0.75),
            (columns(&[("x", "int")]), 0.0),
        ] {
            assert!((similarity(&a, &b) - expected).abs() < 1e-9, "{b:?}");
        }
    }

    fn any_shape() -> impl Strategy<Value = Shape> {
        let leaf = prop_oneof![
            Just(Shape::Null),
            Just(Shape::Boolean),
            Just(Shape::Int),
            Just(Shape::BigInt),
            Just(Shape::Double),
            Just(Shape::Date),
            Just(Shape::Timestamp),
            Just(Shape::String),
            Just(Shape::Known(Type::Float)),
            Just(Shape::Known(Type::Binary)),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|shape| Shape::Array(Box::new(shape))),
                proptest::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| Shape::Struct(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_and_the_text_is_a_type(a in any_shape(), b in any_shape()) {
            prop_assert_eq!(merged(a.clone(), a.clone()), a.clone());
            let both = merged(a.clone(), b.clone());
            prop_assert_eq!(merged(both.clone(), b.clone()), both.clone());
            prop_assert_eq!(merged(both.clone(), a), both.clone());
            let text = both.kind().to_string();
            prop_assert_eq!(Type::parse(&text).unwrap().to_string(), text);
        }
    }
}
