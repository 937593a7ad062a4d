//! Grok patterns, as regular expressions whose groups are columns: what RegexSerDe reads (Developer Guide, "Writing grok custom classifiers").
//!
//! Patterns that look around, which linear time does not allow, are refused; the built-in ones are written without.

mod patterns;

use std::collections::HashMap;
use std::sync::OnceLock;

use millpond_hive::format::RegexFormat;
use millpond_hive::names::derived;
use millpond_hive::text::RegexRows;
use millpond_hive::types::Type;

use crate::found::{Column, Found, Layout};
use crate::infer::estimate;
use crate::sample::Text;
use crate::schema::Shape;

/// How deep patterns are in each other.
const MAX_DEPTH: usize = 16;
/// Bytes of a pattern with all that it is made of.
const MAX_EXPANDED: usize = 64 * 1024;
/// Lines that are matched.
const LINES: usize = 200;
/// How many of ten lines must match.
const MATCHING: usize = 9;

/// A pattern, ready for lines.
#[derive(Clone, Debug)]
pub struct Grok {
    classification: String,
    text: String,
    pattern: String,
    columns: Vec<(String, Type)>,
    rows: RegexRows,
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum GrokError {
    #[error("the grok pattern %{{{0}}} is not known")]
    Unknown(String),
    #[error("the grok pattern is nested more than {MAX_DEPTH} deep, or refers to itself")]
    Deep,
    #[error("the grok pattern is longer than {MAX_EXPANDED} bytes with all that it is made of")]
    Long,
    #[error("the line {0:?} of the custom patterns has no name and pattern")]
    Custom(String),
    #[error("the grok pattern names no field: write %{{PATTERN:field}}")]
    Nothing,
    #[error(
        "the data type {0} of a grok field is not known: byte, boolean, double, short, int, long, float and string are"
    )]
    Datatype(String),
    #[error("the grok pattern has {0}, which is not supported")]
    Refused(&'static str),
    #[error("the grok pattern is no regular expression: {0}")]
    Regex(String),
}

impl Grok {
    /// Compiles a pattern. `custom` has lines of a name and a pattern each.
    pub fn new(classification: &str, text: &str, custom: &str) -> Result<Self, GrokError> {
        let mut known: HashMap<&str, &str> = patterns::ALL.iter().copied().collect();
        for line in custom.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, pattern) =
                line.split_once(char::is_whitespace).ok_or_else(|| GrokError::Custom(line.to_owned()))?;
            known.insert(name, pattern.trim());
        }
        let mut expansion = Expansion { known: &known, pattern: String::new(), columns: Vec::new() };
        expansion.expand(text, 0)?;
        let Expansion { pattern, columns, .. } = expansion;
        if columns.is_empty() {
            return Err(GrokError::Nothing);
        }
        let format = RegexFormat { pattern: pattern.clone(), case_insensitive: false };
        let rows = RegexRows::new(&format, columns.len()).map_err(|error| GrokError::Regex(error.to_string()))?;
        Ok(Self { classification: classification.to_owned(), text: text.to_owned(), pattern, columns, rows })
    }
}

