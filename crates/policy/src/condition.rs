//! Conditions (IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys").

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use millpond_types::Timestamp;

use crate::context::{Context, ContextValue, iso};
use crate::pattern::{Pattern, Syntax};

/// What a condition compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Text as it is.
    String,
    /// Text without regard to case.
    Caseless,
    /// Text with wildcards.
    Like,
    /// Numbers.
    Numeric(Order),
    /// Times.
    Date(Order),
    /// Truth values.
    Bool,
    /// Bytes.
    Binary,
    /// Addresses.
    Ip,
    /// ARNs, component by component, with wildcards.
    Arn,
    /// Whether the key is there.
    Null,
}

/// How numbers and times are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Order {
    fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }
}

/// How a multi-valued key is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantifier {
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// An operator with its prefix and suffix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operator {
    /// What is compared.
    pub family: Family,
    /// Whether the comparison is turned around.
    pub negated: bool,
    /// `...IfExists`
    pub if_exists: bool,
    /// `ForAllValues:` or `ForAnyValue:`
    pub quantifier: Option<Quantifier>,
}

/// Reads an operator's name, which is case-sensitive.
pub fn operator(name: &str) -> Option<Operator> {
    let (quantifier, name) = match name.split_once(':') {
        None => (None, name),
        Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
        Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
        Some(_) => return None,
    };
    let (if_exists, name) = match name.strip_suffix("IfExists") {
        Some(name) => (true, name),
        None => (false, name),
    };
    let (family, negated) = match name {
        "StringEquals" => (Family::String, false),
        "StringNotEquals" => (Family::String, true),
        "StringEqualsIgnoreCase" => (Family::Caseless, false),
        "StringNotEqualsIgnoreCase" => (Family::Caseless, true),
        "StringLike" => (Family::Like, false),
        "StringNotLike" => (Family::Like, true),
        "Bool" => (Family::Bool, false),
        "BinaryEquals" => (Family::Binary, false),
        "IpAddress" => (Family::Ip, false),
        "NotIpAddress" => (Family::Ip, true),
        "ArnEquals" | "ArnLike" => (Family::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Family::Arn, true),
        "Null" if !if_exists => (Family::Null, false),
        other => return ordered(other, if_exists, quantifier),
    };
    Some(Operator { family, negated, if_exists, quantifier })
}

fn ordered(name: &str, if_exists: bool, quantifier: Option<Quantifier>) -> Option<Operator> {
    let (family, order): (fn(Order) -> Family, _) = match name.strip_prefix("Numeric") {
        Some(order) => (Family::Numeric, order),
        None => (Family::Date, name.strip_prefix("Date")?),
    };
    let (order, negated) = match order {
        "Equals" => (Order::Equal, false),
        "NotEquals" => (Order::Equal, true),
        "LessThan" => (Order::Less, false),
        "LessThanEquals" => (Order::LessOrEqual, false),
        "GreaterThan" => (Order::Greater, false),
        "GreaterThanEquals" => (Order::GreaterOrEqual, false),
        _ => return None,
    };
    Some(Operator { family: family(order), negated, if_exists, quantifier })
}

/// A value that a condition compares with.
#[derive(Clone, Debug)]
enum Wanted {
    Text(Pattern),
    Number(f64),
    Seconds(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Network(Network),
    Arn(Box<[Pattern; 6]>),
}

/// A range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Network {
    address: IpAddr,
    pub(crate) prefix: u8,
}

impl Network {
    /// Reads `address` or `address/prefix`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        // A range of IPv4 addresses written as IPv6 ones.
        if let (IpAddr::V6(_), IpAddr::V4(inner), 96..=128) = (address, address.to_canonical(), prefix) {
            return Some(Self { address: inner.into(), prefix: prefix - 96 });
        }
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, found: IpAddr) -> bool {
        match (self.address, found) {
            (IpAddr::V4(net), IpAddr::V4(found)) => {
                let shift = 32 - u32::from(self.prefix);
                u64::from(net.to_bits()) >> shift == u64::from(found.to_bits()) >> shift
            }
            (IpAddr::V6(net), IpAddr::V6(found)) => match 128 - u32::from(self.prefix) {
                128 => true,
                shift => net.to_bits() >> shift == found.to_bits() >> shift,
            },
            _ => false,
        }
    }

    /// Whether every address of it is for private use (RFC 1918).
    pub(crate) fn is_private(self) -> bool {
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
            .iter()
            .filter_map(|text| Self::parse(text))
            .any(|range| range.prefix <= self.prefix && range.contains(self.address))
    }

    pub(crate) fn is_v4(self) -> bool {
        self.address.is_ipv4()
    }
}

