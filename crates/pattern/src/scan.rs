//! The lowest layer of reading JSON: where strings and numbers end, and what a string says.

use std::borrow::Cow;

/// What stands where a lone half of a surrogate pair was escaped: there is no such character.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The length of a string up to its closing quote, from behind its opening one.
pub(crate) fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// What a string says, from what stands between its quotes.
pub(crate) fn text(raw: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if raw.iter().any(|byte| *byte < b' ') {
        return Err("Illegal unquoted character: has to be escaped to be included in a string value");
    }
    let text = std::str::from_utf8(raw).map_err(|_| "Invalid UTF-8")?;
    let Some(mut escape) = memchr::memchr(b'\\', raw) else { return Ok(Cow::Borrowed(text)) };
    let (mut said, mut at) = (String::with_capacity(text.len()), 0);
    loop {
        said.push_str(&text[at..escape]);
        let (c, length) = unescaped(&raw[escape..])?;
        said.push(c);
        at = escape + length;
        match memchr::memchr(b'\\', &raw[at..]) {
            Some(next) => escape = at + next,
            None => break,
        }
    }
    said.push_str(&text[at..]);
    Ok(Cow::Owned(said))
}

/// The character that an escape stands for, and the escape's length.
fn unescaped(raw: &[u8]) -> Result<(char, usize), &'static str> {
    let c = match raw.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = hex(raw.get(2..6))?;
            if let (0xD800..=0xDBFF, Some(b"\\u")) = (first, raw.get(6..8)) {
                let second = hex(raw.get(8..12))?;
                if let 0xDC00..=0xDFFF = second {
                    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                    return Ok((char::from_u32(code).unwrap_or(REPLACEMENT), 12));
                }
            }
            return Ok((char::from_u32(first).unwrap_or(REPLACEMENT), 6));
        }
        _ => return Err("Unrecognized character escape"),
    };
    Ok((c, 2))
}

fn hex(digits: Option<&[u8]>) -> Result<u32, &'static str> {
    const BAD: &str = "Expected four hexadecimal digits behind \\u";
    digits.ok_or(BAD)?.iter().try_fold(0, |code, byte| Ok(code << 4 | char::from(*byte).to_digit(16).ok_or(BAD)?))
}

/// The length of the number that bytes begin with.
pub(crate) fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        let exponent = bytes.get(at..).map_or(0, |_| digits(at));
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}
