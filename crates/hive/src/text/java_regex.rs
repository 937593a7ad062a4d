//! Java's regular expressions in the language of the `regex` crate.
//!
//! Source: the documentation of `java.util.regex.Pattern`. What that crate cannot do in linear time (lookaround, backreferences,
//! possessive quantifiers, atomic groups) is refused with its place.

/// The longest pattern, in bytes: that of a property in Glue's catalog.
pub const MAX_PATTERN_BYTES: usize = 512_000;
/// How deep groups and classes nest.
const MAX_DEPTH: usize = 100;

/// Why a pattern is not translated. Positions count characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PatternError {
    #[error("position {at}: {what} not supported")]
    Refused { at: usize, what: String },
    #[error("position {at}: {what}")]
    Invalid { at: usize, what: &'static str },
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes")]
    TooLong,
}

/// Translates a pattern. It may still be none, which compiling tells.
pub fn translate(pattern: &str) -> Result<String, PatternError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let mut reader = Reader { chars: pattern.chars().collect(), at: 0, out: String::with_capacity(pattern.len() * 2) };
    let mut depth = 0usize;
    while let Some(c) = reader.next() {
        match c {
            '\\' => reader.escape()?,
            '[' => reader.class(0)?,
            '(' => {
                depth += 1;
                reader.group()?;
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or_else(|| reader.invalid("a group ends that did not begin"))?;
                reader.out.push(')');
            }
            '*' | '+' | '?' | '{' => reader.quantifier(c)?,
            '^' | '$' | '.' | '|' => reader.out.push(c),
            c => reader.literal(c),
        }
        if depth > MAX_DEPTH {
            return Err(reader.invalid("groups nest too deep"));
        }
    }
    match depth {
        0 => Ok(reader.out),
        _ => Err(reader.invalid("a group does not end")),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Reader {
    fn peek(&self, places: usize) -> Option<char> {
        self.chars.get(self.at + places).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek(0) == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// An error at the character before.
    fn invalid(&self, what: &'static str) -> PatternError {
        PatternError::Invalid { at: self.at.saturating_sub(1), what }
    }

    fn refused(&self, at: usize, what: impl Into<String>) -> PatternError {
        PatternError::Refused { at, what: what.into() }
    }

    fn literal(&mut self, c: char) {
        // `\<` and `\>` mean something else.
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn group(&mut self) -> Result<(), PatternError> {
        let at = self.at - 1;
        if !self.take('?') {
            self.out.push('(');
            return Ok(());
        }
        match (self.peek(0), self.peek(1)) {
            (Some('='), _) => Err(self.refused(at, "lookahead (?=...) is")),
            (Some('!'), _) => Err(self.refused(at, "negative lookahead (?!...) is")),
            (Some('<'), Some('=')) => Err(self.refused(at, "lookbehind (?<=...) is")),
            (Some('<'), Some('!')) => Err(self.refused(at, "negative lookbehind (?<!...) is")),
            (Some('>'), _) => Err(self.refused(at, "an atomic group (?>...) is")),
            (Some('<'), _) => self.named(),
            _ => self.flags(at),
        }
    }

    fn named(&mut self) -> Result<(), PatternError> {
        self.at += 1;
        self.out.push_str("(?P<");
        loop {
            match self.next() {
                Some('>') => break,
                Some(c) if c.is_ascii_alphanumeric() => self.out.push(c),
                _ => return Err(self.invalid("the name of a group has letters and digits alone")),
            }
        }
        self.out.push('>');
        Ok(())
    }

    /// `(?:`, `(?i)`, `(?i-s:`
    fn flags(&mut self, at: usize) -> Result<(), PatternError> {
        self.out.push_str("(?");
        loop {
            match self.next() {
                Some(c @ (':' | ')')) => {
                    if c == ')' && self.out.ends_with("(?") {
                        return Err(self.invalid("(?) says nothing"));
                    }
                    self.out.push(c);
                    // A group that ends at once.
                    if c == ')' {
                        self.at -= 1;
                        self.out.pop();
                    }
                    return Ok(());
                }
                Some(c @ ('i' | 's' | 'm' | '-')) => self.out.push(c),
                Some(c @ ('d' | 'u' | 'x' | 'U')) => return Err(self.refused(at, format!("the flag (?{c}) is"))),
                _ => return Err(self.invalid("an unknown flag of a group")),
            }
        }
    }

    fn quantifier(&mut self, c: char) -> Result<(), PatternError> {
        let at = self.at - 1;
        self.out.push(c);
        if c == '{' {
            loop {
                match self.next() {
                    Some('}') => break,
                    Some(c) if c.is_ascii_digit() || c == ',' => self.out.push(c),
                    _ => {
                        return Err(self.invalid(
                            "a repetition is {n}, {n,} or {n,m}; as a character, { stands after a backslash",
                        ));
                    }
                }
            }
            self.out.push('}');
        }
        if self.peek(0) == Some('+') {
            return Err(self.refused(at, "a possessive quantifier (such as *+) is"));
        }
        if self.take('?') {
            self.out.push('?');
        }
        Ok(())
    }

    /// Outside of classes.
    fn escape(&mut self) -> Result<(), PatternError> {
        let at = self.at - 1;
        let Some(c) = self.next() else { return Err(self.invalid("a backslash stands last")) };
        match c {
            '1'..='9' => return Err(self.refused(at, format!("a backreference (\\{c}) is"))),
            'k' => return Err(self.refused(at, "a backreference (\\k<...>) is")),
            'G' | 'X' | 'N' => return Err(self.refused(at, format!("\\{c} is"))),
            'b' | 'B' | 'A' | 'z' => self.out.extend(['\\', c]),
            'Z' => self.out.push_str(r"(?:\r?\n)?\z"),
            'R' => self.out.push_str(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])"),
            'Q' => self.quoted(),
            _ => return self.class_escape(at, c).map(drop),
        }
        Ok(())
    }

    /// `\Q...\E`
    fn quoted(&mut self) {
        while let Some(c) = self.next() {
            if c == '\\' && self.take('E') {
                return;
            }
            self.literal(c);
        }
    }

    /// What means the same in classes and outside. Gives the character, unless it is a class of them.
    fn class_escape(&mut self, at: usize, c: char) -> Result<Option<char>, PatternError> {
        // ASCII's alone, as in Java.
        let set = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[\t\n\x0B\x0C\r ]",
            'S' => r"[^\t\n\x0B\x0C\r ]",
            'h' => r"[ \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]",
            'H' => r"[^ \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]",
            'v' => r"[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}]",
            'V' => r"[^\n\x0B\x0C\r\x{85}\x{2028}\x{2029}]",
            _ => "",
        };
        if !set.is_empty() {
            self.out.push_str(set);
            return Ok(None);
        }
        let literal = match c {
            'p' | 'P' => return self.property(at, c == 'P').map(|()| None),
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'x' => self.hexadecimal(2)?,
            'u' => self.hexadecimal(4)?,
            '0' => self.octal()?,
            'c' => match self.next() {
                Some(c) if c.is_ascii() => char::from((c as u8) ^ 64),
                _ => return Err(self.invalid("\\c stands before a character of ASCII")),
            },
            c if c.is_ascii_alphanumeric() => return Err(PatternError::Invalid { at, what: "an unknown escape" }),
            c => c,
        };
        self.code(literal);
        Ok(Some(literal))
    }

    fn code(&mut self, c: char) {
        if c.is_control() { self.out.push_str(&format!("\\x{{{:X}}}", u32::from(c))) } else { self.literal(c) }
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char, PatternError> {
        let braces = digits == 2 && self.take('{');
        let mut code = 0u32;
        let mut read = 0;
        while let Some(digit) = self.peek(0).and_then(|c| c.to_digit(16)) {
            if !braces && read == digits || read == 8 {
                break;
            }
            code = code.saturating_mul(16).saturating_add(digit);
            read += 1;
            self.at += 1;
        }
        let complete = if braces { read > 0 && self.take('}') } else { read == digits };
        char::from_u32(code)
            .filter(|_| complete)
            .ok_or_else(|| self.invalid("a character by its code needs its digits"))
    }

    fn octal(&mut self) -> Result<char, PatternError> {
        let mut code = 0u32;
        let mut read = 0;
        while let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) {
            if read == 3 || code * 8 + digit > 0o377 {
                break;
            }
            code = code * 8 + digit;
            read += 1;
            self.at += 1;
        }
        char::from_u32(code).filter(|_| read > 0).ok_or_else(|| self.invalid("\\0 stands before digits of base 8"))
    }

    /// `\p{Name}`, `\pL`
    fn property(&mut self, at: usize, negated: bool) -> Result<(), PatternError> {
        let mut name = String::new();
        if self.take('{') {
            loop {
                match self.next() {
                    Some('}') => break,
                    Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                    _ => return Err(self.refused(at, "this \\p{...} is")),
                }
            }
        } else {
            name.extend(self.next());
        }
        const POSIX: [&str; 13] = [
            "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl",
            "XDigit", "Space",
        ];
        const CATEGORIES: [&str; 37] = [
            "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps",
            "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
            "LC",
        ];
        let sign = if negated { "^" } else { "" };
        let category = name.strip_prefix("Is").unwrap_or(&name);
        if POSIX.contains(&name.as_str()) {
            self.out.push_str(&format!("[[:{sign}{}:]]", name.to_lowercase()));
        } else if CATEGORIES.contains(&category) {
            self.out.push_str(&format!("\\{}{{{category}}}", if negated { 'P' } else { 'p' }));
        } else {
            return Err(self.refused(at, format!("\\p{{{name}}} is")));
        }
        Ok(())
    }

    /// A class, after its opening bracket.
    fn class(&mut self, depth: usize) -> Result<(), PatternError> {
        if depth > MAX_DEPTH {
            return Err(self.invalid("classes nest too deep"));
        }
        self.out.push('[');
        if self.take('^') {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return Err(self.invalid("a class [...] does not end")) };
            match c {
                ']' if !first => break,
                '[' => self.class(depth + 1)?,
                '&' if self.peek(0) == Some('&') => {
                    self.at += 1;
                    self.out.push_str("&&");
                }
                c => self.class_item(c)?,
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// A character, or a range of them.
    fn class_item(&mut self, c: char) -> Result<(), PatternError> {
        if self.class_character(c)?.is_none() {
            return Ok(());
        }
        let range = self.peek(0) == Some('-') && self.peek(1).is_some_and(|end| !matches!(end, ']' | '['));
        if !range {
            return Ok(());
        }
        self.at += 1;
        self.out.push('-');
        let Some(end) = self.next() else { return Err(self.invalid("a class [...] does not end")) };
        match self.class_character(end)? {
            Some(_) => Ok(()),
            None => Err(self.invalid("a range ends with a class of characters")),
        }
    }

    fn class_character(&mut self, c: char) -> Result<Option<char>, PatternError> {
        if c != '\\' {
            self.literal(c);
            return Ok(Some(c));
        }
        let at = self.at - 1;
        match self.next() {
            Some('Q') => {
                self.quoted();
                Ok(None)
            }
            Some(c) => self.class_escape(at, c),
            None => Err(self.invalid("a backslash stands last")),
        }
    }
}
