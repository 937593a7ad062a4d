//! Results as text: tables, records, CSV, JSON lines. Rows are written as they come.

use std::io::Write;

use clap::ValueEnum;

use super::execution::{Column, Row};
use super::failed::Failed;
use super::table::{Borders, Table};

/// How results are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A table for people.
    Table,
    /// One line a value, for rows that are too wide.
    Expanded,
    /// Every value in quotes, NULL without, the names of the columns first: as Athena's result files.
    Csv,
    /// Values with tabs between them, without a header; NULL is \N.
    Tsv,
    /// One JSON object a line.
    Json,
    /// A Parquet file; needs --output.
    Parquet,
}

/// Takes a result.
pub trait Writer {
    /// The columns, before any row.
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed>;
    /// Rows.
    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed>;
    /// There are no more.
    fn end(&mut self) -> Result<(), Failed>;
}

/// A writer of text.
pub fn text<'a>(format: Format, borders: Borders, out: Box<dyn Write + 'a>) -> Box<dyn Writer + 'a> {
    match format {
        Format::Table => Box::new(Table::new(borders, out)),
        Format::Expanded => Box::new(Expanded { borders, columns: Vec::new(), count: 0, out }),
        Format::Csv => Box::new(Csv { out }),
        Format::Tsv => Box::new(Tsv { out }),
        // A file of its own; this is what text is left.
        Format::Json | Format::Parquet => Box::new(Json { columns: Vec::new(), out }),
    }
}

/// A writer of lines that are no rows of values: what SHOW, DESCRIBE and EXPLAIN say.
pub struct Lines<'a>(pub Box<dyn Write + 'a>);

impl Writer for Lines<'_> {
    fn begin(&mut self, _: &[Column]) -> Result<(), Failed> {
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        for row in rows {
            let values: Vec<_> = row.into_iter().map(|value| plain(&value.unwrap_or_default())).collect();
            writeln!(self.0, "{}", values.join("\t").trim_end())?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(self.0.flush()?)
    }
}

/// A text without what a terminal would obey.
pub fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}

struct Csv<'a> {
    out: Box<dyn Write + 'a>,
}

impl Csv<'_> {
    fn line<'v>(&mut self, values: impl Iterator<Item = Option<&'v str>>) -> Result<(), Failed> {
        let mut line = String::new();
        for (at, value) in values.enumerate() {
            if at > 0 {
                line.push(',');
            }
            if let Some(value) = value {
                line.push('"');
                line.push_str(&value.replace('"', "\"\""));
                line.push('"');
            }
        }
        line.push('\n');
        Ok(self.out.write_all(line.as_bytes())?)
    }
}

impl Writer for Csv<'_> {
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed> {
        if columns.is_empty() {
            return Ok(());
        }
        self.line(columns.iter().map(|column| Some(column.name.as_str())))
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        rows.iter().try_for_each(|row| self.line(row.iter().map(Option::as_deref)))
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(self.out.flush()?)
    }
}

struct Tsv<'a> {
    out: Box<dyn Write + 'a>,
}

impl Writer for Tsv<'_> {
    fn begin(&mut self, _: &[Column]) -> Result<(), Failed> {
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        // As PostgreSQL's COPY writes them, so that each row stays one line.
        let escaped =
            |text: &String| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        for row in rows {
            let values: Vec<_> =
                row.iter().map(|value| value.as_ref().map_or_else(|| "\\N".to_owned(), escaped)).collect();
            writeln!(self.out, "{}", values.join("\t"))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(self.out.flush()?)
    }
}

struct Json<'a> {
    columns: Vec<Column>,
    out: Box<dyn Write + 'a>,
}

