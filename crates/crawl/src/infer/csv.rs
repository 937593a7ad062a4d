//! Text with delimiters.

use std::collections::HashMap;

use millpond_hive::names::derived;
use millpond_hive::types::Type;

use super::values::shape_of;
use crate::found::{Column, Csv, Found, Layout};
use crate::sample::Text;
use crate::schema::{Shape, merged};

/// Delimiters that are tried (Developer Guide, "Built-in CSV classifier"), in that order where two fit as well.
const DELIMITERS: [char; 5] = [',', '|', '\t', ';', '\u{1}'];
/// Columns of a file at most.
const MAX_COLUMNS: usize = 5_000;
/// Characters of a name in a header, but for the last (the same).
const MAX_HEADER_CHARS: usize = 150;
/// How many of ten lines must have as many fields as most.
const EVEN: usize = 9;

/// Whether the first line has names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// To be found out.
    #[default]
    Unknown,
    /// It has.
    Present,
    /// It has not.
    Absent,
}

/// Who is to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CsvSerde {
    /// OpenCSVSerde where fields are in quotes, else LazySimpleSerDe.
    #[default]
    Fitting,
    /// OpenCSVSerde
    Open,
    /// LazySimpleSerDe
    Lazy,
}

/// How text with delimiters is recognized. By itself, the built-in classifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvRules {
    /// Between fields; found out, where nothing is said.
    pub delimiter: Option<char>,
    /// Around fields; `"`, where nothing is said.
    pub quote: Option<char>,
    /// Whether the first line has names.
    pub header: Header,
    /// Names of columns.
    pub names: Vec<String>,
    /// Whether blanks around names stay.
    pub untrimmed: bool,
    /// Whether a file may have one column.
    pub single: bool,
    /// Types of columns, by place.
    pub types: Vec<Type>,
    /// Who is to read it.
    pub serde: CsvSerde,
}

/// A field: its text, without quotes, and whether it had some.
type Field = (String, bool);

/// The fields of a line. A quote begins a field or is a character like others; two of them, or one after a backslash, are one within quotes.
fn fields(line: &str, delimiter: char, quote: char) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        let quoted = chars.next_if_eq(&quote).is_some();
        let (mut text, mut within) = (String::new(), quoted);
        let ended = loop {
            let Some(c) = chars.next() else { break true };
            if within && c == '\\' && chars.peek() == Some(&quote) {
                text.extend(chars.next());
            } else if within && c == quote {
                within = chars.next_if_eq(&quote).is_some();
                if within {
                    text.push(quote);
                }
            } else if !within && c == delimiter {
                break false;
            } else {
                text.push(c);
            }
        };
        fields.push((text, quoted && !within));
        if ended || fields.len() > MAX_COLUMNS {
            return fields;
        }
    }
}

fn plain(line: &str, delimiter: char) -> Vec<Field> {
    line.split(delimiter).map(|field| (field.to_owned(), false)).take(MAX_COLUMNS + 1).collect()
}

/// Lines taken apart.
struct Table {
    delimiter: char,
    rows: Vec<Vec<Field>>,
    columns: usize,
    /// How many lines have as many fields as most.
    even: usize,
}

impl Table {
    fn of(lines: &[&str], delimiter: char, quote: Option<char>) -> Self {
        let rows: Vec<Vec<Field>> = lines
            .iter()
            .map(|line| quote.map_or_else(|| plain(line, delimiter), |quote| fields(line, delimiter, quote)))
            .collect();
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for row in &rows {
            *counts.entry(row.len()).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(columns, rows)| (*rows, *columns)).unwrap_or((0, 0));
        Self { delimiter, rows, columns: most.0, even: most.1 }
    }

    fn is_even(&self) -> bool {
        self.even * 10 >= self.rows.len() * EVEN && self.columns <= MAX_COLUMNS
    }

    /// The types of the columns, of the lines from one on.
    fn shapes(&self, from: usize) -> Vec<(Shape, bool)> {
        let mut shapes = vec![(Shape::Null, false); self.columns];
        for row in self.rows.iter().skip(from) {
            for (at, (shape, gaps)) in shapes.iter_mut().enumerate() {
                let text = row.get(at).map_or("", |(text, _)| text.as_str());
                *gaps |= text.is_empty();
                if *shape != Shape::String {
                    *shape = merged(std::mem::replace(shape, Shape::Null), shape_of(text));
                }
            }
        }
        shapes
    }
}

/// What stands in the first line, if that can be names.
fn names_in(table: &Table, untrimmed: bool) -> Option<Vec<String>> {
    let first = table.rows.first().filter(|row| row.len() == table.columns)?;
    let last = first.len().saturating_sub(1);
    let mut names = Vec::with_capacity(first.len());
    for (at, (text, _)) in first.iter().enumerate() {
        let text = if untrimmed { text.as_str() } else { text.trim() };
        let nothing = text.is_empty();
        let is_text = shape_of(text) == Shape::String && text.chars().count() < MAX_HEADER_CHARS;
        // A delimiter at the end makes a last column without a name.
        if !(is_text || (nothing && at == last && at > 0)) || text.chars().any(char::is_control) {
            return None;
        }
        names.push(if nothing { format!("col{at}") } else { text.to_owned() });
    }
    Some(distinct(names.iter().map(|name| derived(name))))
}