struct Expansion<'a> {
    known: &'a HashMap<&'a str, &'a str>,
    pattern: String,
    columns: Vec<(String, Type)>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<(), GrokError> {
        if depth > MAX_DEPTH {
            return Err(GrokError::Deep);
        }
        let mut rest = text;
        while let Some(at) = rest.find("%{") {
            let (before, from) = rest.split_at(at);
            self.plain(before)?;
            let Some((inside, after)) = from.get(2..).and_then(|from| from.split_once('}')) else {
                return Err(GrokError::Unknown(from.to_owned()));
            };
            self.reference(inside, depth)?;
            rest = after;
        }
        self.plain(rest)
    }

    /// `NAME`, `NAME:field`, `NAME:field:type`
    fn reference(&mut self, inside: &str, depth: usize) -> Result<(), GrokError> {
        let mut parts = inside.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        let pattern = *self.known.get(name).ok_or_else(|| GrokError::Unknown(name.to_owned()))?;
        match parts.next().filter(|field| !matches!(*field, "" | "UNWANTED")) {
            Some(field) => {
                let kind = parts.next().map_or(Ok(Type::String), datatype)?;
                self.column(field, kind);
                self.pattern.push('(');
            }
            None => self.pattern.push_str("(?:"),
        }
        self.expand(pattern, depth + 1)?;
        self.pattern.push(')');
        Ok(())
    }

    fn column(&mut self, field: &str, kind: Type) {
        let name = derived(field);
        let taken = |name: &str| self.columns.iter().any(|(known, _)| known == name);
        let mut fitting = name.clone();
        let mut number = 1;
        while taken(&fitting) {
            fitting = format!("{name}_{number}");
            number += 1;
        }
        self.columns.push((fitting, kind));
    }

    /// Text of a pattern, its groups without columns.
    fn plain(&mut self, text: &str) -> Result<(), GrokError> {
        let mut chars = text.chars().peekable();
        let mut class = false;
        while let Some(c) = chars.next() {
            match c {
                '\\' => {
                    self.pattern.push(c);
                    self.pattern.extend(chars.next());
                    continue;
                }
                '[' => class = true,
                ']' => class = false,
                '(' if !class => {
                    if chars.next_if_eq(&'?').is_none() {
                        self.pattern.push_str("(?:");
                        continue;
                    }
                    match chars.peek() {
                        Some('=' | '!') => return Err(GrokError::Refused("a lookahead")),
                        // Atomic groups match no more than others.
                        Some('>') => {
                            chars.next();
                            self.pattern.push_str("(?:");
                        }
                        Some('<') => {
                            chars.next();
                            if matches!(chars.peek(), Some('=' | '!')) {
                                return Err(GrokError::Refused("a lookbehind"));
                            }
                            // The name of a group.
                            chars.by_ref().find(|c| *c == '>');
                            self.pattern.push_str("(?:");
                        }
                        _ => self.pattern.push_str("(?"),
                    }
                    continue;
                }
                _ => {}
            }
            self.pattern.push(c);
        }
        if self.pattern.len() > MAX_EXPANDED { Err(GrokError::Long) } else { Ok(()) }
    }
}

fn datatype(name: &str) -> Result<Type, GrokError> {
    Ok(match name {
        "byte" => Type::TinyInt,
        "boolean" => Type::Boolean,
        "double" => Type::Double,
        "short" => Type::SmallInt,
        "int" => Type::Int,
        "long" => Type::BigInt,
        "float" => Type::Float,
        "string" => Type::String,
        _ => return Err(GrokError::Datatype(name.to_owned())),
    })
}

/// The built-in patterns of logs, in Glue's order.
pub fn built_in() -> &'static [Grok] {
    static ALL: OnceLock<Vec<Grok>> = OnceLock::new();
    ALL.get_or_init(|| {
        let made = patterns::LOGS.iter().map(|(classification, text)| Grok::new(classification, text, ""));
        // A test shows that there is none that is not made.
        made.filter_map(Result::ok).collect()
    })
}

