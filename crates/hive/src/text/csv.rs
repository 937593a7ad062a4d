//! OpenCSVSerde: fields as opencsv 2.3 parts them. All are text; NULL is what is missing.

use std::borrow::Cow;

use super::{Field, decode};
use crate::format::OpenCsv;

/// The fields of a line, as many as there are columns. An empty line is NULL in all of them; the last field is NULL when its quotes do
/// not end. What stands after the last column is ignored.
pub fn fields<'a>(line: &'a [u8], format: &OpenCsv, columns: usize) -> Vec<Field<'a>> {
    let mut fields = match (line.is_empty(), decode(line)) {
        (true, _) => Vec::new(),
        (false, Cow::Borrowed(text)) => borrowed(text, format, columns),
        (false, Cow::Owned(text)) => quoted(&text, format, columns),
    };
    fields.resize(columns, None);
    fields
}

/// A line without quotes and escapes is only parted.
fn borrowed<'a>(text: &'a str, format: &OpenCsv, columns: usize) -> Vec<Field<'a>> {
    if text.contains([format.quote, format.escape]) {
        return quoted(text, format, columns);
    }
    text.split(format.separator).take(columns).map(|field| Some(Cow::Borrowed(field))).collect()
}

fn quoted<'a>(text: &str, format: &OpenCsv, columns: usize) -> Vec<Field<'a>> {
    let OpenCsv { separator, quote, escape } = *format;
    let mut fields = Vec::new();
    let mut field = String::new();
    let (mut in_quotes, mut in_field) = (false, false);
    let mut before = None;
    // Java counts units of UTF-16.
    let mut position = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next().filter(|_| fields.len() < columns) {
        let next = chars.peek().copied();
        let mut last = c;
        if c == escape {
            // One that stands before anything else is dropped.
            if let Some(next) = next.filter(|n| (in_quotes || in_field) && (*n == quote || *n == escape)) {
                field.push(next);
                chars.next();
                last = next;
            }
        } else if c == quote {
            if let Some(next) = next.filter(|n| (in_quotes || in_field) && *n == quote) {
                field.push(next);
                chars.next();
                last = next;
            } else {
                // One in the middle of a field, past the line's first three characters, is kept.
                if position > 2 && before != Some(separator) && next.is_some_and(|n| n != separator) {
                    if !field.is_empty() && field.chars().all(char::is_whitespace) {
                        field.clear();
                    } else {
                        field.push(c);
                    }
                }
                in_quotes = !in_quotes;
            }
            in_field = !in_field;
        } else if c == separator && !in_quotes {
            fields.push(Some(Cow::Owned(std::mem::take(&mut field))));
            in_field = false;
        } else {
            field.push(c);
            in_field = true;
        }
        position += c.len_utf16() + if last == c { 0 } else { last.len_utf16() };
        before = Some(last);
    }
    if fields.len() < columns && !in_quotes {
        fields.push(Some(Cow::Owned(field)));
    }
    fields
}