/// Names that stand twice get a number.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for name in names {
        let count = seen.entry(name.clone()).or_default();
        let mut fitting = if *count == 0 { name.clone() } else { format!("{name}_{count}") };
        while all.contains(&fitting) {
            *count += 1;
            fitting = format!("{name}_{count}");
        }
        *count += 1;
        all.push(fitting);
    }
    all
}

fn numbered(columns: usize) -> Vec<String> {
    (0..columns).map(|at| format!("col{at}")).collect()
}

/// The delimiter that fits best.
fn table_of(lines: &[&str], rules: &CsvRules, quote: char) -> Option<Table> {
    let least = if rules.single { 1 } else { 2 };
    let candidates: &[char] = rules.delimiter.as_ref().map_or(&DELIMITERS[..], std::slice::from_ref);
    let tables = candidates.iter().map(|delimiter| Table::of(lines, *delimiter, Some(quote)));
    let fitting = tables.filter(|table| table.is_even() && table.columns >= least);
    // The first of those that fit as well.
    fitting.reduce(
        |best, other| {
            if (other.even, other.columns.min(2)) > (best.even, best.columns.min(2)) { other } else { best }
        },
    )
}

/// What a text is, if it is one with delimiters: at least two columns and two lines.
pub fn infer(text: &Text, rules: &CsvRules) -> Option<Found> {
    let lines: Vec<&str> = text.text.lines().filter(|line| !line.is_empty()).collect();
    let quote = rules.quote.unwrap_or('"');
    let mut table = table_of(&lines, rules, quote)?;
    let quoted = table.rows.iter().any(|row| row.iter().any(|(_, quoted)| *quoted));
    let open = match rules.serde {
        CsvSerde::Fitting => quoted || rules.quote.is_some_and(|quote| quote != '"'),
        CsvSerde::Open => true,
        CsvSerde::Lazy => false,
    };
    if quoted && !open {
        // As its reader reads it.
        table = Table::of(&lines, table.delimiter, None);
    }
    let declared = !rules.names.is_empty();
    if declared && rules.names.len() != table.columns {
        return None;
    }
    let weak = lines.len() < 2 && !declared && rules.header == Header::Unknown;
    let names = names_in(&table, rules.untrimmed);
    let (with, without) = (table.shapes(1), table.shapes(0));
    let differs = with.iter().any(|(shape, _)| !matches!(shape, Shape::String | Shape::Null));
    let header = match rules.header {
        Header::Present => true,
        Header::Absent => false,
        Header::Unknown => names.is_some() && differs && !weak,
    };
    let chosen = |header: bool| {
        let given = || distinct(rules.names.iter().map(|name| derived(name.trim())));
        let names = match (declared, header) {
            (true, _) => given(),
            (false, true) => names.clone().unwrap_or_else(|| numbered(table.columns)),
            (false, false) => numbered(table.columns),
        };
        columns(names, if header { &with } else { &without }, &rules.types)
    };
    let otherwise = (rules.header == Header::Unknown && names.is_some()).then(|| chosen(!header));
    let csv = Csv { delimiter: table.delimiter, quote, open, header, otherwise };
    let rows = (lines.len() as u64).saturating_sub(u64::from(header));
    Some(Found {
        classification: "csv".to_owned(),
        compression: text.compression,
        layout: Layout::Csv(csv),
        columns: chosen(header),
        records: estimate(rows, text.times),
        weak,
    })
}

fn columns(names: Vec<String>, shapes: &[(Shape, bool)], types: &[Type]) -> Vec<Column> {
    let column = |(at, (name, (shape, gaps))): (usize, (String, &(Shape, bool)))| match types.get(at) {
        Some(kind) => Column::new(&name, Shape::of(kind.clone())),
        None => Column { name, shape: shape.clone(), gaps: *gaps },
    };
    names.into_iter().zip(shapes).enumerate().map(column).collect()
}

