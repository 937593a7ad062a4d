//! Trino's types, as casts and literals write them (Trino documentation, "Data types").

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens;
use crate::failure::Problem;

/// How deep types nest.
const MAX_DEPTH: usize = 64;
/// Digits of a decimal (Trino's).
const MAX_PRECISION: u8 = 38;

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One that Arrow has.
    Plain(DataType),
    /// `varchar(n)`
    Varchar(u64),
    /// `char(n)`
    Char(u64),
    /// `json`
    Json,
    /// `array(T)`
    Array(Box<Kind>),
    /// `map(K, V)`
    Map(Box<Kind>, Box<Kind>),
    /// `row(a T, ...)`; without names the fields are `field0`, `field1`, ...
    Row(Vec<(String, Kind)>),
}

impl Kind {
    /// How Arrow has it. The length of texts is no matter of the type there.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Plain(kind) => kind.clone(),
            Self::Varchar(_) | Self::Char(_) | Self::Json => DataType::Utf8View,
            Self::Array(element) => DataType::List(Arc::new(Field::new("item", element.arrow(), true))),
            Self::Map(key, value) => {
                let entries = vec![Field::new("key", key.arrow(), false), Field::new("value", value.arrow(), true)];
                let entries = Field::new("key_value", DataType::Struct(Fields::from(entries)), false);
                DataType::Map(Arc::new(entries), false)
            }
            Self::Row(fields) => {
                let field = |(name, kind): &(String, Self)| Arc::new(Field::new(name, kind.arrow(), true));
                DataType::Struct(fields.iter().map(field).collect())
            }
        }
    }

    /// Of what the parser made of it.
    pub fn of(kind: &ast::DataType) -> Result<Self, Problem> {
        let text = match kind {
            ast::DataType::Custom(name, modifiers) if modifiers.is_empty() => match name.0.as_slice() {
                [ast::ObjectNamePart::Identifier(word)] => word.value.clone(),
                _ => name.to_string(),
            },
            other => other.to_string(),
        };
        Self::parse(&text)
    }

    /// Reads a type.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let unknown = || Problem::Statement(format!("SYNTAX_ERROR: Unknown type: {}", text.replace(" ( ", "(").replace(" )", ")")));
        let words = tokens::of(text).map_err(|_| unknown())?;
        let mut reading = Reading { words: &words };
        let kind = reading.kind(0).ok_or_else(unknown)?;
        if reading.words.is_empty() { Ok(kind) } else { Err(unknown()) }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(kind) => f.write_str(&word(kind)),
            Self::Varchar(length) => write!(f, "varchar({length})"),
            Self::Char(length) => write!(f, "char({length})"),
            Self::Json => f.write_str("json"),
            Self::Array(element) => write!(f, "array({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Row(fields) => {
                let field = |(name, kind): &(String, Self)| format!("\"{}\" {kind}", name.replace('"', "\"\""));
                write!(f, "row({})", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn word(kind: &DataType) -> String {
    let precision = |unit: &TimeUnit| if *unit == TimeUnit::Nanosecond { 9 } else { 6 };
    match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Binary => "varbinary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Timestamp(unit, None) => format!("timestamp({})", precision(unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp({}) with time zone '{zone}'", precision(unit)),
        DataType::Time64(unit) => format!("time({})", precision(unit)),
        _ => "varchar".to_owned(),
    }
}

struct Reading<'a> {
    words: &'a [TokenWithSpan],
}

