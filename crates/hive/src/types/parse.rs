//! The reader of types.

use super::{Field, MAX_CHAR, MAX_DEPTH, MAX_PRECISION, MAX_TYPE_BYTES, MAX_VARCHAR, Type, TypeError};

const NO_UNIONS: &str = "Athena has no type for it";
const NO_ZONES: &str = "Athena's tables have no type with a time zone; use timestamp or string";
const NO_INTERVALS: &str = "intervals cannot be stored in tables";
const NO_LENGTH: &str = "a length in parentheses";

/// A whole text.
pub fn whole(text: &str) -> Result<Type, TypeError> {
    if text.len() > MAX_TYPE_BYTES {
        return Err(TypeError::TooLong);
    }
    let mut reader = Reader { text, at: 0, ddl: false };
    let kind = reader.kind(1)?;
    reader.skip();
    if reader.at < text.len() {
        return Err(reader.unexpected("the end"));
    }
    Ok(kind)
}

/// The type that begins at `from`, and where it ends.
pub fn prefix(text: &str, from: usize) -> Result<(Type, usize), TypeError> {
    let mut reader = Reader { text, at: from, ddl: true };
    let kind = reader.kind(1)?;
    if reader.at - from > MAX_TYPE_BYTES {
        return Err(TypeError::TooLong);
    }
    Ok((kind, reader.at))
}

/// Whether a field's name needs no backticks, in the catalog or in DDL.
pub fn is_bare(name: &str, ddl: bool) -> bool {
    !name.is_empty() && name.chars().all(|c| is_name(c, ddl))
}

