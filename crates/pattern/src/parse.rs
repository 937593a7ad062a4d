//! Patterns from JSON.
//!
//! AWS's matcher reads a pattern twice when it has to: `$or` is understood as an alternative first, and as the name of a field like
//! any other when it could not be one (its value is no array of two or more objects, for example), so that patterns from before `$or` go on to work.
//! What is refused both ways is refused for the reason found first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::address::{Address, Block};
use crate::error::PatternError;
use crate::folded::Folded;
use crate::number::Number;
use crate::pattern::{Branch, Field};
use crate::reader::{Reader, Token};
use crate::test::{Except, Range, Test};
use crate::wildcard::{Wildcard, complexity};

/// The most ways to match that `$or` may make of a pattern.
const MAX_BRANCHES: usize = 1000;
/// The most fields of a pattern, as in AWS's matcher (`MAXIMUM_RULE_SIZE`).
const MAX_FIELDS: usize = 256;
/// How many beginnings of a field's wildcards one text may match at once.
const MAX_WILDCARD_COMPLEXITY: usize = 10;

/// Names that mean something to AWS's matcher, now or some day: in an alternative of `$or` they are no fields.
const RESERVED: &[&str] = &[
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "html",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// The fields of a branch, by path. A path that comes again takes the place of the one before.
type Fields = BTreeMap<Path, Arc<[Test]>>;

/// A path in the order of AWS's matcher: that of Java's strings.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Path(Arc<str>);

impl Ord for Path {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads a pattern.
pub(crate) fn pattern(text: &str) -> Result<Vec<Branch>, PatternError> {
    let mut parser = Parser { reader: Reader::new(text), alternatives: true, met_or: false };
    let branches = match parser.document() {
        Err(error) if parser.met_or => {
            let mut plain = Parser { reader: Reader::new(text), alternatives: false, met_or: false };
            plain.document().map_err(|_| error)?
        }
        branches => branches?,
    };
    let of = |fields: Fields| Branch {
        fields: fields.into_iter().map(|(path, tests)| Field { path: path.0, tests }).collect(),
    };
    Ok(branches.into_iter().map(of).collect())
}

struct Parser<'a> {
    reader: Reader<'a>,
    /// Whether `$or` is more than a name.
    alternatives: bool,
    met_or: bool,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Vec<Fields>, PatternError> {
        if self.reader.next()? != Token::BeginObject {
            return Err(self.reader.refuse("Filter is not an object"));
        }
        let mut branches = Vec::new();
        self.object(&mut branches, false)?;
        // What stands behind the object is not looked at, as AWS's matcher does not.
        Ok(branches)
    }

    /// An object's fields, added to each of the branches.
    fn object(&mut self, branches: &mut Vec<Fields>, in_or: bool) -> Result<(), PatternError> {
        let mut empty = true;
        loop {
            let name = match self.reader.next()? {
                Token::Name(name) => name,
                _ if empty => return Err(self.reader.refuse("Empty objects are not allowed")),
                _ => return Ok(()),
            };
            empty = false;
            if self.alternatives && name == "$or" {
                self.met_or = true;
                self.or(branches)?;
                continue;
            }
            if in_or && RESERVED.contains(&name.as_str()) {
                let reason = format!("{name} is Ruler reserved fieldName which cannot be used inside $or.");
                return Err(self.reader.refuse(reason));
            }
            self.reader.enter(&name);
            match self.reader.next()? {
                Token::BeginObject => self.object(branches, in_or)?,
                Token::BeginArray => self.field(branches)?,
                _ => return Err(self.reader.refuse(format!("\"{name}\" must be an object or an array"))),
            }
            self.reader.leave();
        }
    }

    /// Each of the branches so far goes on with each of the alternatives.
    fn or(&mut self, branches: &mut Vec<Fields>) -> Result<(), PatternError> {
        let before = std::mem::take(branches);
        if self.reader.next()? != Token::BeginArray {
            return Err(self.reader.refuse("It must be an Array followed with $or."));
        }
        let mut count = 0;
        loop {
            match self.reader.next()? {
                Token::BeginObject => {}
                Token::EndArray if count < 2 => {
                    return Err(self.reader.refuse("There must have at least 2 Objects in $or relationship."));
                }
                Token::EndArray => return Ok(()),
                _ => return Err(self.reader.refuse("Only JSON object is allowed in array of $or relationship.")),
            }
            count += 1;
            let mut alternative = if before.is_empty() { vec![Fields::new()] } else { before.clone() };
            self.object(&mut alternative, true)?;
            branches.append(&mut alternative);
            if branches.len() > MAX_BRANCHES {
                let reason = format!("Rule is too complex - $or makes more than {MAX_BRANCHES} combinations of it");
                return Err(self.reader.refuse(reason));
            }
        }
    }

    /// The alternatives of a field.
    fn field(&mut self, branches: &mut Vec<Fields>) -> Result<(), PatternError> {
        let mut tests = Vec::new();
        loop {
            tests.push(match self.reader.next()? {
                Token::EndArray => break,
                Token::BeginObject => self.expression()?,
                Token::Text(text) => match Address::parse(&text) {
                    Some(address) => Test::Address(text.into(), Block::of(address)),
                    None => Test::Text(text.into()),
                },
                Token::Number(text) => {
                    let number = Number::parse(&text);
                    Test::Number(text.into(), number)
                }
                Token::True => Test::True,
                Token::False => Test::False,
                Token::Null => Test::Null,
                _ => return Err(self.reader.refuse("Match value must be String, number, true, false, or null")),
            });
        }
        if tests.is_empty() {
            return Err(self.reader.refuse("Empty arrays are not allowed"));
        }
        self.check_complexity(&tests)?;
        let (path, tests): (Path, Arc<[Test]>) = (Path(self.reader.path().into()), tests.into());
        if branches.is_empty() {
            branches.push(Fields::new());
        }
        for fields in branches {
            fields.insert(path.clone(), Arc::clone(&tests));
            if fields.len() > MAX_FIELDS {
                return Err(self.reader.refuse(format!("Rule is too complex - it has more than {MAX_FIELDS} fields")));
            }
        }
        Ok(())
    }

    fn check_complexity(&self, tests: &[Test]) -> Result<(), PatternError> {
        let wildcards: Vec<_> = tests.iter().flat_map(Test::wildcards).collect();
        if complexity(&wildcards, MAX_WILDCARD_COMPLEXITY) <= MAX_WILDCARD_COMPLEXITY {
            return Ok(());
        }
        Err(self.reader.refuse(
            "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character",
        ))
    }

    /// An operator, behind its opening brace.
    fn expression(&mut self) -> Result<Test, PatternError> {
        let Token::Name(name) = self.reader.next()? else {
            return Err(self.reader.refuse("Match expression name not found"));
        };
        let test = match name.as_str() {
            "exactly" => Test::Text(self.text("exact match pattern must be a string")?.into()),
            "prefix" => self.affix("prefix", "Prefix", |text| Test::Prefix(text.into()), Test::PrefixFolded)?,
            "suffix" => self.affix("suffix", "Suffix", |text| Test::Suffix(text.into()), Test::SuffixFolded)?,
            "equals-ignore-case" => {
                Test::Folded(Folded::new(&self.text("equals-ignore-case match pattern must be a string")?))
            }
            "wildcard" => {
                let text = self.text("wildcard match pattern must be a string")?;
                Test::Wildcard(self.wildcard(&text)?)
            }
            "cidr" => {
                let text = self.text("prefix match pattern must be a string")?;
                let block = Block::parse(&text).map_err(|reason| self.reader.refuse(reason))?;
                Test::Address(text.into(), block)
            }
            "exists" => match self.reader.next()? {
                Token::True => Test::Exists,
                Token::False => Test::Absent,
                _ => return Err(self.reader.refuse("exists match pattern must be either true or false.")),
            },
            "numeric" => return self.numeric(),
            "anything-but" => return self.anything_but(),
            _ => return Err(self.reader.refuse(format!("Unrecognized match type {name}"))),
        };
        self.end("Only one key allowed in match expression")?;
        Ok(test)
    }

    fn end(&mut self, otherwise: &str) -> Result<(), PatternError> {
        match self.reader.next()? {
            Token::EndObject => Ok(()),
            _ => Err(self.reader.refuse(otherwise)),
        }
    }

    fn text(&mut self, otherwise: &str) -> Result<String, PatternError> {
        match self.reader.next()? {
            Token::Text(text) => {
                self.reader.read_text();
                Ok(text)
            }
            _ => Err(self.reader.refuse(otherwise)),
        }
    }

    fn wildcard(&mut self, text: &str) -> Result<Wildcard, PatternError> {
        Wildcard::parse(text).map_err(|reason| self.reader.refuse(reason))
    }

    /// A text, or `{"equals-ignore-case": text}`.
    fn affix(
        &mut self,
        name: &str,
        shown: &str,
        plain: fn(String) -> Test,
        folded: fn(Folded) -> Test,
    ) -> Result<Test, PatternError> {
        match self.reader.next()? {
            Token::Text(text) => Ok(plain(text)),
            Token::BeginObject => {
                let Token::Name(operator) = self.reader.next()? else {
                    return Err(self.reader.refuse(format!("{shown} expression name not found")));
                };
                if operator != "equals-ignore-case" {
                    return Err(self.reader.refuse(format!("Unsupported {name} pattern: {operator}")));
                }
                let text = self.text("equals-ignore-case match pattern must be a string")?;
                self.end("Only one key allowed in match expression")?;
                Ok(folded(Folded::new(&text)))
            }
            _ => Err(self.reader.refuse(format!("{name} match pattern must be a string"))),
        }
    }

    /// `["=", 1]`, `["<", 1]`, `[">", 1, "<=", 2]` and the like, up to the end of its object.
    fn numeric(&mut self) -> Result<Test, PatternError> {
        const TOO_MANY: &str = "Too many elements in numeric expression";
        if self.reader.next()? != Token::BeginArray {
            return Err(self.reader.refuse("Value of numeric must be an array."));
        }
        let operator = match self.reader.next()? {
            Token::Text(operator) => operator,
            other => return Err(self.reader.refuse(format!("Invalid member in numeric match: {}", other.shown()))),
        };
        if !["=", "<", "<=", ">", ">="].contains(&operator.as_str()) {
            self.reader.next()?;
            return Err(self.reader.refuse(format!("Unrecognized numeric range operator: {operator}")));
        }
        let (text, number) = self.bound(if operator == "=" { "equals" } else { &operator })?;
        let bound = Some((text.clone().into(), number, operator.len() == 1));
        let range = match (operator.as_str(), self.reader.next()?) {
            ("=", Token::EndArray) => {
                self.end(TOO_MANY)?;
                return Ok(Test::Number(text.into(), Some(number)));
            }
            ("<" | "<=", Token::EndArray) => Range { low: None, high: bound },
            (">" | ">=", Token::EndArray) => Range { low: bound, high: None },
            (">" | ">=", Token::Text(second)) => {
                self.reader.read_text();
                if second != "<" && second != "<=" {
                    return Err(self.reader.refuse(format!("Bad numeric range operator: {second}")));
                }
                let (top_text, top) = self.bound(&second)?;
                if self.reader.next()? != Token::EndArray {
                    return Err(self.reader.refuse("Too many terms in numeric range expression"));
                }
                if number >= top {
                    return Err(self.reader.refuse("Bottom must be less than top"));
                }
                Range { low: bound, high: Some((top_text.into(), top, second.len() == 1)) }
            }
            (">" | ">=", other) => {
                return Err(self.reader.refuse(format!("Bad value in numeric range: {}", other.shown())));
            }
            _ => return Err(self.reader.refuse(TOO_MANY)),
        };
        self.end(TOO_MANY)?;
        Ok(Test::Range(range))
    }

    fn bound(&mut self, operator: &str) -> Result<(String, Number), PatternError> {
        match self.reader.next()? {
            Token::Number(text) => self.number(&text).map(|number| (text, number)),
            _ => Err(self.reader.refuse(format!("Value of {operator} must be numeric"))),
        }
    }

    fn number(&self, text: &str) -> Result<Number, PatternError> {
        Number::parse(text).ok_or_else(|| self.reader.refuse(format!("Cannot compare number : {text}")))
    }

    /// A value, a list, or an operator with one of both, up to the end of its object.
    fn anything_but(&mut self) -> Result<Test, PatternError> {
        const TOO_MANY: &str = "Too many elements in numeric expression";
        let mut first = self.reader.next()?;
        let operator = if first == Token::BeginObject {
            let Token::Name(operator) = self.reader.next()? else {
                return Err(self.reader.refuse("Anything-But expression name not found"));
            };
            // The older reading has no wildcards here.
            let known = match operator.as_str() {
                "equals-ignore-case" | "prefix" | "suffix" => true,
                "wildcard" => self.alternatives,
                _ => false,
            };
            if !known {
                return Err(self.reader.refuse(format!("Unsupported anything-but pattern: {operator}")));
            }
            first = self.reader.next()?;
            Some(operator)
        } else {
            None
        };
        let except = match (operator.as_deref(), first) {
            (None, Token::Text(text)) => Except::Texts([text.into()].into()),
            (None, Token::Number(text)) => {
                let number = self.number(&text)?;
                Except::Numbers([(text.into(), number)].into())
            }
            (None, Token::BeginArray) => self.except_list()?,
            (Some(operator), first @ (Token::Text(_) | Token::Number(_) | Token::BeginArray)) => {
                self.except_by(operator, first)?
            }
            _ => {
                let reason = "Value of anything-but must be an array or single string/number value.";
                return Err(self.reader.refuse(reason));
            }
        };
        self.end(TOO_MANY)?;
        if operator.is_some() {
            self.end(TOO_MANY)?;
        }
        Ok(Test::Not(except))
    }

    fn except_list(&mut self) -> Result<Except, PatternError> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        loop {
            match self.reader.next()? {
                Token::EndArray => break,
                Token::Text(text) => texts.push(text.into()),
                Token::Number(text) => {
                    let number = self.number(&text)?;
                    numbers.push((text.into(), number));
                }
                _ => {
                    let reason = "Inside anything but list, start|null|boolean is not supported.";
                    return Err(self.reader.refuse(reason));
                }
            }
        }
        match (texts.is_empty(), numbers.is_empty()) {
            (false, true) => Ok(Except::Texts(texts.into())),
            (true, false) => Ok(Except::Numbers(numbers.into())),
            _ => Err(self.reader.refuse(
                "Inside anything but list, either all values are number or string, mixed type is not supported",
            )),
        }
    }

    /// Texts that an operator is about: one, or a list.
    fn except_by(&mut self, operator: &str, first: Token) -> Result<Except, PatternError> {
        let affix = operator == "prefix" || operator == "suffix";
        let otherwise = match operator {
            "equals-ignore-case" => {
                "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
            }
            "wildcard" => "wildcard match pattern must be a string",
            _ => "prefix/suffix match pattern must be a string",
        };
        let list = first == Token::BeginArray;
        if list && affix && !self.alternatives {
            return Err(self.reader.refuse(otherwise));
        }
        let (mut texts, mut next) = (Vec::new(), if list { self.reader.next()? } else { first });
        loop {
            match next {
                Token::EndArray if list => break,
                Token::Text(text) if affix && text.is_empty() => {
                    return Err(self.reader.refuse("Null prefix/suffix not allowed"));
                }
                Token::Text(text) => texts.push(text),
                _ => return Err(self.reader.refuse(otherwise)),
            }
            if !list {
                break;
            }
            next = self.reader.next()?;
        }
        Ok(match operator {
            "equals-ignore-case" => Except::Folded(texts.iter().map(|text| Folded::new(text)).collect()),
            "prefix" => Except::Prefixes(texts.into_iter().map(Into::into).collect()),
            "suffix" => Except::Suffixes(texts.into_iter().map(Into::into).collect()),
            _ => Except::Wildcards(texts.iter().map(|text| self.wildcard(text)).collect::<Result<_, _>>()?),
        })
    }
}