/// What a text is, if its lines match.
pub fn infer(text: &Text, grok: &Grok) -> Option<Found> {
    let lines: Vec<&str> = text.text.lines().filter(|line| !line.is_empty()).collect();
    let looked_at = lines.len().min(LINES);
    let matches = |line: &&&str| grok.rows.fields(line.as_bytes()).iter().any(Option::is_some);
    let matching = lines.iter().take(LINES).filter(matches).count();
    if matching == 0 || matching * 10 < looked_at * MATCHING {
        return None;
    }
    Some(Found {
        classification: grok.classification.clone(),
        compression: text.compression,
        layout: Layout::Regex { pattern: grok.pattern.clone(), grok: grok.text.clone() },
        columns: grok.columns.iter().map(|(name, kind)| Column::new(name, Shape::of(kind.clone()))).collect(),
        records: estimate(lines.len() as u64, text.times),
        weak: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_hive::compression::Compression;

    fn text(text: &str) -> Text {
        Text { compression: Compression::None, text: text.to_owned(), whole: true, times: 1.0 }
    }

    #[test]
    fn all_built_in_patterns_compile() {
        assert_eq!(built_in().len(), patterns::LOGS.len());
        for (name, _) in patterns::ALL {
            let made = Grok::new("x", &format!("%{{{name}:field}}"), "");
            assert!(made.is_ok(), "{name}: {made:?}");
        }
    }

    #[test]
    fn logs_of_apache() {
        let combined = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"\n";
        let common = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 200 -\n";
        let kernel = "Feb  1 06:25:43 host kernel: [0.0] Linux version\n";
        for (line, classification, columns) in
            [(combined, "combined_apache", 12), (common, "apache", 10), (kernel, "linux_kernel", 5)]
        {
            let found = crate::classify(&text(line), &[]).unwrap();
            assert_eq!(
                (found.classification.as_str(), found.columns.len()),
                (classification, columns),
                "{:?}",
                found.columns
            );
        }
        let grok = &built_in()[0];
        let fields = grok.rows.fields(combined.trim_end().as_bytes());
        let field = |name: &str| {
            let at = grok.columns.iter().position(|(column, _)| column == name).unwrap();
            fields[at].clone().map(|text| text.into_owned())
        };
        assert_eq!(field("clientip").as_deref(), Some("127.0.0.1"));
        assert_eq!(field("timestamp").as_deref(), Some("10/Oct/2000:13:55:36 -0700"));
        assert_eq!((field("verb").as_deref(), field("response").as_deref()), (Some("GET"), Some("200")));
    }

    #[test]
    fn what_people_write() {
        let custom = "CRAWLERLOGLEVEL (BENCHMARK|ERROR|WARN|INFO|TRACE)\nMESSAGEPREFIX .*-.*-.*-.*-.*\n";
        let pattern = "%{TIMESTAMP_ISO8601:timestamp} \\[%{MESSAGEPREFIX:message_prefix}\\] %{CRAWLERLOGLEVEL:loglevel} : %{GREEDYDATA:Message}";
        let grok = Grok::new("special-logs", pattern, custom).unwrap();
        let found = infer(&text("2030-01-02T03:04:05Z [a-b-c-d-e] INFO : it runs\n"), &grok).unwrap();
        let names: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["timestamp", "message_prefix", "loglevel", "message"]);
        let grok = Grok::new("x", "%{NUMBER:n:int} %{HOSTPORT:where} (a|b)", "").unwrap();
        let kinds: Vec<String> = grok.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        assert_eq!(kinds, ["n int", "where string", "port string"]);
        assert!(infer(&text("1 h:80 a\nno\n"), &grok).is_none());
        for (pattern, custom, error) in [
            ("%{NOTHING:a}", "", GrokError::Unknown("NOTHING".into())),
            ("%{WORD}", "", GrokError::Nothing),
            ("%{WORD:a:date}", "", GrokError::Datatype("date".into())),
            ("%{A:a}", "A %{A}", GrokError::Deep),
            ("%{A:a}", "A (?=x)", GrokError::Refused("a lookahead")),
            ("%{A:a}", "A (?<!x)y", GrokError::Refused("a lookbehind")),
            ("%{WORD:a}", "LONE", GrokError::Custom("LONE".into())),
        ] {
            assert_eq!(Grok::new("x", pattern, custom).err(), Some(error), "{pattern}");
        }
        assert!(matches!(Grok::new("x", "%{WORD:a} (", ""), Err(GrokError::Regex(_))));
        let doubled: String = (0..20).map(|n| format!("A{} %{{A{n}}}%{{A{n}}}\n", n + 1)).collect();
        let error = Grok::new("x", "%{A15:a}", &format!("A0 xxxxxxxxxxxx\n{doubled}")).err();
        assert!(matches!(error, Some(GrokError::Long)), "{error:?}");
    }
}