/// Rows of a whole file, by those of its beginning.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, of positive numbers"
)]
pub fn estimate(rows: u64, times: f64) -> u64 {
    (rows as f64 * times.max(1.0)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{Sniffed, sniff};

    fn read(text: &str, rules: &CsvRules) -> Option<Found> {
        match sniff("a.csv", text.as_bytes(), text.len() as u64) {
            Sniffed::Text(text) => infer(&text, rules),
            _ => None,
        }
    }

    fn shown(found: &Found) -> String {
        let Layout::Csv(csv) = &found.layout else { panic!() };
        let columns: Vec<String> = found.settled().iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let (header, open) = (if csv.header { "H" } else { "-" }, if csv.open { "O" } else { "L" });
        format!("{}{header}{open} {}", csv.delimiter, columns.join(", "))
    }

    #[test]
    fn formats_and_headers() {
        for (text, expected) in [
            (
                "Carrier,Dep-Delay,Date\nAA,5,2030-01-01\nUA,-3,2030-01-02\n",
                ",HL carrier string, dep_delay bigint, date date",
            ),
            ("a|b\n1|x\n2.5|y\n", "|HL a double, b string"),
            ("1\t2\n3\t4\n", "\t-L col0 bigint, col1 bigint"),
            ("x;y\nu;v\n", ";-L col0 string, col1 string"),
            ("a\u{1}b\n1\u{1}2\n", "\u{1}HL a bigint, b bigint"),
            ("n,t\n\"a, b\",1\nc,2\n", ",HO n string, t bigint"),
            ("n,t,d\n\"a\",,2030-01-01\n\"c\",2,2030-01-02\n", ",HO n string, t string, d string"),
            ("a,a,A,\n1,2,3,\n4,5,6,\n", ",HL a bigint, a_1 bigint, a_2 bigint, col3 string"),
            ("id,ok\n1,true\n2,\n", ",HL id bigint, ok boolean"),
            ("a,b\r\n1,2\r\n3,4\r\n", ",HL a bigint, b bigint"),
            ("a,b\n1,2\n3,\\N\n", ",HL a bigint, b bigint"),
        ] {
            assert_eq!(
                read(text, &CsvRules::default()).map(|found| shown(&found)).as_deref(),
                Some(expected),
                "{text:?}"
            );
        }
        for text in ["one\ntwo\n", "", "some words\nmore, words\nand so on\n"] {
            assert_eq!(read(text, &CsvRules::default()), None, "{text:?}");
        }
        assert!(read("a,b\n", &CsvRules::default()).is_some_and(|found| found.weak));
    }

    #[test]
    fn classifiers_say_more() {
        let rules = CsvRules::default();
        let names = vec!["One".to_owned(), "Two".to_owned()];
        for (text, rules, expected) in [
            ("1:2\n3:4\n", CsvRules { delimiter: Some(':'), ..rules.clone() }, Some(":-L col0 bigint, col1 bigint")),
            ("x,y\nu,v\n", CsvRules { header: Header::Present, ..rules.clone() }, Some(",HL x string, y string")),
            (
                "x,1\nu,2\n",
                CsvRules { header: Header::Absent, names: names.clone(), ..rules.clone() },
                Some(",-L one string, two bigint"),
            ),
            ("x,1,2\nu,2,3\n", CsvRules { names: names.clone(), ..rules.clone() }, None),
            ("v\n1\n2\n", CsvRules { delimiter: Some(','), single: true, ..rules.clone() }, Some(",HL v bigint")),
            ("'a','b'\n'1','2'\n", CsvRules { quote: Some('\''), ..rules.clone() }, Some(",HO a bigint, b bigint")),
            (
                "\"a\",\"b\"\n",
                CsvRules { serde: CsvSerde::Lazy, header: Header::Absent, ..rules.clone() },
                Some(",-L col0 string, col1 string"),
            ),
            (
                "a,b\n1,2\n",
                CsvRules { types: vec![Type::Int, Type::String], ..rules.clone() },
                Some(",HL a int, b string"),
            ),
        ] {
            assert_eq!(read(text, &rules).map(|found| shown(&found)).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn other_files_know_better() {
        let with = read("a,b\nx,1\ny,2\n", &CsvRules::default()).unwrap();
        let without = read("a,b\nx,\ny,\n", &CsvRules::default()).unwrap();
        assert_eq!(shown(&without), ",-L col0 string, col1 string");
        assert_eq!(shown(&without.read_as(&with).unwrap()), ",HL a string, b string");
        let alone = read("a,b\n", &CsvRules::default()).unwrap();
        assert_eq!(shown(&alone.read_as(&with).unwrap()), ",HL a string, b string");
        assert!(read("u,v\nx,\n", &CsvRules::default()).unwrap().read_as(&with).is_none());
    }

    #[test]
    fn rows_are_estimated() {
        let found = read("a,b\n1,2\n3,4\n", &CsvRules::default()).unwrap();
        assert_eq!(found.records, 2);
        assert_eq!((estimate(10, 2.5), estimate(3, 0.1)), (25, 3));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_columns_are_distinct(text in "[a-c1.,|;\"\\\\\n ]{0,80}") {
            if let Some(found) = read(&text, &CsvRules::default()) {
                let mut names: Vec<_> = found.columns.iter().map(|column| column.name.clone()).collect();
                prop_assert!(names.len() >= 2);
                names.sort();
                names.dedup();
                prop_assert_eq!(names.len(), found.columns.len());
            }
        }
    }
}