/// One key of one operator, compiled.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The operator as it was written.
    pub name: String,
    /// The operator.
    pub operator: Operator,
    /// The key as it was written.
    pub key: String,
    /// The values as they were written.
    pub written: Vec<String>,
    wanted: Vec<Wanted>,
}

impl Condition {
    /// Compiles one key of an operator.
    pub fn new(name: &str, key: &str, written: Vec<String>, variables: bool) -> Result<Self, String> {
        let operator = operator(name).ok_or_else(|| format!("There is no condition operator {name}."))?;
        let wanted: Result<_, _> = written.iter().map(|text| wanted(operator.family, text, variables)).collect();
        let wanted = wanted.map_err(|what| format!("A value of {name} is {what}."))?;
        Ok(Self { name: name.to_owned(), operator, key: key.to_owned(), written, wanted })
    }

    /// Whether the condition holds. A multi-valued key without values is absent. A wanted text whose variable has no value is equal to
    /// nothing, and like nothing, so that a negated operator holds (IAM User Guide, "Policy variables with no value").
    pub fn holds(&self, context: &Context) -> bool {
        let Operator { family, negated, if_exists, quantifier } = self.operator;
        let found = context.get(&self.key).filter(|found| !found.is_empty());
        if family == Family::Null {
            let is = |wanted: &Wanted| matches!(wanted, Wanted::Bool(absent) if *absent == found.is_none());
            return self.wanted.iter().any(is);
        }
        let Some(found) = found else {
            return match quantifier {
                _ if if_exists => true,
                Some(Quantifier::All) => true,
                Some(Quantifier::Any) => false,
                None => negated,
            };
        };
        let matches = |value: One<'_>| self.matches(value, context);
        match found {
            ContextValue::Text(text) => matches(One::Text(text)) != negated,
            ContextValue::Number(number) => matches(One::Number(*number)) != negated,
            ContextValue::Bool(value) => matches(One::Bool(*value)) != negated,
            ContextValue::Time(time) => matches(One::Time(*time)) != negated,
            ContextValue::Many(values) => {
                let mut values = values.iter().map(|value| matches(One::Text(value)));
                match quantifier {
                    Some(Quantifier::All) => values.all(|matched| matched != negated),
                    Some(Quantifier::Any) => values.any(|matched| matched != negated),
                    None => values.any(|matched| matched) != negated,
                }
            }
        }
    }

    /// Whether a single value is among those that are wanted.
    fn matches(&self, found: One<'_>, context: &Context) -> bool {
        self.wanted.iter().any(|wanted| match wanted {
            Wanted::Text(pattern) => {
                let fold = self.operator.family == Family::Caseless;
                pattern.matches(&found.text(), fold, context)
            }
            Wanted::Number(wanted) => ordered_by(self.operator.family, found.number(), *wanted),
            Wanted::Seconds(wanted) => ordered_by(self.operator.family, found.seconds(), *wanted),
            Wanted::Bool(wanted) => found.truth() == Some(*wanted),
            Wanted::Bytes(wanted) => found.bytes().is_some_and(|found| found == *wanted),
            Wanted::Network(network) => found.address().is_some_and(|found| network.contains(found)),
            Wanted::Arn(patterns) => arn_matches(patterns, &found.text(), context),
        })
    }

    /// The networks that an `IpAddress` names.
    pub(crate) fn networks(&self) -> impl Iterator<Item = Network> {
        self.wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Network(network) => Some(*network),
            _ => None,
        })
    }

    /// The condition keys that its values name.
    pub fn variables(&self) -> Vec<&str> {
        fn of(wanted: &Wanted) -> Vec<&str> {
            match wanted {
                Wanted::Text(pattern) => pattern.variables().collect(),
                Wanted::Arn(patterns) => patterns.iter().flat_map(Pattern::variables).collect(),
                _ => Vec::new(),
            }
        }
        self.wanted.iter().flat_map(of).collect()
    }
}

