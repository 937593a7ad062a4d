//! Texts, regular expressions and addresses.
//!
//! Trino documentation, "String functions and operators", "Regular expression functions", "URL functions".

use std::cell::RefCell;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use regex::Regex;

use super::argument;
use super::kind::{Out, Value};
use super::simple::function;

fn texts<'a>(args: &[Value<'a>], at: usize) -> &'a str {
    args.get(at).map_or("", Value::text)
}

fn ints(args: &[Value<'_>], at: usize) -> i64 {
    args.get(at).map_or(0, Value::int)
}

fn size(count: usize) -> Out {
    Out::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn or_null(text: Option<&str>) -> Out {
    text.map_or(Out::Null, |text| Out::Text(text.to_owned()))
}

/// From a place, counted from 1, or from the end where it is negative.
fn substr(args: &[Value<'_>]) -> Result<Out> {
    let (text, start) = (texts(args, 0), ints(args, 1));
    let length = if args.len() > 2 { ints(args, 2) } else { i64::MAX };
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let from = if start < 0 { count.saturating_add(start) } else { start - 1 };
    let Ok(from) = usize::try_from(from) else { return Ok(Out::Text(String::new())) };
    let length = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    Ok(Out::Text(text.chars().skip(from).take(length).collect()))
}

/// Filled up, or cut, to so many characters.
fn padded(args: &[Value<'_>], at_left: bool) -> Result<Out> {
    let (text, with) = (texts(args, 0), texts(args, 2));
    let due = usize::try_from(ints(args, 1)).ok().filter(|due| *due <= super::MAX_TEXT);
    let due = due.ok_or_else(|| argument(format!("Target length must be in the range [0..{}]", super::MAX_TEXT)))?;
    if with.is_empty() {
        return Err(argument("Padding string must not be empty"));
    }
    let count = text.chars().count();
    let fill: String = with.chars().cycle().take(due.saturating_sub(count)).collect();
    let cut: String = text.chars().take(due).collect();
    Ok(Out::Text(if at_left { fill + &cut } else { cut + &fill }))
}

fn split(args: &[Value<'_>]) -> Result<Out> {
    let (text, between) = (texts(args, 0), texts(args, 1));
    if between.is_empty() {
        return Err(argument("The delimiter may not be the empty string"));
    }
    let limit = if args.len() > 2 { usize::try_from(ints(args, 2)).unwrap_or(0) } else { usize::MAX };
    if limit == 0 {
        return Err(argument("Limit must be positive"));
    }
    Ok(Out::Texts(text.splitn(limit, between).map(|part| Some(part.to_owned())).collect()))
}

fn split_part(args: &[Value<'_>]) -> Result<Out> {
    let (text, between) = (texts(args, 0), texts(args, 1));
    let index = usize::try_from(ints(args, 2)).ok().and_then(|index| index.checked_sub(1));
    let index = index.ok_or_else(|| argument("Index must be greater than zero"))?;
    if between.is_empty() {
        let letter = text.chars().nth(index);
        return Ok(letter.map_or(Out::Null, |letter| Out::Text(letter.to_string())));
    }
    Ok(or_null(text.split(between).nth(index)))
}

/// The place of the n-th instance, in characters from 1; 0 for none.
fn strpos(args: &[Value<'_>]) -> Result<Out> {
    let (text, wanted) = (texts(args, 0), texts(args, 1));
    Ok(text.find(wanted).map_or(Out::Int(0), |at| size(text.get(..at).unwrap_or("").chars().count() + 1)))
}

fn levenshtein(args: &[Value<'_>]) -> Result<Out> {
    let (left, right): (Vec<char>, Vec<char>) = (texts(args, 0).chars().collect(), texts(args, 1).chars().collect());
    if left.len().saturating_mul(right.len()) > super::MAX_TEXT {
        return Err(argument("The combined inputs for Levenshtein distance are too large"));
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.iter().enumerate() {
        let mut next = vec![at + 1];
        for (place, other) in right.iter().enumerate() {
            let swapped = row[place] + usize::from(letter != other);
            next.push(swapped.min(row[place + 1] + 1).min(next[place] + 1));
        }
        row = next;
    }
    Ok(size(row.last().copied().unwrap_or(0)))
}

fn hamming(args: &[Value<'_>]) -> Result<Out> {
    let (left, right) = (texts(args, 0), texts(args, 1));
    if left.chars().count() != right.chars().count() {
        return Err(argument("The input strings to hamming_distance function must have the same length"));
    }
    Ok(size(left.chars().zip(right.chars()).filter(|(left, right)| left != right).count()))
}

fn chr(args: &[Value<'_>]) -> Result<Out> {
    let letter = u32::try_from(ints(args, 0)).ok().and_then(char::from_u32);
    letter.map(|letter| Out::Text(letter.to_string())).ok_or_else(|| argument("Not a valid Unicode code point"))
}

fn codepoint(args: &[Value<'_>]) -> Result<Out> {
    let mut letters = texts(args, 0).chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(Out::Int(u32::from(letter).into())),
        _ => Err(argument("Input string must be a single character string")),
    }
}

fn translate(args: &[Value<'_>]) -> Result<Out> {
    let (from, to): (Vec<char>, Vec<char>) = (texts(args, 1).chars().collect(), texts(args, 2).chars().collect());
    let new = |letter| match from.iter().position(|this| *this == letter) {
        Some(at) => to.get(at).copied(),
        None => Some(letter),
    };
    Ok(Out::Text(texts(args, 0).chars().filter_map(new).collect()))
}

thread_local! {
    /// The pattern that was used last: most often it is the same for all rows.
    static LAST: RefCell<Option<(String, Regex)>> = const { RefCell::new(None) };
}

fn with_regex<T>(pattern: &str, work: impl FnOnce(&Regex) -> Result<T>) -> Result<T> {
    LAST.with_borrow_mut(|last| {
        if let Some((this, regex)) = last
            && this == pattern
        {
            return work(regex);
        }
        let regex = Regex::new(pattern).map_err(|error| argument(format!("Invalid regular expression: {error}")))?;
        let (_, regex) = last.insert((pattern.to_owned(), regex));
        work(regex)
    })
}

fn group(args: &[Value<'_>], regex: &Regex) -> Result<usize> {
    let wanted = ints(args, 2);
    let found = usize::try_from(wanted).ok().filter(|group| *group < regex.captures_len());
    found.ok_or_else(|| {
        argument(format!("Pattern has {} groups. Cannot access group {wanted}", regex.captures_len() - 1))
    })
}

fn extract(args: &[Value<'_>]) -> Result<Out> {
    with_regex(texts(args, 1), |regex| {
        let group = group(args, regex)?;
        let found = regex.captures(texts(args, 0));
        Ok(or_null(found.and_then(|found| found.get(group).map(|found| found.as_str()))))
    })
}

fn extract_all(args: &[Value<'_>]) -> Result<Out> {
    with_regex(texts(args, 1), |regex| {
        let group = group(args, regex)?;
        let of = |found: regex::Captures<'_>| found.get(group).map(|found| found.as_str().to_owned());
        Ok(Out::Texts(regex.captures_iter(texts(args, 0)).map(of).collect()))
    })
}

/// Java's `$1` and `\$` as the library has them.
fn replacement(text: &str) -> String {
    let (mut made, mut letters) = (String::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => made.push_str("$$"),
                Some(other) => made.push(other),
                None => made.push('\\'),
            },
            '$' if letters.peek().is_some_and(char::is_ascii_digit) => {
                made.push_str("${");
                while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                    made.push(digit);
                }
                made.push('}');
            }
            other => made.push(other),
        }
    }
    made
}

fn replace(args: &[Value<'_>]) -> Result<Out> {
    let with = replacement(texts(args, 2));
    with_regex(texts(args, 1), |regex| Ok(Out::Text(regex.replace_all(texts(args, 0), with.as_str()).into_owned())))
}

/// `scheme://host:port/path?query#fragment`
fn part<'a>(address: &'a str, wanted: &str) -> Option<&'a str> {
    let (rest, fragment) = address.split_once('#').map_or((address, None), |(rest, part)| (rest, Some(part)));
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, part)| (rest, Some(part)));
    let (scheme, rest) = rest.split_once("://").map_or((None, rest), |(scheme, rest)| (Some(scheme), rest));
    let (authority, path) = match scheme {
        Some(_) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let colon = host_and_port.rfind(':').filter(|at| !host_and_port.get(*at..).unwrap_or("").contains(']'));
    let (host, port) = colon.map_or((host_and_port, ""), |at| host_and_port.split_at(at));
    match wanted {
        "protocol" => Some(scheme.unwrap_or("")),
        "host" => Some(host),
        "port" => port.strip_prefix(':').filter(|port| !port.is_empty()),
        "path" => Some(path),
        "query" => Some(query.unwrap_or("")),
        _ => Some(fragment.unwrap_or("")),
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn parameter(args: &[Value<'_>]) -> Result<Out> {
    let query = part(texts(args, 0), "query").unwrap_or_default();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.into_iter().find(|(name, _)| decoded(name).as_deref() == Some(texts(args, 1)));
    Ok(found.and_then(|(_, value)| decoded(value)).map_or(Out::Null, Out::Text))
}

fn encode(args: &[Value<'_>]) -> Result<Out> {
    let mut text = String::new();
    for byte in texts(args, 0).bytes() {
        match byte {
            b' ' => text.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(Out::Text(text))
}

fn decode(args: &[Value<'_>]) -> Result<Out> {
    decoded(texts(args, 0)).map(Out::Text).ok_or_else(|| argument("no encoding of a text"))
}

fn port(args: &[Value<'_>]) -> Result<Out> {
    Ok(part(texts(args, 0), "port").and_then(|port| port.parse().ok()).map_or(Out::Null, Out::Int))
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        function!("length", [Text] => Bigint, |args| Ok(size(texts(args, 0).chars().count())); [Bytes] => Bigint, |args| Ok(size(args.first().map_or(0, |value| value.bytes().len())))),
        function!("substr", [Text, Bigint] => Text, substr; [Text, Bigint, Bigint] => Text, substr),
        function!("substring", [Text, Bigint] => Text, substr; [Text, Bigint, Bigint] => Text, substr),
        function!("lpad", [Text, Bigint, Text] => Text, |args| padded(args, true)),
        function!("rpad", [Text, Bigint, Text] => Text, |args| padded(args, false)),
        function!("split", [Text, Text] => Texts, split; [Text, Text, Bigint] => Texts, split),
        function!("split_part", [Text, Text, Bigint] => Text, split_part),
        function!("strpos", [Text, Text] => Bigint, strpos),
        function!("levenshtein_distance", [Text, Text] => Bigint, levenshtein),
        function!("hamming_distance", [Text, Text] => Bigint, hamming),
        function!("chr", [Bigint] => Text, chr),
        function!("codepoint", [Text] => Integer, codepoint),
        function!("translate", [Text, Text, Text] => Text, translate),
        function!("regexp_like", [Text, Text] => Bool, |args| with_regex(texts(args, 1), |regex| Ok(Out::Bool(regex.is_match(texts(args, 0)))))),
        function!("regexp_extract", [Text, Text] => Text, extract; [Text, Text, Bigint] => Text, extract),
        function!("regexp_extract_all", [Text, Text] => Texts, extract_all; [Text, Text, Bigint] => Texts, extract_all),
        function!("regexp_replace", [Text, Text] => Text, replace; [Text, Text, Text] => Text, replace),
        function!("regexp_count", [Text, Text] => Bigint, |args| with_regex(texts(args, 1), |regex| Ok(size(regex.find_iter(texts(args, 0)).count())))),
        function!("regexp_split", [Text, Text] => Texts, |args| with_regex(texts(args, 1), |regex| Ok(Out::Texts(regex.split(texts(args, 0)).map(|part| Some(part.to_owned())).collect())))),
        function!("url_extract_protocol", [Text] => Text, |args| Ok(or_null(part(texts(args, 0), "protocol")))),
        function!("url_extract_host", [Text] => Text, |args| Ok(or_null(part(texts(args, 0), "host")))),
        function!("url_extract_port", [Text] => Bigint, port),
        function!("url_extract_path", [Text] => Text, |args| Ok(or_null(part(texts(args, 0), "path")))),
        function!("url_extract_query", [Text] => Text, |args| Ok(or_null(part(texts(args, 0), "query")))),
        function!("url_extract_fragment", [Text] => Text, |args| Ok(or_null(part(texts(args, 0), "fragment")))),
        function!("url_extract_parameter", [Text, Text] => Text, parameter),
        function!("url_encode", [Text] => Text, encode),
        function!("url_decode", [Text] => Text, decode),
    ]
}
