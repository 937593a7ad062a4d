//! Tokens of Hive's DDL. They are read one at a time, as a view's query is not of this language.
//!
//! Source: Hive's grammar `HiveLexer` and `BaseSemanticAnalyzer.unescapeSQLString`, by their behaviour.

use super::error::{DdlError, Fault, shown};

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A word without quotes: a keyword or a name. Also numbers, as names may begin with digits.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// A string, and the quotes it stood in.
    Text(String, char),
    /// Punctuation or an operator.
    Symbol(&'static str),
    /// The end.
    End,
}

/// A token and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned {
    pub token: Token,
    pub start: usize,
    pub end: usize,
}

/// The longer ones first.
const SYMBOLS: [&str; 18] =
    ["<>", "!=", "<=", ">=", "==", "(", ")", ",", ".", ";", "=", "<", ">", ":", "*", "-", "+", "$"];

/// The token at `from` or after it.
pub fn token(sql: &str, from: usize) -> Result<Spanned, DdlError> {
    let start = skip(sql, from)?;
    let rest = sql.get(start..).unwrap_or_default();
    let spanned = |token, end| Ok(Spanned { token, start, end });
    let Some(first) = rest.chars().next() else { return spanned(Token::End, start) };
    match first {
        '\'' | '"' => {
            let end = string_end(rest, first).ok_or_else(|| no_end(sql, start, "a string"))?;
            let inside = rest.get(1..end - 1).unwrap_or_default();
            return spanned(Token::Text(unescape(inside), first), start + end);
        }
        '`' => {
            let end = backtick_end(rest).ok_or_else(|| no_end(sql, start, "a name in backticks"))?;
            let name = rest.get(1..end - 1).unwrap_or_default().replace("``", "`");
            return spanned(Token::Quoted(name), start + end);
        }
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}'
        | '\u{00b4}' | '\u{2032}' | '\u{2033}' | '\u{00ab}' | '\u{00bb}' => {
            return Err(DdlError::at(sql, start, Fault::Typographic { found: first }));
        }
        _ => {}
    }
    if is_word(first) {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default().to_owned();
        return spanned(Token::Word(word), start + end);
    }
    match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(symbol) => spanned(Token::Symbol(symbol), start + symbol.len()),
        None => Err(DdlError::at(sql, start, Fault::Character { found: format!("'{}'", shown(&first.to_string())) })),
    }
}

fn no_end(sql: &str, at: usize, what: &'static str) -> DdlError {
    DdlError::at(sql, at, Fault::Unterminated { what })
}

/// Letters of any script: Hive's grammar has ASCII alone, the names' check says so better.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where blanks and comments end.
pub fn skip(sql: &str, from: usize) -> Result<usize, DdlError> {
    let mut at = from;
    loop {
        let rest = sql.get(at..).unwrap_or_default();
        let length = match rest.chars().next() {
            // A byte order mark, as editors write it.
            Some(c) if c.is_whitespace() || c == '\u{feff}' => c.len_utf8(),
            Some('-') if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            Some('/') if rest.starts_with("/*") => {
                rest.find("*/").map(|end| end + 2).ok_or_else(|| no_end(sql, at, "a comment"))?
            }
            _ => return Ok(at),
        };
        at += length;
    }
}

/// Where a string ends, its quotes included; a backslash keeps the next character from ending it.
fn string_end(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn backtick_end(rest: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += rest.get(at..)?.find('`')? + 1;
        if !rest.get(at..)?.starts_with('`') {
            return Some(at);
        }
        at += 1;
    }
}

/// Resolves the escapes of a string: `\ooo` (octal, to `\177`), `\uXXXX`, `\n` and others; `\%` and `\_` keep the backslash.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let used = escape(rest, &mut out);
        rest = rest.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// What follows a backslash; gives how many bytes of it were used.
fn escape(rest: &str, out: &mut String) -> usize {
    let Some(first) = rest.chars().next() else {
        out.push('\\');
        return 0;
    };
    if first == 'u'
        && let Some((c, used)) = unicode(rest)
    {
        out.push(c);
        return used;
    }
    if matches!(first, '0' | '1')
        && let Some(digits) = rest.get(..3).filter(|d| d.bytes().all(|b| (b'0'..=b'7').contains(&b)))
        && let Ok(code) = u8::from_str_radix(digits, 8)
    {
        out.push(char::from(code));
        return 3;
    }
    match first {
        '0' => out.push('\0'),
        'b' => out.push('\u{8}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'Z' => out.push('\u{1a}'),
        // They are for LIKE, which resolves them itself.
        '%' | '_' => out.extend(['\\', first]),
        other => out.push(other),
    }
    first.len_utf8()
}

/// `uXXXX`, two of them for what lies beyond 16 bits.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u32::from_str_radix(text.strip_prefix('u')?.get(..4)?, 16).ok();
    let hex = |text: &str| text.get(1..5).is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    let high = unit(rest).filter(|_| hex(rest))?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 5));
    }
    let second = rest.get(5..)?.strip_prefix('\\')?;
    let low = unit(second).filter(|_| hex(second) && high < 0xdc00)?;
    let code = 0x1_0000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00).filter(|l| *l < 0x400)?;
    char::from_u32(code).map(|c| (c, 11))
}