fn wanted(family: Family, text: &str, variables: bool) -> Result<Wanted, &'static str> {
    let plain = Syntax { wildcards: false, variables, arn: false };
    let wild = Syntax { wildcards: true, variables, arn: false };
    Ok(match family {
        Family::String | Family::Caseless => Wanted::Text(Pattern::new(text, plain)),
        Family::Like => Wanted::Text(Pattern::new(text, wild)),
        Family::Numeric(_) => Wanted::Number(parse_number(text).ok_or("no number")?),
        Family::Date(_) => Wanted::Seconds(parse_time(text).ok_or("no date (ISO 8601, or seconds since 1970)")?),
        Family::Bool | Family::Null => match text.to_ascii_lowercase().as_str() {
            "true" => Wanted::Bool(true),
            "false" => Wanted::Bool(false),
            _ => return Err("neither true nor false"),
        },
        Family::Binary => Wanted::Bytes(STANDARD.decode(text).map_err(|_| "no base64")?),
        Family::Ip => Wanted::Network(Network::parse(text).ok_or("no address or range of addresses (CIDR)")?),
        Family::Arn => Wanted::Arn(Box::new(arn_patterns(text, wild).ok_or("no ARN")?)),
    })
}

/// The six parts of an ARN's pattern. Colons within variables do not part it.
fn arn_patterns(text: &str, syntax: Syntax) -> Option<[Pattern; 6]> {
    if text == "*" {
        return Some(std::array::from_fn(|_| Pattern::new("*", syntax)));
    }
    let (mut parts, mut start, mut inside) = (Vec::with_capacity(6), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'$' if syntax.variables && text[at..].starts_with("${") => inside = true,
            b'}' => inside = false,
            b':' if !inside && parts.len() < 5 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    let parts: [&str; 6] = parts.try_into().ok()?;
    Some(parts.map(|part| Pattern::new(part, syntax)))
}

fn arn_matches(patterns: &[Pattern; 6], text: &str, context: &Context) -> bool {
    let mut parts = text.splitn(6, ':');
    text.bytes().filter(|b| *b == b':').count() >= 5
        && patterns.iter().all(|pattern| parts.next().is_some_and(|part| pattern.matches(part, false, context)))
}

fn ordered_by(family: Family, found: Option<f64>, wanted: f64) -> bool {
    match (family, found) {
        (Family::Numeric(order) | Family::Date(order), Some(found)) => order.holds(found, wanted),
        _ => false,
    }
}

/// One value that was found.
#[derive(Clone, Copy)]
enum One<'a> {
    Text(&'a str),
    Number(f64),
    Bool(bool),
    Time(Timestamp),
}

impl<'a> One<'a> {
    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Number(number) => number.to_string().into(),
            Self::Bool(value) => if value { "true" } else { "false" }.into(),
            Self::Time(time) => iso(time).into(),
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Time(time) => Some(time.seconds() as f64),
            Self::Text(text) => parse_number(text),
            Self::Bool(_) => None,
        }
    }

    fn seconds(self) -> Option<f64> {
        match self {
            Self::Time(time) => Some(time.millis() as f64 / 1000.0),
            Self::Number(number) => Some(number),
            Self::Text(text) => parse_time(text),
            Self::Bool(_) => None,
        }
    }

    fn truth(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => STANDARD.decode(text).ok(),
            _ => None,
        }
    }

    /// IPv4 addresses that came over an IPv6 socket are IPv4 addresses all the same.
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Text(text) => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
            _ => None,
        }
    }
}