/// The catalog's names have whatever means nothing else; those of DDL are words.
fn is_name(c: char, ddl: bool) -> bool {
    let means_something = matches!(c, ':' | ',' | '<' | '>' | '(' | ')' | '`' | '\'' | '"' | ';');
    if ddl { c.is_alphanumeric() || c == '_' } else { !c.is_whitespace() && !means_something }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether it stands in DDL: comments of SQL are blanks.
    ddl: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let length = match rest.chars().next() {
                Some(c) if c.is_whitespace() => c.len_utf8(),
                Some('-') if self.ddl && rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
                Some('/') if self.ddl && rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => return,
            };
            self.at += length;
        }
    }

    fn unexpected(&self, expected: &'static str) -> TypeError {
        let found = match self.rest().chars().next() {
            None => "the end".to_owned(),
            Some(c) if is_name(c, self.ddl) => format!("'{}'", self.word_here()),
            Some(c) => format!("'{c}'"),
        };
        TypeError::Unexpected { at: self.at, found, expected }
    }

    /// The word at the place, without going past it.
    fn word_here(&self) -> &'a str {
        let rest = self.rest();
        rest.get(..rest.find(|c| !is_name(c, self.ddl)).unwrap_or(rest.len())).unwrap_or_default()
    }

    fn word(&mut self, expected: &'static str) -> Result<(usize, String), TypeError> {
        self.skip();
        let (at, word) = (self.at, self.word_here());
        if word.is_empty() {
            return Err(self.unexpected(expected));
        }
        self.at += word.len();
        Ok((at, word.to_lowercase()))
    }

    /// Goes past a character if it is next.
    fn take(&mut self, wanted: char) -> bool {
        self.skip();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn require(&mut self, wanted: char, expected: &'static str) -> Result<(), TypeError> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Goes past a word if it is next, in any case.
    fn take_word(&mut self, wanted: &str) -> bool {
        let before = self.at;
        self.skip();
        let word = self.word_here();
        let found = word.eq_ignore_ascii_case(wanted);
        self.at = if found { self.at + word.len() } else { before };
        found
    }

    fn kind(&mut self, depth: usize) -> Result<Type, TypeError> {
        let (at, name) = self.word("a type")?;
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep { at });
        }
        Ok(match name.as_str() {
            "boolean" => Type::Boolean,
            "tinyint" => Type::TinyInt,
            "smallint" => Type::SmallInt,
            "int" | "integer" => Type::Int,
            "bigint" => Type::BigInt,
            "float" => Type::Float,
            "double" => {
                self.take_word("precision");
                Type::Double
            }
            "string" => Type::String,
            "binary" => Type::Binary,
            "date" => Type::Date,
            "timestamp" if self.take_word("with") => return Err(refused(at, "timestamp with time zone", NO_ZONES)),
            "timestamp" => Type::Timestamp,
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "char" => Type::Char(self.length("the length of char", MAX_CHAR)?),
            "varchar" => Type::Varchar(self.length("the length of varchar", MAX_VARCHAR)?),
            "array" => {
                self.require('<', "'<'")?;
                let element = self.kind(depth + 1)?;
                self.require('>', "'>'")?;
                Type::Array(Box::new(element))
            }
            "map" => self.map(depth)?,
            "struct" => self.fields(depth)?,
            "uniontype" => return Err(refused(at, &name, NO_UNIONS)),
            "interval" | "interval_year_month" | "interval_day_time" => return Err(refused(at, &name, NO_INTERVALS)),
            "timestamptz" => return Err(refused(at, &name, NO_ZONES)),
            _ => return Err(TypeError::Unknown { at, name }),
        })
    }

    fn map(&mut self, depth: usize) -> Result<Type, TypeError> {
        self.require('<', "'<'")?;
        self.skip();
        let at = self.at;
        let key = self.kind(depth + 1)?;
        if key.is_nested() {
            return Err(refused(at, &key.to_string(), "keys of maps are primitive"));
        }
        self.require(',', "','")?;
        let value = self.kind(depth + 1)?;
        self.require('>', "'>'")?;
        Ok(Type::Map(Box::new(key), Box::new(value)))
    }

    fn fields(&mut self, depth: usize) -> Result<Type, TypeError> {
        self.require('<', "'<'")?;
        let mut fields: Vec<Field> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            let (at, name) = self.field_name()?;
            if !names.insert(name.clone()) {
                return Err(TypeError::Twice { at, name });
            }
            self.require(':', "':'")?;
            let kind = self.kind(depth + 1)?;
            if self.take_word("comment") {
                self.comment()?;
            }
            fields.push(Field { name, kind });
            if !self.take(',') {
                break;
            }
        }
        self.require('>', "',' or '>'")?;
        Ok(Type::Struct(fields))
    }

    fn field_name(&mut self) -> Result<(usize, String), TypeError> {
        self.skip();
        let at = self.at;
        if !self.take('`') {
            return self.word("the name of a field");
        }
        let mut name = String::new();
        loop {
            let rest = self.rest();
            let Some(end) = rest.find('`') else {
                self.at = self.text.len();
                return Err(self.unexpected("'`'"));
            };
            name.push_str(rest.get(..end).unwrap_or_default());
            self.at += end + 1;
            // Two of them stand for one.
            if !self.rest().starts_with('`') {
                break;
            }
            name.push('`');
            self.at += 1;
        }
        if name.is_empty() {
            return Err(TypeError::Unexpected { at, found: "'``'".into(), expected: "the name of a field" });
        }
        Ok((at, name.to_lowercase()))
    }

    /// A comment in quotes, which is not kept.
    fn comment(&mut self) -> Result<(), TypeError> {
        self.skip();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Err(self.unexpected("a comment in quotes"));
        };
        self.at += 1;
        let mut escaped = false;
        for (index, c) in self.rest().char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => {
                    self.at += index + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        Err(self.unexpected("the end of the comment's quotes"))
    }

    fn number(&mut self, what: &'static str, least: u16, most: u16) -> Result<u16, TypeError> {
        let (at, digits) = self.word("a number")?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TypeError::Unexpected { at, found: format!("'{digits}'"), expected: "a number" });
        }
        match digits.parse::<u16>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(TypeError::OutOfRange { at, what, least: least.into(), most: most.into() }),
        }
    }

    fn length(&mut self, what: &'static str, most: u16) -> Result<u16, TypeError> {
        self.require('(', NO_LENGTH)?;
        let length = self.number(what, 1, most)?;
        self.require(')', "')'")?;
        Ok(length)
    }

    fn decimal(&mut self) -> Result<Type, TypeError> {
        let before = self.at;
        if !self.take('(') {
            self.at = before;
            return Ok(Type::Decimal { precision: 10, scale: 0 });
        }
        let precision = self.number("the precision of decimal", 1, MAX_PRECISION.into())?;
        let scale = match self.take(',') {
            true => self.number("the scale of decimal", 0, precision)?,
            false => 0,
        };
        self.require(')', "')'")?;
        Ok(Type::Decimal { precision: precision as u8, scale: scale as u8 })
    }
}

fn refused(at: usize, name: &str, reason: &'static str) -> TypeError {
    TypeError::Refused { at, name: name.to_owned(), reason }
}