/// A value as JSON has it: numbers and booleans as such, all else as text.
fn json(kind: &str, value: &str) -> String {
    let is_number = match kind {
        "tinyint" | "smallint" | "integer" | "bigint" | "decimal" => true,
        // NaN and infinities are no numbers of JSON.
        "float" | "real" | "double" => value.parse::<f64>().is_ok_and(f64::is_finite),
        _ => false,
    };
    if is_number || (kind == "boolean" && matches!(value, "true" | "false")) {
        return value.to_owned();
    }
    serde_json::Value::from(value).to_string()
}

impl Writer for Json<'_> {
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        for row in rows {
            let members: Vec<_> = (self.columns.iter().zip(&row))
                .map(|(column, value)| {
                    let name = serde_json::Value::from(column.name.as_str());
                    format!(
                        "{name}: {}",
                        value.as_ref().map_or_else(|| "null".to_owned(), |value| json(&column.kind, value))
                    )
                })
                .collect();
            writeln!(self.out, "{{{}}}", members.join(", "))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(self.out.flush()?)
    }
}

struct Expanded<'a> {
    borders: Borders,
    columns: Vec<Column>,
    count: u64,
    out: Box<dyn Write + 'a>,
}

impl Writer for Expanded<'_> {
    fn begin(&mut self, columns: &[Column]) -> Result<(), Failed> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn rows(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        use unicode_width::UnicodeWidthStr;
        let width = self.columns.iter().map(|column| plain(&column.name).width()).max().unwrap_or_default();
        let (dash, bar) = self.borders.lines();
        for row in rows {
            self.count += 1;
            let title = format!("{dash}{dash} row {} ", self.count);
            writeln!(self.out, "{title}{}", dash.repeat(40_usize.saturating_sub(title.width())))?;
            for (column, value) in self.columns.iter().zip(&row) {
                let name = plain(&column.name);
                let pad = " ".repeat(width - name.width());
                writeln!(self.out, "{name}{pad} {bar} {}", super::table::shown(value.as_deref()))?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failed> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn written(format: Format) -> String {
        let column = |name: &str, kind: &str| Column { name: name.into(), kind: kind.into(), precision: 0, scale: 0 };
        let columns = [column("n", "bigint"), column("x \"y\"", "varchar"), column("d", "double")];
        let some = |text: &str| Some(text.to_owned());
        let rows = vec![
            vec![some("1"), some("a\t\"b\"\nc"), some("NaN")],
            vec![some("-20"), None, some("1.0E7")],
            vec![None, some(""), None],
        ];
        let mut out = Vec::new();
        let mut writer = text(format, Borders::Ascii, Box::new(&mut out));
        writer.begin(&columns).unwrap();
        writer.rows(rows).unwrap();
        writer.end().unwrap();
        drop(writer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_format() {
        for (format, expected) in [
            (
                Format::Csv,
                "\"n\",\"x \"\"y\"\"\",\"d\"\n\"1\",\"a\t\"\"b\"\"\nc\",\"NaN\"\n\"-20\",,\"1.0E7\"\n,\"\",\n",
            ),
            (Format::Tsv, "1\ta\\t\"b\"\\nc\tNaN\n-20\t\\N\t1.0E7\n\\N\t\t\\N\n"),
            (
                Format::Json,
                "{\"n\": 1, \"x \\\"y\\\"\": \"a\\t\\\"b\\\"\\nc\", \"d\": \"NaN\"}\n{\"n\": -20, \"x \\\"y\\\"\": null, \"d\": 1.0E7}\n{\"n\": null, \"x \\\"y\\\"\": \"\", \"d\": null}\n",
            ),
            (
                Format::Expanded,
                "-- row 1 -------------------------------\nn     | 1\nx \"y\" | a\\t\"b\"\\nc\nd     | NaN\n-- row 2 -------------------------------\nn     | -20\nx \"y\" | NULL\nd     | 1.0E7\n-- row 3 -------------------------------\nn     | NULL\nx \"y\" | \nd     | NULL\n",
            ),
        ] {
            assert_eq!(written(format), expected, "{format:?}");
        }
    }
}
