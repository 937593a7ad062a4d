//! Conditions on fields between spaces: `[ip, user, ..., status = 4* && status != 404, bytes > 1000]`.

use super::compare::{Comparison, Found};
use super::text::Text;
use super::{PatternError, wrong};

/// A pattern of fields.
#[derive(Clone, Debug)]
pub struct Columns {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
enum Column {
    /// `...`: any number of fields.
    Rest,
    /// Any of these, each of which is all of those.
    Field(Vec<Vec<Comparison>>),
}

impl Columns {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut text = Text::new(text);
        text.take("[");
        let mut columns = Vec::new();
        loop {
            text.spaces();
            columns.push(if text.take("...") { Column::Rest } else { Column::Field(field(&mut text)?) });
            text.spaces();
            if text.take("]") {
                break;
            }
            if !text.take(",") {
                return wrong(format!("a comma or the closing ] is missing before {:?}", text.rest()));
            }
        }
        text.spaces();
        if !text.rest().is_empty() {
            return wrong("something stands behind the closing ]");
        }
        if columns.iter().filter(|column| matches!(column, Column::Rest)).count() > 1 {
            return wrong("... can stand once");
        }
        Ok(Self { columns })
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let fields = fields(message);
        let rest = self.columns.iter().position(|column| matches!(column, Column::Rest));
        let named = self.columns.len() - usize::from(rest.is_some());
        let fits = |fields: &[&str], columns: &[Column]| {
            columns.iter().zip(fields).all(|(column, field)| holds(column, field))
        };
        match rest {
            None => fields.len() == named && fits(&fields, &self.columns),
            Some(_) if fields.len() < named => false,
            Some(at) => {
                let behind = &self.columns[at + 1..];
                fits(&fields, &self.columns[..at]) && fits(&fields[fields.len() - behind.len()..], behind)
            }
        }
    }
}

fn field(text: &mut Text<'_>) -> Result<Vec<Vec<Comparison>>, PatternError> {
    let ends = |c: char| matches!(c, ',' | ']' | '&' | '|');
    let name = |text: &mut Text<'_>| {
        text.spaces();
        let name = text.until(|c| c.is_whitespace() || "=!<>,]&|".contains(c)).to_owned();
        text.spaces();
        name
    };
    let first = name(text);
    // A field without a condition, which need not even have a name.
    if matches!(text.peek(), Some(',' | ']')) {
        return Ok(Vec::new());
    }
    let mut any = vec![vec![Comparison::parse(text, ends)?]];
    loop {
        text.spaces();
        let and = text.take("&&");
        if !and && !text.take("||") {
            return Ok(any);
        }
        if name(text) != first {
            return wrong("the conditions of one field name the same field");
        }
        let comparison = Comparison::parse(text, ends)?;
        match any.last_mut().filter(|_| and) {
            Some(all) => all.push(comparison),
            None => any.push(vec![comparison]),
        }
    }
}

fn holds(column: &Column, field: &str) -> bool {
    let Column::Field(any) = column else { return true };
    let found = match field.parse::<f64>() {
        Ok(number) if number.is_finite() => Found::Number(number, field),
        _ => Found::Text(field),
    };
    any.is_empty() || any.iter().any(|all| all.iter().all(|comparison| comparison.holds(found)))
}

/// A message cut at its spaces; what stands in quotation marks or brackets is one field, without them.
fn fields(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim_start();
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        let enclosed = closing.and_then(|closing| rest[1..].split_once(closing));
        let (field, behind) = match enclosed {
            Some(found) => found,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        fields.push(field);
        rest = behind.trim_start();
    }
    fields
}
