//! A table for people: columns as wide as what is in them, numbers on the right, NULL shown, nothing that a terminal would obey.

use std::fmt::Write as _;
use std::io::Write;

use unicode_width::UnicodeWidthStr;

use super::execution::{Column, Row};
use super::failed::Failed;
use super::format::{Writer, plain};

/// Rows that are measured before the first is written. What comes later and is wider sticks out.
const MEASURED: usize = 1_000;

/// What tables are drawn with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Borders {
    /// Box drawing.
    Unicode,
    /// `+`, `-` and `|`.
    Ascii,
}

impl Borders {
    /// What the terminal can show, by its locale.
    pub fn of_locale() -> Self {
        let set =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
        let set = set.unwrap_or_default().to_ascii_lowercase();
        if set.contains("utf-8") || set.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }

    /// A horizontal and a vertical line.
    pub fn lines(self) -> (&'static str, &'static str) {
        match self {
            Self::Unicode => ("\u{2500}", "\u{2502}"),
            Self::Ascii => ("-", "|"),
        }
    }

    /// The corners of the line above, in the middle, below: left, between two columns, right.
    fn corners(self) -> [[&'static str; 3]; 3] {
        match self {
            Self::Unicode => [
                ["\u{250c}", "\u{252c}", "\u{2510}"],
                ["\u{251c}", "\u{253c}", "\u{2524}"],
                ["\u{2514}", "\u{2534}", "\u{2518}"],
            ],
            Self::Ascii => [["+", "+", "+"]; 3],
        }
    }
}

/// A value as it is shown in a table.
pub fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    if !value.contains(char::is_control) {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {
                // Into a string.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

fn is_number(kind: &str) -> bool {
    matches!(kind, "tinyint" | "smallint" | "integer" | "bigint" | "float" | "real" | "double" | "decimal")
}

/// A table that is written row by row.
pub struct Table<'a> {
    borders: Borders,
    out: Box<dyn Write + 'a>,
    columns: Vec<Column>,
    widths: Vec<usize>,
    /// Rows that wait until enough are measured.
    waiting: Vec<Vec<String>>,
    begun: bool,
}

impl<'a> Table<'a> {
    /// Nothing written yet.
    pub fn new(borders: Borders, out: Box<dyn Write + 'a>) -> Self {
        Self { borders, out, columns: Vec::new(), widths: Vec::new(), waiting: Vec::new(), begun: false }
    }

    fn rule(&mut self, which: usize) -> Result<(), Failed> {
        let (line, _) = self.borders.lines();
        let [left, between, right] = self.borders.corners().get(which).copied().unwrap_or_default();
        let parts: Vec<_> = self.widths.iter().map(|width| line.repeat(width + 2)).collect();
        writeln!(self.out, "{left}{}{right}", parts.join(between))?;
        Ok(())
    }

    fn line(&mut self, values: &[String], is_header: bool) -> Result<(), Failed> {
        let (_, bar) = self.borders.lines();
        let mut line = String::new();
        for (at, value) in values.iter().enumerate() {
            let pad = " ".repeat(self.widths.get(at).copied().unwrap_or_default().saturating_sub(value.width()));
            let on_the_right = !is_header && self.columns.get(at).is_some_and(|column| is_number(&column.kind));
            let (before, after) = if on_the_right { (pad.as_str(), "") } else { ("", pad.as_str()) };
            // Into a string.
            let _ = write!(line, "{bar} {before}{value}{after} ");
        }
        writeln!(self.out, "{line}{bar}")?;
        Ok(())
    }

    /// Writes the header and what waits.
    fn write_waiting(&mut self) -> Result<(), Failed> {
        let waiting = std::mem::take(&mut self.waiting);
        if !self.begun {
            self.begun = true;
            for row in &waiting {
                for (width, value) in self.widths.iter_mut().zip(row) {
                    *width = (*width).max(value.width());
                }
            }
            let names: Vec<_> = self.columns.iter().map(|column| plain(&column.name)).collect();
            self.rule(0)?;
            self.line(&names, true)?;
            self.rule(1)?;
        }
        waiting.iter().try_for_each(|row| self.line(row, false))
    }
}

impl Writer for Table<'_> {
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed> {
        self.columns = columns.to_vec();
        self.widths = columns.iter().map(|column| plain(&column.name).width()).collect();
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        let shown = |row: Row| row.iter().map(|value| shown(value.as_deref())).collect();
        self.waiting.extend(rows.into_iter().map(shown));
        if self.begun || self.waiting.len() >= MEASURED { self.write_waiting() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Failed> {
        self.write_waiting()?;
        self.rule(2)?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(borders: Borders) -> String {
        let column = |name: &str, kind: &str| Column { name: name.into(), kind: kind.into(), precision: 0, scale: 0 };
        let some = |text: &str| Some(text.to_owned());
        let mut out = Vec::new();
        let mut table = Table::new(borders, Box::new(&mut out));
        table.begin(&[column("city", "varchar"), column("n", "bigint")]).unwrap();
        table
            .rows(vec![vec![some("東京"), some("7")], vec![None, some("-12345")], vec![some("a\n\u{1b}[31m"), None]])
            .unwrap();
        table.end().unwrap();
        drop(table);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let expected = "\
+---------------+--------+
| city          | n      |
+---------------+--------+
| 東京          |      7 |
| NULL          | -12345 |
| a\\n\\u001b[31m |   NULL |
+---------------+--------+
";
        assert_eq!(drawn(Borders::Ascii), expected);
        assert!(drawn(Borders::Unicode).starts_with("┌─"));
    }
}
