//! Hive's types: read from the catalog's text or from DDL, and written as the catalog holds them.
//!
//! Sources: Hive wiki, "LanguageManual Types"; Athena User Guide, "Data types in Amazon Athena".

use std::fmt;

mod parse;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::any_type;

/// How deep types nest. Hive's text has 8 levels of separators; Parquet and JSON have no limit.
pub const MAX_DEPTH: usize = 32;
/// The longest text of a type, in bytes: Glue's limit for `Column.Type`.
pub const MAX_TYPE_BYTES: usize = 131_072;
/// The most digits of a decimal.
pub const MAX_PRECISION: u8 = 38;
/// The longest `char`.
pub const MAX_CHAR: u16 = 255;
/// The longest `varchar`.
pub const MAX_VARCHAR: u16 = 65_535;

/// A type. `Display` is the catalog's text: lower case, no blanks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `boolean`
    Boolean,
    /// `tinyint`: 8 bits.
    TinyInt,
    /// `smallint`: 16 bits.
    SmallInt,
    /// `int`, also written `integer`: 32 bits.
    Int,
    /// `bigint`: 64 bits.
    BigInt,
    /// `float`
    Float,
    /// `double`, also written `double precision`.
    Double,
    /// `decimal(precision,scale)`; (10,0) where nothing is said.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `char(n)`: padded with blanks.
    Char(u16),
    /// `varchar(n)`
    Varchar(u16),
    /// `string`
    String,
    /// `binary`
    Binary,
    /// `date`
    Date,
    /// `timestamp`: without a zone.
    Timestamp,
    /// `array<element>`
    Array(Box<Type>),
    /// `map<key,value>`; keys are primitive.
    Map(Box<Type>, Box<Type>),
    /// `struct<name:type,...>`; at least one field.
    Struct(Vec<Field>),
}

/// A field of a struct. Comments are not kept, as Hive keeps none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name, in lower case.
    pub name: String,
    /// Its type.
    pub kind: Type,
}

/// Why a text is no type. Positions count bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TypeError {
    #[error("position {at}: {found} found, {expected} expected")]
    Unexpected { at: usize, found: String, expected: &'static str },
    #[error("position {at}: type '{name}' is not known")]
    Unknown { at: usize, name: String },
    #[error("position {at}: type '{name}' is not supported: {reason}")]
    Refused { at: usize, name: String, reason: &'static str },
    #[error("position {at}: {what} must be between {least} and {most}")]
    OutOfRange { at: usize, what: &'static str, least: u32, most: u32 },
    #[error("position {at}: field '{name}' stands twice in a struct")]
    Twice { at: usize, name: String },
    #[error("position {at}: types nest more than {MAX_DEPTH} deep")]
    TooDeep { at: usize },
    #[error("a type has at most {MAX_TYPE_BYTES} bytes")]
    TooLong,
}

impl TypeError {
    /// Where it is, in bytes from 0.
    pub fn at(&self) -> usize {
        match self {
            Self::Unexpected { at, .. }
            | Self::Unknown { at, .. }
            | Self::Refused { at, .. }
            | Self::OutOfRange { at, .. }
            | Self::Twice { at, .. }
            | Self::TooDeep { at } => *at,
            Self::TooLong => 0,
        }
    }

    /// The same without its position.
    pub fn what(&self) -> String {
        let text = self.to_string();
        match text.strip_prefix(&format!("position {}: ", self.at())) {
            Some(rest) => rest.to_owned(),
            None => text,
        }
    }
}

impl Type {
    /// Reads the catalog's text: any case, blanks anywhere, names of fields in backticks or bare.
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        parse::whole(text)
    }

    /// Reads the type that DDL begins with at `from`; comments of SQL count as blanks. Gives where it ends.
    pub(crate) fn parse_ddl(text: &str, from: usize) -> Result<(Self, usize), TypeError> {
        parse::prefix(text, from)
    }

    /// Whether it is made of other types.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(..) | Self::Struct(_))
    }

    /// How many types lie in each other: 1 for a primitive one.
    pub fn depth(&self) -> usize {
        1 + match self {
            Self::Array(element) => element.depth(),
            Self::Map(key, value) => key.depth().max(value.depth()),
            Self::Struct(fields) => fields.iter().map(|f| f.kind.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl std::str::FromStr for Type {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        Self::parse(text)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// A type as DDL has it: names of fields that are no words stand in backticks.
#[derive(Clone, Copy, Debug)]
pub struct AsDdl<'a>(pub &'a Type);

impl fmt::Display for AsDdl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, true)
    }
}

impl Type {
    fn write(&self, f: &mut fmt::Formatter<'_>, ddl: bool) -> fmt::Result {
        let end = match self {
            Self::Boolean => "boolean",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Char(length) => return write!(f, "char({length})"),
            Self::Varchar(length) => return write!(f, "varchar({length})"),
            Self::Array(element) => {
                f.write_str("array<")?;
                element.write(f, ddl)?;
                ">"
            }
            Self::Map(key, value) => {
                f.write_str("map<")?;
                key.write(f, ddl)?;
                f.write_str(",")?;
                value.write(f, ddl)?;
                ">"
            }
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, Field { name, kind }) in fields.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    match parse::is_bare(name, ddl) {
                        true => write!(f, "{name}:")?,
                        false => write!(f, "`{}`:", name.replace('`', "``"))?,
                    }
                    kind.write(f, ddl)?;
                }
                ">"
            }
        };
        f.write_str(end)
    }
}
