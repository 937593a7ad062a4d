//! Exclude patterns (Developer Guide, "Include and exclude patterns"): `*` and `?` within a folder's name, `**` across folders, `[a-z]`, `[!a-z]`,
//! `{a,b}`, and `\` before a character that is meant as it is.

use regex::{Regex, RegexBuilder};

/// Bytes of memory of a compiled pattern.
const MAX_COMPILED: usize = 1024 * 1024;

/// Patterns of a target.
#[derive(Clone, Debug, Default)]
pub struct Exclusions(Vec<Regex>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the exclude pattern {0} is not valid: {1}")]
pub struct GlobError(String, &'static str);

impl Exclusions {
    /// Reads patterns, which are about what follows the include path.
    pub fn new(patterns: &[String]) -> Result<Self, GlobError> {
        patterns.iter().map(|pattern| compiled(pattern)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them is about an object. `below` is its key behind the include path.
    pub fn has(&self, below: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(below))
    }
}

fn compiled(pattern: &str) -> Result<Regex, GlobError> {
    let text = translated(pattern.trim_start_matches('/')).map_err(|why| GlobError(pattern.to_owned(), why))?;
    let built = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_COMPILED).dot_matches_new_line(true).build();
    built.map_err(|_| GlobError(pattern.to_owned(), "it is too long, or its brackets do not fit"))
}

fn translated(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut chars = pattern.chars().peekable();
    let mut group = false;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => match chars.next() {
                Some(c) => out.push_str(&regex::escape(&c.to_string())),
                None => return Err("a backslash stands last"),
            },
            '[' => class(&mut chars, &mut out)?,
            '{' if group => return Err("groups cannot be nested"),
            '{' => {
                group = true;
                out.push_str("(?:");
            }
            '}' if group => {
                group = false;
                out.push(')');
            }
            ',' if group => out.push('|'),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    if group { Err("a group does not end") } else { Ok(out) }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), &'static str> {
    out.push('[');
    if chars.next_if_eq(&'!').is_some() {
        // Never the end of a folder's name.
        out.push_str("^/");
    }
    let mut first = true;
    loop {
        match chars.next() {
            None => return Err("brackets do not end"),
            Some(']') if !first => break,
            Some('-') if !first && chars.peek() != Some(&']') => out.push('-'),
            Some(c) => {
                out.push_str(&if c.is_alphanumeric() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) })
            }
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_documented() {
        for (pattern, excluded, others) in [
            ("*.csv", &["a.csv"][..], &["d/a.csv", "a.csvx"][..]),
            ("*.*", &["a.b"], &["a", "d/a.b"]),
            ("*.{csv,avro}", &["a.csv", "a.avro"], &["a.json"]),
            ("foo.?", &["foo.x"], &["foo.xy", "foo."]),
            ("myfolder/*", &["myfolder/a"], &["myfolder/a/b"]),
            ("myfolder/*/*", &["myfolder/a/b"], &["myfolder/a"]),
            ("myfolder/**", &["myfolder/a", "myfolder/a/b"], &["myfolder"]),
            ("myfolder**", &["myfolder", "myfolder/a.txt"], &["my"]),
            ("departments/market*", &["departments/market-us.json"], &["departments/finance.json"]),
            ("**.csv", &["employees/john.csv"], &["employees/juan.txt"]),
            ("2015/01/{[!0],0[8-9]}**", &["2015/01/10/a", "2015/01/08/a"], &["2015/01/01/a", "2015/01/07/b"]),
            ("2015/0[2-9]/**", &["2015/03/01/x"], &["2015/01/01/x"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("[-a]", &["-", "a"], &["b"]),
            ("*", &[".hidden"], &["a/b"]),
        ] {
            let exclusions = Exclusions::new(&[pattern.to_owned()]).unwrap();
            for below in excluded {
                assert!(exclusions.has(below), "{pattern} {below}");
            }
            for below in others {
                assert!(!exclusions.has(below), "{pattern} {below}");
            }
        }
        for bad in ["{a", "{a,{b}}", "[a", "a\\", "[z-a]"] {
            assert!(Exclusions::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in "\\PC{0,20}", below in "[a-c/.]{0,10}") {
            if let Ok(exclusions) = Exclusions::new(&[pattern]) {
                exclusions.has(&below);
            }
        }
    }
}