impl Reading<'_> {
    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(&first.token)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.words.first().is_some_and(|token| tokens::is(token, wanted));
        if found {
            self.next();
        }
        found
    }

    fn number(&mut self) -> Option<u64> {
        match self.next()? {
            Token::Number(digits, _) => digits.parse().ok(),
            _ => None,
        }
    }

    /// `(n)`, or nothing.
    fn length(&mut self) -> Option<Option<u64>> {
        if !self.take("(") {
            return Some(None);
        }
        let number = self.number()?;
        self.take(")").then_some(Some(number))
    }

    fn kind(&mut self, depth: usize) -> Option<Kind> {
        if depth > MAX_DEPTH {
            return None;
        }
        let Token::Word(word) = self.next()? else { return None };
        let name = word.value.to_lowercase();
        if let Some(plain) = plain(&name) {
            if name == "double" {
                self.take("PRECISION");
            }
            return Some(Kind::Plain(plain));
        }
        match name.as_str() {
            "varchar" => Some(self.length()?.map_or(Kind::Plain(DataType::Utf8View), Kind::Varchar)),
            "char" => Some(Kind::Char(self.length()?.unwrap_or(1))),
            "json" => Some(Kind::Json),
            "decimal" => self.decimal(),
            "timestamp" => self.timestamp(),
            "time" => {
                let precision = self.length()?.unwrap_or(3);
                let unit = if precision > 6 { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
                (precision <= 9).then_some(Kind::Plain(DataType::Time64(unit)))
            }
            "array" => {
                let element = self.take("(").then(|| self.kind(depth + 1)).flatten()?;
                self.take(")").then(|| Kind::Array(Box::new(element)))
            }
            "map" => {
                let key = self.take("(").then(|| self.kind(depth + 1)).flatten()?;
                let value = self.take(",").then(|| self.kind(depth + 1)).flatten()?;
                self.take(")").then(|| Kind::Map(Box::new(key), Box::new(value)))
            }
            "row" => self.row(depth),
            _ => None,
        }
    }

    fn decimal(&mut self) -> Option<Kind> {
        let (mut precision, mut scale) = (u64::from(MAX_PRECISION), 0);
        if self.take("(") {
            precision = self.number()?;
            if self.take(",") {
                scale = self.number()?;
            }
            if !self.take(")") {
                return None;
            }
        }
        let (digits, places) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
        let fits = (1..=MAX_PRECISION).contains(&digits) && scale <= precision;
        fits.then_some(Kind::Plain(DataType::Decimal128(digits, places)))
    }

    /// Without a zone, in UTC, or in a zone that literals alone name.
    fn timestamp(&mut self) -> Option<Kind> {
        let precision = self.length()?.unwrap_or(3);
        let unit = if precision > 6 { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
        let mut zone = None;
        if self.take("WITH") {
            if !(self.take("TIME") && self.take("ZONE")) {
                return None;
            }
            zone = Some("UTC".to_owned());
            if let Some(Token::SingleQuotedString(named)) = self.words.first().map(|token| &token.token) {
                zone = Some(named.clone());
                self.next();
            }
        } else if self.take("WITHOUT") && !(self.take("TIME") && self.take("ZONE")) {
            return None;
        }
        (precision <= 9).then(|| Kind::Plain(DataType::Timestamp(unit, zone.map(Into::into))))
    }

    fn row(&mut self, depth: usize) -> Option<Kind> {
        if !self.take("(") {
            return None;
        }
        let mut fields = Vec::new();
        loop {
            let unnamed = format!("field{}", fields.len());
            // A name stands before a type; a type alone is followed by something else than a word.
            let before = self.words;
            let field = match self.kind(depth + 1) {
                Some(kind) if self.words.first().is_some_and(|token| matches!(token.token, Token::Comma | Token::RParen)) => {
                    (unnamed, kind)
                }
                _ => {
                    self.words = before;
                    let Token::Word(name) = self.next()? else { return None };
                    let name = name.value.to_lowercase();
                    (name, self.kind(depth + 1)?)
                }
            };
            fields.push(field);
            if !self.take(",") {
                return self.take(")").then_some(Kind::Row(fields));
            }
        }
    }
}

fn plain(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "integer" | "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "real" | "float" => DataType::Float32,
        "double" => DataType::Float64,
        // Athena's documents name Hive's type of texts as well.
        "string" => DataType::Utf8View,
        "varbinary" => DataType::Binary,
        "date" => DataType::Date32,
        _ => return None,
    })
}

/// Plans Trino's types.
#[derive(Debug)]
pub struct Kinds;

impl TypePlanner for Kinds {
    fn plan_type_field(&self, kind: &ast::DataType) -> Result<Option<FieldRef>> {
        match Kind::of(kind)? {
            Kind::Json => Err(Problem::Statement("NOT_SUPPORTED: this cast to JSON is not carried out".to_owned()).into()),
            kind => Ok(Some(Arc::new(Field::new("", kind.arrow(), true)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_trino_writes_them() {
        let arrow = |text: &str| Kind::parse(text).unwrap().arrow();
        assert_eq!(arrow("varchar ( 10 )"), DataType::Utf8View);
        assert_eq!(arrow("DECIMAL(10, 2)"), DataType::Decimal128(10, 2));
        assert_eq!(arrow("timestamp(3) with time zone"), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        let row = "row(a bigint, \"B\" array(row(varchar, map(varchar(3), double precision))))";
        let Kind::Row(fields) = Kind::parse(row).unwrap() else { panic!("a row") };
        assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for wrong in ["", "text", "decimal(39)", "array(bigint", "row()", "map(bigint)", "bigint bigint", "timestamp(12)"] {
            assert!(Kind::parse(wrong).is_err(), "{wrong}");
        }
    }
}