/// A number as JSON has it, or one with a sign before it; not what else computers call numbers, such as `inf` and `NaN`.
fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim();
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Seconds since 1970 of a W3C date (`YYYY`, `YYYY-MM`, `YYYY-MM-DD`, or with a time and a zone) or of a number of seconds.
pub(crate) fn parse_time(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.len() > 4 && digits(text.strip_prefix('-').unwrap_or(text)) {
        return parse_number(text);
    }
    let whole: Cow<'_, str> = match text.len() {
        4 if digits(text) => format!("{text}-01-01").into(),
        7 => format!("{text}-01").into(),
        _ => text.into(),
    };
    if whole.len() == 10 {
        let date: DateTime = format!("{whole}T00:00:00").parse().ok()?;
        return Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() as f64);
    }
    // Seconds may be left out.
    let padded = match whole.get(16..) {
        Some(zone @ ("Z" | "z")) => format!("{}:00{zone}", &whole[..16]).into(),
        Some(zone) if zone.len() == 6 && zone.starts_with(['+', '-']) => format!("{}:00{zone}", &whole[..16]).into(),
        _ => whole,
    };
    let time: jiff::Timestamp = padded.parse().ok()?;
    Some(time.as_millisecond() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let mut c = Context::default();
        c.text("s3:prefix", "home/bob");
        c.text("aws:SourceIp", "10.1.2.3");
        c.text("v6", "2001:db8::7");
        c.set("aws:SecureTransport", ContextValue::Bool(false));
        c.set("aws:CurrentTime", ContextValue::Time(Timestamp::from_seconds(1_577_836_800)));
        c.set("s3:max-keys", ContextValue::Number(10.0));
        c.set("aws:TagKeys", ContextValue::Many(vec!["a".to_owned(), "b".to_owned()]));
        c.set("none", ContextValue::Many(Vec::new()));
        c.text("arn", "arn:aws:sns:us-east-1:123456789012:a:b");
        c.text("bin", "QmluYXJ5");
        c.text("empty", "");
        c.text("aws:username", "bob");
        c
    }

    /// Name, key, values, expected.
    const CASES: &[(&str, &str, &[&str], bool)] = &[
        ("StringEquals", "s3:prefix", &["home/bob"], true),
        ("StringEquals", "S3:Prefix", &["x", "home/${aws:username}"], true),
        ("StringEquals", "s3:prefix", &["home/*"], false),
        ("StringEquals", "s3:prefix", &["HOME/BOB"], false),
        ("StringEqualsIgnoreCase", "s3:prefix", &["HOME/BOB"], true),
        ("StringNotEqualsIgnoreCase", "s3:prefix", &["HOME/BOB"], false),
        ("StringNotEquals", "s3:prefix", &["a", "home/bob"], false),
        ("StringNotEquals", "s3:prefix", &["a", "b"], true),
        ("StringLike", "s3:prefix", &["home/*"], true),
        ("StringNotLike", "s3:prefix", &["home/*"], false),
        ("StringEquals", "empty", &[""], true),
        // Missing keys.
        ("StringEquals", "missing", &["x"], false),
        ("StringEqualsIfExists", "missing", &["x"], true),
        ("StringNotEquals", "missing", &["x"], true),
        ("StringNotEqualsIfExists", "missing", &["x"], true),
        ("StringEqualsIfExists", "s3:prefix", &["x"], false),
        ("ForAllValues:StringEquals", "missing", &["x"], true),
        ("ForAnyValue:StringEquals", "missing", &["x"], false),
        ("ForAnyValue:StringNotEquals", "missing", &["x"], false),
        ("ForAnyValue:StringEqualsIfExists", "missing", &["x"], true),
        ("ForAllValues:StringEquals", "none", &["x"], true),
        ("ForAnyValue:StringEquals", "none", &["x"], false),
        ("Null", "missing", &["true"], true),
        ("Null", "missing", &["false"], false),
        ("Null", "empty", &["false"], true),
        ("Null", "empty", &["true"], false),
        // Several values.
        ("ForAllValues:StringEquals", "aws:TagKeys", &["a", "b", "c"], true),
        ("ForAllValues:StringEquals", "aws:TagKeys", &["a"], false),
        ("ForAnyValue:StringEquals", "aws:TagKeys", &["a"], true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", &["x"], false),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", &["a"], false),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", &["x"], true),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", &["a"], true),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", &["a", "b"], false),
        ("ForAllValues:StringEquals", "s3:prefix", &["home/bob"], true),
        ("StringEquals", "aws:TagKeys", &["b"], true),
        ("StringNotEquals", "aws:TagKeys", &["b"], false),
        // Numbers.
        ("NumericEquals", "s3:max-keys", &["10.0"], true),
        ("NumericNotEquals", "s3:max-keys", &["10"], false),
        ("NumericLessThan", "s3:max-keys", &["10"], false),
        ("NumericLessThanEquals", "s3:max-keys", &["10"], true),
        ("NumericGreaterThan", "s3:max-keys", &["9.5"], true),
        ("NumericGreaterThanEquals", "s3:max-keys", &["10.5"], false),
        ("NumericEquals", "s3:prefix", &["10"], false),
        ("NumericNotEquals", "s3:prefix", &["10"], true),
        // Times.
        ("DateEquals", "aws:CurrentTime", &["2020-01-01T00:00:00Z"], true),
        ("DateEquals", "aws:CurrentTime", &["2020"], true),
        ("DateEquals", "aws:CurrentTime", &["2020-01"], true),
        ("DateEquals", "aws:CurrentTime", &["2020-01-01T01:00+01:00"], true),
        ("DateGreaterThan", "aws:CurrentTime", &["2019-12-31T23:59:59.5Z"], true),
        ("DateLessThan", "aws:CurrentTime", &["1577836801"], true),
        ("DateNotEquals", "aws:CurrentTime", &["2020-01-01"], false),
        ("NumericGreaterThan", "aws:CurrentTime", &["1577836799"], true),
        ("StringEquals", "aws:CurrentTime", &["2020-01-01T00:00:00Z"], true),
        // Others.
        ("Bool", "aws:SecureTransport", &["false"], true),
        ("Bool", "aws:SecureTransport", &["true"], false),
        ("Bool", "missing", &["false"], false),
        ("BoolIfExists", "missing", &["true"], true),
        ("BinaryEquals", "bin", &["QmluYXJ5"], true),
        ("BinaryEquals", "bin", &["QQ=="], false),
        ("IpAddress", "aws:SourceIp", &["10.0.0.0/8"], true),
        ("IpAddress", "aws:SourceIp", &["10.1.2.3"], true),
        ("IpAddress", "aws:SourceIp", &["0.0.0.0/0"], true),
        ("IpAddress", "aws:SourceIp", &["11.0.0.0/8", "::/0"], false),
        ("NotIpAddress", "aws:SourceIp", &["10.0.0.0/8"], false),
        ("NotIpAddress", "missing", &["10.0.0.0/8"], true),
        ("IpAddress", "v6", &["2001:db8::/32"], true),
        ("IpAddress", "v6", &["2001:db9::/32"], false),
        ("IpAddress", "v6", &["::/0"], true),
        ("IpAddress", "s3:prefix", &["0.0.0.0/0"], false),
        ("ArnEquals", "arn", &["arn:aws:sns:*:123456789012:a:*"], true),
        ("ArnLike", "arn", &["arn:aws:sns:us-east-1:123456789012:a*"], true),
        ("ArnLike", "arn", &["arn:aws:*:123456789012:a:b"], false),
        ("ArnNotLike", "arn", &["arn:aws:sns:*:*:*"], false),
        ("ArnLike", "s3:prefix", &["*"], false),
        // A variable without a value is equal to nothing.
        ("StringEquals", "s3:prefix", &["${missing}"], false),
        ("StringEquals", "s3:prefix", &["${missing}", "home/bob"], true),
        ("StringNotEquals", "s3:prefix", &["${missing}"], true),
        ("StringNotEquals", "s3:prefix", &["${missing}", "home/bob"], false),
        ("ArnLike", "arn", &["arn:aws:sns:*:*:${missing}"], false),
        ("ArnNotLike", "arn", &["arn:aws:sns:*:*:${missing}"], true),
    ];

    #[test]
    fn operators() {
        for (name, key, values, expected) in CASES {
            let values = values.iter().map(|v| (*v).to_owned()).collect();
            let condition = Condition::new(name, key, values, true).unwrap();
            assert_eq!(condition.holds(&context()), *expected, "{name} {key} {:?}", condition.written);
        }
    }

    #[test]
    fn what_there_is_not() {
        for name in
            ["", "stringEquals", "StringEqual", "NullIfExists", "ForSomeValues:StringEquals", "NumericLike", "BoolNot"]
        {
            assert!(operator(name).is_none(), "{name}");
        }
        for (name, value) in [
            ("NumericEquals", "ten"),
            ("NumericEquals", "NaN"),
            ("DateEquals", "yesterday"),
            ("DateEquals", "2020-13-01"),
            ("Bool", "yes"),
            ("Null", ""),
            ("IpAddress", "10.0.0.0/33"),
            ("IpAddress", "10.0.0"),
            ("BinaryEquals", "?"),
            ("ArnLike", "arn:aws:s3"),
        ] {
            assert!(Condition::new(name, "k", vec![value.to_owned()], true).is_err(), "{name} {value}");
        }
    }
}
